//! What is outstanding on a queue pair, as pollers of its completion queues see it. It outlives the queue pair itself, until
//! nothing of it is in those queues any more.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use super::completion::Completion;
use super::directory::Chunks;
use super::receive::ReceiveQueue;
use super::send::{Ended, Impossible, SendQueue, Slot};
use super::shared::{self, Slots};
use crate::os::pool::{PoolArc, PoolSlice, Pooled, Tag};

impl Pooled for Slot {
    const TAG: Tag = Tag::new(*b"VrQs");
}

impl Pooled for AtomicU64 {
    const TAG: Tag = Tag::new(*b"VrQr");
}

/// The entries of a shared receive queue.
pub type SharedSlots = Slots<Chunks<shared::Slot>>;

impl Pooled for SharedSlots {
    const TAG: Tag = Tag::new(*b"VrSs");
}

/// Where a queue pair's receives come from.
pub enum Receives {
    /// A queue of its own.
    Own(ReceiveQueue<PoolSlice<AtomicU64>>),
    /// A shared one.
    Shared(PoolArc<SharedSlots>),
}

/// In [`QueuePair::number`]: the consumer has closed it.
const CLOSED: u32 = 1 << 31;

/// The bookkeeping of one queue pair.
pub struct QueuePair {
    number: AtomicU32,
    /// The consumer's name of it.
    pub context: u64,
    /// Number of the completion queue of its requests.
    pub send_cq: u32,
    /// Number of the completion queue of its receives.
    pub receive_cq: u32,
    /// Its requests.
    pub send: SendQueue<PoolSlice<Slot>>,
    /// Its receives.
    pub receives: Receives,
    /// The device is done with all that was outstanding, and completes nothing of it any more on a queue that has failed.
    quiet: AtomicBool,
}

impl Pooled for QueuePair {
    const TAG: Tag = Tag::new(*b"VrQw");
}

impl QueuePair {
    /// A queue pair that the device does not have yet.
    /// `cqs` are the completion queues of its requests and of its receives.
    #[must_use]
    pub fn new(
        context: u64,
        [send_cq, receive_cq]: [u32; 2],
        send: SendQueue<PoolSlice<Slot>>,
        receives: Receives,
    ) -> Self {
        Self {
            number: AtomicU32::new(super::completion::NO_QUEUE_PAIR),
            context,
            send_cq,
            receive_cq,
            send,
            receives,
            quiet: AtomicBool::new(false),
        }
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number.load(Ordering::Relaxed) & !CLOSED
    }

    /// The device has given it this number.
    pub fn set_number(&self, number: u32) {
        self.number.store(number & !CLOSED, Ordering::Release);
    }

    /// The consumer has closed it and wants no more completions of it.
    pub fn close(&self) {
        self.number.fetch_or(CLOSED, Ordering::AcqRel);
    }

    /// See [`QueuePair::close`].
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.number.load(Ordering::Relaxed) & CLOSED != 0
    }

    /// Whether completions with this number are for the consumer.
    #[inline]
    pub(super) fn is(&self, number: u32) -> bool {
        self.number.load(Ordering::Relaxed) == number
    }

    /// See the field.
    pub fn set_quiet(&self) {
        self.quiet.store(true, Ordering::Release);
    }

    /// Whether what is outstanding can be given up.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Acquire)
    }

    /// Poller: the request that a completion is about.
    ///
    /// # Errors
    ///
    /// [`Impossible`].
    #[expect(
        clippy::inline_always,
        reason = "the fast path, and called once for each form of results"
    )]
    #[inline(always)]
    pub(super) fn retire(&self, completion: &Completion) -> Result<Ended, Impossible> {
        if !completion.is_receive() {
            return self.send.retire(completion.index());
        }
        let request = match &self.receives {
            Receives::Own(queue) => queue.retire(completion.index())?,
            Receives::Shared(slots) => retire_shared(slots, completion.index())?,
        };
        Ok(Ended { request, kind: 0 })
    }

    /// The queue pair is gone, and so is a completion of one of its receives that nobody has read.
    pub(super) fn forget_receive(&self, index: u32) {
        if let Receives::Shared(slots) = &self.receives {
            // A poller may have been faster.
            let _retired = slots.retire(index);
        }
    }
}

/// Kept out of the way of those who have receives of their own.
#[inline(never)]
fn retire_shared(slots: &SharedSlots, cookie: u32) -> Result<u64, Impossible> {
    slots.retire(cookie)
}
