//! Non-paged pool: memory that may be touched at any IRQL, and whose allocation may fail.
//!
//! Every block has the tag of its type, so that a leak or a corrupted block names its owner. Blocks are zeroed by the
//! system, not executable, and aligned to 16 bytes; a type that needs more does not compile.
#![expect(unsafe_code, reason = "pool blocks and the references to them")]

mod arc;
mod list;
mod pages;

pub use arc::PoolArc;
pub use list::{PoolSlice, PoolVec};
pub use pages::PoolPages;

use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use ndk_sys::NTSTATUS;
use ndk_sys::STATUS_INSUFFICIENT_RESOURCES;
use wdk_sys::POOL_FLAG_NON_PAGED;
use wdk_sys::ntddk::{ExAllocatePool2, ExFreePoolWithTag};

/// Alignment of every pool block on 64-bit Windows (`MEMORY_ALLOCATION_ALIGNMENT`).
const ALIGNMENT: usize = 16;

/// There was no memory. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

impl From<OutOfMemory> for NTSTATUS {
    fn from(_: OutOfMemory) -> Self {
        STATUS_INSUFFICIENT_RESOURCES
    }
}

/// A pool tag: four printable ASCII characters, shown by debuggers and Driver Verifier in this order.
#[derive(Clone, Copy)]
pub struct Tag(u32);

impl Tag {
    /// Made from the characters; `VrXx` by our convention.
    #[must_use]
    pub const fn new(characters: [u8; 4]) -> Self {
        Self(u32::from_le_bytes(characters))
    }
}

/// A type that may live in pool.
pub trait Pooled {
    /// Tag of its blocks.
    const TAG: Tag;
}

impl Pooled for u8 {
    const TAG: Tag = Tag::new(*b"VrBy");
}

impl Pooled for u32 {
    const TAG: Tag = Tag::new(*b"VrWd");
}

/// A block for `count` values of `T`, zeroed.
fn allocate<T: Pooled>(count: usize) -> Result<NonNull<T>, OutOfMemory> {
    const {
        assert!(
            align_of::<T>() <= ALIGNMENT,
            "pool blocks are aligned to 16 bytes"
        );
    };
    if size_of::<T>() == 0 || count == 0 {
        return Ok(NonNull::dangling());
    }
    let bytes = size_of::<T>().checked_mul(count).ok_or(OutOfMemory)?;
    let bytes = u64::try_from(bytes).map_err(|_| OutOfMemory)?;
    // SAFETY: at most DISPATCH_LEVEL, as every caller of this module promises; non-paged pool.
    let block = unsafe { ExAllocatePool2(POOL_FLAG_NON_PAGED, bytes, T::TAG.0) };
    NonNull::new(block.cast()).ok_or(OutOfMemory)
}

/// Gives back a block of [`allocate`] for `count` values, which have been dropped.
///
/// # Safety
///
/// The block came from `allocate::<T>(count)` and is not used any more.
unsafe fn free<T: Pooled>(block: NonNull<T>, count: usize) {
    if size_of::<T>() != 0 && count != 0 {
        // SAFETY: a block of the pool with that tag, by the caller's promise.
        unsafe { ExFreePoolWithTag(block.as_ptr().cast(), T::TAG.0) };
    }
}

/// One value in pool, owned. Creating and dropping: at most `DISPATCH_LEVEL` (dropping runs `T`'s own `Drop`).
pub struct PoolBox<T: Pooled>(NonNull<T>);

// SAFETY: an owner of a `T`.
unsafe impl<T: Pooled + Send> Send for PoolBox<T> {}
// SAFETY: shared access is that of a `T`.
unsafe impl<T: Pooled + Sync> Sync for PoolBox<T> {}

impl<T: Pooled> PoolBox<T> {
    /// Moves `value` into pool; it is dropped if there is no memory.
    ///
    /// # Errors
    ///
    /// No memory.
    pub fn new(value: T) -> Result<Self, OutOfMemory> {
        let block = allocate::<T>(1)?;
        // SAFETY: the block is valid and aligned for one `T`.
        unsafe { block.write(value) };
        Ok(Self(block))
    }

    /// Moves the value out and frees its block.
    #[must_use]
    pub fn into_inner(self) -> T {
        let block = ManuallyDrop::new(self).0;
        // SAFETY: owned and initialised; the value is not used in its block any more.
        let value = unsafe { block.read() };
        // SAFETY: allocated by `new` for one value, which has been moved out.
        unsafe { free(block, 1) };
        value
    }

    /// Gives up ownership: the address stays valid until [`PoolBox::from_raw`] takes it back.
    #[must_use]
    pub fn into_raw(self) -> NonNull<T> {
        ManuallyDrop::new(self).0
    }

    /// Takes ownership back.
    ///
    /// # Safety
    ///
    /// `raw` came from [`PoolBox::into_raw`] and is taken back once.
    #[must_use]
    pub unsafe fn from_raw(raw: NonNull<T>) -> Self {
        Self(raw)
    }
}

impl<T: Pooled> Deref for PoolBox<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: owned and initialised.
        unsafe { self.0.as_ref() }
    }
}

impl<T: Pooled> DerefMut for PoolBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: owned, initialised, and borrowed exclusively.
        unsafe { self.0.as_mut() }
    }
}

impl<T: Pooled> Drop for PoolBox<T> {
    fn drop(&mut self) {
        // SAFETY: owned and initialised; nothing uses it afterwards.
        unsafe { self.0.drop_in_place() };
        // SAFETY: allocated by `new` for one value, which has been dropped.
        unsafe { free(self.0, 1) };
    }
}
