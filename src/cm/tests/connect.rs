//! The active side.

use roce_wire::cm::{MessageRejected, REP_PRIVATE_DATA_LEN, TransportService};

use super::*;

/// Between two repetitions of ours: 1.07 s and twice 0.27 s.
const INTERVAL: Duration = Duration::from_millis(1_611);
#[test]
fn the_req_says_who_wants_what() {
    let mut bench = Bench::idle(4);
    let (id, mad) = bench.connect(1);
    let CmMessage::Req(req) = mad.message else {
        panic!("{mad:?}")
    };
    assert_ne!(req.local_comm_id, CommId(0));
    assert_eq!(req.service_id, ServiceId::from_port(PortSpace::TCP, PORT));
    assert_eq!((req.local_ca_guid, req.p_key), (CA_GUID, 0xffff));
    assert_eq!(req.transport_service, TransportService::RC);
    assert_eq!((req.local_qpn, req.srq), (QP.qpn, false));
    // Capped to what the adapter can do.
    assert_eq!((req.responder_resources, req.initiator_depth), (9, 128));
    assert_eq!((req.retry_count.get(), req.rnr_retry_count.get()), (7, 6));
    assert_eq!(req.path_mtu, Mtu::B1024);
    assert_eq!(req.primary_path.local_port_gid, peer(1).local_gid);
    assert_eq!(req.primary_path.remote_port_gid, peer(1).gid);
    assert_eq!(
        (req.primary_path.hop_limit, req.primary_path.traffic_class),
        (HOP_LIMIT, 0x68)
    );
    assert!(req.alternate_path.is_absent());
    let (header, data) = IpCmHeader::parse(&req.private_data).expect("it has one");
    assert_eq!(
        (header.addresses.source(), header.source_port),
        (LOCAL.into(), 50_000)
    );
    assert_eq!(header.addresses.destination(), IpAddr::from(peer_ip(1)));
    assert_eq!(data[..6], *b"hello\0");
    assert_eq!(bench.state(id), Some(CmState::ReqSent));
}

#[test]
fn what_cannot_be_asked_for() {
    let mut bench = Bench::idle(2);
    let good = connect_to(1);
    let v6 = SocketAddr::new(peer_ip(1).to_ipv6_compatible().into(), PORT);
    for (connect, error) in [
        (
            Connect {
                private_data: &[1; 57],
                ..good
            },
            ConnectError::TooLong,
        ),
        (Connect { peer: v6, ..good }, ConnectError::InvalidAddress),
        (Connect { to: peer(2), ..good }, ConnectError::InvalidAddress),
        (
            Connect {
                local: SocketAddr::new(peer_ip(3).into(), 1),
                ..good
            },
            ConnectError::InvalidAddress,
        ),
    ] {
        assert_eq!(bench.try_connect(&connect).err(), Some(error));
        assert_eq!(bench.cm.connections(), 0);
    }
    assert!(
        bench
            .try_connect(&Connect {
                private_data: &[1; 56],
                ..good
            })
            .is_ok()
    );
    assert_eq!(bench.try_connect(&good).err(), Some(ConnectError::AddressExists));
    // Another port, or another peer, is another connection.
    let local = SocketAddr::new(LOCAL.into(), 50_001);
    assert!(bench.try_connect(&Connect { local, ..good }).is_ok());
    assert_eq!(
        bench.try_connect(&connect_to(2)).err(),
        Some(ConnectError::NoResources)
    );
}

#[test]
fn the_peer_accepts_and_the_consumer_completes() {
    let mut bench = Bench::idle(4);
    let (id, req) = bench.connect(1);
    let CmMessage::Req(asked) = req.message else {
        panic!("{req:?}")
    };
    let (accepted, rep) = bench.accepted(1, &req, 55);
    assert_eq!(accepted.private_data.len(), REP_PRIVATE_DATA_LEN);
    assert_eq!(accepted.private_data[..8], *b"welcome\0");
    // Inbound READs are those that the peer has under way, outbound ones those that it can serve.
    assert_eq!(
        accepted.qp.limits,
        ReadLimits {
            inbound: 8,
            outbound: 7
        }
    );
    assert_eq!(accepted.qp.receive_psn, asked.starting_psn);
    assert_eq!((accepted.qp.local_qpn, accepted.qp.to), (QP.qpn, peer(1)));
    let remote = accepted.qp.remote;
    assert_eq!((remote.qpn.get(), remote.starting_psn.get()), (0x4321, 0x99));
    assert_eq!((remote.path_mtu, remote.retry_count.get()), (Mtu::B1024, 7));
    assert_eq!(remote.rnr_retry_count.get(), 5);
    assert_eq!(remote.local_ack_timeout.get(), 15, "the peer needs that long");

    let plan = bench.cm.prepare_complete(id).expect("accepted");
    assert_eq!(plan.qp, accepted.qp);
    assert_eq!(
        bench.cm.prepare_complete(id).err(),
        Some(CompleteError::InvalidState)
    );
    assert_eq!(
        bench.reject(id, &[], SendOutcome::Sent),
        Err(RejectError::InvalidState)
    );
    assert_eq!(bench.state(id), Some(CmState::RepRcvd));
    let finished = bench.cm.finish_complete(bench.now, plan.token, QpOutcome::Moved);
    let sent = parse(&finished.send.expect("an RTU"));
    assert_eq!(finished.result, Ok(()));
    assert_eq!(sent.transaction_id, req.transaction_id);
    let CmMessage::Rtu(ready) = sent.message else {
        panic!("{sent:?}")
    };
    assert_eq!(
        (ready.local_comm_id, ready.remote_comm_id),
        (asked.local_comm_id, CommId(55))
    );
    assert_eq!(
        (bench.cm.active_connections(), bench.cm.counters().connects),
        (1, 1)
    );
    let live: Vec<_> = bench.cm.established_connections().collect();
    assert_eq!(
        live,
        [LiveConnection {
            local: connect_to(1).local,
            peer: connect_to(1).peer,
            is_active: true
        }]
    );

    // The RTU got lost: the peer repeats its REP, and gets the same RTU.
    for _ in 0..3 {
        let Seen::Sent(_, again) = bench.receive(&peer(1), &rep) else {
            panic!("no RTU")
        };
        assert_eq!(again, sent);
    }
    assert!(bench.pass(Duration::from_hours(1)).is_empty(), "nothing is due");
    assert_eq!(
        bench.cm.prepare_complete(id).err(),
        Some(CompleteError::InvalidState)
    );
}

/// Judges rule: a REQ is repeated as often as it says, and given up with REJ "timeout" (IBTA 12.9)
#[test]
fn the_req_is_repeated_until_nobody_can_be_there() {
    let mut bench = Bench::idle(4);
    let (id, req) = bench.connect(1);
    for _ in 0..15 {
        assert!(
            bench
                .pass(INTERVAL.saturating_sub(Duration::from_millis(1)))
                .is_empty()
        );
        let mut seen = bench.pass(Duration::from_millis(1));
        match seen.pop() {
            Some(Seen::Sent(to, mad)) => assert_eq!((to, mad), (peer(1), req)),
            other => panic!("{other:?}"),
        }
    }
    let mut seen = bench.pass(INTERVAL);
    let Some(Seen::Told(told, Notice::TimedOut, Some(mad))) = seen.pop() else {
        panic!("{seen:?}")
    };
    assert_eq!(told, id);
    let CmMessage::Rej(rej) = mad.message else {
        panic!("{mad:?}")
    };
    assert_eq!(
        (rej.reason, rej.message_rejected),
        (RejectReason::TIMEOUT, MessageRejected::NO_MESSAGE)
    );
    assert_eq!(
        (rej.local_comm_id, rej.remote_comm_id),
        (req.message.local_comm_id(), CommId(0))
    );
    assert_eq!(rej.ari(), CA_GUID.to_be_bytes());
    assert_eq!(bench.cm.counters().timed_out, 1);
    // It is over: a late REP is unknown, and the same consumer may try again at once.
    let late = bench.receive(&peer(1), &rep(&req, 55)).rej();
    assert_eq!(late.reason, RejectReason::INVALID_COMMUNICATION_ID);
    let (second, again) = bench.connect(1);
    assert_ne!(
        (id, req.message.local_comm_id()),
        (second, again.message.local_comm_id())
    );
    assert_eq!(bench.close(id), None);
    assert_eq!(bench.cm.connections(), 1);
}

/// Judges rule: an MRA asks for patience: the count of repetitions begins again (IBTA 12.9)
#[test]
fn an_mra_of_the_peer_begins_the_count_again() {
    let mut bench = Bench::idle(4);
    let (id, req) = bench.connect(1);
    let ours = req.message.local_comm_id();
    // Not about a REQ, or not about this one.
    for mad in [
        mra(55, ours, MessageMraed::REP),
        mra(55, CommId(ours.0 ^ 1), MessageMraed::REQ),
    ] {
        assert!(matches!(bench.receive(&peer(1), &mad), Seen::Nothing));
    }
    assert_eq!(
        (bench.cm.counters().unexpected, bench.state(id)),
        (2, Some(CmState::ReqSent))
    );
    let wait = mra(55, ours, MessageMraed::REQ);
    // 34 s, many times more than all repetitions take.
    for _ in 0..10 {
        assert!(matches!(bench.receive(&peer(1), &wait), Seen::Nothing));
        assert!(bench.pass(Duration::from_secs(34)).is_empty());
        assert_eq!(bench.pass(Duration::from_secs(1)).len(), 1, "one repetition");
        for _ in 0..10 {
            assert_eq!(bench.pass(INTERVAL).len(), 1, "and others");
        }
    }
    assert_eq!(bench.state(id), Some(CmState::MraReqRcvd));
}

/// Judges rule: a refused attempt leaves nothing behind and may be tried again (NDKPI: `NdkConnect`)
#[test]
fn the_peer_refuses_and_the_consumer_tries_again() {
    for reason in [
        RejectReason::CONSUMER_REJECT,
        RejectReason::INVALID_SERVICE_ID,
        RejectReason::TIMEOUT,
    ] {
        let mut bench = Bench::idle(4);
        let (id, req) = bench.connect(1);
        let ours = req.message.local_comm_id();
        // Somebody else's opinion does not count.
        assert!(matches!(
            bench.receive(&peer(2), &rej(0, ours, reason, b"no")),
            Seen::Nothing
        ));
        let notice = bench.receive(&peer(1), &rej(0, ours, reason, b"no")).notice();
        let Notice::Refused(refusal) = notice else {
            panic!("{notice:?}")
        };
        assert_eq!(
            (refusal.reason, &refusal.private_data[..3]),
            (reason, &b"no\0"[..])
        );
        assert!(matches!(
            bench.receive(&peer(1), &rej(0, ours, reason, b"no")),
            Seen::Nothing
        ));
        assert!(bench.pass(INTERVAL * 16).is_empty());
        assert_eq!(
            bench.cm.prepare_complete(id).err(),
            Some(CompleteError::InvalidState)
        );
        assert_eq!(
            bench.cm.close(bench.now, id),
            Closed {
                send: None,
                owner: Some(OWNER)
            }
        );
        assert_eq!(bench.cm.connections(), 0);
        bench.connect(1);
        assert_eq!(bench.cm.counters().refused_by_peer, 1);
    }
}

/// Judges rule: while a consumer thinks about a REP the peer gets an MRA (IBTA 12.6.6)
#[test]
fn a_slow_consumer_makes_the_accepting_peer_wait() {
    let mut bench = Bench::idle(4);
    let (id, req) = bench.connect(1);
    let (_, rep) = bench.accepted(1, &req, 55);
    assert!(bench.pass(Duration::from_millis(500)).is_empty());
    let seen = bench.pass(Duration::from_millis(100)).pop().expect("an MRA");
    let CmMessage::Mra(sent) = seen.message() else {
        panic!("no MRA")
    };
    assert_eq!(
        (sent.message_mraed, sent.remote_comm_id),
        (MessageMraed::REP, CommId(55))
    );
    for _ in 0..20 {
        assert!(bench.pass(Duration::from_secs(70)).is_empty());
        assert_eq!(bench.receive(&peer(1), &rep).message(), CmMessage::Mra(sent));
    }
    assert_eq!(bench.complete(id, QpOutcome::Moved).result, Ok(()));
}

#[test]
fn the_peer_gives_up_before_the_consumer_completes() {
    type Ending = fn(CommId) -> CmMad;
    let endings: [Ending; 3] = [
        |ours| rej(55, ours, RejectReason::TIMEOUT, &[]),
        |ours| rej(0, ours, RejectReason::CONSUMER_REJECT, &[]),
        |ours| dreq(55, ours),
    ];
    for ending in endings {
        for claimed in [false, true] {
            let mut bench = Bench::idle(4);
            let (id, req) = bench.connect(1);
            bench.accepted(1, &req, 55);
            let mad = ending(req.message.local_comm_id());
            if claimed {
                let plan = bench.cm.prepare_complete(id).expect("accepted");
                bench.receive(&peer(1), &mad);
                let finished = bench.cm.finish_complete(bench.now, plan.token, QpOutcome::Moved);
                assert_eq!(
                    finished,
                    Finished {
                        send: None,
                        result: Err(CompleteError::Aborted)
                    }
                );
            } else {
                bench.receive(&peer(1), &mad);
            }
            assert_eq!(bench.cm.prepare_complete(id).err(), Some(CompleteError::Aborted));
            assert_eq!(
                bench.reject(id, &[], SendOutcome::Sent),
                Err(RejectError::Aborted)
            );
            assert_eq!(bench.cm.counters().abandoned, 1);
            assert_eq!(bench.close(id), None);
            bench.pass(Duration::from_mins(10));
            assert_eq!(bench.cm.connections(), 0);
        }
    }
}

#[test]
fn a_peer_that_has_no_patience_left_has_abandoned_its_reply() {
    let mut bench = Bench::idle(4);
    let (id, req) = bench.connect(1);
    bench.accepted(1, &req, 55);
    // 16 times (68.7 + 1.07) s after the MRA.
    bench.pass(Duration::from_secs(1));
    bench.pass(Duration::from_secs(1110));
    assert_eq!(bench.state(id), Some(CmState::MraRepSent));
    bench.pass(Duration::from_secs(10));
    assert_eq!(bench.cm.prepare_complete(id).err(), Some(CompleteError::Aborted));
}

/// Judges rule: the active side may reject a REP with private data (NDKPI: `NdkReject`)
#[test]
fn the_consumer_rejects_the_reply() {
    let mut bench = Bench::idle(4);
    let (id, req) = bench.connect(1);
    let (_, rep) = bench.accepted(1, &req, 55);
    let sent = bench
        .reject(id, b"not like this", SendOutcome::Sent)
        .expect("accepted");
    let mad = parse(&sent);
    assert_eq!((sent.to, mad.transaction_id), (peer(1), req.transaction_id));
    let CmMessage::Rej(rej) = mad.message else {
        panic!("{mad:?}")
    };
    assert_eq!(
        (rej.message_rejected, rej.reason),
        (MessageRejected::REP, RejectReason::CONSUMER_REJECT)
    );
    assert_eq!(
        (rej.local_comm_id, rej.remote_comm_id),
        (req.message.local_comm_id(), CommId(55))
    );
    assert_eq!(
        rej.private_data,
        PrivateData::new(b"not like this").expect("it fits")
    );
    // The peer repeats its REP, and hears the same.
    assert_eq!(bench.receive(&peer(1), &rep).rej(), rej);
    assert_eq!(
        bench.reject(id, &[], SendOutcome::Sent),
        Err(RejectError::InvalidState)
    );
    assert_eq!(
        bench.cm.prepare_complete(id).err(),
        Some(CompleteError::InvalidState)
    );
    assert_eq!(bench.close(id), None);
    bench.pass(Duration::from_mins(10));
    assert_eq!(bench.cm.connections(), 0);
}

#[test]
fn closing_tells_the_peer_in_every_state() {
    let mut bench = Bench::idle(4);
    let (id, req) = bench.connect(1);
    let sent = parse(&bench.close(id).expect("a REJ"));
    assert_eq!(sent.transaction_id, req.transaction_id);
    let CmMessage::Rej(rej) = sent.message else {
        panic!("{sent:?}")
    };
    assert_eq!(rej.reason, RejectReason::TIMEOUT);
    assert_eq!((bench.close(id), bench.cm.connections()), (None, 0));

    let (id, req) = bench.connect(1);
    let (_, rep) = bench.accepted(1, &req, 55);
    let CmMessage::Rej(rej) = parse(&bench.close(id).expect("a REJ")).message else {
        panic!("no REJ")
    };
    assert_eq!(
        (rej.message_rejected, rej.reason),
        (MessageRejected::REP, RejectReason::CONSUMER_REJECT)
    );
    assert_eq!(bench.receive(&peer(1), &rep).rej(), rej, "without an owner, too");

    // While the queue pair is moved.
    for outcome in [QpOutcome::Moved, QpOutcome::NotMoved] {
        let (id, req) = bench.connect(2);
        bench.accepted(2, &req, 56);
        let plan = bench.cm.prepare_complete(id).expect("accepted");
        assert_eq!(bench.close(id), None);
        let finished = bench.cm.finish_complete(bench.now, plan.token, outcome);
        assert_eq!(finished.result, Err(CompleteError::InvalidState));
        assert_eq!(
            Seen::from(Reaction::<u32, u32>::send(finished.send))
                .rej()
                .message_rejected,
            MessageRejected::REP
        );
        bench.pass(Duration::from_mins(10));
    }
    assert_eq!((bench.cm.connections(), bench.cm.next_deadline()), (0, None));
}

#[test]
fn a_queue_pair_that_fails_leaves_the_reply_as_it_was() {
    let mut bench = Bench::idle(4);
    let (id, req) = bench.connect(1);
    bench.accepted(1, &req, 55);
    let failed = bench.complete(id, QpOutcome::NotMoved);
    assert_eq!(
        failed,
        Finished {
            send: None,
            result: Err(CompleteError::QpFailed)
        }
    );
    assert_eq!(bench.complete(id, QpOutcome::Moved).result, Ok(()));
}

#[test]
fn a_reply_is_only_for_whom_it_is_meant() {
    let (mut bench, _) = Bench::listening(8, 8);
    let (id, req) = bench.connect(1);
    // From somebody else.
    assert_eq!(
        bench.receive(&peer(2), &rep(&req, 55)).rej().reason,
        RejectReason::INVALID_COMMUNICATION_ID
    );
    assert_eq!(bench.state(id), Some(CmState::ReqSent));
    // To a request of the peer's own.
    bench.request(&peer(1), &request(1, 77));
    let CmMessage::Mra(sent) = bench.receive(&peer(1), &request(1, 77)).message() else {
        panic!("no MRA")
    };
    let CmMessage::Rep(mut strange) = rep(&req, 77).message else {
        panic!("a REP")
    };
    strange.remote_comm_id = sent.local_comm_id;
    assert!(matches!(
        bench.receive(&peer(1), &CmMad::new(1, strange)),
        Seen::Nothing
    ));
    // Under a name that the peer uses already.
    assert!(matches!(bench.receive(&peer(1), &rep(&req, 77)), Seen::Nothing));
    assert_eq!(bench.state(id), Some(CmState::ReqSent));
    bench.accepted(1, &req, 55);
    // A second REP of another name is not the same.
    let second = bench.receive(&peer(1), &rep(&req, 56)).rej();
    assert_eq!(second.remote_comm_id, CommId(56));
    assert_eq!(bench.complete(id, QpOutcome::Moved).result, Ok(()));
}
