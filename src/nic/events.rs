//! Event queues, and the ring of received datagrams that one of them announces.
//!
//! Each interrupt message has one. The first serves everything but completions: the port, the CM service, errors of queue pairs.
//! Each of the others reports for a part of the completion queues, so that processors do not wait for each other.

use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, Ordering};

use ndk_sys::NDIS_STATUS;
use vrnic_abi::cm::{CmEnable, CmReceive};
use vrnic_abi::doorbell::{CM_CONSUMER, EQ, EQ_ARM, EQ_ARMED, EQ_CONSUMER, EQ_STRIDE};
use vrnic_abi::event::{Event, EventKind};
use vrnic_abi::resource::{EQ_ASYNC, EqCreate, Ring};
use zerocopy::FromZeros;

use super::device::Device;
use super::ring::Consumer;
use super::turn::Turn;
use crate::os::dma::{Buffer, Coherent, DmaAdapter};
use crate::os::handle::AdapterHandle;
use crate::os::irql::Passive;
use crate::os::lock::SpinLock;
use crate::os::pool::{PoolArc, Pooled, Tag};

/// Logarithm of the entries in an event queue: more than datagrams can be announced at a time. What does not fit the device
/// tells later, except datagrams, which it drops.
const EQ_LOG2: u8 = 10;
/// Logarithm of the slots in the receive ring.
const RECEIVE_LOG2: u8 = 9;

/// What the device has to tell.
#[expect(
    clippy::large_enum_variant,
    reason = "lives for one call on the stack; the path allocates nothing"
)]
pub enum NicEvent {
    /// A datagram of the connection manager.
    Receive(CmReceive),
    /// The CM service has stopped because of its ring: [`super::Nic::restart_cm`] helps.
    ReceiveStopped,
    /// The link may have changed.
    Link,
    /// The device may have stopped.
    Fatal,
    /// Something about an object of the data path.
    Object(ObjectEvent),
    /// An Ethernet queue that was armed has completions: its number, as the device wrote it.
    Ethernet(u32),
    /// An Ethernet queue is in error: its number, as the device wrote it.
    EthernetError(u32),
    /// Something that makes no sense: of this kind. Events only say where to look, so that it can be ignored.
    Unexpected(EventKind),
}

/// What has happened to an object of the data path. Numbers are as the device wrote them: they may name nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectEvent {
    /// A completion queue that was armed has a completion.
    Cq(u32),
    /// A completion queue is in error.
    CqError {
        /// Its number.
        number: u32,
        /// Why: [`vrnic_abi::regs::FatalSyndrome`].
        syndrome: u16,
    },
    /// A queue pair went to the error state by itself.
    QpFatal {
        /// Its number.
        number: u32,
        /// Why: [`vrnic_abi::cqe::WorkStatus`].
        status: u16,
    },
    /// A queue pair in error takes no more entries from its shared receive queue.
    QpLastWqe(u32),
    /// The first packet has reached a queue pair that is ready to receive.
    QpCommEst(u32),
    /// A shared receive queue fell below its limit.
    SrqLimit(u32),
    /// A shared receive queue is in error.
    SrqError(u32),
}

/// An event queue.
pub struct EventQueue {
    events: Buffer,
    /// The ring of datagrams, of the queue that announces them: one event for each, in the order of the ring.
    receives: Option<Coherent>,
    number: AtomicU32,
    state: SpinLock<State>,
    /// Who hands events on: one at a time, so that they stay in order and consumers are called one after another.
    pub(super) turn: Turn,
}

impl Pooled for EventQueue {
    const TAG: Tag = Tag::new(*b"VrEq");
}

struct State {
    events: Consumer,
    receives: Consumer,
    /// So many of the announcements to come are of a receive ring that was given up.
    stale: u32,
}

/// The rings before the device knows them.
pub struct EventRings {
    events: Buffer,
    receives: Option<Coherent>,
}

impl EventRings {
    /// Allocates them; the first of all queues also gets the receive ring.
    ///
    /// # Errors
    ///
    /// No memory.
    pub fn new(
        passive: &Passive,
        adapter: AdapterHandle,
        dma: &PoolArc<DmaAdapter>,
        first: bool,
    ) -> Result<Self, NDIS_STATUS> {
        let events = Buffer::allocate(dma, size_of::<Event>() << EQ_LOG2)?;
        let bytes = size_of::<CmReceive>() << RECEIVE_LOG2;
        let receives = if first {
            Some(Coherent::allocate(passive, adapter, bytes)?)
        } else {
            None
        };
        Ok(Self { events, receives })
    }

    /// Input of `CREATE_EQ`.
    pub fn create(&self, vector: u16) -> EqCreate {
        create(&self.events, self.receives.is_some(), vector)
    }

    /// The queue that the device has made of them, with the number that it gave (below the limit that it has told).
    pub fn into_queue(self, number: u32) -> EventQueue {
        let state = State {
            events: Consumer::new(EQ_LOG2.into()),
            receives: Consumer::new(RECEIVE_LOG2.into()),
            stale: 0,
        };
        EventQueue {
            events: self.events,
            receives: self.receives,
            number: AtomicU32::new(number),
            state: SpinLock::new(state),
            turn: Turn::new(),
        }
    }
}

fn create(events: &Buffer, first: bool, vector: u16) -> EqCreate {
    let flags = if first { EQ_ASYNC } else { 0 };
    EqCreate {
        ring: events.ring(EQ_LOG2),
        vector: vector.into(),
        flags: flags.into(),
    }
}

impl EventQueue {
    /// Its number, for what reports to it.
    pub fn number(&self) -> u32 {
        self.number.load(Ordering::Acquire)
    }

    /// Begins anew for a device that has been reset: empty rings, and input of `CREATE_EQ`.
    pub fn restart(&self, vector: u16) -> EqCreate {
        let mut state = self.state.lock();
        let memory = self.events.memory();
        for offset in (0..size_of::<Event>() << EQ_LOG2).step_by(size_of::<Event>()) {
            memory.write_value(offset, &Event::new_zeroed());
        }
        state.events = Consumer::new(EQ_LOG2.into());
        state.receives = Consumer::new(RECEIVE_LOG2.into());
        state.stale = 0;
        create(&self.events, self.receives.is_some(), vector)
    }

    /// The device has given it this number (below the limit that it has told).
    pub fn set_number(&self, number: u32) {
        self.number.store(number, Ordering::Release);
    }

    fn doorbell(&self) -> u64 {
        EQ + u64::from(self.number()) * EQ_STRIDE
    }

    /// Takes the next event; `None` if there is none. At most `DISPATCH_LEVEL`.
    pub fn take(&self, device: &Device) -> Option<NicEvent> {
        let mut state = self.state.lock();
        let event = self.next(state.events)?;
        state.events.advance();
        device.ring(self.doorbell() + EQ_CONSUMER, state.events.index());
        if event.lost.get() != 0 {
            wdk::println!("vrnic: {} events were late or lost", event.lost);
        }
        let (number, detail) = (event.number.get(), event.detail.get());
        let object = match EventKind(event.kind.get()) {
            EventKind::CM_MAD => return Some(self.receive(device, &mut state, number)),
            EventKind::CM_ERROR => return Some(NicEvent::ReceiveStopped),
            EventKind::LINK => return Some(NicEvent::Link),
            EventKind::FATAL => return Some(NicEvent::Fatal),
            EventKind::ETH => return Some(NicEvent::Ethernet(number)),
            EventKind::ETH_ERROR => return Some(NicEvent::EthernetError(number)),
            EventKind::CQ => ObjectEvent::Cq(number),
            EventKind::CQ_ERROR => ObjectEvent::CqError {
                number,
                syndrome: detail,
            },
            EventKind::QP_FATAL => ObjectEvent::QpFatal {
                number,
                status: detail,
            },
            EventKind::QP_LAST_WQE => ObjectEvent::QpLastWqe(number),
            EventKind::QP_COMM_EST => ObjectEvent::QpCommEst(number),
            EventKind::SRQ_LIMIT => ObjectEvent::SrqLimit(number),
            EventKind::SRQ_ERROR => ObjectEvent::SrqError(number),
            kind => return Some(NicEvent::Unexpected(kind)),
        };
        Some(NicEvent::Object(object))
    }

    /// A private copy of the entry at `place`, if the device has written it.
    fn next(&self, place: Consumer) -> Option<Event> {
        let memory = self.events.memory();
        let offset = place.slot() * size_of::<Event>();
        if !place.owns(memory.load_u8(offset + offset_of!(Event, owner))) {
            return None;
        }
        Some(memory.read_value(offset))
    }

    /// Copies the datagram of slot `index` and gives the slot back. Slots are announced in their order, without gaps.
    fn receive(&self, device: &Device, state: &mut State, index: u32) -> NicEvent {
        let unexpected = NicEvent::Unexpected(EventKind::CM_MAD);
        let Some(ring) = &self.receives else {
            return unexpected;
        };
        if state.stale != 0 {
            state.stale -= 1;
            return unexpected;
        }
        if index != state.receives.index() {
            return unexpected;
        }
        let datagram = ring.read_value(state.receives.slot() * size_of::<CmReceive>());
        state.receives.advance();
        device.ring(CM_CONSUMER, state.receives.index());
        NicEvent::Receive(datagram)
    }

    /// Starts the receive ring over, after the CM service has been disabled: announcements that are left are of the old ring.
    pub fn restart_receives(&self) {
        let mut state = self.state.lock();
        let mut place = state.events;
        state.stale = 0;
        // At most a ring's worth: no device can keep us here.
        for _ in 0..place.entries() {
            let Some(event) = self.next(place) else { break };
            state.stale += u32::from(EventKind(event.kind.get()) == EventKind::CM_MAD);
            place.advance();
        }
        state.receives = Consumer::new(RECEIVE_LOG2.into());
    }

    /// Input of `CM_ENABLE`, of the queue with the receive ring.
    pub fn cm_enable(&self) -> Option<CmEnable> {
        let receives = self.receives.as_ref()?;
        Some(CmEnable {
            ring: Ring {
                addr: receives.device_address().into(),
                log2_entries: RECEIVE_LOG2,
                levels: 0,
                reserved: [0; 6],
            },
            eqn: self.number().into(),
            reserved: 0.into(),
        })
    }

    /// Asks for an interrupt at the next event. The caller looks at the queue once more afterwards.
    pub fn arm(&self, device: &Device) {
        device.ring(self.doorbell() + EQ_ARM, EQ_ARMED);
    }
}
