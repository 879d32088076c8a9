//! PCI configuration space: a type 0 header, power management, MSI-X and PCI Express capabilities.
//!
//! Bytes and two masks: which bits software may write, and which it clears by writing one.

use vrnic_abi::pci;

/// Bytes of the configuration space of a PCI Express function.
const SIZE: usize = 4096;

const COMMAND: usize = 0x04;
const COMMAND_MEMORY: u16 = 1 << 1;
const COMMAND_BUS_MASTER: u16 = 1 << 2;
const COMMAND_INTX_DISABLE: u16 = 1 << 10;
const STATUS_CAPABILITIES: u16 = 1 << 4;
const BAR: usize = 0x10;
const BAR_64BIT: u32 = 0b100;
const BAR_PREFETCHABLE: u32 = 0b1000;

const PM: usize = 0x40;
const PM_CONTROL: usize = PM + 4;
const PM_D3HOT: u16 = 3;
const PM_NO_SOFT_RESET: u16 = 1 << 3;

const MSIX: usize = 0x50;
const MSIX_CONTROL: usize = MSIX + 2;
const MSIX_ENABLE: u16 = 1 << 15;
const MSIX_MASK_ALL: u16 = 1 << 14;

const EXP: usize = 0x60;
const EXP_CONTROL: usize = EXP + 8;
const EXP_FLR: u16 = 1 << 15;

/// The configuration space.
pub(crate) struct ConfigSpace {
    bytes: Box<[u8; SIZE]>,
    writable: Box<[u8; SIZE]>,
    write_one_clears: Box<[u8; SIZE]>,
}

impl ConfigSpace {
    /// The space after power-on.
    pub fn new() -> Self {
        let zeros = || Box::new([0; SIZE]);
        let mut space = Self {
            bytes: zeros(),
            writable: zeros(),
            write_one_clears: zeros(),
        };
        space.header();
        space.power_management();
        space.msix();
        space.express();
        space
    }

    fn header(&mut self) {
        self.set16(0x00, pci::VENDOR_ID);
        self.set16(0x02, pci::DEVICE_ID);
        self.allow16(
            COMMAND,
            COMMAND_MEMORY | COMMAND_BUS_MASTER | COMMAND_INTX_DISABLE,
        );
        self.set16(0x06, STATUS_CAPABILITIES);
        self.bytes[0x08] = pci::REVISION_ID;
        let [base, sub, interface] = pci::CLASS_CODE;
        self.bytes[0x09..0x0C].copy_from_slice(&[interface, sub, base]);
        self.writable[0x0C] = 0xFF; // cache line size
        self.bar(pci::REGISTER_BAR, pci::REGISTER_BAR_SIZE, BAR_64BIT);
        self.bar(
            pci::DOORBELL_BAR,
            pci::DOORBELL_BAR_SIZE,
            BAR_64BIT | BAR_PREFETCHABLE,
        );
        self.bar(pci::MSIX_BAR, pci::MSIX_BAR_SIZE, BAR_64BIT);
        self.set16(0x2C, pci::VENDOR_ID);
        self.set16(0x2E, pci::SUBSYSTEM_ID);
        self.bytes[0x34] = 0x40;
        self.writable[0x3C] = 0xFF; // interrupt line; there is no interrupt pin
    }

    /// A 64-bit BAR: only the address bits above its size can be written, which is how software finds the size.
    fn bar(&mut self, number: u8, size: u64, flags: u32) {
        let at = BAR + usize::from(number) * 4;
        self.set32(at, flags);
        self.writable[at..at + 8].copy_from_slice(&(!(size - 1)).to_le_bytes());
    }

    fn power_management(&mut self) {
        self.capability(PM, 0x01, MSIX);
        self.set16(PM + 2, 3); // version 1.2, neither D1 nor D2 nor PME
        self.set16(PM_CONTROL, PM_NO_SOFT_RESET);
        self.allow16(PM_CONTROL, PM_D3HOT);
    }

    fn msix(&mut self) {
        self.capability(MSIX, 0x11, EXP);
        self.set16(MSIX_CONTROL, pci::VECTORS - 1);
        self.allow16(MSIX_CONTROL, MSIX_ENABLE | MSIX_MASK_ALL);
        self.set32(MSIX + 4, pci::MSIX_TABLE_OFFSET | u32::from(pci::MSIX_BAR));
        self.set32(MSIX + 8, pci::MSIX_PBA_OFFSET | u32::from(pci::MSIX_BAR));
    }

    fn express(&mut self) {
        const ROLE_BASED_ERRORS: u32 = 1 << 15;
        const FLR_CAPABLE: u32 = 1 << 28;
        const SPEED_16GT: u32 = 4;
        const WIDTH_8: u32 = 8 << 4;
        self.capability(EXP, 0x10, 0);
        self.set16(EXP + 2, 2); // version 2, endpoint
        self.set32(EXP + 4, FLR_CAPABLE | ROLE_BASED_ERRORS);
        self.allow16(EXP_CONTROL, 0x78FF);
        self.write_one_clears[EXP + 0x0A] = 0x0F; // errors detected
        self.set32(EXP + 0x0C, SPEED_16GT | WIDTH_8);
        self.allow16(EXP + 0x10, 0x00C8);
        self.set32(EXP + 0x10, (SPEED_16GT | WIDTH_8) << 16);
        self.set32(EXP + 0x2C, 0b1111 << 1); // link speeds up to 16 GT/s
        self.set32(EXP + 0x30, SPEED_16GT);
    }

    fn capability(&mut self, at: usize, id: u8, next: usize) {
        self.bytes[at] = id;
        self.bytes[at + 1] = u8::try_from(next).unwrap_or(0);
    }

    fn set16(&mut self, at: usize, value: u16) {
        self.bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }

    fn set32(&mut self, at: usize, value: u32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn allow16(&mut self, at: usize, mask: u16) {
        self.writable[at..at + 2].copy_from_slice(&mask.to_le_bytes());
    }

    fn get16(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]])
    }

    /// Reads bytes; all ones outside the space.
    pub fn read(&self, offset: u16, data: &mut [u8]) {
        for (at, byte) in (usize::from(offset)..).zip(data) {
            *byte = self.bytes.get(at).copied().unwrap_or(u8::MAX);
        }
    }

    /// Writes bytes. True if that asks for a function level reset.
    pub fn write(&mut self, offset: u16, data: &[u8]) -> bool {
        let power_state = self.power_state();
        let mut reset = false;
        for (at, new) in (usize::from(offset)..SIZE).zip(data) {
            let writable = self.writable[at];
            let cleared = self.write_one_clears[at] & new;
            self.bytes[at] = (self.bytes[at] & !writable | new & writable) & !cleared;
            reset |= at == EXP_CONTROL + 1 && new & EXP_FLR.to_be_bytes()[0] != 0;
        }
        if !matches!(self.power_state(), 0 | PM_D3HOT) {
            // D1 and D2 do not exist: the write of such a state is ignored (PCI Power Management 1.2, 3.2.4).
            let control = self.get16(PM_CONTROL) & !PM_D3HOT;
            self.set16(PM_CONTROL, control | power_state);
        }
        reset
    }

    fn power_state(&self) -> u16 {
        self.get16(PM_CONTROL) & PM_D3HOT
    }

    /// The power state is D0.
    pub fn is_in_d0(&self) -> bool {
        self.power_state() == 0
    }

    /// The function answers accesses to its BARs.
    pub fn memory_enabled(&self) -> bool {
        self.get16(COMMAND) & COMMAND_MEMORY != 0 && self.is_in_d0()
    }

    /// The function may do DMA and send interrupts.
    pub fn bus_master(&self) -> bool {
        self.get16(COMMAND) & COMMAND_BUS_MASTER != 0 && self.is_in_d0()
    }

    /// MSI-X is on and the function is not masked as a whole.
    pub fn msix_open(&self) -> bool {
        self.get16(MSIX_CONTROL) & (MSIX_ENABLE | MSIX_MASK_ALL) == MSIX_ENABLE
    }

    /// Does what a PCI bus driver does: memory decoding, bus mastering and MSI-X on.
    pub fn enable(&mut self) {
        self.set16(
            COMMAND,
            COMMAND_MEMORY | COMMAND_BUS_MASTER | COMMAND_INTX_DISABLE,
        );
        self.set16(MSIX_CONTROL, (pci::VECTORS - 1) | MSIX_ENABLE);
    }
}
