//! Interrupt moderation: how long an event that is due is held back.

use crate::clock::Clock;

/// With this count only the time matters.
const COUNT_UNLIMITED: u16 = u16::MAX;

/// How an object moderates.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moderation {
    /// Longest time that an event is held back, in microseconds; 0: not at all.
    pub time_us: u16,
    /// Completions after which it is sent nevertheless; 0 or 1: each.
    pub count: u16,
}

/// Holds an event back.
#[derive(Debug, Default)]
pub(crate) struct Moderator {
    held_until: Option<u64>,
}

impl Moderator {
    /// Whether the event, for so many completions, need not wait any longer. It begins to wait when this is asked first.
    pub fn is_over(&mut self, moderation: Moderation, completions: u32, clock: Clock) -> bool {
        let Moderation { time_us, count } = moderation;
        let is_enough = count != COUNT_UNLIMITED && completions >= count.max(1).into();
        if time_us == 0 || is_enough {
            return true;
        }
        let now = clock.now();
        now >= *self.held_until.get_or_insert(now + u64::from(time_us) * 1000)
    }

    /// The event has been sent, or there is none.
    pub const fn forget(&mut self) {
        self.held_until = None;
    }

    /// When the event that is held back is due at the latest.
    pub const fn held_until(&self) -> Option<u64> {
        self.held_until
    }
}
