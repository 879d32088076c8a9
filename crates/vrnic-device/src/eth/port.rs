//! What belongs to the port and not to one queue: which frames are received, and how long they may be.

use vrnic_abi::eth::{
    ETH_STRIP_VLAN, EthConfig, FILTER_ALL_MULTICAST, FILTER_BROADCAST, FILTER_DIRECTED, FILTER_MULTICAST,
    FILTER_PROMISCUOUS,
};

use super::{ADDRESS, HEADER};

/// An Ethernet address.
pub(crate) type Address = [u8; ADDRESS];

/// Whom a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cast {
    Unicast,
    Multicast,
    Broadcast,
}

impl Cast {
    /// By the destination address.
    pub fn of(frame: &[u8]) -> Self {
        match frame.first_chunk::<ADDRESS>() {
            Some([0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]) => Self::Broadcast,
            Some([first, ..]) if first & 1 != 0 => Self::Multicast,
            _ => Self::Unicast,
        }
    }
}

/// The configuration of the port.
pub(crate) struct Port {
    /// Its address.
    pub mac: Address,
    /// Longest payload, in bytes.
    pub mtu: usize,
    /// VLAN tags are taken out of received frames.
    pub strip_vlan: bool,
    filter: u32,
    /// Multicast addresses, sorted.
    multicast: Vec<Address>,
}

impl Port {
    /// After a reset.
    pub const fn new(mac: Address, mtu: u16) -> Self {
        Self {
            mac,
            mtu: mtu as usize,
            strip_vlan: false,
            filter: 0,
            multicast: Vec::new(),
        }
    }

    /// Takes over a configuration that has been checked.
    pub fn configure(&mut self, config: &EthConfig) {
        self.mac = config.mac;
        self.mtu = usize::try_from(config.mtu.get()).unwrap_or_default();
        self.strip_vlan = config.flags.get() & ETH_STRIP_VLAN != 0;
        self.filter = config.filter.get();
    }

    /// Replaces the list of multicast addresses.
    pub fn set_multicast(&mut self, addresses: &[Address]) {
        self.multicast.clear();
        self.multicast.extend_from_slice(addresses);
        self.multicast.sort_unstable();
    }

    /// Whether the filter lets a frame pass.
    pub fn accepts(&self, frame: &[u8]) -> bool {
        let asks = |filter| self.filter & filter != 0;
        let destination = match frame.first_chunk::<ADDRESS>() {
            Some(destination) if frame.len() >= HEADER => destination,
            _ => return false,
        };
        if asks(FILTER_PROMISCUOUS) {
            return true;
        }
        match Cast::of(frame) {
            Cast::Unicast => asks(FILTER_DIRECTED) && *destination == self.mac,
            Cast::Broadcast => asks(FILTER_BROADCAST),
            Cast::Multicast => {
                asks(FILTER_ALL_MULTICAST)
                    || asks(FILTER_MULTICAST) && self.multicast.binary_search(destination).is_ok()
            }
        }
    }
}
