//! The slots of the objects that come with the transport: each answers `STATUS_NOT_SUPPORTED`, inline and without a
//! completion, and changes nothing. Every slot of a dispatch table must be callable (Implementing NDKPI Callbacks).
#![expect(unsafe_code, reason = "entries that consumers call by pointer")]

use core::ffi::c_void;
use ndk_sys::{
    GROUP_AFFINITY, NDK_ADAPTER, NDK_CQ, NDK_FN_CQ_NOTIFICATION_CALLBACK, NDK_FN_CREATE_COMPLETION,
    NDK_FN_SRQ_NOTIFICATION_CALLBACK, NDK_PD, NDK_QP, NDK_SRQ, NTSTATUS, STATUS_NOT_SUPPORTED,
};

macro_rules! unsupported {
    ($( $(#[$meta:meta])* fn $name:ident($($ty:ty),* $(,)?); )*) => {
        $(
            $(#[$meta])*
            pub unsafe extern "system" fn $name($(_: $ty),*) -> NTSTATUS {
                STATUS_NOT_SUPPORTED
            }
        )*
    };
}

type CreateCompletion = Option<NDK_FN_CREATE_COMPLETION>;

unsupported! {
    /// `NdkCreateCq`.
    fn create_cq(
        *mut NDK_ADAPTER, u32, Option<NDK_FN_CQ_NOTIFICATION_CALLBACK>, *mut c_void, *mut GROUP_AFFINITY,
        CreateCompletion, *mut c_void, *mut *mut NDK_CQ,
    );
    /// `NdkCreateSrq`.
    fn create_srq(
        *mut NDK_PD, u32, u32, u32, Option<NDK_FN_SRQ_NOTIFICATION_CALLBACK>, *mut c_void, *mut GROUP_AFFINITY,
        CreateCompletion, *mut c_void, *mut *mut NDK_SRQ,
    );
    /// `NdkCreateQp`.
    fn create_qp(
        *mut NDK_PD, *mut NDK_CQ, *mut NDK_CQ, *mut c_void, u32, u32, u32, u32, u32, CreateCompletion, *mut c_void,
        *mut *mut NDK_QP,
    );
    /// `NdkCreateQpWithSrq`.
    fn create_qp_with_srq(
        *mut NDK_PD, *mut NDK_CQ, *mut NDK_CQ, *mut NDK_SRQ, *mut c_void, u32, u32, u32, CreateCompletion, *mut c_void,
        *mut *mut NDK_QP,
    );
}
