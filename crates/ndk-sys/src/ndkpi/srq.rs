//! Shared receive queues (ndkpi.h).

use crate::{
    NDK_FN_CLOSE_OBJECT, NDK_FN_QUERY_EXTENSION_INTERFACE, NDK_FN_REQUEST_COMPLETION, NDK_OBJECT_HEADER,
    NDK_SGE, NTSTATUS,
};
use core::ffi::c_void;

functions! {
    /// Reports that the queue has fallen below its threshold, or has failed (ndkpi.h).
    fn NDK_FN_SRQ_NOTIFICATION_CALLBACK(SrqNotificationContext: *mut c_void, SrqStatus: NTSTATUS);

    /// Changes the depth and the notification threshold (ndkpi.h).
    fn NDK_FN_MODIFY_SRQ(
        pNdkSrq: *mut NDK_SRQ,
        SrqDepth: u32,
        NotifyThreshold: u32,
        RequestCompletion: Option<NDK_FN_REQUEST_COMPLETION>,
        RequestContext: *mut c_void,
    ) -> NTSTATUS;

    /// Posts a receive request (ndkpi.h).
    fn NDK_FN_SRQ_RECEIVE(
        pNdkSrq: *mut NDK_SRQ,
        RequestContext: *mut c_void,
        pSgl: *const NDK_SGE,
        nSge: u32,
    ) -> NTSTATUS;
}

layouts! {
    /// Functions of a shared receive queue (ndkpi.h).
    pub struct NDK_SRQ_DISPATCH: 0x20 {
        NdkCloseSrq @ 0x0: Option<NDK_FN_CLOSE_OBJECT>,
        NdkQueryExtension @ 0x8: Option<NDK_FN_QUERY_EXTENSION_INTERFACE>,
        NdkModifySrq @ 0x10: Option<NDK_FN_MODIFY_SRQ>,
        NdkSrqReceive @ 0x18: Option<NDK_FN_SRQ_RECEIVE>,
    }

    /// A shared receive queue as its consumer sees it; the provider's data may follow (ndkpi.h).
    pub struct NDK_SRQ: 0x30 {
        Header @ 0x0: NDK_OBJECT_HEADER,
        Dispatch @ 0x28: *const NDK_SRQ_DISPATCH,
    }
}
