//! One Ethernet queue: rings, both halves, and the interrupt message that tells of it.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use ndk_sys::{NDIS_STATUS, NTSTATUS};

use super::super::offload::Tagging;
use super::receive::{BATCH, Found, Read, Receive, Rules, Shut};
use super::transmit::{COPY, Closed, LARGE_COPY, Sent, Transmit};
use super::{Settings, layout};
use crate::nic::Nic;
use crate::nic::command::CommandError;
use crate::nic::eth::{EthRings, Moderation, RingSizes};
use crate::nic::work_queue::log2_entries;
use crate::os::dma::{CopySpace, FrameSlots};
use crate::os::handle::AdapterHandle;
use crate::os::irql::Passive;
use crate::os::lock::SpinLock;
use crate::os::nbl::{EndedChain, ReceiveBuffer, ReceiveMemory, SendChain, SendList};
use crate::os::pool::{PoolArc, PoolSlice, PoolVec, Pooled, Tag};

/// How serving a queue went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// There is nothing more; an event will come.
    All,
    /// There may be more.
    Part,
    /// The device wrote what cannot be.
    Garbage,
}

/// A queue.
pub struct Queue {
    adapter: AdapterHandle,
    transmit: SpinLock<Transmit>,
    receive: SpinLock<Receive>,
    rings: EthRings,
    /// The interrupt message of its events.
    message: u32,
    /// So many calls have lists that have left the transmit half, and are about to go back to NDIS.
    ending: AtomicU32,
    /// There has been an event, or there is more than one call may take.
    ready: AtomicBool,
}

impl Pooled for Queue {
    const TAG: Tag = Tag::new(*b"VrQu");
}

impl Queue {
    /// Allocates queue number `index`, whose events come by `message`. The device does not have it yet.
    ///
    /// # Errors
    ///
    /// No memory.
    pub fn new(
        passive: &Passive,
        nic: &PoolArc<Nic>,
        settings: &Settings,
        index: usize,
        message: u32,
    ) -> Result<Self, NDIS_STATUS> {
        let sizes = RingSizes {
            transmit: log2_entries(settings.transmit_buffers).max(vrnic_abi::eth::RING_LOG2_MIN),
            receive: log2_entries(settings.receive_buffers).max(vrnic_abi::eth::RING_LOG2_MIN),
        };
        Ok(Self {
            adapter: nic.handle(),
            transmit: SpinLock::new(transmit(passive, nic, settings, sizes)?),
            receive: SpinLock::new(receive(passive, nic, settings, sizes, index)?),
            rings: EthRings::allocate(passive, nic, sizes)?,
            message,
            ending: AtomicU32::new(0),
            ready: AtomicBool::new(false),
        })
    }

    /// The interrupt message of its events.
    pub fn message(&self) -> u32 {
        self.message
    }

    /// The number by which the device knows it.
    pub fn number(&self) -> Option<u32> {
        self.rings.number()
    }

    /// Whether the device knows it by that number.
    pub fn is_number(&self, number: u32) -> bool {
        self.rings.is_number(number)
    }

    /// There is something to serve.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Whether there is something to serve; asked once.
    pub fn take_ready(&self) -> bool {
        self.ready.swap(false, Ordering::AcqRel)
    }

    /// Makes the queue known to the device, posts its buffers and opens it.
    ///
    /// # Errors
    ///
    /// The device refused.
    pub fn start(
        &self,
        passive: &Passive,
        nic: &Nic,
        moderation: Moderation,
        why: Closed,
    ) -> Result<(), CommandError> {
        let eqn = nic.event_queue(self.message);
        self.rings.register(passive, nic, eqn, moderation)?;
        {
            let mut receive = self.receive.lock();
            receive.open(Shut::STOPPED);
            receive.post(&self.rings);
            receive.arm(&self.rings);
        }
        self.transmit.lock().open(why);
        Ok(())
    }

    /// The device does not have the queue any more, or does nothing any more: everything that it had is ended or free.
    /// At most `DISPATCH_LEVEL`.
    pub fn clear(&self, why: Closed, at_dispatch: bool) {
        self.rings.forget();
        {
            let mut receive = self.receive.lock();
            receive.shut(Shut::STOPPED);
            receive.clear();
        }
        self.with_transmit(at_dispatch, |transmit, ended| {
            transmit.close(why, ended);
            transmit.abort(ended);
        });
    }

    /// Runs `work` with the transmit half locked, and completes the lists that it ends afterwards.
    pub fn with_transmit<R>(
        &self,
        at_dispatch: bool,
        work: impl FnOnce(&mut Transmit, &mut EndedChain) -> R,
    ) -> R {
        // Before the lock: whoever has the lock later and finds the half idle sees that lists are still on their way.
        self.ending.fetch_add(1, Ordering::AcqRel);
        let mut ended = EndedChain::new();
        let result = work(&mut self.transmit.lock(), &mut ended);
        ended.complete(self.adapter, at_dispatch);
        self.ending.fetch_sub(1, Ordering::AcqRel);
        result
    }

    /// Makes the device forget the queue.
    ///
    /// # Errors
    ///
    /// The device refused, or does not answer.
    pub fn unregister(&self, passive: &Passive, nic: &Nic) -> Result<(), CommandError> {
        self.receive.lock().shut(Shut::STOPPED);
        self.rings.unregister(passive, nic)
    }

    /// Sends a list, and those that follow it in the chain as long as `is_ours` says so; the first that is another queue's.
    pub fn send(
        &self,
        first: SendList,
        rest: &mut SendChain,
        is_ours: impl Fn(&SendList) -> bool,
    ) -> Option<SendList> {
        self.with_transmit(rest.at_dispatch(), |transmit, ended| {
            transmit.send(&self.rings, first, ended);
            let other = loop {
                match rest.next() {
                    Some(list) if is_ours(&list) => transmit.send(&self.rings, list, ended),
                    other => break other,
                }
            };
            transmit.flush(&self.rings);
            other
        })
    }

    /// Changes what is done about tags.
    pub fn set_tagging(&self, tagging: Tagging) {
        self.transmit.lock().set_tagging(tagging);
    }

    /// Takes nothing to send any more for that reason; lists that wait go back. At most `DISPATCH_LEVEL`.
    pub fn close_transmit(&self, why: Closed, at_dispatch: bool) {
        self.with_transmit(at_dispatch, |transmit, ended| transmit.close(why, ended));
    }

    /// That reason is gone.
    pub fn open_transmit(&self, why: Closed) {
        self.transmit.lock().open(why);
    }

    /// Hands nothing to NDIS any more, or does again.
    pub fn set_receiving(&self, receiving: bool) {
        let mut receive = self.receive.lock();
        if receiving {
            receive.open(Shut::PAUSED);
        } else {
            receive.shut(Shut::PAUSED);
        }
    }

    /// Transmit descriptors that the device has.
    pub fn in_flight(&self) -> u32 {
        self.transmit.lock().in_flight()
    }

    /// Whether NDIS and the device have nothing of each other's.
    pub fn is_idle(&self) -> bool {
        // In this order, see `with_transmit`.
        self.transmit.lock().is_idle()
            && self.ending.load(Ordering::Acquire) == 0
            && self.receive.lock().is_idle()
    }

    /// Called at each tick; whether sending has come to nothing for `limit` ticks.
    pub fn is_stuck(&self, limit: u32) -> bool {
        self.transmit.lock().is_stuck(limit)
    }

    /// Ends lists that wait and have that cancellation id.
    pub fn cancel(&self, id: usize) {
        self.with_transmit(false, |transmit, ended| transmit.cancel(id, ended));
    }

    /// NDIS returns buffers of this queue: as many as follow each other; the first of another one.
    pub fn take_returned(
        &self,
        first: ReceiveBuffer,
        rest: &mut impl Iterator<Item = ReceiveBuffer>,
        index: usize,
    ) -> Option<ReceiveBuffer> {
        let mut receive = self.receive.lock();
        receive.returned(first);
        let other = loop {
            match rest.next() {
                Some(buffer) if buffer.queue() == index => receive.returned(buffer),
                other => break other,
            }
        };
        receive.post(&self.rings);
        other
    }

    /// Serves up to `budget` completions. `DISPATCH_LEVEL`, without a lock.
    pub fn serve(&self, budget: usize, rules: &Rules) -> Served {
        if !self.receive.lock().enter() {
            return Served::All; // Somebody is at it, and will look again.
        }
        let mut left = budget;
        let mut found = Found::new();
        loop {
            let read = {
                let mut receive = self.receive.lock();
                for buffer in found.shown.take() {
                    receive.give_back(buffer);
                }
                receive.post(&self.rings);
                if left == 0 {
                    receive.leave();
                    return Served::Part;
                }
                found.count = 0;
                found.sent_count = 0;
                let read = receive.read(&self.rings, left, rules, &mut found);
                if read == Read::Garbage {
                    receive.leave();
                }
                read
            };
            if read == Read::Nothing {
                return Served::All;
            }
            let complete = self.complete(found.life, &found.sent[..found.sent_count]);
            core::mem::take(&mut found.lent).lend(self.adapter);
            found.shown.show(self.adapter);
            if read == Read::Garbage || !complete {
                let mut receive = self.receive.lock();
                for buffer in found.shown.take() {
                    receive.give_back(buffer);
                }
                receive.leave();
                return Served::Garbage;
            }
            left = left.saturating_sub(found.count);
        }
    }

    /// Completes frames that have been sent, and goes on with those that wait. Whether the device may have written that.
    fn complete(&self, life: u32, sent: &[Sent]) -> bool {
        if sent.is_empty() {
            return true;
        }
        self.with_transmit(true, |transmit, ended| {
            if transmit.life() != life {
                return true;
            }
            let good = sent.iter().all(|one| transmit.complete(*one, ended));
            transmit.go_on(&self.rings, ended);
            transmit.flush(&self.rings);
            good
        })
    }
}

fn transmit(
    passive: &Passive,
    nic: &PoolArc<Nic>,
    settings: &Settings,
    sizes: RingSizes,
) -> Result<Transmit, NTSTATUS> {
    let slots = 1 << sizes.transmit;
    let copies = |count, size| CopySpace::allocate(passive, nic.handle(), count, size);
    Ok(Transmit::new(
        FrameSlots::new(nic.dma(), slots)?,
        PoolSlice::from_fn(slots, |_| 0)?,
        [copies(slots, COPY)?, copies(1, LARGE_COPY)?],
        settings.transmit_buffers,
        settings.mtu,
        settings.tagging,
    ))
}

fn receive(
    passive: &Passive,
    nic: &PoolArc<Nic>,
    settings: &Settings,
    sizes: RingSizes,
    index: usize,
) -> Result<Receive, NTSTATUS> {
    let count = settings.receive_buffers as usize;
    let size = layout::buffer_size(settings.mtu);
    let memory = ReceiveMemory::new(passive, nic.handle(), count, size)?;
    let mut free = PoolVec::with_capacity(count)?;
    for number in 0..count {
        free.push(ReceiveMemory::buffer(&memory, number, index)?)?;
    }
    let posted = PoolSlice::from_fn(1 << sizes.receive, |_| None)?;
    Ok(Receive::new(posted, free, memory.buffer_size()))
}

const _: () = assert!(BATCH <= 64, "a batch is on the stack");
