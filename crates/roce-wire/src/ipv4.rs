//! IPv4 (RFC 791), without options: annex A17 has `RoCEv2` packets carry none.

use core::net::Ipv4Addr;

use zerocopy::byteorder::big_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute};

const VERSION_AND_IHL: u8 = 0x45;
const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const FRAGMENT_OFFSET: u16 = 0x1fff;
const CHECKSUM_OFFSET: usize = 10;

/// An IPv4 header without options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Header {
    /// Differentiated services code point (high six bits) and congestion notification (low two).
    pub traffic_class: u8,
    /// Bytes of header and payload together.
    pub total_length: u16,
    /// Names the datagram among its sender's fragments.
    pub identification: u16,
    /// Routers must not fragment it.
    pub dont_fragment: bool,
    /// More fragments follow.
    pub more_fragments: bool,
    /// Where this fragment belongs, in units of 8 bytes: 13 bits.
    pub fragment_offset: u16,
    /// Time to live.
    pub hop_limit: u8,
    /// What follows.
    pub protocol: u8,
    /// Who sent it.
    pub source: Ipv4Addr,
    /// Who gets it.
    pub destination: Ipv4Addr,
}

/// Why bytes are no IPv4 header that this crate can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv4Error {
    /// The version field is not 4.
    Version(u8),
    /// The header length field (in 4-byte words) is not 5: there are options, or it is less than a header.
    HeaderLength(u8),
}

impl Ipv4Header {
    /// Bytes on the wire.
    pub const LEN: usize = 20;

    /// Reads the header; its checksum is not looked at ([`verify_checksum`]).
    ///
    /// # Errors
    /// See [`Ipv4Error`].
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Result<Self, Ipv4Error> {
        let layout: Layout = transmute!(*bytes);
        if layout.version_ihl >> 4 != 4 {
            return Err(Ipv4Error::Version(layout.version_ihl >> 4));
        }
        if layout.version_ihl != VERSION_AND_IHL {
            return Err(Ipv4Error::HeaderLength(layout.version_ihl & 0xf));
        }
        let fragment = layout.fragment.get();
        Ok(Self {
            traffic_class: layout.traffic_class,
            total_length: layout.total_length.get(),
            identification: layout.identification.get(),
            dont_fragment: fragment & DONT_FRAGMENT != 0,
            more_fragments: fragment & MORE_FRAGMENTS != 0,
            fragment_offset: fragment & FRAGMENT_OFFSET,
            hop_limit: layout.hop_limit,
            protocol: layout.protocol,
            source: layout.source.into(),
            destination: layout.destination.into(),
        })
    }

    /// Writes the header with its checksum.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let flag = |set, bit| if set { bit } else { 0 };
        let mut bytes: [u8; Self::LEN] = transmute!(Layout {
            version_ihl: VERSION_AND_IHL,
            traffic_class: self.traffic_class,
            total_length: U16::new(self.total_length),
            identification: U16::new(self.identification),
            fragment: U16::new(
                flag(self.dont_fragment, DONT_FRAGMENT)
                    | flag(self.more_fragments, MORE_FRAGMENTS)
                    | self.fragment_offset & FRAGMENT_OFFSET
            ),
            hop_limit: self.hop_limit,
            protocol: self.protocol,
            checksum: U16::ZERO,
            source: self.source.octets(),
            destination: self.destination.octets(),
        });
        let sum = checksum(&bytes).to_be_bytes();
        bytes[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2].copy_from_slice(&sum);
        bytes
    }

    /// Whether it is one of several pieces of a datagram.
    #[must_use]
    pub const fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset != 0
    }
}

/// Whether the checksum inside `header` is right.
#[must_use]
pub fn verify_checksum(header: &[u8; Ipv4Header::LEN]) -> bool {
    checksum(header) == 0
}

/// The header checksum over `header` as it stands: zero if a checksum inside it is right.
fn checksum(header: &[u8; Ipv4Header::LEN]) -> u16 {
    crate::udp::fold(crate::udp::sum(header))
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Layout {
    version_ihl: u8,
    traffic_class: u8,
    total_length: U16,
    identification: U16,
    fragment: U16,
    hop_limit: u8,
    protocol: u8,
    checksum: U16,
    source: [u8; 4],
    destination: [u8; 4],
}
