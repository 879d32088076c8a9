//! The WSK subsystem: what a captured provider offers, NDK included (wsk.h, wskndk.h).

use crate::{
    ADDRESS_FAMILY, GUID, NDK_ADAPTER, NDK_VERSION, NET_IFINDEX, NTSTATUS, SOCKADDR, UNICODE_STRING, WSK_BUF,
    WSK_BUF_LIST, WSK_CLIENT_CONNECTION_DISPATCH, WSK_DATA_INDICATION, WSK_DATAGRAM_INDICATION,
    WSK_INSPECT_ACTION, WSK_INSPECT_ID,
};
use core::ffi::c_void;

enums! {
    /// What a control request on a socket is (wsk.h).
    enum WSK_CONTROL_SOCKET_TYPE {
        WskSetOption = 0,
        WskGetOption = 1,
        WskIoctl = 2,
        WskControlMax = 3,
    }
}

functions! {
    /// Creates a socket (wsk.h).
    fn PFN_WSK_SOCKET(
        Client: *mut c_void,
        AddressFamily: ADDRESS_FAMILY,
        SocketType: u16,
        Protocol: u32,
        Flags: u32,
        SocketContext: *mut c_void,
        Dispatch: *const c_void,
        OwningProcess: *mut c_void,
        OwningThread: *mut c_void,
        SecurityDescriptor: *mut c_void,
        Irp: *mut c_void,
    ) -> NTSTATUS;

    /// Creates a connection socket, binds and connects it (wsk.h).
    fn PFN_WSK_SOCKET_CONNECT(
        Client: *mut c_void,
        SocketType: u16,
        Protocol: u32,
        LocalAddress: *mut SOCKADDR,
        RemoteAddress: *mut SOCKADDR,
        Flags: u32,
        SocketContext: *mut c_void,
        Dispatch: *const WSK_CLIENT_CONNECTION_DISPATCH,
        OwningProcess: *mut c_void,
        OwningThread: *mut c_void,
        SecurityDescriptor: *mut c_void,
        Irp: *mut c_void,
    ) -> NTSTATUS;

    /// Does what is not about one socket; [`crate::WSKNDK_GET_WSK_PROVIDER_NDK_DISPATCH`] for one (wsk.h).
    fn PFN_WSK_CONTROL_CLIENT(
        Client: *mut c_void,
        ControlCode: u32,
        InputSize: usize,
        InputBuffer: *mut c_void,
        OutputSize: usize,
        OutputBuffer: *mut c_void,
        OutputSizeReturned: *mut usize,
        Irp: *mut c_void,
    ) -> NTSTATUS;

    /// Finds the addresses of a name. `PASSIVE_LEVEL` (wsk.h).
    fn PFN_WSK_GET_ADDRESS_INFO(
        Client: *mut c_void,
        NodeName: *mut UNICODE_STRING,
        ServiceName: *mut UNICODE_STRING,
        NameSpace: u32,
        Provider: *mut GUID,
        Hints: *mut c_void,
        Result: *mut *mut c_void,
        OwningProcess: *mut c_void,
        OwningThread: *mut c_void,
        Irp: *mut c_void,
    ) -> NTSTATUS;

    /// Frees what [`PFN_WSK_GET_ADDRESS_INFO`] returned. `PASSIVE_LEVEL` (wsk.h).
    fn PFN_WSK_FREE_ADDRESS_INFO(Client: *mut c_void, AddrInfo: *mut c_void);

    /// Finds the name of an address. `PASSIVE_LEVEL` (wsk.h).
    fn PFN_WSK_GET_NAME_INFO(
        Client: *mut c_void,
        SockAddr: *mut SOCKADDR,
        SockAddrLength: u32,
        NodeName: *mut UNICODE_STRING,
        ServiceName: *mut UNICODE_STRING,
        Flags: u32,
        OwningProcess: *mut c_void,
        OwningThread: *mut c_void,
        Irp: *mut c_void,
    ) -> NTSTATUS;

    /// Controls a socket (wsk.h).
    fn PFN_WSK_CONTROL_SOCKET(
        Socket: *mut WSK_SOCKET,
        RequestType: WSK_CONTROL_SOCKET_TYPE,
        ControlCode: u32,
        Level: u32,
        InputSize: usize,
        InputBuffer: *mut c_void,
        OutputSize: usize,
        OutputBuffer: *mut c_void,
        OutputSizeReturned: *mut usize,
        Irp: *mut c_void,
    ) -> NTSTATUS;

    /// Closes a socket (wsk.h).
    fn PFN_WSK_CLOSE_SOCKET(Socket: *mut WSK_SOCKET, Irp: *mut c_void) -> NTSTATUS;

    /// Binds a socket (wsk.h).
    fn PFN_WSK_BIND(
        Socket: *mut WSK_SOCKET,
        LocalAddress: *mut SOCKADDR,
        Flags: u32,
        Irp: *mut c_void,
    ) -> NTSTATUS;

    /// Connects a socket (wsk.h).
    fn PFN_WSK_CONNECT(
        Socket: *mut WSK_SOCKET,
        RemoteAddress: *mut SOCKADDR,
        Flags: u32,
        Irp: *mut c_void,
    ) -> NTSTATUS;

    /// Connects a socket and sends (wsk.h).
    fn PFN_WSK_CONNECT_EX(
        Socket: *mut WSK_SOCKET,
        RemoteAddress: *mut SOCKADDR,
        Buffer: *mut WSK_BUF,
        Flags: u32,
        Irp: *mut c_void,
    ) -> NTSTATUS;

    /// Makes a stream socket listen (wsk.h).
    fn PFN_WSK_LISTEN(Socket: *mut WSK_SOCKET, Irp: *mut c_void) -> NTSTATUS;

    /// Waits for a connection (wsk.h).
    fn PFN_WSK_ACCEPT(
        ListenSocket: *mut WSK_SOCKET,
        Flags: u32,
        AcceptSocketContext: *mut c_void,
        AcceptSocketDispatch: *const WSK_CLIENT_CONNECTION_DISPATCH,
        LocalAddress: *mut SOCKADDR,
        RemoteAddress: *mut SOCKADDR,
        Irp: *mut c_void,
    ) -> NTSTATUS;

    /// Finishes the inspection of a connection request (wsk.h).
    fn PFN_WSK_INSPECT_COMPLETE(
        ListenSocket: *mut WSK_SOCKET,
        InspectID: *mut WSK_INSPECT_ID,
        Action: WSK_INSPECT_ACTION,
        Irp: *mut c_void,
    ) -> NTSTATUS;

    /// Sends a datagram (wsk.h).
    fn PFN_WSK_SEND_TO(
        Socket: *mut WSK_SOCKET,
        Buffer: *mut WSK_BUF,
        Flags: u32,
        RemoteAddress: *mut SOCKADDR,
        ControlInfoLength: u32,
        ControlInfo: *mut c_void,
        Irp: *mut c_void,
    ) -> NTSTATUS;

    /// Sends datagrams (wsk.h).
    fn PFN_WSK_SEND_MESSAGES(
        Socket: *mut WSK_SOCKET,
        BufferList: *mut WSK_BUF_LIST,
        Flags: u32,
        RemoteAddress: *mut SOCKADDR,
        ControlInfoLength: u32,
        ControlInfo: *mut c_void,
        Irp: *mut c_void,
    ) -> NTSTATUS;

    /// Receives a datagram (wsk.h).
    fn PFN_WSK_RECEIVE_FROM(
        Socket: *mut WSK_SOCKET,
        Buffer: *mut WSK_BUF,
        Flags: u32,
        RemoteAddress: *mut SOCKADDR,
        ControlLength: *mut u32,
        ControlInfo: *mut c_void,
        ControlFlags: *mut u32,
        Irp: *mut c_void,
    ) -> NTSTATUS;

    /// Reads the local address (wsk.h).
    fn PFN_WSK_GET_LOCAL_ADDRESS(
        Socket: *mut WSK_SOCKET,
        LocalAddress: *mut SOCKADDR,
        Irp: *mut c_void,
    ) -> NTSTATUS;

    /// Reads the remote address (wsk.h).
    fn PFN_WSK_GET_REMOTE_ADDRESS(
        Socket: *mut WSK_SOCKET,
        RemoteAddress: *mut SOCKADDR,
        Irp: *mut c_void,
    ) -> NTSTATUS;

    /// Sends stream data (wsk.h).
    fn PFN_WSK_SEND(
        Socket: *mut WSK_SOCKET,
        Buffer: *mut WSK_BUF,
        Flags: u32,
        Irp: *mut c_void,
    ) -> NTSTATUS;

    /// Receives stream data (wsk.h).
    fn PFN_WSK_RECEIVE(
        Socket: *mut WSK_SOCKET,
        Buffer: *mut WSK_BUF,
        Flags: u32,
        Irp: *mut c_void,
    ) -> NTSTATUS;

    /// Ends a connection (wsk.h).
    fn PFN_WSK_DISCONNECT(
        Socket: *mut WSK_SOCKET,
        Buffer: *mut WSK_BUF,
        Flags: u32,
        Irp: *mut c_void,
    ) -> NTSTATUS;

    /// Returns stream data (wsk.h).
    fn PFN_WSK_RELEASE_DATA_INDICATION_LIST(
        Socket: *mut WSK_SOCKET,
        DataIndication: *mut WSK_DATA_INDICATION,
    ) -> NTSTATUS;

    /// Returns datagrams (wsk.h).
    fn PFN_WSK_RELEASE_DATAGRAM_INDICATION_LIST(
        Socket: *mut WSK_SOCKET,
        DatagramIndication: *mut WSK_DATAGRAM_INDICATION,
    ) -> NTSTATUS;

    /// Opens an NDK adapter by interface index. `PASSIVE_LEVEL` (wskndk.h).
    fn PFN_WSK_NDK_OPEN_ADAPTER(
        Client: *mut c_void,
        NdkVersion: NDK_VERSION,
        IfIndex: NET_IFINDEX,
        ppNdkAdapter: *mut *mut NDK_ADAPTER,
    ) -> NTSTATUS;

    /// Closes an NDK adapter. `PASSIVE_LEVEL` (wskndk.h).
    fn PFN_WSK_NDK_CLOSE_ADAPTER(Client: *mut c_void, pNdkAdapter: *mut NDK_ADAPTER);
}

layouts! {
    /// What `WskCaptureProviderNPI` returns (wsk.h).
    pub struct WSK_PROVIDER_NPI: 0x10 {
        Client @ 0x0: *mut c_void,
        Dispatch @ 0x8: *const WSK_PROVIDER_DISPATCH,
    }

    /// Versions that the subsystem supports (wsk.h).
    pub struct WSK_PROVIDER_CHARACTERISTICS: 0x4 {
        HighestVersion @ 0x0: u16,
        LowestVersion @ 0x2: u16,
    }

    /// Functions of the WSK subsystem (wsk.h).
    pub struct WSK_PROVIDER_DISPATCH: 0x38 {
        Version @ 0x0: u16,
        Reserved @ 0x2: u16,
        WskSocket @ 0x8: Option<PFN_WSK_SOCKET>,
        WskSocketConnect @ 0x10: Option<PFN_WSK_SOCKET_CONNECT>,
        WskControlClient @ 0x18: Option<PFN_WSK_CONTROL_CLIENT>,
        WskGetAddressInfo @ 0x20: Option<PFN_WSK_GET_ADDRESS_INFO>,
        WskFreeAddressInfo @ 0x28: Option<PFN_WSK_FREE_ADDRESS_INFO>,
        WskGetNameInfo @ 0x30: Option<PFN_WSK_GET_NAME_INFO>,
    }

    /// NDK by way of WSK (wskndk.h).
    pub struct WSK_PROVIDER_NDK_DISPATCH: 0x10 {
        WskOpenNdkAdapter @ 0x0: Option<PFN_WSK_NDK_OPEN_ADAPTER>,
        WskCloseNdkAdapter @ 0x8: Option<PFN_WSK_NDK_CLOSE_ADAPTER>,
    }

    /// A socket (wsk.h).
    pub struct WSK_SOCKET: 0x8 {
        Dispatch @ 0x0: *const c_void,
    }

    /// Functions of every socket (wsk.h).
    pub struct WSK_PROVIDER_BASIC_DISPATCH: 0x10 {
        WskControlSocket @ 0x0: Option<PFN_WSK_CONTROL_SOCKET>,
        WskCloseSocket @ 0x8: Option<PFN_WSK_CLOSE_SOCKET>,
    }

    /// Functions of a listening socket (wsk.h).
    pub struct WSK_PROVIDER_LISTEN_DISPATCH: 0x30 {
        WskControlSocket @ 0x0: Option<PFN_WSK_CONTROL_SOCKET>,
        WskCloseSocket @ 0x8: Option<PFN_WSK_CLOSE_SOCKET>,
        WskBind @ 0x10: Option<PFN_WSK_BIND>,
        WskAccept @ 0x18: Option<PFN_WSK_ACCEPT>,
        WskInspectComplete @ 0x20: Option<PFN_WSK_INSPECT_COMPLETE>,
        WskGetLocalAddress @ 0x28: Option<PFN_WSK_GET_LOCAL_ADDRESS>,
    }

    /// Functions of a datagram socket (wsk.h).
    pub struct WSK_PROVIDER_DATAGRAM_DISPATCH: 0x40 {
        WskControlSocket @ 0x0: Option<PFN_WSK_CONTROL_SOCKET>,
        WskCloseSocket @ 0x8: Option<PFN_WSK_CLOSE_SOCKET>,
        WskBind @ 0x10: Option<PFN_WSK_BIND>,
        WskSendTo @ 0x18: Option<PFN_WSK_SEND_TO>,
        WskReceiveFrom @ 0x20: Option<PFN_WSK_RECEIVE_FROM>,
        WskRelease @ 0x28: Option<PFN_WSK_RELEASE_DATAGRAM_INDICATION_LIST>,
        WskGetLocalAddress @ 0x30: Option<PFN_WSK_GET_LOCAL_ADDRESS>,
        WskSendMessages @ 0x38: Option<PFN_WSK_SEND_MESSAGES>,
    }

    /// Functions of a connection socket (wsk.h).
    pub struct WSK_PROVIDER_CONNECTION_DISPATCH: 0x58 {
        WskControlSocket @ 0x0: Option<PFN_WSK_CONTROL_SOCKET>,
        WskCloseSocket @ 0x8: Option<PFN_WSK_CLOSE_SOCKET>,
        WskBind @ 0x10: Option<PFN_WSK_BIND>,
        WskConnect @ 0x18: Option<PFN_WSK_CONNECT>,
        WskGetLocalAddress @ 0x20: Option<PFN_WSK_GET_LOCAL_ADDRESS>,
        WskGetRemoteAddress @ 0x28: Option<PFN_WSK_GET_REMOTE_ADDRESS>,
        WskSend @ 0x30: Option<PFN_WSK_SEND>,
        WskReceive @ 0x38: Option<PFN_WSK_RECEIVE>,
        WskDisconnect @ 0x40: Option<PFN_WSK_DISCONNECT>,
        WskRelease @ 0x48: Option<PFN_WSK_RELEASE_DATA_INDICATION_LIST>,
        WskConnectEx @ 0x50: Option<PFN_WSK_CONNECT_EX>,
    }

    /// Functions of a stream socket (wsk.h).
    pub struct WSK_PROVIDER_STREAM_DISPATCH: 0x68 {
        WskControlSocket @ 0x0: Option<PFN_WSK_CONTROL_SOCKET>,
        WskCloseSocket @ 0x8: Option<PFN_WSK_CLOSE_SOCKET>,
        WskBind @ 0x10: Option<PFN_WSK_BIND>,
        WskAccept @ 0x18: Option<PFN_WSK_ACCEPT>,
        WskConnect @ 0x20: Option<PFN_WSK_CONNECT>,
        WskListen @ 0x28: Option<PFN_WSK_LISTEN>,
        WskSend @ 0x30: Option<PFN_WSK_SEND>,
        WskReceive @ 0x38: Option<PFN_WSK_RECEIVE>,
        WskDisconnect @ 0x40: Option<PFN_WSK_DISCONNECT>,
        WskRelease @ 0x48: Option<PFN_WSK_RELEASE_DATA_INDICATION_LIST>,
        WskGetLocalAddress @ 0x50: Option<PFN_WSK_GET_LOCAL_ADDRESS>,
        WskGetRemoteAddress @ 0x58: Option<PFN_WSK_GET_REMOTE_ADDRESS>,
        WskConnectEx @ 0x60: Option<PFN_WSK_CONNECT_EX>,
    }
}
