//! Shared ownership of a value in pool.
#![expect(unsafe_code, reason = "a pool block that lives as long as its references")]

use core::mem::ManuallyDrop;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering, fence};

use super::{OutOfMemory, PoolBox, Pooled, Tag, free};

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

    /// Takes back the reference that [`PoolArc::into_raw`] gave to `raw`.
    ///
    /// # Safety
    ///
    /// `raw` holds such a reference, which is used up.
    #[must_use]
    pub unsafe fn from_raw(raw: NonNull<T>) -> Self {
        // SAFETY: the value is that field of its block, by the caller's promise.
        Self(unsafe { raw.byte_sub(core::mem::offset_of!(Counted<T>, value)) }.cast())
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
