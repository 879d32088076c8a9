//! Event queue entries.

use crate::{U16, U32};
use static_assertions::const_assert_eq;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One entry of an event queue: 32 bytes. The device writes `owner` last.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Event {
    /// An [`EventKind`].
    pub kind: U16,
    /// Detail, by kind.
    pub detail: U16,
    /// Number of the object that the event is about, by kind.
    pub number: U32,
    /// More detail, by kind.
    pub data: [U32; 4],
    /// Events that were lost before this one because the queue was full.
    pub lost: U32,
    /// Zero.
    pub reserved: [u8; 3],
    /// Phase, see [`crate::cmd::OWNER_PHASE`].
    pub owner: u8,
}
const_assert_eq!(size_of::<Event>(), 32);
const_assert_eq!(core::mem::offset_of!(Event, owner), 31);

open_enum! {
    /// What happened. Each line says what `number` is.
    pub enum EventKind: u16 as U16 {
        /// A completion queue that was armed has a completion. CQ number.
        CQ = 1,
        /// A completion queue is in error (overrun, or its memory is gone). CQ number; `detail` is a syndrome.
        CQ_ERROR = 2,
        /// A queue pair went to the error state by itself. QP number; `detail` is a work completion status.
        QP_FATAL = 3,
        /// A queue pair on a shared receive queue is in error, by itself or by command, and takes no more entries from it: the
        /// completions of all that it had taken have been written. QP number.
        QP_LAST_WQE = 4,
        /// A shared receive queue fell below its limit. SRQ number.
        SRQ_LIMIT = 5,
        /// A shared receive queue is in error. SRQ number.
        SRQ_ERROR = 6,
        /// The link changed. `detail` is 1 for up and 0 for down; `data[0]` the speed in Mbit/s, `data[1]` the MTU.
        LINK = 7,
        /// A MAD is in the CM receive ring. `number` is the slot's free-running index.
        CM_MAD = 8,
        /// The device is in [`crate::regs::DeviceState::FATAL`]; `number` is the syndrome.
        FATAL = 9,
        /// An Ethernet queue that was armed has completions. Queue number.
        ETH = 10,
        /// The CM service is in error: it neither receives nor sends until it is disabled and enabled again. `number` is a
        /// [`crate::regs::FatalSyndrome`]: DMA fault or bad doorbell.
        CM_ERROR = 11,
        /// The first packet that a queue pair in RTR accepted: the connection is established though the driver may not have seen
        /// its peer's RTU (IBTA 11.6.3.3, "communication established"). Once for each queue pair. QP number.
        QP_COMM_EST = 12,
        /// An Ethernet queue is in error: it neither sends nor receives until it is destroyed. Queue number; `detail` is a
        /// [`crate::regs::FatalSyndrome`]: DMA fault or bad doorbell.
        ETH_ERROR = 13,
    }
}
