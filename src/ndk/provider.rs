//! The NDK provider of one NIC: opens adapters, and connects the connection manager with the device and the consumers.
//!
//! One spin lock guards the connection manager. It is never held while the device is asked to send or a consumer is
//! called: the manager says what is to be done, and it is done after unlocking.
#![expect(unsafe_code, reason = "closing takes a consumer's pointer")]

use super::adapter::Adapter;
use super::listener::Listener;
use super::object::ObjectRef;
use super::{address, datagram, limits, version};
use crate::cm::{
    self, ConnectionId, ListenError, ListenerId, ListenerSlot, Manager, Outgoing, Reaction, Slot, Tables,
    TimerCell,
};
use crate::nic::gid::GidAddress;
use crate::nic::{Nic, Wait};
use crate::os::irql::Passive;
use crate::os::lock::SpinLock;
use crate::os::pool::{PoolArc, PoolBox, PoolSlice, Pooled, Tag};
use crate::os::time::Instant;
use crate::status;
use core::net::{IpAddr, SocketAddr};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use core::time::Duration;
use ndk_sys::{
    NDIS_NDK_CAPABILITIES, NDIS_NDK_CONNECTION_ENTRY, NDIS_NDK_LOCAL_ENDPOINT_ENTRY,
    NDIS_NDK_PERFORMANCE_COUNTERS, NDIS_STATUS, NDIS_STATUS_ADAPTER_NOT_READY, NDIS_STATUS_BAD_VERSION,
    NDIS_STATUS_RESOURCES, NDK_ADAPTER, NDK_ADAPTER_INFO, NDK_VERSION, NTSTATUS, STATUS_INTERNAL_ERROR,
    STATUS_INVALID_ADDRESS, TRUE,
};
use roce_wire::gid::Gid;
use vrnic_abi::cm::{CmReceive, GID_ENTRIES};

/// Connection attempts that are followed at the same time, quarantined ones included.
const CONNECTIONS: usize = 8192;
/// Endpoints that are bound at the same time.
const LISTENERS: usize = 256;

/// What the miniport's configuration says about NDK.
pub struct Config {
    /// Whether a consumer may open an adapter.
    pub enabled: bool,
}

/// The memory of the connection manager.
struct CmTables;

impl Tables for CmTables {
    type Context = ObjectRef<Listener>;
    type Slots = PoolSlice<Slot>;
    type Timers = PoolSlice<TimerCell>;
    type Listeners = PoolSlice<ListenerSlot<ObjectRef<Listener>>>;
}

impl Pooled for Slot {
    const TAG: Tag = Tag::new(*b"VrCs");
}

impl Pooled for TimerCell {
    const TAG: Tag = Tag::new(*b"VrCt");
}

impl Pooled for ListenerSlot<ObjectRef<Listener>> {
    const TAG: Tag = Tag::new(*b"VrCl");
}

/// The provider. It outlives every adapter that it opens: the miniport halts only when all are closed.
pub struct Provider {
    nic: PoolArc<Nic>,
    info: NDK_ADAPTER_INFO,
    enabled: AtomicBool,
    open_adapters: AtomicU32,
    addresses: SpinLock<[Option<IpAddr>; GID_ENTRIES as usize]>,
    cm: SpinLock<Manager<CmTables>>,
}

impl Pooled for Provider {
    const TAG: Tag = Tag::new(*b"VrPr");
}

impl Provider {
    /// Makes the provider of a NIC that is up. Allocates everything that the connection manager will ever need.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES`.
    pub fn new(_passive: &Passive, nic: PoolArc<Nic>, config: &Config) -> Result<PoolBox<Self>, NTSTATUS> {
        let slots = PoolSlice::from_fn(CONNECTIONS, |_| Slot::default())?;
        let timers = PoolSlice::from_fn(CONNECTIONS, |_| TimerCell::default())?;
        let listeners = PoolSlice::from_fn(LISTENERS, |_| ListenerSlot::default())?;
        let cm_config = cm::Config {
            mra_service_timeout: cm::DEFAULT_MRA_SERVICE_TIMEOUT,
            secret: secret(&nic),
        };
        let info = limits::adapter_info(nic.info(), nic.mac());
        let provider = Self {
            nic,
            info,
            enabled: AtomicBool::new(config.enabled),
            open_adapters: AtomicU32::new(0),
            addresses: SpinLock::new([None; GID_ENTRIES as usize]),
            cm: SpinLock::new(Manager::new(cm_config, slots, timers, listeners)),
        };
        Ok(PoolBox::new(provider)?)
    }

    /// Limits for one consumer, with the highest version that we speak. The address is stable until drop.
    pub fn adapter_info(&self) -> &NDK_ADAPTER_INFO {
        &self.info
    }

    /// System-wide limits, as `NDIS_MINIPORT_ADAPTER_NDK_ATTRIBUTES` wants them.
    pub fn capabilities(&self) -> NDIS_NDK_CAPABILITIES {
        let device = self.nic.info();
        let mut capabilities = NDIS_NDK_CAPABILITIES::zeroed();
        capabilities.Header = crate::ndis::object_header::<NDIS_NDK_CAPABILITIES>(
            ndk_sys::NDIS_OBJECT_TYPE_DEFAULT,
            ndk_sys::NDIS_NDK_CAPABILITIES_REVISION_1,
        );
        capabilities.MaxQpCount = device.max_qps.get();
        capabilities.MaxCqCount = device.max_cqs.get();
        capabilities.MaxMrCount = device.max_keys.get();
        capabilities.MaxPdCount = device.max_pds.get();
        capabilities.MaxMwCount = device.max_keys.get();
        capabilities.MaxSrqCount = device.max_srqs.get();
        capabilities.NdkInfo = (&raw const self.info).cast_mut();
        capabilities
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

    /// The addresses that NETIO has for the interface, as the GID table now holds them.
    pub fn set_addresses(&self, _passive: &Passive, addresses: &[GidAddress]) {
        let mut table = [None; GID_ENTRIES as usize];
        for address in addresses {
            if let Some(entry) = table.get_mut(usize::from(address.index)) {
                *entry = Some(Gid(address.gid).to_ip());
            }
        }
        *self.addresses.lock() = table;
    }

    /// Connection counters of `OID_NDK_STATISTICS`.
    pub fn fill_statistics(&self, counters: &mut NDIS_NDK_PERFORMANCE_COUNTERS) {
        counters.ConnectFailure = self.cm.lock().counters().failures();
    }

    /// Established connections, for `OID_NDK_CONNECTIONS`: none, since accepting comes with the transport.
    pub fn connections(&self, _entry: &mut dyn FnMut(&NDIS_NDK_CONNECTION_ENTRY)) {}

    /// Listeners, for `OID_NDK_LOCAL_ENDPOINTS`. `entry` is called at DISPATCH and must not call back.
    pub fn local_endpoints(&self, entry: &mut dyn FnMut(&NDIS_NDK_LOCAL_ENDPOINT_ENTRY)) {
        for address in self.cm.lock().listeners() {
            entry(&local_endpoint(address));
        }
    }

    /// A MAD has arrived. DISPATCH; MADs of one ring come one after another.
    pub fn on_cm_receive(&self, received: &CmReceive) {
        let Some(local) = self
            .addresses
            .lock()
            .get(usize::from(received.gid_index.get()))
            .copied()
            .flatten()
        else {
            return; // The address was taken away while the MAD was on its way.
        };
        let Some(from) = datagram::sender(received, local) else {
            return;
        };
        let reaction = self.cm.lock().receive(now(), &from, &received.mad);
        self.carry_out(reaction);
    }

    /// Time has passed. DISPATCH, never overlapping itself.
    pub fn on_timer(&self) {
        loop {
            let due = self.cm.lock().expire(now());
            match due {
                Some(reaction) => self.carry_out(reaction),
                None => return,
            }
        }
    }

    fn carry_out(&self, reaction: Reaction<ObjectRef<Listener>>) {
        match reaction {
            Reaction::None => {}
            Reaction::Send(outgoing) => self.post(&outgoing),
            Reaction::Connect(request) => {
                let connection = request.connection;
                if Listener::deliver(request).is_err() {
                    let refusal = self.cm.lock().refuse(now(), connection);
                    self.post_if_any(refusal.as_ref());
                }
            }
        }
    }

    /// `NdkListen` of `listener` on `local`; port 0 chooses one. Returns the endpoint and its port.
    ///
    /// # Errors
    /// `STATUS_INVALID_ADDRESS` for an address that is not the adapter's; those of [`ListenError`].
    pub(super) fn listen(
        &self,
        local: SocketAddr,
        listener: ObjectRef<Listener>,
    ) -> Result<(ListenerId, u16), NTSTATUS> {
        if !self.addresses.lock().contains(&Some(local.ip())) {
            return Err(STATUS_INVALID_ADDRESS);
        }
        let bound = self
            .cm
            .lock()
            .listen(local.ip(), local.port(), cm::DEFAULT_BACKLOG, listener);
        bound.map_err(|error: ListenError| status::of_listen_error(error))
    }

    /// `NdkControlConnectEvents`.
    pub(super) fn set_paused(&self, listener: ListenerId, paused: bool) {
        self.cm.lock().set_paused(listener, paused);
    }

    /// `NdkCloseListener`, first half: refuses new requests at once.
    pub(super) fn stop_listening(&self, listener: ListenerId) {
        let context = self.cm.lock().stop_listening(listener);
        drop(context); // After unlocking: it may be the last reference.
    }

    /// `NdkCloseListener`, second half: no connector uses the endpoint any more.
    pub(super) fn release_endpoint(&self, listener: ListenerId) {
        let context = self.cm.lock().release(listener);
        debug_assert!(
            context.is_none(),
            "a listener is stopped before its endpoint is released"
        );
    }

    /// `NdkReject`: see the table in `docs/`, "Reject".
    pub(super) fn reject(&self, connection: ConnectionId, data: &[u8], wait: Wait<'_>) -> NTSTATUS {
        let plan = self.cm.lock().prepare_reject(connection, data);
        let plan = match plan {
            Ok(plan) => plan,
            Err(error) => return status::of_reject_error(error),
        };
        let result = self
            .nic
            .cm_send(wait, &datagram::destination(&plan.send.to), &plan.send.mad);
        let row = match result {
            Ok(_) => status::SENT,
            Err(error) => {
                let row = status::of_command_error(&error);
                if row.status == STATUS_INTERNAL_ERROR {
                    wdk::println!("vrnic: CM_SEND of a REJ failed: {error:?}");
                }
                row
            }
        };
        self.cm.lock().finish_reject(now(), plan.token, row.outcome);
        row.status
    }

    /// A connector is closed: an unanswered request is rejected implicitly.
    pub(super) fn abandon(&self, connection: ConnectionId) {
        let refusal = self.cm.lock().close(now(), connection);
        self.post_if_any(refusal.as_ref());
    }

    fn post_if_any(&self, outgoing: Option<&Outgoing>) {
        if let Some(outgoing) = outgoing {
            self.post(outgoing);
        }
    }

    /// Sends without waiting for the firmware. A MAD that cannot be posted is lost like one on the wire: the peer's
    /// retransmission brings it up again.
    fn post(&self, outgoing: &Outgoing) {
        let _lost = self
            .nic
            .cm_send(Wait::Post, &datagram::destination(&outgoing.to), &outgoing.mad);
    }
}

fn now() -> Duration {
    Duration::from_nanos(Instant::now().hundred_ns().saturating_mul(100))
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

fn local_endpoint(address: SocketAddr) -> NDIS_NDK_LOCAL_ENDPOINT_ENTRY {
    let mut entry = NDIS_NDK_LOCAL_ENDPOINT_ENTRY::zeroed();
    entry.Local = address::to_inet(address);
    entry.Listener = TRUE;
    entry
}
