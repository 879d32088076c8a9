//! Keywords in the registry: the table that the INF offers, and what the driver makes of it.
//!
//! A value that makes no sense is replaced by the default. Names with an asterisk are Microsoft's standardized keywords, with
//! Microsoft's numbers.

use core::time::Duration;

/// Which values a keyword takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// One of these (INF: `enum`).
    Choice(&'static [u32]),
    /// Any number of the range in steps from its beginning (INF: `int` with `min`, `max`, `step`).
    Range {
        /// Smallest.
        min: u32,
        /// Largest.
        max: u32,
        /// Distance between two that a user interface offers; the driver takes those between too.
        step: u32,
    },
}

/// A keyword with a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyword {
    /// Name of the registry value.
    pub name: &'static str,
    /// Values that it takes.
    pub values: Values,
    /// What holds without it, or with one that it does not take.
    pub default: u32,
}

impl Keyword {
    const fn choice(name: &'static str, values: &'static [u32], default: u32) -> Self {
        Self {
            name,
            values: Values::Choice(values),
            default,
        }
    }

    const fn range(name: &'static str, min: u32, max: u32, step: u32, default: u32) -> Self {
        Self {
            name,
            values: Values::Range { min, max, step },
            default,
        }
    }

    /// Whether it takes `value`.
    #[must_use]
    pub fn takes(&self, value: u32) -> bool {
        match self.values {
            Values::Choice(values) => values.contains(&value),
            Values::Range { min, max, .. } => (min..=max).contains(&value),
        }
    }
}

/// Off and on.
const SWITCH: &[u32] = &[0, 1];
/// No checksum offload; of frames that are sent, that are received, of both.
const DIRECTIONS: &[u32] = &[0, 1, 2, 3];

/// NDK may be enabled.
pub const NETWORK_DIRECT: Keyword = Keyword::choice("*NetworkDirect", SWITCH, 1);
/// The technology that this device has, as the keyword numbers it: `RoCEv2`.
pub const ROCE_V2: u32 = 4;
/// RDMA technology: 1 iWARP, 2 `InfiniBand`, 3 `RoCE`, 4 `RoCEv2`. The device has the last only: any other keeps NDK off.
pub const NETWORK_DIRECT_TECHNOLOGY: Keyword =
    Keyword::choice("*NetworkDirectTechnology", &[1, 2, 3, ROCE_V2], ROCE_V2);
/// Largest payload of a `RoCE` packet in bytes; less if the link has no room for it.
pub const NETWORK_DIRECT_FRAME_SIZE: Keyword =
    Keyword::choice("*NetworkDirectRoCEFrameSize", &[256, 512, 1024, 2048, 4096], 4096);
/// Largest Ethernet frame in bytes, with its header and without a VLAN tag.
pub const JUMBO_PACKET: Keyword = Keyword::range("*JumboPacket", 1514, 9014, 4, 1514);
/// Receive side scaling.
pub const RSS: Keyword = Keyword::choice("*RSS", SWITCH, 1);
/// Receive queues of receive side scaling; not more than processors, interrupt messages and queues of the device.
pub const NUM_RSS_QUEUES: Keyword = Keyword::range("*NumRssQueues", 1, 16, 1, 8);
/// First processor of receive side scaling. NDIS reads it too, for the list of processors that it offers.
pub const RSS_BASE_PROC_NUMBER: Keyword = Keyword::range("*RssBaseProcNumber", 0, 63, 1, 0);
/// Processors of receive side scaling. NDIS reads it too.
pub const MAX_RSS_PROCESSORS: Keyword = Keyword::range("*MaxRssProcessors", 1, 16, 1, 16);
/// Checksum of IPv4 headers.
pub const IP_CHECKSUM_IPV4: Keyword = Keyword::choice("*IPChecksumOffloadIPv4", DIRECTIONS, 3);
/// TCP checksum over IPv4.
pub const TCP_CHECKSUM_IPV4: Keyword = Keyword::choice("*TCPChecksumOffloadIPv4", DIRECTIONS, 3);
/// TCP checksum over IPv6.
pub const TCP_CHECKSUM_IPV6: Keyword = Keyword::choice("*TCPChecksumOffloadIPv6", DIRECTIONS, 3);
/// UDP checksum over IPv4.
pub const UDP_CHECKSUM_IPV4: Keyword = Keyword::choice("*UDPChecksumOffloadIPv4", DIRECTIONS, 3);
/// UDP checksum over IPv6.
pub const UDP_CHECKSUM_IPV6: Keyword = Keyword::choice("*UDPChecksumOffloadIPv6", DIRECTIONS, 3);
/// Large sends over IPv4, version 2.
pub const LSO_V2_IPV4: Keyword = Keyword::choice("*LsoV2IPv4", SWITCH, 1);
/// Large sends over IPv6, version 2.
pub const LSO_V2_IPV6: Keyword = Keyword::choice("*LsoV2IPv6", SWITCH, 1);
/// Interrupt moderation of the Ethernet queues.
pub const INTERRUPT_MODERATION: Keyword = Keyword::choice("*InterruptModeration", SWITCH, 1);
/// Tags out of band: 0 none, 1 priorities, 2 VLANs, 3 both.
pub const PRIORITY_VLAN_TAG: Keyword = Keyword::choice("*PriorityVLANTag", &[0, 1, 2, 3], 3);
/// The VLAN that the adapter belongs to; 0 for no particular one. Needs VLANs in `*PriorityVLANTag`.
pub const VLAN_ID: Keyword = Keyword::range("VlanID", 0, 4094, 1, 0);
/// Receive buffers of each queue.
pub const RECEIVE_BUFFERS: Keyword = Keyword::range("*ReceiveBuffers", 64, 4096, 64, 512);
/// Transmit descriptors of each queue: pieces of frames that the device may have at a time.
pub const TRANSMIT_BUFFERS: Keyword = Keyword::range("*TransmitBuffers", 64, 4096, 64, 512);
/// How long the firmware may take for a command, in milliseconds. Transmit queues may stand still for twice as long, and for two
/// seconds at least.
pub const COMMAND_TIMEOUT: Keyword = Keyword::range("VrnicCommandTimeout", 10, 60_000, 10, 1000);

/// All keywords with a number.
pub const KEYWORDS: &[Keyword] = &[
    NETWORK_DIRECT,
    NETWORK_DIRECT_TECHNOLOGY,
    NETWORK_DIRECT_FRAME_SIZE,
    JUMBO_PACKET,
    RSS,
    NUM_RSS_QUEUES,
    RSS_BASE_PROC_NUMBER,
    MAX_RSS_PROCESSORS,
    IP_CHECKSUM_IPV4,
    TCP_CHECKSUM_IPV4,
    TCP_CHECKSUM_IPV6,
    UDP_CHECKSUM_IPV4,
    UDP_CHECKSUM_IPV6,
    LSO_V2_IPV4,
    LSO_V2_IPV6,
    INTERRUPT_MODERATION,
    PRIORITY_VLAN_TAG,
    VLAN_ID,
    RECEIVE_BUFFERS,
    TRANSMIT_BUFFERS,
    COMMAND_TIMEOUT,
];

/// The only keyword with a text: the MAC address to use instead of the permanent one, if it is a unicast address.
pub const NETWORK_ADDRESS: &str = "NetworkAddress";

/// Bytes of the Ethernet header.
pub const ETHERNET_HEADER: u32 = 14;

/// Where keywords are read.
pub trait Source {
    /// The number that `keyword` has, if it is there and a number.
    fn integer(&self, keyword: &str) -> Option<u32>;
    /// The address that [`NETWORK_ADDRESS`] has, if it is there and one.
    fn network_address(&self) -> Option<[u8; 6]>;
}

/// In which directions a checksum is offloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directions {
    /// Of frames that are sent.
    pub send: bool,
    /// Of frames that are received.
    pub receive: bool,
}

impl Directions {
    const fn new(value: u32) -> Self {
        Self {
            send: value & 1 != 0,
            receive: value & 2 != 0,
        }
    }
}

/// Which tasks of the TCP/IP stack the device does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offloads {
    /// IPv4 header checksum.
    pub ipv4: Directions,
    /// TCP checksum over IPv4.
    pub tcp4: Directions,
    /// UDP checksum over IPv4.
    pub udp4: Directions,
    /// TCP checksum over IPv6.
    pub tcp6: Directions,
    /// UDP checksum over IPv6.
    pub udp6: Directions,
    /// Large sends over IPv4.
    pub lso4: bool,
    /// Large sends over IPv6.
    pub lso6: bool,
}

impl Offloads {
    /// As a word, for those who read it while it changes.
    #[must_use]
    pub fn bits(self) -> u32 {
        let checksums = [self.ipv4, self.tcp4, self.udp4, self.tcp6, self.udp6];
        let switches = checksums
            .iter()
            .flat_map(|one| [one.send, one.receive])
            .chain([self.lso4, self.lso6]);
        switches
            .enumerate()
            .fold(0, |bits, (place, on)| bits | u32::from(on) << place)
    }

    /// From [`Offloads::bits`].
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self {
            ipv4: Directions::new(bits),
            tcp4: Directions::new(bits >> 2),
            udp4: Directions::new(bits >> 4),
            tcp6: Directions::new(bits >> 6),
            udp6: Directions::new(bits >> 8),
            lso4: bits >> 10 & 1 != 0,
            lso6: bits >> 11 & 1 != 0,
        }
    }
}

/// How the adapter is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
pub struct Config {
    /// [`NETWORK_DIRECT`] with [`NETWORK_DIRECT_TECHNOLOGY`].
    pub network_direct: bool,
    /// [`NETWORK_DIRECT_FRAME_SIZE`].
    pub frame_size: u32,
    /// [`COMMAND_TIMEOUT`].
    pub command_timeout: Duration,
    /// [`NETWORK_ADDRESS`].
    pub network_address: Option<[u8; 6]>,
    /// Largest payload of an Ethernet frame in bytes: [`JUMBO_PACKET`] without the header.
    pub mtu: u32,
    /// [`RSS`].
    pub rss: bool,
    /// [`NUM_RSS_QUEUES`] and [`MAX_RSS_PROCESSORS`], the lesser of both.
    pub queues: u32,
    /// [`RSS_BASE_PROC_NUMBER`].
    pub base_processor: u32,
    /// Offloads that are on at first.
    pub offloads: Offloads,
    /// [`INTERRUPT_MODERATION`].
    pub moderation: bool,
    /// Priorities out of band, [`PRIORITY_VLAN_TAG`].
    pub priority: bool,
    /// VLANs out of band, [`PRIORITY_VLAN_TAG`].
    pub vlan: bool,
    /// [`VLAN_ID`].
    pub vlan_id: u16,
    /// [`RECEIVE_BUFFERS`].
    pub receive_buffers: u32,
    /// [`TRANSMIT_BUFFERS`].
    pub transmit_buffers: u32,
}

impl Config {
    /// Reads the configuration.
    #[must_use]
    pub fn read(source: &impl Source) -> Self {
        let number = |keyword: Keyword| {
            source
                .integer(keyword.name)
                .filter(|value| keyword.takes(*value))
                .unwrap_or(keyword.default)
        };
        let switch = |keyword: Keyword| number(keyword) != 0;
        let directions = |keyword: Keyword| Directions::new(number(keyword));
        let tags = number(PRIORITY_VLAN_TAG);
        Self {
            network_direct: switch(NETWORK_DIRECT) && number(NETWORK_DIRECT_TECHNOLOGY) == ROCE_V2,
            frame_size: number(NETWORK_DIRECT_FRAME_SIZE),
            command_timeout: Duration::from_millis(number(COMMAND_TIMEOUT).into()),
            network_address: source.network_address().filter(|address| is_unicast(*address)),
            mtu: number(JUMBO_PACKET) - ETHERNET_HEADER,
            rss: switch(RSS),
            queues: number(NUM_RSS_QUEUES).min(number(MAX_RSS_PROCESSORS)),
            base_processor: number(RSS_BASE_PROC_NUMBER),
            offloads: Offloads {
                ipv4: directions(IP_CHECKSUM_IPV4),
                tcp4: directions(TCP_CHECKSUM_IPV4),
                udp4: directions(UDP_CHECKSUM_IPV4),
                tcp6: directions(TCP_CHECKSUM_IPV6),
                udp6: directions(UDP_CHECKSUM_IPV6),
                lso4: switch(LSO_V2_IPV4),
                lso6: switch(LSO_V2_IPV6),
            },
            moderation: switch(INTERRUPT_MODERATION),
            priority: tags & 1 != 0,
            vlan: tags & 2 != 0,
            vlan_id: u16::try_from(number(VLAN_ID)).unwrap_or(0),
            receive_buffers: number(RECEIVE_BUFFERS),
            transmit_buffers: number(TRANSMIT_BUFFERS),
        }
    }
}

fn is_unicast(address: [u8; 6]) -> bool {
    address[0] & 1 == 0 && address != [0; 6]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Default)]
    struct Registry {
        numbers: BTreeMap<&'static str, u32>,
        address: Option<[u8; 6]>,
    }

    impl Source for Registry {
        fn integer(&self, keyword: &str) -> Option<u32> {
            self.numbers.get(keyword).copied()
        }

        fn network_address(&self) -> Option<[u8; 6]> {
            self.address
        }
    }

    fn with(name: &'static str, value: u32) -> Config {
        let numbers = BTreeMap::from([(name, value)]);
        Config::read(&Registry {
            numbers,
            address: None,
        })
    }

    #[test]
    fn every_keyword_takes_its_default_and_changes_something() {
        let default = Config::read(&Registry::default());
        for keyword in KEYWORDS {
            assert!(keyword.takes(keyword.default), "{}", keyword.name);
            assert_eq!(with(keyword.name, keyword.default), default, "{}", keyword.name);
            let others: Vec<u32> = match keyword.values {
                Values::Choice(values) => values.to_vec(),
                Values::Range { min, max, step } => {
                    assert_eq!(
                        (max - min) % step,
                        0,
                        "{}: the steps end at the greatest",
                        keyword.name
                    );
                    vec![min, max]
                }
            };
            let changed = others
                .iter()
                .filter(|value| with(keyword.name, **value) != default)
                .count();
            assert!(changed >= 1, "{} changes nothing", keyword.name);
        }
    }

    #[test]
    fn offloads_are_a_word() {
        for bits in 0..1 << 12 {
            assert_eq!(Offloads::from_bits(bits).bits(), bits);
        }
    }

    #[test]
    fn a_value_that_makes_no_sense_is_the_default() {
        let default = Config::read(&Registry::default());
        for keyword in KEYWORDS {
            assert_eq!(with(keyword.name, u32::MAX), default, "{}", keyword.name);
        }
        assert_eq!(with("*NetworkDirectRoCEFrameSize", 1500), default);
        let address = |address| {
            Config::read(&Registry {
                address: Some(address),
                ..Registry::default()
            })
            .network_address
        };
        assert_eq!(address([2, 1, 2, 3, 4, 5]), Some([2, 1, 2, 3, 4, 5]));
        assert_eq!(address([3, 1, 2, 3, 4, 5]), None, "multicast");
        assert_eq!(address([0; 6]), None);
    }

    #[test]
    fn numbers_mean_what_they_mean_elsewhere() {
        assert_eq!(with("*JumboPacket", 9014).mtu, 9000);
        let tags = |value| {
            (
                with("*PriorityVLANTag", value).priority,
                with("*PriorityVLANTag", value).vlan,
            )
        };
        assert_eq!(
            (0..4).map(tags).collect::<Vec<_>>(),
            [(false, false), (true, false), (false, true), (true, true)]
        );
        let tcp = with("*TCPChecksumOffloadIPv4", 2).offloads.tcp4;
        assert_eq!((tcp.send, tcp.receive), (false, true));
        assert!(!with("*NetworkDirectTechnology", 1).network_direct);
    }
}
