//! The RDMA IP CM service (annex A11): a connection request that carries IP addresses and ports.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use zerocopy::byteorder::big_endian::U16;
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute, transmute_mut, transmute_ref,
};

use crate::cm::{PrivateData, REQ_PRIVATE_DATA_LEN};

/// Bytes of a REQ's private data that are left to the consumer.
pub const CONSUMER_PRIVATE_DATA_LEN: usize = REQ_PRIVATE_DATA_LEN - IpCmHeader::LEN;

/// What a service ID's IP protocol byte says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortSpace(pub u8);

impl PortSpace {
    /// TCP's ports: reliable connections.
    pub const TCP: Self = Self(6);
    /// UDP's ports: datagrams.
    pub const UDP: Self = Self(17);
}

/// A service ID: what a REQ wants to be connected to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub u64);

impl ServiceId {
    const IP_PREFIX: u64 = 0x01;

    /// The service ID of an IP port (A11.2.2): `00 00 00 00 01`, the IP protocol, the port.
    #[must_use]
    pub const fn from_port(space: PortSpace, port: u16) -> Self {
        Self(Self::IP_PREFIX << 24 | (space.0 as u64) << 16 | port as u64)
    }

    /// The IP protocol and port, if it is the service ID of one.
    #[must_use]
    pub const fn to_port(self) -> Option<(PortSpace, u16)> {
        let [0, 0, 0, 0, 1, protocol, high, low] = self.0.to_be_bytes() else {
            return None;
        };
        Some((PortSpace(protocol), u16::from_be_bytes([high, low])))
    }
}

/// The header at the beginning of a REQ's private data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpCmHeader {
    /// The active side's port.
    pub source_port: u16,
    /// Both addresses.
    pub addresses: IpCmAddresses,
}

/// The addresses of an [`IpCmHeader`]: both of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpCmAddresses {
    /// IPv4.
    V4 {
        /// The active side's.
        source: Ipv4Addr,
        /// The passive side's.
        destination: Ipv4Addr,
    },
    /// IPv6.
    V6 {
        /// The active side's.
        source: Ipv6Addr,
        /// The passive side's.
        destination: Ipv6Addr,
    },
}

impl IpCmAddresses {
    /// The two addresses, if they are of one family.
    #[must_use]
    pub const fn new(source: IpAddr, destination: IpAddr) -> Option<Self> {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Some(Self::V4 { source, destination }),
            (IpAddr::V6(source), IpAddr::V6(destination)) => Some(Self::V6 { source, destination }),
            _ => None,
        }
    }

    /// The active side's address.
    #[must_use]
    pub const fn source(&self) -> IpAddr {
        match *self {
            Self::V4 { source, .. } => IpAddr::V4(source),
            Self::V6 { source, .. } => IpAddr::V6(source),
        }
    }

    /// The passive side's address.
    #[must_use]
    pub const fn destination(&self) -> IpAddr {
        match *self {
            Self::V4 { destination, .. } => IpAddr::V4(destination),
            Self::V6 { destination, .. } => IpAddr::V6(destination),
        }
    }
}

/// Why private data does not begin with an [`IpCmHeader`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpCmError {
    /// Major version (high four bits) and minor version: not 0.0, the only one there is.
    Version(u8),
    /// The IP version is neither 4 nor 6.
    IpVersion(u8),
}

impl IpCmHeader {
    /// Bytes on the wire.
    pub const LEN: usize = 36;

    /// Reads the header at the beginning of a REQ's private data, and the consumer's private data behind it.
    ///
    /// # Errors
    /// See [`IpCmError`].
    pub fn parse(
        private_data: &PrivateData<REQ_PRIVATE_DATA_LEN>,
    ) -> Result<(Self, &[u8; CONSUMER_PRIVATE_DATA_LEN]), IpCmError> {
        let layout: &Layout = transmute_ref!(private_data.as_array());
        if layout.version != 0 {
            return Err(IpCmError::Version(layout.version));
        }
        let addresses = match layout.ip_version >> 4 {
            4 => IpCmAddresses::V4 {
                source: ipv4_of(layout.source),
                destination: ipv4_of(layout.destination),
            },
            6 => IpCmAddresses::V6 {
                source: layout.source.into(),
                destination: layout.destination.into(),
            },
            other => return Err(IpCmError::IpVersion(other)),
        };
        Ok((
            Self {
                source_port: layout.source_port.get(),
                addresses,
            },
            &layout.consumer,
        ))
    }

    /// A REQ's private data: this header, then the consumer's `data`, then zeros. `None` if `data` is longer than
    /// [`CONSUMER_PRIVATE_DATA_LEN`].
    #[must_use]
    pub fn private_data(&self, data: &[u8]) -> Option<PrivateData<REQ_PRIVATE_DATA_LEN>> {
        let mut bytes = [0; REQ_PRIVATE_DATA_LEN];
        let layout: &mut Layout = transmute_mut!(&mut bytes);
        (layout.ip_version, layout.source, layout.destination) = match self.addresses {
            IpCmAddresses::V4 { source, destination } => (4 << 4, padded(source), padded(destination)),
            IpCmAddresses::V6 { source, destination } => (6 << 4, source.octets(), destination.octets()),
        };
        layout.source_port = U16::new(self.source_port);
        layout.consumer.get_mut(..data.len())?.copy_from_slice(data);
        Some(PrivateData::from_array(bytes))
    }
}

/// An IPv4 address stands in the last four bytes of its field (A11.3).
fn ipv4_of(field: [u8; 16]) -> Ipv4Addr {
    let [.., a, b, c, d] = field;
    Ipv4Addr::new(a, b, c, d)
}

fn padded(address: Ipv4Addr) -> [u8; 16] {
    transmute!([[0; 4], [0; 4], [0; 4], address.octets()])
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Layout {
    version: u8,
    ip_version: u8,
    source_port: U16,
    source: [u8; 16],
    destination: [u8; 16],
    consumer: [u8; CONSUMER_PRIVATE_DATA_LEN],
}
