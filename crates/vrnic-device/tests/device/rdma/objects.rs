//! Making, querying, destroying: what is refused, and with what.

use std::mem::offset_of;

use vrnic_abi::cmd::{Opcode, Status};
use vrnic_abi::resource::{CqCreate, QP_SRQ, QpCreate, QpModify, QpState, SrqCreate};
use zerocopy::IntoBytes;

use super::side::{Change, Side, object};
use crate::rig::NOWHERE;

/// What the syndrome of an inline field at `offset` is.
fn inline(offset: usize) -> u32 {
    u32::try_from(16 + offset).unwrap()
}

/// What the syndrome of a mailbox field at `offset` is.
fn mailbox(offset: usize) -> u32 {
    u32::try_from(0x1000 + offset).unwrap()
}

#[test]
fn numbers_are_the_lowest_that_are_free() {
    let mut side = Side::ours();
    let cqs: Vec<_> = (0..3).map(|_| side.cq(2).number).collect();
    assert_eq!(cqs, [0, 1, 2]);
    assert_eq!(side.command(Opcode::DESTROY_CQ, 1), Status::OK);
    assert_eq!(side.command(Opcode::DESTROY_CQ, 1), Status::BAD_RESOURCE);
    assert_eq!(side.cq(2).number, 1);
    assert_eq!(side.srq(2).number, 0);
}

#[test]
fn the_number_of_a_queue_pair_has_a_generation() {
    let mut side = Side::ours();
    let cq = side.cq(4);
    let attributes = side.qp_attributes(&cq);
    // 32 indexes from 2 on, by turns.
    for round in 0..300 * 32 {
        let (generation, index) = (round / 32, 2 + round % 32);
        let qp = side.qp_with(&attributes);
        assert_eq!(qp.qpn, (generation & 0xFF) << 16 | index);
        assert_eq!(
            side.command(Opcode::DESTROY_QP, qp.qpn ^ 1 << 16),
            Status::BAD_RESOURCE
        );
        assert_eq!(side.command(Opcode::DESTROY_QP, qp.qpn), Status::OK);
    }
}

#[test]
fn what_is_used_cannot_be_destroyed() {
    let mut side = Side::ours();
    let (cq, srq) = (side.cq(4), side.srq(2));
    let attributes = side.srq_qp_attributes(&cq, &srq);
    let qp = side.qp_with(&attributes);
    let pdn = side.pdn;
    let used = [
        (Opcode::DESTROY_CQ, cq.number),
        (Opcode::DESTROY_SRQ, srq.number),
        (Opcode::FREE_PD, pdn),
        (Opcode::DESTROY_EQ, 0),
    ];
    for (opcode, number) in used {
        assert_eq!(side.command(opcode, number), Status::IN_USE, "{opcode:?}");
    }
    assert_eq!(side.command(Opcode::DESTROY_QP, qp.qpn), Status::OK);
    for (opcode, number) in used {
        assert_eq!(side.command(opcode, number), Status::OK, "{opcode:?}");
    }
}

#[test]
fn queries_return_what_was_said() {
    let mut side = Side::ours();
    let mut cq = side.cq_attributes(3);
    (cq.moderation_us, cq.moderation_count) = (20.into(), 7.into());
    let number = side.make(Opcode::CREATE_CQ, &cq).unwrap();
    let found: CqCreate = side.rig.query(Opcode::QUERY_CQ, &object(number));
    assert_eq!(found.as_bytes(), cq.as_bytes());
    let srq = side.srq_attributes(2);
    let number = side.make(Opcode::CREATE_SRQ, &srq).unwrap();
    let found: SrqCreate = side.rig.query(Opcode::QUERY_SRQ, &object(number));
    assert_eq!(found.as_bytes(), srq.as_bytes());
    let cq = side.cq(3);
    let qp = side.qp(&cq);
    let found: QpModify = side.rig.query(Opcode::QUERY_QP, &object(qp.qpn));
    assert_eq!((found.mask.get(), QpState(found.state)), (0x1F, QpState::INIT));
    let peer = Side::new([2, 0, 0, 0, 0, 9], "192.0.2.9".parse().unwrap());
    let modify = Side::to_rts(&peer, 77);
    side.modify(&qp, &modify).unwrap();
    let found: QpModify = side.rig.query(Opcode::QUERY_QP, &object(qp.qpn));
    assert_eq!(found.as_bytes(), modify.as_bytes());
}

#[test]
fn completion_queues_with_wrong_input() {
    let mut side = Side::ours();
    let good = side.cq_attributes(2);
    let refusals: [(Change<CqCreate>, Status, u32); 5] = [
        (|cq| cq.eqn = 1.into(), Status::BAD_RESOURCE, 0),
        (|cq| cq.ring.log2_entries = 23, Status::BAD_PARAMETER, inline(8)),
        (
            |cq| cq.ring.addr = (cq.ring.addr.get() + 32).into(),
            Status::BAD_PARAMETER,
            inline(0),
        ),
        (|cq| cq.ring.levels = 4, Status::BAD_PARAMETER, inline(9)),
        (
            |cq| (cq.ring.addr, cq.ring.levels) = (NOWHERE.into(), 1),
            Status::BAD_PARAMETER,
            inline(0),
        ),
    ];
    for (spoil, status, syndrome) in refusals {
        let mut cq = good;
        spoil(&mut cq);
        assert_eq!(
            side.make(Opcode::CREATE_CQ, &cq),
            Err((status, syndrome)),
            "{cq:?}"
        );
    }
    assert_eq!(
        side.make(Opcode::CREATE_CQ, &good),
        Ok(0),
        "nothing was left behind"
    );
}

#[test]
fn shared_receive_queues_with_wrong_input() {
    let mut side = Side::ours();
    let good = side.srq_attributes(2);
    let max_sge = inline(offset_of!(SrqCreate, max_sge));
    let refusals: [(Change<SrqCreate>, Status, u32); 6] = [
        (|srq| srq.eqn = 1.into(), Status::BAD_RESOURCE, 0),
        (|srq| srq.pdn = 1.into(), Status::BAD_RESOURCE, 0),
        (|srq| srq.max_sge = 0.into(), Status::BAD_PARAMETER, max_sge),
        (|srq| srq.max_sge = 33.into(), Status::BAD_PARAMETER, max_sge),
        (|srq| srq.reserved = 1.into(), Status::BAD_PARAMETER, max_sge + 2),
        (|srq| srq.ring.log2_entries = 15, Status::BAD_PARAMETER, inline(8)),
    ];
    for (spoil, status, syndrome) in refusals {
        let mut srq = good;
        spoil(&mut srq);
        assert_eq!(
            side.make(Opcode::CREATE_SRQ, &srq),
            Err((status, syndrome)),
            "{srq:?}"
        );
    }
    assert_eq!(side.make(Opcode::CREATE_SRQ, &good), Ok(0));
}

#[test]
fn queue_pairs_with_wrong_input() {
    let mut side = Side::ours();
    let (cq, srq) = (side.cq(4), side.srq(2));
    let good = side.qp_attributes(&cq);
    let refusals: [(Change<QpCreate>, Status, u32); 14] = [
        (|qp| qp.pdn = 9.into(), Status::BAD_RESOURCE, 0),
        (|qp| qp.send_cqn = 9.into(), Status::BAD_RESOURCE, 0),
        (|qp| qp.recv_cqn = 9.into(), Status::BAD_RESOURCE, 0),
        (|qp| qp.eqn = 9.into(), Status::BAD_RESOURCE, 0),
        (|qp| qp.srqn = 1.into(), Status::BAD_PARAMETER, mailbox(44)),
        (|qp| qp.flags = QP_SRQ.into(), Status::BAD_PARAMETER, mailbox(56)),
        (
            |qp| (qp.flags, qp.max_recv_sge) = (QP_SRQ.into(), 0.into()),
            Status::BAD_PARAMETER,
            mailbox(16),
        ),
        (|qp| qp.flags = 4.into(), Status::BAD_PARAMETER, mailbox(52)),
        (
            |qp| qp.max_recv_sge = 0.into(),
            Status::BAD_PARAMETER,
            mailbox(56),
        ),
        (
            |qp| qp.max_recv_sge = 33.into(),
            Status::BAD_PARAMETER,
            mailbox(56),
        ),
        (|qp| qp.kind = 2, Status::BAD_PARAMETER, mailbox(58)),
        (|qp| qp.reserved[4] = 1, Status::BAD_PARAMETER, mailbox(59)),
        (|qp| qp.sq.log2_entries = 19, Status::BAD_PARAMETER, mailbox(8)),
        (|qp| qp.rq.log2_entries = 15, Status::BAD_PARAMETER, mailbox(24)),
    ];
    for (spoil, status, syndrome) in refusals {
        let mut qp = good;
        spoil(&mut qp);
        let made = side.make_with_mailbox(Opcode::CREATE_QP, &[0u8; 0], &qp);
        assert_eq!(made, Err((status, syndrome)), "{qp:?}");
    }
    let mut shared = side.srq_qp_attributes(&cq, &srq);
    let other_pd = side.make(Opcode::ALLOC_PD, &[0u8; 0]).unwrap();
    shared.pdn = other_pd.into();
    let made = side.make_with_mailbox(Opcode::CREATE_QP, &[0u8; 0], &shared);
    assert_eq!(
        made,
        Err((Status::BAD_PARAMETER, mailbox(44))),
        "a queue of another protection domain"
    );
    assert_eq!(side.make_with_mailbox(Opcode::CREATE_QP, &[0u8; 0], &good), Ok(2));
}

#[test]
fn the_state_machine() {
    let (state, path, receive, send, limits) = (1, 2, 4, 8, 16);
    let (init, rtr, rts, error) = (QpState::INIT, QpState::RTR, QpState::RTS, QpState::ERROR);
    let peer = Side::new([2, 0, 0, 0, 0, 9], "192.0.2.9".parse().unwrap());
    let full = Side::to_rts(&peer, 77);
    let ready = state | path | receive;
    let full_mask = ready | send;
    for (from, to, mask, works) in [
        (init, rtr, ready, true),
        (init, rtr, ready | limits, true),
        (init, rtr, ready | send, false),
        (init, rtr, state | receive, false),
        (init, rts, full_mask, true),
        (init, rts, ready, false),
        (init, rts, state | send, false),
        (init, init, limits, true),
        (init, init, state | limits, false),
        (init, QpState::RESET, state, false),
        (init, error, state, true),
        (init, error, state | limits, false),
        (rtr, rts, state | send, true),
        (rtr, rts, state | send | limits, true),
        (rtr, rtr, ready, false),
        (rtr, rtr, limits, true),
        (rtr, init, state, false),
        (rtr, error, state, true),
        (rts, rts, limits, true),
        (rts, rtr, state, false),
        (rts, rts, path, false),
        (rts, error, state, true),
        (error, error, state, true),
        (error, init, state, false),
        (error, rtr, ready, false),
        (error, error, limits, false),
    ] {
        let mut side = Side::ours();
        let cq = side.cq(4);
        let qp = side.qp(&cq);
        match from {
            QpState::RTR => side
                .modify(
                    &qp,
                    &QpModify {
                        mask: ready.into(),
                        state: rtr.0,
                        ..full
                    },
                )
                .unwrap(),
            QpState::RTS => side
                .modify(
                    &qp,
                    &QpModify {
                        mask: full_mask.into(),
                        ..full
                    },
                )
                .unwrap(),
            QpState::ERROR => side.move_to(&qp, error).unwrap(),
            _ => {}
        }
        let result = side.modify(
            &qp,
            &QpModify {
                mask: mask.into(),
                state: to.0,
                ..full
            },
        );
        let expected = if works {
            Ok(())
        } else {
            Err((Status::BAD_STATE, 0))
        };
        assert_eq!(result, expected, "{from:?} to {to:?} with {mask:#x}");
        assert_eq!(side.state(&qp), if works { to } else { from });
    }
}

#[test]
fn fields_of_modify_qp() {
    let mut side = Side::ours();
    let cq = side.cq(4);
    let qp = side.qp(&cq);
    let peer = Side::new([2, 0, 0, 0, 0, 9], "192.0.2.9".parse().unwrap());
    let good = Side::to_rts(&peer, 77);
    let refusals: [(Change<QpModify>, usize); 18] = [
        (|qp| qp.mask = 0.into(), offset_of!(QpModify, mask)),
        (|qp| qp.mask = 0x3F.into(), offset_of!(QpModify, mask)),
        (|qp| qp.state = 5, offset_of!(QpModify, state)),
        (|qp| qp.path_mtu_log2 = 7, offset_of!(QpModify, path_mtu_log2)),
        (|qp| qp.path_mtu_log2 = 13, offset_of!(QpModify, path_mtu_log2)),
        (
            |qp| qp.max_inbound_reads = 17,
            offset_of!(QpModify, max_inbound_reads),
        ),
        (
            |qp| qp.max_outbound_reads = 129,
            offset_of!(QpModify, max_outbound_reads),
        ),
        (|qp| qp.dst_qpn = (1 << 24).into(), offset_of!(QpModify, dst_qpn)),
        (|qp| qp.rq_psn = (1 << 24).into(), offset_of!(QpModify, rq_psn)),
        (|qp| qp.sq_psn = (1 << 24).into(), offset_of!(QpModify, sq_psn)),
        (|qp| qp.dst_mac[0] |= 1, offset_of!(QpModify, dst_mac)),
        (|qp| qp.gid_index = 64.into(), offset_of!(QpModify, gid_index)),
        (|qp| qp.dst_gid = [0; 16], offset_of!(QpModify, dst_gid)),
        (|qp| qp.dst_gid[..12].fill(0x20), offset_of!(QpModify, dst_gid)),
        (|qp| qp.hop_limit = 0, offset_of!(QpModify, hop_limit)),
        (|qp| qp.timeout = 32, offset_of!(QpModify, timeout)),
        (|qp| qp.access = 8.into(), offset_of!(QpModify, access)),
        (|qp| qp.reserved[7] = 1, offset_of!(QpModify, reserved)),
    ];
    for (spoil, offset) in refusals {
        let mut modify = good;
        spoil(&mut modify);
        let expected = Err((Status::BAD_PARAMETER, mailbox(offset)));
        assert_eq!(side.modify(&qp, &modify), expected, "{modify:?}");
    }
    let no_gid = QpModify {
        gid_index: 1.into(),
        ..good
    };
    assert_eq!(side.modify(&qp, &no_gid), Err((Status::NETWORK_UNREACHABLE, 0)));
    assert_eq!(side.state(&qp), QpState::INIT);
    assert_eq!(side.modify(&qp, &good), Ok(()));
}

#[test]
fn the_path_mtu_fits_the_link() {
    for (link, log2, fits) in [
        (1500, 10, true),
        (1500, 11, false),
        (4180, 12, true),
        (4179, 12, false),
    ] {
        let mut rig = crate::rig::Rig::with(vrnic_device::NicConfig {
            mtu: link,
            ..vrnic_device::NicConfig::new(crate::rig::OUR_MAC)
        });
        rig.enable();
        let mut side = Side::on(rig);
        let cq = side.cq(4);
        let qp = side.qp(&cq);
        let peer = Side::new([2, 0, 0, 0, 0, 9], "192.0.2.9".parse().unwrap());
        let modify = QpModify {
            path_mtu_log2: log2,
            ..Side::to_rts(&peer, 77)
        };
        let result = side.modify(&qp, &modify);
        assert_eq!(result.is_ok(), fits, "{link} {log2} {result:?}");
    }
}

#[test]
fn limits_that_can_be_reached() {
    let mut side = Side::ours();
    for number in 1..4096 {
        assert_eq!(side.make(Opcode::ALLOC_PD, &[0u8; 0]), Ok(number));
    }
    assert_eq!(
        side.make(Opcode::ALLOC_PD, &[0u8; 0]),
        Err((Status::NO_RESOURCES, 0))
    );
    let srq = side.srq_attributes(0);
    for number in 0..4096 {
        assert_eq!(side.make(Opcode::CREATE_SRQ, &srq), Ok(number));
    }
    assert_eq!(
        side.make(Opcode::CREATE_SRQ, &srq),
        Err((Status::NO_RESOURCES, 0))
    );
    let cq = side.cq(0);
    let qp = side.qp_attributes(&cq);
    for index in 2..16386 {
        assert_eq!(
            side.make_with_mailbox(Opcode::CREATE_QP, &[0u8; 0], &qp),
            Ok(index)
        );
    }
    let full = side.make_with_mailbox(Opcode::CREATE_QP, &[0u8; 0], &qp);
    assert_eq!(full, Err((Status::NO_RESOURCES, 0)));
}
