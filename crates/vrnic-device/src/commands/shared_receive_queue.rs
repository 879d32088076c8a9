//! `CREATE_SRQ`, `DESTROY_SRQ`, `MODIFY_SRQ`, `QUERY_SRQ`.

use std::mem::offset_of;

use vrnic_abi::cmd::{Command, Status};
use vrnic_abi::event::EventKind;
use vrnic_abi::resource::{ObjectNumber, SRQ_MODIFY_LIMIT, SRQ_MODIFY_RING, SrqCreate, SrqModify};
use vrnic_abi::wqe::{MAX_SGE, srq_entry_size};

use super::event_queue::{self, bad_ring};
use super::protection_domain::users;
use super::{Failure, NO_OUTPUT, check_input, created, input, no_mailbox, write_mailbox};
use crate::command_queue::Outcome;
use crate::device::Device;
use crate::rdma::{RQ_LOG2_MAX, ReceiveRing, SharedReceiveQueue};
use crate::ring::RingMemory;

const EVENTS: [EventKind; 2] = [EventKind::SRQ_LIMIT, EventKind::SRQ_ERROR];

pub(super) fn create(device: &mut Device, command: &Command) -> Outcome {
    no_mailbox(command)?;
    let attributes: SrqCreate = input(command)?;
    let max_sge = attributes.max_sge.get();
    check_input(
        (1..=u16::from(MAX_SGE)).contains(&max_sge),
        offset_of!(SrqCreate, max_sge),
    )?;
    check_input(attributes.reserved.get() == 0, offset_of!(SrqCreate, reserved))?;
    users(device, attributes.pdn.get())?;
    event_queue::find(device, attributes.eqn.get())?;
    if device.rdma.srqs.is_full() {
        return Err(Failure::new(Status::NO_RESOURCES));
    }
    let ring = RingMemory::new(
        &mut device.dma,
        &attributes.ring,
        srq_entry_size(max_sge) as u64,
        0..=RQ_LOG2_MAX,
    )
    .map_err(|error| bad_ring(error, offset_of!(SrqCreate, ring)))?;
    let doorbells = &device.doorbells;
    let number = device.rdma.srqs.insert(|number, _| {
        let ring = ReceiveRing::shared(ring, number, max_sge, doorbells);
        SharedReceiveQueue::new(attributes, ring)
    });
    *users(device, attributes.pdn.get())? += 1;
    event_queue::add_user(device, attributes.eqn.get());
    number.map(created).ok_or(Failure::new(Status::NO_RESOURCES))
}

pub(super) fn destroy(device: &mut Device, command: &Command) -> Outcome {
    no_mailbox(command)?;
    let number = input::<ObjectNumber>(command)?.number.get();
    let srq = find(device, number)?;
    if srq.users != 0 {
        return Err(Failure::new(Status::IN_USE));
    }
    let (pdn, eqn) = (srq.attributes.pdn.get(), srq.attributes.eqn.get());
    device.rdma.srqs.remove(number);
    device.forget_events(&EVENTS, number);
    *users(device, pdn)? -= 1;
    event_queue::remove_user(device, eqn);
    Ok(NO_OUTPUT)
}

pub(super) fn modify(device: &mut Device, command: &Command) -> Outcome {
    no_mailbox(command)?;
    let modify: SrqModify = input(command)?;
    let (number, mask) = (modify.srqn.get(), modify.mask.get());
    let entry_size = find(device, number)?.ring.entry_size();
    check_input(
        mask != 0 && mask & !(SRQ_MODIFY_RING | SRQ_MODIFY_LIMIT) == 0,
        offset_of!(SrqModify, mask),
    )?;
    check_input(modify.reserved.get() == 0, offset_of!(SrqModify, reserved))?;
    if mask & SRQ_MODIFY_RING != 0 {
        let ring = RingMemory::new(&mut device.dma, &modify.ring, entry_size, 0..=RQ_LOG2_MAX)
            .map_err(|error| bad_ring(error, offset_of!(SrqModify, ring)))?;
        resize(device, number, ring, &modify)?;
    }
    if mask & SRQ_MODIFY_LIMIT != 0 {
        refresh(device, number);
        find(device, number)?.set_limit(modify.limit.get());
        // An event for an earlier limit that has not been told yet would be told twice.
        device.forget_events(&EVENTS[..1], number);
        device.check_limit(number);
    }
    Ok(NO_OUTPUT)
}

fn resize(device: &mut Device, number: u32, ring: RingMemory, modify: &SrqModify) -> Result<(), Failure> {
    refresh(device, number);
    let srq = find(device, number)?;
    if srq.failed || !srq.ring.resize(ring) {
        return Err(Failure::new(Status::BAD_STATE));
    }
    srq.attributes.ring = modify.ring;
    Ok(())
}

/// Takes over what has been posted.
fn refresh(device: &mut Device, number: u32) {
    let Some(srq) = device.rdma.srqs.get_mut(number) else {
        return;
    };
    if srq.ring.refresh(&device.doorbells).is_err() {
        device.fail_srq(number);
    }
}

pub(super) fn query(device: &mut Device, command: &Command) -> Outcome {
    let number = input::<ObjectNumber>(command)?.number.get();
    let attributes = find(device, number)?.attributes;
    write_mailbox(device, command, &attributes)
}

/// The shared receive queue with that number.
pub(super) fn find(device: &mut Device, number: u32) -> Result<&mut SharedReceiveQueue, Failure> {
    device
        .rdma
        .srqs
        .get_mut(number)
        .ok_or(Failure::new(Status::BAD_RESOURCE))
}
