//! The datagram extended transport header (IBTA 9.3.3).

use zerocopy::byteorder::big_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute};

use crate::num::Qpn;

/// The datagram extended transport header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deth {
    /// Queue key: the receiver's must be the same.
    pub q_key: u32,
    /// The sender's queue pair.
    pub source_qp: Qpn,
}

impl Deth {
    /// Bytes on the wire.
    pub const LEN: usize = 8;

    /// Reads the header.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let layout: Layout = transmute!(*bytes);
        Self {
            q_key: layout.q_key.get(),
            source_qp: Qpn::from_be_bytes(layout.source_qp),
        }
    }

    /// Writes the header.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        transmute!(Layout {
            q_key: U32::new(self.q_key),
            reserved: 0,
            source_qp: self.source_qp.to_be_bytes(),
        })
    }
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Layout {
    q_key: U32,
    reserved: u8,
    source_qp: [u8; 3],
}
