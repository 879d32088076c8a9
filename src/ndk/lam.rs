//! Logical address mappings: `NdkBuildLAM` gives the bus addresses of a buffer's pages, for use with the privileged token.
//! Mapping does not wait, so that building always answers by itself.
#![expect(unsafe_code, reason = "entries that consumers call by pointer")]

use super::adapter::Adapter;
use super::object::{self, ObjectRef};
use crate::os::dma::{Access, Mapping};
use crate::os::pool::{PoolBox, Pooled, Tag};
use core::ffi::c_void;
use core::mem::offset_of;
use core::ptr::{NonNull, null_mut};
use ndk_sys::{
    MDL, NDK_ADAPTER, NDK_FN_REQUEST_COMPLETION, NDK_LOGICAL_ADDRESS, NDK_LOGICAL_ADDRESS_MAPPING, NTSTATUS,
    STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
};

/// What `AdapterContext` of a mapping points to.
struct Lam {
    _mapping: Mapping,
    /// A mapping keeps its adapter open.
    _adapter: ObjectRef<Adapter>,
}

impl Pooled for Lam {
    const TAG: Tag = Tag::new(*b"VrLm");
}

/// Bytes of a mapping of `pages` pages.
fn size_of_mapping(pages: usize) -> Option<u32> {
    let array = pages.checked_mul(size_of::<NDK_LOGICAL_ADDRESS>())?;
    let size = array.checked_add(offset_of!(NDK_LOGICAL_ADDRESS_MAPPING, AdapterPageArray))?;
    u32::try_from(size).ok()
}

/// `NdkBuildLAM`.
pub unsafe extern "system" fn build(
    adapter: *mut NDK_ADAPTER,
    mdl: *mut MDL,
    length: usize,
    _completion: Option<NDK_FN_REQUEST_COMPLETION>,
    _context: *mut c_void,
    lam: *mut NDK_LOGICAL_ADDRESS_MAPPING,
    size: *mut u32,
    first_byte_offset: *mut u32,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open adapter.
    let adapter = unsafe { object::reference::<Adapter, _>(adapter) };
    // SAFETY: the consumer's variable, or null.
    let size = unsafe { size.as_mut() };
    // SAFETY: as above, and another one.
    let first_byte_offset = unsafe { first_byte_offset.as_mut() };
    let (Some(size), Some(first_byte_offset)) = (size, first_byte_offset) else {
        return STATUS_INVALID_PARAMETER;
    };
    // SAFETY: the consumer's chain, or null.
    let pages = match unsafe { Mapping::pages_of_mdl(mdl, length) } {
        Ok(pages) => pages,
        Err(status) => return status,
    };
    let Some(needed) = size_of_mapping(pages) else {
        return STATUS_INVALID_PARAMETER;
    };
    let room = core::mem::replace(size, needed);
    let Some(lam) = NonNull::new(lam).filter(|_| room >= needed) else {
        return STATUS_BUFFER_TOO_SMALL;
    };
    // SAFETY: the consumer's chain of locked pages, which stays until the mapping is released.
    let mapping = unsafe { Mapping::of_mdl(adapter.provider().nic().dma(), mdl, length, Access::ReadWrite) };
    let mapping = match mapping {
        Ok(mapping) => mapping,
        Err(status) => return status,
    };
    *first_byte_offset = mapping.first_page_offset();
    // SAFETY: the consumer's buffer has room for as many pages.
    unsafe { write_pages(lam, &mapping) };
    let context = PoolBox::new(Lam {
        _mapping: mapping,
        _adapter: ObjectRef::clone(&adapter),
    });
    match context {
        Ok(context) => {
            // SAFETY: as above.
            unsafe { (*lam.as_ptr()).AdapterContext = context.into_raw().as_ptr().cast() };
            STATUS_SUCCESS
        }
        Err(error) => error.into(),
    }
}

/// Writes number and addresses of the pages.
///
/// # Safety
/// `lam` has room for them.
unsafe fn write_pages(lam: NonNull<NDK_LOGICAL_ADDRESS_MAPPING>, mapping: &Mapping) {
    let count = u32::try_from(mapping.page_count()).unwrap_or(u32::MAX);
    // SAFETY: a field of the consumer's structure.
    unsafe { (*lam.as_ptr()).AdapterPageCount = count };
    // SAFETY: as above.
    let mut place = unsafe { &raw mut (*lam.as_ptr()).AdapterPageArray }.cast::<NDK_LOGICAL_ADDRESS>();
    mapping.for_each_page(|page| {
        let address = NDK_LOGICAL_ADDRESS {
            QuadPart: page.cast_signed(),
        };
        // SAFETY: inside the array, by the caller's promise.
        unsafe { place.write(address) };
        place = place.wrapping_add(1);
    });
}

/// `NdkReleaseLAM`.
pub unsafe extern "system" fn release(_adapter: *mut NDK_ADAPTER, lam: *mut NDK_LOGICAL_ADDRESS_MAPPING) {
    // SAFETY: the consumer passes a mapping that it has built.
    let Some(lam) = (unsafe { lam.as_mut() }) else {
        return;
    };
    let context = core::mem::replace(&mut lam.AdapterContext, null_mut());
    if let Some(context) = NonNull::new(context.cast::<Lam>()) {
        // SAFETY: the context of `build`, used up by this call.
        drop(unsafe { PoolBox::from_raw(context) });
    }
}
