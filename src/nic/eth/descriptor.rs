//! Transmit and receive descriptors, as the two words that are stored.

use static_assertions::const_assert_eq;
use vrnic_abi::eth::{RxDescriptor, TX_END, TxDescriptor};

/// What the first piece of a frame asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// `TX_*` bits without [`TX_END`].
    pub flags: u16,
    /// Payload of each segment of a large send; 0 for none.
    pub segment_size: u16,
    /// Tag to insert, with [`vrnic_abi::eth::TX_VLAN`].
    pub vlan: u16,
}

const_assert_eq!(core::mem::offset_of!(TxDescriptor, length), 8);
const_assert_eq!(core::mem::offset_of!(TxDescriptor, flags), 10);
const_assert_eq!(core::mem::offset_of!(TxDescriptor, segment_size), 12);
const_assert_eq!(core::mem::offset_of!(TxDescriptor, vlan), 14);
const_assert_eq!(core::mem::offset_of!(RxDescriptor, length), 8);

/// The second word of a piece of `length` bytes: the frame's first if it comes with an offload, its last if `last`.
#[must_use]
pub const fn piece(length: u16, offload: Option<Offload>, last: bool) -> u64 {
    let (flags, segment_size, vlan) = match offload {
        Some(offload) => (offload.flags, offload.segment_size, offload.vlan),
        None => (0, 0, 0),
    };
    let end = if last { TX_END } else { 0 };
    length as u64 | ((flags | end) as u64) << 16 | (segment_size as u64) << 32 | (vlan as u64) << 48
}

/// As `word` of [`piece`], with other `TX_*` bits: those of `clear` cleared.
#[must_use]
pub const fn without(word: u64, clear: u16) -> u64 {
    word & !((clear as u64) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vrnic_abi::eth::{TX_NO_COMPLETION, TX_VLAN};
    use zerocopy::{FromBytes, IntoBytes};

    #[test]
    fn words_are_descriptors() {
        let offload = Offload {
            flags: TX_VLAN | TX_NO_COMPLETION,
            segment_size: 1440,
            vlan: 0xE123,
        };
        let words = [0x1122_3344_5566_7788_u64, piece(0xFEDC, Some(offload), true)];
        let read = TxDescriptor::read_from_bytes(words.as_bytes()).expect("16 bytes");
        assert_eq!(read.addr.get(), words[0]);
        assert_eq!(read.length.get(), 0xFEDC);
        assert_eq!(read.flags.get(), TX_VLAN | TX_NO_COMPLETION | TX_END);
        assert_eq!((read.segment_size.get(), read.vlan.get()), (1440, 0xE123));
        let words = [0, without(words[1], TX_NO_COMPLETION)];
        let read = TxDescriptor::read_from_bytes(words.as_bytes()).expect("16 bytes");
        assert_eq!(read.flags.get(), TX_VLAN | TX_END);
        assert_eq!(piece(5, None, false), 5);
    }
}
