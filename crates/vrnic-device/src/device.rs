//! Everything behind the NIC's lock: the state of the firmware and of the PCI function.
//!
//! Each file that implements a part of the device adds its own `impl Device`.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use vrnic_abi::cm::GID_ENTRIES;
use vrnic_abi::event::{Event, EventKind};
use vrnic_abi::info::Statistics;
use vrnic_abi::regs::{self, DeviceState, FatalSyndrome};
use vrnic_abi::{U64, doorbell};
use zerocopy::FromZeros;

use crate::clock::Clock;
use crate::cm::CmService;
use crate::command_queue::CommandQueue;
use crate::config::NicConfig;
use crate::config_space::ConfigSpace;
use crate::dma::Dma;
use crate::doorbells::DoorbellMemory;
use crate::engine::Signal;
use crate::eth::{self, Ethernet};
use crate::event_queue::EventQueues;
use crate::faults::FaultPlan;
use crate::frame_buffer::FrameBuffer;
use crate::gid_table::GidTable;
use crate::host::{HostMemory, Interrupts, Wire};
use crate::msix::Msix;
use crate::outbox::Outbox;
use crate::rc::TransportConfig;
use crate::rdma::Rdma;
use crate::regs::Registers;
use crate::tap::{Direction, Tap};

/// The state of a NIC.
pub(crate) struct Device {
    pub config: NicConfig,
    pub dma: Dma,
    interrupts: Arc<dyn Interrupts>,
    wire: Arc<dyn Wire>,
    pub tap: Option<Arc<dyn Tap>>,
    pub doorbells: Arc<DoorbellMemory>,
    pub signal: Arc<Signal>,

    pub config_space: ConfigSpace,
    pub msix: Msix,
    pub registers: Registers,
    pub commands: Option<CommandQueue>,
    pub event_queues: EventQueues,
    pub gids: GidTable,
    pub cm: Option<CmService>,
    pub rdma: Rdma,
    pub ethernet: Ethernet,
    /// How the transport behaves.
    pub transport: Arc<TransportConfig>,
    pub clock: Clock,
    /// Frames to ourselves that are on their way, the oldest first.
    loopback: VecDeque<FrameBuffer>,
    /// Frames to the wire that go together.
    pub outbox: Outbox,
    /// Until when the engine sleeps if nobody wakes it; 0: it is awake.
    engine_sleeps_until: u64,
    pub statistics: Statistics,
    pub link_up: bool,
    /// The link changed while the asynchronous event queue was full: it is told when there is room.
    link_event_owed: bool,
    removed: bool,
    pub faults: FaultPlan,
}

impl Device {
    pub fn new(
        config: NicConfig,
        memory: Arc<dyn HostMemory>,
        interrupts: Arc<dyn Interrupts>,
        wire: Arc<dyn Wire>,
        doorbells: Arc<DoorbellMemory>,
        signal: Arc<Signal>,
    ) -> Self {
        let msix = Msix::new(config.host_masks_vectors);
        Self {
            link_up: config.link_up,
            transport: Arc::new(TransportConfig {
                rnr_hold: config.rnr_hold,
                ..TransportConfig::default()
            }),
            ethernet: Ethernet::new(config.mac, config.mtu),
            config,
            dma: Dma::new(memory),
            interrupts,
            wire,
            tap: None,
            doorbells,
            signal,
            config_space: ConfigSpace::new(),
            msix,
            registers: Registers::new(),
            commands: None,
            event_queues: EventQueues::new(),
            gids: GidTable::new(GID_ENTRIES),
            cm: None,
            rdma: Rdma::new(),
            clock: Clock::new(),
            loopback: VecDeque::new(),
            outbox: Outbox::default(),
            engine_sleeps_until: 0,
            statistics: Statistics::new_zeroed(),
            link_event_owed: false,
            removed: false,
            faults: FaultPlan::default(),
        }
    }

    /// The device reset of `CTRL_RESET`: everything but the PCI function and the link.
    pub fn reset(&mut self) {
        self.destroy_objects();
        self.registers = Registers::new();
        self.statistics = Statistics::new_zeroed();
        self.dma.faults = 0;
        self.msix.clear_pending();
        if self.faults.stall_resets {
            self.registers.state = DeviceState::RESETTING;
        }
    }

    /// Function level reset: the device reset, and PCI configuration and MSI-X table as after power-on.
    pub fn function_reset(&mut self) {
        self.reset();
        self.config_space = ConfigSpace::new();
        self.msix = Msix::new(self.config.host_masks_vectors);
        self.configuration_changed();
    }

    /// Stops the command queue and takes everything down that commands have made.
    pub fn stop(&mut self) {
        self.destroy_objects();
        self.registers.enabled = false;
        self.registers.state = DeviceState::IDLE;
    }

    fn destroy_objects(&mut self) {
        self.commands = None;
        self.event_queues = EventQueues::new();
        self.gids = GidTable::new(GID_ENTRIES);
        self.cm = None;
        self.rdma = Rdma::new();
        self.ethernet = Ethernet::new(self.config.mac, self.config.mtu);
        self.loopback.clear();
        self.link_event_owed = false;
        if !self.removed {
            self.doorbells.fill(0);
        }
        // The sleep word is among what was cleared: the engine has to write it anew.
        self.signal.wake();
    }

    /// Surprise removal: nothing is reachable any more, in either direction.
    pub fn remove(&mut self) {
        self.removed = true;
        self.destroy_objects();
        self.doorbells.fill(vrnic_abi::pci::REMOVED);
        self.configuration_changed();
    }

    /// The device is still there.
    pub fn is_present(&self) -> bool {
        !self.removed
    }

    /// Takes over what depends on the configuration space.
    pub fn configuration_changed(&mut self) {
        self.dma.enabled = self.is_present() && self.config_space.bus_master();
        // What has been rung in D3 has woken nobody.
        self.signal.wake();
        self.send_pending_interrupts();
    }

    /// The firmware runs.
    pub fn is_ready(&self) -> bool {
        self.is_present() && self.registers.state == DeviceState::READY
    }

    /// The power state is D0: in D3hot nothing moves.
    pub fn is_awake(&self) -> bool {
        self.config_space.is_in_d0()
    }

    /// Sends an interrupt, or leaves it pending.
    pub fn raise(&mut self, vector: u16) {
        let open = self.interrupts_open();
        if self.msix.signal(vector, open) {
            self.interrupts.raise(vector);
        }
    }

    /// Sends the interrupts that have waited for a mask to go away.
    pub fn send_pending_interrupts(&mut self) {
        let open = self.interrupts_open();
        let ready = self.msix.take_ready(open);
        (0..vrnic_abi::pci::VECTORS)
            .filter(|vector| ready >> vector & 1 != 0)
            .for_each(|vector| self.interrupts.raise(vector));
    }

    /// A message-signalled interrupt is a memory write: it needs bus mastering.
    fn interrupts_open(&self) -> bool {
        self.dma.enabled && self.config_space.msix_open()
    }

    /// Stops the device until it is reset.
    pub fn go_fatal(&mut self, syndrome: FatalSyndrome) {
        if !self.is_present() || self.registers.state == DeviceState::FATAL {
            return;
        }
        self.registers.state = DeviceState::FATAL;
        self.registers.syndrome = syndrome;
        let event = Event {
            number: syndrome.0.into(),
            ..new_event(EventKind::FATAL)
        };
        self.post_async_event(event);
        self.add_cause(regs::INT_FATAL);
    }

    /// Brings the link up or down.
    pub fn set_link(&mut self, up: bool) {
        if self.link_up != up {
            self.link_up = up;
            self.post_link_event();
        }
    }

    /// The link has another speed.
    pub fn set_link_speed(&mut self, mbps: u32) {
        if self.config.speed_mbps != mbps {
            self.config.speed_mbps = mbps;
            self.post_link_event();
        }
    }

    fn post_link_event(&mut self) {
        if !self.is_ready() {
            return;
        }
        if !self.is_awake() {
            self.link_event_owed = true;
            return;
        }
        let mut event = Event {
            detail: u16::from(self.link_up).into(),
            ..new_event(EventKind::LINK)
        };
        event.data[0] = self.config.speed_mbps.into();
        event.data[1] = u32::from(self.config.mtu).into();
        self.link_event_owed = !self.post_async_event(event);
    }

    fn post_owed_link_event(&mut self) {
        let eqn = self.event_queues.asynchronous().filter(|_| self.link_event_owed);
        if eqn.is_some_and(|eqn| self.event_queue_has_room(eqn)) {
            self.post_link_event();
        }
    }

    /// True if the event was written, or nobody wants it.
    fn post_async_event(&mut self, event: Event) -> bool {
        self.event_queues
            .asynchronous()
            .is_none_or(|eqn| self.post_event(eqn, event))
    }

    /// Sends a frame at once.
    pub fn transmit_to_wire(&mut self, frame: &[u8]) {
        self.tell_tap(Direction::Sent, frame);
        self.wire.transmit(frame);
    }

    /// Sends a `RoCEv2` frame with the next [`Self::send_frames`], and counts it; with the link down it is lost. One to ourselves comes
    /// back in later. Another buffer is left in its place.
    pub fn transmit_rdma(&mut self, buffer: &mut FrameBuffer) {
        if !self.link_up || !self.is_ready() {
            return;
        }
        let frame = buffer.bytes();
        count(&mut self.statistics.rdma_out_frames, 1);
        count(&mut self.statistics.rdma_out_octets, frame.len() as u64);
        eth::count_out(&mut self.statistics, frame);
        self.tell_tap(Direction::Sent, frame);
        if frame.starts_with(&self.ethernet.port.mac) {
            let spare = self.outbox.take_spare();
            self.loopback.push_back(mem::replace(buffer, spare));
            self.wake_engine_by(0);
        } else {
            self.outbox.put(buffer);
        }
    }

    /// Hands all frames to the wire that wait.
    pub fn send_frames(&mut self) {
        self.outbox.send(&*self.wire);
    }

    /// Receives what the wire has, if it is one that is polled. Its queue pairs answer afterwards, all frames at once. True if there
    /// was a frame.
    fn poll_wire(&mut self) -> bool {
        let wire = Arc::clone(&self.wire);
        let mut worked = false;
        self.rdma.is_batch = true;
        wire.poll(&mut |frame| {
            worked = true;
            self.receive(frame);
        });
        self.rdma.is_batch = false;
        worked
    }

    /// Receives frames to ourselves, no more than are on their way now. True if there was one.
    fn receive_loopback(&mut self) -> bool {
        let frames = self.loopback.len().min(LOOPBACK_BUDGET);
        self.rdma.is_batch = true;
        for _ in 0..frames {
            if let Some(frame) = self.loopback.pop_front() {
                self.receive(frame.bytes());
                self.outbox.put_spare(frame);
            }
        }
        self.rdma.is_batch = false;
        frames != 0
    }

    /// Shows a frame to whoever listens at the port.
    pub fn tell_tap(&self, direction: Direction, frame: &[u8]) {
        if let Some(tap) = &self.tap {
            tap.frame(direction, frame);
        }
    }

    /// Looks at the doorbells and timers of everything that exists, and does some of what there is to do. True if there was something.
    pub fn poll(&mut self) -> bool {
        let mut worked = self.poll_wire();
        if !self.is_ready() || !self.is_awake() {
            return worked;
        }
        worked |= self.poll_event_queues();
        worked |= self.poll_cm_consumer();
        worked |= self.receive_loopback();
        worked |= self.poll_queue_pairs();
        worked |= self.poll_ethernet();
        worked |= self.poll_completion_queues();
        self.post_owed_link_event();
        self.post_owed_cm_error();
        self.post_owed_events();
        worked
    }

    /// Tells the driver whether the engine sleeps.
    pub fn announce_sleep(&self, asleep: bool) {
        self.signal.set_asleep(asleep);
        if self.is_present() {
            self.doorbells.store(doorbell::SLEEP, u32::from(asleep));
        }
    }

    /// The engine begins to sleep: how long at most. None: without limit.
    pub fn begin_sleep(&mut self) -> Option<Duration> {
        let deadline = self.next_deadline();
        self.engine_sleeps_until = deadline;
        let time = deadline.saturating_sub(self.clock.now());
        (deadline != u64::MAX).then(|| Duration::from_nanos(time))
    }

    /// The engine is awake.
    pub fn end_sleep(&mut self) {
        self.engine_sleeps_until = 0;
        self.announce_sleep(false);
    }

    /// There is something to do at that time, or now: wakes the engine if it would sleep longer.
    pub fn wake_engine_by(&mut self, time: u64) {
        if time < self.engine_sleeps_until {
            self.engine_sleeps_until = 0;
            self.signal.wake();
        }
    }
}

/// Frames to ourselves that are received in one go.
const LOOPBACK_BUDGET: usize = 64;

/// An event without detail.
pub(crate) fn new_event(kind: EventKind) -> Event {
    Event {
        kind: kind.into(),
        ..Event::new_zeroed()
    }
}

/// Adds to a counter of [`Statistics`].
pub(crate) fn count(counter: &mut U64, by: u64) {
    *counter += by;
}
