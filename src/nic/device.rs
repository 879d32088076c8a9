//! Registers, doorbells and reset.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

use vrnic_abi::pci::REMOVED;
use vrnic_abi::regs::{
    ABI_VERSION, CTRL, CTRL_ENABLE, CTRL_RESET, DeviceState, FATAL_SYNDROME, FW_VERSION, INT_COMMAND,
    INT_FATAL, INT_MASK, LINK, LINK_MTU_SHIFT, LINK_SPEED, LINK_UP, MAC_HI, MAC_LO, MAGIC, MAGIC_VALUE,
    STATUS, STATUS_STATE_MASK,
};

use super::health::{HealthWord, Reason};
use crate::os::bus;
use crate::os::handle::AdapterHandle;
use crate::os::irql::Passive;
use crate::os::mmio::{DoorbellBar, RegisterBar};
use crate::os::time::{Instant, sleep};

/// Longest time that a reset or the start of the command queue may take.
const STATE_CHANGE: Duration = Duration::from_secs(1);

/// The port's link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Frames can be sent.
    pub up: bool,
    /// Speed in Mbit/s.
    pub speed_mbps: u32,
    /// Largest Ethernet payload, in bytes.
    pub mtu: u32,
}

/// Why the device did not go to the state that it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateError {
    /// It did not in a second.
    Timeout,
    /// It stopped, for the reason with this number ([`vrnic_abi::regs::FatalSyndrome`]).
    Fatal(u32),
    /// It is not there.
    Removed,
}

/// What everything else in this folder works with.
pub struct Device {
    /// For the configuration space.
    pub adapter: AdapterHandle,
    /// BAR0.
    pub registers: RegisterBar,
    /// BAR2.
    pub doorbells: DoorbellBar,
    /// Whether to believe what they say.
    pub health: HealthWord,
    /// Somebody makes sure that the device does nothing any more.
    pub silencing: AtomicBool,
    /// It does nothing any more.
    pub silent: AtomicBool,
}

impl Device {
    /// Whether this is a device of our interface, in a version that we speak: same major number.
    ///
    /// # Errors
    ///
    /// What it has instead: the version, or all ones.
    pub fn check_identity(&self) -> Result<(), u32> {
        let magic = self.registers.read::<MAGIC>();
        if magic != MAGIC_VALUE {
            return Err(magic);
        }
        let version = self.registers.read::<ABI_VERSION>();
        if version >> 16 == vrnic_abi::VERSION >> 16 {
            Ok(())
        } else {
            Err(version)
        }
    }

    /// Firmware version, for people.
    pub fn firmware_version(&self) -> u32 {
        self.registers.read::<FW_VERSION>()
    }

    /// Permanent MAC address.
    pub fn mac(&self) -> [u8; 6] {
        let [b0, b1, b2, b3] = self.registers.read::<MAC_LO>().to_le_bytes();
        let [b4, b5, ..] = self.registers.read::<MAC_HI>().to_le_bytes();
        [b0, b1, b2, b3, b4, b5]
    }

    /// The link now; down when the device is gone. At most `DISPATCH_LEVEL`.
    pub fn link(&self) -> Link {
        let link = self.registers.read::<LINK>();
        if link == REMOVED {
            return Link {
                up: false,
                speed_mbps: 0,
                mtu: 0,
            };
        }
        let speed_mbps = self.registers.read::<LINK_SPEED>();
        Link {
            up: link & LINK_UP != 0,
            speed_mbps,
            mtu: link >> LINK_MTU_SHIFT,
        }
    }

    /// Puts the device into its initial state: it touches no memory afterwards.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub fn reset(&self, passive: &Passive) -> Result<(), StateError> {
        self.start_reset();
        self.wait_for(passive, DeviceState::IDLE)
    }

    /// Tells the device to reset itself and does not look whether it does. Any IRQL.
    pub fn start_reset(&self) {
        self.registers.write::<CTRL>(CTRL_RESET);
    }

    /// Starts the command queue, whose registers have been set.
    ///
    /// # Errors
    ///
    /// A queue register is wrong, or the device does not answer.
    pub fn enable(&self, passive: &Passive) -> Result<(), StateError> {
        self.registers.write::<CTRL>(CTRL_ENABLE);
        self.wait_for(passive, DeviceState::READY)
    }

    fn wait_for(&self, passive: &Passive, wanted: DeviceState) -> Result<(), StateError> {
        let deadline = Instant::now() + STATE_CHANGE;
        loop {
            match self.state() {
                Err(error) => return Err(error),
                Ok(state) if state == wanted && self.registers.read::<CTRL>() & CTRL_RESET == 0 => {
                    return Ok(());
                }
                Ok(_) if Instant::now() >= deadline => return Err(StateError::Timeout),
                Ok(_) => sleep(passive, Duration::from_millis(1)),
            }
        }
    }

    fn state(&self) -> Result<DeviceState, StateError> {
        let status = self.registers.read::<STATUS>();
        if status == REMOVED {
            return Err(StateError::Removed);
        }
        match DeviceState(status & STATUS_STATE_MASK) {
            DeviceState::FATAL => Err(StateError::Fatal(self.registers.read::<FATAL_SYNDROME>())),
            state => Ok(state),
        }
    }

    /// Why the device, which should be running, is not, if it says so. At most `DISPATCH_LEVEL`.
    pub fn diagnose(&self) -> Option<(Reason, u32)> {
        match self.state() {
            Err(StateError::Removed) => Some((Reason::Removed, 0)),
            Err(StateError::Fatal(syndrome)) => Some((Reason::Fatal, syndrome)),
            Err(StateError::Timeout) | Ok(DeviceState::READY) => None,
            Ok(state) => Some((Reason::Stopped, state.0)),
        }
    }

    /// Lets the device raise the command interrupt.
    pub fn unmask_interrupts(&self) {
        self.registers.write::<INT_MASK>(!(INT_COMMAND | INT_FATAL));
    }

    /// Rings a doorbell. At most `DISPATCH_LEVEL`.
    pub fn ring(&self, offset: u64, value: u32) {
        self.doorbells.ring(&self.registers, offset, value);
    }

    /// Makes sure that the device touches no memory any more: resets it, and takes its access away if it does not answer.
    pub fn silence(&self) {
        if self.silencing.swap(true, Ordering::AcqRel) {
            return;
        }
        let stopped = if let Some(passive) = Passive::current() {
            matches!(self.reset(&passive), Ok(()) | Err(StateError::Removed))
        } else {
            self.start_reset();
            self.state() != Ok(DeviceState::READY)
        };
        if !stopped {
            bus::disable_bus_master(self.adapter);
        }
        self.silent.store(true, Ordering::Release);
    }

    /// The device has been started again: it may have to be silenced once more.
    pub fn unsilence(&self) {
        self.silent.store(false, Ordering::Release);
        self.silencing.store(false, Ordering::Release);
    }

    /// Whether [`Device::silence`] is done. Any IRQL.
    pub fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Acquire)
    }
}
