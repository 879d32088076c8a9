//! A value that is set once while others may already be looking.
#![expect(unsafe_code, reason = "shares a cell between one writer and later readers")]

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU8, Ordering};

const EMPTY: u8 = 0;
const WRITING: u8 = 1;
const SET: u8 = 2;

/// A cell that goes from empty to set once. Reading is one load; any IRQL.
pub struct SetOnce<T> {
    state: AtomicU8,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: moving the cell moves the value.
unsafe impl<T: Send> Send for SetOnce<T> {}
// SAFETY: readers get shared references (`Sync`), and the writer hands its value over (`Send`).
unsafe impl<T: Send + Sync> Sync for SetOnce<T> {}

#[expect(
    clippy::new_without_default,
    reason = "always in a structure that is made field by field"
)]
impl<T> SetOnce<T> {
    /// An empty cell.
    pub const fn new() -> Self {
        Self {
            state: AtomicU8::new(EMPTY),
            value: UnsafeCell::new(None),
        }
    }

    /// Sets the value, or gives it back if there already is one.
    ///
    /// # Errors
    ///
    /// The value, when the cell is set.
    pub fn set(&self, value: T) -> Result<(), T> {
        if self
            .state
            .compare_exchange(EMPTY, WRITING, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            return Err(value);
        }
        // SAFETY: only the caller that moved the state to WRITING gets here, and readers wait for SET.
        unsafe { *self.value.get() = Some(value) };
        self.state.store(SET, Ordering::Release);
        Ok(())
    }

    /// The value, if it has been set.
    pub fn get(&self) -> Option<&T> {
        if self.state.load(Ordering::Acquire) != SET {
            return None;
        }
        // SAFETY: SET is stored after the value and the value does not change while `self` is borrowed.
        unsafe { (*self.value.get()).as_ref() }
    }
}
