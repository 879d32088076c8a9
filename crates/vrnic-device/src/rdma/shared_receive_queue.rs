//! Shared receive queues.

use vrnic_abi::doorbell;
use vrnic_abi::event::EventKind;
use vrnic_abi::resource::SrqCreate;

use super::receive_queue::ReceiveRing;
use crate::device::Device;

/// Shared receive queues that there can be.
pub(crate) const MAX_SHARED_RECEIVE_QUEUES: u32 = 4096;
static_assertions::const_assert!(MAX_SHARED_RECEIVE_QUEUES <= doorbell::MAX_OBJECTS);

/// One shared receive queue.
pub(crate) struct SharedReceiveQueue {
    /// As in force.
    pub attributes: SrqCreate,
    pub ring: ReceiveRing,
    /// Queue pairs that take from it.
    pub users: u32,
    /// An event is sent when fewer entries than the limit are left.
    pub armed: bool,
    /// Its ring or its index is bad: nothing more is taken.
    pub failed: bool,
}

impl SharedReceiveQueue {
    /// An empty queue.
    pub fn new(attributes: SrqCreate, ring: ReceiveRing) -> Self {
        Self {
            attributes,
            ring,
            users: 0,
            armed: attributes.limit.get() != 0,
            failed: false,
        }
    }

    /// Sets the limit, and arms its event.
    pub fn set_limit(&mut self, limit: u32) {
        self.attributes.limit = limit.into();
        self.armed = limit != 0;
    }

    /// Whether the event of the limit is due.
    pub fn is_low(&self) -> bool {
        self.armed && self.ring.left() < self.attributes.limit.get()
    }
}

impl Device {
    /// Tells the driver, once, that a queue is below its limit.
    pub fn check_limit(&mut self, srqn: u32) {
        let Some(srq) = self.rdma.srqs.get_mut(srqn).filter(|srq| srq.is_low()) else {
            return;
        };
        srq.armed = false;
        let eqn = srq.attributes.eqn.get();
        self.tell(eqn, EventKind::SRQ_LIMIT, srqn, 0);
    }

    /// Nothing is taken from the queue any more.
    pub fn fail_srq(&mut self, srqn: u32) {
        let Some(srq) = self.rdma.srqs.get_mut(srqn).filter(|srq| !srq.failed) else {
            return;
        };
        srq.failed = true;
        let eqn = srq.attributes.eqn.get();
        self.tell(eqn, EventKind::SRQ_ERROR, srqn, 0);
    }

    /// Whether a queue pair that waits for a receive should look for one.
    pub fn has_shared_receives(&self, srqn: u32) -> bool {
        let srq = self.rdma.srqs.get(srqn).filter(|srq| !srq.failed);
        srq.is_some_and(|srq| srq.ring.left() != 0 || srq.ring.is_rung(&self.doorbells))
    }
}
