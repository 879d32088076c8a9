//! Ethernet queues: a transmit ring, a receive ring and a completion ring that belong together.
//!
//! The manual's chapter "Ethernet" says how they work.

use crate::{U16, U32, U64};
use static_assertions::const_assert_eq;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Fewest descriptors of a transmit or receive ring (logarithm): a frame of [`MAX_TX_PIECES`] fits twice.
pub const RING_LOG2_MIN: u8 = 6;
/// Most descriptors of a transmit or receive ring (logarithm).
pub const RING_LOG2_MAX: u8 = 14;
/// Most entries of a completion ring (logarithm).
pub const COMPLETION_LOG2_MAX: u8 = 15;

/// Input of `CREATE_ETH_QUEUE`, and output of `QUERY_ETH_QUEUE`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct EthQueueCreate {
    /// DMA address of the contiguous ring of [`TxDescriptor`], like the other two a multiple of
    /// [`crate::resource::RING_ALIGNMENT`].
    pub tx: U64,
    /// DMA address of the contiguous ring of [`RxDescriptor`].
    pub rx: U64,
    /// DMA address of the contiguous ring of [`EthCompletion`].
    pub completions: U64,
    /// Event queue.
    pub eqn: U32,
    /// Logarithm to base two of the transmit descriptors, [`RING_LOG2_MIN`] to [`RING_LOG2_MAX`].
    pub tx_log2: u8,
    /// Logarithm to base two of the receive descriptors, [`RING_LOG2_MIN`] to [`RING_LOG2_MAX`].
    pub rx_log2: u8,
    /// Logarithm to base two of the completions, up to [`COMPLETION_LOG2_MAX`]: at least as many as there are descriptors in both
    /// rings together.
    pub completions_log2: u8,
    /// Zero.
    pub reserved: u8,
    /// Longest time that an event may be held back, in microseconds; 0: not at all.
    pub moderation_us: U16,
    /// Completions after which a held event is sent; 0 or 1: each; 65535: only the time matters.
    pub moderation_count: U16,
}
const_assert_eq!(size_of::<EthQueueCreate>(), 36);

/// Input of `MODIFY_ETH_QUEUE`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct EthQueueModify {
    /// Queue number.
    pub number: U32,
    /// As [`EthQueueCreate::moderation_us`].
    pub moderation_us: U16,
    /// As [`EthQueueCreate::moderation_count`].
    pub moderation_count: U16,
}
const_assert_eq!(size_of::<EthQueueModify>(), 8);

/// One piece of a frame to send: 16 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TxDescriptor {
    /// DMA address of the piece.
    pub addr: U64,
    /// Bytes in the piece, not 0.
    pub length: U16,
    /// [`TX_END`] on the last piece of a frame; the other `TX_*` bits on its first.
    pub flags: U16,
    /// On the first piece: TCP payload of each segment of a large send, in bytes; 0 for none. On others 0.
    pub segment_size: U16,
    /// On the first piece, with [`TX_VLAN`]: the tag to insert. Otherwise 0.
    pub vlan: U16,
}
const_assert_eq!(size_of::<TxDescriptor>(), 16);

/// Last piece of the frame.
pub const TX_END: u16 = 1 << 0;
/// Fill in the IPv4 header checksum.
pub const TX_IP_CHECKSUM: u16 = 1 << 1;
/// Fill in the TCP or UDP checksum.
pub const TX_L4_CHECKSUM: u16 = 1 << 2;
/// Insert a VLAN tag: the whole of [`TxDescriptor::vlan`], which may be 0 (IEEE 802.1Q, priority tag).
pub const TX_VLAN: u16 = 1 << 3;
/// No completion if the frame is sent: that of a later frame stands for this one too.
pub const TX_NO_COMPLETION: u16 = 1 << 4;

/// Most pieces of a frame.
pub const MAX_TX_PIECES: u8 = 32;
/// Most bytes of a large send, from the destination address to the last byte of payload.
pub const MAX_LARGE_SEND: u32 = 0x2_0000;

/// One receive buffer: 16 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RxDescriptor {
    /// DMA address of the buffer.
    pub addr: U64,
    /// Bytes of room, 1 to [`MAX_RX_BUFFER`].
    pub length: U32,
    /// Zero.
    pub reserved: U32,
}
const_assert_eq!(size_of::<RxDescriptor>(), 16);

/// Most bytes of a receive buffer.
pub const MAX_RX_BUFFER: u32 = 0x4000;

/// What the device is done with: a frame sent, or a buffer filled. 32 bytes. The device writes `owner` last.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct EthCompletion {
    /// Free-running index of the frame's first transmit descriptor, or of the receive descriptor.
    pub index: U32,
    /// Bytes of the frame in the buffer; 0 for a frame sent.
    pub length: U32,
    /// RSS hash value.
    pub rss_hash: U32,
    /// What the hash was computed over: one of the `HASH_*` bits, 0 if there is no hash.
    pub rss_type: U32,
    /// The VLAN tag that was removed, with [`ETH_VLAN`].
    pub vlan: U16,
    /// [`ETH_RX`], and what the device found out about the frame: `ETH_*` bits.
    pub flags: U16,
    /// An [`EthStatus`].
    pub status: u8,
    /// Zero.
    pub reserved: [u8; 10],
    /// Phase, see [`crate::cmd::OWNER_PHASE`].
    pub owner: u8,
}
const_assert_eq!(size_of::<EthCompletion>(), 32);
const_assert_eq!(core::mem::offset_of!(EthCompletion, owner), 31);

/// Set for a received frame, clear for a sent one.
pub const ETH_RX: u16 = 1 << 0;
/// The IPv4 header checksum is right.
pub const ETH_IP_OK: u16 = 1 << 1;
/// The IPv4 header checksum is wrong.
pub const ETH_IP_BAD: u16 = 1 << 2;
/// The TCP or UDP checksum is right.
pub const ETH_L4_OK: u16 = 1 << 3;
/// The TCP or UDP checksum is wrong.
pub const ETH_L4_BAD: u16 = 1 << 4;
/// The frame had a VLAN tag, which was removed.
pub const ETH_VLAN: u16 = 1 << 5;
/// It is an IPv4 packet.
pub const ETH_IPV4: u16 = 1 << 6;
/// It is an IPv6 packet.
pub const ETH_IPV6: u16 = 1 << 7;
/// It has a TCP header.
pub const ETH_TCP: u16 = 1 << 8;
/// It has a UDP header.
pub const ETH_UDP: u16 = 1 << 9;

open_enum! {
    /// What became of a frame.
    pub enum EthStatus: u8 as u8 {
        /// Sent, or received.
        OK = 0,
        /// More than [`MAX_TX_PIECES`], an empty piece, or something that a descriptor must not have.
        BAD_DESCRIPTOR = 1,
        /// A piece, or the receive buffer, is not reachable by DMA.
        DMA_FAULT = 2,
        /// Shorter than an Ethernet header, or longer than the MTU or [`MAX_LARGE_SEND`] allow.
        BAD_LENGTH = 3,
        /// The frame has not the headers that its offloads need.
        BAD_HEADERS = 4,
        /// The link is down.
        LINK_DOWN = 5,
    }
}

/// Input of `SET_ETH_CONFIG`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct EthConfig {
    /// `FILTER_*` bits.
    pub filter: U32,
    /// Largest Ethernet payload that is sent and received by Ethernet queues, in bytes.
    pub mtu: U32,
    /// The port's unicast address.
    pub mac: [u8; 6],
    /// [`ETH_STRIP_VLAN`] or 0.
    pub flags: U16,
}
const_assert_eq!(size_of::<EthConfig>(), 16);

/// Receive frames to our address.
pub const FILTER_DIRECTED: u32 = 1 << 0;
/// Receive frames to the multicast addresses of `SET_MULTICAST`.
pub const FILTER_MULTICAST: u32 = 1 << 1;
/// Receive all multicast frames.
pub const FILTER_ALL_MULTICAST: u32 = 1 << 2;
/// Receive broadcasts.
pub const FILTER_BROADCAST: u32 = 1 << 3;
/// Receive everything.
pub const FILTER_PROMISCUOUS: u32 = 1 << 4;
/// All `FILTER_*` bits.
pub const FILTER_ALL: u32 = (1 << 5) - 1;

/// In [`EthConfig::flags`]: take VLAN tags out of received frames.
pub const ETH_STRIP_VLAN: u16 = 1 << 0;

/// Smallest MTU that can be set, in bytes (RFC 791).
pub const ETH_MTU_MIN: u32 = 68;

/// Most addresses of `SET_MULTICAST`.
pub const MAX_MULTICAST: u16 = 128;

/// Most entries of the RSS indirection table.
pub const RSS_ENTRIES: usize = 128;

/// Mailbox of `SET_RSS`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RssTable {
    /// `HASH_*` bits: what is hashed; 0 turns RSS off.
    pub hash_types: U32,
    /// Entries in use: a power of two up to [`RSS_ENTRIES`].
    pub entries: U16,
    /// Ethernet queue of the frames that have no hash.
    pub default_queue: U16,
    /// Toeplitz key.
    pub key: [u8; 40],
    /// Ethernet queue of each entry; those that are not in use are not looked at.
    pub queue: [u8; RSS_ENTRIES],
}
const_assert_eq!(size_of::<RssTable>(), 176);

/// Hash over both addresses of an IPv4 packet. The `HASH_*` bits have the values of NDIS (`NDIS_HASH_IPV4` …).
pub const HASH_IPV4: u32 = 1 << 8;
/// Over both addresses and both ports of TCP on IPv4.
pub const HASH_TCP_IPV4: u32 = 1 << 9;
/// Over both addresses of an IPv6 packet.
pub const HASH_IPV6: u32 = 1 << 10;
/// Over both addresses and both ports of TCP on IPv6.
pub const HASH_TCP_IPV6: u32 = 1 << 12;
/// Over both addresses and both ports of UDP on IPv4.
pub const HASH_UDP_IPV4: u32 = 1 << 14;
/// Over both addresses and both ports of UDP on IPv6.
pub const HASH_UDP_IPV6: u32 = 1 << 15;
/// All `HASH_*` bits that this firmware computes.
pub const HASH_ALL: u32 =
    HASH_IPV4 | HASH_TCP_IPV4 | HASH_IPV6 | HASH_TCP_IPV6 | HASH_UDP_IPV4 | HASH_UDP_IPV6;
