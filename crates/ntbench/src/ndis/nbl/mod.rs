//! Net buffers and net buffer lists: the pools that drivers allocate them from, the functions that move their data about, and how
//! the bench reads the lists of a driver.

use crate::memory;
use crate::nt::mdl;
use ndk_sys::{NET_BUFFER, NET_BUFFER_LIST};
use std::iter;
use std::mem::offset_of;

pub mod context;
pub mod data;
pub mod pool;

/// More links than any list or chain has: whoever follows as many goes round in circles.
const MANY: usize = 1 << 16;

/// The addresses of a linked list: `next` reads the link of an element.
fn linked(first: usize, next: impl Fn(usize) -> usize) -> impl Iterator<Item = usize> {
    let there = |at: usize| Some(at).filter(|&at| at != 0);
    iter::successors(there(first), move |&at| there(next(at))).take(MANY)
}

/// The lists of a chain.
pub fn lists(first: usize) -> impl Iterator<Item = usize> {
    linked(first, |at| memory::read(at + offset_of!(NET_BUFFER_LIST, Next)))
}

/// The net buffers of a list.
pub fn buffers(list: usize) -> impl Iterator<Item = usize> {
    let first = memory::read(list + offset_of!(NET_BUFFER_LIST, FirstNetBuffer));
    linked(first, |at| memory::read(at + offset_of!(NET_BUFFER, Next)))
}

/// The MDLs of a chain.
pub fn mdls(first: usize) -> impl Iterator<Item = usize> {
    linked(first, |at| memory::read(at + mdl::offset::NEXT))
}

/// Out-of-band data of a list: `NetBufferListInfo[index]`.
#[must_use]
pub fn info(list: usize, index: ndk_sys::NDIS_NET_BUFFER_LIST_INFO) -> u64 {
    let index = usize::try_from(index).unwrap_or(0);
    memory::read(list + offset_of!(NET_BUFFER_LIST, NetBufferListInfo) + 8 * index)
}

/// The data of a net buffer.
///
/// # Errors
/// What does not agree in it: the data must lie in its MDL chain, and begin where `CurrentMdl` and `CurrentMdlOffset` say.
pub fn contents(buffer: usize) -> Result<Vec<u8>, String> {
    let value: NET_BUFFER = memory::read(buffer);
    let (length, mut skip) = (value.DataLength as usize, value.DataOffset as usize);
    let mut data = Vec::with_capacity(length);
    for mdl in mdls(value.MdlChain as usize) {
        let bytes = mdl::length(mdl);
        let starts_here = data.is_empty() && skip < bytes;
        if starts_here && (value.CurrentMdl as usize, value.CurrentMdlOffset as usize) != (mdl, skip) {
            return Err(format!(
                "CurrentMdl {:#x} and CurrentMdlOffset {} are not where DataOffset {} falls: MDL {mdl:#x}, offset {skip}",
                value.CurrentMdl as usize, value.CurrentMdlOffset, value.DataOffset
            ));
        }
        if skip < bytes {
            let take = (bytes - skip).min(length - data.len());
            data.extend(memory::read_bytes(mdl::address(mdl) + skip, take));
        }
        skip -= skip.min(bytes);
        if data.len() == length {
            return Ok(data);
        }
    }
    if length == 0 {
        return Ok(data);
    }
    Err(format!(
        "DataOffset {} and DataLength {length} are more than its MDL chain has",
        value.DataOffset
    ))
}
