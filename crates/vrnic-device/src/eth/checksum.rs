//! The Internet checksum (RFC 1071) of IPv4 headers, TCP and UDP.

use super::headers::{Family, Headers, Transport};

/// Where the checksum is in an IPv4 header.
const IPV4_CHECKSUM: usize = 10;

/// What is known about a checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is none, or it is none that can be verified.
    None,
    Right,
    Wrong,
}

impl Verdict {
    fn of(is_right: bool) -> Self {
        if is_right { Self::Right } else { Self::Wrong }
    }
}

/// Fills in the checksum of the IPv4 header; with IPv6 there is none.
pub(super) fn fill_network(frame: &mut [u8], headers: &Headers) {
    if headers.family == Family::V4 {
        let header = &mut frame[headers.network_header()];
        put(header, IPV4_CHECKSUM, 0);
        let checksum = !fold(sum(header));
        put(header, IPV4_CHECKSUM, checksum);
    }
}

/// Fills in the checksum of TCP or UDP. False: it is neither.
pub(super) fn fill_transport(frame: &mut [u8], headers: &Headers) -> bool {
    let Some(at) = field(headers.transport) else {
        return false;
    };
    let pseudo = pseudo_header(frame, headers);
    let packet = &mut frame[headers.transport_at..headers.end];
    put(packet, at, 0);
    let checksum = match !fold(pseudo + sum(packet)) {
        // Zero would say that there is no checksum (RFC 768).
        0 if headers.transport == Transport::Udp => u16::MAX,
        checksum => checksum,
    };
    put(packet, at, checksum);
    true
}

/// Verifies the checksum of the IPv4 header.
pub(super) fn verify_network(frame: &[u8], headers: &Headers) -> Verdict {
    match headers.family {
        Family::V4 => Verdict::of(fold(sum(&frame[headers.network_header()])) == u16::MAX),
        Family::V6 => Verdict::None,
    }
}

/// Verifies the checksum of TCP or UDP.
pub(super) fn verify_transport(frame: &[u8], headers: &Headers) -> Verdict {
    let Some(at) = field(headers.transport) else {
        return Verdict::None;
    };
    let packet = &frame[headers.transport_at..headers.end];
    if headers.transport == Transport::Udp && packet[at..at + 2] == [0, 0] {
        return match headers.family {
            Family::V4 => Verdict::None,
            // RFC 8200, 8.1: not allowed.
            Family::V6 => Verdict::Wrong,
        };
    }
    Verdict::of(fold(pseudo_header(frame, headers) + sum(packet)) == u16::MAX)
}

/// Where the checksum is in the transport header.
const fn field(transport: Transport) -> Option<usize> {
    match transport {
        Transport::Tcp => Some(16),
        Transport::Udp => Some(6),
        Transport::Other => None,
    }
}

/// The sum over the pseudo header: addresses, protocol, length.
fn pseudo_header(frame: &[u8], headers: &Headers) -> u64 {
    let protocol = match headers.transport {
        Transport::Tcp => 6,
        Transport::Udp => 17,
        Transport::Other => 0,
    };
    // A length of more than 16 bits is none that is sent.
    let length = u16::try_from(headers.end - headers.transport_at).unwrap_or_default();
    sum(&frame[headers.addresses()]) + word(protocol) + word(length)
}

/// The sum of 16-bit words, not folded; an odd byte at the end is a word with a zero. The order of bytes in a word does not matter as long as
/// it is the same everywhere (RFC 1071, 2 (B)), and as 2^16 is one modulo 2^16 - 1, words of 32 bits do as well: little-endian ones, which
/// a processor adds without turning them round.
fn sum(data: &[u8]) -> u64 {
    let (words, rest) = data.as_chunks::<4>();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().map(|word| u64::from(u32::from_le_bytes(*word)));
    words.sum::<u64>() + u64::from(u32::from_le_bytes(last))
}

/// A word as [`sum`] adds it.
fn word(value: u16) -> u64 {
    u16::from_le_bytes(value.to_be_bytes()).into()
}

/// The one's complement sum in 16 bits.
fn fold(mut sum: u64) -> u16 {
    while sum > u64::from(u16::MAX) {
        sum = (sum & u64::from(u16::MAX)) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or(u16::MAX)
}

/// Writes a word as [`sum`] has it.
fn put(packet: &mut [u8], at: usize, value: u16) {
    packet[at..at + 2].copy_from_slice(&value.to_le_bytes());
}
