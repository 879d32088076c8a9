//! Queues on a device that fails them: it refuses, is slow, dies, gives impossible numbers, and writes completions and events that
//! cannot be.

use crate::support::{PATIENCE, QUIET, eventually, machine, open};
use ndk_sys::{
    NTSTATUS, STATUS_BUFFER_OVERFLOW, STATUS_CANCELLED, STATUS_DEVICE_BUSY, STATUS_DEVICE_DATA_ERROR,
    STATUS_DEVICE_NOT_READY, STATUS_DEVICE_REMOVED, STATUS_INSUFFICIENT_RESOURCES, STATUS_INTERNAL_ERROR,
    STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_HANDLE, STATUS_INVALID_PARAMETER, STATUS_IO_TIMEOUT,
    STATUS_NOT_SUPPORTED, STATUS_PENDING, STATUS_SUCCESS,
};
use ntbench::cpu::irql::{DISPATCH_LEVEL, PASSIVE_LEVEL};
use ntbench::machine::{Machine, v4};
use ntbench::ndk::pair::{self, Pair, PairOptions};
use ntbench::ndk::{Adapter, Cq, Notify, Pd, Qp, QpConfig, Srq, Started};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use vrnic_abi::cmd::{Opcode, Status};
use vrnic_abi::cqe::{CQE_RECEIVE, Cqe};
use vrnic_abi::event::{Event, EventKind};
use vrnic_abi::regs::FatalSyndrome;
use vrnic_abi::resource::QPN_INDEX_MASK;
use vrnic_device::{CompletionFault, Hold};
use zerocopy::FromZeros;

/// What the firmware may answer, and what the consumer is told.
const STATUSES: &[(Status, NTSTATUS)] = &[
    (Status::BAD_OPCODE, STATUS_NOT_SUPPORTED),
    (Status::BAD_PARAMETER, STATUS_INVALID_PARAMETER),
    (Status::BAD_RESOURCE, STATUS_INVALID_HANDLE),
    (Status::BAD_STATE, STATUS_INVALID_DEVICE_REQUEST),
    (Status::IN_USE, STATUS_DEVICE_BUSY),
    (Status::NO_RESOURCES, STATUS_INSUFFICIENT_RESOURCES),
    (Status::BAD_MAILBOX, STATUS_DEVICE_DATA_ERROR),
    (Status::PEER_ABANDONED, STATUS_INTERNAL_ERROR),
    (Status::NETWORK_UNREACHABLE, STATUS_INTERNAL_ERROR),
    (Status::HOST_UNREACHABLE, STATUS_INTERNAL_ERROR),
    (Status::LINK_DOWN, STATUS_INTERNAL_ERROR),
    (Status::TIMEOUT, STATUS_IO_TIMEOUT),
    (Status::INTERNAL_ERROR, STATUS_INTERNAL_ERROR),
    (Status(0xFFFF), STATUS_INTERNAL_ERROR),
];

/// A consumer with one queue pair that is not connected, whose receives complete to an armed queue of its own.
struct Consumer {
    // In the order in which they go down.
    qp: Qp,
    pd: Pd,
    cq: Cq,
    told: Arc<Told>,
    ndk: Adapter,
    machine: Machine,
}

/// What a completion queue has told.
#[derive(Default)]
struct Told {
    completions: AtomicU32,
    overruns: AtomicU32,
    failures: AtomicU32,
}

impl Told {
    fn note(&self, status: NTSTATUS) {
        let counter = match status {
            STATUS_SUCCESS => &self.completions,
            STATUS_BUFFER_OVERFLOW => &self.overruns,
            STATUS_INTERNAL_ERROR => &self.failures,
            other => panic!("a completion queue says {other:#x}"),
        };
        counter.fetch_add(1, Ordering::SeqCst);
    }

    /// Completions, overruns, failures.
    fn counts(&self) -> [u32; 3] {
        [&self.completions, &self.overruns, &self.failures].map(|counter| counter.load(Ordering::SeqCst))
    }
}

impl Consumer {
    fn new() -> Self {
        let machine = machine();
        let ndk = open(&machine);
        let told = Arc::new(Told::default());
        let noting = Arc::clone(&told);
        let cq = ndk
            .create_cq(64, move |_, status| noting.note(status))
            .expect("a queue");
        let pd = ndk.create_pd().expect("a domain");
        let qp = pd.create_qp(&QpConfig::new(&cq)).expect("a queue pair");
        Self {
            qp,
            pd,
            cq,
            told,
            ndk,
            machine,
        }
    }

    /// The numbers that the device has given to the queue and the queue pair.
    fn numbers(&self) -> (u32, u32) {
        let faults = self.machine.nic().faults();
        let (queues, pairs) = (faults.completion_queues(), faults.queue_pairs());
        assert_eq!((queues.len(), pairs.len()), (1, 1), "nobody else has any");
        (queues[0], pairs[0])
    }

    /// The queue has failed: everything that is outstanding is cancelled, nothing new is completed, and all can be closed.
    fn assert_cancelled(&self, contexts: &[u64]) {
        let mut seen = Vec::new();
        eventually("what is outstanding is cancelled", || {
            for result in self.cq.results(16) {
                assert_eq!(result.status, STATUS_CANCELLED);
                seen.push(result.context);
            }
            seen.len() == contexts.len()
        });
        assert_eq!(seen, contexts);
        assert_eq!(self.qp.outstanding(), 0);
    }
}

/// A receive's completion.
fn received(qpn: u32, index: u32) -> Cqe {
    Cqe {
        qpn: qpn.into(),
        index: index.into(),
        flags: CQE_RECEIVE.into(),
        ..Cqe::new_zeroed()
    }
}

/// Judges rule: a completion that cannot be ends its queue: the consumer is told once, and what is outstanding is cancelled
#[test]
fn a_completion_that_cannot_be_ends_its_queue() {
    type Spoil = fn(u32) -> Cqe;
    let cases: &[(&str, Spoil)] = &[
        ("a queue pair that nobody has", |qpn| received(qpn + 1, 0)),
        ("a queue pair that cannot be", |_| received(u32::MAX, 0)),
        ("the queue pair's number in an earlier use", |qpn| {
            received(qpn ^ (QPN_INDEX_MASK + 1), 0)
        }),
        ("a receive that nobody has posted", |qpn| received(qpn, 2)),
        ("a receive far away", |qpn| received(qpn, 0x8000_0000)),
        ("a receive of the past", |qpn| received(qpn, u32::MAX)),
        ("a send that nobody has posted", |qpn| Cqe {
            flags: 0.into(),
            ..received(qpn, 0)
        }),
        ("a send far away", |qpn| Cqe {
            flags: 0.into(),
            opcode: 0xFF,
            ..received(qpn, 0x7FFF_FFFF)
        }),
    ];
    for (name, spoil) in cases {
        println!("{name}");
        let consumer = Consumer::new();
        let (cqn, qpn) = consumer.numbers();
        for context in 0..2 {
            assert_eq!(consumer.qp.receive(context, &[]), STATUS_SUCCESS);
        }
        consumer.cq.arm(Notify::Any);
        assert!(consumer.machine.nic().faults().completion(cqn, spoil(qpn)));
        eventually("the completion is told", || consumer.told.counts()[0] == 1);
        consumer.cq.arm(Notify::Errors);
        assert!(consumer.cq.results(16).is_empty(), "{name}: it is nobody's");
        eventually("the failure is told", || consumer.told.counts() == [1, 0, 1]);
        consumer.assert_cancelled(&[0, 1]);
        consumer.cq.arm(Notify::Any);
        std::thread::sleep(QUIET / 4);
        assert_eq!(consumer.told.counts(), [1, 0, 1], "{name}: it is told once");
        // The rest of the adapter is as good as ever.
        consumer.ndk.create_silent_cq(16).expect("another queue");
    }
}

/// Judges rule: a completion with a status that the driver does not know is an INTERNAL_ERROR of that request
#[test]
fn an_unknown_status_is_the_requests_own() {
    let consumer = Consumer::new();
    let (cqn, qpn) = consumer.numbers();
    assert_eq!(consumer.qp.receive(7, &[]), STATUS_SUCCESS);
    let strange = Cqe {
        status: 200,
        opcode: 0xEE,
        byte_len: u32::MAX.into(),
        ..received(qpn, 0)
    };
    assert!(consumer.machine.nic().faults().completion(cqn, strange));
    let results = consumer.cq.wait_for(1, PATIENCE);
    assert_eq!(
        (results[0].status, results[0].context, results[0].bytes),
        (STATUS_INTERNAL_ERROR, 7, 0)
    );
    // Said twice, it is one too many.
    assert!(consumer.machine.nic().faults().completion(cqn, strange));
    assert!(consumer.cq.results(16).is_empty());
    consumer.cq.arm(Notify::Errors);
    eventually("the failure is told", || consumer.told.counts()[2] == 1);
}

/// Judges rule: a queue that overruns or fails says so, whatever is in it
#[test]
fn a_queue_that_the_device_gives_up_says_so() {
    for (syndrome, counts) in [(2, [0, 1, 0]), (1, [0, 0, 1]), (0xFFFF, [0, 0, 1])] {
        let consumer = Consumer::new();
        let (cqn, _) = consumer.numbers();
        assert_eq!(consumer.qp.receive(1, &[]), STATUS_SUCCESS);
        consumer.cq.arm(Notify::Errors);
        let error = Event {
            detail: syndrome.into(),
            ..event(EventKind::CQ_ERROR, cqn)
        };
        assert!(consumer.machine.nic().faults().event(0, error));
        eventually("the failure is told", || consumer.told.counts() == counts);
        consumer.assert_cancelled(&[1]);
        assert!(consumer.machine.nic().faults().event(0, error), "once more");
        std::thread::sleep(QUIET / 4);
        assert_eq!(consumer.told.counts(), counts);
    }
}

fn event(kind: EventKind, number: u32) -> Event {
    Event {
        kind: kind.into(),
        number: number.into(),
        ..Event::new_zeroed()
    }
}

/// Judges rule: events about objects that there are not do no harm
#[test]
fn events_about_nothing_do_no_harm() {
    let machine = machine();
    let ndk = open(&machine);
    let pair = pair::connect(&ndk, &ndk, v4(0), v4(7450), &PairOptions::default()).expect("connected");
    let faults = machine.nic().faults();
    let kinds = [
        EventKind::CQ,
        EventKind::CQ_ERROR,
        EventKind::QP_FATAL,
        EventKind::QP_LAST_WQE,
        EventKind::SRQ_LIMIT,
        EventKind::SRQ_ERROR,
        EventKind::QP_COMM_EST,
        EventKind::ETH,
        EventKind(0),
        EventKind(0x1234),
        EventKind(u16::MAX),
    ];
    let good = faults.queue_pairs()[0];
    let earlier = good ^ (QPN_INDEX_MASK + 1);
    for kind in kinds {
        for number in [earlier, 1000, 0xFFFF, 0x1_0000, 0x00FF_FFFF, 1 << 31, u32::MAX] {
            eventually("there is room for an event", || {
                faults.event(0, event(kind, number))
            });
        }
    }
    // Nor do those that say again what is known.
    for number in faults.queue_pairs() {
        eventually("there is room for an event", || {
            faults.event(0, event(EventKind::QP_COMM_EST, number))
        });
    }
    for number in faults.completion_queues() {
        eventually("there is room for an event", || {
            faults.event(0, event(EventKind::CQ, number))
        });
    }
    assert_works(&pair);
}

fn assert_works(pair: &Pair) {
    assert_eq!(pair.server.qp.receive(1, &[]), STATUS_SUCCESS);
    assert_eq!(pair.client.qp.send(2, &[], 0), STATUS_SUCCESS);
    for (cq, context) in [(&pair.server.receive_cq, 1), (&pair.client.initiator_cq, 2)] {
        let results = cq.wait_for(1, PATIENCE);
        assert_eq!(
            results
                .iter()
                .map(|one| (one.status, one.context))
                .collect::<Vec<_>>(),
            [(STATUS_SUCCESS, context)]
        );
    }
}

/// Creates something, and closes it.
type Create = fn(&Consumer) -> NTSTATUS;

/// The objects that are made by one command each.
const CREATIONS: &[(Opcode, Create)] = &[
    (Opcode::CREATE_CQ, |consumer| status(start_cq(consumer))),
    (Opcode::CREATE_SRQ, |consumer| status(start_srq(consumer))),
    (Opcode::CREATE_QP, |consumer| status(start_qp(consumer))),
    (Opcode::ALLOC_PD, |consumer| {
        status(consumer.ndk.start_create_pd())
    }),
    (Opcode::ALLOC_MW, |consumer| status(consumer.pd.start_create_mw())),
    (Opcode::MODIFY_CQ, |consumer| {
        consumer.cq.start_resize(128).wait_status()
    }),
];

fn start_cq(consumer: &Consumer) -> Started<Cq> {
    consumer.ndk.start_create_cq(16, None, |_, _| {})
}

fn start_srq(consumer: &Consumer) -> Started<Srq> {
    consumer.pd.start_create_srq(16, 2, 0, |_| {})
}

fn start_qp(consumer: &Consumer) -> Started<Qp> {
    consumer.pd.start_create_qp(&QpConfig::new(&consumer.cq))
}

/// How a creation ended; what was created is closed.
fn status<T>(started: Started<T>) -> NTSTATUS {
    started.wait().err().unwrap_or(STATUS_SUCCESS)
}

/// Judges rule: every result of the firmware has its NTSTATUS, whatever is created or changed
#[test]
fn every_firmware_status_of_every_creation_has_its_ntstatus() {
    for known in Status::ALL.iter().filter(|status| **status != Status::OK) {
        assert!(
            STATUSES.iter().any(|(row, _)| row == known),
            "{known:?} has no row"
        );
    }
    let consumer = Consumer::new();
    let faults = consumer.machine.nic().faults();
    for (opcode, create) in CREATIONS {
        for (answer, expected) in STATUSES {
            faults.answer(*opcode, *answer, 0xABCD, 1);
            assert_eq!(create(&consumer), *expected, "{opcode:?}, {answer:?}");
        }
        assert_eq!(
            create(&consumer),
            STATUS_SUCCESS,
            "{opcode:?} is possible as ever"
        );
    }
    assert_eq!(consumer.numbers().0, 0, "nothing is left of what was refused");
}

/// Judges rule: creations and changes pend while the firmware is slow, and end as it says
#[test]
fn a_slow_firmware_makes_creations_pend() {
    let consumer = Consumer::new();
    let faults = consumer.machine.nic().faults();
    let srq = consumer.pd.create_srq(16, 2, 0, |_| {}).expect("a shared queue");
    for irql in [PASSIVE_LEVEL, DISPATCH_LEVEL] {
        for refuse in [false, true] {
            faults.hold(Hold::All);
            let (cq, shared, qp, resize, modify) = consumer.machine.kernel().run_at(irql, 0, || {
                (
                    start_cq(&consumer),
                    start_srq(&consumer),
                    start_qp(&consumer),
                    consumer.cq.start_resize(100),
                    srq.start_modify(20, 0),
                )
            });
            let pending = [cq.status(), shared.status(), qp.status(), resize.status()];
            assert_eq!(pending, [STATUS_PENDING; 4]);
            if refuse {
                for opcode in [
                    Opcode::CREATE_CQ,
                    Opcode::CREATE_SRQ,
                    Opcode::CREATE_QP,
                    Opcode::MODIFY_CQ,
                ] {
                    faults.answer(opcode, Status::NO_RESOURCES, 1, 1);
                }
            }
            faults.release();
            let ended = [status(cq), status(shared), status(qp), resize.wait_status()];
            let expected = if refuse {
                STATUS_INSUFFICIENT_RESOURCES
            } else {
                STATUS_SUCCESS
            };
            assert_eq!(ended, [expected; 4], "IRQL {irql}");
            assert_eq!(modify.wait_status(), STATUS_SUCCESS);
        }
    }
}

/// Judges rule: a device that gives an object an impossible number is not believed
#[test]
fn an_object_with_an_impossible_number_is_not_created() {
    for number in [0x00FF_FFFF_u32, 0x0100_0002, u32::MAX - 1, 0xFFFF] {
        for create in [CREATIONS[0].1, CREATIONS[1].1, CREATIONS[2].1] {
            let consumer = Consumer::new();
            let mut output = [0; 16];
            output[..4].copy_from_slice(&number.to_le_bytes());
            let faults = consumer.machine.nic().faults();
            faults.spoil_completion(CompletionFault::Output(output));
            assert_eq!(create(&consumer), STATUS_INTERNAL_ERROR, "number {number:#x}");
            // It is asked to destroy what it has made: nobody knows what that was, so it is stopped.
            eventually("the device is given up", || {
                consumer.ndk.start_create_pd().wait().err() == Some(STATUS_DEVICE_NOT_READY)
            });
        }
    }
}

/// Judges rule: on a dead or removed device all that pends completes, what is outstanding is cancelled, and everything closes
#[test]
fn a_device_that_dies_ends_all_that_pends() {
    for (removed, expected) in [(false, STATUS_DEVICE_NOT_READY), (true, STATUS_DEVICE_REMOVED)] {
        let consumer = Consumer::new();
        for context in 0..3 {
            assert_eq!(consumer.qp.receive(context, &[]), STATUS_SUCCESS);
        }
        consumer.cq.arm(Notify::Any);
        consumer.machine.nic().faults().hold(Hold::All);
        let (cq, srq, qp) = (start_cq(&consumer), start_srq(&consumer), start_qp(&consumer));
        let resize = consumer.cq.start_resize(100);
        assert_eq!([cq.status(), srq.status(), qp.status()], [STATUS_PENDING; 3]);
        if removed {
            consumer.machine.nic().remove();
            consumer.machine.adapter().notify_removed();
        } else {
            consumer.machine.nic().faults().fatal(FatalSyndrome::INTERNAL);
        }
        let ended = [status(cq), status(srq), status(qp), resize.wait_status()];
        assert_eq!(ended, [expected; 4]);
        eventually("the queue says so", || consumer.told.counts() == [0, 0, 1]);
        consumer.assert_cancelled(&[0, 1, 2]);
        assert_eq!(status(start_cq(&consumer)), expected, "at once");
    }
}
