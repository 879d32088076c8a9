//! Frames to send and receive, made and judged by smoltcp: none of it is the NIC's code.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, IpAddress, IpProtocol, Ipv4Packet, Ipv4Repr,
    Ipv6Packet, Ipv6Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber, UdpPacket, UdpRepr,
};

use crate::rig::{OUR_MAC, PEER_MAC};

/// Addresses of both families: ours and the peer's.
pub const V4: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)),
];
pub const V6: [IpAddr; 2] = [
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2)),
];

pub const SEQUENCE: u32 = 0xFFFF_F000;
pub const IDENTIFICATION: u16 = 0xFFFE;

/// A frame that smoltcp has made, with right checksums or with none.
pub struct Maker {
    pub source: [u8; 6],
    pub destination: [u8; 6],
    pub addresses: [IpAddr; 2],
    pub ports: [u16; 2],
    pub checksums: bool,
}

impl Maker {
    /// From us to the peer, without checksums.
    pub fn ours(addresses: [IpAddr; 2]) -> Self {
        Self {
            source: OUR_MAC,
            destination: PEER_MAC,
            addresses,
            ports: [49152, 80],
            checksums: false,
        }
    }

    /// From the peer to us, with checksums.
    pub fn peers([ours, theirs]: [IpAddr; 2]) -> Self {
        Self {
            source: PEER_MAC,
            destination: OUR_MAC,
            addresses: [theirs, ours],
            ports: [80, 49152],
            checksums: true,
        }
    }

    fn capabilities(&self) -> ChecksumCapabilities {
        let mut capabilities = ChecksumCapabilities::default();
        if !self.checksums {
            capabilities = ChecksumCapabilities::ignored();
        }
        capabilities
    }

    /// An IP packet with that payload, which `fill` writes.
    fn packet(&self, protocol: IpProtocol, length: usize, fill: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let [source, destination] = self.addresses;
        let (protocol_type, header) = match source {
            IpAddr::V4(_) => (EthernetProtocol::Ipv4, 20),
            IpAddr::V6(_) => (EthernetProtocol::Ipv6, 40),
        };
        let mut bytes = vec![0; 14 + header + length];
        let mut frame = EthernetFrame::new_unchecked(&mut bytes);
        frame.set_src_addr(EthernetAddress(self.source));
        frame.set_dst_addr(EthernetAddress(self.destination));
        frame.set_ethertype(protocol_type);
        match (source, destination) {
            (IpAddr::V4(src_addr), IpAddr::V4(dst_addr)) => {
                let mut packet = Ipv4Packet::new_unchecked(frame.payload_mut());
                let repr = Ipv4Repr {
                    src_addr,
                    dst_addr,
                    next_header: protocol,
                    payload_len: length,
                    hop_limit: 64,
                };
                repr.emit(&mut packet, &self.capabilities());
                packet.set_ident(IDENTIFICATION);
                if self.checksums {
                    packet.fill_checksum();
                }
                fill(packet.payload_mut());
            }
            (IpAddr::V6(src_addr), IpAddr::V6(dst_addr)) => {
                let mut packet = Ipv6Packet::new_unchecked(frame.payload_mut());
                let repr = Ipv6Repr {
                    src_addr,
                    dst_addr,
                    next_header: protocol,
                    payload_len: length,
                    hop_limit: 64,
                };
                repr.emit(&mut packet);
                fill(packet.payload_mut());
            }
            _ => panic!("two families"),
        }
        bytes
    }

    fn ip(&self) -> [IpAddress; 2] {
        self.addresses.map(IpAddress::from)
    }

    /// A TCP segment with PSH, and the options that `options` asks for.
    pub fn tcp(&self, payload: &[u8], options: bool) -> Vec<u8> {
        let repr = TcpRepr {
            src_port: self.ports[0],
            dst_port: self.ports[1],
            control: TcpControl::Psh,
            seq_number: TcpSeqNumber(SEQUENCE.cast_signed()),
            ack_number: Some(TcpSeqNumber(7)),
            window_len: 1000,
            window_scale: None,
            max_seg_size: None,
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: options.then(|| smoltcp::wire::TcpTimestampRepr::new(5, 6)),
            payload,
        };
        let [source, destination] = self.ip();
        self.packet(IpProtocol::Tcp, repr.buffer_len(), |bytes| {
            let mut packet = TcpPacket::new_unchecked(bytes);
            repr.emit(&mut packet, &source, &destination, &self.capabilities());
        })
    }

    pub fn udp(&self, payload: &[u8]) -> Vec<u8> {
        let repr = UdpRepr {
            src_port: self.ports[0],
            dst_port: self.ports[1],
        };
        let [source, destination] = self.ip();
        self.packet(IpProtocol::Udp, 8 + payload.len(), |bytes| {
            let mut packet = UdpPacket::new_unchecked(bytes);
            repr.emit(
                &mut packet,
                &source,
                &destination,
                payload.len(),
                |place| place.copy_from_slice(payload),
                &self.capabilities(),
            );
        })
    }
}

/// What smoltcp says about a frame: whether all its checksums are right.
pub fn checksums_are_right(frame: &[u8]) -> bool {
    let frame = EthernetFrame::new_checked(frame).unwrap();
    match frame.ethertype() {
        EthernetProtocol::Ipv4 => {
            let packet = Ipv4Packet::new_checked(frame.payload()).unwrap();
            let addresses = [packet.src_addr(), packet.dst_addr()].map(IpAddress::from);
            packet.verify_checksum() && transport_is_right(packet.next_header(), addresses, packet.payload())
        }
        EthernetProtocol::Ipv6 => {
            let packet = Ipv6Packet::new_checked(frame.payload()).unwrap();
            let addresses = [packet.src_addr(), packet.dst_addr()].map(IpAddress::from);
            transport_is_right(packet.next_header(), addresses, packet.payload())
        }
        other => panic!("{other}"),
    }
}

fn transport_is_right(protocol: IpProtocol, [source, destination]: [IpAddress; 2], payload: &[u8]) -> bool {
    match protocol {
        IpProtocol::Tcp => TcpPacket::new_checked(payload)
            .unwrap()
            .verify_checksum(&source, &destination),
        IpProtocol::Udp => {
            let packet = UdpPacket::new_checked(payload).unwrap();
            packet.checksum() != 0 && packet.verify_checksum(&source, &destination)
        }
        other => panic!("{other}"),
    }
}

/// The TCP segment in a frame.
pub fn tcp_of(frame: &[u8]) -> TcpPacket<&[u8]> {
    let frame = EthernetFrame::new_checked(frame).unwrap();
    let payload = match frame.ethertype() {
        EthernetProtocol::Ipv4 => Ipv4Packet::new_checked(frame.payload()).unwrap().payload(),
        _ => Ipv6Packet::new_checked(frame.payload()).unwrap().payload(),
    };
    TcpPacket::new_checked(payload).unwrap()
}

/// Payload in which every place is different from its neighbours.
pub fn payload(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| (at * 7 + at / 256).to_le_bytes()[0])
        .collect()
}

/// The frame with a VLAN tag.
pub fn with_tag(frame: &[u8], tag: u16) -> Vec<u8> {
    let mut tagged = frame[..12].to_vec();
    tagged.extend([0x81, 0]);
    tagged.extend(tag.to_be_bytes());
    tagged.extend(&frame[12..]);
    tagged
}
