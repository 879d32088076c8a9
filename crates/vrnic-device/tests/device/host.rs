//! A machine for the NIC: memory with an IOMMU, and recorders for interrupts and frames.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard};

use vrnic_device::{DmaFault, HostMemory, Interrupts, Wire};

/// Where memory begins, for the device.
pub const MEMORY: u64 = 0x4000_0000;
/// Bytes of memory.
pub const MEMORY_SIZE: u64 = 0x10_0000;
const PAGE: u64 = 0x1000;

/// The machine.
pub struct Host {
    memory: Mutex<Vec<u8>>,
    unmapped: Mutex<HashSet<u64>>,
    interrupts: Mutex<Vec<u16>>,
    frames: Mutex<Vec<Vec<u8>>>,
}

impl Host {
    pub fn new() -> Self {
        Self {
            memory: Mutex::new(vec![0; usize::try_from(MEMORY_SIZE).unwrap()]),
            unmapped: Mutex::default(),
            interrupts: Mutex::default(),
            frames: Mutex::default(),
        }
    }

    /// Takes the page at `addr` out of the IOMMU, or puts it back.
    pub fn map(&self, addr: u64, mapped: bool) {
        let mut unmapped = self.unmapped.lock().unwrap();
        if mapped {
            unmapped.remove(&(addr / PAGE))
        } else {
            unmapped.insert(addr / PAGE)
        };
    }

    /// Interrupts since the last call.
    pub fn take_interrupts(&self) -> Vec<u16> {
        std::mem::take(&mut self.interrupts.lock().unwrap())
    }

    /// Frames since the last call.
    pub fn take_frames(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.frames.lock().unwrap())
    }

    /// The processor's view of memory.
    pub fn peek(&self, addr: u64, length: usize) -> Vec<u8> {
        let at = usize::try_from(addr - MEMORY).unwrap();
        self.memory.lock().unwrap()[at..at + length].to_vec()
    }

    /// The processor's view of memory.
    pub fn poke(&self, addr: u64, data: &[u8]) {
        let at = usize::try_from(addr - MEMORY).unwrap();
        self.memory.lock().unwrap()[at..at + data.len()].copy_from_slice(data);
    }

    pub fn peek_u32(&self, addr: u64) -> u32 {
        u32::from_le_bytes(self.peek(addr, 4).try_into().unwrap())
    }

    fn access(
        &self,
        addr: u64,
        length: usize,
    ) -> Result<(MutexGuard<'_, Vec<u8>>, std::ops::Range<usize>), DmaFault> {
        let fault = DmaFault { addr };
        let end = addr.checked_add(length as u64).ok_or(fault)?;
        let unmapped = self.unmapped.lock().unwrap();
        let page_is_gone = (addr / PAGE..end.div_ceil(PAGE))
            .take(0x1_0000)
            .any(|page| unmapped.contains(&page));
        if addr < MEMORY || end > MEMORY + MEMORY_SIZE || page_is_gone {
            return Err(fault);
        }
        let at = usize::try_from(addr - MEMORY).unwrap();
        Ok((self.memory.lock().unwrap(), at..at + length))
    }
}

impl HostMemory for Host {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), DmaFault> {
        let (memory, range) = self.access(addr, buf.len())?;
        buf.copy_from_slice(&memory[range]);
        Ok(())
    }

    fn write(&self, addr: u64, data: &[u8]) -> Result<(), DmaFault> {
        let (mut memory, range) = self.access(addr, data.len())?;
        memory[range].copy_from_slice(data);
        Ok(())
    }

    fn store_release_u8(&self, addr: u64, value: u8) -> Result<(), DmaFault> {
        self.write(addr, &[value])
    }

    fn store_release_u32(&self, addr: u64, value: u32) -> Result<(), DmaFault> {
        if addr.is_multiple_of(4) {
            self.write(addr, &value.to_le_bytes())
        } else {
            Err(DmaFault { addr })
        }
    }

    fn load_acquire_u32(&self, addr: u64) -> Result<u32, DmaFault> {
        let mut word = [0; 4];
        self.read(addr, &mut word)?;
        Ok(u32::from_le_bytes(word))
    }
}

impl Interrupts for Host {
    fn raise(&self, vector: u16) {
        self.interrupts.lock().unwrap().push(vector);
    }
}

impl Wire for Host {
    fn transmit(&self, frame: &[u8]) {
        self.frames.lock().unwrap().push(frame.to_vec());
    }
}
