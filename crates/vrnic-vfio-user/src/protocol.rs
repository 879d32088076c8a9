//! The messages of vfio-user (specification: QEMU's `docs/interop/vfio-user.rst`, version 0.1), as far as a PCI device needs them.
//!
//! All numbers are in the byte order of the machine that both ends run on; they are the structures of `linux/vfio.h`, with a header in front.

use rustix::io::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Commands.
pub mod command {
    /// Negotiates version and capabilities: the first message.
    pub const VERSION: u16 = 1;
    /// Gives the device a piece of guest memory.
    pub const DMA_MAP: u16 = 2;
    /// Takes it away.
    pub const DMA_UNMAP: u16 = 3;
    /// Asks for the number of regions and interrupts.
    pub const DEVICE_GET_INFO: u16 = 4;
    /// Asks about one region.
    pub const DEVICE_GET_REGION_INFO: u16 = 5;
    /// Asks about one kind of interrupt.
    pub const DEVICE_GET_IRQ_INFO: u16 = 7;
    /// Hands over the event files of interrupts.
    pub const DEVICE_SET_IRQS: u16 = 8;
    /// Reads from a region.
    pub const REGION_READ: u16 = 9;
    /// Writes to a region.
    pub const REGION_WRITE: u16 = 10;
    /// Resets the device.
    pub const DEVICE_RESET: u16 = 13;
}

/// The header of every message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Header {
    /// Chosen by the sender of a command; the reply has the same.
    pub id: u16,
    /// A [`command`].
    pub command: u16,
    /// Bytes of the message, this header included.
    pub size: u32,
    /// Bits of [`flags`].
    pub flags: u32,
    /// The `errno` of a reply with [`flags::ERROR`].
    pub error: u32,
}

/// Bits of [`Header::flags`].
pub mod flags {
    /// The message's type.
    pub const TYPE: u32 = 0xF;
    /// The type of a command.
    pub const COMMAND: u32 = 0;
    /// The type of a reply.
    pub const REPLY: u32 = 1;
    /// The sender wants no reply.
    pub const NO_REPLY: u32 = 1 << 4;
    /// The command has failed.
    pub const ERROR: u32 = 1 << 5;
}

/// The head of `VERSION`; a NUL-terminated JSON text follows.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Version {
    /// Major version: 0.
    pub major: u16,
    /// Minor version.
    pub minor: u16,
}

/// `DMA_MAP`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DmaMap {
    /// Bytes of this structure.
    pub argsz: u32,
    /// [`DMA_READ`], [`DMA_WRITE`].
    pub flags: u32,
    /// Where in the file the memory begins.
    pub offset: u64,
    /// The address that the device uses.
    pub address: u64,
    /// Bytes.
    pub size: u64,
}

/// The device may read the memory.
pub const DMA_READ: u32 = 1;
/// The device may write the memory.
pub const DMA_WRITE: u32 = 2;

/// `DMA_UNMAP`, and its reply.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DmaUnmap {
    /// Bytes of this structure.
    pub argsz: u32,
    /// [`UNMAP_ALL`].
    pub flags: u32,
    /// The address.
    pub address: u64,
    /// Bytes.
    pub size: u64,
}

/// Unmap everything; address and size are 0.
pub const UNMAP_ALL: u32 = 1 << 1;

/// `vfio_device_info`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DeviceInfo {
    /// Bytes of this structure.
    pub argsz: u32,
    /// [`DEVICE_RESETS`], [`DEVICE_IS_PCI`].
    pub flags: u32,
    /// Number of regions.
    pub regions: u32,
    /// Number of kinds of interrupts.
    pub irqs: u32,
}

/// The device can be reset.
pub const DEVICE_RESETS: u32 = 1;
/// The device is a PCI function.
pub const DEVICE_IS_PCI: u32 = 2;
/// Regions of a PCI function: 0 to 5 are the BARs, 7 is the configuration space.
pub const PCI_REGIONS: u32 = 9;
/// The configuration space.
pub const CONFIG_REGION: u32 = 7;
/// Kinds of interrupts of a PCI function.
pub const PCI_IRQS: u32 = 5;
/// MSI-X.
pub const MSIX: u32 = 2;

/// `vfio_region_info`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RegionInfo {
    /// Bytes of this structure.
    pub argsz: u32,
    /// [`REGION_READ`] and others.
    pub flags: u32,
    /// Which region.
    pub index: u32,
    /// Where capabilities are; 0: there are none.
    pub capabilities: u32,
    /// Bytes of the region.
    pub size: u64,
    /// Where in the file the region begins.
    pub offset: u64,
}

/// The region can be read.
pub const REGION_READ: u32 = 1;
/// The region can be written.
pub const REGION_WRITE: u32 = 2;
/// The region can be mapped: the reply brings a file.
pub const REGION_MMAP: u32 = 4;
/// There is more to know: which parts of it can be mapped, for instance.
pub const REGION_CAPABILITIES: u32 = 8;

/// The size of a structure, as it says it itself.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "structures are small")]
pub const fn argsz<T>() -> u32 {
    size_of::<T>() as u32
}

/// `vfio_irq_info`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IrqInfo {
    /// Bytes of this structure.
    pub argsz: u32,
    /// [`IRQ_EVENTFD`], [`IRQ_NORESIZE`].
    pub flags: u32,
    /// Which kind.
    pub index: u32,
    /// How many.
    pub count: u32,
}

/// The interrupts are sent through event files.
pub const IRQ_EVENTFD: u32 = 1;
/// Interrupts cannot be added while some are in use.
pub const IRQ_NORESIZE: u32 = 8;

/// `vfio_irq_set`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IrqSet {
    /// Bytes of this structure.
    pub argsz: u32,
    /// One of [`IRQ_DATA_NONE`], [`IRQ_DATA_EVENTFD`] with one of [`IRQ_MASK`], [`IRQ_UNMASK`], [`IRQ_TRIGGER`].
    pub flags: u32,
    /// Which kind.
    pub index: u32,
    /// The first one.
    pub start: u32,
    /// How many.
    pub count: u32,
}

/// No data: with [`IRQ_TRIGGER`] and a count of 0 all are switched off; otherwise they are triggered.
pub const IRQ_DATA_NONE: u32 = 1;
/// One event file for each interrupt comes with the message.
pub const IRQ_DATA_EVENTFD: u32 = 4;
/// Mask them.
pub const IRQ_MASK: u32 = 8;
/// Unmask them.
pub const IRQ_UNMASK: u32 = 16;
/// Set what they trigger, or trigger them.
pub const IRQ_TRIGGER: u32 = 32;

/// The head of `REGION_READ` and `REGION_WRITE`, and of their replies.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RegionAccess {
    /// Where in the region.
    pub offset: u64,
    /// Which region.
    pub region: u32,
    /// Bytes.
    pub count: u32,
}

static_assertions::const_assert_eq!(size_of::<Header>(), 16);
static_assertions::const_assert_eq!(size_of::<DmaMap>(), 32);
static_assertions::const_assert_eq!(size_of::<DmaUnmap>(), 24);
static_assertions::const_assert_eq!(size_of::<RegionInfo>(), 32);
static_assertions::const_assert_eq!(size_of::<IrqSet>(), 20);
static_assertions::const_assert_eq!(size_of::<RegionAccess>(), 16);

/// The largest read or write of a region.
pub const MAX_TRANSFER: u32 = 1 << 20;
/// The largest message: a write, with its heads.
pub const MAX_MESSAGE: u32 = MAX_TRANSFER + 64;
/// The most files that a message brings.
pub const MAX_FILES: usize = 16;

/// Reads a structure from the beginning of a message's body, and what follows it.
///
/// # Errors
/// `EINVAL` if the body is too short.
pub fn parse<T: FromBytes + KnownLayout + Immutable>(body: &[u8]) -> Result<(T, &[u8]), Errno> {
    T::read_from_prefix(body).map_err(|_| Errno::INVAL)
}
