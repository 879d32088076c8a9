//! What is about memory: the adapter's information, logical address mappings, and regions.

use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicU32, Ordering};

use ndk_sys::{
    MDL, NDK_ADAPTER, NDK_ADAPTER_INFO, NDK_FN_CREATE_COMPLETION, NDK_FN_REQUEST_COMPLETION,
    NDK_LOGICAL_ADDRESS_MAPPING, NDK_MR, NDK_MR_DISPATCH, NDK_PD, NTSTATUS, NdkObjectTypeMr,
    STATUS_BUFFER_TOO_SMALL, STATUS_NOT_SUPPORTED, STATUS_SUCCESS,
};

use super::{Object, acquire, close_object, new, object, query_extension};
use crate::faults::is;
use crate::kernel::{self, number, peek, poke};

const PAGE: usize = 4096;

/// `NDK_FN_QUERY_ADAPTER_INFO`
pub unsafe extern "system" fn query_info(
    adapter: *mut NDK_ADAPTER,
    out: *mut NDK_ADAPTER_INFO,
    size: *mut u32,
) -> NTSTATUS {
    let needed = u32::try_from(size_of::<NDK_ADAPTER_INFO>()).unwrap_or(0);
    let room: u32 = peek(number(size));
    poke(number(size), needed);
    if room < needed {
        return STATUS_BUFFER_TOO_SMALL;
    }
    let mut info = NDK_ADAPTER_INFO::zeroed();
    info.Version = object(adapter.cast::<Object>()).header.Version;
    info.FRMRPageCount = if is("NdkAdapterInfo") { 8 } else { 16 };
    poke(number(out), info);
    STATUS_SUCCESS
}

/// `NDK_FN_BUILD_LAM`: the addresses mean nothing, as nothing is ever accessed.
pub unsafe extern "system" fn build_lam(
    _: *mut NDK_ADAPTER,
    mdl: *mut MDL,
    length: usize,
    _: Option<NDK_FN_REQUEST_COMPLETION>,
    _: *mut c_void,
    out: *mut NDK_LOGICAL_ADDRESS_MAPPING,
    size: *mut u32,
    offset_out: *mut u32,
) -> NTSTATUS {
    // MDL: flags at offset 10, offset in the first page at offset 44.
    let offset: u32 = peek(number(mdl) + 44);
    if is("NdkMdlChanged") {
        let flags: u16 = peek(number(mdl) + 10);
        poke(number(mdl) + 10, flags | 1);
    }
    let pages = (offset as usize + length).div_ceil(PAGE);
    let needed = u32::try_from(16 + 8 * pages).unwrap_or(0);
    let room: u32 = peek(number(size));
    poke(number(size), needed);
    if room < needed {
        return STATUS_BUFFER_TOO_SMALL;
    }
    let out = number(out);
    poke(out, 0_usize);
    poke(out + 8, u32::try_from(pages).unwrap_or(0));
    for page in 0..pages {
        let address = (page + 1) * PAGE + usize::from(is("NdkLam"));
        poke(out + 16 + 8 * page, address);
    }
    poke(number(offset_out), offset);
    STATUS_SUCCESS
}

/// `NDK_FN_RELEASE_LAM`
pub unsafe extern "system" fn release_lam(_: *mut NDK_ADAPTER, _: *mut NDK_LOGICAL_ADDRESS_MAPPING) {}

static MR: NDK_MR_DISPATCH = NDK_MR_DISPATCH {
    NdkCloseMr: Some(close_object),
    NdkQueryExtension: Some(query_extension),
    NdkRegisterMr: Some(register),
    NdkDeregisterMr: Some(deregister),
    NdkInitializeFastRegisterMr: Some(initialize_fast_register),
    NdkGetRemoteTokenFromMr: Some(token),
    NdkGetLocalTokenFromMr: Some(token),
};

/// `NDK_FN_CREATE_MR`
pub unsafe extern "system" fn create_mr(
    pd: *mut NDK_PD,
    _: u8,
    _: Option<NDK_FN_CREATE_COMPLETION>,
    _: *mut c_void,
    out: *mut *mut NDK_MR,
) -> NTSTATUS {
    let pd: *mut Object = pd.cast();
    acquire(pd);
    let version = object(pd).header.Version;
    let mr = new(NdkObjectTypeMr, version, kernel::address(&MR), pd, null_mut());
    poke(number(out), mr);
    STATUS_SUCCESS
}

unsafe extern "system" fn register(
    _: *mut NDK_MR,
    _: *mut MDL,
    _: usize,
    _: u32,
    _: Option<NDK_FN_REQUEST_COMPLETION>,
    _: *mut c_void,
) -> NTSTATUS {
    STATUS_SUCCESS
}

unsafe extern "system" fn deregister(
    _: *mut NDK_MR,
    _: Option<NDK_FN_REQUEST_COMPLETION>,
    _: *mut c_void,
) -> NTSTATUS {
    STATUS_SUCCESS
}

unsafe extern "system" fn initialize_fast_register(
    _: *mut NDK_MR,
    _: u32,
    _: u8,
    _: Option<NDK_FN_REQUEST_COMPLETION>,
    _: *mut c_void,
) -> NTSTATUS {
    STATUS_NOT_SUPPORTED
}

unsafe extern "system" fn token(_: *mut NDK_MR) -> u32 {
    static TOKEN: AtomicU32 = AtomicU32::new(0x100);
    if is("NdkToken") {
        TOKEN.fetch_add(1, Ordering::Relaxed);
    }
    TOKEN.load(Ordering::Relaxed)
}
