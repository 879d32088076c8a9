//! Registration of the driver.
#![expect(unsafe_code, reason = "called by Windows and NDIS")]

use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};

use ndk_sys::{
    DRIVER_OBJECT, NDIS_HANDLE, NDIS_MINIPORT_DRIVER_CHARACTERISTICS,
    NDIS_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2, NDIS_MINIPORT_MAJOR_VERSION,
    NDIS_MINIPORT_MINOR_VERSION, NDIS_NDK_PROVIDER_CHARACTERISTICS,
    NDIS_NDK_PROVIDER_CHARACTERISTICS_REVISION_1, NDIS_OBJECT_TYPE_MINIPORT_DRIVER_CHARACTERISTICS,
    NDIS_OBJECT_TYPE_NDK_PROVIDER_CHARACTERISTICS, NDIS_STATUS, NDIS_STATUS_SUCCESS, NTSTATUS,
    UNICODE_STRING,
};

use super::{ethernet, halt, initialize, ndk_adapter, object_header, oid, oid_direct, state};
use crate::os::event_log;
use crate::os::irql::Passive;
use crate::os::miniport::{self, Driver};

/// What NDIS calls the driver, between `DriverEntry` and unload.
static HANDLE: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

/// Version of the driver, as in its package.
const DRIVER_VERSION: (u8, u8) = (0, 1);

/// `DriverEntry`: registers the miniport.
///
/// # Safety
///
/// Both pointers are those of `DriverEntry`, which calls this once, at `PASSIVE_LEVEL`.
pub unsafe fn register(driver: *mut DRIVER_OBJECT, registry_path: *mut UNICODE_STRING) -> NTSTATUS {
    event_log::set_driver(driver);
    let mut characteristics = characteristics();
    // SAFETY: those of `DriverEntry`.
    match unsafe { Driver::register(driver, registry_path, &mut characteristics) } {
        Ok(registered) => {
            HANDLE.store(registered.into_raw(), Ordering::Release);
            NDIS_STATUS_SUCCESS
        }
        Err(status) => {
            event_log::set_driver(null_mut());
            status
        }
    }
}

const fn characteristics() -> NDIS_MINIPORT_DRIVER_CHARACTERISTICS {
    NDIS_MINIPORT_DRIVER_CHARACTERISTICS {
        Header: object_header::<NDIS_MINIPORT_DRIVER_CHARACTERISTICS>(
            NDIS_OBJECT_TYPE_MINIPORT_DRIVER_CHARACTERISTICS,
            NDIS_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2,
        ),
        MajorNdisVersion: NDIS_MINIPORT_MAJOR_VERSION,
        MinorNdisVersion: NDIS_MINIPORT_MINOR_VERSION,
        MajorDriverVersion: DRIVER_VERSION.0,
        MinorDriverVersion: DRIVER_VERSION.1,
        Flags: 0,
        SetOptionsHandler: Some(set_options),
        InitializeHandlerEx: Some(initialize::initialize),
        HaltHandlerEx: Some(halt::halt),
        UnloadHandler: Some(unload),
        PauseHandler: Some(state::pause),
        RestartHandler: Some(state::restart),
        OidRequestHandler: Some(oid::oid_request),
        SendNetBufferListsHandler: Some(ethernet::send_net_buffer_lists),
        ReturnNetBufferListsHandler: Some(ethernet::return_net_buffer_lists),
        CancelSendHandler: Some(ethernet::cancel_send),
        CheckForHangHandlerEx: Some(state::check_for_hang),
        ResetHandlerEx: Some(state::reset),
        DevicePnPEventNotifyHandler: Some(state::device_pnp_event_notify),
        ShutdownHandlerEx: Some(state::shutdown),
        CancelOidRequestHandler: Some(oid::cancel_oid_request),
        DirectOidRequestHandler: Some(oid_direct::direct_oid_request),
        CancelDirectOidRequestHandler: Some(oid_direct::cancel_direct_oid_request),
    }
}

/// `MiniportSetOptions`: registers the NDK provider handlers.
unsafe extern "system" fn set_options(driver: NDIS_HANDLE, _context: NDIS_HANDLE) -> NDIS_STATUS {
    // SAFETY: NDIS calls this at PASSIVE_LEVEL.
    let passive = unsafe { Passive::assume() };
    let mut handlers = NDIS_NDK_PROVIDER_CHARACTERISTICS {
        Header: object_header::<NDIS_NDK_PROVIDER_CHARACTERISTICS>(
            NDIS_OBJECT_TYPE_NDK_PROVIDER_CHARACTERISTICS,
            NDIS_NDK_PROVIDER_CHARACTERISTICS_REVISION_1,
        ),
        Flags: 0,
        OpenNDKAdapterHandler: Some(ndk_adapter::open),
        CloseNDKAdapterHandler: Some(ndk_adapter::close),
    };
    // SAFETY: the handle that NDIS passed.
    match unsafe { miniport::set_ndk_handlers(&passive, driver, &mut handlers) } {
        Ok(()) => NDIS_STATUS_SUCCESS,
        Err(status) => status,
    }
}

/// `MiniportDriverUnload`: there are no adapters any more.
unsafe extern "system" fn unload(_driver: *mut DRIVER_OBJECT) {
    // SAFETY: NDIS calls this at PASSIVE_LEVEL.
    let passive = unsafe { Passive::assume() };
    let handle = HANDLE.swap(null_mut(), Ordering::AcqRel);
    if !handle.is_null() {
        // SAFETY: the registered handle, taken out above.
        unsafe { Driver::deregister(&passive, handle) };
    }
    event_log::set_driver(null_mut());
}
