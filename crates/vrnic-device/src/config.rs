//! What can be chosen when a NIC is made.

use std::io;
use std::time::Duration;

/// Smallest MTU, in bytes: IPv6 needs it, and a management datagram fits into it.
pub const MTU_MIN: u16 = 1280;
/// Largest MTU, in bytes.
pub const MTU_MAX: u16 = 9216;

/// The properties of one NIC. [`NicConfig::new`] fills in what most hosts want.
#[derive(Clone, Debug)]
pub struct NicConfig {
    /// Permanent Ethernet address: unicast.
    pub mac: [u8; 6],
    /// Largest Ethernet payload in bytes, [`MTU_MIN`] to [`MTU_MAX`].
    pub mtu: u16,
    /// Whether the link is up from the beginning.
    pub link_up: bool,
    /// Link speed in Mbit/s.
    pub speed_mbps: u32,
    /// EUI-64 of the node.
    pub node_guid: [u8; 8],
    /// Half-open connections that the CM service follows; at least 1.
    pub max_half_open: u32,
    /// How long the engine goes on polling the doorbells after the last work, before it sleeps.
    pub poll_window: Duration,
    /// Who drives the device.
    pub engine: Engine,
    /// The host keeps the MSI-X table and masks vectors itself, as VFIO does: to the device all vectors are open.
    pub host_masks_vectors: bool,
    /// How long a SEND that comes before a receive is posted is held before its sender gets an RNR NAK.
    pub rnr_hold: Duration,
}

/// Who looks at doorbells and timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A thread of the NIC, which polls for a while after the last work and then sleeps until it is kicked.
    Thread,
    /// The host, by calling [`crate::Nic::poll`] all the time: the device never sleeps. For a host that has one processor for device and
    /// driver.
    Host,
}

impl NicConfig {
    /// A NIC with that address, an MTU of 9000 bytes, a link of 100 Gbit/s that is up, and the GUID that the address
    /// gives (EUI-64 from EUI-48, universal/local bit inverted as in IPv6).
    #[must_use]
    pub const fn new(mac: [u8; 6]) -> Self {
        Self {
            mac,
            mtu: 9000,
            link_up: true,
            speed_mbps: 100_000,
            node_guid: [mac[0] ^ 2, mac[1], mac[2], 0xFF, 0xFE, mac[3], mac[4], mac[5]],
            max_half_open: 4096,
            poll_window: Duration::from_micros(50),
            engine: Engine::Thread,
            host_masks_vectors: false,
            rnr_hold: Duration::from_millis(300),
        }
    }

    pub(crate) fn check(&self) -> io::Result<()> {
        let invalid = |what: String| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        if self.mac[0] & 1 != 0 || self.mac == [0; 6] {
            return invalid(format!("{:02x?} is not a unicast Ethernet address", self.mac));
        }
        if !(MTU_MIN..=MTU_MAX).contains(&self.mtu) {
            return invalid(format!(
                "an MTU of {} bytes is outside {MTU_MIN} to {MTU_MAX}",
                self.mtu
            ));
        }
        if self.max_half_open == 0 {
            return invalid("the CM service cannot follow 0 half-open connections".to_owned());
        }
        Ok(())
    }
}
