//! The passive side: REQ in, REP out, RTU in.

use roce_wire::cm::{
    CmMad, CommId, Failover, MessageRejected, PrivateData, REP_PRIVATE_DATA_LEN, RejectReason, Rep, Req,
};
use roce_wire::ip_cm::ServiceId;
use roce_wire::num::{Psn, Qpn};

use super::address::AddressHandle;
use super::config::{Config, ReadLimits};
use super::connection::{
    Circumstances, Claim, Connection, Disconnecting, MoveError, Patience, Purpose, effective,
};
use super::event::{LocalQp, Notice, Outgoing, QpParameters, Step};
use super::listener::ListenerId;
use super::request::CheckedRequest;
use super::state::{CmState, RejectError};

/// What [`super::Manager::prepare_accept`] is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Accept<'a> {
    /// Our queue pair.
    pub qp: LocalQp,
    /// The most that the consumer wants. Capped to what the adapter and the peer can do.
    pub limits: ReadLimits,
    /// The consumer's private data: at most [`REP_PRIVATE_DATA_LEN`] bytes.
    pub private_data: &'a [u8],
}

/// Why a request cannot be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptError {
    /// Too much private data.
    TooLong,
    /// There is nothing to accept, or the consumer has answered already, or has closed the connector meanwhile.
    InvalidState,
    /// The peer has given up.
    Aborted,
    /// The queue pair could not be moved. The request is as before.
    QpFailed,
}

impl From<MoveError> for AcceptError {
    fn from(error: MoveError) -> Self {
        match error {
            MoveError::Closed => Self::InvalidState,
            MoveError::Aborted => Self::Aborted,
            MoveError::QpFailed => Self::QpFailed,
        }
    }
}

/// What makes a request the same as an earlier one, together with the sender's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId {
    comm_id: CommId,
    transaction_id: u64,
    service_id: ServiceId,
    qpn: Qpn,
    starting_psn: Psn,
}

impl RequestId {
    /// From a REQ.
    pub const fn new(transaction_id: u64, req: &Req) -> Self {
        Self {
            comm_id: req.local_comm_id,
            transaction_id,
            service_id: req.service_id,
            qpn: req.local_qpn,
            starting_psn: req.starting_psn,
        }
    }
}

/// A request that has just come in.
#[derive(Clone, Copy)]
pub struct Incoming<'a> {
    /// From there.
    pub from: &'a AddressHandle,
    /// The REQ's.
    pub transaction_id: u64,
    /// The REQ.
    pub req: &'a Req,
    /// The same, checked.
    pub checked: &'a CheckedRequest,
    /// Who wants it.
    pub listener: ListenerId,
}

impl Connection {
    /// A request that waits for the consumer.
    pub fn requested(
        at: &Circumstances,
        incoming: &Incoming<'_>,
        local_comm_id: CommId,
        receive_psn: Psn,
    ) -> Self {
        let Incoming {
            from,
            transaction_id,
            req,
            checked,
            listener,
        } = *incoming;
        let patience = Patience {
            response: req.remote_cm_response_timeout,
            retries: req.max_cm_retries,
            mra: at.config.mra_service_timeout,
        };
        let mut remote = checked.offer.qp;
        remote.local_ack_timeout = remote.local_ack_timeout.max(at.config.local_ack_timeout);
        Self {
            state: CmState::ReqRcvd,
            deadline: Some(at.after(patience.until_mra())),
            claim: None,
            request: Some((listener, RequestId::new(transaction_id, req))),
            local_comm_id,
            remote_comm_id: Some(req.local_comm_id),
            transaction_id,
            local: checked.local,
            peer: checked.peer,
            qp: QpParameters {
                local_qpn: Qpn::default(),
                receive_psn,
                remote,
                limits: ReadLimits {
                    inbound: checked.offer.initiator_depth.into(),
                    outbound: checked.offer.responder_resources.into(),
                },
                to: *from,
            },
            patience,
            mra_sent: false,
            tries_left: 0,
            repeated: CmMad::new(transaction_id, Rep::default()),
            stale: false,
            was_established: false,
            disconnecting: Disconnecting::No,
        }
    }

    /// The peer has repeated the request.
    pub fn on_repeated_request(&mut self, at: &Circumstances) -> Step {
        match self.state {
            CmState::ReqRcvd | CmState::MraReqSent if self.is_rejecting() => Step::NONE,
            CmState::ReqRcvd | CmState::MraReqSent => Step::send(&self.ask_for_patience(at)),
            CmState::RepSent => Step::send(&self.repeat()),
            CmState::Rejected => {
                self.quarantine(at);
                Step::send(&self.repeat())
            }
            _ => Step::NONE,
        }
    }

    /// The peer uses its id or its queue pair for another attempt. What has to be said about an attempt that was answered is
    /// left to [`Connection::on_deadline`], which is due at once.
    pub fn supersede(&mut self) -> Step {
        match self.state {
            CmState::RepSent | CmState::MraRepRcvd | CmState::Established => {
                self.stale = true;
                Step::NONE
            }
            state if state.rejects().is_ok() => self.on_abandoned(),
            _ => Step::NONE,
        }
    }

    /// The consumer accepts: claims the request for the change of the queue pair, and fixes what the REP says.
    ///
    /// # Errors
    /// See [`AcceptError`]; nothing has changed then.
    pub fn claim_accept(
        &mut self,
        config: &Config,
        accept: &Accept<'_>,
    ) -> Result<QpParameters, AcceptError> {
        let private_data = PrivateData::new(accept.private_data).ok_or(AcceptError::TooLong)?;
        match self.state.rejects() {
            Ok(MessageRejected::REQ) if self.claim.is_none() => {}
            Err(RejectError::Aborted) if self.request.is_some() => return Err(AcceptError::Aborted),
            _ => return Err(AcceptError::InvalidState),
        }
        let limits = effective(accept.limits, config.max_reads, self.qp.limits);
        let qp = QpParameters {
            local_qpn: accept.qp.qpn,
            limits,
            ..self.qp
        };
        self.qp.local_qpn = accept.qp.qpn;
        self.repeated = CmMad::new(
            self.transaction_id,
            self.rep(config, accept.qp, limits, private_data),
        );
        self.claim = Some(Claim::new(Purpose::MoveQp));
        Ok(qp)
    }

    fn rep(
        &self,
        config: &Config,
        qp: LocalQp,
        limits: ReadLimits,
        private_data: PrivateData<REP_PRIVATE_DATA_LEN>,
    ) -> Rep {
        let (responder_resources, initiator_depth) = limits.on_the_wire();
        Rep {
            local_comm_id: self.local_comm_id,
            remote_comm_id: self.remote_comm_id(),
            local_qpn: qp.qpn,
            starting_psn: self.qp.receive_psn,
            responder_resources,
            initiator_depth,
            target_ack_delay: config.target_ack_delay,
            failover: Failover::NOT_SUPPORTED,
            rnr_retry_count: config.rnr_retry_count,
            srq: qp.srq,
            local_ca_guid: config.ca_guid,
            private_data,
            ..Rep::default()
        }
    }

    /// The queue pair is ready to receive: the REP goes out.
    pub(super) fn reply(&mut self, at: &Circumstances) -> Outgoing {
        let rep = self.repeated;
        self.send_until_answered(at, CmState::RepSent, rep)
    }

    /// The peer is ready: its RTU has arrived, or the first packet for the queue pair.
    pub fn on_ready(&mut self) -> Step {
        match self.state {
            CmState::RepSent | CmState::MraRepRcvd => {
                self.state = CmState::Established;
                self.was_established = true;
                self.deadline = None;
                Step::tell(&Notice::Established)
            }
            CmState::Established => Step::NONE,
            _ => Step::UNEXPECTED,
        }
    }

    /// The peer believes that it is connected, but we have given it up: it has to hear that again.
    pub fn on_rtu(&mut self) -> Step {
        match self.state {
            CmState::Rejected if self.request.is_some() => Step {
                unexpected: true,
                ..Step::send(&self.repeat())
            },
            _ if self.request.is_none() => Step::UNEXPECTED,
            _ => self.on_ready(),
        }
    }

    /// Our REQ or REP has not been answered in time.
    pub fn on_no_answer(&mut self, at: &Circumstances) -> Step {
        let rej = self.give_up(at);
        Step::send(&rej).and_tell(&Notice::TimedOut)
    }

    /// Tells the peer that we do not wait any longer.
    pub(super) fn give_up(&mut self, at: &Circumstances) -> Outgoing {
        self.reject_with(
            at,
            MessageRejected::NO_MESSAGE,
            RejectReason::TIMEOUT,
            PrivateData::EMPTY,
        );
        let rej = self.repeat();
        if self.request.is_none() {
            // Whatever the peer still sends is answered without us: the id is unknown from now on.
            self.end();
        }
        rej
    }
}
