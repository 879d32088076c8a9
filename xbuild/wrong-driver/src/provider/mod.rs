//! An NDK provider that is right but for the fault that was asked for, without a network. A listener delivers one
//! connection request as soon as it listens. Here are objects, adapters, listeners and connectors; `queues` and `memory`
//! have the others.
#![expect(unsafe_code, reason = "functions that consumers call, and calls of consumers")]

mod memory;
mod queues;

use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicUsize, Ordering};

use ndk_sys::{
    AF_INET, GUID, NDIS_HANDLE, NDIS_OPEN_NDK_ADAPTER_PARAMETERS, NDIS_STATUS, NDIS_STATUS_SUCCESS,
    NDK_ADAPTER, NDK_ADAPTER_DISPATCH, NDK_CONNECTOR, NDK_CQ, NDK_EXTENSION_INTERFACE,
    NDK_FN_CLOSE_COMPLETION, NDK_FN_CONNECT_EVENT_CALLBACK, NDK_FN_CREATE_COMPLETION,
    NDK_FN_DISCONNECT_EVENT_CALLBACK, NDK_FN_REQUEST_COMPLETION, NDK_LISTENER, NDK_MW, NDK_OBJECT_HEADER,
    NDK_OBJECT_HEADER_RESERVED_BLOCK, NDK_OBJECT_TYPE, NDK_PD, NDK_PD_DISPATCH, NDK_QP, NDK_SHARED_ENDPOINT,
    NDK_SRQ, NDK_VERSION, NTSTATUS, NdkObjectTypeAdapter, NdkObjectTypeConnector, NdkObjectTypeCq,
    NdkObjectTypeListener, NdkObjectTypePd, SOCKADDR, SOCKADDR_IN, STATUS_BUFFER_TOO_SMALL,
    STATUS_CONNECTION_REFUSED, STATUS_INVALID_DEVICE_STATE, STATUS_NOT_SUPPORTED, STATUS_PENDING,
    STATUS_SUCCESS,
};

use crate::faults::is;
use crate::kernel::{
    self, DISPATCH_LEVEL, KeAcquireSpinLockRaiseToDpc, KeLowerIrql, KeReleaseSpinLock, KfRaiseIrql, number,
    peek, pointer, poke, pool, sleep,
};

/// `STATUS_TIMEOUT`, a success that NDKPI does not know.
const STATUS_TIMEOUT: NTSTATUS = 0x102;
/// An IRQL of devices.
const DEVICE_LEVEL: u8 = 5;

/// An object: the public part, and what the provider needs behind it.
#[repr(C)]
struct Object {
    header: NDK_OBJECT_HEADER,
    dispatch: *const c_void,
    /// The antecedents: an adapter or a PD, a listener or a CQ, another CQ.
    adapter: *mut Object,
    listener: *mut Object,
    third: *mut Object,
    /// Pool that goes with it, or 0.
    extra: usize,
    /// The consumer, successors, running callbacks and functions.
    users: AtomicUsize,
    /// Running event callbacks.
    events: AtomicUsize,
    event: Option<NDK_FN_CONNECT_EVENT_CALLBACK>,
    event_context: *mut c_void,
    close: Option<NDK_FN_CLOSE_COMPLETION>,
    close_context: *mut c_void,
}

/// The first listener's callback, to be called when that is too late.
static LATE_EVENT: AtomicUsize = AtomicUsize::new(0);
static LATE_CONTEXT: AtomicUsize = AtomicUsize::new(0);

unsafe extern "system" fn unsupported() -> NTSTATUS {
    STATUS_NOT_SUPPORTED
}

unsafe extern "system" fn query_extension(
    _: *mut NDK_OBJECT_HEADER,
    _: *mut GUID,
    _: NDK_VERSION,
    _: *mut NDK_EXTENSION_INTERFACE,
) -> NTSTATUS {
    STATUS_NOT_SUPPORTED
}

/// A function that does nothing, whatever its arguments are.
type Slot = unsafe extern "system" fn() -> NTSTATUS;

static ADAPTER: NDK_ADAPTER_DISPATCH = NDK_ADAPTER_DISPATCH {
    NdkQueryExtension: Some(query_extension),
    NdkQueryAdapterInfo: Some(memory::query_info),
    NdkCreateCq: Some(queues::create_cq),
    NdkCreatePd: Some(create_pd),
    NdkCreateSharedEndpoint: Some(create_shared_endpoint),
    NdkCreateConnector: Some(create_connector),
    NdkCreateListener: Some(create_listener),
    NdkBuildLAM: Some(memory::build_lam),
    NdkReleaseLAM: Some(memory::release_lam),
};

static PD: NDK_PD_DISPATCH = NDK_PD_DISPATCH {
    NdkClosePd: Some(close_object),
    NdkQueryExtension: Some(query_extension),
    NdkCreateMr: Some(memory::create_mr),
    NdkCreateMw: Some(create_mw),
    NdkCreateSrq: Some(queues::create_srq),
    NdkCreateQp: Some(queues::create_qp),
    NdkCreateQpWithSrq: Some(create_qp_with_srq),
    NdkGetPrivilegedMemoryRegionToken: Some(get_privileged_token),
};

/// The other tables. Their order is that of the headers.
#[repr(C)]
struct ListenerTable(Close, Slot, Listen, GetAddress, Slot);
type Close = unsafe extern "system" fn(*mut Object, Option<NDK_FN_CLOSE_COMPLETION>, *mut c_void) -> NTSTATUS;
type Listen = unsafe extern "system" fn(
    *mut Object,
    *mut c_void,
    u32,
    NDK_FN_REQUEST_COMPLETION,
    *mut c_void,
) -> NTSTATUS;
type GetAddress = unsafe extern "system" fn(*mut Object, usize, usize) -> NTSTATUS;

#[repr(C)]
struct ConnectorTable(Close, [Slot; 4], Accept, Reject, GetData, [GetAddress; 2], Slot);
type Accept = unsafe extern "system" fn(
    *mut Object,
    *mut NDK_QP,
    u32,
    u32,
    *mut c_void,
    u32,
    Option<NDK_FN_DISCONNECT_EVENT_CALLBACK>,
    *mut c_void,
    NDK_FN_REQUEST_COMPLETION,
    *mut c_void,
) -> NTSTATUS;
type GetData = unsafe extern "system" fn(*mut Object, *mut u32, *mut u32, *mut c_void, *mut u32) -> NTSTATUS;
type Reject = unsafe extern "system" fn(*mut Object, *mut c_void, u32) -> NTSTATUS;

static LISTENER: ListenerTable = ListenerTable(close, unsupported, listen, get_address, unsupported);
static CONNECTOR: ConnectorTable = ConnectorTable(
    close,
    [unsupported; 4],
    accept,
    reject,
    get_data,
    [get_address; 2],
    unsupported,
);
/// A table without functions.
static EMPTY: [usize; 16] = [0; 16];

/// A new object with one user, the consumer.
fn new(
    kind: NDK_OBJECT_TYPE,
    version: NDK_VERSION,
    dispatch: usize,
    adapter: *mut Object,
    listener: *mut Object,
) -> *mut Object {
    let object: *mut Object = pointer(pool(size_of::<Object>()));
    poke(
        number(object),
        Object {
            header: NDK_OBJECT_HEADER {
                Version: version,
                ObjectType: kind,
                NdkReserved: NDK_OBJECT_HEADER_RESERVED_BLOCK { rf: [null_mut(); 4] },
            },
            dispatch: pointer(dispatch),
            adapter,
            listener,
            third: null_mut(),
            extra: 0,
            users: AtomicUsize::new(1),
            events: AtomicUsize::new(0),
            event: None,
            event_context: null_mut(),
            close: None,
            close_context: null_mut(),
        },
    );
    object
}

/// The object behind a pointer, while somebody uses it.
fn object<'a>(pointer: *mut Object) -> &'a mut Object {
    // SAFETY: an object of ours, which is freed when nobody uses it any more.
    unsafe { &mut *pointer }
}

fn acquire(pointer: *mut Object) {
    if !pointer.is_null() {
        object(pointer).users.fetch_add(1, Ordering::Relaxed);
    }
}

/// Ends a use; the last one completes the close. An adapter is freed by its close handler.
fn release(pointer: *mut Object) {
    if pointer.is_null() || object(pointer).users.fetch_sub(1, Ordering::AcqRel) != 1 {
        return;
    }
    let Object {
        adapter,
        listener,
        third,
        extra,
        ..
    } = *object(pointer);
    if adapter.is_null() {
        return;
    }
    complete_close(pointer);
    if extra != 0 {
        kernel::free(extra);
    }
    kernel::free(number(pointer));
    for antecedent in [listener, third, adapter] {
        release(antecedent);
    }
}

fn complete_close(pointer: *mut Object) {
    let Object {
        close, close_context, ..
    } = *object(pointer);
    if let Some(close) = close {
        // SAFETY: the consumer's callback with its context.
        unsafe { close(close_context) };
    }
}

/// `OPEN_NDK_ADAPTER_HANDLER`
pub unsafe extern "system" fn open_adapter(
    _: NDIS_HANDLE,
    parameters: *mut NDIS_OPEN_NDK_ADAPTER_PARAMETERS,
    out: *mut *mut NDK_ADAPTER,
) -> NDIS_STATUS {
    let version: NDK_VERSION = peek(number(parameters));
    let adapter = new(
        NdkObjectTypeAdapter,
        version,
        kernel::address(&ADAPTER),
        null_mut(),
        null_mut(),
    );
    poke(number(out), adapter);
    NDIS_STATUS_SUCCESS
}

/// `CLOSE_NDK_ADAPTER_HANDLER`
pub unsafe extern "system" fn close_adapter(_: NDIS_HANDLE, adapter: *mut NDK_ADAPTER) {
    let adapter: *mut Object = adapter.cast();
    if is("NdkCallbackAfterClose") {
        let event: Option<NDK_FN_CONNECT_EVENT_CALLBACK> = peek(kernel::address(&LATE_EVENT));
        if let Some(event) = event {
            // SAFETY: the callback of a listener that is closed, on purpose.
            unsafe { event(pointer(LATE_CONTEXT.load(Ordering::Relaxed)), null_mut()) };
        }
    }
    if is("NdkAdapterClosedWithObjects") {
        return;
    }
    release(adapter);
    while object(adapter).users.load(Ordering::Acquire) != 0 {
        sleep(10);
    }
    kernel::free(number(adapter));
}

unsafe extern "system" fn create_pd(
    adapter: *mut NDK_ADAPTER,
    _: Option<NDK_FN_CREATE_COMPLETION>,
    _: *mut c_void,
    out: *mut *mut NDK_PD,
) -> NTSTATUS {
    if is("NdkStatusOfFunction") {
        return STATUS_CONNECTION_REFUSED;
    }
    let adapter: *mut Object = adapter.cast();
    acquire(adapter);
    let version = object(adapter).header.Version;
    let pd = new(
        NdkObjectTypePd,
        version,
        kernel::address(&PD),
        adapter,
        null_mut(),
    );
    poke(number(out), pd);
    STATUS_SUCCESS
}

unsafe extern "system" fn create_shared_endpoint(
    _: *mut NDK_ADAPTER,
    _: *const SOCKADDR,
    _: u32,
    _: Option<NDK_FN_CREATE_COMPLETION>,
    _: *mut c_void,
    _: *mut *mut NDK_SHARED_ENDPOINT,
) -> NTSTATUS {
    STATUS_NOT_SUPPORTED
}

unsafe extern "system" fn create_connector(
    _: *mut NDK_ADAPTER,
    _: Option<NDK_FN_CREATE_COMPLETION>,
    _: *mut c_void,
    _: *mut *mut NDK_CONNECTOR,
) -> NTSTATUS {
    STATUS_NOT_SUPPORTED
}

unsafe extern "system" fn create_mw(
    _: *mut NDK_PD,
    _: Option<NDK_FN_CREATE_COMPLETION>,
    _: *mut c_void,
    _: *mut *mut NDK_MW,
) -> NTSTATUS {
    STATUS_NOT_SUPPORTED
}

unsafe extern "system" fn create_qp_with_srq(
    _: *mut NDK_PD,
    _: *mut NDK_CQ,
    _: *mut NDK_CQ,
    _: *mut NDK_SRQ,
    _: *mut c_void,
    _: u32,
    _: u32,
    _: u32,
    _: Option<NDK_FN_CREATE_COMPLETION>,
    _: *mut c_void,
    _: *mut *mut NDK_QP,
) -> NTSTATUS {
    STATUS_NOT_SUPPORTED
}

unsafe extern "system" fn get_privileged_token(_: *mut NDK_PD, out: *mut u32) {
    poke(number(out), 0x100_u32);
}

unsafe extern "system" fn create_listener(
    adapter: *mut NDK_ADAPTER,
    event: Option<NDK_FN_CONNECT_EVENT_CALLBACK>,
    context: *mut c_void,
    completion: Option<NDK_FN_CREATE_COMPLETION>,
    completion_context: *mut c_void,
    out: *mut *mut NDK_LISTENER,
) -> NTSTATUS {
    let adapter: *mut Object = adapter.cast();
    let mut version = object(adapter).header.Version;
    if is("NdkObjectHeader-version") {
        version.Minor += 1;
    }
    let kind = if is("NdkObjectHeader") {
        NdkObjectTypeCq
    } else {
        NdkObjectTypeListener
    };
    let table = if is("NdkObjectHeader-slot") {
        kernel::address(&EMPTY)
    } else {
        kernel::address(&LISTENER)
    };
    acquire(adapter);
    let listener = new(kind, version, table, adapter, null_mut());
    object(listener).event = event;
    object(listener).event_context = context;
    if LATE_CONTEXT
        .compare_exchange(0, number(context), Ordering::Relaxed, Ordering::Relaxed)
        .is_ok()
    {
        poke(kernel::address(&LATE_EVENT), event);
    }
    if is("NdkObjectHeader-reserved") {
        object(listener).header.NdkReserved.rf[3] = pointer(1);
    }
    poke(number(out), listener);
    if is("NdkOutParamOnPending")
        && let Some(completion) = completion
    {
        // SAFETY: the consumer's callback with its context.
        unsafe { completion(completion_context, STATUS_SUCCESS, listener.cast()) };
        return STATUS_PENDING;
    }
    STATUS_SUCCESS
}

unsafe extern "system" fn listen(
    listener: *mut Object,
    _: *mut c_void,
    _: u32,
    completion: NDK_FN_REQUEST_COMPLETION,
    context: *mut c_void,
) -> NTSTATUS {
    if is("NdkReservedTouched") {
        object(listener).header.NdkReserved.rf[0] = null_mut();
    }
    if is("NdkDispatchUsed") {
        let table = number(object(listener).dispatch);
        let get_local_address: GetAddress = peek(table + core::mem::offset_of!(ListenerTable, 3));
        // SAFETY: a function of the consumer's table, on purpose.
        let _ = unsafe { get_local_address(listener, 0, 0) };
    }
    if is("NdkPendingWithoutCompletion") {
        return STATUS_PENDING;
    }
    if is("NdkCompletionTwice") || is("NdkCompletionWithoutPending") {
        for _ in 0..if is("NdkCompletionTwice") { 2 } else { 1 } {
            // SAFETY: the consumer's callback with its context.
            unsafe { completion(context, STATUS_SUCCESS) };
        }
        return STATUS_SUCCESS;
    }
    if is("NdkStatusUndocumented") {
        return STATUS_TIMEOUT;
    }
    acquire(listener);
    deliver(listener);
    release(listener);
    STATUS_SUCCESS
}

/// Hands a new connector to the consumer.
fn deliver(listener: *mut Object) {
    let Object {
        adapter,
        event,
        event_context,
        ..
    } = *object(listener);
    let Some(event) = event else { return };
    acquire(adapter);
    acquire(listener);
    let version = object(adapter).header.Version;
    let connector = new(
        NdkObjectTypeConnector,
        version,
        kernel::address(&CONNECTOR),
        adapter,
        listener,
    );
    let context = if is("NdkContext") {
        pointer(number(event_context) + 8)
    } else {
        event_context
    };
    acquire(listener);
    object(listener).events.fetch_add(1, Ordering::Relaxed);
    let lock = if is("NdkCallbackLockHeld") { pool(8) } else { 0 };
    let old = if lock == 0 {
        KfRaiseIrql(if is("NdkCallbackIrql") {
            DEVICE_LEVEL
        } else {
            DISPATCH_LEVEL
        })
    } else {
        KeAcquireSpinLockRaiseToDpc(lock)
    };
    // SAFETY: the consumer's callback with its context.
    unsafe { event(context, connector.cast()) };
    if lock == 0 {
        KeLowerIrql(old);
    } else {
        KeReleaseSpinLock(lock, old);
    }
    object(listener).events.fetch_sub(1, Ordering::Relaxed);
    release(listener);
}

unsafe extern "system" fn reject(connector: *mut Object, _: *mut c_void, _: u32) -> NTSTATUS {
    if is("NdkConnectEventOverlap") {
        deliver(object(connector).listener);
    }
    STATUS_SUCCESS
}

/// Establishes nothing, and may tell of the end of it at once.
unsafe extern "system" fn accept(
    connector: *mut Object,
    _: *mut NDK_QP,
    _: u32,
    _: u32,
    _: *mut c_void,
    _: u32,
    event: Option<NDK_FN_DISCONNECT_EVENT_CALLBACK>,
    context: *mut c_void,
    _: NDK_FN_REQUEST_COMPLETION,
    _: *mut c_void,
) -> NTSTATUS {
    let times = if is("NdkDisconnectEventTwice") { 2 } else { 1 };
    acquire(connector);
    for _ in 0..times {
        if let Some(event) = event {
            // SAFETY: the consumer's callback with its context.
            unsafe { event(context) };
        }
    }
    release(connector);
    STATUS_SUCCESS
}

unsafe extern "system" fn get_data(
    _: *mut Object,
    _: *mut u32,
    _: *mut u32,
    data: *mut c_void,
    length: *mut u32,
) -> NTSTATUS {
    /// What a peer may have sent.
    const REQUIRED: u32 = 56;
    let room: u32 = peek(number(length));
    poke(number(length), REQUIRED);
    for index in 0..room.min(REQUIRED) as usize {
        poke(number(data) + index, 0_u8);
    }
    if is("NdkConnectionData") || data.is_null() || room >= REQUIRED {
        return STATUS_SUCCESS;
    }
    STATUS_BUFFER_TOO_SMALL
}

unsafe extern "system" fn get_address(_: *mut Object, address: usize, length: usize) -> NTSTATUS {
    /// Bytes of a `SOCKADDR_IN`.
    const SIZE: u32 = 16;
    if peek::<u32>(length) < SIZE || address == 0 {
        poke(length, SIZE);
        return STATUS_BUFFER_TOO_SMALL;
    }
    poke(length, SIZE);
    let mut value = SOCKADDR_IN::zeroed();
    value.sin_family = if is("NdkAddress") { 99 } else { AF_INET };
    poke(address, value);
    STATUS_SUCCESS
}

unsafe extern "system" fn close_object(
    pointer: *mut NDK_OBJECT_HEADER,
    completion: Option<NDK_FN_CLOSE_COMPLETION>,
    context: *mut c_void,
) -> NTSTATUS {
    let pointer: *mut Object = pointer.cast();
    object(pointer).close = completion;
    object(pointer).close_context = context;
    release(pointer);
    STATUS_PENDING
}

unsafe extern "system" fn close(
    pointer: *mut Object,
    completion: Option<NDK_FN_CLOSE_COMPLETION>,
    context: *mut c_void,
) -> NTSTATUS {
    if is("NdkStatusUndocumented-close") {
        return STATUS_INVALID_DEVICE_STATE;
    }
    object(pointer).close = completion;
    object(pointer).close_context = context;
    let is_listener = object(pointer).listener.is_null();
    let running = object(pointer).events.load(Ordering::Relaxed) != 0;
    if is_listener && (is("NdkCloseDuringCallback") && running || is("NdkCloseOrder") && !running) {
        complete_close(pointer);
        object(pointer).close = None;
    }
    release(pointer);
    STATUS_PENDING
}
