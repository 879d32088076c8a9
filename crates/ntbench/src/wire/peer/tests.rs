//! Two peers on a wire; each wait is bounded by [`PATIENCE`].

use std::net::{Ipv4Addr, Ipv6Addr};

use roce_wire::cm::{MessageRejected, PrivateData, Rej, RejectReason};
use roce_wire::frame::{FrameError, GsiError};
use roce_wire::ip_cm::{IpCmError, IpCmHeader};
use roce_wire::num::Qpn;

use super::*;
use crate::wire::hub::HubConfig;

const PATIENCE: Duration = Duration::from_secs(10);
/// Long enough to be waited out, short enough to be waited out often.
const MOMENT: Duration = Duration::from_millis(20);

const A: (MacAddr, Ipv4Addr, Ipv6Addr) = station(1);
const B: (MacAddr, Ipv4Addr, Ipv6Addr) = station(2);

const fn station(last: u8) -> (MacAddr, Ipv4Addr, Ipv6Addr) {
    let v6 = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0x12, last as u16);
    (MacAddr([2, 0, 0, 0, 0, last]), Ipv4Addr::new(10, 0, 0, last), v6)
}

fn peer(hub: &Hub, name: &str, (mac, v4, v6): (MacAddr, Ipv4Addr, Ipv6Addr)) -> Peer {
    Peer::attach(
        hub,
        PeerConfig {
            name: name.into(),
            mac,
            addresses: vec![v4.into(), v6.into()],
        },
    )
}

/// Two peers that know each other.
fn two() -> (Hub, Peer, Peer) {
    let hub = Hub::new(HubConfig::default()).expect("a thread can be started");
    let (a, b) = (peer(&hub, "a", A), peer(&hub, "b", B));
    for (peer, other) in [(&a, B), (&b, A)] {
        peer.add_neighbour(other.1.into(), other.0);
        peer.add_neighbour(other.2.into(), other.0);
    }
    (hub, a, b)
}

fn reject(b: &Peer, heard: &Heard, data: &[u8]) {
    let rej = Rej {
        remote_comm_id: heard.mad.message.local_comm_id(),
        reason: RejectReason::CONSUMER_REJECT,
        private_data: PrivateData::new(data).expect("fits"),
        ..Rej::default()
    };
    b.send_message(heard.from, &CmMad::new(heard.mad.transaction_id, rej))
        .expect("it knows the way");
}

#[test]
fn a_request_arrives_and_is_rejected_over_either_family() {
    for target in [SocketAddr::from((B.1, 445)), SocketAddr::from((B.2, 445))] {
        let (_hub, a, b) = two();
        let attempt = a.connect(target, b"hello").expect("it knows the way");
        let heard = b.wait_message(PATIENCE, |_| true).expect("the request");
        let CmMessage::Req(req) = heard.mad.message else {
            panic!("{heard:?}")
        };
        assert_eq!(req, attempt.req);
        assert_eq!(req.service_id.to_port().map(|(_, port)| port), Some(445));
        let (header, data) = IpCmHeader::parse(&req.private_data).expect("an IP CM header");
        assert_eq!(
            (header.addresses.source(), header.addresses.destination()),
            (heard.from, target.ip())
        );
        assert_eq!(data[..6], *b"hello\0");
        reject(&b, &heard, b"no");
        let answer = a.wait_answer(&attempt, PATIENCE).expect("the reject");
        let CmMessage::Rej(rej) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(rej.reason, RejectReason::CONSUMER_REJECT);
        assert_eq!(rej.private_data, PrivateData::new(b"no").expect("fits"));
        assert_eq!(a.messages()[0].mad.transaction_id, attempt.transaction_id());
    }
}

#[test]
fn a_retransmitted_request_is_the_same_but_for_its_packet_number() {
    let (hub, a, b) = two();
    let attempt = a.connect((B.1, 1).into(), b"").expect("it knows the way");
    a.send(&attempt).expect("it knows the way");
    assert!(hub.settle(PATIENCE));
    let heard = b.messages();
    assert_eq!(heard.len(), 2);
    assert_eq!(heard[0], heard[1]);
    assert_ne!(b.frames()[0], b.frames()[1]);
}

#[test]
fn silence_is_a_timeout() {
    let (_hub, a, _b) = two();
    let attempt = a.connect((B.1, 1).into(), b"").expect("it knows the way");
    assert_eq!(a.wait_answer(&attempt, MOMENT), Err(PeerError::Timeout(MOMENT)));
    let open = a
        .persist(std::slice::from_ref(&attempt), 2, MOMENT)
        .expect("it knows the way");
    assert_eq!(open, [&attempt]);
}

#[test]
fn each_answer_belongs_to_its_request() {
    let (hub, a, b) = two();
    let attempts = a
        .flood((B.1, 1).into(), 300, |index| index.to_be_bytes().to_vec())
        .expect("it knows the way");
    assert!(hub.settle(PATIENCE));
    let heard = b.messages();
    assert_eq!(heard.len(), 300);
    for heard in heard.iter().rev() {
        reject(&b, heard, &heard.mad.message.local_comm_id().0.to_be_bytes());
    }
    assert!(
        a.persist(&attempts, 1, PATIENCE)
            .expect("it knows the way")
            .is_empty()
    );
    for attempt in &attempts {
        let answers = a.answers(attempt);
        assert_eq!(answers.len(), 1);
        assert!(
            answers[0]
                .private_data()
                .starts_with(&attempt.comm_id().0.to_be_bytes())
        );
    }
}

#[test]
fn what_is_lost_is_sent_again() {
    let hub = Hub::new(HubConfig {
        impairment: crate::wire::Impairment {
            seed: 1,
            loss: 0.3,
            ..Default::default()
        },
        ..HubConfig::default()
    })
    .expect("a thread can be started");
    let (a, b) = (peer(&hub, "a", A), peer(&hub, "b", B));
    a.add_neighbour(B.1.into(), B.0);
    b.add_neighbour(A.1.into(), A.0);
    let attempts = a
        .flood((B.1, 1).into(), 20, |_| Vec::new())
        .expect("it knows the way");
    let mut answered = 0;
    let mut open = attempts.len();
    for _ in 0..50 {
        assert!(hub.settle(PATIENCE));
        let heard = b.messages();
        heard[answered..].iter().for_each(|heard| reject(&b, heard, b""));
        answered = heard.len();
        assert!(hub.settle(PATIENCE));
        open = a.persist(&attempts, 1, MOMENT).expect("it knows the way").len();
        if open == 0 {
            break;
        }
        for attempt in attempts.iter().filter(|attempt| a.answers(attempt).is_empty()) {
            a.send(attempt).expect("it knows the way");
        }
    }
    assert_eq!(open, 0);
    assert!(hub.statistics().lost > 0);
}

#[test]
fn neighbours_answer_arp_and_solicitation() {
    let hub = Hub::new(HubConfig::default()).expect("a thread can be started");
    let (a, _b) = (peer(&hub, "a", A), peer(&hub, "b", B));
    let (v4, v6) = (SocketAddr::from((B.1, 1)), SocketAddr::from((B.2, 1)));
    for target in [v4, v6] {
        assert_eq!(
            a.connect(target, b""),
            Err(PeerError::UnknownNeighbour(target.ip()))
        );
        assert_eq!(a.resolve(target.ip(), PATIENCE), Ok(B.0));
        assert!(a.connect(target, b"").is_ok());
    }
    for nobody in [
        Ipv4Addr::new(10, 0, 0, 9).into(),
        IpAddr::from(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0x12, 9)),
    ] {
        assert_eq!(a.resolve(nobody, MOMENT), Err(PeerError::Timeout(MOMENT)));
    }
}

#[test]
fn what_cannot_be_sent_is_said() {
    let hub = Hub::new(HubConfig::default()).expect("a thread can be started");
    let a = Peer::attach(
        &hub,
        PeerConfig {
            name: "a".into(),
            mac: A.0,
            addresses: vec![A.1.into()],
        },
    );
    assert_eq!(
        a.connect((B.2, 1).into(), b""),
        Err(PeerError::NoSourceAddress(B.2.into()))
    );
    a.add_neighbour(B.1.into(), B.0);
    assert_eq!(
        a.connect((B.1, 1).into(), &[0; 57]),
        Err(PeerError::DataTooLong(57))
    );
    assert!(a.connect((B.1, 1).into(), &[0; 56]).is_ok());
}

#[test]
fn messages_after_a_request_name_it() {
    let (_hub, a, _b) = two();
    let attempt = a.attempt((B.1, 1).into(), b"").expect("it knows the way");
    let CmMessage::Rej(timeout) = attempt.give_up().message else {
        panic!("a REJ")
    };
    assert_eq!(timeout.reason, RejectReason::TIMEOUT);
    assert_eq!(timeout.message_rejected, MessageRejected::NO_MESSAGE);
    assert_eq!(timeout.ari(), [0, 0, 0, 0xff, 0xfe, 0, 0, 1]);
    let messages = [
        attempt.give_up(),
        attempt.abandon(RejectReason::CONSUMER_REJECT),
        attempt.reject_reply(CommId(5), RejectReason::CONSUMER_REJECT, &[1; 148]),
        attempt.ready(CommId(5)),
        attempt.disconnect(CommId(5), Qpn::truncated(6)),
    ];
    for mad in messages {
        assert_eq!(mad.transaction_id, attempt.transaction_id());
        assert_eq!(mad.message.local_comm_id(), attempt.comm_id());
    }
}

#[test]
fn a_damaged_request_has_exactly_that_damage() {
    let (hub, a, b) = two();
    let attempt = a.attempt((B.1, 1).into(), b"").expect("it knows the way");
    let damages = [
        Damage::Icrc,
        Damage::Cut(100),
        Damage::ShortDatagram(100),
        Damage::DestQp(Qpn::truncated(9)),
        Damage::QKey(9),
        Damage::BaseVersion(9),
        Damage::MgmtClass(9),
        Damage::ClassVersion(9),
        Damage::Method(9),
        Damage::Attribute(9),
    ];
    for damage in damages {
        a.send_damaged(&attempt, damage).expect("it knows the way");
    }
    assert!(hub.settle(PATIENCE));
    assert!(b.messages().is_empty());
    let frames = b.frames();
    assert_eq!(frames.len(), damages.len());
    assert!(matches!(Frame::parse(&frames[0]), Err(FrameError::Icrc { .. })));
    assert!(matches!(Frame::parse(&frames[1]), Err(FrameError::IpLength(308))));
    let gsi = |index: usize| {
        Frame::parse(&frames[index])
            .expect("a whole frame")
            .gsi_mad()
            .copied()
    };
    assert_eq!(gsi(2), Err(GsiError::Length(100)));
    assert_eq!(gsi(3), Err(GsiError::DestQp(Qpn::truncated(9))));
    assert_eq!(gsi(4), Err(GsiError::QKey(9)));
    for (index, damage) in damages.iter().enumerate().skip(5) {
        let error = CmMad::from_bytes(&gsi(index).expect("a datagram")).expect_err("no CM message");
        let (name, _) = format!("{error:?}")
            .split_once('(')
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .expect("a field");
        assert!(format!("{damage:?}").starts_with(&name), "{damage:?}: {error:?}");
    }
}

#[test]
fn messages_for_others_are_not_heard() {
    let (hub, a, b) = two();
    a.add_neighbour(Ipv4Addr::new(10, 0, 0, 77).into(), B.0);
    a.connect((Ipv4Addr::new(10, 0, 0, 77), 1).into(), b"")
        .expect("it knows the way");
    assert!(hub.settle(PATIENCE));
    assert!(b.messages().is_empty());
    assert_eq!(b.frames().len(), 1);
}

#[test]
fn a_request_can_be_changed_before_it_is_sent() {
    let (_hub, a, b) = two();
    let mut attempt = a.attempt((B.1, 1).into(), b"").expect("it knows the way");
    let mut bytes = *attempt.req.private_data.as_array();
    bytes[1] = 0x50;
    attempt.req.private_data = PrivateData::from_array(bytes);
    a.send(&attempt).expect("it knows the way");
    let heard = b
        .wait_message(PATIENCE, |heard| matches!(heard.mad.message, CmMessage::Req(_)))
        .expect("the request");
    let CmMessage::Req(req) = heard.mad.message else {
        panic!("{heard:?}")
    };
    assert_eq!(
        IpCmHeader::parse(&req.private_data).err(),
        Some(IpCmError::IpVersion(5))
    );
}
