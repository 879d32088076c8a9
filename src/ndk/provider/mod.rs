//! The NDK provider of one NIC: opens adapters, and connects the connection manager with the device and the consumers.
//!
//! | module | what |
//! |---|---|
//! | `addresses` | the addresses of the interface, and the way from them to peers |
//! | `endpoints` | what is bound to them: listeners, shared endpoints, connectors |
//! | `messages` | between the device's CM service and the connection manager |
//! | `statistics` | what the NDK OIDs ask for |
//!
//! One spin lock guards the connection manager. It is never held while the device is asked to send or a consumer is
//! called: the manager says what is to be done, and it is done after unlocking. A connector may be locked when the manager is
//! taken, never the other way round.
#![expect(unsafe_code, reason = "closing takes a consumer's pointer")]

mod addresses;
mod endpoints;
mod messages;
mod statistics;

use super::adapter::Adapter;
use super::connector::Connector;
use super::endpoints::{EndpointSlot, Endpoints};
use super::listener::Listener;
use super::object::ObjectRef;
use super::queues::Queues;
use super::{limits, path, version};
use crate::cm::{self, ListenerSlot, Manager, ReadLimits, Slot, Tables, TimerCell};
use crate::nic::{Nic, ObjectEvent};
use crate::os::event_log;
use crate::os::handle::AdapterHandle;
use crate::os::irql::Passive;
use crate::os::lock::SpinLock;
use crate::os::pool::{PoolArc, PoolBox, PoolSlice, Pooled, Tag};
use crate::os::time::Instant;
use core::net::IpAddr;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use core::time::Duration;
use ndk_sys::{
    EVENT_NDIS_UNSUPPORTED_CONFIGURATION, NDIS_NDK_CAPABILITIES, NDIS_STATUS, NDIS_STATUS_ADAPTER_NOT_READY,
    NDIS_STATUS_BAD_VERSION, NDIS_STATUS_RESOURCES, NDK_ADAPTER, NDK_ADAPTER_INFO, NDK_VERSION, NET_LUID,
    NTSTATUS,
};
use roce_wire::cm::Mtu;
use vrnic_abi::cm::GID_ENTRIES;

/// Connection attempts that are followed at the same time, quarantined ones included.
const CONNECTIONS: usize = 8192;
/// Listeners at the same time.
const LISTENERS: usize = 256;
/// Endpoints that are bound at the same time: one for each ephemeral port, and some.
const ENDPOINTS: usize = 16_384 + 1024;

/// The largest `*NetworkDirectRoCEFrameSize`.
const MAX_FRAME_SIZE: u32 = 4096;

/// What the miniport knows and the provider needs.
pub struct Config {
    /// Whether a consumer may open an adapter.
    pub enabled: bool,
    /// The network interface, for routes and neighbours.
    pub luid: NET_LUID,
    /// The same, as scope ids of addresses name it.
    pub interface_index: u32,
    /// `*NetworkDirectRoCEFrameSize`: largest payload of a packet, in bytes.
    pub frame_size: u32,
}

/// The memory of the connection manager.
pub(super) struct CmTables;

/// The connection manager of this driver.
pub(super) type Cm = Manager<CmTables>;

impl Tables for CmTables {
    type Context = ObjectRef<Listener>;
    type Owner = ObjectRef<Connector>;
    type Slots = PoolSlice<Slot<ObjectRef<Connector>>>;
    type Timers = PoolSlice<TimerCell>;
    type Listeners = PoolSlice<ListenerSlot<ObjectRef<Listener>>>;
}

impl Pooled for Slot<ObjectRef<Connector>> {
    const TAG: Tag = Tag::new(*b"VrCs");
}

impl Pooled for TimerCell {
    const TAG: Tag = Tag::new(*b"VrCt");
}

impl Pooled for ListenerSlot<ObjectRef<Listener>> {
    const TAG: Tag = Tag::new(*b"VrCl");
}

impl Pooled for EndpointSlot {
    const TAG: Tag = Tag::new(*b"VrEp");
}

/// The provider. It outlives every adapter that it opens: the miniport halts only when all are closed.
pub struct Provider {
    nic: PoolArc<Nic>,
    info: NDK_ADAPTER_INFO,
    enabled: AtomicBool,
    open_adapters: AtomicU32,
    luid: NET_LUID,
    interface_index: u32,
    frame_size: u32,
    /// As it was when it was last looked at: what is wrong with it is logged once.
    link_mtu: AtomicU32,
    addresses: SpinLock<[Option<IpAddr>; GID_ENTRIES as usize]>,
    endpoints: SpinLock<Endpoints<PoolSlice<EndpointSlot>>>,
    cm: SpinLock<Cm>,
    queues: Queues,
}

impl Pooled for Provider {
    const TAG: Tag = Tag::new(*b"VrPr");
}

// SAFETY: the LUID is a number; all else is shareable.
unsafe impl Sync for Provider {}
// SAFETY: as above.
unsafe impl Send for Provider {}

impl Provider {
    /// Makes the provider of a NIC that is up. Allocates everything that the connection manager will ever need.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES`.
    pub fn new(_passive: &Passive, nic: PoolArc<Nic>, config: &Config) -> Result<PoolBox<Self>, NTSTATUS> {
        let slots = PoolSlice::from_fn(CONNECTIONS, |_| Slot::default())?;
        let timers = PoolSlice::from_fn(CONNECTIONS, |_| TimerCell::default())?;
        let listeners = PoolSlice::from_fn(LISTENERS, |_| ListenerSlot::default())?;
        let endpoints = PoolSlice::from_fn(ENDPOINTS, |_| EndpointSlot::default())?;
        let secret = secret(&nic);
        let info = limits::adapter_info(nic.info(), nic.mac());
        let mut cm_config = cm::Config::new(secret, ca_guid(nic.mac()));
        cm_config.max_reads = read_limits(&info);
        let queues = Queues::new(&nic)?;
        let provider = Self {
            nic,
            info,
            enabled: AtomicBool::new(config.enabled),
            open_adapters: AtomicU32::new(0),
            luid: config.luid,
            interface_index: config.interface_index,
            frame_size: config.frame_size,
            link_mtu: AtomicU32::new(0),
            endpoints: SpinLock::new(Endpoints::new(endpoints, secret[1])),
            addresses: SpinLock::new([None; GID_ENTRIES as usize]),
            cm: SpinLock::new(Manager::new(cm_config, slots, timers, listeners)),
            queues,
        };
        let provider = PoolBox::new(provider)?;
        provider.on_link_change();
        Ok(provider)
    }

    /// The device.
    pub fn nic(&self) -> &PoolArc<Nic> {
        &self.nic
    }

    /// The interface, as scope ids of addresses name it.
    pub(super) fn interface_index(&self) -> u32 {
        self.interface_index
    }

    /// NDIS's handle of the adapter.
    pub(super) fn handle(&self) -> AdapterHandle {
        self.nic.handle()
    }

    /// Most RDMA READs that a connection can have under way.
    pub(super) fn read_limits(&self) -> ReadLimits {
        read_limits(&self.info)
    }

    /// The link has changed, and with it perhaps the path MTU of new connections.
    pub fn on_link_change(&self) {
        let link_mtu = self.nic.link().mtu;
        if let Some(mtu) = path::path_mtu(link_mtu, self.frame_size) {
            self.cm().set_path_mtu(mtu);
        }
        // A device that is gone has none.
        let is_new = link_mtu != 0 && self.link_mtu.swap(link_mtu, Ordering::Relaxed) != link_mtu;
        if is_new && let Some(text) = misfit(link_mtu, self.frame_size) {
            event_log::write(EVENT_NDIS_UNSUPPORTED_CONFIGURATION, text, link_mtu);
        }
    }

    /// The device has something to say about an object of the data path. `DISPATCH_LEVEL`, without a lock; events of one event
    /// queue come one after another, those of different ones at the same time.
    pub fn on_object_event(&self, event: ObjectEvent) {
        self.queues.on_event(event);
    }

    /// Completion queues, shared receive queues and queue pairs, by their numbers.
    pub(super) fn queues(&self) -> &Queues {
        &self.queues
    }

    /// Limits for one consumer, with the highest version that we speak. The address is stable until drop.
    pub fn adapter_info(&self) -> &NDK_ADAPTER_INFO {
        &self.info
    }

    /// System-wide limits, as `NDIS_MINIPORT_ADAPTER_NDK_ATTRIBUTES` wants them.
    pub fn capabilities(&self) -> NDIS_NDK_CAPABILITIES {
        limits::capabilities(self.nic.info(), &self.info)
    }

    /// `OPEN_NDK_ADAPTER_HANDLER`.
    ///
    /// # Errors
    /// `NDIS_STATUS_ADAPTER_NOT_READY` while NDK is disabled, `NDIS_STATUS_BAD_VERSION`, `NDIS_STATUS_RESOURCES`.
    pub fn open_adapter(
        &self,
        _passive: &Passive,
        requested: NDK_VERSION,
    ) -> Result<NonNull<NDK_ADAPTER>, NDIS_STATUS> {
        if !self.enabled.load(Ordering::Acquire) {
            return Err(NDIS_STATUS_ADAPTER_NOT_READY);
        }
        let version = version::negotiate(requested).ok_or(NDIS_STATUS_BAD_VERSION)?;
        let info = NDK_ADAPTER_INFO {
            Version: version,
            ..self.info
        };
        let adapter = Adapter::open(self, info).map_err(|_| NDIS_STATUS_RESOURCES)?;
        self.open_adapters.fetch_add(1, Ordering::AcqRel);
        Ok(adapter)
    }

    /// `CLOSE_NDK_ADAPTER_HANDLER`: returns when everything below the adapter is gone.
    ///
    /// # Safety
    /// `adapter` came from [`Provider::open_adapter`] of this provider and is closed once.
    pub unsafe fn close_adapter(&self, passive: &Passive, adapter: NonNull<NDK_ADAPTER>) {
        // SAFETY: as ours (caller).
        unsafe { Adapter::close(adapter, passive) };
        self.open_adapters.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether a consumer has an adapter open.
    pub fn has_open_adapters(&self) -> bool {
        self.open_adapters.load(Ordering::Acquire) != 0
    }

    /// `OID_NDK_SET_STATE`, as in force: while disabled no adapter can be opened.
    pub fn set_enabled(&self, enabled: bool) {
        self.enabled.store(enabled, Ordering::Release);
    }
}

/// Why the administrator does not get the payload size that he wants. `frame_size` of 4096 bytes, the largest and the default, asks for what fits.
fn misfit(link_mtu: u32, frame_size: u32) -> Option<&'static str> {
    match path::path_mtu(link_mtu, frame_size).and_then(Mtu::bytes) {
        None => Some("no RoCE payload fits the MTU of the link"),
        Some(bytes) if frame_size < MAX_FRAME_SIZE && bytes < frame_size => {
            Some("NetworkDirectRoCEFrameSize does not fit the MTU of the link")
        }
        Some(_) => None,
    }
}

fn read_limits(info: &NDK_ADAPTER_INFO) -> ReadLimits {
    ReadLimits {
        inbound: info.MaxInboundReadLimit,
        outbound: info.MaxOutboundReadLimit,
    }
}

/// The time of the connection manager.
pub(super) fn now() -> Duration {
    Duration::from_nanos(Instant::now().hundred_ns().saturating_mul(100))
}

/// The EUI-64 that belongs to a MAC address.
fn ca_guid(mac: [u8; 6]) -> u64 {
    let [vendor @ .., x, y, z] = mac;
    let [first, second, third] = vendor;
    u64::from_be_bytes([first ^ 2, second, third, 0xff, 0xfe, x, y, z])
}

/// Makes connection ids and hash chains hard to guess from outside: when this driver started and where its memory is.
/// The kernel's documented interface has no random generator that may be called here.
fn secret(nic: &PoolArc<Nic>) -> [u64; 2] {
    let place = core::ptr::from_ref::<Nic>(nic).addr() as u64;
    [
        Instant::now().hundred_ns().rotate_left(32) ^ place,
        place.rotate_left(17) ^ crate::os::time::cycles(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_payload_size_that_was_asked_for_can_be_a_misfit() {
        for (link_mtu, frame_size, is_misfit) in [
            (1500, 4096, false),
            (1500, 2048, true),
            (1500, 1024, false),
            (9000, 2048, false),
            (351, 4096, true),
            (352, 4096, false),
        ] {
            assert_eq!(
                misfit(link_mtu, frame_size).is_some(),
                is_misfit,
                "{link_mtu} {frame_size}"
            );
        }
    }
}
