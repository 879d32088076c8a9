//! Connections that one side has forgotten (IBTA 12.9.8.3.1), and names that are used again.

use super::*;

/// A request of peer 1 with the queue pair that its connection has, under another name.
fn again() -> CmMad {
    request(1, 78)
}

/// Judges rule: a REQ from a queue pair that is connected is stale: REJ 10, and the old connection is over (IBTA 12.9.8.3.1)
#[test]
fn a_queue_pair_that_is_connected_cannot_ask_for_another_connection() {
    let (mut bench, _) = Bench::listening(4, 4);
    let (id, _) = bench.connected_by_peer();
    let rej = bench.receive(&peer(1), &again()).rej();
    assert_eq!(
        (rej.reason, rej.remote_comm_id),
        (RejectReason::STALE_CONNECTION, CommId(78))
    );
    assert_eq!(bench.cm.counters().refused_stale, 1);
    // The one that the peer has forgotten is over: at once, and once.
    let (notice, sent) = bench.pass(Duration::ZERO).pop().expect("it is due").both();
    assert_eq!((notice, sent), (Notice::Disconnected, "DREQ"));
    assert_eq!(bench.cm.counters().connection_errors, 1);
    assert_eq!(
        bench.receive(&peer(1), &again()).rej().reason,
        RejectReason::STALE_CONNECTION
    );
    assert!(bench.pass(Duration::ZERO).is_empty());
    // The peer answers; after the time wait it may ask again.
    let sent = bench.pass(Duration::from_secs(2)).pop().expect("the DREQ again");
    let Seen::Sent(_, sent) = sent else {
        panic!("{sent:?}")
    };
    assert!(matches!(bench.receive(&peer(1), &drep(&sent)), Seen::Nothing));
    assert_eq!(
        bench.receive(&peer(1), &again()).rej().reason,
        RejectReason::STALE_CONNECTION
    );
    bench.pass(Duration::from_secs(1));
    bench.request(&peer(1), &again());
    assert_eq!(bench.close(id), None);
}

#[test]
fn another_peers_queue_pair_of_the_same_number_is_another_one() {
    let (mut bench, _) = Bench::listening(4, 4);
    bench.connected_by_peer();
    bench.request(&peer(2), &request(2, 78));
    assert!(bench.pass(Duration::ZERO).is_empty());
}

/// Judges rule: a REP from a queue pair that is connected is stale too (IBTA 12.9.8.3.1)
#[test]
fn a_reply_from_a_queue_pair_that_is_connected() {
    let (mut bench, _) = Bench::listening(4, 4);
    let (old, ..) = bench.connected();
    let local = SocketAddr::new(LOCAL.into(), 50_001);
    let (id, req) = bench
        .try_connect(&Connect {
            local,
            ..connect_to(1)
        })
        .expect("another one");
    let rep = rep(&parse(&req), 56);
    let seen = bench.receive(&peer(1), &rep);
    let Seen::Told(told, Notice::Refused(refusal), Some(mad)) = seen else {
        panic!("{seen:?}")
    };
    assert_eq!((told, refusal.reason), (id, RejectReason::STALE_CONNECTION));
    let CmMessage::Rej(sent) = mad.message else {
        panic!("{mad:?}")
    };
    assert_eq!(
        (sent.reason, sent.remote_comm_id),
        (RejectReason::STALE_CONNECTION, CommId(56))
    );
    assert_eq!(bench.receive(&peer(1), &rep).rej(), sent);
    let seen = bench.pass(Duration::ZERO).pop().expect("it is due");
    let Seen::Told(told, Notice::Disconnected, Some(_)) = seen else {
        panic!("{seen:?}")
    };
    assert_eq!(told, old);
}

#[test]
fn the_peers_name_for_a_connection_means_another_one_now() {
    let other = |attempt| CmMad {
        transaction_id: attempt,
        message: {
            let CmMessage::Req(mut req) = request(1, 77).message else {
                panic!("a REQ")
            };
            req.local_qpn = Qpn::truncated(0x2000);
            req.into()
        },
    };
    // An established connection.
    let (mut bench, _) = Bench::listening(4, 4);
    let (id, _) = bench.connected_by_peer();
    let second = bench.request(&peer(1), &other(1)).connection;
    let (notice, sent) = bench.pass(Duration::ZERO).pop().expect("it is due").both();
    assert_eq!((notice, sent), (Notice::Disconnected, "DREQ"));
    assert_eq!(bench.state(id), Some(CmState::DreqSent));
    assert!(bench.reject(second, &[], SendOutcome::Sent).is_ok());
    // An accepted request: no REJ, which would be taken for the answer to the other.
    let (mut bench, _) = Bench::listening(4, 4);
    let id = bench.request(&peer(1), &request(1, 77)).connection;
    assert_eq!(bench.accept(id, QpOutcome::Moved).result, Ok(()));
    let second = bench.request(&peer(1), &other(1)).connection;
    let seen = bench.pass(Duration::ZERO).pop().expect("it is due");
    let Seen::Told(told, Notice::Aborted, None) = seen else {
        panic!("{seen:?}")
    };
    assert_eq!(told, id);
    assert!(bench.reject(second, &[], SendOutcome::Sent).is_ok());
}

#[test]
fn a_peer_may_use_its_name_again_after_a_reject() {
    let (mut bench, _) = Bench::listening(4, 4);
    let id = bench.request(&peer(1), &request(1, 77)).connection;
    assert!(bench.reject(id, &[], SendOutcome::Sent).is_ok());
    let again = CmMad {
        transaction_id: 1,
        ..request(1, 77)
    };
    let second = bench.request(&peer(1), &again).connection;
    assert_ne!(second, id);
    assert_eq!(bench.cm.counters().unexpected, 0, "it has abandoned nothing");
    assert!(bench.pass(Duration::ZERO).is_empty());
}

#[test]
fn a_late_request_of_a_connection_that_is_over_is_not_a_new_one() {
    let (mut bench, _) = Bench::listening(4, 4);
    let (id, rep) = bench.connected_by_peer();
    bench.receive(&peer(1), &dreq(77, rep.message.local_comm_id()));
    assert_eq!(bench.close(id), None);
    assert!(matches!(bench.receive(&peer(1), &request(1, 77)), Seen::Nothing));
    assert_eq!(bench.cm.counters().connect_requests, 1);
}

#[test]
fn a_reply_with_a_name_that_is_in_use_is_not_taken_for_one() {
    let mut bench = Bench::idle(8);
    bench.connected();
    let mut second = connect_to(1);
    second.local.set_port(50_001);
    let (id, req) = bench.try_connect(&second).expect("there is room");
    let seen = bench.receive(&peer(1), &rep(&parse(&req), 55));
    assert!(matches!(seen, Seen::Nothing), "{seen:?}");
    assert_eq!(bench.cm.counters().unexpected, 1);
    assert_eq!(
        bench.state(id),
        Some(CmState::ReqSent),
        "it may still be answered"
    );
    let seen = bench.receive(
        &peer(1),
        &mra(56, parse(&req).message.local_comm_id(), MessageMraed::REQ),
    );
    assert!(matches!(seen, Seen::Nothing), "{seen:?}");
    assert_eq!(bench.state(id), Some(CmState::MraReqRcvd));
}
