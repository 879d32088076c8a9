//! Miniport drivers: registration, optional handlers, unload.

use super::handles;
use super::header::{self, Expected};
use crate::cpu::call::call;
use crate::exports;
use crate::memory;
use crate::verifier::{BugCheck, Rule, Violation, faults};
use ndk_sys::{
    NDIS_MINIPORT_DRIVER_CHARACTERISTICS, NDIS_NDK_PROVIDER_CHARACTERISTICS,
    NDIS_OBJECT_TYPE_MINIPORT_DRIVER_CHARACTERISTICS, NDIS_OBJECT_TYPE_NDK_PROVIDER_CHARACTERISTICS,
    NDIS_STATUS, NDIS_STATUS_BAD_CHARACTERISTICS, NDIS_STATUS_BAD_VERSION, NDIS_STATUS_NOT_SUPPORTED,
    NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS,
};
use parking_lot::Mutex;
use std::sync::Arc;

exports! {
    /// Registration.
    pub static EXPORTS: "ndis.sys" = {
        NdisMRegisterMiniportDriver = function(ndis_m_register_miniport_driver, exactly(PASSIVE_LEVEL));
        NdisMDeregisterMiniportDriver = function(ndis_m_deregister_miniport_driver, exactly(PASSIVE_LEVEL));
        NdisSetOptionalHandlers = function(ndis_set_optional_handlers, exactly(PASSIVE_LEVEL));
        NdisGetVersion = function(ndis_get_version, any());
    }
}

/// The version of NDIS that the bench is: 6.30, as in Windows 8 and Server 2012, major in the upper half.
pub const NDIS_VERSION: u32 = 0x0006_001E;

/// Offset of `DriverUnload` in `DRIVER_OBJECT`.
const DRIVER_UNLOAD: usize = 104;

/// A registered miniport driver.
pub struct Registration {
    /// Address of its `DRIVER_OBJECT`.
    pub driver_object: usize,
    /// Its context, which `MiniportInitializeEx` gets.
    pub context: u64,
    /// Its handlers.
    pub handlers: NDIS_MINIPORT_DRIVER_CHARACTERISTICS,
    /// The NDK provider's handlers, if it is one.
    pub ndk: Mutex<Option<NDIS_NDK_PROVIDER_CHARACTERISTICS>>,
    handle: Mutex<u64>,
    in_set_options: Mutex<bool>,
}

// SAFETY of sharing: the characteristics hold addresses of driver code only, which are plain numbers here.
#[expect(
    unsafe_code,
    reason = "function pointers of the driver are shared between threads"
)]
// SAFETY: see above; nobody dereferences them but `cpu::call`.
unsafe impl Send for Registration {}
#[expect(
    unsafe_code,
    reason = "function pointers of the driver are shared between threads"
)]
// SAFETY: as for `Send`.
unsafe impl Sync for Registration {}

static REGISTERED: Mutex<Vec<Arc<Registration>>> = Mutex::new(Vec::new());

/// The registration of the driver with that `DRIVER_OBJECT`.
#[must_use]
pub fn find(driver_object: usize) -> Option<Arc<Registration>> {
    REGISTERED
        .lock()
        .iter()
        .find(|registration| registration.driver_object == driver_object)
        .cloned()
}

/// Reports a driver that has unloaded without `NdisMDeregisterMiniportDriver`.
pub fn check_unloaded(driver_object: usize) {
    if find(driver_object).is_some() {
        Violation::new(
            Rule::NdisDeregisterMiniportDriver,
            BugCheck::verifier(0x91, [driver_object as u64, 0, 0]),
            "the driver was unloaded while it was still registered with NDIS",
        )
        .advice("Call NdisMDeregisterMiniportDriver in MiniportDriverUnload, and when DriverEntry fails after registering.")
        .stop()
    }
}

extern "win64" fn ndis_get_version() -> u32 {
    NDIS_VERSION
}

extern "win64" fn ndis_m_register_miniport_driver(
    driver_object: usize,
    _registry_path: usize,
    context: u64,
    characteristics: usize,
    handle_out: usize,
) -> NDIS_STATUS {
    header::check(
        characteristics,
        Expected {
            name: "NDIS_MINIPORT_DRIVER_CHARACTERISTICS",
            kind: NDIS_OBJECT_TYPE_MINIPORT_DRIVER_CHARACTERISTICS,
            revision: 2,
            size: 0x98,
        },
    );
    let handlers: NDIS_MINIPORT_DRIVER_CHARACTERISTICS = memory::read(characteristics);
    if (handlers.MajorNdisVersion, handlers.MinorNdisVersion) > (6, 30) || handlers.MajorNdisVersion < 6 {
        return NDIS_STATUS_BAD_VERSION;
    }
    if !has_mandatory_handlers(&handlers) {
        return NDIS_STATUS_BAD_CHARACTERISTICS;
    }
    if faults::allocation_fails() {
        return NDIS_STATUS_RESOURCES;
    }
    let registration = Arc::new(Registration {
        driver_object,
        context,
        handlers,
        ndk: Mutex::new(None),
        handle: Mutex::new(0),
        in_set_options: Mutex::new(false),
    });
    let handle = handles::open(Arc::clone(&registration));
    *registration.handle.lock() = handle;
    let status = set_options(&registration, handle);
    if status != NDIS_STATUS_SUCCESS {
        drop(handles::close::<Registration>(handle));
        return status;
    }
    if let Some(unload) = registration.handlers.UnloadHandler {
        memory::write(driver_object + DRIVER_UNLOAD, unload as usize as u64);
    }
    REGISTERED.lock().push(registration);
    memory::write(handle_out, handle);
    NDIS_STATUS_SUCCESS
}

/// The handlers without which NDIS 6.30 registers no miniport driver.
fn has_mandatory_handlers(handlers: &NDIS_MINIPORT_DRIVER_CHARACTERISTICS) -> bool {
    handlers.InitializeHandlerEx.is_some()
        && handlers.HaltHandlerEx.is_some()
        && handlers.UnloadHandler.is_some()
        && handlers.PauseHandler.is_some()
        && handlers.RestartHandler.is_some()
        && handlers.OidRequestHandler.is_some()
        && handlers.SendNetBufferListsHandler.is_some()
        && handlers.ReturnNetBufferListsHandler.is_some()
        && handlers.CancelSendHandler.is_some()
        && handlers.DevicePnPEventNotifyHandler.is_some()
        && handlers.ShutdownHandlerEx.is_some()
        && handlers.CancelOidRequestHandler.is_some()
        && (handlers.CheckForHangHandlerEx.is_none() || handlers.ResetHandlerEx.is_some())
}

fn set_options(registration: &Registration, handle: u64) -> NDIS_STATUS {
    let Some(handler) = registration.handlers.SetOptionsHandler else {
        return NDIS_STATUS_SUCCESS;
    };
    *registration.in_set_options.lock() = true;
    let status = super::status_of(call(handler as usize, &[handle, registration.context]));
    *registration.in_set_options.lock() = false;
    status
}

extern "win64" fn ndis_m_deregister_miniport_driver(handle: u64) {
    let registration = handles::close::<Registration>(handle);
    super::adapter::halt_all_of(&registration);
    REGISTERED
        .lock()
        .retain(|other| !Arc::ptr_eq(other, &registration));
}

extern "win64" fn ndis_set_optional_handlers(handle: u64, handlers: usize) -> NDIS_STATUS {
    let registration = handles::get::<Registration>(handle);
    if !*registration.in_set_options.lock() {
        Violation::new(
            Rule::NdisSetOptionalHandlers,
            BugCheck::verifier(0x91, [handle, handlers as u64, 0]),
            "NdisSetOptionalHandlers was called outside of MiniportSetOptions",
        )
        .advice("Set optional handlers in the SetOptionsHandler that NdisMRegisterMiniportDriver calls.")
        .stop()
    }
    let kind: u8 = memory::read(handlers);
    if kind != NDIS_OBJECT_TYPE_NDK_PROVIDER_CHARACTERISTICS {
        return NDIS_STATUS_NOT_SUPPORTED;
    }
    header::check(
        handlers,
        Expected {
            name: "NDIS_NDK_PROVIDER_CHARACTERISTICS",
            kind,
            revision: 1,
            size: 0x18,
        },
    );
    let ndk: NDIS_NDK_PROVIDER_CHARACTERISTICS = memory::read(handlers);
    if ndk.Flags != 0 || ndk.OpenNDKAdapterHandler.is_none() || ndk.CloseNDKAdapterHandler.is_none() {
        return NDIS_STATUS_BAD_CHARACTERISTICS;
    }
    *registration.ndk.lock() = Some(ndk);
    NDIS_STATUS_SUCCESS
}
