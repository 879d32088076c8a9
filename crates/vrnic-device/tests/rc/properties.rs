//! Every request completes exactly once, in order, with the right data, whatever the wire does.

use std::time::Duration;

use proptest::prelude::*;
use vrnic_abi::cqe::WorkStatus;
use vrnic_device::rc::{Operation, SendRequest};

use crate::world::{A, B, BASE, Setup, Weather, World, read, request, write};

/// One request of one side.
#[derive(Clone, Copy, Debug)]
enum Job {
    Send,
    Write,
    Read,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    side: usize,
    job: Job,
    length: u32,
    signaled: bool,
    fenced: bool,
    /// Microseconds that pass before the next one.
    pause: u64,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let job = prop_oneof![Just(Job::Send), Just(Job::Write), Just(Job::Read)];
    let length = prop_oneof![0_u32..64, 0_u32..5000, 4000_u32..16_000];
    let pause = prop_oneof![4 => Just(0_u64), 1 => 0_u64..500];
    let step = (0..2_usize, job, length, any::<bool>(), any::<bool>(), pause).prop_map(
        |(side, job, length, signaled, fenced, pause)| Step {
            side,
            job,
            length,
            signaled,
            fenced,
            pause,
        },
    );
    prop::collection::vec(step, 1..24)
}

fn setups() -> impl Strategy<Value = Setup> {
    let psn = prop_oneof![Just(0_u32), 0xff_ffe0_u32..=0xff_ffff, 0x7f_fff0_u32..0x80_0010];
    let weather =
        (0..40_u64, 0..100_u64, 0..100_u64, any::<u64>()).prop_map(|(loss, repetition, reordering, seed)| {
            Weather {
                loss,
                repetition,
                reordering,
                seed,
            }
        });
    // Window, ACK interval, piece of a READ; whether early SENDs are held.
    let windows = (1..80_u32, 1..20_u32, 1..40_u32, any::<bool>());
    (
        8..=12_u8,
        [psn.clone(), psn],
        1..=16_u8,
        1..40_usize,
        windows,
        weather,
    )
        .prop_map(
            |(mtu_log2, psn, reads, budget, (window, ack_interval, read_piece, hold), weather)| {
                let mut setup = Setup {
                    mtu_log2,
                    psn,
                    reads,
                    budget,
                    weather,
                    rnr_retry: 7,
                    ..Setup::default()
                };
                if !hold {
                    setup.config.rnr_hold = Duration::ZERO;
                }
                setup.config.max_window = window;
                setup.config.initial_window = window.div_ceil(2);
                setup.config.ack_interval = ack_interval;
                setup.config.read_piece = read_piece;
                setup
            },
        )
}

/// Each step has a place of its own: data comes from its slot in the lower half, and goes to its slot in the upper half.
const SLOT: u64 = 0x4000;

fn source(step: usize) -> u64 {
    BASE + step as u64 * SLOT
}

fn target(step: usize) -> u64 {
    source(step) + 0x8_0000
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn exactly_once_in_order_with_the_right_data(steps in steps(), setup in setups(), late in any::<bool>()) {
        let mut world = World::new(&setup);
        let original = [A, B].map(|side| world.nodes[side].memory.clone());
        for (index, step) in steps.iter().enumerate() {
            let number = u32::try_from(index).expect("few");
            let (operation, local) = match step.job {
                Job::Send => (Operation::Send, source(index)),
                Job::Write => (write(target(index)), source(index)),
                Job::Read => (read(source(index)), target(index)),
            };
            let request = SendRequest {
                signaled: step.signaled,
                fenced: step.fenced,
                ..request(number, operation, local, step.length)
            };
            let receive = matches!(step.job, Job::Send);
            if receive && !late {
                world.post_receive(1 - step.side, number, target(index), step.length);
            }
            world.post(step.side, request);
            world.settle(Duration::from_micros(step.pause));
            if receive && late {
                world.post_receive(1 - step.side, number, target(index), step.length);
            }
        }
        prop_assert!(world.settle(Duration::from_secs(200)), "it never ends");
        for side in [A, B] {
            let mine = || steps.iter().enumerate().filter(move |(_, step)| step.side == side);
            let sent: Vec<_> = world.nodes[side].sent.iter().map(|done| (done.index as usize, done.status)).collect();
            let expected: Vec<_> = mine()
                .filter(|(_, step)| step.signaled)
                .map(|(index, _)| (index, WorkStatus::OK))
                .collect();
            prop_assert_eq!(sent, expected);
            let received: Vec<_> = world.nodes[1 - side]
                .received
                .iter()
                .map(|done| (done.index as usize, done.status, done.byte_len))
                .collect();
            let expected: Vec<_> = mine()
                .filter(|(_, step)| matches!(step.job, Job::Send))
                .map(|(index, step)| (index, WorkStatus::OK, step.length))
                .collect();
            prop_assert_eq!(received, expected);
            prop_assert_eq!(world.nodes[side].parked, 0);
        }
        // Nothing else than the targets has changed, and these have what the sources have.
        let mut expected = original.clone();
        for (index, step) in steps.iter().enumerate() {
            let at = |addr: u64| usize::try_from(addr - BASE).expect("in memory");
            let (from, to) = match step.job {
                Job::Read => (1 - step.side, step.side),
                Job::Send | Job::Write => (step.side, 1 - step.side),
            };
            let length = step.length as usize;
            let data = original[from][at(source(index))..][..length].to_vec();
            expected[to][at(target(index))..][..length].copy_from_slice(&data);
        }
        for side in [A, B] {
            prop_assert!(world.nodes[side].memory == expected[side], "wrong data on side {side}");
        }
    }
    #[test]
    fn an_end_at_any_time_completes_each_request_once(
        steps in steps(),
        setup in setups(),
        end in 0_u64..2_000,
        ending in 0..2_usize,
    ) {
        let mut world = World::new(&setup);
        let mut receives = 0;
        for (index, step) in steps.iter().enumerate() {
            let number = u32::try_from(index).expect("few");
            let (operation, local) = match step.job {
                Job::Send => (Operation::Send, source(index)),
                Job::Write => (write(target(index)), source(index)),
                Job::Read => (read(source(index)), target(index)),
            };
            world.post(ending, request(number, operation, local, step.length));
            if index % 2 == 0 {
                world.post_receive(ending, receives, target(index), 16_000);
                receives += 1;
            }
            if matches!(step.job, Job::Send) {
                world.post_receive(1 - ending, number, target(index), step.length);
            }
        }
        world.settle(Duration::from_micros(end));
        world.qps[ending].set_error(&mut world.nodes[ending]);
        prop_assert!(world.settle(Duration::from_secs(200)), "it never ends");
        prop_assert!(world.qps[ending].is_drained());
        let node = &world.nodes[ending];
        let sent: Vec<_> = node.sent.iter().map(|done| done.index as usize).collect();
        prop_assert_eq!(sent, (0..steps.len()).collect::<Vec<_>>());
        let received: Vec<_> = node.received.iter().map(|done| done.index).collect();
        prop_assert_eq!(received, (0..receives).collect::<Vec<_>>());
        let first_flushed = node.sent.iter().position(|done| done.status != WorkStatus::OK);
        let rest = &node.sent[first_flushed.unwrap_or(steps.len())..];
        prop_assert!(rest.iter().all(|done| done.status == WorkStatus::FLUSHED));
    }
}
