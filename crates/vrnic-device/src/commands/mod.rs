//! What each command does. The command is a private copy; every field is checked here once.

mod cm;
mod completion_queue;
mod device_info;
mod eth_port;
mod eth_queue;
mod event_queue;
mod gid;
mod key;
mod modify_queue_pair;
mod protection_domain;
mod queue_pair;
mod shared_receive_queue;

use vrnic_abi::cmd::{Command, INLINE_INPUT, INLINE_OUTPUT, MAX_MAILBOX, Opcode, Status};
use vrnic_abi::resource::ObjectNumber;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::command_queue::Outcome;
use crate::device::Device;

/// What a command that did not succeed answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub status: Status,
    /// With `BAD_PARAMETER`: the offset of the field in the command, or [`IN_MAILBOX`] plus its offset in the mailbox. With
    /// `BAD_MAILBOX`: how many bytes the mailbox needs, or zero if DMA failed. Zero otherwise, unless the manual says more.
    pub syndrome: u32,
}

impl Failure {
    /// A failure without detail.
    pub const fn new(status: Status) -> Self {
        Self { status, syndrome: 0 }
    }
}

/// Added to the offsets of fields in mailboxes.
pub(crate) const IN_MAILBOX: u32 = 0x1000;

/// Where the inline input begins in a command.
const INPUT: usize = std::mem::offset_of!(Command, input);

/// Executes a command.
pub(crate) fn execute(device: &mut Device, command: &Command) -> Outcome {
    match Opcode::from(command.opcode) {
        Opcode::NOP => nop(command),
        Opcode::QUERY_DEVICE => device_info::query_device(device, command),
        Opcode::QUERY_STATS => device_info::query_statistics(device, command),
        Opcode::SET_GID => gid::set(device, command),
        Opcode::CREATE_EQ => event_queue::create(device, command),
        Opcode::DESTROY_EQ => event_queue::destroy(device, command),
        Opcode::QUERY_EQ => event_queue::query(device, command),
        Opcode::CREATE_CQ => completion_queue::create(device, command),
        Opcode::DESTROY_CQ => completion_queue::destroy(device, command),
        Opcode::MODIFY_CQ => completion_queue::modify(device, command),
        Opcode::QUERY_CQ => completion_queue::query(device, command),
        Opcode::CREATE_SRQ => shared_receive_queue::create(device, command),
        Opcode::DESTROY_SRQ => shared_receive_queue::destroy(device, command),
        Opcode::MODIFY_SRQ => shared_receive_queue::modify(device, command),
        Opcode::QUERY_SRQ => shared_receive_queue::query(device, command),
        Opcode::CREATE_QP => queue_pair::create(device, command),
        Opcode::DESTROY_QP => queue_pair::destroy(device, command),
        Opcode::MODIFY_QP => modify_queue_pair::modify(device, command),
        Opcode::QUERY_QP => queue_pair::query(device, command),
        Opcode::ALLOC_PD => protection_domain::allocate(device, command),
        Opcode::FREE_PD => protection_domain::free(device, command),
        Opcode::REGISTER_MR => key::register(device, command),
        Opcode::DEREGISTER_MR => key::deregister(device, command),
        Opcode::ALLOC_FRMR => key::allocate_fast(device, command),
        Opcode::ALLOC_MW => key::allocate_window(device, command),
        Opcode::FREE_KEY => key::free(device, command),
        Opcode::CM_ENABLE => cm::enable(device, command),
        Opcode::CM_DISABLE => cm::disable(device, command),
        Opcode::CM_SEND => cm::send(device, command),
        Opcode::CREATE_ETH_QUEUE => eth_queue::create(device, command),
        Opcode::DESTROY_ETH_QUEUE => eth_queue::destroy(device, command),
        Opcode::MODIFY_ETH_QUEUE => eth_queue::modify(device, command),
        Opcode::QUERY_ETH_QUEUE => eth_queue::query(device, command),
        Opcode::SET_ETH_CONFIG => eth_port::configure(device, command),
        Opcode::SET_RSS => eth_port::set_rss(device, command),
        Opcode::SET_MULTICAST => eth_port::set_multicast(device, command),
        _ => Err(Failure::new(Status::BAD_OPCODE)),
    }
}

fn nop(command: &Command) -> Outcome {
    no_input(command)?;
    no_mailbox(command)?;
    Ok(NO_OUTPUT)
}

/// The output of a command that has none.
const NO_OUTPUT: [u8; INLINE_OUTPUT] = [0; INLINE_OUTPUT];

/// The output of a command that makes an object: its number.
fn created(number: u32) -> [u8; INLINE_OUTPUT] {
    let mut output = NO_OUTPUT;
    output[..size_of::<ObjectNumber>()].copy_from_slice(
        ObjectNumber {
            number: number.into(),
        }
        .as_bytes(),
    );
    output
}

/// A field of the input is wrong: the one at `offset` in it.
fn bad_input(offset: usize) -> Failure {
    bad_parameter(INPUT + offset)
}

fn bad_parameter(offset: usize) -> Failure {
    Failure {
        status: Status::BAD_PARAMETER,
        syndrome: u32::try_from(offset).unwrap_or(u32::MAX),
    }
}

/// `Ok` if `condition` holds; otherwise the input field at `offset` is wrong.
fn check_input(condition: bool, offset: usize) -> Result<(), Failure> {
    if condition { Ok(()) } else { Err(bad_input(offset)) }
}

/// A field of the mailbox is wrong: the one at `offset` in it.
fn bad_mailbox_field(offset: usize) -> Failure {
    bad_parameter(IN_MAILBOX as usize + offset)
}

/// `Ok` if `condition` holds; otherwise the mailbox field at `offset` is wrong.
fn check_mailbox_field(condition: bool, offset: usize) -> Result<(), Failure> {
    if condition {
        Ok(())
    } else {
        Err(bad_mailbox_field(offset))
    }
}

/// The inline input; what is behind it must be zero.
fn input<T: FromBytes + KnownLayout + Immutable>(command: &Command) -> Result<T, Failure> {
    let (input, rest) = T::read_from_prefix(&command.input).map_err(|_| bad_input(0))?;
    match rest.iter().position(|byte| *byte != 0) {
        Some(at) => Err(bad_input(INLINE_INPUT - rest.len() + at)),
        None => Ok(input),
    }
}

/// There must be no inline input.
fn no_input(command: &Command) -> Result<(), Failure> {
    input::<[u8; 0]>(command).map(|_| ())
}

/// There must be no mailbox.
fn no_mailbox(command: &Command) -> Result<(), Failure> {
    if command.mailbox_len.get() != 0 {
        return Err(bad_parameter(std::mem::offset_of!(Command, mailbox_len)));
    }
    if command.mailbox.get() != 0 {
        return Err(bad_parameter(std::mem::offset_of!(Command, mailbox)));
    }
    Ok(())
}

/// The mailbox must have at least `needed` bytes, and at most [`MAX_MAILBOX`].
fn check_mailbox(command: &Command, needed: usize) -> Result<(), Failure> {
    let length = command.mailbox_len.get();
    if length > MAX_MAILBOX {
        return Err(bad_parameter(std::mem::offset_of!(Command, mailbox_len)));
    }
    match u32::try_from(needed) {
        Ok(needed) if length >= needed => Ok(()),
        _ => Err(Failure {
            status: Status::BAD_MAILBOX,
            syndrome: u32::try_from(needed).unwrap_or(u32::MAX),
        }),
    }
}

/// Copies the mailbox in.
fn read_mailbox<const N: usize>(device: &mut Device, command: &Command) -> Result<[u8; N], Failure> {
    check_mailbox(command, N)?;
    let mut bytes = [0; N];
    let read = device.dma.read(command.mailbox.get(), &mut bytes);
    read.map_err(|_| Failure::new(Status::BAD_MAILBOX))?;
    Ok(bytes)
}

/// Copies the result out to the mailbox.
fn write_mailbox<T: IntoBytes + Immutable>(device: &mut Device, command: &Command, output: &T) -> Outcome {
    check_mailbox(command, size_of::<T>())?;
    let written = device.dma.write(command.mailbox.get(), output.as_bytes());
    written.map_err(|_| Failure::new(Status::BAD_MAILBOX))?;
    Ok(NO_OUTPUT)
}
