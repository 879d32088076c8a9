//! Consumers: what they may do, and what they must be told.

use core::net::SocketAddr;
use std::rc::Rc;

use roce_wire::cm::RejectReason;

use super::super::cm::{
    Accept, AcceptError, AcceptToken, CompleteError, CompleteToken, Connect, ConnectError, ConnectRequest,
    ConnectionId, DisconnectError, Disconnecting, Event, LocalQp, Notice, Outgoing, QpOutcome, QpParameters,
    Reacts, ReadLimits, RejectError, RejectToken, SendOutcome,
};
use super::node::{Memory, PORT, Ticket, address, handle, number_of};
use super::wire::Packet;
use super::{Acceptance, Attempt, World};

/// Where a connector stands, as its consumer knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Connecting,
    Replied,
    Requested,
    Accepting,
    Established,
    /// The disconnect event has come.
    Broken,
    Disconnecting,
    /// The consumer has heard that the peer has given up what waited for its answer.
    Abandoned,
    /// Refused, timed out, rejected, aborted, disconnected.
    Over,
    Closed,
}

impl Phase {
    /// The consumer waits for the peer.
    pub const fn waits(self) -> bool {
        matches!(self, Self::Connecting | Self::Accepting | Self::Disconnecting)
    }

    /// The peer waits for the consumer.
    pub const fn holds(self) -> bool {
        matches!(self, Self::Replied | Self::Requested)
    }
}

/// What the device is at.
#[derive(Debug)]
pub enum Token {
    Reject(RejectToken),
    Accept(AcceptToken),
    Complete(CompleteToken),
}

#[derive(Debug)]
pub struct Connector {
    pub id: Option<ConnectionId>,
    pub owner: Rc<Ticket>,
    pub phase: Phase,
    pub token: Option<Token>,
    pub is_active: bool,
    /// The attempt; of a stranger's request, nobody's.
    pub attempt: u32,
    /// Index of what it has been accepted with.
    acceptance: u32,
    between: (SocketAddr, SocketAddr),
    wanted: ReadLimits,
    parameters: Option<QpParameters>,
    /// `disconnect` has been called.
    asked: bool,
}

/// The attempt of nobody.
pub const NOBODY: u32 = u32::MAX;

fn word(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes[4 * at..4 * at + 4].try_into().expect("four bytes");
    u32::from_le_bytes(bytes)
}

impl World<'_> {
    pub(super) fn send(&mut self, node: usize, outgoing: Option<Outgoing>) {
        let Some(outgoing) = outgoing else { return };
        let there = number_of(&outgoing.to);
        assert_eq!(outgoing.to, handle(node, there), "sent to somewhere else");
        let packet = Packet {
            to: (there < self.nodes.len()).then_some(there),
            from: handle(there, node),
            mad: outgoing.mad,
        };
        self.wire.send(self.now, &mut self.entropy, packet);
    }

    pub(super) fn react(&mut self, node: usize, reaction: Reacts<Memory>) {
        self.send(node, reaction.send);
        match reaction.event {
            None => {}
            Some(Event::Request(request)) => self.on_request(node, &request),
            Some(Event::Connection {
                connection,
                owner,
                notice,
            }) => {
                let connector = &self.nodes[node].connectors[*owner];
                assert_eq!(connector.id, Some(connection));
                drop(owner);
                let ticket = *connector.owner;
                self.on_notice(node, ticket, &notice);
            }
        }
    }

    fn limits(&mut self) -> ReadLimits {
        ReadLimits {
            inbound: u32::from(self.entropy.byte()) * 3,
            outbound: u32::from(self.entropy.byte()) * 3,
        }
    }

    pub(super) fn connect(&mut self, node: usize) {
        let there = if self.entropy.one_in(8) { node } else { 1 - node };
        let wanted = self.limits();
        let asked = self.entropy.below(6);
        let port = self.nodes[node].port(asked);
        let between = (address(node, port), address(there, PORT));
        let is_certain = self.is_certain(node, between);
        let attempt = u32::try_from(self.attempts.len()).expect("few");
        let world = &mut self.nodes[node];
        let ticket = world.connectors.len();
        let owner = Rc::new(ticket);
        let qp = LocalQp {
            qpn: world.new_qpn(),
            srq: false,
        };
        let connect = Connect {
            to: handle(node, there),
            local: between.0,
            peer: between.1,
            qp,
            limits: wanted,
            private_data: &attempt.to_le_bytes(),
        };
        let is_taken = world
            .connectors
            .iter()
            .any(|other| other.is_active && other.between == between && !matches!(other.phase, Phase::Over));
        let (id, req) = match world.cm.connect(self.now, &connect, Rc::clone(&owner)) {
            Ok(connected) => {
                assert!(!is_certain, "twice the same");
                connected
            }
            Err(ConnectError::NoResources) => {
                assert_eq!(world.cm.connections(), world.capacity, "there is room");
                return;
            }
            Err(error) => {
                assert_eq!(error, ConnectError::AddressExists);
                assert!(is_taken, "there is none");
                return;
            }
        };
        assert_eq!(world.find(id), None, "a name is used twice");
        world.connectors.push(Connector {
            id: Some(id),
            owner,
            phase: Phase::Connecting,
            token: None,
            is_active: true,
            attempt,
            acceptance: NOBODY,
            between,
            wanted,
            parameters: None,
            asked: false,
        });
        self.attempts.push(Attempt::default());
        self.send(node, Some(req));
    }

    /// Whether a connection between the two is surely alive, not only as far as the consumer knows.
    fn is_certain(&self, node: usize, between: (SocketAddr, SocketAddr)) -> bool {
        self.nodes[node].connectors.iter().any(|other| {
            other.is_active
                && other.between == between
                && matches!(other.phase, Phase::Connecting | Phase::Established)
        })
    }

    fn on_request(&mut self, node: usize, request: &ConnectRequest<usize>) {
        assert_eq!(request.listener, node);
        assert_eq!(request.local, address(node, PORT));
        let stranger = number_of(&request.address) >= self.nodes.len();
        let attempt = if stranger {
            NOBODY
        } else {
            word(&request.offer.private_data, 0)
        };
        let world = &mut self.nodes[node];
        let ticket = world.connectors.len();
        if let Some(known) = self.attempts.get(attempt as usize) {
            if let Some((secret, earlier)) = known.requested
                && secret == world.secret
                && self.strict
            {
                let earlier = &world.connectors[earlier];
                let id = earlier.id.expect("it has one");
                assert_eq!(world.cm.state(id), None, "the consumer is asked twice");
            }
        } else {
            assert!(stranger || !self.strict, "a request of nobody");
        }
        assert_eq!(world.find(request.connection), None, "a name is used twice");
        if self.entropy.one_in(16) {
            let rej = world.cm.refuse(self.now, request.connection);
            assert!(rej.is_some(), "it can be refused");
            return self.send(node, rej);
        }
        if let Some(known) = self.attempts.get_mut(attempt as usize) {
            known.requested = Some((world.secret, ticket));
        }
        world.connectors.push(Connector {
            id: Some(request.connection),
            owner: Rc::new(ticket),
            phase: Phase::Requested,
            token: None,
            is_active: false,
            attempt,
            acceptance: NOBODY,
            between: (request.local, request.peer),
            wanted: ReadLimits {
                inbound: request.offer.initiator_depth.into(),
                outbound: request.offer.responder_resources.into(),
            },
            parameters: None,
            asked: false,
        });
    }

    fn on_notice(&mut self, node: usize, ticket: Ticket, notice: &Notice) {
        let connector = &mut self.nodes[node].connectors[ticket];
        assert!(connector.token.is_none(), "told while it is claimed: {notice:?}");
        connector.phase = match (connector.phase, notice) {
            (Phase::Connecting, Notice::Accepted(accepted)) => {
                connector.parameters = Some(accepted.qp);
                let data = accepted.private_data;
                if self.strict {
                    assert_eq!(word(&data, 1), connector.attempt, "another one's reply");
                    let acceptance = &self.acceptances[word(&data, 0) as usize];
                    check_pair(&accepted.qp, acceptance, connector.attempt, connector.wanted);
                }
                Phase::Replied
            }
            (Phase::Connecting, Notice::Refused(refusal)) => {
                let data = word(&refusal.private_data, 0);
                if self.strict && refusal.reason == RejectReason::CONSUMER_REJECT && data != 0 {
                    assert_eq!(data, connector.attempt, "another one's reject");
                }
                Phase::Over
            }
            (Phase::Accepting, Notice::Established) => {
                if self.strict {
                    let attempt = self.attempts.get(connector.attempt as usize);
                    assert!(
                        attempt.is_none_or(|attempt| attempt.completed),
                        "nobody has completed it"
                    );
                }
                Phase::Established
            }
            (Phase::Connecting | Phase::Accepting, Notice::TimedOut)
            | (Phase::Accepting, Notice::Refused(_) | Notice::Aborted)
            | (Phase::Disconnecting, Notice::DisconnectDone(_)) => Phase::Over,
            (Phase::Established, Notice::Disconnected) => Phase::Broken,
            (phase, notice) => panic!("{notice:?} in {phase:?}"),
        };
    }

    fn pick(&mut self, node: usize, fits: impl Fn(&Connector) -> bool) -> Option<Ticket> {
        let connectors = self.nodes[node].connectors.iter().enumerate();
        let fitting: Vec<_> = connectors
            .filter(|(_, one)| fits(one))
            .map(|(at, _)| at)
            .collect();
        let which = self.entropy.below(fitting.len());
        fitting.get(which).copied()
    }

    /// A consumer answers what it holds; or tries to, where there is nothing to answer.
    pub(super) fn answer(&mut self, node: usize) {
        let anything = self.entropy.one_in(8);
        let Some(ticket) = self.pick(node, |one| anything || one.phase.holds() && one.token.is_none()) else {
            return;
        };
        match self.entropy.below(8) {
            0 => self.close_one(node, ticket),
            1 | 2 => self.reject(node, ticket),
            _ if self.nodes[node].connectors[ticket].is_active => self.complete(node, ticket),
            _ => self.accept(node, ticket),
        }
    }

    /// A consumer and its device do what one hopes for.
    pub(super) fn progress(&mut self, node: usize) {
        let Some(ticket) = self.pick(node, |one| one.phase.holds() || one.token.is_some()) else {
            return self.next_event();
        };
        let connector = &self.nodes[node].connectors[ticket];
        if connector.token.is_none() {
            if connector.is_active {
                self.complete(node, ticket);
            } else {
                self.accept(node, ticket);
            }
        }
        self.finish_one(node, ticket);
    }

    fn reject(&mut self, node: usize, ticket: Ticket) {
        let world = &mut self.nodes[node];
        let connector = &mut world.connectors[ticket];
        let (Some(id), may) = (connector.id, connector.phase.holds() && connector.token.is_none()) else {
            return;
        };
        match world.cm.prepare_reject(id, &connector.attempt.to_le_bytes()) {
            Ok(plan) => {
                assert!(may, "rejected in {:?}", connector.phase);
                connector.token = Some(Token::Reject(plan.token));
                self.send(node, Some(plan.send));
            }
            Err(RejectError::Aborted) => {
                assert!(
                    may || connector.phase == Phase::Abandoned,
                    "aborted in {:?}",
                    connector.phase
                );
                connector.phase = Phase::Abandoned;
            }
            Err(RejectError::InvalidState) => {
                assert!(!may && connector.phase != Phase::Abandoned, "it is held");
            }
            Err(RejectError::TooLong) => panic!("four bytes"),
        }
    }

    fn accept(&mut self, node: usize, ticket: Ticket) {
        let limits = self.limits();
        let acceptance = u32::try_from(self.acceptances.len()).expect("few");
        let world = &mut self.nodes[node];
        let qpn = world.new_qpn();
        let connector = &mut world.connectors[ticket];
        let may = connector.phase == Phase::Requested && connector.token.is_none();
        let data = [acceptance.to_le_bytes(), connector.attempt.to_le_bytes()].concat();
        let accept = Accept {
            qp: LocalQp { qpn, srq: false },
            limits,
            private_data: &data,
        };
        let id = connector.id.expect("it has one");
        match world.cm.prepare_accept(id, &accept, Rc::clone(&connector.owner)) {
            Ok(plan) => {
                assert!(may, "accepted in {:?}", connector.phase);
                assert_eq!(plan.qp.local_qpn, qpn);
                let granted = plan.qp.limits;
                assert_eq!(
                    granted,
                    granted.min(limits).min(connector.wanted),
                    "more than asked for"
                );
                connector.token = Some(Token::Accept(plan.token));
                connector.acceptance = acceptance;
                connector.parameters = Some(plan.qp);
                let attempt = connector.attempt;
                self.acceptances.push(Acceptance {
                    attempt,
                    parameters: plan.qp,
                });
            }
            Err(AcceptError::Aborted) => {
                assert!(
                    may || connector.phase == Phase::Abandoned,
                    "aborted in {:?}",
                    connector.phase
                );
                connector.phase = Phase::Abandoned;
            }
            Err(error) => {
                assert_eq!(error, AcceptError::InvalidState);
                assert!(!may && connector.phase != Phase::Abandoned, "it is held");
            }
        }
    }

    fn complete(&mut self, node: usize, ticket: Ticket) {
        let world = &mut self.nodes[node];
        let connector = &mut world.connectors[ticket];
        let may = connector.phase == Phase::Replied && connector.token.is_none();
        let id = connector.id.expect("it has one");
        match world.cm.prepare_complete(id) {
            Ok(plan) => {
                assert!(may, "completed in {:?}", connector.phase);
                assert_eq!(Some(plan.qp), connector.parameters);
                connector.token = Some(Token::Complete(plan.token));
            }
            Err(CompleteError::Aborted) => {
                assert!(
                    may || connector.phase == Phase::Abandoned,
                    "aborted in {:?}",
                    connector.phase
                );
                connector.phase = Phase::Abandoned;
            }
            Err(error) => {
                assert_eq!(error, CompleteError::InvalidState);
                assert!(!may && connector.phase != Phase::Abandoned, "the reply is held");
            }
        }
    }

    /// The device is done with something.
    pub(super) fn finish(&mut self, node: usize) {
        if let Some(ticket) = self.pick(node, |one| one.token.is_some()) {
            self.finish_one(node, ticket);
        }
    }

    fn finish_one(&mut self, node: usize, ticket: Ticket) {
        let moved = if self.entropy.one_in(6) {
            QpOutcome::NotMoved
        } else {
            QpOutcome::Moved
        };
        let world = &mut self.nodes[node];
        let connector = &mut world.connectors[ticket];
        let id = connector.id.expect("it has one");
        let was_closed = connector.phase == Phase::Closed;
        let send = match connector.token.take() {
            None => None,
            Some(Token::Reject(token)) => {
                let outcomes = [
                    SendOutcome::Sent,
                    SendOutcome::Sent,
                    SendOutcome::NotSent,
                    SendOutcome::PeerAbandoned,
                    SendOutcome::Failed,
                ];
                let outcome = outcomes[self.entropy.below(outcomes.len())];
                world.cm.finish_reject(self.now, token, outcome);
                connector.phase = match outcome {
                    _ if was_closed => Phase::Closed,
                    SendOutcome::NotSent => connector.phase,
                    SendOutcome::PeerAbandoned => Phase::Abandoned,
                    SendOutcome::Sent | SendOutcome::Failed => Phase::Over,
                };
                None
            }
            Some(Token::Accept(token)) => {
                let finished = world.cm.finish_accept(self.now, token, moved);
                match finished.result {
                    Ok(()) => {
                        assert!(!was_closed && moved == QpOutcome::Moved && finished.send.is_some());
                        connector.phase = Phase::Accepting;
                    }
                    Err(AcceptError::QpFailed) => assert!(!was_closed && moved == QpOutcome::NotMoved),
                    Err(AcceptError::Aborted) => {
                        assert!(!was_closed);
                        connector.phase = Phase::Abandoned;
                    }
                    Err(error) => assert!(was_closed, "{error:?}"),
                }
                finished.send
            }
            Some(Token::Complete(token)) => {
                let finished = world.cm.finish_complete(self.now, token, moved);
                match finished.result {
                    Ok(()) => {
                        assert!(!was_closed && moved == QpOutcome::Moved && finished.send.is_some());
                        connector.phase = Phase::Established;
                        self.attempts[connector.attempt as usize].completed = true;
                    }
                    Err(CompleteError::QpFailed) => assert!(!was_closed && moved == QpOutcome::NotMoved),
                    Err(CompleteError::Aborted) => {
                        assert!(!was_closed);
                        connector.phase = Phase::Abandoned;
                    }
                    Err(error) => assert!(was_closed, "{error:?}"),
                }
                finished.send
            }
        };
        if was_closed {
            assert!(world.cm.close(self.now, id).owner.is_none(), "it was closed");
        }
        self.send(node, send);
    }

    pub(super) fn disconnect(&mut self, node: usize) {
        let anything = self.entropy.one_in(4);
        let fits = |one: &Connector| anything || matches!(one.phase, Phase::Established | Phase::Broken);
        let Some(ticket) = self.pick(node, fits) else {
            return;
        };
        let world = &mut self.nodes[node];
        let connector = &mut world.connectors[ticket];
        let asked = core::mem::replace(&mut connector.asked, true);
        match world.cm.disconnect(self.now, connector.id.expect("it has one")) {
            Ok(Disconnecting::Started(dreq)) => {
                assert_eq!(connector.phase, Phase::Established);
                connector.phase = Phase::Disconnecting;
                self.send(node, Some(dreq));
            }
            Ok(Disconnecting::Over) => {
                assert!(connector.phase == Phase::Broken && !asked);
                connector.phase = Phase::Over;
            }
            Err(DisconnectError::InvalidState) => {
                let never = !matches!(connector.phase, Phase::Established | Phase::Broken);
                assert!(never || asked, "{:?}", connector.phase);
                connector.asked = asked;
            }
        }
    }

    pub(super) fn close(&mut self, node: usize) {
        if let Some(ticket) = self.pick(node, |one| one.phase != Phase::Closed) {
            self.close_one(node, ticket);
        }
    }

    fn close_one(&mut self, node: usize, ticket: Ticket) {
        let world = &mut self.nodes[node];
        let connector = &mut world.connectors[ticket];
        let closed = world.cm.close(self.now, connector.id.expect("it has one"));
        let must = match connector.phase {
            Phase::Connecting | Phase::Accepting | Phase::Established => true,
            _ => closed.send.is_some(),
        };
        assert_eq!(
            must,
            closed.send.is_some(),
            "the peer is not told in {:?}",
            connector.phase
        );
        connector.phase = Phase::Closed;
        drop(closed.owner);
        self.send(node, closed.send);
    }

    /// A packet arrives at a queue pair that waits for the peer, or a queue pair fails.
    pub(super) fn data_path(&mut self, node: usize) {
        if self.entropy.one_in(2) {
            let Some(ticket) = self.pick(node, |one| one.token.is_none()) else {
                return;
            };
            let connector = &self.nodes[node].connectors[ticket];
            let completed = self
                .attempts
                .get(connector.attempt as usize)
                .is_some_and(|one| one.completed);
            if connector.is_active || !completed {
                return;
            }
            let id = connector.id.expect("it has one");
            let reaction = self.nodes[node].cm.established(self.now, id);
            return self.react(node, reaction);
        }
        let fits = |one: &Connector| matches!(one.phase, Phase::Established | Phase::Accepting);
        let Some(ticket) = self.pick(node, fits) else {
            return;
        };
        let id = self.nodes[node].connectors[ticket].id.expect("it has one");
        let reaction = self.nodes[node].cm.connection_lost(self.now, id);
        self.react(node, reaction);
        let after = self.nodes[node].connectors[ticket].phase;
        assert!(matches!(after, Phase::Broken | Phase::Over), "nobody was told");
    }

    pub(super) fn finish_all(&mut self) {
        for node in 0..self.nodes.len() {
            for ticket in 0..self.nodes[node].connectors.len() {
                self.finish_one(node, ticket);
            }
        }
    }

    pub(super) fn answer_all(&mut self) {
        for node in 0..self.nodes.len() {
            for ticket in 0..self.nodes[node].connectors.len() {
                let connector = &self.nodes[node].connectors[ticket];
                let attempts = [Self::accept, Self::complete];
                if connector.phase.holds() && connector.token.is_none() {
                    attempts[usize::from(connector.is_active)](self, node, ticket);
                    let connector = &self.nodes[node].connectors[ticket];
                    if connector.phase.holds() && connector.token.is_none() {
                        // Abandoned: the consumer has taken notice.
                        self.close_one(node, ticket);
                    }
                }
            }
        }
    }

    /// Every consumer closes, and closes again, which changes nothing.
    pub(super) fn close_all(&mut self) {
        for node in 0..self.nodes.len() {
            for ticket in 0..self.nodes[node].connectors.len() {
                if self.nodes[node].connectors[ticket].phase == Phase::Closed {
                    continue;
                }
                self.close_one(node, ticket);
                let id = self.nodes[node].connectors[ticket].id.expect("it has one");
                let again = self.nodes[node].cm.close(self.now, id);
                assert!(again.send.is_none() && again.owner.is_none());
            }
        }
    }
}

/// Both sides mean the same connection.
fn check_pair(active: &QpParameters, acceptance: &Acceptance, attempt: u32, wanted: ReadLimits) {
    let passive = &acceptance.parameters;
    assert_eq!(acceptance.attempt, attempt);
    assert_eq!(active.remote.qpn, passive.local_qpn);
    assert_eq!(passive.remote.qpn, active.local_qpn);
    assert_eq!(active.remote.starting_psn, passive.receive_psn);
    assert_eq!(passive.remote.starting_psn, active.receive_psn);
    assert_eq!(active.remote.path_mtu, passive.remote.path_mtu);
    assert_eq!(active.limits.inbound, passive.limits.outbound);
    assert_eq!(active.limits.outbound, passive.limits.inbound);
    assert_eq!(active.limits, active.limits.min(wanted), "more than asked for");
}
