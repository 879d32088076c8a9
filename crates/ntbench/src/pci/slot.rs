//! A slot with the NIC in it: BARs in the bench's physical address space, DMA through the slot's IOMMU, messages to
//! whoever has connected the interrupt.

use super::iommu::Iommu;
use crate::cpu::irql::DEVICE_LEVEL;
use crate::cpu::mmio::{self, Registers, Trap};
use crate::cpu::vp;
use crate::memory;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use vrnic_abi::pci::{
    DOORBELL_BAR, DOORBELL_BAR_SIZE, MSIX_BAR, MSIX_BAR_SIZE, REGISTER_BAR, REGISTER_BAR_SIZE, VECTORS,
};
use vrnic_device::{HostMemory, Interrupts, Nic, NicConfig, Wire};

/// Where the first slot's BARs are in the physical address space, and how far the slots are apart.
const FIRST_BAR: u64 = 0xF_C000_0000;
const SLOT_STRIDE: u64 = 0x100_0000;

/// One memory BAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Which BAR it is.
    pub index: u8,
    /// Physical address.
    pub address: u64,
    /// Bytes.
    pub size: u64,
}

/// Runs an interrupt service routine for a message.
pub type Service = Arc<dyn Fn(u16) + Send + Sync>;

/// Routes messages to the processors. Messages go round the processors by number, as a fixed affinity would send them.
#[derive(Default)]
struct Messages {
    service: Mutex<Option<Service>>,
}

impl Interrupts for Messages {
    fn raise(&self, vector: u16) {
        let Some(service) = self.service.lock().clone() else {
            return;
        };
        let processors = vp::all();
        let Some(processor) = processors.get(usize::from(vector) % processors.len().max(1)) else {
            return;
        };
        processor.interrupt(DEVICE_LEVEL, Box::new(move || service(vector)));
    }
}

/// The registers of BAR0, as the trap handler reaches them.
struct Bar0(Arc<Nic>);

impl Registers for Bar0 {
    fn read(&self, offset: u64, data: &mut [u8]) {
        self.0.bar_read(REGISTER_BAR, offset, data);
    }

    fn write(&self, offset: u64, data: &[u8]) {
        self.0.bar_write(REGISTER_BAR, offset, data);
    }
}

/// See the module.
pub struct Slot {
    nic: Arc<Nic>,
    iommu: Arc<Iommu>,
    messages: Arc<Messages>,
    bars: [Bar; 3],
    registers: Trap,
}

impl Slot {
    /// Plugs a NIC into slot `number`, with `wire` at its port. The function is enabled as a bus driver would do it.
    ///
    /// # Errors
    /// When the NIC cannot be made.
    pub fn plug(number: u8, config: NicConfig, wire: Arc<dyn Wire>) -> io::Result<Self> {
        let iommu = Arc::new(Iommu::new());
        let messages = Arc::new(Messages::default());
        let nic = Nic::new(
            config,
            Arc::clone(&iommu) as Arc<dyn HostMemory>,
            Arc::clone(&messages) as Arc<dyn Interrupts>,
            wire,
        )?;
        nic.enable_function();
        let base = FIRST_BAR + SLOT_STRIDE * u64::from(number);
        let bars = [
            Bar {
                index: DOORBELL_BAR,
                address: base,
                size: DOORBELL_BAR_SIZE,
            },
            Bar {
                index: REGISTER_BAR,
                address: base + DOORBELL_BAR_SIZE,
                size: REGISTER_BAR_SIZE,
            },
            Bar {
                index: MSIX_BAR,
                address: base + DOORBELL_BAR_SIZE + REGISTER_BAR_SIZE,
                size: MSIX_BAR_SIZE,
            },
        ];
        let size = usize::try_from(REGISTER_BAR_SIZE).map_err(io::Error::other)?;
        let registers = mmio::trap(memory::reserve(size), size, Arc::new(Bar0(Arc::clone(&nic))));
        Ok(Self {
            nic,
            iommu,
            messages,
            bars,
            registers,
        })
    }

    /// The device.
    #[must_use]
    pub fn nic(&self) -> &Arc<Nic> {
        &self.nic
    }

    /// What the device can reach.
    #[must_use]
    pub fn iommu(&self) -> &Arc<Iommu> {
        &self.iommu
    }

    /// The memory BARs, in the order in which the resource list names them.
    #[must_use]
    pub fn bars(&self) -> &[Bar; 3] {
        &self.bars
    }

    /// Number of messages.
    #[must_use]
    pub const fn messages(&self) -> u16 {
        VECTORS
    }

    /// Where a driver finds `length` bytes at `physical`: `None` if that is not inside one BAR that drivers may map.
    #[must_use]
    pub fn map(&self, physical: u64, length: u64) -> Option<usize> {
        let bar = self.bars.iter().find(|bar| {
            physical >= bar.address
                && physical - bar.address <= bar.size
                && length <= bar.size - (physical - bar.address)
        })?;
        let offset = usize::try_from(physical - bar.address).ok()?;
        match bar.index {
            REGISTER_BAR => Some(self.registers.address() + offset),
            DOORBELL_BAR => Some(self.nic.doorbells().as_ptr() as usize + offset),
            _ => None,
        }
    }

    /// Connects the interrupt: from now on `service` runs at device level for each message. `None` disconnects; messages
    /// that are queued may still come.
    pub fn connect(&self, service: Option<Service>) {
        *self.messages.service.lock() = service;
    }
}
