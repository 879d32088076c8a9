//! A PCI device that Linux hands over through VFIO (kernel document *VFIO - "Virtual Function I/O"*): its registers are mapped, not
//! trapped, its interrupts are event files, and its DMA goes through the machine's IOMMU.
//!
//! The device must be bound to the driver `vfio-pci`, and there must be an IOMMU: in QEMU,
//! `-machine q35 -device intel-iommu,intremap=on,caching-mode=on`, and `intel_iommu=on` on the guest's kernel command line.
#![expect(unsafe_code, reason = "ioctls")]

use super::events::{EventFiles, Listener};
use super::iommu::{Access, Mapper};
use super::slot::{Bar, Function, Mapping};
use crate::memory;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use vfio_bindings::bindings::vfio::{
    VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE, VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_DATA_EVENTFD,
    VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_MSIX_IRQ_INDEX, VFIO_REGION_INFO_FLAG_MMAP, VFIO_TYPE1v2_IOMMU,
    vfio_iommu_type1_dma_map, vfio_iommu_type1_dma_unmap, vfio_region_info,
};
use vrnic_abi::pci::VECTORS;
use vrnic_device::Interrupts;

/// The ioctls (`linux/vfio.h`): `_IO(';', 100 + n)`.
mod request {
    pub const SET_IOMMU: u64 = 0x3B66;
    pub const GROUP_SET_CONTAINER: u64 = 0x3B68;
    pub const GROUP_GET_DEVICE_FD: u64 = 0x3B6A;
    pub const DEVICE_GET_REGION_INFO: u64 = 0x3B6C;
    pub const DEVICE_SET_IRQS: u64 = 0x3B6E;
    pub const DEVICE_RESET: u64 = 0x3B6F;
    pub const IOMMU_MAP_DMA: u64 = 0x3B71;
    pub const IOMMU_UNMAP_DMA: u64 = 0x3B72;
}

/// `PCI_COMMAND`, and its bits for memory decoding and bus mastering.
const COMMAND: u64 = 4;
const COMMAND_ON: u16 = 0b110;

/// `vfio_irq_set` with one event file for each vector.
#[repr(C)]
struct IrqSet {
    argsz: u32,
    flags: u32,
    index: u32,
    start: u32,
    count: u32,
    files: [i32; VECTORS as usize],
}

/// The device. Dropping it gives it back to Linux, which resets it.
pub struct Vfio {
    device: File,
    config: u64,
    container: Arc<Container>,
    _listener: Listener,
    _group: File,
}

/// The address space of the device.
pub struct Container(File);

impl Vfio {
    /// Takes the device with that PCI address over, resets it, and switches it on. From then on its interrupts go to `interrupts`.
    ///
    /// # Errors
    /// What the system says, and what it was asked for.
    pub fn open(address: &str, interrupts: Arc<dyn Interrupts>) -> io::Result<Self> {
        let sysfs = Path::new("/sys/bus/pci/devices").join(address);
        let group = fs::read_link(sysfs.join("iommu_group")).map_err(|error| {
            about(
                &format!("{address} is in no IOMMU group (is there an IOMMU, and is it on?)"),
                &error,
            )
        })?;
        let number = group
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let container = open("/dev/vfio/vfio")?;
        let group = open(&format!("/dev/vfio/{number}"))?;
        let fd = container.as_raw_fd();
        control(
            &group,
            "joining the container",
            request::GROUP_SET_CONTAINER,
            &raw const fd,
        )?;
        let iommu = VFIO_TYPE1v2_IOMMU as usize;
        // This one takes a number, not a pointer to one.
        control(
            &container,
            "setting the IOMMU",
            request::SET_IOMMU,
            iommu as *const u8,
        )?;
        let name = std::ffi::CString::new(address)?;
        let fd = control(
            &group,
            "opening the device",
            request::GROUP_GET_DEVICE_FD,
            name.as_ptr(),
        )?;
        // SAFETY: the call has returned a new descriptor.
        let device = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
        control(
            &device,
            "resetting the device",
            request::DEVICE_RESET,
            std::ptr::null::<u8>(),
        )?;
        let config = region(&device, VFIO_PCI_CONFIG_REGION_INDEX)?.offset;
        device.write_all_at(&COMMAND_ON.to_le_bytes(), config + COMMAND)?;
        let events = EventFiles::new()?;
        connect(&device, &events)?;
        Ok(Self {
            _listener: events.listen(interrupts, None)?,
            device,
            config,
            container: Arc::new(Container(container)),
            _group: group,
        })
    }

    /// What maps memory for the device.
    #[must_use]
    pub fn container(&self) -> Arc<Container> {
        Arc::clone(&self.container)
    }
}

impl Function for Vfio {
    fn config_read(&self, offset: u16, data: &mut [u8]) {
        if self
            .device
            .read_exact_at(data, self.config + u64::from(offset))
            .is_err()
        {
            // What a bus gives when nobody answers.
            data.fill(u8::MAX);
        }
    }

    fn config_write(&self, offset: u16, data: &[u8]) {
        // A bus does not tell either.
        let _ = self.device.write_all_at(data, self.config + u64::from(offset));
    }

    fn map(&self, bar: &Bar, address: usize, size: usize) -> Option<Mapping> {
        let info = region(&self.device, bar.index.into()).ok()?;
        if info.size != bar.size || info.flags & VFIO_REGION_INFO_FLAG_MMAP == 0 {
            return None;
        }
        memory::map_file(address, size, self.device.as_fd(), info.offset).ok()?;
        Some(Mapping::Pages { address, size })
    }
}

impl Mapper for Container {
    fn map(
        &self,
        virtual_address: usize,
        length: usize,
        logical_address: u64,
        access: Access,
    ) -> io::Result<()> {
        let map = vfio_iommu_type1_dma_map {
            argsz: argsz::<vfio_iommu_type1_dma_map>(),
            flags: match access {
                Access::Read => VFIO_DMA_MAP_FLAG_READ,
                Access::ReadWrite => VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
            },
            vaddr: virtual_address as u64,
            iova: logical_address,
            size: length as u64,
        };
        control(&self.0, "mapping memory", request::IOMMU_MAP_DMA, &raw const map).map(drop)
    }

    fn unmap(&self, logical_address: u64, length: usize) -> io::Result<()> {
        let mut unmap = vfio_iommu_type1_dma_unmap {
            argsz: argsz::<vfio_iommu_type1_dma_unmap>(),
            iova: logical_address,
            size: length as u64,
            ..Default::default()
        };
        control(
            &self.0,
            "unmapping memory",
            request::IOMMU_UNMAP_DMA,
            &raw mut unmap,
        )
        .map(drop)
    }
}

/// Connects MSI-X with event files.
fn connect(device: &File, events: &EventFiles) -> io::Result<()> {
    let files = events.vectors();
    let set = IrqSet {
        argsz: argsz::<IrqSet>(),
        flags: VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
        index: VFIO_PCI_MSIX_IRQ_INDEX,
        start: 0,
        count: VECTORS.into(),
        files: files.map(|file| file.as_raw_fd()),
    };
    control(
        device,
        "connecting MSI-X",
        request::DEVICE_SET_IRQS,
        &raw const set,
    )
    .map(drop)
}

fn region(device: &File, index: u32) -> io::Result<vfio_region_info> {
    let mut info = vfio_region_info {
        argsz: argsz::<vfio_region_info>(),
        index,
        ..Default::default()
    };
    control(
        device,
        "asking for a region",
        request::DEVICE_GET_REGION_INFO,
        &raw mut info,
    )?;
    Ok(info)
}

fn open(path: &str) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|error| about(&format!("{path} (is the device bound to vfio-pci?)"), &error))
}

/// An ioctl that takes a pointer to what the request says, or a number.
fn control<T>(file: &File, what: &str, request: u64, argument: *const T) -> io::Result<i32> {
    // SAFETY: callers pass what the request wants, alive during the call.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), request, argument) };
    if result < 0 {
        Err(about(what, &io::Error::last_os_error()))
    } else {
        Ok(result)
    }
}

fn about(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("VFIO: {what}: {error}"))
}

/// The size of a structure, as it says it itself.
#[expect(clippy::cast_possible_truncation, reason = "structures are small")]
const fn argsz<T>() -> u32 {
    size_of::<T>() as u32
}
