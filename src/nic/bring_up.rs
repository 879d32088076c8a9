//! From a device that has power to one that takes commands.

use core::sync::atomic::AtomicBool;
use core::time::Duration;

use ndk_sys::NDIS_STATUS;
use vrnic_abi::cm::CmSend;
use vrnic_abi::cmd::{Opcode, Status};
use vrnic_abi::info::DeviceInfo;
use zerocopy::{FromZeros, IntoBytes};

use super::adapter::Nic;
use super::command::{CommandError, Mailbox};
use super::command_queue::{CommandQueue, Wait};
use super::device::{Device, StateError};
use super::events::{EventQueue, EventRings};
use super::health::{HealthWord, Reason};
use super::info::{self, Implausible};
use crate::os::bus;
use crate::os::dma::DmaAdapter;
use crate::os::handle::AdapterHandle;
use crate::os::irql::Passive;
use crate::os::mmio::{DoorbellBar, RegisterBar};
use crate::os::pool::{OutOfMemory, PoolArc, PoolVec};

/// What the system gave to the adapter, and how it is configured.
#[derive(Clone, Copy)]
pub struct Resources {
    /// NDIS's handle.
    pub adapter: AdapterHandle,
    /// Bus address of the register BAR.
    pub registers: u64,
    /// Bus address of the doorbell BAR.
    pub doorbells: u64,
    /// How long a command may take.
    pub command_timeout: Duration,
}

/// Why the device could not be brought up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BringUpError {
    /// NDIS gave no mapping or no memory.
    Ndis(NDIS_STATUS),
    /// Not a device of our interface, or of another major version: what it said.
    Identity(u32),
    /// It did not go from state to state.
    State(StateError),
    /// It refused a command.
    Command(Opcode, CommandError),
    /// It says something about itself that cannot be.
    Info(Implausible),
}

impl From<NDIS_STATUS> for BringUpError {
    fn from(status: NDIS_STATUS) -> Self {
        Self::Ndis(status)
    }
}

impl From<OutOfMemory> for BringUpError {
    fn from(error: OutOfMemory) -> Self {
        Self::Ndis(error.into())
    }
}

impl From<StateError> for BringUpError {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

impl Nic {
    /// Resets the device, starts its command queue and asks what it can do. Interrupts stay masked.
    ///
    /// # Errors
    ///
    /// See [`BringUpError`]; the device is silent and everything is undone then.
    pub fn bring_up(passive: &Passive, resources: &Resources) -> Result<PoolArc<Self>, BringUpError> {
        let dma = PoolArc::new(DmaAdapter::get(passive, resources.adapter)?)?;
        let device = Device {
            adapter: resources.adapter,
            registers: RegisterBar::map(passive, resources.adapter, resources.registers)?,
            doorbells: DoorbellBar::map(passive, resources.adapter, resources.doorbells)?,
            health: HealthWord::new(),
            silencing: AtomicBool::new(false),
            silent: AtomicBool::new(false),
        };
        device.check_identity().map_err(BringUpError::Identity)?;
        device.reset(passive)?;
        let commands = CommandQueue::new(passive, resources.adapter, resources.command_timeout)?;
        commands.program(&device);
        // From here on dropping the NIC silences the device before it frees the memory.
        let mut nic = Self::new(device, commands, dma);
        nic.device().enable(passive)?;
        nic.set_info(nic.query_device(passive)?);
        Ok(PoolArc::new(nic)?)
    }

    fn query_device(&self, passive: &Passive) -> Result<DeviceInfo, BringUpError> {
        let mut info = DeviceInfo::new_zeroed();
        let _done = self
            .command(
                Wait::Passive(passive),
                Opcode::QUERY_DEVICE,
                &[],
                Mailbox::Out(info.as_mut_bytes()),
            )
            .map_err(|error| BringUpError::Command(Opcode::QUERY_DEVICE, error))?;
        info::check(&info).map_err(BringUpError::Info)?;
        Ok(info)
    }

    /// Creates one event queue for each of `messages` MSI-X vectors, as far as the device has queues, and unmasks the
    /// interrupts; their number. The queues are not armed yet.
    ///
    /// # Errors
    ///
    /// No memory, or the device refused.
    pub fn start_events(&self, passive: &Passive, messages: u16) -> Result<u16, BringUpError> {
        let limit = u16::try_from(self.info().max_eqs.get()).unwrap_or(u16::MAX);
        let count = messages.clamp(1, limit.max(1));
        self.device().unmask_interrupts();
        let mut queues = PoolVec::with_capacity(count.into())?;
        let result = (0..count).try_for_each(|vector| {
            queues.push(self.create_events(passive, vector)?)?;
            Ok(())
        });
        if let Err(error) = result {
            // The device may write to rings that are about to go.
            self.silence();
            return Err(error);
        }
        // Set once, by the only caller.
        let _empty = self.set_events(queues);
        Ok(count)
    }

    fn create_events(&self, passive: &Passive, vector: u16) -> Result<EventQueue, BringUpError> {
        let rings = EventRings::new(passive, self.handle(), self.dma(), vector == 0)?;
        let create = rings.create(vector);
        let number = self.create(passive, Opcode::CREATE_EQ, create.as_bytes())?;
        if number >= self.info().max_eqs.get() {
            self.silence();
            return Err(BringUpError::Info(Implausible("number of the event queue")));
        }
        Ok(rings.into_queue(number))
    }

    /// Starts a device that has failed, or slept, once more: reset, command queue, event queues. Nothing of the data path, the
    /// addresses and the Ethernet queues is left; requests for objects that still exist end with [`CommandError::Dead`] until
    /// [`Nic::set_stale`] says that they are gone.
    ///
    /// # Errors
    ///
    /// See [`BringUpError`]; the device is silent then.
    pub fn restart(&self, passive: &Passive) -> Result<(), BringUpError> {
        self.set_stale(true);
        self.fail(Reason::Stopped, 0);
        let device = self.device();
        device.check_identity().map_err(BringUpError::Identity)?;
        device.reset(passive)?;
        self.commands().restart();
        bus::enable_bus_master(self.handle());
        self.commands().program(device);
        device.enable(passive)?;
        device.unsilence();
        if !device.health.revive() {
            self.fail(Reason::Removed, 0);
            return Err(BringUpError::State(StateError::Removed));
        }
        device.unmask_interrupts();
        self.clear_addresses();
        let result = self.restart_events(passive);
        if result.is_err() {
            self.fail(Reason::Stopped, 0);
        }
        result
    }

    fn restart_events(&self, passive: &Passive) -> Result<(), BringUpError> {
        for (vector, queue) in (0u16..).zip(self.event_queues()) {
            let create = queue.restart(vector);
            let number = self.create(passive, Opcode::CREATE_EQ, create.as_bytes())?;
            if number >= self.info().max_eqs.get() {
                return Err(BringUpError::Info(Implausible("number of the event queue")));
            }
            queue.set_number(number);
            queue.arm(self.device());
        }
        Ok(())
    }

    /// Starts the CM service.
    ///
    /// # Errors
    ///
    /// The device refused.
    pub fn start_cm(&self, passive: &Passive) -> Result<(), CommandError> {
        let Some(enable) = self.first_events().and_then(EventQueue::cm_enable) else {
            return Ok(());
        };
        let _done = self.command(
            Wait::Passive(passive),
            Opcode::CM_ENABLE,
            enable.as_bytes(),
            Mailbox::None,
        )?;
        Ok(())
    }

    /// Starts the CM service over if it has really stopped, with an empty ring: datagrams on the way are lost, and their
    /// senders repeat them.
    ///
    /// # Errors
    ///
    /// The device refused.
    pub fn restart_cm(&self, passive: &Passive) -> Result<(), CommandError> {
        if !self.is_cm_stopped(passive)? {
            return Ok(());
        }
        let _done = self.command(Wait::Passive(passive), Opcode::CM_DISABLE, &[], Mailbox::None)?;
        if let Some(queue) = self.first_events() {
            queue.restart_receives();
        }
        self.start_cm(passive)
    }

    /// Asks by a `CM_SEND` without a datagram: the firmware looks at the service before the mailbox.
    fn is_cm_stopped(&self, passive: &Passive) -> Result<bool, CommandError> {
        let probe = CmSend {
            // Any unicast address: nothing is sent.
            dst_gid: core::net::Ipv6Addr::LOCALHOST.octets(),
            hop_limit: 1,
            dst_qpn: 1.into(),
            ..CmSend::new_zeroed()
        };
        match self.command(
            Wait::Passive(passive),
            Opcode::CM_SEND,
            probe.as_bytes(),
            Mailbox::None,
        ) {
            Err(CommandError::Firmware { status, .. }) => Ok(status == Status::BAD_STATE),
            Err(error) => Err(error),
            Ok(_) => Ok(false),
        }
    }
}
