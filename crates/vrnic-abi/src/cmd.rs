//! The command queue: a ring of commands in host memory, a ring of completions, and the firmware's results.
//!
//! The driver writes a [`Command`], then the new producer index to [`crate::regs::CMDQ_DOORBELL`]. The device copies the
//! command, counts it in the fetch word, executes it, and writes a [`Completion`] with the same tag. Commands complete
//! in any order. A tag may be used again when its completion has been read.

use crate::{U16, U32, U64};
use static_assertions::const_assert_eq;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of inline input in a [`Command`].
pub const INLINE_INPUT: usize = 48;
/// Bytes of inline output in a [`Completion`].
pub const INLINE_OUTPUT: usize = 16;
/// Largest mailbox, in bytes.
pub const MAX_MAILBOX: u32 = 4096;

/// One entry of the command ring: 64 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Command {
    /// An [`Opcode`].
    pub opcode: U16,
    /// Chosen by the driver, returned in the completion.
    pub tag: U16,
    /// Bytes of the mailbox, 0 if there is none; at most [`MAX_MAILBOX`].
    pub mailbox_len: U32,
    /// DMA address of the mailbox: input or output that does not fit inline. The opcode says which.
    pub mailbox: U64,
    /// Input, laid out by opcode; the rest is zero.
    pub input: [u8; INLINE_INPUT],
}
const_assert_eq!(size_of::<Command>(), 64);

/// One entry of the completion ring: 32 bytes. The device writes `owner` last.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Completion {
    /// Tag of the command.
    pub tag: U16,
    /// A [`Status`].
    pub status: U16,
    /// Detail of a status other than [`Status::OK`], for logs; its meaning belongs to the firmware version.
    pub syndrome: U32,
    /// Output, laid out by opcode.
    pub output: [u8; INLINE_OUTPUT],
    /// Zero.
    pub reserved: [u8; 7],
    /// [`OWNER_PHASE`]: the phase of the ring's pass in which the entry was written.
    pub owner: u8,
}
const_assert_eq!(size_of::<Completion>(), 32);
const_assert_eq!(core::mem::offset_of!(Completion, owner), 31);

/// Phase bit in the owner byte of completions, events and work completions: 1 in the first pass over a ring, then
/// alternating. Rings start zeroed, so an entry belongs to the driver exactly when its phase matches the pass.
pub const OWNER_PHASE: u8 = 1;

/// The phase that entries carry in the pass that `index` (free-running) belongs to.
///
/// `log2_entries` is the logarithm of the ring's size, below 32.
#[must_use]
pub const fn phase(index: u32, log2_entries: u32) -> u8 {
    if (index >> log2_entries) & 1 == 0 {
        OWNER_PHASE
    } else {
        0
    }
}

open_enum! {
    /// What a command asks for. "in" and "out" say which way the mailbox goes.
    pub enum Opcode: u16 as U16 {
        /// Does nothing; completes with [`Status::OK`].
        NOP = 0x0000,
        /// Out: [`crate::info::DeviceInfo`].
        QUERY_DEVICE = 0x0001,
        /// Out: [`crate::info::Statistics`].
        QUERY_STATS = 0x0002,
        /// Input [`crate::cm::GidEntry`]: sets or clears an address of the port.
        SET_GID = 0x0003,

        /// Input [`crate::resource::EqCreate`]; output the number.
        CREATE_EQ = 0x0100,
        /// Input [`crate::resource::ObjectNumber`].
        DESTROY_EQ = 0x0101,
        /// Input [`crate::resource::ObjectNumber`]; out: [`crate::resource::EqCreate`] as in force.
        QUERY_EQ = 0x0102,

        /// Input [`crate::resource::CqCreate`]; output the number.
        CREATE_CQ = 0x0110,
        /// Input [`crate::resource::ObjectNumber`].
        DESTROY_CQ = 0x0111,
        /// Input [`crate::resource::CqModify`]: new ring, or moderation.
        MODIFY_CQ = 0x0112,
        /// Input [`crate::resource::ObjectNumber`]; out: [`crate::resource::CqCreate`] as in force.
        QUERY_CQ = 0x0113,

        /// Input [`crate::resource::SrqCreate`]; output the number.
        CREATE_SRQ = 0x0120,
        /// Input [`crate::resource::ObjectNumber`].
        DESTROY_SRQ = 0x0121,
        /// Input [`crate::resource::SrqModify`]: new ring, or limit.
        MODIFY_SRQ = 0x0122,
        /// Input [`crate::resource::ObjectNumber`]; out: [`crate::resource::SrqCreate`] as in force.
        QUERY_SRQ = 0x0123,

        /// In: [`crate::resource::QpCreate`]; output the number.
        CREATE_QP = 0x0130,
        /// Input [`crate::resource::ObjectNumber`].
        DESTROY_QP = 0x0131,
        /// Input [`crate::resource::ObjectNumber`]; in: [`crate::resource::QpModify`].
        MODIFY_QP = 0x0132,
        /// Input [`crate::resource::ObjectNumber`]; out: [`crate::resource::QpModify`] as in force.
        QUERY_QP = 0x0133,

        /// Output the number of a new protection domain.
        ALLOC_PD = 0x0140,
        /// Input [`crate::resource::ObjectNumber`].
        FREE_PD = 0x0141,
        /// Input [`crate::resource::MrRegister`]; output the key.
        REGISTER_MR = 0x0142,
        /// Input [`crate::resource::ObjectNumber`] (the key).
        DEREGISTER_MR = 0x0143,
        /// Input [`crate::resource::KeyAlloc`]; output the key of a fast-register region.
        ALLOC_FRMR = 0x0144,
        /// Input [`crate::resource::KeyAlloc`]; output the key of a type 2 memory window.
        ALLOC_MW = 0x0145,
        /// Input [`crate::resource::ObjectNumber`] (the key of a fast-register region or memory window).
        FREE_KEY = 0x0146,

        /// Input [`crate::cm::CmEnable`]: starts the CM service.
        CM_ENABLE = 0x0200,
        /// Stops the CM service; MADs that arrive are dropped from then on.
        CM_DISABLE = 0x0201,
        /// Input [`crate::cm::CmSend`]; in: one MAD of [`crate::cm::MAD_SIZE`] bytes.
        CM_SEND = 0x0202,

        /// Input [`crate::eth::EthQueueCreate`]; output the number.
        CREATE_ETH_QUEUE = 0x0300,
        /// Input [`crate::resource::ObjectNumber`].
        DESTROY_ETH_QUEUE = 0x0301,
        /// Input [`crate::eth::EthConfig`]: filter, MTU, address, VLAN tags.
        SET_ETH_CONFIG = 0x0302,
        /// In: [`crate::eth::RssTable`].
        SET_RSS = 0x0303,
        /// In: up to [`crate::eth::MAX_MULTICAST`] multicast addresses of 6 bytes; `mailbox_len` says how many.
        SET_MULTICAST = 0x0304,
        /// Input [`crate::eth::EthQueueModify`]: moderation.
        MODIFY_ETH_QUEUE = 0x0305,
        /// Input [`crate::resource::ObjectNumber`]; out: [`crate::eth::EthQueueCreate`] as in force.
        QUERY_ETH_QUEUE = 0x0306,
    }
}

open_enum! {
    /// The firmware's result of a command.
    pub enum Status: u16 as U16 {
        /// Done.
        OK = 0,
        /// The opcode is not known, or not implemented by this firmware.
        BAD_OPCODE = 1,
        /// An input field is out of range, or a reserved one is not zero.
        BAD_PARAMETER = 2,
        /// The object does not exist.
        BAD_RESOURCE = 3,
        /// The object, or the service, is in a state that does not allow the command.
        BAD_STATE = 4,
        /// Something else still uses the object.
        IN_USE = 5,
        /// The device has no more objects of that kind, or no memory.
        NO_RESOURCES = 6,
        /// The mailbox is missing, too short, or not reachable by DMA.
        BAD_MAILBOX = 7,
        /// CM: the peer has given up the connection attempt that the MAD belongs to.
        PEER_ABANDONED = 8,
        /// CM: the source address (GID index) is not set: there is no path to that network.
        NETWORK_UNREACHABLE = 9,
        /// CM: the destination cannot be reached: its hardware address is not a unicast address.
        HOST_UNREACHABLE = 10,
        /// The link is down.
        LINK_DOWN = 11,
        /// The firmware gave up waiting for something outside the device.
        TIMEOUT = 12,
        /// The firmware found its own state inconsistent; the syndrome says where.
        INTERNAL_ERROR = 13,
    }
}
