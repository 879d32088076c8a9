//! The send queue of a queue pair: which requests are outstanding, and what their consumer called them.
//!
//! Two sides meet here without a lock. The *poster* (one at a time, by the rules of NDKPI) owns `producer`, `posted` and
//! `rung`; the *poller* of the completion queue (one at a time, too) owns `retired`. Each side only reads the other's.
//! A completion retires its request and all before it: requests without a completion of their own end that way.

use core::ops::Deref;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::wqe::{Start, UNITS_PER_BLOCK};

/// Most requests of a queue: a place in the sequence is kept in 16 bits, half of which tell earlier from later.
pub const MAX_DEPTH: u32 = 1 << 15;

/// Most basic blocks between the starts of two requests.
const MAX_BLOCKS: u32 = 12;
static_assertions::const_assert_eq!(MAX_BLOCKS as usize, vrnic_abi::wqe::MAX_BLOCKS);
/// In [`SendQueue::abandoned`]: it is set.
const KNOWN: u64 = 1 << 32;

/// What is remembered of the request that starts at one basic block.
#[derive(Debug)]
pub struct Slot {
    /// The consumer's name of it.
    request: AtomicU64,
    /// The free-running block index in the lower half; then 16 bits of its place in the sequence of requests, 16 of its kind.
    place: AtomicU64,
}

impl Slot {
    /// Slot number `index` of a new queue: no request starts there.
    #[must_use]
    pub const fn new(index: u32) -> Self {
        Self {
            request: AtomicU64::new(0),
            // An index that belongs to another slot, whatever the size of the ring.
            place: AtomicU64::new(!index as u64),
        }
    }
}

/// A request that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The consumer's name of it.
    pub request: u64,
    /// What [`SendQueue::finish`] was told.
    pub kind: u16,
}

/// The queue holds as many requests as it was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A completion that cannot be: no such request is outstanding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Impossible;

/// A request that is being written.
#[derive(Clone, Copy, Debug)]
pub struct Opened {
    /// Where it starts.
    pub start: Start,
    posted: u32,
}

/// Keeps what two processors write apart, whatever the alignment of the whole.
#[derive(Debug, Default)]
struct Apart(#[expect(dead_code, reason = "only takes room")] [u64; 8]);

/// The bookkeeping of a send queue over a ring of as many basic blocks as there are slots.
#[derive(Debug)]
pub struct SendQueue<S> {
    slots: S,
    /// Slots, less one.
    mask: u32,
    depth: u32,
    _poster: Apart,
    /// Basic block at which the next request starts.
    producer: AtomicU32,
    /// Requests so far.
    posted: AtomicU32,
    /// The producer index that the device has been told.
    rung: AtomicU32,
    _poller: Apart,
    /// Requests that have ended.
    retired: AtomicU32,
    /// The block behind the start of the request that was abandoned last, with [`KNOWN`].
    abandoned: AtomicU64,
}

impl<S: Deref<Target = [Slot]>> SendQueue<S> {
    /// An empty queue of `depth` requests. `slots` is a power of two of them, enough for `depth` times the blocks of the
    /// largest request, so that counting requests is enough.
    pub fn new(slots: S, depth: u32) -> Self {
        debug_assert!(slots.len().is_power_of_two() && depth <= MAX_DEPTH);
        Self {
            mask: u32::try_from(slots.len()).unwrap_or(0).wrapping_sub(1),
            slots,
            depth,
            _poster: Apart::default(),
            producer: AtomicU32::new(0),
            posted: AtomicU32::new(0),
            rung: AtomicU32::new(0),
            _poller: Apart::default(),
            retired: AtomicU32::new(0),
            abandoned: AtomicU64::new(0),
        }
    }

    fn slot(&self, block: u32) -> Option<&Slot> {
        self.slots.get((block & self.mask) as usize)
    }

    /// Poster: begins a request.
    ///
    /// # Errors
    ///
    /// [`Full`].
    #[inline]
    pub fn open(&self) -> Result<Opened, Full> {
        let posted = self.posted.load(Ordering::Relaxed);
        // Acquire: the slot that is written next has been read by whoever retired its request.
        if posted.wrapping_sub(self.retired.load(Ordering::Acquire)) >= self.depth {
            return Err(Full);
        }
        let start = Start(self.producer.load(Ordering::Relaxed));
        Ok(Opened { start, posted })
    }

    /// Poster: the request is written, in `units`. Returns the new producer index, which the device is told now or with
    /// a later request.
    #[inline]
    pub fn finish(&self, opened: Opened, units: u32, request: u64, kind: u16) -> u32 {
        let start = opened.start.0;
        let producer = start.wrapping_add(units.div_ceil(UNITS_PER_BLOCK));
        if let Some(slot) = self.slot(start) {
            slot.request.store(request, Ordering::Relaxed);
            let sequence = u64::from(opened.posted & 0xFFFF) << 32;
            slot.place.store(
                u64::from(start) | sequence | u64::from(kind) << 48,
                Ordering::Relaxed,
            );
        }
        self.producer.store(producer, Ordering::Relaxed);
        self.posted
            .store(opened.posted.wrapping_add(1), Ordering::Release);
        producer
    }

    /// Poster: the device is being told of everything up to `producer`.
    #[inline]
    pub fn set_rung(&self, producer: u32) {
        self.rung.store(producer, Ordering::Relaxed);
    }

    /// The producer index that the device should be told, if requests were deferred. Anybody: with a post at the same
    /// time it may be out of date when it is returned.
    pub fn deferred(&self) -> Option<u32> {
        let producer = self.producer.load(Ordering::Acquire);
        (self.rung.load(Ordering::Relaxed) != producer).then_some(producer)
    }

    /// Poller: the device has completed the request that starts at `block`.
    ///
    /// # Errors
    ///
    /// [`Impossible`]; nothing has changed then.
    #[expect(
        clippy::inline_always,
        reason = "the fast path, and called once for each form of results"
    )]
    #[inline(always)]
    pub fn retire(&self, block: u32) -> Result<Ended, Impossible> {
        let slot = self.slot(block).ok_or(Impossible)?;
        let place = slot.place.load(Ordering::Relaxed);
        let request = slot.request.load(Ordering::Relaxed);
        let retired = self.retired.load(Ordering::Relaxed);
        // Places run modulo 2^16 and no more than 2^15 requests are outstanding.
        let ahead = (place >> 32).wrapping_sub(u64::from(retired)) & 0xFFFF;
        let outstanding = self.posted.load(Ordering::Acquire).wrapping_sub(retired);
        if place & 0xFFFF_FFFF != u64::from(block) || ahead >= u64::from(outstanding) {
            return Err(Impossible);
        }
        let ended = (ahead & 0xFFFF) as u32 + 1;
        self.retired.store(retired.wrapping_add(ended), Ordering::Release);
        Ok(Ended {
            request,
            kind: (place >> 48) as u16,
        })
    }

    /// Poller: gives up the oldest outstanding request, for a device that completes nothing any more. The first call looks for
    /// it from the newest one on, later ones go on from there.
    pub fn abandon_oldest(&self) -> Option<Ended> {
        let retired = self.retired.load(Ordering::Relaxed);
        let outstanding = self.posted.load(Ordering::Acquire).wrapping_sub(retired);
        if outstanding == 0 {
            return None;
        }
        let known = self.abandoned.load(Ordering::Relaxed);
        let block = if known & KNOWN == 0 {
            let newest = self.producer.load(Ordering::Relaxed);
            (0..outstanding).try_fold(newest, |block, back| {
                let sequence = retired.wrapping_add(outstanding - 1 - back);
                self.search(
                    (1..=MAX_BLOCKS).map(|blocks| block.wrapping_sub(blocks)),
                    sequence,
                )
            })?
        } else {
            let first = (known & 0xFFFF_FFFF) as u32;
            self.search((0..MAX_BLOCKS).map(|blocks| first.wrapping_add(blocks)), retired)?
        };
        self.abandoned
            .store(u64::from(block.wrapping_add(1)) | KNOWN, Ordering::Relaxed);
        self.retire(block).ok()
    }

    /// The first of these blocks at which the request with this place in the sequence starts.
    fn search(&self, mut blocks: impl Iterator<Item = u32>, sequence: u32) -> Option<u32> {
        blocks.find(|block| {
            self.slot(*block).is_some_and(|slot| {
                let place = slot.place.load(Ordering::Relaxed);
                place & 0xFFFF_FFFF == u64::from(*block)
                    && place >> 32 & 0xFFFF == u64::from(sequence & 0xFFFF)
            })
        })
    }
}

#[cfg(test)]
#[expect(clippy::single_match_else, reason = "a post has two outcomes")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn queue(log2_blocks: u32, depth: u32) -> SendQueue<Vec<Slot>> {
        SendQueue::new((0..1 << log2_blocks).map(Slot::new).collect(), depth)
    }

    fn post(queue: &SendQueue<Vec<Slot>>, blocks: u32, request: u64) -> Result<u32, Full> {
        let opened = queue.open()?;
        queue.finish(opened, blocks * UNITS_PER_BLOCK - 1, request, 7);
        Ok(opened.start.0)
    }

    #[test]
    fn requests_end_in_order() {
        let queue = queue(3, 4);
        let first = post(&queue, 1, 10).expect("room");
        let second = post(&queue, 2, 11).expect("room");
        assert_eq!((first, second), (0, 1));
        assert_eq!(queue.retire(first), Ok(Ended { request: 10, kind: 7 }));
        assert_eq!(queue.retire(first), Err(Impossible), "twice");
        assert_eq!(queue.retire(second + 1), Err(Impossible), "inside of a request");
        assert_eq!(queue.retire(second), Ok(Ended { request: 11, kind: 7 }));
        assert_eq!(queue.retire(3), Err(Impossible), "never posted");
    }

    #[test]
    fn a_completion_ends_what_came_before() {
        let queue = queue(2, 4);
        let last = (0..4)
            .map(|n| post(&queue, 1, n).expect("room"))
            .last()
            .expect("four");
        assert_eq!(post(&queue, 1, 9), Err(Full));
        assert_eq!(queue.retire(last), Ok(Ended { request: 3, kind: 7 }));
        for block in 0..4 {
            assert_eq!(queue.retire(block), Err(Impossible), "{block} has ended");
        }
        for request in 0..4 {
            post(&queue, 1, request).expect("all are free again");
        }
        assert_eq!(post(&queue, 1, 9), Err(Full));
    }

    #[test]
    fn deferred_until_rung() {
        let queue = queue(3, 8);
        assert_eq!(queue.deferred(), None);
        post(&queue, 2, 0).expect("room");
        post(&queue, 1, 0).expect("room");
        assert_eq!(queue.deferred(), Some(3));
        queue.set_rung(3);
        assert_eq!(queue.deferred(), None);
    }

    #[test]
    fn a_dead_device_leaves_nothing_behind() {
        let queue = queue(4, 5);
        for (request, blocks) in [1, 3, 2, 1].into_iter().enumerate() {
            post(&queue, blocks, request as u64).expect("room");
        }
        queue.retire(0).expect("the first");
        let left: Vec<u64> = core::iter::from_fn(|| queue.abandon_oldest())
            .map(|ended| ended.request)
            .collect();
        assert_eq!(left, [1, 2, 3]);
        assert_eq!(queue.abandon_oldest(), None);
    }

    proptest! {
        /// Whatever a lying device says is outstanding, the queue agrees with a model of it.
        #[test]
        fn agrees_with_a_model(
            steps in proptest::collection::vec((0u8..3, 1u32..4, any::<u32>()), 1..300),
            start in prop_oneof![Just(0u32), Just(u32::MAX - 20), any::<u32>()],
        ) {
            let queue = queue(5, 8);
            queue.producer.store(start, Ordering::Relaxed);
            queue.posted.store(start, Ordering::Relaxed);
            queue.retired.store(start, Ordering::Relaxed);
            let mut model: VecDeque<(u32, u64)> = VecDeque::new();
            for (step, (action, blocks, number)) in steps.into_iter().enumerate() {
                let request = step as u64 + 1;
                match action {
                    0 => match post(&queue, blocks, request) {
                        Ok(block) => model.push_back((block, request)),
                        Err(Full) => prop_assert_eq!(model.len(), 8),
                    },
                    1 if !model.is_empty() => {
                        let at = number as usize % model.len();
                        let (block, request) = model[at];
                        prop_assert_eq!(queue.retire(block), Ok(Ended { request, kind: 7 }));
                        model.drain(..=at);
                    }
                    _ => {
                        let block = queue.producer.load(Ordering::Relaxed).wrapping_sub(number % 40);
                        if !model.iter().any(|(known, _)| *known == block) {
                            prop_assert_eq!(queue.retire(block), Err(Impossible));
                        }
                    }
                }
                prop_assert!(model.len() <= 8);
            }
        }
    }
}
