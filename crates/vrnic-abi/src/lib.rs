//! The device interface of the vrnic NIC: PCI identity, registers, doorbells, commands, events, work requests and
//! completions.
//!
//! Driver and device are built from these very types, so a layout can only change on both sides at once; the prose
//! is the programmer's reference manual in `docs/`. All multi-byte fields are little-endian. Every size and offset
//! that a foreign driver or device would depend on is asserted at compile time.
//!
//! | module | what it lays out |
//! |---|---|
//! | [`pci`] | identity, BARs, MSI-X vectors |
//! | [`regs`] | BAR0: control registers, reset and initialisation |
//! | [`doorbell`] | BAR2: doorbell words in shared memory |
//! | [`cmd`] | command queue: command, completion, opcodes, firmware status |
//! | [`resource`] | inputs of the commands that make and change EQ, CQ, SRQ, QP, MR, MW, PD |
//! | [`cm`] | CM service: `CM_ENABLE`, `CM_SEND`, the receive ring, the GID table |
//! | [`eth`] | Ethernet queues |
//! | [`event`] | event queue entries |
//! | [`wqe`] | send and receive work requests |
//! | [`cqe`] | work completions |
//! | [`info`] | `QUERY_DEVICE` and `QUERY_STATS` |

#![no_std]
#![forbid(unsafe_code)]

#[macro_use]
mod open_enum;

pub mod cm;
pub mod cmd;
pub mod cqe;
pub mod doorbell;
pub mod eth;
pub mod event;
pub mod info;
pub mod pci;
pub mod regs;
pub mod resource;
pub mod wqe;

pub use zerocopy::little_endian::{U16, U32, U64};

/// Version of this interface that the crate describes, as [`regs::ABI_VERSION`] reports it: major in the upper, minor in
/// the lower 16 bits. A driver refuses another major and uses nothing that a lower minor does not have.
pub const VERSION: u32 = 0x0001_0000;

/// Size of the pages that page lists ([`resource::Ring`], memory regions) are made of, in bytes.
pub const PAGE_SIZE: u64 = 4096;
