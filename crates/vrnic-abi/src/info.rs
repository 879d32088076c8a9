//! What `QUERY_DEVICE` and `QUERY_STATS` return.

use crate::{U16, U32, U64};
use static_assertions::const_assert_eq;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Output of `QUERY_DEVICE`: 128 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DeviceInfo {
    /// `CAP_*` bits: which services this firmware has.
    pub capabilities: U32,
    /// Firmware version, as in [`crate::regs::FW_VERSION`].
    pub fw_version: U32,
    /// EUI-64 of the node: the CA GUID in CM messages.
    pub node_guid: [u8; 8],
    /// Most queue pairs.
    pub max_qps: U32,
    /// Most completion queues.
    pub max_cqs: U32,
    /// Most shared receive queues.
    pub max_srqs: U32,
    /// Most memory regions and windows together.
    pub max_keys: U32,
    /// Most protection domains.
    pub max_pds: U32,
    /// Most event queues.
    pub max_eqs: U32,
    /// Most entries of a completion queue (logarithm).
    pub max_cq_log2: u8,
    /// Most entries of a receive queue (logarithm).
    pub max_rq_log2: u8,
    /// Most basic blocks of a send queue (logarithm).
    pub max_sq_log2: u8,
    /// Most scatter/gather elements of a request.
    pub max_sge: u8,
    /// Most pages of a fast registration.
    pub max_frmr_pages: U32,
    /// Longest message, in bytes.
    pub max_message: U32,
    /// Most bytes of inline data.
    pub max_inline: U16,
    /// RDMA READs that a queue pair serves at the same time.
    pub max_inbound_reads: u8,
    /// RDMA READs that a queue pair issues at the same time.
    pub max_outbound_reads: u8,
    /// Half-open connections that the CM service follows.
    pub max_half_open: U32,
    /// Entries of the GID table.
    pub gid_entries: U16,
    /// Most Ethernet queues.
    pub max_eth_queues: U16,
    /// Most descriptors of a transmit or receive ring (logarithm).
    pub max_eth_log2: u8,
    /// Most pieces of a frame to send.
    pub max_tx_pieces: u8,
    /// Most addresses of `SET_MULTICAST`.
    pub max_multicast: U16,
    /// Most bytes of a large send, headers included.
    pub max_large_send: U32,
    /// RSS hash types that the device computes: `HASH_*` bits of [`crate::eth`].
    pub hash_types: U32,
    /// Zero.
    pub reserved: [u8; 52],
}
const_assert_eq!(size_of::<DeviceInfo>(), 128);

/// The CM service.
pub const CAP_CM: u32 = 1 << 0;
/// Reliable connections.
pub const CAP_RC: u32 = 1 << 1;
/// Ethernet queues.
pub const CAP_ETH: u32 = 1 << 2;

/// Output of `QUERY_STATS`: counters since reset, 512 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Statistics {
    /// `RoCEv2` frames received.
    pub rdma_in_frames: U64,
    /// Bytes of them, from the Ethernet header to the last byte before the frame check sequence.
    pub rdma_in_octets: U64,
    /// `RoCEv2` frames sent.
    pub rdma_out_frames: U64,
    /// Bytes of them.
    pub rdma_out_octets: U64,
    /// Frames dropped because a header was malformed.
    pub drop_malformed: U64,
    /// Frames dropped because the ICRC was wrong.
    pub drop_icrc: U64,
    /// Frames dropped because no GID entry, queue pair or service takes them.
    pub drop_no_receiver: U64,
    /// MADs dropped because the receive ring was full.
    pub drop_cm_full: U64,
    /// MADs received.
    pub cm_in: U64,
    /// MADs sent.
    pub cm_out: U64,
    /// Half-open connections that the peer abandoned.
    pub cm_abandoned: U64,
    /// Events lost because an event queue was full.
    pub events_lost: U64,
    /// Commands that ended with a status other than OK.
    pub commands_failed: U64,
    /// DMA accesses that failed.
    pub dma_faults: U64,
    /// Frames received by Ethernet queues.
    pub eth_in_frames: U64,
    /// Bytes of the received ones.
    pub eth_in_octets: U64,
    /// Frames sent by Ethernet queues: each segment of a large send is one.
    pub eth_out_frames: U64,
    /// Bytes of the sent ones.
    pub eth_out_octets: U64,
    /// Frames for a queue pair that exists, but not in its state, or not from its peer.
    pub drop_qp: U64,
    /// Requests that a queue pair had already executed: duplicates (IBTA 9.7.1).
    pub rc_duplicates: U64,
    /// Requests or responses that came out of sequence: something before them was lost.
    pub rc_out_of_sequence: U64,
    /// NAKs sent, without RNR NAKs.
    pub rc_naks_out: U64,
    /// RNR NAKs sent: a SEND waited too long for a receive.
    pub rc_rnr_naks_out: U64,
    /// Frames sent again.
    pub rc_retransmits: U64,
    /// Local ACK timeouts.
    pub rc_timeouts: U64,
    /// Queue pairs that went to the error state by themselves.
    pub qp_errors: U64,
    /// Completion queues that went to the error state.
    pub cq_errors: U64,
    /// Frames to unicast addresses that the port received and handed on: by Ethernet queues, and `RoCEv2`.
    pub in_unicast_frames: U64,
    /// Bytes of them.
    pub in_unicast_octets: U64,
    /// Frames to multicast addresses, received.
    pub in_multicast_frames: U64,
    /// Bytes of them.
    pub in_multicast_octets: U64,
    /// Broadcasts received.
    pub in_broadcast_frames: U64,
    /// Bytes of them.
    pub in_broadcast_octets: U64,
    /// Frames to unicast addresses that the port sent: of Ethernet queues, and `RoCEv2`.
    pub out_unicast_frames: U64,
    /// Bytes of them.
    pub out_unicast_octets: U64,
    /// Frames to multicast addresses, sent.
    pub out_multicast_frames: U64,
    /// Bytes of them.
    pub out_multicast_octets: U64,
    /// Broadcasts sent.
    pub out_broadcast_frames: U64,
    /// Bytes of them.
    pub out_broadcast_octets: U64,
    /// Frames that passed the filter and found no receive buffer, no room for a completion, or no queue.
    pub eth_in_no_buffer: U64,
    /// Frames that passed the filter and were longer than the receive buffer.
    pub eth_in_buffer_too_small: U64,
    /// Frames that passed the filter and were longer than the MTU.
    pub eth_in_too_long: U64,
    /// Receive buffers that could not be written, or whose descriptor was wrong.
    pub eth_in_errors: U64,
    /// Frames that were not sent because of their descriptors, length or headers, or because a piece could not be read.
    pub eth_out_errors: U64,
    /// Frames that were not sent because the link was down.
    pub eth_out_discards: U64,
    /// Ethernet queues that went into error.
    pub eth_queue_errors: U64,
    /// Zero.
    pub reserved: [U64; 18],
}
const_assert_eq!(size_of::<Statistics>(), 512);
