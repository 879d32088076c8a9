//! The slots of the objects that come with the transport: each answers `STATUS_NOT_SUPPORTED`, inline and without a
//! completion, and changes nothing. Every slot of a dispatch table must be callable (Implementing NDKPI Callbacks).
#![expect(unsafe_code, reason = "entries that consumers call by pointer")]

use core::ffi::c_void;
use ndk_sys::{
    GROUP_AFFINITY, NDK_ADAPTER, NDK_CONNECTOR, NDK_CQ, NDK_FN_CQ_NOTIFICATION_CALLBACK,
    NDK_FN_CREATE_COMPLETION, NDK_FN_DISCONNECT_EVENT_CALLBACK, NDK_FN_DISCONNECT_EVENT_CALLBACK_EX,
    NDK_FN_REQUEST_COMPLETION, NDK_FN_SRQ_NOTIFICATION_CALLBACK, NDK_PD, NDK_QP, NDK_SHARED_ENDPOINT,
    NDK_SRQ, NTSTATUS, SOCKADDR, STATUS_NOT_SUPPORTED,
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
type RequestCompletion = Option<NDK_FN_REQUEST_COMPLETION>;

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
    /// `NdkCreateSharedEndpoint`.
    fn create_shared_endpoint(
        *mut NDK_ADAPTER, *const SOCKADDR, u32, CreateCompletion, *mut c_void, *mut *mut NDK_SHARED_ENDPOINT,
    );
    /// `NdkConnect`.
    fn connect(
        *mut NDK_CONNECTOR, *mut NDK_QP, *const SOCKADDR, u32, *const SOCKADDR, u32, u32, u32, *const c_void, u32,
        RequestCompletion, *mut c_void,
    );
    /// `NdkConnectWithSharedEndpoint`.
    fn connect_with_shared_endpoint(
        *mut NDK_CONNECTOR, *mut NDK_QP, *mut NDK_SHARED_ENDPOINT, *const SOCKADDR, u32, u32, u32, *const c_void, u32,
        RequestCompletion, *mut c_void,
    );
    /// `NdkCompleteConnect`.
    fn complete_connect(
        *mut NDK_CONNECTOR, Option<NDK_FN_DISCONNECT_EVENT_CALLBACK>, *mut c_void, RequestCompletion, *mut c_void,
    );
    /// `NdkCompleteConnectEx`.
    fn complete_connect_ex(
        *mut NDK_CONNECTOR, Option<NDK_FN_DISCONNECT_EVENT_CALLBACK_EX>, *mut c_void, RequestCompletion, *mut c_void,
    );
    /// `NdkAccept`.
    fn accept(
        *mut NDK_CONNECTOR, *mut NDK_QP, u32, u32, *const c_void, u32, Option<NDK_FN_DISCONNECT_EVENT_CALLBACK>,
        *mut c_void, RequestCompletion, *mut c_void,
    );
    /// `NdkAcceptEx`.
    fn accept_ex(
        *mut NDK_CONNECTOR, *mut NDK_QP, u32, u32, *const c_void, u32, Option<NDK_FN_DISCONNECT_EVENT_CALLBACK_EX>,
        *mut c_void, RequestCompletion, *mut c_void,
    );
    /// `NdkDisconnect`.
    fn disconnect(*mut NDK_CONNECTOR, RequestCompletion, *mut c_void);
}
