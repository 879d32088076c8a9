//! Shared receive queues: limits, resizing, errors.

use vrnic_abi::cmd::{Opcode, Status};
use vrnic_abi::cqe::{Cqe, WorkStatus};
use vrnic_abi::doorbell;
use vrnic_abi::event::EventKind;
use vrnic_abi::resource::{QpState, SRQ_MODIFY_LIMIT, SRQ_MODIFY_RING, SrqCreate, SrqModify};
use vrnic_abi::wqe::{WORK_INLINE, WORK_SIGNALED, WorkOpcode, srq_entry_size};
use zerocopy::FromZeros;

use super::pair::{Pair, statuses};
use super::side::{RECV_SGE, Request, Srq, object};
use crate::rig::contiguous;

/// A pair whose side 1 takes receives from a shared queue of 8 entries.
fn shared() -> (Pair, Srq) {
    let mut pair = Pair::new();
    let side = &mut pair.sides[1];
    let srq = side.srq(3);
    let attributes = side.srq_qp_attributes(&pair.cqs[1], &srq);
    let old = pair.qps[1].qpn;
    assert_eq!(side.command(Opcode::DESTROY_QP, old), Status::OK);
    pair.qps[1] = side.qp_with(&attributes);
    let old = pair.qps[0].qpn;
    assert_eq!(pair.sides[0].command(Opcode::DESTROY_QP, old), Status::OK);
    pair.qps[0] = pair.sides[0].qp(&pair.cqs[0]);
    pair.connect();
    (pair, srq)
}

/// Posts entries with these cookies.
fn post(pair: &Pair, srq: &mut Srq, cookies: std::ops::Range<u32>) {
    for cookie in cookies {
        pair.sides[1].receive_shared(srq, cookie, &[(pair.memory[1], 64, pair.keys[1])]);
    }
}

/// Side 0 sends a byte: what side 1 completes.
fn send(pair: &mut Pair) -> Vec<Cqe> {
    let mut request = Request::new(WorkOpcode::SEND, &[b"x"], &[]).flags(WORK_INLINE | WORK_SIGNALED);
    request.control.inline_len = 1.into();
    pair.request(&request)[1].clone()
}

fn set_limit(pair: &mut Pair, limit: u32) {
    let mut modify = SrqModify::new_zeroed();
    (modify.mask, modify.limit) = (SRQ_MODIFY_LIMIT.into(), limit.into());
    assert_eq!(pair.sides[1].rig.status(Opcode::MODIFY_SRQ, &modify), Status::OK);
}

const LOW: Option<(EventKind, u32, u16)> = Some((EventKind::SRQ_LIMIT, 0, 0));

#[test]
fn the_limit_is_armed_again_by_command() {
    let (mut pair, mut srq) = shared();
    post(&pair, &mut srq, 0..4);
    set_limit(&mut pair, 3);
    assert_eq!(pair.sides[1].event(), None, "four are left");
    send(&mut pair);
    assert_eq!(pair.sides[1].event(), None, "three are left");
    send(&mut pair);
    assert_eq!(pair.sides[1].event(), LOW);
    send(&mut pair);
    assert_eq!(pair.sides[1].event(), None, "once");
    set_limit(&mut pair, 3);
    assert_eq!(pair.sides[1].event(), LOW, "at once: one is left");
    set_limit(&mut pair, 0);
    send(&mut pair);
    assert_eq!(pair.sides[1].event(), None, "0 disarms");
    let query: SrqCreate = pair.sides[1].rig.query(Opcode::QUERY_SRQ, &object(0));
    assert_eq!(query.limit.get(), 0);
}

/// Gives the queue a ring of that size into which the entries that are left have been copied.
fn resize(pair: &mut Pair, srq: &mut Srq, log2: u8, left: u32) -> Status {
    let size = srq_entry_size(RECV_SGE);
    let new = pair.sides[1].memory(size << log2);
    for index in (0..left).map(|back| srq.producer.wrapping_sub(back + 1)) {
        let [from, to] = [srq.log2, log2].map(|log2| u64::from(index & ((1 << log2) - 1)) * size as u64);
        let entry = pair.sides[1].rig.host.peek(srq.addr + from, size);
        pair.sides[1].rig.host.poke(new + to, &entry);
    }
    let mut modify = SrqModify::new_zeroed();
    (modify.mask, modify.ring) = (SRQ_MODIFY_RING.into(), contiguous(new, log2));
    let status = pair.sides[1].rig.status(Opcode::MODIFY_SRQ, &modify);
    if status == Status::OK {
        (srq.addr, srq.log2) = (new, log2);
    }
    status
}

#[test]
fn a_new_ring_has_the_entries_that_are_left() {
    let (mut pair, mut srq) = shared();
    post(&pair, &mut srq, 0..7);
    for cookie in 0..4 {
        assert_eq!(send(&mut pair)[0].index.get(), cookie);
    }
    assert_eq!(
        resize(&mut pair, &mut srq, 1, 3),
        Status::BAD_STATE,
        "three do not fit into two"
    );
    assert_eq!(resize(&mut pair, &mut srq, 2, 3), Status::OK);
    post(&pair, &mut srq, 7..8);
    for cookie in 4..8 {
        assert_eq!(send(&mut pair)[0].index.get(), cookie);
    }
    assert_eq!(resize(&mut pair, &mut srq, 5, 0), Status::OK);
    post(&pair, &mut srq, 8..40);
    for cookie in 8..40 {
        assert_eq!(send(&mut pair)[0].index.get(), cookie);
    }
}

#[test]
fn modify_srq_with_wrong_input() {
    let (mut pair, _) = shared();
    let side = &mut pair.sides[1];
    let mut good = SrqModify::new_zeroed();
    (good.mask, good.limit) = (SRQ_MODIFY_LIMIT.into(), 2.into());
    for (spoil, status) in [
        (
            (|modify| modify.srqn = 9.into()) as super::side::Change<SrqModify>,
            Status::BAD_RESOURCE,
        ),
        (|modify| modify.mask = 0.into(), Status::BAD_PARAMETER),
        (|modify| modify.mask = 7.into(), Status::BAD_PARAMETER),
        (|modify| modify.reserved = 1.into(), Status::BAD_PARAMETER),
        (
            |modify| (modify.mask, modify.ring.log2_entries) = (1.into(), 15),
            Status::BAD_PARAMETER,
        ),
    ] {
        let mut modify = good;
        spoil(&mut modify);
        assert_eq!(side.rig.status(Opcode::MODIFY_SRQ, &modify), status, "{modify:?}");
    }
    assert_eq!(side.event(), None);
}

#[test]
fn a_wrong_index_ends_the_queue() {
    for index in [9, u32::MAX] {
        let (mut pair, srq) = shared();
        pair.sides[1].ring(doorbell::SRQ + u64::from(srq.number) * 8, index);
        send(&mut pair);
        let mut events = [(); 3].map(|()| pair.sides[1].event().unwrap());
        events.sort();
        let kinds = events.map(|event| event.0);
        assert_eq!(
            kinds,
            [EventKind::QP_FATAL, EventKind::QP_LAST_WQE, EventKind::SRQ_ERROR]
        );
        assert_eq!(pair.sides[1].state(&pair.qps[1]), QpState::ERROR);
        let mut modify = SrqModify::new_zeroed();
        (modify.mask, modify.ring) = (SRQ_MODIFY_RING.into(), contiguous(srq.addr, 3));
        assert_eq!(
            pair.sides[1].rig.status(Opcode::MODIFY_SRQ, &modify),
            Status::BAD_STATE
        );
        pair.sides[1].settle();
    }
}

#[test]
fn an_entry_with_something_reserved() {
    let (mut pair, mut srq) = shared();
    let slot = srq.addr + 8;
    post(&pair, &mut srq, 5..6);
    pair.sides[1].rig.host.poke(slot, &[1]);
    let received = send(&mut pair);
    assert_eq!(
        (statuses(&received), received[0].index.get()),
        (vec![WorkStatus::LOCAL_OPERATION], 5)
    );
}
