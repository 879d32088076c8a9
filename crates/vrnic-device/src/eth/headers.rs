//! Where the headers of a frame are: what checksums, segmentation and RSS need to know of it, and no more.

use std::ops::Range;

use roce_wire::eth::EtherType;

use super::{ADDRESSES, HEADER, TAG};

/// The network protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// The transport protocol, if its header is there to be worked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Udp,
    /// Another one, a fragment, a header that is cut off, or a packet that is not at its last destination.
    Other,
}

/// How long the packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// As its header says.
    Header,
    /// Up to the end of the frame, whatever its header says.
    Frame,
}

/// The headers of an IP packet in a frame. All offsets are from the beginning of the frame, and inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Headers {
    pub family: Family,
    /// Where the IP header begins.
    pub network: usize,
    /// Where what is behind the IP headers begins.
    pub transport_at: usize,
    pub transport: Transport,
    /// Where the payload of TCP or UDP begins.
    pub payload: usize,
    /// Where the packet ends, with UDP the datagram: what is behind is padding.
    pub end: usize,
}

/// Numbers of protocols and of IPv6 extension headers.
const HOP_BY_HOP: u8 = 0;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;
/// Extension headers that are skipped at most.
const MAX_EXTENSIONS: usize = 8;

const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const TCP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;

impl Headers {
    /// Finds the headers. None: the frame is no IP packet, or its IP headers make no sense.
    pub fn find(frame: &[u8], extent: Extent) -> Option<Self> {
        let (ether_type, network) = network_of(frame)?;
        match EtherType(ether_type) {
            EtherType::IPV4 => find_ipv4(frame, network, extent),
            EtherType::IPV6 => find_ipv6(frame, network, extent),
            _ => None,
        }
    }

    /// Where the IP header without extension headers is, with IPv4 its options too.
    pub fn network_header(&self) -> Range<usize> {
        match self.family {
            Family::V4 => self.network..self.transport_at,
            Family::V6 => self.network..self.network + IPV6_HEADER,
        }
    }

    /// Where source and destination address are, one behind the other.
    pub fn addresses(&self) -> Range<usize> {
        match self.family {
            Family::V4 => self.network + 12..self.network + IPV4_HEADER,
            Family::V6 => self.network + 8..self.network + IPV6_HEADER,
        }
    }

    /// Where source and destination port are, one behind the other; only with TCP and UDP.
    pub fn ports(&self) -> Range<usize> {
        self.transport_at..self.transport_at + 4
    }
}

/// The VLAN tag of a frame.
pub(super) fn tag_of(frame: &[u8]) -> Option<u16> {
    let tag = read_u16(frame, ADDRESSES)? == EtherType::VLAN.0;
    tag.then(|| read_u16(frame, ADDRESSES + 2)).flatten()
}

/// Bytes in front of the payload of a frame: the header, and the tag if there is one.
pub(super) fn header_length(frame: &[u8]) -> usize {
    tag_of(frame).map_or(HEADER, |_| HEADER + TAG)
}

/// The type of the payload of a frame, and where it begins.
fn network_of(frame: &[u8]) -> Option<(u16, usize)> {
    let at = header_length(frame);
    Some((read_u16(frame, at - 2)?, at))
}

pub(super) fn read_u16(frame: &[u8], at: usize) -> Option<u16> {
    let bytes = frame.get(at..)?.first_chunk()?;
    Some(u16::from_be_bytes(*bytes))
}

fn find_ipv4(frame: &[u8], network: usize, extent: Extent) -> Option<Headers> {
    let header = frame.get(network..)?.first_chunk::<IPV4_HEADER>()?;
    let header_length = usize::from(header[0] & 0xF) * 4;
    let total = match extent {
        Extent::Header => usize::from(u16::from_be_bytes([header[2], header[3]])),
        Extent::Frame => frame.len() - network,
    };
    let end = network + total;
    if header[0] >> 4 != 4 || header_length < IPV4_HEADER || total < header_length || end > frame.len() {
        return None;
    }
    // More fragments, or an offset.
    let is_fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3FFF != 0;
    let protocol = if is_fragment { FRAGMENT } else { header[9] };
    Some(with_transport(
        frame,
        Family::V4,
        network,
        network + header_length,
        protocol,
        end,
    ))
}

fn find_ipv6(frame: &[u8], network: usize, extent: Extent) -> Option<Headers> {
    let header = frame.get(network..)?.first_chunk::<IPV6_HEADER>()?;
    let mut at = network + IPV6_HEADER;
    let end = match extent {
        Extent::Header => at + usize::from(u16::from_be_bytes([header[4], header[5]])),
        Extent::Frame => frame.len(),
    };
    if header[0] >> 4 != 6 || end > frame.len() {
        return None;
    }
    let mut protocol = header[6];
    for _ in 0..MAX_EXTENSIONS {
        if !matches!(protocol, HOP_BY_HOP | ROUTING | DESTINATION) {
            break;
        }
        let extension = frame.get(at..end)?.first_chunk::<8>()?;
        if protocol == ROUTING && extension[3] != 0 {
            // With segments left, the pseudo header's destination is another than the packet's.
            break;
        }
        protocol = extension[0];
        at += 8 + usize::from(extension[1]) * 8;
    }
    if at > end {
        return None;
    }
    Some(with_transport(frame, Family::V6, network, at, protocol, end))
}

fn with_transport(
    frame: &[u8],
    family: Family,
    network: usize,
    transport_at: usize,
    protocol: u8,
    end: usize,
) -> Headers {
    let packet = frame.get(transport_at..end).unwrap_or_default();
    let (transport, header, length) = match protocol {
        TCP => (Transport::Tcp, tcp_header(packet), Some(packet.len())),
        UDP => (Transport::Udp, Some(UDP_HEADER), udp_length(packet)),
        _ => (Transport::Other, None, None),
    };
    match (header, length) {
        (Some(header), Some(length)) => Headers {
            family,
            network,
            transport_at,
            transport,
            payload: transport_at + header,
            end: transport_at + length,
        },
        _ => Headers {
            family,
            network,
            transport_at,
            transport: Transport::Other,
            payload: transport_at,
            end,
        },
    }
}

/// Bytes of the TCP header, if it is there and makes sense.
fn tcp_header(packet: &[u8]) -> Option<usize> {
    let header = packet.first_chunk::<TCP_HEADER>()?;
    let length = usize::from(header[12] >> 4) * 4;
    (TCP_HEADER..=packet.len()).contains(&length).then_some(length)
}

/// Bytes of the UDP datagram, if they are there.
fn udp_length(packet: &[u8]) -> Option<usize> {
    let length = usize::from(read_u16(packet, 4)?);
    (UDP_HEADER..=packet.len()).contains(&length).then_some(length)
}
