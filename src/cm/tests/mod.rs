//! The connection manager as its driver sees it: messages, time and the consumer's calls in, what to do out.

mod accept;
mod alternate_path;
mod book;
mod connect;
mod disconnect;
mod dispatch;
mod listeners;
mod passive;
mod properties;
mod reject;
mod stale;
mod world;

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use roce_wire::cm::{
    CmMad, CmMessage, CommId, Drep, Dreq, MessageMraed, Mra, Mtu, PrivateData, Rej, RejectReason, Rep, Req,
    Rtu,
};
use roce_wire::ip_cm::{IpCmAddresses, IpCmHeader, PortSpace, ServiceId};
use roce_wire::num::{MaxCmRetries, Psn, Qpn, RetryCount, Timeout};

use super::*;
use crate::cm;

const LOCAL: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PORT: u16 = 445;
const NAME: u32 = 7;
/// Whose connections are.
const OWNER: u32 = 8;
const CA_GUID: u64 = 0x0200_00ff_fe00_0001;
const MRA: Timeout = DEFAULT_MRA_SERVICE_TIMEOUT;
/// Linux's.
const RESPONSE: Timeout = Timeout::truncated(20);
/// Linux's.
const RETRIES: MaxCmRetries = MaxCmRetries::truncated(15);

struct Memory;

impl Tables for Memory {
    type Context = u32;
    type Owner = u32;
    type Slots = Vec<Slot<u32>>;
    type Timers = Vec<TimerCell>;
    type Listeners = Vec<ListenerSlot<u32>>;
}

/// A manager with a clock, whose messages are taken apart.
struct Bench {
    cm: Manager<Memory>,
    now: Duration,
}

#[derive(Debug)]
enum Seen {
    Nothing,
    Sent(AddressHandle, CmMad),
    Request(ConnectRequest<u32>),
    /// With what was sent beside it.
    Told(ConnectionId, Notice, Option<CmMad>),
}

impl Bench {
    fn idle(capacity: usize) -> Self {
        let config = Config {
            mra_service_timeout: MRA,
            max_retries: RETRIES,
            ..Config::new([11, 12], CA_GUID)
        };
        let slots = (0..capacity).map(|_| Slot::default()).collect();
        let listeners = (0..4).map(|_| ListenerSlot::default()).collect();
        let cm = Manager::new(config, slots, vec![TimerCell::default(); capacity], listeners);
        Self {
            cm,
            now: Duration::from_secs(1000),
        }
    }

    /// With a listener called [`NAME`] at [`LOCAL`], [`PORT`].
    fn listening(capacity: usize, backlog: u32) -> (Self, ListenerId) {
        let mut bench = Self::idle(capacity);
        let (listener, _) = bench
            .cm
            .listen(IpAddr::V4(LOCAL), PORT, backlog, NAME)
            .expect("it is free");
        (bench, listener)
    }

    fn receive(&mut self, from: &AddressHandle, mad: &CmMad) -> Seen {
        self.receive_bytes(from, &mad.to_bytes())
    }

    fn receive_bytes(&mut self, from: &AddressHandle, mad: &roce_wire::mad::Mad) -> Seen {
        Seen::from(self.cm.receive(self.now, from, mad))
    }

    /// A request that must reach the consumer.
    fn request(&mut self, from: &AddressHandle, mad: &CmMad) -> ConnectRequest<u32> {
        match self.receive(from, mad) {
            Seen::Request(request) => request,
            other => panic!("{other:?}"),
        }
    }

    /// Time passes; what is due happens.
    fn pass(&mut self, time: Duration) -> Vec<Seen> {
        self.now += time;
        let mut seen = Vec::new();
        for _ in 0..100_000 {
            match self.cm.expire(self.now) {
                None => return seen,
                Some(reaction) => match reaction.into() {
                    Seen::Nothing => {}
                    other => seen.push(other),
                },
            }
        }
        panic!("expiry does not end");
    }

    /// What is sent when the consumer closes.
    fn close(&mut self, id: ConnectionId) -> Option<Outgoing> {
        self.cm.close(self.now, id).send
    }

    /// Connects to peer `number`, or has no slot to spare.
    fn connect(&mut self, number: u8) -> (ConnectionId, CmMad) {
        let (id, req) = self.try_connect(&connect_to(number)).expect("there is room");
        assert_eq!(req.to, peer(number));
        (id, parse(&req))
    }

    fn try_connect(&mut self, connect: &Connect<'_>) -> Result<(ConnectionId, Outgoing), ConnectError> {
        self.cm.connect(self.now, connect, OWNER)
    }

    /// Peer `number` accepts what we asked it for with the REQ, under the name `comm_id`.
    fn accepted(&mut self, number: u8, req: &CmMad, comm_id: u32) -> (Accepted, CmMad) {
        let rep = rep(req, comm_id);
        match self.receive(&peer(number), &rep) {
            Seen::Told(_, Notice::Accepted(accepted), None) => (accepted, rep),
            other => panic!("{other:?}"),
        }
    }

    fn complete(&mut self, id: ConnectionId, outcome: QpOutcome) -> Finished<CompleteError> {
        let plan = self.cm.prepare_complete(id).expect("the peer has accepted");
        self.cm.finish_complete(self.now, plan.token, outcome)
    }

    fn accept(&mut self, id: ConnectionId, outcome: QpOutcome) -> Finished<AcceptError> {
        let plan = self.cm.prepare_accept(id, &ACCEPT, OWNER).expect("it is held");
        self.cm.finish_accept(self.now, plan.token, outcome)
    }

    /// A connection to peer 1, which calls it 55, with what the REQ and REP were.
    fn connected(&mut self) -> (ConnectionId, CmMad, CmMad) {
        let (id, req) = self.connect(1);
        let (_, rep) = self.accepted(1, &req, 55);
        assert_eq!(self.complete(id, QpOutcome::Moved).result, Ok(()));
        (id, req, rep)
    }

    /// A connection from peer 1, which calls it 77, with our REP.
    fn connected_by_peer(&mut self) -> (ConnectionId, CmMad) {
        let id = self.request(&peer(1), &request(1, 77)).connection;
        let rep = parse(&self.accept(id, QpOutcome::Moved).send.expect("a REP"));
        let seen = self.receive(&peer(1), &rtu(&rep));
        assert!(
            matches!(seen, Seen::Told(_, Notice::Established, None)),
            "{seen:?}"
        );
        (id, rep)
    }

    fn state(&self, id: ConnectionId) -> Option<CmState> {
        self.cm.state(id)
    }

    fn reject(
        &mut self,
        id: ConnectionId,
        data: &[u8],
        outcome: SendOutcome,
    ) -> Result<Outgoing, RejectError> {
        let RejectPlan { send, token } = self.cm.prepare_reject(id, data)?;
        self.cm.finish_reject(self.now, token, outcome);
        Ok(send)
    }
}

impl From<Reaction<u32, u32>> for Seen {
    fn from(reaction: Reaction<u32, u32>) -> Self {
        match (reaction.send, reaction.event) {
            (None, None) => Self::Nothing,
            (Some(outgoing), None) => Self::Sent(outgoing.to, parse(&outgoing)),
            (None, Some(Event::Request(request))) => Self::Request(request),
            (Some(outgoing), Some(Event::Request(request))) => panic!("{outgoing:?} and {request:?}"),
            (
                send,
                Some(Event::Connection {
                    connection,
                    owner,
                    notice,
                }),
            ) => {
                assert_eq!(owner, OWNER, "somebody else's");
                Self::Told(connection, notice, send.as_ref().map(parse))
            }
        }
    }
}

impl Seen {
    fn message(self) -> CmMessage {
        match self {
            Self::Sent(_, mad) => mad.message,
            other => panic!("nothing was sent but {other:?}"),
        }
    }

    /// What was told, if nothing was sent.
    fn notice(self) -> Notice {
        match self {
            Self::Told(_, notice, None) => notice,
            other => panic!("{other:?}"),
        }
    }

    /// What was told, and the name of what was sent.
    fn both(self) -> (Notice, &'static str) {
        match self {
            Self::Told(_, notice, Some(mad)) => (notice, mad.message.name()),
            other => panic!("{other:?}"),
        }
    }

    fn rej(self) -> Rej {
        match self.message() {
            CmMessage::Rej(rej) => rej,
            other => panic!("{other:?}"),
        }
    }
}

fn parse(outgoing: &Outgoing) -> CmMad {
    CmMad::from_bytes(&outgoing.mad).expect("our own message")
}

fn peer_ip(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, 100 + number)
}

fn peer(number: u8) -> AddressHandle {
    AddressHandle {
        mac: [2, 0, 0, 0, 0, number],
        gid: IpAddr::V4(peer_ip(number)).into(),
        local_gid: IpAddr::V4(LOCAL).into(),
        gid_index: 3,
        qpn: Qpn::GSI,
        udp_src_port: 0xc123,
        traffic_class: 0x68,
    }
}

/// A request of peer `number` that is right in every respect.
fn req(number: u8, comm_id: u32) -> Req {
    let header = IpCmHeader {
        source_port: 50_000,
        addresses: IpCmAddresses::V4 {
            source: peer_ip(number),
            destination: LOCAL,
        },
    };
    Req {
        local_comm_id: CommId(comm_id),
        service_id: ServiceId::from_port(PortSpace::TCP, PORT),
        local_qpn: Qpn::truncated(0x1234),
        starting_psn: Psn::truncated(0x55),
        responder_resources: 5,
        initiator_depth: 6,
        remote_cm_response_timeout: RESPONSE,
        max_cm_retries: RETRIES,
        retry_count: RetryCount::MAX,
        path_mtu: Mtu::B1024,
        private_data: header.private_data(b"hello").expect("it fits"),
        ..Req::default()
    }
}

/// The same, with a transaction id that goes with the communication id.
fn request(number: u8, comm_id: u32) -> CmMad {
    CmMad::new(0xabcd_0000_0000 | u64::from(comm_id), req(number, comm_id))
}

/// How peer `number` gives up: `ours` is 0 if it has heard nothing of us.
fn gives_up(comm_id: u32, ours: CommId) -> CmMad {
    let reason = RejectReason::TIMEOUT;
    CmMad::new(
        9,
        Rej {
            local_comm_id: CommId(comm_id),
            remote_comm_id: ours,
            reason,
            ..Rej::default()
        },
    )
}

/// Our queue pairs in these tests.
const QP: LocalQp = LocalQp {
    qpn: Qpn::truncated(0x777),
    srq: false,
};

const ACCEPT: Accept<'static> = Accept {
    qp: QP,
    limits: ReadLimits {
        inbound: 4,
        outbound: 1000,
    },
    private_data: b"welcome",
};

fn connect_to(number: u8) -> Connect<'static> {
    Connect {
        to: peer(number),
        local: SocketAddr::new(LOCAL.into(), 50_000),
        peer: SocketAddr::new(peer_ip(number).into(), PORT),
        qp: QP,
        limits: ReadLimits {
            inbound: 9,
            outbound: 200,
        },
        private_data: b"hello",
    }
}

/// A peer accepts: it calls the connection `comm_id`.
fn rep(req: &CmMad, comm_id: u32) -> CmMad {
    CmMad::new(
        req.transaction_id,
        Rep {
            local_comm_id: CommId(comm_id),
            remote_comm_id: req.message.local_comm_id(),
            local_qpn: Qpn::truncated(0x4321),
            starting_psn: Psn::truncated(0x99),
            responder_resources: 7,
            initiator_depth: 8,
            target_ack_delay: Timeout::truncated(15),
            rnr_retry_count: RetryCount::truncated(5),
            private_data: PrivateData::new(b"welcome").expect("it fits"),
            ..Rep::default()
        },
    )
}

/// A peer confirms our REP.
fn rtu(rep: &CmMad) -> CmMad {
    let (ours, theirs) = (rep.message.local_comm_id(), rep.message.remote_comm_id());
    let rtu = Rtu {
        local_comm_id: theirs.expect("a REP has one"),
        remote_comm_id: ours,
        ..Rtu::default()
    };
    CmMad::new(rep.transaction_id, rtu)
}

/// A peer that calls the connection `theirs` disconnects from our queue pair.
fn dreq(theirs: u32, ours: CommId) -> CmMad {
    let dreq = Dreq {
        local_comm_id: CommId(theirs),
        remote_comm_id: ours,
        remote_qpn: QP.qpn,
        ..Dreq::default()
    };
    CmMad::new(0xdddd, dreq)
}

/// A peer answers our DREQ.
fn drep(to: &CmMad) -> CmMad {
    let (ours, theirs) = (to.message.local_comm_id(), to.message.remote_comm_id());
    let drep = Drep {
        local_comm_id: theirs.expect("a DREQ has one"),
        remote_comm_id: ours,
        ..Drep::default()
    };
    CmMad::new(to.transaction_id, drep)
}

/// A peer rejects what we call `ours`.
fn rej(theirs: u32, ours: CommId, reason: RejectReason, data: &[u8]) -> CmMad {
    let rej = Rej {
        local_comm_id: CommId(theirs),
        remote_comm_id: ours,
        reason,
        private_data: PrivateData::new(data).expect("it fits"),
        ..Rej::default()
    };
    CmMad::new(3, rej)
}

/// A peer wants us to wait.
fn mra(theirs: u32, ours: CommId, about: MessageMraed) -> CmMad {
    let mra = Mra {
        local_comm_id: CommId(theirs),
        remote_comm_id: ours,
        message_mraed: about,
        service_timeout: Timeout::truncated(23),
        ..Mra::default()
    };
    CmMad::new(4, mra)
}
