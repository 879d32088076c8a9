//! The end of a connection.

use super::*;

const INTERVAL: Duration = Duration::from_millis(1_611);
/// Twice 0.27 s, and 4 ms for the last acknowledgement.
const TIME_WAIT: Duration = Duration::from_millis(542);

/// A connection of either side, and what we and the peer call it.
fn connections() -> [(Bench, ConnectionId, CommId, u32); 2] {
    let (mut active, _) = Bench::listening(4, 4);
    let (one, req, _) = active.connected();
    let (mut passive, _) = Bench::listening(4, 4);
    let (other, rep) = passive.connected_by_peer();
    [
        (active, one, req.message.local_comm_id(), 55),
        (passive, other, rep.message.local_comm_id(), 77),
    ]
}

fn started(bench: &mut Bench, id: ConnectionId) -> CmMad {
    match bench.cm.disconnect(bench.now, id) {
        Ok(Disconnecting::Started(outgoing)) => {
            assert_eq!(outgoing.to, peer(1));
            parse(&outgoing)
        }
        other => panic!("{other:?}"),
    }
}

/// Judges rule: a DREQ is repeated until the DREP, and then the ids wait (IBTA 12.9.8.4)
#[test]
fn the_consumer_disconnects() {
    for (mut bench, id, ours, theirs) in connections() {
        let sent = started(&mut bench, id);
        let CmMessage::Dreq(asked) = sent.message else {
            panic!("{sent:?}")
        };
        assert_eq!(
            (asked.local_comm_id, asked.remote_comm_id),
            (ours, CommId(theirs))
        );
        assert_eq!(asked.remote_qpn.get(), if theirs == 55 { 0x4321 } else { 0x1234 });
        assert_eq!(bench.cm.active_connections(), 0);
        assert_eq!(
            bench.cm.disconnect(bench.now, id),
            Err(DisconnectError::InvalidState)
        );
        // One DREQ or DREP got lost.
        let Some(Seen::Sent(_, again)) = bench.pass(INTERVAL).pop() else {
            panic!("no DREQ")
        };
        assert_eq!(again, sent);
        let notice = bench.receive(&peer(1), &drep(&sent)).notice();
        assert_eq!(notice, Notice::DisconnectDone(Ok(())));
        assert_eq!(bench.state(id), Some(CmState::TimeWait));
        assert!(matches!(bench.receive(&peer(1), &drep(&sent)), Seen::Nothing));
        assert_eq!(
            bench.cm.disconnect(bench.now, id),
            Err(DisconnectError::InvalidState)
        );
        assert_eq!(
            bench.cm.close(bench.now, id),
            Closed {
                send: None,
                owner: Some(OWNER)
            }
        );
        bench.pass(TIME_WAIT);
        assert_eq!((bench.cm.connections(), bench.cm.next_deadline()), (0, None));
    }
}

/// Judges rule: `NdkDisconnect` ends though the peer never answers (NDKPI: `NdkDisconnect`)
#[test]
fn a_peer_that_is_gone_does_not_keep_the_consumer_waiting_for_ever() {
    for (mut bench, id, ..) in connections() {
        let sent = started(&mut bench, id);
        let mut seen = Vec::new();
        for _ in 0..16 {
            seen.extend(bench.pass(INTERVAL));
        }
        assert_eq!(seen.len(), 16);
        let notice = seen.pop().expect("the last").notice();
        assert_eq!(notice, Notice::DisconnectDone(Err(DisconnectTimeout)));
        assert!(
            seen.into_iter()
                .all(|seen| matches!(seen, Seen::Sent(_, mad) if mad == sent))
        );
        assert!(matches!(bench.receive(&peer(1), &drep(&sent)), Seen::Nothing));
    }
}

#[test]
fn the_peer_disconnects() {
    for (mut bench, id, ours, theirs) in connections() {
        let mad = dreq(theirs, ours);
        let (notice, sent) = bench.receive(&peer(1), &mad).both();
        assert_eq!((notice, sent), (Notice::Disconnected, "DREP"));
        // The DREP got lost: once more, without another event.
        for _ in 0..3 {
            let CmMessage::Drep(again) = bench.receive(&peer(1), &mad).message() else {
                panic!("no DREP")
            };
            assert_eq!(
                (again.local_comm_id, again.remote_comm_id),
                (ours, CommId(theirs))
            );
        }
        // The consumer's own call is over at once.
        assert_eq!(bench.cm.disconnect(bench.now, id), Ok(Disconnecting::Over));
        assert_eq!(
            bench.cm.disconnect(bench.now, id),
            Err(DisconnectError::InvalidState)
        );
        bench.pass(TIME_WAIT);
        assert_eq!(bench.state(id), Some(CmState::Idle), "it has an owner");
        assert_eq!(bench.receive(&peer(1), &mad).message().name(), "DREP");
        assert_eq!(bench.close(id), None);
        assert_eq!(
            (bench.cm.connections(), bench.cm.counters().connection_errors),
            (0, 0)
        );
    }
}

/// Judges rule: DREQs that cross end the connection on both sides (IBTA 12.9.7)
#[test]
fn both_disconnect_at_once() {
    for (mut bench, id, ours, theirs) in connections() {
        let sent = started(&mut bench, id);
        let (notice, answer) = bench.receive(&peer(1), &dreq(theirs, ours)).both();
        assert_eq!((notice, answer), (Notice::DisconnectDone(Ok(())), "DREP"));
        assert!(matches!(bench.receive(&peer(1), &drep(&sent)), Seen::Nothing));
        assert_eq!(bench.state(id), Some(CmState::TimeWait));
    }
}

/// Judges rule: a DREQ must name the queue pair of the connection (IBTA 12.6.10)
#[test]
fn a_dreq_for_another_queue_pair_is_about_an_earlier_connection() {
    for (mut bench, id, ours, theirs) in connections() {
        let CmMessage::Dreq(mut wrong) = dreq(theirs, ours).message else {
            panic!("a DREQ")
        };
        wrong.remote_qpn = Qpn::truncated(0x778);
        assert!(matches!(
            bench.receive(&peer(1), &CmMad::new(1, wrong)),
            Seen::Nothing
        ));
        // And one of somebody else, or with another name, is about nothing.
        for (from, mad) in [(peer(2), dreq(theirs, ours)), (peer(1), dreq(theirs + 1, ours))] {
            assert_eq!(bench.receive(&from, &mad).message().name(), "DREP");
        }
        assert_eq!(bench.state(id), Some(CmState::Established));
    }
}

#[test]
fn a_rej_disconnects() {
    for (mut bench, id, ours, theirs) in connections() {
        let mad = rej(theirs, ours, RejectReason::TIMEOUT, &[]);
        assert_eq!(bench.receive(&peer(1), &mad).notice(), Notice::Disconnected);
        assert!(matches!(bench.receive(&peer(1), &mad), Seen::Nothing));
        assert_eq!(bench.cm.disconnect(bench.now, id), Ok(Disconnecting::Over));
        assert_eq!(bench.cm.counters().connection_errors, 1);
    }
    // Also while we wait for a DREP.
    for (mut bench, id, ours, theirs) in connections() {
        started(&mut bench, id);
        let mad = rej(theirs, ours, RejectReason::TIMEOUT, &[]);
        assert_eq!(
            bench.receive(&peer(1), &mad).notice(),
            Notice::DisconnectDone(Ok(()))
        );
    }
}

#[test]
fn closing_disconnects_without_anybody_waiting() {
    for (mut bench, id, ..) in connections() {
        let closed = bench.cm.close(bench.now, id);
        assert_eq!(closed.owner, Some(OWNER));
        let sent = parse(&closed.send.expect("a DREQ"));
        assert_eq!(sent.message.name(), "DREQ");
        let Some(Seen::Sent(_, again)) = bench.pass(INTERVAL).pop() else {
            panic!("no DREQ")
        };
        assert_eq!(again, sent);
        assert!(matches!(bench.receive(&peer(1), &drep(&sent)), Seen::Nothing));
        bench.pass(TIME_WAIT);
        assert_eq!((bench.cm.connections(), bench.cm.next_deadline()), (0, None));
    }
}

#[test]
fn closing_while_disconnecting_goes_on_without_the_consumer() {
    for (mut bench, id, ..) in connections() {
        let sent = started(&mut bench, id);
        assert_eq!(
            bench.cm.close(bench.now, id),
            Closed {
                send: None,
                owner: Some(OWNER)
            }
        );
        assert!(matches!(bench.pass(INTERVAL).pop(), Some(Seen::Sent(..))));
        assert!(matches!(bench.receive(&peer(1), &drep(&sent)), Seen::Nothing));
    }
}

#[test]
fn a_failed_queue_pair_is_told_once_and_to_the_peer() {
    for (mut bench, id, ..) in connections() {
        let (notice, sent) = Seen::from(bench.cm.connection_lost(bench.now, id)).both();
        assert_eq!((notice, sent), (Notice::Disconnected, "DREQ"));
        assert!(matches!(
            Seen::from(bench.cm.connection_lost(bench.now, id)),
            Seen::Nothing
        ));
        assert_eq!(bench.cm.disconnect(bench.now, id), Ok(Disconnecting::Over));
        assert_eq!(bench.cm.counters().connection_errors, 1);
        for _ in 0..17 {
            for seen in bench.pass(INTERVAL) {
                assert_eq!(seen.message().name(), "DREQ");
            }
        }
    }
    // Before the peer has confirmed.
    let (mut bench, _) = Bench::listening(4, 4);
    let id = bench.request(&peer(1), &request(1, 77)).connection;
    assert_eq!(bench.accept(id, QpOutcome::Moved).result, Ok(()));
    let (notice, sent) = Seen::from(bench.cm.connection_lost(bench.now, id)).both();
    assert_eq!((notice, sent), (Notice::Aborted, "REJ"));
}

#[test]
fn nothing_to_disconnect() {
    let (mut bench, _) = Bench::listening(4, 4);
    let held = bench.request(&peer(1), &request(1, 77)).connection;
    let (connecting, _) = bench.connect(1);
    for id in [held, connecting] {
        assert_eq!(
            bench.cm.disconnect(bench.now, id),
            Err(DisconnectError::InvalidState)
        );
        assert!(matches!(
            Seen::from(bench.cm.connection_lost(bench.now, id)),
            Seen::Nothing
        ));
    }
}

#[test]
fn the_addresses_are_free_again_when_nobody_is_connected() {
    let [(mut bench, id, ..), _] = connections();
    assert_eq!(
        bench.try_connect(&connect_to(1)).err(),
        Some(ConnectError::AddressExists)
    );
    started(&mut bench, id);
    assert!(bench.try_connect(&connect_to(1)).is_ok());
}

#[test]
fn a_full_table_forgets_time_waits_but_nothing_that_has_an_owner() {
    let (mut bench, _) = Bench::listening(1, 4);
    let (id, req, _) = bench.connected();
    bench.receive(&peer(1), &dreq(55, req.message.local_comm_id()));
    assert_eq!(
        bench.try_connect(&connect_to(2)).err(),
        Some(ConnectError::NoResources)
    );
    assert_eq!(bench.close(id), None);
    assert_eq!(bench.state(id), Some(CmState::TimeWait));
    let (second, _) = bench.connect(2);
    assert_eq!((bench.state(id), bench.cm.counters().evicted), (None, 1));
    assert_eq!(
        bench.receive(&peer(3), &request(3, 1)).rej().reason,
        RejectReason::NO_RESOURCES_AVAILABLE
    );
    assert_eq!(bench.state(second), Some(CmState::ReqSent));
}

/// Judges rule: each transaction has an id of its own, which its repetitions and answers repeat
#[test]
fn each_transaction_has_an_id_of_its_own() {
    let mut bench = Bench::idle(8);
    let mut ids = Vec::new();
    for number in 1..=3 {
        let (id, req) = bench.connect(number);
        let (_, rep) = bench.accepted(number, &req, 50 + u32::from(number));
        let rtu = parse(&bench.complete(id, QpOutcome::Moved).send.expect("an RTU"));
        assert_eq!(
            (rep.transaction_id, rtu.transaction_id),
            (req.transaction_id, req.transaction_id)
        );
        let started = bench.cm.disconnect(bench.now, id).expect("it is connected");
        let Disconnecting::Started(dreq) = started else {
            panic!("no DREQ")
        };
        ids.extend([req.transaction_id, parse(&dreq).transaction_id]);
    }
    let repeated = bench.pass(Duration::from_secs(2));
    assert_eq!(repeated.len(), 3);
    for seen in repeated {
        let Seen::Sent(_, dreq) = seen else {
            panic!("{seen:?}")
        };
        assert!(ids.contains(&dreq.transaction_id));
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 6, "{ids:x?}");
}
