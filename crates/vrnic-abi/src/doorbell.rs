//! BAR2: doorbells, which are 32-bit words in memory that driver and device share.
//!
//! Ringing one is a store: nothing traps. The device polls the words of the objects that exist for a short while after
//! the last work, then writes a non-zero value to [`SLEEP`] and stops looking. After each doorbell store the driver
//! executes a full barrier, reads [`SLEEP`] and, if it is not zero, writes [`crate::regs::KICK`]. The device reads all
//! doorbells once more between setting [`SLEEP`] and going to sleep, so no doorbell is lost.
//!
//! Producer and consumer indexes run freely modulo 2^32; rings use their low bits. The device checks every index
//! against its private copy: one that went back, or ran ahead by more than the ring, puts the object into error (for an event queue: the device).

/// Queue pair doorbells: [`QP_STRIDE`] bytes for each QP index ([`crate::resource::QPN_INDEX_MASK`]).
pub const QP: u64 = 0x00_0000;
/// Bytes between the doorbells of two QPs.
pub const QP_STRIDE: u64 = 8;
/// In a QP doorbell: producer index of the send queue, in basic blocks of [`crate::wqe::BASIC_BLOCK`] bytes.
pub const QP_SQ_PRODUCER: u64 = 0;
/// In a QP doorbell: producer index of the receive queue, in entries.
pub const QP_RQ_PRODUCER: u64 = 4;

/// Completion queue doorbells: [`CQ_STRIDE`] bytes for each CQ number.
pub const CQ: u64 = 0x08_0000;
/// Bytes between the doorbells of two CQs.
pub const CQ_STRIDE: u64 = 8;
/// In a CQ doorbell: consumer index, in entries.
pub const CQ_CONSUMER: u64 = 0;
/// In a CQ doorbell: arm word. Bits 0 and 1 hold the [`ArmKind`], bits 2 and 3 the sequence number of the arm, bits 4 to
/// 31 the low bits of the consumer index that the driver had seen when it armed.
pub const CQ_ARM: u64 = 4;

/// The bits of an arm word that hold the [`ArmKind`].
pub const CQ_ARM_KIND_MASK: u32 = 3;
/// Where the sequence number is in an arm word.
pub const CQ_ARM_SEQUENCE_SHIFT: u32 = 2;
/// The bits of the sequence number, shifted down.
pub const CQ_ARM_SEQUENCE_MASK: u32 = 3;
/// Where the consumer index is in an arm word: its low 28 bits.
pub const CQ_ARM_INDEX_SHIFT: u32 = 4;

open_enum! {
    /// What an armed completion queue waits for.
    pub enum ArmKind: u32 as u32 {
        /// Nothing: not armed.
        NONE = 0,
        /// Only a completion queue error.
        ERRORS = 1,
        /// A solicited receive, or any completion in error.
        SOLICITED = 2,
        /// The next completion.
        ANY = 3,
    }
}

/// Shared receive queue doorbells: [`SRQ_STRIDE`] bytes for each SRQ number.
pub const SRQ: u64 = 0x10_0000;
/// Bytes between the doorbells of two SRQs.
pub const SRQ_STRIDE: u64 = 8;
/// In an SRQ doorbell: producer index, in entries.
pub const SRQ_PRODUCER: u64 = 0;

/// Event queue doorbells: [`EQ_STRIDE`] bytes for each EQ number.
pub const EQ: u64 = 0x18_0000;
/// Bytes between the doorbells of two EQs.
pub const EQ_STRIDE: u64 = 8;
/// In an EQ doorbell: consumer index, in entries.
pub const EQ_CONSUMER: u64 = 0;
/// In an EQ doorbell: arm word. Zero: not armed. [`EQ_ARMED`] set: the device raises the EQ's vector once for the first
/// entry that it writes, and clears the word. A driver arms, then looks at the queue once more.
pub const EQ_ARM: u64 = 4;
/// The bit of [`EQ_ARM`] that asks for an interrupt.
pub const EQ_ARMED: u32 = 1 << 31;

/// Consumer index of the CM receive ring ([`crate::cm::CmReceive`]), in entries.
pub const CM_CONSUMER: u64 = 0x1C_0000;
/// Written by the device only: not zero while it sleeps and wants [`crate::regs::KICK`].
pub const SLEEP: u64 = 0x1C_0040;

/// Ethernet queue doorbells: [`ETH_STRIDE`] bytes for each Ethernet queue number.
pub const ETH: u64 = 0x1D_0000;
/// Bytes between the doorbells of two Ethernet queues.
pub const ETH_STRIDE: u64 = 16;
/// In an Ethernet doorbell: producer index of the transmit ring.
pub const ETH_TX_PRODUCER: u64 = 0;
/// In an Ethernet doorbell: producer index of the receive ring.
pub const ETH_RX_PRODUCER: u64 = 4;
/// In an Ethernet doorbell: consumer index of the completion ring.
pub const ETH_CONSUMER: u64 = 8;
/// In an Ethernet doorbell: arm word. Zero: not armed. With [`ETH_ARMED`]: the device sends one event as soon as there is a completion
/// at or behind the index whose low bits are in [`ETH_ARM_INDEX_MASK`], and clears the word.
pub const ETH_ARM: u64 = 12;
/// The bit of [`ETH_ARM`] that asks for an event.
pub const ETH_ARMED: u32 = 1 << 31;
/// The bits of [`ETH_ARM`] that hold the low bits of the consumer index that the driver has seen.
pub const ETH_ARM_INDEX_MASK: u32 = ETH_ARMED - 1;

/// Most queue pairs, completion queues or shared receive queues: what fits into the doorbell BAR.
pub const MAX_OBJECTS: u32 = 0x1_0000;
/// Most event queues.
pub const MAX_EQS: u32 = 0x100;
/// Most Ethernet queues.
pub const MAX_ETH_QUEUES: u32 = 0x40;

const _: () = {
    assert!(QP + QP_STRIDE * MAX_OBJECTS as u64 <= CQ);
    assert!(CQ + CQ_STRIDE * MAX_OBJECTS as u64 <= SRQ);
    assert!(SRQ + SRQ_STRIDE * MAX_OBJECTS as u64 <= EQ);
    assert!(EQ + EQ_STRIDE * MAX_EQS as u64 <= CM_CONSUMER);
    assert!(ETH + ETH_STRIDE * MAX_ETH_QUEUES as u64 <= crate::pci::DOORBELL_BAR_SIZE);
};
