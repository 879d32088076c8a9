//! `SOCKADDR_INET`.

use crate::memory;
use crate::ndk::sockaddr::{decode, encode};
use ndk_sys::SOCKADDR_INET;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The structure for an address, with port 0.
pub(super) fn inet(address: IpAddr) -> SOCKADDR_INET {
    let mut structure = SOCKADDR_INET::zeroed();
    memory::write_bytes((&raw mut structure).addr(), &encode(SocketAddr::new(address, 0)));
    structure
}

/// The address in a driver's structure; `None` if it has no family.
pub(super) fn read(at: usize) -> Option<IpAddr> {
    let bytes = memory::read_bytes(at, size_of::<SOCKADDR_INET>());
    decode(&bytes).map(|address| address.ip())
}

/// "Any address" of the family of `like`.
pub(super) const fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}
