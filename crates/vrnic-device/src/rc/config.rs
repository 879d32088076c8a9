//! What can be chosen, and what a connection is made of.

use std::time::Duration;

use roce_wire::frame::IpPair;
use roce_wire::num::{Psn, Qpn};

/// How the transport behaves, for all queue pairs of a device.
#[derive(Clone, Debug)]
pub struct TransportConfig {
    /// Packets that may be in flight at most, those of READ responses on their way to us included. The window starts at
    /// [`Self::initial_window`], grows while all goes well, and shrinks when packets are lost.
    pub max_window: u32,
    /// Packets that may be in flight at first.
    pub initial_window: u32,
    /// A READ is asked for in pieces of so many packets, for the sake of the window.
    pub read_piece: u32,
    /// An acknowledgement is asked for at least once in so many packets.
    pub ack_interval: u32,
    /// How long a SEND that comes before a receive is posted is held before it is answered with an RNR NAK; zero: not at all.
    pub rnr_hold: Duration,
    /// Packets that one queue pair holds at most while it waits for a receive.
    pub max_parked: usize,
}

impl Default for TransportConfig {
    fn default() -> Self {
        Self {
            max_window: 256,
            initial_window: 64,
            read_piece: 32,
            ack_interval: 16,
            rnr_hold: Duration::from_millis(300),
            max_parked: 32,
        }
    }
}

/// Everything below the transport, for the frames to the peer (`QP_ATTR_PATH`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Our station.
    pub source_mac: [u8; 6],
    /// The peer's station, or that of the next hop.
    pub destination_mac: [u8; 6],
    /// A VLAN tag that stands in the frame; 0 for none.
    pub vlan_tag: u16,
    /// Our address and the peer's.
    pub ip: IpPair,
    /// The UDP source port; 0: one is derived from both queue pair numbers.
    pub udp_source_port: u16,
    /// DSCP and ECN bits.
    pub traffic_class: u8,
    /// Time to live, or hop limit.
    pub hop_limit: u8,
    /// Path MTU: logarithm of the bytes of payload, 8 to 12.
    pub mtu_log2: u8,
}

/// What the responder needs to begin (`QP_ATTR_RECEIVE`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiveAttributes {
    /// The peer's queue pair.
    pub peer_qpn: Qpn,
    /// The first packet sequence number that is expected.
    pub psn: Psn,
}

/// What the requester needs to begin (`QP_ATTR_SEND`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendAttributes {
    /// The first packet sequence number that is sent.
    pub psn: Psn,
    /// Local ACK timeout: 4.096 µs · 2 to this power; 0 for none.
    pub timeout: u8,
    /// Transport retries, 0 to 7.
    pub retry_count: u8,
    /// RNR retries, 0 to 7; 7 means without limit.
    pub rnr_retry: u8,
}

/// Limits of both directions (`QP_ATTR_LIMITS`); they may change at any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// READs that we serve at the same time, 0 to 16.
    pub max_inbound_reads: u8,
    /// READs that we issue at the same time, 0 to 128.
    pub max_outbound_reads: u8,
    /// The RNR timer code that we ask for, 0 to 31.
    pub min_rnr_timer: u8,
}
