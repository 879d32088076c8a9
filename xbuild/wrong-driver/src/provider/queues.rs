//! Queues without a network: every request completes at once, but for receives, which complete when they are flushed or
//! when something is sent.

use core::ffi::c_void;
use core::ptr::null_mut;

use ndk_sys::{
    GROUP_AFFINITY, NDK_CQ, NDK_CQ_DISPATCH, NDK_CQ_NOTIFY_SOLICITED, NDK_FN_CQ_NOTIFICATION_CALLBACK,
    NDK_FN_CREATE_COMPLETION, NDK_FN_REQUEST_COMPLETION, NDK_FN_SRQ_NOTIFICATION_CALLBACK,
    NDK_LOGICAL_ADDRESS, NDK_MR, NDK_MW, NDK_OBJECT_HEADER, NDK_OP_FLAG_DEFER, NDK_OP_FLAG_SILENT_SUCCESS,
    NDK_OPERATION_TYPE, NDK_PD, NDK_QP, NDK_QP_DISPATCH, NDK_RESULT, NDK_RESULT_EX, NDK_SGE, NDK_SRQ,
    NDK_SRQ_DISPATCH, NTSTATUS, NdkObjectTypeCq, NdkObjectTypeQp, NdkObjectTypeSrq, NdkOperationTypeBind,
    NdkOperationTypeFastRegister, NdkOperationTypeInvalidate, NdkOperationTypeRead, NdkOperationTypeReceive,
    NdkOperationTypeSend, NdkOperationTypeWrite, STATUS_BUFFER_OVERFLOW, STATUS_CANCELLED,
    STATUS_DATA_OVERRUN, STATUS_IO_TIMEOUT, STATUS_SUCCESS,
};

use super::{Object, acquire, close_object, new, object, query_extension};
use crate::faults::is;
use crate::kernel::{self, number, peek, pointer, poke, pool};

/// `STATUS_UNSUCCESSFUL`
const UNSUCCESSFUL: NTSTATUS = 0xC000_0001_u32.cast_signed();

/// Requests that fit a queue.
const DEPTH: usize = 64;
/// Elements that a request may have.
const ELEMENTS: u32 = 16;
/// Not armed.
const UNARMED: u32 = u32::MAX;

/// What a CQ has behind the object.
struct Completions {
    results: [NDK_RESULT_EX; DEPTH],
    count: usize,
    armed: u32,
    running: bool,
    notification: Option<NDK_FN_CQ_NOTIFICATION_CALLBACK>,
    context: *mut c_void,
}

/// What a QP has behind the object.
struct Requests {
    receive_cq: *mut Object,
    initiator_cq: *mut Object,
    context: *mut c_void,
    receives: [*mut c_void; DEPTH],
    receive_count: usize,
    /// Deferred sends.
    deferred: [*mut c_void; DEPTH],
    deferred_count: usize,
    sent: usize,
}

/// What a queue has behind its object.
fn extra<'a, T>(queue: *mut Object) -> &'a mut T {
    // SAFETY: memory that was made with the object, of the type that its kind says.
    unsafe { &mut *pointer::<T>(object(queue).extra) }
}

/// Memory that goes with an object.
fn attach<T>(queue: *mut Object, value: T) {
    let memory = pool(size_of::<T>());
    poke(memory, value);
    object(queue).extra = memory;
}

static CQ: NDK_CQ_DISPATCH = NDK_CQ_DISPATCH {
    NdkCloseCq: Some(close_object),
    NdkQueryExtension: Some(query_extension),
    NdkResizeCq: Some(resize),
    NdkArmCq: Some(arm),
    NdkGetCqResults: Some(results),
    NdkControlCqInterruptModeration: Some(moderate),
    NdkGetCqResultsEx: Some(results_ex),
};

/// `NDK_FN_CREATE_CQ`
pub unsafe extern "system" fn create_cq(
    adapter: *mut ndk_sys::NDK_ADAPTER,
    _: u32,
    notification: Option<NDK_FN_CQ_NOTIFICATION_CALLBACK>,
    context: *mut c_void,
    _: *mut GROUP_AFFINITY,
    _: Option<NDK_FN_CREATE_COMPLETION>,
    _: *mut c_void,
    out: *mut *mut NDK_CQ,
) -> NTSTATUS {
    let adapter: *mut Object = adapter.cast();
    acquire(adapter);
    let version = object(adapter).header.Version;
    let cq = new(
        NdkObjectTypeCq,
        version,
        kernel::address(&CQ),
        adapter,
        null_mut(),
    );
    attach(
        cq,
        Completions {
            results: [NDK_RESULT_EX::zeroed(); DEPTH],
            count: 0,
            armed: UNARMED,
            running: false,
            notification,
            context,
        },
    );
    poke(number(out), cq);
    STATUS_SUCCESS
}

/// Adds a completion, and tells the consumer if it has asked for that.
fn complete(cq: *mut Object, result: NDK_RESULT_EX) {
    let queue: &mut Completions = extra(cq);
    if queue.count < DEPTH {
        queue.results[queue.count] = result;
        queue.count += 1;
    }
    if is("NdkResultOrder") && queue.count == 2 {
        queue.results.swap(0, 1);
    }
    let solicited = result.Type == NdkOperationTypeReceive || result.Status != STATUS_SUCCESS;
    let wanted = queue.armed != NDK_CQ_NOTIFY_SOLICITED || solicited || is("NdkCqNotSolicited");
    if queue.armed != UNARMED && wanted || is("NdkCqNotArmed") {
        notify(cq);
    }
}

fn notify(cq: *mut Object) {
    if is("NdkCqLostWakeup") {
        return;
    }
    let queue: &mut Completions = extra(cq);
    let Some(notification) = queue.notification else {
        return;
    };
    if queue.running && !is("NdkCqNotificationOverlap") {
        return;
    }
    queue.armed = UNARMED;
    queue.running = true;
    let context = queue.context;
    let status = if is("NdkNotificationStatus") {
        UNSUCCESSFUL
    } else {
        STATUS_SUCCESS
    };
    acquire(cq);
    object(cq)
        .events
        .fetch_add(1, core::sync::atomic::Ordering::Relaxed);
    // SAFETY: the consumer's callback with its context.
    unsafe { notification(context, status) };
    object(cq)
        .events
        .fetch_sub(1, core::sync::atomic::Ordering::Relaxed);
    let queue: &mut Completions = extra(cq);
    queue.running = false;
    super::release(cq);
}

unsafe extern "system" fn arm(cq: *mut NDK_CQ, kind: u32) {
    let cq: *mut Object = cq.cast();
    let queue: &mut Completions = extra(cq);
    queue.armed = kind;
    if is("NdkCqNotificationOverlap") && queue.running {
        notify(cq);
    }
}

unsafe extern "system" fn resize(
    _: *mut NDK_CQ,
    _: u32,
    _: Option<NDK_FN_REQUEST_COMPLETION>,
    _: *mut c_void,
) -> NTSTATUS {
    STATUS_SUCCESS
}

unsafe extern "system" fn moderate(_: *mut NDK_CQ, _: u32, _: u32) -> NTSTATUS {
    STATUS_SUCCESS
}

/// Takes up to `room` results out, each by `store`.
fn take(cq: *mut NDK_CQ, room: u32, mut store: impl FnMut(usize, &NDK_RESULT_EX)) -> u32 {
    let queue: &mut Completions = extra(cq.cast());
    let count = queue.count.min(room as usize);
    for (index, result) in queue.results[..count].iter().enumerate() {
        store(index, result);
    }
    queue.results.copy_within(count.., 0);
    queue.count -= count;
    let count = u32::try_from(count).unwrap_or(0);
    if is("NdkResultCount") && count != 0 {
        room + 1
    } else {
        count
    }
}

unsafe extern "system" fn results(cq: *mut NDK_CQ, out: *mut NDK_RESULT, room: u32) -> u32 {
    take(cq, room, |index, result| {
        let head: NDK_RESULT = peek(kernel::address(result));
        poke(number(out) + index * size_of::<NDK_RESULT>(), head);
    })
}

unsafe extern "system" fn results_ex(cq: *mut NDK_CQ, out: *mut NDK_RESULT_EX, room: u32) -> u32 {
    take(cq, room, |index, result| {
        poke(number(out) + index * size_of::<NDK_RESULT_EX>(), *result);
    })
}

static SRQ: NDK_SRQ_DISPATCH = NDK_SRQ_DISPATCH {
    NdkCloseSrq: Some(close_object),
    NdkQueryExtension: Some(query_extension),
    NdkModifySrq: Some(modify_srq),
    NdkSrqReceive: Some(srq_receive),
};

/// `NDK_FN_CREATE_SRQ`
pub unsafe extern "system" fn create_srq(
    pd: *mut NDK_PD,
    _: u32,
    _: u32,
    _: u32,
    notification: Option<NDK_FN_SRQ_NOTIFICATION_CALLBACK>,
    context: *mut c_void,
    _: *mut GROUP_AFFINITY,
    _: Option<NDK_FN_CREATE_COMPLETION>,
    _: *mut c_void,
    out: *mut *mut NDK_SRQ,
) -> NTSTATUS {
    let pd: *mut Object = pd.cast();
    acquire(pd);
    let version = object(pd).header.Version;
    let srq = new(NdkObjectTypeSrq, version, kernel::address(&SRQ), pd, null_mut());
    attach(srq, (notification, context));
    poke(number(out), srq);
    STATUS_SUCCESS
}

unsafe extern "system" fn modify_srq(
    srq: *mut NDK_SRQ,
    _: u32,
    _: u32,
    _: Option<NDK_FN_REQUEST_COMPLETION>,
    _: *mut c_void,
) -> NTSTATUS {
    let (notification, context) =
        *extra::<(Option<NDK_FN_SRQ_NOTIFICATION_CALLBACK>, *mut c_void)>(srq.cast());
    let times = if is("NdkSrqNotArmed") { 2 } else { 1 };
    for _ in 0..times {
        if let Some(notification) = notification {
            // SAFETY: the consumer's callback with its context: the queue is empty.
            unsafe { notification(context, STATUS_SUCCESS) };
        }
    }
    STATUS_SUCCESS
}

unsafe extern "system" fn srq_receive(
    _: *mut NDK_SRQ,
    _: *mut c_void,
    _: *const NDK_SGE,
    _: u32,
) -> NTSTATUS {
    STATUS_SUCCESS
}

static QP: NDK_QP_DISPATCH = NDK_QP_DISPATCH {
    NdkCloseQp: Some(close_object),
    NdkQueryExtension: Some(query_extension),
    NdkFlush: Some(flush),
    NdkSend: Some(send),
    NdkReceive: Some(receive),
    NdkBind: Some(bind),
    NdkFastRegister: Some(fast_register),
    NdkInvalidate: Some(invalidate),
    NdkRead: Some(read),
    NdkWrite: Some(write),
    NdkSendAndInvalidate: Some(send_and_invalidate),
};

/// `NDK_FN_CREATE_QP`
pub unsafe extern "system" fn create_qp(
    pd: *mut NDK_PD,
    receive_cq: *mut NDK_CQ,
    initiator_cq: *mut NDK_CQ,
    context: *mut c_void,
    _: u32,
    _: u32,
    _: u32,
    _: u32,
    _: u32,
    _: Option<NDK_FN_CREATE_COMPLETION>,
    _: *mut c_void,
    out: *mut *mut NDK_QP,
) -> NTSTATUS {
    let (pd, receive_cq): (*mut Object, *mut Object) = (pd.cast(), receive_cq.cast());
    let initiator_cq: *mut Object = initiator_cq.cast();
    for antecedent in [pd, receive_cq, initiator_cq] {
        acquire(antecedent);
    }
    let version = object(pd).header.Version;
    let qp = new(NdkObjectTypeQp, version, kernel::address(&QP), pd, receive_cq);
    object(qp).third = initiator_cq;
    attach(
        qp,
        Requests {
            receive_cq,
            initiator_cq,
            context,
            receives: [null_mut(); DEPTH],
            receive_count: 0,
            deferred: [null_mut(); DEPTH],
            deferred_count: 0,
            sent: 0,
        },
    );
    poke(number(out), qp);
    STATUS_SUCCESS
}

impl Requests {
    fn result(&self, request: *mut c_void, kind: NDK_OPERATION_TYPE, status: NTSTATUS) -> NDK_RESULT_EX {
        let mut result = NDK_RESULT_EX::zeroed();
        result.Status = status;
        result.QPContext = if is("NdkResultFields") {
            pointer(number(self.context) + 8)
        } else {
            self.context
        };
        result.RequestContext = request;
        result.Type = kind;
        result
    }
}

/// Posts an initiator's request, which completes at once.
fn initiate(
    qp: *mut Object,
    request: *mut c_void,
    kind: NDK_OPERATION_TYPE,
    elements: u32,
    flags: u32,
) -> NTSTATUS {
    let queue: &mut Requests = extra(qp);
    if elements > ELEMENTS {
        if is("NdkResultUnknown-failed") {
            complete(queue.initiator_cq, queue.result(request, kind, STATUS_SUCCESS));
        }
        if !is("NdkDeferredStuck") {
            kick(queue);
        }
        return if is("NdkStatusOfFunction-post") {
            UNSUCCESSFUL
        } else {
            STATUS_DATA_OVERRUN
        };
    }
    if flags & NDK_OP_FLAG_DEFER != 0 && queue.deferred_count < DEPTH {
        queue.deferred[queue.deferred_count] = request;
        queue.deferred_count += 1;
        return STATUS_SUCCESS;
    }
    kick(queue);
    queue.sent += 1;
    let status = if is("NdkResultStatus") {
        STATUS_BUFFER_OVERFLOW
    } else if is("NdkResultAfterError") && queue.sent == 1 {
        STATUS_IO_TIMEOUT
    } else {
        STATUS_SUCCESS
    };
    if kind == NdkOperationTypeSend && queue.receive_count != 0 {
        let receive = queue.receives[0];
        queue.receives.copy_within(1.., 0);
        queue.receive_count -= 1;
        complete(
            queue.receive_cq,
            queue.result(receive, NdkOperationTypeReceive, STATUS_SUCCESS),
        );
    }
    if flags & NDK_OP_FLAG_SILENT_SUCCESS != 0 && status == STATUS_SUCCESS && !is("NdkResultSilent") {
        return STATUS_SUCCESS;
    }
    for _ in 0..if is("NdkResultUnknown") { 2 } else { 1 } {
        complete(queue.initiator_cq, queue.result(request, kind, status));
    }
    STATUS_SUCCESS
}

/// Processes what was deferred.
fn kick(queue: &mut Requests) {
    let count = core::mem::take(&mut queue.deferred_count);
    for request in queue.deferred.into_iter().take(count) {
        complete(
            queue.initiator_cq,
            queue.result(request, NdkOperationTypeSend, STATUS_SUCCESS),
        );
    }
}

unsafe extern "system" fn flush(qp: *mut NDK_QP) {
    if is("NdkRequestLost") {
        return;
    }
    let queue: &mut Requests = extra(qp.cast());
    let count = core::mem::take(&mut queue.receive_count);
    for request in queue.receives.into_iter().take(count) {
        complete(
            queue.receive_cq,
            queue.result(request, NdkOperationTypeReceive, STATUS_CANCELLED),
        );
    }
}

unsafe extern "system" fn receive(
    qp: *mut NDK_QP,
    request: *mut c_void,
    _: *const NDK_SGE,
    _: u32,
) -> NTSTATUS {
    let queue: &mut Requests = extra(qp.cast());
    if queue.receive_count == DEPTH {
        return STATUS_DATA_OVERRUN;
    }
    queue.receives[queue.receive_count] = request;
    queue.receive_count += 1;
    STATUS_SUCCESS
}

unsafe extern "system" fn send(
    qp: *mut NDK_QP,
    request: *mut c_void,
    _: *const NDK_SGE,
    elements: u32,
    flags: u32,
) -> NTSTATUS {
    initiate(qp.cast(), request, NdkOperationTypeSend, elements, flags)
}

unsafe extern "system" fn send_and_invalidate(
    qp: *mut NDK_QP,
    request: *mut c_void,
    _: *const NDK_SGE,
    elements: u32,
    flags: u32,
    _: u32,
) -> NTSTATUS {
    initiate(qp.cast(), request, NdkOperationTypeSend, elements, flags)
}

unsafe extern "system" fn read(
    qp: *mut NDK_QP,
    request: *mut c_void,
    _: *const NDK_SGE,
    elements: u32,
    _: u64,
    _: u32,
    flags: u32,
) -> NTSTATUS {
    initiate(qp.cast(), request, NdkOperationTypeRead, elements, flags)
}

unsafe extern "system" fn write(
    qp: *mut NDK_QP,
    request: *mut c_void,
    _: *const NDK_SGE,
    elements: u32,
    _: u64,
    _: u32,
    flags: u32,
) -> NTSTATUS {
    initiate(qp.cast(), request, NdkOperationTypeWrite, elements, flags)
}

unsafe extern "system" fn bind(
    qp: *mut NDK_QP,
    request: *mut c_void,
    _: *mut NDK_MR,
    _: *mut NDK_MW,
    _: *mut c_void,
    _: usize,
    flags: u32,
) -> NTSTATUS {
    initiate(qp.cast(), request, NdkOperationTypeBind, 0, flags)
}

unsafe extern "system" fn fast_register(
    qp: *mut NDK_QP,
    request: *mut c_void,
    _: *mut NDK_MR,
    _: u32,
    _: *const NDK_LOGICAL_ADDRESS,
    _: u32,
    _: usize,
    _: *mut c_void,
    flags: u32,
) -> NTSTATUS {
    initiate(qp.cast(), request, NdkOperationTypeFastRegister, 0, flags)
}

unsafe extern "system" fn invalidate(
    qp: *mut NDK_QP,
    request: *mut c_void,
    _: *mut NDK_OBJECT_HEADER,
    flags: u32,
) -> NTSTATUS {
    initiate(qp.cast(), request, NdkOperationTypeInvalidate, 0, flags)
}
