//! What the wire may do to the driver: floods, repetitions, and datagrams that are wrong. Nothing is lost, leaked or hung.

use crate::support::{
    PATIENCE, assert_rejected, eventually, is_quiet, listen, machine, next, open, pattern, rejection,
};
use ndk_sys::STATUS_SUCCESS;
use ntbench::machine::v4;
use ntbench::ndk::{Connector, Incoming};
use ntbench::wire::peer::{Attempt, Damage};
use roce_wire::cm::{CmMad, CmMessage, CommId, Drep, Mra, Rej, RejectReason, Rep, Rtu};
use roce_wire::num::Qpn;
use std::time::Duration;

/// After this many rounds of a second each a real peer would still go on; here everything is answered by then.
const ROUNDS: u32 = 10;

/// The connector of the next request; `remind` is called each time that none comes for a second.
fn next_or(incoming: &Incoming, mut remind: impl FnMut()) -> Connector {
    for _ in 0..ROUNDS {
        if let Some(connector) = incoming.next_within(Duration::from_secs(1)) {
            return connector;
        }
        remind();
    }
    panic!("no connection request arrives")
}

#[test]
fn a_thousand_requests_in_flight_on_two_listeners() {
    const EACH: usize = 500;
    let machine = machine();
    let ndk = open(&machine);
    let listeners = [listen(&ndk, v4(7300)), listen(&ndk, v4(7301))];
    let peer = machine.peer();
    let mut attempts: Vec<Attempt> = Vec::new();
    for port in [7300, 7301] {
        let data = |at: usize| u32::try_from(at).expect("small").to_be_bytes().to_vec();
        attempts.extend(peer.flood(v4(port), EACH, data).expect("there is a way"));
    }
    let mut held = Vec::new();
    for incoming in &listeners {
        held.extend((0..EACH).map(|_| {
            next_or(incoming, || {
                drop(peer.persist(&attempts, 2, Duration::from_millis(50)));
            })
        }));
    }
    assert_eq!(
        held.len(),
        2 * EACH,
        "all of them wait for the consumer at the same time"
    );
    for connector in &held {
        let data = connector.connection_data().expect("it has data").private_data;
        assert_eq!(connector.reject(&data[..4]), STATUS_SUCCESS);
    }
    assert!(
        peer.persist(&attempts, ROUNDS, Duration::from_secs(1))
            .expect("there is a way")
            .is_empty()
    );
    for (at, attempt) in attempts.iter().enumerate() {
        let expected = u32::try_from(at % EACH).expect("small").to_be_bytes();
        let last = *peer.answers(attempt).last().expect("it is answered");
        let CmMessage::Rej(rej) = last else {
            panic!("the last answer is {last:?}")
        };
        assert_eq!(
            rej.private_data.as_array()[..4],
            expected,
            "each gets its own data back"
        );
    }
}

#[test]
fn a_flood_beyond_the_backlog_is_refused_and_the_listener_survives() {
    /// Small enough for the device's receive ring, which drops what does not fit.
    const WAVE: usize = 250;
    let machine = machine();
    let ndk = open(&machine);
    let incoming = listen(&ndk, v4(7302));
    let peer = machine.peer();
    let mut attempts = Vec::new();
    for _ in 0..12 {
        attempts.extend(
            peer.flood(v4(7302), WAVE, |_| Vec::new())
                .expect("there is a way"),
        );
        assert!(machine.hub().settle(PATIENCE));
        machine.kernel().settle();
    }
    let refused = |attempt: &&Attempt| {
        let answers = peer.answers(attempt);
        answers.iter().any(|answer| matches!(answer, CmMessage::Rej(rej) if rej.reason == RejectReason::NO_RESOURCES_AVAILABLE))
    };
    assert!(
        attempts.iter().filter(refused).count() > 0,
        "the backlog has an end"
    );
    let mut served = 0;
    while let Some(connector) = incoming.next_within(crate::support::QUIET) {
        assert_eq!(connector.reject(b"busy"), STATUS_SUCCESS);
        served += 1;
    }
    assert!(served > 0);
    let attempt = peer.connect(v4(7302), b"").expect("there is a way");
    assert_eq!(next(&incoming).reject(b"open again"), STATUS_SUCCESS);
    assert_rejected(&peer, &attempt, b"open again");
}

#[test]
fn damaged_datagrams_are_dropped_and_counted() {
    let machine = machine();
    let ndk = open(&machine);
    let incoming = listen(&ndk, v4(7303));
    let peer = machine.peer();
    let attempt = peer.attempt(v4(7303), b"damaged").expect("there is a way");
    let mut damages = vec![
        Damage::Icrc,
        Damage::ShortDatagram(0),
        Damage::ShortDatagram(24),
        Damage::ShortDatagram(255),
        Damage::DestQp(Qpn::truncated(0)),
        Damage::DestQp(Qpn::truncated(0xFF_FFFF)),
        Damage::QKey(0),
        Damage::BaseVersion(2),
        Damage::MgmtClass(0x03),
        Damage::ClassVersion(9),
        Damage::Method(0x81),
        Damage::Attribute(0x0017),
        Damage::Attribute(0xFFFF),
    ];
    damages.extend((0..322).map(Damage::Cut));
    for &damage in &damages {
        peer.send_damaged(&attempt, damage).expect("there is a way");
    }
    assert!(machine.hub().settle(PATIENCE));
    machine.kernel().settle();
    assert!(is_quiet(&incoming), "no request came of it");
    let counted = machine.nic().statistics();
    // What is cut off so that it is no datagram any more is left to the host's stack.
    let not_rdma = counted.drop_malformed.get() + counted.eth_in_frames.get();
    assert!(counted.drop_icrc.get() >= 1 && not_rdma >= 300, "{counted:?}");
    peer.send(&attempt).expect("there is a way");
    assert_eq!(next(&incoming).reject(b"whole"), STATUS_SUCCESS);
    // Some of the damaged ones were answered, with other reasons.
    let rejected = |answer: &CmMessage| matches!(answer, CmMessage::Rej(rej) if rej.reason == RejectReason::CONSUMER_REJECT);
    eventually("the whole one is rejected", || {
        peer.answers(&attempt).iter().any(rejected)
    });
}

#[test]
fn messages_about_unknown_connections_do_no_harm() {
    let machine = machine();
    let ndk = open(&machine);
    let incoming = listen(&ndk, v4(7304));
    let peer = machine.peer();
    let (ours, theirs) = (CommId(0x1234_5678), CommId(0x8765_4321));
    let messages: [CmMessage; 6] = [
        Rej {
            local_comm_id: ours,
            remote_comm_id: theirs,
            ..Rej::default()
        }
        .into(),
        Rep {
            local_comm_id: ours,
            remote_comm_id: theirs,
            ..Rep::default()
        }
        .into(),
        Rtu {
            local_comm_id: ours,
            remote_comm_id: theirs,
            ..Rtu::default()
        }
        .into(),
        Mra {
            local_comm_id: ours,
            remote_comm_id: theirs,
            ..Mra::default()
        }
        .into(),
        Drep {
            local_comm_id: ours,
            remote_comm_id: theirs,
            ..Drep::default()
        }
        .into(),
        Rej::default().into(),
    ];
    for message in messages {
        peer.send_message(v4(0).ip(), &CmMad::new(7, message))
            .expect("there is a way");
    }
    let held = peer.connect(v4(7304), b"").expect("there is a way");
    let connector = next(&incoming);
    // Another peer must not be able to end this one's connection by guessing ids.
    let stranger = machine.peer();
    for guess in [
        held.give_up(),
        held.abandon(RejectReason::CONSUMER_REJECT),
        held.disconnect(CommId(0), Qpn::truncated(0)),
    ] {
        stranger.send_message(v4(0).ip(), &guess).expect("there is a way");
    }
    assert!(machine.hub().settle(PATIENCE));
    machine.kernel().settle();
    assert_eq!(connector.reject(&pattern(3)), STATUS_SUCCESS);
    assert_rejected(&peer, &held, &pattern(3));
}

#[test]
fn requests_that_lie_about_themselves_are_refused() {
    let machine = machine();
    let ndk = open(&machine);
    let incoming = listen(&ndk, v4(7305));
    let peer = machine.peer();
    let lie = |change: &dyn Fn(&mut Attempt)| {
        let mut attempt = peer.attempt(v4(7305), b"").expect("there is a way");
        change(&mut attempt);
        peer.send(&attempt).expect("there is a way");
        let reason = rejection(&peer, &attempt).reason;
        assert_ne!(reason, RejectReason::CONSUMER_REJECT, "refused by the driver");
    };
    lie(&|attempt| attempt.req.service_id.0 = 0);
    lie(&|attempt| attempt.req.service_id.0 = u64::MAX);
    lie(&|attempt| attempt.req.transport_service = roce_wire::cm::TransportService::UC);
    lie(&|attempt| attempt.req.private_data = roce_wire::cm::PrivateData::EMPTY);
    assert!(is_quiet(&incoming), "the consumer hears of none of them");
}
