//! A miniport adapter: the NIC in a slot, driven by a registered driver, through NDIS's life cycle.
//!
//! ```text
//! add ─► MiniportInitializeEx ─► Paused ⇄ Running (MiniportRestart, MiniportPause) ─► MiniportHaltEx
//! ```
//! The adapter is what tests and the command line hold. Every handler is called at the IRQL that its documentation gives,
//! and one that does not return in [`HANDLER_LIMIT`] is reported.

use super::attributes::Attributes;
use super::departures::Departures;
use super::driver::Registration;
use super::header;
use super::protocol::Protocol;
use super::resources::{Kind, Ledger};
use super::{handles, status_of};
use crate::cpu::call::call;
use crate::nt::driver::Driver;
use crate::pci::slot::Slot;
use crate::verifier::{BugCheck, Rule, Violation, watchdog};
use crate::wire::HostStack;
use ndk_sys::{
    CM_PARTIAL_RESOURCE_DESCRIPTOR, CM_RESOURCE_INTERRUPT_LATCHED, CM_RESOURCE_INTERRUPT_MESSAGE,
    CM_RESOURCE_MEMORY_BAR, CmResourceTypeInterrupt, CmResourceTypeMemory, NDIS_HALT_ACTION,
    NDIS_MINIPORT_INIT_PARAMETERS, NDIS_MINIPORT_INIT_PARAMETERS_REVISION_1, NDIS_MINIPORT_PAUSE_PARAMETERS,
    NDIS_MINIPORT_PAUSE_PARAMETERS_REVISION_1, NDIS_MINIPORT_RESTART_PARAMETERS,
    NDIS_MINIPORT_RESTART_PARAMETERS_REVISION_1, NDIS_OBJECT_TYPE_DEFAULT,
    NDIS_OBJECT_TYPE_MINIPORT_INIT_PARAMETERS, NDIS_PAUSE_NDIS_INTERNAL, NDIS_SHUTDOWN_ACTION, NDIS_STATUS,
    NDIS_STATUS_NOT_SUPPORTED, NDIS_STATUS_PENDING, NDIS_STATUS_SUCCESS, NdisDevicePnPEventSurpriseRemoved,
    NdisHaltDeviceInstanceDeInitialized, NdisHaltDeviceSurpriseRemoved,
};
use parking_lot::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

/// How long a handler may take: longer than any bounded wait of a driver, shorter than a tester's patience.
pub const HANDLER_LIMIT: Duration = Duration::from_secs(30);

/// A value in the adapter's registry key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keyword {
    /// `REG_DWORD`.
    Integer(u32),
    /// `REG_SZ`.
    Text(String),
}

/// What the system knows of the adapter.
#[derive(Clone, Default)]
pub struct Config {
    /// Interface index.
    pub interface_index: u32,
    /// Registry values, standardized keywords (`*NetworkDirect` …) among them.
    pub keywords: BTreeMap<String, Keyword>,
    /// Addresses of the interface, with their prefix lengths, when it starts.
    pub addresses: Vec<(IpAddr, u8)>,
    /// The stack that has these addresses: NETIO asks it for neighbours.
    pub host: Option<Arc<HostStack>>,
    /// The adapter's wire, if what leaves on it is compared with what was sent.
    pub departures: Option<Arc<Departures>>,
    /// The binding through which that stack sends and receives, if it is bound to the adapter.
    pub protocol: Option<Arc<Protocol>>,
}

/// Where the adapter is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// `MiniportInitializeEx` is running.
    Initializing,
    /// Between initialize, or pause, and restart.
    Paused,
    /// `MiniportRestart` has not completed.
    Restarting,
    /// After restart.
    Running,
    /// `MiniportPause` has not completed.
    Pausing,
    /// Halted, or never initialised.
    Halted,
}

/// The part of an adapter that exports reach through its handle.
pub struct Miniport {
    pub(super) registration: Arc<Registration>,
    pub(super) slot: Arc<Slot>,
    pub(super) config: Config,
    pub(super) handle: AtomicU64,
    pub(super) context: AtomicU64,
    pub(super) state: Mutex<State>,
    pub(super) attributes: Mutex<Attributes>,
    pub(crate) ledger: Ledger,
    /// The device objects as drivers know them: physical, functional, next lower.
    pub(super) devices: [u64; 3],
    pub(super) indications: super::indications::Indications,
    pub(super) sends: super::send::Sends,
    pub(super) receives: super::receive::Receives,
    pub(super) scaling: Mutex<super::rss::Scaling>,
    pub(super) filter: Mutex<super::filter::Filter>,
    pub(super) power: super::power::Power,
    pub(super) counted: super::statistics::Counted,
    pub(super) ndk: super::ndk::OpenAdapters,
    pub(super) pended: Pended,
    /// Set while the adapter is measured.
    pub(super) meter: OnceLock<Arc<super::meter::Meter>>,
}

/// The completion that a handler which returned `NDIS_STATUS_PENDING` owes.
#[derive(Default)]
pub(super) struct Pended {
    completed: Mutex<Option<NDIS_STATUS>>,
    changed: Condvar,
}

impl Pended {
    /// The driver completes the operation that is pending.
    pub(super) fn complete(&self, call: &'static str, status: NDIS_STATUS) {
        let mut completed = self.completed.lock();
        if completed.replace(status).is_some() {
            Violation::new(
                Rule::NdisCompletion,
                BugCheck::verifier(0x91, [0, 0, 0]),
                format!("{call} was called twice, or without a pending operation"),
            )
            .advice("Complete a handler that returned NDIS_STATUS_PENDING exactly once.")
            .stop()
        }
        self.changed.notify_all();
    }

    fn wait(&self, handler: &'static str) -> NDIS_STATUS {
        let mut completed = self.completed.lock();
        while completed.is_none() {
            if self.changed.wait_for(&mut completed, HANDLER_LIMIT).timed_out() {
                watchdog::hung(handler, HANDLER_LIMIT)
            }
        }
        completed.take().unwrap_or(NDIS_STATUS_SUCCESS)
    }
}

static ADAPTERS: Mutex<Vec<Weak<Miniport>>> = Mutex::new(Vec::new());

/// All adapters that are not halted.
pub fn all() -> Vec<Arc<Miniport>> {
    ADAPTERS
        .lock()
        .iter()
        .filter_map(Weak::upgrade)
        .filter(|miniport| *miniport.state.lock() != State::Halted)
        .collect()
}

/// NDIS halts the adapters of a driver that deregisters.
pub(super) fn halt_all_of(registration: &Arc<Registration>) {
    for miniport in all() {
        if Arc::ptr_eq(&miniport.registration, registration) {
            miniport.stop(NdisHaltDeviceInstanceDeInitialized);
        }
    }
}

/// An adapter that is there: dropping it halts it.
pub struct Adapter {
    miniport: Arc<Miniport>,
}

impl Adapter {
    /// Starts the device in `slot` with the driver: `MiniportInitializeEx`, at PASSIVE. The adapter is paused then.
    ///
    /// # Errors
    /// What the handler returned; everything that it took must have been given back.
    ///
    /// # Panics
    /// When the driver has not registered as a miniport driver.
    pub fn add(driver: &Driver, slot: Slot, config: Config) -> Result<Self, NDIS_STATUS> {
        let registration = super::driver::find(driver.object());
        let miniport = Arc::new_cyclic(|this| Miniport {
            registration: registration.expect("the driver has called NdisMRegisterMiniportDriver"),
            slot: Arc::new(slot),
            config,
            handle: AtomicU64::new(0),
            context: AtomicU64::new(0),
            state: Mutex::new(State::Initializing),
            attributes: Mutex::default(),
            ledger: Ledger::default(),
            devices: [(); 3]
                .map(|()| super::handles::open(Arc::new(super::io::PhysicalDevice(Weak::clone(this))))),
            indications: super::indications::Indications::default(),
            sends: super::send::Sends::default(),
            receives: super::receive::Receives::default(),
            scaling: Mutex::default(),
            filter: Mutex::default(),
            power: super::power::Power::default(),
            counted: super::statistics::Counted::default(),
            ndk: super::ndk::OpenAdapters::default(),
            pended: Pended::default(),
            meter: OnceLock::new(),
        });
        miniport
            .handle
            .store(handles::open(Arc::clone(&miniport)), Ordering::Release);
        ADAPTERS.lock().push(Arc::downgrade(&miniport));
        crate::netio::add_interface(
            miniport.interface_index(),
            miniport.luid(),
            &miniport.config.addresses,
        );
        if let Some(host) = &miniport.config.host {
            crate::netio::host::plug_in(miniport.luid(), host);
        }
        let status = miniport.initialize();
        if status == NDIS_STATUS_SUCCESS {
            miniport.attributes.lock().check_complete();
            *miniport.state.lock() = State::Paused;
            if let Some(protocol) = &miniport.config.protocol {
                protocol.bind(&miniport);
                follow_addresses(&miniport, protocol);
            }
            return Ok(Self { miniport });
        }
        miniport.retire();
        Err(status)
    }

    /// The adapter as NDIS sees it.
    #[must_use]
    pub fn miniport(&self) -> &Arc<Miniport> {
        &self.miniport
    }

    /// The slot with the device.
    #[must_use]
    pub fn slot(&self) -> &Arc<Slot> {
        &self.miniport.slot
    }

    /// `MiniportRestart`.
    ///
    /// # Errors
    /// What the handler returned or completed with; the adapter stays paused.
    pub fn restart(&self) -> Result<(), NDIS_STATUS> {
        self.miniport.restart()
    }

    /// `MiniportPause`: returns when it has completed.
    pub fn pause(&self) {
        self.miniport.pause();
    }

    /// Removes the adapter in good order: pause if it runs, then `MiniportHaltEx`.
    pub fn halt(self) {
        self.miniport.stop(NdisHaltDeviceInstanceDeInitialized);
    }

    /// The device is pulled out: it is gone first, then the driver is told, then it is paused and halted.
    pub fn surprise_remove(self) {
        self.miniport.slot.remove();
        self.miniport.notify_removed();
        self.miniport.stop(NdisHaltDeviceSurpriseRemoved);
    }

    /// The driver is told that the device is gone, and nothing else happens yet: [`Adapter::halt`] follows.
    pub fn notify_removed(&self) {
        self.miniport.notify_removed();
    }

    /// `MiniportResetEx`: returns its status when it has completed.
    ///
    /// # Errors
    /// `NDIS_STATUS_NOT_SUPPORTED` if the driver cannot reset its adapter; what the handler returned or completed with.
    pub fn reset(&self) -> Result<(), NDIS_STATUS> {
        self.miniport.reset()
    }

    /// `MiniportCheckForHangEx`, as NDIS calls it now and then: whether the driver asks to be reset.
    #[must_use]
    pub fn check_for_hang(&self) -> bool {
        let handler = self.miniport.registration.handlers.CheckForHangHandlerEx;
        handler.is_some_and(|handler| {
            let answer = self
                .miniport
                .handler("MiniportCheckForHangEx", handler as usize, &[]);
            // A BOOLEAN is the lowest byte.
            answer & 0xFF != 0
        })
    }

    /// `MiniportShutdownEx`.
    pub fn shutdown(&self, action: NDIS_SHUTDOWN_ACTION) {
        if let Some(handler) = self.miniport.registration.handlers.ShutdownHandlerEx {
            self.miniport.handler(
                "MiniportShutdownEx",
                handler as usize,
                &[action.cast_unsigned().into()],
            );
        }
    }
}

impl Drop for Adapter {
    fn drop(&mut self) {
        self.miniport.stop(NdisHaltDeviceInstanceDeInitialized);
    }
}

impl Miniport {
    /// The slot with the device.
    #[must_use]
    pub fn slot(&self) -> &Arc<Slot> {
        &self.slot
    }

    /// Interface index.
    #[must_use]
    pub fn interface_index(&self) -> u32 {
        self.config.interface_index
    }

    /// Interface LUID: type 6 (Ethernet) and the index, as Windows composes it.
    #[must_use]
    pub fn luid(&self) -> u64 {
        (6 << 48) | u64::from(self.config.interface_index) << 24
    }

    /// Where it is in its life.
    #[must_use]
    pub fn state(&self) -> State {
        *self.state.lock()
    }

    /// What the driver has indicated.
    #[must_use]
    pub fn indications(&self) -> &super::indications::Indications {
        &self.indications
    }

    /// The NDK adapters that consumers have open, and what happens when NDK is disabled.
    #[must_use]
    pub fn open_ndk_adapters(&self) -> &super::ndk::OpenAdapters {
        &self.ndk
    }

    /// What the driver has said of its adapter.
    #[must_use]
    pub fn attributes(&self) -> Attributes {
        self.attributes.lock().clone()
    }

    /// Calls a handler whose first argument is the adapter's context.
    pub(super) fn handler(&self, name: &'static str, target: usize, rest: &[u64]) -> u64 {
        let _limit = watchdog::limit(name, HANDLER_LIMIT);
        let mut arguments = vec![self.context.load(Ordering::Acquire)];
        arguments.extend_from_slice(rest);
        call(target, &arguments)
    }

    fn initialize(&self) -> NDIS_STATUS {
        let Some(handler) = self.registration.handlers.InitializeHandlerEx else {
            return NDIS_STATUS_SUCCESS;
        };
        let mut resources = resource_list(&self.slot);
        let mut parameters = NDIS_MINIPORT_INIT_PARAMETERS::zeroed();
        parameters.Header = header::make::<NDIS_MINIPORT_INIT_PARAMETERS>(
            NDIS_OBJECT_TYPE_MINIPORT_INIT_PARAMETERS,
            NDIS_MINIPORT_INIT_PARAMETERS_REVISION_1,
        );
        parameters.AllocatedResources = resources.as_mut_ptr().cast();
        parameters.IfIndex = self.interface_index();
        parameters.NetLuid.Value = self.luid();
        let handle = self.handle.load(Ordering::Acquire);
        let _limit = watchdog::limit("MiniportInitializeEx", HANDLER_LIMIT);
        let result = call(
            handler as usize,
            &[
                handle,
                self.registration.context,
                (&raw const parameters).addr() as u64,
            ],
        );
        status_of(result)
    }

    fn restart(self: &Arc<Self>) -> Result<(), NDIS_STATUS> {
        let Some(handler) = self.registration.handlers.RestartHandler else {
            return Ok(());
        };
        let mut parameters = NDIS_MINIPORT_RESTART_PARAMETERS::zeroed();
        parameters.Header = header::make::<NDIS_MINIPORT_RESTART_PARAMETERS>(
            NDIS_OBJECT_TYPE_DEFAULT,
            NDIS_MINIPORT_RESTART_PARAMETERS_REVISION_1,
        );
        let parameters = (&raw const parameters).addr() as u64;
        *self.state.lock() = State::Restarting;
        let status = match status_of(self.handler("MiniportRestart", handler as usize, &[parameters])) {
            NDIS_STATUS_PENDING => self.pended.wait("MiniportRestart"),
            status => status,
        };
        if status != NDIS_STATUS_SUCCESS {
            *self.state.lock() = State::Paused;
            return Err(status);
        }
        *self.state.lock() = State::Running;
        if let Some(protocol) = &self.config.protocol {
            protocol.start(self);
        }
        Ok(())
    }

    fn pause(&self) {
        let Some(handler) = self.registration.handlers.PauseHandler else {
            return;
        };
        let mut parameters = NDIS_MINIPORT_PAUSE_PARAMETERS::zeroed();
        parameters.Header = header::make::<NDIS_MINIPORT_PAUSE_PARAMETERS>(
            NDIS_OBJECT_TYPE_DEFAULT,
            NDIS_MINIPORT_PAUSE_PARAMETERS_REVISION_1,
        );
        parameters.PauseReason = NDIS_PAUSE_NDIS_INTERNAL;
        if let Some(protocol) = &self.config.protocol {
            protocol.stop();
        }
        self.sends.between(|| *self.state.lock() = State::Pausing);
        self.receives.begin_pause();
        let parameters = (&raw const parameters).addr() as u64;
        let status = match status_of(self.handler("MiniportPause", handler as usize, &[parameters])) {
            NDIS_STATUS_PENDING => self.pended.wait("MiniportPause"),
            status => status,
        };
        if status != NDIS_STATUS_SUCCESS {
            Violation::new(
                Rule::NdisPauseFailed,
                BugCheck::verifier(0x91, [u64::from(status.cast_unsigned()), 0, 0]),
                format!("MiniportPause failed with {status:#x}"),
            )
            .advice("MiniportPause must not fail: return NDIS_STATUS_SUCCESS, or NDIS_STATUS_PENDING and complete it.")
            .stop()
        }
        *self.state.lock() = State::Paused;
        self.sends.check_all_returned("MiniportPause");
        self.sends.check_watched();
        self.receives.check_none_lent();
    }

    /// The driver has completed a pause that was pending.
    pub(super) fn set_paused(&self) {
        let mut state = self.state.lock();
        if *state == State::Pausing {
            *state = State::Paused;
        }
    }

    fn reset(&self) -> Result<(), NDIS_STATUS> {
        let Some(handler) = self.registration.handlers.ResetHandlerEx else {
            return Err(NDIS_STATUS_NOT_SUPPORTED);
        };
        let addressing_reset = 0_u8;
        let argument = (&raw const addressing_reset).addr() as u64;
        let status = match status_of(self.handler("MiniportResetEx", handler as usize, &[argument])) {
            NDIS_STATUS_PENDING => self.pended.wait("MiniportResetEx"),
            status => status,
        };
        if status == NDIS_STATUS_SUCCESS {
            Ok(())
        } else {
            Err(status)
        }
    }

    fn notify_removed(&self) {
        if let Some(handler) = self.registration.handlers.DevicePnPEventNotifyHandler {
            super::pnp::notify(self, handler as usize, NdisDevicePnPEventSurpriseRemoved);
        }
    }

    /// Pause if it runs, close what consumers have open, halt; once.
    fn stop(&self, action: NDIS_HALT_ACTION) {
        if let Some(protocol) = &self.config.protocol
            && matches!(self.state(), State::Running | State::Paused)
        {
            protocol.stop();
            Protocol::unbind(self);
        }
        if self.state() == State::Running {
            self.pause();
        }
        if self.state() != State::Paused {
            return;
        }
        self.ndk.close_all();
        if let Some(handler) = self.registration.handlers.HaltHandlerEx {
            self.handler(
                "MiniportHaltEx",
                handler as usize,
                &[action.cast_unsigned().into()],
            );
        }
        self.retire();
    }

    /// After halt or failed initialisation: nothing may be left.
    fn retire(&self) {
        self.ledger.check_empty();
        if let Some((address, length, trace)) = self.slot.iommu().leaks().into_iter().next() {
            super::resources::leaked(Kind::SharedMemory, address, length, trace);
        }
        self.slot.connect(None);
        *self.state.lock() = State::Halted;
        self.receives.stop();
        crate::netio::host::unplug(self.luid());
        crate::netio::remove_interface(self.luid());
        for device in self.devices {
            drop(handles::close::<super::io::PhysicalDevice>(device));
        }
        drop(handles::close::<Miniport>(self.handle.load(Ordering::Acquire)));
    }
}

/// The multicast groups follow the addresses of the interface.
fn follow_addresses(miniport: &Arc<Miniport>, protocol: &Arc<Protocol>) {
    let (to, by) = (Arc::downgrade(miniport), Arc::downgrade(protocol));
    let changed = move || {
        if let (Some(miniport), Some(protocol)) = (to.upgrade(), by.upgrade()) {
            protocol.addresses_changed(&miniport);
        }
    };
    crate::netio::host::follow(miniport.luid(), Arc::new(changed));
}

/// The `CM_PARTIAL_RESOURCE_LIST` of a slot: version and revision, count, then the descriptors. 4-byte units.
fn resource_list(slot: &Slot) -> Vec<u32> {
    let mut descriptors = Vec::new();
    for bar in slot.bars() {
        let mut descriptor = CM_PARTIAL_RESOURCE_DESCRIPTOR::zeroed();
        descriptor.Type = CmResourceTypeMemory;
        descriptor.Flags = CM_RESOURCE_MEMORY_BAR;
        let mut memory = ndk_sys::CM_PARTIAL_RESOURCE_DESCRIPTOR_u_Memory_::zeroed();
        memory.Start.QuadPart = bar.address.cast_signed();
        memory.Length = u32::try_from(bar.size).unwrap_or(u32::MAX);
        descriptor.u.Memory = memory;
        descriptors.push(descriptor);
    }
    let mut descriptor = CM_PARTIAL_RESOURCE_DESCRIPTOR::zeroed();
    descriptor.Type = CmResourceTypeInterrupt;
    descriptor.Flags = CM_RESOURCE_INTERRUPT_LATCHED | CM_RESOURCE_INTERRUPT_MESSAGE;
    let mut raw = ndk_sys::CM_PARTIAL_RESOURCE_DESCRIPTOR_u_MessageInterrupt_u_Raw_::zeroed();
    raw.MessageCount = slot.messages();
    raw.Affinity = usize::MAX;
    descriptor.u.MessageInterrupt.u_.Raw = raw;
    descriptors.push(descriptor);
    let mut words = vec![0x0001_0001, u32::try_from(descriptors.len()).unwrap_or(0)];
    for descriptor in &descriptors {
        let at = std::ptr::from_ref(descriptor).addr();
        words.extend(
            (0..size_of::<CM_PARTIAL_RESOURCE_DESCRIPTOR>() / 4)
                .map(|word| crate::memory::read::<u32>(at + 4 * word)),
        );
    }
    words
}
