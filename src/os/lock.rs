//! A spin lock that owns what it protects.
#![expect(unsafe_code, reason = "executive spin locks")]

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

use wdk_sys::KSPIN_LOCK;
use wdk_sys::ntddk::{KeAcquireSpinLockRaiseToDpc, KeReleaseSpinLock};

/// An executive spin lock around a value. Holding it means running at `DISPATCH_LEVEL`: nothing waits, and no callback of a
/// consumer and no NDIS upcall is made, while a guard lives.
pub struct SpinLock<T> {
    /// Zero is the initial state, as `KeInitializeSpinLock` sets it.
    lock: UnsafeCell<KSPIN_LOCK>,
    value: UnsafeCell<T>,
}

// SAFETY: the lock hands the value out to one processor at a time, so only the right to move it is needed.
unsafe impl<T: Send> Send for SpinLock<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SpinLock<T> {}

impl<T> SpinLock<T> {
    /// A free lock.
    pub const fn new(value: T) -> Self {
        Self {
            lock: UnsafeCell::new(0),
            value: UnsafeCell::new(value),
        }
    }

    /// Raises to `DISPATCH_LEVEL` and takes the lock; dropping the guard undoes both. At most `DISPATCH_LEVEL`; not
    /// recursive.
    pub fn lock(&self) -> SpinGuard<'_, T> {
        // SAFETY: the word lives as long as `self`, was initialised to zero, and is used by these two functions only.
        let irql = unsafe { KeAcquireSpinLockRaiseToDpc(self.lock.get()) };
        SpinGuard {
            lock: self,
            irql,
            not_send: PhantomData,
        }
    }
}

/// A held [`SpinLock`].
pub struct SpinGuard<'a, T> {
    lock: &'a SpinLock<T>,
    /// What to go back to.
    irql: u8,
    /// The IRQL belongs to the processor: the guard stays where it was made.
    not_send: PhantomData<*const ()>,
}

impl<T> Deref for SpinGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the lock is held for as long as the guard lives.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for SpinGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held for as long as the guard lives, and the guard is borrowed exclusively.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for SpinGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: this guard took the lock and saved the IRQL.
        unsafe { KeReleaseSpinLock(self.lock.lock.get(), self.irql) };
    }
}
