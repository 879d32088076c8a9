//! ARP (RFC 826) and neighbour discovery (RFC 4861): who has which IP address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use roce_wire::eth::MacAddr;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr,
    Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv6Packet, Ipv6Repr, NdiscNeighborFlags, NdiscRepr,
    RawHardwareAddress,
};

/// Neighbour discovery does not leave the link, and this proves it (RFC 4861, 7.1.1).
const HOP_LIMIT: u8 = 255;

/// What a frame says about neighbours.
pub(super) enum Event {
    /// Somebody asks for an address of the peer's: send this.
    Question { answer: Vec<u8> },
    /// Somebody says where an address is.
    Answer { ip: IpAddr, mac: MacAddr },
}

/// Reads a frame, as the station `mac` with these `addresses`. `None`: it is about something else, about other people's addresses, or
/// damaged.
pub(super) fn read(mac: MacAddr, addresses: &[IpAddr], bytes: &[u8]) -> Option<Event> {
    let frame = EthernetFrame::new_checked(bytes).ok()?;
    match frame.ethertype() {
        EthernetProtocol::Arp => read_arp(mac, addresses, frame.payload()),
        EthernetProtocol::Ipv6 => read_ipv6(mac, addresses, frame.src_addr(), frame.payload()),
        _ => None,
    }
}

/// The frame that asks for the station of `target`; `None` if the addresses are of two families.
pub(super) fn question(mac: MacAddr, source: IpAddr, target: IpAddr) -> Option<Vec<u8>> {
    match (source, target) {
        (IpAddr::V4(source), IpAddr::V4(target)) => {
            let nobody = EthernetAddress([0; 6]);
            Some(arp(
                ArpOperation::Request,
                (mac, source),
                (nobody, target),
                EthernetAddress::BROADCAST,
            ))
        }
        (IpAddr::V6(source), IpAddr::V6(target)) => {
            let [.., a, b, c] = target.octets();
            let group = Ipv6Addr::new(
                0xff02,
                0,
                0,
                0,
                0,
                1,
                0xff00 | u16::from(a),
                u16::from_be_bytes([b, c]),
            );
            let solicit = NdiscRepr::NeighborSolicit {
                target_addr: target,
                lladdr: Some(raw(mac)),
            };
            Some(ndisc(
                (mac, source),
                (EthernetAddress([0x33, 0x33, 0xff, a, b, c]), group),
                solicit,
            ))
        }
        _ => None,
    }
}

fn read_arp(mac: MacAddr, addresses: &[IpAddr], payload: &[u8]) -> Option<Event> {
    let packet = ArpPacket::new_checked(payload).ok()?;
    let ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: their_mac,
        source_protocol_addr: their_ip,
        target_protocol_addr: target,
        ..
    } = ArpRepr::parse(&packet).ok()?
    else {
        return None;
    };
    match operation {
        ArpOperation::Request if addresses.contains(&target.into()) => Some(Event::Question {
            answer: arp(
                ArpOperation::Reply,
                (mac, target),
                (their_mac, their_ip),
                their_mac,
            ),
        }),
        ArpOperation::Reply => Some(Event::Answer {
            ip: their_ip.into(),
            mac: MacAddr(their_mac.0),
        }),
        _ => None,
    }
}

fn read_ipv6(
    mac: MacAddr,
    addresses: &[IpAddr],
    their_mac: EthernetAddress,
    payload: &[u8],
) -> Option<Event> {
    let packet = Ipv6Packet::new_checked(payload).ok()?;
    if packet.next_header() != IpProtocol::Icmpv6 || packet.hop_limit() != HOP_LIMIT {
        return None;
    }
    let (their_ip, our_ip) = (packet.src_addr(), packet.dst_addr());
    let message = Icmpv6Packet::new_checked(packet.payload()).ok()?;
    match Icmpv6Repr::parse(&their_ip, &our_ip, &message, &ChecksumCapabilities::default()).ok()? {
        Icmpv6Repr::Ndisc(NdiscRepr::NeighborSolicit { target_addr, .. })
            if addresses.contains(&target_addr.into()) && !their_ip.is_unspecified() =>
        {
            let advert = NdiscRepr::NeighborAdvert {
                flags: NdiscNeighborFlags::SOLICITED | NdiscNeighborFlags::OVERRIDE,
                target_addr,
                lladdr: Some(raw(mac)),
            };
            Some(Event::Question {
                answer: ndisc((mac, target_addr), (their_mac, their_ip), advert),
            })
        }
        Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert { target_addr, .. }) => Some(Event::Answer {
            ip: target_addr.into(),
            mac: MacAddr(their_mac.0),
        }),
        _ => None,
    }
}

fn arp(
    operation: ArpOperation,
    (our_mac, our_ip): (MacAddr, Ipv4Addr),
    (their_mac, their_ip): (EthernetAddress, Ipv4Addr),
    to: EthernetAddress,
) -> Vec<u8> {
    let repr = ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: EthernetAddress(our_mac.0),
        source_protocol_addr: our_ip,
        target_hardware_addr: their_mac,
        target_protocol_addr: their_ip,
    };
    ethernet(our_mac, to, EthernetProtocol::Arp, repr.buffer_len(), |payload| {
        repr.emit(&mut ArpPacket::new_unchecked(payload));
    })
}

fn ndisc(
    (our_mac, our_ip): (MacAddr, Ipv6Addr),
    (their_mac, their_ip): (EthernetAddress, Ipv6Addr),
    message: NdiscRepr<'_>,
) -> Vec<u8> {
    let message = Icmpv6Repr::Ndisc(message);
    let ip = Ipv6Repr {
        src_addr: our_ip,
        dst_addr: their_ip,
        next_header: IpProtocol::Icmpv6,
        payload_len: message.buffer_len(),
        hop_limit: HOP_LIMIT,
    };
    let length = ip.buffer_len() + message.buffer_len();
    ethernet(our_mac, their_mac, EthernetProtocol::Ipv6, length, |payload| {
        let mut packet = Ipv6Packet::new_unchecked(payload);
        ip.emit(&mut packet);
        let mut icmp = Icmpv6Packet::new_unchecked(packet.payload_mut());
        message.emit(&our_ip, &their_ip, &mut icmp, &ChecksumCapabilities::default());
    })
}

fn ethernet(
    from: MacAddr,
    to: EthernetAddress,
    ethertype: EthernetProtocol,
    length: usize,
    fill: impl FnOnce(&mut [u8]),
) -> Vec<u8> {
    let repr = EthernetRepr {
        src_addr: EthernetAddress(from.0),
        dst_addr: to,
        ethertype,
    };
    let mut bytes = vec![0; repr.buffer_len() + length];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes);
    repr.emit(&mut frame);
    fill(frame.payload_mut());
    bytes
}

fn raw(mac: MacAddr) -> RawHardwareAddress {
    EthernetAddress(mac.0).into()
}
