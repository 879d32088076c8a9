//! One piece of work for a system thread at `PASSIVE_LEVEL`, with what it needs.
//!
//! Unlike a [`super::work::Worker`], several of them run at a time, and each only once.
#![expect(unsafe_code, reason = "NDIS work items and their callback")]

use core::ffi::c_void;
use core::ptr::NonNull;

use ndk_sys::{NDIS_HANDLE, imports::ndis};

use super::handle::AdapterHandle;
use super::irql::Passive;
use super::pool::{OutOfMemory, PoolBox, Pooled};

/// What is to be done.
pub trait Task: Pooled + Send + Sized {
    /// Does it. What the task holds must keep the adapter from halting until this returns.
    fn run(self, passive: &Passive);
}

/// A work item that waits to be queued. Dropping it frees it.
pub struct WorkItem(NDIS_HANDLE);

// SAFETY: the handle may be used on any thread.
unsafe impl Send for WorkItem {}

impl WorkItem {
    /// A work item of the adapter. At most `DISPATCH_LEVEL`.
    ///
    /// # Errors
    ///
    /// No memory.
    pub fn new(adapter: AdapterHandle) -> Result<Self, OutOfMemory> {
        // SAFETY: a valid adapter handle.
        let item = unsafe { ndis::NdisAllocateIoWorkItem(adapter.raw()) };
        if item.is_null() {
            return Err(OutOfMemory);
        }
        Ok(Self(item))
    }

    /// Has `task` done. At most `DISPATCH_LEVEL`; cannot fail.
    pub fn queue<T: Task>(self, task: PoolBox<T>) {
        let context = task.into_raw().as_ptr().cast();
        // SAFETY: the item is not queued, and the context is the function's from here on.
        unsafe { ndis::NdisQueueIoWorkItem(self.0, Some(run::<T>), context) };
        core::mem::forget(self); // The function frees it.
    }
}

impl Drop for WorkItem {
    fn drop(&mut self) {
        // SAFETY: allocated, and not queued (any more).
        unsafe { ndis::NdisFreeIoWorkItem(self.0) };
    }
}

/// `NdisIoWorkItemFunction`.
unsafe extern "system" fn run<T: Task>(context: *mut c_void, item: NDIS_HANDLE) {
    // The work item can be freed from its own function on, and must be before the task lets the adapter go.
    drop(WorkItem(item));
    let Some(task) = NonNull::new(context.cast::<T>()) else {
        return;
    };
    // SAFETY: the context is the task that `queue` gave up.
    let task = unsafe { PoolBox::from_raw(task) };
    // SAFETY: work items run at PASSIVE_LEVEL.
    let passive = unsafe { Passive::assume() };
    task.into_inner().run(&passive);
}
