//! Logical address mappings: memory that is used with the privileged token.

use super::adapter::Adapter;
use super::guarded::Guarded;
use super::memory::{Memory, Sge};
use super::mr::check_mdls;
use super::objects::{self, Fixed};
use super::rules::broken;
use super::{ok, trace};
use crate::memory::PAGE_SIZE;
use crate::verifier::Rule;
use ndk_sys::{NDK_LOGICAL_ADDRESS_MAPPING, NTSTATUS, STATUS_BUFFER_TOO_SMALL};
use std::mem::offset_of;
use std::sync::Arc;

/// Where the page addresses are.
const PAGES: usize = offset_of!(NDK_LOGICAL_ADDRESS_MAPPING, AdapterPageArray);

/// A mapping. Dropping it releases it.
pub struct Lam<'a> {
    adapter: Arc<Fixed>,
    memory: &'a Memory,
    /// What the provider has written: it gets the same bytes at release.
    mapping: Guarded,
    pages: Vec<u64>,
    offset: u32,
    length: usize,
}

/// The answer to `NdkBuildLAM` with any arguments.
#[derive(Debug)]
pub struct RawLam {
    /// The status.
    pub status: NTSTATUS,
    /// The size that the provider stored.
    pub size: u32,
    /// `FBO`, all ones where the provider stored nothing.
    pub offset: u32,
    /// The mapping as it was written.
    mapping: Guarded,
}

/// Bytes of a mapping with so many pages.
#[must_use]
pub const fn mapping_size(pages: usize) -> usize {
    PAGES + 8 * pages
}

impl Adapter {
    /// `NdkBuildLAM` for the first `length` bytes of `memory`. Completes inline.
    ///
    /// # Errors
    /// The status.
    pub fn build_lam<'a>(&self, memory: &'a Memory, length: usize) -> Result<Lam<'a>, NTSTATUS> {
        let pages = crate::nt::mdl::span_pages(memory.host(), length);
        let raw = self.build_lam_raw(memory.mdl(), length, mapping_size(pages));
        check_mdls(memory, "NdkBuildLAM");
        ok(raw.status)?;
        let wrong = |what: String| -> ! {
            broken(
                Rule::NdkLam,
                format!("NdkBuildLAM for {length} bytes stored {what}"),
                "Store one address for each page of the memory, aligned to pages, their number, the size, and the offset in the first.",
            )
        };
        if raw.size as usize != mapping_size(pages) {
            wrong(format!("the size {}, not {}", raw.size, mapping_size(pages)))
        }
        let at = raw.mapping.address();
        let count: u32 = crate::memory::read(at + offset_of!(NDK_LOGICAL_ADDRESS_MAPPING, AdapterPageCount));
        if count as usize != pages {
            wrong(format!("the page count {count}, not {pages}"))
        }
        if raw.offset as usize != memory.host() % PAGE_SIZE {
            wrong(format!(
                "the offset {}, not {}",
                raw.offset,
                memory.host() % PAGE_SIZE
            ))
        }
        let addresses: Vec<u64> = (0..pages)
            .map(|page| crate::memory::read(at + PAGES + 8 * page))
            .collect();
        if let Some(unaligned) = addresses.iter().find(|address| **address % PAGE_SIZE as u64 != 0) {
            wrong(format!("the page address {unaligned:#x}"))
        }
        Ok(Lam {
            adapter: Arc::clone(self.fixed()),
            memory,
            mapping: raw.mapping,
            pages: addresses,
            offset: raw.offset,
            length,
        })
    }

    /// `NdkBuildLAM` with any MDL, and room for so many bytes.
    #[must_use]
    pub fn build_lam_raw(&self, mdl: usize, length: usize, room: usize) -> RawLam {
        const NAME: &str = "NdkBuildLAM";
        let mapping = Guarded::filled(room, 0xEE);
        let size = Guarded::of(&u32::try_from(room).unwrap_or(u32::MAX).to_ne_bytes());
        let offset = Guarded::filled(4, 0xFF);
        let arguments = [
            mdl as u64,
            length as u64,
            super::callbacks::address_of(super::callbacks::REQUEST),
            0,
            mapping.address() as u64,
            size.address() as u64,
            offset.address() as u64,
        ];
        let detail = || format!("{length} bytes, room for {room}");
        let status = objects::invoke_now(self.fixed(), NAME, &arguments, detail);
        let size: u32 = size.read();
        if status == STATUS_BUFFER_TOO_SMALL && size as usize <= room {
            broken(
                Rule::NdkLam,
                format!("{NAME} wants more room than {room} bytes, and says that {size} are enough"),
                "Store the size that is required with STATUS_BUFFER_TOO_SMALL.",
            )
        }
        RawLam {
            status,
            size,
            offset: offset.read(),
            mapping,
        }
    }
}

impl Lam<'_> {
    /// Logical addresses of the pages.
    #[must_use]
    pub fn pages(&self) -> &[u64] {
        &self.pages
    }

    /// Where the memory starts in the first page.
    #[must_use]
    pub fn offset(&self) -> u32 {
        self.offset
    }

    /// The elements for `length` bytes from `at`, one for each page, with the privileged token.
    ///
    /// # Panics
    /// Beyond the end.
    #[must_use]
    pub fn sges(&self, mut at: usize, length: usize, token: u32) -> Vec<Sge> {
        assert!(at + length <= self.length, "beyond the end");
        let end = at + length;
        let mut sges = Vec::new();
        while at < end {
            let place = self.offset as usize + at;
            let in_page = place % PAGE_SIZE;
            let bytes = (PAGE_SIZE - in_page).min(end - at);
            sges.push(Sge {
                address: self.pages[place / PAGE_SIZE] + in_page as u64,
                length: u32::try_from(bytes).unwrap_or(u32::MAX),
                token,
            });
            at += bytes;
        }
        sges
    }

    /// `NdkReleaseLAM`.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for Lam<'_> {
    fn drop(&mut self) {
        const NAME: &str = "NdkReleaseLAM";
        let arguments = [self.mapping.address() as u64];
        let _ = objects::invoke(&self.adapter, NAME, &arguments, String::new);
        trace::add(trace::What::Return(None), NAME, || {
            (self.adapter.label(), String::new())
        });
        check_mdls(self.memory, NAME);
    }
}
