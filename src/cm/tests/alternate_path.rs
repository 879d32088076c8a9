//! LAP and APR.

use roce_wire::cm::{ApStatus, Apr, Lap};

use super::*;

fn lap(theirs: u32, ours: CommId, remote_qpn: Qpn) -> CmMad {
    let lap = Lap {
        local_comm_id: CommId(theirs),
        remote_comm_id: ours,
        remote_qpn,
        ..Lap::default()
    };
    CmMad::new(0x1a9, lap)
}

/// What a LAP is answered with.
fn answer(bench: &mut Bench, mad: &CmMad) -> Apr {
    let seen = bench.receive(&peer(1), mad);
    let Seen::Sent(to, sent) = seen else {
        panic!("{seen:?}")
    };
    let CmMessage::Apr(apr) = sent.message else {
        panic!("{sent:?}")
    };
    assert_eq!((to, sent.transaction_id), (peer(1), mad.transaction_id));
    let ids = (Some(apr.local_comm_id), apr.remote_comm_id);
    assert_eq!(ids, (mad.message.remote_comm_id(), mad.message.local_comm_id()));
    apr
}

/// Judges rule: a LAP is answered by an APR that says "not supported" (IBTA 12.8)
#[test]
fn another_path_is_not_supported() {
    let (mut bench, _) = Bench::listening(4, 4);
    let (id, rep) = bench.connected_by_peer();
    let ours = rep.message.local_comm_id();
    let apr = answer(&mut bench, &lap(77, ours, QP.qpn));
    let expected = Apr {
        local_comm_id: ours,
        remote_comm_id: CommId(77),
        status: ApStatus::NOT_SUPPORTED,
        ..Apr::default()
    };
    assert_eq!(apr, expected);
    assert_eq!(bench.state(id), Some(CmState::Established));
    assert_eq!(bench.cm.counters().unexpected, 0);
}

#[test]
fn another_path_for_something_else_is_refused() {
    let (mut bench, _) = Bench::listening(4, 4);
    let (id, rep) = bench.connected_by_peer();
    let ours = rep.message.local_comm_id();
    let wrong = answer(&mut bench, &lap(77, ours, Qpn::truncated(0x778)));
    assert_eq!(wrong.status, ApStatus::INVALID_QPN);
    for (theirs, ours) in [(76, ours), (77, CommId(ours.0 ^ 1))] {
        let unknown = answer(&mut bench, &lap(theirs, ours, QP.qpn));
        assert_eq!(unknown.status, ApStatus::INVALID_COMMUNICATION_ID);
    }
    // There is no queue pair yet.
    let mut other = req(1, 78);
    other.local_qpn = Qpn::truncated(0x1235);
    let held = bench.request(&peer(1), &CmMad::new(78, other)).connection;
    let held_id = bench.cm.connections.get(held).expect("held").local_comm_id;
    let early = answer(&mut bench, &lap(78, held_id, Qpn::default()));
    assert_eq!(early.status, ApStatus::INVALID_COMMUNICATION_ID);
    let states = (bench.state(id), bench.state(held));
    assert_eq!(states, (Some(CmState::Established), Some(CmState::ReqRcvd)));
    assert_eq!(bench.cm.counters().unexpected, 4);
}

#[test]
fn an_answer_to_what_we_never_ask_is_counted() {
    let (mut bench, _) = Bench::listening(4, 4);
    let (id, rep) = bench.connected_by_peer();
    for remote_comm_id in [rep.message.local_comm_id(), CommId(3)] {
        let apr = Apr {
            local_comm_id: CommId(77),
            remote_comm_id,
            ..Apr::default()
        };
        let seen = bench.receive(&peer(1), &CmMad::new(1, apr));
        assert!(matches!(seen, Seen::Nothing), "{seen:?}");
    }
    assert_eq!(bench.state(id), Some(CmState::Established));
    assert_eq!(bench.cm.counters().unexpected, 2);
}
