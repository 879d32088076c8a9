//! Pause, restart, shutdown, reset, removal.
#![expect(unsafe_code, reason = "called by NDIS")]

use core::ffi::c_void;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use ndk_sys::{
    BOOLEAN, FALSE, NDIS_DEVICE_PNP_EVENT, NDIS_HANDLE, NDIS_MINIPORT_PAUSE_PARAMETERS,
    NDIS_MINIPORT_RESTART_PARAMETERS, NDIS_OBJECT_HEADER, NDIS_PORT_NUMBER, NDIS_SHUTDOWN_ACTION,
    NDIS_STATUS, NDIS_STATUS_HARD_ERRORS, NDIS_STATUS_SUCCESS, NdisDevicePnPEventSurpriseRemoved,
};

use super::adapter::Adapter;
use super::interrupt::Work;
use crate::nic::health::Reason;
use crate::os::irql::Passive;
use crate::os::time::sleep;

/// Counts calls of the send path, and has a bit that turns new ones away. An adapter starts out paused.
pub struct SendGate(AtomicU32);

const PAUSED: u32 = 1 << 31;

impl SendGate {
    /// Paused, and nobody is in.
    pub const fn new() -> Self {
        Self(AtomicU32::new(PAUSED))
    }

    /// Runs `inside` with whether sending is allowed; pausing waits for it.
    pub fn pass(&self, inside: impl FnOnce(bool)) {
        let before = self.0.fetch_add(1, Ordering::Acquire);
        inside(before & PAUSED == 0);
        self.0.fetch_sub(1, Ordering::Release);
    }

    fn open(&self) {
        self.0.fetch_and(!PAUSED, Ordering::Release);
    }

    /// Turns new calls away and waits for those inside, which take no longer than completing what they were given.
    fn close(&self, passive: &Passive) {
        self.0.fetch_or(PAUSED, Ordering::AcqRel);
        while self.0.load(Ordering::Acquire) != PAUSED {
            sleep(passive, Duration::from_millis(1));
        }
    }
}

/// `MiniportPause`. NDK traffic goes on: pausing concerns net buffer lists.
pub unsafe extern "system" fn pause(
    context: NDIS_HANDLE,
    _parameters: *mut NDIS_MINIPORT_PAUSE_PARAMETERS,
) -> NDIS_STATUS {
    // SAFETY: NDIS calls this at PASSIVE_LEVEL.
    let passive = unsafe { Passive::assume() };
    // SAFETY: NDIS passes the adapter's context.
    unsafe { Adapter::borrow(context) }.send_gate.close(&passive);
    NDIS_STATUS_SUCCESS
}

/// `MiniportRestart`.
pub unsafe extern "system" fn restart(
    context: NDIS_HANDLE,
    _parameters: *mut NDIS_MINIPORT_RESTART_PARAMETERS,
) -> NDIS_STATUS {
    // SAFETY: NDIS passes the adapter's context.
    unsafe { Adapter::borrow(context) }.send_gate.open();
    NDIS_STATUS_SUCCESS
}

/// `MiniportShutdownEx`: the system goes down, or has crashed; at any IRQL.
pub unsafe extern "system" fn shutdown(context: NDIS_HANDLE, _action: NDIS_SHUTDOWN_ACTION) {
    // SAFETY: NDIS passes the adapter's context.
    if let Some(nic) = unsafe { Adapter::borrow(context) }.nic() {
        nic.stop_now();
    }
}

/// `MiniportCheckForHangEx`: the watchdog knows already, and a reset by NDIS would not help.
pub unsafe extern "system" fn check_for_hang(_context: NDIS_HANDLE) -> BOOLEAN {
    FALSE
}

/// `MiniportResetEx`: sends complete at once and OID requests do not pend, so that there is nothing to reset while the
/// device works; a dead one needs the adapter to be disabled and enabled again.
pub unsafe extern "system" fn reset(context: NDIS_HANDLE, addressing_reset: *mut BOOLEAN) -> NDIS_STATUS {
    // SAFETY: NDIS passes a place for the answer.
    if let Some(addressing_reset) = unsafe { addressing_reset.as_mut() } {
        *addressing_reset = FALSE;
    }
    // SAFETY: NDIS passes the adapter's context.
    let working = unsafe { Adapter::borrow(context) }.is_working();
    if working {
        NDIS_STATUS_SUCCESS
    } else {
        NDIS_STATUS_HARD_ERRORS
    }
}

/// `NET_DEVICE_PNP_EVENT` (ndis.h), as far as it is needed.
#[repr(C)]
struct NetDevicePnpEvent {
    header: NDIS_OBJECT_HEADER,
    port: NDIS_PORT_NUMBER,
    kind: NDIS_DEVICE_PNP_EVENT,
}
static_assertions::const_assert_eq!(core::mem::offset_of!(NetDevicePnpEvent, kind), 8);

/// `MiniportDevicePnPEventNotify`.
pub unsafe extern "system" fn device_pnp_event_notify(context: NDIS_HANDLE, event: *mut c_void) {
    // SAFETY: NDIS passes the adapter's context.
    let adapter = unsafe { Adapter::borrow(context) };
    // SAFETY: NDIS passes an event.
    let event = unsafe { event.cast::<NetDevicePnpEvent>().as_ref() };
    if event.is_some_and(|event| event.kind == NdisDevicePnPEventSurpriseRemoved) {
        adapter.surprise_removed();
    }
}

impl Adapter {
    /// Everything that waits for the device ends now; halt follows.
    fn surprise_removed(&self) {
        if let Some(nic) = self.nic() {
            nic.fail(Reason::Removed, 0);
            self.reported_health.store(nic.health() as u8, Ordering::Release);
        }
        self.request_work(Work::HEALTH);
    }
}
