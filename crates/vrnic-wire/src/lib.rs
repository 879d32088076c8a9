//! The wires that NICs are plugged into: what the bench and the vfio-user server share.
//!
//! | module | what |
//! |---|---|
//! | [`hub`] | the switch that frames go through, on a thread of its own |
//! | [`impair`] | loss, damage, duplicates and reordering, the same ones for the same seed |
//! | [`dgram`] | plugs in a QEMU guest (`-netdev dgram`) |
//! | [`stream`] | the same with `-netdev stream` |
//! | [`tap`] | plugs in the host's own network stack |
//! | [`pcap`] | records a capture that Wireshark opens |

pub mod dgram;
pub mod hub;
pub mod impair;
pub mod pcap;
pub mod stream;
pub mod tap;

pub use dgram::DgramPort;
pub use hub::{Captured, Hub, HubConfig, PortHandle, Receiver, Statistics, Tap};
pub use impair::Impairment;
pub use pcap::Pcap;
pub use stream::StreamPort;
pub use tap::TapPort;
