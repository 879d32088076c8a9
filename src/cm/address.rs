//! Where a management datagram comes from and goes to.

use roce_wire::gid::Gid;
use roce_wire::num::Qpn;

/// Time to live, or hop limit, of what we send: the default of IANA's and of every system that `RoCEv2` peers run.
pub const HOP_LIMIT: u8 = 64;

/// The way to a peer's CM (IBTA 11.2.2.1), learnt from a packet that it sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressHandle {
    /// Ethernet address of the peer or of the router on the way to it.
    pub mac: [u8; 6],
    /// The peer's address.
    pub gid: Gid,
    /// Ours, at `gid_index` of the port's table.
    pub local_gid: Gid,
    /// Index of our address in the port's table.
    pub gid_index: u16,
    /// The queue pair that the peer's CM uses.
    pub qpn: Qpn,
    /// UDP source port: the peer's, and so the same for all datagrams between the two.
    pub udp_src_port: u16,
    /// DSCP and ECN bits.
    pub traffic_class: u8,
}
