//! IPv6 (RFC 8200). Extension headers are not looked into: a `RoCEv2` packet has UDP right behind this header.

use core::net::Ipv6Addr;

use zerocopy::byteorder::big_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute};

use crate::num::FlowLabel;

/// An IPv6 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Header {
    /// Differentiated services code point (high six bits) and congestion notification (low two).
    pub traffic_class: u8,
    /// The flow label.
    pub flow_label: FlowLabel,
    /// Bytes behind this header.
    pub payload_length: u16,
    /// What follows.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Who sent it.
    pub source: Ipv6Addr,
    /// Who gets it.
    pub destination: Ipv6Addr,
}

/// The version field is not 6 but this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6VersionError(pub u8);

impl Ipv6Header {
    /// Bytes on the wire.
    pub const LEN: usize = 40;

    /// Reads the header.
    ///
    /// # Errors
    /// The version field is not 6.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Result<Self, Ipv6VersionError> {
        let layout: Layout = transmute!(*bytes);
        let [first, second, ..] = layout.version_class_flow.to_bytes();
        if first >> 4 != 6 {
            return Err(Ipv6VersionError(first >> 4));
        }
        Ok(Self {
            traffic_class: first << 4 | second >> 4,
            flow_label: FlowLabel::truncated(layout.version_class_flow.get()),
            payload_length: layout.payload_length.get(),
            next_header: layout.next_header,
            hop_limit: layout.hop_limit,
            source: layout.source.into(),
            destination: layout.destination.into(),
        })
    }

    /// Writes the header.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        transmute!(Layout {
            version_class_flow: U32::new(
                6 << 28 | u32::from(self.traffic_class) << 20 | self.flow_label.get()
            ),
            payload_length: U16::new(self.payload_length),
            next_header: self.next_header,
            hop_limit: self.hop_limit,
            source: self.source.octets(),
            destination: self.destination.octets(),
        })
    }
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Layout {
    version_class_flow: U32,
    payload_length: U16,
    next_header: u8,
    hop_limit: u8,
    source: [u8; 16],
    destination: [u8; 16],
}
