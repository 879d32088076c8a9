//! Requests: held, repeated, abandoned, forgotten.

use core::net::SocketAddr;

use roce_wire::cm::{Dreq, MessageMraed};

use super::*;

#[test]
fn a_request_reaches_the_consumer_with_its_facts() {
    let (mut bench, _) = Bench::listening(4, 4);
    let request = bench.request(&peer(1), &request(1, 77));
    assert_eq!(request.listener, NAME);
    assert_eq!(request.local, SocketAddr::new(LOCAL.into(), PORT));
    assert_eq!(request.peer, SocketAddr::new(peer_ip(1).into(), 50_000));
    assert_eq!(request.address, peer(1));
    assert_eq!(
        (request.offer.initiator_depth, request.offer.responder_resources),
        (6, 5)
    );
    assert_eq!(request.offer.private_data[..7], *b"hello\0\0");
    assert_eq!(request.offer.qp.qpn, Qpn::truncated(0x1234));
    assert_eq!(request.offer.qp.starting_psn, Psn::truncated(0x55));
    assert_eq!(bench.cm.counters().connect_requests, 1);
}

/// Judges rule: while a consumer thinks about a REQ the peer gets an MRA (IBTA 12.6.6)
#[test]
fn a_slow_consumer_makes_the_peer_wait() {
    let (mut bench, _) = Bench::listening(4, 4);
    bench.request(&peer(1), &request(1, 77));
    assert!(
        bench.pass(Duration::from_secs(2)).is_empty(),
        "not before half of the peer's 4.3 s"
    );
    let mut seen = bench.pass(Duration::from_millis(200));
    let Some(Seen::Sent(to, mad)) = seen.pop() else {
        panic!("no MRA")
    };
    assert_eq!((to, mad.transaction_id), (peer(1), request(1, 77).transaction_id));
    let CmMessage::Mra(mra) = mad.message else {
        panic!("{mad:?}")
    };
    assert_eq!(
        (mra.remote_comm_id, mra.message_mraed),
        (CommId(77), MessageMraed::REQ)
    );
    assert_eq!(mra.service_timeout, MRA);
    // Every repetition is told the same, for as long as the peer goes on.
    for _ in 0..40 {
        assert!(bench.pass(Duration::from_secs(73)).is_empty());
        assert_eq!(
            bench.receive(&peer(1), &request(1, 77)).message(),
            CmMessage::Mra(mra)
        );
    }
    assert_eq!(bench.cm.counters().abandoned, 0);
    assert_eq!(bench.cm.counters().repeated_requests, 40);
}

#[test]
fn a_repetition_before_the_first_mra_is_answered_at_once() {
    let (mut bench, _) = Bench::listening(4, 4);
    bench.request(&peer(1), &request(1, 77));
    assert_eq!(bench.receive(&peer(1), &request(1, 77)).message().name(), "MRA");
    assert!(
        bench.pass(Duration::from_mins(1)).is_empty(),
        "no other MRA from the timer"
    );
}

#[test]
fn a_peer_that_has_no_patience_left_has_abandoned() {
    let (mut bench, _) = Bench::listening(4, 4);
    let id = bench.request(&peer(1), &request(1, 77)).connection;
    bench.pass(Duration::from_secs(3));
    // 16 times (68.7 + 4.3) s.
    bench.pass(Duration::from_secs(1160));
    assert_eq!(bench.cm.counters().abandoned, 0);
    bench.pass(Duration::from_secs(15));
    assert_eq!(bench.cm.counters().abandoned, 1);
    assert_eq!(
        bench.reject(id, &[], SendOutcome::Sent),
        Err(RejectError::Aborted)
    );
    assert_eq!(bench.close(id), None);
}

type Ending = fn(CommId) -> CmMad;

/// Judges rule: a peer may take its REQ back; the consumer is told `CONNECTION_ABORTED` (NDKPI: `NdkReject`)
#[test]
fn the_peers_rej_or_dreq_abandons() {
    let ours = |bench: &mut Bench| {
        let CmMessage::Mra(mra) = bench.receive(&peer(1), &request(1, 77)).message() else {
            panic!("no MRA")
        };
        mra.local_comm_id
    };
    let with_dreq = |id| {
        CmMad::new(
            5,
            Dreq {
                local_comm_id: CommId(77),
                remote_comm_id: id,
                ..Dreq::default()
            },
        )
    };
    let endings: [(Ending, Option<&str>); 3] = [
        (|_| gives_up(77, CommId(0)), None),
        (|id| gives_up(77, id), None),
        (with_dreq, Some("DREP")),
    ];
    for (ending, answer) in endings {
        let (mut bench, _) = Bench::listening(4, 4);
        let id = bench.request(&peer(1), &request(1, 77)).connection;
        let comm_id = ours(&mut bench);
        let mad = ending(comm_id);
        match (bench.receive(&peer(1), &mad), answer) {
            (Seen::Nothing, None) => {}
            (seen, Some(answer)) => assert_eq!(seen.message().name(), answer),
            (seen, None) => panic!("{seen:?}"),
        }
        // Twice the same answer: it is the state, not an event.
        assert_eq!(
            bench.reject(id, b"no", SendOutcome::Sent),
            Err(RejectError::Aborted)
        );
        assert_eq!(
            bench.reject(id, b"no", SendOutcome::Sent),
            Err(RejectError::Aborted)
        );
        // A late repetition is not a new request.
        assert!(matches!(bench.receive(&peer(1), &request(1, 77)), Seen::Nothing));
        assert_eq!(bench.close(id), None);
        assert_eq!(bench.cm.counters().abandoned, 1);
    }
}

#[test]
fn a_rej_of_somebody_else_changes_nothing() {
    let (mut bench, _) = Bench::listening(4, 4);
    let id = bench.request(&peer(1), &request(1, 77)).connection;
    for (from, mad) in [
        (peer(2), gives_up(77, CommId(0))),
        (peer(1), gives_up(78, CommId(0))),
        (peer(1), gives_up(77, CommId(0x0bad_0bad))),
    ] {
        assert!(matches!(bench.receive(&from, &mad), Seen::Nothing));
    }
    assert_eq!(bench.cm.counters().unexpected, 3);
    assert!(bench.reject(id, &[], SendOutcome::Sent).is_ok());
}

#[test]
fn an_id_in_use_for_another_attempt_abandons_the_first() {
    let (mut bench, _) = Bench::listening(4, 4);
    let first = bench.request(&peer(1), &request(1, 77)).connection;
    let again = CmMad {
        transaction_id: 1,
        ..request(1, 77)
    };
    let second = bench.request(&peer(1), &again).connection;
    assert_ne!(first, second);
    assert_eq!(
        bench.reject(first, &[], SendOutcome::Sent),
        Err(RejectError::Aborted)
    );
    let rej = bench
        .reject(second, b"second", SendOutcome::Sent)
        .expect("it is held");
    // From a quarantine, too; and the first one's close disturbs nothing.
    assert_eq!(bench.close(first), None);
    assert_eq!(bench.cm.connections(), 1);
    assert_eq!(
        bench.receive(&peer(1), &again).rej(),
        Seen::from(Reaction::<u32, u32>::send(Some(rej))).rej()
    );
    let third = bench
        .request(
            &peer(1),
            &CmMad {
                transaction_id: 2,
                ..request(1, 77)
            },
        )
        .connection;
    assert_eq!(
        bench.reject(second, &[], SendOutcome::Sent),
        Err(RejectError::InvalidState)
    );
    assert!(bench.reject(third, &[], SendOutcome::Sent).is_ok());
}

#[test]
fn a_superseded_quarantine_leaves_no_deadline() {
    let (mut bench, _) = Bench::listening(4, 4);
    let first = bench.request(&peer(1), &request(1, 77)).connection;
    bench.reject(first, &[], SendOutcome::Sent).expect("held");
    bench.request(
        &peer(1),
        &CmMad {
            transaction_id: 1,
            ..request(1, 77)
        },
    );
    bench.receive(&peer(1), &gives_up(77, CommId(0)));
    assert_eq!((bench.cm.connections(), bench.cm.next_deadline()), (1, None));
}

#[test]
fn the_same_id_of_two_peers_is_two_connections() {
    let (mut bench, _) = Bench::listening(4, 4);
    let first = bench.request(&peer(1), &request(1, 77)).connection;
    let second = bench.request(&peer(2), &request(2, 77)).connection;
    let first = bench.reject(first, b"1", SendOutcome::Sent).expect("held");
    let second = bench.reject(second, b"2", SendOutcome::Sent).expect("held");
    assert_eq!((first.to, second.to), (peer(1), peer(2)));
    assert_ne!(
        parse(&first).message.local_comm_id(),
        parse(&second).message.local_comm_id()
    );
}

#[test]
fn thousands_of_requests_are_held_at_a_time() {
    const MANY: u32 = 3000;
    let (mut bench, _) = Bench::listening(4096, MANY);
    let held: Vec<_> = (0..MANY)
        .map(|id| bench.request(&peer(1), &request(1, id)).connection)
        .collect();
    let mras = bench.pass(Duration::from_secs(3));
    assert_eq!(mras.len(), held.len());
    let ids: std::collections::HashSet<_> = mras
        .into_iter()
        .map(|seen| seen.message().local_comm_id())
        .collect();
    assert_eq!(ids.len(), held.len(), "each has an id of ours");
    for (comm_id, id) in (0..MANY).zip(held) {
        let rej = bench
            .reject(id, &comm_id.to_be_bytes(), SendOutcome::Sent)
            .expect("held");
        assert_eq!(parse(&rej).message.remote_comm_id(), Some(CommId(comm_id)));
    }
    bench.pass(Duration::from_secs(1000));
    assert_eq!(bench.cm.connections(), 0);
    assert_eq!(bench.cm.next_deadline(), None);
}

#[test]
fn a_flood_is_bounded_and_forgets_no_held_request() {
    let (mut bench, _) = Bench::listening(64, 48);
    let held: Vec<_> = (0..32)
        .map(|id| bench.request(&peer(1), &request(1, id)).connection)
        .collect();
    for id in 1000..21_000 {
        match bench.receive(&peer(2), &request(2, id)) {
            Seen::Request(request) => {
                if id % 3 == 0 {
                    bench.close(request.connection).expect("an implicit reject");
                }
            }
            seen => assert_eq!(seen.rej().reason, RejectReason::NO_RESOURCES_AVAILABLE),
        }
        assert!(bench.cm.connections() <= 64);
    }
    let counters = *bench.cm.counters();
    assert_eq!(counters.connect_requests + counters.refused_no_resources, 20_032);
    for id in held {
        assert!(bench.reject(id, &[], SendOutcome::Sent).is_ok());
    }
}
