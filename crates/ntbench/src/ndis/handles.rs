//! NDIS handles: opaque values that mean something to the bench only. Dereferencing one faults, and using one after it
//! has been given back is a violation with the name of the call.

use crate::cpu::thread;
use crate::verifier::{BugCheck, Rule, Violation};
use parking_lot::Mutex;
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// `BUGCODE_NDIS_DRIVER`
pub const BUGCODE_NDIS_DRIVER: u32 = 0x7C;

/// Handles lie in a hole of the address space that no mapping can have.
const FIRST: u64 = 0xDEAD_0000_0000_0010;
const STRIDE: u64 = 0x10;

type Anything = Arc<dyn Any + Send + Sync>;

static NEXT: AtomicU64 = AtomicU64::new(FIRST);
static OPEN: Mutex<BTreeMap<u64, Anything>> = Mutex::new(BTreeMap::new());

/// Makes a handle for `object`.
pub fn open<T: Any + Send + Sync>(object: Arc<T>) -> u64 {
    let handle = NEXT.fetch_add(STRIDE, Ordering::Relaxed);
    OPEN.lock().insert(handle, object);
    handle
}

/// The object behind a handle that a driver has passed; a violation if there is none of that type.
#[must_use]
pub fn get<T: Any + Send + Sync>(handle: u64) -> Arc<T> {
    let object = OPEN.lock().get(&handle).cloned();
    object
        .and_then(|object| object.downcast::<T>().ok())
        .unwrap_or_else(|| invalid(handle))
}

/// Gives a handle back; a violation if it is not one of that type.
pub fn close<T: Any + Send + Sync>(handle: u64) -> Arc<T> {
    let object = get::<T>(handle);
    OPEN.lock().remove(&handle);
    object
}

fn invalid(handle: u64) -> ! {
    let call = thread::current_import().map_or("an NDIS function", |call| call.export.name);
    Violation::new(
        Rule::NdisHandle,
        BugCheck::new(BUGCODE_NDIS_DRIVER, [0x1, handle, 0, 0]),
        format!("{call} was called with handle {handle:#x}, which is not an open handle of the kind that it wants"),
    )
    .advice("Pass the handle that NDIS gave for this object, and do not use it after the call that gives it back.")
    .stop()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_finds_its_object_until_it_is_closed() {
        let first = open(Arc::new(7_u32));
        let second = open(Arc::new(String::from("other")));
        assert_ne!(first, second);
        assert_eq!(*get::<u32>(first), 7);
        assert_eq!(*close::<u32>(first), 7);
        assert_eq!(*get::<String>(second), "other");
        assert!(OPEN.lock().get(&first).is_none());
        drop(close::<String>(second));
    }
}
