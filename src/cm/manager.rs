//! All connections and listeners of an adapter: what the driver, its clock and the consumers call.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::ops::DerefMut;
use core::time::Duration;

use roce_wire::cm::{CmMad, RejectReason};
use roce_wire::mad::Mad;
use roce_wire::num::Timeout;

use super::address::AddressHandle;
use super::connection::{Answer, Connection, SendOutcome};
use super::listener::{ListenError, ListenerId, ListenerSlot, Listeners};
use super::request::ConnectRequest;
use super::state::{CmState, RejectError};
use super::table::{ConnectionId, Slot, Table};
use super::timer::{DeadlineQueue, TimerCell};

/// The patience that our MRA asks for unless the caller wants something else: 69 s, for each of the peer's repetitions.
///
/// Longer lets a peer wait longer for a slow consumer; it also waits longer before it repeats a request whose REJ got lost.
pub const DEFAULT_MRA_SERVICE_TIMEOUT: Timeout = Timeout::truncated(24);

/// How many unanswered requests a listener holds unless the caller wants something else.
pub const DEFAULT_BACKLOG: u32 = 1024;

/// Where a manager's memory comes from: fixed arrays that it never grows.
pub trait Tables {
    /// What a listener is to the rest of the driver. Cloned while the manager is locked.
    type Context: Clone + 'static;
    /// Connections.
    type Slots: DerefMut<Target = [Slot]>;
    /// Deadlines, as many as connections.
    type Timers: DerefMut<Target = [TimerCell]>;
    /// Listeners.
    type Listeners: DerefMut<Target = [ListenerSlot<Self::Context>]>;
}

/// What can be set.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How long our MRA asks the peer to wait: [`DEFAULT_MRA_SERVICE_TIMEOUT`].
    pub mra_service_timeout: Timeout,
    /// Random, so that peers can neither guess ids nor fill one hash chain.
    pub secret: [u64; 2],
}

/// A datagram to send (`CM_SEND`). Nobody waits for it, and the peer repeats itself if it gets lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to.
    pub to: AddressHandle,
    /// All of it.
    pub mad: Mad,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("to", &self.to)
            .field("mad", &CmMad::from_bytes(&self.mad))
            .finish()
    }
}

/// What the caller has to do once it has unlocked the manager.
#[derive(Clone, Debug)]
#[must_use = "the message or the request would be lost"]
pub enum Reaction<C> {
    /// Nothing.
    None,
    /// Send this.
    Send(Outgoing),
    /// Tell the consumer.
    Connect(ConnectRequest<C>),
}

impl<C> From<Option<Outgoing>> for Reaction<C> {
    fn from(outgoing: Option<Outgoing>) -> Self {
        outgoing.map_or(Self::None, Self::Send)
    }
}

/// A reject that the device has to be asked for. The connection waits for [`Manager::finish_reject`].
#[derive(Debug)]
#[must_use = "the connection is claimed until `finish_reject`"]
pub struct RejectPlan {
    /// The REJ.
    pub send: Outgoing,
    /// For [`Manager::finish_reject`].
    pub token: RejectToken,
}

/// The right and duty to end a reject. There is one for each [`RejectPlan`].
#[derive(Debug)]
#[must_use = "the connection is claimed until `finish_reject`"]
pub struct RejectToken(ConnectionId);

/// What happened so far. All of them wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests handed to a consumer.
    pub connect_requests: u64,
    /// Repetitions of a request.
    pub repeated_requests: u64,
    /// Requests refused because nobody listens.
    pub refused_no_listener: u64,
    /// Requests refused because the listener or the table holds too many.
    pub refused_no_resources: u64,
    /// Requests refused because of what they say.
    pub refused_malformed: u64,
    /// Requests that the consumer has rejected, implicitly or not.
    pub rejected: u64,
    /// Requests that the peer has given up.
    pub abandoned: u64,
    /// Rejected requests forgotten early to make room.
    pub evicted: u64,
    /// Messages that belong to no connection, or not to its state.
    pub unexpected: u64,
    /// Datagrams that are no messages of the CM.
    pub not_cm: u64,
}

impl Counters {
    /// Attempts that have ended without a connection.
    #[must_use]
    pub const fn failures(&self) -> u64 {
        let refused = self.refused_no_listener + self.refused_no_resources + self.refused_malformed;
        refused + self.rejected + self.abandoned
    }
}

/// The connection manager of an adapter.
///
/// To be kept in a spin lock: every method is short, allocates nothing, calls nobody. What has to be done is a return value.
/// `now` is the time since any fixed moment; it must not go backwards.
pub struct Manager<T: Tables> {
    pub(super) connections: Table<T::Slots>,
    pub(super) deadlines: DeadlineQueue<T::Timers>,
    pub(super) listeners: Listeners<T::Listeners>,
    pub(super) mra_service_timeout: Timeout,
    pub(super) counters: Counters,
}

impl<T: Tables> Manager<T> {
    /// A manager in the caller's memory. It holds as many connections as there are both slots and timers, at most
    /// 65,536.
    pub fn new(config: Config, slots: T::Slots, timers: T::Timers, listeners: T::Listeners) -> Self {
        let [seed, _] = config.secret;
        let deadlines = DeadlineQueue::new(timers);
        Self {
            connections: Table::new(slots, deadlines.capacity(), config.secret),
            deadlines,
            listeners: Listeners::new(listeners, seed),
            mra_service_timeout: config.mra_service_timeout,
            counters: Counters::default(),
        }
    }

    /// What happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Connections in the table, rejected ones that are not yet forgotten included.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Takes an address (all of its family, if unspecified) and a port (any ephemeral one, if 0), and has at most
    /// `backlog` unanswered requests to it held at a time. Returns the port too.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub fn listen(
        &mut self,
        address: IpAddr,
        port: u16,
        backlog: u32,
        context: T::Context,
    ) -> Result<(ListenerId, u16), ListenError> {
        self.listeners.listen(address, port, backlog, context)
    }

    /// Behaves as if nobody listened there, or no longer does so.
    pub fn set_paused(&mut self, listener: ListenerId, paused: bool) {
        self.listeners.set_paused(listener, paused);
    }

    /// Refuses new requests from now on. The address and port stay taken. The context is for dropping after unlocking.
    pub fn stop_listening(&mut self, listener: ListenerId) -> Option<T::Context> {
        self.listeners.stop(listener)
    }

    /// Gives the address and port back; stops listening if that has not been done.
    pub fn release(&mut self, listener: ListenerId) -> Option<T::Context> {
        self.listeners.release(listener)
    }

    /// Addresses and ports that are taken, those of stopped listeners too.
    pub fn listeners(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.endpoints()
    }

    /// When [`Manager::expire`] has something to do.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(deadline, _)| deadline)
    }

    /// Does what is due, one thing for each call; `None` if nothing is.
    pub fn expire(&mut self, now: Duration) -> Option<Reaction<T::Context>> {
        let (_, index) = self.deadlines.first().filter(|(deadline, _)| *deadline <= now)?;
        let Some(id) = self.connections.at(index) else {
            self.deadlines.set(index, None);
            return Some(Reaction::None);
        };
        let answer = self
            .update(id, |connection| connection.on_deadline(now))
            .flatten();
        Some(self.outgoing(id, answer).into())
    }

    /// Claims the connection for a reject with the consumer's `data`, and gives the REJ to send.
    ///
    /// Until [`Manager::finish_reject`] another reject fails, and what the peer does and [`Manager::close`] only leave a note.
    ///
    /// # Errors
    /// See [`RejectError`]; nothing has changed then.
    pub fn prepare_reject(&mut self, id: ConnectionId, data: &[u8]) -> Result<RejectPlan, RejectError> {
        let claimed = self.update(id, |connection| connection.claim_reject(data));
        claimed.unwrap_or(Err(RejectError::InvalidState))?;
        let send = self
            .outgoing(id, Some(Answer::Rej))
            .ok_or(RejectError::InvalidState)?;
        Ok(RejectPlan {
            send,
            token: RejectToken(id),
        })
    }

    /// Ends a reject, as the device says.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the token is used up: a reject ends once"
    )]
    pub fn finish_reject(&mut self, now: Duration, token: RejectToken, outcome: SendOutcome) {
        let RejectToken(id) = token;
        self.update(id, |connection| connection.finish_reject(now, outcome));
    }

    /// Rejects for want of resources a request that could not be handed to the consumer. The REJ is to be sent.
    pub fn refuse(&mut self, now: Duration, id: ConnectionId) -> Option<Outgoing> {
        self.reject_unanswered(now, id, RejectReason::NO_RESOURCES_AVAILABLE)
    }

    /// The consumer closes the connector: rejects the request if it has not been answered; the REJ is to be sent.
    pub fn close(&mut self, now: Duration, id: ConnectionId) -> Option<Outgoing> {
        self.reject_unanswered(now, id, RejectReason::CONSUMER_REJECT)
    }

    fn reject_unanswered(
        &mut self,
        now: Duration,
        id: ConnectionId,
        reason: RejectReason,
    ) -> Option<Outgoing> {
        let answer = self
            .update(id, |connection| connection.reject_unanswered(now, reason))
            .flatten();
        self.outgoing(id, answer)
    }

    /// Changes a connection, and then whatever depends on its state: deadline, backlog, its place in the table.
    pub(super) fn update<R>(
        &mut self,
        id: ConnectionId,
        change: impl FnOnce(&mut Connection) -> R,
    ) -> Option<R> {
        let connection = self.connections.get_mut(id)?;
        let before = connection.state();
        let result = change(connection);
        let (after, deadline, listener) = (connection.state(), connection.deadline(), connection.listener());
        if before.is_unanswered() && !after.is_unanswered() {
            self.listeners.answered(listener);
        }
        if before != CmState::Aborted && after == CmState::Aborted {
            self.counters.abandoned += 1;
        }
        if before != CmState::Rejected && after == CmState::Rejected {
            self.counters.rejected += 1;
        }
        let rejected = after == CmState::Rejected;
        if after == CmState::Idle || rejected && !self.connections.is_findable(id) {
            self.connections.remove(id);
            self.deadlines.set(id.index(), None);
        } else {
            self.connections.set_evictable(id, rejected);
            self.deadlines.set(id.index(), deadline);
        }
        Some(result)
    }

    /// The datagram for a connection's answer.
    pub(super) fn outgoing(&self, id: ConnectionId, answer: Option<Answer>) -> Option<Outgoing> {
        let connection = self.connections.get(id)?;
        let mad = connection.message(answer?, self.connections.local_comm_id(id));
        Some(Outgoing {
            to: *connection.address(),
            mad: mad.to_bytes(),
        })
    }
}
