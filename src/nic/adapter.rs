//! The NIC as the rest of the driver uses it.
#![expect(unsafe_code, reason = "a request comes back from the queue without its type")]

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use vrnic_abi::cm::{CmSend, MAD_SIZE};
use vrnic_abi::cmd::Opcode;
use vrnic_abi::info::{DeviceInfo, Statistics};
use vrnic_abi::pci::REMOVED;
use vrnic_abi::regs::{INT_CAUSE, INT_FATAL};
use zerocopy::{FromZeros, IntoBytes};

use super::bring_up::BringUpError;
use super::command::{CommandError, Mailbox, Reply};
use super::command_queue::{CommandQueue, Wait};
use super::device::{Device, Link};
use super::events::{EventQueue, NicEvent};
use super::gid::{Change, GidTable};
use super::health::{Health, Reason};
use super::request::{Erased, Payload, Request, Submitted};
use crate::os::dma::DmaAdapter;
use crate::os::handle::AdapterHandle;
use crate::os::irql::Passive;
use crate::os::lock::SpinLock;
use crate::os::once::SetOnce;
use crate::os::pool::{PoolArc, PoolBox, PoolVec, Pooled, Tag};

/// A NIC that is up. Dropping it (at `PASSIVE_LEVEL`) silences the device and frees what was shared with it.
pub struct Nic {
    device: Device,
    commands: CommandQueue,
    /// By interrupt message.
    events: SetOnce<PoolVec<EventQueue>>,
    gids: SpinLock<GidTable>,
    info: DeviceInfo,
    mac: [u8; 6],
    current_mac: AtomicU64,
    dma: PoolArc<DmaAdapter>,
    /// The device has been restarted under objects of the data path that still exist here, see [`Nic::restart`].
    stale: AtomicBool,
}

impl Pooled for Nic {
    const TAG: Tag = Tag::new(*b"VrNc");
}

impl Drop for Nic {
    fn drop(&mut self) {
        self.device.silence();
    }
}

impl Nic {
    pub(super) fn new(device: Device, commands: CommandQueue, dma: PoolArc<DmaAdapter>) -> Self {
        let mac = device.mac();
        let gids = SpinLock::new(GidTable::new(0));
        let nic = Self {
            device,
            commands,
            events: SetOnce::new(),
            gids,
            info: DeviceInfo::new_zeroed(),
            mac,
            current_mac: AtomicU64::new(0),
            dma,
            stale: AtomicBool::new(false),
        };
        nic.set_current_mac(mac);
        nic
    }

    pub(super) fn commands(&self) -> &CommandQueue {
        &self.commands
    }

    pub(super) fn event_queues(&self) -> &[EventQueue] {
        self.events.get().map(|queues| &**queues).unwrap_or_default()
    }

    /// Whether the device has been restarted, and objects of the data path from before may still exist. It knows nothing of
    /// them: requests end with [`CommandError::Dead`].
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Acquire)
    }

    /// Sets that, or ends it: all objects are gone.
    pub fn set_stale(&self, stale: bool) {
        self.stale.store(stale, Ordering::Release);
    }

    /// Forgets the addresses, which a reset has cleared.
    pub(super) fn clear_addresses(&self) {
        *self.gids.lock() = GidTable::new(self.info.gid_entries.get());
    }

    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    pub(super) fn set_info(&mut self, info: DeviceInfo) {
        self.gids = SpinLock::new(GidTable::new(info.gid_entries.get()));
        self.info = info;
    }

    pub(super) fn set_events(&self, queues: PoolVec<EventQueue>) -> Result<(), PoolVec<EventQueue>> {
        self.events.set(queues)
    }

    /// The queue of everything but completions.
    pub(super) fn first_events(&self) -> Option<&EventQueue> {
        self.events.get()?.first()
    }

    /// Number of the event queue of queue pairs and shared receive queues.
    #[must_use]
    pub fn async_eq(&self) -> u32 {
        self.first_events().map_or(0, EventQueue::number)
    }

    /// Number of the event queue of a completion queue: `hint` (a processor, or a count) spreads them.
    #[must_use]
    pub fn completion_eq(&self, hint: usize) -> u32 {
        match self.events.get().map(|queues| &**queues) {
            Some([_, rest @ ..]) if !rest.is_empty() => rest[hint % rest.len()].number(),
            _ => self.async_eq(),
        }
    }

    /// Number of the event queue that reports by an interrupt message; the last one for those that have none of their own.
    #[must_use]
    pub fn event_queue(&self, message: u32) -> u32 {
        let queues = self.event_queues();
        let queue = queues.get(message as usize).or(queues.last());
        queue.map_or(0, EventQueue::number)
    }

    /// Stores `value` into the doorbell at `offset` ([`vrnic_abi::doorbell`]) and wakes the device if it sleeps. At most
    /// `DISPATCH_LEVEL`.
    pub fn ring(&self, offset: u64, value: u32) {
        self.device.ring(offset, value);
    }

    /// NDIS's handle of the adapter.
    #[must_use]
    pub fn handle(&self) -> AdapterHandle {
        self.device.adapter
    }

    /// Maps memory for the device.
    #[must_use]
    pub fn dma(&self) -> &PoolArc<DmaAdapter> {
        &self.dma
    }

    /// What the device can do, range-checked.
    #[must_use]
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// The MAC address in force.
    #[must_use]
    pub fn current_mac(&self) -> [u8; 6] {
        let [mac @ .., _, _] = self.current_mac.load(Ordering::Relaxed).to_le_bytes();
        mac
    }

    pub(super) fn set_current_mac(&self, [b0, b1, b2, b3, b4, b5]: [u8; 6]) {
        let word = u64::from_le_bytes([b0, b1, b2, b3, b4, b5, 0, 0]);
        self.current_mac.store(word, Ordering::Relaxed);
    }

    /// Permanent MAC address.
    #[must_use]
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Firmware version, for people.
    #[must_use]
    pub fn firmware_version(&self) -> u32 {
        self.device.firmware_version()
    }

    /// The link now. At most `DISPATCH_LEVEL`; costs two register reads.
    #[must_use]
    pub fn link(&self) -> Link {
        self.device.link()
    }

    /// Whether the device works. Any IRQL.
    #[must_use]
    pub fn health(&self) -> Health {
        self.device.health.get()
    }

    /// Why it does not work, with a detail for logs.
    #[must_use]
    pub fn diagnosis(&self) -> Option<(Reason, u32)> {
        self.device.health.diagnosis()
    }

    /// Runs one command.
    ///
    /// # Errors
    ///
    /// See [`CommandError`].
    pub fn command(
        &self,
        wait: Wait<'_>,
        opcode: Opcode,
        input: &[u8],
        mailbox: Mailbox<'_>,
    ) -> Result<Reply, CommandError> {
        self.commands.run(&self.device, wait, opcode, input, mailbox)
    }

    /// Runs the command of a request without waiting: `input` inline, `mailbox` (128 bytes at most, none if empty) to the
    /// device. There is always room: the request waits for a tag if it must. At most `DISPATCH_LEVEL`; calls nobody back,
    /// so that a spin lock may be held.
    ///
    /// When it ends with [`CommandError::Dead`] or [`CommandError::Removed`], the device touches no memory any more.
    pub fn submit<T: Payload>(
        &self,
        request: PoolBox<Request<T>>,
        opcode: Opcode,
        input: &[u8],
        mailbox: &[u8],
    ) -> Submitted<T> {
        if self.is_stale() {
            return Submitted::Done(request, Err(CommandError::Dead));
        }
        let mut request = Erased::new(request);
        request.header_mut().set(opcode, input, mailbox);
        match self.commands.submit(&self.device, request) {
            None => Submitted::Pending,
            Some(request) => {
                let outcome = request.header().outcome;
                // SAFETY: the queue gives back the very request that it got.
                Submitted::Done(unsafe { request.into_request() }, outcome)
            }
        }
    }

    /// Runs the command of a request once more, some milliseconds later. At most `DISPATCH_LEVEL`.
    pub fn submit_again<T: Payload>(&self, request: PoolBox<Request<T>>) {
        let request = Erased::new(request);
        if self.is_stale() {
            self.commands.refuse(request, CommandError::Dead);
        } else {
            self.commands.postpone(request);
        }
    }

    /// Runs a command that creates an object; its number.
    ///
    /// # Errors
    ///
    /// The device refused.
    pub(super) fn create(
        &self,
        passive: &Passive,
        opcode: Opcode,
        input: &[u8],
    ) -> Result<u32, BringUpError> {
        match self.command(Wait::Passive(passive), opcode, input, Mailbox::None) {
            Ok(Reply::Done([b0, b1, b2, b3, ..])) => Ok(u32::from_le_bytes([b0, b1, b2, b3])),
            // A waiting caller gets the result or an error.
            Ok(Reply::Accepted) => Err(BringUpError::Command(opcode, CommandError::Timeout)),
            Err(error) => Err(BringUpError::Command(opcode, error)),
        }
    }

    /// Sends a management datagram of the connection manager.
    ///
    /// # Errors
    ///
    /// See [`CommandError`].
    pub fn cm_send(&self, wait: Wait<'_>, to: &CmSend, mad: &[u8; MAD_SIZE]) -> Result<Reply, CommandError> {
        self.command(wait, Opcode::CM_SEND, to.as_bytes(), Mailbox::In(mad))
    }

    /// Counters since the device was reset.
    ///
    /// # Errors
    ///
    /// See [`CommandError`].
    pub fn statistics(&self, passive: &Passive) -> Result<Statistics, CommandError> {
        let mut statistics = Statistics::new_zeroed();
        let mailbox = Mailbox::Out(statistics.as_mut_bytes());
        let _done = self.command(Wait::Passive(passive), Opcode::QUERY_STATS, &[], mailbox)?;
        Ok(statistics)
    }

    /// Makes the GID table hold exactly `wanted`, as far as they fit. One caller at a time.
    ///
    /// # Errors
    ///
    /// See [`CommandError`]; what was changed before stays changed.
    pub fn set_addresses(&self, passive: &Passive, wanted: &[[u8; 16]]) -> Result<(), CommandError> {
        loop {
            let change = self.gids.lock().next_change(wanted);
            let entry = match change {
                None => return Ok(()),
                Some(Change::Clear(address)) => address.entry(false),
                Some(Change::Set(address)) => address.entry(true),
            };
            let _done = self.command(
                Wait::Passive(passive),
                Opcode::SET_GID,
                entry.as_bytes(),
                Mailbox::None,
            )?;
            if let Some(change) = change {
                self.gids.lock().apply(change);
            }
        }
    }

    /// The GID table as the device has it.
    #[must_use]
    pub fn addresses(&self) -> GidTable {
        self.gids.lock().clone()
    }

    /// Declares the device removed or dead: pending and later commands fail at once. At most `DISPATCH_LEVEL`.
    pub fn fail(&self, reason: Reason, detail: u32) {
        self.commands.fail(&self.device, reason, detail);
    }

    /// Serves the command interrupt, and gives back `budget` requests at most; whether there are more. `DISPATCH_LEVEL`, without
    /// a lock.
    pub fn serve_commands(&self, budget: usize) -> bool {
        let cause = self.device.registers.read::<INT_CAUSE>();
        if cause == REMOVED {
            self.fail(Reason::Removed, 0);
        } else {
            // Cleared first: what comes after raises the interrupt again.
            self.device.registers.write::<INT_CAUSE>(cause);
            self.commands.poll(&self.device);
            if cause & INT_FATAL != 0 {
                self.check_state();
            }
        }
        self.commands.deliver(&self.device, budget)
    }

    /// Looks after requests that no interrupt brings to their end. `DISPATCH_LEVEL`, every few milliseconds, without a lock.
    pub fn tick(&self, budget: usize) {
        self.commands.tick(&self.device, budget);
    }

    /// Serves the event queue of an interrupt message: hands up to `budget` events to `serve`, one after another whatever
    /// processors are here, then arms the queue. Returns whether there may be more, in which case it is not armed.
    /// `DISPATCH_LEVEL`; `serve` is called without a lock.
    pub fn serve_events(&self, message: u32, budget: usize, mut serve: impl FnMut(NicEvent)) -> bool {
        let queue = self.events.get().and_then(|queues| queues.get(message as usize));
        let Some(queue) = queue.filter(|queue| queue.turn.enter()) else {
            return false;
        };
        loop {
            if self.drain(queue, budget, &mut serve) {
                queue.turn.abandon();
                return true;
            }
            if queue.turn.leave() {
                return false;
            }
        }
    }

    /// Hands events on until there are none and the queue is armed (false), or the budget is used up (true).
    fn drain(&self, queue: &EventQueue, budget: usize, serve: &mut impl FnMut(NicEvent)) -> bool {
        let mut armed = false;
        for _ in 0..budget {
            if self.health() != Health::Working {
                return false;
            }
            match queue.take(&self.device) {
                Some(event) => {
                    // The arm may have fired for this very event; an interrupt too many does no harm.
                    armed = false;
                    serve(event);
                }
                None if armed => return false,
                None => {
                    queue.arm(&self.device);
                    armed = true;
                }
            }
        }
        true
    }

    /// Looks whether the device still works: overdue commands, and its own state. `DISPATCH_LEVEL`, now and then.
    pub fn check(&self) {
        if self.health() == Health::Working {
            self.commands.check_overdue(&self.device);
        }
        if self.health() != Health::Removed {
            self.check_state();
        }
    }

    fn check_state(&self) {
        if let Some((reason, detail)) = self.device.diagnose() {
            self.fail(reason, detail);
        }
    }

    /// Whether the device touches no memory, after [`Nic::fail`].
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.device.is_silent()
    }

    /// Stops the device at once, at any IRQL: the system goes down.
    pub fn stop_now(&self) {
        self.device.start_reset();
    }

    /// Makes sure that the device raises no interrupt and touches no memory any more. Commands fail from now on.
    pub fn silence(&self) {
        self.fail(Reason::Stopped, 0);
        self.device.silence();
    }
}
