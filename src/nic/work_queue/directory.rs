//! Arrays by object number that grow where they are used: a lookup is two loads.
#![expect(unsafe_code, reason = "pieces of an array that others may be reading")]

use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicPtr, Ordering};

use super::shared;
use crate::os::pool::{OutOfMemory, PoolBox, PoolSlice, Pooled, Tag};

/// Logarithm of the values in a piece.
const CHUNK_LOG2: u32 = 7;
const CHUNK: usize = 1 << CHUNK_LOG2;

struct Chunk<T>([T; CHUNK]);

impl<T> Pooled for Chunk<T> {
    const TAG: Tag = Tag::new(*b"VrDi");
}

struct Piece<T>(AtomicPtr<Chunk<T>>);

impl<T> Pooled for Piece<T> {
    const TAG: Tag = Tag::new(*b"VrDi");
}

/// An array of up to a fixed number of values. A value exists once [`Chunks::grow`] has been called for its index, and then
/// stays where it is.
pub struct Chunks<T> {
    pieces: PoolSlice<Piece<T>>,
}

// SAFETY: values are shared by reference and dropped by whoever drops the array.
unsafe impl<T: Send + Sync> Send for Chunks<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Chunks<T> {}

impl<T> Chunks<T> {
    /// Room for indexes below `limit`, and no values.
    ///
    /// # Errors
    ///
    /// No memory.
    pub fn new(limit: u32) -> Result<Self, OutOfMemory> {
        let pieces = PoolSlice::from_fn((limit as usize).div_ceil(CHUNK), |_| {
            Piece(AtomicPtr::new(null_mut()))
        })?;
        Ok(Self { pieces })
    }

    /// The value at `index`, if there is one.
    #[inline]
    #[must_use]
    pub fn get(&self, index: u32) -> Option<&T> {
        let piece = self.pieces.get((index >> CHUNK_LOG2) as usize)?;
        // SAFETY: a piece stays where it is until the array is dropped.
        let chunk = unsafe { piece.0.load(Ordering::Acquire).as_ref() }?;
        chunk.0.get(index as usize % CHUNK)
    }

    /// Makes sure that there are values at `index` and around it, made by `make` of their indexes. At most `DISPATCH_LEVEL`;
    /// by several callers at a time.
    ///
    /// # Errors
    ///
    /// No memory, or an index beyond the limit.
    pub fn grow(&self, index: u32, make: impl Fn(u32) -> T) -> Result<&T, OutOfMemory> {
        let piece = self
            .pieces
            .get((index >> CHUNK_LOG2) as usize)
            .ok_or(OutOfMemory)?;
        if piece.0.load(Ordering::Acquire).is_null() {
            let first = index >> CHUNK_LOG2 << CHUNK_LOG2;
            let mut next = first;
            let values = core::array::from_fn(|_| {
                let value = make(next);
                next += 1;
                value
            });
            let new = PoolBox::new(Chunk(values))?.into_raw();
            let installed =
                piece
                    .0
                    .compare_exchange(null_mut(), new.as_ptr(), Ordering::AcqRel, Ordering::Relaxed);
            if installed.is_err() {
                // SAFETY: nobody else has seen it.
                drop(unsafe { PoolBox::from_raw(new) });
            }
        }
        self.get(index).ok_or(OutOfMemory)
    }

    /// All values that exist.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.pieces.iter().flat_map(|piece| {
            // SAFETY: a piece stays where it is until the array is dropped.
            let chunk = unsafe { piece.0.load(Ordering::Acquire).as_ref() };
            chunk.into_iter().flat_map(|chunk| chunk.0.iter())
        })
    }
}

impl<T> Drop for Chunks<T> {
    fn drop(&mut self) {
        for piece in self.pieces.iter() {
            if let Some(chunk) = NonNull::new(piece.0.load(Ordering::Acquire)) {
                // SAFETY: made by `grow`, and dropped once.
                drop(unsafe { PoolBox::from_raw(chunk) });
            }
        }
    }
}

impl shared::Table for Chunks<shared::Slot> {
    #[inline]
    fn slot(&self, index: u32) -> Option<&shared::Slot> {
        self.get(index)
    }
}

/// Addresses of objects, by number. It says nothing of how long they live.
pub struct Directory<T>(Chunks<AtomicPtr<T>>);

impl<T> Directory<T> {
    /// An empty directory of numbers below `limit`.
    ///
    /// # Errors
    ///
    /// No memory.
    pub fn new(limit: u32) -> Result<Self, OutOfMemory> {
        Chunks::new(limit).map(Self)
    }

    /// The object with this number.
    #[inline]
    #[must_use]
    pub fn get(&self, number: u32) -> Option<NonNull<T>> {
        NonNull::new(self.0.get(number)?.load(Ordering::Acquire))
    }

    /// Enters an object, in the place of one that may still be there.
    ///
    /// # Errors
    ///
    /// No memory, or a number beyond the limit.
    pub fn enter(&self, number: u32, object: NonNull<T>) -> Result<(), OutOfMemory> {
        let place = self.0.grow(number, |_| AtomicPtr::new(null_mut()))?;
        place.store(object.as_ptr(), Ordering::Release);
        Ok(())
    }

    /// Takes an object out, unless another one has taken its place.
    pub fn remove(&self, number: u32, object: NonNull<T>) {
        if let Some(place) = self.0.get(number) {
            let _replaced =
                place.compare_exchange(object.as_ptr(), null_mut(), Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    /// All objects.
    pub fn iter(&self) -> impl Iterator<Item = NonNull<T>> {
        self.0
            .iter()
            .filter_map(|place| NonNull::new(place.load(Ordering::Acquire)))
    }
}
