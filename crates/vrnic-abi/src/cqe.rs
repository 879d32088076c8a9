//! Work completions.

use crate::{U16, U32};
use static_assertions::const_assert_eq;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One entry of a completion queue: 32 bytes. The device writes `owner` last.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Cqe {
    /// Queue pair.
    pub qpn: U32,
    /// Free-running index of the request: basic block at which it starts (send), or entry (receive). From a shared receive
    /// queue: the entry's [`crate::wqe::SrqSegment::cookie`].
    pub index: U32,
    /// Bytes received, if `status` is OK; undefined for sends.
    pub byte_len: U32,
    /// Immediate data, or the key that the peer's SEND invalidated, by `flags`.
    pub extra: U32,
    /// Detail of an error, for logs.
    pub syndrome: U32,
    /// `CQE_*` flags.
    pub flags: U16,
    /// A [`crate::wqe::WorkOpcode`]; 0 for a receive.
    pub opcode: u8,
    /// A [`WorkStatus`].
    pub status: u8,
    /// Zero.
    pub reserved: [u8; 7],
    /// Phase, see [`crate::cmd::OWNER_PHASE`].
    pub owner: u8,
}
const_assert_eq!(size_of::<Cqe>(), 32);
const_assert_eq!(core::mem::offset_of!(Cqe, owner), 31);

/// The completion is a receive.
pub const CQE_RECEIVE: u16 = 1 << 0;
/// The peer asked for a solicited event.
pub const CQE_SOLICITED: u16 = 1 << 1;
/// `extra` is a key that was invalidated.
pub const CQE_INVALIDATED: u16 = 1 << 2;
/// `extra` is immediate data.
pub const CQE_IMMEDIATE: u16 = 1 << 3;

open_enum! {
    /// How a work request ended (IBTA chapter 11.6.2).
    pub enum WorkStatus: u8 as u8 {
        /// Success.
        OK = 0,
        /// A local length is wrong.
        LOCAL_LENGTH = 1,
        /// The request itself is malformed.
        LOCAL_OPERATION = 2,
        /// A local key, or its range or access.
        LOCAL_PROTECTION = 3,
        /// Flushed after an earlier error.
        FLUSHED = 4,
        /// A memory window could not be bound.
        WINDOW_BIND = 5,
        /// The peer answered with something invalid.
        BAD_RESPONSE = 6,
        /// The peer found the request invalid.
        REMOTE_INVALID_REQUEST = 7,
        /// The peer's key, range or access.
        REMOTE_ACCESS = 8,
        /// The peer could not do it.
        REMOTE_OPERATION = 9,
        /// Transport retries are exhausted.
        RETRY_EXCEEDED = 10,
        /// RNR retries are exhausted.
        RNR_RETRY_EXCEEDED = 11,
        /// The device itself failed.
        FATAL = 12,
    }
}
