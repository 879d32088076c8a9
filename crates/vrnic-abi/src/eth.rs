//! Ethernet queues: a transmit ring, a receive ring and a completion ring that belong together.

use crate::{U16, U32, U64};
use static_assertions::const_assert_eq;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Input of `CREATE_ETH_QUEUE`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct EthQueueCreate {
    /// DMA address of the contiguous ring of [`TxDescriptor`].
    pub tx: U64,
    /// DMA address of the contiguous ring of [`RxDescriptor`], of as many entries.
    pub rx: U64,
    /// DMA address of the contiguous ring of [`EthCompletion`], of twice as many entries.
    pub completions: U64,
    /// Event queue.
    pub eqn: U32,
    /// Logarithm to base two of the descriptors in each ring.
    pub log2_entries: u8,
    /// Zero.
    pub reserved: [u8; 3],
}
const_assert_eq!(size_of::<EthQueueCreate>(), 32);

/// One piece of a frame to send: 16 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TxDescriptor {
    /// DMA address of the piece.
    pub addr: U64,
    /// Bytes in the piece.
    pub length: U16,
    /// [`TX_END`] on the last piece of a frame, and the offloads that its first piece asks for.
    pub flags: U16,
    /// Largest segment of a large send, in bytes of TCP payload; 0 for none.
    pub segment_size: U16,
    /// VLAN tag to insert; 0 for none.
    pub vlan: U16,
}
const_assert_eq!(size_of::<TxDescriptor>(), 16);

/// Last piece of the frame.
pub const TX_END: u16 = 1 << 0;
/// Fill in the IPv4 header checksum.
pub const TX_IP_CHECKSUM: u16 = 1 << 1;
/// Fill in the TCP or UDP checksum.
pub const TX_L4_CHECKSUM: u16 = 1 << 2;

/// One receive buffer: 16 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RxDescriptor {
    /// DMA address of the buffer.
    pub addr: U64,
    /// Bytes of room.
    pub length: U32,
    /// Zero.
    pub reserved: U32,
}
const_assert_eq!(size_of::<RxDescriptor>(), 16);

/// A descriptor that the device is done with: 32 bytes. The device writes `owner` last.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct EthCompletion {
    /// Free-running index of the first descriptor of the frame.
    pub index: U32,
    /// Bytes of the frame.
    pub length: U32,
    /// RSS hash value.
    pub rss_hash: U32,
    /// VLAN tag that was removed; 0 for none.
    pub vlan: U16,
    /// [`ETH_RX`], and what the device found out about the checksums.
    pub flags: U16,
    /// RSS hash type.
    pub rss_type: u8,
    /// Zero.
    pub reserved: [u8; 14],
    /// Phase, see [`crate::cmd::OWNER_PHASE`].
    pub owner: u8,
}
const_assert_eq!(size_of::<EthCompletion>(), 32);

/// Set for a received frame, clear for a sent one.
pub const ETH_RX: u16 = 1 << 0;
/// The IPv4 header checksum was checked and is right.
pub const ETH_IP_OK: u16 = 1 << 1;
/// The TCP or UDP checksum was checked and is right.
pub const ETH_L4_OK: u16 = 1 << 2;
/// A checksum was checked and is wrong.
pub const ETH_CHECKSUM_BAD: u16 = 1 << 3;

/// Input of `SET_ETH_CONFIG`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct EthConfig {
    /// `FILTER_*` bits.
    pub filter: U32,
    /// Largest Ethernet payload that is received, in bytes.
    pub mtu: U32,
    /// Unicast address that is received.
    pub mac: [u8; 6],
    /// Zero.
    pub reserved: U16,
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

/// Entries of the RSS indirection table.
pub const RSS_ENTRIES: usize = 128;

/// Mailbox of `SET_RSS`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RssTable {
    /// Hash types that are computed, as NDIS numbers them; 0 turns RSS off.
    pub hash_types: U32,
    /// Entries in use: a power of two up to [`RSS_ENTRIES`].
    pub entries: U32,
    /// Toeplitz key.
    pub key: [u8; 40],
    /// Ethernet queue of each entry.
    pub queue: [u8; RSS_ENTRIES],
}
const_assert_eq!(size_of::<RssTable>(), 176);
