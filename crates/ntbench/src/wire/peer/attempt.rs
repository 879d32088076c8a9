//! A connection request, and what its sender may say after it.

use std::net::{IpAddr, SocketAddr};

use roce_wire::bth::DEFAULT_P_KEY;
use roce_wire::cm::{
    ARI_LEN, CmMad, CommId, Dreq, LID_PERMISSIVE, MessageRejected, Mtu, PathInfo, PrivateData, Rej,
    RejectReason, Req, Rtu,
};
use roce_wire::eth::MacAddr;
use roce_wire::gid::Gid;
use roce_wire::ip_cm::{IpCmAddresses, IpCmHeader, PortSpace, ServiceId};
use roce_wire::num::{MaxCmRetries, Psn, Qpn, RetryCount, Timeout};

use super::PeerError;

/// The port that requests come from.
const SOURCE_PORT: u16 = 50_000;

/// What Linux puts into the upper half of a transaction ID is its agent's number; this is the peer's.
const AGENT: u64 = 0x5eed;

/// A request for a reliable connection, with the values that Linux fills in. All of them may be changed before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Where it goes.
    pub target: SocketAddr,
    /// The request.
    pub req: Req,
}

impl Attempt {
    pub(super) fn new(
        id: CommId,
        mac: MacAddr,
        source: IpAddr,
        target: SocketAddr,
        data: &[u8],
    ) -> Result<Self, PeerError> {
        let addresses =
            IpCmAddresses::new(source, target.ip()).ok_or(PeerError::NoSourceAddress(target.ip()))?;
        let header = IpCmHeader {
            source_port: SOURCE_PORT,
            addresses,
        };
        let req = Req {
            local_comm_id: id,
            service_id: ServiceId::from_port(PortSpace::TCP, target.port()),
            local_ca_guid: guid(mac),
            local_qpn: Qpn::truncated(id.0),
            responder_resources: 1,
            initiator_depth: 1,
            remote_cm_response_timeout: Timeout::truncated(20),
            starting_psn: Psn::truncated(id.0),
            local_cm_response_timeout: Timeout::truncated(20),
            retry_count: RetryCount::MAX,
            p_key: DEFAULT_P_KEY,
            path_mtu: Mtu::B1024,
            rnr_retry_count: RetryCount::MAX,
            max_cm_retries: MaxCmRetries::MAX,
            primary_path: PathInfo {
                local_port_lid: LID_PERMISSIVE,
                remote_port_lid: LID_PERMISSIVE,
                local_port_gid: Gid::from(source),
                remote_port_gid: Gid::from(target.ip()),
                hop_limit: 64,
                local_ack_timeout: Timeout::truncated(17),
                ..PathInfo::default()
            },
            private_data: header
                .private_data(data)
                .ok_or(PeerError::DataTooLong(data.len()))?,
            ..Req::default()
        };
        Ok(Self { target, req })
    }

    /// What the peer calls the connection.
    #[must_use]
    pub const fn comm_id(&self) -> CommId {
        self.req.local_comm_id
    }

    /// The transaction ID of the request, which all messages about it repeat.
    #[must_use]
    pub fn transaction_id(&self) -> u64 {
        AGENT << 32 | u64::from(self.req.local_comm_id.0)
    }

    /// The request as a datagram.
    #[must_use]
    pub fn mad(&self) -> CmMad {
        CmMad::new(self.transaction_id(), self.req)
    }

    /// The REJ of a peer that has waited for an answer for too long, as Linux sends it: no message is rejected, the passive side's ID
    /// is not known, and the additional information is the sender's GUID.
    #[must_use]
    pub fn give_up(&self) -> CmMad {
        let guid = self.req.local_ca_guid.to_be_bytes();
        let mut ari = [0; ARI_LEN];
        ari[..guid.len()].copy_from_slice(&guid);
        let rej = Rej {
            reject_info_length: 8,
            ari,
            ..self.rejection(MessageRejected::NO_MESSAGE, RejectReason::TIMEOUT)
        };
        CmMad::new(self.transaction_id(), rej)
    }

    /// A REJ for the passive side's REP, whose sender calls the connection `remote`.
    #[must_use]
    pub fn reject_reply(&self, remote: CommId, reason: RejectReason, private_data: &[u8; 148]) -> CmMad {
        let rej = Rej {
            remote_comm_id: remote,
            private_data: PrivateData::from_array(*private_data),
            ..self.rejection(MessageRejected::REP, reason)
        };
        CmMad::new(self.transaction_id(), rej)
    }

    /// A REJ without a message that it is about, for a reason other than a timeout.
    #[must_use]
    pub fn abandon(&self, reason: RejectReason) -> CmMad {
        CmMad::new(
            self.transaction_id(),
            self.rejection(MessageRejected::NO_MESSAGE, reason),
        )
    }

    /// The RTU that ends the handshake.
    #[must_use]
    pub fn ready(&self, remote: CommId) -> CmMad {
        let rtu = Rtu {
            local_comm_id: self.comm_id(),
            remote_comm_id: remote,
            ..Rtu::default()
        };
        CmMad::new(self.transaction_id(), rtu)
    }

    /// A DREQ. Before a REP the passive side's communication ID and queue pair are not known: zeros.
    #[must_use]
    pub fn disconnect(&self, remote: CommId, remote_qpn: Qpn) -> CmMad {
        let dreq = Dreq {
            local_comm_id: self.comm_id(),
            remote_comm_id: remote,
            remote_qpn,
            ..Dreq::default()
        };
        CmMad::new(self.transaction_id(), dreq)
    }

    fn rejection(&self, message_rejected: MessageRejected, reason: RejectReason) -> Rej {
        Rej {
            local_comm_id: self.comm_id(),
            message_rejected,
            reason,
            ..Rej::default()
        }
    }
}

/// A modified EUI-64 of the station address, as Linux makes a soft-RoCE device's GUID.
fn guid(MacAddr([first, b, c, d, e, last]): MacAddr) -> u64 {
    u64::from_be_bytes([first ^ 2, b, c, 0xff, 0xfe, d, e, last])
}
