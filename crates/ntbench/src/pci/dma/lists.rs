//! Scatter/gather lists: memory of MDLs, mapped for one transfer.

use super::{Adapter, adapter, broken};
use crate::cpu::call::call;
use crate::memory::{self, PAGE_SIZE};
use crate::ndis::resources::Kind;
use crate::nt::mdl::{self, flag, offset};
use crate::nt::{pool, status};
use crate::pci::iommu::Access;
use crate::verifier::pool::{PoolKind, Request};
use crate::verifier::{BugCheck, Rule, Violation};
use ndk_sys::NTSTATUS;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// `DMA_SYNCHRONOUS_CALLBACK`
const SYNCHRONOUS: u32 = 1;
/// `DMA_TRANSFER_CONTEXT_SIZE_V1`
const CONTEXT_SIZE: usize = 128;
/// What an initialised context holds.
const CONTEXT_MARK: u64 = 0x7478_6574_4144_4D41;

/// Size of a `SCATTER_GATHER_LIST` without elements, and of an element.
const HEAD: usize = 16;
const ELEMENT: usize = 24;
const TAG: u32 = u32::from_le_bytes(*b"HalS");

/// A list that a driver has.
struct List {
    adapter: Arc<Adapter>,
    logical: Vec<u64>,
    context: usize,
    /// Whether the list is the bench's memory, and not the driver's.
    own: bool,
    write_to_device: bool,
}

/// All lists by their addresses.
static LISTS: Mutex<BTreeMap<usize, List>> = Mutex::new(BTreeMap::new());
/// The transfer contexts of those that have one.
static CONTEXTS: Mutex<BTreeSet<usize>> = Mutex::new(BTreeSet::new());

/// A piece of memory that is contiguous: address and bytes.
type Run = (usize, usize);

/// The memory of `length` bytes from `skip` on in a chain of MDLs; `None` if the chain is shorter. It is found by the page
/// frame numbers, as hardware does: the virtual address of an MDL may belong to another process.
fn runs(mut mdl: usize, mut skip: usize, mut length: usize) -> Option<Vec<Run>> {
    let mut runs: Vec<Run> = Vec::new();
    while length != 0 {
        if mdl == 0 {
            return None;
        }
        check_locked(mdl);
        let (start, count) = (
            memory::read::<u32>(mdl + offset::BYTE_OFFSET) as usize,
            mdl::length(mdl),
        );
        while skip < count && length != 0 {
            let at = start + skip;
            let frame: usize = memory::read(mdl + offset::SIZE_OF + at / PAGE_SIZE * 8);
            let bytes = (PAGE_SIZE - at % PAGE_SIZE).min(count - skip).min(length);
            let address = frame * PAGE_SIZE + at % PAGE_SIZE;
            match runs.last_mut() {
                Some((last, size)) if *last + *size == address => *size += bytes,
                _ => runs.push((address, bytes)),
            }
            skip += bytes;
            length -= bytes;
        }
        skip -= count.min(skip);
        mdl = memory::read(mdl + offset::NEXT);
    }
    Some(runs)
}

fn check_locked(mdl: usize) {
    let flags: u16 = memory::read(mdl + offset::FLAGS);
    if flags & (flag::PAGES_LOCKED | flag::SOURCE_IS_NONPAGED_POOL | flag::PARTIAL) == 0 {
        Violation::new(
            Rule::Mdl,
            BugCheck::verifier(0xB6, [mdl as u64, u64::from(flags), 0]),
            "an MDL whose pages are not locked is mapped for DMA",
        )
        .advice("Lock the pages with MmProbeAndLockPages, or use MmBuildMdlForNonPagedPool.")
        .stop()
    }
}

/// Cuts runs into elements of some pages each, of uneven size: contiguous memory need not be contiguous for a device.
fn elements(runs: &[Run]) -> Vec<Run> {
    let total: usize = runs.iter().map(|run| run.1).sum();
    let step = (total / PAGE_SIZE).div_ceil(512).max(1);
    let mut elements = Vec::new();
    for &(mut address, mut length) in runs {
        while length != 0 {
            let pages = step + elements.len() % 3;
            let bytes = (pages * PAGE_SIZE - address % PAGE_SIZE).min(length);
            elements.push((address, bytes));
            address += bytes;
            length -= bytes;
        }
    }
    elements
}

/// What a list needs besides its memory.
struct Transfer {
    adapter: Arc<Adapter>,
    write_to_device: bool,
    context: usize,
}

/// Maps the elements and writes the list at `list`.
fn fill(list: usize, own: bool, elements: &[Run], transfer: Transfer) {
    let access = if transfer.write_to_device {
        Access::Read
    } else {
        Access::ReadWrite
    };
    let iommu = transfer.adapter.miniport.slot().iommu();
    memory::fill(list, 0, HEAD + ELEMENT * elements.len());
    memory::write(list, u32::try_from(elements.len()).unwrap_or(u32::MAX));
    let mut logical = Vec::with_capacity(elements.len());
    for (index, &(address, length)) in elements.iter().enumerate() {
        let mapped = iommu.map(address, length, access);
        memory::write(list + HEAD + ELEMENT * index, mapped);
        memory::write(
            list + HEAD + ELEMENT * index + 8,
            u32::try_from(length).unwrap_or(u32::MAX),
        );
        logical.push(mapped);
    }
    let Transfer {
        adapter,
        write_to_device,
        context,
    } = transfer;
    adapter
        .miniport
        .ledger
        .take(Kind::ScatterGather, list as u64, elements.len());
    let new = List {
        adapter,
        logical,
        context,
        own,
        write_to_device,
    };
    if context != 0 {
        CONTEXTS.lock().insert(context);
    }
    let in_use = LISTS.lock().insert(list, new).is_some();
    if in_use {
        broken(
            "BuildScatterGatherList was given the memory of another list",
            "Put the list before its memory is used again.",
        )
    }
}

/// Makes a list in memory of the bench's. 0 without memory.
fn make(elements: &[Run], transfer: Transfer) -> usize {
    let list = pool::allocate(&Request {
        kind: PoolKind::NonPaged,
        size: HEAD + ELEMENT * elements.len(),
        tag: TAG,
        zeroed: false,
        alignment: 0,
    });
    if list != 0 {
        fill(list, true, elements, transfer);
    }
    list
}

/// The memory from `current` on in a chain whose first MDL contains it.
fn runs_from(mdl: usize, current: usize, length: u32) -> Option<Vec<Run>> {
    let skip = current.checked_sub(mdl::address(mdl));
    runs(mdl, skip?, length as usize)
}

pub(super) extern "win64" fn get_scatter_gather_list(
    address: usize,
    device: u64,
    mdl: usize,
    current: usize,
    length: u32,
    routine: usize,
    context: u64,
    write_to_device: u8,
) -> NTSTATUS {
    let adapter = adapter(address);
    let Some(runs) = runs_from(mdl, current, length) else {
        return status::BUFFER_TOO_SMALL;
    };
    let transfer = Transfer {
        adapter,
        write_to_device: write_to_device != 0,
        context: 0,
    };
    let list = make(&elements(&runs), transfer);
    if list == 0 {
        return status::INSUFFICIENT_RESOURCES;
    }
    let _ = call(routine, &[device, 0, list as u64, context]);
    status::SUCCESS
}

pub(super) extern "win64" fn get_scatter_gather_list_ex(
    address: usize,
    device: u64,
    transfer_context: usize,
    mdl: usize,
    skip: u64,
    length: u32,
    flags: u32,
    routine: usize,
    context: u64,
    write_to_device: u8,
    _completion: usize,
    _completion_context: u64,
    list_out: usize,
) -> NTSTATUS {
    let adapter = adapter(address);
    if adapter.version < 3 || flags & SYNCHRONOUS == 0 {
        broken(
            "GetScatterGatherListEx without DMA_SYNCHRONOUS_CALLBACK, or of an adapter that is not of version 3",
            "Ask for version 3 in DEVICE_DESCRIPTION, and for synchronous operation.",
        )
    }
    take_context(transfer_context);
    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
    let Some(runs) = runs(mdl, skip, length as usize) else {
        return status::BUFFER_TOO_SMALL;
    };
    let transfer = Transfer {
        adapter,
        write_to_device: write_to_device != 0,
        context: transfer_context,
    };
    let list = make(&elements(&runs), transfer);
    if list == 0 {
        return status::INSUFFICIENT_RESOURCES;
    }
    if list_out != 0 {
        memory::write(list_out, list);
    }
    if routine != 0 {
        let _ = call(routine, &[device, 0, list as u64, context]);
    }
    status::SUCCESS
}

pub(super) extern "win64" fn initialize_dma_transfer_context(address: usize, context: usize) -> NTSTATUS {
    drop(adapter(address));
    check_context_is_free(context);
    memory::fill(context, 0, CONTEXT_SIZE);
    memory::write(context, CONTEXT_MARK);
    status::SUCCESS
}

fn check_context_is_free(context: usize) {
    if CONTEXTS.lock().contains(&context) {
        broken(
            "a DMA transfer context was used for a second transfer",
            "Keep one context for each list until PutScatterGatherList.",
        )
    }
}

fn take_context(context: usize) {
    if memory::read::<u64>(context) != CONTEXT_MARK {
        broken(
            "GetScatterGatherListEx with a DMA transfer context that is not initialised",
            "Call InitializeDmaTransferContext for each transfer.",
        )
    }
    check_context_is_free(context);
}

pub(super) extern "win64" fn calculate_scatter_gather_list(
    address: usize,
    _mdl: usize,
    current: usize,
    length: u32,
    size_out: usize,
    registers_out: usize,
) -> NTSTATUS {
    drop(adapter(address));
    // As long as it may become, whatever the pages are: one element for each.
    let pages = mdl::span_pages(current, length as usize);
    let size = HEAD + ELEMENT * pages;
    memory::write(size_out, u32::try_from(size).unwrap_or(u32::MAX));
    if registers_out != 0 {
        memory::write(registers_out, u32::try_from(pages).unwrap_or(u32::MAX));
    }
    status::SUCCESS
}

pub(super) extern "win64" fn build_scatter_gather_list(
    address: usize,
    device: u64,
    mdl: usize,
    current: usize,
    length: u32,
    routine: usize,
    context: u64,
    write_to_device: u8,
    buffer: usize,
    room: u32,
) -> NTSTATUS {
    let adapter = adapter(address);
    let Some(runs) = runs_from(mdl, current, length) else {
        return status::BUFFER_TOO_SMALL;
    };
    let elements = elements(&runs);
    if HEAD + ELEMENT * elements.len() > room as usize {
        return status::BUFFER_TOO_SMALL;
    }
    if crate::verifier::faults::allocation_fails() {
        return status::INSUFFICIENT_RESOURCES;
    }
    let transfer = Transfer {
        adapter,
        write_to_device: write_to_device != 0,
        context: 0,
    };
    fill(buffer, false, &elements, transfer);
    let _ = call(routine, &[device, 0, buffer as u64, context]);
    status::SUCCESS
}

pub(super) extern "win64" fn put_scatter_gather_list(address: usize, list: usize, write_to_device: u8) {
    let adapter = adapter(address);
    let found = LISTS.lock().remove(&list);
    let matches = |found: &List| {
        Arc::ptr_eq(&found.adapter, &adapter) && found.write_to_device == (write_to_device != 0)
    };
    let Some(found) = found.filter(matches) else {
        broken(
            format!("PutScatterGatherList with {list:#x}, which is no list of that adapter and direction"),
            "Put each list once, with the adapter and the direction that it was made with.",
        )
    };
    CONTEXTS.lock().remove(&found.context);
    let _ = adapter
        .miniport
        .ledger
        .give_back(Kind::ScatterGather, list as u64);
    for logical in found.logical {
        adapter.miniport.slot().iommu().unmap(logical);
    }
    if found.own {
        pool::free(list, Some(TAG));
    }
}

/// The adapter is put: no list of its may be left.
pub(super) fn check_none(adapter: &Arc<Adapter>) {
    let left = LISTS
        .lock()
        .values()
        .any(|list| Arc::ptr_eq(&list.adapter, adapter));
    if left {
        broken(
            "PutDmaAdapter while memory is mapped by one of its lists",
            "Put every list first.",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An MDL for `length` bytes at an offset in the first of those page frames.
    fn mdl_of(frames: &[usize], offset: usize, length: usize, next: usize) -> Vec<usize> {
        let mut words = vec![0_usize; 6 + frames.len()];
        let at = words.as_mut_ptr().addr();
        mdl::initialize(at, 0x7000_0000 + offset, u32::try_from(length).expect("small"));
        memory::write(at + offset::NEXT, next);
        memory::write(at + offset::FLAGS, flag::PAGES_LOCKED);
        words[6..].copy_from_slice(frames);
        words
    }

    #[test]
    fn memory_is_found_by_page_frames_through_the_chain() {
        let second = mdl_of(&[0x30], 0x10, 0x20, 0);
        let first = mdl_of(&[0x10, 0x11, 0x20], 0x800, 0x1810, second.as_ptr().addr());
        let at = first.as_ptr().addr();
        let whole = runs(at, 0, 0x1830).expect("it is long enough");
        assert_eq!(whole, [(0x10_800, 0x1800), (0x20_000, 0x10), (0x30_010, 0x20)]);
        let part = runs(at, 0x1808, 0x10).expect("it is long enough");
        assert_eq!(part, [(0x20_008, 8), (0x30_010, 8)]);
        assert_eq!(runs(at, 0, 0x1831), None, "longer than the chain");
    }

    #[test]
    fn elements_end_at_pages() {
        let cut = elements(&[(0x10_800, 0x6000)]);
        assert_eq!(
            cut,
            [
                (0x10_800, 0x800),
                (0x11_000, 0x2000),
                (0x13_000, 0x3000),
                (0x16_000, 0x800)
            ]
        );
    }
}
