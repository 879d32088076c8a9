//! The invariant CRC: IBTA 7.8.1, with annex A17.3.3 saying what it covers on `RoCEv2`.
//!
//! It is Ethernet's CRC-32 over eight bytes of ones (which stand for the absent local route header) and the packet from its IP
//! header to its last payload or pad byte, with ones in place of every field that a router may change.

use crc32fast::Hasher;

use crate::bth::Bth;
use crate::ipv4::Ipv4Header;
use crate::ipv6::Ipv6Header;
use crate::udp::UdpHeader;

/// Bytes on the wire: the last four of a packet, least significant first.
pub const LEN: usize = 4;

/// Bytes of ones before the IP header.
const LRH: usize = 8;

/// The ICRC of an IPv4 packet. `rest` is all that follows the BTH, up to where the ICRC stands.
#[must_use]
pub fn ipv4(ip: &[u8; Ipv4Header::LEN], udp: [u8; UdpHeader::LEN], bth: &[u8; Bth::LEN], rest: &[u8]) -> u32 {
    let mut ip = *ip;
    ip[1] = 0xff; // traffic class
    ip[8] = 0xff; // time to live
    ip[10] = 0xff; // header checksum
    ip[11] = 0xff;
    over(ip, udp, bth, rest)
}

/// The ICRC of an IPv6 packet. `rest` is all that follows the BTH, up to where the ICRC stands.
#[must_use]
pub fn ipv6(ip: &[u8; Ipv6Header::LEN], udp: [u8; UdpHeader::LEN], bth: &[u8; Bth::LEN], rest: &[u8]) -> u32 {
    let mut ip = *ip;
    ip[0] |= 0x0f; // traffic class
    ip[1] = 0xff; // traffic class, flow label
    ip[2] = 0xff;
    ip[3] = 0xff;
    ip[7] = 0xff; // hop limit
    over(ip, udp, bth, rest)
}

/// The hasher gets all headers in one piece: pieces this small cost more than their bytes.
fn over<const IP: usize>(
    masked_ip: [u8; IP],
    udp: [u8; UdpHeader::LEN],
    bth: &[u8; Bth::LEN],
    rest: &[u8],
) -> u32 {
    let mut headers = [0xff; LRH + Ipv6Header::LEN + UdpHeader::LEN + Bth::LEN];
    let (_, behind) = headers.split_at_mut(LRH);
    let (ip_bytes, behind) = behind.split_at_mut(IP);
    let (udp_bytes, behind) = behind.split_at_mut(UdpHeader::LEN);
    let (bth_bytes, _) = behind.split_at_mut(Bth::LEN);
    ip_bytes.copy_from_slice(&masked_ip);
    // Without its checksum.
    udp_bytes[..6].copy_from_slice(&udp[..6]);
    bth_bytes.copy_from_slice(bth);
    // FECN, BECN and the six reserved bits (resv8a).
    bth_bytes[4] = 0xff;
    let mut hasher = Hasher::new();
    hasher.update(&headers[..LRH + IP + UdpHeader::LEN + Bth::LEN]);
    hasher.update(rest);
    hasher.finalize()
}
