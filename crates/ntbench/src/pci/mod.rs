//! The bus: the slot that the NIC sits in (`slot`), and the IOMMU between its DMA and the drivers' memory (`iommu`).

pub mod iommu;
pub mod slot;
