//! How consumers learn of the end of what they asked for: tokens that are used up by telling them.
//!
//! A function that answers anything but `STATUS_PENDING` calls nobody back; one that pends calls back exactly once. The
//! token goes the one way or the other, and keeps the object until the callback has returned, so that a close waits for it.
#![expect(unsafe_code, reason = "calls consumers back")]

use super::object::{Object, ObjectRef};
use core::ffi::c_void;
use core::ptr::NonNull;
use ndk_sys::{NDK_FN_CREATE_COMPLETION, NDK_FN_REQUEST_COMPLETION, NTSTATUS, STATUS_SUCCESS};

/// The end of a request on an object.
#[must_use]
pub struct Completion<T: Object> {
    /// Taken when it is used.
    object: Option<ObjectRef<T>>,
    callback: Option<NDK_FN_REQUEST_COMPLETION>,
    context: *mut c_void,
}

// SAFETY: the context is only handed back to the consumer, from any thread (NDKPI callbacks).
unsafe impl<T: Object + Sync> Send for Completion<T> {}

impl<T: Object> Completion<T> {
    /// Of a request on `object`; `callback` and `context` are those of the NDK function.
    pub fn new(
        object: &ObjectRef<T>,
        callback: Option<NDK_FN_REQUEST_COMPLETION>,
        context: *mut c_void,
    ) -> Self {
        Self {
            object: Some(object.clone()),
            callback,
            context,
        }
    }

    /// The object.
    pub fn object(&self) -> Option<&ObjectRef<T>> {
        self.object.as_ref()
    }

    /// The function answers by itself: what it returns.
    #[must_use]
    pub fn inline(mut self, status: NTSTATUS) -> NTSTATUS {
        drop(self.object.take());
        status
    }

    /// The function has answered `STATUS_PENDING`, or will: calls back. At most `DISPATCH_LEVEL`, without a lock. Of the object
    /// nothing may be touched afterwards without a reference.
    pub fn complete(mut self, status: NTSTATUS) {
        let object = self.object.take();
        if let Some(callback) = self.callback {
            // SAFETY: the consumer's callback with its context; this is the only call.
            unsafe { callback(self.context, status) };
        }
        drop(object);
    }
}

impl<T: Object> Drop for Completion<T> {
    fn drop(&mut self) {
        debug_assert!(self.object.is_none(), "a request that is never completed");
    }
}

/// The end of a creation: the object goes to the consumer, or away.
#[must_use]
pub struct Creation<T: Object> {
    /// Taken when it is used.
    object: Option<ObjectRef<T>>,
    callback: NDK_FN_CREATE_COMPLETION,
    context: *mut c_void,
}

// SAFETY: as for `Completion`.
unsafe impl<T: Object + Sync> Send for Creation<T> {}

impl<T: Object> Creation<T> {
    /// Of `object`, whose only reference this is.
    pub fn new(object: ObjectRef<T>, callback: NDK_FN_CREATE_COMPLETION, context: *mut c_void) -> Self {
        Self {
            object: Some(object),
            callback,
            context,
        }
    }

    /// The object.
    pub fn object(&self) -> Option<&ObjectRef<T>> {
        self.object.as_ref()
    }

    /// The function answers by itself: what it returns. Success goes out through `out`.
    ///
    /// # Safety
    /// `out` is valid, and `P` is the public structure of `T`.
    #[must_use]
    pub unsafe fn inline<P>(mut self, result: Result<(), NTSTATUS>, out: NonNull<*mut P>) -> NTSTATUS {
        match (result, self.object.take()) {
            (Ok(()), Some(object)) => {
                // SAFETY: valid (caller).
                unsafe { out.write(object.into_consumer()) };
                STATUS_SUCCESS
            }
            (result, object) => {
                if let Some(object) = object {
                    object.discard();
                }
                result.err().unwrap_or(STATUS_SUCCESS)
            }
        }
    }

    /// The function has answered `STATUS_PENDING`, or will: calls back, with the object if `result` is success. At most
    /// `DISPATCH_LEVEL`, without a lock.
    pub fn complete(mut self, result: Result<(), NTSTATUS>) {
        let Some(object) = self.object.take() else { return };
        let (status, object) = match result {
            Ok(()) => (STATUS_SUCCESS, object.into_consumer()),
            Err(status) => {
                object.discard();
                (status, core::ptr::null_mut())
            }
        };
        // SAFETY: the consumer's callback with its context; the object is the consumer's from here on.
        unsafe { (self.callback)(self.context, status, object) };
    }
}

impl<T: Object> Drop for Creation<T> {
    fn drop(&mut self) {
        debug_assert!(self.object.is_none(), "a creation that is never completed");
    }
}
