//! Engines of their own: threads that sleep and are woken by kicks, frames and timers.

use std::sync::atomic::{Ordering, fence};

use vrnic_abi::cqe::{Cqe, WorkStatus};
use vrnic_abi::doorbell::{self, ArmKind};
use vrnic_abi::event::EventKind;
use vrnic_abi::resource::{CqModify, QpModify};
use vrnic_abi::wqe::WorkOpcode;
use vrnic_device::Engine;
use zerocopy::FromZeros;

use super::pair::pattern;
use super::side::{ALL_ACCESS, Cq, Qp, Request, Side};

/// What a driver does after a doorbell.
fn kick_if_asleep(side: &Side) {
    fence(Ordering::SeqCst);
    if side.rig.nic.doorbells().load(doorbell::SLEEP) != 0 {
        side.rig.kick();
    }
}

fn wait_for_sleep(side: &Side) {
    side.rig
        .wait("sleep", |rig| rig.nic.doorbells().load(doorbell::SLEEP) != 0);
}

fn wait_for_completion(side: &Side, cq: &mut Cq) -> Cqe {
    let mut found = None;
    side.rig.wait("the completion", |_| {
        found = found.or_else(|| side.poll_cq(cq));
        found.is_some()
    });
    side.consumed(cq);
    found.unwrap()
}

struct Connected {
    sides: [Side; 2],
    cqs: [Cq; 2],
    qps: [Qp; 2],
    memory: [u64; 2],
    keys: [u32; 2],
}

fn connected(change: impl Fn(&mut QpModify)) -> Connected {
    let mut sides = Side::cabled(Engine::Thread);
    let cqs = sides.each_mut().map(|side| side.cq(5));
    let qps = [0, 1].map(|index| sides[index].qp(&cqs[index]));
    let memory = sides.each_mut().map(|side| side.memory(0x4000));
    let keys = [0, 1].map(|index| sides[index].register(memory[index], 0x4000, ALL_ACCESS));
    for index in 0..2 {
        let mut modify = Side::to_rts(&sides[1 - index], qps[1 - index].qpn);
        change(&mut modify);
        sides[index].modify(&qps[index], &modify).unwrap();
    }
    Connected {
        sides,
        cqs,
        qps,
        memory,
        keys,
    }
}

#[test]
fn messages_wake_both_sides() {
    let mut both = connected(|_| {});
    both.sides[0].rig.host.poke(both.memory[0], &pattern(0x4000));
    for round in 0..20 {
        both.sides.iter().for_each(wait_for_sleep);
        both.sides[1].receive(&mut both.qps[1], &[(both.memory[1], 0x4000, both.keys[1])]);
        let data = (both.memory[0], 0x4000 - round, both.keys[0]);
        both.sides[0].send(&mut both.qps[0], &Request::new(WorkOpcode::SEND, &[], &[data]));
        kick_if_asleep(&both.sides[0]);
        let received = wait_for_completion(&both.sides[1], &mut both.cqs[1]);
        assert_eq!(
            (WorkStatus(received.status), received.byte_len.get()),
            (WorkStatus::OK, 0x4000 - round)
        );
        let sent = wait_for_completion(&both.sides[0], &mut both.cqs[0]);
        assert_eq!(WorkStatus(sent.status), WorkStatus::OK);
    }
    assert_eq!(
        both.sides[1].rig.host.peek(both.memory[1], 0x3000),
        pattern(0x3000)
    );
}

#[test]
fn a_receive_for_a_message_that_waits() {
    let mut both = connected(|_| {});
    let data = (both.memory[0], 8, both.keys[0]);
    both.sides[0].send(&mut both.qps[0], &Request::new(WorkOpcode::SEND, &[], &[data]));
    kick_if_asleep(&both.sides[0]);
    both.sides[1]
        .rig
        .wait("the frame", |rig| rig.nic.statistics().rdma_in_frames.get() != 0);
    both.sides[1].receive(&mut both.qps[1], &[(both.memory[1], 8, both.keys[1])]);
    kick_if_asleep(&both.sides[1]);
    let received = wait_for_completion(&both.sides[1], &mut both.cqs[1]);
    assert_eq!(WorkStatus(received.status), WorkStatus::OK);
}

#[test]
fn timers_wake_an_engine() {
    // The peer is silent: about 2 ms until the retries are exhausted.
    let mut both = connected(|modify| (modify.timeout, modify.retry_count) = (7, 3));
    both.sides[1].rig.nic.set_link(false);
    let data = (both.memory[0], 8, both.keys[0]);
    both.sides[0].send(&mut both.qps[0], &Request::new(WorkOpcode::SEND, &[], &[data]));
    kick_if_asleep(&both.sides[0]);
    let sent = wait_for_completion(&both.sides[0], &mut both.cqs[0]);
    assert_eq!(WorkStatus(sent.status), WorkStatus::RETRY_EXCEEDED);
    let mut event = None;
    both.sides[0].rig.wait("the event", |rig| {
        event = rig.peek_event();
        event.is_some()
    });
    assert_eq!(EventKind::from(event.unwrap().kind), EventKind::QP_FATAL);
    assert_eq!(both.sides[0].rig.nic.statistics().rc_timeouts.get(), 4);
}

#[test]
fn an_event_that_is_held_back_wakes_an_engine() {
    let mut both = connected(|_| {});
    let mut modify = CqModify::new_zeroed();
    modify.mask = 2.into();
    (
        modify.attributes.moderation_us,
        modify.attributes.moderation_count,
    ) = (5000.into(), u16::MAX.into());
    let status = both.sides[0]
        .rig
        .status(vrnic_abi::cmd::Opcode::MODIFY_CQ, &modify);
    assert_eq!(status, vrnic_abi::cmd::Status::OK);
    both.sides[0].arm(&both.cqs[0], ArmKind::ANY, 1);
    let nothing = vrnic_abi::wqe::RemoteSegment::new_zeroed();
    let write = Request::new(WorkOpcode::WRITE, &[zerocopy::IntoBytes::as_bytes(&nothing)], &[]);
    both.sides[0].send(&mut both.qps[0], &write);
    kick_if_asleep(&both.sides[0]);
    wait_for_completion(&both.sides[0], &mut both.cqs[0]);
    both.sides[0]
        .rig
        .wait("the event", |rig| rig.peek_event().is_some());
}
