//! The requester and completer against answers made by hand.

use roce_wire::bth::Opcode;
use vrnic_abi::cqe::WorkStatus;
use vrnic_abi::resource::QpState;
use vrnic_device::rc::Operation;

use crate::lone::{Answer, Lone, Sent, ack};
use crate::world::{BASE, Setup, read, request, write};

/// The first number that side B sends: the third packet wraps.
const PSN: u32 = 0xff_fffe;

fn lone() -> Lone {
    Lone::new(&setup())
}

fn setup() -> Setup {
    Setup {
        psn: [5, PSN],
        budget: 64,
        ..Setup::default()
    }
}

fn psns(answers: &[Answer]) -> Vec<u32> {
    answers
        .iter()
        .map(|answer| answer.psn.wrapping_sub(PSN) & 0xff_ffff)
        .collect()
}

fn results(lone: &Lone) -> Vec<(u32, WorkStatus)> {
    lone.node
        .sent
        .iter()
        .map(|done| (done.index, done.status))
        .collect()
}

/// Posts writes of one packet.
fn writes(lone: &mut Lone, count: u32) -> Vec<Answer> {
    for index in 0..count {
        lone.node.sends.push_back(request(index, write(BASE), BASE, 10));
    }
    lone.run()
}

#[test]
fn an_acknowledgement_counts_for_all_before_it() {
    let mut lone = lone();
    assert_eq!(psns(&writes(&mut lone, 4)), [0, 1, 2, 3]);
    lone.receive(&ack(PSN + 2, 0x1f)).expect("taken");
    assert_eq!(results(&lone), [0, 1, 2].map(|index| (index, WorkStatus::OK)));
}

#[test]
fn ghosts_and_old_news_are_ignored() {
    let mut lone = lone();
    writes(&mut lone, 4);
    lone.receive(&ack(PSN + 1, 0x1f)).expect("taken");
    for (psn, syndrome) in [
        (PSN, 0x1f),
        (PSN, 0x62),
        (PSN, 0x60),
        (PSN, 0x21),
        (PSN + 4, 0x1f),
        (PSN + 4, 0x62),
        (PSN + 0x10_0000, 0x1f),
        // Reserved.
        (PSN + 2, 0x5f),
        (PSN + 2, 0x80),
    ] {
        assert_eq!(lone.receive(&ack(psn, syndrome)), Ok(vec![]));
    }
    assert_eq!(lone.node.sent.len(), 2);
    assert_eq!(lone.qp.state(), QpState::RTS);
}

#[test]
fn each_nak_code_has_its_status() {
    for (syndrome, status) in [
        (0x61, WorkStatus::REMOTE_INVALID_REQUEST),
        (0x62, WorkStatus::REMOTE_ACCESS),
        (0x63, WorkStatus::REMOTE_OPERATION),
        (0x64, WorkStatus::BAD_RESPONSE),
        (0x7f, WorkStatus::BAD_RESPONSE),
    ] {
        let mut lone = lone();
        lone.post_receive(9, BASE, 10);
        writes(&mut lone, 4);
        lone.receive(&ack(PSN + 2, syndrome)).expect("taken");
        let expected = [WorkStatus::OK, WorkStatus::OK, status, WorkStatus::FLUSHED];
        assert_eq!(
            results(&lone),
            [0, 1, 2, 3].map(|index| (index, expected[index as usize]))
        );
        assert_eq!(lone.node.sent[2].syndrome, syndrome.into());
        assert_eq!(lone.node.received[0].status, WorkStatus::FLUSHED);
        assert_eq!(lone.qp.state(), QpState::ERROR);
    }
}

#[test]
fn a_sequence_nak_goes_back_once() {
    let mut lone = lone();
    writes(&mut lone, 4);
    let again = lone.receive(&ack(PSN + 2, 0x60)).expect("taken");
    assert_eq!(psns(&again), [2, 3]);
    assert_eq!(lone.receive(&ack(PSN + 2, 0x60)), Ok(vec![]));
    assert_eq!(psns(&lone.expire()), [2, 3]);
    assert_eq!(lone.node.count_of("retransmit"), 4);
}

#[test]
fn a_read_response_acknowledges_what_was_before() {
    let mut lone = lone();
    lone.node.sends.push_back(request(0, write(BASE), BASE, 10));
    lone.node.sends.push_back(request(1, read(BASE), BASE, 2000));
    lone.node.sends.push_back(request(2, write(BASE), BASE, 10));
    let sent = lone.run();
    assert_eq!(psns(&sent), [0, 1, 3]);
    let data = [3; 1024];
    lone.receive(&Sent::new(Opcode::RC_RDMA_READ_RESPONSE_FIRST, PSN + 1, &data))
        .expect("taken");
    assert_eq!(results(&lone), [(0, WorkStatus::OK)]);
    lone.receive(&Sent::new(
        Opcode::RC_RDMA_READ_RESPONSE_LAST,
        PSN + 2,
        &data[..976],
    ))
    .expect("taken");
    assert_eq!(results(&lone).len(), 2);
    assert_eq!(lone.node.bytes(BASE, 2000), [3; 2000]);
}

#[test]
fn an_acknowledgement_behind_a_read_says_that_its_response_is_lost() {
    let mut lone = lone();
    lone.node
        .sends
        .push_back(request(0, read(BASE + 100), BASE, 3000));
    lone.node.sends.push_back(request(1, write(BASE), BASE, 10));
    lone.run();
    let data = [3; 1024];
    lone.receive(&Sent::new(Opcode::RC_RDMA_READ_RESPONSE_FIRST, PSN, &data))
        .expect("taken");
    let again = lone.receive(&ack(PSN + 3, 0x1f)).expect("taken");
    assert_eq!(again.len(), 2);
    assert_eq!(
        (again[0].opcode, psns(&again)),
        (Opcode::RC_RDMA_READ_REQUEST, vec![1, 3])
    );
    assert!(lone.node.sent.is_empty());
    // A gap among the responses says it too, but only once.
    let last = Sent::new(Opcode::RC_RDMA_READ_RESPONSE_LAST, PSN + 2, &data[..952]);
    assert_eq!(lone.receive(&last), Ok(vec![]));
    lone.receive(&Sent::new(Opcode::RC_RDMA_READ_RESPONSE_FIRST, PSN + 1, &data))
        .expect("taken");
    lone.receive(&last).expect("taken");
    lone.receive(&ack(PSN + 3, 0x1f)).expect("taken");
    assert_eq!(results(&lone), [(0, WorkStatus::OK), (1, WorkStatus::OK)]);
}

#[test]
fn bad_read_responses_end_the_connection() {
    let data = [3; 1028];
    for (opcode, length) in [
        (Opcode::RC_RDMA_READ_RESPONSE_FIRST, 1028),
        (Opcode::RC_RDMA_READ_RESPONSE_FIRST, 1020),
        (Opcode::RC_RDMA_READ_RESPONSE_ONLY, 0),
        (Opcode::RC_RDMA_READ_RESPONSE_LAST, 976),
    ] {
        let mut lone = lone();
        lone.post(request(0, read(BASE + 100), BASE, 2000));
        lone.receive(&Sent::new(opcode, PSN, &data[..length]))
            .expect("taken");
        assert_eq!(
            results(&lone),
            [(0, WorkStatus::BAD_RESPONSE)],
            "{opcode:?} {length}"
        );
    }
    // The end of a READ must say so.
    let mut lone = lone();
    lone.post(request(0, read(BASE + 100), BASE, 1024));
    lone.receive(&Sent::new(
        Opcode::RC_RDMA_READ_RESPONSE_MIDDLE,
        PSN,
        &data[..1024],
    ))
    .expect("taken");
    assert_eq!(results(&lone), [(0, WorkStatus::BAD_RESPONSE)]);
}

#[test]
fn responses_that_nobody_asked_for_are_ignored() {
    let mut lone = lone();
    lone.post(request(0, write(BASE), BASE, 10));
    let before = lone.node.memory.clone();
    for opcode in [
        Opcode::RC_RDMA_READ_RESPONSE_ONLY,
        Opcode::RC_RDMA_READ_RESPONSE_FIRST,
        Opcode::RC_RDMA_READ_RESPONSE_MIDDLE,
        Opcode::RC_RDMA_READ_RESPONSE_LAST,
        Opcode::RC_ATOMIC_ACKNOWLEDGE,
    ] {
        for psn in [PSN - 1, PSN, PSN + 1, PSN + 0x80_0000] {
            let payload: &[u8] = if opcode == Opcode::RC_ATOMIC_ACKNOWLEDGE {
                &[]
            } else {
                b"spam"
            };
            assert_eq!(lone.receive(&Sent::new(opcode, psn, payload)), Ok(vec![]));
        }
    }
    assert!(lone.node.sent.is_empty() && lone.node.memory == before);
}

#[test]
fn an_rnr_nak_is_waited_out() {
    let mut lone = Lone::new(&Setup {
        rnr_retry: 2,
        ..setup()
    });
    for index in 0..3 {
        lone.node
            .sends
            .push_back(request(index, Operation::Send, BASE, 10));
    }
    lone.run();
    for _ in 0..2 {
        let start = lone.node.now;
        // Code 14: 1.28 ms.
        assert_eq!(lone.receive(&ack(PSN + 1, 0x2e)), Ok(vec![]));
        assert_eq!(lone.qp.deadline(), Some(start + 1_280_000));
        // Meanwhile nothing is sent, and a second NAK changes nothing.
        assert_eq!(lone.receive(&ack(PSN + 1, 0x3f)), Ok(vec![]));
        assert_eq!(psns(&lone.expire()), [1, 2]);
    }
    lone.receive(&ack(PSN + 1, 0x2e)).expect("taken");
    let expected = [
        WorkStatus::OK,
        WorkStatus::RNR_RETRY_EXCEEDED,
        WorkStatus::FLUSHED,
    ];
    assert_eq!(
        results(&lone),
        [0, 1, 2].map(|index| (index, expected[index as usize]))
    );
}

#[test]
fn a_peer_that_is_silent_is_given_up() {
    let mut lone = Lone::new(&Setup {
        retry_count: 7,
        ..setup()
    });
    writes(&mut lone, 2);
    let start = lone.node.now;
    for _ in 0..7 {
        assert_eq!(psns(&lone.expire()), [0, 1]);
    }
    assert_eq!(lone.expire(), []);
    assert_eq!(
        results(&lone),
        [(0, WorkStatus::RETRY_EXCEEDED), (1, WorkStatus::FLUSHED)]
    );
    assert_eq!(lone.node.count_of("timeout"), 8);
    // Code 14: 67 ms, twice that, and six times four times.
    assert_eq!(lone.node.now - start, 27 * (4096 << 14));
    assert_eq!(lone.qp.deadline(), None);
}

#[test]
fn progress_restores_the_retries() {
    let mut lone = Lone::new(&Setup {
        retry_count: 1,
        ..setup()
    });
    writes(&mut lone, 4);
    for packet in 0..4 {
        lone.expire();
        lone.receive(&ack(PSN + packet, 0x1f)).expect("taken");
    }
    assert_eq!(results(&lone).len(), 4);
    assert_eq!(lone.qp.deadline(), None);
}
