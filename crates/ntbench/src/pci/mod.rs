//! The bus: the slot that the NIC sits in (`slot`), the IOMMU between its DMA and the drivers' memory (`iommu`), and the
//! operations with which drivers map memory for it (`dma`). The NIC is the bench's own, one that Linux hands over (`vfio`), or one in
//! another process (`vfio_user`); `events` has the interrupts of the last two.

pub mod dma;
mod events;
pub mod iommu;
pub mod slot;
pub mod vfio;
pub mod vfio_user;
