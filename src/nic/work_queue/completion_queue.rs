//! A completion queue: its ring or rings, and the queue pairs that complete to it.
//!
//! NDKPI serialises polling and arming of one queue, which is called *the consumer side* here; that is why it needs no
//! lock. Queue pairs come and go meanwhile. One that goes is left in a list, and the consumer side takes it out: first what is
//! left of it in the ring, then its entry in the directory, then its memory. So what the directory holds never goes
//! away under a poller's eyes.
#![expect(unsafe_code, reason = "what others hand over by address")]

use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use ndk_sys::NTSTATUS;
use vrnic_abi::doorbell::{ArmKind, CQ, CQ_ARM, CQ_CONSUMER, CQ_STRIDE};
use vrnic_abi::resource::{QPN_INDEX_MASK, Ring};

use super::completion::{Completion, NO_QUEUE_PAIR, Pass, arm_word};
use super::directory::Directory;
use super::doorbell::Doorbell;
use super::memory::RingMemory;
use super::queue_pair::QueuePair;
use super::send::{Ended, Impossible};
use crate::nic::Nic;
use crate::os::pool::{OutOfMemory, PoolArc, PoolBox, Pooled, Tag};

/// Units of a completion.
const ENTRY_UNITS: u32 = 2;

/// A ring, from the index on at which it takes over from the one before.
pub struct Segment {
    ring: RingMemory,
    log2_entries: u8,
    start: u32,
    /// The ring that takes over from this one.
    next: AtomicPtr<Segment>,
}

impl Pooled for Segment {
    const TAG: Tag = Tag::new(*b"VrCr");
}

impl Segment {
    /// A zeroed ring.
    ///
    /// # Errors
    ///
    /// `STATUS_INSUFFICIENT_RESOURCES`.
    pub fn allocate(nic: &Nic, log2_entries: u8) -> Result<PoolBox<Self>, NTSTATUS> {
        let segment = Self {
            ring: RingMemory::allocate(nic.dma(), log2_entries, ENTRY_UNITS)?,
            log2_entries,
            start: 0,
            next: AtomicPtr::new(null_mut()),
        };
        Ok(PoolBox::new(segment)?)
    }

    /// As commands describe it.
    #[must_use]
    pub fn ring(&self) -> Ring {
        self.ring.ring()
    }

    fn pass(&self) -> Pass {
        Pass::new(self.log2_entries.into(), self.start)
    }
}

/// The place of a queue pair in a completion queue.
pub struct Attachment {
    pair: PoolArc<QueuePair>,
    /// The next one in the list of those that are to go.
    next: *mut Attachment,
}

impl Pooled for Attachment {
    const TAG: Tag = Tag::new(*b"VrQa");
}

// SAFETY: the link belongs to the list that the attachment is in.
unsafe impl Send for Attachment {}
// SAFETY: as above.
unsafe impl Sync for Attachment {}

/// The device has written something that it must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl From<Impossible> for Broken {
    fn from(_: Impossible) -> Self {
        Self
    }
}

/// What is to be done with a completion of a queue pair that the consumer does not have.
enum Stray {
    Skip,
    /// It is not known yet that its queue pair is gone.
    Later,
}

/// One completion queue.
pub struct CompletionQueue {
    /// The ring that is read now. Consumer side.
    current: AtomicPtr<Segment>,
    /// The next entry to read. Consumer side.
    consumer: AtomicU32,
    /// The newest ring. Changed by one resize at a time.
    newest: AtomicPtr<Segment>,
    consumed: Doorbell,
    armed: Doorbell,
    pairs: Directory<QueuePair>,
    /// Queue pairs that are gone: a stack that the consumer side takes as a whole.
    gone: AtomicPtr<Attachment>,
    /// Queue pairs that have been closed and not been taken out yet.
    going: AtomicU32,
}

impl CompletionQueue {
    /// A queue that the device does not have yet.
    ///
    /// # Errors
    ///
    /// `STATUS_INSUFFICIENT_RESOURCES`.
    pub fn new(nic: &PoolArc<Nic>, log2_entries: u8) -> Result<Self, NTSTATUS> {
        let pairs = Directory::new(nic.info().max_qps.get())?;
        let first = Segment::allocate(nic, log2_entries)?.into_raw().as_ptr();
        Ok(Self {
            current: AtomicPtr::new(first),
            consumer: AtomicU32::new(0),
            newest: AtomicPtr::new(first),
            consumed: Doorbell::unset(nic),
            armed: Doorbell::unset(nic),
            pairs,
            gone: AtomicPtr::new(null_mut()),
            going: AtomicU32::new(0),
        })
    }

    /// The ring, as commands describe it.
    #[must_use]
    pub fn ring(&self) -> Ring {
        self.current().ring()
    }

    /// The device has given it this number, below [`vrnic_abi::doorbell::MAX_OBJECTS`].
    pub fn set_number(&self, number: u32) {
        let doorbell = CQ + u64::from(number) * CQ_STRIDE;
        self.consumed.set(doorbell + CQ_CONSUMER);
        self.armed.set(doorbell + CQ_ARM);
    }

    fn current(&self) -> &Segment {
        // SAFETY: the consumer side frees a segment only after it has gone on to the next one.
        unsafe { &*self.current.load(Ordering::Acquire) }
    }

    /// A resize is done: the device writes to `segment` from index `start` on. One caller at a time.
    pub fn append(&self, mut segment: PoolBox<Segment>, start: u32) {
        segment.start = start;
        let new = segment.into_raw().as_ptr();
        let before = self.newest.swap(new, Ordering::AcqRel);
        // SAFETY: the newest segment is freed only after its `next` has been followed.
        unsafe { (*before).next.store(new, Ordering::Release) };
    }

    /// Consumer side: goes on to the next ring if all of the current one has been read.
    fn follow(&self, index: u32) -> bool {
        let current = self.current.load(Ordering::Relaxed);
        // SAFETY: the current segment.
        let next = unsafe { (*current).next.load(Ordering::Acquire) };
        // SAFETY: a segment that follows lives until it is current and then left.
        let Some(segment) = (unsafe { next.as_ref() }) else {
            return false;
        };
        if segment.start != index {
            return false;
        }
        self.current.store(next, Ordering::Release);
        if let Some(old) = NonNull::new(current) {
            // SAFETY: the device writes to it no more, and nobody but the consumer side has its address.
            drop(unsafe { PoolBox::from_raw(old) });
        }
        true
    }

    /// Lets `pair`, which has its number, complete to this queue. At most `DISPATCH_LEVEL`.
    ///
    /// # Errors
    ///
    /// No memory, or a number that cannot be.
    pub fn attach(&self, pair: &PoolArc<QueuePair>) -> Result<PoolBox<Attachment>, OutOfMemory> {
        let attachment = PoolBox::new(Attachment {
            pair: pair.clone(),
            next: null_mut(),
        })?;
        self.pairs
            .enter(pair.number() & QPN_INDEX_MASK, NonNull::from(&**pair))?;
        Ok(attachment)
    }

    /// A queue pair is being closed: completions of it may be found that belong to nobody.
    pub fn announce(&self) {
        self.going.fetch_add(1, Ordering::AcqRel);
    }

    /// After [`CompletionQueue::announce`]: the device completes nothing of it any more.
    pub fn detach(&self, attachment: PoolBox<Attachment>) {
        let attachment = attachment.into_raw();
        let mut top = self.gone.load(Ordering::Relaxed);
        loop {
            // SAFETY: not in the list yet, so that it is ours.
            unsafe { (*attachment.as_ptr()).next = top };
            match self.gone.compare_exchange_weak(
                top,
                attachment.as_ptr(),
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => top = now,
            }
        }
    }

    /// Consumer side: takes out what is gone; the ring has been read up to `index`.
    #[cold]
    fn clean(&self, index: u32) {
        let mut next = self.gone.swap(null_mut(), Ordering::AcqRel);
        while let Some(attachment) = NonNull::new(next) {
            // SAFETY: out of the list, so that it is ours.
            let attachment = unsafe { PoolBox::from_raw(attachment) };
            next = attachment.next;
            self.forget(&attachment.pair, index);
            let number = attachment.pair.number();
            self.pairs
                .remove(number & QPN_INDEX_MASK, NonNull::from(&*attachment.pair));
            self.going.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Takes what is left of `pair` out of all rings.
    fn forget(&self, pair: &QueuePair, index: u32) {
        let mut segment = self.current();
        let mut index = index;
        loop {
            segment
                .pass()
                .forget(&segment.ring, index, pair.number(), |receive| {
                    pair.forget_receive(receive);
                });
            // SAFETY: a segment that follows lives until the consumer side, which this is, has left it.
            match unsafe { segment.next.load(Ordering::Acquire).as_ref() } {
                Some(next) => (segment, index) = (next, next.start),
                None => return,
            }
        }
    }

    /// The queue pair with this number, if its consumer has not closed it.
    #[expect(
        clippy::inline_always,
        reason = "the fast path, and called once for each form of results"
    )]
    #[inline(always)]
    fn find(&self, number: u32) -> Option<&QueuePair> {
        let pair = self.pairs.get(number & QPN_INDEX_MASK)?;
        // SAFETY: only the consumer side, which this is, frees what is in the directory.
        let pair = unsafe { pair.as_ref() };
        pair.is(number).then_some(pair)
    }

    /// Consumer side: a completion at `index`, of a queue pair that the consumer does not have.
    fn stray(&self, completion: &Completion, index: u32) -> Result<Stray, Broken> {
        let number = completion.qpn();
        if number == NO_QUEUE_PAIR {
            return Ok(Stray::Skip);
        }
        if let Some(pair) = self.pairs.get(number & QPN_INDEX_MASK) {
            // SAFETY: as in `find`.
            let pair = unsafe { pair.as_ref() };
            if pair.number() == number {
                pair.retire(completion)?;
                return Ok(Stray::Skip);
            }
        }
        // Its number may have been given to another one already.
        let going = self.going.load(Ordering::Acquire);
        self.clean(index);
        if going == 0 { Err(Broken) } else { Ok(Stray::Later) }
    }

    /// Consumer side: `found` at `index` is not a completion that can be taken at once. Where to look next, if it is worth while.
    /// The entry is not read again: one that has come since then is good, and is for the next look.
    #[cold]
    fn look_closer(&self, index: u32, found: Option<Completion>) -> Result<Option<u32>, Broken> {
        let Some(completion) = found else {
            return Ok(self.follow(index).then_some(index));
        };
        if self.find(completion.qpn()).is_some() {
            // Its request is not outstanding.
            return Err(Broken);
        }
        match self.stray(&completion, index)? {
            Stray::Skip => Ok(Some(index.wrapping_add(1))),
            // It may have been found meanwhile: then it has no queue pair any more.
            Stray::Later => {
                let segment = self.current();
                let again = segment.pass().read(&segment.ring, index);
                let forgotten = again.is_some_and(|completion| completion.qpn() == NO_QUEUE_PAIR);
                Ok(forgotten.then_some(index))
            }
        }
    }

    /// Consumer side: starts to take completions.
    #[expect(
        clippy::inline_always,
        reason = "the fast path, and called once for each form of results"
    )]
    #[inline(always)]
    #[must_use]
    pub fn poll(&self) -> Poll<'_> {
        let first = self.consumer.load(Ordering::Relaxed);
        if !self.gone.load(Ordering::Acquire).is_null() {
            self.clean(first);
        }
        let segment = self.current();
        Poll {
            queue: self,
            segment,
            pass: segment.pass(),
            first,
            index: first,
            skipped: 0,
            result: Ok(()),
        }
    }

    /// Consumer side: tells the device to announce the next completion of this kind that has not been taken yet.
    pub fn arm(&self, kind: ArmKind, sequence: u32) {
        let consumer = self.consumer.load(Ordering::Relaxed);
        self.armed.ring(arm_word(kind, sequence, consumer));
    }

    /// Consumer side: all queue pairs, closed ones included.
    pub fn pairs(&self) -> impl Iterator<Item = &QueuePair> {
        // SAFETY: as in `find`.
        self.pairs.iter().map(|pair| unsafe { pair.as_ref() })
    }
}

/// Completions that are being taken. Consumer side.
pub struct Poll<'a> {
    queue: &'a CompletionQueue,
    segment: &'a Segment,
    pass: Pass,
    /// Where it started.
    first: u32,
    /// The next entry.
    index: u32,
    /// Entries that were passed over.
    skipped: u32,
    result: Result<(), Broken>,
}

/// A completion with its queue pair and its request.
pub struct Taken<'a> {
    /// Whose it is.
    pub pair: &'a QueuePair,
    /// As the device has written it.
    pub completion: Completion,
    /// What has ended.
    pub ended: Ended,
}

impl<'a> Poll<'a> {
    /// The next completion, if there is one.
    #[expect(
        clippy::inline_always,
        reason = "the fast path, and called once for each form of results"
    )]
    #[inline(always)]
    pub fn take_next(&mut self) -> Option<Taken<'a>> {
        loop {
            let found = self.pass.read(&self.segment.ring, self.index);
            if let Some(completion) = found
                && let Some(pair) = self.queue.find(completion.qpn())
                && let Ok(ended) = pair.retire(&completion)
            {
                self.index = self.index.wrapping_add(1);
                return Some(Taken {
                    pair,
                    completion,
                    ended,
                });
            }
            match self.queue.look_closer(self.index, found) {
                Ok(Some(index)) => {
                    self.skipped = self.skipped.wrapping_add(index.wrapping_sub(self.index));
                    self.index = index;
                    self.segment = self.queue.current();
                    self.pass = self.segment.pass();
                }
                Ok(None) => return None,
                Err(broken) => {
                    self.result = Err(broken);
                    return None;
                }
            }
        }
    }

    /// Gives the entries back to the device. How many completions have been taken, and whether the queue may be polled again.
    #[inline]
    pub fn finish(self) -> (u32, Result<(), Broken>) {
        if self.index != self.first {
            self.queue.consumer.store(self.index, Ordering::Relaxed);
            self.queue.consumed.store(self.index);
        }
        let passed = self.index.wrapping_sub(self.first);
        (passed.wrapping_sub(self.skipped), self.result)
    }
}

impl Drop for CompletionQueue {
    fn drop(&mut self) {
        let mut next = self.gone.load(Ordering::Acquire);
        while let Some(attachment) = NonNull::new(next) {
            // SAFETY: handed over by `detach`; the list is dropped once.
            let attachment = unsafe { PoolBox::from_raw(attachment) };
            next = attachment.next;
        }
        let mut next = self.current.load(Ordering::Acquire);
        while let Some(segment) = NonNull::new(next) {
            // SAFETY: from `into_raw`, and each is in the chain once.
            let segment = unsafe { PoolBox::from_raw(segment) };
            next = segment.next.load(Ordering::Acquire);
        }
    }
}
