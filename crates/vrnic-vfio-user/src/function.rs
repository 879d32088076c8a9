//! A NIC as a vfio-user device: what each message does.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;
use vrnic_abi::pci;
use vrnic_device::{HostMemory, Interrupts, Nic, NicConfig, Wire};
use zerocopy::IntoBytes;

use crate::channel::{Channel, Message};
use crate::interrupts::EventFiles;
use crate::memory::{GuestMemory, Mapped};
use crate::protocol::{
    CONFIG_REGION, DEVICE_IS_PCI, DEVICE_RESETS, DeviceInfo, DmaMap, DmaUnmap, IRQ_EVENTFD, IRQ_NORESIZE,
    IrqInfo, IrqSet, MAX_FILES, MAX_TRANSFER, MSIX, PCI_IRQS, PCI_REGIONS, REGION_MMAP, REGION_READ,
    REGION_WRITE, RegionAccess, RegionInfo, UNMAP_ALL, Version, argsz, command, flags, parse,
};

/// Bytes of the configuration space.
const CONFIG_SIZE: u64 = 4096;

/// What a client is told that has not shared its guest's RAM.
pub const PRIVATE_RAM: &str = "the guest's RAM is private to QEMU, so that the NIC cannot reach it.\n\
    Add to QEMU's command line, with the size that -m has:\n\
    \x20   -object memory-backend-memfd,id=ram,size=SIZE,share=on -machine memory-backend=ram\n\
    (libvirt: <memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>)";

/// A NIC with what it needs from its client. The NIC outlives its clients; each finds it after power-on.
pub struct Function {
    name: String,
    nic: Arc<Nic>,
    memory: Arc<GuestMemory>,
    events: Arc<EventFiles>,
    /// The client has been told what is wrong with its RAM.
    explained: AtomicBool,
}

/// What a message is answered with: bytes, and perhaps the file behind a BAR.
struct Answer {
    head: Vec<u8>,
    data: Vec<u8>,
    doorbells: bool,
}

impl Answer {
    const fn empty() -> Self {
        Self::bytes(Vec::new())
    }

    const fn bytes(head: Vec<u8>) -> Self {
        Self {
            head,
            data: Vec::new(),
            doorbells: false,
        }
    }
}

impl Function {
    /// Makes a NIC. `name` is for messages to the user.
    ///
    /// # Errors
    /// Those of [`Nic::new`].
    pub fn new(name: &str, mut config: NicConfig, wire: Arc<dyn Wire>) -> io::Result<Self> {
        let memory = Arc::new(GuestMemory::default());
        let events = Arc::new(EventFiles::default());
        // QEMU keeps the MSI-X table.
        config.host_masks_vectors = true;
        let nic = Nic::new(
            config,
            Arc::clone(&memory) as Arc<dyn HostMemory>,
            Arc::clone(&events) as Arc<dyn Interrupts>,
            wire,
        )?;
        Ok(Self {
            name: name.to_owned(),
            nic,
            memory,
            events,
            explained: AtomicBool::new(false),
        })
    }

    /// The NIC's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The NIC.
    #[must_use]
    pub const fn nic(&self) -> &Arc<Nic> {
        &self.nic
    }

    /// The guest memory of the client.
    #[must_use]
    pub fn memory(&self) -> &GuestMemory {
        &self.memory
    }

    /// Serves a client until it goes, and leaves the NIC as after power-on.
    ///
    /// # Errors
    /// Why it was a bad end; a client that just goes is none.
    pub fn serve(&self, channel: &Channel) -> io::Result<()> {
        let result = self.converse(channel);
        // In this order: nothing reaches the client's memory after the reset.
        self.nic.reset();
        self.events.clear();
        self.memory.clear();
        self.explained.store(false, Ordering::Relaxed);
        result
    }

    fn converse(&self, channel: &Channel) -> io::Result<()> {
        let mut greeted = false;
        while let Some(message) = channel.receive()? {
            let header = message.header;
            if header.flags & flags::TYPE != flags::COMMAND {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a message that is no command",
                ));
            }
            // The first message settles the version; nothing else makes sense before, and it makes none later.
            let result = if greeted == (header.command == command::VERSION) {
                Err(Errno::PROTO)
            } else {
                self.handle(message)
            };
            greeted |= header.command == command::VERSION && result.is_ok();
            if header.flags & flags::NO_REPLY != 0 {
                continue;
            }
            match result {
                Ok(answer) => {
                    let file = answer.doorbells.then(|| self.nic.doorbells().as_fd());
                    channel.reply(&header, [&answer.head, &answer.data], file)?;
                }
                Err(error) => channel.reply_error(&header, error)?,
            }
        }
        Ok(())
    }

    fn handle(&self, message: Message) -> Result<Answer, Errno> {
        let Message { header, body, files } = message;
        match header.command {
            command::VERSION => greet(&body),
            command::DMA_MAP => self.map(&body, &files),
            command::DMA_UNMAP => self.unmap(&body),
            command::DEVICE_GET_INFO => device_info(&body),
            command::DEVICE_GET_REGION_INFO => region_info(&body),
            command::DEVICE_GET_IRQ_INFO => irq_info(&body),
            command::DEVICE_SET_IRQS => self.set_irqs(&body, files),
            command::REGION_READ => self.read(&body),
            command::REGION_WRITE => self.write(&body),
            command::DEVICE_RESET => {
                self.nic.reset();
                Ok(Answer::empty())
            }
            _ => Err(Errno::NOTSUP),
        }
    }

    fn map(&self, body: &[u8], files: &[OwnedFd]) -> Result<Answer, Errno> {
        let (request, _) = parse::<DmaMap>(body)?;
        if files.len() > 1 {
            return Err(Errno::INVAL);
        }
        match self.memory.map(&request, files.first())? {
            Mapped::Private => {
                // QEMU only prints the number of an error, and goes on with more pieces of the same RAM.
                if !self.explained.swap(true, Ordering::Relaxed) {
                    eprintln!("{}: {PRIVATE_RAM}", self.name);
                }
                Err(Errno::OPNOTSUPP)
            }
            Mapped::Reachable | Mapped::Unreachable => Ok(Answer::empty()),
        }
    }

    fn unmap(&self, body: &[u8]) -> Result<Answer, Errno> {
        let (request, _) = parse::<DmaUnmap>(body)?;
        match request.flags {
            0 => self.memory.unmap(request.address, request.size)?,
            UNMAP_ALL if request.address == 0 && request.size == 0 => self.memory.clear(),
            // Dirty pages are not tracked: there is no migration.
            _ => return Err(Errno::INVAL),
        }
        Ok(Answer::bytes(request.as_bytes().to_vec()))
    }

    fn set_irqs(&self, body: &[u8], files: Vec<OwnedFd>) -> Result<Answer, Errno> {
        let (request, _) = parse::<IrqSet>(body)?;
        self.events.set(&request, files)?;
        Ok(Answer::empty())
    }

    fn read(&self, body: &[u8]) -> Result<Answer, Errno> {
        let (request, _) = parse::<RegionAccess>(body)?;
        let mut data = vec![0; access_length(&request)?];
        match u8::try_from(request.region) {
            Ok(bar) if request.region != CONFIG_REGION => self.nic.bar_read(bar, request.offset, &mut data),
            _ => {
                let offset = u16::try_from(request.offset).map_err(|_| Errno::INVAL)?;
                self.nic.config_read(offset, &mut data);
            }
        }
        Ok(Answer {
            data,
            ..Answer::bytes(request.as_bytes().to_vec())
        })
    }

    fn write(&self, body: &[u8]) -> Result<Answer, Errno> {
        let (request, data) = parse::<RegionAccess>(body)?;
        if data.len() != access_length(&request)? {
            return Err(Errno::INVAL);
        }
        match u8::try_from(request.region) {
            Ok(bar) if request.region != CONFIG_REGION => self.nic.bar_write(bar, request.offset, data),
            _ => {
                let offset = u16::try_from(request.offset).map_err(|_| Errno::INVAL)?;
                self.nic.config_write(offset, data);
            }
        }
        Ok(Answer::bytes(request.as_bytes().to_vec()))
    }
}

/// Bytes of a region; 0: there is none.
const fn region_size(index: u32) -> u64 {
    match index {
        CONFIG_REGION => CONFIG_SIZE,
        index if index == pci::REGISTER_BAR as u32 => pci::REGISTER_BAR_SIZE,
        index if index == pci::DOORBELL_BAR as u32 => pci::DOORBELL_BAR_SIZE,
        index if index == pci::MSIX_BAR as u32 => pci::MSIX_BAR_SIZE,
        _ => 0,
    }
}

/// The length of an access, if all of it is inside the region.
fn access_length(request: &RegionAccess) -> Result<usize, Errno> {
    let end = request.offset.checked_add(request.count.into());
    let inside = end.is_some_and(|end| end <= region_size(request.region));
    if !inside || request.count == 0 || request.count > MAX_TRANSFER {
        return Err(Errno::INVAL);
    }
    usize::try_from(request.count).map_err(|_| Errno::INVAL)
}

/// `VERSION`: major version 0. Of the client's capabilities none matters to us, but the text must be one.
fn greet(body: &[u8]) -> Result<Answer, Errno> {
    let (version, text) = parse::<Version>(body)?;
    let well_formed = match text.split_last() {
        None => true,
        Some((0, text)) => std::str::from_utf8(text).is_ok() && !text.contains(&0),
        Some(_) => false,
    };
    if version.major != 0 || !well_formed {
        return Err(Errno::INVAL);
    }
    let ours = Version { major: 0, minor: 0 };
    let text = format!(
        "{{\"capabilities\":{{\"max_msg_fds\":{MAX_FILES},\"max_data_xfer_size\":{MAX_TRANSFER},\"pgsizes\":4096}}}}\0"
    );
    Ok(Answer {
        data: text.into_bytes(),
        ..Answer::bytes(ours.as_bytes().to_vec())
    })
}

fn device_info(body: &[u8]) -> Result<Answer, Errno> {
    parse::<DeviceInfo>(body)?;
    let info = DeviceInfo {
        argsz: argsz::<DeviceInfo>(),
        flags: DEVICE_RESETS | DEVICE_IS_PCI,
        regions: PCI_REGIONS,
        irqs: PCI_IRQS,
    };
    Ok(Answer::bytes(info.as_bytes().to_vec()))
}

fn region_info(body: &[u8]) -> Result<Answer, Errno> {
    let (RegionInfo { index, .. }, _) = parse::<RegionInfo>(body)?;
    if index >= PCI_REGIONS {
        return Err(Errno::INVAL);
    }
    let size = region_size(index);
    // All of the doorbells may be mapped, so that no list of areas is needed.
    let doorbells = index == u32::from(pci::DOORBELL_BAR);
    let flags = match size {
        0 => 0,
        _ if doorbells => REGION_READ | REGION_WRITE | REGION_MMAP,
        _ => REGION_READ | REGION_WRITE,
    };
    let info = RegionInfo {
        argsz: argsz::<RegionInfo>(),
        flags,
        index,
        capabilities: 0,
        size,
        offset: 0,
    };
    Ok(Answer {
        doorbells,
        ..Answer::bytes(info.as_bytes().to_vec())
    })
}

fn irq_info(body: &[u8]) -> Result<Answer, Errno> {
    let (IrqInfo { index, .. }, _) = parse::<IrqInfo>(body)?;
    if index >= PCI_IRQS {
        return Err(Errno::INVAL);
    }
    let (flags, count) = if index == MSIX {
        (IRQ_EVENTFD | IRQ_NORESIZE, u32::from(pci::VECTORS))
    } else {
        (0, 0)
    };
    let info = IrqInfo {
        argsz: argsz::<IrqInfo>(),
        flags,
        index,
        count,
    };
    Ok(Answer::bytes(info.as_bytes().to_vec()))
}
