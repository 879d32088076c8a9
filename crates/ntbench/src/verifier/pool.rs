//! Special pool: every allocation ends (or starts) at an inaccessible page, freed memory stays inaccessible, and everything is
//! tracked with the stacks of its allocation and release.

use super::{BugCheck, Rule, Violation};
use crate::memory::{self, PAGE_SIZE, Protection, page_up};
use crate::symbols::{self, StackTrace};
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Address space for special pool; nothing of it is used twice.
const ARENA_SIZE: usize = 1 << 38;
/// Freed allocations that are remembered with their stacks.
const FREED_LIMIT: usize = 32 * 1024;
/// Fills what lies around an allocation in its pages.
const PATTERN: u8 = 0xE7;
/// Fills memory that the caller wants uninitialised, so that nobody relies on zeros.
const UNINITIALIZED: u8 = 0xCD;
/// Alignment of every allocation (`MEMORY_ALLOCATION_ALIGNMENT`).
const ALIGNMENT: usize = 16;

/// How allocations are placed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// At the end of their pages: an access beyond the end faults.
    #[default]
    CatchOverrun,
    /// At the start of their pages: an access before the start faults.
    CatchUnderrun,
    /// On the heap without guard pages and stacks, tracked all the same: for benchmarks.
    Fast,
}

/// Kinds of pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// `NonPagedPoolNx`
    NonPaged,
    /// `PagedPool`
    Paged,
}

/// What to allocate.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Which pool.
    pub kind: PoolKind,
    /// Bytes, not zero.
    pub size: usize,
    /// The tag, its first character in the lowest byte.
    pub tag: u32,
    /// Whether the memory starts as zeros.
    pub zeroed: bool,
    /// Alignment on top of what every allocation has; a power of two up to a page.
    pub alignment: usize,
}

#[derive(Clone, Debug)]
enum Backing {
    Pages { start: usize, size: usize },
    Heap(#[expect(dead_code, reason = "owns the memory")] Box<[u128]>),
}

/// A tracked allocation.
#[derive(Clone, Debug)]
pub struct Allocation {
    /// Where it is.
    pub address: usize,
    /// What was asked for.
    pub request: Request,
    /// Load address of the image that allocated it; 0 for the bench itself.
    pub owner: usize,
    /// Who allocated it.
    pub stack: StackTrace,
    backing: Backing,
}

struct Freed {
    allocation: Allocation,
    stack: StackTrace,
}

struct Pool {
    placement: Placement,
    next: usize,
    end: usize,
    /// Whether the arena can be given to other processes.
    shared: bool,
    live: BTreeMap<usize, Allocation>,
    freed: BTreeMap<usize, Freed>,
    freed_order: VecDeque<usize>,
}

static POOL: Mutex<Option<Pool>> = Mutex::new(None);

fn with_pool<R>(f: impl FnOnce(&mut Pool) -> R) -> R {
    let mut guard = POOL.lock();
    let pool = guard.get_or_insert_with(|| Pool {
        placement: Placement::default(),
        next: 0,
        end: 0,
        shared: false,
        live: BTreeMap::new(),
        freed: BTreeMap::new(),
        freed_order: VecDeque::new(),
    });
    if pool.end == 0 || pool.shared != memory::shared::is_shared() {
        pool.shared = memory::shared::is_shared();
        let start = memory::reserve(ARENA_SIZE);
        pool.next = start + PAGE_SIZE;
        pool.end = start + ARENA_SIZE;
    }
    f(pool)
}

/// Sets how later allocations are placed.
pub fn set_placement(placement: Placement) {
    with_pool(|pool| pool.placement = placement);
}

/// A tag as text: `Vrnc`.
#[must_use]
pub fn tag_text(tag: u32) -> String {
    tag.to_le_bytes()
        .iter()
        .map(|&byte| {
            if byte.is_ascii_graphic() {
                char::from(byte)
            } else {
                '.'
            }
        })
        .collect()
}

/// Allocates; `None` only when the machine has no more memory.
#[must_use]
pub fn allocate(request: &Request) -> Option<usize> {
    let owner = owner();
    with_pool(|pool| {
        let (address, backing) = match pool.placement {
            // A device in another process does not reach the heap.
            placement if memory::shared::is_shared() => pool.allocate_pages(request, placement)?,
            Placement::Fast => allocate_heap(request),
            placement => pool
                .allocate_pages(request, placement)
                .unwrap_or_else(|| allocate_heap(request)),
        };
        let fill = if request.zeroed { 0 } else { UNINITIALIZED };
        memory::fill(address, fill, request.size);
        let stack = StackTrace::track();
        pool.live.insert(
            address,
            Allocation {
                address,
                request: *request,
                owner,
                stack,
                backing,
            },
        );
        Some(address)
    })
}

/// The image whose code called the innermost export.
fn owner() -> usize {
    crate::cpu::thread::caller_address()
        .and_then(symbols::find)
        .map_or(0, |module| module.base)
}

fn allocate_heap(request: &Request) -> (usize, Backing) {
    // As on pages of their own: those of a page and more start at a page.
    let own = if request.size >= PAGE_SIZE {
        PAGE_SIZE
    } else {
        ALIGNMENT
    };
    let alignment = request.alignment.max(own);
    let extra = if alignment > ALIGNMENT { alignment } else { 0 };
    let block = vec![0_u128; (request.size + extra).div_ceil(ALIGNMENT)].into_boxed_slice();
    let address = (block.as_ptr() as usize).next_multiple_of(alignment);
    (address, Backing::Heap(block))
}

impl Pool {
    /// `None` when the process is out of mappings or the arena is used up: Windows' special pool runs out, too.
    fn allocate_pages(&mut self, request: &Request, placement: Placement) -> Option<(usize, Backing)> {
        let size = page_up(request.size);
        let start = self.next;
        if start + size + PAGE_SIZE > self.end {
            return None;
        }
        memory::try_protect(start, size, Protection::ReadWrite).ok()?;
        self.next += size + PAGE_SIZE;
        let alignment = request.alignment.max(ALIGNMENT);
        // Allocations of a page and more start at a page, as documented for the pool routines.
        let at_start = placement == Placement::CatchUnderrun || request.size >= PAGE_SIZE;
        let address = if at_start {
            start
        } else {
            (start + size - request.size) & !(alignment - 1)
        };
        memory::fill(start, PATTERN, address - start);
        memory::fill(
            address + request.size,
            PATTERN,
            start + size - address - request.size,
        );
        Some((address, Backing::Pages { start, size }))
    }

    fn remember(&mut self, allocation: Allocation) {
        let Backing::Pages { start, size } = allocation.backing else {
            return;
        };
        memory::decommit(start, size);
        if self.freed_order.len() == FREED_LIMIT
            && let Some(oldest) = self.freed_order.pop_front()
        {
            self.freed.remove(&oldest);
        }
        self.freed_order.push_back(allocation.address);
        self.freed.insert(
            allocation.address,
            Freed {
                allocation,
                stack: StackTrace::track(),
            },
        );
    }
}

/// Frees; `tag` is checked if the caller gave one. Returns what was freed.
pub fn free(address: usize, tag: Option<u32>) {
    enum Problem {
        Tag(Allocation),
        Corrupt(Allocation, usize),
        Twice(Allocation, StackTrace),
        Inside(Allocation),
        Unknown,
    }
    let result = with_pool(|pool| {
        let Some(allocation) = pool.live.remove(&address) else {
            if let Some(freed) = pool.freed.get(&address) {
                return Err(Problem::Twice(freed.allocation.clone(), freed.stack.clone()));
            }
            let before = pool
                .live
                .range(..address)
                .next_back()
                .map(|(_, allocation)| allocation);
            return Err(
                match before.filter(|allocation| address < allocation.address + allocation.request.size) {
                    Some(allocation) => Problem::Inside(allocation.clone()),
                    None => Problem::Unknown,
                },
            );
        };
        if tag.is_some_and(|tag| tag != allocation.request.tag) {
            return Err(Problem::Tag(allocation));
        }
        if let Some(place) = first_corruption(&allocation) {
            return Err(Problem::Corrupt(allocation, place));
        }
        pool.remember(allocation);
        Ok(())
    });
    let Err(problem) = result else { return };
    let pointer = address as u64;
    match problem {
        Problem::Tag(allocation) => {
            let (is, given) = (allocation.request.tag, tag.unwrap_or(0));
            Violation::new(
                Rule::PoolTag,
                BugCheck::new(0xC2, [0xA, pointer, u64::from(is), u64::from(given)]),
                format!(
                    "allocated with tag {}, freed with tag {}",
                    tag_text(is),
                    tag_text(given)
                ),
            )
            .advice("free with the tag of the allocation")
            .stack("allocated at", allocation.stack)
        }
        Problem::Corrupt(allocation, place) => Violation::new(
            Rule::SpecialPool,
            BugCheck::new(
                0xC1,
                [pointer, place as u64, allocation.request.size as u64, 0x21],
            ),
            format!("{} was written, {}", hex(place), relative(&allocation, place)),
        )
        .advice("somebody wrote next to the allocation: check lengths and indexes")
        .stack("allocated at", allocation.stack),
        Problem::Twice(allocation, freed) => Violation::new(
            Rule::PoolDoubleFree,
            BugCheck::verifier(0x13, [0, pointer, u64::from(allocation.request.tag)]),
            format!("{pointer:#x} was freed already"),
        )
        .advice("give the allocation one owner, and clear the pointer when it is freed")
        .stack("first freed at", freed)
        .stack("allocated at", allocation.stack),
        Problem::Inside(allocation) => Violation::new(
            Rule::PoolBadFree,
            BugCheck::verifier(0x10, [pointer, 0, 0]),
            format!(
                "{pointer:#x} is not the start of an allocation: {}",
                relative(&allocation, address)
            ),
        )
        .advice("free the pointer that the allocation returned")
        .stack("allocated at", allocation.stack),
        Problem::Unknown => Violation::new(
            Rule::PoolBadFree,
            BugCheck::verifier(0x10, [pointer, 0, 0]),
            format!("{pointer:#x} did not come from an allocation routine"),
        )
        .advice("free only what ExAllocatePool2 and its kin returned"),
    }
    .stop()
}

fn hex(address: usize) -> String {
    format!("{address:#x}")
}

fn first_corruption(allocation: &Allocation) -> Option<usize> {
    let Backing::Pages { start, size } = allocation.backing else {
        return None;
    };
    let end = allocation.address + allocation.request.size;
    let damaged = |place: &usize| memory::read::<u8>(*place) != PATTERN;
    (start..allocation.address).chain(end..start + size).find(damaged)
}

/// `8 bytes beyond the end of the 24 bytes with tag Vrnc`
fn relative(allocation: &Allocation, address: usize) -> String {
    let (start, size) = (allocation.address, allocation.request.size);
    let place = if address < start {
        format!("{} bytes before the start", start - address)
    } else if address < start + size {
        format!("at offset {}", address - start)
    } else {
        format!("{} bytes beyond the end", address - start - size)
    };
    format!(
        "{place} of the {size} bytes with tag {} at {start:#x}",
        tag_text(allocation.request.tag)
    )
}

/// The live allocation that starts at `address`.
#[must_use]
pub fn find(address: usize) -> Option<Allocation> {
    with_pool(|pool| pool.live.get(&address).cloned())
}

/// The live allocation that contains `address`.
#[must_use]
pub fn containing(address: usize) -> Option<Allocation> {
    with_pool(|pool| {
        let (_, allocation) = pool.live.range(..=address).next_back()?;
        (address < allocation.address + allocation.request.size).then(|| allocation.clone())
    })
}

/// Live allocations of an image.
#[must_use]
pub fn live(owner: usize) -> Vec<Allocation> {
    with_pool(|pool| {
        pool.live
            .values()
            .filter(|allocation| allocation.owner == owner)
            .cloned()
            .collect()
    })
}

/// Stops if an image that is being unloaded has not freed everything.
pub fn check_leaks(owner: usize, driver: &str) {
    let leaks = live(owner);
    if leaks.is_empty() {
        return;
    }
    let bytes: usize = leaks.iter().map(|allocation| allocation.request.size).sum();
    let mut violation = Violation::new(
        Rule::PoolLeak,
        BugCheck::verifier(0x62, [owner as u64, 0, leaks.len() as u64]),
        format!(
            "{driver} is unloaded and has not freed {} allocations of {bytes} bytes",
            leaks.len()
        ),
    )
    .advice("free everything in the unload path, also on its error branches");
    for allocation in leaks.into_iter().take(8) {
        let Allocation {
            address,
            request,
            stack,
            ..
        } = allocation;
        let title = format!(
            "{} bytes with tag {} at {address:#x} allocated at",
            request.size,
            tag_text(request.tag)
        );
        violation = violation.stack(title, stack);
    }
    violation.stop()
}

/// Explains a fault in special pool: the violation to stop with, or `None` when the address is not special pool's.
#[must_use]
pub fn explain_fault(address: usize, access: &str, ip: u64) -> Option<Violation> {
    // The lock is held only if the bench itself faulted in here.
    let guard = POOL.try_lock_for(Duration::from_secs(1))?;
    let pool = guard.as_ref()?;
    let write = u64::from(access == "write");
    if let Some((_, freed)) = pool.freed.range(..=address).next_back()
        && let Backing::Pages { start, size } = freed.allocation.backing
        && (start..start + size).contains(&address)
    {
        return Some(
            Violation::new(
                Rule::UseAfterFree,
                BugCheck::new(0xD5, [address as u64, write, ip, 0]),
                format!(
                    "{access} of freed memory, {}",
                    relative(&freed.allocation, address)
                ),
            )
            .advice("keep a reference while the object is used, or stop its users before freeing it")
            .stack("freed at", freed.stack.clone())
            .stack("allocated at", freed.allocation.stack.clone()),
        );
    }
    let near = pool.live.range(..=address).next_back().filter(|(_, allocation)| {
        matches!(allocation.backing, Backing::Pages { start, size } if (start..start + size + PAGE_SIZE).contains(&address))
    });
    let next = pool.live.range(address..).next().filter(|(_, allocation)| {
        matches!(allocation.backing, Backing::Pages { start, .. } if (start - PAGE_SIZE..start).contains(&address))
    });
    let (_, allocation) = near.or(next)?;
    Some(
        Violation::new(
            Rule::PoolOverrun,
            BugCheck::new(0xD6, [address as u64, write, ip, 0]),
            format!(
                "{access} outside an allocation, {}",
                relative(allocation, address)
            ),
        )
        .advice("check lengths and indexes against the allocation's size")
        .stack("allocated at", allocation.stack.clone()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(size: usize) -> Request {
        Request {
            kind: PoolKind::NonPaged,
            size,
            tag: u32::from_le_bytes(*b"Test"),
            zeroed: true,
            alignment: 16,
        }
    }

    #[test]
    fn allocations_end_at_a_guard_and_are_aligned() {
        for size in [1, 15, 16, 17, 100, 4095, 4096, 4097, 10000] {
            let address = allocate(&request(size)).expect("memory");
            assert_eq!(
                address % if size >= PAGE_SIZE { PAGE_SIZE } else { ALIGNMENT },
                0,
                "{size}"
            );
            assert_eq!(memory::read_bytes(address, size), vec![0; size]);
            assert!(containing(address + size - 1).is_some());
            let explained = explain_fault(page_up(address + size), "read", 0);
            assert!(explained.is_some(), "the guard page behind {size} bytes is known");
            free(address, Some(u32::from_le_bytes(*b"Test")));
            assert!(find(address).is_none());
            assert!(
                explain_fault(address, "read", 0).is_some(),
                "freed memory is remembered"
            );
        }
    }

    #[test]
    fn corruption_of_the_slack_is_found() {
        let address = allocate(&request(20)).expect("memory");
        let allocation = find(address).expect("tracked");
        assert_eq!(first_corruption(&allocation), None);
        memory::write(address + 21, 0_u8);
        assert_eq!(first_corruption(&allocation), Some(address + 21));
        memory::write(address + 21, PATTERN);
        memory::write(address - 1, 0_u8);
        assert_eq!(first_corruption(&allocation), Some(address - 1));
        memory::write(address - 1, PATTERN);
        free(address, None);
    }
}
