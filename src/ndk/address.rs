//! `SOCKADDR` as consumers pass it, and addresses as Rust knows them.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use ndk_sys::{
    AF_INET, AF_INET6, IN_ADDR, IN6_ADDR, NTSTATUS, SOCKADDR_IN, SOCKADDR_IN6, SOCKADDR_INET,
    STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_ADDRESS, STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
};

/// Bytes of a `SOCKADDR_IN`: family, port (big-endian), address, 8 bytes of zero.
const SOCKADDR_IN_LEN: usize = 16;
/// Bytes of a `SOCKADDR_IN6`: family, port (big-endian), flow info, address, scope id.
const SOCKADDR_IN6_LEN: usize = 28;

/// Reads a `SOCKADDR`. A link-local IPv6 address may have a scope id: see [`in_scope`]. Other scope ids mean nothing.
///
/// # Errors
/// `STATUS_INVALID_PARAMETER` if it is too short for its family, or of another family than IPv4 and IPv6.
pub fn parse(bytes: &[u8]) -> Result<SocketAddr, NTSTATUS> {
    let field = |at: usize| Some([*bytes.get(at)?, *bytes.get(at + 1)?]);
    let family = field(0).map(u16::from_le_bytes);
    let port = field(2).map(u16::from_be_bytes);
    match (family, port, bytes.len()) {
        (Some(AF_INET), Some(port), SOCKADDR_IN_LEN..) => {
            let octets = [bytes[4], bytes[5], bytes[6], bytes[7]];
            Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(octets)), port))
        }
        (Some(AF_INET6), Some(port), SOCKADDR_IN6_LEN..) => {
            let octets: [u8; 16] = core::array::from_fn(|at| bytes[8 + at]);
            let scope = u32::from_le_bytes(core::array::from_fn(|at| bytes[24 + at]));
            Ok(scoped(
                SocketAddr::new(IpAddr::V6(Ipv6Addr::from(octets)), port),
                scope,
            ))
        }
        _ => Err(STATUS_INVALID_PARAMETER),
    }
}

/// `address` with the scope id of the interface `index` if it is link-local, so that others know which link that is.
#[must_use]
pub fn scoped(address: SocketAddr, index: u32) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => {
            SocketAddrV6::new(*v6.ip(), v6.port(), 0, index).into()
        }
        other => other,
    }
}

/// `address` as the interface `index` knows it, without a scope id: it has but one link. The scope id 0 leaves open which
/// interface is meant (RFC 4007).
///
/// # Errors
/// `STATUS_INVALID_ADDRESS` if it is on the link of another interface.
pub fn in_scope(address: SocketAddr, index: u32) -> Result<SocketAddr, NTSTATUS> {
    match address {
        SocketAddr::V6(v6) if ![0, index].contains(&v6.scope_id()) => Err(STATUS_INVALID_ADDRESS),
        other => Ok(SocketAddr::new(other.ip(), other.port())),
    }
}

/// Writes `address` as a `SOCKADDR`; returns the bytes that count.
#[must_use]
pub fn encode(address: SocketAddr) -> ([u8; SOCKADDR_IN6_LEN], usize) {
    let mut bytes = [0; SOCKADDR_IN6_LEN];
    bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
    match address {
        SocketAddr::V4(v4) => {
            bytes[..2].copy_from_slice(&AF_INET.to_le_bytes());
            bytes[4..8].copy_from_slice(&v4.ip().octets());
            (bytes, SOCKADDR_IN_LEN)
        }
        SocketAddr::V6(v6) => {
            bytes[..2].copy_from_slice(&AF_INET6.to_le_bytes());
            bytes[8..24].copy_from_slice(&v6.ip().octets());
            bytes[24..].copy_from_slice(&SocketAddrV6::scope_id(&v6).to_le_bytes());
            (bytes, SOCKADDR_IN6_LEN)
        }
    }
}

/// `address` as the NDK OIDs want it.
#[must_use]
pub fn to_inet(address: SocketAddr) -> SOCKADDR_INET {
    let mut inet = SOCKADDR_INET::zeroed();
    match address {
        SocketAddr::V4(v4) => {
            inet.Ipv4 = SOCKADDR_IN {
                sin_family: AF_INET,
                sin_port: v4.port().to_be(),
                sin_addr: IN_ADDR {
                    S_addr: u32::from_ne_bytes(v4.ip().octets()),
                },
                ..SOCKADDR_IN::zeroed()
            };
        }
        SocketAddr::V6(v6) => {
            inet.Ipv6 = SOCKADDR_IN6 {
                sin6_family: AF_INET6,
                sin6_port: v6.port().to_be(),
                sin6_addr: IN6_ADDR {
                    Word: v6.ip().segments().map(u16::to_be),
                },
                sin6_scope_id: v6.scope_id(),
                ..SOCKADDR_IN6::zeroed()
            };
        }
    }
    inet
}

/// What the `Get…Address` functions do: copies `address` into `buffer` if it fits.
///
/// Returns the status (`STATUS_BUFFER_TOO_SMALL` if it does not) and the size that the caller stores: written, or needed.
#[must_use]
pub fn copy_out(address: SocketAddr, buffer: Option<&mut [u8]>) -> (NTSTATUS, usize) {
    let (bytes, length) = encode(address);
    match buffer.and_then(|buffer| buffer.get_mut(..length)) {
        Some(room) => {
            room.copy_from_slice(&bytes[..length]);
            (STATUS_SUCCESS, length)
        }
        None => (STATUS_BUFFER_TOO_SMALL, length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_survive_the_round_trip() {
        for text in ["10.0.0.1:445", "[fd00::1]:5445", "0.0.0.0:0", "[::]:65535"] {
            let address: SocketAddr = text.parse().expect("test address");
            let (bytes, length) = encode(address);
            assert_eq!(parse(&bytes[..length]), Ok(address), "{text}");
            assert_eq!(
                parse(&bytes[..length - 1]),
                Err(STATUS_INVALID_PARAMETER),
                "{text} cut short"
            );
        }
    }

    #[test]
    fn the_layout_is_winsocks() {
        let (bytes, length) = encode("1.2.3.4:258".parse().expect("test address"));
        assert_eq!(
            &bytes[..length],
            &[2, 0, 1, 2, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0]
        );
        let (bytes, _) = encode("[102::304]:1".parse().expect("test address"));
        assert_eq!(&bytes[..12], &[23, 0, 0, 1, 0, 0, 0, 0, 1, 2, 0, 0]);
    }

    #[test]
    fn a_scope_id_says_which_link() {
        let address = |text: &str| -> SocketAddr { text.parse().expect("test address") };
        let read = |text| {
            let (bytes, length) = encode(address(text));
            in_scope(parse(&bytes[..length])?, 12)
        };
        let plain = address("[fe80::1]:445");
        for good in ["[fe80::1%12]:445", "[fe80::1]:445"] {
            assert_eq!(read(good), Ok(plain), "{good}");
        }
        assert_eq!(read("[fe80::1%13]:445"), Err(STATUS_INVALID_ADDRESS));
        assert_eq!(read("[febf::1%13]:445"), Err(STATUS_INVALID_ADDRESS));
        // Everywhere else it means nothing.
        assert_eq!(read("[fd00::1%13]:445"), Ok(address("[fd00::1]:445")));
        assert_eq!(scoped(plain, 12), address("[fe80::1%12]:445"));
        for other in ["[fd00::1]:445", "10.0.0.1:445"] {
            assert_eq!(scoped(address(other), 12), address(other));
        }
    }

    #[test]
    fn other_families_are_refused() {
        assert_eq!(
            parse(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            Err(STATUS_INVALID_PARAMETER)
        );
        assert_eq!(parse(&[]), Err(STATUS_INVALID_PARAMETER));
    }

    #[test]
    fn a_small_buffer_learns_the_size() {
        let address = "10.0.0.1:445".parse().expect("test address");
        assert_eq!(copy_out(address, None), (STATUS_BUFFER_TOO_SMALL, 16));
        assert_eq!(
            copy_out(address, Some(&mut [0; 15])),
            (STATUS_BUFFER_TOO_SMALL, 16)
        );
        let mut room = [0xFF; 20];
        assert_eq!(copy_out(address, Some(&mut room)), (STATUS_SUCCESS, 16));
        assert_eq!(room[16..], [0xFF; 4], "nothing beyond the address is written");
    }
}
