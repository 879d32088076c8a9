//! `NdkModifySrq`: the depth of a shared receive queue, and the threshold of its notification.

use super::device_object::DeviceObject;
use super::object::ObjectRef;
use super::request::Completion;
use super::srq::{Srq, grow_slots};
use super::srq_rules::{Change, plan};
use crate::nic::work_queue::log2_entries;
use crate::nic::work_queue::memory::RingMemory;
use crate::nic::{Outcome, Payload, Request, Submitted};
use crate::os::pool::{PoolBox, Tag};
use crate::status;
use core::sync::atomic::Ordering;
use ndk_sys::{NTSTATUS, STATUS_INVALID_DEVICE_STATE, STATUS_PENDING, STATUS_SUCCESS};
use vrnic_abi::cmd::Opcode;
use vrnic_abi::resource::{Ring, SRQ_MODIFY_LIMIT, SRQ_MODIFY_RING, SrqModify};
use zerocopy::{FromZeros, IntoBytes};

/// A change that the device works on.
struct Modify {
    completion: Option<Completion<Srq>>,
    /// The depth that is in force afterwards.
    depth: u32,
}

/// `NdkModifySrq`. One at a time.
pub fn modify(srq: &ObjectRef<Srq>, depth: u32, threshold: u32, completion: Completion<Srq>) -> NTSTATUS {
    let limit = srq.pd().adapter().info().MaxSrqDepth;
    if srq.changing.swap(true, Ordering::AcqRel) {
        return completion.inline(STATUS_INVALID_DEVICE_STATE);
    }
    let entries = srq.rings.lock().current.entries();
    let change = match plan(srq.slots().depth(), entries, limit, depth, threshold) {
        Ok(change) => change,
        Err(status) => return end_inline(srq, completion, status),
    };
    if !change.needs_device() {
        srq.slots().set_depth(change.depth);
        return end_inline(srq, completion, STATUS_SUCCESS);
    }
    match prepare(srq, &change) {
        Ok((request, input)) => run(srq, request, &input, completion),
        Err(status) => end_inline(srq, completion, status),
    }
}

fn end_inline(srq: &Srq, completion: Completion<Srq>, status: NTSTATUS) -> NTSTATUS {
    srq.changing.store(false, Ordering::Release);
    completion.inline(status)
}

/// The ring that the device is to go over to is in place when this succeeds.
fn prepare(srq: &Srq, change: &Change) -> Result<(PoolBox<Request<Modify>>, SrqModify), NTSTATUS> {
    let request = Request::new(Modify {
        completion: None,
        depth: change.depth,
    })?;
    let mut input = SrqModify {
        srqn: srq.number().into(),
        ring: Ring::new_zeroed(),
        limit: change.threshold.unwrap_or(0).into(),
        ..SrqModify::new_zeroed()
    };
    let mut mask = 0;
    if change.threshold.is_some() {
        mask |= SRQ_MODIFY_LIMIT;
    }
    if change.grows {
        grow_slots(srq.slots(), change.depth)?;
        let ring = RingMemory::allocate(srq.nic().dma(), log2_entries(change.depth), srq.entry_units)?;
        input.ring = ring.ring();
        mask |= SRQ_MODIFY_RING;
        let mut rings = srq.rings.lock();
        // What the device may not have taken yet is at most a ring of the old size.
        let kept = rings.posted.min(rings.current.entries());
        let from = rings.posted.wrapping_sub(kept);
        rings.current.copy_to(&ring, from, rings.posted, srq.entry_units);
        rings.next = Some(ring);
    }
    input.mask = mask.into();
    if change.threshold.is_some() {
        // Before the device can answer.
        srq.armed.store(true, Ordering::Release);
    }
    Ok((request, input))
}

fn run(
    srq: &ObjectRef<Srq>,
    mut request: PoolBox<Request<Modify>>,
    input: &SrqModify,
    completion: Completion<Srq>,
) -> NTSTATUS {
    request.payload.completion = Some(completion);
    match srq
        .nic()
        .submit(request, Opcode::MODIFY_SRQ, input.as_bytes(), &[])
    {
        Submitted::Pending => STATUS_PENDING,
        Submitted::Done(request, outcome) => match Modify::end(request, outcome) {
            Some((completion, status)) => completion.inline(status),
            None => STATUS_PENDING,
        },
    }
}

impl Payload for Modify {
    const TAG: Tag = Tag::new(*b"VrSr");

    fn done(request: PoolBox<Request<Self>>, outcome: Outcome) {
        if let Some((completion, status)) = Self::end(request, outcome) {
            completion.complete(status);
        }
    }
}

impl Modify {
    /// Carries out what the device has answered; whom to tell what.
    fn end(mut request: PoolBox<Request<Self>>, outcome: Outcome) -> Option<(Completion<Srq>, NTSTATUS)> {
        let completion = request.payload.completion.take()?;
        let srq = completion.object()?;
        let status = match outcome {
            Ok(_) => STATUS_SUCCESS,
            Err(error) => status::of_object_error(&error),
        };
        let unused = {
            let mut rings = srq.rings.lock();
            match rings.next.take() {
                Some(next) if outcome.is_ok() => Some(core::mem::replace(&mut rings.current, next)),
                next => next,
            }
        };
        // Without the lock: it takes a while.
        drop(unused);
        if outcome.is_ok() {
            srq.slots().set_depth(request.payload.depth);
        }
        srq.changing.store(false, Ordering::Release);
        Some((completion, status))
    }
}
