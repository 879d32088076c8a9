//! The bus: the slot that the NIC sits in (`slot`), the IOMMU between its DMA and the drivers' memory (`iommu`), and the
//! operations with which drivers map memory for it (`dma`). The NIC is the bench's own, or one that Linux hands over (`vfio`).

pub mod dma;
pub mod iommu;
pub mod slot;
pub mod vfio;
