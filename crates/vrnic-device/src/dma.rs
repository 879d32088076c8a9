//! DMA as the firmware does it: switched off with bus mastering, counted when it fails.

use std::sync::Arc;

use crate::host::{DmaFault, HostMemory};

/// The way to host memory.
pub(crate) struct Dma {
    memory: Arc<dyn HostMemory>,
    /// The function may do DMA: bus mastering is on, the power state is D0, and the device is still there.
    pub enabled: bool,
    /// Accesses that failed since reset.
    pub faults: u64,
}

impl Dma {
    pub fn new(memory: Arc<dyn HostMemory>) -> Self {
        Self {
            memory,
            enabled: false,
            faults: 0,
        }
    }

    pub fn read(&mut self, addr: u64, buf: &mut [u8]) -> Result<(), DmaFault> {
        self.access(addr, |memory| memory.read(addr, buf))
    }

    pub fn write(&mut self, addr: u64, data: &[u8]) -> Result<(), DmaFault> {
        self.access(addr, |memory| memory.write(addr, data))
    }

    pub fn store_release_u8(&mut self, addr: u64, value: u8) -> Result<(), DmaFault> {
        self.access(addr, |memory| memory.store_release_u8(addr, value))
    }

    pub fn store_release_u32(&mut self, addr: u64, value: u32) -> Result<(), DmaFault> {
        self.access(addr, |memory| memory.store_release_u32(addr, value))
    }

    fn access<T>(
        &mut self,
        addr: u64,
        access: impl FnOnce(&dyn HostMemory) -> Result<T, DmaFault>,
    ) -> Result<T, DmaFault> {
        let result = if self.enabled {
            access(&*self.memory)
        } else {
            Err(DmaFault { addr })
        };
        self.faults += u64::from(result.is_err());
        result
    }
}
