//! Completion queues: arming, moderation, overrun, resizing.

use std::time::Duration;

use vrnic_abi::cmd::{Opcode, Status};
use vrnic_abi::cqe::WorkStatus;
use vrnic_abi::doorbell::{self, ArmKind};
use vrnic_abi::event::EventKind;
use vrnic_abi::resource::{CQ_MODIFY_MODERATION, CQ_MODIFY_RING, CqModify, QpState};
use vrnic_abi::wqe::{RemoteSegment, WorkOpcode};
use zerocopy::{FromZeros, IntoBytes};

use super::pair::{Pair, statuses};
use super::side::{Cq, Request};
use crate::rig::contiguous;

/// The event of side 0's completion queue.
const FIRED: Option<(EventKind, u32, u16)> = Some((EventKind::CQ, 0, 0));

/// A request that always succeeds: a WRITE of nothing.
fn nothing() -> Request {
    Request::new(WorkOpcode::WRITE, &[RemoteSegment::new_zeroed().as_bytes()], &[])
}

/// Side 0 gets `count` good completions.
fn complete(pair: &mut Pair, count: usize) {
    for _ in 0..count {
        pair.sides[0].send(&mut pair.qps[0], &nothing());
        pair.run();
    }
}

#[test]
fn an_arm_fires_once() {
    let mut pair = Pair::new();
    complete(&mut pair, 1);
    assert_eq!(pair.sides[0].event(), None, "not armed");
    pair.drain();
    pair.sides[0].arm(&pair.cqs[0], ArmKind::ANY, 1);
    pair.sides[0].settle();
    assert_eq!(pair.sides[0].event(), None, "nothing new");
    complete(&mut pair, 2);
    assert_eq!(pair.sides[0].event(), FIRED);
    assert_eq!(pair.sides[0].event(), None, "once");
    pair.drain();
    pair.sides[0].arm(&pair.cqs[0], ArmKind::ANY, 1);
    complete(&mut pair, 1);
    assert_eq!(
        pair.sides[0].event(),
        None,
        "the same sequence number is the same arm"
    );
    pair.sides[0].arm(&pair.cqs[0], ArmKind::ANY, 2);
    pair.sides[0].settle();
    assert_eq!(
        pair.sides[0].event(),
        FIRED,
        "at once, for the completion that is there"
    );
}

#[test]
fn every_sequence_number_comes_again() {
    let mut pair = Pair::new();
    for sequence in 0..9 {
        pair.sides[0].arm(&pair.cqs[0], ArmKind::ANY, sequence & 3);
        complete(&mut pair, 1);
        assert_eq!(pair.sides[0].event(), FIRED, "{sequence}");
        pair.drain();
    }
}

#[test]
fn what_arms_wait_for() {
    for (kind, good, bad) in [
        (ArmKind::NONE, false, false),
        (ArmKind::ERRORS, false, false),
        (ArmKind::SOLICITED, false, true),
        (ArmKind::ANY, true, true),
    ] {
        let mut pair = Pair::new();
        pair.sides[0].arm(&pair.cqs[0], kind, 1);
        complete(&mut pair, 1);
        assert_eq!(pair.sides[0].event() == FIRED, good, "{kind:?}");
        let mut pair = Pair::new();
        pair.sides[0].arm(&pair.cqs[0], kind, 1);
        pair.sides[0].receive(&mut pair.qps[0], &[]);
        pair.sides[0].move_to(&pair.qps[0], QpState::ERROR).unwrap();
        assert_eq!(
            pair.sides[0].event() == FIRED,
            bad,
            "{kind:?} and a completion in error"
        );
    }
}

#[test]
fn an_arm_that_has_not_fired_can_be_widened() {
    let mut pair = Pair::new();
    pair.sides[0].arm(&pair.cqs[0], ArmKind::SOLICITED, 1);
    complete(&mut pair, 1);
    assert_eq!(pair.sides[0].event(), None);
    pair.sides[0].arm(&pair.cqs[0], ArmKind::ANY, 1);
    pair.sides[0].settle();
    assert_eq!(pair.sides[0].event(), FIRED);
}

/// A pair whose first completion queue has that moderation.
fn moderated(us: u16, count: u16) -> Pair {
    let mut pair = Pair::new();
    let mut modify = CqModify::new_zeroed();
    modify.mask = CQ_MODIFY_MODERATION.into();
    modify.attributes.moderation_us = us.into();
    modify.attributes.moderation_count = count.into();
    assert_eq!(pair.sides[0].rig.status(Opcode::MODIFY_CQ, &modify), Status::OK);
    pair
}

#[test]
fn moderation_counts() {
    // The time is so long that only the count can be the reason.
    let mut pair = moderated(60_000, 3);
    pair.sides[0].arm(&pair.cqs[0], ArmKind::ANY, 1);
    complete(&mut pair, 2);
    assert_eq!(pair.sides[0].event(), None);
    complete(&mut pair, 1);
    assert_eq!(pair.sides[0].event(), FIRED);
}

#[test]
fn moderation_ends_with_time() {
    let mut pair = moderated(1000, u16::MAX);
    pair.sides[0].arm(&pair.cqs[0], ArmKind::ANY, 1);
    complete(&mut pair, 1);
    std::thread::sleep(Duration::from_millis(2));
    pair.sides[0].settle();
    assert_eq!(pair.sides[0].event(), FIRED);
}

#[test]
fn moderation_does_not_hold_an_error_back() {
    let mut pair = moderated(60_000, u16::MAX);
    pair.sides[0].arm(&pair.cqs[0], ArmKind::ANY, 1);
    pair.sides[0].receive(&mut pair.qps[0], &[]);
    pair.sides[0].move_to(&pair.qps[0], QpState::ERROR).unwrap();
    assert_eq!(pair.sides[0].event(), FIRED);
}

#[test]
fn an_event_waits_for_room() {
    let mut pair = Pair::new();
    for number in 0..8 {
        assert!(pair.sides[0].rig.nic.faults().event(
            0,
            vrnic_abi::event::Event {
                number: number.into(),
                ..vrnic_abi::event::Event::new_zeroed()
            }
        ));
    }
    pair.sides[0].arm(&pair.cqs[0], ArmKind::ANY, 1);
    complete(&mut pair, 1);
    let fatal_is_owed = Request::new(WorkOpcode(99), &[], &[]);
    pair.sides[0].send(&mut pair.qps[0], &fatal_is_owed);
    pair.run();
    for number in 0..8 {
        assert_eq!(pair.sides[0].event().map(|event| event.1), Some(number));
    }
    assert_eq!(pair.sides[0].event(), None);
    pair.sides[0].settle();
    let mut events = [pair.sides[0].event(), pair.sides[0].event()].map(|event| event.map(|event| event.0));
    events.sort();
    assert_eq!(events, [Some(EventKind::CQ), Some(EventKind::QP_FATAL)]);
    assert_eq!(pair.sides[0].rig.nic.statistics().events_lost.get(), 0);
}

#[test]
fn an_overrun_ends_the_queue_and_its_queue_pairs() {
    let mut pair = Pair::new();
    complete(&mut pair, 32);
    assert_eq!(pair.sides[0].event(), None, "exactly full");
    complete(&mut pair, 1);
    let mut events = [pair.sides[0].event(), pair.sides[0].event()];
    events.sort();
    assert_eq!(
        events,
        [
            Some((EventKind::CQ_ERROR, 0, 2)),
            Some((EventKind::QP_FATAL, 2, WorkStatus::LOCAL_OPERATION.0.into())),
        ]
    );
    assert_eq!(pair.sides[0].state(&pair.qps[0]), QpState::ERROR);
    assert_eq!(pair.sides[0].rig.nic.statistics().cq_errors.get(), 1);
    let cqes = pair.sides[0].drain(&mut pair.cqs[0]);
    assert_eq!(cqes.len(), 32, "what was there has not been overwritten");
    pair.sides[0].receive(&mut pair.qps[0], &[]);
    pair.sides[0].settle();
    assert_eq!(pair.sides[0].drain(&mut pair.cqs[0]).len(), 0, "it stays dead");
}

#[test]
fn a_consumer_index_that_makes_no_sense() {
    let mut pair = Pair::new();
    complete(&mut pair, 32);
    pair.sides[0].ring(doorbell::CQ + doorbell::CQ_CONSUMER, 33);
    complete(&mut pair, 1);
    assert_eq!(pair.sides[0].event(), Some((EventKind::CQ_ERROR, 0, 2)));
}

#[test]
fn a_ring_that_cannot_be_written() {
    let mut pair = Pair::new();
    let ring = pair.cqs[0].addr;
    pair.sides[0].rig.host.map(ring, false);
    complete(&mut pair, 1);
    assert_eq!(pair.sides[0].event(), Some((EventKind::CQ_ERROR, 0, 3)));
}

/// Gives side 0's completion queue a new ring: its driver's view of it.
fn resize(pair: &mut Pair, log2: u8) -> Cq {
    let addr = pair.sides[0].memory(32 << log2);
    let mut modify = CqModify::new_zeroed();
    modify.mask = CQ_MODIFY_RING.into();
    modify.attributes.ring = contiguous(addr, log2);
    let start = pair.sides[0].make(Opcode::MODIFY_CQ, &modify).unwrap();
    Cq {
        number: 0,
        addr,
        log2,
        consumer: start,
        start,
    }
}

#[test]
fn a_new_ring_begins_behind_the_old_one() {
    for before in [0, 3, 31, 32, 40, 64] {
        for log2 in [1, 2, 5, 7] {
            let mut pair = Pair::new();
            for _ in 0..before {
                complete(&mut pair, 1);
                pair.drain();
            }
            complete(&mut pair, 2);
            let mut new = resize(&mut pair, log2);
            assert_eq!(new.start, before + 2);
            complete(&mut pair, 2);
            // The old ring has what came before, and the new one, though it may be smaller, what came after.
            assert_eq!(pair.sides[0].drain(&mut pair.cqs[0]).len(), 2);
            for _ in 0..20 {
                let cqes = pair.sides[0].drain(&mut new);
                assert_eq!(statuses(&cqes), [WorkStatus::OK; 2], "{before} {log2}");
                complete(&mut pair, 2);
            }
            assert_eq!(pair.sides[0].event(), None);
        }
    }
}

#[test]
fn modify_cq_with_wrong_input() {
    let mut pair = Pair::new();
    let side = &mut pair.sides[0];
    let mut good = CqModify::new_zeroed();
    good.mask = CQ_MODIFY_RING.into();
    good.attributes = side.cq_attributes(3);
    for (spoil, status) in [
        (
            (|modify| modify.cqn = 9.into()) as fn(&mut CqModify),
            Status::BAD_RESOURCE,
        ),
        (|modify| modify.mask = 0.into(), Status::BAD_PARAMETER),
        (|modify| modify.mask = 4.into(), Status::BAD_PARAMETER),
        (|modify| modify.attributes.eqn = 1.into(), Status::BAD_PARAMETER),
        (
            |modify| modify.attributes.ring.log2_entries = 23,
            Status::BAD_PARAMETER,
        ),
    ] {
        let mut modify = good;
        spoil(&mut modify);
        assert_eq!(side.rig.status(Opcode::MODIFY_CQ, &modify), status, "{modify:?}");
    }
    assert_eq!(side.rig.status(Opcode::MODIFY_CQ, &good), Status::OK);
}
