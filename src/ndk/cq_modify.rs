//! Changes of a completion queue that the device must know of: its ring, and its moderation.

use super::completion_moderation::Moderation;
use super::cq::Cq;
use super::device_object::{DeviceObject, number_of};
use super::object::ObjectRef;
use super::request::Completion;
use crate::nic::work_queue::completion_queue::Segment;
use crate::nic::work_queue::log2_entries;
use crate::nic::{Outcome, Payload, Request, Submitted};
use crate::os::pool::{PoolBox, Tag};
use crate::status;
use core::sync::atomic::Ordering;
use ndk_sys::{NTSTATUS, STATUS_INVALID_DEVICE_STATE, STATUS_PENDING, STATUS_SUCCESS};
use vrnic_abi::cmd::Opcode;
use vrnic_abi::resource::{CQ_MODIFY_MODERATION, CQ_MODIFY_RING, CqModify, Ring};
use zerocopy::{FromZeros, IntoBytes};

/// `NdkResizeCq`. What is in the queue stays there. One at a time.
pub fn resize(cq: &ObjectRef<Cq>, depth: u32, completion: Completion<Cq>) -> NTSTATUS {
    if let Err(status) = Cq::check_depth(cq.adapter(), depth) {
        return completion.inline(status);
    }
    if cq.resizing.swap(true, Ordering::AcqRel) {
        return completion.inline(STATUS_INVALID_DEVICE_STATE);
    }
    match prepare(cq, depth) {
        Ok((request, input)) => run(cq, request, &input, completion),
        Err(status) => {
            cq.resizing.store(false, Ordering::Release);
            completion.inline(status)
        }
    }
}

/// A ring that the device is told of.
struct Resize {
    completion: Option<Completion<Cq>>,
    segment: Option<PoolBox<Segment>>,
    depth: u32,
}

fn prepare(cq: &Cq, depth: u32) -> Result<(PoolBox<Request<Resize>>, CqModify), NTSTATUS> {
    let segment = Segment::allocate(cq.nic(), log2_entries(depth))?;
    let input = CqModify {
        cqn: cq.number().into(),
        mask: CQ_MODIFY_RING.into(),
        attributes: cq.attributes(segment.ring(), Moderation::default()),
    };
    let request = Request::new(Resize {
        completion: None,
        segment: Some(segment),
        depth,
    })?;
    Ok((request, input))
}

fn run(
    cq: &ObjectRef<Cq>,
    mut request: PoolBox<Request<Resize>>,
    input: &CqModify,
    completion: Completion<Cq>,
) -> NTSTATUS {
    request.payload.completion = Some(completion);
    match cq.nic().submit(request, Opcode::MODIFY_CQ, input.as_bytes(), &[]) {
        Submitted::Pending => STATUS_PENDING,
        Submitted::Done(request, outcome) => match Resize::end(request, outcome) {
            Some((completion, status)) => completion.inline(status),
            None => STATUS_PENDING,
        },
    }
}

impl Payload for Resize {
    const TAG: Tag = Tag::new(*b"VrCq");

    fn done(request: PoolBox<Request<Self>>, outcome: Outcome) {
        if let Some((completion, status)) = Self::end(request, outcome) {
            completion.complete(status);
        }
    }
}

impl Resize {
    /// Carries out what the device has answered; whom to tell what.
    fn end(mut request: PoolBox<Request<Self>>, outcome: Outcome) -> Option<(Completion<Cq>, NTSTATUS)> {
        let completion = request.payload.completion.take()?;
        let cq = completion.object()?;
        let status = match (outcome, request.payload.segment.take()) {
            (Ok(output), Some(segment)) => {
                cq.queue.append(segment, number_of(output));
                cq.set_depth(request.payload.depth);
                STATUS_SUCCESS
            }
            (Err(error), _) => status::of_object_error(&error),
            (Ok(_), None) => STATUS_SUCCESS,
        };
        cq.resizing.store(false, Ordering::Release);
        Some((completion, status))
    }
}

/// Moderation on its way to the device: one command at a time, so that the last one wins.
#[derive(Default)]
pub struct Moderating {
    busy: bool,
    /// What has been asked for meanwhile.
    next: Option<Moderation>,
}

/// `NdkControlCqInterruptModeration`: never pends, and what the device answers later is of no interest.
pub fn moderate(cq: &ObjectRef<Cq>, wanted: Moderation) -> NTSTATUS {
    let request = match Request::new(Moderate(cq.clone())) {
        Ok(request) => request,
        Err(error) => return error.into(),
    };
    let mut moderating = cq.moderating.lock();
    if moderating.busy {
        moderating.next = Some(wanted);
        drop(moderating);
        // Outside of the lock: it holds a reference.
        drop(request);
        return STATUS_SUCCESS;
    }
    moderating.busy = true;
    drop(moderating);
    submit(request, wanted);
    STATUS_SUCCESS
}

/// Keeps the queue.
struct Moderate(ObjectRef<Cq>);

impl Payload for Moderate {
    const TAG: Tag = Tag::new(*b"VrCq");

    fn done(request: PoolBox<Request<Self>>, _outcome: Outcome) {
        if let Some((request, wanted)) = next(request) {
            submit(request, wanted);
        }
    }
}

/// What is to be submitted after a command has ended.
fn next(request: PoolBox<Request<Moderate>>) -> Option<(PoolBox<Request<Moderate>>, Moderation)> {
    let next = {
        let mut moderating = request.payload.0.moderating.lock();
        let next = moderating.next.take();
        moderating.busy = next.is_some();
        next
    };
    next.map(|wanted| (request, wanted))
}

fn submit(request: PoolBox<Request<Moderate>>, wanted: Moderation) {
    let mut due = Some((request, wanted));
    while let Some((request, wanted)) = due.take() {
        let cq = &request.payload.0;
        let input = CqModify {
            cqn: cq.number().into(),
            mask: CQ_MODIFY_MODERATION.into(),
            attributes: cq.attributes(Ring::new_zeroed(), wanted),
        };
        let nic = cq.nic().clone();
        if let Submitted::Done(request, _) = nic.submit(request, Opcode::MODIFY_CQ, input.as_bytes(), &[]) {
            due = next(request);
        }
    }
}
