//! Lists in pool.
#![expect(unsafe_code, reason = "moves values in and out of a pool block")]

use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use super::{OutOfMemory, Pooled, allocate, free};

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
