//! Memory of a consumer, mapped for the device.

use core::ptr::NonNull;

use ndk_sys::{MDL, NTSTATUS, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER};

use super::adapter::{Access, DmaAdapter, List, MAX_MAPPING};
use super::pages::{for_each_page, page_count, page_offset};
use crate::os::pool::PoolArc;

/// A virtually contiguous buffer, described by a chain of MDLs. The virtual address only names places in it and is never
/// used. Dropping it ends the mapping: the device must not use it any more.
pub struct Mapping {
    list: List,
    base: u64,
    length: u64,
}

impl Mapping {
    /// Maps the first `length` bytes of a chain. At most `DISPATCH_LEVEL`.
    ///
    /// # Errors
    ///
    /// [`STATUS_INVALID_PARAMETER`] if there is nothing to map, the chain is shorter, or it is not virtually contiguous;
    /// [`STATUS_INSUFFICIENT_RESOURCES`] if it is too long, or the system has no resources.
    ///
    /// # Safety
    ///
    /// `mdl` is null or a chain of MDLs of locked pages; chain and pages stay until the mapping is dropped.
    pub unsafe fn of_mdl(
        adapter: &PoolArc<DmaAdapter>,
        mdl: *mut MDL,
        length: usize,
        access: Access,
    ) -> Result<Self, NTSTATUS> {
        let bytes = length as u64;
        // SAFETY: the caller's chain.
        let base = unsafe { contiguous_base(mdl, bytes) }.ok_or(STATUS_INVALID_PARAMETER)?;
        let short = u32::try_from(length).ok().filter(|length| *length <= MAX_MAPPING);
        let short = short.ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
        // SAFETY: the chain has that many bytes, and stays (caller).
        let list = unsafe { List::map(adapter, mdl, short, access) }?;
        let mapping = Self {
            list,
            base,
            length: bytes,
        };
        // Once, so that nobody has to ask again: the pieces are the pages of the buffer.
        for_each_page(mapping.list.pieces(), mapping.first_page_offset(), bytes, |_| ())
            .map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
        Ok(mapping)
    }

    /// How many pages the first `length` bytes of a chain touch, as [`Mapping::of_mdl`] would map them.
    ///
    /// # Errors
    ///
    /// [`STATUS_INVALID_PARAMETER`], as there.
    ///
    /// # Safety
    ///
    /// `mdl` is null or a chain of MDLs.
    pub unsafe fn pages_of_mdl(mdl: *mut MDL, length: usize) -> Result<usize, NTSTATUS> {
        // SAFETY: the caller's chain.
        let base = unsafe { contiguous_base(mdl, length as u64) }.ok_or(STATUS_INVALID_PARAMETER)?;
        usize::try_from(page_count(page_offset(base), length as u64)).map_err(|_| STATUS_INVALID_PARAMETER)
    }

    /// Virtual address of the first byte.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Where the buffer begins in its first page.
    #[must_use]
    pub fn first_page_offset(&self) -> u32 {
        page_offset(self.base)
    }

    /// Pages that the buffer touches.
    #[must_use]
    pub fn page_count(&self) -> usize {
        usize::try_from(page_count(self.first_page_offset(), self.length)).unwrap_or(usize::MAX)
    }

    /// Hands the pages' bus addresses to `page`, in order: [`Mapping::page_count`] of them.
    pub fn for_each_page(&self, page: impl FnMut(u64)) {
        let whole = for_each_page(self.list.pieces(), self.first_page_offset(), self.length, page);
        debug_assert!(whole.is_ok(), "checked when it was mapped");
    }
}

/// The virtual address of a chain's first byte, if its MDLs follow each other for `length` bytes, of which there are some.
///
/// # Safety
///
/// `mdl` is null or a chain of MDLs.
unsafe fn contiguous_base(mdl: *mut MDL, length: u64) -> Option<u64> {
    let mut left = length;
    let mut base = None;
    let mut next = None;
    let mut place = NonNull::new(mdl);
    while left != 0 {
        // SAFETY: an MDL of the chain (caller); its fields do not change while it is ours.
        let mdl = unsafe { place?.as_ref() };
        let start = (mdl.StartVa.addr() as u64).checked_add(u64::from(mdl.ByteOffset))?;
        if next.is_some_and(|next| next != start) {
            return None;
        }
        base = base.or(Some(start));
        next = Some(start.checked_add(u64::from(mdl.ByteCount))?);
        left = left.saturating_sub(u64::from(mdl.ByteCount));
        place = NonNull::new(mdl.Next);
    }
    base
}
