//! Which queue pair has work: doorbells, frames, timers. No queue pair does more at a time than its budget, so none waits long for
//! another.

use std::collections::VecDeque;

use roce_wire::frame::Frame;
use vrnic_abi::cqe::WorkStatus;
use vrnic_abi::doorbell;
use vrnic_abi::resource::{QPN_INDEX_MASK, QpState};

use super::completion_queue::{CompletionQueue, MAX_COMPLETION_QUEUES};
use super::events::OwedEvent;
use super::host::QueuePairHost;
use super::keys::KeyTable;
use super::queue_pair::{FIRST_QUEUE_PAIR, MAX_QUEUE_PAIRS, QueuePair};
use super::shared_receive_queue::{MAX_SHARED_RECEIVE_QUEUES, SharedReceiveQueue};
use super::table::Table;
use crate::device::Device;
use crate::doorbells::DoorbellMemory;
use crate::frame_buffer::FrameBuffer;
use crate::rc::{self, Host, QpEvent};

/// Protection domains that there can be.
pub(crate) const MAX_PROTECTION_DOMAINS: u32 = 4096;
/// Queue pair numbers that stay free before one is given again: peers refuse the number of a connection that they have known not long
/// ago (IBTA 12.9.8.3.1), for seconds. More would make the device look at more of them in each pass.
const SPARE_QUEUE_PAIRS: usize = 32;
/// Frames that a queue pair may send before it is another's turn.
const BUDGET: usize = 32;
/// No deadline.
const NEVER: u64 = u64::MAX;

/// All objects of reliable connections.
pub(crate) struct Rdma {
    /// How many objects use each protection domain.
    pub pds: Table<u32>,
    pub keys: KeyTable,
    pub cqs: Table<CompletionQueue>,
    pub srqs: Table<SharedReceiveQueue>,
    pub qps: Table<QueuePairSlot>,
    pub(super) owed_events: VecDeque<OwedEvent>,
    /// Queue pairs (by index) that go to ERROR, and why.
    pub(super) condemned: Vec<(u32, WorkStatus)>,
    /// Frames that have come together are being received: the transports answer when all have been.
    pub is_batch: bool,
    /// Bytes of early packets that queue pairs hold.
    pub(super) parked: usize,
    /// The frame under construction.
    buffer: Option<FrameBuffer>,
}

/// The place of a queue pair, with what decides whether it has work: a pass over all of them looks at nothing else.
pub(crate) struct QueuePairSlot {
    /// None while its transport is at work.
    pub qp: Option<Box<QueuePair>>,
    /// It has more to do than its last budget allowed.
    busy: bool,
    /// Its receive queue is looked at too: packets wait for a receive, or receives are to be flushed.
    wants_receives: bool,
    /// When its timers have to be looked at.
    deadline: u64,
    /// The doorbell words of its send queue and its receive queue when its transport began to work for the last time.
    seen: [u32; 2],
    /// The completion queues of its send queue and of its receive queue.
    cqns: [u32; 2],
    srqn: Option<u32>,
}

impl Rdma {
    /// No objects.
    pub fn new() -> Self {
        Self {
            pds: Table::new(0, MAX_PROTECTION_DOMAINS),
            keys: KeyTable::new(),
            cqs: Table::new(0, MAX_COMPLETION_QUEUES),
            srqs: Table::new(0, MAX_SHARED_RECEIVE_QUEUES),
            qps: Table::rotating(FIRST_QUEUE_PAIR, MAX_QUEUE_PAIRS, SPARE_QUEUE_PAIRS),
            owed_events: VecDeque::new(),
            condemned: Vec::new(),
            is_batch: false,
            parked: 0,
            buffer: None,
        }
    }

    /// The queue pair with that number.
    pub fn qp(&self, qpn: u32) -> Option<&QueuePair> {
        let qp = self.qps.get(qpn & QPN_INDEX_MASK)?.qp.as_deref()?;
        (qp.queues.qpn == qpn).then_some(qp)
    }
}

impl QueuePairSlot {
    /// A new queue pair.
    pub fn new(qp: QueuePair) -> Self {
        Self {
            busy: false,
            wants_receives: false,
            deadline: NEVER,
            seen: [0; 2],
            cqns: [&qp.queues.create.send_cqn, &qp.queues.create.recv_cqn].map(|cqn| cqn.get()),
            srqn: qp.queues.srqn(),
            qp: Some(Box::new(qp)),
        }
    }
}

impl Device {
    /// Lets the transport of the queue pair with that index do something, and then (in a batch: later) whatever it has become
    /// ready for. None: there is no such queue pair.
    pub fn drive<R>(
        &mut self,
        index: u32,
        work: impl FnOnce(&mut rc::QueuePair, &mut QueuePairHost<'_>, &mut FrameBuffer) -> R,
    ) -> Option<R> {
        let seen = doorbell_words(&self.doorbells, index);
        let slot = self.rdma.qps.get_mut(index)?;
        let mut qp = slot.qp.take()?;
        slot.seen = seen;
        let mut buffer = self.rdma.buffer.take().unwrap_or_default();
        let QueuePair { queues, transport } = &mut *qp;
        let mut host = QueuePairHost { device: self, queues };
        let result = work(transport, &mut host, &mut buffer);
        let busy = host.device.rdma.is_batch || transport.run(&mut host, &mut buffer, BUDGET);
        host.device.send_frames();
        let deadline = transport.deadline().unwrap_or(NEVER);
        self.rdma.buffer = Some(buffer);
        let slot = self.rdma.qps.get_mut(index)?;
        slot.busy = busy;
        slot.deadline = deadline;
        slot.wants_receives = qp.transport.waits_for_receive() || qp.is_dead();
        slot.qp = Some(qp);
        self.wake_engine_by(if busy { 0 } else { deadline });
        Some(result)
    }

    /// Brings the queue pairs that have been condemned meanwhile to ERROR.
    pub fn settle(&mut self) {
        while let Some((index, status)) = self.rdma.condemned.pop() {
            self.drive(index, |transport, host, _| {
                if transport.state() != QpState::ERROR {
                    host.event(QpEvent::Fatal(status));
                    transport.set_error(host);
                }
            });
        }
    }

    /// Brings a queue pair to ERROR because the driver says so: all of its requests have been flushed afterwards.
    pub fn flush_queue_pair(&mut self, index: u32) {
        self.drive(index, |transport, host, buffer| {
            transport.set_error(host);
            while transport.run(host, buffer, BUDGET) {}
        });
        self.settle();
    }

    /// Takes a queue pair away: nothing is done for it any more.
    pub fn destroy_queue_pair(&mut self, qpn: u32) {
        let index = qpn & QPN_INDEX_MASK;
        let qp = self.rdma.qps.get_mut(index).and_then(|slot| slot.qp.take());
        if let Some(mut qp) = qp {
            let QueuePair { queues, transport } = &mut *qp;
            transport.abandon(&mut QueuePairHost { device: self, queues });
        }
        self.rdma.qps.remove(index);
        self.rdma.keys.unbind_all_of(qpn);
    }

    /// A frame for a queue pair has come.
    pub fn receive_rc(&mut self, frame: &Frame<'_>) -> Received {
        let qpn = frame.bth.dest_qp.get();
        if self.rdma.qp(qpn).is_none() {
            return Received::NoQueuePair;
        }
        let taken = self.drive(qpn & QPN_INDEX_MASK, |transport, host, _| {
            transport.receive(host, frame).is_ok()
        });
        self.settle();
        if taken == Some(true) {
            Received::Taken
        } else {
            Received::Refused
        }
    }

    /// Looks at all queue pairs, and lets those work that have work. True if one had.
    pub fn poll_queue_pairs(&mut self) -> bool {
        let now = self.clock.now();
        let mut worked = false;
        for index in FIRST_QUEUE_PAIR..self.rdma.qps.end() {
            let Some(work) = self.find_work(index, now) else {
                continue;
            };
            worked = true;
            self.drive(index, |transport, host, _| {
                if work == Work::Timers {
                    transport.expire(host);
                }
            });
        }
        self.settle();
        worked
    }

    /// What a queue pair has to do now; None: nothing.
    fn find_work(&self, index: u32, now: u64) -> Option<Work> {
        let slot = self.rdma.qps.get(index)?;
        if slot.deadline <= now {
            return Some(Work::Timers);
        }
        let [sends, receives] = doorbell_words(&self.doorbells, index);
        let has_receives = || match slot.srqn {
            None => receives != slot.seen[1],
            Some(srqn) => self.has_shared_receives(srqn),
        };
        let has_work = slot.busy || sends != slot.seen[0] || slot.wants_receives && has_receives();
        has_work.then_some(Work::Queues)
    }

    /// When the first timer of all queue pairs, completion queues and Ethernet queues is due.
    pub fn next_deadline(&mut self) -> u64 {
        let qps = self.rdma.qps.iter_mut().map(|(_, slot)| slot.deadline);
        let cqs = self.rdma.cqs.iter_mut();
        let cqs = cqs.filter_map(|(_, cq)| cq.arming.held_until());
        let ethernet = self.ethernet.held_until();
        qps.chain(cqs).chain(ethernet).min().unwrap_or(NEVER)
    }

    /// Condemns the queue pairs that use a completion queue.
    pub(super) fn condemn_users_of_cq(&mut self, cqn: u32) {
        let users = self.rdma.qps.iter_mut();
        let users = users.filter(|(_, slot)| slot.cqns.contains(&cqn));
        let condemned = users.map(|(index, _)| (index, WorkStatus::LOCAL_OPERATION));
        self.rdma.condemned.extend(condemned);
    }
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Taken,
    NoQueuePair,
    /// It is not in the state, or the frame is not from its peer.
    Refused,
}

/// Why it is a queue pair's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// A timer is due.
    Timers,
    /// Something has been posted, or it had more to do.
    Queues,
}

/// The words of the send queue and of the receive queue.
fn doorbell_words(doorbells: &DoorbellMemory, index: u32) -> [u32; 2] {
    let base = doorbell::QP + u64::from(index) * doorbell::QP_STRIDE;
    [doorbell::QP_SQ_PRODUCER, doorbell::QP_RQ_PRODUCER].map(|word| doorbells.load(base + word))
}
