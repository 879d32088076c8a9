//! Connectors, listeners and shared endpoints (ndkpi.h). Lengths of addresses and private data are in bytes;
//! an out parameter for a length is in-out: room on entry, size on return.

use crate::{
    BOOLEAN, NDK_FN_CLOSE_OBJECT, NDK_FN_QUERY_EXTENSION_INTERFACE, NDK_FN_REQUEST_COMPLETION,
    NDK_OBJECT_HEADER, NDK_QP, NTSTATUS, SOCKADDR,
};
use core::ffi::c_void;

functions! {
    /// Delivers the connector of an incoming connection request (ndkpi.h).
    fn NDK_FN_CONNECT_EVENT_CALLBACK(ConnectEventContext: *mut c_void, pNdkConnector: *mut NDK_CONNECTOR);

    /// Says, once, that the connection has ended (ndkpi.h).
    fn NDK_FN_DISCONNECT_EVENT_CALLBACK(DisconnectEventContext: *mut c_void);

    /// Says, once, that the connection has ended, and the provider's reason or 0 (ndkpi.h, NDKPI 2.1).
    fn NDK_FN_DISCONNECT_EVENT_CALLBACK_EX(DisconnectEventContext: *mut c_void, ProviderDisconnectReason: u32);

    /// Requests a connection from a local to a remote address, with private data (ndkpi.h).
    fn NDK_FN_CONNECT(
        pNdkConnector: *mut NDK_CONNECTOR,
        pNdkQp: *mut NDK_QP,
        pSrcAddress: *const SOCKADDR,
        SrcAddressLength: u32,
        pDestAddress: *const SOCKADDR,
        DestAddressLength: u32,
        InboundReadLimit: u32,
        OutboundReadLimit: u32,
        pPrivateData: *const c_void,
        PrivateDataLength: u32,
        RequestCompletion: Option<NDK_FN_REQUEST_COMPLETION>,
        RequestContext: *mut c_void,
    ) -> NTSTATUS;

    /// Requests a connection from a shared endpoint (ndkpi.h).
    fn NDK_FN_CONNECT_WITH_SHARED_ENDPOINT(
        pNdkConnector: *mut NDK_CONNECTOR,
        pNdkQp: *mut NDK_QP,
        pNdkSharedEndpoint: *mut NDK_SHARED_ENDPOINT,
        pDestAddress: *const SOCKADDR,
        DestAddressLength: u32,
        InboundReadLimit: u32,
        OutboundReadLimit: u32,
        pPrivateData: *const c_void,
        PrivateDataLength: u32,
        RequestCompletion: Option<NDK_FN_REQUEST_COMPLETION>,
        RequestContext: *mut c_void,
    ) -> NTSTATUS;

    /// Confirms a connection that the peer has accepted (ndkpi.h).
    fn NDK_FN_COMPLETE_CONNECT(
        pNdkConnector: *mut NDK_CONNECTOR,
        DisconnectEvent: Option<NDK_FN_DISCONNECT_EVENT_CALLBACK>,
        DisconnectEventContext: *mut c_void,
        RequestCompletion: Option<NDK_FN_REQUEST_COMPLETION>,
        RequestContext: *mut c_void,
    ) -> NTSTATUS;

    /// [`NDK_FN_COMPLETE_CONNECT`] with a disconnect event that has a reason (ndkpi.h, NDKPI 2.1).
    fn NDK_FN_COMPLETE_CONNECT_EX(
        pNdkConnector: *mut NDK_CONNECTOR,
        DisconnectEvent: Option<NDK_FN_DISCONNECT_EVENT_CALLBACK_EX>,
        DisconnectEventContext: *mut c_void,
        RequestCompletion: Option<NDK_FN_REQUEST_COMPLETION>,
        RequestContext: *mut c_void,
    ) -> NTSTATUS;

    /// Accepts an incoming connection request, with private data (ndkpi.h).
    fn NDK_FN_ACCEPT(
        pNdkConnector: *mut NDK_CONNECTOR,
        pNdkQp: *mut NDK_QP,
        InboundReadLimit: u32,
        OutboundReadLimit: u32,
        pPrivateData: *const c_void,
        PrivateDataLength: u32,
        DisconnectEvent: Option<NDK_FN_DISCONNECT_EVENT_CALLBACK>,
        DisconnectEventContext: *mut c_void,
        RequestCompletion: Option<NDK_FN_REQUEST_COMPLETION>,
        RequestContext: *mut c_void,
    ) -> NTSTATUS;

    /// [`NDK_FN_ACCEPT`] with a disconnect event that has a reason (ndkpi.h, NDKPI 2.1).
    fn NDK_FN_ACCEPT_EX(
        pNdkConnector: *mut NDK_CONNECTOR,
        pNdkQp: *mut NDK_QP,
        InboundReadLimit: u32,
        OutboundReadLimit: u32,
        pPrivateData: *const c_void,
        PrivateDataLength: u32,
        DisconnectEvent: Option<NDK_FN_DISCONNECT_EVENT_CALLBACK_EX>,
        DisconnectEventContext: *mut c_void,
        RequestCompletion: Option<NDK_FN_REQUEST_COMPLETION>,
        RequestContext: *mut c_void,
    ) -> NTSTATUS;

    /// Rejects an incoming request, or a connection that the peer accepted and nobody confirmed yet.
    /// Synchronous: there is no completion callback (ndkpi.h).
    fn NDK_FN_REJECT(
        pNdkConnector: *mut NDK_CONNECTOR,
        pPrivateData: *const c_void,
        PrivateDataLength: u32,
    ) -> NTSTATUS;

    /// Reads the read limits and the peer's private data; the length returned is the room
    /// needed, not the length of what the peer sent (ndkpi.h).
    fn NDK_FN_GET_CONNECTION_DATA(
        pNdkConnector: *mut NDK_CONNECTOR,
        pInboundReadLimit: *mut u32,
        pOutboundReadLimit: *mut u32,
        pPrivateData: *mut c_void,
        pPrivateDataLength: *mut u32,
    ) -> NTSTATUS;

    /// Reads the local address (ndkpi.h).
    fn NDK_FN_GET_LOCAL_ADDRESS(
        pNdkConnector: *mut NDK_CONNECTOR,
        pAddress: *mut SOCKADDR,
        pAddressLength: *mut u32,
    ) -> NTSTATUS;

    /// Reads the peer's address (ndkpi.h).
    fn NDK_FN_GET_PEER_ADDRESS(
        pNdkConnector: *mut NDK_CONNECTOR,
        pAddress: *mut SOCKADDR,
        pAddressLength: *mut u32,
    ) -> NTSTATUS;

    /// Ends a connection (ndkpi.h).
    fn NDK_FN_DISCONNECT(
        pNdkConnector: *mut NDK_CONNECTOR,
        RequestCompletion: Option<NDK_FN_REQUEST_COMPLETION>,
        RequestContext: *mut c_void,
    ) -> NTSTATUS;

    /// Ends a connection, abortively if asked; no dispatch table has a slot for it (ndkpi.h).
    fn NDK_FN_DISCONNECT_EX(
        pNdkConnector: *mut NDK_CONNECTOR,
        Abortive: BOOLEAN,
        RequestCompletion: Option<NDK_FN_REQUEST_COMPLETION>,
        RequestContext: *mut c_void,
    ) -> NTSTATUS;

    /// Starts to listen on an address (ndkpi.h).
    fn NDK_FN_LISTEN(
        pNdkListener: *mut NDK_LISTENER,
        pAddress: *const SOCKADDR,
        AddressLength: u32,
        RequestCompletion: Option<NDK_FN_REQUEST_COMPLETION>,
        RequestContext: *mut c_void,
    ) -> NTSTATUS;

    /// Pauses or resumes the delivery of connect events (ndkpi.h).
    fn NDK_FN_CONTROL_CONNECT_EVENTS(pNdkListener: *mut NDK_LISTENER, Pause: BOOLEAN);

    /// Reads the listener's address (ndkpi.h).
    fn NDK_FN_GET_LISTENER_LOCAL_ADDRESS(
        pNdkListener: *mut NDK_LISTENER,
        pAddress: *mut SOCKADDR,
        pAddressLength: *mut u32,
    ) -> NTSTATUS;

    /// Reads the endpoint's address (ndkpi.h).
    fn NDK_FN_GET_SHARED_ENDPOINT_LOCAL_ADDRESS(
        pNdkSharedEndpoint: *mut NDK_SHARED_ENDPOINT,
        pAddress: *mut SOCKADDR,
        pAddressLength: *mut u32,
    ) -> NTSTATUS;
}

layouts! {
    /// Functions of a connector. The last two exist from NDKPI 2.1; before that the table is 0x58
    /// long, and a longer one is harmless (ndkpi.h).
    pub struct NDK_CONNECTOR_DISPATCH: 0x68 {
        NdkCloseConnector @ 0x0: Option<NDK_FN_CLOSE_OBJECT>,
        NdkQueryExtension @ 0x8: Option<NDK_FN_QUERY_EXTENSION_INTERFACE>,
        NdkConnect @ 0x10: Option<NDK_FN_CONNECT>,
        NdkConnectWithSharedEndpoint @ 0x18: Option<NDK_FN_CONNECT_WITH_SHARED_ENDPOINT>,
        NdkCompleteConnect @ 0x20: Option<NDK_FN_COMPLETE_CONNECT>,
        NdkAccept @ 0x28: Option<NDK_FN_ACCEPT>,
        NdkReject @ 0x30: Option<NDK_FN_REJECT>,
        NdkGetConnectionData @ 0x38: Option<NDK_FN_GET_CONNECTION_DATA>,
        NdkGetLocalAddress @ 0x40: Option<NDK_FN_GET_LOCAL_ADDRESS>,
        NdkGetPeerAddress @ 0x48: Option<NDK_FN_GET_PEER_ADDRESS>,
        NdkDisconnect @ 0x50: Option<NDK_FN_DISCONNECT>,
        NdkCompleteConnectEx @ 0x58: Option<NDK_FN_COMPLETE_CONNECT_EX>,
        NdkAcceptEx @ 0x60: Option<NDK_FN_ACCEPT_EX>,
    }

    /// A connector as its consumer sees it; the provider's data may follow (ndkpi.h).
    pub struct NDK_CONNECTOR: 0x30 {
        Header @ 0x0: NDK_OBJECT_HEADER,
        Dispatch @ 0x28: *const NDK_CONNECTOR_DISPATCH,
    }

    /// Functions of a listener (ndkpi.h).
    pub struct NDK_LISTENER_DISPATCH: 0x28 {
        NdkCloseListener @ 0x0: Option<NDK_FN_CLOSE_OBJECT>,
        NdkQueryExtension @ 0x8: Option<NDK_FN_QUERY_EXTENSION_INTERFACE>,
        NdkListen @ 0x10: Option<NDK_FN_LISTEN>,
        NdkGetLocalAddress @ 0x18: Option<NDK_FN_GET_LISTENER_LOCAL_ADDRESS>,
        NdkControlConnectEvents @ 0x20: Option<NDK_FN_CONTROL_CONNECT_EVENTS>,
    }

    /// A listener as its consumer sees it; the provider's data may follow (ndkpi.h).
    pub struct NDK_LISTENER: 0x30 {
        Header @ 0x0: NDK_OBJECT_HEADER,
        Dispatch @ 0x28: *const NDK_LISTENER_DISPATCH,
    }

    /// Functions of a shared endpoint (ndkpi.h).
    pub struct NDK_SHARED_ENDPOINT_DISPATCH: 0x18 {
        NdkCloseSharedEndpoint @ 0x0: Option<NDK_FN_CLOSE_OBJECT>,
        NdkQueryExtension @ 0x8: Option<NDK_FN_QUERY_EXTENSION_INTERFACE>,
        NdkGetLocalAddress @ 0x10: Option<NDK_FN_GET_SHARED_ENDPOINT_LOCAL_ADDRESS>,
    }

    /// A shared endpoint as its consumer sees it; the provider's data may follow (ndkpi.h).
    pub struct NDK_SHARED_ENDPOINT: 0x30 {
        Header @ 0x0: NDK_OBJECT_HEADER,
        Dispatch @ 0x28: *const NDK_SHARED_ENDPOINT_DISPATCH,
    }
}
