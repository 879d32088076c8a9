//! UDP (RFC 768), and the checksum that it shares with IPv4 (RFC 1071).

use core::net::IpAddr;

use zerocopy::byteorder::big_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute};

/// UDP's protocol number in an IP header.
pub const PROTOCOL: u8 = 17;

/// The destination port of `RoCEv2` (annex A17).
pub const ROCE_V2_PORT: u16 = 4791;

/// A UDP header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpHeader {
    /// The sender's port; `RoCEv2` puts flow entropy here.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// Bytes of header and payload together.
    pub length: u16,
    /// The checksum; zero if there is none, as `RoCEv2` wants it.
    pub checksum: u16,
}

impl UdpHeader {
    /// Bytes on the wire.
    pub const LEN: usize = 8;

    /// Reads the header; nothing is checked.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let layout: Layout = transmute!(*bytes);
        Self {
            source_port: layout.source_port.get(),
            destination_port: layout.destination_port.get(),
            length: layout.length.get(),
            checksum: layout.checksum.get(),
        }
    }

    /// Writes the header as it is.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        transmute!(Layout {
            source_port: U16::new(self.source_port),
            destination_port: U16::new(self.destination_port),
            length: U16::new(self.length),
            checksum: U16::new(self.checksum),
        })
    }
}

/// Whether the checksum inside `datagram` (header and payload) is right, pseudo-header included. A zero checksum field is
/// not looked at here.
#[must_use]
pub fn verify_checksum(source: IpAddr, destination: IpAddr, datagram: &[u8]) -> bool {
    let address = |ip| match ip {
        IpAddr::V4(v4) => sum(&v4.octets()),
        IpAddr::V6(v6) => sum(&v6.octets()),
    };
    // A datagram longer than its 16-bit length field cannot come from a frame; its sum would be wrong, which is the answer wanted.
    let length = u64::try_from(datagram.len()).unwrap_or(u64::MAX >> 1);
    let pseudo = address(source) + address(destination) + u64::from(PROTOCOL) + length;
    fold(pseudo + sum(datagram)) == 0
}

/// The sum of the big-endian 16-bit words, the last one padded with a zero byte. 64 bits do not overflow for any slice.
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    let (words, tail) = bytes.as_chunks::<2>();
    let last = tail.first().map_or(0, |byte| u64::from(*byte) << 8);
    words
        .iter()
        .map(|word| u64::from(u16::from_be_bytes(*word)))
        .sum::<u64>()
        + last
}

/// The one's complement of the one's complement sum.
pub(crate) fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Layout {
    source_port: U16,
    destination_port: U16,
    length: U16,
    checksum: U16,
}
