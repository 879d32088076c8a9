//! The reference count of an NDK object, with a bit that says that its consumer has closed it.
//!
//! A new object carries one reference, the consumer's. Everything that keeps the object in use adds one: a callback that
//! is running, a request that is pending, a successor (a connector keeps its listener, every object its adapter). Closing
//! sets the bit and drops the consumer's reference; whoever drops the last one finishes the close. That is the whole of
//! NDK's rule that a close pends until requests, callbacks and successors are done (NDKPI Object Lifetime Requirements).

use core::sync::atomic::{AtomicU32, Ordering, fence};

const CLOSING: u32 = 1 << 31;
const COUNT: u32 = CLOSING - 1;

/// Stop-bit reference count.
#[derive(Debug)]
pub struct Lifetime(AtomicU32);

impl Lifetime {
    /// A count of one: the consumer's reference.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU32::new(1))
    }

    /// Adds a reference. The caller must already hold one, or know that somebody does.
    pub fn acquire(&self) {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        debug_assert!(
            before & COUNT != 0 && before & COUNT != COUNT,
            "reference to a dead object"
        );
    }

    /// Adds a reference unless the object is being closed. The memory must be valid, which a lock or another
    /// reference of the caller guarantees.
    #[must_use]
    pub fn try_acquire(&self) -> bool {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                (count & CLOSING == 0).then_some(count + 1)
            })
            .is_ok()
    }

    /// Adds a reference unless the last one is gone. The memory must be valid, as for [`Lifetime::try_acquire`].
    #[must_use]
    pub fn revive(&self) -> bool {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                (count & COUNT != 0).then_some(count + 1)
            })
            .is_ok()
    }

    /// Drops a reference; true if it was the last one, and then the caller finishes the close.
    #[must_use]
    pub fn release(&self) -> bool {
        let before = self.0.fetch_sub(1, Ordering::Release);
        debug_assert!(before & COUNT != 0, "reference released twice");
        let last = before == CLOSING | 1;
        if last {
            fence(Ordering::Acquire);
        }
        last
    }

    /// Sets the stop bit. The consumer's reference stays until [`Lifetime::release`].
    pub fn stop(&self) {
        let before = self.0.fetch_or(CLOSING, Ordering::AcqRel);
        debug_assert!(before & CLOSING == 0, "object closed twice");
    }

    /// Whether the consumer has closed the object.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.0.load(Ordering::Acquire) & CLOSING != 0
    }
}

impl Default for Lifetime {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_without_users_ends_at_once() {
        let life = Lifetime::new();
        life.stop();
        assert!(life.release());
    }

    #[test]
    fn close_waits_for_the_last_user() {
        let life = Lifetime::new();
        life.acquire();
        assert!(life.try_acquire());
        life.stop();
        assert!(life.is_closing());
        assert!(!life.try_acquire(), "no new user after close");
        assert!(life.revive(), "but for those who know about the close");
        assert!(!life.release());
        assert!(!life.release());
        assert!(!life.release());
        assert!(life.release());
    }

    #[test]
    fn what_is_gone_stays_gone() {
        let life = Lifetime::new();
        life.stop();
        assert!(life.release());
        assert!(!life.revive());
    }

    #[test]
    fn only_a_closed_object_ends() {
        let life = Lifetime::new();
        life.acquire();
        assert!(!life.release(), "a user that leaves does not end an open object");
        assert!(!life.is_closing());
    }

    #[test]
    fn exactly_one_thread_ends_it() {
        for _ in 0..200 {
            let life = Lifetime::new();
            for _ in 0..3 {
                life.acquire();
            }
            let ended = std::thread::scope(|scope| {
                let users: Vec<_> = (0..3).map(|_| scope.spawn(|| life.release())).collect();
                life.stop();
                let own = life.release();
                users
                    .into_iter()
                    .filter_map(|user| user.join().ok())
                    .filter(|last| *last)
                    .count()
                    + usize::from(own)
            });
            assert_eq!(ended, 1);
        }
    }
}
