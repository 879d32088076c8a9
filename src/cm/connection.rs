//! One connection: its state, and what each event does to it. Nothing here sends, allocates or reads a clock.

use core::time::Duration;

use roce_wire::cm::{
    CmMad, CommId, MessageMraed, MessageRejected, Mra, PrivateData, REJ_PRIVATE_DATA_LEN, Rej, RejectReason,
    Req,
};
use roce_wire::ip_cm::ServiceId;
use roce_wire::num::{MaxCmRetries, Psn, Qpn, Timeout};

use super::address::AddressHandle;
use super::listener::ListenerId;
use super::state::{CmState, RejectError};
use super::table::PeerKey;
use super::timer::{QUARANTINE_MAX, SLACK, duration};

/// A connection of the passive side.
#[derive(Debug)]
pub struct Connection {
    state: CmState,
    /// When [`Connection::on_deadline`] is to be called, in the caller's time.
    deadline: Option<Duration>,
    /// A reject is on its way to the device; nothing else may answer the peer meanwhile.
    claim: Option<Claim>,
    address: AddressHandle,
    request: RequestId,
    listener: ListenerId,
    patience: Patience,
    mra_sent: bool,
    rejection: Rejection,
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

/// What happened while the connection was claimed.
#[derive(Clone, Copy, Debug, Default)]
struct Claim {
    abandoned: bool,
    closed: bool,
}

/// How long the peer waits for an answer.
#[derive(Clone, Copy, Debug)]
struct Patience {
    response: Timeout,
    retries: MaxCmRetries,
    /// The time that an MRA asks for.
    mra: Timeout,
}

/// How a REJ that we send differs from others.
#[derive(Clone, Copy, Debug)]
struct Rejection {
    message: MessageRejected,
    reason: RejectReason,
    private_data: PrivateData<REJ_PRIVATE_DATA_LEN>,
}

/// A message that the connection wants to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Message receipt acknowledgement: the consumer takes its time.
    Mra,
    /// The reject.
    Rej,
}

/// What became of a REJ that was given to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// It is sent, or the device has it and will send it.
    Sent,
    /// The device did not get it. The connection is as before: the consumer may try again.
    NotSent,
    /// The device knows that the peer has abandoned the attempt.
    PeerAbandoned,
    /// It cannot be sent. The attempt is over.
    Failed,
}

impl Connection {
    /// A request that has just come in.
    pub fn requested(
        now: Duration,
        address: AddressHandle,
        transaction_id: u64,
        req: &Req,
        listener: ListenerId,
        mra_service_timeout: Timeout,
    ) -> Self {
        let patience = Patience {
            response: req.remote_cm_response_timeout,
            retries: req.max_cm_retries,
            mra: mra_service_timeout,
        };
        Self {
            state: CmState::ReqRcvd,
            deadline: Some(now.saturating_add(patience.until_mra())),
            claim: None,
            address,
            request: RequestId::new(transaction_id, req),
            listener,
            patience,
            mra_sent: false,
            rejection: Rejection {
                message: MessageRejected::REQ,
                reason: RejectReason::CONSUMER_REJECT,
                private_data: PrivateData::EMPTY,
            },
        }
    }

    /// What the peer calls it.
    pub const fn peer(&self) -> PeerKey {
        PeerKey {
            gid: self.address.gid,
            comm_id: self.request.comm_id,
        }
    }

    /// How to reach the peer.
    pub const fn address(&self) -> &AddressHandle {
        &self.address
    }

    /// The request that it began with.
    pub const fn request(&self) -> RequestId {
        self.request
    }

    /// The listener that it came in over.
    pub const fn listener(&self) -> ListenerId {
        self.listener
    }

    /// Where it stands.
    pub const fn state(&self) -> CmState {
        self.state
    }

    /// When [`Connection::on_deadline`] is due; never while a reject is under way.
    pub const fn deadline(&self) -> Option<Duration> {
        match self.claim {
            None => self.deadline,
            Some(_) => None,
        }
    }

    /// The peer has repeated the request.
    pub fn on_repeated_request(&mut self, now: Duration) -> Option<Answer> {
        if self.claim.is_some() {
            return None;
        }
        match self.state {
            CmState::ReqRcvd | CmState::MraReqSent => Some(self.ask_for_patience(now)),
            CmState::Rejected => {
                self.quarantine(now);
                Some(Answer::Rej)
            }
            _ => None,
        }
    }

    /// The peer's REJ or DREQ has arrived, or it uses the communication id for another attempt. True if that ends an attempt.
    pub fn on_abandoned(&mut self) -> bool {
        if self.state.rejects().is_err() {
            return false;
        }
        if let Some(claim) = &mut self.claim {
            return !core::mem::replace(&mut claim.abandoned, true);
        }
        self.abort();
        true
    }

    /// [`Connection::deadline`] has passed.
    pub fn on_deadline(&mut self, now: Duration) -> Option<Answer> {
        match self.state {
            CmState::ReqRcvd => return Some(self.ask_for_patience(now)),
            CmState::MraReqSent => self.abort(),
            _ => {
                self.state = CmState::Idle;
                self.deadline = None;
            }
        }
        None
    }

    /// The consumer rejects: claims the connection and fixes what the REJ says. [`Connection::finish_reject`] must follow.
    ///
    /// # Errors
    /// See [`RejectError`]; nothing has changed then.
    pub fn claim_reject(&mut self, data: &[u8]) -> Result<(), RejectError> {
        let private_data = PrivateData::new(data).ok_or(RejectError::TooLong)?;
        let message = self.state.rejects()?;
        if self.claim.is_some() {
            return Err(RejectError::InvalidState);
        }
        self.rejection = Rejection {
            message,
            reason: RejectReason::CONSUMER_REJECT,
            private_data,
        };
        self.claim = Some(Claim::default());
        Ok(())
    }

    /// The device has the REJ, or refuses it.
    pub fn finish_reject(&mut self, now: Duration, outcome: SendOutcome) {
        let Some(claim) = self.claim.take() else { return };
        match outcome {
            SendOutcome::Sent | SendOutcome::Failed => self.quarantine(now),
            // Nobody is left to try again or to take notice.
            SendOutcome::NotSent | SendOutcome::PeerAbandoned if claim.closed => self.quarantine(now),
            SendOutcome::NotSent if !claim.abandoned => {}
            SendOutcome::NotSent | SendOutcome::PeerAbandoned => self.abort(),
        }
    }

    /// There is no consumer any more, or never was one: rejects for it. `None` if nothing is left to reject.
    pub fn reject_unanswered(&mut self, now: Duration, reason: RejectReason) -> Option<Answer> {
        if let Some(claim) = &mut self.claim {
            claim.closed = true;
            return None;
        }
        let rejects = self.state.rejects();
        match rejects {
            Ok(message) => {
                self.rejection = Rejection {
                    message,
                    reason,
                    private_data: PrivateData::EMPTY,
                };
                self.quarantine(now);
                Some(Answer::Rej)
            }
            Err(RejectError::Aborted) => {
                self.quarantine(now);
                None
            }
            Err(_) => None,
        }
    }

    /// The message for `answer`; `local_comm_id` is what we call the connection. The same bytes each time.
    pub fn message(&self, answer: Answer, local_comm_id: CommId) -> CmMad {
        let remote_comm_id = self.request.comm_id;
        let transaction_id = self.request.transaction_id;
        match answer {
            Answer::Mra => CmMad::new(
                transaction_id,
                Mra {
                    local_comm_id,
                    remote_comm_id,
                    message_mraed: MessageMraed::REQ,
                    service_timeout: self.patience.mra,
                    private_data: PrivateData::EMPTY,
                },
            ),
            Answer::Rej => CmMad::new(
                transaction_id,
                Rej {
                    local_comm_id,
                    remote_comm_id,
                    message_rejected: self.rejection.message,
                    reason: self.rejection.reason,
                    private_data: self.rejection.private_data,
                    ..Rej::default()
                },
            ),
        }
    }

    fn ask_for_patience(&mut self, now: Duration) -> Answer {
        self.state = CmState::MraReqSent;
        self.mra_sent = true;
        self.deadline = Some(now.saturating_add(self.patience.until_exhausted()));
        Answer::Mra
    }

    fn abort(&mut self) {
        self.state = CmState::Aborted;
        self.deadline = None;
    }

    fn quarantine(&mut self, now: Duration) {
        self.state = CmState::Rejected;
        self.deadline = Some(now.saturating_add(self.patience.until_forgotten(self.mra_sent)));
    }
}

impl Patience {
    /// When to send the first MRA: in good time before the peer repeats its request.
    fn until_mra(self) -> Duration {
        duration(self.response) / 2
    }

    /// Time between two requests of a peer that has our MRA, or does not have it.
    fn interval(self, mra_sent: bool) -> Duration {
        let mra = if mra_sent {
            duration(self.mra)
        } else {
            Duration::ZERO
        };
        mra + duration(self.response)
    }

    /// When a peer that has our MRA and has sent nothing since has surely given up: it would have repeated its request as
    /// often as it may.
    fn until_exhausted(self) -> Duration {
        self.interval(true) * (u32::from(self.retries.get()) + 1) + SLACK
    }

    /// How long a rejected request is remembered: one repetition may get lost as the REJ before it did.
    fn until_forgotten(self, mra_sent: bool) -> Duration {
        (self.interval(mra_sent) * 2 + SLACK).min(QUARANTINE_MAX)
    }
}
