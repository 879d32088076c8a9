//! The connector against the rules: by example, and at random.

use super::*;
use ndk_sys::status::{STATUS_DEVICE_REMOVED, STATUS_HOST_UNREACHABLE};
use proptest::prelude::*;

type M = Machine<u32>;

/// All actions that are due, in their order.
fn drain(machine: &mut M) -> Vec<Action<u32>> {
    core::iter::from_fn(|| machine.take_action()).collect()
}

fn connecting() -> M {
    let mut machine = M::idle();
    machine.connect(|| 1).expect("idle");
    assert_eq!(drain(&mut machine), []);
    machine.on_resolved(Ok(()));
    assert_eq!(drain(&mut machine), [Action::Cm(CmAction::Connect)]);
    machine
}

fn replied() -> M {
    let mut machine = connecting();
    assert!(machine.on_replied());
    assert_eq!(drain(&mut machine), [Action::Complete(1, STATUS_SUCCESS)]);
    machine
}

fn established() -> M {
    let mut machine = replied();
    machine.complete_connect(|| 2).expect("replied");
    assert_eq!(drain(&mut machine), [Action::Qp(QpAction::Connect)]);
    machine.on_qp_done(QpAction::Connect, Ok(()));
    assert_eq!(drain(&mut machine), [Action::Cm(CmAction::Ready)]);
    machine.on_ready_sent(Ok(()));
    assert_eq!(drain(&mut machine), [Action::Complete(2, STATUS_SUCCESS)]);
    machine
}

fn accepting() -> M {
    let mut machine = M::requested();
    machine.accept(|| 1).expect("requested");
    assert_eq!(drain(&mut machine), [Action::Qp(QpAction::Receive)]);
    machine.on_qp_done(QpAction::Receive, Ok(()));
    assert_eq!(drain(&mut machine), [Action::Cm(CmAction::Reply)]);
    machine.on_reply_sent(Ok(()));
    assert_eq!(drain(&mut machine), []);
    machine
}

#[test]
fn a_refused_connect_may_be_retried() {
    let mut machine = connecting();
    assert!(machine.on_refused());
    assert_eq!(
        drain(&mut machine),
        [
            Action::Cm(CmAction::Close),
            Action::Release,
            Action::Complete(1, STATUS_CONNECTION_REFUSED)
        ],
        "the queue pair is untouched, and free before the consumer knows"
    );
    machine.connect(|| 2).expect("may be retried");
    machine.on_resolved(Err(STATUS_HOST_UNREACHABLE));
    assert_eq!(
        drain(&mut machine)[1..],
        [Action::Release, Action::Complete(2, STATUS_HOST_UNREACHABLE)]
    );
    assert_eq!(machine.phase(), Phase::Idle);
}

#[test]
fn a_retry_waits_until_the_failure_is_told() {
    let mut machine = connecting();
    machine.on_connect_failed(STATUS_IO_TIMEOUT);
    assert_eq!(machine.connect(|| 2), Err(STATUS_INVALID_DEVICE_STATE));
}

#[test]
fn accept_completes_when_the_peer_is_ready() {
    let mut machine = accepting();
    machine.on_ready();
    machine.on_ready();
    assert_eq!(drain(&mut machine), [Action::Qp(QpAction::Send)], "once");
    machine.on_peer_disconnected();
    assert_eq!(drain(&mut machine), [], "not before it is complete");
    machine.on_qp_done(QpAction::Send, Ok(()));
    assert_eq!(
        drain(&mut machine),
        [
            Action::Complete(1, STATUS_SUCCESS),
            Action::Disconnected { error: false }
        ]
    );
}

#[test]
fn a_rejected_accept_flushes_the_queue_pair() {
    let mut machine = accepting();
    assert!(machine.on_refused());
    assert_eq!(
        drain(&mut machine),
        [
            Action::Cm(CmAction::Close),
            Action::Qp(QpAction::Flush),
            Action::Complete(1, STATUS_CONNECTION_REFUSED)
        ]
    );
    for (end, status) in [
        (M::on_aborted as fn(&mut M), STATUS_CONNECTION_ABORTED),
        (M::on_accept_timeout, STATUS_IO_TIMEOUT),
        (M::on_qp_failed, STATUS_CONNECTION_ABORTED),
        (
            |m| m.on_device_failed(STATUS_DEVICE_REMOVED),
            STATUS_DEVICE_REMOVED,
        ),
    ] {
        let mut machine = accepting();
        end(&mut machine);
        assert_eq!(drain(&mut machine).last(), Some(&Action::Complete(1, status)));
        assert_eq!(machine.phase(), Phase::Over);
    }
}

#[test]
fn a_peer_that_is_gone_aborts_the_completion() {
    let mut machine = replied();
    machine.complete_connect(|| 2).expect("replied");
    drain(&mut machine);
    machine.on_qp_done(QpAction::Connect, Ok(()));
    drain(&mut machine);
    machine.on_ready_sent(Err(STATUS_CONNECTION_ABORTED));
    assert_eq!(
        drain(&mut machine),
        [
            Action::Cm(CmAction::Close),
            Action::Qp(QpAction::Flush),
            Action::Complete(2, STATUS_CONNECTION_ABORTED)
        ]
    );
}

#[test]
fn reject_on_the_active_side_flushes() {
    let mut machine = replied();
    machine.check_reject().expect("a REP waits");
    machine.on_rejected();
    assert_eq!(
        drain(&mut machine),
        [Action::Cm(CmAction::Close), Action::Qp(QpAction::Flush)]
    );
    assert_eq!(machine.check_reject(), Err(STATUS_INVALID_DEVICE_STATE));
    assert_eq!(machine.complete_connect(|| 2), Err(STATUS_CONNECTION_INVALID));
}

#[test]
fn reject_on_the_passive_side_leaves_the_queue_pair() {
    let mut machine = M::requested();
    machine.check_reject().expect("a REQ waits");
    machine.on_rejected();
    assert_eq!(drain(&mut machine), []);
    assert_eq!(machine.accept(|| 1), Err(STATUS_INVALID_DEVICE_STATE));
}

#[test]
fn disconnect_waits_for_peer_and_queue_pair() {
    for peer_first in [false, true] {
        let mut machine = established();
        machine.disconnect(|| 3).expect("connected");
        assert_eq!(
            drain(&mut machine),
            [Action::Cm(CmAction::Disconnect), Action::Qp(QpAction::Flush)]
        );
        let mut ends: [fn(&mut M); 2] = [
            |m| m.on_qp_done(QpAction::Flush, Ok(())),
            |m| m.on_disconnect_done(STATUS_IO_TIMEOUT),
        ];
        if peer_first {
            ends.reverse();
        }
        ends[0](&mut machine);
        machine.on_peer_disconnected();
        assert_eq!(drain(&mut machine), [], "one is left; no event after the call");
        ends[1](&mut machine);
        assert_eq!(
            drain(&mut machine),
            [
                Action::Cm(CmAction::Close),
                Action::Complete(3, STATUS_IO_TIMEOUT)
            ]
        );
        assert_eq!(machine.disconnect(|| 4), Err(STATUS_CONNECTION_INVALID));
    }
}

#[test]
fn after_the_peer_disconnect_needs_the_queue_pair_only() {
    let mut machine = established();
    machine.on_peer_disconnected();
    machine.on_peer_disconnected();
    assert_eq!(
        drain(&mut machine),
        [Action::Disconnected { error: false }],
        "once"
    );
    machine.disconnect(|| 3).expect("broken");
    assert_eq!(drain(&mut machine), [Action::Qp(QpAction::Flush)]);
    machine.on_qp_done(QpAction::Flush, Ok(()));
    assert_eq!(
        drain(&mut machine).last(),
        Some(&Action::Complete(3, STATUS_SUCCESS))
    );
}

#[test]
fn a_broken_queue_pair_ends_the_connection_on_both_sides() {
    let mut machine = established();
    machine.on_qp_failed();
    assert_eq!(
        drain(&mut machine),
        [Action::Cm(CmAction::Lost), Action::Disconnected { error: true }]
    );
}

#[test]
fn close_cancels_what_is_pending() {
    let mut resolving = M::idle();
    resolving.connect(|| 1).expect("idle");
    for (mut machine, flushes) in [
        (resolving, false),
        (connecting(), false),
        (accepting(), true),
        (
            {
                let mut machine = replied();
                machine.complete_connect(|| 1).expect("replied");
                machine
            },
            true,
        ),
    ] {
        machine.close();
        let actions = drain(&mut machine);
        assert_eq!(actions.first(), Some(&Action::Cm(CmAction::Close)));
        assert_eq!(actions.last(), Some(&Action::Complete(1, STATUS_CANCELLED)));
        assert_eq!(actions.contains(&Action::Qp(QpAction::Flush)), flushes);
        assert_eq!(actions.contains(&Action::Release), !flushes);
        machine.on_resolved(Ok(()));
        assert!(!machine.on_replied());
        assert!(!machine.on_refused());
        machine.on_ready();
        assert_eq!(drain(&mut machine), [], "nothing happens any more");
    }
}

#[test]
fn close_waits_for_the_change_under_way() {
    let mut machine = replied();
    machine.complete_connect(|| 2).expect("replied");
    assert_eq!(drain(&mut machine), [Action::Qp(QpAction::Connect)]);
    machine.close();
    assert_eq!(
        drain(&mut machine),
        [Action::Cm(CmAction::Close), Action::Complete(2, STATUS_CANCELLED)]
    );
    machine.on_qp_done(QpAction::Connect, Ok(()));
    assert_eq!(drain(&mut machine), [Action::Qp(QpAction::Flush)]);
}

#[test]
fn close_ends_a_disconnect_when_the_dma_is_over() {
    let mut machine = established();
    machine.disconnect(|| 3).expect("connected");
    drain(&mut machine);
    machine.close();
    assert_eq!(drain(&mut machine), [Action::Cm(CmAction::Close)]);
    machine.on_qp_done(QpAction::Flush, Ok(()));
    assert_eq!(
        drain(&mut machine).last(),
        Some(&Action::Complete(3, STATUS_CANCELLED))
    );
}

/// What may happen next, whether it makes sense or not.
#[derive(Clone, Copy, Debug)]
enum Step {
    Connect,
    CompleteConnect,
    Accept,
    Reject,
    Disconnect,
    Resolved(bool),
    ConnectFailed,
    Replied,
    Refused,
    ReplySent(bool),
    Ready,
    AcceptTimeout,
    ReadySent(bool),
    Aborted,
    PeerDisconnected,
    QpFailed,
    DisconnectDone,
    QpDone(bool),
    DeviceFailed,
    /// Carries out so many actions.
    Run(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let plain = prop::sample::select(vec![
        Step::Connect,
        Step::CompleteConnect,
        Step::Accept,
        Step::Reject,
        Step::Disconnect,
        Step::ConnectFailed,
        Step::Replied,
        Step::Refused,
        Step::Ready,
        Step::AcceptTimeout,
        Step::Aborted,
        Step::PeerDisconnected,
        Step::QpFailed,
        Step::DisconnectDone,
        Step::DeviceFailed,
    ]);
    prop_oneof![
        4 => plain,
        1 => prop::bool::weighted(0.9).prop_map(Step::Resolved),
        1 => prop::bool::weighted(0.9).prop_map(Step::ReplySent),
        1 => prop::bool::weighted(0.9).prop_map(Step::ReadySent),
        2 => prop::bool::weighted(0.9).prop_map(Step::QpDone),
        4 => (1..4u8).prop_map(Step::Run),
    ]
}

/// Carries actions out, and checks each.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct World {
    next_request: u32,
    open: Vec<u32>,
    qp_under_way: Option<QpAction>,
    /// The queue pair has left INIT, or may have.
    moved: bool,
    flushed: bool,
    connected: bool,
    indicated: u32,
    closed: bool,
}

impl World {
    fn request(&mut self) -> u32 {
        self.next_request += 1;
        self.open.push(self.next_request);
        self.next_request
    }

    fn started(&mut self, request: u32, result: Result<(), NTSTATUS>) {
        if let Err(status) = result {
            assert_ne!(status, STATUS_SUCCESS);
            self.open.retain(|open| *open != request);
        }
    }

    fn run(&mut self, machine: &mut M, most: usize) {
        for _ in 0..most {
            let phase = machine.phase();
            match machine.take_action() {
                None => return,
                Some(Action::Cm(_)) => {}
                Some(Action::Qp(action)) => {
                    assert_eq!(self.qp_under_way, None, "one change at a time");
                    assert!(!self.flushed, "{action:?} after a flush");
                    self.qp_under_way = Some(action);
                    self.moved = true;
                    self.flushed = action == QpAction::Flush;
                }
                Some(Action::Release) => assert!(!self.moved, "a queue pair in use is released"),
                Some(Action::Complete(request, status)) => {
                    assert!(self.open.contains(&request), "completed twice");
                    self.open.retain(|open| *open != request);
                    self.connected |= status == STATUS_SUCCESS
                        && matches!(phase, Phase::Established | Phase::Broken | Phase::Disconnecting);
                }
                Some(Action::Disconnected { .. }) => {
                    assert!(self.connected, "disconnected before it was connected");
                    assert!(!self.closed, "an event after close");
                    self.indicated += 1;
                    assert_eq!(self.indicated, 1, "told twice");
                }
            }
        }
    }

    fn take(&mut self, machine: &mut M, step: Step) {
        let result = |ok: bool| {
            if ok { Ok(()) } else { Err(STATUS_DEVICE_REMOVED) }
        };
        match step {
            Step::Connect => {
                let request = self.request();
                self.started(request, machine.connect(|| request));
            }
            Step::CompleteConnect => {
                let request = self.request();
                self.started(request, machine.complete_connect(|| request));
            }
            Step::Accept => {
                let request = self.request();
                self.started(request, machine.accept(|| request));
            }
            Step::Disconnect => {
                let request = self.request();
                self.started(request, machine.disconnect(|| request));
            }
            Step::Reject => {
                if machine.check_reject().is_ok() {
                    machine.on_rejected();
                }
            }
            Step::Resolved(ok) => machine.on_resolved(result(ok)),
            Step::ConnectFailed => machine.on_connect_failed(STATUS_IO_TIMEOUT),
            Step::Replied => drop(machine.on_replied()),
            Step::Refused => drop(machine.on_refused()),
            Step::ReplySent(ok) => machine.on_reply_sent(result(ok)),
            Step::Ready => machine.on_ready(),
            Step::AcceptTimeout => machine.on_accept_timeout(),
            Step::ReadySent(ok) => machine.on_ready_sent(result(ok)),
            Step::Aborted => machine.on_aborted(),
            Step::PeerDisconnected => machine.on_peer_disconnected(),
            Step::QpFailed => machine.on_qp_failed(),
            Step::DisconnectDone => machine.on_disconnect_done(STATUS_SUCCESS),
            Step::QpDone(ok) => {
                if let Some(action) = self.qp_under_way.take() {
                    machine.on_qp_done(action, result(ok));
                }
            }
            Step::DeviceFailed => machine.on_device_failed(STATUS_DEVICE_REMOVED),
            Step::Run(most) => self.run(machine, most.into()),
        }
    }
}

proptest! {
    /// Whatever happens in whatever order, and even to a consumer that breaks the rules: each request completes once, the
    /// event comes once at most and never after close, and a closed connector leaves no queue pair that still works.
    #[test]
    fn close_always_ends_everything(passive: bool, steps in prop::collection::vec(step(), 0..60), cut in 0..60usize) {
        let mut machine = if passive { M::requested() } else { M::idle() };
        let mut world = World::default();
        for (at, step) in steps.into_iter().enumerate() {
            if at == cut {
                machine.close();
                world.closed = true;
            }
            if world.closed && matches!(step, Step::Connect | Step::CompleteConnect | Step::Accept | Step::Disconnect | Step::Reject) {
                continue; // The consumer's pointer is gone.
            }
            world.take(&mut machine, step);
        }
        if !world.closed {
            machine.close();
            world.closed = true;
        }
        world.run(&mut machine, usize::MAX);
        while let Some(action) = world.qp_under_way.take() {
            machine.on_qp_done(action, Ok(()));
            world.run(&mut machine, usize::MAX);
        }
        prop_assert_eq!(&world.open, &[]);
        prop_assert!(!world.moved || world.flushed, "a queue pair is left that works");
    }
}
