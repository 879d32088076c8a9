//! Completions of Ethernet queues.

use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering};

use static_assertions::const_assert_eq;
use vrnic_abi::cmd::{OWNER_PHASE, phase};
use vrnic_abi::eth::{ETH_RX, EthCompletion, EthStatus};

/// A private copy of a completion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Completion([u64; 3]);

const_assert_eq!(offset_of!(EthCompletion, index), 0);
const_assert_eq!(offset_of!(EthCompletion, length), 4);
const_assert_eq!(offset_of!(EthCompletion, rss_hash), 8);
const_assert_eq!(offset_of!(EthCompletion, rss_type), 12);
const_assert_eq!(offset_of!(EthCompletion, vlan), 16);
const_assert_eq!(offset_of!(EthCompletion, flags), 18);
const_assert_eq!(offset_of!(EthCompletion, status), 20);
const_assert_eq!(offset_of!(EthCompletion, owner), 31);

impl Completion {
    /// The entry that the device writes as number `index` (free-running) of a ring of `1 << log2_entries`, if it has.
    #[must_use]
    pub fn read(entry: &[AtomicU64; 4], index: u32, log2_entries: u32) -> Option<Self> {
        let [first, second, third, last] = entry;
        // Acquire: the rest has been written before.
        let owner = (u64::from_le(last.load(Ordering::Acquire)) >> 56) as u8;
        if (owner ^ phase(index, log2_entries)) & OWNER_PHASE != 0 {
            return None;
        }
        let word = |word: &AtomicU64| u64::from_le(word.load(Ordering::Relaxed));
        Some(Self([word(first), word(second), word(third)]))
    }

    /// Free-running index of the descriptor.
    #[must_use]
    pub const fn index(&self) -> u32 {
        (self.0[0] & 0xFFFF_FFFF) as u32
    }

    /// Bytes in the buffer.
    #[must_use]
    pub const fn length(&self) -> u32 {
        (self.0[0] >> 32) as u32
    }

    /// Hash.
    #[must_use]
    pub const fn hash(&self) -> u32 {
        (self.0[1] & 0xFFFF_FFFF) as u32
    }

    /// What the hash is over, as a bit of NDIS; 0 for no hash.
    #[must_use]
    pub const fn hash_type(&self) -> u32 {
        (self.0[1] >> 32) as u32
    }

    /// The tag that was removed.
    #[must_use]
    pub const fn vlan(&self) -> u16 {
        (self.0[2] & 0xFFFF) as u16
    }

    /// `ETH_*` bits.
    #[must_use]
    pub const fn flags(&self) -> u16 {
        (self.0[2] >> 16 & 0xFFFF) as u16
    }

    /// What became of the frame.
    #[must_use]
    pub const fn status(&self) -> EthStatus {
        EthStatus((self.0[2] >> 32 & 0xFF) as u8)
    }

    /// Whether a frame was received, or one was sent.
    #[must_use]
    pub const fn is_receive(&self) -> bool {
        self.flags() & ETH_RX != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vrnic_abi::eth::ETH_VLAN;
    use zerocopy::{FromZeros, IntoBytes};

    #[test]
    fn every_field() {
        let completion = EthCompletion {
            index: 0x0102_0304.into(),
            length: 0x0506_0708.into(),
            rss_hash: 0x1112_1314.into(),
            rss_type: 0x100.into(),
            vlan: 0xE123.into(),
            flags: (ETH_RX | ETH_VLAN).into(),
            status: 5,
            owner: 0xFF,
            ..EthCompletion::new_zeroed()
        };
        let entry: [AtomicU64; 4] = core::array::from_fn(|word| {
            let bytes = completion.as_bytes().as_chunks::<8>().0[word];
            AtomicU64::new(u64::from_ne_bytes(bytes))
        });
        let read = Completion::read(&entry, 3, 2).expect("the first pass");
        assert_eq!((read.index(), read.length()), (0x0102_0304, 0x0506_0708));
        assert_eq!((read.hash(), read.hash_type()), (0x1112_1314, 0x100));
        assert_eq!((read.vlan(), read.flags()), (0xE123, ETH_RX | ETH_VLAN));
        assert_eq!(read.status(), EthStatus::LINK_DOWN);
        assert!(read.is_receive());
        assert_eq!(Completion::read(&entry, 4, 2), None, "of the second pass");
    }
}
