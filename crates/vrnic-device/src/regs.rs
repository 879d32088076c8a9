//! BAR0: the control registers.
//!
//! The table of registers is in `vrnic_abi::regs`; here is what reading and writing each of them does.

use vrnic_abi::regs::{self, DeviceState, FatalSyndrome};

use crate::device::Device;

/// What the host has written into the registers, and the state machine.
#[derive(Debug)]
pub(crate) struct Registers {
    pub state: DeviceState,
    pub syndrome: FatalSyndrome,
    pub enabled: bool,
    pub queue: QueueRegisters,
    pub int_cause: u32,
    pub int_mask: u32,
}

/// The registers that describe the command queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueRegisters {
    pub base: u64,
    pub completions: u64,
    pub fetch: u64,
    pub log2: u32,
}

impl Registers {
    /// After reset.
    pub fn new() -> Self {
        Self {
            state: DeviceState::IDLE,
            syndrome: FatalSyndrome::NONE,
            enabled: false,
            queue: QueueRegisters::default(),
            int_cause: 0,
            int_mask: u32::MAX,
        }
    }
}

impl Device {
    /// Reads the register at `offset`.
    pub fn read_register(&self, offset: u32) -> u32 {
        let registers = &self.registers;
        let queue = &registers.queue;
        let mac = &self.config.mac;
        match offset {
            regs::MAGIC => regs::MAGIC_VALUE,
            regs::ABI_VERSION => vrnic_abi::VERSION,
            regs::FW_VERSION => crate::FW_VERSION,
            regs::CTRL if registers.enabled => regs::CTRL_ENABLE,
            regs::STATUS => registers.state.0,
            regs::FATAL_SYNDROME => registers.syndrome.0,
            regs::MAC_LO => u32::from_le_bytes([mac[0], mac[1], mac[2], mac[3]]),
            regs::MAC_HI => u32::from_le_bytes([mac[4], mac[5], 0, 0]),
            regs::LINK => u32::from(self.link_up) | u32::from(self.config.mtu) << regs::LINK_MTU_SHIFT,
            regs::LINK_SPEED => self.config.speed_mbps,
            regs::CMDQ_BASE_LO => low(queue.base),
            regs::CMDQ_BASE_HI => high(queue.base),
            regs::CMDQ_CPL_LO => low(queue.completions),
            regs::CMDQ_CPL_HI => high(queue.completions),
            regs::CMDQ_FETCH_LO => low(queue.fetch),
            regs::CMDQ_FETCH_HI => high(queue.fetch),
            regs::CMDQ_LOG2 => queue.log2,
            regs::INT_CAUSE => registers.int_cause,
            regs::INT_MASK => registers.int_mask,
            _ => 0,
        }
    }

    /// Writes the register at `offset`.
    pub fn write_register(&mut self, offset: u32, value: u32) {
        match offset {
            regs::CTRL => self.write_control(value),
            regs::CMDQ_DOORBELL => self.ring_command_doorbell(value),
            regs::INT_CAUSE => {
                self.registers.int_cause &= !value;
                self.raise_command_vector();
            }
            regs::INT_MASK => {
                self.registers.int_mask = value;
                self.raise_command_vector();
            }
            regs::KICK => self.signal.wake(),
            _ if self.registers.state == DeviceState::IDLE => self.registers.queue.write(offset, value),
            _ => {}
        }
    }

    fn write_control(&mut self, value: u32) {
        if value & regs::CTRL_RESET != 0 {
            return self.reset();
        }
        let enable = value & regs::CTRL_ENABLE != 0;
        match self.registers.state {
            DeviceState::IDLE if enable => self.start_command_queue(),
            DeviceState::READY if !enable => self.stop(),
            _ => {}
        }
    }

    /// Notes a cause, and raises the interrupt if it is the first one that is not masked.
    pub fn add_cause(&mut self, cause: u32) {
        let visible = self.registers.int_cause & !self.registers.int_mask;
        self.registers.int_cause |= cause;
        if visible == 0 {
            self.raise_command_vector();
        }
    }

    fn raise_command_vector(&mut self) {
        if self.registers.int_cause & !self.registers.int_mask != 0 {
            self.raise(vrnic_abi::pci::COMMAND_VECTOR);
        }
    }
}

impl QueueRegisters {
    fn write(&mut self, offset: u32, value: u32) {
        match offset {
            regs::CMDQ_BASE_LO => set_low(&mut self.base, value),
            regs::CMDQ_BASE_HI => set_high(&mut self.base, value),
            regs::CMDQ_CPL_LO => set_low(&mut self.completions, value),
            regs::CMDQ_CPL_HI => set_high(&mut self.completions, value),
            regs::CMDQ_FETCH_LO => set_low(&mut self.fetch, value),
            regs::CMDQ_FETCH_HI => set_high(&mut self.fetch, value),
            regs::CMDQ_LOG2 => self.log2 = value,
            _ => {}
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
const fn low(value: u64) -> u32 {
    value as u32
}

const fn high(value: u64) -> u32 {
    low(value >> 32)
}

fn set_low(register: &mut u64, value: u32) {
    *register = *register >> 32 << 32 | u64::from(value);
}

fn set_high(register: &mut u64, value: u32) {
    *register = u64::from(low(*register)) | u64::from(value) << 32;
}
