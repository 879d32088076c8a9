//! One connection: what it knows, and what both sides have in common. Nothing here sends, allocates or reads a clock.
//!
//! What happens to it is in `active`, `passive`, `reject` and `disconnect`, each an `impl Connection`.

use core::net::SocketAddr;
use core::time::Duration;

use roce_wire::cm::{CmMad, CmMessage, CommId, MessageMraed, Mra, PrivateData, RejectReason};
use roce_wire::num::{MaxCmRetries, Psn, Qpn, Timeout};

use super::address::AddressHandle;
use super::config::{Config, ReadLimits};
use super::event::{Outgoing, QpParameters, Step};
use super::index::{Key, Kind};
use super::listener::ListenerId;
use super::passive::RequestId;
use super::request::RemoteQp;
use super::state::CmState;
use super::timer::{QUARANTINE_MAX, SLACK, duration};

/// When something happens, and what is set.
#[derive(Clone, Copy)]
pub struct Circumstances {
    /// The caller's time.
    pub now: Duration,
    /// The manager's.
    pub config: Config,
}

impl Circumstances {
    /// That much later.
    pub const fn after(&self, time: Duration) -> Duration {
        self.now.saturating_add(time)
    }
}

/// A connection, or an attempt at one.
#[derive(Debug)]
pub struct Connection {
    pub(super) state: CmState,
    /// When [`Connection::on_deadline`] is to be called, in the caller's time.
    pub(super) deadline: Option<Duration>,
    /// The driver is at work for a call of the consumer's.
    pub(super) claim: Option<Claim>,
    /// The consumer of the passive side: over which listener the request came. `None` on the active side.
    pub(super) request: Option<(ListenerId, RequestId)>,
    /// What we call it.
    pub(super) local_comm_id: CommId,
    /// What the peer calls it, once we know.
    pub(super) remote_comm_id: Option<CommId>,
    /// Of the REQ, and so of all that answers it.
    pub(super) transaction_id: u64,
    pub(super) local: SocketAddr,
    pub(super) peer: SocketAddr,
    /// The queue pairs of both sides and the way to the peer. The limits are what we offer until both have spoken.
    pub(super) qp: QpParameters,
    pub(super) patience: Patience,
    pub(super) mra_sent: bool,
    /// How often the message under way may still be repeated.
    pub(super) tries_left: u8,
    /// What is repeated: our REQ, REP or DREQ until it is answered, our REJ for as long as we are asked.
    pub(super) repeated: CmMad,
    /// The peer uses its queue pair or its id for something else now. [`Connection::on_deadline`] sees to it.
    pub(super) stale: bool,
    /// It has been established once, so that packets of it may be under way.
    pub(super) was_established: bool,
    /// The consumer has asked to disconnect.
    pub(super) disconnecting: Disconnecting,
}

/// Whether the consumer has asked to disconnect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disconnecting {
    /// No.
    No,
    /// Yes, and it waits for the end.
    Waiting,
    /// Yes, and it has been told the end.
    Done,
}

/// What the driver does while the connection is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It has a REJ sent.
    Reject,
    /// It moves the queue pair, to accept a request or to complete a connection.
    MoveQp,
}

/// Who claims the connection, and what happened meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    pub purpose: Purpose,
    pub abandoned: bool,
    pub closed: bool,
}

impl Claim {
    /// Nothing has happened yet.
    pub const fn new(purpose: Purpose) -> Self {
        Self {
            purpose,
            abandoned: false,
            closed: false,
        }
    }
}

/// What became of a change of the queue pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QpOutcome {
    /// It has the state that the plan asked for.
    Moved,
    /// It has not. The connection is as before: the consumer may try again, reject or close.
    NotMoved,
}

/// The end of what a plan began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "there may be a message to send"]
pub struct Finished<E> {
    /// To be sent, whatever the result.
    pub send: Option<Outgoing>,
    /// Whether the connection goes on.
    pub result: Result<(), E>,
}

/// Why it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveError {
    Closed,
    Aborted,
    QpFailed,
}

impl<E> Finished<E> {
    pub(super) const fn failed(error: E) -> Self {
        Self {
            send: None,
            result: Err(error),
        }
    }

    /// The same, with another kind of error.
    pub(super) fn into<F: From<E>>(self) -> Finished<F> {
        Finished {
            send: self.send,
            result: self.result.map_err(F::from),
        }
    }
}

/// How long the peer waits for an answer.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub response: Timeout,
    pub retries: MaxCmRetries,
    /// The time that an MRA asks for.
    pub mra: Timeout,
}

impl Connection {
    /// Where it stands.
    pub const fn state(&self) -> CmState {
        self.state
    }

    /// The request that it began with, on the passive side, and the listener that it came in over.
    pub const fn request(&self) -> Option<(ListenerId, RequestId)> {
        self.request
    }

    /// What the peer calls it, for a message: 0 as long as we do not know.
    pub(super) fn remote_comm_id(&self) -> CommId {
        self.remote_comm_id.unwrap_or_default()
    }

    /// Our address and port, and the peer's.
    pub const fn addresses(&self) -> (SocketAddr, SocketAddr) {
        (self.local, self.peer)
    }

    /// What it can be found by, as far as it is known.
    pub fn key(&self, kind: Kind) -> Option<Key> {
        let gid = self.qp.to.gid;
        match kind {
            Kind::Peer => self.remote_comm_id.map(|comm_id| Key::Peer(gid, comm_id)),
            Kind::PeerQp => Some(Key::PeerQp(gid, self.qp.remote.qpn)),
            Kind::Addresses => Some(addresses(self.local, self.peer)),
        }
    }

    /// Whether a message from there about what the peer calls so (0: it does not say) may be about this connection.
    pub fn is_with(&self, from: &AddressHandle, comm_id: CommId) -> bool {
        let is_same = self.remote_comm_id.is_none_or(|known| known == comm_id);
        self.qp.to.gid == from.gid && (comm_id == CommId(0) || is_same)
    }

    /// Whether the peer's queue pair belongs to this connection, so that it cannot ask for another one (IBTA 12.9.8.3.1).
    pub const fn holds_peer_qp(&self) -> bool {
        match self.state {
            CmState::Established | CmState::DreqSent | CmState::TimeWait => self.was_established,
            _ => false,
        }
    }

    /// Whether our queue pair is known to the peer, so that it can name it.
    pub const fn knows_local_qp(&self) -> bool {
        matches!(
            self.state,
            CmState::RepSent
                | CmState::MraRepRcvd
                | CmState::Established
                | CmState::DreqSent
                | CmState::TimeWait
        )
    }

    /// Whether it is, or may still become, a connection between the two addresses.
    pub const fn is_live(&self) -> bool {
        !matches!(
            self.state,
            CmState::Idle | CmState::Rejected | CmState::Aborted | CmState::DreqSent | CmState::TimeWait
        )
    }

    /// When [`Connection::on_deadline`] is due; never while a reject is under way.
    pub const fn deadline(&self) -> Option<Duration> {
        match self.claim {
            Some(Claim {
                purpose: Purpose::Reject,
                ..
            }) => None,
            _ if self.stale => Some(Duration::ZERO),
            _ => self.deadline,
        }
    }

    /// [`Connection::deadline`] has passed.
    pub fn on_deadline(&mut self, at: &Circumstances) -> Step {
        if core::mem::take(&mut self.stale) {
            return self.on_stale(at);
        }
        match self.state {
            CmState::ReqRcvd | CmState::RepRcvd => Step::send(&self.ask_for_patience(at)),
            CmState::MraReqSent | CmState::MraRepSent => {
                self.deadline = None;
                self.on_abandoned();
                Step::NONE
            }
            CmState::ReqSent
            | CmState::MraReqRcvd
            | CmState::RepSent
            | CmState::MraRepRcvd
            | CmState::DreqSent
                if self.tries_left > 0 =>
            {
                self.tries_left -= 1;
                self.deadline = Some(at.after(at.config.interval()));
                Step::send(&self.repeat())
            }
            CmState::ReqSent | CmState::MraReqRcvd | CmState::RepSent | CmState::MraRepRcvd => {
                self.on_no_answer(at)
            }
            CmState::DreqSent => self.on_no_drep(at),
            CmState::Established => {
                self.deadline = None;
                Step::NONE
            }
            CmState::Idle | CmState::TimeWait | CmState::Rejected | CmState::Aborted => {
                self.end();
                Step::NONE
            }
        }
    }

    /// The peer has received the message that is repeated, and asks for patience: however long its consumer takes, it is
    /// alive, so the count of repetitions begins again.
    pub fn on_mra(&mut self, at: &Circumstances, mra: &Mra) -> Step {
        let is_ours = mra.remote_comm_id == self.local_comm_id;
        self.state = match (self.state, mra.message_mraed) {
            (CmState::ReqSent | CmState::MraReqRcvd, MessageMraed::REQ) if is_ours => CmState::MraReqRcvd,
            (CmState::RepSent | CmState::MraRepRcvd, MessageMraed::REP) if is_ours => CmState::MraRepRcvd,
            _ => return Step::UNEXPECTED,
        };
        self.tries_left = at.config.max_retries.get();
        self.deadline = Some(at.after(at.config.patience(mra.service_timeout)));
        Step::NONE
    }

    /// The queue pair is moved, or could not be. Sends the REP or the RTU, unless something happened meanwhile.
    pub fn finish_move(&mut self, at: &Circumstances, outcome: QpOutcome) -> Finished<MoveError> {
        let claim = self.claim.take();
        let Some(claim) = claim else {
            return Finished::failed(MoveError::Closed);
        };
        if claim.abandoned {
            self.abort();
        }
        if claim.closed {
            return Finished {
                send: self.reject_unanswered(at, RejectReason::CONSUMER_REJECT),
                result: Err(MoveError::Closed),
            };
        }
        match outcome {
            _ if claim.abandoned => Finished::failed(MoveError::Aborted),
            QpOutcome::NotMoved => Finished::failed(MoveError::QpFailed),
            QpOutcome::Moved => Finished {
                send: Some(match self.request {
                    Some(_) => self.reply(at),
                    None => self.establish(),
                }),
                result: Ok(()),
            },
        }
    }

    /// Sends a message now, and again until it is answered.
    pub(super) fn send_until_answered(
        &mut self,
        at: &Circumstances,
        state: CmState,
        message: CmMad,
    ) -> Outgoing {
        self.state = state;
        self.repeated = message;
        self.tries_left = at.config.max_retries.get();
        self.deadline = Some(at.after(at.config.interval()));
        self.repeat()
    }

    /// What is repeated, once more.
    pub(super) fn repeat(&self) -> Outgoing {
        Outgoing::new(&self.qp.to, &self.repeated)
    }

    /// A message of the transaction that the REQ began.
    pub(super) fn answer(&self, message: impl Into<CmMessage>) -> Outgoing {
        Outgoing::new(&self.qp.to, &CmMad::new(self.transaction_id, message))
    }

    /// Tells the peer to wait for the consumer.
    pub(super) fn ask_for_patience(&mut self, at: &Circumstances) -> Outgoing {
        let (state, message_mraed) = match self.state {
            CmState::ReqRcvd | CmState::MraReqSent => (CmState::MraReqSent, MessageMraed::REQ),
            _ => (CmState::MraRepSent, MessageMraed::REP),
        };
        self.state = state;
        self.mra_sent = true;
        self.deadline = Some(at.after(self.patience.until_exhausted()));
        self.answer(Mra {
            local_comm_id: self.local_comm_id,
            remote_comm_id: self.remote_comm_id(),
            message_mraed,
            service_timeout: self.patience.mra,
            private_data: PrivateData::EMPTY,
        })
    }

    /// The peer has given up before the consumer answered.
    pub(super) fn abort(&mut self) {
        self.state = CmState::Aborted;
        self.deadline = None;
    }

    /// Rejected: kept to answer what is repeated.
    pub(super) fn quarantine(&mut self, at: &Circumstances) {
        self.state = CmState::Rejected;
        self.deadline = Some(at.after(self.patience.until_forgotten(self.mra_sent)));
    }

    /// Over, but its ids stay taken until nothing of it can be under way any more.
    pub(super) fn time_wait(&mut self, at: &Circumstances) {
        self.state = CmState::TimeWait;
        self.deadline = Some(at.after(at.config.time_wait()));
    }

    /// Over.
    pub(super) fn end(&mut self) {
        self.state = CmState::Idle;
        self.deadline = None;
    }
}

/// The key of a connection between these.
pub fn addresses(local: SocketAddr, peer: SocketAddr) -> Key {
    Key::Addresses((local.ip(), local.port()), (peer.ip(), peer.port()))
}

/// A queue pair of a peer that has not named it yet.
pub const UNKNOWN_QP: RemoteQp = RemoteQp {
    qpn: Qpn::truncated(0),
    starting_psn: Psn::truncated(0),
    path_mtu: roce_wire::cm::Mtu::B256,
    retry_count: roce_wire::num::RetryCount::truncated(0),
    rnr_retry_count: roce_wire::num::RetryCount::truncated(0),
    local_ack_timeout: Timeout::truncated(0),
    srq: false,
};

impl Patience {
    /// When to send the first MRA: in good time before the peer repeats its message.
    pub fn until_mra(self) -> Duration {
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

    /// When a peer that has our MRA and has sent nothing since has surely given up: it would have repeated its message as
    /// often as it may.
    fn until_exhausted(self) -> Duration {
        self.interval(true) * (u32::from(self.retries.get()) + 1) + SLACK
    }

    /// How long a rejected request is remembered: one repetition may get lost as the REJ before it did.
    fn until_forgotten(self, mra_sent: bool) -> Duration {
        (self.interval(mra_sent) * 2 + SLACK).min(QUARANTINE_MAX)
    }
}

/// What both sides can do: each at most what it can itself, what its adapter can, and what the peer allows.
pub fn effective(own: ReadLimits, adapter: ReadLimits, peer: ReadLimits) -> ReadLimits {
    own.min(adapter).min(peer)
}
