//! Frames to the peer: headers in front of a payload that is in its place already.

use roce_wire::aeth::Aeth;
use roce_wire::bth::{Bth, DEFAULT_P_KEY, Opcode};
use roce_wire::eth::{EtherType, EthernetHeader, MacAddr};
use roce_wire::frame::IpPair;
use roce_wire::icrc;
use roce_wire::ipv4::Ipv4Header;
use roce_wire::ipv6::Ipv6Header;
use roce_wire::num::{Psn, Qpn};
use roce_wire::reth::Reth;
use roce_wire::udp::{self, ROCE_V2_PORT, UdpHeader};

use super::Path;
use crate::frame_buffer::{FrameBuffer, PAYLOAD};

const VLAN_TAG: usize = 4;

/// What differs from packet to packet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Packet {
    pub opcode: Opcode,
    pub psn: Psn,
    pub solicited: bool,
    pub ack_request: bool,
    pub extended: Extended,
    /// Bytes that are in the buffer's payload.
    pub payload: usize,
}

/// The headers between base transport header and payload.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Extended {
    #[default]
    None,
    Reth(Reth),
    Aeth(Aeth),
    /// Immediate data, or a key to invalidate.
    Word(u32),
}

impl Extended {
    const fn len(self) -> usize {
        match self {
            Self::None => 0,
            Self::Reth(_) => Reth::LEN,
            Self::Aeth(_) | Self::Word(_) => 4,
        }
    }

    fn write(self, out: &mut [u8]) {
        match self {
            Self::None => {}
            Self::Reth(reth) => out.copy_from_slice(&reth.to_bytes()),
            Self::Aeth(aeth) => out.copy_from_slice(&aeth.to_bytes()),
            Self::Word(word) => out.copy_from_slice(&word.to_be_bytes()),
        }
    }
}

/// All headers of the frames to one peer, but for what differs from packet to packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Headers {
    ethernet: [u8; EthernetHeader::LEN + VLAN_TAG],
    /// Bytes of `ethernet` in use: with the tag or without.
    ethernet_length: usize,
    path: Path,
    udp_source_port: u16,
    dest_qp: Qpn,
}

impl Headers {
    /// The headers from `own_qpn` to `peer_qpn`.
    pub fn new(path: &Path, own_qpn: Qpn, peer_qpn: Qpn) -> Self {
        let ether_type = match path.ip {
            IpPair::V4 { .. } => EtherType::IPV4,
            IpPair::V6 { .. } => EtherType::IPV6,
        };
        let header = EthernetHeader {
            destination: MacAddr(path.destination_mac),
            source: MacAddr(path.source_mac),
            ether_type: if path.vlan_tag == 0 {
                ether_type
            } else {
                EtherType::VLAN
            },
        };
        let mut ethernet = [0; EthernetHeader::LEN + VLAN_TAG];
        ethernet[..EthernetHeader::LEN].copy_from_slice(&header.to_bytes());
        ethernet[EthernetHeader::LEN..][..2].copy_from_slice(&path.vlan_tag.to_be_bytes());
        ethernet[EthernetHeader::LEN + 2..].copy_from_slice(&ether_type.0.to_be_bytes());
        Self {
            ethernet,
            ethernet_length: EthernetHeader::LEN + if path.vlan_tag == 0 { 0 } else { VLAN_TAG },
            path: *path,
            udp_source_port: source_port(path.udp_source_port, own_qpn, peer_qpn),
            dest_qp: peer_qpn,
        }
    }

    /// Puts headers, pad and ICRC around the payload that is in the buffer: that is the frame.
    pub fn seal(&self, buffer: &mut FrameBuffer, packet: &Packet) {
        let pad = packet.payload.wrapping_neg() & 3;
        let extended = packet.extended.len();
        let rest = PAYLOAD - extended;
        let icrc_at = PAYLOAD + packet.payload + pad;
        let bytes = buffer.memory();
        bytes[PAYLOAD + packet.payload..icrc_at].fill(0);
        packet.extended.write(&mut bytes[rest..PAYLOAD]);
        let bth = self.bth(packet, pad);
        // An MTU's payload and its headers fit into 16 bits.
        let udp_length =
            u16::try_from(UdpHeader::LEN + Bth::LEN + icrc_at - rest + icrc::LEN).unwrap_or(u16::MAX);
        let udp = UdpHeader {
            source_port: self.udp_source_port,
            destination_port: ROCE_V2_PORT,
            length: udp_length,
            checksum: 0,
        }
        .to_bytes();
        let transport = rest - Bth::LEN - UdpHeader::LEN;
        bytes[transport..][..UdpHeader::LEN].copy_from_slice(&udp);
        bytes[rest - Bth::LEN..rest].copy_from_slice(&bth);
        let path = &self.path;
        let (start, icrc) = match path.ip {
            IpPair::V4 {
                source,
                destination,
                identification,
            } => {
                let header = Ipv4Header {
                    traffic_class: path.traffic_class,
                    total_length: udp_length.saturating_add(20),
                    identification,
                    dont_fragment: true,
                    more_fragments: false,
                    fragment_offset: 0,
                    hop_limit: path.hop_limit,
                    protocol: udp::PROTOCOL,
                    source,
                    destination,
                }
                .to_bytes();
                let start = transport - header.len();
                bytes[start..transport].copy_from_slice(&header);
                (start, icrc::ipv4(&header, udp, &bth, &bytes[rest..icrc_at]))
            }
            IpPair::V6 {
                source,
                destination,
                flow_label,
            } => {
                let header = Ipv6Header {
                    traffic_class: path.traffic_class,
                    flow_label,
                    payload_length: udp_length,
                    next_header: udp::PROTOCOL,
                    hop_limit: path.hop_limit,
                    source,
                    destination,
                }
                .to_bytes();
                let start = transport - header.len();
                bytes[start..transport].copy_from_slice(&header);
                (start, icrc::ipv6(&header, udp, &bth, &bytes[rest..icrc_at]))
            }
        };
        bytes[icrc_at..][..icrc::LEN].copy_from_slice(&icrc.to_le_bytes());
        let ethernet = &self.ethernet[..self.ethernet_length];
        let frame = start - ethernet.len();
        bytes[frame..start].copy_from_slice(ethernet);
        buffer.set_frame(frame..icrc_at + icrc::LEN);
    }

    fn bth(&self, packet: &Packet, pad: usize) -> [u8; Bth::LEN] {
        Bth {
            opcode: packet.opcode,
            solicited_event: packet.solicited,
            mig_req: true,
            // 0 to 3.
            pad_count: u8::try_from(pad).unwrap_or_default(),
            p_key: DEFAULT_P_KEY,
            dest_qp: self.dest_qp,
            ack_request: packet.ack_request,
            psn: packet.psn,
            ..Bth::default()
        }
        .to_bytes()
    }
}

/// A port for the flow in the dynamic range from 0xC000 up, if the driver has not chosen one: both numbers give the entropy (annex A17.9.2).
fn source_port(chosen: u16, own_qpn: Qpn, peer_qpn: Qpn) -> u16 {
    if chosen != 0 {
        return chosen;
    }
    let product = u64::from(own_qpn.get()) * u64::from(peer_qpn.get());
    let [low, high, ..] = (product ^ product >> 20 ^ product >> 40).to_le_bytes();
    0xC000 | u16::from_le_bytes([low, high])
}
