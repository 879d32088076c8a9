//! The CM service: sending and receiving management datagrams (MADs) of the InfiniBand connection manager, and the
//! table of the port's addresses.
//!
//! Received MADs (queue pair 1, class 7) that pass the ICRC and address a valid GID go to a ring of [`CmReceive`] slots
//! in host memory, each announced by one event [`crate::event::EventKind::CM_MAD`]. When the ring, or the event queue, is full
//! the MAD is dropped and counted: it is a datagram, its sender retries.
//!
//! The firmware follows half-open connections: a REQ or REP from a peer opens one, named by the peer's address and
//! communication id; a REJ or DREQ from that peer with that id abandons it. [`crate::cmd::Opcode::CM_SEND`] of a REP, REJ
//! or MRA for an abandoned one completes with [`crate::cmd::Status::PEER_ABANDONED`] and sends nothing. The manual has the
//! rules in full.

use crate::resource::Ring;
use crate::{U16, U32};
use static_assertions::const_assert_eq;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of a MAD.
pub const MAD_SIZE: usize = 256;
/// Entries of the GID table.
pub const GID_ENTRIES: u16 = 64;
/// Fewest slots of the receive ring (logarithm).
pub const RING_LOG2_MIN: u8 = 2;
/// Most slots of the receive ring (logarithm).
pub const RING_LOG2_MAX: u8 = 14;

/// Input of `SET_GID`: an address that the port receives `RoCEv2` packets for.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct GidEntry {
    /// Which entry, below [`GID_ENTRIES`].
    pub index: U16,
    /// [`GID_VALID`] sets the entry, 0 clears it.
    pub flags: U16,
    /// VLAN id in bits 0 to 11, priority in bits 13 to 15; 0 for untagged.
    pub vlan: U16,
    /// Zero.
    pub reserved: U16,
    /// The IPv6 address, or the IPv4 address in its IPv6-mapped form (`::ffff:a.b.c.d`).
    pub gid: [u8; 16],
}
const_assert_eq!(size_of::<GidEntry>(), 24);

/// In [`GidEntry::flags`]: the entry is in use.
pub const GID_VALID: u16 = 1 << 0;

/// Input of `CM_ENABLE`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CmEnable {
    /// The ring of [`CmReceive`] slots.
    pub ring: Ring,
    /// Event queue that announces received MADs.
    pub eqn: U32,
    /// Zero.
    pub reserved: U32,
}
const_assert_eq!(size_of::<CmEnable>(), 24);

/// Input of `CM_SEND`: where the MAD in the mailbox goes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CmSend {
    /// Ethernet address of the peer or of the next hop.
    pub dst_mac: [u8; 6],
    /// Source address: an index into the GID table.
    pub gid_index: U16,
    /// Destination address, IPv6 or IPv6-mapped IPv4; of the same family as the source.
    pub dst_gid: [u8; 16],
    /// UDP source port (flow entropy), 0xC000 to 0xFFFF by convention.
    pub udp_src_port: U16,
    /// DSCP and ECN bits of the IP header.
    pub traffic_class: u8,
    /// IPv4 time to live, or IPv6 hop limit.
    pub hop_limit: u8,
    /// Destination queue pair, below 2^24: 1 unless the peer redirected.
    pub dst_qpn: U32,
    /// Zero.
    pub reserved: [u8; 16],
}
const_assert_eq!(size_of::<CmSend>(), crate::cmd::INLINE_INPUT);

/// One slot of the CM receive ring: 512 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CmReceive {
    /// Ethernet address that the frame came from.
    pub src_mac: [u8; 6],
    /// GID table index of the address that it was sent to.
    pub gid_index: U16,
    /// Source address, IPv6 or IPv6-mapped IPv4.
    pub src_gid: [u8; 16],
    /// UDP source port of the frame.
    pub udp_src_port: U16,
    /// DSCP and ECN bits of the IP header.
    pub traffic_class: u8,
    /// IPv4 time to live, or IPv6 hop limit.
    pub hop_limit: u8,
    /// Source queue pair, from the datagram header.
    pub src_qpn: U32,
    /// Zero.
    pub reserved: [u8; 32],
    /// The datagram.
    pub mad: [u8; MAD_SIZE],
    /// Zero.
    pub padding: [u8; 192],
}
const_assert_eq!(size_of::<CmReceive>(), 512);
const_assert_eq!(core::mem::offset_of!(CmReceive, mad), 64);
