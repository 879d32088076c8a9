//! The headers of atomic operations (IBTA 9.3.8, 9.3.9).

use zerocopy::byteorder::big_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute};

/// The atomic extended transport header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AtomicEth {
    /// The eight bytes to work on.
    pub virtual_address: u64,
    /// The remote key that grants access to them.
    pub r_key: u32,
    /// What to swap in or to add.
    pub swap_or_add: u64,
    /// What to compare with.
    pub compare: u64,
}

impl AtomicEth {
    /// Bytes on the wire.
    pub const LEN: usize = 28;

    /// Reads the header.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let layout: Layout = transmute!(*bytes);
        Self {
            virtual_address: layout.virtual_address.get(),
            r_key: layout.r_key.get(),
            swap_or_add: layout.swap_or_add.get(),
            compare: layout.compare.get(),
        }
    }

    /// Writes the header.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        transmute!(Layout {
            virtual_address: U64::new(self.virtual_address),
            r_key: U32::new(self.r_key),
            swap_or_add: U64::new(self.swap_or_add),
            compare: U64::new(self.compare),
        })
    }
}

/// The atomic ACK extended transport header: what was there before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AtomicAckEth(pub u64);

impl AtomicAckEth {
    /// Bytes on the wire.
    pub const LEN: usize = 8;

    /// Reads the header.
    #[must_use]
    pub const fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        Self(u64::from_be_bytes(*bytes))
    }

    /// Writes the header.
    #[must_use]
    pub const fn to_bytes(&self) -> [u8; Self::LEN] {
        self.0.to_be_bytes()
    }
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Layout {
    virtual_address: U64,
    r_key: U32,
    swap_or_add: U64,
    compare: U64,
}
