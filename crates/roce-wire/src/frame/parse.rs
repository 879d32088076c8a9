//! From bytes to a [`Frame`].

use crate::aeth::Aeth;
use crate::atomic::{AtomicAckEth, AtomicEth};
use crate::bth::{Bth, Follows, Opcode};
use crate::deth::Deth;
use crate::eth::{EtherType, EthernetHeader};
use crate::icrc;
use crate::immdt::{Ieth, ImmDt};
use crate::ipv4::{self, Ipv4Error, Ipv4Header};
use crate::ipv6::{Ipv6Header, Ipv6VersionError};
use crate::reth::Reth;
use crate::udp::{self, ROCE_V2_PORT, UdpHeader};

use super::{ExtendedHeaders, Frame, FrameAddress, IpPair};

/// Why a frame is not taken as a `RoCEv2` frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// It is not `RoCEv2` at all, but maybe good for somebody else: another `EtherType`, IP protocol or UDP port, or an IP fragment.
    NotRoce(NotRoce),
    /// It ends inside this header.
    Truncated(Layer),
    /// The IPv4 header is bad.
    Ipv4(Ipv4Error),
    /// The IPv4 header's checksum is wrong.
    Ipv4Checksum,
    /// The IPv6 header is bad.
    Ipv6(Ipv6VersionError),
    /// The IP header's length is less than its own headers, or more than the frame has.
    IpLength(u16),
    /// The UDP length is not that of the IP payload.
    UdpLength(u16),
    /// There is a UDP checksum, and it is wrong.
    UdpChecksum,
    /// The last four bytes are not the packet's invariant CRC.
    Icrc {
        /// What they are.
        found: u32,
        /// What they should be.
        expected: u32,
    },
    /// The transport header version is not 0.
    TransportVersion(u8),
    /// Which headers follow this opcode is not known.
    Opcode(Opcode),
    /// Payload and pad together have a length that is not a multiple of 4 or less than the pad, or there is a payload behind an opcode that
    /// has none.
    PayloadLength {
        /// Bytes of payload and pad.
        length: usize,
        /// Bytes of pad.
        pad: u8,
    },
}

/// What a frame is instead of `RoCEv2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRoce {
    /// Something other than IP.
    EtherType(EtherType),
    /// Something other than UDP right behind the IP header.
    IpProtocol(u8),
    /// IPv4 with options: header length in 4-byte words.
    Ipv4Options(u8),
    /// A piece of an IPv4 datagram.
    Fragment,
    /// UDP to another port.
    UdpPort(u16),
}

/// A part of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Ethernet header.
    Ethernet,
    /// IPv4 or IPv6 header.
    Ip,
    /// UDP header.
    Udp,
    /// Base transport header.
    Bth,
    /// An extended transport header.
    Extended,
    /// Invariant CRC.
    Icrc,
}

impl<'a> Frame<'a> {
    /// Reads a frame: checks every length, version and checksum once. Bytes behind the IP packet (Ethernet's own padding) are ignored.
    ///
    /// # Errors
    /// See [`FrameError`]. What is not `RoCEv2` is [`FrameError::NotRoce`], and only its headers are looked at; the other errors are those of
    /// frames for the `RoCEv2` port, or too damaged to tell.
    pub fn parse(frame: &'a [u8]) -> Result<Self, FrameError> {
        let (ethernet, packet) = take(frame, Layer::Ethernet)?;
        let ethernet = EthernetHeader::from_bytes(ethernet);
        let ip = match ethernet.ether_type {
            EtherType::IPV4 => Ip::read_v4(packet)?,
            EtherType::IPV6 => Ip::read_v6(packet)?,
            other => return Err(FrameError::NotRoce(NotRoce::EtherType(other))),
        };
        if ip.protocol != udp::PROTOCOL {
            return Err(FrameError::NotRoce(NotRoce::IpProtocol(ip.protocol)));
        }
        let (udp_bytes, _) = take(ip.rest, Layer::Udp)?;
        let udp = UdpHeader::from_bytes(udp_bytes);
        if udp.destination_port != ROCE_V2_PORT {
            return Err(FrameError::NotRoce(NotRoce::UdpPort(udp.destination_port)));
        }
        let datagram = ip.datagram()?;
        if usize::from(udp.length) != datagram.len() {
            return Err(FrameError::UdpLength(udp.length));
        }
        if udp.checksum != 0 && !udp::verify_checksum(ip.pair.source(), ip.pair.destination(), datagram) {
            return Err(FrameError::UdpChecksum);
        }
        let (_, transport) = take::<{ UdpHeader::LEN }>(datagram, Layer::Udp)?;
        let (bth, rest) = check_icrc(&ip, *udp_bytes, transport)?;
        let (extended, payload) = read_transport(&bth, rest)?;
        let address = FrameAddress {
            source_mac: ethernet.source,
            destination_mac: ethernet.destination,
            ip: ip.pair,
            udp_source_port: udp.source_port,
            traffic_class: ip.traffic_class,
            hop_limit: ip.hop_limit,
        };
        Ok(Self {
            address,
            bth,
            extended,
            payload,
        })
    }
}

/// What both IP headers say.
struct Ip<'a> {
    header: RawIp<'a>,
    pair: IpPair,
    protocol: u8,
    traffic_class: u8,
    hop_limit: u8,
    /// The header's length field, and how many bytes of that are the header itself.
    length: u16,
    length_of_header: u16,
    /// All that the frame has behind the header.
    rest: &'a [u8],
}

enum RawIp<'a> {
    V4(&'a [u8; Ipv4Header::LEN]),
    V6(&'a [u8; Ipv6Header::LEN]),
}

impl<'a> Ip<'a> {
    fn read_v4(packet: &'a [u8]) -> Result<Self, FrameError> {
        let (bytes, rest) = take(packet, Layer::Ip)?;
        let header = Ipv4Header::from_bytes(bytes).map_err(|error| match error {
            Ipv4Error::HeaderLength(words @ 6..) => FrameError::NotRoce(NotRoce::Ipv4Options(words)),
            other => FrameError::Ipv4(other),
        })?;
        if header.is_fragment() {
            return Err(FrameError::NotRoce(NotRoce::Fragment));
        }
        Ok(Self {
            header: RawIp::V4(bytes),
            pair: IpPair::V4 {
                source: header.source,
                destination: header.destination,
                identification: header.identification,
            },
            protocol: header.protocol,
            traffic_class: header.traffic_class,
            hop_limit: header.hop_limit,
            length: header.total_length,
            length_of_header: 20,
            rest,
        })
    }

    fn read_v6(packet: &'a [u8]) -> Result<Self, FrameError> {
        let (bytes, rest) = take(packet, Layer::Ip)?;
        let header = Ipv6Header::from_bytes(bytes).map_err(FrameError::Ipv6)?;
        Ok(Self {
            header: RawIp::V6(bytes),
            pair: IpPair::V6 {
                source: header.source,
                destination: header.destination,
                flow_label: header.flow_label,
            },
            protocol: header.next_header,
            traffic_class: header.traffic_class,
            hop_limit: header.hop_limit,
            length: header.payload_length,
            length_of_header: 0,
            rest,
        })
    }

    /// The IP payload, once the header is known to be good.
    fn datagram(&self) -> Result<&'a [u8], FrameError> {
        if let RawIp::V4(bytes) = self.header
            && !ipv4::verify_checksum(bytes)
        {
            return Err(FrameError::Ipv4Checksum);
        }
        let length = self.length.checked_sub(self.length_of_header);
        length
            .and_then(|length| self.rest.get(..usize::from(length)))
            .ok_or(FrameError::IpLength(self.length))
    }
}

/// The base transport header, and what is between it and the packet's ICRC, which is found to be right.
fn check_icrc<'a>(
    ip: &Ip<'_>,
    udp: [u8; UdpHeader::LEN],
    transport: &'a [u8],
) -> Result<(Bth, &'a [u8]), FrameError> {
    let (bth, rest) = take(transport, Layer::Bth)?;
    let (rest, last) = rest
        .split_last_chunk()
        .ok_or(FrameError::Truncated(Layer::Icrc))?;
    let found = u32::from_le_bytes(*last);
    let expected = match ip.header {
        RawIp::V4(header) => icrc::ipv4(header, udp, bth, rest),
        RawIp::V6(header) => icrc::ipv6(header, udp, bth, rest),
    };
    if found == expected {
        Ok((Bth::from_bytes(bth), rest))
    } else {
        Err(FrameError::Icrc { found, expected })
    }
}

/// The extended headers and the payload, out of all that is between base transport header and ICRC.
fn read_transport<'a>(bth: &Bth, mut rest: &'a [u8]) -> Result<(ExtendedHeaders, &'a [u8]), FrameError> {
    if bth.transport_version != 0 {
        return Err(FrameError::TransportVersion(bth.transport_version));
    }
    let follows = bth.opcode.follows().ok_or(FrameError::Opcode(bth.opcode))?;
    let rest = &mut rest;
    let extended = ExtendedHeaders {
        deth: next(follows, Follows::DETH, rest)?.map(Deth::from_bytes),
        reth: next(follows, Follows::RETH, rest)?.map(Reth::from_bytes),
        atomic_eth: next(follows, Follows::ATOMIC_ETH, rest)?.map(AtomicEth::from_bytes),
        aeth: next(follows, Follows::AETH, rest)?.map(Aeth::from_bytes),
        atomic_ack_eth: next(follows, Follows::ATOMIC_ACK_ETH, rest)?.map(AtomicAckEth::from_bytes),
        imm_dt: next(follows, Follows::IMM_DT, rest)?.map(ImmDt::from_bytes),
        ieth: next(follows, Follows::IETH, rest)?.map(Ieth::from_bytes),
    };
    let length = rest.len().checked_sub(usize::from(bth.pad_count));
    let payload = length.and_then(|length| rest.get(..length));
    payload
        .filter(|payload| {
            rest.len().is_multiple_of(4) && (follows.contains(Follows::PAYLOAD) || payload.is_empty())
        })
        .map(|payload| (extended, payload))
        .ok_or(FrameError::PayloadLength {
            length: rest.len(),
            pad: bth.pad_count,
        })
}

/// The next extended header, if the opcode has it.
fn next<'a, const N: usize>(
    follows: Follows,
    which: Follows,
    rest: &mut &'a [u8],
) -> Result<Option<&'a [u8; N]>, FrameError> {
    if !follows.contains(which) {
        return Ok(None);
    }
    let (header, tail) = take(rest, Layer::Extended)?;
    *rest = tail;
    Ok(Some(header))
}

/// The first `N` bytes, and the others.
fn take<const N: usize>(bytes: &[u8], layer: Layer) -> Result<(&[u8; N], &[u8]), FrameError> {
    bytes.split_first_chunk().ok_or(FrameError::Truncated(layer))
}
