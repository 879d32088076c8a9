//! What consumers call: turns raw arguments into checked ones.
#![expect(unsafe_code, reason = "entries that consumers call by pointer")]

use super::accept::Answer;
use super::connect::{Source, Target};
use super::event::DisconnectEvent;
use super::object::{Connector, Requester};
use crate::cm::ReadLimits;
use crate::ndk::address;
use crate::ndk::object::{self, ObjectRef};
use crate::ndk::private_data::{self, MAX_CALLEE_DATA, MAX_CALLER_DATA};
use crate::ndk::qp::Qp;
use crate::ndk::shared_endpoint::SharedEndpoint;
use core::ffi::c_void;
use core::net::SocketAddr;
use core::ptr::NonNull;
use core::slice;
use ndk_sys::{
    NDK_CONNECTOR, NDK_CONNECTOR_DISPATCH, NDK_FN_CLOSE_COMPLETION, NDK_FN_DISCONNECT_EVENT_CALLBACK,
    NDK_FN_DISCONNECT_EVENT_CALLBACK_EX, NDK_FN_REQUEST_COMPLETION, NDK_OBJECT_HEADER, NDK_QP,
    NDK_SHARED_ENDPOINT, NTSTATUS, SOCKADDR, STATUS_INVALID_PARAMETER, STATUS_PENDING,
};

pub(super) static DISPATCH: NDK_CONNECTOR_DISPATCH = NDK_CONNECTOR_DISPATCH {
    NdkCloseConnector: Some(close),
    NdkQueryExtension: Some(object::query_extension),
    NdkConnect: Some(connect),
    NdkConnectWithSharedEndpoint: Some(connect_with_shared_endpoint),
    NdkCompleteConnect: Some(complete_connect),
    NdkAccept: Some(accept),
    NdkReject: Some(reject),
    NdkGetConnectionData: Some(get_connection_data),
    NdkGetLocalAddress: Some(get_local_address),
    NdkGetPeerAddress: Some(get_peer_address),
    NdkDisconnect: Some(disconnect),
    NdkCompleteConnectEx: Some(complete_connect_ex),
    NdkAcceptEx: Some(accept_ex),
};

type RequestCompletion = Option<NDK_FN_REQUEST_COMPLETION>;

unsafe extern "system" fn close(
    connector: *mut NDK_OBJECT_HEADER,
    completion: Option<NDK_FN_CLOSE_COMPLETION>,
    context: *mut c_void,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open connector.
    Connector::shut_down(&unsafe { own(connector) });
    // SAFETY: as above, for the last time.
    unsafe { object::close::<Connector>(connector, completion, context) }
}

unsafe extern "system" fn connect(
    connector: *mut NDK_CONNECTOR,
    qp: *mut NDK_QP,
    source: *const SOCKADDR,
    source_length: u32,
    destination: *const SOCKADDR,
    destination_length: u32,
    inbound: u32,
    outbound: u32,
    data: *const c_void,
    data_length: u32,
    callback: RequestCompletion,
    context: *mut c_void,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open connector.
    let connector = unsafe { own(connector) };
    let index = connector.provider().interface_index();
    // SAFETY: the consumer's `SOCKADDR`.
    let source = unsafe { read_address(source, source_length, index) }.map(Source::Address);
    let parts = RawTarget {
        qp,
        destination,
        destination_length,
        index: connector.provider().interface_index(),
        limits: ReadLimits { inbound, outbound },
        data,
        data_length,
    };
    answer(source.and_then(|source| {
        // SAFETY: the consumer's pointers.
        let target = unsafe { parts.check(source) }?;
        Connector::connect(&connector, target, Requester { callback, context })
    }))
}

unsafe extern "system" fn connect_with_shared_endpoint(
    connector: *mut NDK_CONNECTOR,
    qp: *mut NDK_QP,
    endpoint: *mut NDK_SHARED_ENDPOINT,
    destination: *const SOCKADDR,
    destination_length: u32,
    inbound: u32,
    outbound: u32,
    data: *const c_void,
    data_length: u32,
    callback: RequestCompletion,
    context: *mut c_void,
) -> NTSTATUS {
    if endpoint.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: the consumer passes an open connector.
    let connector = unsafe { own(connector) };
    // SAFETY: the consumer passes an open shared endpoint.
    let endpoint = ObjectRef::clone(&*unsafe { object::reference::<SharedEndpoint, _>(endpoint) });
    let parts = RawTarget {
        qp,
        destination,
        destination_length,
        index: connector.provider().interface_index(),
        limits: ReadLimits { inbound, outbound },
        data,
        data_length,
    };
    // SAFETY: the consumer's pointers.
    let target = unsafe { parts.check(Source::Shared(endpoint)) };
    answer(target.and_then(|target| Connector::connect(&connector, target, Requester { callback, context })))
}

/// The arguments that both ways to connect have.
struct RawTarget {
    qp: *mut NDK_QP,
    destination: *const SOCKADDR,
    destination_length: u32,
    /// Of the interface.
    index: u32,
    limits: ReadLimits,
    data: *const c_void,
    data_length: u32,
}

impl RawTarget {
    /// # Safety
    /// The pointers are null, or the consumer's and valid during the call.
    unsafe fn check<'a>(self, source: Source) -> Result<Target<'a>, NTSTATUS> {
        // SAFETY: the caller's promise.
        let peer = unsafe { read_address(self.destination, self.destination_length, self.index) }?;
        // SAFETY: as above.
        let private_data = unsafe { read_data(self.data, self.data_length, MAX_CALLER_DATA) }?;
        Ok(Target {
            // SAFETY: as above.
            qp: unsafe { read_qp(self.qp) }?,
            source,
            peer,
            limits: self.limits,
            private_data,
        })
    }
}

unsafe extern "system" fn complete_connect(
    connector: *mut NDK_CONNECTOR,
    event: Option<NDK_FN_DISCONNECT_EVENT_CALLBACK>,
    event_context: *mut c_void,
    callback: RequestCompletion,
    context: *mut c_void,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open connector.
    let connector = unsafe { own(connector) };
    let event = DisconnectEvent::plain(event, event_context);
    answer(Connector::complete_connect(
        &connector,
        event,
        Requester { callback, context },
    ))
}

unsafe extern "system" fn complete_connect_ex(
    connector: *mut NDK_CONNECTOR,
    event: Option<NDK_FN_DISCONNECT_EVENT_CALLBACK_EX>,
    event_context: *mut c_void,
    callback: RequestCompletion,
    context: *mut c_void,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open connector.
    let connector = unsafe { own(connector) };
    let event = DisconnectEvent::ex(event, event_context);
    answer(Connector::complete_connect(
        &connector,
        event,
        Requester { callback, context },
    ))
}

unsafe extern "system" fn accept(
    connector: *mut NDK_CONNECTOR,
    qp: *mut NDK_QP,
    inbound: u32,
    outbound: u32,
    data: *const c_void,
    data_length: u32,
    event: Option<NDK_FN_DISCONNECT_EVENT_CALLBACK>,
    event_context: *mut c_void,
    callback: RequestCompletion,
    context: *mut c_void,
) -> NTSTATUS {
    let limits = ReadLimits { inbound, outbound };
    let event = DisconnectEvent::plain(event, event_context);
    // SAFETY: the consumer's pointers.
    unsafe {
        accept_with(
            connector,
            qp,
            limits,
            data,
            data_length,
            event,
            Requester { callback, context },
        )
    }
}

unsafe extern "system" fn accept_ex(
    connector: *mut NDK_CONNECTOR,
    qp: *mut NDK_QP,
    inbound: u32,
    outbound: u32,
    data: *const c_void,
    data_length: u32,
    event: Option<NDK_FN_DISCONNECT_EVENT_CALLBACK_EX>,
    event_context: *mut c_void,
    callback: RequestCompletion,
    context: *mut c_void,
) -> NTSTATUS {
    let limits = ReadLimits { inbound, outbound };
    let event = DisconnectEvent::ex(event, event_context);
    // SAFETY: the consumer's pointers.
    unsafe {
        accept_with(
            connector,
            qp,
            limits,
            data,
            data_length,
            event,
            Requester { callback, context },
        )
    }
}

/// # Safety
/// The connector is open; the other pointers are null, or the consumer's and valid during the call.
unsafe fn accept_with(
    connector: *mut NDK_CONNECTOR,
    qp: *mut NDK_QP,
    limits: ReadLimits,
    data: *const c_void,
    data_length: u32,
    event: Option<DisconnectEvent>,
    requester: Requester,
) -> NTSTATUS {
    // SAFETY: the caller's promise.
    let connector = unsafe { own(connector) };
    // SAFETY: as above.
    let private_data = unsafe { read_data(data, data_length, MAX_CALLEE_DATA) };
    answer(private_data.and_then(|private_data| {
        let reply = Answer {
            // SAFETY: as above.
            qp: unsafe { read_qp(qp) }?,
            limits,
            private_data,
            event,
        };
        Connector::accept(&connector, reply, requester)
    }))
}

unsafe extern "system" fn reject(
    connector: *mut NDK_CONNECTOR,
    data: *const c_void,
    length: u32,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open connector.
    let connector = unsafe { own(connector) };
    // SAFETY: the consumer's buffer.
    match unsafe { read_data(data, length, MAX_CALLEE_DATA) } {
        Ok(data) => Connector::reject(&connector, data),
        Err(status) => status,
    }
}

unsafe extern "system" fn disconnect(
    connector: *mut NDK_CONNECTOR,
    callback: RequestCompletion,
    context: *mut c_void,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open connector.
    let connector = unsafe { own(connector) };
    answer(Connector::disconnect(&connector, Requester { callback, context }))
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
    let peer = match connector.data() {
        Ok(peer) => peer,
        Err(status) => return status,
    };
    let buffer = NonNull::new(data.cast::<u8>())
        // SAFETY: the consumer's buffer of `*data_length` bytes, writable during the call and nobody else's.
        .map(|data| unsafe { slice::from_raw_parts_mut(data.as_ptr(), *data_length as usize) });
    let status = private_data::copy_out(peer.bytes(), buffer, *data_length);
    if status == STATUS_INVALID_PARAMETER {
        return status;
    }
    *data_length = u32::try_from(peer.bytes().len()).unwrap_or(u32::MAX);
    // SAFETY: the consumer's variable, or null.
    if let Some(limit) = unsafe { inbound_read_limit.as_mut() } {
        *limit = peer.limits.inbound;
    }
    // SAFETY: the consumer's variable, or null.
    if let Some(limit) = unsafe { outbound_read_limit.as_mut() } {
        *limit = peer.limits.outbound;
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
    let index = connector.provider().interface_index();
    match connector.addresses() {
        // SAFETY: the consumer's buffer and its length.
        Ok((local, _)) => unsafe { store_address(local, index, address, length) },
        Err(status) => status,
    }
}

unsafe extern "system" fn get_peer_address(
    connector: *mut NDK_CONNECTOR,
    address: *mut SOCKADDR,
    length: *mut u32,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open connector.
    let connector: &Connector = unsafe { object::borrow(connector) };
    let index = connector.provider().interface_index();
    match connector.addresses() {
        // SAFETY: the consumer's buffer and its length.
        Ok((_, peer)) => unsafe { store_address(peer, index, address, length) },
        Err(status) => status,
    }
}

/// A reference of our own: the consumer may close the connector in a callback that comes before the function returns.
///
/// # Safety
/// The consumer passes an open connector.
unsafe fn own<P>(connector: *mut P) -> ObjectRef<Connector> {
    // SAFETY: the caller's promise.
    ObjectRef::clone(&*unsafe { object::reference::<Connector, _>(connector) })
}

/// What a function returns whose request completes later, unless it could not be started.
fn answer(started: Result<(), NTSTATUS>) -> NTSTATUS {
    started.err().unwrap_or(STATUS_PENDING)
}

/// # Safety
/// `qp` is null, or an open queue pair of the consumer's.
unsafe fn read_qp(qp: *mut NDK_QP) -> Result<ObjectRef<Qp>, NTSTATUS> {
    if qp.is_null() {
        return Err(STATUS_INVALID_PARAMETER);
    }
    // SAFETY: the caller's promise.
    Ok(ObjectRef::clone(&*unsafe { object::reference::<Qp, _>(qp) }))
}

/// # Safety
/// `data` is null, or has `length` bytes that are readable during the call.
unsafe fn read_data<'a>(data: *const c_void, length: u32, most: u32) -> Result<&'a [u8], NTSTATUS> {
    private_data::check(data.is_null(), length, most)?;
    Ok(match NonNull::new(data.cast_mut()) {
        // SAFETY: the caller's promise.
        Some(data) => unsafe { slice::from_raw_parts(data.cast().as_ptr(), length as usize) },
        None => &[],
    })
}

/// A consumer's `SOCKADDR`, for the interface `index`.
///
/// # Errors
/// `STATUS_INVALID_PARAMETER` if it is null, too short, or of another family than IPv4 and IPv6; `STATUS_INVALID_ADDRESS` if it is
/// on another interface's link.
///
/// # Safety
/// `address` is null, or has `length` readable bytes.
pub unsafe fn read_address(
    address: *const SOCKADDR,
    length: u32,
    index: u32,
) -> Result<SocketAddr, NTSTATUS> {
    if address.is_null() {
        return Err(STATUS_INVALID_PARAMETER);
    }
    // SAFETY: the caller's promise.
    let bytes = unsafe { slice::from_raw_parts(address.cast::<u8>(), length as usize) };
    address::in_scope(address::parse(bytes)?, index)
}

/// The common end of the `Get…Address` functions, for an address that the interface `index` knows.
///
/// # Safety
/// `length` is null or valid; `buffer` is null or has `*length` writable bytes.
pub unsafe fn store_address(
    value: SocketAddr,
    index: u32,
    buffer: *mut SOCKADDR,
    length: *mut u32,
) -> NTSTATUS {
    // SAFETY: valid or null (caller).
    let Some(length) = (unsafe { length.as_mut() }) else {
        return STATUS_INVALID_PARAMETER;
    };
    let buffer = NonNull::new(buffer.cast::<u8>())
        // SAFETY: `*length` writable bytes (caller).
        .map(|buffer| unsafe { slice::from_raw_parts_mut(buffer.as_ptr(), *length as usize) });
    let (status, size) = address::copy_out(address::scoped(value, index), buffer);
    *length = u32::try_from(size).unwrap_or(u32::MAX);
    status
}
