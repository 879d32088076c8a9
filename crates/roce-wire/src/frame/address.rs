//! Everything below the transport.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::eth::MacAddr;
use crate::num::FlowLabel;

/// Where a frame comes from and goes to: all of its headers below the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameAddress {
    /// The sender's station.
    pub source_mac: MacAddr,
    /// The next hop's station.
    pub destination_mac: MacAddr,
    /// IP addresses.
    pub ip: IpPair,
    /// The UDP source port: the same for all packets of a flow. (Linux takes one from 0xc000 up.)
    pub udp_source_port: u16,
    /// Differentiated services code point (high six bits) and explicit congestion notification (low two).
    pub traffic_class: u8,
    /// Time to live or hop limit.
    pub hop_limit: u8,
}

/// Both IP addresses of a frame, with what else its family's header has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpPair {
    /// IPv4. Frames are sent with "don't fragment" set.
    V4 {
        /// The sender's address.
        source: Ipv4Addr,
        /// The receiver's address.
        destination: Ipv4Addr,
        /// Without meaning as long as nobody fragments (RFC 6864): may be 0.
        identification: u16,
    },
    /// IPv6.
    V6 {
        /// The sender's address.
        source: Ipv6Addr,
        /// The receiver's address.
        destination: Ipv6Addr,
        /// The flow label; may be 0.
        flow_label: FlowLabel,
    },
}

impl IpPair {
    /// The two addresses, if they are of one family.
    #[must_use]
    pub fn new(source: IpAddr, destination: IpAddr) -> Option<Self> {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Some(Self::V4 {
                source,
                destination,
                identification: 0,
            }),
            (IpAddr::V6(source), IpAddr::V6(destination)) => Some(Self::V6 {
                source,
                destination,
                flow_label: FlowLabel::default(),
            }),
            _ => None,
        }
    }

    /// The sender's address.
    #[must_use]
    pub const fn source(&self) -> IpAddr {
        match *self {
            Self::V4 { source, .. } => IpAddr::V4(source),
            Self::V6 { source, .. } => IpAddr::V6(source),
        }
    }

    /// The receiver's address.
    #[must_use]
    pub const fn destination(&self) -> IpAddr {
        match *self {
            Self::V4 { destination, .. } => IpAddr::V4(destination),
            Self::V6 { destination, .. } => IpAddr::V6(destination),
        }
    }
}
