//! `SOCKADDR_IN` and `SOCKADDR_IN6` as bytes.

use ndk_sys::{AF_INET, AF_INET6};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

/// Bytes of a `SOCKADDR_IN`.
const IPV4_SIZE: usize = 16;
/// Bytes of a `SOCKADDR_IN6`.
const IPV6_SIZE: usize = 28;

/// The structure for `address`.
#[must_use]
pub fn encode(address: SocketAddr) -> Vec<u8> {
    match address {
        SocketAddr::V4(v4) => {
            let mut bytes = vec![0; IPV4_SIZE];
            bytes[..2].copy_from_slice(&AF_INET.to_ne_bytes());
            bytes[2..4].copy_from_slice(&v4.port().to_be_bytes());
            bytes[4..8].copy_from_slice(&v4.ip().octets());
            bytes
        }
        SocketAddr::V6(v6) => {
            let mut bytes = vec![0; IPV6_SIZE];
            bytes[..2].copy_from_slice(&AF_INET6.to_ne_bytes());
            bytes[2..4].copy_from_slice(&v6.port().to_be_bytes());
            bytes[4..8].copy_from_slice(&v6.flowinfo().to_ne_bytes());
            bytes[8..24].copy_from_slice(&v6.ip().octets());
            bytes[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
            bytes
        }
    }
}

/// The address in a structure; `None` if it is neither of both.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes(*bytes.first_chunk()?);
    let port = u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
    if family == AF_INET && bytes.len() >= IPV4_SIZE {
        let ip: [u8; 4] = *bytes[4..].first_chunk()?;
        return Some(SocketAddr::from((ip, port)));
    }
    if family == AF_INET6 && bytes.len() >= IPV6_SIZE {
        let ip: [u8; 16] = *bytes[8..].first_chunk()?;
        let flow = u32::from_ne_bytes(*bytes[4..].first_chunk()?);
        let scope = u32::from_ne_bytes(*bytes[24..].first_chunk()?);
        return Some(SocketAddrV6::new(Ipv6Addr::from(ip), port, flow, scope).into());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_round_trip() {
        for text in ["10.1.2.3:445", "[fe80::1]:445", "0.0.0.0:0"] {
            let address: SocketAddr = text.parse().expect("an address");
            assert_eq!(decode(&encode(address)), Some(address));
        }
        assert_eq!(
            encode("1.2.3.4:258".parse().expect("an address"))[..8],
            [2, 0, 1, 2, 1, 2, 3, 4]
        );
        assert_eq!(decode(&[2, 0, 0, 0, 1, 2, 3]), None, "too short");
        assert_eq!(decode(&[9; 28]), None, "another family");
    }
}
