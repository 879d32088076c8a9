//! Periodic timers.
#![expect(unsafe_code, reason = "NDIS timer objects and their callback")]

use core::ffi::c_void;
use core::ptr::NonNull;
use core::time::Duration;

use ndk_sys::NDIS_STATUS_SUCCESS;
use ndk_sys::{
    LARGE_INTEGER, NDIS_HANDLE, NDIS_OBJECT_HEADER, NDIS_OBJECT_TYPE_TIMER_CHARACTERISTICS,
    NDIS_SIZEOF_TIMER_CHARACTERISTICS_REVISION_1, NDIS_STATUS, NDIS_TIMER_CHARACTERISTICS,
    NDIS_TIMER_CHARACTERISTICS_REVISION_1, imports::ndis,
};

use super::handle::AdapterHandle;
use super::irql::Passive;
use super::pool::{PoolArc, Pooled};
use super::time::hundred_ns;

/// Pool tag of the memory that NDIS allocates for the timer.
const TAG: u32 = u32::from_le_bytes(*b"VrTm");

/// In units of 100 ns.
const UNITS_PER_MILLISECOND: i64 = 10_000;

/// What a [`Timer`] calls.
pub trait TimerTarget: Pooled + Send + Sync {
    /// The period is over. `DISPATCH_LEVEL`.
    fn on_timer(&self);
}

/// A running periodic timer. It keeps its target alive; dropping it at `PASSIVE_LEVEL` stops it, and no callback runs
/// or will run when that is done.
pub struct Timer<T: TimerTarget> {
    object: NDIS_HANDLE,
    /// The reference that the callback uses.
    target: NonNull<T>,
}

// SAFETY: a handle, and a reference to something that may be shared.
unsafe impl<T: TimerTarget> Send for Timer<T> {}
// SAFETY: as above.
unsafe impl<T: TimerTarget> Sync for Timer<T> {}

impl<T: TimerTarget> Timer<T> {
    /// Starts to call `target` every `period` (whole milliseconds, at least one).
    ///
    /// # Errors
    ///
    /// What NDIS says: no resources.
    pub fn start(
        passive: &Passive,
        adapter: AdapterHandle,
        target: PoolArc<T>,
        period: Duration,
    ) -> Result<Self, NDIS_STATUS> {
        passive.check();
        let target = target.into_raw();
        let mut characteristics = NDIS_TIMER_CHARACTERISTICS {
            Header: NDIS_OBJECT_HEADER {
                Type: NDIS_OBJECT_TYPE_TIMER_CHARACTERISTICS,
                Revision: NDIS_TIMER_CHARACTERISTICS_REVISION_1,
                Size: NDIS_SIZEOF_TIMER_CHARACTERISTICS_REVISION_1,
            },
            AllocationTag: TAG,
            TimerFunction: Some(timer_function::<T>),
            FunctionContext: target.as_ptr().cast(),
        };
        let mut object = core::ptr::null_mut();
        // SAFETY: a valid handle, a filled structure, and a place for the result.
        let status = unsafe {
            ndis::NdisAllocateTimerObject(adapter.raw(), &raw mut characteristics, &raw mut object)
        };
        if status != NDIS_STATUS_SUCCESS {
            // SAFETY: the reference of `into_raw`; no callback has it.
            drop(unsafe { PoolArc::from_raw(target) });
            return Err(status);
        }
        let milliseconds = i32::try_from(hundred_ns(period) / UNITS_PER_MILLISECOND)
            .unwrap_or(i32::MAX)
            .max(1);
        // A negative time is relative to now.
        let due = LARGE_INTEGER {
            QuadPart: -hundred_ns(period),
        };
        // SAFETY: a timer object; null keeps the context that it was allocated with.
        unsafe { ndis::NdisSetTimerObject(object, due, milliseconds, core::ptr::null_mut()) };
        Ok(Self { object, target })
    }
}

impl<T: TimerTarget> Drop for Timer<T> {
    fn drop(&mut self) {
        // For a periodic timer this also waits until no callback runs (and demands PASSIVE_LEVEL for it).
        // SAFETY: the object is allocated.
        unsafe { ndis::NdisCancelTimerObject(self.object) };
        // SAFETY: allocated, and not running.
        unsafe { ndis::NdisFreeTimerObject(self.object) };
        // SAFETY: the reference of `start`; no callback uses it any more.
        drop(unsafe { PoolArc::from_raw(self.target) });
    }
}

/// `NetTimerCallback`.
unsafe extern "system" fn timer_function<T: TimerTarget>(
    _system1: *mut c_void,
    context: *mut c_void,
    _system2: *mut c_void,
    _system3: *mut c_void,
) {
    // SAFETY: the context is the target, kept alive by the `Timer`.
    unsafe { &*context.cast::<T>() }.on_timer();
}
