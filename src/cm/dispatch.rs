//! What arrives from the wire: finds the connection that a message belongs to, or answers it on the spot.

use core::time::Duration;

use roce_wire::cm::{
    ApStatus, AttributeId, CLASS_VERSION, CmError, CmMad, CmMessage, CommId, MessageRejected, Rej,
    RejectReason, Rep, Req,
};
use roce_wire::mad::{self, Mad, MadHeader, Method};

use super::address::AddressHandle;
use super::alternate_path::apr;
use super::connection::{Circumstances, Connection};
use super::disconnect::drep;
use super::event::{Event, Outgoing, Reaction, Step};
use super::index::{Key, Kind};
use super::listener::Unwanted;
use super::manager::{Manager, Reacts, Tables};
use super::passive::{Incoming, RequestId};
use super::request::{CheckedRequest, ConnectRequest, Unserved};
use super::state::CmState;
use super::table::ConnectionId;

impl<T: Tables> Manager<T> {
    /// A datagram has arrived for queue pair 1.
    pub fn receive(&mut self, now: Duration, from: &AddressHandle, mad: &Mad) -> Reacts<T> {
        let CmMad {
            transaction_id,
            message,
        } = match CmMad::from_bytes(mad) {
            Ok(mad) => mad,
            Err(error) => return Reaction::send(self.on_unknown(from, mad, error)),
        };
        if let CmMessage::Req(req) = &message {
            return self.on_req(now, from, transaction_id, req);
        }
        let ours = message.remote_comm_id().unwrap_or_default();
        let Some(id) = self.lookup(from, message.local_comm_id(), ours) else {
            return self.on_orphan(from, transaction_id, &message);
        };
        match &message {
            CmMessage::Req(_) => Reaction::NONE,
            CmMessage::Mra(mra) => self.step(now, id, |connection, at| connection.on_mra(at, mra)),
            CmMessage::Rej(rej) => self.step(now, id, |connection, at| connection.on_rej(at, rej)),
            CmMessage::Rep(rep) => self.on_rep(now, from, id, rep),
            CmMessage::Rtu(_) => self.step(now, id, |connection, _| connection.on_rtu()),
            CmMessage::Dreq(dreq) => self.step(now, id, |connection, at| {
                connection.on_dreq(at, transaction_id, dreq)
            }),
            CmMessage::Drep(_) => self.step(now, id, Connection::on_drep),
            CmMessage::Lap(lap) => self.step(now, id, |connection, _| connection.on_lap(transaction_id, lap)),
            // We have sent no LAP.
            CmMessage::Apr(_) => self.step(now, id, |_, _| Step::UNEXPECTED),
        }
    }

    /// The connection that the peer calls `theirs` and we call `ours`; either is 0 if the message does not say.
    fn lookup(&self, from: &AddressHandle, theirs: CommId, ours: CommId) -> Option<ConnectionId> {
        let id = if ours == CommId(0) {
            self.connections.find(Key::Peer(from.gid, theirs), |_| true)
        } else {
            self.connections.find_ours(ours)
        };
        id.filter(|id| {
            let connection = self.connections.get(*id);
            connection.is_some_and(|connection| {
                connection.is_with(from, theirs) && connection.state() != CmState::Idle
            })
        })
    }

    /// A message about a connection that we do not know, or not any more.
    fn on_orphan(&mut self, from: &AddressHandle, transaction_id: u64, message: &CmMessage) -> Reacts<T> {
        self.counters.unexpected += 1;
        let answer = match message {
            // The peer shall not wait for our RTU.
            CmMessage::Rep(rep) => {
                let reason = RejectReason::INVALID_COMMUNICATION_ID;
                CmMad::new(
                    transaction_id,
                    refusal(rep.local_comm_id, MessageRejected::REP, reason),
                )
            }
            // Whatever it is about, the peer gets the reply that stops it from asking again.
            CmMessage::Dreq(dreq) => drep(transaction_id, dreq),
            CmMessage::Lap(lap) => apr(transaction_id, lap, ApStatus::INVALID_COMMUNICATION_ID),
            _ => return Reaction::NONE,
        };
        Reaction::send(Some(Outgoing::new(from, &answer)))
    }

    fn on_req(&mut self, now: Duration, from: &AddressHandle, transaction_id: u64, req: &Req) -> Reacts<T> {
        let same = RequestId::new(transaction_id, req);
        let key = Key::Peer(from.gid, req.local_comm_id);
        if let Some(id) = self.connections.find(key, |_| true) {
            let known = self.connections.get(id).and_then(Connection::request);
            if known.is_some_and(|(_, request)| request == same) {
                self.counters.repeated_requests += 1;
                return self.step(now, id, Connection::on_repeated_request);
            }
            self.connections.hide(id, Kind::Peer);
            self.supersede(now, id);
        }
        match self.admit(now, from, transaction_id, req) {
            Ok(request) => {
                self.counters.connect_requests += 1;
                Reaction {
                    send: None,
                    event: Some(Event::Request(request)),
                }
            }
            Err(unserved) => {
                *self.refusals(unserved.reason) += 1;
                let mut rej = refusal(req.local_comm_id, MessageRejected::REQ, unserved.reason);
                unserved.explain(&mut rej);
                Reaction::send(Some(Outgoing::new(from, &CmMad::new(transaction_id, rej))))
            }
        }
    }

    /// A connection for a request that is new, or the reason to refuse it.
    fn admit(
        &mut self,
        now: Duration,
        from: &AddressHandle,
        transaction_id: u64,
        req: &Req,
    ) -> Result<ConnectRequest<T::Context>, Unserved> {
        let checked = CheckedRequest::new(from, req, self.config.path_mtu)?;
        self.check_stale(now, from, req)?;
        let (local, peer) = (checked.local, checked.peer);
        let (listener, context) = self
            .listeners
            .admit(local.ip(), local.port())
            .map_err(|unwanted| match unwanted {
                Unwanted::NoListener => RejectReason::INVALID_SERVICE_ID,
                Unwanted::BacklogFull => RejectReason::NO_RESOURCES_AVAILABLE,
            })?;
        let at = self.at(now);
        let incoming = Incoming {
            from,
            transaction_id,
            req,
            checked: &checked,
            listener,
        };
        let Some(inserted) = self
            .connections
            .insert(|comm_id, psn| Connection::requested(&at, &incoming, comm_id, psn))
        else {
            self.listeners.answered(listener);
            return Err(RejectReason::NO_RESOURCES_AVAILABLE.into());
        };
        self.counters.evicted += u64::from(inserted.evicted);
        self.connections.show(inserted.id, Kind::Peer);
        self.connections.show(inserted.id, Kind::PeerQp);
        // Sets the deadline, in place of that of the one that was evicted from the slot.
        self.update(inserted.id, |_| ());
        Ok(ConnectRequest {
            connection: inserted.id,
            listener: context,
            local,
            peer,
            address: *from,
            offer: checked.offer,
        })
    }

    /// The peer's queue pair may belong to a connection that we know (IBTA 12.9.8.3.1): then that is over for the peer, and
    /// the request is refused until nothing of it can be under way any more. Attempts do not count: the peer says when
    /// it has given one up, at the latest when it gets our REP.
    fn check_stale(&mut self, now: Duration, from: &AddressHandle, req: &Req) -> Result<(), Unserved> {
        let key = Key::PeerQp(from.gid, req.local_qpn);
        if let Some(id) = self.connections.find(key, Connection::holds_peer_qp) {
            self.supersede(now, id);
            return Err(RejectReason::STALE_CONNECTION.into());
        }
        Ok(())
    }

    /// The peer uses the communication id or the queue pair for another attempt, so it has given up the one that we know.
    fn supersede(&mut self, now: Duration, id: ConnectionId) {
        let _ = self.step(now, id, |connection, _| connection.supersede());
    }

    /// A peer has accepted what we asked for.
    fn on_rep(&mut self, now: Duration, from: &AddressHandle, id: ConnectionId, rep: &Rep) -> Reacts<T> {
        let same_id = self
            .connections
            .find(Key::Peer(from.gid, rep.local_comm_id), Connection::is_live);
        if same_id.is_some_and(|other| other != id) {
            self.counters.unexpected += 1;
            return Reaction::NONE;
        }
        let holder = self
            .connections
            .find(Key::PeerQp(from.gid, rep.local_qpn), Connection::holds_peer_qp)
            .filter(|holder| *holder != id);
        if let Some(holder) = holder {
            self.supersede(now, holder);
        }
        let happen = |connection: &mut Connection, at: &Circumstances| -> Step {
            connection.on_rep(at, rep, holder.is_some())
        };
        let was = self.connections.get(id).map(Connection::state);
        let reaction = self.step(now, id, happen);
        if was != Some(CmState::RepRcvd) && self.state(id) == Some(CmState::RepRcvd) {
            self.connections.show(id, Kind::Peer);
            self.connections.show(id, Kind::PeerQp);
        }
        reaction
    }

    /// Answers a REQ of another version of the class (IBTA 12.6.7.2): whatever the version, ids are where they are.
    fn on_unknown(&mut self, from: &AddressHandle, mad: &Mad, error: CmError) -> Option<Outgoing> {
        self.counters.not_cm += 1;
        let (header, data) = mad::split(mad);
        let header = MadHeader::from_bytes(header);
        let is_req = header.method == Method::SEND && AttributeId(header.attribute_id) == AttributeId::REQ;
        if !is_req || !matches!(error, CmError::ClassVersion(_)) {
            return None;
        }
        let comm_id = CommId(u32::from_be_bytes(*data.first_chunk()?));
        let mut rej = refusal(comm_id, MessageRejected::REQ, RejectReason::INVALID_CLASS_VERSION);
        rej.reject_info_length = 1;
        rej.ari[0] = CLASS_VERSION;
        Some(Outgoing::new(from, &CmMad::new(header.transaction_id, rej)))
    }

    fn refusals(&mut self, reason: RejectReason) -> &mut u64 {
        match reason {
            RejectReason::INVALID_SERVICE_ID => &mut self.counters.refused_no_listener,
            RejectReason::NO_RESOURCES_AVAILABLE => &mut self.counters.refused_no_resources,
            RejectReason::STALE_CONNECTION => &mut self.counters.refused_stale,
            _ => &mut self.counters.refused_malformed,
        }
    }
}

/// A REJ for something that we keep no connection for.
fn refusal(remote_comm_id: CommId, message_rejected: MessageRejected, reason: RejectReason) -> Rej {
    Rej {
        remote_comm_id,
        message_rejected,
        reason,
        ..Rej::default()
    }
}
