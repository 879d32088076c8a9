//! The IOMMU of one slot: what the device may reach by DMA, and at which addresses.
//!
//! Logical addresses have nothing in common with virtual ones, so a driver that gives the device a pointer is found out
//! at once. An access outside of what the driver has mapped stops the bench: on a real machine it would be a lost write or a
//! corrupted page. (For a device outside of the process the real IOMMU says no instead: see [`Mapper`].)
#![expect(unsafe_code, reason = "shared words are seen as atomics")]

use crate::memory::{self, PAGE_SIZE, Protection, page_up};
use crate::symbols::StackTrace;
use crate::verifier::{BugCheck, Rule, Violation};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use vrnic_device::{DmaFault, HostMemory};

/// Logical addresses start here, above what 32 bits hold.
const FIRST_ADDRESS: u64 = 0x12_0000_0000;

/// `DRIVER_VERIFIER_DMA_VIOLATION`
const DMA_VIOLATION: u32 = 0xE6;

/// What a device may do with mapped memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read it: transfers to the device.
    Read,
    /// Read and write it: transfers from the device.
    ReadWrite,
}

/// Where the memory behind a mapping comes from.
#[derive(Clone, Debug)]
enum Backing {
    /// Pages of the IOMMU's own, with the address and size of what is reserved for them.
    Own {
        reserved: (usize, usize),
        allocated: StackTrace,
    },
    /// Somebody else's memory, mapped for a transfer.
    Borrowed(Access),
}

/// Memory that the device can reach.
#[derive(Clone, Debug)]
struct Mapping {
    length: usize,
    virtual_address: usize,
    backing: Backing,
}

/// Maps memory for a device that is not in this process.
pub trait Mapper: Send + Sync {
    /// Lets the device reach whole pages.
    ///
    /// # Errors
    /// What the system says.
    fn map(
        &self,
        virtual_address: usize,
        length: usize,
        logical_address: u64,
        access: Access,
    ) -> io::Result<()>;

    /// Undoes [`Mapper::map`]: the device has no access when it returns.
    ///
    /// # Errors
    /// What the system says.
    fn unmap(&self, logical_address: u64, length: usize) -> io::Result<()>;
}

/// See the module.
pub struct Iommu {
    mapper: Option<Arc<dyn Mapper>>,
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
            mapper: None,
            mappings: RwLock::default(),
            next: AtomicU64::new(FIRST_ADDRESS),
            tolerant: AtomicBool::new(false),
        }
    }

    /// Nothing is mapped; what will be is mapped by `mapper` too, in whole pages.
    #[must_use]
    pub fn of(mapper: Arc<dyn Mapper>) -> Self {
        Self {
            mapper: Some(mapper),
            ..Self::new()
        }
    }

    /// Notes a mapping, and lets the device reach it.
    fn insert(&self, logical_address: u64, mapping: Mapping) {
        if let Some(mapper) = &self.mapper {
            let (first, length) = pages(logical_address, mapping.length);
            let virtual_address = mapping.virtual_address & !(PAGE_SIZE - 1);
            let access = match mapping.backing {
                Backing::Own { .. } => Access::ReadWrite,
                Backing::Borrowed(access) => access,
            };
            if let Err(error) = mapper.map(virtual_address, length, first, access) {
                panic!("{length} bytes cannot be mapped for the device: {error}");
            }
        }
        self.mappings.write().insert(logical_address, mapping);
    }

    /// Takes a mapping away from the device.
    fn withdraw(&self, logical_address: u64, mapping: &Mapping) {
        if let Some(mapper) = &self.mapper {
            let (first, length) = pages(logical_address, mapping.length);
            if let Err(error) = mapper.unmap(first, length) {
                panic!("{length} bytes cannot be unmapped from the device: {error}");
            }
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
            backing: Backing::Own { reserved, allocated },
        };
        self.insert(logical_address, mapping);
        Shared {
            virtual_address,
            logical_address,
        }
    }

    /// Unmaps what [`Iommu::allocate`] mapped; false if the three do not belong together.
    #[must_use]
    pub fn free(&self, shared: Shared, length: usize) -> bool {
        let mut mappings = self.mappings.write();
        let reserved = mappings
            .get(&shared.logical_address)
            .and_then(|mapping| match mapping.backing {
                Backing::Own { reserved, .. } => (mapping.virtual_address == shared.virtual_address
                    && mapping.length == page_up(length.max(1)))
                .then_some(reserved),
                Backing::Borrowed(_) => None,
            });
        let Some(reserved) = reserved else { return false };
        if let Some(mapping) = mappings.remove(&shared.logical_address) {
            self.withdraw(shared.logical_address, &mapping);
        }
        memory::release(reserved.0, reserved.1);
        true
    }

    /// Maps `length` bytes at `virtual_address`, which stay their owner's, for a transfer. The logical address that it
    /// returns has the same place in its page, and is never given again.
    #[must_use]
    pub fn map(&self, virtual_address: usize, length: usize, access: Access) -> u64 {
        let offset = virtual_address % PAGE_SIZE;
        let stride = (page_up(offset + length) + PAGE_SIZE) as u64;
        let logical_address = self.next.fetch_add(stride, Ordering::Relaxed) + offset as u64;
        let mapping = Mapping {
            length,
            virtual_address,
            backing: Backing::Borrowed(access),
        };
        self.insert(logical_address, mapping);
        logical_address
    }

    /// Undoes [`Iommu::map`].
    pub fn unmap(&self, logical_address: u64) {
        if let Some(mapping) = self.mappings.write().remove(&logical_address) {
            self.withdraw(logical_address, &mapping);
        }
    }

    /// How much memory is mapped for transfers, in pieces.
    #[must_use]
    pub fn transfers(&self) -> usize {
        let mappings = self.mappings.read();
        let borrowed = mappings
            .values()
            .filter(|mapping| matches!(mapping.backing, Backing::Borrowed(_)));
        borrowed.count()
    }

    /// What is still allocated: logical address, length and where it was allocated.
    #[must_use]
    pub fn leaks(&self) -> Vec<(u64, usize, StackTrace)> {
        let mappings = self.mappings.read();
        let own = mappings
            .iter()
            .filter_map(|(&address, mapping)| match &mapping.backing {
                Backing::Own { allocated, .. } => Some((address, mapping.length, allocated.clone())),
                Backing::Borrowed(_) => None,
            });
        own.collect()
    }

    /// Runs `access` with the virtual address of `[addr, addr + length)`, which stays mapped meanwhile.
    fn with<R>(
        &self,
        addr: u64,
        length: usize,
        wanted: Access,
        access: impl FnOnce(usize) -> R,
    ) -> Result<R, DmaFault> {
        let mappings = self.mappings.read();
        let found = mappings.range(..=addr).next_back().and_then(|(&start, mapping)| {
            let offset = usize::try_from(addr - start).ok()?;
            let inside = offset.checked_add(length)? <= mapping.length;
            inside.then(|| (mapping.virtual_address + offset, &mapping.backing))
        });
        let problem = match found {
            Some((_, Backing::Borrowed(Access::Read))) if wanted == Access::ReadWrite => (
                Rule::DmaDirection,
                0x27,
                "write",
                "which is mapped for transfers to the device",
            ),
            Some((virtual_address, _)) => return Ok(access(virtual_address)),
            None => (Rule::DmaUnmapped, 0x26, "access", "which is not mapped"),
        };
        drop(mappings);
        if self.tolerant.load(Ordering::Relaxed) {
            return Err(DmaFault { addr });
        }
        broken(problem, addr, length)
    }
}

impl Default for Iommu {
    fn default() -> Self {
        Self::new()
    }
}

/// The whole pages that a range of addresses is in: the first address, and bytes.
fn pages(address: u64, length: usize) -> (u64, usize) {
    let offset = address % PAGE_SIZE as u64;
    (
        address - offset,
        page_up(length + usize::try_from(offset).unwrap_or(0)),
    )
}

fn broken((rule, code, verb, why): (Rule, u64, &str, &str), addr: u64, length: usize) -> ! {
    Violation::new(
        rule,
        BugCheck::new(DMA_VIOLATION, [code, addr, length as u64, 0]),
        format!("the device was told to {verb} {length} bytes at logical address {addr:#x}, {why}"),
    )
    .advice("Give the device only addresses that NdisMAllocateSharedMemory or a scatter/gather list returned, with WriteToDevice FALSE where it writes, and stop it before you free or put them.")
    .stop()
}

impl HostMemory for Iommu {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), DmaFault> {
        self.with(addr, buf.len(), Access::Read, |at| {
            memory::copy(buf.as_mut_ptr() as usize, at, buf.len());
        })
    }

    fn write(&self, addr: u64, data: &[u8]) -> Result<(), DmaFault> {
        self.with(addr, data.len(), Access::ReadWrite, |at| {
            memory::write_bytes(at, data);
        })
    }

    fn store_release_u8(&self, addr: u64, value: u8) -> Result<(), DmaFault> {
        self.with(addr, 1, Access::ReadWrite, |at| {
            // SAFETY: the byte is mapped while `with` runs this, and shared memory is only ever accessed as such.
            unsafe { AtomicU8::from_ptr(at as *mut u8) }.store(value, Ordering::Release);
        })
    }

    fn store_release_u32(&self, addr: u64, value: u32) -> Result<(), DmaFault> {
        if !addr.is_multiple_of(4) {
            return Err(DmaFault { addr });
        }
        self.with(addr, 4, Access::ReadWrite, |at| {
            // SAFETY: as above; mappings are page aligned, so the word is aligned.
            unsafe { AtomicU32::from_ptr(at as *mut u32) }.store(value.to_le(), Ordering::Release);
        })
    }

    fn load_acquire_u32(&self, addr: u64) -> Result<u32, DmaFault> {
        if !addr.is_multiple_of(4) {
            return Err(DmaFault { addr });
        }
        self.with(addr, 4, Access::Read, |at| {
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
    fn transfers_are_mapped_in_their_direction_and_until_they_end() {
        let iommu = Iommu::new();
        iommu.set_tolerant(true);
        let bytes = [1_u8, 2, 3, 4];
        let at = bytes.as_ptr().addr();
        let logical = iommu.map(at, 4, Access::Read);
        assert_eq!(logical % PAGE_SIZE as u64, (at % PAGE_SIZE) as u64);
        let mut copy = [0; 3];
        assert_eq!(iommu.read(logical + 1, &mut copy), Ok(()));
        assert_eq!(copy, [2, 3, 4]);
        assert!(iommu.write(logical, &[9]).is_err(), "the other direction");
        assert_eq!((iommu.transfers(), iommu.leaks().len()), (1, 0));
        iommu.unmap(logical);
        assert!(iommu.read(logical, &mut copy).is_err(), "it has ended");
        assert_ne!(iommu.map(at, 4, Access::ReadWrite), logical);
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
