//! A slot with a NIC in it, the bench's own, one that Linux hands over (`vfio`) or one in another process (`vfio_user`): BARs in the
//! bench's physical address space, DMA through the slot's IOMMU, messages to whoever has connected the interrupt.

use super::iommu::Iommu;
use super::vfio::Vfio;
use super::vfio_user::VfioUser;
use crate::cpu::irql::DEVICE_LEVEL;
use crate::cpu::mmio::{self, Registers, Trap};
use crate::cpu::vp;
use crate::memory::{self, Protection};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
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

/// Routes messages to the processors, as a fixed affinity would: the first to processor 0, the others, which are those of queues, round all
/// of them from processor 0 on. Drivers can count on nothing of the kind.
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
        let queue = usize::from(vector).saturating_sub(1);
        let Some(processor) = processors.get(queue % processors.len().max(1)) else {
            return;
        };
        processor.interrupt(DEVICE_LEVEL, Box::new(move || service(vector)));
    }
}

/// A PCI function in a slot.
pub(super) trait Function: Send + Sync {
    /// Reads configuration space.
    fn config_read(&self, offset: u16, data: &mut [u8]);
    /// Writes configuration space.
    fn config_write(&self, offset: u16, data: &[u8]);
    /// Maps a whole BAR at `address`, which is reserved. `None`: drivers may not map it.
    fn map(&self, bar: &Bar, address: usize, size: usize) -> Option<Mapping>;
    /// Pulls it out, where that can be done: registers read all ones from then on.
    fn remove(&self) {}
    /// Whether it is gone, as far as we know.
    fn is_gone(&self) -> bool {
        false
    }
}

/// A BAR as a driver has mapped it. When it is dropped its addresses stay reserved, so that whoever still uses them faults.
pub(super) enum Mapping {
    /// Accesses are trapped.
    Registers { _trap: Trap },
    /// Pages that the device shares with us, or a bus in between.
    Pages { address: usize, size: usize },
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if let Self::Pages { address, size } = *self {
            memory::protect(address, size, Protection::None);
        }
    }
}

/// The bench's own NIC.
struct Own(Arc<Nic>);

impl Function for Own {
    fn config_read(&self, offset: u16, data: &mut [u8]) {
        self.0.config_read(offset, data);
    }

    fn config_write(&self, offset: u16, data: &[u8]) {
        self.0.config_write(offset, data);
    }

    fn map(&self, bar: &Bar, address: usize, size: usize) -> Option<Mapping> {
        match bar.index {
            REGISTER_BAR => Some(Mapping::Registers {
                _trap: mmio::trap(address, size, Arc::new(Bar0(Arc::clone(&self.0)))),
            }),
            DOORBELL_BAR => {
                memory::map_file(address, size, self.0.doorbells().as_fd(), 0).ok()?;
                Some(Mapping::Pages { address, size })
            }
            _ => None,
        }
    }

    fn remove(&self) {
        self.0.remove();
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
    function: Arc<dyn Function>,
    /// The device, if it is the bench's own.
    nic: Option<Arc<Nic>>,
    iommu: Arc<Iommu>,
    messages: Arc<Messages>,
    bars: [Bar; 3],
    /// What is mapped, by the address that the driver got.
    mappings: Mutex<BTreeMap<usize, Mapping>>,
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
        let function = Arc::new(Own(Arc::clone(&nic)));
        Ok(Self::new(number, function, Some(nic), iommu, messages))
    }

    /// Puts the PCI device with that address (such as `0000:00:04.0`) into slot `number`: Linux hands it over through VFIO, and a real
    /// IOMMU is between it and the memory. See [`vfio`](super::vfio).
    ///
    /// # Errors
    /// There is no such device, or it cannot be had; the error says what is missing.
    pub fn vfio(number: u8, address: &str) -> io::Result<Self> {
        let messages = Arc::new(Messages::default());
        let device = Vfio::open(address, Arc::clone(&messages) as Arc<dyn Interrupts>)?;
        let iommu = Arc::new(Iommu::of(device.container()));
        Ok(Self::new(number, Arc::new(device), None, iommu, messages))
    }

    /// Puts the NIC of the device process that listens at `path` into slot `number`, and says which station address it has. See
    /// [`vfio_user`](super::vfio_user).
    ///
    /// # Errors
    /// Those of [`VfioUser::connect`].
    pub fn vfio_user(number: u8, path: &Path) -> io::Result<(Self, [u8; 6])> {
        let messages = Arc::new(Messages::default());
        let device = VfioUser::connect(path, Arc::clone(&messages) as Arc<dyn Interrupts>)?;
        let iommu = Arc::new(Iommu::of(device.link()));
        let station = device.station();
        let slot = Self::new(number, Arc::new(device), None, iommu, messages);
        Ok((slot, station))
    }

    fn new(
        number: u8,
        function: Arc<dyn Function>,
        nic: Option<Arc<Nic>>,
        iommu: Arc<Iommu>,
        messages: Arc<Messages>,
    ) -> Self {
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
        Self {
            function,
            nic,
            iommu,
            messages,
            bars,
            mappings: Mutex::default(),
        }
    }

    /// The device, if it is the bench's own.
    #[must_use]
    pub fn nic(&self) -> Option<&Arc<Nic>> {
        self.nic.as_ref()
    }

    /// Pulls the device out, if it is the bench's own or in another process: registers read all ones from then on.
    pub fn remove(&self) {
        self.function.remove();
    }

    /// Whether a device in another process is gone: the process has ended, or does not answer any more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.function.is_gone()
    }

    /// Reads the device's configuration space.
    pub fn config_read(&self, offset: u16, data: &mut [u8]) {
        self.function.config_read(offset, data);
    }

    /// Writes the device's configuration space.
    pub fn config_write(&self, offset: u16, data: &[u8]) {
        self.function.config_write(offset, data);
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

    /// Maps `length` bytes at `physical` and says where: `None` if that is not inside one BAR that drivers may map.
    #[must_use]
    pub fn map(&self, physical: u64, length: u64) -> Option<usize> {
        let bar = self.bars.iter().find(|bar| {
            physical >= bar.address
                && physical - bar.address <= bar.size
                && length <= bar.size - (physical - bar.address)
        })?;
        let offset = usize::try_from(physical - bar.address).ok()?;
        let size = usize::try_from(bar.size).ok()?;
        let address = memory::reserve(size);
        let mapping = self.function.map(bar, address, size)?;
        self.mappings.lock().insert(address + offset, mapping);
        Some(address + offset)
    }

    /// Undoes [`Slot::map`].
    pub fn unmap(&self, address: usize) {
        self.mappings.lock().remove(&address);
    }

    /// Connects the interrupt: from now on `service` runs at device level for each message. `None` disconnects; messages
    /// that are queued may still come.
    pub fn connect(&self, service: Option<Service>) {
        *self.messages.service.lock() = service;
    }
}
