//! A PCI device in another process, reached over vfio-user as QEMU reaches it.
//!
//! Registers are trapped and become messages, a region that the server offers to map is mapped, interrupts are event files, and
//! memory is handed over as a file: piece by piece, as the driver maps it. A device that does not answer, answers nonsense or
//! whose process has ended is like one that was pulled out: registers read all ones, and nobody waits for it.

use super::events::{EventFiles, Lifeline, Listener};
use super::iommu::{Access, Mapper};
use super::slot::{Bar, Function, Mapping};
use crate::cpu::mmio::{self, Registers};
use crate::memory::{self, Protection, shared};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use vrnic_abi::{pci, regs};
use vrnic_device::Interrupts;
use vrnic_vfio_user::client::LIMIT;
use vrnic_vfio_user::protocol::{CONFIG_REGION, DMA_READ, DMA_WRITE, DmaMap, MSIX, argsz};
use vrnic_vfio_user::{Client, ClientError};

/// `PCI_COMMAND`, and its bits for memory decoding and bus mastering.
const COMMAND: u64 = 4;
const COMMAND_ON: [u8; 2] = [0b110, 0];
/// `PCI_CAPABILITY_LIST`, the identifier of MSI-X in it, where its control word is, and the bit that enables it.
const CAPABILITIES: u64 = 0x34;
const MSIX_CAPABILITY: u8 = 0x11;
const MSIX_CONTROL: u64 = 2;
const MSIX_ENABLE: u16 = 1 << 15;
/// There is room for so many capabilities; a list that is longer goes in circles.
const MOST_CAPABILITIES: usize = 48;

/// The device. Dropping it ends the connection, and the server resets the device.
pub struct VfioUser {
    link: Arc<Link>,
    /// The files behind regions that may be mapped, by their index, and where in them they begin.
    mappable: BTreeMap<u8, (OwnedFd, u64)>,
    listener: Mutex<Option<Listener>>,
}

/// The connection.
pub struct Link {
    name: String,
    client: Client,
    told: AtomicBool,
    /// Copies of memory that the device does not reach, by logical address: start and size of what is reserved for each.
    copies: Mutex<BTreeMap<u64, (usize, usize)>>,
}

impl VfioUser {
    /// Connects to the device process that listens at `path`, resets the device, and switches it on. From then on its interrupts go to
    /// `interrupts`, and memory that is reserved can be given to it.
    ///
    /// # Errors
    /// Nobody listens there, somebody else has the device, it is not one for us, or the server does not keep to the protocol.
    pub fn connect(path: &Path, interrupts: Arc<dyn Interrupts>) -> io::Result<Self> {
        shared::share()?;
        let name = path.display().to_string();
        let named = |error: ClientError| io::Error::other(format!("vfio-user: {name}: {error}"));
        let client = Client::connect(path, LIMIT).map_err(named)?;
        client.reset().map_err(named)?;
        check(&client).map_err(named)?;
        let mut mappable = BTreeMap::new();
        for (bar, size) in [
            (pci::REGISTER_BAR, pci::REGISTER_BAR_SIZE),
            (pci::DOORBELL_BAR, pci::DOORBELL_BAR_SIZE),
        ] {
            let region = client.region(bar.into()).map_err(named)?;
            if region.size != size {
                let what = format!("BAR {bar} has {} bytes instead of {size}", region.size);
                return Err(named(ClientError::Malformed("looking at the device", what)));
            }
            mappable.extend(region.file.map(|file| (bar, file)));
        }
        let events = EventFiles::new()?;
        client.set_event_files(MSIX, &events.vectors()).map_err(named)?;
        switch_on(&client).map_err(named)?;
        let link = Arc::new(Link {
            name: name.clone(),
            client,
            told: AtomicBool::new(false),
            copies: Mutex::default(),
        });
        let lifeline = Lifeline {
            socket: link.client.stream().try_clone()?.into(),
            gone: Box::new({
                let link = Arc::clone(&link);
                move || link.gone(ClientError::Gone("watching the connection"))
            }),
        };
        let listener = events.listen(interrupts, Some(lifeline))?;
        Ok(Self {
            link,
            mappable,
            listener: Mutex::new(Some(listener)),
        })
    }

    /// What maps memory for the device.
    #[must_use]
    pub fn link(&self) -> Arc<Link> {
        Arc::clone(&self.link)
    }

    /// The station address that the device has of its own.
    #[must_use]
    pub fn station(&self) -> [u8; 6] {
        let mut mac = [0; 8];
        let (low, high) = mac.split_at_mut(4);
        self.link.read(pci::REGISTER_BAR.into(), regs::MAC_LO.into(), low);
        self.link
            .read(pci::REGISTER_BAR.into(), regs::MAC_HI.into(), high);
        std::array::from_fn(|at| mac[at])
    }
}

/// Whether it is a device that `vrnic.sys` is for.
fn check(client: &Client) -> Result<(), ClientError> {
    const WHAT: &str = "looking at the device";
    client.device()?;
    let mut id = [0; 4];
    client.read(CONFIG_REGION, 0, &mut id)?;
    let wanted = [pci::VENDOR_ID.to_le_bytes(), pci::DEVICE_ID.to_le_bytes()].concat();
    if id[..] != wanted[..] {
        let what = format!("it is {id:02x?} and no vrnic NIC");
        return Err(ClientError::Malformed(WHAT, what));
    }
    let vectors = client.interrupts(MSIX)?.count;
    if vectors < pci::VECTORS.into() {
        return Err(ClientError::Malformed(WHAT, format!("{vectors} vectors")));
    }
    Ok(())
}

/// Enables the function as a bus driver does.
fn switch_on(client: &Client) -> Result<(), ClientError> {
    client.write(CONFIG_REGION, COMMAND, &COMMAND_ON)?;
    let mut next = [0];
    client.read(CONFIG_REGION, CAPABILITIES, &mut next)?;
    for _ in 0..MOST_CAPABILITIES {
        let at = u64::from(next[0] & !3);
        if at == 0 {
            break;
        }
        let mut head = [0; 4];
        client.read(CONFIG_REGION, at, &mut head)?;
        let [id, following, low, high] = head;
        if id == MSIX_CAPABILITY {
            let control = u16::from_le_bytes([low, high]) | MSIX_ENABLE;
            return client.write(CONFIG_REGION, at + MSIX_CONTROL, &control.to_le_bytes());
        }
        next = [following];
    }
    let what = "it has no MSI-X".to_owned();
    Err(ClientError::Malformed("looking at the device", what))
}

impl Link {
    /// The device is gone. Says so once, unless it was taken away by us.
    fn gone(&self, why: ClientError) {
        self.client.end(why);
        if !self.told.swap(true, Ordering::Relaxed)
            && let Some(why) = self.client.fault()
        {
            eprintln!("ntbench: vfio-user: {}: {why}: the device is gone", self.name);
        }
    }

    /// What becomes of a call: a device that refuses what every device must do is of no more use than one that is gone.
    fn settle(&self, result: Result<(), ClientError>) -> bool {
        match result {
            Ok(()) => true,
            Err(error) => {
                self.gone(error);
                false
            }
        }
    }

    fn read(&self, region: u32, offset: u64, data: &mut [u8]) {
        if !self.settle(self.client.read(region, offset, data)) {
            // What a bus gives when nobody answers.
            data.fill(u8::MAX);
        }
    }

    fn write(&self, region: u32, offset: u64, data: &[u8]) {
        // A bus does not tell either.
        self.settle(self.client.write(region, offset, data));
    }

    /// Memory that the device reaches, with the contents of `address`.
    fn copy(&self, address: usize, length: usize, logical_address: u64) -> usize {
        let copy = memory::reserve(length);
        memory::protect(copy, length, Protection::ReadWrite);
        memory::copy(copy, address, length);
        self.copies.lock().insert(logical_address, (copy, length));
        copy
    }
}

impl Drop for VfioUser {
    fn drop(&mut self) {
        self.remove();
        drop(self.listener.lock().take());
    }
}

impl Function for VfioUser {
    fn config_read(&self, offset: u16, data: &mut [u8]) {
        self.link.read(CONFIG_REGION, offset.into(), data);
    }

    fn config_write(&self, offset: u16, data: &[u8]) {
        self.link.write(CONFIG_REGION, offset.into(), data);
    }

    fn map(&self, bar: &Bar, address: usize, size: usize) -> Option<Mapping> {
        if bar.index == pci::MSIX_BAR {
            return None;
        }
        if let Some((file, offset)) = self.mappable.get(&bar.index) {
            memory::map_file(address, size, file.as_fd(), *offset).ok()?;
            return Some(Mapping::Pages { address, size });
        }
        let region = Region {
            link: Arc::clone(&self.link),
            index: bar.index.into(),
        };
        Some(Mapping::Registers {
            _trap: mmio::trap(address, size, Arc::new(region)),
        })
    }

    fn remove(&self) {
        self.link.told.store(true, Ordering::Relaxed);
        self.link
            .client
            .end(ClientError::Gone("the device was pulled out"));
    }

    fn is_gone(&self) -> bool {
        self.link.client.fault().is_some()
    }
}

/// A region, as the trap handler reaches it.
struct Region {
    link: Arc<Link>,
    index: u32,
}

impl Registers for Region {
    fn read(&self, offset: u64, data: &mut [u8]) {
        self.link.read(self.index, offset, data);
    }

    fn write(&self, offset: u64, data: &[u8]) {
        self.link.write(self.index, offset, data);
    }
}

impl Mapper for Link {
    /// Never fails for the device's sake: what is mapped for one that is gone, nobody reaches. Memory that is not shared (a frame on the
    /// bench's heap, say) is copied for transfers to the device, as a real system does for devices that do not reach all memory.
    fn map(
        &self,
        virtual_address: usize,
        length: usize,
        logical_address: u64,
        access: Access,
    ) -> io::Result<()> {
        let (virtual_address, flags) = match (shared::locate(virtual_address, length), access) {
            (None, Access::Read) => (self.copy(virtual_address, length, logical_address), DMA_READ),
            (Some(_), Access::Read) => (virtual_address, DMA_READ),
            (_, Access::ReadWrite) => (virtual_address, DMA_READ | DMA_WRITE),
        };
        let Some((file, offset)) = shared::locate(virtual_address, length) else {
            return Err(io::Error::other(
                "it is not in memory that can be given to another process",
            ));
        };
        let request = DmaMap {
            argsz: argsz::<DmaMap>(),
            flags,
            offset,
            address: logical_address,
            size: length as u64,
        };
        self.settle(self.client.map(&request, file));
        Ok(())
    }

    fn unmap(&self, logical_address: u64, length: usize) -> io::Result<()> {
        self.settle(self.client.unmap(logical_address, length as u64));
        if let Some((copy, size)) = self.copies.lock().remove(&logical_address) {
            memory::release(copy, size);
        }
        Ok(())
    }
}
