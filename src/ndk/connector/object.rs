//! `NDK_CONNECTOR`: one connection attempt and, later, the connection.
#![expect(unsafe_code, reason = "entries that consumers call by pointer")]

use crate::cm::{ConnectRequest, ConnectionId};
use crate::ndk::adapter::Adapter;
use crate::ndk::listener::Listener;
use crate::ndk::object::{self, Common, Object, ObjectRef};
use crate::ndk::{address, private_data, unsupported};
use crate::nic::Wait;
use crate::os::irql::Passive;
use crate::os::pool::{OutOfMemory, Pooled, Tag};
use core::ffi::c_void;
use core::net::SocketAddr;
use core::ptr::NonNull;
use core::slice;
use ndk_sys::{
    NDK_CONNECTOR, NDK_CONNECTOR_DISPATCH, NTSTATUS, NdkObjectTypeConnector, SOCKADDR,
    STATUS_CONNECTION_INVALID, STATUS_INVALID_DEVICE_STATE, STATUS_INVALID_PARAMETER,
};

/// A connector, made by `NdkCreateConnector`, or by the provider for an incoming connection request.
#[repr(C)]
pub struct Connector {
    public: NDK_CONNECTOR,
    common: Common,
    adapter: ObjectRef<Adapter>,
    /// The request that it stands for; `None` for a connector that has never connected.
    incoming: Option<Incoming>,
}

/// What is known of an incoming request from its connect event on; none of it changes afterwards.
struct Incoming {
    connection: ConnectionId,
    local: SocketAddr,
    peer: SocketAddr,
    private_data: [u8; private_data::MAX_CALLER_DATA as usize],
    inbound_read_limit: u32,
    outbound_read_limit: u32,
    /// Keeps the listener's endpoint busy for as long as the connector lives.
    _listener: ObjectRef<Listener>,
}

impl Pooled for Connector {
    const TAG: Tag = Tag::new(*b"VrCn");
}

// SAFETY: `repr(C)`, and the public structure is first.
unsafe impl Object for Connector {
    fn common(&self) -> &Common {
        &self.common
    }

    /// Closing a request that was neither accepted nor rejected rejects it (NDKPI); any other attempt is over already.
    fn closing(&self) {
        if let Some(incoming) = &self.incoming {
            self.adapter.provider().abandon(incoming.connection);
        }
    }
}

// SAFETY: the public part is only read by the provider after creation; everything else is `Sync`.
unsafe impl Sync for Connector {}
// SAFETY: as above.
unsafe impl Send for Connector {}

impl Connector {
    /// `NdkCreateConnector`: a connector that may connect later.
    pub fn new(adapter: ObjectRef<Adapter>) -> Result<ObjectRef<Self>, OutOfMemory> {
        Self::with(adapter, None)
    }

    /// The connector of an incoming request.
    pub fn incoming(request: ConnectRequest<ObjectRef<Listener>>) -> Result<ObjectRef<Self>, OutOfMemory> {
        let adapter = request.listener.adapter().clone();
        let limits = adapter.info();
        let incoming = Incoming {
            connection: request.connection,
            local: request.local,
            peer: request.peer,
            private_data: request.offer.private_data,
            // The peer's reads are inbound here, and the reads that it can serve bound the outbound ones.
            inbound_read_limit: u32::from(request.offer.initiator_depth).min(limits.MaxInboundReadLimit),
            outbound_read_limit: u32::from(request.offer.responder_resources)
                .min(limits.MaxOutboundReadLimit),
            _listener: request.listener,
        };
        Self::with(adapter, Some(incoming))
    }

    fn with(adapter: ObjectRef<Adapter>, incoming: Option<Incoming>) -> Result<ObjectRef<Self>, OutOfMemory> {
        ObjectRef::new(Self {
            public: NDK_CONNECTOR {
                Header: object::header(adapter.version(), NdkObjectTypeConnector),
                Dispatch: &raw const DISPATCH,
            },
            common: Common::new(),
            adapter,
            incoming,
        })
    }

    /// `NdkReject`. At PASSIVE it waits for the firmware up to the command timeout, at DISPATCH for at most 50 us.
    fn reject(&self, data: &[u8]) -> NTSTATUS {
        let Some(incoming) = &self.incoming else {
            return STATUS_INVALID_DEVICE_STATE;
        };
        let passive = Passive::current();
        let wait = passive.as_ref().map_or(Wait::Spin, Wait::Passive);
        self.adapter.provider().reject(incoming.connection, data, wait)
    }

    /// `NdkGetConnectionData`: effective read limits, and the private data of the peer's REQ.
    fn incoming_data(&self) -> Result<&Incoming, NTSTATUS> {
        self.incoming.as_ref().ok_or(STATUS_CONNECTION_INVALID)
    }
}

static DISPATCH: NDK_CONNECTOR_DISPATCH = NDK_CONNECTOR_DISPATCH {
    NdkCloseConnector: Some(object::close::<Connector>),
    NdkQueryExtension: Some(object::query_extension),
    NdkConnect: Some(unsupported::connect),
    NdkConnectWithSharedEndpoint: Some(unsupported::connect_with_shared_endpoint),
    NdkCompleteConnect: Some(unsupported::complete_connect),
    NdkAccept: Some(unsupported::accept),
    NdkReject: Some(reject),
    NdkGetConnectionData: Some(get_connection_data),
    NdkGetLocalAddress: Some(get_local_address),
    NdkGetPeerAddress: Some(get_peer_address),
    NdkDisconnect: Some(unsupported::disconnect),
    NdkCompleteConnectEx: Some(unsupported::complete_connect_ex),
    NdkAcceptEx: Some(unsupported::accept_ex),
};

unsafe extern "system" fn reject(
    connector: *mut NDK_CONNECTOR,
    data: *const c_void,
    length: u32,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open connector.
    let connector: &Connector = unsafe { object::borrow(connector) };
    if let Err(status) = private_data::check_callee_data(data.is_null(), length) {
        return status;
    }
    let data = match NonNull::new(data.cast_mut()) {
        // SAFETY: the consumer's buffer of `length` bytes, at most 148, readable during the call.
        Some(data) => unsafe { slice::from_raw_parts(data.cast().as_ptr(), length as usize) },
        None => &[],
    };
    connector.reject(data)
}

unsafe extern "system" fn get_connection_data(
    connector: *mut NDK_CONNECTOR,
    inbound_read_limit: *mut u32,
    outbound_read_limit: *mut u32,
    data: *mut c_void,
    data_length: *mut u32,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open connector.
    let connector: &Connector = unsafe { object::borrow(connector) };
    // SAFETY: the consumer's variable, or null.
    let Some(data_length) = (unsafe { data_length.as_mut() }) else {
        return STATUS_INVALID_PARAMETER;
    };
    let incoming = match connector.incoming_data() {
        Ok(incoming) => incoming,
        Err(status) => return status,
    };
    let buffer = NonNull::new(data.cast::<u8>())
        // SAFETY: the consumer's buffer of `*data_length` bytes, writable during the call and nobody else's.
        .map(|data| unsafe { slice::from_raw_parts_mut(data.as_ptr(), *data_length as usize) });
    let status = private_data::copy_out(&incoming.private_data, buffer, *data_length);
    if status == STATUS_INVALID_PARAMETER {
        return status;
    }
    *data_length = private_data::MAX_CALLER_DATA;
    // SAFETY: the consumer's variable, or null.
    if let Some(limit) = unsafe { inbound_read_limit.as_mut() } {
        *limit = incoming.inbound_read_limit;
    }
    // SAFETY: the consumer's variable, or null.
    if let Some(limit) = unsafe { outbound_read_limit.as_mut() } {
        *limit = incoming.outbound_read_limit;
    }
    status
}

unsafe extern "system" fn get_local_address(
    connector: *mut NDK_CONNECTOR,
    address: *mut SOCKADDR,
    length: *mut u32,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open connector.
    let connector: &Connector = unsafe { object::borrow(connector) };
    // SAFETY: the consumer's buffer and its length.
    connector.incoming_data().map_or_else(
        |status| status,
        |incoming| unsafe { store_address(incoming.local, address, length) },
    )
}

unsafe extern "system" fn get_peer_address(
    connector: *mut NDK_CONNECTOR,
    address: *mut SOCKADDR,
    length: *mut u32,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open connector.
    let connector: &Connector = unsafe { object::borrow(connector) };
    // SAFETY: the consumer's buffer and its length.
    connector.incoming_data().map_or_else(
        |status| status,
        |incoming| unsafe { store_address(incoming.peer, address, length) },
    )
}

/// The common end of the `Get…Address` functions.
///
/// # Safety
/// `length` is null or valid; `buffer` is null or has `*length` writable bytes.
pub unsafe fn store_address(value: SocketAddr, buffer: *mut SOCKADDR, length: *mut u32) -> NTSTATUS {
    // SAFETY: valid or null (caller).
    let Some(length) = (unsafe { length.as_mut() }) else {
        return STATUS_INVALID_PARAMETER;
    };
    let buffer = NonNull::new(buffer.cast::<u8>())
        // SAFETY: `*length` writable bytes (caller).
        .map(|buffer| unsafe { slice::from_raw_parts_mut(buffer.as_ptr(), *length as usize) });
    let (status, size) = address::copy_out(value, buffer);
    *length = u32::try_from(size).unwrap_or(u32::MAX);
    status
}
