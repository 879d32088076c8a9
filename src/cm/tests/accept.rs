//! The passive side, after the request: REP, RTU.

use roce_wire::cm::{Failover, MessageRejected, REP_PRIVATE_DATA_LEN};

use super::*;

const INTERVAL: Duration = Duration::from_millis(1_611);

fn held() -> (Bench, ConnectionId) {
    let (mut bench, _) = Bench::listening(8, 1);
    let id = bench.request(&peer(1), &request(1, 77)).connection;
    (bench, id)
}

/// Accepted, with the REP.
fn accepted() -> (Bench, ConnectionId, CmMad) {
    let (mut bench, id) = held();
    let finished = bench.accept(id, QpOutcome::Moved);
    assert_eq!(finished.result, Ok(()));
    let rep = parse(&finished.send.expect("a REP"));
    (bench, id, rep)
}

/// Judges rule: read limits are the least of what both sides and the adapter can do (IBTA 12.7)
#[test]
fn the_rep_says_what_both_can_do() {
    let (mut bench, id) = held();
    let plan = bench.cm.prepare_accept(id, &ACCEPT, OWNER).expect("held");
    // The peer has 6 under way and serves 5; the consumer wants 4 and as many as possible.
    assert_eq!(
        plan.qp.limits,
        ReadLimits {
            inbound: 4,
            outbound: 5
        }
    );
    assert_eq!((plan.qp.local_qpn, plan.qp.to), (QP.qpn, peer(1)));
    let remote = plan.qp.remote;
    assert_eq!(
        (remote.qpn.get(), remote.starting_psn.get(), remote.path_mtu),
        (0x1234, 0x55, Mtu::B1024)
    );
    assert_eq!(remote.local_ack_timeout.get(), 14, "the peer has said nothing");
    assert!(matches!(
        bench.cm.prepare_accept(id, &ACCEPT, OWNER),
        Err(AcceptError::InvalidState)
    ));
    assert_eq!(
        bench.reject(id, &[], SendOutcome::Sent),
        Err(RejectError::InvalidState)
    );

    let finished = bench.cm.finish_accept(bench.now, plan.token, QpOutcome::Moved);
    assert_eq!(finished.result, Ok(()));
    let sent = finished.send.expect("a REP");
    let mad = parse(&sent);
    assert_eq!(
        (sent.to, mad.transaction_id),
        (peer(1), request(1, 77).transaction_id)
    );
    let CmMessage::Rep(rep) = mad.message else {
        panic!("{mad:?}")
    };
    assert_eq!(rep.remote_comm_id, CommId(77));
    assert_eq!((rep.local_qpn, rep.starting_psn), (QP.qpn, plan.qp.receive_psn));
    assert_eq!((rep.responder_resources, rep.initiator_depth), (4, 5));
    assert_eq!(
        (rep.failover, rep.rnr_retry_count.get()),
        (Failover::NOT_SUPPORTED, 6)
    );
    assert_eq!(rep.local_ca_guid, CA_GUID);
    assert_eq!(rep.private_data, PrivateData::new(b"welcome").expect("it fits"));
    assert_eq!(bench.state(id), Some(CmState::RepSent));
}

#[test]
fn the_rep_says_what_is_behind_it() {
    for srq in [false, true] {
        let (mut bench, id) = held();
        let accept = Accept {
            qp: LocalQp { srq, ..QP },
            ..ACCEPT
        };
        let plan = bench.cm.prepare_accept(id, &accept, OWNER).expect("held");
        let sent = bench
            .cm
            .finish_accept(bench.now, plan.token, QpOutcome::Moved)
            .send;
        let CmMessage::Rep(rep) = parse(&sent.expect("a REP")).message else {
            panic!("{sent:?}")
        };
        assert_eq!(rep.srq, srq);
        assert_eq!(rep.target_ack_delay, bench.cm.config.target_ack_delay);
        assert_ne!(rep.target_ack_delay, Timeout::default());
    }
}

/// Peer 1 confirms our own request, which it has accepted with the name 55.
fn unasked(req: &CmMad) -> CmMad {
    let rtu = Rtu {
        local_comm_id: CommId(55),
        remote_comm_id: req.message.local_comm_id(),
        ..Rtu::default()
    };
    CmMad::new(req.transaction_id, rtu)
}

/// The peer may confirm as often as it likes. Confirming what it has asked for itself is wrong, and so is confirming what is over.
#[test]
fn which_rtus_are_expected() {
    // We have accepted.
    let (mut bench, id, rep) = accepted();
    assert_eq!(bench.receive(&peer(1), &rtu(&rep)).notice(), Notice::Established);
    assert!(matches!(bench.receive(&peer(1), &rtu(&rep)), Seen::Nothing));
    assert_eq!(bench.cm.counters().unexpected, 0);
    assert_eq!(bench.state(id), Some(CmState::Established));
    // We have given up.
    let (mut bench, id, rep) = accepted();
    let sent = parse(&bench.close(id).expect("a REJ"));
    assert_eq!(bench.receive(&peer(1), &rtu(&rep)).message(), sent.message);
    assert_eq!(bench.cm.counters().unexpected, 1);
    // The peer has accepted, and confirms as if we had.
    let (mut bench, _) = Bench::listening(8, 1);
    let (_, req, _) = bench.connected();
    let wrong = unasked(&req);
    assert!(matches!(bench.receive(&peer(1), &wrong), Seen::Nothing));
    assert_eq!(bench.cm.counters().unexpected, 1);
    // The same after we have rejected what it accepted.
    let (mut bench, _) = Bench::listening(8, 1);
    let (id, req) = bench.connect(1);
    bench.accepted(1, &req, 55);
    assert!(bench.reject(id, b"no", SendOutcome::Sent).is_ok());
    let wrong = unasked(&req);
    assert!(matches!(bench.receive(&peer(1), &wrong), Seen::Nothing));
    assert_eq!(bench.cm.counters().unexpected, 1);
}

#[test]
fn what_cannot_be_accepted() {
    let (mut bench, id) = held();
    let long = [1; REP_PRIVATE_DATA_LEN + 1];
    let too_long = Accept {
        private_data: &long,
        ..ACCEPT
    };
    assert!(matches!(
        bench.cm.prepare_accept(id, &too_long, OWNER),
        Err(AcceptError::TooLong)
    ));
    let exact = Accept {
        private_data: &long[1..],
        ..ACCEPT
    };
    assert!(bench.cm.prepare_accept(id, &exact, OWNER).is_ok());

    let (mut bench, id) = held();
    bench.receive(&peer(1), &gives_up(77, CommId(0)));
    assert!(matches!(
        bench.cm.prepare_accept(id, &ACCEPT, OWNER),
        Err(AcceptError::Aborted)
    ));
    let (active, req) = bench.connect(2);
    assert!(matches!(
        bench.cm.prepare_accept(active, &ACCEPT, OWNER),
        Err(AcceptError::InvalidState)
    ));
    bench.accepted(2, &req, 55);
    assert!(matches!(
        bench.cm.prepare_accept(active, &ACCEPT, OWNER),
        Err(AcceptError::InvalidState)
    ));
    bench.receive(&peer(2), &dreq(55, req.message.local_comm_id()));
    assert!(matches!(
        bench.cm.prepare_accept(active, &ACCEPT, OWNER),
        Err(AcceptError::InvalidState)
    ));
}

/// Judges rule: the RTU or the first packet establishes a connection (IBTA 12.9.7.2)
#[test]
fn the_rtu_or_the_first_packet_establishes() {
    for by_packet in [false, true] {
        let (mut bench, id, rep) = accepted();
        // Not an RTU of somebody else.
        assert!(matches!(bench.receive(&peer(2), &rtu(&rep)), Seen::Nothing));
        let seen = if by_packet {
            Seen::from(bench.cm.established(bench.now, id))
        } else {
            bench.receive(&peer(1), &rtu(&rep))
        };
        let Seen::Told(told, Notice::Established, None) = seen else {
            panic!("{seen:?}")
        };
        assert_eq!(told, id);
        // The other one, and repetitions, change nothing.
        assert!(matches!(
            Seen::from(bench.cm.established(bench.now, id)),
            Seen::Nothing
        ));
        assert!(matches!(bench.receive(&peer(1), &rtu(&rep)), Seen::Nothing));
        assert!(matches!(bench.receive(&peer(1), &request(1, 77)), Seen::Nothing));
        assert!(bench.pass(Duration::from_hours(1)).is_empty());
        assert_eq!(
            (bench.cm.counters().accepts, bench.cm.active_connections()),
            (1, 1)
        );
    }
    let (mut bench, id) = held();
    assert!(matches!(
        Seen::from(bench.cm.established(bench.now, id)),
        Seen::Nothing
    ));
    assert_eq!(bench.state(id), Some(CmState::ReqRcvd));
}

/// Judges rule: a REP is repeated until the RTU, and for every repeated REQ (IBTA 12.9)
#[test]
fn the_rep_is_repeated_by_time_and_by_request() {
    let (mut bench, id, rep) = accepted();
    let Seen::Sent(_, again) = bench.receive(&peer(1), &request(1, 77)) else {
        panic!("no REP")
    };
    assert_eq!(again, rep);
    for _ in 0..15 {
        assert!(
            bench
                .pass(INTERVAL.saturating_sub(Duration::from_millis(1)))
                .is_empty()
        );
        let Some(Seen::Sent(_, again)) = bench.pass(Duration::from_millis(1)).pop() else {
            panic!("no REP")
        };
        assert_eq!(again, rep);
    }
    let seen = bench.pass(INTERVAL).pop().expect("the end");
    let Seen::Told(told, Notice::TimedOut, Some(mad)) = seen else {
        panic!("{seen:?}")
    };
    assert_eq!(told, id);
    let CmMessage::Rej(sent) = mad.message else {
        panic!("{mad:?}")
    };
    assert_eq!(
        (sent.reason, sent.remote_comm_id),
        (RejectReason::TIMEOUT, CommId(77))
    );
    assert_eq!(sent.ari(), CA_GUID.to_be_bytes());
    // A peer that confirms too late hears it again.
    assert_eq!(bench.receive(&peer(1), &rtu(&rep)).rej(), sent);
    assert_eq!(bench.receive(&peer(1), &request(1, 77)).rej(), sent);
    assert_eq!(
        bench.cm.close(bench.now, id),
        Closed {
            send: None,
            owner: Some(OWNER)
        }
    );
    bench.pass(Duration::from_mins(10));
    assert_eq!(bench.cm.connections(), 0);
}

#[test]
fn the_peer_asks_for_patience() {
    let (mut bench, id, rep) = accepted();
    let ours = rep.message.local_comm_id();
    assert!(matches!(
        bench.receive(&peer(1), &mra(77, ours, MessageMraed::REQ)),
        Seen::Nothing
    ));
    assert_eq!(bench.state(id), Some(CmState::RepSent));
    for _ in 0..10 {
        assert!(matches!(
            bench.receive(&peer(1), &mra(77, ours, MessageMraed::REP)),
            Seen::Nothing
        ));
        assert_eq!(bench.state(id), Some(CmState::MraRepRcvd));
        assert!(bench.pass(Duration::from_secs(34)).is_empty());
        assert_eq!(bench.pass(Duration::from_secs(1)).len(), 1);
    }
    assert_eq!(bench.receive(&peer(1), &rtu(&rep)).notice(), Notice::Established);
}

#[test]
fn the_peer_does_not_want_our_reply() {
    let (mut bench, id, rep) = accepted();
    let no = rej(
        77,
        rep.message.local_comm_id(),
        RejectReason::CONSUMER_REJECT,
        b"too few",
    );
    let Notice::Refused(refusal) = bench.receive(&peer(1), &no).notice() else {
        panic!("not refused")
    };
    assert_eq!(refusal.reason, RejectReason::CONSUMER_REJECT);
    assert_eq!(refusal.private_data[..8], *b"too few\0");
    assert!(matches!(bench.receive(&peer(1), &no), Seen::Nothing));
    assert!(matches!(bench.receive(&peer(1), &rtu(&rep)), Seen::Nothing));
    assert_eq!(
        bench.cm.disconnect(bench.now, id),
        Err(DisconnectError::InvalidState)
    );
    // The peer may connect again with the same queue pair.
    bench.request(&peer(1), &request(1, 78));
    assert_eq!(bench.close(id), None);
}

#[test]
fn the_peer_disconnects_instead_of_confirming() {
    let (mut bench, _, rep) = accepted();
    let (notice, sent) = bench
        .receive(&peer(1), &dreq(77, rep.message.local_comm_id()))
        .both();
    assert_eq!((notice, sent), (Notice::Aborted, "DREP"));
}

#[test]
fn closing_takes_the_reply_back() {
    let (mut bench, id, rep) = accepted();
    let sent = parse(&bench.close(id).expect("a REJ"));
    let CmMessage::Rej(sent) = sent.message else {
        panic!("{sent:?}")
    };
    assert_eq!(
        (sent.reason, sent.message_rejected),
        (RejectReason::CONSUMER_REJECT, MessageRejected::NO_MESSAGE)
    );
    assert_eq!(sent.remote_comm_id, CommId(77));
    // Whatever the peer says, it hears it again; and nobody else does.
    assert_eq!(bench.receive(&peer(1), &rtu(&rep)).rej(), sent);
    assert_eq!(bench.receive(&peer(1), &request(1, 77)).rej(), sent);
    assert_eq!(bench.close(id), None);
    bench.pass(Duration::from_mins(10));
    assert_eq!((bench.cm.connections(), bench.cm.next_deadline()), (0, None));
}

#[test]
fn while_the_queue_pair_is_moved() {
    // The peer is told to wait.
    let (mut bench, id) = held();
    let plan = bench.cm.prepare_accept(id, &ACCEPT, OWNER).expect("held");
    assert_eq!(bench.receive(&peer(1), &request(1, 77)).message().name(), "MRA");
    // It gives up.
    bench.receive(&peer(1), &gives_up(77, CommId(0)));
    let finished = bench.cm.finish_accept(bench.now, plan.token, QpOutcome::Moved);
    assert_eq!(
        finished,
        Finished {
            send: None,
            result: Err(AcceptError::Aborted)
        }
    );
    assert_eq!(
        bench.reject(id, &[], SendOutcome::Sent),
        Err(RejectError::Aborted)
    );

    // The consumer closes.
    for outcome in [QpOutcome::Moved, QpOutcome::NotMoved] {
        let (mut bench, id) = held();
        let plan = bench.cm.prepare_accept(id, &ACCEPT, OWNER).expect("held");
        assert_eq!(
            bench.cm.close(bench.now, id),
            Closed {
                send: None,
                owner: Some(OWNER)
            }
        );
        let finished = bench.cm.finish_accept(bench.now, plan.token, outcome);
        assert_eq!(finished.result, Err(AcceptError::InvalidState));
        let sent = Seen::from(Reaction::<u32, u32>::send(finished.send)).rej();
        assert_eq!(
            (sent.reason, sent.message_rejected),
            (RejectReason::CONSUMER_REJECT, MessageRejected::REQ)
        );
    }

    // It cannot be moved.
    let (mut bench, id) = held();
    let failed = bench.accept(id, QpOutcome::NotMoved);
    assert_eq!(
        failed,
        Finished {
            send: None,
            result: Err(AcceptError::QpFailed)
        }
    );
    assert_eq!(bench.state(id), Some(CmState::ReqRcvd));
    assert!(bench.reject(id, b"then not", SendOutcome::Sent).is_ok());
}

#[test]
fn an_accepted_request_is_no_longer_in_the_backlog() {
    let (mut bench, id) = held();
    let plan = bench.cm.prepare_accept(id, &ACCEPT, OWNER).expect("held");
    assert_eq!(
        bench.receive(&peer(2), &request(2, 1)).rej().reason,
        RejectReason::NO_RESOURCES_AVAILABLE
    );
    assert_eq!(
        bench
            .cm
            .finish_accept(bench.now, plan.token, QpOutcome::Moved)
            .result,
        Ok(())
    );
    bench.request(&peer(2), &request(2, 2));
}
