//! The entries of a shared receive queue, which complete in any order and on several completion queues at once.
//!
//! An outstanding entry has a slot; the device gets its number and generation as a cookie and gives it back. Free slots
//! are handed from the pollers to the one poster through a stack that the poster takes as a whole, so that no entry of it
//! can be taken, used and put back under somebody's eyes.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::send::{Full, Impossible};

/// Logarithm of the most slots.
pub const MAX_SLOTS_LOG2: u32 = 15;
const SLOT_MASK: u32 = (1 << MAX_SLOTS_LOG2) - 1;
/// What a cookie counts up by when its slot is used again.
const GENERATION: u32 = 1 << MAX_SLOTS_LOG2;
/// No slot.
const NONE: u32 = u32::MAX;
/// In [`Slot::cookie`] of a slot that is not with the device. Cookies have one generation bit less than would fit.
const FREE: u32 = 1 << 31;

/// One entry that can be outstanding.
#[derive(Debug)]
pub struct Slot {
    request: AtomicU64,
    /// Its cookie, with [`FREE`] while it is not outstanding.
    cookie: AtomicU32,
    /// The next one in the stack or in the poster's list.
    next: AtomicU32,
}

impl Slot {
    /// Slot number `index`, below `1 << MAX_SLOTS_LOG2`.
    #[must_use]
    pub const fn new(index: u32) -> Self {
        Self {
            request: AtomicU64::new(0),
            cookie: AtomicU32::new(index & SLOT_MASK | FREE),
            next: AtomicU32::new(NONE),
        }
    }
}

/// Where slots live. A table may grow; a slot stays where it is.
pub trait Table {
    /// Slot number `index`, which was made by [`Slot::new`] with that number.
    fn slot(&self, index: u32) -> Option<&Slot>;
}

/// The slots of one queue.
#[derive(Debug)]
pub struct Slots<T> {
    table: T,
    /// Most entries that may be outstanding.
    depth: AtomicU32,
    /// Slots that have been handed out to the free list.
    count: AtomicU32,
    /// First of the poster's free slots.
    own: AtomicU32,
    /// Top of the stack of slots that pollers have freed.
    freed: AtomicU32,
    /// Entries that are outstanding.
    outstanding: AtomicU32,
}

/// A slot that is about to be outstanding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken(u32);

impl<T: Table> Slots<T> {
    /// A queue that holds nothing, until [`Slots::set_depth`].
    pub fn new(table: T) -> Self {
        Self {
            table,
            depth: AtomicU32::new(0),
            count: AtomicU32::new(0),
            own: AtomicU32::new(NONE),
            freed: AtomicU32::new(NONE),
            outstanding: AtomicU32::new(0),
        }
    }

    /// Where the slots live.
    pub fn table(&self) -> &T {
        &self.table
    }

    /// Most entries that may be outstanding.
    pub fn depth(&self) -> u32 {
        self.depth.load(Ordering::Relaxed)
    }

    /// Changes how many entries may be outstanding; more may be already. The table has so many slots. One caller at a
    /// time.
    pub fn set_depth(&self, depth: u32) {
        let count = self.count.load(Ordering::Relaxed);
        for index in count..depth {
            if let Some(slot) = self.table.slot(index) {
                self.put(index, slot);
            }
        }
        self.count.store(count.max(depth), Ordering::Relaxed);
        self.depth.store(depth, Ordering::Release);
    }

    /// Entries that are outstanding; exact while nobody posts or polls.
    pub fn outstanding(&self) -> u32 {
        self.outstanding.load(Ordering::Acquire)
    }

    /// Poster: the slot that the next entry will have.
    ///
    /// # Errors
    ///
    /// [`Full`].
    #[inline]
    pub fn open(&self) -> Result<Taken, Full> {
        if self.outstanding() >= self.depth() {
            return Err(Full);
        }
        let mut own = self.own.load(Ordering::Relaxed);
        if own == NONE {
            own = self.freed.swap(NONE, Ordering::Acquire);
            self.own.store(own, Ordering::Relaxed);
        }
        if own == NONE { Err(Full) } else { Ok(Taken(own)) }
    }

    /// The cookie of the slot that [`Slots::open`] gave.
    ///
    /// # Errors
    ///
    /// Never for such a slot.
    #[inline]
    pub fn cookie(&self, taken: Taken) -> Result<u32, Full> {
        let slot = self.table.slot(taken.0).ok_or(Full)?;
        Ok(slot.cookie.load(Ordering::Relaxed) & !FREE)
    }

    /// Poster: the entry of slot `taken` is written.
    #[inline]
    pub fn finish(&self, taken: Taken, request: u64) {
        let Some(slot) = self.table.slot(taken.0) else {
            return;
        };
        self.own
            .store(slot.next.load(Ordering::Relaxed), Ordering::Relaxed);
        slot.request.store(request, Ordering::Relaxed);
        self.outstanding.fetch_add(1, Ordering::Relaxed);
        let cookie = slot.cookie.load(Ordering::Relaxed);
        slot.cookie.store(cookie & !FREE, Ordering::Release);
    }

    /// Any poller: the device has completed the entry with this cookie; the consumer's name of it.
    ///
    /// # Errors
    ///
    /// [`Impossible`]: no such entry is outstanding.
    #[inline]
    pub fn retire(&self, cookie: u32) -> Result<u64, Impossible> {
        let index = cookie & SLOT_MASK;
        let slot = self.table.slot(index).ok_or(Impossible)?;
        let request = slot.request.load(Ordering::Relaxed);
        let next = cookie.wrapping_add(GENERATION) | FREE;
        // Two completions of one entry, on two queues, must not both free it.
        slot.cookie
            .compare_exchange(cookie, next, Ordering::AcqRel, Ordering::Relaxed)
            .map_err(|_| Impossible)?;
        self.outstanding.fetch_sub(1, Ordering::AcqRel);
        self.put(index, slot);
        Ok(request)
    }

    fn put(&self, index: u32, slot: &Slot) {
        let mut top = self.freed.load(Ordering::Relaxed);
        loop {
            slot.next.store(top, Ordering::Relaxed);
            match self
                .freed
                .compare_exchange_weak(top, index, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => top = now,
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::single_match_else, reason = "a post has two outcomes")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl Table for Vec<Slot> {
        fn slot(&self, index: u32) -> Option<&Slot> {
            self.get(index as usize)
        }
    }

    fn slots(count: u32) -> Slots<Vec<Slot>> {
        let slots = Slots::new((0..16).map(Slot::new).collect());
        slots.set_depth(count);
        slots
    }

    #[test]
    fn a_queue_grows_and_shrinks() {
        let slots = slots(2);
        let cookies: Vec<u32> = (0..2).map(|n| post(&slots, n).expect("room")).collect();
        assert_eq!(post(&slots, 2), Err(Full));
        slots.set_depth(3);
        let third = post(&slots, 2).expect("grown");
        slots.set_depth(1);
        assert_eq!(post(&slots, 3), Err(Full));
        assert_eq!(slots.retire(cookies[0]), Ok(0));
        assert_eq!(slots.retire(third), Ok(2));
        assert_eq!(post(&slots, 3), Err(Full), "one is still outstanding");
        assert_eq!(slots.retire(cookies[1]), Ok(1));
        post(&slots, 3).expect("room");
        assert_eq!(post(&slots, 4), Err(Full));
    }

    fn post(slots: &Slots<Vec<Slot>>, request: u64) -> Result<u32, Full> {
        let taken = slots.open()?;
        let cookie = slots.cookie(taken)?;
        slots.finish(taken, request);
        Ok(cookie)
    }

    #[test]
    fn any_order() {
        let slots = slots(3);
        let cookies: Vec<u32> = (0..3).map(|n| post(&slots, n).expect("room")).collect();
        assert_eq!(post(&slots, 9), Err(Full));
        assert_eq!(slots.outstanding(), 3);
        assert_eq!(slots.retire(cookies[1]), Ok(1));
        assert_eq!(slots.retire(cookies[1]), Err(Impossible), "twice");
        let again = post(&slots, 7).expect("one is free");
        assert_ne!(again, cookies[1], "another generation");
        assert_eq!(slots.retire(cookies[1]), Err(Impossible), "an old cookie");
        assert_eq!(slots.retire(again), Ok(7));
        assert_eq!(slots.retire(u32::MAX), Err(Impossible));
        assert_eq!(slots.retire(3), Err(Impossible), "no such slot");
    }

    #[test]
    fn an_open_that_is_not_finished_changes_nothing() {
        let slots = slots(1);
        let taken = slots.open().expect("room");
        assert_eq!(slots.open(), Ok(taken));
        let cookie = slots.cookie(taken).expect("ours");
        assert_eq!(slots.retire(cookie), Err(Impossible), "not outstanding yet");
    }

    #[test]
    fn pollers_at_the_same_time() {
        const EACH: u64 = 2000;
        let slots = slots(8);
        let (sender, receiver) = std::sync::mpsc::channel();
        let receiver = std::sync::Mutex::new(receiver);
        let sum = std::sync::atomic::AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    loop {
                        let next = receiver.lock().expect("not poisoned").recv();
                        let Ok(cookie) = next else { return };
                        sum.fetch_add(slots.retire(cookie).expect("outstanding"), Ordering::Relaxed);
                    }
                });
            }
            for request in 0..EACH {
                let cookie = loop {
                    match post(&slots, request) {
                        Ok(cookie) => break cookie,
                        Err(Full) => std::thread::yield_now(),
                    }
                };
                sender.send(cookie).expect("received");
            }
            drop(sender);
        });
        assert_eq!(sum.into_inner(), EACH * (EACH - 1) / 2);
        assert_eq!(slots.outstanding(), 0);
    }

    proptest! {
        /// Whatever cookies come back, no slot is lost or used twice.
        #[test]
        fn slots_are_conserved(steps in proptest::collection::vec((any::<bool>(), any::<u32>()), 1..300)) {
            let slots = slots(5);
            let mut held: Vec<(u32, u64)> = Vec::new();
            for (step, (posting, number)) in steps.into_iter().enumerate() {
                if posting {
                    match post(&slots, step as u64) {
                        Ok(cookie) => {
                            prop_assert!(held.iter().all(|(known, _)| *known != cookie));
                            held.push((cookie, step as u64));
                        }
                        Err(Full) => prop_assert_eq!(held.len(), 5),
                    }
                } else if number & 1 == 0 && !held.is_empty() {
                    let (cookie, request) = held.swap_remove(number as usize / 2 % held.len());
                    prop_assert_eq!(slots.retire(cookie), Ok(request));
                } else if !held.iter().any(|(known, _)| *known == number % 64) {
                    prop_assert_eq!(slots.retire(number % 64), Err(Impossible));
                }
                prop_assert_eq!(slots.outstanding() as usize, held.len());
            }
        }
    }
}
