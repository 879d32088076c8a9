//! REQ: request for communication (IBTA 12.6.5, table 106).

use zerocopy::byteorder::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute, transmute_ref};

use super::{CommId, Mtu, PathInfo, PrivateData, path};
use crate::ip_cm::ServiceId;
use crate::mad::DATA_LEN;
use crate::num::{Eecn, MaxCmRetries, Psn, Qpn, RetryCount, Timeout, narrow_uint};

/// Bytes of private data in a REQ.
pub const REQ_PRIVATE_DATA_LEN: usize = 92;

narrow_uint! {
    /// The transport service that a REQ asks for (IBTA 12.7.6).
    TransportService: u8, 2
}

impl TransportService {
    /// Reliable connection.
    pub const RC: Self = Self::truncated(0);
    /// Unreliable connection.
    pub const UC: Self = Self::truncated(1);
    /// Reliable datagram.
    pub const RD: Self = Self::truncated(2);
    /// The service that [`Req::extended_transport`] names.
    pub const EXTENDED: Self = Self::truncated(3);
}

/// Request for communication.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Req {
    /// What the sender calls the connection.
    pub local_comm_id: CommId,
    /// What the sender wants to be connected to.
    pub service_id: ServiceId,
    /// The sender's channel adapter.
    pub local_ca_guid: u64,
    /// The sender's queue key; of datagram services only.
    pub local_q_key: u32,
    /// The sender's queue pair.
    pub local_qpn: Qpn,
    /// How many of the receiver's READs and atomics the sender can serve at a time.
    pub responder_resources: u8,
    /// The sender's end-to-end context.
    pub local_eecn: Eecn,
    /// How many READs and atomics the sender wants to have under way.
    pub initiator_depth: u8,
    /// The receiver's end-to-end context.
    pub remote_eecn: Eecn,
    /// How soon the sender expects an answer.
    pub remote_cm_response_timeout: Timeout,
    /// Transport service.
    pub transport_service: TransportService,
    /// The sender's receive queue issues end-to-end credits.
    pub end_to_end_flow_control: bool,
    /// The first packet sequence number that the receiver should use.
    pub starting_psn: Psn,
    /// How soon the receiver may expect an answer.
    pub local_cm_response_timeout: Timeout,
    /// How often the receiver should send a packet again when no acknowledgement comes.
    pub retry_count: RetryCount,
    /// Partition key.
    pub p_key: u16,
    /// The path's payload size.
    pub path_mtu: Mtu,
    /// A reliable datagram channel exists.
    pub rdc_exists: bool,
    /// How often the receiver should send a packet again that the sender was not ready for.
    pub rnr_retry_count: RetryCount,
    /// How often either side sends a message of the CM again.
    pub max_cm_retries: MaxCmRetries,
    /// The sender's queue pair uses a shared receive queue.
    pub srq: bool,
    /// Which extended transport service: three bits, more are not written. XRC is 1.
    pub extended_transport: u8,
    /// The path.
    pub primary_path: PathInfo,
    /// Another path, for automatic path migration.
    pub alternate_path: PathInfo,
    /// Private data; [`IpCmHeader`](crate::ip_cm::IpCmHeader) is at the front of it.
    pub private_data: PrivateData<REQ_PRIVATE_DATA_LEN>,
}

impl Req {
    pub(super) fn from_data(data: &[u8; DATA_LEN]) -> Self {
        let layout: &Layout = transmute_ref!(data);
        Self {
            local_comm_id: CommId(layout.local_comm_id.get()),
            service_id: ServiceId(layout.service_id.get()),
            local_ca_guid: layout.local_ca_guid.get(),
            local_q_key: layout.local_q_key.get(),
            local_qpn: Qpn::from_be_bytes(layout.local_qpn),
            responder_resources: layout.responder_resources,
            local_eecn: Eecn::from_be_bytes(layout.local_eecn),
            initiator_depth: layout.initiator_depth,
            remote_eecn: Eecn::from_be_bytes(layout.remote_eecn),
            remote_cm_response_timeout: Timeout::truncated(layout.response_service_flow >> 3),
            transport_service: TransportService::truncated(layout.response_service_flow >> 1),
            end_to_end_flow_control: layout.response_service_flow & 1 != 0,
            starting_psn: Psn::from_be_bytes(layout.starting_psn),
            local_cm_response_timeout: Timeout::truncated(layout.response_retry >> 3),
            retry_count: RetryCount::truncated(layout.response_retry),
            p_key: layout.p_key.get(),
            path_mtu: Mtu::truncated(layout.mtu_rdc_rnr >> 4),
            rdc_exists: layout.mtu_rdc_rnr & 0x08 != 0,
            rnr_retry_count: RetryCount::truncated(layout.mtu_rdc_rnr),
            max_cm_retries: MaxCmRetries::truncated(layout.retries_srq_extended >> 4),
            srq: layout.retries_srq_extended & 0x08 != 0,
            extended_transport: layout.retries_srq_extended & 7,
            primary_path: (&layout.primary_path).into(),
            alternate_path: (&layout.alternate_path).into(),
            private_data: PrivateData::from_array(layout.private_data),
        }
    }

    pub(super) fn to_data(self) -> [u8; DATA_LEN] {
        transmute!(Layout {
            local_comm_id: U32::new(self.local_comm_id.0),
            reserved_4: [0; 4],
            service_id: U64::new(self.service_id.0),
            local_ca_guid: U64::new(self.local_ca_guid),
            reserved_24: [0; 4],
            local_q_key: U32::new(self.local_q_key),
            local_qpn: self.local_qpn.to_be_bytes(),
            responder_resources: self.responder_resources,
            local_eecn: self.local_eecn.to_be_bytes(),
            initiator_depth: self.initiator_depth,
            remote_eecn: self.remote_eecn.to_be_bytes(),
            response_service_flow: self.remote_cm_response_timeout.get() << 3
                | self.transport_service.get() << 1
                | u8::from(self.end_to_end_flow_control),
            starting_psn: self.starting_psn.to_be_bytes(),
            response_retry: self.local_cm_response_timeout.get() << 3 | self.retry_count.get(),
            p_key: U16::new(self.p_key),
            mtu_rdc_rnr: self.path_mtu.get() << 4
                | u8::from(self.rdc_exists) << 3
                | self.rnr_retry_count.get(),
            retries_srq_extended: self.max_cm_retries.get() << 4
                | u8::from(self.srq) << 3
                | self.extended_transport & 7,
            primary_path: (&self.primary_path).into(),
            alternate_path: (&self.alternate_path).into(),
            private_data: *self.private_data.as_array(),
        })
    }
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Layout {
    local_comm_id: U32,
    reserved_4: [u8; 4],
    service_id: U64,
    local_ca_guid: U64,
    reserved_24: [u8; 4],
    local_q_key: U32,
    local_qpn: [u8; 3],
    responder_resources: u8,
    local_eecn: [u8; 3],
    initiator_depth: u8,
    remote_eecn: [u8; 3],
    /// Remote CM response timeout (5 bits), transport service type (2), end-to-end flow control (1).
    response_service_flow: u8,
    starting_psn: [u8; 3],
    /// Local CM response timeout (5 bits), retry count (3).
    response_retry: u8,
    p_key: U16,
    /// Path packet payload MTU (4 bits), RDC exists (1), RNR retry count (3).
    mtu_rdc_rnr: u8,
    /// Max CM retries (4 bits), SRQ (1), extended transport type (3).
    retries_srq_extended: u8,
    primary_path: path::Layout,
    alternate_path: path::Layout,
    private_data: [u8; REQ_PRIVATE_DATA_LEN],
}
