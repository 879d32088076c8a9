//! Memory descriptor lists.

use super::pool;
use crate::exports;
use crate::memory::{self, PAGE_SIZE};
use crate::verifier::pool::{PoolKind, Request};
use crate::verifier::{BugCheck, Rule, Violation};

exports! {
    /// Memory descriptor lists and mappings.
    pub static EXPORTS: "ntoskrnl.exe" = {
        IoAllocateMdl = function(io_allocate_mdl, at_most(DISPATCH_LEVEL));
        IoFreeMdl = function(io_free_mdl, at_most(DISPATCH_LEVEL));
        IoBuildPartialMdl = function(io_build_partial_mdl, at_most(DISPATCH_LEVEL));
        MmBuildMdlForNonPagedPool = function(mm_build_mdl_for_non_paged_pool, at_most(DISPATCH_LEVEL));
        MmMapLockedPagesSpecifyCache = function(mm_map_locked_pages_specify_cache, at_most(DISPATCH_LEVEL));
        MmUnmapLockedPages = function(mm_unmap_locked_pages, at_most(DISPATCH_LEVEL));
        MmProbeAndLockPages = function(mm_probe_and_lock_pages, at_most(DISPATCH_LEVEL));
        MmUnlockPages = function(mm_unlock_pages, at_most(DISPATCH_LEVEL));
        MmSizeOfMdl = function(mm_size_of_mdl, any());
        MmIsAddressValid = function(mm_is_address_valid, at_most(DISPATCH_LEVEL));
    }
}

/// Offsets in `MDL`; the page frame numbers follow the structure.
pub mod offset {
    /// `Next`
    pub const NEXT: usize = 0;
    /// `Size`
    pub const SIZE: usize = 8;
    /// `MdlFlags`
    pub const FLAGS: usize = 10;
    /// `MappedSystemVa`
    pub const MAPPED_SYSTEM_VA: usize = 24;
    /// `StartVa`
    pub const START_VA: usize = 32;
    /// `ByteCount`
    pub const BYTE_COUNT: usize = 40;
    /// `ByteOffset`
    pub const BYTE_OFFSET: usize = 44;
    /// Size of the structure.
    pub const SIZE_OF: usize = 48;
}

/// Bits of `MdlFlags`.
pub mod flag {
    /// `MDL_MAPPED_TO_SYSTEM_VA`
    pub const MAPPED_TO_SYSTEM_VA: u16 = 0x1;
    /// `MDL_PAGES_LOCKED`
    pub const PAGES_LOCKED: u16 = 0x2;
    /// `MDL_SOURCE_IS_NONPAGED_POOL`
    pub const SOURCE_IS_NONPAGED_POOL: u16 = 0x4;
    /// `MDL_ALLOCATED_FIXED_SIZE`
    pub const ALLOCATED_FIXED_SIZE: u16 = 0x8;
    /// `MDL_PARTIAL`
    pub const PARTIAL: u16 = 0x10;
}

const MDL_TAG: u32 = u32::from_le_bytes(*b"Mdl ");

/// Pages that a range of memory touches (`ADDRESS_AND_SIZE_TO_SPAN_PAGES`).
#[must_use]
pub fn span_pages(address: usize, length: usize) -> usize {
    (address % PAGE_SIZE + length).div_ceil(PAGE_SIZE)
}

fn flags(mdl: usize) -> u16 {
    memory::read(mdl + offset::FLAGS)
}

fn set_flags(mdl: usize, flags: u16) {
    memory::write(mdl + offset::FLAGS, flags);
}

/// Address of the memory that an MDL describes.
#[must_use]
pub fn address(mdl: usize) -> usize {
    let start: usize = memory::read(mdl + offset::START_VA);
    start + memory::read::<u32>(mdl + offset::BYTE_OFFSET) as usize
}

/// Length of the memory that an MDL describes.
#[must_use]
pub fn length(mdl: usize) -> usize {
    memory::read::<u32>(mdl + offset::BYTE_COUNT) as usize
}

/// Fills in an MDL (`MmInitializeMdl`) at `mdl`, which has room for the page frame numbers.
pub fn initialize(mdl: usize, address: usize, length: u32) {
    let pages = span_pages(address, length as usize);
    memory::fill(mdl, 0, offset::SIZE_OF);
    let size = u16::try_from(offset::SIZE_OF + pages * 8).unwrap_or(u16::MAX);
    memory::write(mdl + offset::SIZE, size);
    memory::write(mdl + offset::START_VA, address & !(PAGE_SIZE - 1));
    memory::write(mdl + offset::BYTE_COUNT, length);
    memory::write(
        mdl + offset::BYTE_OFFSET,
        u32::try_from(address % PAGE_SIZE).unwrap_or(0),
    );
}

/// Writes the page frame numbers. Physical addresses are the bench's virtual addresses.
pub fn fill_pages(mdl: usize) {
    let start = address(mdl);
    for page in 0..span_pages(start, length(mdl)) {
        memory::write(mdl + offset::SIZE_OF + page * 8, start / PAGE_SIZE + page);
    }
}

extern "win64" fn io_allocate_mdl(
    address: usize,
    length: u32,
    secondary: u8,
    _charge: u8,
    irp: usize,
) -> usize {
    if irp != 0 || secondary != 0 {
        Violation::new(
            Rule::MdlIrp,
            BugCheck::new(0xC9, [0, irp as u64, 0, 0]),
            "IoAllocateMdl with an IRP, which the bench does not emulate",
        )
        .advice("pass NULL")
        .stop();
    }
    let size = offset::SIZE_OF + span_pages(address, length as usize) * 8;
    let mdl = pool::allocate(&Request {
        kind: PoolKind::NonPaged,
        size,
        tag: MDL_TAG,
        zeroed: true,
        alignment: 0,
    });
    if mdl != 0 {
        initialize(mdl, address, length);
    }
    mdl
}

fn violation(violation: u64, mdl: usize, what: &str, advice: &str) -> ! {
    Violation::new(
        Rule::Mdl,
        BugCheck::verifier(violation, [mdl as u64, u64::from(flags(mdl)), 0]),
        what,
    )
    .advice(advice)
    .stop()
}

extern "win64" fn io_free_mdl(mdl: usize) {
    let bits = flags(mdl);
    if bits & flag::PAGES_LOCKED != 0 {
        violation(
            0xB4,
            mdl,
            "an MDL with locked pages is freed",
            "call MmUnlockPages first",
        );
    }
    if bits & flag::MAPPED_TO_SYSTEM_VA != 0 && bits & flag::PARTIAL == 0 {
        violation(
            0xB4,
            mdl,
            "a mapped MDL is freed",
            "call MmUnmapLockedPages first",
        );
    }
    pool::free(mdl, Some(MDL_TAG));
}

/// An MDL for nonpaged memory (`NdisAllocateMdl`), or 0 without memory.
pub(crate) fn for_nonpaged(address: usize, length: u32) -> usize {
    let mdl = io_allocate_mdl(address, length, 0, 0, 0);
    if mdl != 0 {
        mm_build_mdl_for_non_paged_pool(mdl);
    }
    mdl
}

/// Frees what [`for_nonpaged`] made. Nonpaged memory is always mapped, and nothing was mapped for the MDL.
pub(crate) fn free(mdl: usize) {
    pool::free(mdl, Some(MDL_TAG));
}

extern "win64" fn io_build_partial_mdl(source: usize, target: usize, start: usize, length: u32) {
    let inside = address(source)..=address(source) + crate::nt::mdl::length(source);
    let length = if length == 0 {
        u32::try_from(inside.end() - start).unwrap_or(0)
    } else {
        length
    };
    if !inside.contains(&start) || !inside.contains(&(start + length as usize)) {
        violation(
            0xB1,
            source,
            "IoBuildPartialMdl beyond the source MDL",
            "check offset and length",
        );
    }
    initialize(target, start, length);
    set_flags(
        target,
        (flags(source) & (flag::SOURCE_IS_NONPAGED_POOL | flag::MAPPED_TO_SYSTEM_VA)) | flag::PARTIAL,
    );
    memory::write(target + offset::MAPPED_SYSTEM_VA, start);
    fill_pages(target);
}

extern "win64" fn mm_build_mdl_for_non_paged_pool(mdl: usize) {
    let start = address(mdl);
    if crate::verifier::pool::containing(start).is_some_and(|found| found.request.kind == PoolKind::Paged) {
        violation(
            0x7F,
            mdl,
            "MmBuildMdlForNonPagedPool for paged pool",
            "lock paged memory with MmProbeAndLockPages",
        );
    }
    if flags(mdl) & (flag::PAGES_LOCKED | flag::MAPPED_TO_SYSTEM_VA) != 0 {
        violation(
            0xB0,
            mdl,
            "MmBuildMdlForNonPagedPool for a locked or mapped MDL",
            "use a fresh MDL",
        );
    }
    memory::write(mdl + offset::MAPPED_SYSTEM_VA, start);
    set_flags(mdl, flags(mdl) | flag::SOURCE_IS_NONPAGED_POOL);
    fill_pages(mdl);
}

extern "win64" fn mm_map_locked_pages_specify_cache(
    mdl: usize,
    _mode: u8,
    _cache: u32,
    _requested: usize,
    bug_check_on_failure: u32,
    _priority: u32,
) -> usize {
    if bug_check_on_failure != 0 {
        violation(
            0x82,
            mdl,
            "MmMapLockedPagesSpecifyCache with BugCheckOnFailure TRUE",
            "pass FALSE and handle a NULL result",
        );
    }
    let bits = flags(mdl);
    if bits & (flag::PAGES_LOCKED | flag::PARTIAL) == 0 {
        violation(
            0xB3,
            mdl,
            "MmMapLockedPagesSpecifyCache for an MDL whose pages are not locked",
            "use MmGetSystemAddressForMdlSafe, which does not map nonpaged pool again",
        );
    }
    if crate::verifier::faults::allocation_fails() {
        return 0;
    }
    memory::write(mdl + offset::MAPPED_SYSTEM_VA, address(mdl));
    set_flags(mdl, bits | flag::MAPPED_TO_SYSTEM_VA);
    address(mdl)
}

extern "win64" fn mm_unmap_locked_pages(address: usize, mdl: usize) {
    if flags(mdl) & flag::MAPPED_TO_SYSTEM_VA == 0
        || memory::read::<usize>(mdl + offset::MAPPED_SYSTEM_VA) != address
    {
        violation(
            0xB3,
            mdl,
            "MmUnmapLockedPages for an MDL that is not mapped there",
            "unmap each mapping once",
        );
    }
    set_flags(mdl, flags(mdl) & !flag::MAPPED_TO_SYSTEM_VA);
}

extern "win64" fn mm_probe_and_lock_pages(mdl: usize, _mode: u8, _operation: u32) {
    if flags(mdl) & (flag::PAGES_LOCKED | flag::SOURCE_IS_NONPAGED_POOL | flag::MAPPED_TO_SYSTEM_VA) != 0 {
        violation(
            0xB0,
            mdl,
            "MmProbeAndLockPages for an MDL that is locked or of nonpaged pool",
            "lock each MDL once",
        );
    }
    set_flags(mdl, flags(mdl) | flag::PAGES_LOCKED);
    fill_pages(mdl);
}

extern "win64" fn mm_unlock_pages(mdl: usize) {
    let bits = flags(mdl);
    if bits & flag::SOURCE_IS_NONPAGED_POOL != 0 {
        violation(
            0x7D,
            mdl,
            "MmUnlockPages for nonpaged pool",
            "unlock only what MmProbeAndLockPages has locked",
        );
    }
    if bits & flag::PAGES_LOCKED == 0 {
        violation(
            0x7C,
            mdl,
            "MmUnlockPages for pages that were never locked",
            "unlock once for each lock",
        );
    }
    set_flags(mdl, bits & !(flag::PAGES_LOCKED | flag::MAPPED_TO_SYSTEM_VA));
}

extern "win64" fn mm_size_of_mdl(base: usize, length: usize) -> usize {
    offset::SIZE_OF + span_pages(base, length) * 8
}

extern "win64" fn mm_is_address_valid(address: usize) -> u8 {
    u8::from(memory::is_mapped(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_counted_from_the_offset() {
        assert_eq!(span_pages(0x1000, 1), 1);
        assert_eq!(span_pages(0x1FFF, 1), 1);
        assert_eq!(span_pages(0x1FFF, 2), 2);
        assert_eq!(span_pages(0x1800, 0x1000), 2);
        assert_eq!(span_pages(0x1000, 0), 0);
    }

    #[test]
    fn an_mdl_describes_its_memory() {
        let mut words = [0_u64; 16];
        let mdl = words.as_mut_ptr() as usize;
        initialize(mdl, 0x1234_5678, 0x2000);
        fill_pages(mdl);
        assert_eq!((address(mdl), length(mdl)), (0x1234_5678, 0x2000));
        assert_eq!(words[6..9], [0x12345, 0x12346, 0x12347]);
    }
}
