//! `CREATE_ETH_QUEUE`, `DESTROY_ETH_QUEUE`, `MODIFY_ETH_QUEUE`, `QUERY_ETH_QUEUE`.

use std::mem::offset_of;

use vrnic_abi::cmd::{Command, Status};
use vrnic_abi::eth::{COMPLETION_LOG2_MAX, EthQueueCreate, EthQueueModify, RING_LOG2_MAX, RING_LOG2_MIN};
use vrnic_abi::event::EventKind;
use vrnic_abi::resource::ObjectNumber;

use super::event_queue;
use super::{Failure, NO_OUTPUT, bad_input, check_input, created, input, no_mailbox, write_mailbox};
use crate::command_queue::Outcome;
use crate::device::Device;
use crate::eth::{EthQueue, WrongRing};

pub(super) fn create(device: &mut Device, command: &Command) -> Outcome {
    no_mailbox(command)?;
    let attributes: EthQueueCreate = input(command)?;
    check_sizes(&attributes)?;
    let eqn = attributes.eqn.get();
    event_queue::find(device, eqn)?;
    let number = device
        .ethernet
        .free_number()
        .ok_or(Failure::new(Status::NO_RESOURCES))?;
    let queue = EthQueue::new(device, number, attributes).map_err(|wrong| {
        bad_input(match wrong {
            WrongRing::Transmit => offset_of!(EthQueueCreate, tx),
            WrongRing::Receive => offset_of!(EthQueueCreate, rx),
            WrongRing::Completion => offset_of!(EthQueueCreate, completions),
        })
    })?;
    device.ethernet.insert(Box::new(queue));
    event_queue::add_user(device, eqn);
    Ok(created(number))
}

fn check_sizes(attributes: &EthQueueCreate) -> Result<(), Failure> {
    let sizes = RING_LOG2_MIN..=RING_LOG2_MAX;
    let EthQueueCreate {
        tx_log2,
        rx_log2,
        completions_log2,
        ..
    } = attributes;
    check_input(sizes.contains(tx_log2), offset_of!(EthQueueCreate, tx_log2))?;
    check_input(sizes.contains(rx_log2), offset_of!(EthQueueCreate, rx_log2))?;
    let is_enough = *completions_log2 <= COMPLETION_LOG2_MAX
        && 1u32 << completions_log2 >= (1 << tx_log2) + (1 << rx_log2);
    check_input(is_enough, offset_of!(EthQueueCreate, completions_log2))?;
    check_input(attributes.reserved == 0, offset_of!(EthQueueCreate, reserved))
}

pub(super) fn destroy(device: &mut Device, command: &Command) -> Outcome {
    no_mailbox(command)?;
    let number = input::<ObjectNumber>(command)?.number.get();
    let queue = device.ethernet.remove(number);
    let queue = queue.ok_or(Failure::new(Status::BAD_RESOURCE))?;
    device.forget_events(&[EventKind::ETH_ERROR], number);
    event_queue::remove_user(device, queue.attributes.eqn.get());
    Ok(NO_OUTPUT)
}

pub(super) fn modify(device: &mut Device, command: &Command) -> Outcome {
    no_mailbox(command)?;
    let modify: EthQueueModify = input(command)?;
    let queue = device
        .ethernet
        .get_mut(modify.number.get())
        .ok_or(Failure::new(Status::BAD_RESOURCE))?;
    queue.attributes.moderation_us = modify.moderation_us;
    queue.attributes.moderation_count = modify.moderation_count;
    Ok(NO_OUTPUT)
}

pub(super) fn query(device: &mut Device, command: &Command) -> Outcome {
    let number = input::<ObjectNumber>(command)?.number.get();
    match device.ethernet.get(number).map(|queue| queue.attributes) {
        Some(attributes) => write_mailbox(device, command, &attributes),
        None => Err(Failure::new(Status::BAD_RESOURCE)),
    }
}
