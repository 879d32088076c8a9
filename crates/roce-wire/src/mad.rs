//! Management datagrams of the general service interface (IBTA 13.4, 13.5).

use zerocopy::byteorder::big_endian::{U16, U32, U64};
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute, transmute_mut, transmute_ref,
};

/// Bytes of a management datagram: always this many.
pub const MAD_LEN: usize = 256;

/// Bytes behind the common header.
pub const DATA_LEN: usize = MAD_LEN - MadHeader::LEN;

/// The queue key of queue pair 1 (IBTA 3.5.3).
pub const GSI_Q_KEY: u32 = 0x8001_0000;

/// A management datagram as it is on the wire.
pub type Mad = [u8; MAD_LEN];

/// The base version of every management datagram.
pub const BASE_VERSION: u8 = 1;

/// A management class (IBTA table 110).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MgmtClass(pub u8);

impl MgmtClass {
    /// Communication management.
    pub const COMM_MGT: Self = Self(0x07);
}

/// What a datagram asks for or answers (IBTA table 111).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Method(pub u8);

impl Method {
    /// `Send`, which no response answers: the only one that communication management uses.
    pub const SEND: Self = Self(0x03);
}

/// The header that all management datagrams share (IBTA 13.4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MadHeader {
    /// Version of this header: [`BASE_VERSION`].
    pub base_version: u8,
    /// Management class.
    pub mgmt_class: MgmtClass,
    /// Version of the class's own format.
    pub class_version: u8,
    /// Method.
    pub method: Method,
    /// Status of a response; 0 otherwise.
    pub status: u16,
    /// Class specific.
    pub class_specific: u16,
    /// Transaction ID.
    pub transaction_id: u64,
    /// Attribute ID: which message of the class it is.
    pub attribute_id: u16,
    /// Attribute modifier.
    pub attribute_modifier: u32,
}

impl MadHeader {
    /// Bytes on the wire.
    pub const LEN: usize = 24;

    /// Reads the header; nothing is checked.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let layout: Layout = transmute!(*bytes);
        Self {
            base_version: layout.base_version,
            mgmt_class: MgmtClass(layout.mgmt_class),
            class_version: layout.class_version,
            method: Method(layout.method),
            status: layout.status.get(),
            class_specific: layout.class_specific.get(),
            transaction_id: layout.transaction_id.get(),
            attribute_id: layout.attribute_id.get(),
            attribute_modifier: layout.attribute_modifier.get(),
        }
    }

    /// Writes the header.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        transmute!(Layout {
            base_version: self.base_version,
            mgmt_class: self.mgmt_class.0,
            class_version: self.class_version,
            method: self.method.0,
            status: U16::new(self.status),
            class_specific: U16::new(self.class_specific),
            transaction_id: U64::new(self.transaction_id),
            attribute_id: U16::new(self.attribute_id),
            reserved: [0; 2],
            attribute_modifier: U32::new(self.attribute_modifier),
        })
    }
}

/// Takes a datagram apart into its common header and the class's own data.
#[must_use]
pub fn split(mad: &Mad) -> (&[u8; MadHeader::LEN], &[u8; DATA_LEN]) {
    let parts: &Parts = transmute_ref!(mad);
    (&parts.header, &parts.data)
}

/// [`split`] for writing.
pub fn split_mut(mad: &mut Mad) -> (&mut [u8; MadHeader::LEN], &mut [u8; DATA_LEN]) {
    let parts: &mut Parts = transmute_mut!(mad);
    (&mut parts.header, &mut parts.data)
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Parts {
    header: [u8; MadHeader::LEN],
    data: [u8; DATA_LEN],
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Layout {
    base_version: u8,
    mgmt_class: u8,
    class_version: u8,
    method: u8,
    status: U16,
    class_specific: U16,
    transaction_id: U64,
    attribute_id: U16,
    reserved: [u8; 2],
    attribute_modifier: U32,
}
