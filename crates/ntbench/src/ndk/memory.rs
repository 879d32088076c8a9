//! Memory of the consumer's that providers register and map: between inaccessible pages, and described by MDLs whose virtual
//! address is an index that faults when it is dereferenced.

use crate::memory::{self, PAGE_SIZE, Protection, page_up};
use crate::nt::mdl::{self, flag, offset};
use ndk_sys::NDK_SGE;
use std::fmt;

/// Added to real addresses to get the virtual addresses of MDLs: nothing is mapped there (it is no user's half).
const INDEX: u64 = 0x0000_5000_0000_0000;

/// How memory is laid out and described.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryOptions {
    /// Bytes.
    pub length: usize,
    /// Where it starts in its first page.
    pub offset: usize,
    /// Lengths of the MDLs of the chain; empty for one MDL. What they leave over is in a last one.
    pub pieces: Vec<usize>,
    /// Whether the virtual address of the MDL is the real one, as for nonpaged pool, and not just an index.
    pub readable: bool,
}

/// A scatter/gather element.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sge {
    /// Virtual address in the region, or logical address with the privileged token, or real address of inline data.
    pub address: u64,
    /// Bytes.
    pub length: u32,
    /// Token of the region.
    pub token: u32,
}

/// As a provider gets them.
pub(super) fn encode(sges: &[Sge]) -> Vec<u8> {
    let encode = |sge: &Sge| {
        let mut bytes = [0_u8; size_of::<NDK_SGE>()];
        bytes[..8].copy_from_slice(&sge.address.to_ne_bytes());
        bytes[8..12].copy_from_slice(&sge.length.to_ne_bytes());
        bytes[12..].copy_from_slice(&sge.token.to_ne_bytes());
        bytes
    };
    sges.iter().flat_map(encode).collect()
}

/// See the module. It must live as long as anything is registered or mapped in it.
pub struct Memory {
    reserved: (usize, usize),
    start: usize,
    length: usize,
    readable: bool,
    /// One after the other; each is its own allocation.
    mdls: Vec<Box<[u64]>>,
    described: Vec<Vec<u64>>,
}

impl Memory {
    /// `length` zeroed bytes from the start of a page, in one MDL.
    #[must_use]
    pub fn new(length: usize) -> Self {
        Self::with(&MemoryOptions {
            length,
            ..MemoryOptions::default()
        })
    }

    /// Zeroed memory with that layout.
    ///
    /// # Panics
    /// When it is empty, when the offset is not inside a page, or when the pieces are longer than the whole.
    #[must_use]
    pub fn with(options: &MemoryOptions) -> Self {
        let MemoryOptions {
            length,
            offset,
            readable,
            ..
        } = *options;
        assert!(
            length != 0 && offset < PAGE_SIZE,
            "memory has a length and starts in a page"
        );
        let size = page_up(offset + length);
        let reserved = (memory::reserve(size + 2 * PAGE_SIZE), size + 2 * PAGE_SIZE);
        memory::protect(reserved.0 + PAGE_SIZE, size, Protection::ReadWrite);
        let start = reserved.0 + PAGE_SIZE + offset;
        let mut memory = Self {
            reserved,
            start,
            length,
            readable,
            mdls: Vec::new(),
            described: Vec::new(),
        };
        let mut pieces = options.pieces.clone();
        let rest = length.checked_sub(pieces.iter().sum());
        let rest = rest.expect("the pieces are no longer than the memory");
        if rest != 0 {
            pieces.push(rest);
        }
        memory.describe(&pieces);
        memory
    }

    /// Makes the chain of MDLs.
    fn describe(&mut self, pieces: &[usize]) {
        let mut at = self.start;
        for &piece in pieces {
            let pages = mdl::span_pages(at, piece);
            let mut words = vec![0_u64; offset::SIZE_OF / 8 + pages].into_boxed_slice();
            let mdl = words.as_mut_ptr().addr();
            mdl::initialize(
                mdl,
                at,
                u32::try_from(piece).expect("MDLs describe less than 4 GiB"),
            );
            mdl::fill_pages(mdl);
            if self.readable {
                memory::write(mdl + offset::MAPPED_SYSTEM_VA, at);
                memory::write(mdl + offset::FLAGS, flag::SOURCE_IS_NONPAGED_POOL);
            } else {
                let index = at as u64 ^ INDEX;
                memory::write(mdl + offset::START_VA, index & !(PAGE_SIZE as u64 - 1));
                memory::write(mdl + offset::FLAGS, flag::PAGES_LOCKED);
            }
            self.mdls.push(words);
            at += piece;
        }
        let addresses: Vec<usize> = self.mdls.iter().map(|words| words.as_ptr().addr()).collect();
        for pair in addresses.windows(2) {
            memory::write(pair[0] + offset::NEXT, pair[1]);
        }
        self.described = self.mdls.iter().map(|words| words.to_vec()).collect();
    }

    /// Bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Never: it has a length.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The virtual address of the first MDL, which is the one of the region when it is registered.
    #[must_use]
    pub fn va(&self) -> u64 {
        if self.readable {
            self.start as u64
        } else {
            self.start as u64 ^ INDEX
        }
    }

    /// The real address.
    #[must_use]
    pub fn host(&self) -> usize {
        self.start
    }

    /// The first MDL.
    #[must_use]
    pub fn mdl(&self) -> usize {
        self.mdls[0].as_ptr().addr()
    }

    /// Pages that it touches.
    #[must_use]
    pub fn pages(&self) -> usize {
        mdl::span_pages(self.start, self.length)
    }

    /// Whether the MDLs are as they were made: providers must leave them so.
    #[must_use]
    pub fn is_described_as_before(&self) -> bool {
        self.mdls
            .iter()
            .zip(&self.described)
            .all(|(words, before)| words[..] == before[..])
    }

    /// An element in the registered region.
    #[must_use]
    pub fn sge(&self, at: usize, length: u32, token: u32) -> Sge {
        Sge {
            address: self.va() + at as u64,
            length,
            token,
        }
    }

    /// An element for inline data.
    #[must_use]
    pub fn inline_sge(&self, at: usize, length: u32) -> Sge {
        Sge {
            address: (self.start + at) as u64,
            length,
            token: 0,
        }
    }

    /// What is there.
    ///
    /// # Panics
    /// Beyond the end.
    #[must_use]
    pub fn read(&self, at: usize, length: usize) -> Vec<u8> {
        assert!(at + length <= self.length, "beyond the end");
        memory::read_bytes(self.start + at, length)
    }

    /// Writes bytes.
    ///
    /// # Panics
    /// Beyond the end.
    pub fn write(&self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= self.length, "beyond the end");
        memory::write_bytes(self.start + at, bytes);
    }

    /// Makes all bytes the same.
    pub fn fill(&self, byte: u8) {
        memory::fill(self.start, byte, self.length);
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes in {} MDLs", self.length, self.mdls.len())
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        memory::release(self.reserved.0, self.reserved.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_describes_all_of_it() {
        let memory = Memory::with(&MemoryOptions {
            length: 0x3000,
            offset: 0x800,
            pieces: vec![0x900, 0x1000],
            readable: false,
        });
        assert_eq!((memory.mdls.len(), memory.pages()), (3, 4));
        assert_eq!(mdl::address(memory.mdl()) as u64, memory.va());
        assert!(!crate::memory::is_mapped(mdl::address(memory.mdl())));
        let second: usize = crate::memory::read(memory.mdl() + offset::NEXT);
        assert_eq!(mdl::length(second), 0x1000);
        assert_eq!(mdl::address(second) as u64, memory.va() + 0x900);
        let frame: usize = crate::memory::read(second + offset::SIZE_OF);
        assert_eq!(frame, (memory.host() + 0x900) / PAGE_SIZE);
        memory.write(0x2FFF, &[7]);
        assert_eq!(memory.read(0x2FFE, 2), [0, 7]);
        assert!(memory.is_described_as_before());
        crate::memory::write(memory.mdl() + offset::BYTE_COUNT, 1_u32);
        assert!(!memory.is_described_as_before());
    }
}
