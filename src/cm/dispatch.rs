//! What arrives from the wire: finds the connection that a message belongs to, or answers it on the spot.

use core::time::Duration;

use roce_wire::cm::{
    AttributeId, CLASS_VERSION, CmError, CmMad, CmMessage, CommId, Drep, Dreq, MessageRejected, PrivateData,
    Rej, RejectReason, Req,
};
use roce_wire::mad::{self, Mad, MadHeader, Method};

use super::address::AddressHandle;
use super::connection::{Connection, RequestId};
use super::listener::Unwanted;
use super::manager::{Manager, Outgoing, Reaction, Tables};
use super::request::{CheckedRequest, ConnectRequest};
use super::table::{ConnectionId, PeerKey};

impl<T: Tables> Manager<T> {
    /// A datagram has arrived for queue pair 1.
    pub fn receive(&mut self, now: Duration, from: &AddressHandle, mad: &Mad) -> Reaction<T::Context> {
        let CmMad {
            transaction_id,
            message,
        } = match CmMad::from_bytes(mad) {
            Ok(mad) => mad,
            Err(error) => return self.on_unknown(from, mad, error).into(),
        };
        match message {
            CmMessage::Req(req) => self.on_req(now, from, transaction_id, &req),
            CmMessage::Rej(rej) => {
                self.on_abandoned(from, rej.local_comm_id, rej.remote_comm_id);
                Reaction::None
            }
            CmMessage::Dreq(dreq) => Reaction::Send(self.on_dreq(from, transaction_id, &dreq)),
            // We have no request out that it could answer.
            CmMessage::Rep(rep) => {
                self.counters.unexpected += 1;
                let reason = RejectReason::INVALID_COMMUNICATION_ID;
                let rej = refusal(rep.local_comm_id, MessageRejected::REP, reason);
                Reaction::Send(reply(from, CmMad::new(transaction_id, rej)))
            }
            CmMessage::Mra(_) | CmMessage::Rtu(_) | CmMessage::Drep(_) => {
                self.counters.unexpected += 1;
                Reaction::None
            }
        }
    }

    fn on_req(
        &mut self,
        now: Duration,
        from: &AddressHandle,
        transaction_id: u64,
        req: &Req,
    ) -> Reaction<T::Context> {
        if let Some(id) = self.connections.find(PeerKey {
            gid: from.gid,
            comm_id: req.local_comm_id,
        }) {
            let same = RequestId::new(transaction_id, req);
            if self
                .connections
                .get(id)
                .is_some_and(|connection| connection.request() == same)
            {
                self.counters.repeated_requests += 1;
                let answer = self
                    .update(id, |connection| connection.on_repeated_request(now))
                    .flatten();
                return self.outgoing(id, answer).into();
            }
            self.supersede(id);
        }
        match self.admit(now, from, transaction_id, req) {
            Ok(request) => {
                self.counters.connect_requests += 1;
                Reaction::Connect(request)
            }
            Err(reason) => {
                *self.refusals(reason) += 1;
                let rej = refusal(req.local_comm_id, MessageRejected::REQ, reason);
                Reaction::Send(reply(from, CmMad::new(transaction_id, rej)))
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
    ) -> Result<ConnectRequest<T::Context>, RejectReason> {
        let CheckedRequest { local, peer, offer } = CheckedRequest::new(from, req)?;
        let (listener, context) = self
            .listeners
            .admit(local.ip(), local.port())
            .map_err(|unwanted| match unwanted {
                Unwanted::NoListener => RejectReason::INVALID_SERVICE_ID,
                Unwanted::BacklogFull => RejectReason::NO_RESOURCES_AVAILABLE,
            })?;
        let mra = self.mra_service_timeout;
        let connection = Connection::requested(now, *from, transaction_id, req, listener, mra);
        let deadline = connection.deadline();
        let Some(inserted) = self.connections.insert(connection) else {
            self.listeners.answered(listener);
            return Err(RejectReason::NO_RESOURCES_AVAILABLE);
        };
        self.counters.evicted += u64::from(inserted.evicted);
        // Also replaces the deadline of the one that was evicted from the slot.
        self.deadlines.set(inserted.id.index(), deadline);
        Ok(ConnectRequest {
            connection: inserted.id,
            listener: context,
            local,
            peer,
            address: *from,
            offer,
        })
    }

    /// The peer uses the communication id for another attempt, so it has given up the one that we know.
    fn supersede(&mut self, id: ConnectionId) {
        self.connections.hide(id);
        self.update(id, Connection::on_abandoned);
    }

    /// The peer says that the attempt or connection is over which it calls `peer` and we call `ours` (0: it does not know).
    fn on_abandoned(&mut self, from: &AddressHandle, peer: CommId, ours: CommId) {
        let found = self.connections.find(PeerKey {
            gid: from.gid,
            comm_id: peer,
        });
        let known = found.filter(|id| ours == CommId(0) || ours == self.connections.local_comm_id(*id));
        let ended = known.and_then(|id| self.update(id, Connection::on_abandoned));
        if ended != Some(true) {
            self.counters.unexpected += 1;
        }
    }

    /// Whatever it is about, the peer gets the reply that stops it from asking again.
    fn on_dreq(&mut self, from: &AddressHandle, transaction_id: u64, dreq: &Dreq) -> Outgoing {
        self.on_abandoned(from, dreq.local_comm_id, dreq.remote_comm_id);
        let (local_comm_id, remote_comm_id) = (dreq.remote_comm_id, dreq.local_comm_id);
        let private_data = PrivateData::EMPTY;
        reply(
            from,
            CmMad::new(
                transaction_id,
                Drep {
                    local_comm_id,
                    remote_comm_id,
                    private_data,
                },
            ),
        )
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
        Some(reply(from, CmMad::new(header.transaction_id, rej)))
    }

    fn refusals(&mut self, reason: RejectReason) -> &mut u64 {
        match reason {
            RejectReason::INVALID_SERVICE_ID => &mut self.counters.refused_no_listener,
            RejectReason::NO_RESOURCES_AVAILABLE => &mut self.counters.refused_no_resources,
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

fn reply(to: &AddressHandle, mad: CmMad) -> Outgoing {
    Outgoing {
        to: *to,
        mad: mad.to_bytes(),
    }
}
