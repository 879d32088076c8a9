//! The processors of the machine.
#![expect(unsafe_code, reason = "asks the kernel")]

use wdk_sys::ntddk::KeQueryActiveProcessorCountEx;

/// All processor groups together (ntdef.h).
const ALL_PROCESSOR_GROUPS: u16 = 0xFFFF;

/// Processors that are active, at least one. Any IRQL.
#[must_use]
pub fn count() -> u32 {
    // SAFETY: a number.
    unsafe { KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS) }.max(1)
}
