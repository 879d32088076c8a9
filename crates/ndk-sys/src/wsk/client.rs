//! A WSK client: registration, and what it offers (wsk.h).

use crate::{ADDRESS_FAMILY, GUID, KSPIN_LOCK, MDL, NTSTATUS, SOCKADDR, WSK_SOCKET};
use core::ffi::c_void;

enums! {
    /// What to do with a connection request (wsk.h).
    enum WSK_INSPECT_ACTION {
        WskInspectReject = 0,
        WskInspectAccept = 1,
        WskInspectPend = 2,
        WskInspectMax = 3,
    }
}

constants! {
    /// Requests of `WskControlClient` (wsk.h, wskndk.h).
    u32 {
        WSK_TDI_BEHAVIOR_BYPASS_TDI = 1,
        WSK_TRANSPORT_LIST_QUERY = 2,
        WSK_TRANSPORT_LIST_CHANGE = 3,
        WSK_CACHE_SD = 4,
        WSK_RELEASE_SD = 5,
        WSK_TDI_DEVICENAME_MAPPING = 6,
        WSK_SET_STATIC_EVENT_CALLBACKS = 7,
        WSK_TDI_BEHAVIOR = 8,
        WSKNDK_GET_WSK_PROVIDER_NDK_DISPATCH = 0x4E44_4B44,
    }

    /// How long `WskCaptureProviderNPI` waits (wsk.h).
    u32 {
        WSK_NO_WAIT = 0,
        WSK_INFINITE_WAIT = 0xFFFF_FFFF,
    }

    /// Events of [`WSK_EVENT_CALLBACK_CONTROL`] (wsk.h).
    u32 {
        WSK_EVENT_SEND_BACKLOG = 0x10,
        WSK_EVENT_RECEIVE = 0x40,
        WSK_EVENT_DISCONNECT = 0x80,
        WSK_EVENT_RECEIVE_FROM = 0x100,
        WSK_EVENT_ACCEPT = 0x200,
        WSK_EVENT_DISABLE = 0x8000_0000,
    }

    /// Flags of sockets, transfers and callbacks (wsk.h).
    u32 {
        WSK_FLAG_BASIC_SOCKET = 0,
        WSK_FLAG_ABORTIVE = 1,
        WSK_FLAG_LISTEN_SOCKET = 1,
        WSK_FLAG_OOB = 1,
        WSK_FLAG_CONNECTION_SOCKET = 2,
        WSK_FLAG_NODELAY = 2,
        WSK_FLAG_RELEASE_ASAP = 2,
        WSK_FLAG_WAITALL = 2,
        WSK_FLAG_DATAGRAM_SOCKET = 4,
        WSK_FLAG_DRAIN = 4,
        WSK_FLAG_ENTIRE_MESSAGE = 4,
        WSK_FLAG_AT_DISPATCH_LEVEL = 8,
        WSK_FLAG_STREAM_SOCKET = 8,
    }
}

functions! {
    /// Reports an event of the WSK subsystem (wsk.h).
    fn PFN_WSK_CLIENT_EVENT(
        ClientContext: *mut c_void,
        EventType: u32,
        Information: *mut c_void,
        InformationLength: usize,
    ) -> NTSTATUS;

    /// Delivers an incoming connection (wsk.h).
    fn PFN_WSK_ACCEPT_EVENT(
        SocketContext: *mut c_void,
        Flags: u32,
        LocalAddress: *mut SOCKADDR,
        RemoteAddress: *mut SOCKADDR,
        AcceptSocket: *mut WSK_SOCKET,
        AcceptSocketContext: *mut *mut c_void,
        AcceptSocketDispatch: *mut *const WSK_CLIENT_CONNECTION_DISPATCH,
    ) -> NTSTATUS;

    /// Asks what to do with a connection request (wsk.h).
    fn PFN_WSK_INSPECT_EVENT(
        SocketContext: *mut c_void,
        LocalAddress: *mut SOCKADDR,
        RemoteAddress: *mut SOCKADDR,
        InspectID: *mut WSK_INSPECT_ID,
    ) -> WSK_INSPECT_ACTION;

    /// Says that an inspected request has gone (wsk.h).
    fn PFN_WSK_ABORT_EVENT(SocketContext: *mut c_void, InspectID: *mut WSK_INSPECT_ID) -> NTSTATUS;

    /// Delivers datagrams (wsk.h).
    fn PFN_WSK_RECEIVE_FROM_EVENT(
        SocketContext: *mut c_void,
        Flags: u32,
        DataIndication: *mut WSK_DATAGRAM_INDICATION,
    ) -> NTSTATUS;

    /// Delivers stream data (wsk.h).
    fn PFN_WSK_RECEIVE_EVENT(
        SocketContext: *mut c_void,
        Flags: u32,
        DataIndication: *mut WSK_DATA_INDICATION,
        BytesIndicated: usize,
        BytesAccepted: *mut usize,
    ) -> NTSTATUS;

    /// Says that the connection has ended (wsk.h).
    fn PFN_WSK_DISCONNECT_EVENT(SocketContext: *mut c_void, Flags: u32) -> NTSTATUS;

    /// Says how much to keep in flight (wsk.h).
    fn PFN_WSK_SEND_BACKLOG_EVENT(SocketContext: *mut c_void, IdealBacklogSize: usize) -> NTSTATUS;
}

layouts! {
    /// Registration of a client with the WSK subsystem; its contents are WSK's (wsk.h).
    pub struct WSK_REGISTRATION: 0x18 {
        ReservedRegistrationState @ 0x0: u64,
        ReservedRegistrationContext @ 0x8: *mut c_void,
        ReservedRegistrationLock @ 0x10: KSPIN_LOCK,
    }

    /// What every client offers: version and event function (wsk.h).
    pub struct WSK_CLIENT_DISPATCH: 0x10 {
        Version @ 0x0: u16,
        Reserved @ 0x2: u16,
        WskClientEvent @ 0x8: Option<PFN_WSK_CLIENT_EVENT>,
    }

    /// What `WskRegister` takes (wsk.h).
    pub struct WSK_CLIENT_NPI: 0x10 {
        ClientContext @ 0x0: *mut c_void,
        Dispatch @ 0x8: *const WSK_CLIENT_DISPATCH,
    }

    /// Callbacks of a listening socket (wsk.h).
    pub struct WSK_CLIENT_LISTEN_DISPATCH: 0x18 {
        WskAcceptEvent @ 0x0: Option<PFN_WSK_ACCEPT_EVENT>,
        WskInspectEvent @ 0x8: Option<PFN_WSK_INSPECT_EVENT>,
        WskAbortEvent @ 0x10: Option<PFN_WSK_ABORT_EVENT>,
    }

    /// Callbacks of a datagram socket (wsk.h).
    pub struct WSK_CLIENT_DATAGRAM_DISPATCH: 0x8 {
        WskReceiveFromEvent @ 0x0: Option<PFN_WSK_RECEIVE_FROM_EVENT>,
    }

    /// Callbacks of a connection socket (wsk.h).
    pub struct WSK_CLIENT_CONNECTION_DISPATCH: 0x18 {
        WskReceiveEvent @ 0x0: Option<PFN_WSK_RECEIVE_EVENT>,
        WskDisconnectEvent @ 0x8: Option<PFN_WSK_DISCONNECT_EVENT>,
        WskSendBacklogEvent @ 0x10: Option<PFN_WSK_SEND_BACKLOG_EVENT>,
    }

    /// Callbacks of a stream socket (wsk.h).
    pub struct WSK_CLIENT_STREAM_DISPATCH: 0x10 {
        Listen @ 0x0: *const WSK_CLIENT_LISTEN_DISPATCH,
        Connect @ 0x8: *const WSK_CLIENT_CONNECTION_DISPATCH,
    }

    /// A part of an MDL chain (wsk.h).
    pub struct WSK_BUF: 0x18 {
        Mdl @ 0x0: *mut MDL,
        Offset @ 0x8: u32,
        Length @ 0x10: usize,
    }

    /// Parts of MDL chains (wsk.h).
    pub struct WSK_BUF_LIST: 0x20 {
        Next @ 0x0: *mut WSK_BUF_LIST,
        Buffer @ 0x8: WSK_BUF,
    }

    /// Received stream data (wsk.h).
    pub struct WSK_DATA_INDICATION: 0x20 {
        Next @ 0x0: *mut WSK_DATA_INDICATION,
        Buffer @ 0x8: WSK_BUF,
    }

    /// Received datagrams (wsk.h).
    pub struct WSK_DATAGRAM_INDICATION: 0x38 {
        Next @ 0x0: *mut WSK_DATAGRAM_INDICATION,
        Buffer @ 0x8: WSK_BUF,
        ControlInfo @ 0x20: *mut c_void,
        ControlInfoLength @ 0x28: u32,
        RemoteAddress @ 0x30: *mut SOCKADDR,
    }

    /// Identifies a connection request (wsk.h).
    pub struct WSK_INSPECT_ID: 0x10 {
        Key @ 0x0: usize,
        SerialNumber @ 0x8: u32,
    }

    /// Which event callbacks are on (wsk.h).
    pub struct WSK_EVENT_CALLBACK_CONTROL: 0x10 {
        NpiId @ 0x0: *const GUID,
        EventMask @ 0x8: u32,
    }

    /// What the client gives to an extension (wsk.h).
    pub struct WSK_EXTENSION_CONTROL_IN: 0x18 {
        NpiId @ 0x0: *const GUID,
        ClientContext @ 0x8: *mut c_void,
        ClientDispatch @ 0x10: *const c_void,
    }

    /// What the extension gives to the client (wsk.h).
    pub struct WSK_EXTENSION_CONTROL_OUT: 0x10 {
        ProviderContext @ 0x0: *mut c_void,
        ProviderDispatch @ 0x8: *const c_void,
    }

    /// A transport (wsk.h).
    pub struct WSK_TRANSPORT: 0x1c {
        Version @ 0x0: u16,
        SocketType @ 0x2: u16,
        Protocol @ 0x4: u32,
        AddressFamily @ 0x8: ADDRESS_FAMILY,
        ProviderId @ 0xc: GUID,
    }

    /// Maps a kind of socket to a TDI device (wsk.h).
    pub struct WSK_TDI_MAP: 0x10 {
        SocketType @ 0x0: u16,
        AddressFamily @ 0x2: ADDRESS_FAMILY,
        Protocol @ 0x4: u32,
        TdiDeviceName @ 0x8: *const u16,
    }

    /// Maps kinds of sockets to TDI devices (wsk.h).
    pub struct WSK_TDI_MAP_INFO: 0x10 {
        ElementCount @ 0x0: u32,
        Map @ 0x8: *const WSK_TDI_MAP,
    }
}
