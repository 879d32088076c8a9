//! The end of a connection: order of completions, flushing, events.

use std::time::Duration;

use roce_wire::bth::Opcode;
use vrnic_abi::cqe::WorkStatus;
use vrnic_abi::resource::QpState;
use vrnic_abi::wqe::BindSegment;
use vrnic_device::rc::{Operation, QpEvent, SendRequest, Sge};
use zerocopy::FromZeros;

use crate::lone::Lone;
use crate::world::{A, B, BASE, KEY, READ_KEY, SIZE, Setup, Weather, World, read, request, write};

const SECOND: Duration = Duration::from_secs(1);

fn results(world: &World, side: usize) -> Vec<(u32, WorkStatus)> {
    world.nodes[side]
        .sent
        .iter()
        .map(|done| (done.index, done.status))
        .collect()
}

/// A good request, then `bad`, then two that are flushed.
fn run(bad: SendRequest) -> World {
    let mut world = World::new(&Setup::default());
    for side in [A, B] {
        for index in 0..3 {
            world.post_receive(side, index, BASE + 0x1_0000, 100);
        }
    }
    world.post(A, request(1, write(BASE + 0x2_0000), BASE, 3000));
    world.post(A, SendRequest { index: 2, ..bad });
    world.post(A, request(3, write(BASE + 0x2_0000), BASE, 3000));
    world.post(A, request(4, Operation::LocalInvalidate { key: KEY }, 0, 0));
    assert!(world.settle(SECOND));
    world
}

#[test]
fn an_error_completes_first_and_the_rest_is_flushed_in_order() {
    let end = BASE + SIZE as u64;
    let mut bind = BindSegment::new_zeroed();
    bind.window_key.set(5);
    let local = |operation, key| SendRequest {
        sges: vec![
            Sge {
                addr: BASE,
                length: 2000,
                key: KEY,
            },
            Sge {
                addr: BASE,
                length: 1,
                key,
            },
        ],
        ..request(2, operation, BASE, 2001)
    };
    let fault = SendRequest {
        fault: Some(WorkStatus::LOCAL_OPERATION),
        ..SendRequest::default()
    };
    let inline = SendRequest {
        inline: true,
        ..request(2, Operation::Send, BASE, 10)
    };
    let read_key = Operation::Write {
        addr: BASE,
        key: READ_KEY,
    };
    // The request, its status, and whether the peer's side ends too.
    for (bad, status, both) in [
        (
            request(2, write(end - 10), BASE, 11),
            WorkStatus::REMOTE_ACCESS,
            true,
        ),
        (
            request(2, read(end - 10), BASE, 11),
            WorkStatus::REMOTE_ACCESS,
            true,
        ),
        (request(2, read_key, BASE, 1), WorkStatus::REMOTE_ACCESS, true),
        (
            request(2, Operation::Send, BASE, 101),
            WorkStatus::REMOTE_INVALID_REQUEST,
            true,
        ),
        (local(Operation::Send, 0), WorkStatus::LOCAL_PROTECTION, false),
        (local(read(BASE), 0), WorkStatus::LOCAL_PROTECTION, false),
        (
            request(2, Operation::Bind(bind), 0, 0),
            WorkStatus::WINDOW_BIND,
            false,
        ),
        (
            request(2, Operation::LocalInvalidate { key: 1 }, 0, 0),
            WorkStatus::LOCAL_OPERATION,
            false,
        ),
        (inline, WorkStatus::LOCAL_OPERATION, false),
        (fault, WorkStatus::LOCAL_OPERATION, false),
    ] {
        let world = run(bad);
        let expected = [WorkStatus::OK, status, WorkStatus::FLUSHED, WorkStatus::FLUSHED];
        assert_eq!(
            results(&world, A),
            [1, 2, 3, 4].map(|index| (index, expected[index as usize - 1]))
        );
        assert_eq!(world.nodes[A].events, [QpEvent::Fatal(status), QpEvent::LastWqe]);
        for side in if both { vec![A, B] } else { vec![A] } {
            let received = &world.nodes[side].received;
            assert_eq!(
                received.iter().map(|done| done.index).collect::<Vec<_>>(),
                [0, 1, 2]
            );
            assert!(received.iter().all(|done| done.status != WorkStatus::OK));
            assert!(world.qps[side].is_drained());
        }
        assert_eq!(world.qps[B].state() == QpState::ERROR, both);
        assert!(
            world.nodes[A]
                .key_log
                .iter()
                .all(|entry| *entry != ("invalidate", KEY))
        );
    }
}

#[test]
fn a_read_whose_sink_goes_away() {
    let mut world = World::new(&Setup::default());
    world.post(A, request(1, read(BASE), BASE, 3000));
    world.run(A);
    world.nodes[A].keys.clear();
    assert!(world.settle(SECOND));
    assert_eq!(results(&world, A), [(1, WorkStatus::LOCAL_PROTECTION)]);
}

#[test]
fn a_source_that_goes_away_fails_in_its_turn() {
    let mut setup = Setup::default();
    (setup.config.initial_window, setup.config.max_window) = (4, 4);
    let mut world = World::new(&setup);
    world.post(A, request(1, write(BASE), BASE, 100));
    world.post(A, request(2, write(BASE), BASE, 20_000));
    world.run(A);
    world.nodes[A].keys.clear();
    assert!(world.settle(SECOND));
    assert_eq!(
        results(&world, A),
        [(1, WorkStatus::OK), (2, WorkStatus::LOCAL_PROTECTION)]
    );
}

#[test]
fn a_dead_peer_is_noticed_in_two_seconds() {
    let mut world = World::new(&Setup {
        weather: Weather {
            loss: 1000,
            ..Weather::default()
        },
        ..Setup::default()
    });
    world.post(A, request(1, write(BASE), BASE, 10));
    world.post(A, request(2, write(BASE), BASE, 10));
    assert!(world.settle(Duration::from_secs(2)));
    assert_eq!(
        results(&world, A),
        [(1, WorkStatus::RETRY_EXCEEDED), (2, WorkStatus::FLUSHED)]
    );
    assert_eq!(world.qps[B].state(), QpState::RTS);
}

#[test]
fn the_driver_ends_a_connection_that_is_busy() {
    let mut world = World::new(&Setup::default());
    for index in 0..200 {
        world.post(A, request(index, write(BASE), BASE, 3000));
        world.post_receive(A, index, BASE, 10);
    }
    world.run(A);
    let node = &mut world.nodes[A];
    world.qps[A].set_error(node);
    assert!(!world.qps[A].is_drained());
    world.run(A);
    assert!(world.qps[A].is_drained());
    assert_eq!(world.nodes[A].events, [QpEvent::LastWqe]);
    let expected: Vec<_> = (0..200).map(|index| (index, WorkStatus::FLUSHED)).collect();
    assert_eq!(results(&world, A), expected);
    assert_eq!(world.nodes[A].received.len(), 200);
    let sent = world.opcodes[A].len();
    assert!(world.settle(SECOND));
    assert_eq!(world.opcodes[A].len(), sent);
    // What is posted later is flushed too.
    world.post(A, request(777, write(BASE), BASE, 10));
    world.run(A);
    assert_eq!(results(&world, A).last(), Some(&(777, WorkStatus::FLUSHED)));
}

#[test]
fn flushing_has_a_budget() {
    let mut lone = Lone::in_init(&Setup::default());
    for index in 0..100 {
        lone.post_receive(index, BASE, 10);
    }
    lone.qp.set_error(&mut lone.node);
    let mut buffer = vrnic_device::FrameBuffer::new();
    assert!(lone.qp.run(&mut lone.node, &mut buffer, 40));
    assert_eq!(lone.node.received.len(), 40);
    assert!(!lone.qp.is_drained());
    assert!(lone.run().is_empty() && lone.qp.is_drained());
    assert_eq!(lone.node.received.len(), 100);
}

#[test]
fn a_message_that_is_under_way_is_flushed_first() {
    let mut lone = Lone::new(&Setup::default());
    lone.post_receive(1, BASE, 5000);
    lone.post_receive(2, BASE, 5000);
    let psn = lone.setup.psn[A];
    lone.receive(&crate::lone::Sent::new(Opcode::RC_SEND_FIRST, psn, &[1; 1024]))
        .expect("taken");
    lone.qp.set_error(&mut lone.node);
    lone.run();
    let received: Vec<_> = lone
        .node
        .received
        .iter()
        .map(|done| (done.index, done.status))
        .collect();
    assert_eq!(received, [(1, WorkStatus::FLUSHED), (2, WorkStatus::FLUSHED)]);
}
