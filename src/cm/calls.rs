//! What the driver calls for a consumer. What a call needs of the device comes in two halves: a plan, which claims the connection, and the
//! end of it; nothing else that the consumer asks for is begun in between, and what the peer does is remembered.

use core::time::Duration;

use roce_wire::cm::RejectReason;

use super::active::{CompleteError, Connect, ConnectError};
use super::connection::{Circumstances, Connection, Finished, QpOutcome, addresses};
use super::disconnect::DisconnectError;
use super::event::{Outgoing, QpParameters};
use super::index::Kind;
use super::manager::{Manager, Reacts, Tables};
use super::passive::{Accept, AcceptError};
use super::reject::SendOutcome;
use super::state::RejectError;
use super::table::ConnectionId;

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

/// A request to be accepted: the queue pair has to become ready to receive, then comes [`Manager::finish_accept`].
#[derive(Debug)]
#[must_use = "the connection is claimed until `finish_accept`"]
pub struct AcceptPlan {
    /// What the queue pair has to know.
    pub qp: QpParameters,
    /// For [`Manager::finish_accept`].
    pub token: AcceptToken,
}

/// The right and duty to end an accept. There is one for each [`AcceptPlan`].
#[derive(Debug)]
#[must_use = "the connection is claimed until `finish_accept`"]
pub struct AcceptToken(ConnectionId);

/// A connection to be completed: the queue pair has to become ready to send, then comes [`Manager::finish_complete`].
#[derive(Debug)]
#[must_use = "the connection is claimed until `finish_complete`"]
pub struct CompletePlan {
    /// What the queue pair has to know.
    pub qp: QpParameters,
    /// For [`Manager::finish_complete`].
    pub token: CompleteToken,
}

/// The right and duty to end a completion. There is one for each [`CompletePlan`].
#[derive(Debug)]
#[must_use = "the connection is claimed until `finish_complete`"]
pub struct CompleteToken(ConnectionId);

/// How a disconnect goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "there may be a message to send"]
#[expect(
    clippy::large_enum_variant,
    reason = "there is nothing to put the message into"
)]
pub enum Disconnecting {
    /// The DREQ is to be sent; [`super::Notice::DisconnectDone`] follows.
    Started(Outgoing),
    /// The connection is over already, and nothing follows.
    Over,
}

/// What is left of a connection when its connector is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "there may be a message to send"]
pub struct Closed<O> {
    /// Tells the peer.
    pub send: Option<Outgoing>,
    /// The connection's owner, for dropping after unlocking.
    pub owner: Option<O>,
}

impl<T: Tables> Manager<T> {
    /// Begins an attempt, and gives the REQ to send. [`super::Notice::Accepted`], [`super::Notice::Refused`] or
    /// [`super::Notice::TimedOut`] follows for `owner`, unless [`Manager::close`] comes first.
    ///
    /// # Errors
    /// See [`ConnectError`]; nothing has changed then. `owner` is dropped under the lock: it must not be the last reference.
    pub fn connect(
        &mut self,
        now: Duration,
        connect: &Connect<'_>,
        owner: T::Owner,
    ) -> Result<(ConnectionId, Outgoing), ConnectError> {
        let private_data = connect.checked()?;
        let between = addresses(connect.local, connect.peer);
        if self.connections.find(between, Connection::is_live).is_some() {
            return Err(ConnectError::AddressExists);
        }
        let at = self.at(now);
        let inserted = self
            .connections
            .insert(|comm_id, psn| Connection::connecting(&at, connect, private_data, comm_id, psn))
            .ok_or(ConnectError::NoResources)?;
        let id = inserted.id;
        self.counters.evicted += u64::from(inserted.evicted);
        self.connections.set_owner(id, Some(owner));
        self.connections.show(id, Kind::Addresses);
        let req = self.update(id, |connection| connection.repeat());
        Ok((id, req.ok_or(ConnectError::NoResources)?))
    }

    /// Claims a connection that the peer has accepted, so that its queue pair can become ready to send.
    ///
    /// # Errors
    /// See [`CompleteError`]; nothing has changed then.
    pub fn prepare_complete(&mut self, id: ConnectionId) -> Result<CompletePlan, CompleteError> {
        let claimed = self.update(id, Connection::claim_complete);
        Ok(CompletePlan {
            qp: claimed.unwrap_or(Err(CompleteError::InvalidState))?,
            token: CompleteToken(id),
        })
    }

    /// Completes a connection whose queue pair is ready: gives the RTU to send.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the token is used up: a completion ends once"
    )]
    pub fn finish_complete(
        &mut self,
        now: Duration,
        token: CompleteToken,
        outcome: QpOutcome,
    ) -> Finished<CompleteError> {
        let CompleteToken(id) = token;
        self.finish_move(now, id, outcome)
    }

    /// Claims a request, so that the queue pair can become ready to receive; `owner` is told what follows.
    ///
    /// # Errors
    /// See [`AcceptError`]; nothing has changed then. `owner` is dropped under the lock: it must not be the last reference.
    pub fn prepare_accept(
        &mut self,
        id: ConnectionId,
        accept: &Accept<'_>,
        owner: T::Owner,
    ) -> Result<AcceptPlan, AcceptError> {
        let config = self.config;
        let claimed = self.update(id, |connection| connection.claim_accept(&config, accept));
        let qp = claimed.unwrap_or(Err(AcceptError::InvalidState))?;
        self.connections.set_owner(id, Some(owner));
        Ok(AcceptPlan {
            qp,
            token: AcceptToken(id),
        })
    }

    /// Accepts a request whose queue pair is ready: gives the REP to send. After `Ok`, [`super::Notice::Established`],
    /// [`super::Notice::Refused`], [`super::Notice::TimedOut`] or [`super::Notice::Aborted`] follows, unless
    /// [`Manager::close`] comes first.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the token is used up: an accept ends once"
    )]
    pub fn finish_accept(
        &mut self,
        now: Duration,
        token: AcceptToken,
        outcome: QpOutcome,
    ) -> Finished<AcceptError> {
        let AcceptToken(id) = token;
        self.finish_move(now, id, outcome)
    }

    fn finish_move<E: From<super::connection::MoveError>>(
        &mut self,
        now: Duration,
        id: ConnectionId,
        outcome: QpOutcome,
    ) -> Finished<E> {
        let at = self.at(now);
        let finished = self.update(id, |connection| connection.finish_move(&at, outcome));
        // A claimed connection is never removed, so there is one.
        finished
            .unwrap_or(Finished::failed(super::connection::MoveError::Closed))
            .into()
    }

    /// The first packet for the queue pair of a connection that we have accepted has arrived: as good as the RTU.
    pub fn established(&mut self, now: Duration, id: ConnectionId) -> Reacts<T> {
        self.step(now, id, |connection, _| connection.on_ready())
    }

    /// The queue pair of a connection has failed.
    pub fn connection_lost(&mut self, now: Duration, id: ConnectionId) -> Reacts<T> {
        self.step(now, id, Connection::on_lost)
    }

    /// Claims the connection for a reject with the consumer's `data`, and gives the REJ to send.
    ///
    /// Until [`Manager::finish_reject`] another reject fails, and what the peer does and [`Manager::close`] only leave a note.
    ///
    /// # Errors
    /// See [`RejectError`]; nothing has changed then.
    pub fn prepare_reject(&mut self, id: ConnectionId, data: &[u8]) -> Result<RejectPlan, RejectError> {
        let ca_guid = self.config.ca_guid;
        let claimed = self.update(id, |connection| connection.claim_reject(ca_guid, data));
        Ok(RejectPlan {
            send: claimed.unwrap_or(Err(RejectError::InvalidState))?,
            token: RejectToken(id),
        })
    }

    /// Ends a reject, as the device says.
    pub fn finish_reject(&mut self, now: Duration, token: RejectToken, outcome: SendOutcome) {
        let (RejectToken(id), at) = (token, self.at(now));
        self.update(id, |connection| connection.finish_reject(&at, outcome));
    }

    /// Rejects for want of resources a request that could not be handed to the consumer. The REJ is to be sent.
    pub fn refuse(&mut self, now: Duration, id: ConnectionId) -> Option<Outgoing> {
        self.end(now, id, |connection, at| {
            connection.reject_unanswered(at, RejectReason::NO_RESOURCES_AVAILABLE)
        })
    }

    /// The consumer disconnects.
    ///
    /// # Errors
    /// See [`DisconnectError`]; nothing has changed then.
    pub fn disconnect(&mut self, now: Duration, id: ConnectionId) -> Result<Disconnecting, DisconnectError> {
        let at = self.at(now);
        let dreq = self
            .update(id, |connection| connection.disconnect(&at))
            .unwrap_or(Err(DisconnectError::InvalidState))?;
        Ok(dreq.map_or(Disconnecting::Over, Disconnecting::Started))
    }

    /// The consumer closes the connector: gives up, rejects or disconnects, whatever the connection's state asks for. The
    /// owner is told nothing from now on. Calls on a connection that is over have no effect.
    pub fn close(&mut self, now: Duration, id: ConnectionId) -> Closed<T::Owner> {
        let owner = self.connections.set_owner(id, None);
        Closed {
            send: self.end(now, id, Connection::close),
            owner,
        }
    }

    fn end(
        &mut self,
        now: Duration,
        id: ConnectionId,
        change: impl FnOnce(&mut Connection, &Circumstances) -> Option<Outgoing>,
    ) -> Option<Outgoing> {
        let at = self.at(now);
        self.update(id, |connection| change(connection, &at)).flatten()
    }
}
