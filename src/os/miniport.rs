//! What a miniport tells NDIS: the driver, the adapter's attributes, status, events, completions.
#![expect(unsafe_code, reason = "calls NDIS")]

use core::ptr::null_mut;

use ndk_sys::imports::ndis;
use ndk_sys::{
    DRIVER_OBJECT, NDIS_DRIVER_OPTIONAL_HANDLERS, NDIS_HANDLE, NDIS_LINK_STATE,
    NDIS_MINIPORT_ADAPTER_ATTRIBUTES, NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
    NDIS_MINIPORT_ADAPTER_NDK_ATTRIBUTES, NDIS_MINIPORT_ADAPTER_NDK_ATTRIBUTES_REVISION_1,
    NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES, NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1,
    NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES, NDIS_MINIPORT_DRIVER_CHARACTERISTICS,
    NDIS_NDK_CAPABILITIES, NDIS_NDK_PROVIDER_CHARACTERISTICS, NDIS_OBJECT_HEADER, NDIS_OBJECT_TYPE_DEFAULT,
    NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_NDK_ATTRIBUTES, NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES,
    NDIS_OBJECT_TYPE_STATUS_INDICATION, NDIS_OFFLOAD, NDIS_OID,
    NDIS_SIZEOF_MINIPORT_ADAPTER_NDK_ATTRIBUTES_REVISION_1,
    NDIS_SIZEOF_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1, NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_3,
    NDIS_SIZEOF_NET_PNP_EVENT_NOTIFICATION_REVISION_1, NDIS_SIZEOF_STATUS_INDICATION_REVISION_1, NDIS_STATUS,
    NDIS_STATUS_INDICATION, NDIS_STATUS_INDICATION_REVISION_1, NDIS_STATUS_LINK_STATE, NDIS_STATUS_SUCCESS,
    NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG, NET_PNP_EVENT_CODE, NET_PNP_EVENT_NOTIFICATION,
    NET_PNP_EVENT_NOTIFICATION_REVISION_1, UNICODE_STRING,
};

use super::bytes_of;
use super::handle::AdapterHandle;
use super::irql::Passive;

fn result(status: NDIS_STATUS) -> Result<(), NDIS_STATUS> {
    if status == NDIS_STATUS_SUCCESS {
        Ok(())
    } else {
        Err(status)
    }
}

/// A registered miniport driver.
pub struct Driver(NDIS_HANDLE);

impl Driver {
    /// Registers the driver. NDIS calls its `SetOptions` handler before this returns.
    ///
    /// # Errors
    ///
    /// What NDIS says.
    ///
    /// # Safety
    ///
    /// Both pointers are those of `DriverEntry`.
    pub unsafe fn register(
        driver: *mut DRIVER_OBJECT,
        registry_path: *mut UNICODE_STRING,
        characteristics: &mut NDIS_MINIPORT_DRIVER_CHARACTERISTICS,
    ) -> Result<Self, NDIS_STATUS> {
        let mut handle = null_mut();
        // SAFETY: the caller's pointers, a filled structure, a place for the handle.
        let status = unsafe {
            ndis::NdisMRegisterMiniportDriver(
                driver,
                registry_path,
                null_mut(),
                characteristics,
                &raw mut handle,
            )
        };
        result(status).map(|()| Self(handle))
    }

    /// The handle, for whoever deregisters the driver.
    #[must_use]
    pub fn into_raw(self) -> NDIS_HANDLE {
        self.0
    }

    /// Deregisters the driver.
    ///
    /// # Safety
    ///
    /// `handle` came from [`Driver::into_raw`] and is used up.
    pub unsafe fn deregister(_passive: &Passive, handle: NDIS_HANDLE) {
        // SAFETY: the caller's promise.
        unsafe { ndis::NdisMDeregisterMiniportDriver(handle) };
    }
}

/// Registers the NDK provider handlers of the driver, from its `SetOptions` handler.
///
/// # Errors
///
/// What NDIS says.
///
/// # Safety
///
/// `driver` is the handle that NDIS passed to that handler.
pub unsafe fn set_ndk_handlers(
    _passive: &Passive,
    driver: NDIS_HANDLE,
    handlers: &mut NDIS_NDK_PROVIDER_CHARACTERISTICS,
) -> Result<(), NDIS_STATUS> {
    let handlers: *mut NDIS_DRIVER_OPTIONAL_HANDLERS = (&raw mut *handlers).cast();
    // SAFETY: the caller's handle; a structure that begins with the header that says what it is.
    result(unsafe { ndis::NdisSetOptionalHandlers(driver, handlers) })
}

fn set_attributes(
    passive: &Passive,
    adapter: AdapterHandle,
    mut attributes: NDIS_MINIPORT_ADAPTER_ATTRIBUTES,
) -> Result<(), NDIS_STATUS> {
    passive.check();
    // SAFETY: a valid handle and a member whose header says which it is; NDIS copies what it needs.
    result(unsafe { ndis::NdisMSetMiniportAttributes(adapter.raw(), &raw mut attributes) })
}

/// Sets the registration attributes: the first thing that an initialisation tells NDIS.
///
/// # Errors
///
/// What NDIS says.
pub fn set_registration_attributes(
    passive: &Passive,
    adapter: AdapterHandle,
    registration: NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES,
) -> Result<(), NDIS_STATUS> {
    let attributes = NDIS_MINIPORT_ADAPTER_ATTRIBUTES {
        RegistrationAttributes: registration,
    };
    set_attributes(passive, adapter, attributes)
}

/// Sets the general attributes, with the OIDs that the adapter answers: before any others but the registration's.
///
/// # Errors
///
/// What NDIS says.
pub fn set_general_attributes(
    passive: &Passive,
    adapter: AdapterHandle,
    mut general: NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
    oids: &[NDIS_OID],
) -> Result<(), NDIS_STATUS> {
    general.SupportedOidList = oids.as_ptr().cast_mut();
    general.SupportedOidListLength = u32::try_from(size_of_val(oids)).unwrap_or(u32::MAX);
    set_attributes(
        passive,
        adapter,
        NDIS_MINIPORT_ADAPTER_ATTRIBUTES {
            GeneralAttributes: general,
        },
    )
}

/// Sets the NDK attributes.
///
/// # Errors
///
/// What NDIS says.
pub fn set_ndk_attributes(
    passive: &Passive,
    adapter: AdapterHandle,
    enabled: bool,
    capabilities: &mut NDIS_NDK_CAPABILITIES,
) -> Result<(), NDIS_STATUS> {
    let ndk = NDIS_MINIPORT_ADAPTER_NDK_ATTRIBUTES {
        Header: NDIS_OBJECT_HEADER {
            Type: NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_NDK_ATTRIBUTES,
            Revision: NDIS_MINIPORT_ADAPTER_NDK_ATTRIBUTES_REVISION_1,
            Size: NDIS_SIZEOF_MINIPORT_ADAPTER_NDK_ATTRIBUTES_REVISION_1,
        },
        Enabled: enabled.into(),
        NdkCapabilities: capabilities,
    };
    set_attributes(
        passive,
        adapter,
        NDIS_MINIPORT_ADAPTER_ATTRIBUTES { NDKAttributes: ndk },
    )
}

/// Sets the offload attributes: what is on, and what the hardware can do.
///
/// # Errors
///
/// What NDIS says.
pub fn set_offload_attributes(
    passive: &Passive,
    adapter: AdapterHandle,
    mut current: NDIS_OFFLOAD,
    mut hardware: NDIS_OFFLOAD,
) -> Result<(), NDIS_STATUS> {
    let offload = NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES {
        Header: NDIS_OBJECT_HEADER {
            Type: NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES,
            Revision: NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1,
            Size: NDIS_SIZEOF_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1,
        },
        DefaultOffloadConfiguration: &raw mut current,
        HardwareOffloadCapabilities: &raw mut hardware,
        DefaultTcpConnectionOffloadConfiguration: null_mut(),
        TcpConnectionOffloadHardwareCapabilities: null_mut(),
    };
    set_attributes(
        passive,
        adapter,
        NDIS_MINIPORT_ADAPTER_ATTRIBUTES {
            OffloadAttributes: offload,
        },
    )
}

/// Indicates the link's state. At most `DISPATCH_LEVEL`, without locks.
pub fn indicate_link_state(adapter: AdapterHandle, state: &mut NDIS_LINK_STATE) {
    indicate(
        adapter,
        NDIS_STATUS_LINK_STATE,
        state,
        bytes_of::<NDIS_LINK_STATE>(),
    );
}

/// Indicates the offloads that are on. At most `DISPATCH_LEVEL`, without locks.
pub fn indicate_offloads(adapter: AdapterHandle, current: &mut NDIS_OFFLOAD) {
    let length = NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_3.into();
    indicate(adapter, NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG, current, length);
}

fn indicate<T>(adapter: AdapterHandle, code: NDIS_STATUS, content: &mut T, length: u32) {
    debug_assert!(length <= bytes_of::<T>(), "inside of the structure");
    let mut indication = NDIS_STATUS_INDICATION {
        Header: NDIS_OBJECT_HEADER {
            Type: NDIS_OBJECT_TYPE_STATUS_INDICATION,
            Revision: NDIS_STATUS_INDICATION_REVISION_1,
            Size: NDIS_SIZEOF_STATUS_INDICATION_REVISION_1,
        },
        SourceHandle: adapter.raw(),
        StatusCode: code,
        StatusBuffer: (&raw mut *content).cast(),
        StatusBufferSize: length,
        ..NDIS_STATUS_INDICATION::zeroed()
    };
    // SAFETY: a valid handle and a filled structure.
    unsafe { ndis::NdisMIndicateStatusEx(adapter.raw(), &raw mut indication) };
}

/// Completes a pause that has pended.
pub fn pause_complete(passive: &Passive, adapter: AdapterHandle) {
    passive.check();
    // SAFETY: a valid handle; the pause handler has returned, or will return, that it pends.
    unsafe { ndis::NdisMPauseComplete(adapter.raw()) };
}

/// Sends a network `PnP` event without data up the stack, and waits until everybody above has handled it. Never from an OID
/// handler.
///
/// # Errors
///
/// What NDIS says.
pub fn net_pnp_event(
    passive: &Passive,
    adapter: AdapterHandle,
    event: NET_PNP_EVENT_CODE,
) -> Result<(), NDIS_STATUS> {
    passive.check();
    let mut notification = NET_PNP_EVENT_NOTIFICATION::zeroed();
    notification.Header = NDIS_OBJECT_HEADER {
        Type: NDIS_OBJECT_TYPE_DEFAULT,
        Revision: NET_PNP_EVENT_NOTIFICATION_REVISION_1,
        Size: NDIS_SIZEOF_NET_PNP_EVENT_NOTIFICATION_REVISION_1,
    };
    notification.NetPnPEvent.NetEvent = event;
    // SAFETY: a valid handle and a filled structure.
    result(unsafe { ndis::NdisMNetPnPEvent(adapter.raw(), &raw mut notification) })
}
