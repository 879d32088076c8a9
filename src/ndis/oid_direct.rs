//! OID requests of the direct path: `OID_NDK_STATISTICS`.
//!
//! They come at any IRQL up to `DISPATCH_LEVEL`, several at a time. The device is only asked where it can be waited for:
//! a request that comes at a raised IRQL pends until the worker has an answer.
#![expect(unsafe_code, reason = "called by NDIS")]

use core::ffi::c_void;
use core::ptr::NonNull;

use ndk_sys::{
    NDIS_HANDLE, NDIS_OID_REQUEST, NDIS_STATUS, NDIS_STATUS_FAILURE, NDIS_STATUS_NOT_SUPPORTED,
    NDIS_STATUS_PENDING, OID_NDK_STATISTICS,
};

use super::adapter::Adapter;
use super::interrupt::Work;
use super::statistics;
use crate::os::irql::Passive;
use crate::os::oid::{Kind, OidRequest};

/// `MiniportDirectOidRequest`.
pub unsafe extern "system" fn direct_oid_request(
    context: NDIS_HANDLE,
    request: *mut NDIS_OID_REQUEST,
) -> NDIS_STATUS {
    // SAFETY: NDIS passes the adapter's context.
    let adapter = unsafe { Adapter::borrow(context) };
    let Some(raw) = NonNull::new(request) else {
        return NDIS_STATUS_FAILURE;
    };
    // SAFETY: NDIS hands the request over.
    let mut request = unsafe { OidRequest::new(raw) };
    if request.kind() != Kind::Query || request.oid() != OID_NDK_STATISTICS {
        return NDIS_STATUS_NOT_SUPPORTED;
    }
    if let Some(passive) = Passive::current() {
        return adapter.ndk_statistics(&passive, &mut request);
    }
    // SAFETY: as above; the worker completes it.
    unsafe { adapter.pending_oids.push(raw) };
    adapter.request_work(Work::OIDS);
    NDIS_STATUS_PENDING
}

/// `MiniportCancelDirectOidRequest`: the worker is quicker.
pub unsafe extern "system" fn cancel_direct_oid_request(_context: NDIS_HANDLE, _id: *mut c_void) {}

impl Adapter {
    /// `OID_NDK_STATISTICS`.
    pub(super) fn ndk_statistics(&self, passive: &Passive, request: &mut OidRequest<'_>) -> NDIS_STATUS {
        let Some(provider) = self.provider() else {
            return NDIS_STATUS_NOT_SUPPORTED;
        };
        match self.device_statistics(passive) {
            Ok(device) => request.answer(&statistics::ndk(&device, provider)),
            Err(error) => error.into(),
        }
    }

    /// Answers the requests that came at a raised IRQL.
    pub(super) fn serve_pending_oids(&self, passive: &Passive) {
        self.pending_oids
            .serve(self.handle, |request| self.ndk_statistics(passive, request));
    }
}
