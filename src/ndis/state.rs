//! Pause, restart, shutdown, reset, removal.
#![expect(unsafe_code, reason = "called by NDIS")]

use core::ffi::c_void;
use core::sync::atomic::Ordering;

use ndk_sys::{
    BOOLEAN, FALSE, NDIS_DEVICE_PNP_EVENT, NDIS_HANDLE, NDIS_MINIPORT_PAUSE_PARAMETERS,
    NDIS_MINIPORT_RESTART_PARAMETERS, NDIS_OBJECT_HEADER, NDIS_PORT_NUMBER, NDIS_SHUTDOWN_ACTION,
    NDIS_STATUS, NDIS_STATUS_PENDING, NDIS_STATUS_SUCCESS, NdisDevicePnPEventSurpriseRemoved,
};

use super::adapter::Adapter;
use super::ethernet::{Closed, Ethernet};
use super::interrupt::Work;
use crate::nic::health::Reason;
use crate::os::irql::Passive;
use crate::os::miniport;

/// `MiniportPause`. NDK traffic goes on: pausing concerns net buffer lists.
pub unsafe extern "system" fn pause(
    context: NDIS_HANDLE,
    _parameters: *mut NDIS_MINIPORT_PAUSE_PARAMETERS,
) -> NDIS_STATUS {
    // SAFETY: NDIS passes the adapter's context.
    unsafe { Adapter::borrow(context) }.pause()
}

/// `MiniportRestart`.
pub unsafe extern "system" fn restart(
    context: NDIS_HANDLE,
    _parameters: *mut NDIS_MINIPORT_RESTART_PARAMETERS,
) -> NDIS_STATUS {
    // SAFETY: NDIS passes the adapter's context.
    unsafe { Adapter::borrow(context) }.restart()
}

/// `MiniportShutdownEx`: the system goes down, or has crashed; at any IRQL.
pub unsafe extern "system" fn shutdown(context: NDIS_HANDLE, _action: NDIS_SHUTDOWN_ACTION) {
    // SAFETY: NDIS passes the adapter's context.
    if let Some(nic) = unsafe { Adapter::borrow(context) }.nic() {
        nic.stop_now();
    }
}

/// `MiniportCheckForHangEx`: a device that has failed is started again by a reset.
pub unsafe extern "system" fn check_for_hang(context: NDIS_HANDLE) -> BOOLEAN {
    // SAFETY: NDIS passes the adapter's context.
    unsafe { Adapter::borrow(context) }.needs_reset().into()
}

/// `MiniportResetEx`.
pub unsafe extern "system" fn reset(context: NDIS_HANDLE, addressing_reset: *mut BOOLEAN) -> NDIS_STATUS {
    // SAFETY: NDIS calls this at PASSIVE_LEVEL.
    let passive = unsafe { Passive::assume() };
    // SAFETY: NDIS passes a place for the answer.
    if let Some(addressing_reset) = unsafe { addressing_reset.as_mut() } {
        // Filters and addresses are restored here.
        *addressing_reset = FALSE;
    }
    // SAFETY: NDIS passes the adapter's context.
    unsafe { Adapter::borrow(context) }.reset(&passive)
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
    /// Takes nothing more from NDIS and hands nothing to it. What the device and NDIS have of each other's is waited for: the
    /// worker says when it is back.
    fn pause(&self) -> NDIS_STATUS {
        let Some(ethernet) = self.ethernet.get() else {
            return NDIS_STATUS_SUCCESS;
        };
        ethernet.close(Closed::PAUSED, false);
        ethernet.set_receiving(false);
        if ethernet.is_idle() {
            return NDIS_STATUS_SUCCESS;
        }
        self.pausing.store(true, Ordering::Release);
        self.look_at_pause();
        NDIS_STATUS_PENDING
    }

    fn restart(&self) -> NDIS_STATUS {
        if let Some(ethernet) = self.ethernet.get() {
            ethernet.set_receiving(true);
            ethernet.open(Closed::PAUSED);
        }
        NDIS_STATUS_SUCCESS
    }

    /// Looks whether a pause is over. At most `DISPATCH_LEVEL`, without a lock.
    pub(super) fn look_at_pause(&self) {
        if self.pausing.load(Ordering::Acquire) && self.ethernet.get().is_some_and(Ethernet::is_idle) {
            self.request_work(Work::PAUSE);
        }
    }

    /// Tells NDIS that a pause is over, if it is.
    pub(super) fn finish_pause(&self, passive: &Passive) {
        let idle = self.ethernet.get().is_some_and(Ethernet::is_idle);
        if idle && self.pausing.swap(false, Ordering::AcqRel) {
            miniport::pause_complete(passive, self.handle);
        }
    }

    /// Everything that waits for the device ends now; halt follows.
    fn surprise_removed(&self) {
        if let Some(nic) = self.nic() {
            nic.fail(Reason::Removed, 0);
            self.reported_health.store(nic.health() as u8, Ordering::Release);
        }
        self.request_work(Work::HEALTH);
    }
}
