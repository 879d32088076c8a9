//! The consumer says no: the rows of the design's table that need no queue pair.

use roce_wire::cm::{MessageRejected, PrivateData};

use super::*;

fn held() -> (Bench, ConnectionId) {
    let (mut bench, _) = Bench::listening(8, 8);
    let id = bench.request(&peer(1), &request(1, 77)).connection;
    (bench, id)
}

#[test]
fn the_rej_says_what_the_consumer_says() {
    for length in [0, 1, 147, 148] {
        let (mut bench, id) = held();
        let data: Vec<u8> = (1..=length).collect();
        let send = bench.reject(id, &data, SendOutcome::Sent).expect("held");
        assert_eq!(send.to, peer(1));
        let mad = parse(&send);
        assert_eq!(mad.transaction_id, request(1, 77).transaction_id);
        let CmMessage::Rej(rej) = mad.message else {
            panic!("{mad:?}")
        };
        assert_ne!(rej.local_comm_id, CommId(0));
        let expected = Rej {
            local_comm_id: rej.local_comm_id,
            remote_comm_id: CommId(77),
            message_rejected: MessageRejected::REQ,
            reason: RejectReason::CONSUMER_REJECT,
            private_data: PrivateData::new(&data).expect("it fits"),
            ..Rej::default()
        };
        assert_eq!(rej, expected, "{length}");
    }
}

#[test]
fn too_much_data_leaves_the_request_as_it_was() {
    let (mut bench, id) = held();
    assert_eq!(
        bench.reject(id, &[1; 149], SendOutcome::Sent),
        Err(RejectError::TooLong)
    );
    assert_eq!(bench.receive(&peer(1), &request(1, 77)).message().name(), "MRA");
    assert!(bench.reject(id, &[1; 148], SendOutcome::Sent).is_ok());
}

#[test]
fn nothing_is_rejected_twice() {
    for outcome in [SendOutcome::Sent, SendOutcome::Failed] {
        let (mut bench, id) = held();
        assert!(bench.reject(id, &[], outcome).is_ok());
        assert_eq!(bench.reject(id, &[], outcome), Err(RejectError::InvalidState));
        assert_eq!(bench.close(id), None);
        bench.pass(Duration::from_secs(1000));
        assert_eq!(bench.reject(id, &[], outcome), Err(RejectError::InvalidState));
        assert_eq!(bench.close(id), None);
    }
}

#[test]
fn a_reject_that_the_device_did_not_take_can_be_tried_again() {
    let (mut bench, id) = held();
    assert!(bench.reject(id, b"first", SendOutcome::NotSent).is_ok());
    assert_eq!(
        bench.pass(Duration::from_secs(3)).len(),
        1,
        "the MRA is still due"
    );
    let send = bench
        .reject(id, b"second", SendOutcome::Sent)
        .expect("held again");
    let CmMessage::Rej(rej) = parse(&send).message else {
        panic!("{send:?}")
    };
    assert_eq!(rej.private_data, PrivateData::new(b"second").expect("it fits"));
}

#[test]
fn the_device_may_know_first_that_the_peer_has_abandoned() {
    let (mut bench, id) = held();
    assert!(bench.reject(id, &[], SendOutcome::PeerAbandoned).is_ok());
    assert_eq!(
        bench.reject(id, &[], SendOutcome::Sent),
        Err(RejectError::Aborted)
    );
    assert_eq!(bench.cm.counters().abandoned, 1);
}

/// Judges rule: a repeated REQ gets the same REJ (IBTA 12.9)
#[test]
fn a_repeated_request_gets_the_same_rej_until_it_is_forgotten() {
    for (waited, kept) in [(Duration::ZERO, 9), (Duration::from_secs(3), 146)] {
        let (mut bench, id) = held();
        bench.pass(waited);
        let sent = bench.reject(id, b"no", SendOutcome::Sent).expect("held");
        for _ in 0..5 {
            bench.pass(Duration::from_secs(kept));
            match bench.cm.receive(bench.now, &peer(1), &request(1, 77).to_bytes()) {
                Reaction {
                    send: Some(again),
                    event: None,
                } => assert_eq!(again, sent),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(
            bench.cm.counters().connect_requests,
            1,
            "the consumer sees it once"
        );
        bench.pass(Duration::from_secs(kept + 2));
        assert_eq!(bench.cm.connections(), 0);
        assert_ne!(bench.request(&peer(1), &request(1, 77)).connection, id);
    }
}

#[test]
fn while_a_reject_is_under_way_nothing_else_answers() {
    let (mut bench, id) = held();
    let RejectPlan { send, token } = bench.cm.prepare_reject(id, b"no").expect("held");
    assert_eq!(
        bench.cm.prepare_reject(id, b"me too").map(|plan| plan.send),
        Err(RejectError::InvalidState)
    );
    assert!(matches!(bench.receive(&peer(1), &request(1, 77)), Seen::Nothing));
    assert!(bench.pass(Duration::from_secs(100)).is_empty());
    bench.cm.finish_reject(bench.now, token, SendOutcome::Sent);
    match bench.cm.receive(bench.now, &peer(1), &request(1, 77).to_bytes()) {
        Reaction {
            send: Some(again),
            event: None,
        } => assert_eq!(again, send),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_peer_abandons_while_a_reject_is_under_way() {
    for (outcome, after) in [
        (SendOutcome::Sent, RejectError::InvalidState),
        (SendOutcome::Failed, RejectError::InvalidState),
        (SendOutcome::NotSent, RejectError::Aborted),
        (SendOutcome::PeerAbandoned, RejectError::Aborted),
    ] {
        let (mut bench, id) = held();
        let plan = bench.cm.prepare_reject(id, &[]).expect("held");
        bench.receive(&peer(1), &gives_up(77, CommId(0)));
        bench.cm.finish_reject(bench.now, plan.token, outcome);
        assert_eq!(
            bench.reject(id, &[], SendOutcome::Sent),
            Err(after),
            "{outcome:?}"
        );
        bench.close(id);
        bench.pass(Duration::from_secs(1000));
        assert_eq!(bench.cm.connections(), 0);
    }
}

#[test]
fn the_peer_reuses_the_id_while_a_reject_is_under_way() {
    for outcome in [
        SendOutcome::Sent,
        SendOutcome::NotSent,
        SendOutcome::PeerAbandoned,
        SendOutcome::Failed,
    ] {
        let (mut bench, id) = held();
        let plan = bench.cm.prepare_reject(id, &[]).expect("held");
        let again = CmMad {
            transaction_id: 1,
            ..request(1, 77)
        };
        let second = bench.request(&peer(1), &again).connection;
        bench.cm.finish_reject(bench.now, plan.token, outcome);
        bench.close(id);
        assert_eq!(bench.cm.connections(), 1, "{outcome:?}");
        assert!(bench.reject(second, &[], SendOutcome::Sent).is_ok());
    }
}

#[test]
fn the_connector_is_closed_while_a_reject_is_under_way() {
    for outcome in [
        SendOutcome::Sent,
        SendOutcome::NotSent,
        SendOutcome::PeerAbandoned,
        SendOutcome::Failed,
    ] {
        let (mut bench, id) = held();
        let plan = bench.cm.prepare_reject(id, b"no").expect("held");
        assert_eq!(bench.close(id), None, "the reject under way is the answer");
        bench.cm.finish_reject(bench.now, plan.token, outcome);
        assert_eq!(
            bench.reject(id, &[], SendOutcome::Sent),
            Err(RejectError::InvalidState),
            "{outcome:?}"
        );
        // Whatever became of it, the peer hears it when it asks again, and the consumer does not.
        let rej = bench.receive(&peer(1), &request(1, 77)).rej();
        assert_eq!(rej.private_data, PrivateData::new(b"no").expect("it fits"));
        bench.pass(Duration::from_secs(1000));
        assert_eq!(bench.cm.connections(), 0);
    }
}

#[test]
fn closing_an_unanswered_connector_rejects() {
    let (mut bench, id) = held();
    let send = bench.close(id).expect("an implicit reject");
    let CmMessage::Rej(rej) = parse(&send).message else {
        panic!("{send:?}")
    };
    assert_eq!(
        (rej.reason, rej.private_data),
        (RejectReason::CONSUMER_REJECT, PrivateData::EMPTY)
    );
    assert_eq!(bench.close(id), None);
    assert_eq!(bench.receive(&peer(1), &request(1, 77)).rej(), rej);
}

/// The peer has given up, so that it gets no REJ of its own accord. If it asks again after all, it hears what was rejected.
#[test]
fn closing_what_the_peer_has_abandoned_is_remembered() {
    let (mut bench, id) = held();
    bench.receive(&peer(1), &gives_up(77, CommId(0)));
    assert_eq!(bench.state(id), Some(CmState::Aborted));
    assert_eq!(bench.close(id), None);
    let rej = bench.receive(&peer(1), &request(1, 77)).rej();
    assert_eq!(rej.message_rejected, MessageRejected::REQ);

    let mut bench = Bench::idle(8);
    let (id, req) = bench.connect(1);
    let (_, rep) = bench.accepted(1, &req, 55);
    bench.receive(&peer(1), &gives_up(55, req.message.local_comm_id()));
    assert_eq!(bench.state(id), Some(CmState::Aborted));
    assert_eq!(bench.close(id), None);
    let rej = bench.receive(&peer(1), &rep).rej();
    assert_eq!(rej.message_rejected, MessageRejected::REP);
}

#[test]
fn a_request_without_a_connector_is_refused() {
    let (mut bench, id) = held();
    let send = bench.cm.refuse(bench.now, id).expect("a REJ");
    let CmMessage::Rej(rej) = parse(&send).message else {
        panic!("{send:?}")
    };
    assert_eq!(rej.reason, RejectReason::NO_RESOURCES_AVAILABLE);
    assert_eq!(bench.receive(&peer(1), &request(1, 77)).rej(), rej);
}
