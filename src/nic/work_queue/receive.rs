//! The receive queue of a queue pair. Receives are completed in the order in which they were posted.

use core::ops::Deref;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::send::{Full, Impossible};

/// The bookkeeping of a receive queue: the consumer's name of each entry of the ring. As in a
/// [`super::send::SendQueue`], the poster owns `posted` and the poller `retired`.
#[derive(Debug)]
pub struct ReceiveQueue<S> {
    requests: S,
    /// Entries, less one.
    mask: u32,
    depth: u32,
    posted: AtomicU32,
    retired: AtomicU32,
}

impl<S: Deref<Target = [AtomicU64]>> ReceiveQueue<S> {
    /// An empty queue of `depth` requests over a ring of as many entries as there are `requests`, a power of two.
    pub fn new(requests: S, depth: u32) -> Self {
        debug_assert!(requests.len().is_power_of_two() && depth as usize <= requests.len());
        Self {
            mask: u32::try_from(requests.len()).unwrap_or(0).wrapping_sub(1),
            requests,
            depth,
            posted: AtomicU32::new(0),
            retired: AtomicU32::new(0),
        }
    }

    fn request(&self, index: u32) -> Option<&AtomicU64> {
        self.requests.get((index & self.mask) as usize)
    }

    /// Poster: the free-running index of the next entry.
    ///
    /// # Errors
    ///
    /// [`Full`].
    #[inline]
    pub fn open(&self) -> Result<u32, Full> {
        let posted = self.posted.load(Ordering::Relaxed);
        if posted.wrapping_sub(self.retired.load(Ordering::Acquire)) >= self.depth {
            return Err(Full);
        }
        Ok(posted)
    }

    /// Poster: entry `index` is written. Returns the producer index to tell the device.
    #[inline]
    pub fn finish(&self, index: u32, request: u64) -> u32 {
        if let Some(place) = self.request(index) {
            place.store(request, Ordering::Relaxed);
        }
        let posted = index.wrapping_add(1);
        self.posted.store(posted, Ordering::Release);
        posted
    }

    /// Poller: the device has completed entry `index`; the consumer's name of it.
    ///
    /// # Errors
    ///
    /// [`Impossible`]: it is not the oldest one.
    #[inline]
    pub fn retire(&self, index: u32) -> Result<u64, Impossible> {
        let retired = self.retired.load(Ordering::Relaxed);
        if index != retired || self.posted.load(Ordering::Acquire) == retired {
            return Err(Impossible);
        }
        let request = self.request(index).ok_or(Impossible)?.load(Ordering::Relaxed);
        self.retired.store(retired.wrapping_add(1), Ordering::Release);
        Ok(request)
    }

    /// Poller: gives up the oldest outstanding receive, for a device that completes nothing any more.
    pub fn abandon_oldest(&self) -> Option<u64> {
        self.retire(self.retired.load(Ordering::Relaxed)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(entries: usize, depth: u32) -> ReceiveQueue<Vec<AtomicU64>> {
        ReceiveQueue::new((0..entries).map(|_| AtomicU64::new(0)).collect(), depth)
    }

    #[test]
    fn as_many_as_asked_for_and_in_order() {
        let queue = queue(4, 3);
        for pass in 0..5u32 {
            for entry in 0..3 {
                let index = queue.open().expect("room");
                assert_eq!(index, pass * 3 + entry);
                assert_eq!(queue.finish(index, u64::from(index) + 100), index + 1);
            }
            assert_eq!(queue.open(), Err(Full));
            assert_eq!(queue.retire(pass * 3 + 1), Err(Impossible), "not the oldest");
            for entry in 0..3 {
                let index = pass * 3 + entry;
                assert_eq!(queue.retire(index), Ok(u64::from(index) + 100));
            }
            assert_eq!(queue.retire(pass * 3 + 3), Err(Impossible), "not posted");
        }
    }

    #[test]
    fn a_dead_device_leaves_nothing_behind() {
        let queue = queue(4, 4);
        for request in [5, 6] {
            queue.finish(queue.open().expect("room"), request);
        }
        assert_eq!(queue.abandon_oldest(), Some(5));
        assert_eq!(queue.abandon_oldest(), Some(6));
        assert_eq!(queue.abandon_oldest(), None);
    }
}
