//! `NdkGetCqResults` and `NdkGetCqResultsEx`.
#![expect(unsafe_code, reason = "entries that consumers call by pointer")]

use super::completion_status::WorkResult;
use super::cq::Cq;
use super::object;
use crate::nic::work_queue::queue_pair::{QueuePair, Receives};
use core::mem::MaybeUninit;
use core::ptr::without_provenance_mut;
use ndk_sys::{NDK_CQ, NDK_OPERATION_TYPE, NDK_RESULT, NDK_RESULT_EX, NdkOperationTypeReceive};

/// The two forms in which results are wanted.
trait Record {
    fn new(result: WorkResult, qp_context: u64, request: u64) -> Self;
}

impl Record for NDK_RESULT {
    #[inline]
    fn new(result: WorkResult, qp_context: u64, request: u64) -> Self {
        Self {
            Status: result.status,
            BytesTransferred: result.bytes,
            QPContext: pointer(qp_context),
            RequestContext: pointer(request),
        }
    }
}

impl Record for NDK_RESULT_EX {
    #[inline]
    fn new(result: WorkResult, qp_context: u64, request: u64) -> Self {
        Self {
            Status: result.status,
            BytesTransferred: result.bytes,
            QPContext: pointer(qp_context),
            RequestContext: pointer(request),
            Type: result.operation,
            ProviderErrorCode: result.provider_error,
            TypeSpecificCompletionOutput: result.token as usize,
        }
    }
}

/// What the consumer gave as a pointer is never followed here, only given back.
#[inline]
fn pointer(context: u64) -> *mut core::ffi::c_void {
    without_provenance_mut(usize::try_from(context).unwrap_or(0))
}

impl Cq {
    /// Takes as many results as there are and fit.
    #[expect(
        clippy::inline_always,
        reason = "the fast path: each form of results gets code of its own"
    )]
    #[inline(always)]
    fn poll<R: Record>(&self, room: &mut [MaybeUninit<R>]) -> u32 {
        if self.has_failed() {
            self.poll_failed(room)
        } else {
            self.take(room)
        }
    }

    #[expect(
        clippy::inline_always,
        reason = "the fast path: each form of results gets code of its own"
    )]
    #[inline(always)]
    fn take<R: Record>(&self, room: &mut [MaybeUninit<R>]) -> u32 {
        let mut poll = self.queue.poll();
        for place in room {
            let Some(taken) = poll.take_next() else { break };
            let result = if taken.completion.is_receive() {
                WorkResult::of_receive(&taken.completion)
            } else {
                WorkResult::of_initiator(&taken.completion, NDK_OPERATION_TYPE::from(taken.ended.kind))
            };
            place.write(R::new(result, taken.pair.context, taken.ended.request));
        }
        let (count, result) = poll.finish();
        if result.is_err() {
            self.set_broken();
        }
        count
    }

    /// The queue gets no more completions. What is in it is taken, and then what is outstanding is cancelled, once the device
    /// does nothing with it any more.
    #[cold]
    fn poll_failed<R: Record>(&self, room: &mut [MaybeUninit<R>]) -> u32 {
        let mut count = if self.is_broken() { 0 } else { self.take(room) };
        for place in room.iter_mut().skip(count as usize) {
            let Some((pair, operation, request)) = self.next_outstanding() else {
                break;
            };
            place.write(R::new(WorkResult::cancelled(operation), pair.context, request));
            count += 1;
        }
        count
    }

    /// A request that the device has left outstanding.
    fn next_outstanding(&self) -> Option<(&QueuePair, NDK_OPERATION_TYPE, u64)> {
        let mut quiet = self
            .queue
            .pairs()
            .filter(|pair| pair.is_quiet() && !pair.is_closed());
        quiet.find_map(|pair| {
            if pair.send_cq == self.number()
                && let Some(ended) = pair.send.abandon_oldest()
            {
                return Some((pair, NDK_OPERATION_TYPE::from(ended.kind), ended.request));
            }
            match &pair.receives {
                Receives::Own(queue) if pair.receive_cq == self.number() => {
                    let request = queue.abandon_oldest()?;
                    Some((pair, NdkOperationTypeReceive, request))
                }
                _ => None,
            }
        })
    }
}

pub unsafe extern "system" fn get_cq_results(cq: *mut NDK_CQ, results: *mut NDK_RESULT, count: u32) -> u32 {
    if results.is_null() {
        return 0;
    }
    // SAFETY: the consumer passes an open queue.
    let cq: &Cq = unsafe { object::borrow(cq) };
    // SAFETY: the consumer's array, of which nothing is read.
    cq.poll(unsafe {
        core::slice::from_raw_parts_mut(results.cast::<MaybeUninit<NDK_RESULT>>(), count as usize)
    })
}

pub unsafe extern "system" fn get_cq_results_ex(
    cq: *mut NDK_CQ,
    results: *mut NDK_RESULT_EX,
    count: u32,
) -> u32 {
    if results.is_null() {
        return 0;
    }
    // SAFETY: the consumer passes an open queue.
    let cq: &Cq = unsafe { object::borrow(cq) };
    // SAFETY: the consumer's array, of which nothing is read.
    cq.poll(unsafe {
        core::slice::from_raw_parts_mut(results.cast::<MaybeUninit<NDK_RESULT_EX>>(), count as usize)
    })
}
