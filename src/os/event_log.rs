//! The system's event log.
#![expect(unsafe_code, reason = "writes event log records")]

use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};

use super::bytes_of;
use ndk_sys::{DRIVER_OBJECT, imports::ndis};

/// Whose events they are: set by `DriverEntry`.
static DRIVER: AtomicPtr<DRIVER_OBJECT> = AtomicPtr::new(null_mut());

/// Longest text of a record, in UTF-16 units with the terminator. The record as a whole has room for some 120.
const MAX_TEXT: usize = 72;

/// Kinds of events: those of [`ndk_sys`]'s `EVENT_NDIS_…`, whose messages the system has (netevent.dll).
pub type EventCode = u32;

/// Names the driver object that events belong to; null when there is none (any more).
pub fn set_driver(driver: *mut DRIVER_OBJECT) {
    DRIVER.store(driver, Ordering::Release);
}

/// Writes a record: the kind's message with `text` (ASCII, cut to 71 characters), and `data` as the dump. At most
/// `DISPATCH_LEVEL`. A record that cannot be written is lost, as the log promises no more.
pub fn write(event: EventCode, text: &str, data: u32) {
    wdk::println!("vrnic: {text} ({data:#x})");
    let driver = DRIVER.load(Ordering::Acquire);
    if driver.is_null() {
        return;
    }
    let mut units = [0u16; MAX_TEXT];
    for (unit, byte) in units[..MAX_TEXT - 1].iter_mut().zip(text.bytes()) {
        *unit = byte.into();
    }
    let mut strings: [*mut c_void; 1] = [units.as_mut_ptr().cast()];
    let mut dump = data.to_le_bytes();
    // SAFETY: a driver object that lives until unload, one string and a dump of the lengths that are passed.
    let _ = unsafe {
        ndis::NdisWriteEventLogEntry(
            driver.cast(),
            event.cast_signed(),
            0,
            1,
            strings.as_mut_ptr().cast(),
            bytes_of::<[u8; 4]>(),
            dump.as_mut_ptr().cast(),
        )
    };
}
