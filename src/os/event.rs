//! Kernel events: how one thread waits for another.
#![expect(unsafe_code, reason = "dispatcher objects")]

use core::time::Duration;

use wdk_sys::ntddk::{KeClearEvent, KeInitializeEvent, KeSetEvent, KeWaitForSingleObject};
use wdk_sys::{_EVENT_TYPE, _KWAIT_REASON, _MODE, BOOLEAN, KEVENT, LARGE_INTEGER, STATUS_SUCCESS};

use super::irql::Passive;
use super::pool::{OutOfMemory, PoolBox, Pooled, Tag};
use super::time::hundred_ns;

/// `FALSE` of the C headers.
const FALSE: BOOLEAN = 0;

/// The dispatcher object, in a block of its own: other threads' wait blocks point to it, so it must not move.
struct Object(KEVENT);

impl Pooled for Object {
    const TAG: Tag = Tag::new(*b"VrEv");
}

/// A notification event: once set it lets every waiter through until it is reset.
pub struct Event(PoolBox<Object>);

// SAFETY: the kernel serialises all operations on a dispatcher object.
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Sync for Event {}

impl Event {
    /// An event that is not set. At most `DISPATCH_LEVEL`.
    ///
    /// # Errors
    ///
    /// No memory.
    pub fn new() -> Result<Self, OutOfMemory> {
        let mut object = PoolBox::new(Object(KEVENT::default()))?;
        // SAFETY: the block is ours, in non-paged memory, and does not move afterwards.
        unsafe { KeInitializeEvent(&raw mut object.0, _EVENT_TYPE::NotificationEvent, FALSE) };
        Ok(Self(object))
    }

    fn raw(&self) -> *mut KEVENT {
        (&raw const self.0.0).cast_mut()
    }

    /// Sets it. At most `DISPATCH_LEVEL`.
    pub fn set(&self) {
        // SAFETY: an initialised event; no wait follows at raised IRQL (third argument).
        unsafe { KeSetEvent(self.raw(), 0, FALSE) };
    }

    /// Clears it. At most `DISPATCH_LEVEL`.
    pub fn reset(&self) {
        // SAFETY: an initialised event.
        unsafe { KeClearEvent(self.raw()) };
    }

    /// Waits until it is set, for `timeout` at most; whether it was set in time.
    #[must_use]
    pub fn wait(&self, passive: &Passive, timeout: Duration) -> bool {
        passive.check();
        // A negative time is relative to now.
        let mut due = LARGE_INTEGER {
            QuadPart: -hundred_ns(timeout),
        };
        // SAFETY: an initialised event, at PASSIVE_LEVEL, and a time that outlives the call.
        let status = unsafe { self.wait_until(&raw mut due) };
        status == STATUS_SUCCESS
    }

    /// Waits until it is set, however long that takes. Only where the documents demand it: closing an NDK adapter
    /// waits for its consumer.
    pub fn wait_forever(&self, passive: &Passive) {
        passive.check();
        // SAFETY: an initialised event, at PASSIVE_LEVEL; null means no time limit.
        unsafe { self.wait_until(core::ptr::null_mut()) };
    }

    /// # Safety
    ///
    /// At `PASSIVE_LEVEL`; `due` is null or points to a time.
    unsafe fn wait_until(&self, due: *mut LARGE_INTEGER) -> wdk_sys::NTSTATUS {
        const {
            // The mode is a byte on the call and an enumeration in the bindings.
            assert!(_MODE::KernelMode == 0);
        }
        // SAFETY: the caller's promises.
        unsafe { KeWaitForSingleObject(self.raw().cast(), _KWAIT_REASON::Executive, 0, FALSE, due) }
    }
}
