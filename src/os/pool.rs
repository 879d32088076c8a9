//! Non-paged pool: memory that may be touched at any IRQL, and whose allocation may fail.
//!
//! Every block has the tag of its type, so that a leak or a corrupted block names its owner. Blocks are zeroed by the
//! system, not executable, and aligned to 16 bytes; a type that needs more does not compile.
#![expect(unsafe_code, reason = "pool blocks and the references to them")]

use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering, fence};

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

/// A list in pool. Growing may fail and then leaves the list as it was.
pub struct PoolVec<T: Pooled> {
    block: NonNull<T>,
    capacity: usize,
    /// So many values are initialised.
    len: usize,
}

// SAFETY: an owner of `T`s.
unsafe impl<T: Pooled + Send> Send for PoolVec<T> {}
// SAFETY: shared access is that of `T`s.
unsafe impl<T: Pooled + Sync> Sync for PoolVec<T> {}

impl<T: Pooled> PoolVec<T> {
    /// An empty list without memory.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            block: NonNull::dangling(),
            capacity: 0,
            len: 0,
        }
    }

    /// An empty list that takes `capacity` values without growing.
    ///
    /// # Errors
    ///
    /// No memory.
    pub fn with_capacity(capacity: usize) -> Result<Self, OutOfMemory> {
        Ok(Self {
            block: allocate(capacity)?,
            capacity,
            len: 0,
        })
    }

    /// Appends `value`; it is dropped if there is no memory.
    ///
    /// # Errors
    ///
    /// No memory.
    pub fn push(&mut self, value: T) -> Result<(), OutOfMemory> {
        if self.len == self.capacity {
            self.grow()?;
        }
        // SAFETY: `len` is below the capacity.
        let place = unsafe { self.block.add(self.len) };
        // SAFETY: inside the block, and not initialised.
        unsafe { place.write(value) };
        self.len += 1;
        Ok(())
    }

    /// Moves the values to a block of twice the size.
    fn grow(&mut self) -> Result<(), OutOfMemory> {
        let capacity = self.capacity.checked_mul(2).ok_or(OutOfMemory)?.max(8);
        let block = allocate::<T>(capacity)?;
        // SAFETY: both blocks hold at least `len` values and do not overlap.
        unsafe { block.copy_from_nonoverlapping(self.block, self.len) };
        // SAFETY: the old block is ours; its values have moved.
        unsafe { free(self.block, self.capacity) };
        self.block = block;
        self.capacity = capacity;
        Ok(())
    }

    /// Removes the last value.
    pub fn pop(&mut self) -> Option<T> {
        self.len = self.len.checked_sub(1)?;
        // SAFETY: `len` is now the index of the last value.
        let place = unsafe { self.block.add(self.len) };
        // SAFETY: initialised, and not counted any more.
        Some(unsafe { place.read() })
    }

    /// Removes the value at `index` and puts the last one there. `None` if there is no such value.
    pub fn swap_remove(&mut self, index: usize) -> Option<T> {
        let last = self.len.checked_sub(1)?;
        if index > last {
            return None;
        }
        self.swap(index, last);
        self.pop()
    }

    /// Removes all values and keeps the memory.
    pub fn clear(&mut self) {
        while self.pop().is_some() {}
    }
}

impl<T: Pooled> Default for PoolVec<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Pooled> Deref for PoolVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the first `len` values are initialised; an empty slice may dangle.
        unsafe { core::slice::from_raw_parts(self.block.as_ptr(), self.len) }
    }
}

impl<T: Pooled> DerefMut for PoolVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and borrowed exclusively.
        unsafe { core::slice::from_raw_parts_mut(self.block.as_ptr(), self.len) }
    }
}

impl<T: Pooled> Drop for PoolVec<T> {
    fn drop(&mut self) {
        self.clear();
        // SAFETY: the block is ours and holds no values any more.
        unsafe { free(self.block, self.capacity) };
    }
}

/// A fixed number of values in pool.
pub struct PoolSlice<T: Pooled>(PoolVec<T>);

impl<T: Pooled> PoolSlice<T> {
    /// `len` values, each made from its index.
    ///
    /// # Errors
    ///
    /// No memory.
    pub fn from_fn(len: usize, mut make: impl FnMut(usize) -> T) -> Result<Self, OutOfMemory> {
        Self::try_from_fn(len, |index| Ok(make(index)))
    }

    /// `len` values, each made from its index, or the first error.
    ///
    /// # Errors
    ///
    /// No memory, or an error of `make`.
    pub fn try_from_fn<E: From<OutOfMemory>>(
        len: usize,
        mut make: impl FnMut(usize) -> Result<T, E>,
    ) -> Result<Self, E> {
        let mut values = PoolVec::with_capacity(len)?;
        for index in 0..len {
            values.push(make(index)?)?;
        }
        Ok(Self(values))
    }
}

impl<T: Pooled> Deref for PoolSlice<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Pooled> DerefMut for PoolSlice<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

/// What a [`PoolArc`] points to: the count next to the value.
struct Counted<T> {
    references: AtomicU32,
    value: T,
}

impl<T: Pooled> Pooled for Counted<T> {
    const TAG: Tag = T::TAG;
}

/// References that may not be exceeded: far beyond any legal number, far below overflow.
const MAX_REFERENCES: u32 = u32::MAX / 2;

/// One value in pool, owned by all its references together. The last one to go drops it, at whatever IRQL that is.
pub struct PoolArc<T: Pooled>(NonNull<Counted<T>>);

// SAFETY: references on several processors share the `T`, and any of them may drop it.
unsafe impl<T: Pooled + Send + Sync> Send for PoolArc<T> {}
// SAFETY: as above.
unsafe impl<T: Pooled + Send + Sync> Sync for PoolArc<T> {}

impl<T: Pooled> PoolArc<T> {
    /// Moves `value` into pool; it is dropped if there is no memory.
    ///
    /// # Errors
    ///
    /// No memory.
    pub fn new(value: T) -> Result<Self, OutOfMemory> {
        PoolBox::new(Counted {
            references: AtomicU32::new(1),
            value,
        })
        .map(|counted| Self(counted.into_raw()))
    }

    fn counted(&self) -> &Counted<T> {
        // SAFETY: the block lives as long as a reference does.
        unsafe { self.0.as_ref() }
    }

    /// Gives this reference up to a raw address of the value, which stays valid until [`PoolArc::from_raw`].
    #[must_use]
    pub fn into_raw(self) -> NonNull<T> {
        let this = ManuallyDrop::new(self);
        // SAFETY: a field of a live block.
        unsafe { this.0.byte_add(core::mem::offset_of!(Counted<T>, value)) }.cast()
    }

    /// Takes back the reference that [`PoolArc::into_raw`] or [`PoolArc::increment`] gave to `raw`.
    ///
    /// # Safety
    ///
    /// `raw` holds such a reference, which is used up.
    #[must_use]
    pub unsafe fn from_raw(raw: NonNull<T>) -> Self {
        // SAFETY: the value is that field of its block, by the caller's promise.
        Self(unsafe { raw.byte_sub(core::mem::offset_of!(Counted<T>, value)) }.cast())
    }

    /// Adds a reference to a raw address.
    ///
    /// # Safety
    ///
    /// `raw` came from [`PoolArc::into_raw`] and somebody holds a reference during the call.
    pub unsafe fn increment(raw: NonNull<T>) {
        // SAFETY: by the caller's promise; the borrowed reference is not dropped.
        let borrowed = ManuallyDrop::new(unsafe { Self::from_raw(raw) });
        let _kept = Self::clone(&borrowed).into_raw();
    }

    /// The value, if this is the only reference; else the reference.
    ///
    /// # Errors
    ///
    /// The reference, when there are others.
    pub fn try_unwrap(self) -> Result<T, Self> {
        if self
            .counted()
            .references
            .compare_exchange(1, 0, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            return Err(self);
        }
        let this = ManuallyDrop::new(self);
        // SAFETY: the count is zero, so that nobody else has the block.
        let counted = unsafe { this.0.read() };
        // SAFETY: allocated for one, and its content has been moved out.
        unsafe { free(this.0, 1) };
        Ok(counted.value)
    }

    /// Whether both refer to the same value.
    #[must_use]
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T: Pooled> Clone for PoolArc<T> {
    fn clone(&self) -> Self {
        let before = self.counted().references.fetch_add(1, Ordering::Relaxed);
        assert!(before < MAX_REFERENCES, "reference count overflow");
        Self(self.0)
    }
}

impl<T: Pooled> Deref for PoolArc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.counted().value
    }
}

impl<T: Pooled> Drop for PoolArc<T> {
    fn drop(&mut self) {
        if self.counted().references.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            // SAFETY: this was the last reference; the block came from a `PoolBox`.
            drop(unsafe { PoolBox::from_raw(self.0) });
        }
    }
}
