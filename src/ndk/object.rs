//! What all NDK objects share: header, reference counting, close.
//!
//! An object is allocated by the provider, begins with its public part (header and dispatch table) and is found again
//! from that pointer, never through `Dispatch`, which a consumer may replace. `NdkReserved` belongs to the consumer's
//! side until close. Every object is kept by [`ObjectRef`]s; the consumer owns one of them, and closing gives it back.
//!
//! `NdkCloseObject` always answers `STATUS_PENDING` and completes through its callback, which may come before it
//! returns: so there is one path, and an antecedent (whose reference the object holds) can never complete its own close
//! before the object's close callback has returned.
#![expect(unsafe_code, reason = "objects live in raw memory that consumers point to")]

use super::lifetime::Lifetime;
use crate::os::pool::{OutOfMemory, PoolBox, Pooled};
use core::cell::Cell;
use core::ffi::c_void;
use core::mem::ManuallyDrop;
use core::ops::Deref;
use core::ptr::{self, NonNull};
use ndk_sys::{
    GUID, NDK_EXTENSION_INTERFACE, NDK_FN_CLOSE_COMPLETION, NDK_OBJECT_HEADER,
    NDK_OBJECT_HEADER_RESERVED_BLOCK, NDK_OBJECT_TYPE, NDK_VERSION, NTSTATUS, STATUS_NOT_SUPPORTED,
    STATUS_PENDING,
};

/// An object that a consumer can hold.
///
/// # Safety
/// The type is `repr(C)` and begins with its public NDK structure, which begins with the [`NDK_OBJECT_HEADER`].
pub unsafe trait Object: Pooled + Sized {
    /// The object's reference count and close request.
    fn common(&self) -> &Common;

    /// The consumer has closed the object: stop what would bring new callbacks. References may remain.
    fn closing(&self) {}

    /// The last reference is gone: free what successors have used until now. The close callback comes after this.
    fn retire(&self) {}

    /// Ends the object, whose last reference is gone.
    fn finish(object: PoolBox<Self>) {
        conclude(object);
    }
}

/// The end of an object: its close callback, then its memory, and with it its references to its antecedents.
pub fn conclude<T: Object>(object: PoolBox<T>) {
    object.retire();
    if let Some((Some(completion), context)) = object.common().close.take() {
        // SAFETY: the consumer's callback, with the context that it gave for it; this is the only call.
        unsafe { completion(context) };
    }
    drop(object);
}

/// The part of every object behind its public structure.
pub struct Common {
    lifetime: Lifetime,
    /// Written once, by the close, before the stop bit; read by whoever drops the last reference.
    close: Cell<Option<(Option<NDK_FN_CLOSE_COMPLETION>, *mut c_void)>>,
}

// SAFETY: `close` is written by one thread before `Lifetime::stop` releases it, and read by one thread after the last
// `Lifetime::release` has acquired it.
unsafe impl Sync for Common {}
// SAFETY: the consumer's context pointer is only handed back to the consumer, from any thread (NDKPI callbacks).
unsafe impl Send for Common {}

impl Common {
    pub const fn new() -> Self {
        Self {
            lifetime: Lifetime::new(),
            close: Cell::new(None),
        }
    }

    /// The consumer has closed the object: see [`Lifetime::stop`].
    pub fn stop(&self) {
        self.lifetime.stop();
    }

    /// Whether the consumer has closed the object.
    pub fn is_closing(&self) -> bool {
        self.lifetime.is_closing()
    }
}

/// The header of a new object: `NdkReserved` is zeroed here and not touched again (`NDK_OBJECT_HEADER`).
pub fn header(version: NDK_VERSION, kind: NDK_OBJECT_TYPE) -> NDK_OBJECT_HEADER {
    NDK_OBJECT_HEADER {
        Version: version,
        ObjectType: kind,
        NdkReserved: NDK_OBJECT_HEADER_RESERVED_BLOCK {
            rf: [ptr::null_mut(); 4],
        },
    }
}

/// A counted reference to an object.
pub struct ObjectRef<T: Object>(NonNull<T>);

// SAFETY: the count is atomic, and the object is shared between threads by design.
unsafe impl<T: Object + Sync> Send for ObjectRef<T> {}
// SAFETY: as above; a shared `ObjectRef` gives shared access only.
unsafe impl<T: Object + Sync> Sync for ObjectRef<T> {}

impl<T: Object> ObjectRef<T> {
    /// Moves `object` to pool memory; the returned reference is the consumer's.
    pub fn new(object: T) -> Result<Self, OutOfMemory> {
        Ok(Self(PoolBox::new(object)?.into_raw()))
    }

    /// Ends an object that no consumer has got: this is its only reference.
    pub fn discard(self) {
        self.common().stop();
    }

    /// Where the object is, for tables; no reference.
    pub fn place(&self) -> NonNull<T> {
        self.0
    }

    /// A reference to the object at `place`, unless its consumer has closed it.
    ///
    /// # Safety
    /// It is alive: it leaves the table that `place` comes from, with the table's lock held, before it ends.
    pub unsafe fn upgrade(place: NonNull<T>) -> Option<Self> {
        // SAFETY: alive (caller).
        let object = unsafe { place.as_ref() };
        object.common().lifetime.try_acquire().then_some(Self(place))
    }

    /// As [`ObjectRef::upgrade`], also if the consumer has closed it, as long as somebody else keeps it.
    ///
    /// # Safety
    /// As for [`ObjectRef::upgrade`].
    pub unsafe fn revive(place: NonNull<T>) -> Option<Self> {
        // SAFETY: alive (caller).
        let object = unsafe { place.as_ref() };
        object.common().lifetime.revive().then_some(Self(place))
    }

    /// Gives the reference to the consumer as a pointer to the public part.
    pub fn into_consumer<P>(self) -> *mut P {
        self.into_consumer_non_null().as_ptr()
    }

    /// As [`ObjectRef::into_consumer`], for callers that cannot take null.
    pub fn into_consumer_non_null<P>(self) -> NonNull<P> {
        let raw = self.0.cast();
        core::mem::forget(self);
        raw
    }

    /// Takes back what [`ObjectRef::into_consumer`] gave.
    ///
    /// # Safety
    /// `object` came from [`ObjectRef::into_consumer`] of the same type, and the consumer has not given it back before.
    pub unsafe fn from_consumer<P>(object: *mut P) -> Self {
        // SAFETY: the consumer's pointer is never null (caller).
        Self(unsafe { NonNull::new_unchecked(object.cast()) })
    }
}

impl<T: Object> Deref for ObjectRef<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the reference that `self` counts keeps the object alive.
        unsafe { self.0.as_ref() }
    }
}

impl<T: Object> Clone for ObjectRef<T> {
    fn clone(&self) -> Self {
        self.common().lifetime.acquire();
        Self(self.0)
    }
}

impl<T: Object> Drop for ObjectRef<T> {
    fn drop(&mut self) {
        if self.common().lifetime.release() {
            // SAFETY: the pointer came from `PoolBox::into_raw`, and the last reference is gone.
            T::finish(unsafe { PoolBox::from_raw(self.0) });
        }
    }
}

/// The object behind a consumer's pointer, for the time of one call.
///
/// # Safety
/// `object` came from [`ObjectRef::into_consumer`] of the same type, and the consumer does not close it before the
/// call that it is used in returns, unless from a callback during which the callee holds a reference of its own.
pub unsafe fn borrow<'a, T: Object, P>(object: *mut P) -> &'a T {
    // SAFETY: the consumer's reference keeps the object alive for the call (caller).
    unsafe { &*object.cast::<T>() }
}

/// As [`borrow`], but so that further references can be made of it.
///
/// # Safety
/// As [`borrow`].
pub unsafe fn reference<T: Object, P>(object: *mut P) -> ManuallyDrop<ObjectRef<T>> {
    // SAFETY: the consumer keeps its reference: this copy of it is never dropped.
    ManuallyDrop::new(unsafe { ObjectRef::from_consumer(object) })
}

/// `NDK_FN_CLOSE_OBJECT` of every object type.
pub unsafe extern "system" fn close<T: Object>(
    object: *mut NDK_OBJECT_HEADER,
    completion: Option<NDK_FN_CLOSE_COMPLETION>,
    context: *mut c_void,
) -> NTSTATUS {
    // SAFETY: close is the last call that a consumer makes with its pointer, which has been its reference.
    let object = unsafe { ObjectRef::<T>::from_consumer(object) };
    object.common().close.set(Some((completion, context)));
    object.common().stop();
    object.closing();
    drop(object);
    STATUS_PENDING
}

/// `NDK_FN_QUERY_EXTENSION_INTERFACE` of every object type: no extension exists.
pub unsafe extern "system" fn query_extension(
    _object: *mut NDK_OBJECT_HEADER,
    _guid: *mut GUID,
    _version: NDK_VERSION,
    _interface: *mut NDK_EXTENSION_INTERFACE,
) -> NTSTATUS {
    STATUS_NOT_SUPPORTED
}
