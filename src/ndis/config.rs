//! Keywords in the registry. A value that makes no sense is replaced by the default.

use core::time::Duration;

use ndk_sys::NDIS_STATUS;

use crate::os::handle::AdapterHandle;
use crate::os::irql::Passive;
use crate::os::registry::Configuration;

/// How the adapter is configured.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// `*NetworkDirect`: NDK may be enabled. Default: yes.
    pub network_direct: bool,
    /// `*NetworkDirectRoCEFrameSize`: largest payload of a RoCE packet in bytes, 256 to 4096; less if the link has no room for
    /// it. Default: as much as fits.
    pub frame_size: u32,
    /// `VrnicCommandTimeout` in milliseconds, 10 to 60,000: how long the firmware may take for a command. Default: 1000.
    pub command_timeout: Duration,
    /// `NetworkAddress`: the MAC address to use instead of the permanent one, if it is a unicast address.
    pub network_address: Option<[u8; 6]>,
}

/// The RDMA technology that this device has, as `*NetworkDirectTechnology` numbers it: `RoCEv2`.
const ROCE_V2: u32 = 4;

/// Payload of the largest `RoCE` packet.
const LARGEST_FRAME_SIZE: u32 = 4096;

impl Config {
    /// Reads the configuration.
    ///
    /// # Errors
    ///
    /// What NDIS says when it does not open.
    pub fn read(passive: &Passive, adapter: AdapterHandle) -> Result<Self, NDIS_STATUS> {
        let keywords = Configuration::open(passive, adapter)?;
        let technology = keywords.integer("*NetworkDirectTechnology").unwrap_or(ROCE_V2);
        let enabled = keywords.integer("*NetworkDirect").unwrap_or(1);
        let timeout = keywords
            .integer("VrnicCommandTimeout")
            .filter(|timeout| (10..=60_000).contains(timeout));
        let frame_size = keywords
            .integer("*NetworkDirectRoCEFrameSize")
            .filter(|size| size.is_power_of_two() && (256..=LARGEST_FRAME_SIZE).contains(size));
        Ok(Self {
            frame_size: frame_size.unwrap_or(LARGEST_FRAME_SIZE),
            network_direct: enabled != 0 && technology == ROCE_V2,
            command_timeout: Duration::from_millis(timeout.unwrap_or(1000).into()),
            network_address: keywords.network_address().filter(|address| is_unicast(*address)),
        })
    }
}

fn is_unicast(address: [u8; 6]) -> bool {
    address[0] & 1 == 0 && address != [0; 6]
}
