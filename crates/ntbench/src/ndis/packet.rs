//! Net buffer lists of the bench's own, as a protocol driver hands them down: the memory that a driver sees, and what it must be
//! like when it comes back.

use super::nbl;
use crate::memory;
use crate::nt::mdl::{self, flag};
use ndk_sys::{MDL, NDIS_NET_BUFFER_LIST_INFO, NDIS_STATUS, NET_BUFFER, NET_BUFFER_LIST};
use std::mem::offset_of;

/// A list to send: one net buffer for each frame, and out-of-band data that holds for all of them.
#[derive(Clone, Debug, Default)]
pub struct SendList {
    /// The frames, from the Ethernet header on.
    pub frames: Vec<Vec<u8>>,
    /// How the data lies in memory.
    pub layout: Layout,
    /// `NetBufferListInfo`.
    pub info: Vec<(NDIS_NET_BUFFER_LIST_INFO, u64)>,
    /// `NblFlags`.
    pub flags: u32,
}

/// How the data of a net buffer lies in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Lengths of the first pieces; the rest is the last piece. A piece is an MDL, and may be empty.
    pub pieces: Vec<usize>,
    /// Bytes before the data, in the first MDL: `DataOffset`.
    pub before: usize,
    /// Bytes behind the data, in the last MDL.
    pub behind: usize,
    /// Whether the MDLs are mapped to system addresses already.
    pub mapped: bool,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            pieces: Vec::new(),
            before: 0,
            behind: 0,
            mapped: true,
        }
    }
}

impl Layout {
    /// One of the layouts that real protocols make: in one piece, headers apart, with room before it, in many pieces.
    #[must_use]
    pub fn varied(number: usize) -> Self {
        let (pieces, before, behind) = match number % 5 {
            0 => (vec![], 0, 0),
            1 => (vec![14, 40], 0, 0),
            2 => (vec![54], 64, 0),
            3 => (vec![], 0, 100),
            _ => (vec![14, 0, 20, 20, 7], 10, 3),
        };
        Self {
            pieces,
            before,
            behind,
            mapped: !number.is_multiple_of(3),
        }
    }
}

/// What a list has as its status until the driver sets one.
pub const NO_STATUS: NDIS_STATUS = 0x4E42_4C00;
/// What fills lists that the driver has given back: an address that nobody can use.
const POISON: u8 = 0xDD;

/// A net buffer with its memory.
struct Buffer {
    structure: Box<NET_BUFFER>,
    as_given: NET_BUFFER,
    data: Vec<u8>,
    _mdls: Vec<Box<[u64]>>,
    _memory: Vec<Box<[u8]>>,
}

/// A list with its memory; nothing of it moves.
pub(super) struct Owned {
    list: Box<NET_BUFFER_LIST>,
    buffers: Vec<Buffer>,
}

#[expect(unsafe_code, reason = "a list holds addresses of its own parts")]
// SAFETY: the parts are boxes that move with the list; the bench never dereferences the addresses.
unsafe impl Send for Owned {}

impl Owned {
    pub(super) fn new(list: &SendList) -> Self {
        let mut buffers: Vec<Buffer> = list
            .frames
            .iter()
            .map(|data| Buffer::new(data, &list.layout))
            .collect();
        let mut next = 0;
        for one in buffers.iter_mut().rev() {
            one.structure.Next = next as *mut NET_BUFFER;
            one.as_given = *one.structure;
            next = (&raw const *one.structure).addr();
        }
        let mut head = Box::new(NET_BUFFER_LIST::zeroed());
        head.FirstNetBuffer = next as *mut NET_BUFFER;
        head.NblFlags = list.flags;
        head.Status = NO_STATUS;
        for &(index, value) in &list.info {
            if let Some(place) = usize::try_from(index)
                .ok()
                .and_then(|index| head.NetBufferListInfo.get_mut(index))
            {
                *place = value as *mut core::ffi::c_void;
            }
        }
        Self { list: head, buffers }
    }

    pub(super) fn address(&self) -> usize {
        (&raw const *self.list).addr()
    }

    /// Links the list to the next one of its chain.
    pub(super) fn link(&mut self, next: usize) {
        self.list.Next = next as *mut NET_BUFFER_LIST;
    }

    /// How many frames it has.
    pub(super) fn frames(&self) -> usize {
        self.buffers.len()
    }

    /// What the driver has changed that must come back as it was.
    pub(super) fn changed(&self) -> Option<String> {
        let first = memory::read::<usize>(self.address() + offset_of!(NET_BUFFER_LIST, FirstNetBuffer));
        let at = self
            .buffers
            .first()
            .map_or(0, |one| (&raw const *one.structure).addr());
        if first != at {
            return Some("FirstNetBuffer of the list".into());
        }
        self.buffers.iter().find_map(Buffer::changed)
    }

    /// Makes the list unusable for whoever still uses it.
    pub(super) fn poison(&self) {
        for (at, size) in self.parts() {
            memory::fill(at, POISON, size);
        }
    }

    /// Whether nobody has written to the list since it was poisoned.
    pub(super) fn is_poisoned(&self) -> bool {
        let untouched = |(at, size)| memory::read_bytes(at, size).iter().all(|&byte| byte == POISON);
        self.parts().all(untouched)
    }

    fn parts(&self) -> impl Iterator<Item = (usize, usize)> {
        let buffers = self
            .buffers
            .iter()
            .map(|one| ((&raw const *one.structure).addr(), size_of::<NET_BUFFER>()));
        std::iter::once((self.address(), size_of::<NET_BUFFER_LIST>())).chain(buffers)
    }
}

impl Buffer {
    fn new(data: &[u8], layout: &Layout) -> Self {
        let (mut rest, mut lengths) = (data.len(), Vec::new());
        for &piece in &layout.pieces {
            lengths.push(piece.min(rest));
            rest -= piece.min(rest);
        }
        lengths.push(rest);
        let (mut mdls, mut memory) = (Vec::new(), Vec::new());
        let mut from = 0;
        let last = lengths.len() - 1;
        for (index, &length) in lengths.iter().enumerate() {
            let before = if index == 0 { layout.before } else { 0 };
            let behind = if index == last { layout.behind } else { 0 };
            let mut bytes = vec![0xA5; before + length + behind].into_boxed_slice();
            bytes[before..before + length].copy_from_slice(&data[from..from + length]);
            from += length;
            mdls.push(describe(&bytes, layout.mapped));
            memory.push(bytes);
        }
        let mut next = 0_usize;
        for mdl in mdls.iter().rev() {
            memory::write(mdl.as_ptr().addr() + mdl::offset::NEXT, next);
            next = mdl.as_ptr().addr();
        }
        let mut buffer = Box::new(NET_BUFFER::zeroed());
        buffer.MdlChain = next as *mut MDL;
        buffer.DataOffset = u32::try_from(layout.before).unwrap_or(u32::MAX);
        buffer.DataLength = u32::try_from(data.len()).unwrap_or(u32::MAX);
        // Where the data begins: an empty first piece has none of it.
        let (mut current, mut skip) = (0, layout.before);
        while current < last && skip == memory[current].len() {
            (current, skip) = (current + 1, 0);
        }
        buffer.CurrentMdl = mdls[current].as_ptr().cast_mut().cast();
        buffer.CurrentMdlOffset = u32::try_from(skip).unwrap_or(u32::MAX);
        Self {
            as_given: *buffer,
            structure: buffer,
            data: data.to_vec(),
            _mdls: mdls,
            _memory: memory,
        }
    }

    fn changed(&self) -> Option<String> {
        let at = (&raw const *self.structure).addr();
        let now: NET_BUFFER = memory::read(at);
        let place = |buffer: &NET_BUFFER| {
            (
                buffer.Next as usize,
                buffer.MdlChain as usize,
                buffer.CurrentMdl as usize,
                buffer.CurrentMdlOffset,
                buffer.DataOffset,
                buffer.DataLength,
            )
        };
        if place(&now) != place(&self.as_given) {
            return Some("the place of a net buffer's data, or its links".into());
        }
        match nbl::contents(at) {
            Ok(data) if data == self.data => None,
            Ok(_) => Some("the data of a net buffer".into()),
            Err(what) => Some(what),
        }
    }
}

/// An MDL for memory of the bench's.
fn describe(bytes: &[u8], mapped: bool) -> Box<[u64]> {
    let (address, length) = (bytes.as_ptr().addr(), bytes.len());
    let pages = mdl::span_pages(address, length);
    let words = vec![0_u64; size_of::<MDL>() / 8 + pages].into_boxed_slice();
    let at = words.as_ptr().addr();
    mdl::initialize(at, address, u32::try_from(length).unwrap_or(u32::MAX));
    mdl::fill_pages(at);
    let flags = if mapped {
        memory::write(at + mdl::offset::MAPPED_SYSTEM_VA, address);
        flag::PAGES_LOCKED | flag::MAPPED_TO_SYSTEM_VA
    } else {
        flag::PAGES_LOCKED
    };
    memory::write(at + mdl::offset::FLAGS, flags);
    words
}
