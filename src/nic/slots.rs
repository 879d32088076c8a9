//! The commands in flight, by tag.
//!
//! A tag is free, waits for its completion, is abandoned by its caller (and free again when the completion arrives), or
//! has an outcome that its caller has yet to read. Everything here is private memory: a completion is only believed if its
//! tag is in flight.

use core::ops::DerefMut;

use vrnic_abi::cmd::{INLINE_OUTPUT, Status};

use super::command::CommandError;

/// Logarithm of the entries in the command ring.
pub const RING_LOG2: u32 = 6;
/// Commands that can be in flight.
pub const TAGS: usize = 1 << RING_LOG2;
/// The same, as tags are counted.
const TAGS_U16: u16 = 1 << RING_LOG2;

/// How a command ended.
pub type Outcome = Result<[u8; INLINE_OUTPUT], CommandError>;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Free,
    Waiting {
        since: u64,
        opcode: u16,
    },
    Abandoned {
        since: u64,
        opcode: u16,
    },
    Finished(Outcome),
}

/// A completion that cannot be: its tag is not in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotInFlight;

/// What a completion did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completed {
    /// The caller of this tag can read its outcome.
    Wake(u16),
    /// Nobody waits; the tag is free.
    Reclaimed,
}

/// The place of one tag.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slot {
    state: State,
    /// One entry of the stack of free tags.
    free_tag: u16,
}

/// All tags, in memory that the caller brings. Times are in any unit that only grows.
pub struct Slots<S> {
    slots: S,
    /// So many entries of the stack count, the next tag last.
    free: usize,
}

impl<S: DerefMut<Target = [Slot]>> Slots<S> {
    /// All tags are free: as many as there are slots, [`TAGS`] at most.
    pub fn new(mut slots: S) -> Self {
        let free = slots.len().min(TAGS);
        // The top of the stack is tag 0.
        for (free_tag, slot) in (0..TAGS_U16).zip(slots[..free].iter_mut().rev()) {
            *slot = Slot {
                state: State::Free,
                free_tag,
            };
        }
        Self { slots, free }
    }

    /// Tags that are free.
    pub fn free(&self) -> usize {
        self.free
    }

    /// Takes a tag for a command that is posted now.
    pub fn take(&mut self, opcode: u16, now: u64) -> Option<u16> {
        self.free = self.free.checked_sub(1)?;
        let tag = self.slots[self.free].free_tag;
        self.slots[usize::from(tag)].state = State::Waiting { since: now, opcode };
        Some(tag)
    }

    fn put(&mut self, tag: u16) {
        self.slots[usize::from(tag)].state = State::Free;
        self.slots[self.free].free_tag = tag;
        self.free += 1;
    }

    /// The device says that the command of `tag` is done.
    ///
    /// # Errors
    ///
    /// It is not in flight.
    pub fn complete(
        &mut self,
        tag: u16,
        status: Status,
        syndrome: u32,
        output: [u8; INLINE_OUTPUT],
    ) -> Result<Completed, NotInFlight> {
        let state = &mut self.slots.get_mut(usize::from(tag)).ok_or(NotInFlight)?.state;
        match state {
            State::Waiting { .. } => {
                *state = State::Finished(match status {
                    Status::OK => Ok(output),
                    _ => Err(CommandError::Firmware { status, syndrome }),
                });
                Ok(Completed::Wake(tag))
            }
            State::Abandoned { .. } => {
                self.put(tag);
                Ok(Completed::Reclaimed)
            }
            State::Free | State::Finished(_) => Err(NotInFlight),
        }
    }

    /// The outcome of a tag that its caller holds, if there is one yet.
    pub fn outcome(&self, tag: u16) -> Option<Outcome> {
        match self.slots[usize::from(tag)].state {
            State::Finished(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// The caller has read the outcome.
    pub fn release(&mut self, tag: u16) {
        debug_assert!(self.outcome(tag).is_some(), "released before it was finished");
        self.put(tag);
    }

    /// The caller does not wait any longer. If the outcome came at the last moment, it is returned and the caller still
    /// has the tag.
    pub fn abandon(&mut self, tag: u16) -> Option<Outcome> {
        let state = &mut self.slots[usize::from(tag)].state;
        match *state {
            State::Waiting { since, opcode } => {
                *state = State::Abandoned { since, opcode };
                None
            }
            State::Finished(outcome) => Some(outcome),
            State::Free | State::Abandoned { .. } => {
                debug_assert!(false, "abandoned a tag that was not held");
                None
            }
        }
    }

    /// Ends every command that somebody waits for with `error`; the tags to wake, as bits. Abandoned ones stay with the
    /// device.
    pub fn fail_all(&mut self, error: CommandError) -> u64 {
        const { assert!(TAGS <= 64, "one bit for each tag") };
        let mut wake = 0;
        for (tag, slot) in self.slots.iter_mut().take(TAGS).enumerate() {
            if let State::Waiting { .. } = slot.state {
                slot.state = State::Finished(Err(error));
                wake |= 1 << tag;
            }
        }
        wake
    }

    /// The device has been reset: it completes nothing that it was given before, and the tags that nobody waits for are free.
    pub fn forget_abandoned(&mut self) {
        for tag in (0..u16::MAX).take(TAGS.min(self.slots.len())) {
            if let State::Abandoned { .. } = self.slots[usize::from(tag)].state {
                self.put(tag);
            }
        }
    }

    /// The opcode of a command that has been with the device since before `limit`.
    pub fn overdue(&self, limit: u64) -> Option<u16> {
        self.slots.iter().find_map(|slot| match slot.state {
            State::Waiting { since, opcode } | State::Abandoned { since, opcode } if since < limit => {
                Some(opcode)
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OUTPUT: [u8; INLINE_OUTPUT] = [7; INLINE_OUTPUT];

    fn slots() -> Slots<Vec<Slot>> {
        Slots::new(vec![Slot::default(); TAGS])
    }

    #[test]
    fn a_command_lives_once() {
        let mut slots = slots();
        let tag = slots.take(0x202, 5).expect("free tag");
        assert_eq!(slots.outcome(tag), None);
        assert_eq!(
            slots.complete(tag, Status::OK, 0, OUTPUT),
            Ok(Completed::Wake(tag))
        );
        assert_eq!(
            slots.complete(tag, Status::OK, 0, OUTPUT),
            Err(NotInFlight),
            "a second completion is garbage"
        );
        assert_eq!(slots.outcome(tag), Some(Ok(OUTPUT)));
        slots.release(tag);
        assert_eq!(
            slots.complete(tag, Status::OK, 0, OUTPUT),
            Err(NotInFlight),
            "so is one for a free tag"
        );
        assert_eq!(
            slots.complete(u16::MAX, Status::OK, 0, OUTPUT),
            Err(NotInFlight),
            "and one out of range"
        );
    }

    #[test]
    fn a_status_becomes_an_error() {
        let mut slots = slots();
        let tag = slots.take(0, 0).expect("free tag");
        assert_eq!(
            slots.complete(tag, Status::LINK_DOWN, 9, OUTPUT),
            Ok(Completed::Wake(tag))
        );
        let error = CommandError::Firmware {
            status: Status::LINK_DOWN,
            syndrome: 9,
        };
        assert_eq!(slots.outcome(tag), Some(Err(error)));
    }

    #[test]
    fn a_reset_frees_abandoned_tags() {
        let mut slots = slots();
        let held = slots.take(1, 0).expect("free tag");
        let abandoned = slots.take(2, 0).expect("free tag");
        assert_eq!(slots.abandon(abandoned), None);
        slots.fail_all(CommandError::Dead);
        slots.forget_abandoned();
        assert_eq!(slots.free(), TAGS - 1, "the holder has not let go yet");
        assert_eq!(slots.outcome(held), Some(Err(CommandError::Dead)));
        slots.release(held);
        assert_eq!(slots.free(), TAGS);
    }

    #[test]
    fn the_queue_fills_and_abandoned_tags_stay_away() {
        let mut slots = slots();
        let tags: Vec<u16> = core::iter::from_fn(|| slots.take(1, 0)).collect();
        assert_eq!(tags.len(), TAGS);
        for tag in &tags {
            assert_eq!(slots.abandon(*tag), None);
        }
        assert_eq!(slots.take(1, 0), None);
        assert_eq!(
            slots.complete(tags[3], Status::OK, 0, OUTPUT),
            Ok(Completed::Reclaimed)
        );
        assert_eq!(slots.take(1, 0), Some(tags[3]));
        assert_eq!(slots.take(1, 0), None);
    }

    #[test]
    fn the_last_moment_counts() {
        let mut slots = slots();
        let tag = slots.take(1, 0).expect("free tag");
        slots.complete(tag, Status::OK, 0, OUTPUT).expect("in flight");
        assert_eq!(slots.abandon(tag), Some(Ok(OUTPUT)));
        slots.release(tag);
    }

    #[test]
    fn failing_wakes_who_waits() {
        let mut slots = slots();
        let waiting = slots.take(1, 10).expect("free tag");
        let abandoned = slots.take(2, 20).expect("free tag");
        assert_eq!(slots.abandon(abandoned), None);
        assert_eq!(slots.overdue(10), None);
        assert_eq!(slots.overdue(11), Some(1));
        assert_eq!(slots.fail_all(CommandError::Dead), 1 << waiting);
        assert_eq!(slots.outcome(waiting), Some(Err(CommandError::Dead)));
        assert_eq!(slots.overdue(11), None);
        assert_eq!(slots.overdue(21), Some(2), "an abandoned command counts too");
    }

    proptest! {
        /// Whatever callers and a lying device do, no tag is ever held twice and none is lost.
        #[test]
        fn tags_are_conserved(steps in proptest::collection::vec((0u8..4, 0u16..80), 1..400)) {
            let mut slots = slots();
            let mut held: Vec<u16> = Vec::new();
            let mut abandoned: Vec<u16> = Vec::new();
            for (action, number) in steps {
                match action {
                    0 => if let Some(tag) = slots.take(1, 0) {
                        prop_assert!(!held.contains(&tag) && !abandoned.contains(&tag));
                        held.push(tag);
                    },
                    1 => match slots.complete(number, Status::OK, 0, OUTPUT) {
                        Ok(Completed::Wake(tag)) => prop_assert!(held.contains(&tag)),
                        Ok(Completed::Reclaimed) => {
                            prop_assert!(abandoned.contains(&number));
                            abandoned.retain(|tag| *tag != number);
                        }
                        Err(NotInFlight) => prop_assert!(
                            !abandoned.contains(&number) && (!held.contains(&number) || slots.outcome(number).is_some())
                        ),
                    },
                    _ if held.is_empty() => {}
                    2 => {
                        let tag = held.swap_remove(usize::from(number) % held.len());
                        if slots.abandon(tag).is_some() { slots.release(tag) } else { abandoned.push(tag) }
                    }
                    _ => {
                        let at = usize::from(number) % held.len();
                        if slots.outcome(held[at]).is_some() { slots.release(held.swap_remove(at)) }
                    }
                }
                prop_assert_eq!(slots.free + held.len() + abandoned.len(), TAGS);
            }
        }
    }
}
