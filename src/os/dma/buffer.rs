//! Memory of the driver that the device uses, in pages, and the tables that lead to it. Unlike
//! [`super::Coherent`] it can be made at `DISPATCH_LEVEL`.

use core::ptr::{NonNull, null_mut};

use ndk_sys::{MDL, NTSTATUS, STATUS_INSUFFICIENT_RESOURCES};
use vrnic_abi::PAGE_SIZE;
use vrnic_abi::resource::Ring;
use wdk_sys::ntddk::{IoAllocateMdl, IoFreeMdl, MmBuildMdlForNonPagedPool};

use super::adapter::{Access, DmaAdapter, List};
use super::pages::{PAGE, TABLE_ENTRIES, for_each_page, tables};
use super::shared::Shared;
use crate::os::pool::{OutOfMemory, PoolArc, PoolPages};

/// `FALSE` of the C headers.
const FALSE: u8 = 0;

/// Zeroed pages of pool, virtually contiguous and mapped for the device, which may read and write them. Dropping them ends the
/// mapping and frees them: the device must not use them any more.
pub struct DmaPages {
    // In the order in which they have to go.
    list: List,
    _mdl: OwnMdl,
    pages: PoolPages,
}

impl DmaPages {
    /// Allocates `pages` pages, at least one. At most `DISPATCH_LEVEL`.
    ///
    /// # Errors
    ///
    /// [`STATUS_INSUFFICIENT_RESOURCES`].
    pub fn allocate(adapter: &PoolArc<DmaAdapter>, pages: usize) -> Result<Self, NTSTATUS> {
        let pages = PoolPages::allocate(pages)?;
        let length = u32::try_from(pages.bytes()).map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
        let mdl = OwnMdl::describe(&pages, length)?;
        // SAFETY: an MDL of non-paged pool of that length; both outlive the list.
        let list = unsafe { List::map(adapter, mdl.0.as_ptr(), length, Access::ReadWrite) }?;
        // Once, so that nobody has to ask again: the pieces are the pages.
        for_each_page(list.pieces(), 0, u64::from(length), |_| ())
            .map_err(|_| STATUS_INSUFFICIENT_RESOURCES)?;
        Ok(Self {
            list,
            _mdl: mdl,
            pages,
        })
    }

    /// Hands the pages' bus addresses to `page`, in order.
    pub fn for_each_page(&self, page: impl FnMut(u64)) {
        let whole = for_each_page(self.list.pieces(), 0, self.pages.bytes() as u64, page);
        debug_assert!(whole.is_ok(), "checked when it was mapped");
    }

    /// Access to the memory.
    #[must_use]
    pub fn memory(&self) -> Shared<'_> {
        // SAFETY: the block's memory, for as long as it is borrowed, and all accesses are of that kind.
        unsafe { Shared::new(self.pages.address(), self.pages.bytes()) }
    }
}

/// An MDL of pool pages.
struct OwnMdl(NonNull<MDL>);

// SAFETY: an MDL of our own, which is freed once.
unsafe impl Send for OwnMdl {}
// SAFETY: as above.
unsafe impl Sync for OwnMdl {}

impl OwnMdl {
    fn describe(pages: &PoolPages, length: u32) -> Result<Self, OutOfMemory> {
        let address = pages.address().as_ptr().cast();
        // SAFETY: plain numbers; the MDL belongs to no IRP.
        let mdl = unsafe { IoAllocateMdl(address, length, FALSE, FALSE, null_mut()) };
        let mdl = NonNull::new(mdl).ok_or(OutOfMemory)?;
        // SAFETY: it describes non-paged pool.
        unsafe { MmBuildMdlForNonPagedPool(mdl.as_ptr()) };
        Ok(Self(mdl.cast()))
    }
}

impl Drop for OwnMdl {
    fn drop(&mut self) {
        // SAFETY: allocated by `describe`; nothing refers to it any more.
        unsafe { IoFreeMdl(self.0.as_ptr().cast()) };
    }
}

/// Tables through which the device finds the pages of a [`Buffer`] or a [`super::Mapping`].
pub struct PageTable {
    _tables: DmaPages,
    root: u64,
    levels: u8,
}

impl PageTable {
    /// Makes the tables for `pages` pages, whose addresses `list` hands to what it is given. At most `DISPATCH_LEVEL`.
    ///
    /// # Errors
    ///
    /// [`STATUS_INSUFFICIENT_RESOURCES`].
    pub fn new(
        adapter: &PoolArc<DmaAdapter>,
        pages: usize,
        list: impl FnOnce(&mut dyn FnMut(u64)),
    ) -> Result<Self, NTSTATUS> {
        let (counts, levels) = tables(pages).ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
        let total: usize = counts.iter().sum();
        let block = DmaPages::allocate(adapter, total)?;
        let memory = block.memory();
        // The lowest tables come first, without gaps: entry `n` is that of page `n`.
        let mut entry = 0;
        list(&mut |page| {
            memory.write(entry * 8, &page.to_le_bytes());
            entry += 1;
        });
        debug_assert!(entry == pages, "as many as were announced");
        // Each table but the last is in the next level, whose tables follow those of this one.
        let mut upper = counts[0] * TABLE_ENTRIES;
        let mut lower_left = counts;
        let (mut level, mut done, mut root) = (0, 0, 0);
        block.for_each_page(|table| {
            root = table;
            if lower_left[level] == 0 {
                // The first table of the next level: those below it filled up to here.
                level += 1;
                upper = (done + lower_left[level]) * TABLE_ENTRIES;
            }
            lower_left[level] -= 1;
            done += 1;
            if done < total {
                memory.write(upper * 8, &table.to_le_bytes());
                upper += 1;
            }
        });
        Ok(Self {
            _tables: block,
            root,
            levels,
        })
    }

    /// Bus address of the table at the top.
    #[must_use]
    pub fn root(&self) -> u64 {
        self.root
    }

    /// Levels of tables.
    #[must_use]
    pub fn levels(&self) -> u8 {
        self.levels
    }
}

/// Pages that the device finds by one address, as a ring. Dropping it ends the mapping and frees it: the device must not use
/// it any more.
pub struct Buffer {
    /// Unless the pages are at consecutive addresses. First, so that it goes first.
    table: Option<PageTable>,
    pages: DmaPages,
    /// Bus address of the first byte.
    first: u64,
}

impl Buffer {
    /// Allocates at least `bytes`, virtually contiguous, in whole pages. At most `DISPATCH_LEVEL`.
    ///
    /// # Errors
    ///
    /// [`STATUS_INSUFFICIENT_RESOURCES`].
    pub fn allocate(adapter: &PoolArc<DmaAdapter>, bytes: usize) -> Result<Self, NTSTATUS> {
        let count = bytes.div_ceil(PAGE).max(1);
        let pages = DmaPages::allocate(adapter, count)?;
        let (mut first, mut next) = (None, None);
        let mut contiguous = true;
        pages.for_each_page(|page| {
            first = first.or(Some(page));
            contiguous &= next.is_none_or(|next| next == page);
            next = page.checked_add(PAGE_SIZE);
        });
        let table = if contiguous {
            None
        } else {
            Some(PageTable::new(adapter, count, |page| pages.for_each_page(page))?)
        };
        Ok(Self {
            table,
            pages,
            first: first.unwrap_or(0),
        })
    }

    /// Bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.pages.pages.bytes()
    }

    /// Access to the memory.
    #[must_use]
    pub fn memory(&self) -> Shared<'_> {
        self.pages.memory()
    }

    /// Where the memory is, for code in `nic` that checks its indexes itself. Valid as long as the buffer.
    #[must_use]
    pub fn address(&self) -> NonNull<u8> {
        self.pages.pages.address()
    }

    /// As a ring of `1 << log2_entries` entries, for the device.
    #[must_use]
    pub fn ring(&self, log2_entries: u8) -> Ring {
        let (addr, levels) = match &self.table {
            None => (self.first, 0),
            Some(table) => (table.root(), table.levels()),
        };
        Ring {
            addr: addr.into(),
            log2_entries,
            levels,
            reserved: [0; 6],
        }
    }
}
