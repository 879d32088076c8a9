//! `CREATE_EQ`, `DESTROY_EQ`, `QUERY_EQ`.

use std::mem::offset_of;

use vrnic_abi::cmd::{Command, Status};
use vrnic_abi::event::Event;
use vrnic_abi::pci::VECTORS;
use vrnic_abi::resource::{EQ_ASYNC, EQ_LOG2_MAX, EQ_LOG2_MIN, EqCreate, ObjectNumber, Ring};

use super::{Failure, NO_OUTPUT, bad_input, check_input, created, input, no_mailbox, write_mailbox};
use crate::command_queue::Outcome;
use crate::device::Device;
use crate::event_queue::EventQueue;
use crate::ring::{RingError, RingMemory};

pub(super) fn create(device: &mut Device, command: &Command) -> Outcome {
    no_mailbox(command)?;
    let attributes: EqCreate = input(command)?;
    let flags = attributes.flags.get();
    check_input(attributes.vector.get() < VECTORS, offset_of!(EqCreate, vector))?;
    check_input(flags & !EQ_ASYNC == 0, offset_of!(EqCreate, flags))?;
    if flags & EQ_ASYNC != 0 && device.event_queues.asynchronous().is_some() {
        return Err(Failure::new(Status::IN_USE));
    }
    let number = device
        .event_queues
        .free_number()
        .ok_or(Failure::new(Status::NO_RESOURCES))?;
    let ring = RingMemory::new(
        &mut device.dma,
        &attributes.ring,
        size_of::<Event>() as u64,
        EQ_LOG2_MIN..=EQ_LOG2_MAX,
    )
    .map_err(|error| bad_ring(error, offset_of!(EqCreate, ring)))?;
    device
        .event_queues
        .insert(EventQueue::new(number, attributes, ring, &device.doorbells));
    Ok(created(number))
}

pub(super) fn destroy(device: &mut Device, command: &Command) -> Outcome {
    no_mailbox(command)?;
    let number = existing(device, command)?;
    let used = device
        .event_queues
        .get(number)
        .is_some_and(|queue| queue.users != 0);
    if used || device.cm.as_ref().is_some_and(|cm| cm.eqn() == number) {
        return Err(Failure::new(Status::IN_USE));
    }
    device.event_queues.remove(number);
    Ok(NO_OUTPUT)
}

pub(super) fn query(device: &mut Device, command: &Command) -> Outcome {
    let number = existing(device, command)?;
    match device.event_queues.get(number).map(|queue| queue.attributes) {
        Some(attributes) => write_mailbox(device, command, &attributes),
        None => Err(Failure::new(Status::BAD_RESOURCE)),
    }
}

/// The event queue that the input names.
fn existing(device: &Device, command: &Command) -> Result<u32, Failure> {
    let number = input::<ObjectNumber>(command)?.number.get();
    find(device, number).map(|()| number)
}

/// There is an event queue with that number.
pub(super) fn find(device: &Device, number: u32) -> Result<(), Failure> {
    let queue = device.event_queues.get(number);
    queue.map(|_| ()).ok_or(Failure::new(Status::BAD_RESOURCE))
}

/// One more object sends its events there.
pub(super) fn add_user(device: &mut Device, number: u32) {
    if let Some(queue) = device.event_queues.get_mut(number) {
        queue.users += 1;
    }
}

/// One object less sends its events there.
pub(super) fn remove_user(device: &mut Device, number: u32) {
    if let Some(queue) = device.event_queues.get_mut(number) {
        queue.users -= 1;
    }
}

/// The field of the ring at `offset` in the input that is wrong.
pub(super) fn bad_ring(error: RingError, offset: usize) -> Failure {
    bad_input(offset + ring_field(error))
}

/// The offset of the field of a ring that is wrong.
pub(super) fn ring_field(error: RingError) -> usize {
    match error {
        RingError::Address | RingError::Fault(_) => offset_of!(Ring, addr),
        RingError::Size => offset_of!(Ring, log2_entries),
        RingError::Levels => offset_of!(Ring, levels),
        RingError::Reserved => offset_of!(Ring, reserved),
    }
}
