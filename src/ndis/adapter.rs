//! The adapter context: everything that belongs to one NIC.
#![expect(unsafe_code, reason = "NDIS holds the context as a raw pointer")]

use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32};
use core::time::Duration;

use ndk_sys::{NDIS_HANDLE, NET_LUID};
use vrnic_abi::info::Statistics;
use zerocopy::FromZeros;

use super::config::Config;
use super::ethernet::Ethernet;
use super::interrupt::{TICK, Work};
use super::ndk_state::NdkState;
use crate::ndk::Provider;
use crate::nic::Nic;
use crate::os::dma::DmaChannel;
use crate::os::handle::AdapterHandle;
use crate::os::interrupt::Interrupt;
use crate::os::lock::SpinLock;
use crate::os::netio::Notification;
use crate::os::oid::PendingRequests;
use crate::os::once::SetOnce;
use crate::os::pool::{PoolArc, PoolBox, Pooled, Tag};
use crate::os::timer::Timer;
use crate::os::work::Worker;

/// Shortest time for which sending has to come to nothing before that is a failure.
const LEAST_PATIENCE: Duration = Duration::from_secs(2);

/// One NIC. What keeps the adapter alive by a reference of its own is behind a lock, so that halt can take it out.
///
/// The last fields go last: the provider uses the NIC, and the NIC's memory comes from the DMA channel.
pub struct Adapter {
    /// NDIS's handle.
    pub handle: AdapterHandle,
    /// The network interface, for NETIO.
    pub luid: NET_LUID,
    /// The same, as scope ids of addresses name it.
    pub interface_index: u32,
    /// Keywords.
    pub config: Config,
    /// The adapter is going away: nothing new is started.
    pub closing: AtomicBool,
    /// NDIS waits for a pause to be completed.
    pub pausing: AtomicBool,
    /// `OID_GEN_CURRENT_LOOKAHEAD`.
    pub lookahead: AtomicU32,
    /// It goes to sleep, wakes up or is reset: that is no failure to be reported.
    pub transition: AtomicBool,
    /// It sleeps.
    pub asleep: AtomicBool,
    /// Counters of the device from before its last reset.
    pub carried: SpinLock<Statistics>,
    /// Ticks for which sending may come to nothing.
    pub patience: u32,
    /// Timer ticks, for what is done less often.
    pub ticks: AtomicU32,
    /// What of the device's health has been reported, see `health`.
    pub reported_health: AtomicU8,
    /// Direct OID requests that came at a raised IRQL.
    pub pending_oids: PendingRequests,
    /// Whether NDK is wanted and enabled.
    pub ndk_state: NdkState,
    /// Address changes from NETIO.
    pub notification: SpinLock<Option<Notification<Self>>>,
    /// The clock of everything that is not driven by events.
    pub timer: SpinLock<Option<Timer<Self>>>,
    /// MSI-X messages.
    pub interrupt: SpinLock<Option<Interrupt<Self>>>,
    /// Work at `PASSIVE_LEVEL` that is soon done: `health`, `interrupt`.
    pub worker: SetOnce<Worker<Self>>,
    /// NDK state changes, which wait for consumers: `ndk_state`.
    pub ndk_worker: SetOnce<Worker<Self>>,
    /// The NDK provider. Missing if it could not be started: the rest works without.
    pub provider: SetOnce<PoolBox<Provider>>,
    /// Ethernet queues.
    pub ethernet: SetOnce<Ethernet>,
    /// The hardware.
    pub nic: SetOnce<PoolArc<Nic>>,
    /// Must outlive the NIC's shared memory.
    pub dma: SetOnce<DmaChannel>,
}

impl Pooled for Adapter {
    const TAG: Tag = Tag::new(*b"VrAp");
}

// SAFETY: the LUID is a number; all else is shareable.
unsafe impl Sync for Adapter {}
// SAFETY: as above.
unsafe impl Send for Adapter {}

impl Adapter {
    /// An adapter without anything yet.
    pub fn new(handle: AdapterHandle, luid: NET_LUID, interface_index: u32, config: Config) -> Self {
        // Twice as long as a command may take; but a busy wire is no failure.
        let patience = (config.command_timeout * 2).max(LEAST_PATIENCE);
        let ticks = patience.as_millis() / TICK.as_millis();
        Self {
            handle,
            luid,
            interface_index,
            config,
            transition: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            carried: SpinLock::new(Statistics::new_zeroed()),
            patience: u32::try_from(ticks).unwrap_or(u32::MAX),
            closing: AtomicBool::new(false),
            pausing: AtomicBool::new(false),
            lookahead: AtomicU32::new(0),
            ticks: AtomicU32::new(0),
            reported_health: AtomicU8::new(0),
            pending_oids: PendingRequests::new(),
            ndk_state: NdkState::new(),
            notification: SpinLock::new(None),
            timer: SpinLock::new(None),
            interrupt: SpinLock::new(None),
            worker: SetOnce::new(),
            ndk_worker: SetOnce::new(),
            provider: SetOnce::new(),
            ethernet: SetOnce::new(),
            nic: SetOnce::new(),
            dma: SetOnce::new(),
        }
    }

    /// The adapter of a context that NDIS passes.
    ///
    /// # Safety
    ///
    /// `context` is the context that initialize registered, during a call of NDIS between initialize and halt.
    pub unsafe fn borrow<'a>(context: NDIS_HANDLE) -> &'a Self {
        // SAFETY: initialize gave NDIS a reference, which lives until halt.
        unsafe { &*context.cast::<Self>() }
    }

    /// Takes back the reference that initialize gave to NDIS.
    ///
    /// # Safety
    ///
    /// `context` as for [`Adapter::borrow`], for the last time.
    pub unsafe fn take(context: NonNull<Self>) -> PoolArc<Self> {
        // SAFETY: the caller's promise.
        unsafe { PoolArc::from_raw(context) }
    }

    /// The NIC; `None` only while the adapter is being initialised.
    pub fn nic(&self) -> Option<&PoolArc<Nic>> {
        self.nic.get()
    }

    /// The NDK provider, if it is there.
    pub fn provider(&self) -> Option<&PoolBox<Provider>> {
        self.provider.get()
    }

    /// Asks the worker for something.
    pub fn request_work(&self, work: Work) {
        if let Some(worker) = self.worker.get() {
            worker.request(work.bits());
        }
    }
}
