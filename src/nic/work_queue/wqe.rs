//! Work requests as the device reads them, written straight into the ring.
//!
//! A request is written in units of 16 bytes (one segment each), by two stores of 8 bytes. A ring has a whole number of
//! basic blocks, so that no unit is torn where the ring wraps. Layouts: [`vrnic_abi::wqe`].

use core::mem::offset_of;

use static_assertions::const_assert_eq;
use vrnic_abi::wqe::{
    BASIC_BLOCK, BindSegment, ControlSegment, DataSegment, END_KEY, FastRegSegment, MAX_BLOCKS, MAX_INLINE,
    RemoteSegment, SrqSegment, WORK_INLINE, WorkOpcode,
};

/// Bytes of a unit.
pub const UNIT: u32 = 16;
/// Units of a basic block.
pub const UNITS_PER_BLOCK: u32 = 4;
const_assert_eq!((UNIT * UNITS_PER_BLOCK) as usize, BASIC_BLOCK);

/// A scatter/gather element: the address, then the length in the lower and the key in the upper half of the second word.
/// This is both a [`DataSegment`] and an `NDK_SGE`, so that neither is converted.
pub type Sge = [u64; 2];
const_assert_eq!(offset_of!(DataSegment, length), 8);
const_assert_eq!(offset_of!(DataSegment, key), 12);

/// The bytes that an element names.
#[must_use]
pub const fn length_of(sge: &Sge) -> u32 {
    (sge[1] & 0xFFFF_FFFF) as u32
}

/// The key of an element.
#[must_use]
pub const fn key_of(sge: &Sge) -> u32 {
    (sge[1] >> 32) as u32
}

/// Memory that the device reads, in units. Every index is valid: it is taken modulo the size of the ring.
pub trait Units {
    /// Stores 16 bytes, each half at once.
    fn store(&self, unit: u32, low: u64, high: u64);
}

/// Two little-endian words side by side.
const fn pair(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

/// Where a request starts, as a free-running basic block index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start(pub u32);

impl Start {
    const fn unit(self, offset: u32) -> u32 {
        self.0.wrapping_mul(UNITS_PER_BLOCK).wrapping_add(offset)
    }
}

/// What the control segment says besides the length.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// What is to be done.
    pub opcode: WorkOpcode,
    /// `WORK_*`.
    pub flags: u8,
    /// Key to invalidate, at the peer or here; 0 for none.
    pub invalidate_key: u32,
}

/// Remote memory of a READ or WRITE.
#[derive(Clone, Copy, Debug)]
pub struct Remote {
    /// Virtual address at the peer.
    pub addr: u64,
    /// Key of the peer.
    pub key: u32,
}

/// Writes the control segment of a request of `units`, itself included.
#[inline]
fn control(ring: &impl Units, start: Start, head: Head, units: u32, inline_len: u32) {
    const_assert_eq!(offset_of!(ControlSegment, flags), 1);
    const_assert_eq!(offset_of!(ControlSegment, length16), 2);
    const_assert_eq!(offset_of!(ControlSegment, index), 4);
    const_assert_eq!(offset_of!(ControlSegment, inline_len), 6);
    const_assert_eq!(offset_of!(ControlSegment, invalidate_key), 8);
    let first = u32::from(head.opcode.0) | u32::from(head.flags) << 8 | (units & 0xFF) << 16;
    let second = start.0 & 0xFFFF | inline_len << 16;
    ring.store(start.unit(0), pair(first, second), u64::from(head.invalidate_key));
}

/// Units that a request has before its data: the control segment, and the remote one if there is one.
#[inline]
fn lead(ring: &impl Units, start: Start, remote: Option<Remote>) -> u32 {
    const_assert_eq!(offset_of!(RemoteSegment, key), 8);
    match remote {
        None => 1,
        Some(remote) => {
            ring.store(start.unit(1), remote.addr, u64::from(remote.key));
            2
        }
    }
}

/// Writes a request with a scatter/gather list of at most 32 elements; its units.
#[inline]
pub fn gather(ring: &impl Units, start: Start, head: Head, remote: Option<Remote>, sges: &[Sge]) -> u32 {
    let mut units = lead(ring, start, remote);
    for sge in sges {
        ring.store(start.unit(units), sge[0], sge[1]);
        units += 1;
    }
    control(ring, start, head, units, 0);
    units
}

/// Writes a request whose data is in itself; its units. `pieces` are [`MAX_INLINE`] bytes at most, `length` in all.
#[inline]
pub fn inline<'a>(
    ring: &impl Units,
    start: Start,
    head: Head,
    remote: Option<Remote>,
    pieces: impl Iterator<Item = &'a [u8]>,
    length: u32,
) -> u32 {
    let mut stream = Stream {
        ring,
        unit: start.unit(lead(ring, start, remote)),
        low: None,
        word: 0,
        filled: 0,
    };
    for piece in pieces {
        stream.append(piece);
    }
    let end = stream.finish();
    let units = end.wrapping_sub(start.unit(0));
    let head = Head {
        flags: head.flags | WORK_INLINE,
        ..head
    };
    control(ring, start, head, units, length);
    units
}

/// Bytes on their way into the ring.
struct Stream<'r, R> {
    ring: &'r R,
    unit: u32,
    /// The first half of the current unit, when it is complete.
    low: Option<u64>,
    /// The half that is being filled.
    word: u64,
    /// So many of its bytes are filled.
    filled: u32,
}

impl<R: Units> Stream<'_, R> {
    #[inline]
    fn append(&mut self, piece: &[u8]) {
        let mut rest = piece;
        if self.filled == 0 {
            let (units, tail) = piece.as_chunks::<16>();
            if self.low.is_none() {
                for unit in units {
                    let (words, _) = unit.as_chunks::<8>();
                    let [low, high] = [words[0], words[1]].map(u64::from_le_bytes);
                    self.ring.store(self.unit, low, high);
                    self.unit = self.unit.wrapping_add(1);
                }
                rest = tail;
            }
        }
        for byte in rest {
            self.word |= u64::from(*byte) << (8 * self.filled);
            self.filled += 1;
            if self.filled == 8 {
                self.put();
            }
        }
    }

    /// The current half is complete.
    fn put(&mut self) {
        let word = core::mem::take(&mut self.word);
        self.filled = 0;
        match self.low.take() {
            None => self.low = Some(word),
            Some(low) => {
                self.ring.store(self.unit, low, word);
                self.unit = self.unit.wrapping_add(1);
            }
        }
    }

    /// Fills the last unit with zeros; the unit behind it.
    #[inline]
    fn finish(mut self) -> u32 {
        if self.filled != 0 {
            self.put();
        }
        if let Some(low) = self.low {
            self.ring.store(self.unit, low, 0);
            self.unit = self.unit.wrapping_add(1);
        }
        self.unit
    }
}

/// What a fast registration makes of a region.
#[derive(Clone, Copy, Debug)]
pub struct FastReg {
    /// New base address.
    pub base: u64,
    /// Bytes.
    pub length: u64,
    /// DMA address of the page addresses.
    pub page_list: u64,
    /// The key with its new variant.
    pub key: u32,
    /// `ACCESS_*`.
    pub access: u32,
    /// Pages in the list.
    pub pages: u32,
    /// Offset of the first byte in the first page.
    pub first_page_offset: u32,
}

/// Writes a fast registration; its units.
#[inline]
pub fn fast_register(ring: &impl Units, start: Start, flags: u8, to: &FastReg) -> u32 {
    const_assert_eq!(offset_of!(FastRegSegment, page_list), 16);
    const_assert_eq!(offset_of!(FastRegSegment, key), 24);
    const_assert_eq!(offset_of!(FastRegSegment, access), 28);
    const_assert_eq!(offset_of!(FastRegSegment, pages), 32);
    const_assert_eq!(offset_of!(FastRegSegment, first_page_offset), 36);
    ring.store(start.unit(1), to.base, to.length);
    ring.store(start.unit(2), to.page_list, pair(to.key, to.access));
    ring.store(start.unit(3), pair(to.pages, to.first_page_offset), 0);
    let head = Head {
        opcode: WorkOpcode::FAST_REG,
        flags,
        invalidate_key: 0,
    };
    control(ring, start, head, 4, 0);
    4
}

/// What a window is bound to.
#[derive(Clone, Copy, Debug)]
pub struct Bind {
    /// First address of the window.
    pub base: u64,
    /// Bytes.
    pub length: u64,
    /// The window's key with its new variant.
    pub window_key: u32,
    /// Key of the region.
    pub region_key: u32,
    /// `ACCESS_*`.
    pub access: u32,
}

/// Writes a window bind; its units.
#[inline]
pub fn bind(ring: &impl Units, start: Start, flags: u8, to: &Bind) -> u32 {
    const_assert_eq!(offset_of!(BindSegment, window_key), 16);
    const_assert_eq!(offset_of!(BindSegment, region_key), 20);
    const_assert_eq!(offset_of!(BindSegment, access), 24);
    ring.store(start.unit(1), to.base, to.length);
    ring.store(
        start.unit(2),
        pair(to.window_key, to.region_key),
        u64::from(to.access),
    );
    ring.store(start.unit(3), 0, 0);
    let head = Head {
        opcode: WorkOpcode::BIND_MW,
        flags,
        invalidate_key: 0,
    };
    control(ring, start, head, 4, 0);
    4
}

/// Writes a receive entry of `entry_units`, which has room for the list, at the free-running entry `index`. `cookie` is
/// that of an entry of a shared receive queue.
#[inline]
pub fn receive(ring: &impl Units, index: u32, entry_units: u32, cookie: Option<u32>, sges: &[Sge]) {
    const_assert_eq!(offset_of!(SrqSegment, cookie), 0);
    const_assert_eq!(size_of::<SrqSegment>(), UNIT as usize);
    let first = index.wrapping_mul(entry_units);
    let mut unit = 0;
    if let Some(cookie) = cookie {
        ring.store(first, u64::from(cookie), 0);
        unit = 1;
    }
    for sge in sges {
        // A list ends at END_KEY; a consumer's token of that value is as wrong as key 0, which never exists.
        let high = if key_of(sge) == END_KEY {
            pair(length_of(sge), 0)
        } else {
            sge[1]
        };
        ring.store(first.wrapping_add(unit), sge[0], high);
        unit += 1;
    }
    if unit < entry_units {
        ring.store(first.wrapping_add(unit), 0, pair(0, END_KEY));
    }
}

/// Basic blocks that the largest request takes which may have so many elements or so much inline data.
#[must_use]
pub const fn max_blocks(max_sge: u32, max_inline: u32) -> u32 {
    // The control segment and a remote one come before the data.
    let inline = max_inline.div_ceil(UNIT);
    let data = if max_sge > inline { max_sge } else { inline };
    // A fast registration or a bind takes a block.
    (2 + data).div_ceil(UNITS_PER_BLOCK)
}
/// [`MAX_INLINE`], as consumers count.
const MAX_INLINE_BYTES: u32 = 256;
const_assert_eq!(MAX_INLINE_BYTES as usize, MAX_INLINE);
const _: () = assert!(
    max_blocks(32, MAX_INLINE_BYTES) as usize <= MAX_BLOCKS,
    "the largest request that this driver can make"
);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::RefCell;
    use vrnic_abi::wqe::{WORK_FENCE, WORK_SIGNALED, receive_entry_size, srq_entry_size};
    use zerocopy::FromBytes;

    /// A ring filled with 0xEE.
    struct Ring(RefCell<Vec<u8>>);

    impl Ring {
        fn new(units: usize) -> Self {
            Self(RefCell::new(vec![0xEE; units * 16]))
        }

        fn bytes(&self, unit: u32, units: u32) -> Vec<u8> {
            let ring = self.0.borrow();
            let len = ring.len() / 16;
            (0..units)
                .flat_map(|ahead| {
                    let at = unit.wrapping_add(ahead) as usize % len * 16;
                    ring[at..at + 16].to_vec()
                })
                .collect()
        }

        fn read<T: FromBytes>(&self, unit: u32) -> T {
            let units = u32::try_from(size_of::<T>() / 16).expect("small");
            T::read_from_bytes(&self.bytes(unit, units)).expect("as long")
        }
    }

    impl Units for Ring {
        fn store(&self, unit: u32, low: u64, high: u64) {
            let mut ring = self.0.borrow_mut();
            let at = unit as usize % (ring.len() / 16) * 16;
            ring[at..at + 8].copy_from_slice(&low.to_le_bytes());
            ring[at + 8..at + 16].copy_from_slice(&high.to_le_bytes());
        }
    }

    const SEND: Head = Head {
        opcode: WorkOpcode::SEND,
        flags: WORK_SIGNALED,
        invalidate_key: 0,
    };

    const fn sge(addr: u64, length: u32, key: u32) -> Sge {
        [addr, pair(length, key)]
    }

    #[test]
    fn a_send_byte_for_byte() {
        let ring = Ring::new(16);
        let sges = [sge(0x1122_3344_5566_7788, 0x99AA, 0xBBCC_DD01)];
        assert_eq!(gather(&ring, Start(0x1_0003), SEND, None, &sges), 2);
        let golden = [
            1, 1, 2, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // control: length16 2, index 3
            0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0xAA, 0x99, 0, 0, 1, 0xDD, 0xCC, 0xBB,
        ];
        assert_eq!(ring.bytes(12, 2), golden);
        assert_eq!(ring.bytes(14, 1), [0xEE; 16], "nothing behind it");
    }

    #[test]
    fn a_read_wraps_around() {
        let ring = Ring::new(16);
        let head = Head {
            opcode: WorkOpcode::READ_LOCAL_INV,
            flags: WORK_FENCE,
            invalidate_key: 0x0102_0304,
        };
        let remote = Remote {
            addr: 0xFFFF_0000_0000_1000,
            key: 0x55,
        };
        let sges: Vec<Sge> = (0..4).map(|n| sge(n, 10, 20)).collect();
        assert_eq!(gather(&ring, Start(u32::MAX), head, Some(remote), &sges), 6);
        let control: ControlSegment = ring.read(12);
        assert_eq!((control.opcode, control.flags, control.length16), (5, 2, 6));
        assert_eq!(
            (control.index.get(), control.invalidate_key.get()),
            (0xFFFF, 0x0102_0304)
        );
        let remote: RemoteSegment = ring.read(13);
        assert_eq!(
            (remote.addr.get(), remote.key.get()),
            (0xFFFF_0000_0000_1000, 0x55)
        );
        let last: DataSegment = ring.read(1);
        assert_eq!((last.addr.get(), last.length.get(), last.key.get()), (3, 10, 20));
    }

    #[test]
    fn requests_of_one_block() {
        let ring = Ring::new(16);
        let to = FastReg {
            base: 1,
            length: 2,
            page_list: 3,
            key: 4,
            access: 5,
            pages: 6,
            first_page_offset: 7,
        };
        assert_eq!(fast_register(&ring, Start(1), WORK_SIGNALED, &to), 4);
        let segment: FastRegSegment = ring.read(5);
        assert_eq!(
            (segment.base.get(), segment.length.get(), segment.page_list.get()),
            (1, 2, 3)
        );
        assert_eq!((segment.key.get(), segment.access.get()), (4, 5));
        assert_eq!((segment.pages.get(), segment.first_page_offset.get()), (6, 7));
        assert_eq!(segment.reserved, [0; 8]);
        assert_eq!(ring.bytes(4, 1)[..6], [6, 1, 4, 0, 1, 0]);
        let to = Bind {
            base: 1,
            length: 2,
            window_key: 3,
            region_key: 4,
            access: 5,
        };
        assert_eq!(bind(&ring, Start(2), 0, &to), 4);
        let segment: BindSegment = ring.read(9);
        assert_eq!((segment.base.get(), segment.length.get()), (1, 2));
        assert_eq!(
            (
                segment.window_key.get(),
                segment.region_key.get(),
                segment.access.get()
            ),
            (3, 4, 5)
        );
        assert_eq!(segment.reserved, [0; 20]);
        assert_eq!(ring.bytes(8, 1)[..6], [8, 0, 4, 0, 2, 0]);
    }

    #[test]
    fn receive_entries() {
        let units = |bytes: usize| u32::try_from(bytes / 16).expect("small");
        let ring = Ring::new(16);
        // Three elements in an entry of four: the list ends by itself.
        let entry = units(receive_entry_size(3));
        receive(&ring, 6, entry, None, &[sge(1, 2, 3), sge(4, 5, END_KEY)]);
        let segments: [DataSegment; 3] = [ring.read(8), ring.read(9), ring.read(10)];
        assert_eq!(
            (
                segments[0].addr.get(),
                segments[0].length.get(),
                segments[0].key.get()
            ),
            (1, 2, 3)
        );
        assert_eq!(
            segments[1].key.get(),
            0,
            "a token that would end the list is a wrong one"
        );
        assert_eq!(segments[2].key.get(), END_KEY);
        // A full one, and an empty one.
        receive(&ring, 0, 1, None, &[sge(9, 9, 9)]);
        receive(&ring, 1, 1, None, &[]);
        let (full, empty): (DataSegment, DataSegment) = (ring.read(0), ring.read(1));
        assert_eq!((full.key.get(), empty.key.get()), (9, END_KEY));
        // A shared one.
        let entry = units(srq_entry_size(2));
        receive(&ring, 1, entry, Some(0x0123_4567), &[sge(1, 2, 3), sge(4, 5, 6)]);
        let cookie: SrqSegment = ring.read(4);
        assert_eq!((cookie.cookie.get(), cookie.reserved), (0x0123_4567, [0; 12]));
        assert_eq!(ring.read::<DataSegment>(6).key.get(), 6);
        assert_eq!(ring.read::<DataSegment>(7).key.get(), END_KEY);
    }

    #[test]
    fn rooms() {
        assert_eq!(max_blocks(1, 0), 1);
        assert_eq!(max_blocks(2, 0), 1);
        assert_eq!(max_blocks(3, 0), 2);
        assert_eq!(max_blocks(0, 256), 5);
        assert_eq!(max_blocks(32, 256), 9);
    }

    proptest! {
        /// Inline data arrives as it is, whatever pieces it is in and wherever the ring wraps.
        #[test]
        fn inline_data(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..70), 0..5),
            start in any::<u32>(),
            remote in any::<bool>(),
        ) {
            let data: Vec<u8> = pieces.concat();
            prop_assume!(data.len() <= MAX_INLINE);
            let length = u32::try_from(data.len()).expect("small");
            let ring = Ring::new(32);
            let remote = remote.then_some(Remote { addr: 1, key: 2 });
            let lead = 1 + u32::from(remote.is_some());
            let units = inline(&ring, Start(start), SEND, remote, pieces.iter().map(Vec::as_slice), length);
            prop_assert_eq!(units, lead + length.div_ceil(16));
            let first = start.wrapping_mul(4);
            let control: ControlSegment = ring.read(first);
            prop_assert_eq!(control.flags, WORK_SIGNALED | WORK_INLINE);
            prop_assert_eq!(u32::from(control.inline_len.get()), length);
            prop_assert_eq!(u32::from(control.length16), units);
            let got = ring.bytes(first.wrapping_add(lead), units - lead);
            prop_assert_eq!(&got[..data.len()], &data[..]);
            prop_assert!(got[data.len()..].iter().all(|byte| *byte == 0));
        }
    }
}
