//! Opening and closing NDK adapters.
#![expect(unsafe_code, reason = "called by NDIS")]

use core::ptr::NonNull;

use ndk_sys::{
    NDIS_HANDLE, NDIS_OPEN_NDK_ADAPTER_PARAMETERS, NDIS_STATUS, NDIS_STATUS_ADAPTER_NOT_READY,
    NDIS_STATUS_INVALID_PARAMETER, NDIS_STATUS_SUCCESS, NDK_ADAPTER, NDK_VERSION,
};

use super::adapter::Adapter;
use crate::os::irql::Passive;

impl Adapter {
    fn open_ndk_adapter(
        &self,
        passive: &Passive,
        version: NDK_VERSION,
    ) -> Result<NonNull<NDK_ADAPTER>, NDIS_STATUS> {
        let provider = self.provider().ok_or(NDIS_STATUS_ADAPTER_NOT_READY)?;
        // Objects from before a restart of the device have to go first.
        if !self.is_working() || self.nic().is_some_and(|nic| nic.is_stale()) {
            return Err(NDIS_STATUS_ADAPTER_NOT_READY);
        }
        provider.open_adapter(passive, version)
    }
}

/// `OPEN_NDK_ADAPTER_HANDLER`. The driver is of NDIS 6.30: the parameters are the version and nothing more.
pub unsafe extern "system" fn open(
    context: NDIS_HANDLE,
    parameters: *mut NDIS_OPEN_NDK_ADAPTER_PARAMETERS,
    opened: *mut *mut NDK_ADAPTER,
) -> NDIS_STATUS {
    // SAFETY: NDIS calls this at PASSIVE_LEVEL.
    let passive = unsafe { Passive::assume() };
    // SAFETY: NDIS passes the adapter's context.
    let adapter = unsafe { Adapter::borrow(context) };
    // SAFETY: NDIS passes its parameters.
    let parameters = unsafe { parameters.as_ref() };
    // SAFETY: NDIS passes a place for the result.
    let opened = unsafe { opened.as_mut() };
    let (Some(parameters), Some(opened)) = (parameters, opened) else {
        return NDIS_STATUS_INVALID_PARAMETER;
    };
    match adapter.open_ndk_adapter(&passive, parameters.Version) {
        Ok(ndk_adapter) => {
            *opened = ndk_adapter.as_ptr();
            NDIS_STATUS_SUCCESS
        }
        Err(status) => status,
    }
}

/// `CLOSE_NDK_ADAPTER_HANDLER`: returns when everything below the NDK adapter is gone.
pub unsafe extern "system" fn close(context: NDIS_HANDLE, closed: *mut NDK_ADAPTER) {
    // SAFETY: NDIS calls this at PASSIVE_LEVEL.
    let passive = unsafe { Passive::assume() };
    // SAFETY: NDIS passes the adapter's context.
    let adapter = unsafe { Adapter::borrow(context) };
    if let (Some(provider), Some(closed)) = (adapter.provider(), NonNull::new(closed)) {
        // SAFETY: NDIS passes what the open handler returned, once.
        unsafe { provider.close_adapter(&passive, closed) };
    }
}
