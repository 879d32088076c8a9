//! `NdkReject` of the real `vrnic.sys`: every row of the table in the book's chapter "Reject" that needs no queue pair.

use crate::support::{
    PATIENCE, assert_rejected, is_quiet, listen, machine, next, open, pattern, reject_at, rejection,
};
use ndk_sys::{
    STATUS_CONNECTION_ABORTED, STATUS_CONNECTION_INVALID, STATUS_INVALID_BUFFER_SIZE,
    STATUS_INVALID_DEVICE_STATE, STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
};
use ntbench::cpu::irql::{DISPATCH_LEVEL, PASSIVE_LEVEL};
use ntbench::machine::{v4, v6};
use roce_wire::cm::{CmMessage, RejectReason};
use roce_wire::num::Qpn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const BOTH_IRQLS: [u8; 2] = [PASSIVE_LEVEL, DISPATCH_LEVEL];

/// Judges functions: NdkReject
/// Judges rule: a reject carries up to MaxCalleeData bytes of private data
#[test]
fn private_data_of_every_length_reaches_the_peer() {
    let machine = machine();
    let ndk = open(&machine);
    let peer = machine.peer();
    for target in [v4(7000), v6(7000)] {
        let incoming = listen(&ndk, target);
        for irql in BOTH_IRQLS {
            for length in [0, 1, 147, 148] {
                let attempt = peer.connect(target, b"hello").expect("there is a way");
                let connector = next(&incoming);
                let data = pattern(length);
                assert_eq!(
                    reject_at(&machine, irql, &connector, &data),
                    STATUS_SUCCESS,
                    "{length} at IRQL {irql}"
                );
                assert_rejected(&peer, &attempt, &data);
            }
        }
    }
}

/// Judges functions: NdkReject, NdkCloseConnector
/// Judges rule: a connector may be rejected and closed inside its connect event
#[test]
fn a_consumer_may_reject_inside_the_connect_event() {
    let machine = machine();
    let ndk = open(&machine);
    let statuses = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&statuses);
    let listener = ndk
        .create_listener(move |connector| seen.lock().expect("no panic").push(connector.reject(b"no")))
        .expect("a listener is made");
    listener.listen(v4(7001)).expect("the address is free");
    let peer = machine.peer();
    let attempt = peer.connect(v4(7001), b"").expect("there is a way");
    assert_rejected(&peer, &attempt, b"no");
    machine.kernel().settle();
    assert_eq!(*statuses.lock().expect("no panic"), [STATUS_SUCCESS]);
}

/// Judges rule: a reject with too much data answers INVALID_BUFFER_SIZE and changes nothing
#[test]
fn too_much_data_changes_nothing() {
    let machine = machine();
    let ndk = open(&machine);
    let incoming = listen(&ndk, v4(7002));
    let peer = machine.peer();
    for irql in BOTH_IRQLS {
        let attempt = peer.connect(v4(7002), b"").expect("there is a way");
        let connector = next(&incoming);
        for length in [149, 196, 4096] {
            let status = reject_at(&machine, irql, &connector, &pattern(length));
            assert_eq!(status, STATUS_INVALID_BUFFER_SIZE, "{length}");
        }
        assert!(peer.answers(&attempt).is_empty(), "nothing was sent");
        assert_eq!(
            reject_at(&machine, irql, &connector, &pattern(148)),
            STATUS_SUCCESS,
            "still usable"
        );
        assert_rejected(&peer, &attempt, &pattern(148));
    }
}

#[test]
fn a_length_without_data_is_refused() {
    let machine = machine();
    let ndk = open(&machine);
    let incoming = listen(&ndk, v4(7003));
    let peer = machine.peer();
    let attempt = peer.connect(v4(7003), b"").expect("there is a way");
    let connector = next(&incoming);
    for length in [1, 148, 149, u32::MAX] {
        assert_eq!(
            connector.reject_raw(0, length),
            STATUS_INVALID_PARAMETER,
            "{length}"
        );
    }
    assert!(peer.answers(&attempt).is_empty(), "nothing was sent");
    assert_eq!(connector.reject(b""), STATUS_SUCCESS, "still usable");
    assert_rejected(&peer, &attempt, b"");
}

/// Judges rule: a second reject answers INVALID_DEVICE_STATE
#[test]
fn the_second_reject_finds_the_state_changed() {
    let machine = machine();
    let ndk = open(&machine);
    let incoming = listen(&ndk, v4(7004));
    let peer = machine.peer();
    for irql in BOTH_IRQLS {
        let attempt = peer.connect(v4(7004), b"").expect("there is a way");
        let connector = next(&incoming);
        assert_eq!(reject_at(&machine, irql, &connector, b"first"), STATUS_SUCCESS);
        assert_eq!(
            reject_at(&machine, irql, &connector, b"second"),
            STATUS_INVALID_DEVICE_STATE
        );
        assert_rejected(&peer, &attempt, b"first");
        drop(connector);
        machine.kernel().settle();
        assert_eq!(
            peer.answers(&attempt).len(),
            1,
            "closing a rejected connector sends nothing"
        );
    }
}

/// Judges functions: NdkCreateConnector, NdkReject
/// Judges rule: a connector that never connected cannot be rejected
#[test]
fn a_connector_that_never_connected_has_nothing_to_reject() {
    let machine = machine();
    let ndk = open(&machine);
    let connector = ndk.create_connector().expect("a connector is made");
    for irql in BOTH_IRQLS {
        assert_eq!(
            reject_at(&machine, irql, &connector, b"no"),
            STATUS_INVALID_DEVICE_STATE
        );
    }
    assert_eq!(
        connector.get_connection_data(Some(56), 56).status,
        STATUS_CONNECTION_INVALID
    );
    assert_eq!(connector.peer_address(), Err(STATUS_CONNECTION_INVALID));
    assert_eq!(connector.local_address(), Err(STATUS_CONNECTION_INVALID));
}

/// Judges rule: a reject of a request that the peer has abandoned answers CONNECTION_ABORTED
#[test]
fn a_peer_that_gave_up_is_reported() {
    let machine = machine();
    let ndk = open(&machine);
    let incoming = listen(&ndk, v4(7005));
    let peer = machine.peer();
    for irql in BOTH_IRQLS {
        for how in ["timeout", "other reason", "disconnect"] {
            let attempt = peer.connect(v4(7005), b"").expect("there is a way");
            let connector = next(&incoming);
            let farewell = match how {
                "timeout" => attempt.give_up(),
                "other reason" => attempt.abandon(RejectReason::CONSUMER_REJECT),
                _ => attempt.disconnect(roce_wire::cm::CommId(0), Qpn::truncated(0)),
            };
            peer.send_message(v4(0).ip(), &farewell).expect("there is a way");
            assert!(machine.hub().settle(PATIENCE));
            machine.kernel().settle();
            let status = reject_at(&machine, irql, &connector, b"too late");
            assert_eq!(status, STATUS_CONNECTION_ABORTED, "{how} at IRQL {irql}");
            assert_eq!(
                connector.reject(b"again"),
                STATUS_CONNECTION_ABORTED,
                "{how}: and it stays so"
            );
            let rejected = |message: &CmMessage| matches!(message, CmMessage::Rej(_));
            assert!(
                !peer.answers(&attempt).iter().any(rejected),
                "{how}: no REJ for a peer that has gone"
            );
        }
    }
}

#[test]
fn a_repeated_request_gets_the_same_answer_again() {
    let machine = machine();
    let ndk = open(&machine);
    let incoming = listen(&ndk, v4(7006));
    let peer = machine.peer();
    let attempt = peer.connect(v4(7006), b"").expect("there is a way");
    let connector = next(&incoming);
    assert_eq!(connector.reject(b"the answer"), STATUS_SUCCESS);
    assert_rejected(&peer, &attempt, b"the answer");
    drop(connector);
    for repetition in 2..5 {
        peer.send(&attempt).expect("there is a way");
        let answers = peer
            .wait_answers(&attempt, repetition, PATIENCE)
            .expect("it is answered again");
        assert_eq!(answers[repetition - 1], answers[0], "bit for bit");
    }
    assert!(is_quiet(&incoming), "the consumer does not hear of it");
}

/// Judges rule: a consumer may take as long as it wants to answer a request
#[test]
fn a_slow_consumer_is_not_hurried() {
    let machine = machine();
    let ndk = open(&machine);
    let incoming = listen(&ndk, v4(7007));
    let peer = machine.peer();
    let attempt = peer.connect(v4(7007), b"").expect("there is a way");
    let connector = next(&incoming);
    peer.send(&attempt).expect("there is a way");
    let answer = peer
        .wait_answer(&attempt, PATIENCE)
        .expect("the peer is told to wait");
    assert!(matches!(answer, CmMessage::Mra(_)), "{answer:?}");
    assert_eq!(connector.reject(b"at last"), STATUS_SUCCESS);
    let answers = peer
        .wait_answers(&attempt, 2, PATIENCE)
        .expect("and then rejected");
    assert!(matches!(answers[1], CmMessage::Rej(_)), "{answers:?}");
    assert!(is_quiet(&incoming), "one connect event for one request");
}

/// Judges functions: NdkCloseConnector
/// Judges rule: closing a connector whose request is not answered rejects it
#[test]
fn closing_an_unanswered_connector_rejects_it() {
    let machine = machine();
    let ndk = open(&machine);
    let incoming = listen(&ndk, v4(7008));
    let peer = machine.peer();
    let attempt = peer.connect(v4(7008), b"").expect("there is a way");
    next(&incoming).close();
    assert_rejected(&peer, &attempt, b"");
    let attempt = peer.connect(v4(7008), b"").expect("there is a way");
    let connector = next(&incoming);
    let closing = machine
        .kernel()
        .run_at(DISPATCH_LEVEL, 1, || connector.start_close());
    closing.wait();
    assert_rejected(&peer, &attempt, b"");
}

#[test]
fn rejects_on_two_processors_do_not_disturb_each_other() {
    const EACH: usize = 100;
    let machine = machine();
    let ndk = open(&machine);
    let incoming = listen(&ndk, v4(7009));
    let peer = machine.peer();
    let attempts = peer
        .flood(v4(7009), 2 * EACH, |_| Vec::new())
        .expect("there is a way");
    let connectors: Vec<_> = attempts.iter().map(|_| next(&incoming)).collect();
    let succeeded = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for (vp, half) in connectors.chunks(EACH).enumerate() {
            let (machine, succeeded) = (&machine, &succeeded);
            scope.spawn(move || {
                for (at, connector) in half.iter().enumerate() {
                    let irql = if at % 2 == 0 {
                        PASSIVE_LEVEL
                    } else {
                        DISPATCH_LEVEL
                    };
                    let status = machine.kernel().run_at(irql, vp, || connector.reject(b"no"));
                    succeeded.fetch_add(usize::from(status == STATUS_SUCCESS), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(succeeded.into_inner(), 2 * EACH);
    for attempt in &attempts {
        assert_eq!(rejection(&peer, attempt).reason, RejectReason::CONSUMER_REJECT);
    }
}
