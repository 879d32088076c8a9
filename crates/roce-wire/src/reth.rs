//! The RDMA extended transport header (IBTA 9.3.4).

use zerocopy::byteorder::big_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute};

/// The RDMA extended transport header: where a READ or WRITE goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reth {
    /// Where the remote buffer begins.
    pub virtual_address: u64,
    /// The remote key that grants access to it.
    pub r_key: u32,
    /// Bytes of the whole operation.
    pub dma_length: u32,
}

impl Reth {
    /// Bytes on the wire.
    pub const LEN: usize = 16;

    /// Reads the header.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let layout: Layout = transmute!(*bytes);
        Self {
            virtual_address: layout.virtual_address.get(),
            r_key: layout.r_key.get(),
            dma_length: layout.dma_length.get(),
        }
    }

    /// Writes the header.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        transmute!(Layout {
            virtual_address: U64::new(self.virtual_address),
            r_key: U32::new(self.r_key),
            dma_length: U32::new(self.dma_length),
        })
    }
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Layout {
    virtual_address: U64,
    r_key: U32,
    dma_length: U32,
}
