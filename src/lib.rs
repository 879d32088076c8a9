//! `vrnic.sys`: an NDIS miniport and NDK provider. This file has the entry point and the list of modules.
#![cfg_attr(windows, no_std)]

pub mod cm;

#[cfg(windows)]
mod entry {
    #![expect(unsafe_code, reason = "the entry point and the import it calls are FFI")]

    use wdk_alloc::WdkAllocator;
    use wdk_panic as _;
    use wdk_sys::{DRIVER_OBJECT, NTSTATUS, PCUNICODE_STRING, STATUS_NOT_SUPPORTED, STATUS_SUCCESS};

    #[global_allocator]
    static ALLOCATOR: WdkAllocator = WdkAllocator;

    unsafe extern "system" {
        fn NdisGetVersion() -> u32;
    }

    /// What Windows calls after it has loaded the image, at `PASSIVE_LEVEL`.
    #[unsafe(no_mangle)]
    #[unsafe(link_section = "INIT")]
    extern "system" fn DriverEntry(_driver: *mut DRIVER_OBJECT, _registry_path: PCUNICODE_STRING) -> NTSTATUS {
        // SAFETY: callable at any IRQL, no arguments.
        let version = unsafe { NdisGetVersion() };
        if version >= 0x0006_001e { STATUS_SUCCESS } else { STATUS_NOT_SUPPORTED }
    }
}
