//! Protection domains: parents of memory regions and windows, shared receive queues and queue pairs (ndkpi.h).

use crate::{
    BOOLEAN, GROUP_AFFINITY, NDK_CQ, NDK_FN_CLOSE_OBJECT, NDK_FN_CREATE_COMPLETION,
    NDK_FN_QUERY_EXTENSION_INTERFACE, NDK_FN_SRQ_NOTIFICATION_CALLBACK, NDK_MR, NDK_MW, NDK_OBJECT_HEADER,
    NDK_QP, NDK_SRQ, NTSTATUS,
};
use core::ffi::c_void;

functions! {
    /// Creates a memory region, for fast registration or for registration by MDL (ndkpi.h).
    fn NDK_FN_CREATE_MR(
        pNdkPd: *mut NDK_PD,
        FastRegister: BOOLEAN,
        CreateCompletion: Option<NDK_FN_CREATE_COMPLETION>,
        RequestContext: *mut c_void,
        ppNdkMr: *mut *mut NDK_MR,
    ) -> NTSTATUS;

    /// Creates a memory window (ndkpi.h).
    fn NDK_FN_CREATE_MW(
        pNdkPd: *mut NDK_PD,
        CreateCompletion: Option<NDK_FN_CREATE_COMPLETION>,
        RequestContext: *mut c_void,
        ppNdkMw: *mut *mut NDK_MW,
    ) -> NTSTATUS;

    /// Creates a shared receive queue (ndkpi.h).
    fn NDK_FN_CREATE_SRQ(
        pNdkPd: *mut NDK_PD,
        SrqDepth: u32,
        MaxReceiveRequestSge: u32,
        NotifyThreshold: u32,
        SrqNotification: Option<NDK_FN_SRQ_NOTIFICATION_CALLBACK>,
        SrqNotificationContext: *mut c_void,
        Affinity: *mut GROUP_AFFINITY,
        CreateCompletion: Option<NDK_FN_CREATE_COMPLETION>,
        RequestContext: *mut c_void,
        ppNdkSrq: *mut *mut NDK_SRQ,
    ) -> NTSTATUS;

    /// Creates a queue pair with a receive queue of its own (ndkpi.h).
    fn NDK_FN_CREATE_QP(
        pNdkPd: *mut NDK_PD,
        pReceiveCq: *mut NDK_CQ,
        pInitiatorCq: *mut NDK_CQ,
        QPContext: *mut c_void,
        ReceiveQueueDepth: u32,
        InitiatorQueueDepth: u32,
        MaxReceiveRequestSge: u32,
        MaxInitiatorRequestSge: u32,
        InlineDataSize: u32,
        CreateCompletion: Option<NDK_FN_CREATE_COMPLETION>,
        RequestContext: *mut c_void,
        ppNdkQp: *mut *mut NDK_QP,
    ) -> NTSTATUS;

    /// Creates a queue pair that receives from a shared receive queue (ndkpi.h).
    fn NDK_FN_CREATE_QP_WITH_SRQ(
        pNdkPd: *mut NDK_PD,
        pReceiveCq: *mut NDK_CQ,
        pInitiatorCq: *mut NDK_CQ,
        pSrq: *mut NDK_SRQ,
        QPContext: *mut c_void,
        InitiatorQueueDepth: u32,
        MaxInitiatorRequestSge: u32,
        InlineDataSize: u32,
        CreateCompletion: Option<NDK_FN_CREATE_COMPLETION>,
        RequestContext: *mut c_void,
        ppNdkQp: *mut *mut NDK_QP,
    ) -> NTSTATUS;

    /// The token with which logical addresses are used unregistered (ndkpi.h).
    fn NDK_FN_GET_PRIVILEGED_MEMORY_REGION_TOKEN(pNdkPd: *mut NDK_PD, pToken: *mut u32);
}

layouts! {
    /// Functions of a protection domain (ndkpi.h).
    pub struct NDK_PD_DISPATCH: 0x40 {
        NdkClosePd @ 0x0: Option<NDK_FN_CLOSE_OBJECT>,
        NdkQueryExtension @ 0x8: Option<NDK_FN_QUERY_EXTENSION_INTERFACE>,
        NdkCreateMr @ 0x10: Option<NDK_FN_CREATE_MR>,
        NdkCreateMw @ 0x18: Option<NDK_FN_CREATE_MW>,
        NdkCreateSrq @ 0x20: Option<NDK_FN_CREATE_SRQ>,
        NdkCreateQp @ 0x28: Option<NDK_FN_CREATE_QP>,
        NdkCreateQpWithSrq @ 0x30: Option<NDK_FN_CREATE_QP_WITH_SRQ>,
        NdkGetPrivilegedMemoryRegionToken @ 0x38: Option<NDK_FN_GET_PRIVILEGED_MEMORY_REGION_TOKEN>,
    }

    /// A protection domain as its consumer sees it; the provider's data may follow (ndkpi.h).
    pub struct NDK_PD: 0x30 {
        Header @ 0x0: NDK_OBJECT_HEADER,
        Dispatch @ 0x28: *const NDK_PD_DISPATCH,
    }
}
