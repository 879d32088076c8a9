//! An Ethernet wire inside the process: what the NIC, scripted peers and QEMU guests are plugged into.
//!
//! | module | what |
//! |---|---|
//! | [`hub`], [`impair`], [`dgram`], [`pcap`] | the switch and what connects it to the outside: the crate `vrnic-wire` |
//! | [`host`] | a host's IP stack: ARP, neighbour discovery, ping, TCP |
//! | `neighbour` | ARP and neighbour discovery messages |
//! | [`nic`] | plugs in a [`vrnic_device::Nic`] |
//! | [`ladder`] | records the CM messages, for people to read |
//! | [`peer`] | a scripted CM peer |
//!
//! Nothing here needs the rest of the bench.

pub mod host;
pub mod ladder;
mod neighbour;
pub mod nic;
pub mod peer;

pub use vrnic_wire::{
    Captured, DgramPort, Hub, HubConfig, Impairment, Pcap, PortHandle, Receiver, Statistics, Tap,
};
pub use vrnic_wire::{dgram, hub, impair, pcap};

pub use host::HostStack;
pub use ladder::Ladder;
pub use peer::{Peer, PeerConfig};
