//! Who serves a queue whose interrupts may come to several processors: one at a time, and none of them is forgotten.

use core::sync::atomic::{AtomicU32, Ordering};

/// The right to serve. Whoever comes while it is taken only leaves a note; who has it looks again before leaving.
#[derive(Debug, Default)]
pub struct Turn(AtomicU32);

impl Turn {
    /// A turn that nobody has.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Tries to take the turn. False: somebody has it and will look at the queue after this call.
    #[must_use]
    pub fn enter(&self) -> bool {
        self.0.fetch_add(1, Ordering::AcqRel) == 0
    }

    /// Gives the turn back. False: somebody came meanwhile, the turn is still the caller's and the queue must be looked at again.
    #[must_use]
    pub fn leave(&self) -> bool {
        if self
            .0
            .compare_exchange(1, 0, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
        {
            return true;
        }
        self.0.store(1, Ordering::Release);
        false
    }

    /// Gives the turn back although there may be more to serve: the caller sees to it that somebody enters again.
    pub fn abandon(&self) {
        self.0.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize};

    #[test]
    fn a_note_keeps_the_turn_until_it_is_read() {
        let turn = Turn::new();
        assert!(turn.enter());
        assert!(!turn.enter(), "taken");
        assert!(!turn.leave(), "look again");
        assert!(turn.leave());
        assert!(turn.enter());
        turn.abandon();
        assert!(turn.enter());
    }

    #[test]
    fn nothing_is_served_twice_at_a_time_or_forgotten() {
        const EACH: usize = 2000;
        let (turn, queue, served) = (Turn::new(), AtomicUsize::new(0), AtomicUsize::new(0));
        let busy = AtomicBool::new(false);
        let visit = || {
            queue.fetch_add(1, Ordering::SeqCst);
            if !turn.enter() {
                return;
            }
            loop {
                assert!(!busy.swap(true, Ordering::SeqCst), "two serve at the same time");
                served.fetch_add(queue.swap(0, Ordering::SeqCst), Ordering::SeqCst);
                busy.store(false, Ordering::SeqCst);
                if turn.leave() {
                    return;
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..EACH).for_each(|_| visit()));
            }
        });
        assert_eq!(served.into_inner(), 3 * EACH);
    }
}
