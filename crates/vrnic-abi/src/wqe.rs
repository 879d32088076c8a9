//! Work requests.
//!
//! A send work request is one or more basic blocks of 64 bytes in the send queue: a [`ControlSegment`], then by opcode a
//! [`RemoteSegment`], [`FastRegSegment`] or [`BindSegment`], then [`DataSegment`]s or inline data. An entry of a receive queue
//! is `max_sge` [`DataSegment`]s; an entry of a shared receive queue has a [`SrqSegment`] before them. Either is rounded up to a
//! power of two of bytes; a data segment with [`END_KEY`] ends the list.

use crate::{U16, U32, U64};
use static_assertions::const_assert_eq;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of a basic block, in which send queues are counted.
pub const BASIC_BLOCK: usize = 64;
/// Most basic blocks of one work request.
pub const MAX_BLOCKS: usize = 12;
/// Most bytes of inline data.
pub const MAX_INLINE: usize = 256;

/// First 16 bytes of every send work request.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ControlSegment {
    /// A [`WorkOpcode`].
    pub opcode: u8,
    /// `WORK_*` flags.
    pub flags: u8,
    /// Length of the whole request in units of 16 bytes, this segment included.
    pub length16: u8,
    /// Zero.
    pub reserved: u8,
    /// Low half of the free-running basic block index at which the request starts: the device checks it.
    pub index: U16,
    /// Bytes of inline data, if [`WORK_INLINE`] is set.
    pub inline_len: U16,
    /// Key to invalidate, at the peer (`SEND_INV`) or here (`LOCAL_INV`, `READ_LOCAL_INV`).
    pub invalidate_key: U32,
    /// Zero.
    pub reserved2: U32,
}
const_assert_eq!(size_of::<ControlSegment>(), 16);

open_enum! {
    /// What a send work request does.
    pub enum WorkOpcode: u8 as u8 {
        /// Send.
        SEND = 1,
        /// Send, and invalidate a key at the peer.
        SEND_INV = 2,
        /// RDMA write.
        WRITE = 3,
        /// RDMA read.
        READ = 4,
        /// RDMA read, then invalidate the local key.
        READ_LOCAL_INV = 5,
        /// Fast registration of a region.
        FAST_REG = 6,
        /// Invalidation of a local key.
        LOCAL_INV = 7,
        /// Binding of a memory window.
        BIND_MW = 8,
    }
}

/// Write a completion also when the request succeeds.
pub const WORK_SIGNALED: u8 = 1 << 0;
/// Start only when all earlier reads of the queue are done.
pub const WORK_FENCE: u8 = 1 << 1;
/// Ask for a solicited event at the peer.
pub const WORK_SOLICITED: u8 = 1 << 2;
/// Data is in the request itself.
pub const WORK_INLINE: u8 = 1 << 3;

/// Where at the peer a READ or WRITE goes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RemoteSegment {
    /// Remote virtual address.
    pub addr: U64,
    /// Remote key.
    pub key: U32,
    /// Zero.
    pub reserved: U32,
}
const_assert_eq!(size_of::<RemoteSegment>(), 16);

/// One scatter/gather element.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DataSegment {
    /// Virtual address in the region, or DMA address with [`crate::resource::PRIVILEGED_KEY`].
    pub addr: U64,
    /// Bytes.
    pub length: U32,
    /// Local key.
    pub key: U32,
}
const_assert_eq!(size_of::<DataSegment>(), 16);

/// A key that ends the list of a receive entry.
pub const END_KEY: u32 = u32::MAX;

/// Most [`DataSegment`]s of a send request that can be made, and of a receive entry.
pub const MAX_SGE: u8 = 32;

/// What an entry of a shared receive queue begins with.
///
/// Entries are taken in order, but complete in any order, because each queue pair that takes from the queue is as fast as its
/// peer: a completion is told by the cookie, not by a place in the ring.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SrqSegment {
    /// Chosen by the driver, returned in [`crate::cqe::Cqe::index`].
    pub cookie: U32,
    /// Zero.
    pub reserved: [u8; 12],
}
const_assert_eq!(size_of::<SrqSegment>(), 16);

/// Bytes of an entry of a receive queue whose entries have up to `max_sge` (1 to [`MAX_SGE`]) data segments.
#[must_use]
pub const fn receive_entry_size(max_sge: u16) -> usize {
    (max_sge as usize * size_of::<DataSegment>()).next_power_of_two()
}

/// Bytes of an entry of a shared receive queue whose entries have up to `max_sge` (1 to [`MAX_SGE`]) data segments.
#[must_use]
pub const fn srq_entry_size(max_sge: u16) -> usize {
    (size_of::<SrqSegment>() + max_sge as usize * size_of::<DataSegment>()).next_power_of_two()
}

/// Fast registration: 48 bytes after the control segment.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FastRegSegment {
    /// New base address.
    pub base: U64,
    /// Bytes.
    pub length: U64,
    /// DMA address of the array of page addresses.
    pub page_list: U64,
    /// The key, with its new low byte.
    pub key: U32,
    /// Access, as in [`crate::resource::MrRegister::access`].
    pub access: U32,
    /// Pages in the array.
    pub pages: U32,
    /// Offset of the first byte in the first page.
    pub first_page_offset: U32,
    /// Zero.
    pub reserved: [u8; 8],
}
const_assert_eq!(size_of::<FastRegSegment>(), 48);

/// Memory window bind: 48 bytes after the control segment.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BindSegment {
    /// First address of the window.
    pub base: U64,
    /// Bytes.
    pub length: U64,
    /// The window's key, with its new low byte.
    pub window_key: U32,
    /// Key of the region that it is bound to.
    pub region_key: U32,
    /// Access, as in [`crate::resource::MrRegister::access`].
    pub access: U32,
    /// Zero.
    pub reserved: [u8; 20],
}
const_assert_eq!(size_of::<BindSegment>(), 48);
