//! Requests that are flushed, malformed, or announced by wrong doorbells.

use vrnic_abi::cqe::{CQE_RECEIVE, WorkStatus};
use vrnic_abi::doorbell;
use vrnic_abi::event::EventKind;
use vrnic_abi::resource::QpState;
use vrnic_abi::wqe::{
    ControlSegment, FastRegSegment, RemoteSegment, WORK_INLINE, WORK_SIGNALED, WORK_SOLICITED, WorkOpcode,
};
use zerocopy::{FromZeros, IntoBytes};

use super::pair::{Pair, statuses};
use super::side::{Request, Side};

#[test]
fn everything_is_flushed_in_order() {
    let mut side = Side::ours();
    let mut cq = side.cq(5);
    let mut qp = side.qp(&cq);
    let send = Request::new(WorkOpcode::SEND, &[], &[(0, 0, 0); 5]).flags(0);
    let indexes = [side.send(&mut qp, &send), side.send(&mut qp, &send)];
    side.receive(&mut qp, &[]);
    side.receive(&mut qp, &[]);
    side.settle();
    assert_eq!(side.drain(&mut cq).len(), 0, "nothing happens in INIT");
    side.move_to(&qp, QpState::ERROR).unwrap();
    let cqes = side.drain(&mut cq);
    assert_eq!(statuses(&cqes), [WorkStatus::FLUSHED; 4]);
    let found: Vec<_> = cqes
        .iter()
        .map(|cqe| (cqe.flags.get() & CQE_RECEIVE != 0, cqe.index.get()))
        .collect();
    let mut sends = found.iter().filter(|cqe| !cqe.0).map(|cqe| cqe.1);
    let mut receives = found.iter().filter(|cqe| cqe.0).map(|cqe| cqe.1);
    assert_eq!([sends.next(), sends.next()], indexes.map(Some));
    assert_eq!([receives.next(), receives.next()], [Some(0), Some(1)]);
    // What comes later is flushed as well.
    side.send(&mut qp, &send);
    side.receive(&mut qp, &[]);
    side.settle();
    assert_eq!(statuses(&side.drain(&mut cq)), [WorkStatus::FLUSHED; 2]);
    assert_eq!(
        side.event(),
        None,
        "the driver asked for it, and there is no shared receive queue"
    );
    assert!(!side.rig.nic.poll(), "it is at rest");
}

#[test]
fn malformed_requests() {
    let remote = RemoteSegment::new_zeroed();
    let fast = FastRegSegment::new_zeroed();
    let inline = |length: u16| {
        let mut request = Request::new(WorkOpcode::SEND, &[&[0; 32]], &[]).flags(WORK_INLINE | WORK_SIGNALED);
        request.control.inline_len = length.into();
        request
    };
    let nothing = |opcode| Request::new(opcode, &[], &[]);
    let with = |change: fn(&mut ControlSegment)| {
        let mut request = nothing(WorkOpcode::SEND);
        change(&mut request.control);
        request
    };
    let cases = [
        ("opcode 0", nothing(WorkOpcode(0))),
        ("opcode 9", nothing(WorkOpcode(9))),
        ("unknown flag", nothing(WorkOpcode::SEND).flags(0x10)),
        (
            "solicited write",
            Request::new(WorkOpcode::WRITE, &[remote.as_bytes()], &[]).flags(WORK_SOLICITED),
        ),
        (
            "inline read",
            Request::new(WorkOpcode::READ, &[remote.as_bytes()], &[]).flags(WORK_INLINE),
        ),
        ("no remote segment", nothing(WorkOpcode::WRITE)),
        ("no fast segment", nothing(WorkOpcode::FAST_REG)),
        ("no bind segment", nothing(WorkOpcode::BIND_MW)),
        (
            "data behind fast segment",
            Request::new(WorkOpcode::FAST_REG, &[fast.as_bytes()], &[(0, 0, 0)]),
        ),
        (
            "data behind invalidation",
            Request::new(WorkOpcode::LOCAL_INV, &[], &[(0, 0, 0)]),
        ),
        (
            "33 elements",
            Request::new(WorkOpcode::SEND, &[], &[(0, 0, 0); 33]),
        ),
        ("less inline data than bytes", inline(16)),
        ("more inline data than bytes", inline(33)),
        (
            "inline length alone",
            with(|control| control.inline_len = 1.into()),
        ),
        ("key alone", with(|control| control.invalidate_key = 1.into())),
        ("reserved", with(|control| control.reserved = 1)),
        ("reserved", with(|control| control.reserved2 = 1.into())),
    ];
    for (what, request) in cases {
        let mut pair = Pair::new();
        pair.sides[0].send(&mut pair.qps[0], &request);
        let [sent, _] = pair.request(&nothing(WorkOpcode::SEND));
        assert_eq!(
            statuses(&sent),
            [WorkStatus::LOCAL_OPERATION, WorkStatus::FLUSHED],
            "{what}"
        );
        let fatal = (EventKind::QP_FATAL, 2, WorkStatus::LOCAL_OPERATION.0.into());
        assert_eq!(pair.sides[0].event(), Some(fatal), "{what}");
    }
    let mut pair = Pair::new();
    pair.receive(64);
    assert_eq!(
        statuses(&pair.request(&inline(32))[0]),
        [WorkStatus::OK],
        "the control"
    );
}

#[test]
fn lengths_and_indexes_that_cannot_be() {
    for (what, length16, index) in [
        ("no length", 0, 0),
        ("more than the ring has been given", 5, 0),
        ("more than a request can have", 49, 0),
        ("another index", 1, 1),
    ] {
        let mut pair = Pair::new();
        let mut control = ControlSegment::new_zeroed();
        (control.opcode, control.length16, control.index) = (1, length16, index.into());
        pair.sides[0].put_send(&mut pair.qps[0], control.as_bytes());
        pair.sides[0].ring_send(&pair.qps[0]);
        pair.run();
        assert_eq!(
            statuses(&pair.drain()[0]),
            [WorkStatus::LOCAL_OPERATION],
            "{what}"
        );
    }
}

#[test]
fn wrong_producer_indexes() {
    for (word, index) in [(0, 33), (0, u32::MAX), (4, 33), (4, u32::MAX)] {
        let mut pair = Pair::new();
        let base = doorbell::QP + u64::from(pair.qps[1].qpn & 0xFFFF) * 8;
        pair.sides[1].ring(base + word, index);
        // A receive queue is looked at when a SEND comes.
        let request = Request::new(WorkOpcode::SEND, &[], &[pair.local(8)]);
        pair.request(&request);
        let fatal = (EventKind::QP_FATAL, 2, WorkStatus::LOCAL_OPERATION.0.into());
        assert_eq!(pair.sides[1].event(), Some(fatal), "{word} {index}");
        assert_eq!(pair.sides[1].state(&pair.qps[1]), QpState::ERROR);
        pair.sides[1].settle();
    }
    // Exactly the ring is right: 32 empty blocks are 32 malformed requests, of which one is blamed.
    let mut pair = Pair::new();
    pair.qps[0].sq_producer = 32;
    pair.sides[0].ring_send(&pair.qps[0]);
    pair.run();
    assert_eq!(statuses(&pair.drain()[0])[0], WorkStatus::LOCAL_OPERATION);
}

#[test]
fn rings_that_cannot_be_read() {
    let mut pair = Pair::new();
    let sq = pair.qps[0].sq;
    pair.sides[0].rig.host.map(sq, false);
    let request = Request::new(WorkOpcode::SEND, &[], &[pair.local(8)]);
    let index = pair.sides[0].send(&mut pair.qps[0], &request);
    pair.run();
    let [sent, _] = pair.drain();
    assert_eq!(
        (statuses(&sent), sent[0].index.get()),
        (vec![WorkStatus::LOCAL_OPERATION], index)
    );

    let mut pair = Pair::new();
    let rq = pair.qps[1].rq;
    pair.receive(64);
    pair.sides[1].rig.host.map(rq, false);
    let [sent, received] = pair.request(&request_of(&pair));
    assert_eq!(statuses(&sent), [WorkStatus::REMOTE_OPERATION]);
    assert_eq!(statuses(&received), [WorkStatus::LOCAL_OPERATION]);
}

fn request_of(pair: &Pair) -> Request {
    Request::new(WorkOpcode::SEND, &[], &[pair.local(8)])
}

#[test]
fn a_request_wraps_around_the_ring() {
    let mut pair = Pair::new();
    pair.fill(0, b"around");
    for round in 0..20 {
        pair.receive(64);
        // Five elements need two blocks: an odd number of requests of one block before makes one wrap.
        let elements = [
            (pair.memory[0], 1, pair.keys[0]),
            (pair.memory[0] + 1, 5, pair.keys[0]),
            (0, 0, 0),
            (0, 0, 0),
            (0, 0, 0),
        ];
        let count = if round == 0 { 1 } else { 5 };
        let request = Request::new(WorkOpcode::SEND, &[], &elements[..count.max(2)]);
        let [sent, received] = pair.request(&request);
        assert_eq!(
            (statuses(&sent), received[0].byte_len.get()),
            (vec![WorkStatus::OK], 6),
            "{round}"
        );
        assert_eq!(pair.bytes(1, 6), b"around");
    }
}
