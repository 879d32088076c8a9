//! The IOMMU of one slot: what the device may reach by DMA, and at which addresses.
//!
//! Logical addresses have nothing in common with virtual ones, so a driver that gives the device a pointer is found out
//! at once. An access outside of what the driver has mapped stops the bench: on a real machine it would be a lost write or a
//! corrupted page.
#![expect(unsafe_code, reason = "shared words are seen as atomics")]

use crate::memory::{self, PAGE_SIZE, Protection, page_up};
use crate::symbols::StackTrace;
use crate::verifier::{BugCheck, Rule, Violation};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use vrnic_device::{DmaFault, HostMemory};

/// Logical addresses start here, above what 32 bits hold.
const FIRST_ADDRESS: u64 = 0x12_0000_0000;

/// `DRIVER_VERIFIER_DMA_VIOLATION`
const DMA_VIOLATION: u32 = 0xE6;

/// Memory that driver and device share.
#[derive(Clone, Debug)]
struct Mapping {
    length: usize,
    virtual_address: usize,
    reserved: (usize, usize),
    allocated: StackTrace,
}

/// See the module.
pub struct Iommu {
    mappings: RwLock<BTreeMap<u64, Mapping>>,
    next: AtomicU64,
    /// Faults are the device's answer instead of a violation: for devices that are broken on purpose.
    tolerant: AtomicBool,
}

/// One piece of shared memory, as the driver gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shared {
    /// Where the driver finds it; page aligned.
    pub virtual_address: usize,
    /// Where the device finds it; page aligned.
    pub logical_address: u64,
}

impl Iommu {
    /// Nothing is mapped.
    #[must_use]
    pub fn new() -> Self {
        Self {
            mappings: RwLock::default(),
            next: AtomicU64::new(FIRST_ADDRESS),
            tolerant: AtomicBool::new(false),
        }
    }

    /// Whether an access outside of all mappings only fails (true) or is a violation (false, the default).
    pub fn set_tolerant(&self, tolerant: bool) {
        self.tolerant.store(tolerant, Ordering::Relaxed);
    }

    /// Maps `length` bytes of new zeroed memory, with inaccessible pages around it on both sides.
    #[must_use]
    pub fn allocate(&self, length: usize) -> Shared {
        let size = page_up(length.max(1));
        let reserved = (memory::reserve(size + 2 * PAGE_SIZE), size + 2 * PAGE_SIZE);
        let virtual_address = reserved.0 + PAGE_SIZE;
        memory::protect(virtual_address, size, Protection::ReadWrite);
        let stride = (size + 2 * PAGE_SIZE) as u64;
        let logical_address = self.next.fetch_add(stride, Ordering::Relaxed);
        let allocated = StackTrace::capture();
        let mapping = Mapping {
            length: size,
            virtual_address,
            reserved,
            allocated,
        };
        self.mappings.write().insert(logical_address, mapping);
        Shared {
            virtual_address,
            logical_address,
        }
    }

    /// Unmaps what [`Iommu::allocate`] mapped; false if the three do not belong together.
    #[must_use]
    pub fn free(&self, shared: Shared, length: usize) -> bool {
        let mut mappings = self.mappings.write();
        let matches = mappings.get(&shared.logical_address).is_some_and(|mapping| {
            mapping.virtual_address == shared.virtual_address && mapping.length == page_up(length.max(1))
        });
        if matches && let Some(mapping) = mappings.remove(&shared.logical_address) {
            memory::release(mapping.reserved.0, mapping.reserved.1);
        }
        matches
    }

    /// What is still mapped: logical address, length and where it was allocated.
    #[must_use]
    pub fn leaks(&self) -> Vec<(u64, usize, StackTrace)> {
        let mappings = self.mappings.read();
        mappings
            .iter()
            .map(|(&address, mapping)| (address, mapping.length, mapping.allocated.clone()))
            .collect()
    }

    /// Runs `access` with the virtual address of `[addr, addr + length)`, which stays mapped meanwhile.
    fn with<R>(&self, addr: u64, length: usize, access: impl FnOnce(usize) -> R) -> Result<R, DmaFault> {
        let mappings = self.mappings.read();
        let found = mappings.range(..=addr).next_back().and_then(|(&start, mapping)| {
            let offset = usize::try_from(addr - start).ok()?;
            (offset.checked_add(length)? <= mapping.length).then(|| mapping.virtual_address + offset)
        });
        match found {
            Some(virtual_address) => Ok(access(virtual_address)),
            None if self.tolerant.load(Ordering::Relaxed) => Err(DmaFault { addr }),
            None => {
                drop(mappings);
                unmapped(addr, length)
            }
        }
    }
}

impl Default for Iommu {
    fn default() -> Self {
        Self::new()
    }
}

fn unmapped(addr: u64, length: usize) -> ! {
    Violation::new(
        Rule::DmaUnmapped,
        BugCheck::new(DMA_VIOLATION, [0x26, addr, length as u64, 0]),
        format!("the device was told to access {length} bytes at logical address {addr:#x}, which is not mapped"),
    )
    .advice("Give the device only addresses that NdisMAllocateSharedMemory or a scatter/gather list returned, and stop it before you free them.")
    .stop()
}

impl HostMemory for Iommu {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), DmaFault> {
        self.with(addr, buf.len(), |at| {
            memory::copy(buf.as_mut_ptr() as usize, at, buf.len());
        })
    }

    fn write(&self, addr: u64, data: &[u8]) -> Result<(), DmaFault> {
        self.with(addr, data.len(), |at| memory::write_bytes(at, data))
    }

    fn store_release_u8(&self, addr: u64, value: u8) -> Result<(), DmaFault> {
        self.with(addr, 1, |at| {
            // SAFETY: the byte is mapped while `with` runs this, and shared memory is only ever accessed as such.
            unsafe { AtomicU8::from_ptr(at as *mut u8) }.store(value, Ordering::Release);
        })
    }

    fn store_release_u32(&self, addr: u64, value: u32) -> Result<(), DmaFault> {
        if !addr.is_multiple_of(4) {
            return Err(DmaFault { addr });
        }
        self.with(addr, 4, |at| {
            // SAFETY: as above; mappings are page aligned, so the word is aligned.
            unsafe { AtomicU32::from_ptr(at as *mut u32) }.store(value.to_le(), Ordering::Release);
        })
    }

    fn load_acquire_u32(&self, addr: u64) -> Result<u32, DmaFault> {
        if !addr.is_multiple_of(4) {
            return Err(DmaFault { addr });
        }
        self.with(addr, 4, |at| {
            // SAFETY: as above.
            u32::from_le(unsafe { AtomicU32::from_ptr(at as *mut u32) }.load(Ordering::Acquire))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_sees_what_the_driver_wrote() {
        let iommu = Iommu::new();
        let shared = iommu.allocate(100);
        assert_ne!(shared.logical_address, shared.virtual_address as u64);
        memory::write(shared.virtual_address + 8, 0x1122_3344_u32);
        assert_eq!(
            iommu.load_acquire_u32(shared.logical_address + 8),
            Ok(0x1122_3344)
        );
        assert_eq!(iommu.write(shared.logical_address + 20, &[1, 2, 3]), Ok(()));
        assert_eq!(memory::read_bytes(shared.virtual_address + 20, 3), [1, 2, 3]);
        assert_eq!(iommu.leaks().len(), 1);
        assert!(!iommu.free(shared, 5000), "another length is another allocation");
        assert!(iommu.free(shared, 100));
        assert!(!iommu.free(shared, 100), "freed twice");
        assert!(iommu.leaks().is_empty());
    }

    #[test]
    fn an_access_must_lie_in_one_mapping() {
        let iommu = Iommu::new();
        iommu.set_tolerant(true);
        let shared = iommu.allocate(PAGE_SIZE);
        let end = shared.logical_address + PAGE_SIZE as u64;
        for (addr, length) in [
            (end - 4, 5),
            (end, 1),
            (shared.logical_address - 1, 1),
            (0, 1),
            (u64::MAX, 8),
        ] {
            assert_eq!(
                iommu.read(addr, &mut vec![0; length]),
                Err(DmaFault { addr }),
                "{addr:#x}+{length}"
            );
        }
        assert_eq!(
            iommu.load_acquire_u32(shared.logical_address + 2),
            Err(DmaFault {
                addr: shared.logical_address + 2
            })
        );
        assert!(iommu.free(shared, PAGE_SIZE));
        assert!(
            iommu.write(shared.logical_address, &[0]).is_err(),
            "gone after free"
        );
    }
}
