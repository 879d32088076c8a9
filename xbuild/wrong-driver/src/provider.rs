//! An NDK provider that is right but for the fault that was asked for: adapters, listeners and connectors without a
//! network. A listener delivers one connection request as soon as it listens.
#![expect(unsafe_code, reason = "functions that consumers call, and calls of consumers")]

use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicUsize, Ordering};

use ndk_sys::{
    AF_INET, NDIS_HANDLE, NDIS_OPEN_NDK_ADAPTER_PARAMETERS, NDIS_STATUS, NDIS_STATUS_SUCCESS, NDK_ADAPTER,
    NDK_FN_CLOSE_COMPLETION, NDK_FN_CONNECT_EVENT_CALLBACK, NDK_FN_CREATE_COMPLETION,
    NDK_FN_REQUEST_COMPLETION, NDK_OBJECT_HEADER, NDK_OBJECT_HEADER_RESERVED_BLOCK, NDK_OBJECT_TYPE,
    NDK_VERSION, NTSTATUS, NdkObjectTypeAdapter, NdkObjectTypeConnector, NdkObjectTypeCq,
    NdkObjectTypeListener, SOCKADDR_IN, STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_DEVICE_STATE,
    STATUS_NOT_SUPPORTED, STATUS_PENDING, STATUS_SUCCESS,
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
    adapter: *mut Object,
    listener: *mut Object,
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

/// A function that does nothing, whatever its arguments are.
type Slot = unsafe extern "system" fn() -> NTSTATUS;

/// The tables. Their order is that of the headers.
#[repr(C)]
struct AdapterTable([Slot; 5], [Slot; 1], CreateListener, [Slot; 2]);
type CreateListener = unsafe extern "system" fn(
    *mut Object,
    Option<NDK_FN_CONNECT_EVENT_CALLBACK>,
    *mut c_void,
    NDK_FN_CREATE_COMPLETION,
    *mut c_void,
    *mut *mut Object,
) -> NTSTATUS;

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
struct ConnectorTable(Close, [Slot; 5], Reject, Slot, [GetAddress; 2], Slot);
type Reject = unsafe extern "system" fn(*mut Object, *mut c_void, u32) -> NTSTATUS;

static ADAPTER: AdapterTable = AdapterTable(
    [unsupported; 5],
    [unsupported; 1],
    create_listener,
    [unsupported; 2],
);
static LISTENER: ListenerTable = ListenerTable(close, unsupported, listen, get_address, unsupported);
static CONNECTOR: ConnectorTable = ConnectorTable(
    close,
    [unsupported; 5],
    reject,
    unsupported,
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
        adapter, listener, ..
    } = *object(pointer);
    if adapter.is_null() {
        return;
    }
    complete_close(pointer);
    kernel::free(number(pointer));
    release(listener);
    release(adapter);
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

unsafe extern "system" fn create_listener(
    adapter: *mut Object,
    event: Option<NDK_FN_CONNECT_EVENT_CALLBACK>,
    context: *mut c_void,
    completion: NDK_FN_CREATE_COMPLETION,
    completion_context: *mut c_void,
    out: *mut *mut Object,
) -> NTSTATUS {
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
    if is("NdkOutParamOnPending") {
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
