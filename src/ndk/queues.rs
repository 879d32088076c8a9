//! Completion queues, shared receive queues and queue pairs by their numbers: for what the device has to say about them.
#![expect(unsafe_code, reason = "tables of objects by address")]

use super::connector::Connector;
use super::cq::Cq;
use super::object::{Object, ObjectRef};
use super::qp::{Qp, QpEvent};
use super::srq::Srq;
use crate::nic::work_queue::directory::Directory;
use crate::nic::{Health, Nic, ObjectEvent};
use crate::os::lock::SpinLock;
use crate::os::pool::OutOfMemory;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use vrnic_abi::resource::QPN_INDEX_MASK;

/// In [`ObjectEvent::CqError`]: a completion did not fit (`docs/`, "When a completion queue is full").
const SYNDROME_OVERRUN: u16 = 2;

/// Objects of one kind. An object is in it from its creation until its last reference is gone.
pub struct Table<T> {
    places: Directory<T>,
    limit: u32,
    /// Held while an object leaves, and while one is looked up and gets a reference.
    lock: SpinLock<()>,
}

impl<T: Object> Table<T> {
    fn new(limit: u32) -> Result<Self, OutOfMemory> {
        Ok(Self {
            places: Directory::new(limit)?,
            limit,
            lock: SpinLock::new(()),
        })
    }

    /// Enters an object that the device has just made.
    ///
    /// # Errors
    /// No memory, or a number that the device does not have.
    pub fn enter(&self, number: u32, object: &T) -> Result<(), OutOfMemory> {
        let _locked = self.lock.lock();
        self.places.enter(number, NonNull::from(object))
    }

    /// The last reference to the object is gone.
    pub fn leave(&self, number: u32, object: &T) {
        let _locked = self.lock.lock();
        self.places.remove(number, NonNull::from(object));
    }

    /// The object with this number, if its consumer has not closed it.
    fn open(&self, number: u32) -> Option<ObjectRef<T>> {
        let _locked = self.lock.lock();
        let place = self.places.get(number)?;
        // SAFETY: in the table, whose lock is held.
        unsafe { ObjectRef::upgrade(place) }
    }

    /// The object with this number, if anybody still has it.
    fn any(&self, number: u32) -> Option<ObjectRef<T>> {
        let _locked = self.lock.lock();
        let place = self.places.get(number)?;
        // SAFETY: in the table, whose lock is held.
        unsafe { ObjectRef::revive(place) }
    }

    /// Calls `each` with every object that anybody still has, without the lock.
    fn for_each(&self, mut each: impl FnMut(&ObjectRef<T>)) {
        for number in 0..self.limit {
            // Most numbers are nobody's: that is seen without the lock.
            if self.places.get(number).is_some()
                && let Some(object) = self.any(number)
            {
                each(&object);
            }
        }
    }
}

/// All queues of one NIC.
pub struct Queues {
    /// Completion queues.
    pub cqs: Table<Cq>,
    /// Shared receive queues.
    pub srqs: Table<Srq>,
    /// Queue pairs, by the index in their numbers.
    pub qps: Table<Qp>,
    /// A completion queue has something to say that could not be said from where it was found.
    attention: AtomicBool,
    /// Spreads completion queues without an affinity over the event queues.
    hint: AtomicUsize,
}

impl Queues {
    /// No queues of `nic` yet.
    ///
    /// # Errors
    /// No memory.
    pub fn new(nic: &Nic) -> Result<Self, OutOfMemory> {
        let info = nic.info();
        Ok(Self {
            cqs: Table::new(info.max_cqs.get())?,
            srqs: Table::new(info.max_srqs.get())?,
            qps: Table::new(info.max_qps.get())?,
            attention: AtomicBool::new(false),
            hint: AtomicUsize::new(0),
        })
    }

    /// Another number each time.
    pub fn next_hint(&self) -> usize {
        self.hint.fetch_add(1, Ordering::Relaxed)
    }

    /// The device has something to say about one of them. `DISPATCH_LEVEL`, without a lock; consumers are called inside.
    pub fn on_event(&self, event: ObjectEvent) {
        match event {
            ObjectEvent::Cq(number) => {
                if let Some(cq) = self.cqs.open(number) {
                    Cq::on_event(&cq);
                }
            }
            ObjectEvent::CqError { number, syndrome } => {
                if let Some(cq) = self.cqs.any(number) {
                    wdk::println!("vrnic: completion queue {number} has failed: {syndrome}");
                    Cq::on_failure(&cq, syndrome == SYNDROME_OVERRUN);
                    self.silence(&cq);
                }
            }
            ObjectEvent::SrqLimit(number) => {
                if let Some(srq) = self.srqs.open(number) {
                    srq.on_limit();
                }
            }
            ObjectEvent::SrqError(number) => {
                if let Some(srq) = self.srqs.open(number) {
                    srq.on_failure();
                }
            }
            ObjectEvent::QpFatal { number, status } => {
                wdk::println!("vrnic: queue pair {number:#x} has gone to ERROR: {status}");
                self.on_qp_event(number, QpEvent::Fatal);
            }
            ObjectEvent::QpLastWqe(number) => self.on_qp_event(number, QpEvent::LastWqe),
            ObjectEvent::QpCommEst(number) => self.on_qp_event(number, QpEvent::CommEst),
        }
    }

    fn on_qp_event(&self, number: u32, event: QpEvent) {
        let qp = self.qps.any(number & QPN_INDEX_MASK);
        // An event of an earlier one with the same index is of no interest.
        if let Some(qp) = qp.filter(|qp| qp.number() == number)
            && let Some(connector) = qp.connector()
        {
            Connector::on_qp_event(&connector, event);
        }
    }

    /// Makes sure that the device is done with what would complete to a queue that has failed.
    fn silence(&self, cq: &Cq) {
        self.qps.for_each(|qp| {
            if qp.uses(cq) {
                Qp::cancel(qp);
            }
        });
    }

    /// Something is to be said to a consumer soon, see [`Queues::on_tick`]. Any IRQL up to `DISPATCH_LEVEL`.
    pub fn ask_for_attention(&self) {
        self.attention.store(true, Ordering::Release);
    }

    /// Now and then, at `DISPATCH_LEVEL`, without a lock: says what could not be said from where it was found.
    pub fn on_tick(&self) {
        if self.attention.swap(false, Ordering::AcqRel) {
            self.cqs.for_each(|cq| {
                if Cq::on_tick(cq) {
                    self.silence(cq);
                }
            });
        }
    }

    /// The device is dead or gone, and uses no memory any more. `DISPATCH_LEVEL`, without a lock: tells everybody.
    pub fn on_device_failure(&self, health: Health) {
        self.qps.for_each(|qp| qp.on_device_failure(health));
        self.cqs.for_each(|cq| Cq::on_failure(cq, false));
        self.srqs.for_each(|srq| srq.on_failure());
    }
}
