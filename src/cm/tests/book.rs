//! The tables of the book (docs/src/driver/connection-manager.md): what is answered to what in which state is asked of the manager here.

use core::fmt::Write as _;

use roce_wire::cm::{Lap, MessageMraed, TransportService};

use super::*;

/// A connection in some state, and what the peer has said and heard so far.
struct Stage {
    bench: Bench,
    id: ConnectionId,
    /// Our name for it.
    ours: CommId,
    /// The REQ: the peer's on the passive side, ours on the active side.
    req: CmMad,
    /// The REP: ours on the passive side, the peer's on the active side.
    rep: CmMad,
}

/// What the peer calls the connection.
const THEIRS: u32 = 77;

type Prepare = fn() -> Stage;
type Deliver = fn(&mut Stage) -> Vec<Seen>;

const PASSIVE: &[(CmState, Prepare)] = &[
    (CmState::ReqRcvd, requested),
    (CmState::MraReqSent, || {
        let mut stage = requested();
        stage.hears_req();
        stage
    }),
    (CmState::RepSent, replied),
    (CmState::MraRepRcvd, || {
        let mut stage = replied();
        stage.hears(mra(THEIRS, stage.ours, MessageMraed::REP));
        stage
    }),
    (CmState::Established, accepted),
    (CmState::DreqSent, || accepted().disconnecting()),
    (CmState::TimeWait, || accepted().disconnected()),
    (CmState::Rejected, || requested().rejected()),
    (CmState::Aborted, || requested().abandoned()),
];

const ACTIVE: &[(CmState, Prepare)] = &[
    (CmState::ReqSent, connecting),
    (CmState::MraReqRcvd, || {
        let mut stage = connecting();
        stage.hears(mra(THEIRS, stage.ours, MessageMraed::REQ));
        stage
    }),
    (CmState::RepRcvd, answered),
    (CmState::MraRepSent, || {
        let mut stage = answered();
        stage.hears(stage.rep);
        stage
    }),
    (CmState::Established, completed),
    (CmState::DreqSent, || completed().disconnecting()),
    (CmState::TimeWait, || completed().disconnected()),
    (CmState::Rejected, || answered().rejected()),
    (CmState::Aborted, || answered().abandoned()),
];

/// What the peer may say, and the clock.
const PASSIVE_EVENTS: &[(&str, Deliver)] = &[
    ("REQ, repeated", Stage::hears_req),
    ("another REQ, same id and QP", |stage| {
        let mut req = req(1, THEIRS);
        req.starting_psn = Psn::truncated(0x66);
        let mut seen = stage.hears(CmMad::new(0x1111, req));
        seen.extend(stage.bench.pass(Duration::ZERO));
        seen
    }),
    ("MRA of a REP", |stage| {
        stage.hears(mra(THEIRS, stage.ours, MessageMraed::REP))
    }),
    ("RTU", |stage| stage.hears(rtu(&stage.rep))),
    ("REJ", Stage::hears_rej),
    ("DREQ", Stage::hears_dreq),
    ("DREP", Stage::hears_drep),
    ("LAP", Stage::hears_lap),
];

const ACTIVE_EVENTS: &[(&str, Deliver)] = &[
    ("MRA of a REQ", |stage| {
        stage.hears(mra(THEIRS, stage.ours, MessageMraed::REQ))
    }),
    ("REP", |stage| stage.hears(stage.rep)),
    ("REP, other id", |stage| stage.hears(rep(&stage.req, THEIRS + 1))),
    ("REJ", Stage::hears_rej),
    ("DREQ", Stage::hears_dreq),
    ("DREP", Stage::hears_drep),
    ("LAP", Stage::hears_lap),
];

fn requested() -> Stage {
    let (mut bench, _) = Bench::listening(8, 4);
    let req = request(1, THEIRS);
    let id = bench.request(&peer(1), &req).connection;
    let ours = bench.cm.connections.get(id).expect("it is held").local_comm_id;
    // What its RTU would answer, should the peer believe that there has been one.
    let rep = Rep {
        local_comm_id: ours,
        remote_comm_id: CommId(THEIRS),
        ..Rep::default()
    };
    Stage {
        bench,
        id,
        ours,
        req,
        rep: CmMad::new(req.transaction_id, rep),
    }
}

fn replied() -> Stage {
    let mut stage = requested();
    let sent = stage.bench.accept(stage.id, QpOutcome::Moved).send;
    stage.rep = parse(&sent.expect("a REP"));
    stage
}

fn accepted() -> Stage {
    let mut stage = replied();
    stage.hears(rtu(&stage.rep));
    stage
}

fn connecting() -> Stage {
    let mut bench = Bench::idle(8);
    let (id, req) = bench.connect(1);
    let rep = rep(&req, THEIRS);
    Stage {
        bench,
        id,
        ours: req.message.local_comm_id(),
        req,
        rep,
    }
}

fn answered() -> Stage {
    let mut stage = connecting();
    stage.hears(stage.rep);
    stage
}

fn completed() -> Stage {
    let mut stage = answered();
    assert_eq!(stage.bench.complete(stage.id, QpOutcome::Moved).result, Ok(()));
    stage
}

impl Stage {
    fn state(&self) -> Option<CmState> {
        self.bench.state(self.id)
    }

    fn hears(&mut self, mad: CmMad) -> Vec<Seen> {
        vec![self.bench.receive(&peer(1), &mad)]
    }

    fn hears_req(&mut self) -> Vec<Seen> {
        self.hears(self.req)
    }

    fn hears_rej(&mut self) -> Vec<Seen> {
        self.hears(rej(THEIRS, self.ours, RejectReason::CONSUMER_REJECT, &[]))
    }

    fn hears_dreq(&mut self) -> Vec<Seen> {
        self.hears(dreq(THEIRS, self.ours))
    }

    fn hears_drep(&mut self) -> Vec<Seen> {
        let drep = Drep {
            local_comm_id: CommId(THEIRS),
            remote_comm_id: self.ours,
            ..Drep::default()
        };
        self.hears(CmMad::new(5, drep))
    }

    fn hears_lap(&mut self) -> Vec<Seen> {
        let lap = Lap {
            local_comm_id: CommId(THEIRS),
            remote_comm_id: self.ours,
            remote_qpn: QP.qpn,
            ..Lap::default()
        };
        self.hears(CmMad::new(6, lap))
    }

    /// Until one thing happens by itself, if anything does.
    fn waits(&mut self) -> Vec<Seen> {
        let Some(deadline) = self.bench.cm.next_deadline() else {
            return Vec::new();
        };
        self.bench.pass(deadline.saturating_sub(self.bench.now))
    }

    /// Until nothing happens any more in this state; what happens last.
    fn waits_long(&mut self) -> Vec<Seen> {
        let before = self.state();
        for _ in 0..100 {
            let seen = self.waits();
            if self.state() != before || self.bench.cm.next_deadline().is_none() {
                return seen;
            }
        }
        panic!("{before:?} repeats for ever");
    }

    fn disconnecting(mut self) -> Self {
        let started = self.bench.cm.disconnect(self.bench.now, self.id);
        assert!(started.is_ok(), "{started:?}");
        self
    }

    fn disconnected(mut self) -> Self {
        self.hears_dreq();
        self
    }

    fn rejected(mut self) -> Self {
        let rejected = self.bench.reject(self.id, &[], SendOutcome::Sent);
        assert!(rejected.is_ok(), "{rejected:?}");
        self
    }

    fn abandoned(mut self) -> Self {
        self.hears_rej();
        self
    }
}

/// What was sent and told, and the new state if it is one.
fn cell(before: CmState, stage: &Stage, seen: &[Seen]) -> String {
    let mut parts = Vec::new();
    for seen in seen {
        let (sent, told) = match seen {
            Seen::Nothing => (None, None),
            Seen::Sent(_, mad) => (Some(mad), None),
            Seen::Request(_) => (None, Some("*new request*")),
            Seen::Told(_, notice, sent) => (sent.as_ref(), Some(name(notice))),
        };
        parts.extend(sent.map(described));
        parts.extend(told.map(str::to_owned));
    }
    match stage.state() {
        None | Some(CmState::Idle) => parts.push("→ *over*".to_owned()),
        Some(after) if after != before => parts.push(format!("→ {after:?}")),
        Some(_) => {}
    }
    parts.join(", ")
}

/// What happens by itself: the first time, and the last if that is something else.
fn time(before: CmState, prepare: Prepare) -> String {
    let run = |wait: Deliver| {
        let mut stage = prepare();
        let seen = wait(&mut stage);
        cell(before, &stage, &seen)
    };
    let (first, last) = (run(Stage::waits), run(Stage::waits_long));
    if first == last {
        first
    } else {
        format!("{first}; at last {last}")
    }
}

fn described(mad: &CmMad) -> String {
    match mad.message {
        CmMessage::Rej(rej) => format!("REJ {}", rej.reason.0),
        CmMessage::Apr(apr) => format!("APR {}", apr.status.0),
        message => message.name().to_owned(),
    }
}

fn name(notice: &Notice) -> &'static str {
    match notice {
        Notice::Accepted(_) => "*accepted*",
        Notice::Refused(_) => "*refused*",
        Notice::TimedOut => "*timed out*",
        Notice::Aborted => "*aborted*",
        Notice::Established => "*established*",
        Notice::Disconnected => "*disconnected*",
        Notice::DisconnectDone(Ok(())) => "*disconnect done*",
        Notice::DisconnectDone(Err(DisconnectTimeout)) => "*disconnect timed out*",
    }
}

/// A row for each state, a column for each of `columns`.
fn table(
    states: &[(CmState, Prepare)],
    columns: &[&str],
    cell: impl Fn(CmState, Prepare, usize) -> String,
) -> String {
    let mut table = format!(
        "| | {} |\n|{}",
        columns.join(" | "),
        "---|".repeat(columns.len() + 1)
    );
    for (state, prepare) in states {
        assert_eq!(prepare().state(), Some(*state));
        let _ = write!(table, "\n| **{state:?}** |");
        for column in 0..columns.len() {
            let _ = write!(table, " {} |", cell(*state, *prepare, column));
        }
    }
    table
}

fn of_events(states: &[(CmState, Prepare)], events: &[(&str, Deliver)]) -> String {
    let mut columns: Vec<&str> = events.iter().map(|(name, _)| *name).collect();
    columns.push("nothing");
    table(states, &columns, |state, prepare, column| {
        let Some((_, deliver)) = events.get(column) else {
            return time(state, prepare);
        };
        let mut stage = prepare();
        let seen = deliver(&mut stage);
        cell(state, &stage, &seen)
    })
}

fn sent(outgoing: Option<Outgoing>) -> Seen {
    outgoing.map_or(Seen::Nothing, |outgoing| {
        Seen::Sent(outgoing.to, parse(&outgoing))
    })
}

/// What a consumer or its queue pair may do; `None` if that is an error and changes nothing.
type Call = fn(&mut Stage) -> Option<Seen>;

const CALLS: &[(&str, Call)] = &[
    ("reject", |stage| {
        let plan = stage.bench.cm.prepare_reject(stage.id, &[]).ok()?;
        stage
            .bench
            .cm
            .finish_reject(stage.bench.now, plan.token, SendOutcome::Sent);
        Some(sent(Some(plan.send)))
    }),
    ("accept", |stage| {
        let plan = stage.bench.cm.prepare_accept(stage.id, &ACCEPT, OWNER).ok()?;
        let finished = stage
            .bench
            .cm
            .finish_accept(stage.bench.now, plan.token, QpOutcome::Moved);
        assert_eq!(finished.result, Ok(()));
        Some(sent(finished.send))
    }),
    ("complete", |stage| {
        let plan = stage.bench.cm.prepare_complete(stage.id).ok()?;
        let finished = stage
            .bench
            .cm
            .finish_complete(stage.bench.now, plan.token, QpOutcome::Moved);
        assert_eq!(finished.result, Ok(()));
        Some(sent(finished.send))
    }),
    ("disconnect", |stage| {
        match stage.bench.cm.disconnect(stage.bench.now, stage.id).ok()? {
            Disconnecting::Started(dreq) => Some(sent(Some(dreq))),
            Disconnecting::Over => Some(Seen::Nothing),
        }
    }),
    ("close", |stage| Some(sent(stage.bench.close(stage.id)))),
    ("QP fails", |stage| {
        let reaction = stage.bench.cm.connection_lost(stage.bench.now, stage.id);
        Some(reaction.into())
    }),
];

fn of_calls(states: &[(CmState, Prepare)], calls: &[&str]) -> String {
    table(states, calls, |state, prepare, column| {
        let mut stage = prepare();
        let (_, call) = CALLS
            .iter()
            .find(|(name, _)| *name == calls[column])
            .expect("a call");
        match call(&mut stage) {
            None => "error".to_owned(),
            Some(seen) => cell(state, &stage, &[seen]),
        }
    })
}

/// Requests that begin no connection, and the reason in the REJ.
fn of_refusals() -> String {
    type Spoil = fn(&mut Req);
    let cases: [(&str, Spoil); 6] = [
        (
            "nobody listens there, or the listener is closed or paused",
            |req| {
                req.service_id = ServiceId::from_port(PortSpace::TCP, PORT + 1);
            },
        ),
        ("a service that is not RDMA over TCP's port space", |req| {
            req.service_id = ServiceId::from_port(PortSpace::UDP, PORT);
        }),
        ("another transport service than RC", |req| {
            req.transport_service = TransportService::UC;
        }),
        (
            "no IP CM header in the private data, or another source address than the packet's",
            |req| {
                req.private_data = PrivateData::EMPTY;
            },
        ),
        ("another destination address than the packet's", |req| {
            let header = IpCmHeader {
                source_port: 1,
                addresses: IpCmAddresses::V4 {
                    source: peer_ip(1),
                    destination: peer_ip(2),
                },
            };
            req.private_data = header.private_data(&[]).expect("it fits");
        }),
        ("a larger path MTU than our port's, which the REJ names", |req| {
            req.path_mtu = Mtu::B4096;
        }),
    ];
    let mut table = "| a REQ with | REJ |\n|---|---|".to_owned();
    let mut row = |what: &str, rej: &Rej| {
        let _ = write!(table, "\n| {what} | {} |", rej.reason.0);
    };
    for (what, spoil) in cases {
        let (mut bench, _) = Bench::listening(4, 4);
        let mut req = req(1, THEIRS);
        spoil(&mut req);
        row(what, &bench.receive(&peer(1), &CmMad::new(4, req)).rej());
    }
    let (mut bench, _) = Bench::listening(4, 0);
    let rej = bench.receive(&peer(1), &request(1, THEIRS)).rej();
    row(
        "nothing wrong, but the listener holds 1024 unanswered ones, or no slot is free",
        &rej,
    );
    let mut old = request(1, THEIRS).to_bytes();
    old[2] = 1;
    row(
        "another class version; the REJ names ours",
        &bench.receive_bytes(&peer(1), &old).rej(),
    );
    table
}

/// The times that follow from the configuration which the driver uses.
fn of_times() -> String {
    let config = Config::new([1, 2], CA_GUID);
    let seconds = |time: Duration| format!("{:.3} s", time.as_secs_f64());
    let repetitions = u32::from(config.max_retries.get());
    let rows = [
        (
            "a REQ, REP or DREQ is sent again after",
            seconds(config.interval()),
        ),
        ("… as often as", format!("{repetitions} times")),
        (
            "… and given up after",
            seconds(config.interval() * (repetitions + 1)),
        ),
        (
            "a peer's MRA is believed for at most",
            seconds(config.patience(Timeout::MAX)),
        ),
        (
            "our MRA asks for",
            seconds(timer::duration(config.mra_service_timeout)),
        ),
        ("time wait", seconds(config.time_wait())),
        (
            "a rejected message is remembered for at most",
            seconds(timer::QUARANTINE_MAX),
        ),
    ];
    let rows = rows.map(|(what, time)| format!("\n| {what} | {time} |"));
    format!("| | |\n|---|---|{}", rows.concat())
}

#[test]
fn the_book_says_what_is_answered_in_which_state() {
    let book = include_str!("../../../docs/src/driver/connection-manager.md");
    let tables = [
        of_events(PASSIVE, PASSIVE_EVENTS),
        of_events(ACTIVE, ACTIVE_EVENTS),
        of_calls(PASSIVE, &["accept", "reject", "disconnect", "close", "QP fails"]),
        of_calls(ACTIVE, &["complete", "reject", "disconnect", "close", "QP fails"]),
        of_refusals(),
        of_times(),
    ];
    let missing: Vec<&str> = tables
        .iter()
        .map(String::as_str)
        .filter(|table| !book.contains(table))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/src/driver/connection-manager.md lacks what the code does:\n\n{}\n",
        missing.join("\n\n")
    );
}
