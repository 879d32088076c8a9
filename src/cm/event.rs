//! What the manager wants done: messages to send, and what to tell whom.

use core::fmt;

use roce_wire::cm::{CmMad, REJ_PRIVATE_DATA_LEN, REP_PRIVATE_DATA_LEN, RejectReason};
use roce_wire::mad::Mad;
use roce_wire::num::{Psn, Qpn};

use super::address::AddressHandle;
use super::config::ReadLimits;
use super::request::{ConnectRequest, RemoteQp};
use super::table::ConnectionId;

/// A datagram to send (`CM_SEND`). Nobody waits for it: what matters is repeated if it gets lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to.
    pub to: AddressHandle,
    /// All of it.
    pub mad: Mad,
}

impl Outgoing {
    pub(super) fn new(to: &AddressHandle, mad: &CmMad) -> Self {
        Self {
            to: *to,
            mad: mad.to_bytes(),
        }
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("to", &self.to)
            .field("mad", &CmMad::from_bytes(&self.mad))
            .finish()
    }
}

/// What the caller has to do once it has unlocked the manager: first send, then tell.
#[derive(Clone, Debug)]
#[must_use = "the message or the event would be lost"]
pub struct Reaction<C, O> {
    /// Send this.
    pub send: Option<Outgoing>,
    /// Tell this.
    pub event: Option<Event<C, O>>,
}

impl<C, O> Reaction<C, O> {
    /// Nothing to do.
    pub const NONE: Self = Self {
        send: None,
        event: None,
    };

    /// Nothing but something to send.
    pub const fn send(outgoing: Option<Outgoing>) -> Self {
        Self {
            send: outgoing,
            event: None,
        }
    }
}

/// Something to tell. `C` is the context of a listener, `O` the owner of a connection.
#[derive(Clone, Debug)]
pub enum Event<C, O> {
    /// A peer wants to connect: make a connector and call the listener's connect event, or [`super::Manager::refuse`].
    Request(ConnectRequest<C>),
    /// Something happened to a connection that has an owner.
    Connection {
        /// Which.
        connection: ConnectionId,
        /// What it was given to [`super::Manager::connect`] or [`super::Manager::prepare_accept`] with.
        owner: O,
        /// What.
        notice: Notice,
    },
}

/// What happened to a connection. Each ends a request of the consumer's, except [`Notice::Disconnected`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Connecting: the peer has accepted. Its reply waits for the consumer.
    Accepted(Accepted),
    /// Connecting, or accepting: the peer has refused.
    Refused(Refusal),
    /// Connecting, or accepting: the peer has not answered.
    TimedOut,
    /// Accepting: the peer has given up in another way.
    Aborted,
    /// Accepting: the peer is ready. Both sides are connected.
    Established,
    /// An established connection is over, and the consumer has not asked for that. At most once for a connection.
    Disconnected,
    /// Disconnecting: the peer has answered, or has not.
    DisconnectDone(Result<(), DisconnectTimeout>),
}

/// The peer has not answered any of our DREQs. The connection is over nevertheless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DisconnectTimeout;

/// What a peer's REP says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The peer's private data, padded with zeros.
    pub private_data: [u8; REP_PRIVATE_DATA_LEN],
    /// For the queue pair, once the consumer wants to complete the connection. Has the effective read limits.
    pub qp: QpParameters,
}

/// What a peer's REJ says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: RejectReason,
    /// The peer's private data, padded with zeros.
    pub private_data: [u8; REJ_PRIVATE_DATA_LEN],
}

/// Our queue pair, as its owner describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalQp {
    /// Its number.
    pub qpn: Qpn,
    /// It uses a shared receive queue.
    pub srq: bool,
}

/// All that a queue pair has to know to become ready to receive and to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QpParameters {
    /// Our queue pair.
    pub local_qpn: Qpn,
    /// The first packet sequence number that it receives: what our message names.
    pub receive_psn: Psn,
    /// The peer's queue pair and how it wants to be talked to; its `starting_psn` is the first that we send.
    pub remote: RemoteQp,
    /// The effective limits: `inbound` READs that we serve at a time, `outbound` ones that we may have under way.
    pub limits: ReadLimits,
    /// The way to the peer.
    pub to: AddressHandle,
}

/// What a step of a connection wants done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Send this.
    pub send: Option<Outgoing>,
    /// Tell the owner, if there is one.
    pub notice: Option<Notice>,
    /// The message did not belong here.
    pub unexpected: bool,
    /// An established connection has ended without a DREQ of either side.
    pub broken: bool,
}

impl Step {
    /// Nothing.
    pub const NONE: Self = Self {
        send: None,
        notice: None,
        unexpected: false,
        broken: false,
    };
    /// Nothing, apart from counting it.
    pub const UNEXPECTED: Self = Self {
        unexpected: true,
        ..Self::NONE
    };

    /// Something to send.
    pub const fn send(outgoing: &Outgoing) -> Self {
        Self {
            send: Some(*outgoing),
            ..Self::NONE
        }
    }

    /// Something to tell.
    pub const fn tell(notice: &Notice) -> Self {
        Self {
            notice: Some(*notice),
            ..Self::NONE
        }
    }

    /// The same, and an established connection has broken, which is to be told.
    pub const fn and_broken(self) -> Self {
        Self {
            notice: Some(Notice::Disconnected),
            broken: true,
            ..self
        }
    }

    /// The same, and something to tell.
    pub const fn and_tell(self, notice: &Notice) -> Self {
        Self {
            notice: Some(*notice),
            ..self
        }
    }
}
