//! `ALLOC_PD`, `FREE_PD`.

use vrnic_abi::cmd::{Command, Status};
use vrnic_abi::resource::ObjectNumber;

use super::{Failure, NO_OUTPUT, created, input, no_input, no_mailbox};
use crate::command_queue::Outcome;
use crate::device::Device;

pub(super) fn allocate(device: &mut Device, command: &Command) -> Outcome {
    no_input(command)?;
    no_mailbox(command)?;
    let number = device.rdma.pds.insert(|_, _| 0);
    number.map(created).ok_or(Failure::new(Status::NO_RESOURCES))
}

pub(super) fn free(device: &mut Device, command: &Command) -> Outcome {
    no_mailbox(command)?;
    let number = input::<ObjectNumber>(command)?.number.get();
    if *users(device, number)? != 0 {
        return Err(Failure::new(Status::IN_USE));
    }
    device.rdma.pds.remove(number);
    Ok(NO_OUTPUT)
}

/// How many objects use a protection domain.
pub(super) fn users(device: &mut Device, number: u32) -> Result<&mut u32, Failure> {
    device
        .rdma
        .pds
        .get_mut(number)
        .ok_or(Failure::new(Status::BAD_RESOURCE))
}
