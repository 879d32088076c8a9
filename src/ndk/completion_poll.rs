//! `NdkGetCqResults` and `NdkGetCqResultsEx`.
#![expect(unsafe_code, reason = "entries that consumers call by pointer")]

use super::completion_status::WorkResult;
use super::cq::Cq;
use super::object;
use crate::nic::work_queue::queue_pair::Receives;
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

/// Room for results.
struct Results<'a, R> {
    room: &'a mut [MaybeUninit<R>],
}

impl<R: Record> Results<'_, R> {
    #[inline]
    fn put(&mut self, place: u32, result: WorkResult, qp_context: u64, request: u64) {
        if let Some(place) = self.room.get_mut(place as usize) {
            place.write(R::new(result, qp_context, request));
        }
    }

    fn limit(&self) -> u32 {
        u32::try_from(self.room.len()).unwrap_or(u32::MAX)
    }
}

impl Cq {
    /// Takes as many results as there are and fit.
    #[inline]
    fn poll<R: Record>(&self, room: &mut [MaybeUninit<R>]) -> u32 {
        let mut results = Results { room };
        if self.has_failed() {
            return self.poll_failed(&mut results);
        }
        self.take(&mut results)
    }

    #[inline]
    fn take<R: Record>(&self, results: &mut Results<'_, R>) -> u32 {
        let (taken, outcome) = self
            .queue
            .take(results.limit(), |place, pair, completion, ended| {
                let result = if completion.is_receive() {
                    WorkResult::of_receive(completion)
                } else {
                    WorkResult::of_initiator(completion, NDK_OPERATION_TYPE::from(ended.kind))
                };
                results.put(place, result, pair.context, ended.request);
            });
        if outcome.is_err() {
            self.set_broken();
        }
        taken
    }

    /// The queue gets no more completions. What is in it is taken, and then what is outstanding is cancelled, once the device
    /// does nothing with it any more.
    #[cold]
    fn poll_failed<R: Record>(&self, results: &mut Results<'_, R>) -> u32 {
        let mut count = 0;
        if !self.is_broken() {
            count = self.take(results);
        }
        let limit = results.limit();
        for pair in self
            .queue
            .pairs()
            .filter(|pair| pair.is_quiet() && !pair.is_closed())
        {
            while count < limit
                && pair.send_cq == self.number()
                && let Some(ended) = pair.send.abandon_oldest()
            {
                let result = WorkResult::cancelled(NDK_OPERATION_TYPE::from(ended.kind));
                results.put(count, result, pair.context, ended.request);
                count += 1;
            }
            while count < limit
                && pair.receive_cq == self.number()
                && let Receives::Own(queue) = &pair.receives
                && let Some(request) = queue.abandon_oldest()
            {
                let result = WorkResult::cancelled(NdkOperationTypeReceive);
                results.put(count, result, pair.context, request);
                count += 1;
            }
        }
        count
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
