//! Queue pairs (ndkpi.h). The consumer posts to one queue from one place at a time; only a flush may overlap.

use crate::{
    NDK_FN_CLOSE_OBJECT, NDK_FN_QUERY_EXTENSION_INTERFACE, NDK_LOGICAL_ADDRESS, NDK_MR, NDK_MW,
    NDK_OBJECT_HEADER, NDK_SGE, NTSTATUS,
};
use core::ffi::c_void;

functions! {
    /// Cancels all requests of the queue pair; they complete with `STATUS_CANCELLED` (ndkpi.h).
    fn NDK_FN_FLUSH(pNdkQp: *mut NDK_QP);

    /// Posts a send (ndkpi.h).
    fn NDK_FN_SEND(
        pNdkQp: *mut NDK_QP,
        RequestContext: *mut c_void,
        pSgl: *const NDK_SGE,
        nSge: u32,
        Flags: u32,
    ) -> NTSTATUS;

    /// Posts a receive (ndkpi.h).
    fn NDK_FN_RECEIVE(
        pNdkQp: *mut NDK_QP,
        RequestContext: *mut c_void,
        pSgl: *const NDK_SGE,
        nSge: u32,
    ) -> NTSTATUS;

    /// Binds a memory window to a part of a memory region (ndkpi.h).
    fn NDK_FN_BIND(
        pNdkQp: *mut NDK_QP,
        RequestContext: *mut c_void,
        pMr: *mut NDK_MR,
        pMw: *mut NDK_MW,
        VirtualAddress: *mut c_void,
        Length: usize,
        Flags: u32,
    ) -> NTSTATUS;

    /// Registers an array of adapter pages with a fast-register memory region (ndkpi.h).
    fn NDK_FN_FAST_REGISTER(
        pNdkQp: *mut NDK_QP,
        RequestContext: *mut c_void,
        pMr: *mut NDK_MR,
        AdapterPageCount: u32,
        AdapterPageArray: *const NDK_LOGICAL_ADDRESS,
        FBO: u32,
        Length: usize,
        BaseVirtualAddress: *mut c_void,
        Flags: u32,
    ) -> NTSTATUS;

    /// Invalidates a fast-register memory region or a memory window (ndkpi.h).
    fn NDK_FN_INVALIDATE(
        pNdkQp: *mut NDK_QP,
        RequestContext: *mut c_void,
        pNdkMrOrMw: *mut NDK_OBJECT_HEADER,
        Flags: u32,
    ) -> NTSTATUS;

    /// Posts an RDMA read (ndkpi.h).
    fn NDK_FN_READ(
        pNdkQp: *mut NDK_QP,
        RequestContext: *mut c_void,
        pSgl: *const NDK_SGE,
        nSge: u32,
        RemoteAddress: u64,
        RemoteToken: u32,
        Flags: u32,
    ) -> NTSTATUS;

    /// Posts an RDMA write (ndkpi.h).
    fn NDK_FN_WRITE(
        pNdkQp: *mut NDK_QP,
        RequestContext: *mut c_void,
        pSgl: *const NDK_SGE,
        nSge: u32,
        RemoteAddress: u64,
        RemoteToken: u32,
        Flags: u32,
    ) -> NTSTATUS;

    /// Posts a send that invalidates the peer's token (ndkpi.h, NDKPI 1.2).
    fn NDK_FN_SEND_AND_INVALIDATE(
        pNdkQp: *mut NDK_QP,
        RequestContext: *mut c_void,
        pSgl: *const NDK_SGE,
        nSge: u32,
        Flags: u32,
        RemoteToken: u32,
    ) -> NTSTATUS;
}

layouts! {
    /// Functions of a queue pair (ndkpi.h).
    pub struct NDK_QP_DISPATCH: 0x58 {
        NdkCloseQp @ 0x0: Option<NDK_FN_CLOSE_OBJECT>,
        NdkQueryExtension @ 0x8: Option<NDK_FN_QUERY_EXTENSION_INTERFACE>,
        NdkFlush @ 0x10: Option<NDK_FN_FLUSH>,
        NdkSend @ 0x18: Option<NDK_FN_SEND>,
        NdkReceive @ 0x20: Option<NDK_FN_RECEIVE>,
        NdkBind @ 0x28: Option<NDK_FN_BIND>,
        NdkFastRegister @ 0x30: Option<NDK_FN_FAST_REGISTER>,
        NdkInvalidate @ 0x38: Option<NDK_FN_INVALIDATE>,
        NdkRead @ 0x40: Option<NDK_FN_READ>,
        NdkWrite @ 0x48: Option<NDK_FN_WRITE>,
        NdkSendAndInvalidate @ 0x50: Option<NDK_FN_SEND_AND_INVALIDATE>,
    }

    /// A queue pair as its consumer sees it; the provider's data may follow (ndkpi.h).
    pub struct NDK_QP: 0x30 {
        Header @ 0x0: NDK_OBJECT_HEADER,
        Dispatch @ 0x28: *const NDK_QP_DISPATCH,
    }
}
