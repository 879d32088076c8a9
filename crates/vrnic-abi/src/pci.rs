//! PCI identity, base address registers and interrupt vectors.

/// Vendor id: the one that QEMU's project lends for experiments (`docs/specs/pci-ids`).
pub const VENDOR_ID: u16 = 0x1AF4;
/// Device id, from the range that needs no registration (10f0 to 10ff).
pub const DEVICE_ID: u16 = 0x10F0;
/// Subsystem id: the model of the NIC.
pub const SUBSYSTEM_ID: u16 = 0x0001;
/// Revision id.
pub const REVISION_ID: u8 = 1;
/// Class code: network controller, Ethernet (base class, subclass, programming interface).
pub const CLASS_CODE: [u8; 3] = [0x02, 0x00, 0x00];

/// BAR of the control registers ([`crate::regs`]): 64-bit, not prefetchable; every access traps to the device.
pub const REGISTER_BAR: u8 = 0;
/// Size of the control register BAR, in bytes.
pub const REGISTER_BAR_SIZE: u64 = 0x1_0000;
/// BAR of the doorbell words ([`crate::doorbell`]): 64-bit, prefetchable, plain shared memory.
pub const DOORBELL_BAR: u8 = 2;
/// Size of the doorbell BAR, in bytes.
pub const DOORBELL_BAR_SIZE: u64 = 0x20_0000;
/// BAR of the MSI-X table and pending bit array: 64-bit, not prefetchable.
pub const MSIX_BAR: u8 = 4;
/// Size of the MSI-X BAR, in bytes.
pub const MSIX_BAR_SIZE: u64 = 0x1000;
/// Offset of the MSI-X table in [`MSIX_BAR`].
pub const MSIX_TABLE_OFFSET: u32 = 0;
/// Offset of the pending bit array in [`MSIX_BAR`].
pub const MSIX_PBA_OFFSET: u32 = 0x800;

/// Number of MSI-X vectors.
pub const VECTORS: u16 = 16;
/// The vector of the command queue and of the fatal error.
pub const COMMAND_VECTOR: u16 = 0;

/// What every register reads when the device is gone: `PCIe` completes the read with all ones.
pub const REMOVED: u32 = u32::MAX;
