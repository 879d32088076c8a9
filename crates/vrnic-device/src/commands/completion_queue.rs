//! `CREATE_CQ`, `DESTROY_CQ`, `MODIFY_CQ`, `QUERY_CQ`.

use std::mem::offset_of;

use vrnic_abi::cmd::{Command, Status};
use vrnic_abi::cqe::Cqe;
use vrnic_abi::event::EventKind;
use vrnic_abi::resource::{CQ_MODIFY_MODERATION, CQ_MODIFY_RING, CqCreate, CqModify, ObjectNumber, Ring};

use super::event_queue::{self, bad_ring};
use super::{Failure, NO_OUTPUT, check_input, created, input, no_mailbox, write_mailbox};
use crate::command_queue::Outcome;
use crate::device::Device;
use crate::rdma::{CQ_LOG2_MAX, CompletionQueue};
use crate::ring::RingMemory;

pub(super) fn create(device: &mut Device, command: &Command) -> Outcome {
    no_mailbox(command)?;
    let attributes: CqCreate = input(command)?;
    event_queue::find(device, attributes.eqn.get())?;
    if device.rdma.cqs.is_full() {
        return Err(Failure::new(Status::NO_RESOURCES));
    }
    let ring = ring_memory(device, &attributes.ring, offset_of!(CqCreate, ring))?;
    let doorbells = &device.doorbells;
    let number = device
        .rdma
        .cqs
        .insert(|number, _| CompletionQueue::new(number, attributes, ring, doorbells));
    event_queue::add_user(device, attributes.eqn.get());
    number.map(created).ok_or(Failure::new(Status::NO_RESOURCES))
}

fn ring_memory(device: &mut Device, ring: &Ring, offset: usize) -> Result<RingMemory, Failure> {
    RingMemory::new(&mut device.dma, ring, size_of::<Cqe>() as u64, 0..=CQ_LOG2_MAX)
        .map_err(|error| bad_ring(error, offset))
}

pub(super) fn destroy(device: &mut Device, command: &Command) -> Outcome {
    no_mailbox(command)?;
    let number = input::<ObjectNumber>(command)?.number.get();
    let cq = find(device, number)?;
    if cq.users != 0 {
        return Err(Failure::new(Status::IN_USE));
    }
    let eqn = cq.attributes.eqn.get();
    device.rdma.cqs.remove(number);
    device.forget_events(&[EventKind::CQ, EventKind::CQ_ERROR], number);
    event_queue::remove_user(device, eqn);
    Ok(NO_OUTPUT)
}

pub(super) fn modify(device: &mut Device, command: &Command) -> Outcome {
    no_mailbox(command)?;
    let modify: CqModify = input(command)?;
    let (mask, new) = (modify.mask.get(), modify.attributes);
    let cq = find(device, modify.cqn.get())?;
    let eqn_at = offset_of!(CqModify, attributes) + offset_of!(CqCreate, eqn);
    check_input(new.eqn.get() == cq.attributes.eqn.get(), eqn_at)?;
    check_input(
        mask != 0 && mask & !(CQ_MODIFY_RING | CQ_MODIFY_MODERATION) == 0,
        offset_of!(CqModify, mask),
    )?;
    if cq.failed {
        return Err(Failure::new(Status::BAD_STATE));
    }
    let ring = if mask & CQ_MODIFY_RING != 0 {
        let ring_at = offset_of!(CqModify, attributes) + offset_of!(CqCreate, ring);
        Some(ring_memory(device, &new.ring, ring_at)?)
    } else {
        None
    };
    let cq = find(device, modify.cqn.get())?;
    if mask & CQ_MODIFY_MODERATION != 0 {
        cq.attributes.moderation_us = new.moderation_us;
        cq.attributes.moderation_count = new.moderation_count;
    }
    Ok(ring.map_or(NO_OUTPUT, |ring| created(cq.resize(ring, new.ring))))
}

pub(super) fn query(device: &mut Device, command: &Command) -> Outcome {
    let number = input::<ObjectNumber>(command)?.number.get();
    let attributes = find(device, number)?.attributes;
    write_mailbox(device, command, &attributes)
}

/// The completion queue with that number.
pub(super) fn find(device: &mut Device, number: u32) -> Result<&mut CompletionQueue, Failure> {
    device
        .rdma
        .cqs
        .get_mut(number)
        .ok_or(Failure::new(Status::BAD_RESOURCE))
}
