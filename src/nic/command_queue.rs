//! The command queue: posts commands, and gets their results by tag.
//!
//! A caller waits for its command, spins, does not care, or gives a [`Request`](super::request::Request) that comes back
//! when the command has ended; requests for which there is no tag wait in a list. Completions are consumed by whoever looks
//! first: the interrupt's DPC, a caller that spins or submits, or one whose wait is over. Requests of others that it finds ended
//! are left to the DPC, so that nobody's code runs inside another's call. One spin lock guards the rings' indexes, the tags
//! and the lists; each tag has a mailbox and an event of its own, allocated at bring-up.

use core::mem::offset_of;
use core::time::Duration;

use ndk_sys::NDIS_STATUS;
use vrnic_abi::cmd::{Command, Completion, INLINE_INPUT, Opcode, Status};
use vrnic_abi::regs::{
    CMDQ_BASE_HI, CMDQ_BASE_LO, CMDQ_CPL_HI, CMDQ_CPL_LO, CMDQ_DOORBELL, CMDQ_FETCH_HI, CMDQ_FETCH_LO,
    CMDQ_LOG2,
};

use super::command::{CommandError, MAILBOX_BYTES, Mailbox, Reply};
use super::device::Device;
use super::health::{Health, Reason};
use super::request::{Erased, List};
use super::ring::{Consumer, is_fetched};
use super::slots::{Completed, Outcome, RING_LOG2, Slot, Slots, TAGS};
use crate::os::dma::Coherent;
use crate::os::event::Event;
use crate::os::handle::AdapterHandle;
use crate::os::irql::Passive;
use crate::os::lock::SpinLock;
use crate::os::pool::{PoolSlice, Pooled, Tag};
use crate::os::time::Instant;

/// How long a caller that cannot wait spins for the firmware, counted from posting.
const SPIN: Duration = Duration::from_micros(50);
/// How often a waiting caller looks for itself, in case an interrupt got lost.
const SLICE: Duration = Duration::from_millis(20);
/// How much longer the watchdog is patient than a waiting caller, whose timeout says more.
const WATCHDOG_GRACE: Duration = Duration::from_millis(500);

/// Tags that requests leave to callers that cannot wait for one.
const RESERVED_TAGS: usize = 8;

/// How a caller waits for the firmware.
#[derive(Clone, Copy)]
pub enum Wait<'a> {
    /// Until the command is done, up to the command timeout. No lock may be held.
    Passive(&'a Passive),
    /// Up to 50 us. At most `DISPATCH_LEVEL`.
    Spin,
    /// Not at all: posts, and whatever the firmware says is dropped. At most `DISPATCH_LEVEL`.
    Post,
}

impl Pooled for Event {
    const TAG: Tag = Tag::new(*b"VrEs");
}

impl Pooled for Slot {
    const TAG: Tag = Tag::new(*b"VrSl");
}

impl Pooled for Option<Erased> {
    const TAG: Tag = Tag::new(*b"VrRq");
}

/// Memory that the device reads and writes, in one block.
mod layout {
    use super::{Command, Completion, MAILBOX_BYTES, TAGS};

    pub const MAILBOXES: usize = 0;
    pub const COMMANDS: usize = MAILBOXES + TAGS * MAILBOX_BYTES;
    pub const COMPLETIONS: usize = COMMANDS + TAGS * size_of::<Command>();
    pub const FETCHED: usize = COMPLETIONS + TAGS * size_of::<Completion>();
    pub const BYTES: usize = FETCHED + 64;
    const _: () =
        assert!(COMMANDS.is_multiple_of(64) && COMPLETIONS.is_multiple_of(64) && BYTES.is_multiple_of(64));
}

/// The queue.
pub struct CommandQueue {
    memory: Coherent,
    state: SpinLock<State>,
    /// By tag: set when its command has an outcome.
    events: PoolSlice<Event>,
    timeout: Duration,
}

struct State {
    slots: Slots<PoolSlice<Slot>>,
    /// Commands posted since the queue was started, modulo 2^32.
    posted: u32,
    completions: Consumer,
    /// By tag: the request whose command it is, if it is one.
    requests: PoolSlice<Option<Erased>>,
    /// Requests for which there is no tag yet.
    waiting: List,
    /// Requests that are submitted again at the next tick.
    postponed: List,
    /// Requests that have ended, until they are given back.
    finished: List,
}

/// What a look at the completion ring has found.
#[derive(Default)]
struct Found {
    /// Tags whose callers can be woken, as bits.
    wake: u64,
    /// The request that the caller is interested in has ended.
    own: Option<Erased>,
    /// A completion that cannot be.
    garbage: Option<u32>,
}

/// The lower half of an address.
const fn low(address: u64) -> u32 {
    (address & 0xFFFF_FFFF) as u32
}

/// The upper half of an address.
const fn high(address: u64) -> u32 {
    (address >> 32) as u32
}

/// A posted command.
struct Ticket {
    tag: u16,
    /// Its number since the queue was started, modulo 2^32.
    index: u32,
    at: Instant,
}

impl CommandQueue {
    /// Allocates the queue; `timeout` is the time that a command may take.
    ///
    /// # Errors
    ///
    /// No memory.
    pub fn new(passive: &Passive, adapter: AdapterHandle, timeout: Duration) -> Result<Self, NDIS_STATUS> {
        let memory = Coherent::allocate(passive, adapter, layout::BYTES)?;
        let events = PoolSlice::try_from_fn(TAGS, |_| Event::new())?;
        let state = State {
            slots: Slots::new(PoolSlice::from_fn(TAGS, |_| Slot::default())?),
            posted: 0,
            completions: Consumer::new(RING_LOG2),
            requests: PoolSlice::from_fn(TAGS, |_| None)?,
            waiting: List::new(),
            postponed: List::new(),
            finished: List::new(),
        };
        Ok(Self {
            memory,
            state: SpinLock::new(state),
            events,
            timeout,
        })
    }

    /// Tells the device, which is idle, where the queue is.
    pub fn program(&self, device: &Device) {
        let address = |offset: usize| self.memory.device_address() + offset as u64;
        let (base, completions, fetched) = (
            address(layout::COMMANDS),
            address(layout::COMPLETIONS),
            address(layout::FETCHED),
        );
        let registers = &device.registers;
        registers.write::<CMDQ_BASE_LO>(low(base));
        registers.write::<CMDQ_BASE_HI>(high(base));
        registers.write::<CMDQ_CPL_LO>(low(completions));
        registers.write::<CMDQ_CPL_HI>(high(completions));
        registers.write::<CMDQ_FETCH_LO>(low(fetched));
        registers.write::<CMDQ_FETCH_HI>(high(fetched));
        registers.write::<CMDQ_LOG2>(RING_LOG2);
    }

    /// Runs one command.
    ///
    /// # Errors
    ///
    /// See [`CommandError`].
    ///
    /// # Panics
    ///
    /// If the input or the mailbox is longer than there is room for: the opcode fixes both.
    pub fn run(
        &self,
        device: &Device,
        wait: Wait<'_>,
        opcode: Opcode,
        input: &[u8],
        mailbox: Mailbox<'_>,
    ) -> Result<Reply, CommandError> {
        let ticket = self.post(device, opcode, input, &mailbox)?;
        match wait {
            Wait::Passive(passive) => self.wait(device, passive, &ticket, opcode, mailbox),
            Wait::Spin => self.spin(device, &ticket, mailbox),
            Wait::Post => {
                // A quick firmware is done by now.
                self.poll(device);
                match self.abandon(&ticket) {
                    None => Ok(Reply::Accepted),
                    Some(outcome) => self.finish(&ticket, outcome, mailbox),
                }
            }
        }
    }

    /// Writes a command and rings for it.
    fn post(
        &self,
        device: &Device,
        opcode: Opcode,
        input: &[u8],
        mailbox: &Mailbox<'_>,
    ) -> Result<Ticket, CommandError> {
        let mut inline = [0; INLINE_INPUT];
        inline[..input.len()].copy_from_slice(input);
        let mailbox_len = match mailbox {
            Mailbox::None => 0,
            Mailbox::In(data) => data.len(),
            Mailbox::Out(data) => data.len(),
        };
        assert!(mailbox_len <= MAILBOX_BYTES, "a longer mailbox than planned for");

        let mut state = self.state.lock();
        device.health.get().check()?;
        let at = Instant::now();
        let mut tag = state.slots.take(opcode.0, at.hundred_ns());
        if tag.is_none() {
            // Completions may be there that nobody has looked at.
            drop(state);
            self.poll(device);
            state = self.state.lock();
            tag = state.slots.take(opcode.0, at.hundred_ns());
        }
        let tag = tag.ok_or(CommandError::QueueFull)?;
        self.events[usize::from(tag)].reset();
        let data: &[u8] = match mailbox {
            Mailbox::In(data) => data,
            Mailbox::None | Mailbox::Out(_) => &[],
        };
        let index = self.write(&mut state, tag, opcode, inline, data, mailbox_len);
        // With the lock held: doorbell values must reach the device in order.
        device.registers.write::<CMDQ_DOORBELL>(state.posted);
        Ok(Ticket { tag, index, at })
    }

    /// Writes a command into the ring, without ringing; its number since the queue was started. The mailbox has
    /// `mailbox_len` bytes and begins with `data`.
    fn write(
        &self,
        state: &mut State,
        tag: u16,
        opcode: Opcode,
        input: [u8; INLINE_INPUT],
        data: &[u8],
        mailbox_len: usize,
    ) -> u32 {
        let place = layout::MAILBOXES + usize::from(tag) * MAILBOX_BYTES;
        self.memory.write(place, data);
        let address = if mailbox_len == 0 {
            0
        } else {
            self.memory.device_address() + place as u64
        };
        let command = Command {
            opcode: opcode.0.into(),
            tag: tag.into(),
            mailbox_len: u32::try_from(mailbox_len).unwrap_or(u32::MAX).into(),
            mailbox: address.into(),
            input,
        };
        let index = state.posted;
        let slot = index as usize % TAGS;
        self.memory
            .write_value(layout::COMMANDS + slot * size_of::<Command>(), &command);
        state.posted = index.wrapping_add(1);
        index
    }

    /// Runs the command of `request` without waiting; the request if it has ended already. At most `DISPATCH_LEVEL`.
    pub fn submit(&self, device: &Device, mut request: Erased) -> Option<Erased> {
        let own = request.address();
        let mut state = self.state.lock();
        if let Err(error) = device.health.get().check() {
            request.header_mut().outcome = Err(error);
            if device.is_silent() {
                return Some(request);
            }
            // Whoever gets the error may free memory, which the device has not been stopped from using yet.
            state.finished.push(request);
            return None;
        }
        state.waiting.push(request);
        let mut found = self.look(&mut state, Some(own));
        if self.start_waiting(device, &mut state) {
            // A quick firmware is done by now.
            let more = self.look(&mut state, Some(own));
            found.wake |= more.wake;
            found.own = found.own.or(more.own);
            found.garbage = found.garbage.or(more.garbage);
        }
        drop(state);
        self.react(device, &found);
        found.own
    }

    /// Begins anew for a device that has been reset; it knows nothing of the queue yet. Everything has been ended.
    pub fn restart(&self) {
        let mut state = self.state.lock();
        state.slots.forget_abandoned();
        state.posted = 0;
        state.completions = Consumer::new(RING_LOG2);
        for offset in (layout::COMPLETIONS..layout::BYTES).step_by(64) {
            self.memory.write(offset, &[0; 64]);
        }
    }

    /// Gives `request` back with `error` at the next tick. At most `DISPATCH_LEVEL`.
    pub fn refuse(&self, mut request: Erased, error: CommandError) {
        request.header_mut().outcome = Err(error);
        self.state.lock().finished.push(request);
    }

    /// Submits `request` at the next tick. At most `DISPATCH_LEVEL`.
    pub fn postpone(&self, request: Erased) {
        self.state.lock().postponed.push(request);
    }

    /// Posts requests that wait, as far as there are tags; whether it has.
    fn start_waiting(&self, device: &Device, state: &mut State) -> bool {
        let mut started = false;
        while state.slots.free() > RESERVED_TAGS
            && let Some(request) = state.waiting.pop()
        {
            let header = request.header();
            let now = Instant::now().hundred_ns();
            let Some(tag) = state.slots.take(header.opcode.0, now) else {
                break; // Cannot be: one is free.
            };
            let (opcode, input, data) = (header.opcode, header.input, header.mailbox());
            self.write(state, tag, opcode, input, data, data.len());
            state.requests[usize::from(tag)] = Some(request);
            started = true;
        }
        if started {
            device.registers.write::<CMDQ_DOORBELL>(state.posted);
        }
        started
    }

    /// Gives back requests that have ended, `budget` at most; whether there are more. `DISPATCH_LEVEL`, or when no others run.
    pub fn deliver(&self, device: &Device, budget: usize) -> bool {
        if device.health.get() != Health::Working && !device.is_silent() {
            return false; // Soon.
        }
        for _ in 0..budget {
            // Taken out in a statement of its own: the lock must not be held across the call.
            let request = self.state.lock().finished.pop();
            match request {
                Some(request) => request.finish(),
                None => return false,
            }
        }
        true
    }

    /// Submits what was postponed, and looks after requests that have ended while nobody was interrupted. `DISPATCH_LEVEL`,
    /// now and then.
    pub fn tick(&self, device: &Device, budget: usize) {
        let mut state = self.state.lock();
        while let Some(request) = state.postponed.pop() {
            state.waiting.push(request);
        }
        match device.health.get().check() {
            Ok(()) => drop(self.start_waiting(device, &mut state)),
            Err(error) => drop(end_requests(&mut state, error)),
        }
        drop(state);
        self.deliver(device, budget);
    }

    /// Stops waiting for a command: its outcome if there is one already, otherwise its tag is freed when the device completes it.
    fn abandon(&self, ticket: &Ticket) -> Option<Outcome> {
        self.state.lock().slots.abandon(ticket.tag)
    }

    fn outcome(&self, ticket: &Ticket) -> Option<Outcome> {
        self.state.lock().slots.outcome(ticket.tag)
    }

    /// Waits for the command timeout at most; the first command that takes longer shows that the device is dead.
    fn wait(
        &self,
        device: &Device,
        passive: &Passive,
        ticket: &Ticket,
        opcode: Opcode,
        mailbox: Mailbox<'_>,
    ) -> Result<Reply, CommandError> {
        let deadline = ticket.at + self.timeout;
        let event = &self.events[usize::from(ticket.tag)];
        loop {
            event.reset();
            // Looked at before the wait as well: a quick firmware is done by now.
            self.poll(device);
            if let Some(outcome) = self.outcome(ticket) {
                return self.finish(ticket, outcome, mailbox);
            }
            let left = deadline.saturating_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let signalled = event.wait(passive, left.min(SLICE));
            if !signalled && let Some((reason, detail)) = device.diagnose() {
                self.fail(device, reason, detail);
            }
        }
        if let Some(outcome) = self.abandon(ticket) {
            return self.finish(ticket, outcome, mailbox);
        }
        self.fail(device, Reason::CommandTimeout, opcode.0.into());
        match device.health.get() {
            Health::Removed => Err(CommandError::Removed),
            _ => Err(CommandError::Timeout),
        }
    }

    /// Spins for a moment, then settles for knowing that the firmware has the command.
    fn spin(&self, device: &Device, ticket: &Ticket, mailbox: Mailbox<'_>) -> Result<Reply, CommandError> {
        let deadline = ticket.at + SPIN;
        loop {
            self.poll(device);
            if let Some(outcome) = self.outcome(ticket) {
                return self.finish(ticket, outcome, mailbox);
            }
            if Instant::now() >= deadline {
                break;
            }
            core::hint::spin_loop();
        }
        let fetched = self.memory.load_u32(layout::FETCHED);
        let mut state = self.state.lock();
        if let Some(outcome) = state.slots.abandon(ticket.tag) {
            drop(state);
            return self.finish(ticket, outcome, mailbox);
        }
        let posted = state.posted;
        drop(state);
        if is_fetched(fetched, ticket.index, posted) {
            return Ok(Reply::Accepted);
        }
        // Not even accepted: perhaps because there is nobody.
        if let Some((reason, detail)) = device.diagnose() {
            self.fail(device, reason, detail);
        }
        device.health.get().check()?;
        Err(CommandError::Timeout)
    }

    /// Hands the outcome to the caller and frees the tag.
    fn finish(&self, ticket: &Ticket, outcome: Outcome, mailbox: Mailbox<'_>) -> Result<Reply, CommandError> {
        if let (Ok(_), Mailbox::Out(data)) = (outcome, mailbox) {
            self.memory
                .read(layout::MAILBOXES + usize::from(ticket.tag) * MAILBOX_BYTES, data);
        }
        self.state.lock().slots.release(ticket.tag);
        outcome.map(Reply::Done)
    }

    /// Consumes the completions that are there. At most `DISPATCH_LEVEL`.
    pub fn poll(&self, device: &Device) {
        let mut state = self.state.lock();
        let found = self.look(&mut state, None);
        if device.health.get() == Health::Working {
            self.start_waiting(device, &mut state);
        }
        drop(state);
        self.react(device, &found);
    }

    /// Consumes completions: requests that have ended go to the list of those, but for the one at `own`.
    fn look(&self, state: &mut State, own: Option<usize>) -> Found {
        let mut found = Found::default();
        // At most a ring's worth: no device can keep us here.
        for _ in 0..TAGS {
            let Some(completion) = self.next_completion(&mut state.completions) else {
                break;
            };
            let (tag, status) = (completion.tag.get(), Status(completion.status.get()));
            match state
                .slots
                .complete(tag, status, completion.syndrome.get(), completion.output)
            {
                Ok(Completed::Wake(tag)) => match end_request(state, tag) {
                    None => found.wake |= 1 << tag,
                    Some(request) if own == Some(request.address()) => found.own = Some(request),
                    Some(request) => state.finished.push(request),
                },
                Ok(Completed::Reclaimed) => {}
                Err(_) => {
                    found.garbage = Some(u32::from(status.0) << 16 | u32::from(tag));
                    break;
                }
            }
        }
        found
    }

    fn react(&self, device: &Device, found: &Found) {
        self.wake(found.wake);
        if let Some(detail) = found.garbage {
            self.fail(device, Reason::BadCompletion, detail);
        }
    }

    /// A private copy of the next completion, if the device has written it.
    fn next_completion(&self, consumer: &mut Consumer) -> Option<Completion> {
        let place = layout::COMPLETIONS + consumer.slot() * size_of::<Completion>();
        if !consumer.owns(self.memory.load_u8(place + offset_of!(Completion, owner))) {
            return None;
        }
        consumer.advance();
        Some(self.memory.read_value(place))
    }

    fn wake(&self, tags: u64) {
        for (tag, event) in self.events.iter().enumerate() {
            if tags >> tag & 1 != 0 {
                event.set();
            }
        }
    }

    /// Declares the device dead or removed, makes sure that it touches no memory any more, and ends every command that
    /// somebody waits for. Requests end at the next tick. At most `DISPATCH_LEVEL`; without a lock.
    pub fn fail(&self, device: &Device, reason: Reason, detail: u32) {
        device.health.fail(reason, detail);
        if let Err(error) = device.health.get().check() {
            device.silence();
            let wake = end_requests(&mut self.state.lock(), error);
            self.wake(wake);
        }
    }

    /// Looks for a command that the device has had for too long. At most `DISPATCH_LEVEL`.
    pub fn check_overdue(&self, device: &Device) {
        let patience = self.timeout + WATCHDOG_GRACE;
        let overdue = || {
            let limit = Instant::now().before(patience);
            self.state.lock().slots.overdue(limit.hundred_ns())
        };
        if overdue().is_none() {
            return;
        }
        self.poll(device);
        if let Some(opcode) = overdue() {
            self.fail(device, Reason::CommandTimeout, opcode.into());
        }
    }
}

/// Takes the request of a tag whose command has ended, and frees the tag; `None` if somebody waits for the tag itself.
fn end_request(state: &mut State, tag: u16) -> Option<Erased> {
    let mut request = state.requests[usize::from(tag)].take()?;
    if let Some(outcome) = state.slots.outcome(tag) {
        request.header_mut().outcome = outcome;
    }
    state.slots.release(tag);
    Some(request)
}

/// Ends everything with `error`; the tags to wake, as bits.
fn end_requests(state: &mut State, error: CommandError) -> u64 {
    let mut wake = state.slots.fail_all(error);
    for tag in (0..u16::MAX).take(TAGS) {
        if wake >> tag & 1 != 0
            && let Some(request) = end_request(state, tag)
        {
            wake &= !(1 << tag);
            state.finished.push(request);
        }
    }
    while let Some(mut request) = state.waiting.pop().or_else(|| state.postponed.pop()) {
        request.header_mut().outcome = Err(error);
        state.finished.push(request);
    }
    wake
}
