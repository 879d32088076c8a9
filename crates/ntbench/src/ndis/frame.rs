//! Ethernet frames as offloads see them: where the headers are, and what the checksums should be.

use crate::verifier::{BugCheck, Rule, Violation};
use ndk_sys::{NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO, TcpIpChecksumNetBufferListInfo};

/// Bytes of an Ethernet header.
pub const ETHERNET: usize = 14;
/// IP protocol numbers.
pub const TCP: u8 = 6;
/// IP protocol numbers.
pub const UDP: u8 = 17;

/// Where the headers of a frame are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    /// Offset of the IP header.
    pub ip: usize,
    /// Whether it is IPv6.
    pub v6: bool,
    /// Offset of the header behind it.
    pub transport: usize,
    /// IP protocol of that header.
    pub protocol: u8,
    /// Where the packet ends; padding follows.
    pub end: usize,
    /// Whether the packet is a part of another.
    pub fragment: bool,
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

impl Headers {
    /// The headers of an IP packet, behind a VLAN tag if there is one; IPv6 without extension headers. A length of zero stands for
    /// all that is there, as large sends have it.
    #[must_use]
    pub fn of(frame: &[u8]) -> Option<Self> {
        let tag = if be16(frame, 12)? == 0x8100 { 4 } else { 0 };
        let ip = ETHERNET + tag;
        let (v6, header, length, protocol, fragment) = match be16(frame, 12 + tag)? {
            0x0800 => (
                false,
                usize::from(frame.get(ip)? & 15) * 4,
                usize::from(be16(frame, ip + 2)?),
                *frame.get(ip + 9)?,
                be16(frame, ip + 6)? & 0x3FFF != 0,
            ),
            0x86DD => {
                let payload = usize::from(be16(frame, ip + 4)?);
                let length = if payload == 0 { 0 } else { 40 + payload };
                (true, 40, length, *frame.get(ip + 6)?, false)
            }
            _ => return None,
        };
        let end = if length == 0 { frame.len() } else { ip + length };
        let fits = header >= 20 && ip + header <= end && end <= frame.len();
        fits.then_some(Self {
            ip,
            v6,
            transport: ip + header,
            protocol,
            end,
            fragment,
        })
    }

    /// Offset of the transport checksum, for TCP and UDP.
    #[must_use]
    pub fn checksum(&self) -> Option<usize> {
        let at = match self.protocol {
            TCP => self.transport + 16,
            UDP => self.transport + 6,
            _ => return None,
        };
        (!self.fragment && at + 2 <= self.end).then_some(at)
    }

    /// The sum of the pseudo-header with that length.
    #[must_use]
    pub fn pseudo_header(&self, frame: &[u8], length: usize) -> u16 {
        let addresses = if self.v6 {
            self.ip + 8..self.ip + 40
        } else {
            self.ip + 12..self.ip + 20
        };
        let length = u16::try_from(length).unwrap_or(u16::MAX);
        let tail = [length.to_be_bytes(), [0, self.protocol]].concat();
        sum([&frame[addresses], &tail])
    }
}

/// The one's complement sum of big-endian words; each part begins at an even place.
fn sum<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u16 {
    let mut total = 0_u64;
    for part in parts {
        for word in part.chunks(2) {
            total += u64::from(u16::from_be_bytes([word[0], word.get(1).copied().unwrap_or(0)]));
        }
    }
    while total > 0xFFFF {
        total = (total & 0xFFFF) + (total >> 16);
    }
    u16::try_from(total).unwrap_or(u16::MAX)
}

/// Whether the checksums of a frame are right; `None` where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksums {
    /// Of the IPv4 header.
    pub ip: Option<bool>,
    /// Of TCP.
    pub tcp: Option<bool>,
    /// Of UDP.
    pub udp: Option<bool>,
}

impl Checksums {
    /// Looks at a frame.
    #[must_use]
    pub fn of(frame: &[u8]) -> Self {
        let Some(headers) = Headers::of(frame) else {
            return Self::default();
        };
        let ip = (!headers.v6).then(|| sum([&frame[headers.ip..headers.transport]]) == 0xFFFF);
        let transport = headers.checksum().and_then(|at| {
            if headers.protocol == UDP && frame[at..at + 2] == [0, 0] {
                return (headers.v6).then_some(false);
            }
            let pseudo = headers.pseudo_header(frame, headers.end - headers.transport);
            let whole = sum([&pseudo.to_be_bytes(), &frame[headers.transport..headers.end]]);
            Some(whole == 0xFFFF)
        });
        Self {
            ip,
            tcp: transport.filter(|_| headers.protocol == TCP),
            udp: transport.filter(|_| headers.protocol == UDP),
        }
    }

    /// Whether none is wrong.
    #[must_use]
    pub fn are_right(self) -> bool {
        ![self.ip, self.tcp, self.udp].contains(&Some(false))
    }
}

/// Computes the checksums of a frame: the IPv4 header's, TCP's, UDP's.
pub fn fill_checksums(frame: &mut [u8]) {
    fill_some(frame, true, true);
}

/// As [`fill_checksums`]: only the IPv4 header's, or only that of TCP or UDP.
pub fn fill_some(frame: &mut [u8], ip4: bool, transport: bool) {
    let Some(headers) = Headers::of(frame) else {
        return;
    };
    if ip4 && !headers.v6 {
        frame[headers.ip + 10..headers.ip + 12].fill(0);
        let checksum = !sum([&frame[headers.ip..headers.transport]]);
        frame[headers.ip + 10..headers.ip + 12].copy_from_slice(&checksum.to_be_bytes());
    }
    if let Some(at) = headers.checksum().filter(|_| transport) {
        frame[at..at + 2].fill(0);
        let pseudo = headers.pseudo_header(frame, headers.end - headers.transport);
        let checksum = !sum([&pseudo.to_be_bytes(), &frame[headers.transport..headers.end]]);
        let checksum = if checksum == 0 && headers.protocol == UDP {
            0xFFFF
        } else {
            checksum
        };
        frame[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
    }
}

/// Which checksums of a frame the adapter computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// The IPv4 header's.
    pub ip4: bool,
    /// TCP's or UDP's.
    pub transport: bool,
    /// Of all segments of a large send.
    pub large: bool,
}

/// Writes what a protocol leaves in the checksum fields that the adapter fills in: nothing in IPv4's, and the pseudo-header's sum in
/// TCP's or UDP's, with the length of what follows, or without it for large sends.
pub fn seed_checksums(frame: &mut [u8], left: Left) {
    let Some(headers) = Headers::of(frame) else {
        return;
    };
    if left.ip4 && !headers.v6 {
        frame[headers.ip + 10..headers.ip + 12].fill(0);
    }
    if let Some(at) = headers.checksum().filter(|_| left.transport) {
        let length = if left.large {
            0
        } else {
            headers.end - headers.transport
        };
        let sum = headers.pseudo_header(frame, length);
        frame[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Checks what the driver says about the checksums of a frame.
pub(super) fn check_verdicts(frame: &[u8], info: &[u64; 24]) {
    let value = info[usize::try_from(TcpIpChecksumNetBufferListInfo).unwrap_or(0)];
    let said = NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO {
        Value: usize::try_from(value).unwrap_or(0),
    };
    let really = Checksums::of(frame);
    let verdicts = [
        (
            "IP",
            said.IpChecksumSucceeded(),
            said.IpChecksumFailed(),
            really.ip,
        ),
        (
            "TCP",
            said.TcpChecksumSucceeded(),
            said.TcpChecksumFailed(),
            really.tcp,
        ),
        (
            "UDP",
            said.UdpChecksumSucceeded(),
            said.UdpChecksumFailed(),
            really.udp,
        ),
    ];
    for (name, succeeded, failed, right) in verdicts {
        let untrue = (succeeded != 0 && right != Some(true)) || (failed != 0 && right != Some(false));
        if untrue {
            Violation::new(
                Rule::NdisReceiveChecksum,
                BugCheck::verifier(0x91, [value, 0, 0]),
                format!("a frame came with {value:#x} about its checksums, and of {name}'s that is not true"),
            )
            .advice("Say of a checksum that it succeeded or failed only where the device has checked it.")
            .stop()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(v6: bool, protocol: u8) -> Vec<u8> {
        let mut frame = vec![0x22; 12];
        let transport = if protocol == TCP { 20 } else { 8 };
        let payload = transport + 11;
        if v6 {
            frame.extend([0x86, 0xDD, 0x60, 0, 0, 0, 0, payload, protocol, 64]);
            frame.extend([0xFD; 32]);
        } else {
            frame.extend([8, 0, 0x45, 0, 0, 20 + payload, 1, 2, 0, 0, 64, protocol, 0, 0]);
            frame.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        }
        frame.extend((0..payload).map(|at| at * 7));
        frame.extend([0xEE; 9]);
        frame
    }

    #[test]
    fn checksums_are_computed_and_checked() {
        for v6 in [false, true] {
            for protocol in [TCP, UDP] {
                let mut frame = packet(v6, protocol);
                fill_checksums(&mut frame);
                assert!(Checksums::of(&frame).are_right(), "{v6} {protocol}");
                let right = frame.clone();
                frame[ETHERNET + 38] ^= 4;
                assert!(!Checksums::of(&frame).are_right(), "{v6} {protocol}");
                let mut seeded = right.clone();
                let left = Left {
                    ip4: true,
                    transport: true,
                    large: false,
                };
                seed_checksums(&mut seeded, left);
                assert_ne!(seeded, right);
            }
        }
        assert_eq!(Checksums::of(&[0; 60]), Checksums::default());
    }

    #[test]
    fn a_tag_moves_the_headers() {
        let mut frame = packet(false, TCP);
        fill_checksums(&mut frame);
        frame.splice(12..12, [0x81, 0, 0x60, 5]);
        assert_eq!(Headers::of(&frame).map(|headers| headers.ip), Some(18));
        assert!(Checksums::of(&frame).are_right());
    }
}
