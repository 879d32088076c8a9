//! The NDK adapter: the root of a consumer's objects (ndkpi.h). It has no close function; the miniport's
//! `CloseNDKAdapterHandler` closes it.

use crate::{
    GROUP_AFFINITY, MDL, NDK_ADAPTER_INFO, NDK_CONNECTOR, NDK_CQ, NDK_FN_CONNECT_EVENT_CALLBACK,
    NDK_FN_CQ_NOTIFICATION_CALLBACK, NDK_FN_CREATE_COMPLETION, NDK_FN_QUERY_EXTENSION_INTERFACE,
    NDK_FN_REQUEST_COMPLETION, NDK_LISTENER, NDK_LOGICAL_ADDRESS_MAPPING, NDK_OBJECT_HEADER, NDK_PD,
    NDK_SHARED_ENDPOINT, NDK_VERSION, NTSTATUS, SOCKADDR,
};
use core::ffi::c_void;

functions! {
    /// Reads the adapter's limits; without a buffer, the size needed. `PASSIVE_LEVEL` (ndkpi.h).
    fn NDK_FN_QUERY_ADAPTER_INFO(
        pNdkAdapter: *mut NDK_ADAPTER,
        pInfo: *mut NDK_ADAPTER_INFO,
        pBufferSize: *mut u32,
    ) -> NTSTATUS;

    /// The pending form of [`NDK_FN_QUERY_ADAPTER_INFO`]; no dispatch table has a slot for it (ndkpi.h).
    fn NDK_FN_QUERY_ADAPTER_INFO_EX(
        pNdkAdapter: *mut NDK_ADAPTER,
        Version: NDK_VERSION,
        pInfo: *mut NDK_ADAPTER_INFO,
        pBufferSize: *mut u32,
    ) -> NTSTATUS;

    /// Creates a completion queue (ndkpi.h).
    fn NDK_FN_CREATE_CQ(
        pNdkAdapter: *mut NDK_ADAPTER,
        CqDepth: u32,
        CqNotification: Option<NDK_FN_CQ_NOTIFICATION_CALLBACK>,
        CqNotificationContext: *mut c_void,
        Affinity: *mut GROUP_AFFINITY,
        CreateCompletion: Option<NDK_FN_CREATE_COMPLETION>,
        RequestContext: *mut c_void,
        ppNdkCq: *mut *mut NDK_CQ,
    ) -> NTSTATUS;

    /// Creates a protection domain (ndkpi.h).
    fn NDK_FN_CREATE_PD(
        pNdkAdapter: *mut NDK_ADAPTER,
        CreateCompletion: Option<NDK_FN_CREATE_COMPLETION>,
        RequestContext: *mut c_void,
        ppNdkPd: *mut *mut NDK_PD,
    ) -> NTSTATUS;

    /// Creates a local endpoint that several outgoing connections share (ndkpi.h).
    fn NDK_FN_CREATE_SHARED_ENDPOINT(
        pNdkAdapter: *mut NDK_ADAPTER,
        pAddress: *const SOCKADDR,
        AddressLength: u32,
        CreateCompletion: Option<NDK_FN_CREATE_COMPLETION>,
        RequestContext: *mut c_void,
        ppNdkSharedEndpoint: *mut *mut NDK_SHARED_ENDPOINT,
    ) -> NTSTATUS;

    /// Creates a connector (ndkpi.h).
    fn NDK_FN_CREATE_CONNECTOR(
        pNdkAdapter: *mut NDK_ADAPTER,
        CreateCompletion: Option<NDK_FN_CREATE_COMPLETION>,
        RequestContext: *mut c_void,
        ppNdkConnector: *mut *mut NDK_CONNECTOR,
    ) -> NTSTATUS;

    /// Creates a listener, which delivers connectors through its connect event callback (ndkpi.h).
    fn NDK_FN_CREATE_LISTENER(
        pNdkAdapter: *mut NDK_ADAPTER,
        ConnectEvent: Option<NDK_FN_CONNECT_EVENT_CALLBACK>,
        ConnectEventContext: *mut c_void,
        CreateCompletion: Option<NDK_FN_CREATE_COMPLETION>,
        RequestContext: *mut c_void,
        ppNdkListener: *mut *mut NDK_LISTENER,
    ) -> NTSTATUS;

    /// Maps a buffer for the adapter; the completion callback is optional (ndkpi.h).
    fn NDK_FN_BUILD_LAM(
        pNdkAdapter: *mut NDK_ADAPTER,
        Mdl: *mut MDL,
        Length: usize,
        RequestCompletion: Option<NDK_FN_REQUEST_COMPLETION>,
        RequestContext: *mut c_void,
        pNdkLAM: *mut NDK_LOGICAL_ADDRESS_MAPPING,
        pLAMSize: *mut u32,
        pFBO: *mut u32,
    ) -> NTSTATUS;

    /// Releases what [`NDK_FN_BUILD_LAM`] built (ndkpi.h).
    fn NDK_FN_RELEASE_LAM(pNdkAdapter: *mut NDK_ADAPTER, pNdkLAM: *mut NDK_LOGICAL_ADDRESS_MAPPING);
}

layouts! {
    /// Functions of an adapter (ndkpi.h).
    pub struct NDK_ADAPTER_DISPATCH: 0x48 {
        NdkQueryExtension @ 0x0: Option<NDK_FN_QUERY_EXTENSION_INTERFACE>,
        NdkQueryAdapterInfo @ 0x8: Option<NDK_FN_QUERY_ADAPTER_INFO>,
        NdkCreateCq @ 0x10: Option<NDK_FN_CREATE_CQ>,
        NdkCreatePd @ 0x18: Option<NDK_FN_CREATE_PD>,
        NdkCreateSharedEndpoint @ 0x20: Option<NDK_FN_CREATE_SHARED_ENDPOINT>,
        NdkCreateConnector @ 0x28: Option<NDK_FN_CREATE_CONNECTOR>,
        NdkCreateListener @ 0x30: Option<NDK_FN_CREATE_LISTENER>,
        NdkBuildLAM @ 0x38: Option<NDK_FN_BUILD_LAM>,
        NdkReleaseLAM @ 0x40: Option<NDK_FN_RELEASE_LAM>,
    }

    /// An adapter as its consumer sees it; the provider's data may follow (ndkpi.h).
    pub struct NDK_ADAPTER: 0x30 {
        Header @ 0x0: NDK_OBJECT_HEADER,
        Dispatch @ 0x28: *const NDK_ADAPTER_DISPATCH,
    }
}
