//! The event queue, and the ring of received datagrams that it announces.

use core::mem::offset_of;

use ndk_sys::NDIS_STATUS;
use vrnic_abi::cm::{CmEnable, CmReceive};
use vrnic_abi::doorbell::{CM_CONSUMER, EQ, EQ_ARM, EQ_ARMED, EQ_CONSUMER, EQ_STRIDE};
use vrnic_abi::event::{Event, EventKind};
use vrnic_abi::resource::{EQ_ASYNC, EqCreate, Ring};

use super::device::Device;
use super::ring::Consumer;
use super::turn::Turn;
use crate::os::dma::Coherent;
use crate::os::handle::AdapterHandle;
use crate::os::irql::Passive;
use crate::os::lock::SpinLock;

/// Logarithm of the entries in the event queue: more than datagrams can be announced at a time.
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
    /// Something that makes no sense: of this kind. Events only say where to look, so that it can be ignored.
    Unexpected(EventKind),
}

/// Both rings. They belong together: each datagram is announced by one event, in the order of the ring.
pub struct EventQueue {
    events: Coherent,
    receives: Coherent,
    number: u32,
    state: SpinLock<State>,
    /// Who hands events on: one at a time, so that they stay in order and consumers are called one after another.
    pub(super) turn: Turn,
}

struct State {
    events: Consumer,
    receives: Consumer,
}

/// The rings before the device knows them.
pub struct EventRings {
    events: Coherent,
    receives: Coherent,
}

impl EventRings {
    /// Allocates them.
    ///
    /// # Errors
    ///
    /// No memory.
    pub fn new(passive: &Passive, adapter: AdapterHandle) -> Result<Self, NDIS_STATUS> {
        let events = Coherent::allocate(passive, adapter, size_of::<Event>() << EQ_LOG2)?;
        let receives = Coherent::allocate(passive, adapter, size_of::<CmReceive>() << RECEIVE_LOG2)?;
        Ok(Self { events, receives })
    }

    /// Input of `CREATE_EQ`.
    pub fn create(&self, vector: u16) -> EqCreate {
        EqCreate {
            ring: ring(&self.events, EQ_LOG2),
            vector: vector.into(),
            flags: EQ_ASYNC.into(),
        }
    }

    /// The queue that the device has made of them, with the number that it gave (below the limit that it has told).
    pub fn into_queue(self, number: u32) -> EventQueue {
        let state = State {
            events: Consumer::new(EQ_LOG2.into()),
            receives: Consumer::new(RECEIVE_LOG2.into()),
        };
        EventQueue {
            events: self.events,
            receives: self.receives,
            number,
            state: SpinLock::new(state),
            turn: Turn::new(),
        }
    }
}

fn ring(memory: &Coherent, log2_entries: u8) -> Ring {
    Ring {
        addr: memory.device_address().into(),
        log2_entries,
        levels: 0,
        reserved: [0; 6],
    }
}

impl EventQueue {
    fn doorbell(&self) -> u64 {
        EQ + u64::from(self.number) * EQ_STRIDE
    }

    /// Takes the next event; `None` if there is none. At most `DISPATCH_LEVEL`.
    pub fn take(&self, device: &Device) -> Option<NicEvent> {
        let mut state = self.state.lock();
        let event = self.next(device, &mut state)?;
        Some(match EventKind(event.kind.get()) {
            EventKind::CM_MAD => self.receive(device, &mut state, event.number.get()),
            EventKind::CM_ERROR => NicEvent::ReceiveStopped,
            EventKind::LINK => NicEvent::Link,
            EventKind::FATAL => NicEvent::Fatal,
            kind => NicEvent::Unexpected(kind),
        })
    }

    /// A private copy of the next event, whose entry is given back.
    fn next(&self, device: &Device, state: &mut State) -> Option<Event> {
        let place = state.events.slot() * size_of::<Event>();
        if !state
            .events
            .owns(self.events.load_u8(place + offset_of!(Event, owner)))
        {
            return None;
        }
        let event = self.events.read_value(place);
        state.events.advance();
        device.ring(self.doorbell() + EQ_CONSUMER, state.events.index());
        Some(event)
    }

    /// Copies the datagram of slot `index` and gives the slot back. Slots are announced in their order, without gaps.
    fn receive(&self, device: &Device, state: &mut State, index: u32) -> NicEvent {
        if index != state.receives.index() {
            return NicEvent::Unexpected(EventKind::CM_MAD);
        }
        let received = self
            .receives
            .read_value(state.receives.slot() * size_of::<CmReceive>());
        state.receives.advance();
        device.ring(CM_CONSUMER, state.receives.index());
        NicEvent::Receive(received)
    }

    /// Starts the receive ring over, after the CM service has been disabled: announcements that are left are of the old
    /// ring and are dropped with everything else that waits. The caller looks at the link and at the device afterwards.
    pub fn restart_receives(&self, device: &Device) {
        let mut state = self.state.lock();
        // At most a ring's worth: no device can keep us here.
        for _ in 0..state.events.entries() {
            if self.next(device, &mut state).is_none() {
                break;
            }
        }
        state.receives = Consumer::new(RECEIVE_LOG2.into());
    }

    /// Input of `CM_ENABLE`.
    pub fn cm_enable(&self) -> CmEnable {
        CmEnable {
            ring: ring(&self.receives, RECEIVE_LOG2),
            eqn: self.number.into(),
            reserved: 0.into(),
        }
    }

    /// Asks for an interrupt at the next event. The caller looks at the queue once more afterwards.
    pub fn arm(&self, device: &Device) {
        device.ring(self.doorbell() + EQ_ARM, EQ_ARMED);
    }
}
