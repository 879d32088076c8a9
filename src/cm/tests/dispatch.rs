//! What is answered without a connection, and what is not answered at all.

use roce_wire::cm::{
    AttributeId, CLASS_VERSION, Drep, Dreq, MessageRejected, Mra, PrivateData, Rep, Rtu, TransportService,
};

use super::*;

/// Judges rule: a REQ that cannot be served is rejected with the reason of IBTA table 108
#[test]
fn a_request_that_cannot_be_served_gets_the_reason() {
    type Spoil = fn(&mut Req);
    let v6 = |req: &mut Req| {
        let addresses = IpCmAddresses::V6 {
            source: peer_ip(1).to_ipv6_compatible(),
            destination: LOCAL.to_ipv6_compatible(),
        };
        let header = IpCmHeader {
            source_port: 1,
            addresses,
        };
        req.private_data = header.private_data(&[]).expect("it fits");
    };
    let cases: [(Spoil, RejectReason); 8] = [
        (
            |req| req.transport_service = TransportService::UC,
            RejectReason::INVALID_TRANSPORT_SERVICE_TYPE,
        ),
        (
            |req| req.service_id = ServiceId::from_port(PortSpace::TCP, PORT + 1),
            RejectReason::INVALID_SERVICE_ID,
        ),
        (
            |req| req.service_id = ServiceId::from_port(PortSpace::UDP, PORT),
            RejectReason::INVALID_SERVICE_ID,
        ),
        (
            |req| req.service_id = ServiceId(0x4711),
            RejectReason::INVALID_SERVICE_ID,
        ),
        (
            |req| req.private_data = PrivateData::from_array([0xff; 92]),
            RejectReason::UNSUPPORTED_REQUEST,
        ),
        (
            |req| {
                *req = Req {
                    local_comm_id: CommId(77),
                    ..super::req(2, 77)
                }
            },
            RejectReason::UNSUPPORTED_REQUEST,
        ),
        (v6, RejectReason::PRIMARY_REMOTE_PORT_GID_REJECTED),
        (
            |req| req.path_mtu = Mtu::truncated(9),
            RejectReason::INVALID_PATH_MTU,
        ),
    ];
    for (spoil, reason) in cases {
        let (mut bench, _) = Bench::listening(4, 4);
        let mut req = req(1, 77);
        spoil(&mut req);
        let Seen::Sent(to, mad) = bench.receive(&peer(1), &CmMad::new(4, req)) else {
            panic!("{reason:?}: no answer")
        };
        assert_eq!((to, mad.transaction_id), (peer(1), 4));
        let CmMessage::Rej(rej) = mad.message else {
            panic!("{mad:?}")
        };
        assert_eq!(rej.reason, reason);
        assert_eq!(
            (rej.message_rejected, rej.remote_comm_id),
            (MessageRejected::REQ, CommId(77))
        );
        assert_eq!(rej.local_comm_id, CommId(0), "we have no name for it");
        assert_eq!(bench.cm.connections(), 0);
        // It was that and nothing else.
        bench.request(&peer(1), &request(1, 77));
    }
}

/// Judges rule: a REQ of another class version is answered with ours (IBTA 12.6.7.2)
#[test]
fn another_class_version_is_named() {
    let (mut bench, _) = Bench::listening(4, 4);
    let mut mad = request(1, 77).to_bytes();
    mad[2] = 1;
    let rej = bench.receive_bytes(&peer(1), &mad).rej();
    assert_eq!(
        (rej.reason, rej.remote_comm_id),
        (RejectReason::INVALID_CLASS_VERSION, CommId(77))
    );
    assert_eq!(rej.ari(), [CLASS_VERSION]);
    // A REJ of another version is not worth a REJ.
    mad[16..18].copy_from_slice(&AttributeId::REJ.0.to_be_bytes());
    assert!(matches!(bench.receive_bytes(&peer(1), &mad), Seen::Nothing));
}

#[test]
fn what_is_no_message_of_the_cm_is_only_counted() {
    let (mut bench, _) = Bench::listening(4, 4);
    for (at, value) in [(0, 2), (1, 4), (3, 1), (17, 0x1b)] {
        let mut mad = request(1, 77).to_bytes();
        mad[at] = value;
        assert!(
            matches!(bench.receive_bytes(&peer(1), &mad), Seen::Nothing),
            "byte {at}"
        );
    }
    assert!(matches!(
        bench.receive_bytes(&peer(1), &[0xff; 256]),
        Seen::Nothing
    ));
    assert_eq!((bench.cm.counters().not_cm, bench.cm.connections()), (5, 0));
}

#[test]
fn messages_of_unknown_connections() {
    let (mut bench, _) = Bench::listening(4, 4);
    let (local_comm_id, remote_comm_id) = (CommId(5), CommId(6));
    for message in [
        CmMessage::from(Mra {
            local_comm_id,
            remote_comm_id,
            ..Mra::default()
        }),
        Rtu {
            local_comm_id,
            remote_comm_id,
            ..Rtu::default()
        }
        .into(),
        Drep {
            local_comm_id,
            remote_comm_id,
            ..Drep::default()
        }
        .into(),
        Rej {
            local_comm_id,
            remote_comm_id,
            ..Rej::default()
        }
        .into(),
    ] {
        assert!(
            matches!(bench.receive(&peer(1), &CmMad::new(1, message)), Seen::Nothing),
            "{message:?}"
        );
    }
    let rep = Rep {
        local_comm_id,
        remote_comm_id,
        ..Rep::default()
    };
    let rej = bench.receive(&peer(1), &CmMad::new(1, rep)).rej();
    assert_eq!(rej.reason, RejectReason::INVALID_COMMUNICATION_ID);
    assert_eq!(
        (rej.message_rejected, rej.remote_comm_id),
        (MessageRejected::REP, CommId(5))
    );
    let dreq = Dreq {
        local_comm_id,
        remote_comm_id,
        ..Dreq::default()
    };
    let CmMessage::Drep(reply) = bench.receive(&peer(1), &CmMad::new(1, dreq)).message() else {
        panic!("no DREP")
    };
    assert_eq!(
        (reply.local_comm_id, reply.remote_comm_id),
        (CommId(6), CommId(5))
    );
    assert_eq!(bench.cm.counters().unexpected, 6);
}
