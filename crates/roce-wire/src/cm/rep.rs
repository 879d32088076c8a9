//! REP: reply to a request for communication (IBTA 12.6.8, table 110).

use zerocopy::byteorder::big_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute, transmute_ref};

use super::{CommId, PrivateData};
use crate::mad::DATA_LEN;
use crate::num::{Eecn, Psn, Qpn, RetryCount, Timeout, narrow_uint};

/// Bytes of private data in a REP.
pub const REP_PRIVATE_DATA_LEN: usize = 196;

narrow_uint! {
    /// What becomes of the REQ's alternate path (IBTA 12.7.35).
    Failover: u8, 2
}

impl Failover {
    /// It will be used when the primary path fails.
    pub const ACCEPTED: Self = Self::truncated(0);
    /// Path migration is not supported.
    pub const NOT_SUPPORTED: Self = Self::truncated(1);
    /// It is not accepted.
    pub const REJECTED: Self = Self::truncated(2);
}

/// Reply to a request for communication: the passive side accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rep {
    /// What the sender calls the connection.
    pub local_comm_id: CommId,
    /// What the receiver calls it.
    pub remote_comm_id: CommId,
    /// The sender's queue key; of datagram services only.
    pub local_q_key: u32,
    /// The sender's queue pair.
    pub local_qpn: Qpn,
    /// The sender's end-to-end context.
    pub local_eecn: Eecn,
    /// The first packet sequence number that the receiver should use.
    pub starting_psn: Psn,
    /// How many of the receiver's READs and atomics the sender can serve at a time.
    pub responder_resources: u8,
    /// How many READs and atomics the sender will have under way.
    pub initiator_depth: u8,
    /// How long the sender may take to acknowledge a packet.
    pub target_ack_delay: Timeout,
    /// What becomes of the alternate path.
    pub failover: Failover,
    /// The sender's receive queue issues end-to-end credits.
    pub end_to_end_flow_control: bool,
    /// How often the receiver should send a packet again that the sender was not ready for.
    pub rnr_retry_count: RetryCount,
    /// The sender's queue pair uses a shared receive queue.
    pub srq: bool,
    /// The sender's channel adapter.
    pub local_ca_guid: u64,
    /// Private data.
    pub private_data: PrivateData<REP_PRIVATE_DATA_LEN>,
}

impl Rep {
    pub(super) fn from_data(data: &[u8; DATA_LEN]) -> Self {
        let layout: &Layout = transmute_ref!(data);
        Self {
            local_comm_id: CommId(layout.local_comm_id.get()),
            remote_comm_id: CommId(layout.remote_comm_id.get()),
            local_q_key: layout.local_q_key.get(),
            local_qpn: Qpn::from_be_bytes(layout.local_qpn),
            local_eecn: Eecn::from_be_bytes(layout.local_eecn),
            starting_psn: Psn::from_be_bytes(layout.starting_psn),
            responder_resources: layout.responder_resources,
            initiator_depth: layout.initiator_depth,
            target_ack_delay: Timeout::truncated(layout.delay_failover_flow >> 3),
            failover: Failover::truncated(layout.delay_failover_flow >> 1),
            end_to_end_flow_control: layout.delay_failover_flow & 1 != 0,
            rnr_retry_count: RetryCount::truncated(layout.rnr_srq >> 5),
            srq: layout.rnr_srq & 0x10 != 0,
            local_ca_guid: layout.local_ca_guid.get(),
            private_data: PrivateData::from_array(layout.private_data),
        }
    }

    pub(super) fn to_data(self) -> [u8; DATA_LEN] {
        transmute!(Layout {
            local_comm_id: U32::new(self.local_comm_id.0),
            remote_comm_id: U32::new(self.remote_comm_id.0),
            local_q_key: U32::new(self.local_q_key),
            local_qpn: self.local_qpn.to_be_bytes(),
            reserved_15: 0,
            local_eecn: self.local_eecn.to_be_bytes(),
            reserved_19: 0,
            starting_psn: self.starting_psn.to_be_bytes(),
            reserved_23: 0,
            responder_resources: self.responder_resources,
            initiator_depth: self.initiator_depth,
            delay_failover_flow: self.target_ack_delay.get() << 3
                | self.failover.get() << 1
                | u8::from(self.end_to_end_flow_control),
            rnr_srq: self.rnr_retry_count.get() << 5 | u8::from(self.srq) << 4,
            local_ca_guid: U64::new(self.local_ca_guid),
            private_data: *self.private_data.as_array(),
        })
    }
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Layout {
    local_comm_id: U32,
    remote_comm_id: U32,
    local_q_key: U32,
    local_qpn: [u8; 3],
    reserved_15: u8,
    local_eecn: [u8; 3],
    reserved_19: u8,
    starting_psn: [u8; 3],
    reserved_23: u8,
    responder_resources: u8,
    initiator_depth: u8,
    /// Target ACK delay (5 bits), failover accepted (2), end-to-end flow control (1).
    delay_failover_flow: u8,
    /// RNR retry count (3 bits), SRQ (1), reserved (4).
    rnr_srq: u8,
    local_ca_guid: U64,
    private_data: [u8; REP_PRIVATE_DATA_LEN],
}
