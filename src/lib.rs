//! `vrnic.sys`: an NDIS miniport and NDK provider. This file has the entry point and the list of modules.
//!
//! | module | what it is |
//! |---|---|
//! | `os` | the operating system: the only folder that calls ntoskrnl, NDIS and NETIO |
//! | [`ndis`] | the miniport |
//! | [`ndk`] | the NDK provider |
//! | [`cm`] | the InfiniBand connection manager as a pure state machine |
//! | [`nic`] | the hardware |
//! | [`status`] | firmware results as NTSTATUS |
#![cfg_attr(windows, no_std)]

pub mod cm;
pub mod ndis;
pub mod ndk;
pub mod nic;
pub mod os;
pub mod status;

#[cfg(windows)]
mod entry {
    #![expect(unsafe_code, reason = "the entry point is called from outside")]

    use ndk_sys::{DRIVER_OBJECT, NTSTATUS, UNICODE_STRING};
    use wdk_alloc::WdkAllocator;
    use wdk_panic as _;

    #[global_allocator]
    static ALLOCATOR: WdkAllocator = WdkAllocator;

    /// What Windows calls after it has loaded the image, at `PASSIVE_LEVEL`. Discarded afterwards.
    #[unsafe(no_mangle)]
    #[unsafe(link_section = "INIT")]
    unsafe extern "system" fn DriverEntry(
        driver: *mut DRIVER_OBJECT,
        registry_path: *mut UNICODE_STRING,
    ) -> NTSTATUS {
        // SAFETY: Windows passes both, and calls this once.
        unsafe { crate::ndis::driver::register(driver, registry_path) }
    }
}
