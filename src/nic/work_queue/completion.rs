//! A completion queue's entries as the driver reads them, and whose turn they are.

use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering};

use static_assertions::const_assert_eq;
use vrnic_abi::cmd::{OWNER_PHASE, phase};
use vrnic_abi::cqe::{CQE_RECEIVE, Cqe, WorkStatus};
use vrnic_abi::doorbell::ArmKind;
use vrnic_abi::wqe::WorkOpcode;

/// A ring of completions in memory that the device writes. Every index is valid: it is taken modulo the size of the ring.
pub trait Entries {
    /// Entry `index`, as little-endian words, which the device may be writing.
    fn entry(&self, index: u32) -> &[AtomicU64; 4];
}

/// A private copy of a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion([u64; 3]);

const_assert_eq!(offset_of!(Cqe, qpn), 0);
const_assert_eq!(offset_of!(Cqe, index), 4);
const_assert_eq!(offset_of!(Cqe, byte_len), 8);
const_assert_eq!(offset_of!(Cqe, extra), 12);
const_assert_eq!(offset_of!(Cqe, syndrome), 16);
const_assert_eq!(offset_of!(Cqe, flags), 20);
const_assert_eq!(offset_of!(Cqe, opcode), 22);
const_assert_eq!(offset_of!(Cqe, status), 23);
const_assert_eq!(offset_of!(Cqe, owner), 31);

/// A queue pair number that never exists: a completion with it is passed over.
pub const NO_QUEUE_PAIR: u32 = 0;

impl Completion {
    /// Queue pair.
    #[must_use]
    pub const fn qpn(&self) -> u32 {
        (self.0[0] & 0xFFFF_FFFF) as u32
    }

    /// Block or entry at which the request starts, or the cookie of a shared entry.
    #[must_use]
    pub const fn index(&self) -> u32 {
        (self.0[0] >> 32) as u32
    }

    /// Bytes received.
    #[must_use]
    pub const fn byte_len(&self) -> u32 {
        (self.0[1] & 0xFFFF_FFFF) as u32
    }

    /// Immediate data or invalidated key.
    #[must_use]
    pub const fn extra(&self) -> u32 {
        (self.0[1] >> 32) as u32
    }

    /// Detail of an error.
    #[must_use]
    pub const fn syndrome(&self) -> u32 {
        (self.0[2] & 0xFFFF_FFFF) as u32
    }

    /// `CQE_*`.
    #[must_use]
    pub const fn flags(&self) -> u16 {
        (self.0[2] >> 32 & 0xFFFF) as u16
    }

    /// Whether a receive has ended, or a request of the send queue.
    #[must_use]
    pub const fn is_receive(&self) -> bool {
        self.flags() & CQE_RECEIVE != 0
    }

    /// What has ended; 0 for a receive.
    #[must_use]
    pub const fn opcode(&self) -> WorkOpcode {
        WorkOpcode((self.0[2] >> 48 & 0xFF) as u8)
    }

    /// How.
    #[must_use]
    pub const fn status(&self) -> WorkStatus {
        WorkStatus((self.0[2] >> 56) as u8)
    }
}

/// How a ring's phases run: it may have been put in the place of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    log2_entries: u32,
    /// Index of the first entry that is in this ring: passes are counted from it.
    start: u32,
}

impl Pass {
    /// Of a zeroed ring of `1 << log2_entries` (below 32) whose first entry has the free-running index `start`.
    #[must_use]
    pub const fn new(log2_entries: u32, start: u32) -> Self {
        Self { log2_entries, start }
    }

    /// The entry at `index`, if the device has written it.
    #[expect(
        clippy::inline_always,
        reason = "the fast path, and called once for each form of results"
    )]
    #[inline(always)]
    pub fn read(self, ring: &impl Entries, index: u32) -> Option<Completion> {
        let [first, second, third, last] = ring.entry(index);
        // Acquire: the rest has been written before.
        let owner = (u64::from_le(last.load(Ordering::Acquire)) >> 56) as u8;
        let expected = phase(index.wrapping_sub(self.start), self.log2_entries);
        if (owner ^ expected) & OWNER_PHASE != 0 {
            return None;
        }
        Some(Completion([
            u64::from_le(first.load(Ordering::Relaxed)),
            u64::from_le(second.load(Ordering::Relaxed)),
            u64::from_le(third.load(Ordering::Relaxed)),
        ]))
    }

    /// Takes what is in the ring from `index` on of queue pair `qpn`, which does not exist any more, out of it: `receive`
    /// is called with the index of each of its receives.
    pub fn forget(self, ring: &impl Entries, index: u32, qpn: u32, mut receive: impl FnMut(u32)) {
        for ahead in 0..1 << self.log2_entries {
            let index = index.wrapping_add(ahead);
            let Some(completion) = self.read(ring, index) else {
                return;
            };
            if completion.qpn() == qpn {
                if completion.is_receive() {
                    receive(completion.index());
                }
                // The device does not read it.
                let [first, ..] = ring.entry(index);
                first.store(u64::from(NO_QUEUE_PAIR).to_le(), Ordering::Relaxed);
            }
        }
    }
}

/// The word that arms a queue, see `docs/`, "Arming a completion queue".
#[must_use]
pub const fn arm_word(kind: ArmKind, sequence: u32, consumer: u32) -> u32 {
    kind.0 | (sequence & 3) << 2 | consumer << 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use vrnic_abi::cqe::CQE_INVALIDATED;
    use zerocopy::{FromZeros, IntoBytes};

    struct Ring(Vec<[AtomicU64; 4]>);

    impl Ring {
        fn new(log2: u32) -> Self {
            Self((0..1 << log2).map(|_| Default::default()).collect())
        }

        fn write(&self, index: u32, owner: u8, cqe: Cqe) {
            let mut cqe = cqe;
            cqe.owner = owner;
            let words = cqe.as_bytes().as_chunks::<8>().0;
            for (place, bytes) in self.entry(index).iter().zip(words) {
                place.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
            }
        }
    }

    impl Entries for Ring {
        fn entry(&self, index: u32) -> &[AtomicU64; 4] {
            &self.0[index as usize % self.0.len()]
        }
    }

    fn receive(qpn: u32, index: u32) -> Cqe {
        Cqe {
            qpn: qpn.into(),
            index: index.into(),
            flags: CQE_RECEIVE.into(),
            ..Cqe::new_zeroed()
        }
    }

    #[test]
    fn every_field() {
        let ring = Ring::new(1);
        let cqe = Cqe {
            qpn: 0x12_3456.into(),
            index: 0x89AB_CDEF.into(),
            byte_len: 0x0102_0304.into(),
            extra: 0x0506_0708.into(),
            syndrome: 0x090A_0B0C.into(),
            flags: (CQE_RECEIVE | CQE_INVALIDATED).into(),
            opcode: 5,
            status: 7,
            reserved: [0xEE; 7],
            owner: 0,
        };
        ring.write(0, 0xFF, cqe);
        let read = Pass::new(1, 0).read(&ring, 0).expect("written");
        assert_eq!((read.qpn(), read.index()), (0x12_3456, 0x89AB_CDEF));
        assert_eq!((read.byte_len(), read.extra()), (0x0102_0304, 0x0506_0708));
        assert_eq!((read.syndrome(), read.flags()), (0x090A_0B0C, 5));
        assert!(read.is_receive());
        assert_eq!(
            (read.opcode(), read.status()),
            (WorkOpcode::READ_LOCAL_INV, WorkStatus::REMOTE_INVALID_REQUEST)
        );
        assert_eq!(Pass::new(1, 0).read(&ring, 1), None);
    }

    #[test]
    fn a_queue_pair_is_forgotten() {
        let ring = Ring::new(2);
        for (index, qpn) in [(5, 9), (6, 7), (7, 9)] {
            ring.write(index, phase(index, 2), receive(qpn, index + 100));
        }
        let mut freed = Vec::new();
        Pass::new(2, 0).forget(&ring, 5, 9, |index| freed.push(index));
        assert_eq!(freed, [105, 107]);
        let left: Vec<u32> = (5..8)
            .map(|index| Pass::new(2, 0).read(&ring, index).expect("still there").qpn())
            .collect();
        assert_eq!(left, [NO_QUEUE_PAIR, 7, NO_QUEUE_PAIR]);
        assert_eq!(
            Pass::new(2, 0).read(&ring, 8),
            None,
            "the pass after them is not written"
        );
    }

    #[test]
    fn the_arm_word() {
        assert_eq!(arm_word(ArmKind::ANY, 5, 0x1234_5678), 0x2345_6787);
        assert_eq!(arm_word(ArmKind::SOLICITED, 2, 1), 0x1A);
    }

    proptest! {
        /// A ring that replaces another one at any index is read exactly as it is written.
        #[test]
        fn phases_of_a_resized_ring(log2 in 0u32..5, start in any::<u32>(), count in 1u32..100) {
            let (ring, pass) = (Ring::new(log2), Pass::new(log2, start));
            for step in 0..count {
                let index = start.wrapping_add(step);
                prop_assert_eq!(pass.read(&ring, index), None);
                // The rule of the manual, "CqModify".
                let owner = phase(step, log2);
                ring.write(index, owner, receive(2, index));
                prop_assert_eq!(pass.read(&ring, index).map(|c| c.index()), Some(index));
            }
        }
    }
}
