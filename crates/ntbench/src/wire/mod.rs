//! An Ethernet wire inside the process: what the NIC, scripted peers and QEMU guests are plugged into.
//!
//! | module | what |
//! |---|---|
//! | [`hub`] | the switch that frames go through, on a thread of its own |
//! | [`impair`] | loss, damage, duplicates and reordering, the same ones for the same seed |
//! | [`host`] | the host's IP stack beside the NIC: ARP, neighbour discovery, ping, TCP |
//! | `neighbour` | ARP and neighbour discovery messages |
//! | [`nic`] | plugs in a [`vrnic_device::Nic`] |
//! | [`dgram`] | plugs in a QEMU guest (`-netdev dgram`) |
//! | [`pcap`] | records a capture that Wireshark opens |
//! | [`ladder`] | records the CM messages, for people to read |
//! | [`peer`] | a scripted CM peer |
//!
//! Nothing here needs the rest of the bench.

pub mod dgram;
pub mod host;
pub mod hub;
pub mod impair;
pub mod ladder;
mod neighbour;
pub mod nic;
pub mod pcap;
pub mod peer;

pub use dgram::DgramPort;
pub use host::HostStack;
pub use hub::{Captured, Hub, HubConfig, PortHandle, Receiver, Statistics, Tap};
pub use impair::Impairment;
pub use ladder::Ladder;
pub use pcap::Pcap;
pub use peer::{Peer, PeerConfig};
