//! `wrong.sys`: a driver that breaks one rule, to show that the bench's verifier notices it.
//!
//! The last component of the registry path, which is the name of the service, chooses the fault: see [`faults`].
#![cfg_attr(windows, no_std)]
#![cfg(windows)]

mod dma;
mod faults;
mod kernel;
mod miniport;
mod net;
mod provider;
mod service;

use wdk_alloc::WdkAllocator;
use wdk_panic as _;
use wdk_sys::{DRIVER_OBJECT, NTSTATUS, PCUNICODE_STRING, STATUS_OBJECT_NAME_NOT_FOUND};

#[global_allocator]
static ALLOCATOR: WdkAllocator = WdkAllocator;

/// Finds the fault that the name of the service asks for, and lets it happen.
///
/// Returns what the fault returns, or `STATUS_OBJECT_NAME_NOT_FOUND` if there is none of that name. `PASSIVE_LEVEL`.
///
/// # Safety
/// The arguments are those that Windows gives a driver's entry point.
#[expect(unsafe_code, reason = "the entry point is FFI")]
#[unsafe(no_mangle)]
#[unsafe(link_section = "INIT")]
pub unsafe extern "system" fn DriverEntry(
    driver: *mut DRIVER_OBJECT,
    registry_path: PCUNICODE_STRING,
) -> NTSTATUS {
    // SAFETY: the registry path is valid for the length of this call.
    let name = unsafe { service::name(registry_path) };
    let load = faults::Load {
        driver: driver.cast(),
        registry_path,
    };
    faults::happen(name, &load).unwrap_or(STATUS_OBJECT_NAME_NOT_FOUND)
}
