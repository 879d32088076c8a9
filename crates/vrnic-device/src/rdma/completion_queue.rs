//! Completion queues: writing completions, and noticing when there is no room for them.

use std::sync::atomic::{Ordering, fence};

use vrnic_abi::cqe::{CQE_SOLICITED, Cqe, WorkStatus};
use vrnic_abi::doorbell;
use vrnic_abi::event::{Event, EventKind};
use vrnic_abi::regs::FatalSyndrome;
use vrnic_abi::resource::{CqCreate, Ring};
use zerocopy::IntoBytes;

use super::arming::Arming;
use crate::clock::Clock;
use crate::device::{Device, count, new_event};
use crate::dma::Dma;
use crate::doorbells::DoorbellMemory;
use crate::ring::{Indexes, RingMemory};

/// Completion queues that there can be.
pub(crate) const MAX_COMPLETION_QUEUES: u32 = 32768;
static_assertions::const_assert!(MAX_COMPLETION_QUEUES <= doorbell::MAX_OBJECTS);
/// Most entries (logarithm).
pub(crate) const CQ_LOG2_MAX: u8 = 22;

/// One completion queue.
pub(crate) struct CompletionQueue {
    pub number: u32,
    /// As in force.
    pub attributes: CqCreate,
    ring: RingMemory,
    indexes: Indexes,
    /// Index at which the ring began to be used: what is before it is in an earlier ring.
    start: u32,
    /// Queues of queue pairs that complete here.
    pub users: u32,
    /// It takes no completions any more.
    pub failed: bool,
    pub arming: Arming,
}

impl CompletionQueue {
    /// An empty queue, whose doorbell words are zero.
    pub fn new(number: u32, attributes: CqCreate, ring: RingMemory, doorbells: &DoorbellMemory) -> Self {
        let queue = Self {
            number,
            attributes,
            ring,
            indexes: Indexes::default(),
            start: 0,
            users: 0,
            failed: false,
            arming: Arming::default(),
        };
        doorbells.store(queue.word(doorbell::CQ_CONSUMER), 0);
        doorbells.store(queue.word(doorbell::CQ_ARM), 0);
        queue
    }

    fn word(&self, which: u64) -> u64 {
        doorbell::CQ + u64::from(self.number) * doorbell::CQ_STRIDE + which
    }

    /// Writes a completion.
    ///
    /// # Errors
    /// The ring is full, the driver's index makes no sense, or the ring cannot be written.
    pub fn post(
        &mut self,
        dma: &mut Dma,
        doorbells: &DoorbellMemory,
        mut cqe: Cqe,
    ) -> Result<(), FatalSyndrome> {
        let index = self.indexes.producer;
        if self.is_full() {
            let consumer = doorbells.load(self.word(doorbell::CQ_CONSUMER));
            let moved = self.indexes.consume(consumer);
            if moved.is_err() || self.is_full() {
                return Err(FatalSyndrome::BAD_DOORBELL);
            }
        }
        cqe.owner = self.ring.phase(index.wrapping_sub(self.start));
        let written = self.ring.publish(dma, index, cqe.as_bytes());
        written.map_err(|_| FatalSyndrome::DMA_FAULT)?;
        self.indexes.produce();
        let is_error = cqe.status != WorkStatus::OK.0;
        let is_solicited = cqe.flags.get() & CQE_SOLICITED != 0;
        self.arming
            .completed(self.indexes.producer, is_error, is_solicited);
        // The driver arms and then looks at the queue; we write the queue and then look at the arm word (below, by the
        // caller). Both use full barriers, so one of us sees the other.
        fence(Ordering::SeqCst);
        Ok(())
    }

    fn is_full(&self) -> bool {
        // What is in an earlier ring needs no room here.
        let in_ring = self.indexes.producer.wrapping_sub(self.start);
        self.indexes.used().min(in_ring) >= self.ring.entries()
    }

    /// Uses a new ring from now on; the index at which it begins.
    pub fn resize(&mut self, ring: RingMemory, described: Ring) -> u32 {
        self.ring = ring;
        self.attributes.ring = described;
        self.start = self.indexes.producer;
        self.start
    }

    /// Looks at the arm word: the word, if an event is due for it now.
    fn due(&mut self, doorbells: &DoorbellMemory, clock: Clock) -> Option<u32> {
        let word = doorbells.load(self.word(doorbell::CQ_ARM));
        let is_due = self
            .arming
            .is_due(word, self.indexes.producer, &self.attributes, clock);
        is_due.then_some(word)
    }
}

impl Device {
    /// Writes a completion, and the event if one is due. False if the queue takes none.
    pub fn post_completion(&mut self, cqn: u32, cqe: Cqe) -> bool {
        let Some(cq) = self.rdma.cqs.get_mut(cqn).filter(|cq| !cq.failed) else {
            return false;
        };
        let posted = cq.post(&mut self.dma, &self.doorbells, cqe);
        match posted {
            Ok(()) => {
                self.look_at_arm(cqn);
            }
            Err(syndrome) => self.fail_cq(cqn, syndrome),
        }
        posted.is_ok()
    }

    /// Sends the event of a completion queue if it is due. True if it has been sent.
    fn look_at_arm(&mut self, cqn: u32) -> bool {
        let Some(cq) = self.rdma.cqs.get_mut(cqn).filter(|cq| !cq.failed) else {
            return false;
        };
        let Some(word) = cq.due(&self.doorbells, self.clock) else {
            if let Some(held_until) = cq.arming.held_until() {
                self.wake_engine_by(held_until);
            }
            return false;
        };
        let eqn = cq.attributes.eqn.get();
        let event = Event {
            number: cqn.into(),
            ..new_event(EventKind::CQ)
        };
        // Without room it stays due.
        let sent = self.event_queue_has_room(eqn) && self.post_event(eqn, event);
        if let (true, Some(cq)) = (sent, self.rdma.cqs.get_mut(cqn)) {
            cq.arming.fire(word);
        }
        sent
    }

    /// Looks at the arm words of all completion queues. True if an event has been sent.
    pub fn poll_completion_queues(&mut self) -> bool {
        let mut sent = false;
        for cqn in 0..self.rdma.cqs.end() {
            sent |= self.look_at_arm(cqn);
        }
        sent
    }

    fn fail_cq(&mut self, cqn: u32, syndrome: FatalSyndrome) {
        let Some(cq) = self.rdma.cqs.get_mut(cqn) else {
            return;
        };
        cq.failed = true;
        let eqn = cq.attributes.eqn.get();
        count(&mut self.statistics.cq_errors, 1);
        let detail = u16::try_from(syndrome.0).unwrap_or(u16::MAX);
        self.tell(eqn, EventKind::CQ_ERROR, cqn, detail);
        self.condemn_users_of_cq(cqn);
    }
}
