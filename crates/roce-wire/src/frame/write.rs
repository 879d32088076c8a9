//! From a [`Frame`] to bytes.

use crate::bth::{Bth, Follows, Opcode};
use crate::eth::{EtherType, EthernetHeader};
use crate::icrc;
use crate::ipv4::Ipv4Header;
use crate::ipv6::Ipv6Header;
use crate::udp::{self, ROCE_V2_PORT, UdpHeader};

use super::{ExtendedHeaders, Frame, FrameAddress, IpPair};

/// Why a frame cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildError {
    /// The buffer has fewer than this many bytes.
    BufferTooSmall(usize),
    /// More payload than an IP packet can hold.
    PayloadTooLong,
    /// The headers are not those that the opcode asks for, the opcode is unknown, or it takes no payload but gets some.
    Headers(Opcode),
}

impl Frame<'_> {
    /// Builds the frame at the beginning of `buffer` and returns its length. [`Bth::pad_count`] is not looked at: the pad is what the
    /// payload's length asks for. Ethernet's padding to its least size is left to the link.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub fn write(&self, buffer: &mut [u8]) -> Result<usize, BuildError> {
        self.check_headers()?;
        let pad = self.payload.len().wrapping_neg() & 3;
        let udp_length =
            UdpHeader::LEN + Bth::LEN + self.extended.len() + self.payload.len() + pad + icrc::LEN;
        let udp_length = u16::try_from(udp_length).map_err(|_| BuildError::PayloadTooLong)?;
        let ip = IpHeader::new(&self.address, udp_length)?;
        let length = EthernetHeader::LEN + ip.as_bytes().len() + usize::from(udp_length);
        let buffer = buffer
            .get_mut(..length)
            .ok_or(BuildError::BufferTooSmall(length))?;
        let mut out = Writer { buffer, length: 0 };
        self.write_all(&mut out, &ip, udp_length, pad)
            .ok_or(BuildError::BufferTooSmall(length))?;
        Ok(length)
    }

    fn check_headers(&self) -> Result<(), BuildError> {
        let opcode = self.bth.opcode;
        let follows = opcode.follows().ok_or(BuildError::Headers(opcode))?;
        let headers_match = follows - Follows::PAYLOAD == self.extended.present();
        if headers_match && (follows.contains(Follows::PAYLOAD) || self.payload.is_empty()) {
            Ok(())
        } else {
            Err(BuildError::Headers(opcode))
        }
    }

    fn write_all(&self, out: &mut Writer<'_>, ip: &IpHeader, udp_length: u16, pad: usize) -> Option<()> {
        let ethernet = EthernetHeader {
            destination: self.address.destination_mac,
            source: self.address.source_mac,
            ether_type: ip.ether_type(),
        };
        let udp = UdpHeader {
            source_port: self.address.udp_source_port,
            destination_port: ROCE_V2_PORT,
            length: udp_length,
            checksum: 0,
        }
        .to_bytes();
        let bth = Bth {
            pad_count: u8::try_from(pad).ok()?,
            ..self.bth
        }
        .to_bytes();
        out.put(&ethernet.to_bytes())?;
        out.put(ip.as_bytes())?;
        out.put(&udp)?;
        out.put(&bth)?;
        let rest = out.length;
        out.put_extended(&self.extended)?;
        out.put(self.payload)?;
        out.put([0; 3].get(..pad)?)?;
        let icrc = ip.icrc(udp, &bth, out.buffer.get(rest..out.length)?);
        out.put(&icrc.to_le_bytes())
    }
}

enum IpHeader {
    V4([u8; Ipv4Header::LEN]),
    V6([u8; Ipv6Header::LEN]),
}

impl IpHeader {
    fn new(address: &FrameAddress, udp_length: u16) -> Result<Self, BuildError> {
        match address.ip {
            IpPair::V4 {
                source,
                destination,
                identification,
            } => Ok(Self::V4(
                Ipv4Header {
                    traffic_class: address.traffic_class,
                    total_length: udp_length.checked_add(20).ok_or(BuildError::PayloadTooLong)?,
                    identification,
                    dont_fragment: true,
                    more_fragments: false,
                    fragment_offset: 0,
                    hop_limit: address.hop_limit,
                    protocol: udp::PROTOCOL,
                    source,
                    destination,
                }
                .to_bytes(),
            )),
            IpPair::V6 {
                source,
                destination,
                flow_label,
            } => Ok(Self::V6(
                Ipv6Header {
                    traffic_class: address.traffic_class,
                    flow_label,
                    payload_length: udp_length,
                    next_header: udp::PROTOCOL,
                    hop_limit: address.hop_limit,
                    source,
                    destination,
                }
                .to_bytes(),
            )),
        }
    }

    const fn as_bytes(&self) -> &[u8] {
        match self {
            Self::V4(bytes) => bytes,
            Self::V6(bytes) => bytes,
        }
    }

    const fn ether_type(&self) -> EtherType {
        match self {
            Self::V4(_) => EtherType::IPV4,
            Self::V6(_) => EtherType::IPV6,
        }
    }

    fn icrc(&self, udp: [u8; UdpHeader::LEN], bth: &[u8; Bth::LEN], rest: &[u8]) -> u32 {
        match self {
            Self::V4(bytes) => icrc::ipv4(bytes, udp, bth, rest),
            Self::V6(bytes) => icrc::ipv6(bytes, udp, bth, rest),
        }
    }
}

struct Writer<'a> {
    buffer: &'a mut [u8],
    length: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        self.buffer
            .get_mut(self.length..)?
            .get_mut(..bytes.len())?
            .copy_from_slice(bytes);
        self.length += bytes.len();
        Some(())
    }

    fn put_extended(&mut self, headers: &ExtendedHeaders) -> Option<()> {
        headers.deth.map_or(Some(()), |h| self.put(&h.to_bytes()))?;
        headers.reth.map_or(Some(()), |h| self.put(&h.to_bytes()))?;
        headers.atomic_eth.map_or(Some(()), |h| self.put(&h.to_bytes()))?;
        headers.aeth.map_or(Some(()), |h| self.put(&h.to_bytes()))?;
        headers
            .atomic_ack_eth
            .map_or(Some(()), |h| self.put(&h.to_bytes()))?;
        headers.imm_dt.map_or(Some(()), |h| self.put(&h.to_bytes()))?;
        headers.ieth.map_or(Some(()), |h| self.put(&h.to_bytes()))
    }
}
