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

/// The ICRC of an IPv4 packet. `rest` is all that follows the BTH, up to where the ICRC stands.
#[must_use]
pub fn ipv4(ip: &[u8; Ipv4Header::LEN], udp: [u8; UdpHeader::LEN], bth: &[u8; Bth::LEN], rest: &[u8]) -> u32 {
    let mut ip = *ip;
    ip[1] = 0xff; // traffic class
    ip[8] = 0xff; // time to live
    ip[10] = 0xff; // header checksum
    ip[11] = 0xff;
    over(&ip, udp, bth, rest)
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
    over(&ip, udp, bth, rest)
}

fn over(masked_ip: &[u8], mut udp: [u8; UdpHeader::LEN], bth: &[u8; Bth::LEN], rest: &[u8]) -> u32 {
    udp[6] = 0xff; // checksum
    udp[7] = 0xff;
    let mut bth = *bth;
    bth[4] = 0xff; // FECN, BECN and the six reserved bits (resv8a)
    let mut hasher = Hasher::new();
    hasher.update(&[0xff; 8]);
    hasher.update(masked_ip);
    hasher.update(&udp);
    hasher.update(&bth);
    hasher.update(rest);
    hasher.finalize()
}
