//! The state of all queues, and the calls that change it.

use super::super::kind::Kind;
use super::super::objects::{self, Fixed, Id};
use super::super::rules::broken;
use super::super::{completion_limit, trace};
use super::arming::{Arming, Wrong};
use super::operation::{self, Operation};
use super::queues::{Broken, Queue, QueuePair, Request};
use crate::memory;
use crate::verifier::Rule;
use ndk_sys::{NDK_OPERATION_TYPE, NDK_RESULT, NDK_RESULT_EX, NTSTATUS, STATUS_SUCCESS};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::mem::offset_of;
use std::time::Instant;

/// The contexts that providers get. No mapping can have them as addresses.
const FIRST_CONTEXT: u64 = 0xDEAD_574B_0000_0000;

/// Who waits for the completion of a request.
#[derive(Clone, Copy, Debug)]
enum Owner {
    Qp(Id),
    Srq(Id),
}

#[derive(Debug)]
struct SharedQueue {
    label: String,
    queue: Queue,
    /// Notifications that arming allows.
    armed: bool,
}

#[derive(Default)]
struct Registry {
    last: u64,
    owners: HashMap<u64, Owner>,
    qps: BTreeMap<Id, QueuePair>,
    srqs: BTreeMap<Id, SharedQueue>,
    cqs: BTreeMap<Id, Arming>,
}

static REGISTRY: Mutex<Option<Registry>> = Mutex::new(None);

fn with<R>(access: impl FnOnce(&mut Registry) -> R) -> R {
    access(REGISTRY.lock().get_or_insert_default())
}

/// A queue was created. `antecedents` are the objects that it was created with: of a QP its PD, its receive CQ, its
/// initiator CQ and perhaps its SRQ. `context` is what the consumer knows a QP by.
pub(in super::super) fn adopted(fixed: &Fixed, antecedents: &[Id], context: u64) {
    with(|registry| match (fixed.kind, antecedents) {
        (Kind::Cq, _) => drop(registry.cqs.insert(fixed.id, Arming::new())),
        (Kind::Srq, _) => {
            // A threshold that is given at creation may be passed at once: the queue is empty.
            let srq = SharedQueue {
                label: fixed.label(),
                queue: Queue::shared(),
                armed: true,
            };
            registry.srqs.insert(fixed.id, srq);
        }
        (Kind::Qp, [_, receive_cq, initiator_cq, rest @ ..]) => {
            let qp = QueuePair {
                label: fixed.label(),
                context,
                receive_cq: *receive_cq,
                initiator_cq: *initiator_cq,
                srq: rest.first().copied(),
                receive: Queue::default(),
                initiator: Queue::default(),
                closed: false,
                drained: None,
                kicked: None,
            };
            registry.qps.insert(fixed.id, qp);
        }
        _ => {}
    });
}

/// The close of an object has completed.
pub(in super::super) fn closed(fixed: &Fixed) {
    let overdue = with(|registry| match fixed.kind {
        Kind::Qp => {
            if let Some(qp) = registry.qps.get_mut(&fixed.id) {
                qp.closed = true;
            }
            None
        }
        Kind::Srq => {
            registry.srqs.remove(&fixed.id);
            None
        }
        Kind::Cq => {
            // Nobody takes completions of its QPs any more.
            let cq = fixed.id;
            registry
                .qps
                .retain(|_, qp| !qp.closed || qp.receive_cq != cq && qp.initiator_cq != cq);
            registry.cqs.remove(&cq)
        }
        _ => None,
    });
    if let Some(arming) = overdue
        && let Err(wrong) = arming.check(Instant::now())
    {
        notification_is(wrong, &fixed.label())
    }
}

/// Posts a request: `arguments` are those after the object, the consumer's request context first. Returns the status.
pub(in super::super) fn post(object: &Fixed, name: &'static str, arguments: &[u64]) -> NTSTATUS {
    let operation = operation::of(name).unwrap_or_else(|| panic!("{name} posts no request"));
    let mut arguments = arguments.to_vec();
    let context = begin(object, operation, &arguments);
    arguments[0] = context;
    let detail = || {
        let arguments = arguments.iter().map(|argument| format!("{argument:#x}"));
        arguments.collect::<Vec<_>>().join(", ")
    };
    let status = objects::invoke_now(object, name, &arguments, detail);
    end(object, operation, context, status);
    status
}

/// Makes a request known before it is posted; returns the context for the provider.
fn begin(object: &Fixed, operation: Operation, arguments: &[u64]) -> u64 {
    let length = operation.length(arguments);
    with(|registry| {
        registry.last += 1;
        let context = FIRST_CONTEXT + registry.last;
        let request = Request {
            context,
            consumer_context: arguments[0],
            operation,
            silent: operation.is_silent(arguments),
            deferred: operation.is_deferred(arguments),
            length,
            flushed: false,
        };
        let (queue, owner) = if object.kind == Kind::Srq {
            let srq = registry.srqs.get_mut(&object.id);
            (srq.map(|srq| &mut srq.queue), Owner::Srq(object.id))
        } else {
            let qp = registry.qps.get_mut(&object.id);
            (qp.map(|qp| qp.queue(operation)), Owner::Qp(object.id))
        };
        if let Some(queue) = queue {
            queue.outstanding.push_back(request);
            registry.owners.insert(context, owner);
        }
        context
    })
}

/// The post has returned.
fn end(object: &Fixed, operation: Operation, context: u64, status: NTSTATUS) {
    let completed = with(|registry| {
        let qp = registry.qps.get_mut(&object.id);
        if status == STATUS_SUCCESS {
            if let Some(qp) = qp.filter(|_| !operation.is_receive()) {
                qp.kicked = None;
            }
            return false;
        }
        registry.owners.remove(&context);
        let Some(qp) = qp else {
            let srq = registry.srqs.get_mut(&object.id);
            return srq.is_some_and(|srq| !srq.queue.withdraw(context));
        };
        let withdrawn = qp.queue(operation).withdraw(context);
        if !operation.is_receive() {
            qp.kicked = Some(Instant::now() + completion_limit());
        }
        !withdrawn
    });
    if completed {
        let what = format!("{} failed, and its completion was in the CQ", operation.name);
        result_is((Rule::NdkResultUnknown, what), &object.label())
    }
}

/// One of both functions that take completions, with a buffer for `room` results. Returns how many there are.
pub(in super::super) fn results(cq: &Fixed, extended: bool, buffer: usize, room: u32) -> u32 {
    let (name, size) = if extended {
        ("NdkGetCqResultsEx", size_of::<NDK_RESULT_EX>())
    } else {
        ("NdkGetCqResults", size_of::<NDK_RESULT>())
    };
    let arguments = [buffer as u64, room.into()];
    let count = objects::invoke(cq, name, &arguments, || format!("room for {room}"));
    let count = u32::try_from(count & u64::from(u32::MAX)).unwrap_or(0);
    trace::add(trace::What::Return(None), name, || {
        (cq.label(), format!("{count} results"))
    });
    if count > room {
        let what = format!("{name} returned {count}, and {room} were asked for");
        result_is((Rule::NdkResultCount, what), &cq.label())
    }
    for index in 0..count as usize {
        take(cq, extended, buffer + index * size);
    }
    let now = Instant::now();
    let drained = count < room;
    let (wrong, lost, stuck) = with(|registry| {
        let mut wrong = None;
        let mut dead = false;
        if let Some(arming) = registry.cqs.get_mut(&cq.id) {
            wrong = if drained { arming.drained().err() } else { None };
            wrong = wrong.or_else(|| arming.check(now).err());
            dead = arming.is_dead();
        }
        let lost = if drained && !dead {
            registry.lost(cq.id, now)
        } else {
            None
        };
        let of_cq = registry.qps.values().filter(|qp| qp.initiator_cq == cq.id);
        let stuck = of_cq
            .filter(|qp| qp.is_stuck(now))
            .map(|qp| qp.label.clone())
            .next();
        (wrong, lost, stuck)
    });
    if let Some(wrong) = wrong {
        notification_is(wrong, &cq.label())
    }
    if let Some((label, name)) = lost {
        broken(
            Rule::NdkRequestLost,
            format!("{label} was flushed long ago, and an {name} that was outstanding has not completed"),
            "Complete every request that is flushed with STATUS_CANCELLED.",
        )
    }
    if let Some(label) = stuck {
        broken(
            Rule::NdkDeferredStuck,
            format!("a post to {label} has failed, and the deferred requests before it are not processed"),
            "Ring the doorbell for deferred requests also when a post fails.",
        )
    }
    count
}

impl Registry {
    /// A QP of that CQ, and a request of it that was flushed and has not completed.
    fn lost(&self, cq: Id, now: Instant) -> Option<(String, &'static str)> {
        self.qps.values().find_map(|qp| {
            let receive = if qp.receive_cq == cq {
                qp.receive.lost()
            } else {
                None
            };
            let initiator = if qp.initiator_cq == cq {
                qp.initiator.lost()
            } else {
                None
            };
            let request = receive.or(initiator).filter(|_| qp.should_be_drained(now))?;
            Some((qp.label.clone(), request.operation.name))
        })
    }

    /// The request that completes with `context`, and the QP whose completion it is.
    fn complete(
        &mut self,
        cq: Id,
        context: u64,
        qp_context: u64,
        status: NTSTATUS,
    ) -> Result<Request, Broken> {
        let Some(owner) = self.owners.get(&context).copied() else {
            let given = (FIRST_CONTEXT + 1..=FIRST_CONTEXT + self.last).contains(&context);
            let what = if given {
                "of a request that has completed before, or whose post has failed"
            } else {
                "with a request context that was not given"
            };
            return Err((Rule::NdkResultUnknown, what.into()));
        };
        let fields = |what: &str| Err((Rule::NdkResultFields, what.to_owned()));
        let request = match owner {
            Owner::Qp(id) => {
                let Some(qp) = self.qps.get_mut(&id) else {
                    return Err((Rule::NdkResultUnknown, "of a QP that is gone".into()));
                };
                let receives = qp.receive.outstanding.iter().any(|one| one.context == context);
                let queue = if receives {
                    &mut qp.receive
                } else {
                    &mut qp.initiator
                };
                let expected = if receives { qp.receive_cq } else { qp.initiator_cq };
                let request = queue.complete(context, status)?;
                if cq != expected {
                    return fields("in another CQ than that of its queue");
                }
                if qp.context != qp_context {
                    return fields("with a QPContext that is not its QP's");
                }
                request
            }
            Owner::Srq(id) => {
                let Some(srq) = self.srqs.get_mut(&id) else {
                    return Err((Rule::NdkResultUnknown, "of an SRQ that is gone".into()));
                };
                let request = srq.queue.complete(context, status)?;
                let user =
                    |qp: &QueuePair| qp.srq == Some(id) && qp.receive_cq == cq && qp.context == qp_context;
                if !self.qps.values().any(user) {
                    return fields("of an SRQ, with a QPContext that no QP of it with this CQ has");
                }
                request
            }
        };
        self.owners.remove(&context);
        Ok(request)
    }
}

/// Checks one result, and gives it the consumer's request context.
fn take(cq: &Fixed, extended: bool, at: usize) {
    let result: NDK_RESULT = memory::read(at);
    let status = result.Status;
    let context = result.RequestContext.addr() as u64;
    let qp_context = result.QPContext.addr() as u64;
    let kind = extended.then(|| memory::read::<NDK_OPERATION_TYPE>(at + offset_of!(NDK_RESULT_EX, Type)));
    let completed = with(|registry| {
        let request = registry.complete(cq.id, context, qp_context, status)?;
        let solicited = request.operation.is_receive() || status != STATUS_SUCCESS;
        if let Some(arming) = registry.cqs.get_mut(&cq.id) {
            arming.taken(solicited, Instant::now(), completion_limit());
        }
        let name = request.operation.name;
        if status == STATUS_SUCCESS
            && request.operation.is_receive()
            && u64::from(result.BytesTransferred) > request.length
        {
            let what = format!(
                "of an {name} of {} bytes, with {} bytes",
                request.length, result.BytesTransferred
            );
            return Err((Rule::NdkResultFields, what));
        }
        if let Some(kind) = kind.filter(|&kind| !request.operation.can_be(kind)) {
            return Err((
                Rule::NdkResultFields,
                format!("of an {name}, with the type {kind}"),
            ));
        }
        Ok(request)
    });
    match completed {
        Ok(request) => memory::write(
            at + offset_of!(NDK_RESULT, RequestContext),
            request.consumer_context,
        ),
        Err(broken) => result_is(broken, &cq.label()),
    }
}

fn result_is((rule, what): Broken, label: &str) -> ! {
    broken(
        rule,
        format!("{label} had a completion {what}"),
        "Each request that is posted successfully completes once, in the order of its queue, unless it is silent and succeeds; \
         after a failure the later ones are cancelled; a post that fails leaves nothing behind.",
    )
}

fn notification_is(wrong: Wrong, label: &str) -> ! {
    let (rule, what, advice) = match wrong {
        Wrong::Overlap => (
            Rule::NdkCqNotificationOverlap,
            "was notified while a notification of it was running",
            "Call the consumer again when its callback has returned.",
        ),
        Wrong::NotArmed => (
            Rule::NdkCqNotArmed,
            "was notified, and was not armed",
            "Clear the arming before you call the consumer: one call for each time that it is armed.",
        ),
        Wrong::NotSolicited => (
            Rule::NdkCqNotSolicited,
            "was armed for solicited completions and was notified, and there was neither a receive nor an error",
            "Notify for receives of sends with SEND_AND_SOLICIT_EVENT, and for errors.",
        ),
        Wrong::Lost => (
            Rule::NdkCqLostWakeup,
            "was armed and empty, then had a completion, and was not notified",
            "Look for completions again after arming: one may have come meanwhile.",
        ),
    };
    broken(rule, format!("{label} {what}"), advice)
}

/// `NdkArmCq`.
pub(in super::super) fn arm(cq: &Fixed, kind: u32) {
    const NAME: &str = "NdkArmCq";
    with(|registry| {
        if let Some(arming) = registry.cqs.get_mut(&cq.id) {
            arming.begin_arm(kind);
        }
    });
    let _ = objects::invoke(cq, NAME, &[kind.into()], || format!("type {kind}"));
    trace::add(trace::What::Return(None), NAME, || (cq.label(), String::new()));
    with(|registry| {
        if let Some(arming) = registry.cqs.get_mut(&cq.id) {
            arming.end_arm();
        }
    });
}

/// The notification of a CQ begins.
pub(in super::super) fn begin_notification(cq: Id, status: NTSTATUS) {
    let result = with(|registry| {
        let arming = registry.cqs.get_mut(&cq)?;
        arming.begin_notification(status != STATUS_SUCCESS).err()
    });
    if let Some(wrong) = result {
        let label = objects::get(cq).map_or_else(String::new, |cq| cq.label());
        notification_is(wrong, &label)
    }
}

/// The notification of a CQ has returned.
pub(in super::super) fn end_notification(cq: Id) {
    with(|registry| {
        if let Some(arming) = registry.cqs.get_mut(&cq) {
            arming.end_notification();
        }
    });
}

/// Until when the CQ must notify its consumer: it was armed and has had a completion since.
pub(in super::super) fn overdue(cq: Id) -> Option<Instant> {
    with(|registry| registry.cqs.get(&cq)?.due())
}

/// `NdkControlCqInterruptModeration` has succeeded.
pub(in super::super) fn moderate(cq: Id, microseconds: u32, count: u32) {
    with(|registry| {
        if let Some(arming) = registry.cqs.get_mut(&cq) {
            arming.moderate(microseconds, count);
        }
    });
}

/// `NdkModifySrq` is about to arm the threshold of an SRQ.
pub(in super::super) fn srq_modified(srq: Id) {
    with(|registry| {
        if let Some(srq) = registry.srqs.get_mut(&srq) {
            srq.armed = true;
        }
    });
}

/// An SRQ notifies its consumer.
pub(in super::super) fn srq_notified(srq: Id, status: NTSTATUS) {
    let unarmed = with(|registry| {
        let srq = registry.srqs.get_mut(&srq)?;
        let armed = std::mem::replace(&mut srq.armed, false);
        (!armed && status == STATUS_SUCCESS).then(|| srq.label.clone())
    });
    if let Some(label) = unarmed {
        broken(
            Rule::NdkSrqNotArmed,
            format!("{label} notified its consumer a second time"),
            "The threshold notifies once, until NdkModifySrq sets it again.",
        )
    }
}

/// `NdkFlush`.
pub(in super::super) fn flush(qp: &Fixed) {
    const NAME: &str = "NdkFlush";
    with(|registry| {
        if let Some(qp) = registry.qps.get_mut(&qp.id) {
            qp.receive.flush();
            qp.initiator.flush();
            qp.drained = Some(Instant::now() + completion_limit());
        }
    });
    let _ = objects::invoke(qp, NAME, &[], String::new);
    trace::add(trace::What::Return(None), NAME, || (qp.label(), String::new()));
}

/// Requests of a QP, or of an SRQ, whose completion has not been taken; silent ones may have succeeded.
pub(in super::super) fn outstanding(object: Id) -> usize {
    with(|registry| {
        let qp = registry.qps.get(&object);
        let srq = registry.srqs.get(&object);
        let of_qp = qp.map_or(0, |qp| {
            qp.receive.outstanding.len() + qp.initiator.outstanding.len()
        });
        of_qp + srq.map_or(0, |srq| srq.queue.outstanding.len())
    })
}
