//! The active side: REQ out, REP in, RTU out.

use core::net::SocketAddr;

use roce_wire::cm::{
    CmMad, CommId, LID_PERMISSIVE, MessageRejected, PathInfo, PrivateData, REQ_PRIVATE_DATA_LEN,
    RejectReason, Rep, Req, Rtu, TransportService,
};
use roce_wire::gid::Gid;
use roce_wire::ip_cm::{IpCmAddresses, IpCmHeader, PortSpace, ServiceId};
use roce_wire::num::Psn;

use super::address::{AddressHandle, HOP_LIMIT};
use super::config::{Config, ReadLimits};
use super::connection::{
    Circumstances, Claim, Connection, Disconnecting, MoveError, Patience, Purpose, UNKNOWN_QP, effective,
};
use super::event::{Accepted, LocalQp, Notice, Outgoing, QpParameters, Refusal, Step};
use super::request::RemoteQp;
use super::state::{CmState, RejectError};

/// What [`super::Manager::connect`] is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Connect<'a> {
    /// The way to the peer's CM: its queue pair is 1.
    pub to: AddressHandle,
    /// Our address and port.
    pub local: SocketAddr,
    /// The peer's.
    pub peer: SocketAddr,
    /// Our queue pair.
    pub qp: LocalQp,
    /// The most that the consumer wants. What the adapter cannot do is not asked for.
    pub limits: ReadLimits,
    /// The consumer's private data: at most [`roce_wire::ip_cm::CONSUMER_PRIVATE_DATA_LEN`] bytes.
    pub private_data: &'a [u8],
}

/// Why no REQ can be sent. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// Too much private data.
    TooLong,
    /// The addresses are not of one family, or not those of the address handle.
    InvalidAddress,
    /// There is a connection, or an attempt at one, between the same addresses and ports.
    AddressExists,
    /// Every slot is in use.
    NoResources,
}

/// Why a connection cannot be completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompleteError {
    /// The peer has not accepted, or the consumer has answered already, or has closed the connector meanwhile.
    InvalidState,
    /// The peer has given up.
    Aborted,
    /// The queue pair could not be moved. The connection is as before.
    QpFailed,
}

impl From<MoveError> for CompleteError {
    fn from(error: MoveError) -> Self {
        match error {
            MoveError::Closed => Self::InvalidState,
            MoveError::Aborted => Self::Aborted,
            MoveError::QpFailed => Self::QpFailed,
        }
    }
}

impl Connect<'_> {
    /// The private data of the REQ.
    ///
    /// # Errors
    /// Why there can be no such REQ.
    pub(super) fn checked(&self) -> Result<PrivateData<REQ_PRIVATE_DATA_LEN>, ConnectError> {
        let (source, destination) = (self.local.ip(), self.peer.ip());
        let addresses = IpCmAddresses::new(source, destination).ok_or(ConnectError::InvalidAddress)?;
        if Gid::from(source) != self.to.local_gid || Gid::from(destination) != self.to.gid {
            return Err(ConnectError::InvalidAddress);
        }
        let header = IpCmHeader {
            source_port: self.local.port(),
            addresses,
        };
        header
            .private_data(self.private_data)
            .ok_or(ConnectError::TooLong)
    }

    fn req(
        &self,
        config: &Config,
        local_comm_id: CommId,
        starting_psn: Psn,
        private_data: PrivateData<REQ_PRIVATE_DATA_LEN>,
    ) -> Req {
        let (responder_resources, initiator_depth) = self.limits.min(config.max_reads).on_the_wire();
        Req {
            local_comm_id,
            service_id: ServiceId::from_port(PortSpace::TCP, self.peer.port()),
            local_ca_guid: config.ca_guid,
            local_qpn: self.qp.qpn,
            responder_resources,
            initiator_depth,
            remote_cm_response_timeout: config.response_timeout,
            transport_service: TransportService::RC,
            starting_psn,
            local_cm_response_timeout: config.response_timeout,
            retry_count: config.retry_count,
            p_key: 0xffff,
            path_mtu: config.path_mtu,
            rnr_retry_count: config.rnr_retry_count,
            max_cm_retries: config.max_retries,
            srq: self.qp.srq,
            primary_path: PathInfo {
                local_port_lid: LID_PERMISSIVE,
                remote_port_lid: LID_PERMISSIVE,
                local_port_gid: self.to.local_gid,
                remote_port_gid: self.to.gid,
                traffic_class: self.to.traffic_class,
                hop_limit: HOP_LIMIT,
                local_ack_timeout: config.local_ack_timeout,
                ..PathInfo::default()
            },
            private_data,
            ..Req::default()
        }
    }
}

impl Connection {
    /// An attempt that begins now. The REQ is [`Connection::repeat`]'s.
    pub fn connecting(
        at: &Circumstances,
        connect: &Connect<'_>,
        private_data: PrivateData<REQ_PRIVATE_DATA_LEN>,
        local_comm_id: CommId,
        receive_psn: Psn,
    ) -> Self {
        let req = connect.req(&at.config, local_comm_id, receive_psn, private_data);
        let transaction_id = u64::from(local_comm_id.0) << 32 | 1;
        let mut connection = Self {
            state: CmState::Idle,
            deadline: None,
            claim: None,
            request: None,
            local_comm_id,
            remote_comm_id: None,
            transaction_id,
            local: connect.local,
            peer: connect.peer,
            qp: QpParameters {
                local_qpn: connect.qp.qpn,
                receive_psn,
                remote: UNKNOWN_QP,
                limits: connect.limits.min(at.config.max_reads),
                to: connect.to,
            },
            patience: Patience {
                response: at.config.response_timeout,
                retries: at.config.max_retries,
                mra: at.config.mra_service_timeout,
            },
            mra_sent: false,
            tries_left: 0,
            repeated: CmMad::new(transaction_id, req),
            stale: false,
            was_established: false,
            disconnecting: Disconnecting::No,
        };
        let repeated = connection.repeated;
        connection.send_until_answered(at, CmState::ReqSent, repeated);
        connection
    }

    /// The peer has accepted, or repeats that it has. `is_stale`: its queue pair belongs to another connection.
    pub fn on_rep(&mut self, at: &Circumstances, rep: &Rep, is_stale: bool) -> Step {
        let is_new = matches!(self.state, CmState::ReqSent | CmState::MraReqRcvd);
        if self.request.is_some() || !is_new && Some(rep.local_comm_id) != self.remote_comm_id {
            return Step::UNEXPECTED;
        }
        match self.state {
            CmState::ReqSent | CmState::MraReqRcvd if is_stale => {
                self.remote_comm_id = Some(rep.local_comm_id);
                self.reject_with(
                    at,
                    MessageRejected::REP,
                    RejectReason::STALE_CONNECTION,
                    PrivateData::EMPTY,
                );
                Step::send(&self.repeat()).and_tell(&Notice::Refused(Refusal {
                    reason: RejectReason::STALE_CONNECTION,
                    private_data: *PrivateData::EMPTY.as_array(),
                }))
            }
            CmState::ReqSent | CmState::MraReqRcvd => {
                self.learn(at, rep);
                self.state = CmState::RepRcvd;
                self.deadline = Some(at.after(self.patience.until_mra()));
                Step::tell(&Notice::Accepted(Accepted {
                    private_data: *rep.private_data.as_array(),
                    qp: self.qp,
                }))
            }
            CmState::RepRcvd | CmState::MraRepSent if self.is_rejecting() => Step::NONE,
            CmState::RepRcvd | CmState::MraRepSent => Step::send(&self.ask_for_patience(at)),
            CmState::Established => Step::send(&self.rtu()),
            CmState::Rejected => {
                self.quarantine(at);
                Step::send(&self.repeat())
            }
            _ => Step::UNEXPECTED,
        }
    }

    /// The consumer completes the connection: claims it for the change of the queue pair.
    ///
    /// # Errors
    /// See [`CompleteError`]; nothing has changed then.
    pub fn claim_complete(&mut self) -> Result<QpParameters, CompleteError> {
        match self.state.rejects() {
            Ok(MessageRejected::REP) if self.claim.is_none() => {}
            Err(RejectError::Aborted) if self.request.is_none() => return Err(CompleteError::Aborted),
            _ => return Err(CompleteError::InvalidState),
        }
        self.claim = Some(Claim::new(Purpose::MoveQp));
        Ok(self.qp)
    }

    /// The queue pair is ready to send: so is the connection, if the peer is still there.
    pub(super) fn establish(&mut self) -> Outgoing {
        self.state = CmState::Established;
        self.was_established = true;
        self.deadline = None;
        self.rtu()
    }

    fn rtu(&self) -> Outgoing {
        self.answer(Rtu {
            local_comm_id: self.local_comm_id,
            remote_comm_id: self.remote_comm_id(),
            private_data: PrivateData::EMPTY,
        })
    }

    /// What the REP says of the peer. The rest is as our REQ asked for it.
    fn learn(&mut self, at: &Circumstances, rep: &Rep) {
        let config = &at.config;
        self.remote_comm_id = Some(rep.local_comm_id);
        self.qp.remote = RemoteQp {
            qpn: rep.local_qpn,
            starting_psn: rep.starting_psn,
            path_mtu: config.path_mtu,
            retry_count: config.retry_count,
            rnr_retry_count: rep.rnr_retry_count,
            local_ack_timeout: config.local_ack_timeout.max(rep.target_ack_delay),
            srq: rep.srq,
        };
        let peer = ReadLimits {
            inbound: rep.initiator_depth.into(),
            outbound: rep.responder_resources.into(),
        };
        self.qp.limits = effective(self.qp.limits, config.max_reads, peer);
    }
}
