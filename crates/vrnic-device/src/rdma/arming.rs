//! When an armed completion queue is due for an event.

use vrnic_abi::doorbell::{
    ArmKind, CQ_ARM_INDEX_SHIFT, CQ_ARM_KIND_MASK, CQ_ARM_SEQUENCE_MASK, CQ_ARM_SEQUENCE_SHIFT,
};
use vrnic_abi::resource::CqCreate;

use crate::clock::Clock;
use crate::moderation::{Moderation, Moderator};

/// A completion so far back is forgotten, long before indexes wrap.
const FORGOTTEN: u32 = 1 << 30;
/// The bits of an index that an arm word has.
const INDEX_MASK: u32 = u32::MAX >> CQ_ARM_INDEX_SHIFT;

/// What a completion queue remembers to decide that.
#[derive(Debug, Default)]
pub(crate) struct Arming {
    /// The sequence number for which the last event was sent.
    fired: Option<u32>,
    /// The index behind the last completion in error.
    error: Option<u32>,
    /// The index behind the last completion that is solicited or in error.
    solicited: Option<u32>,
    moderator: Moderator,
}

impl Arming {
    /// A completion has been written; `producer` is the index behind it.
    pub fn completed(&mut self, producer: u32, is_error: bool, is_solicited: bool) {
        for (last, matches) in [
            (&mut self.error, is_error),
            (&mut self.solicited, is_error || is_solicited),
        ] {
            if matches {
                *last = Some(producer);
            } else if last.is_some_and(|last| producer.wrapping_sub(last) > FORGOTTEN) {
                *last = None;
            }
        }
    }

    /// Whether an event is due now, with that arm word and so many completions written.
    pub fn is_due(&mut self, word: u32, producer: u32, attributes: &CqCreate, clock: Clock) -> bool {
        let sequence = word >> CQ_ARM_SEQUENCE_SHIFT & CQ_ARM_SEQUENCE_MASK;
        let fresh = producer.wrapping_sub(word >> CQ_ARM_INDEX_SHIFT) & INDEX_MASK;
        // How many of the fresh ones a completion is from the end; it is fresh itself if that is less than all of them.
        let is_fresh = |last: Option<u32>| last.is_some_and(|last| producer.wrapping_sub(last) < fresh);
        let matches = match ArmKind(word & CQ_ARM_KIND_MASK) {
            _ if self.fired == Some(sequence) => false,
            ArmKind::ANY => fresh != 0,
            ArmKind::SOLICITED => is_fresh(self.solicited),
            _ => false,
        };
        if !matches {
            self.moderator.forget();
            return false;
        }
        let moderation = Moderation {
            time_us: attributes.moderation_us.get(),
            count: attributes.moderation_count.get(),
        };
        is_fresh(self.error) || self.moderator.is_over(moderation, fresh, clock)
    }

    /// The event has been sent for that arm word.
    pub fn fire(&mut self, word: u32) {
        self.fired = Some(word >> CQ_ARM_SEQUENCE_SHIFT & CQ_ARM_SEQUENCE_MASK);
        self.moderator.forget();
    }

    /// When [`Self::is_due`] should be asked again at the latest, if an event is held back.
    pub fn held_until(&self) -> Option<u64> {
        self.moderator.held_until()
    }
}
