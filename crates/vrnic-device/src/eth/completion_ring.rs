//! The completion ring of a queue: writing completions, and when the event that the driver has armed for is due.

use std::sync::atomic::{Ordering, fence};

use vrnic_abi::doorbell::{ETH_ARM, ETH_ARM_INDEX_MASK, ETH_ARMED, ETH_CONSUMER};
use vrnic_abi::eth::EthCompletion;
use zerocopy::IntoBytes;

use super::descriptor_ring::contiguous;
use crate::clock::Clock;
use crate::dma::Dma;
use crate::doorbells::DoorbellMemory;
use crate::host::DmaFault;
use crate::moderation::{Moderation, Moderator};
use crate::ring::{BadIndex, Indexes, RingError, RingMemory};

/// A completion ring.
pub(super) struct CompletionRing {
    ring: RingMemory,
    indexes: Indexes,
    /// Where the doorbell words of the queue begin.
    words: u64,
    moderator: Moderator,
}

impl CompletionRing {
    /// The ring at `addr`, empty and not armed; its doorbell words are set to zero.
    ///
    /// # Errors
    /// It is not aligned, or does not fit.
    pub fn new(
        dma: &mut Dma,
        addr: u64,
        log2_entries: u8,
        words: u64,
        doorbells: &DoorbellMemory,
    ) -> Result<Self, RingError> {
        let ring = contiguous(dma, addr, log2_entries, size_of::<EthCompletion>())?;
        doorbells.store(words + ETH_CONSUMER, 0);
        doorbells.store(words + ETH_ARM, 0);
        Ok(Self {
            ring,
            indexes: Indexes::default(),
            words,
            moderator: Moderator::default(),
        })
    }

    /// Whether a completion can be written now.
    ///
    /// # Errors
    /// The driver's index went back, or past what was written.
    pub fn has_room(&mut self, doorbells: &DoorbellMemory) -> Result<bool, BadIndex> {
        if !self.ring.is_full(&self.indexes) {
            return Ok(true);
        }
        self.indexes.consume(doorbells.load(self.words + ETH_CONSUMER))?;
        Ok(!self.ring.is_full(&self.indexes))
    }

    /// Writes a completion; there is room.
    ///
    /// # Errors
    /// The ring cannot be written.
    pub fn post(&mut self, dma: &mut Dma, mut completion: EthCompletion) -> Result<(), DmaFault> {
        let index = self.indexes.producer;
        completion.owner = self.ring.phase(index);
        self.ring.publish(dma, index, completion.as_bytes())?;
        self.indexes.produce();
        Ok(())
    }

    /// Whether an event is due: the arm word that it is due for.
    pub fn due(&mut self, doorbells: &DoorbellMemory, moderation: Moderation, clock: Clock) -> Option<u32> {
        // The driver arms and then looks whether we sleep; we write completions and then look at the arm word, or sleep and then look
        // at it.
        fence(Ordering::SeqCst);
        let word = doorbells.load(self.words + ETH_ARM);
        let fresh = self.indexes.producer.wrapping_sub(word) & ETH_ARM_INDEX_MASK;
        if word & ETH_ARMED == 0 || fresh == 0 {
            self.moderator.forget();
            return None;
        }
        self.moderator.is_over(moderation, fresh, clock).then_some(word)
    }

    /// The event for that arm word is sent: disarms, unless the driver has armed anew. True if it has not.
    pub fn disarm(&mut self, doorbells: &DoorbellMemory, word: u32) -> bool {
        self.moderator.forget();
        doorbells.replace(self.words + ETH_ARM, word, 0)
    }

    /// When [`Self::due`] should be asked again at the latest, if an event is held back.
    pub fn held_until(&self) -> Option<u64> {
        self.moderator.held_until()
    }
}
