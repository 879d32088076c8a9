//! What is set for all queues, and survives a reset of the device.

use ndk_sys::{
    NDIS_PACKET_TYPE_ALL_MULTICAST, NDIS_PACKET_TYPE_BROADCAST, NDIS_PACKET_TYPE_DIRECTED,
    NDIS_PACKET_TYPE_MULTICAST, NDIS_PACKET_TYPE_PROMISCUOUS,
};
use vrnic_abi::eth::{
    ETH_STRIP_VLAN, EthConfig, FILTER_ALL_MULTICAST, FILTER_BROADCAST, FILTER_DIRECTED, FILTER_MULTICAST,
    FILTER_PROMISCUOUS,
};

use super::super::config::{Config, Offloads};
use super::super::rss::Scaling;
use super::super::task_offload::{self, Encapsulation};
use super::Ethernet;
use crate::nic::Nic;
use crate::nic::command::CommandError;
use crate::nic::eth::Moderation;
use crate::os::irql::Passive;

/// Multicast addresses that the adapter filters.
pub const MULTICAST_LIST: u8 = 64;

const MULTICAST_PLACES: usize = MULTICAST_LIST as usize;

/// With interrupt moderation: how long an event is held back, and for how many completions.
const MODERATION: Moderation = Moderation {
    microseconds: 50,
    frames: 64,
};

/// NDIS's filters and the device's.
const FILTERS: [(u32, u32); 5] = [
    (NDIS_PACKET_TYPE_DIRECTED, FILTER_DIRECTED),
    (NDIS_PACKET_TYPE_MULTICAST, FILTER_MULTICAST),
    (NDIS_PACKET_TYPE_ALL_MULTICAST, FILTER_ALL_MULTICAST),
    (NDIS_PACKET_TYPE_BROADCAST, FILTER_BROADCAST),
    (NDIS_PACKET_TYPE_PROMISCUOUS, FILTER_PROMISCUOUS),
];

/// The settings.
#[derive(Clone, Copy)]
pub struct Port {
    /// The address in force.
    pub mac: [u8; 6],
    /// `NDIS_PACKET_TYPE_*` bits.
    pub filter: u32,
    multicast: [[u8; 6]; MULTICAST_PLACES],
    multicast_count: usize,
    /// Receive side scaling.
    pub scaling: Scaling,
    /// Whether interrupts are moderated.
    pub moderated: bool,
    /// Offloads that are on.
    pub offloads: Offloads,
    /// Encapsulation that they are for.
    pub encapsulation: Encapsulation,
}

impl Port {
    /// As the adapter begins.
    pub fn new(mac: [u8; 6], config: &Config) -> Self {
        Self {
            mac,
            filter: 0,
            multicast: [[0; 6]; MULTICAST_PLACES],
            multicast_count: 0,
            scaling: Scaling::OFF,
            moderated: config.moderation,
            offloads: config.offloads,
            encapsulation: task_offload::ETHERNET,
        }
    }

    /// The multicast addresses.
    pub fn multicast(&self) -> &[[u8; 6]] {
        &self.multicast[..self.multicast_count]
    }

    /// Replaces the multicast addresses; false if there are too many.
    pub fn set_multicast(&mut self, addresses: &[[u8; 6]]) -> bool {
        let Some(places) = self.multicast.get_mut(..addresses.len()) else {
            return false;
        };
        places.copy_from_slice(addresses);
        self.multicast_count = addresses.len();
        true
    }

    /// How events are moderated.
    pub fn moderation(&self) -> Moderation {
        if self.moderated {
            MODERATION
        } else {
            Moderation::OFF
        }
    }

    fn device_filter(&self) -> u32 {
        FILTERS
            .iter()
            .filter(|(ndis, _)| self.filter & ndis != 0)
            .fold(0, |filter, (_, device)| filter | device)
    }
}

impl Ethernet {
    /// Brings the device to all that is set.
    ///
    /// # Errors
    ///
    /// The device refused.
    pub(super) fn apply(&self, passive: &Passive, nic: &Nic) -> Result<(), CommandError> {
        self.apply_scaling(passive, nic)?;
        self.apply_multicast(passive, nic)?;
        self.apply_filter(passive, nic)
    }

    /// Brings the device to the filter, the MTU, the address and the treatment of tags.
    ///
    /// # Errors
    ///
    /// The device refused.
    pub fn apply_filter(&self, passive: &Passive, nic: &Nic) -> Result<(), CommandError> {
        let port = *self.port.lock();
        let flags = if self.tagging().strips() {
            ETH_STRIP_VLAN
        } else {
            0
        };
        nic.set_eth_config(
            passive,
            &EthConfig {
                filter: port.device_filter().into(),
                mtu: self.mtu().into(),
                mac: port.mac,
                flags: flags.into(),
            },
        )
    }

    /// Brings the device to the multicast addresses.
    ///
    /// # Errors
    ///
    /// The device refused.
    pub fn apply_multicast(&self, passive: &Passive, nic: &Nic) -> Result<(), CommandError> {
        let port = *self.port.lock();
        nic.set_multicast(passive, port.multicast())
    }

    /// Brings the device and the transmit side to the scaling.
    ///
    /// # Errors
    ///
    /// The device refused.
    pub fn apply_scaling(&self, passive: &Passive, nic: &Nic) -> Result<(), CommandError> {
        let scaling = self.port.lock().scaling;
        let spread = scaling.spread(self.queue_count());
        let number = |index: usize| {
            let number = self.queues.get(index).and_then(super::Queue::number);
            number.and_then(|number| u8::try_from(number).ok()).unwrap_or(0)
        };
        nic.set_rss(passive, &scaling.device_table(&spread, number))?;
        self.set_spread(&spread);
        Ok(())
    }

    /// The interrupt message of queue `index`.
    pub fn message_of(&self, index: usize) -> Option<u32> {
        self.queues.get(index).map(super::Queue::message)
    }
}
