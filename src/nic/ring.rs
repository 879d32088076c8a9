//! Rings of entries that the device writes: whose turn it is.

use vrnic_abi::cmd::{OWNER_PHASE, phase};

/// Our place in such a ring. The index runs freely and is private memory.
#[derive(Clone, Copy, Debug)]
pub struct Consumer {
    index: u32,
    log2_entries: u32,
}

impl Consumer {
    /// At the start of a zeroed ring of `1 << log2_entries` entries; the logarithm is below 32.
    #[must_use]
    pub const fn new(log2_entries: u32) -> Self {
        Self {
            index: 0,
            log2_entries,
        }
    }

    /// Entries of the ring.
    #[must_use]
    pub const fn entries(self) -> u32 {
        1 << self.log2_entries
    }

    /// The free-running index of the next entry.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.index
    }

    /// The place of the next entry in the ring.
    #[must_use]
    pub const fn slot(self) -> usize {
        (self.index & (self.entries() - 1)) as usize
    }

    /// Whether an entry with this owner byte is ours to read.
    #[must_use]
    pub const fn owns(self, owner: u8) -> bool {
        owner & OWNER_PHASE == phase(self.index, self.log2_entries)
    }

    /// Goes on to the next entry.
    pub const fn advance(&mut self) {
        self.index = self.index.wrapping_add(1);
    }
}

/// Whether a device that has fetched `fetched` commands since it was enabled has fetched number `index`, given that
/// `posted` have been posted. All run freely; a value that no working device can write counts as not fetched.
#[must_use]
pub const fn is_fetched(fetched: u32, index: u32, posted: u32) -> bool {
    let age = posted.wrapping_sub(index);
    let unfetched = posted.wrapping_sub(fetched);
    unfetched < age
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_alternate() {
        let mut consumer = Consumer::new(2);
        for pass in 0..4 {
            for slot in 0..4 {
                assert_eq!(consumer.slot(), slot);
                assert_eq!(consumer.owns(1), pass % 2 == 0);
                assert_eq!(consumer.owns(0), pass % 2 == 1);
                assert_eq!(consumer.owns(0xFE), pass % 2 == 1, "only the phase bit counts");
                consumer.advance();
            }
        }
        assert_eq!(consumer.index(), 16);
    }

    #[test]
    fn fetched_across_the_wrap() {
        assert!(!is_fetched(0, 0, 1));
        assert!(is_fetched(1, 0, 1));
        assert!(is_fetched(5, 0, 5));
        assert!(!is_fetched(3, 3, 5));
        assert!(is_fetched(4, 3, 5));
        assert!(!is_fetched(u32::MAX, u32::MAX, 0));
        assert!(is_fetched(0, u32::MAX, 0));
        assert!(!is_fetched(7, 0, 1), "more than was posted is garbage");
    }
}
