//! One reserved range of addresses holds every driver image and every thunk that drivers call.
//!
//! Because it is one range, "is this address driver code" is a comparison, and the valid targets of indirect calls fit a
//! bitmap (`cfg`). Addresses are never reused: code that runs after its image was unloaded faults and is recognised.

use crate::memory;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Size of the arena: room for some thousand loads of small drivers.
pub const ARENA_SIZE: usize = 1 << 30;

/// Images start at multiples of this, as on Windows.
pub const ALLOCATION_GRANULARITY: usize = 0x10000;

static ARENA: OnceLock<usize> = OnceLock::new();
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Start of the arena.
pub fn base() -> usize {
    *ARENA.get_or_init(|| memory::reserve_aligned(ARENA_SIZE, ARENA_SIZE))
}

/// The addresses of the arena.
#[must_use]
pub fn range() -> Range<usize> {
    base()..base() + ARENA_SIZE
}

/// Takes `size` bytes of inaccessible address space out of the arena.
///
/// # Panics
/// When the arena is used up.
#[must_use]
pub fn allocate(size: usize) -> usize {
    let size = size.next_multiple_of(ALLOCATION_GRANULARITY);
    let offset = NEXT.fetch_add(size, Ordering::Relaxed);
    assert!(
        offset + size <= ARENA_SIZE,
        "the image arena is used up: restart the bench"
    );
    base() + offset
}
