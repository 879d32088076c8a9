//! Whole pages of pool.

use core::ptr::NonNull;

use wdk_sys::POOL_FLAG_NON_PAGED;
use wdk_sys::ntddk::{ExAllocatePool2, ExFreePoolWithTag};

use super::{OutOfMemory, Tag};

const TAG: Tag = Tag::new(*b"VrPg");
/// Bytes of a page, as the system and the device count them.
const PAGE: usize = 4096;

/// Virtually contiguous pages of non-paged pool, zeroed when they are allocated. At most `DISPATCH_LEVEL`.
pub struct PoolPages {
    address: NonNull<u8>,
    pages: usize,
}

// SAFETY: an owned block; who accesses it is the owner's business.
unsafe impl Send for PoolPages {}
// SAFETY: as above.
unsafe impl Sync for PoolPages {}

impl PoolPages {
    /// Allocates them: at least one.
    ///
    /// # Errors
    ///
    /// No memory.
    pub fn allocate(pages: usize) -> Result<Self, OutOfMemory> {
        let pages = pages.max(1);
        let bytes = pages.checked_mul(PAGE).ok_or(OutOfMemory)? as u64;
        // SAFETY: at most DISPATCH_LEVEL, non-paged pool.
        let block = unsafe { ExAllocatePool2(POOL_FLAG_NON_PAGED, bytes, TAG.0) };
        let address = NonNull::new(block.cast()).ok_or(OutOfMemory)?;
        // The system aligns blocks of a page or more.
        debug_assert!(address.addr().get().is_multiple_of(PAGE), "not aligned to a page");
        Ok(Self { address, pages })
    }

    /// Where they are.
    #[must_use]
    pub fn address(&self) -> NonNull<u8> {
        self.address
    }

    /// Bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.pages * PAGE
    }
}

impl Drop for PoolPages {
    fn drop(&mut self) {
        // SAFETY: allocated with that tag; nobody uses it any more.
        unsafe { ExFreePoolWithTag(self.address.as_ptr().cast(), TAG.0) };
    }
}
