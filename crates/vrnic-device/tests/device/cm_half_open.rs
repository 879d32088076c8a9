//! Which attempts the peer has abandoned, as `CM_SEND` sees it. (How entries age is tested beside the table.)

use roce_wire::cm::{
    CmMad, CmMessage, CommId, Drep, Dreq, MessageRejected, Mra, Rej, RejectReason, Rep, Req, Rtu,
};
use vrnic_abi::cmd::Status;
use vrnic_device::NicConfig;

use crate::rig::{OUR_IP, OUR_MAC, Rig, address, gsi_frame};

const PEER_ID: CommId = CommId(0x5EE5);
const OUR_ID: CommId = CommId(0x0AA0);

fn req() -> Req {
    Req {
        local_comm_id: PEER_ID,
        ..Req::default()
    }
}

/// The peer's REP to our REQ.
fn rep_from_peer() -> Rep {
    Rep {
        local_comm_id: PEER_ID,
        remote_comm_id: OUR_ID,
        ..Rep::default()
    }
}

fn rej_from_peer(local: CommId, remote: CommId) -> Rej {
    Rej {
        local_comm_id: local,
        remote_comm_id: remote,
        message_rejected: MessageRejected::NO_MESSAGE,
        reason: RejectReason::TIMEOUT,
        ..Rej::default()
    }
}

fn dreq_from_peer() -> Dreq {
    Dreq {
        local_comm_id: PEER_ID,
        remote_comm_id: OUR_ID,
        ..Dreq::default()
    }
}

fn our_rej() -> Rej {
    Rej {
        local_comm_id: OUR_ID,
        remote_comm_id: PEER_ID,
        ..Rej::default()
    }
}

fn our_rep() -> Rep {
    Rep {
        local_comm_id: OUR_ID,
        remote_comm_id: PEER_ID,
        ..Rep::default()
    }
}

fn our_mra() -> Mra {
    Mra {
        local_comm_id: OUR_ID,
        remote_comm_id: PEER_ID,
        ..Mra::default()
    }
}

impl Rig {
    /// As [`Rig::hear`], and the driver takes it.
    fn hear_and_take(&mut self, message: impl Into<CmMessage>) {
        self.hear(message);
        let event = self.take_event().expect("not delivered");
        self.consume_mads(event.number.get() + 1);
    }
}

#[test]
fn an_attempt_that_stands_can_be_answered() {
    for answer in [CmMessage::from(our_rej()), our_rep().into(), our_mra().into()] {
        let mut rig = Rig::cm();
        rig.hear_and_take(req());
        assert_eq!(rig.send(answer), Status::OK);
        assert_eq!(rig.host.take_frames().len(), 1);
        assert_eq!(rig.nic.statistics().cm_abandoned.get(), 0);
    }
}

#[test]
fn an_abandoned_attempt_cannot() {
    let endings = [
        CmMessage::from(rej_from_peer(PEER_ID, CommId(0))),
        rej_from_peer(PEER_ID, OUR_ID).into(),
        dreq_from_peer().into(),
    ];
    for ending in endings {
        for answer in [CmMessage::from(our_rej()), our_rep().into(), our_mra().into()] {
            let mut rig = Rig::cm();
            rig.hear_and_take(req());
            rig.hear_and_take(ending);
            assert_eq!(
                rig.send(answer),
                Status::PEER_ABANDONED,
                "{} after {}",
                answer.name(),
                ending.name()
            );
            assert_eq!(rig.send(answer), Status::PEER_ABANDONED, "it stays so");
            assert_eq!(rig.host.take_frames().len(), 0);
            assert_eq!(rig.nic.statistics().cm_abandoned.get(), 1);
        }
    }
}

#[test]
fn what_ends_or_starts_connections_is_always_sent() {
    let mut rig = Rig::cm();
    rig.hear_and_take(req());
    rig.hear_and_take(dreq_from_peer());
    let drep = Drep {
        local_comm_id: OUR_ID,
        remote_comm_id: PEER_ID,
        ..Drep::default()
    };
    assert_eq!(rig.send(drep), Status::OK);
    assert_eq!(
        rig.send(Req {
            local_comm_id: OUR_ID,
            ..Req::default()
        }),
        Status::OK
    );
    assert_eq!(rig.send(our_rej()), Status::PEER_ABANDONED);
}

#[test]
fn only_that_peer_and_that_id() {
    let mut rig = Rig::cm();
    rig.hear_and_take(req());
    rig.hear_and_take(rej_from_peer(CommId(0x9999), CommId(0)));
    let stranger = address("192.0.2.99".parse().unwrap(), OUR_IP);
    rig.nic.receive(&gsi_frame(
        &stranger,
        &CmMad::new(1, rej_from_peer(PEER_ID, CommId(0))).to_bytes(),
    ));
    rig.take_event().unwrap();
    assert_eq!(rig.send(our_rep()), Status::OK);
    assert_eq!(rig.nic.statistics().cm_abandoned.get(), 0);
}

#[test]
fn a_rej_may_name_only_our_id() {
    let mut rig = Rig::cm();
    rig.hear_and_take(req());
    rig.hear_and_take(rej_from_peer(CommId(0), OUR_ID));
    assert_eq!(
        rig.send(our_rep()),
        Status::OK,
        "nobody has told the peer our id yet"
    );
    rig.hear_and_take(rej_from_peer(CommId(0), OUR_ID));
    assert_eq!(rig.send(our_rej()), Status::PEER_ABANDONED);
}

#[test]
fn a_rej_with_zero_for_our_id_names_nobody() {
    let mut rig = Rig::cm();
    rig.hear_and_take(req());
    rig.hear_and_take(rej_from_peer(CommId(0), CommId(0)));
    assert_eq!(rig.send(our_rej()), Status::OK);
}

#[test]
fn a_new_req_opens_the_attempt_again() {
    let mut rig = Rig::cm();
    rig.hear_and_take(req());
    rig.hear_and_take(rej_from_peer(PEER_ID, CommId(0)));
    rig.hear_and_take(req());
    assert_eq!(rig.send(our_rej()), Status::OK);
    rig.hear_and_take(req());
    assert_eq!(rig.send(our_rej()), Status::OK, "the same REJ for a repeated REQ");
}

#[test]
fn a_repeated_req_keeps_what_is_known() {
    let mut rig = Rig::cm();
    rig.hear_and_take(req());
    assert_eq!(rig.send(our_mra()), Status::OK);
    rig.hear_and_take(req());
    rig.hear_and_take(rej_from_peer(CommId(0), OUR_ID));
    assert_eq!(rig.send(our_rej()), Status::PEER_ABANDONED);
}

#[test]
fn a_rep_opens_an_attempt_too() {
    let mut rig = Rig::cm();
    assert_eq!(
        rig.send(Req {
            local_comm_id: OUR_ID,
            ..Req::default()
        }),
        Status::OK
    );
    rig.hear_and_take(rep_from_peer());
    rig.hear_and_take(rej_from_peer(PEER_ID, OUR_ID));
    assert_eq!(rig.send(our_rej()), Status::PEER_ABANDONED);

    let mut rig = Rig::cm();
    rig.hear_and_take(rep_from_peer());
    assert_eq!(rig.send(our_rej()), Status::OK, "control: nothing was abandoned");
}

#[test]
fn an_established_connection_is_not_half_open() {
    let rtu = Rtu {
        local_comm_id: PEER_ID,
        remote_comm_id: OUR_ID,
        ..Rtu::default()
    };
    let mut rig = Rig::cm();
    rig.hear_and_take(req());
    assert_eq!(rig.send(our_rep()), Status::OK);
    rig.hear_and_take(rtu);
    rig.hear_and_take(dreq_from_peer());
    assert_eq!(rig.send(our_rej()), Status::OK);
    assert_eq!(rig.nic.statistics().cm_abandoned.get(), 0);
}

#[test]
fn a_rej_counts_though_the_driver_does_not_see_it() {
    let mut rig = Rig::cm();
    rig.hear(req());
    for id in 1..4 {
        rig.hear(Req {
            local_comm_id: CommId(id),
            ..Req::default()
        });
    }
    rig.hear(rej_from_peer(PEER_ID, CommId(0)));
    assert_eq!(rig.nic.statistics().drop_cm_full.get(), 1);
    assert_eq!(rig.send(our_rej()), Status::PEER_ABANDONED);
}

#[test]
fn a_req_that_is_dropped_opens_nothing() {
    let mut rig = Rig::cm();
    for id in 1..=4 {
        rig.hear(Req {
            local_comm_id: CommId(id),
            ..Req::default()
        });
    }
    rig.hear(req());
    rig.hear(rej_from_peer(PEER_ID, CommId(0)));
    assert_eq!(rig.nic.statistics().cm_abandoned.get(), 0);
    assert_eq!(rig.send(our_rej()), Status::OK);
}

#[test]
fn the_oldest_attempts_make_room() {
    let mut rig = Rig::with(NicConfig {
        max_half_open: 2,
        ..NicConfig::new(OUR_MAC)
    });
    rig.enable();
    let mut rig = rig.start_cm();
    rig.hear_and_take(req());
    for id in 1..=2 {
        rig.hear_and_take(Req {
            local_comm_id: CommId(id),
            ..Req::default()
        });
    }
    rig.hear_and_take(rej_from_peer(PEER_ID, CommId(0)));
    assert_eq!(rig.send(our_rej()), Status::OK, "forgotten, so not abandoned");
    rig.hear_and_take(rej_from_peer(CommId(1), CommId(0)));
    assert_eq!(
        rig.send(Rej {
            remote_comm_id: CommId(1),
            ..our_rej()
        }),
        Status::PEER_ABANDONED
    );
}

#[test]
fn disabling_the_service_forgets_all() {
    let mut rig = Rig::cm();
    rig.hear_and_take(req());
    rig.hear_and_take(rej_from_peer(PEER_ID, CommId(0)));
    assert_eq!(
        rig.status(vrnic_abi::cmd::Opcode::CM_DISABLE, &[0u8; 0]),
        Status::OK
    );
    assert_eq!(rig.cm_enable(crate::rig::CM_LOG2), Status::OK);
    assert_eq!(rig.send(our_rej()), Status::OK);
}
