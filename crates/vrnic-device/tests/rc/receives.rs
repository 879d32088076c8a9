//! Receives: early SENDs, RNR, shared queues, too small and bad buffers.

use std::time::Duration;

use roce_wire::bth::Opcode;
use vrnic_abi::cqe::WorkStatus;
use vrnic_abi::resource::QpState;
use vrnic_device::rc::{Operation, ReceiveRequest, Sge};

use crate::lone::{Lone, Sent, frame_address};
use crate::world::{A, B, BASE, KEY, PARK_LIMIT, Setup, World, read, request, write};

const SECOND: Duration = Duration::from_secs(1);

fn results(world: &World, side: usize) -> Vec<(u32, WorkStatus)> {
    world.nodes[side]
        .sent
        .iter()
        .map(|done| (done.index, done.status))
        .collect()
}

fn no_retries() -> Setup {
    Setup {
        rnr_retry: 0,
        ..Setup::default()
    }
}

#[test]
fn an_early_send_waits_for_its_receive() {
    let mut world = World::new(&no_retries());
    world.post(A, request(1, Operation::Send, BASE, 5000));
    world.post(A, request(2, write(BASE + 0x5_0000), BASE, 10));
    world.post(A, request(3, read(BASE), BASE + 0x6_0000, 10));
    world.settle(Duration::from_millis(250));
    assert!(world.qps[B].waits_for_receive());
    assert!(world.nodes[A].sent.is_empty());
    world.post_receive(B, 9, BASE + 0x1_0000, 5000);
    assert!(world.settle(SECOND));
    assert_eq!(results(&world, A), [1, 2, 3].map(|index| (index, WorkStatus::OK)));
    assert_eq!(world.nodes[B].received[0].byte_len, 5000);
    assert_eq!(world.nodes[B].count_of("rnr nak"), 0);
    assert_eq!(world.nodes[B].parked, 0);
}

#[test]
fn without_a_hold_an_rnr_nak_goes_out_at_once() {
    let mut setup = no_retries();
    setup.config.rnr_hold = Duration::ZERO;
    let mut world = World::new(&setup);
    world.post(A, request(1, Operation::Send, BASE, 10));
    assert!(world.settle(SECOND));
    assert_eq!(results(&world, A), [(1, WorkStatus::RNR_RETRY_EXCEEDED)]);
    assert_eq!(world.qps[B].state(), QpState::RTS);
}

#[test]
fn a_send_that_nobody_receives_ends_after_hold_and_retries() {
    let mut world = World::new(&Setup::default());
    world.post(A, request(1, Operation::Send, BASE, 10));
    let start = world.now;
    assert!(world.settle(SECOND));
    assert_eq!(results(&world, A), [(1, WorkStatus::RNR_RETRY_EXCEEDED)]);
    // The hold comes once; then there is one NAK for each attempt.
    assert_eq!(world.nodes[B].count_of("rnr nak"), 7);
    let passed = world.now - start;
    assert!((300_000_000..400_000_000).contains(&passed), "{passed} ns");
}

#[test]
fn rnr_retries_reach_a_late_receive() {
    let mut setup = Setup {
        rnr_retry: 7,
        ..Setup::default()
    };
    setup.config.rnr_hold = Duration::ZERO;
    let mut world = World::new(&setup);
    world.post(A, request(1, Operation::Send, BASE, 3000));
    world.settle(Duration::from_millis(5));
    assert!(world.nodes[B].count_of("rnr nak") > 7);
    world.post_receive(B, 1, BASE, 3000);
    assert!(world.settle(SECOND));
    assert_eq!(results(&world, A), [(1, WorkStatus::OK)]);
}

#[test]
fn what_waits_is_bounded() {
    let mut world = World::new(&Setup {
        mtu_log2: 12,
        ..Setup::default()
    });
    for index in 0..60 {
        world.post(A, request(index, Operation::Send, BASE, 4096));
    }
    world.settle(Duration::from_millis(10));
    assert!(world.nodes[B].parked > 4096 && world.nodes[B].parked <= PARK_LIMIT);
    for index in 0..60 {
        world.post_receive(B, index, BASE, 4096);
    }
    assert!(world.settle(SECOND));
    assert_eq!(results(&world, A).len(), 60);
    assert!(
        world.nodes[A]
            .sent
            .iter()
            .all(|done| done.status == WorkStatus::OK)
    );
    assert_eq!(world.nodes[B].parked, 0);
}

#[test]
fn what_waits_is_given_back_at_the_end() {
    for end in [0, 1] {
        let mut lone = Lone::new(&Setup::default());
        let psn = lone.setup.psn[A];
        lone.receive(&Sent::new(Opcode::RC_SEND_ONLY, psn, b"early"))
            .expect("taken");
        assert_eq!(lone.node.parked, 5);
        if end == 0 {
            lone.qp.set_error(&mut lone.node);
        } else {
            lone.qp.abandon(&mut lone.node);
        }
        assert_eq!((lone.node.parked, lone.qp.deadline()), (0, None));
    }
}

#[test]
fn copies_of_a_packet_that_waits_are_dropped() {
    let mut lone = Lone::new(&Setup::default());
    let psn = lone.setup.psn[A];
    let send = Sent::new(Opcode::RC_SEND_ONLY, psn, b"early");
    for _ in 0..3 {
        assert_eq!(lone.receive(&send), Ok(vec![]));
    }
    // Nor is there a NAK for what is behind a gap.
    assert_eq!(
        lone.receive(&Sent::new(Opcode::RC_SEND_ONLY, psn + 5, b"x")),
        Ok(vec![])
    );
    lone.post_receive(1, BASE, 10);
    lone.post_receive(2, BASE, 10);
    assert_eq!(lone.run().len(), 1);
    assert_eq!(lone.node.received.len(), 1);
}

#[test]
fn an_invalid_packet_among_those_that_wait_ends_the_connection() {
    let mut lone = Lone::new(&Setup::default());
    let address = frame_address(&lone.setup);
    let psn = lone.setup.psn[A];
    lone.take(&address, &Sent::new(Opcode::RC_SEND_ONLY, psn, b"early"))
        .expect("taken");
    lone.take(&address, &Sent::new(Opcode::RC_FETCH_ADD, psn + 1, b""))
        .expect("taken");
    lone.take(&address, &Sent::new(Opcode::RC_SEND_ONLY, psn + 2, b"later"))
        .expect("taken");
    lone.post_receive(1, BASE, 10);
    let answers = lone.run();
    assert_eq!(answers.last().and_then(|answer| answer.aeth), Some((0x61, 1)));
    assert_eq!((lone.qp.state(), lone.node.parked), (QpState::ERROR, 0));
}

#[test]
fn immediate_data_without_a_receive_waits_too() {
    let mut lone = Lone::new(&Setup::default());
    let psn = lone.setup.psn[A];
    let sent = Sent::new(Opcode::RC_RDMA_WRITE_ONLY_WITH_IMMEDIATE, psn, b"data").reth(BASE, KEY, 4);
    let before = lone.node.bytes(BASE, 4).to_vec();
    lone.receive(&sent).expect("taken");
    assert_eq!(lone.node.bytes(BASE, 4), before);
    lone.post_receive(1, BASE, 0);
    lone.run();
    assert_eq!(lone.node.bytes(BASE, 4), b"data");
    assert_eq!(lone.node.received.len(), 1);
}

#[test]
fn a_receive_that_is_too_small() {
    for length in [100, 3000] {
        let mut world = World::new(&Setup::default());
        world.post_receive(B, 1, BASE + 0x1_0000, length);
        world.post_receive(B, 2, BASE + 0x1_0000, 4000);
        world.post(A, request(1, Operation::Send, BASE, length + 1));
        world.post(A, request(2, Operation::Send, BASE, 1));
        assert!(world.settle(SECOND));
        assert_eq!(
            results(&world, A),
            [(1, WorkStatus::REMOTE_INVALID_REQUEST), (2, WorkStatus::FLUSHED)]
        );
        let received: Vec<_> = world.nodes[B]
            .received
            .iter()
            .map(|done| (done.index, done.status))
            .collect();
        assert_eq!(
            received,
            [(1, WorkStatus::LOCAL_LENGTH), (2, WorkStatus::FLUSHED)]
        );
    }
}

#[test]
fn a_receive_that_is_bad() {
    let bad_key = ReceiveRequest {
        index: 1,
        sges: vec![Sge {
            addr: BASE,
            length: 100,
            key: 0x666,
        }],
        length: 100,
        fault: None,
    };
    let malformed = ReceiveRequest {
        fault: Some(WorkStatus::LOCAL_OPERATION),
        ..bad_key.clone()
    };
    for (receive, status) in [
        (bad_key, WorkStatus::LOCAL_PROTECTION),
        (malformed, WorkStatus::LOCAL_OPERATION),
    ] {
        let mut world = World::new(&Setup::default());
        world.nodes[B].receives.push_back(receive);
        world.post(A, request(1, Operation::Send, BASE, 10));
        assert!(world.settle(SECOND));
        assert_eq!(results(&world, A), [(1, WorkStatus::REMOTE_OPERATION)]);
        assert_eq!(world.nodes[B].received[0].status, status);
    }
}
