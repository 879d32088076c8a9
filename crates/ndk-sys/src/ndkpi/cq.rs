//! Completion queues (ndkpi.h).

use crate::{
    NDK_FN_CLOSE_OBJECT, NDK_FN_QUERY_EXTENSION_INTERFACE, NDK_FN_REQUEST_COMPLETION, NDK_OBJECT_HEADER,
    NDK_RESULT, NDK_RESULT_EX, NTSTATUS,
};
use core::ffi::c_void;

functions! {
    /// Reports a completion, or by its status that the queue has failed; once per arming (ndkpi.h).
    fn NDK_FN_CQ_NOTIFICATION_CALLBACK(CqNotificationContext: *mut c_void, CqStatus: NTSTATUS);

    /// Changes the depth of the queue (ndkpi.h).
    fn NDK_FN_RESIZE_CQ(
        pNdkCq: *mut NDK_CQ,
        CqDepth: u32,
        RequestCompletion: Option<NDK_FN_REQUEST_COMPLETION>,
        RequestContext: *mut c_void,
    ) -> NTSTATUS;

    /// Asks for one notification; the type is one of `NDK_CQ_NOTIFY_…` (ndkpi.h).
    fn NDK_FN_ARM_CQ(pNdkCq: *mut NDK_CQ, Type: u32);

    /// Takes up to `ResultCount` completions; returns how many (ndkpi.h).
    fn NDK_FN_GET_CQ_RESULTS(pNdkCq: *mut NDK_CQ, Results: *mut NDK_RESULT, nResults: u32) -> u32;

    /// Takes up to `ResultCount` extended completions; returns how many (ndkpi.h, NDKPI 1.2).
    fn NDK_FN_GET_CQ_RESULTS_EX(pNdkCq: *mut NDK_CQ, Results: *mut NDK_RESULT_EX, nResults: u32) -> u32;

    /// Sets the notification delay: microseconds and completions (ndkpi.h).
    fn NDK_FN_CONTROL_CQ_INTERRUPT_MODERATION(
        pNdkCq: *mut NDK_CQ,
        ModerationInterval: u32,
        ModerationCount: u32,
    ) -> NTSTATUS;
}

layouts! {
    /// Functions of a completion queue (ndkpi.h).
    pub struct NDK_CQ_DISPATCH: 0x38 {
        NdkCloseCq @ 0x0: Option<NDK_FN_CLOSE_OBJECT>,
        NdkQueryExtension @ 0x8: Option<NDK_FN_QUERY_EXTENSION_INTERFACE>,
        NdkResizeCq @ 0x10: Option<NDK_FN_RESIZE_CQ>,
        NdkArmCq @ 0x18: Option<NDK_FN_ARM_CQ>,
        NdkGetCqResults @ 0x20: Option<NDK_FN_GET_CQ_RESULTS>,
        NdkControlCqInterruptModeration @ 0x28: Option<NDK_FN_CONTROL_CQ_INTERRUPT_MODERATION>,
        NdkGetCqResultsEx @ 0x30: Option<NDK_FN_GET_CQ_RESULTS_EX>,
    }

    /// A completion queue as its consumer sees it; the provider's data may follow (ndkpi.h).
    pub struct NDK_CQ: 0x30 {
        Header @ 0x0: NDK_OBJECT_HEADER,
        Dispatch @ 0x28: *const NDK_CQ_DISPATCH,
    }
}
