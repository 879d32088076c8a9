//! `NDK_QP`: a queue pair. Posting is in [`super::post`], creation in [`super::qp_create`]; this is the object and its life.
//!
//! A queue pair keeps its protection domain, both completion queues and its shared receive queue. Closing it does nothing
//! else while a connector has it; its end is that of the last reference. ERROR is final: a queue pair that has been flushed
//! cannot be connected.
#![expect(unsafe_code, reason = "entries that consumers call by pointer")]

use super::adapter::Adapter;
use super::connector::Connector;
use super::cq::Cq;
use super::device_object::{self, DeviceObject, DevicePart};
use super::object::{Common, Object, ObjectRef};
use super::pd::Pd;
use super::post::{ReceiveSide, SendSide};
use super::queues::Queues;
use super::srq::Srq;
use crate::nic::work_queue::completion_queue::Attachment;
use crate::nic::work_queue::queue_pair::QueuePair;
use crate::nic::{Health, Nic, Outcome, Payload, Request, Submitted};
use crate::os::lock::SpinLock;
use crate::os::pool::{PoolArc, PoolBox, Pooled, Tag};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use ndk_sys::{
    NDK_QP, NTSTATUS, STATUS_CONNECTION_ACTIVE, STATUS_CONNECTION_INVALID, STATUS_DEVICE_NOT_READY,
    STATUS_DEVICE_REMOVED, STATUS_INTERNAL_ERROR, STATUS_INVALID_DEVICE_STATE,
};
use vrnic_abi::cmd::Opcode;
use vrnic_abi::doorbell::{QP, QP_RQ_PRODUCER, QP_SQ_PRODUCER, QP_STRIDE};
use vrnic_abi::resource::{QP_ATTR_STATE, QPN_INDEX_MASK, QpModify, QpState};
use zerocopy::{FromZeros, IntoBytes};

/// What the device says about a queue pair that belongs to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QpEvent {
    /// It has gone to ERROR by itself.
    Fatal,
    /// It takes no more entries from its shared receive queue.
    LastWqe,
    /// The peer's first packet has arrived before the connection was known to be complete.
    CommEst,
}

/// Indexes that are never those of a queue pair (IBTA: the management queue pairs).
const RESERVED_INDEXES: u32 = 2;

/// Posts of the initiator queue are refused: there is no connection.
const IDLE: u32 = 0;
/// They are taken.
const CONNECTED: u32 = 1;
/// All posts are refused: the device is dead.
const DEAD: u32 = 2;
/// All posts are refused: the device is gone.
const REMOVED: u32 = 3;

/// Who may connect it.
enum Owner {
    Nobody,
    /// Until it gives the queue pair back.
    Connector(ObjectRef<Connector>),
}

/// A queue pair.
#[repr(C)]
pub struct Qp {
    pub(super) public: NDK_QP,
    pub(super) common: Common,
    posting: AtomicU32,
    /// The consumer's, and its pollers'.
    pub(super) pair: PoolArc<QueuePair>,
    pub(super) send: SendSide,
    /// `None` with a shared receive queue.
    pub(super) receive: Option<ReceiveSide>,
    /// It has gone to ERROR, or will: no connector can have it any more.
    spent: AtomicBool,
    owner: SpinLock<Owner>,
    /// Away while a flush is under way.
    flush: SpinLock<Option<PoolBox<Request<Flush>>>>,
    /// Its places in its completion queues.
    attachments: SpinLock<[Option<PoolBox<Attachment>>; 2]>,
    /// The completion queues know that it will leave them.
    announced: AtomicBool,
    pub(super) device: DevicePart<Self>,
    pub(super) initiator_cq: ObjectRef<Cq>,
    pub(super) receive_cq: ObjectRef<Cq>,
    pub(super) srq: Option<ObjectRef<Srq>>,
    pub(super) pd: ObjectRef<Pd>,
}

impl Pooled for Qp {
    const TAG: Tag = Tag::new(*b"VrQp");
}

// SAFETY: `repr(C)`, and the public structure is first.
unsafe impl Object for Qp {
    fn common(&self) -> &Common {
        &self.common
    }

    /// The consumer wants no results of it any more.
    fn closing(&self) {
        self.announce();
        self.pair.close();
    }

    /// The device knows nothing of it any more.
    fn retire(&self) {
        self.announce();
        let [initiator, receive] = {
            let mut attachments = self.attachments.lock();
            [attachments[0].take(), attachments[1].take()]
        };
        if let Some(attachment) = initiator {
            self.initiator_cq.queue.detach(attachment);
        }
        if let Some(attachment) = receive {
            self.receive_cq.queue.detach(attachment);
        }
    }

    /// What it has taken from a shared receive queue is given back first: that is what ERROR does.
    fn finish(qp: PoolBox<Self>) {
        let request = if qp.srq.is_some() && qp.device.number().is_some() {
            qp.flush.lock().take()
        } else {
            None
        };
        match request {
            Some(request) => Flush::run_last(request, qp),
            None => device_object::finish(qp),
        }
    }
}

impl DeviceObject for Qp {
    fn nic(&self) -> &PoolArc<Nic> {
        self.pd.nic()
    }

    fn device_part(&self) -> &DevicePart<Self> {
        &self.device
    }

    fn destroy_command(&self) -> Option<(Opcode, u32)> {
        Some((Opcode::DESTROY_QP, self.device.number()?))
    }

    fn created(&self, number: u32) -> Result<(), NTSTATUS> {
        let index = number & QPN_INDEX_MASK;
        if index < RESERVED_INDEXES || index >= self.nic().info().max_qps.get() || number >> 24 != 0 {
            return Err(STATUS_INTERNAL_ERROR);
        }
        self.pair.set_number(number);
        let doorbell = QP + u64::from(index) * QP_STRIDE;
        self.send.doorbell.set(doorbell + QP_SQ_PRODUCER);
        if let Some(receive) = &self.receive {
            receive.doorbell.set(doorbell + QP_RQ_PRODUCER);
        }
        let initiator = self.initiator_cq.queue.attach(&self.pair)?;
        self.attachments.lock()[0] = Some(initiator);
        if self.initiator_cq.place() != self.receive_cq.place() {
            let receive = self.receive_cq.queue.attach(&self.pair)?;
            self.attachments.lock()[1] = Some(receive);
        }
        Ok(self.queues().qps.enter(index, self)?)
    }

    fn leaving(&self) {
        if let Some(number) = self.device.number() {
            self.queues().qps.leave(number & QPN_INDEX_MASK, self);
        }
    }
}

// SAFETY: the public part is only read by the provider after creation; everything else is `Sync`.
unsafe impl Sync for Qp {}
// SAFETY: as above.
unsafe impl Send for Qp {}

/// What a queue pair is made of.
pub struct Parts {
    /// The public structure.
    pub public: NDK_QP,
    /// Bookkeeping.
    pub pair: PoolArc<QueuePair>,
    /// Where requests go.
    pub send: SendSide,
    /// Where receives go, if it has a queue of its own.
    pub receive: Option<ReceiveSide>,
    /// Antecedents.
    pub initiator_cq: ObjectRef<Cq>,
    /// Antecedents.
    pub receive_cq: ObjectRef<Cq>,
    /// Antecedents.
    pub srq: Option<ObjectRef<Srq>>,
    /// Antecedents.
    pub pd: ObjectRef<Pd>,
}

impl Qp {
    /// A queue pair that the device does not have yet.
    ///
    /// # Errors
    /// `STATUS_INSUFFICIENT_RESOURCES`.
    pub fn new(parts: Parts) -> Result<ObjectRef<Self>, NTSTATUS> {
        let qp = Self {
            public: parts.public,
            common: Common::new(),
            posting: AtomicU32::new(IDLE),
            pair: parts.pair,
            send: parts.send,
            receive: parts.receive,
            spent: AtomicBool::new(false),
            owner: SpinLock::new(Owner::Nobody),
            flush: SpinLock::new(Some(Request::new(Flush(Target::None))?)),
            attachments: SpinLock::new([None, None]),
            announced: AtomicBool::new(false),
            device: DevicePart::new()?,
            initiator_cq: parts.initiator_cq,
            receive_cq: parts.receive_cq,
            srq: parts.srq,
            pd: parts.pd,
        };
        Ok(ObjectRef::new(qp)?)
    }

    fn queues(&self) -> &Queues {
        self.adapter().provider().queues()
    }

    /// The completion queues will find completions of it that nobody wants.
    fn announce(&self) {
        if self.announced.swap(true, Ordering::AcqRel) {
            return;
        }
        let attached = {
            let attachments = self.attachments.lock();
            [attachments[0].is_some(), attachments[1].is_some()]
        };
        if attached[0] {
            self.initiator_cq.queue.announce();
        }
        if attached[1] {
            self.receive_cq.queue.announce();
        }
    }

    /// The adapter that it belongs to.
    pub fn adapter(&self) -> &ObjectRef<Adapter> {
        self.pd.adapter()
    }

    /// Its number: 24 bits.
    pub fn number(&self) -> u32 {
        self.pair.number()
    }

    /// Whether its receives come from a shared receive queue.
    pub fn has_srq(&self) -> bool {
        self.srq.is_some()
    }

    /// Whether it completes to `cq`.
    pub fn uses(&self, cq: &Cq) -> bool {
        let place = NonNull::from(cq);
        self.initiator_cq.place() == place || self.receive_cq.place() == place
    }

    /// Claims it for a connector, which it keeps until [`Qp::end_connect`].
    ///
    /// # Errors
    /// `STATUS_CONNECTION_ACTIVE`: another connector has it. `STATUS_INVALID_DEVICE_STATE`: it has been flushed.
    pub fn begin_connect(&self, connector: &ObjectRef<Connector>) -> Result<(), NTSTATUS> {
        let mut owner = self.owner.lock();
        match &*owner {
            Owner::Connector(other) if other.place() != connector.place() => Err(STATUS_CONNECTION_ACTIVE),
            _ if self.spent.load(Ordering::Acquire) => Err(STATUS_INVALID_DEVICE_STATE),
            Owner::Connector(_) => Ok(()),
            Owner::Nobody => {
                *owner = Owner::Connector(connector.clone());
                Ok(())
            }
        }
    }

    /// The connector gives it back.
    pub fn end_connect(&self) {
        self.set_connected(false);
        let owner = core::mem::replace(&mut *self.owner.lock(), Owner::Nobody);
        // Without the lock: it may be the last reference to the connector.
        drop(owner);
    }

    /// The connector that has it.
    pub fn connector(&self) -> Option<ObjectRef<Connector>> {
        match &*self.owner.lock() {
            Owner::Nobody => None,
            Owner::Connector(connector) => Some(connector.clone()),
        }
    }

    /// Whether initiator posts are taken.
    pub fn set_connected(&self, connected: bool) {
        let (from, to) = if connected {
            (IDLE, CONNECTED)
        } else {
            (CONNECTED, IDLE)
        };
        // A device that is dead or gone stays so.
        let _other = self
            .posting
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Before it goes to ERROR: initiator posts are refused from now on, and the device is told of what was deferred, so that
    /// it is flushed, too.
    fn stop_posting(&self) {
        self.set_connected(false);
        self.spent.store(true, Ordering::Release);
        self.ring_deferred_forward();
    }

    /// Tells the device what was deferred, perhaps while a post does the same.
    fn ring_deferred_forward(&self) {
        if let Some(producer) = self.pair.send.deferred() {
            self.send.doorbell.ring_forward(producer);
        }
    }

    /// One `MODIFY_QP` with the connector's own request.
    pub fn modify<T: Payload>(&self, request: PoolBox<Request<T>>, attributes: &QpModify) -> Submitted<T> {
        let number = self.number().to_le_bytes();
        self.nic()
            .submit(request, Opcode::MODIFY_QP, &number, attributes.as_bytes())
    }

    /// Takes it to ERROR with the connector's own request: done when the device is done with everything outstanding, which has
    /// completed then.
    pub fn flush<T: Payload>(&self, request: PoolBox<Request<T>>) -> Submitted<T> {
        self.stop_posting();
        self.modify(request, &to_error())
    }

    /// `NdkFlush`, and what a failed completion queue does: everything outstanding is cancelled. Posts are still taken, and end
    /// the same way.
    pub fn cancel(qp: &ObjectRef<Self>) {
        qp.spent.store(true, Ordering::Release);
        qp.ring_deferred_forward();
        // If there is none, a flush is under way, and what is posted after it is flushed by the device.
        let request = qp.flush.lock().take();
        if let Some(mut request) = request {
            request.payload.0 = Target::Open(qp.clone());
            Flush::submit(request, qp.nic(), qp.number());
        }
    }

    /// The device does nothing any more, and never will.
    pub fn on_device_failure(&self, health: Health) {
        let state = match health {
            Health::Removed => REMOVED,
            _ => DEAD,
        };
        self.posting.store(state, Ordering::Release);
        self.pair.set_quiet();
    }

    /// Whether an initiator request may be posted now. A change at the same time may go unnoticed.
    #[inline]
    pub(super) fn check_connected(&self) -> Result<(), NTSTATUS> {
        if self.posting.load(Ordering::Relaxed) == CONNECTED {
            Ok(())
        } else {
            Err(self.refusal())
        }
    }

    /// Whether a receive may be posted now.
    #[inline]
    pub(super) fn check_alive(&self) -> Result<(), NTSTATUS> {
        if self.posting.load(Ordering::Relaxed) <= CONNECTED {
            Ok(())
        } else {
            Err(self.refusal())
        }
    }

    #[cold]
    fn refusal(&self) -> NTSTATUS {
        match self.posting.load(Ordering::Relaxed) {
            DEAD => STATUS_DEVICE_NOT_READY,
            REMOVED => STATUS_DEVICE_REMOVED,
            _ => STATUS_CONNECTION_INVALID,
        }
    }
}

/// The end of all work.
fn to_error() -> QpModify {
    QpModify {
        mask: QP_ATTR_STATE.into(),
        state: QpState::ERROR.0,
        ..QpModify::new_zeroed()
    }
}

/// A move to ERROR.
struct Flush(Target);

/// For whom.
enum Target {
    None,
    Open(ObjectRef<Qp>),
    /// Its last reference is gone, and this is the first half of its end.
    Last(PoolBox<Qp>),
}

impl Payload for Flush {
    const TAG: Tag = Tag::new(*b"VrQf");

    fn done(request: PoolBox<Request<Self>>, outcome: Outcome) {
        Self::end(request, outcome);
    }
}

impl Flush {
    /// The first half of the end of a queue pair.
    fn run_last(mut request: PoolBox<Request<Self>>, qp: PoolBox<Qp>) {
        let (nic, number) = (qp.nic().clone(), qp.number());
        request.payload.0 = Target::Last(qp);
        Self::submit(request, &nic, number);
    }

    fn submit(request: PoolBox<Request<Self>>, nic: &Nic, number: u32) {
        let number = number.to_le_bytes();
        let submitted = nic.submit(request, Opcode::MODIFY_QP, &number, to_error().as_bytes());
        if let Submitted::Done(request, outcome) = submitted {
            Self::end(request, outcome);
        }
    }

    fn end(mut request: PoolBox<Request<Self>>, outcome: Outcome) {
        match core::mem::replace(&mut request.payload.0, Target::None) {
            Target::None => {}
            Target::Open(qp) => {
                if outcome.is_ok() {
                    qp.pair.set_quiet();
                }
                *qp.flush.lock() = Some(request);
            }
            Target::Last(qp) => {
                drop(request);
                device_object::finish(qp);
            }
        }
    }
}
