//! Requests that are outstanding, and the order in which they may complete.

use super::super::objects::Id;
use super::operation::Operation;
use crate::verifier::Rule;
use ndk_sys::{NTSTATUS, STATUS_CANCELLED, STATUS_SUCCESS};
use std::collections::VecDeque;
use std::time::Instant;

/// A request that was posted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    /// What the provider knows it by.
    pub context: u64,
    /// What the consumer knows it by.
    pub consumer_context: u64,
    pub operation: Operation,
    pub silent: bool,
    pub deferred: bool,
    pub length: u64,
    /// It was outstanding when its queue was flushed.
    pub flushed: bool,
}

/// One queue of a QP, or a shared receive queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub outstanding: VecDeque<Request>,
    /// Requests of a shared queue complete in any order.
    shared: bool,
    /// A request has failed.
    failed: bool,
}

/// A rule that is broken, and how.
pub(super) type Broken = (Rule, String);

impl Queue {
    /// A shared receive queue.
    pub(super) fn shared() -> Self {
        Self {
            shared: true,
            ..Self::default()
        }
    }

    /// Takes the request with that context out, as its completion is taken; silent ones before it have succeeded.
    pub(super) fn complete(&mut self, context: u64, status: NTSTATUS) -> Result<Request, Broken> {
        let at = self
            .outstanding
            .iter()
            .position(|request| request.context == context);
        let Some(at) = at else {
            return Err((
                Rule::NdkResultUnknown,
                "of a request that is not outstanding".into(),
            ));
        };
        let request = self.outstanding[at];
        let name = request.operation.name;
        if request.silent && status == STATUS_SUCCESS {
            let what = format!("of an {name} with SILENT_SUCCESS, which has succeeded");
            return Err((Rule::NdkResultSilent, what));
        }
        if !request.operation.can_end_with(status) {
            let status = super::super::trace::status_name(status);
            return Err((Rule::NdkResultStatus, format!("of an {name} with {status}")));
        }
        if self.shared {
            self.outstanding.remove(at);
            return Ok(request);
        }
        if let Some(earlier) = self.outstanding.iter().take(at).find(|earlier| !earlier.silent) {
            let what = format!(
                "of an {name} before that of an {}, which was posted before",
                earlier.operation.name
            );
            return Err((Rule::NdkResultOrder, what));
        }
        if self.failed && status != STATUS_CANCELLED {
            let status = super::super::trace::status_name(status);
            let what =
                format!("of an {name} with {status}, after an earlier request of the queue has failed");
            return Err((Rule::NdkResultAfterError, what));
        }
        self.failed |= status != STATUS_SUCCESS;
        self.outstanding.drain(..=at);
        Ok(request)
    }

    /// Takes back a request whose post has failed; false if it has completed.
    pub(super) fn withdraw(&mut self, context: u64) -> bool {
        let before = self.outstanding.len();
        self.outstanding.retain(|request| request.context != context);
        self.outstanding.len() != before
    }

    pub(super) fn flush(&mut self) {
        for request in &mut self.outstanding {
            request.flushed = true;
        }
    }

    /// A request that was flushed and had to complete.
    pub(super) fn lost(&self) -> Option<&Request> {
        self.outstanding
            .iter()
            .find(|request| request.flushed && !request.silent)
    }
}

/// A queue pair.
#[derive(Debug)]
pub(super) struct QueuePair {
    pub label: String,
    /// The consumer's context.
    pub context: u64,
    pub receive_cq: Id,
    pub initiator_cq: Id,
    pub srq: Option<Id>,
    pub receive: Queue,
    pub initiator: Queue,
    /// Its close has completed.
    pub closed: bool,
    /// It was flushed, so by then everything that was outstanding must have completed.
    pub drained: Option<Instant>,
    /// A post has failed, so by then the deferred requests before it must be done.
    pub kicked: Option<Instant>,
}

impl QueuePair {
    pub(super) fn queue(&mut self, operation: Operation) -> &mut Queue {
        if operation.is_receive() {
            &mut self.receive
        } else {
            &mut self.initiator
        }
    }

    /// Whether it was flushed long before `now`.
    pub(super) fn should_be_drained(&self, now: Instant) -> bool {
        !self.closed && self.drained.is_some_and(|drained| drained < now)
    }

    /// Whether deferred requests, which a failed post should have set going, are still there at `now`.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        let first = self.initiator.outstanding.front();
        let waits = first.is_some_and(|request| request.deferred && !request.silent);
        !self.closed && waits && self.kicked.is_some_and(|kicked| kicked < now)
    }
}

#[cfg(test)]
mod tests {
    use super::super::operation;
    use super::*;
    use ndk_sys::{STATUS_ACCESS_VIOLATION, STATUS_BUFFER_OVERFLOW};

    fn queue(requests: &[(u64, bool)]) -> Queue {
        let mut queue = Queue::default();
        for &(context, silent) in requests {
            queue.outstanding.push_back(Request {
                context,
                consumer_context: 0,
                operation: operation::of("NdkSend").expect("it is one"),
                silent,
                deferred: false,
                length: 0,
                flushed: false,
            });
        }
        queue
    }

    fn rule(result: Result<Request, Broken>) -> Option<Rule> {
        result.err().map(|(rule, _)| rule)
    }

    #[test]
    fn completions_come_in_order_and_leave_silent_ones_out() {
        let mut queue = queue(&[(1, false), (2, true), (3, false), (4, false)]);
        assert_eq!(
            rule(queue.complete(3, STATUS_SUCCESS)),
            Some(Rule::NdkResultOrder)
        );
        assert_eq!(rule(queue.complete(1, STATUS_SUCCESS)), None);
        assert_eq!(
            rule(queue.complete(1, STATUS_SUCCESS)),
            Some(Rule::NdkResultUnknown)
        );
        assert_eq!(
            rule(queue.complete(2, STATUS_SUCCESS)),
            Some(Rule::NdkResultSilent)
        );
        assert_eq!(rule(queue.complete(3, STATUS_SUCCESS)), None);
        assert_eq!(queue.outstanding.len(), 1);
        assert!(queue.withdraw(4) && !queue.withdraw(4));
    }

    #[test]
    fn after_a_failure_all_are_cancelled() {
        let mut queue = queue(&[(1, true), (2, false), (3, false)]);
        assert_eq!(
            rule(queue.complete(1, STATUS_BUFFER_OVERFLOW)),
            Some(Rule::NdkResultStatus),
            "not a status of a send"
        );
        assert_eq!(rule(queue.complete(1, STATUS_ACCESS_VIOLATION)), None);
        assert_eq!(
            rule(queue.complete(2, STATUS_SUCCESS)),
            Some(Rule::NdkResultAfterError)
        );
        assert_eq!(rule(queue.complete(2, STATUS_CANCELLED)), None);
        queue.flush();
        assert_eq!(queue.lost().map(|request| request.context), Some(3));
    }
}
