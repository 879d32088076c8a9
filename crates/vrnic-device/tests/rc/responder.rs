//! The responder against packets made by hand: sequence, duplicates, and each NAK code.

use roce_wire::bth::Opcode;
use roce_wire::frame::IpPair;
use vrnic_abi::cqe::WorkStatus;
use vrnic_abi::resource::QpState;
use vrnic_device::rc::{Dropped, Extra, QpEvent};

use crate::lone::{Answer, Lone, Sent, frame_address};
use crate::world::{BASE, KEY, READ_KEY, SIZE, Setup};

/// The first number that side B expects: the third packet wraps.
const PSN: u32 = 0xff_fffe;
const MTU: usize = 1024;

const ACK: u8 = 0x1f;
const SEQUENCE: u8 = 0x60;
const INVALID: u8 = 0x61;
const ACCESS: u8 = 0x62;

fn setup() -> Setup {
    Setup {
        psn: [PSN, 77],
        ..Setup::default()
    }
}

fn lone() -> Lone {
    Lone::new(&setup())
}

/// An acknowledgement of that packet, counted from the first one.
fn ack(packet: u32, syndrome: u8, msn: u32) -> Vec<Answer> {
    vec![Answer {
        opcode: Opcode::RC_ACKNOWLEDGE,
        psn: (PSN + packet) & 0xff_ffff,
        aeth: Some((syndrome, msn)),
        payload: Vec::new(),
    }]
}

fn write(psn: u32, payload: &[u8]) -> Sent<'_> {
    let length = u32::try_from(payload.len()).expect("short");
    Sent::new(Opcode::RC_RDMA_WRITE_ONLY, PSN + psn, payload).reth(BASE, KEY, length)
}

fn read(psn: u32, addr: u64, length: u32) -> Sent<'static> {
    Sent::new(Opcode::RC_RDMA_READ_REQUEST, PSN + psn, &[]).reth(addr, KEY, length)
}

/// Checks that the connection ended with that NAK for the first packet.
fn assert_ended(lone: &mut Lone, sent: &Sent<'_>, syndrome: u8, status: WorkStatus) {
    lone.post_receive(1, BASE + 0x4_0000, 2000);
    let before = lone.node.memory.clone();
    assert_eq!(lone.receive(sent), Ok(ack(0, syndrome, 0)), "{sent:?}");
    assert_eq!(lone.qp.state(), QpState::ERROR);
    assert!(lone.qp.is_drained());
    assert_eq!(lone.node.events, [QpEvent::Fatal(status), QpEvent::LastWqe]);
    assert_eq!(lone.node.received.len(), 1);
    assert_ne!(lone.node.received[0].status, WorkStatus::OK);
    assert!(lone.node.memory == before, "nothing is written");
}

#[test]
fn acknowledges_what_is_asked_for() {
    let mut lone = lone();
    let quiet = Sent {
        ack_request: false,
        ..write(0, b"one")
    };
    assert_eq!(lone.receive(&quiet), Ok(vec![]));
    assert_eq!(lone.receive(&write(1, b"two")), Ok(ack(1, ACK, 2)));
    assert_eq!(lone.node.bytes(BASE, 3), b"two");
}

#[test]
fn one_acknowledgement_for_all_that_came_together() {
    let mut lone = lone();
    let address = frame_address(&lone.setup);
    for packet in 0..5 {
        lone.take(&address, &write(packet, b"x")).expect("taken");
    }
    assert_eq!(lone.run(), ack(4, ACK, 5));
}

#[test]
fn a_gap_is_told_once() {
    let mut lone = lone();
    assert_eq!(lone.receive(&write(2, b"c")), Ok(ack(0, SEQUENCE, 0)));
    assert_eq!(lone.receive(&write(3, b"d")), Ok(vec![]));
    assert_eq!(lone.receive(&write(0, b"a")), Ok(ack(0, ACK, 1)));
    assert_eq!(lone.receive(&write(2, b"c")), Ok(ack(1, SEQUENCE, 1)));
    assert_eq!(lone.node.count_of("out of sequence"), 3);
    assert_eq!(lone.node.bytes(BASE, 1), b"a");
}

#[test]
fn a_nak_stands_for_the_acknowledgement_too() {
    let mut lone = lone();
    let address = frame_address(&lone.setup);
    for packet in [0, 2] {
        lone.take(&address, &write(packet, b"x")).expect("taken");
    }
    assert_eq!(lone.run(), ack(1, SEQUENCE, 1));
}

#[test]
fn packets_that_overtake_one_another_in_one_batch_are_no_gap() {
    let mut lone = lone();
    let address = frame_address(&lone.setup);
    for packet in [1, 0] {
        lone.take(&address, &write(packet, b"x")).expect("taken");
    }
    assert_eq!(lone.run(), ack(0, ACK, 1));
}

#[test]
fn a_repeated_write_is_acknowledged_and_not_executed() {
    let mut lone = lone();
    lone.receive(&write(0, b"first")).expect("taken");
    lone.receive(&write(1, b"later")).expect("taken");
    assert_eq!(lone.receive(&write(0, b"first")), Ok(ack(1, ACK, 2)));
    assert_eq!(lone.node.bytes(BASE, 5), b"later");
    assert_eq!(lone.node.count_of("duplicate"), 1);
}

#[test]
fn a_repeated_send_takes_no_receive() {
    let mut lone = lone();
    lone.post_receive(1, BASE, 10);
    lone.post_receive(2, BASE + 100, 10);
    let send = Sent::new(Opcode::RC_SEND_ONLY, PSN, b"hello");
    assert_eq!(lone.receive(&send), Ok(ack(0, ACK, 1)));
    assert_eq!(lone.receive(&send), Ok(ack(0, ACK, 1)));
    assert_eq!((lone.node.received.len(), lone.node.receives.len()), (1, 1));
}

#[test]
fn a_repeated_read_is_executed_again_from_where_it_begins() {
    let mut lone = lone();
    let first = lone.receive(&read(0, BASE, 2500)).expect("taken");
    assert_eq!(
        first
            .iter()
            .map(|answer| (answer.opcode, answer.aeth))
            .collect::<Vec<_>>(),
        [
            (Opcode::RC_RDMA_READ_RESPONSE_FIRST, Some((ACK, 1))),
            (Opcode::RC_RDMA_READ_RESPONSE_MIDDLE, None),
            (Opcode::RC_RDMA_READ_RESPONSE_LAST, Some((ACK, 1))),
        ]
    );
    assert_eq!(first[2].psn, 0);
    // The data is what the memory has now.
    lone.node.memory[MTU..2500].fill(9);
    let again = lone
        .receive(&read(1, BASE + MTU as u64, 2500 - 1024))
        .expect("taken");
    let payload: Vec<u8> = again.iter().flat_map(|answer| answer.payload.clone()).collect();
    assert_eq!(
        again.iter().map(|answer| answer.psn).collect::<Vec<_>>(),
        [0xff_ffff, 0]
    );
    assert_eq!(payload, vec![9; 2500 - MTU]);
    assert_eq!(lone.receive(&write(3, b"x")), Ok(ack(3, ACK, 2)));
}

#[test]
fn a_repeated_request_before_a_read_does_not_acknowledge_the_read() {
    let mut lone = lone();
    lone.receive(&write(0, b"x")).expect("taken");
    lone.receive(&read(1, BASE, 10)).expect("taken");
    assert_eq!(lone.receive(&write(0, b"x")), Ok(ack(0, ACK, 2)));
}

#[test]
fn a_repeated_read_that_reaches_into_the_future_is_dropped() {
    let mut lone = lone();
    lone.receive(&read(0, BASE, 100)).expect("taken");
    assert_eq!(lone.receive(&read(0, BASE, 5000)), Ok(vec![]));
    assert_eq!(lone.qp.state(), QpState::RTS);
}

#[test]
fn a_late_copy_of_a_read_does_no_harm_when_its_key_is_gone() {
    let mut lone = lone();
    lone.receive(&read(0, BASE, 100)).expect("taken");
    lone.node.keys.clear();
    assert_eq!(lone.receive(&read(0, BASE, 100)), Ok(vec![]));
    assert_eq!(lone.qp.state(), QpState::RTS);
}

#[test]
fn a_read_whose_key_goes_away_meanwhile_ends_in_a_nak() {
    let mut lone = lone();
    let address = frame_address(&lone.setup);
    lone.take(&address, &read(0, BASE, 5000)).expect("taken");
    lone.node.keys.clear();
    assert_eq!(lone.run(), ack(0, ACCESS, 1));
    assert_eq!(lone.qp.state(), QpState::ERROR);
}

#[test]
fn acknowledgements_and_naks_wait_for_read_responses() {
    let mut lone = lone();
    let address = frame_address(&lone.setup);
    lone.take(&address, &read(0, BASE, 2 * 1024)).expect("taken");
    lone.take(&address, &write(2, b"x")).expect("taken");
    lone.take(&address, &Sent::new(Opcode::RC_FETCH_ADD, PSN + 3, &[]))
        .expect("taken");
    let answers = lone.run();
    let summary: Vec<_> = answers.iter().map(|answer| (answer.psn, answer.opcode)).collect();
    assert_eq!(
        summary,
        [
            (0xff_fffe, Opcode::RC_RDMA_READ_RESPONSE_FIRST),
            (0xff_ffff, Opcode::RC_RDMA_READ_RESPONSE_LAST),
            (1, Opcode::RC_ACKNOWLEDGE),
        ]
    );
    assert_eq!(answers[2].aeth, Some((INVALID, 2)));
}

#[test]
fn invalid_requests_end_the_connection() {
    let full = [7; MTU];
    let over = [7; MTU + 4];
    let status = WorkStatus::REMOTE_INVALID_REQUEST;
    let write = |opcode, payload, length| Sent::new(opcode, PSN, payload).reth(BASE, KEY, length);
    for sent in [
        // No atomic operations here.
        Sent::new(Opcode::RC_COMPARE_SWAP, PSN, &[]),
        Sent::new(Opcode::RC_FETCH_ADD, PSN, &[]),
        // Nothing has begun.
        Sent::new(Opcode::RC_SEND_MIDDLE, PSN, &full),
        Sent::new(Opcode::RC_SEND_LAST, PSN, b"x"),
        Sent::new(Opcode::RC_RDMA_WRITE_MIDDLE, PSN, &full),
        Sent::new(Opcode::RC_RDMA_WRITE_LAST, PSN, b"x"),
        // Lengths of packets.
        Sent::new(Opcode::RC_SEND_FIRST, PSN, &full[1..]),
        Sent::new(Opcode::RC_SEND_ONLY, PSN, &over),
        write(Opcode::RC_RDMA_WRITE_FIRST, &full[..8], 2000),
        write(Opcode::RC_RDMA_WRITE_ONLY, &over, 1028),
        // Not what the header says.
        write(Opcode::RC_RDMA_WRITE_ONLY, b"12345", 4),
        write(Opcode::RC_RDMA_WRITE_ONLY, b"12345", 6),
        write(Opcode::RC_RDMA_WRITE_FIRST, &full, 1024),
        // Too long.
        read(0, BASE, (1 << 30) + 1),
    ] {
        let mut lone = lone();
        lone.node.keys.get_mut(&KEY).expect("there").0.end = u64::MAX;
        assert_ended(&mut lone, &sent, INVALID, status);
    }
}

#[test]
fn messages_do_not_mix() {
    let full = [7; MTU];
    let send = Sent::new(Opcode::RC_SEND_FIRST, PSN, &full);
    let write = Sent::new(Opcode::RC_RDMA_WRITE_FIRST, PSN, &full).reth(BASE, KEY, 3000);
    let next = |opcode, payload| Sent::new(opcode, PSN + 1, payload).reth(BASE, KEY, 10);
    for (first, second) in [
        (send, next(Opcode::RC_SEND_FIRST, &full)),
        (send, next(Opcode::RC_SEND_ONLY, b"x")),
        (send, next(Opcode::RC_RDMA_WRITE_LAST, b"x")),
        (send, next(Opcode::RC_RDMA_READ_REQUEST, b"")),
        (send, next(Opcode::RC_SEND_LAST, b"")),
        (write, next(Opcode::RC_SEND_LAST, b"x")),
        (write, next(Opcode::RC_RDMA_WRITE_ONLY, b"x")),
        (write, next(Opcode::RC_RDMA_READ_REQUEST, b"")),
        // The header has announced 3000 bytes.
        (write, next(Opcode::RC_RDMA_WRITE_LAST, b"x")),
    ] {
        let mut lone = lone();
        lone.post_receive(1, BASE, 4000);
        lone.receive(&first).expect("taken");
        assert_eq!(lone.receive(&second), Ok(ack(1, INVALID, 0)), "{second:?}");
        assert_eq!(
            lone.node
                .received
                .iter()
                .map(|done| done.status)
                .collect::<Vec<_>>(),
            [WorkStatus::FLUSHED]
        );
    }
}

#[test]
fn access_is_checked_before_anything_is_done() {
    let end = BASE + SIZE as u64;
    let only = |addr, key| Sent::new(Opcode::RC_RDMA_WRITE_ONLY, PSN, b"123").reth(addr, key, 3);
    let status = WorkStatus::REMOTE_ACCESS;
    for sent in [
        only(BASE, 0),
        only(BASE, READ_KEY),
        only(BASE - 1, KEY),
        only(end - 2, KEY),
        only(u64::MAX - 1, KEY),
        Sent::new(Opcode::RC_RDMA_WRITE_FIRST, PSN, &[7; MTU]).reth(BASE, KEY, u32::MAX),
        read(0, end - 10, 11),
        Sent::new(Opcode::RC_RDMA_READ_REQUEST, PSN, &[]).reth(BASE, READ_KEY, 1),
        Sent::new(Opcode::RC_RDMA_READ_REQUEST, PSN, &[]).reth(u64::MAX, KEY, 1 << 30),
    ] {
        assert_ended(&mut lone(), &sent, ACCESS, status);
    }
    // The negative control: the last bytes are all right.
    assert_eq!(lone().receive(&only(end - 3, KEY)), Ok(ack(0, ACK, 1)));
}

#[test]
fn more_reads_than_agreed_end_the_connection() {
    let mut lone = Lone::new(&Setup { reads: 2, ..setup() });
    let address = frame_address(&lone.setup);
    for packet in 0..3 {
        lone.take(&address, &read(packet, BASE, 10)).expect("taken");
    }
    let answers = lone.run();
    assert_eq!(answers.len(), 3);
    assert_eq!(answers[2..], ack(2, INVALID, 2));
}

#[test]
fn immediate_data_takes_a_receive() {
    let mut lone = lone();
    for index in 0..3 {
        lone.post_receive(index, BASE + 0x1000, 100);
    }
    let send = Sent {
        word: 0x0102_0304,
        solicited: true,
        ..Sent::new(Opcode::RC_SEND_ONLY_WITH_IMMEDIATE, PSN, b"hello")
    };
    let write = Sent {
        word: 0xa1b2_c3d4,
        ..Sent::new(Opcode::RC_RDMA_WRITE_ONLY_WITH_IMMEDIATE, PSN + 1, b"world!").reth(BASE, KEY, 6)
    };
    assert_eq!(lone.receive(&send), Ok(ack(0, ACK, 1)));
    assert_eq!(lone.receive(&write), Ok(ack(1, ACK, 2)));
    let received: Vec<_> = lone
        .node
        .received
        .iter()
        .map(|done| (done.index, done.byte_len, done.solicited, done.extra))
        .collect();
    assert_eq!(
        received,
        [
            (0, 5, true, Extra::Immediate(0x0102_0304)),
            (1, 6, false, Extra::Immediate(0xa1b2_c3d4)),
        ]
    );
    assert_eq!(lone.node.bytes(BASE, 6), b"world!");
}

#[test]
fn invalidating_an_unknown_key_ends_the_connection() {
    let mut lone = lone();
    lone.post_receive(1, BASE, 10);
    let sent = Sent {
        word: 0x1111,
        ..Sent::new(Opcode::RC_SEND_ONLY_WITH_INVALIDATE, PSN, b"x")
    };
    assert_eq!(lone.receive(&sent), Ok(ack(0, ACCESS, 0)));
    assert_eq!(lone.node.received[0].status, WorkStatus::REMOTE_INVALID_REQUEST);
}

#[test]
fn only_the_peer_is_heard() {
    let setup = setup();
    let good = frame_address(&setup);
    let IpPair::V4 {
        source, destination, ..
    } = good.ip
    else {
        unreachable!("IPv4")
    };
    let other = std::net::Ipv4Addr::new(192, 0, 2, 99);
    for (source, destination) in [(other, destination), (source, other), (destination, source)] {
        let mut address = good;
        address.ip = IpPair::V4 {
            source,
            destination,
            identification: 0,
        };
        assert_eq!(
            lone().receive_from(&address, &write(0, b"x")),
            Err(Dropped::Address)
        );
    }
    let v6 = frame_address(&Setup { v6: true, ..setup });
    assert_eq!(lone().receive_from(&v6, &write(0, b"x")), Err(Dropped::Address));
    for (p_key, expected) in [
        (0x7fff, Ok(ack(0, ACK, 1))),
        (0xfffe, Err(Dropped::PKey)),
        (0, Err(Dropped::PKey)),
    ] {
        let sent = Sent {
            p_key,
            ..write(0, b"x")
        };
        assert_eq!(lone().receive(&sent), expected);
    }
}

#[test]
fn other_services_are_dropped_and_congestion_notifications_ignored() {
    for opcode in [
        Opcode::UC_SEND_ONLY,
        Opcode::UC_RDMA_WRITE_ONLY,
        Opcode::UD_SEND_ONLY,
    ] {
        assert_eq!(
            lone().receive(&Sent::new(opcode, PSN, b"x")),
            Err(Dropped::Opcode)
        );
    }
    assert_eq!(lone().receive(&Sent::new(Opcode::CNP, PSN, &[0; 16])), Ok(vec![]));
}

#[test]
fn states_decide_what_is_taken() {
    let mut lone = Lone::in_init(&setup());
    assert_eq!(lone.receive(&write(0, b"x")), Err(Dropped::State));
    assert!(lone.qp.set_state(QpState::ERROR).is_err());
    lone.qp.set_state(QpState::RTR).expect("all attributes");
    assert_eq!(lone.receive(&write(0, b"x")), Ok(ack(0, ACK, 1)));
    assert_eq!(lone.receive(&write(1, b"x")), Ok(ack(1, ACK, 2)));
    assert_eq!(lone.node.events, [QpEvent::CommEst]);
    assert_eq!(lone.receive(&crate::lone::ack(77, ACK)), Err(Dropped::State));
    lone.qp.set_state(QpState::RTS).expect("all attributes");
    assert!(lone.qp.set_state(QpState::RTR).is_err());
    assert_eq!(lone.receive(&write(2, b"x")), Ok(ack(2, ACK, 3)));
    lone.qp.set_error(&mut lone.node);
    assert_eq!(lone.receive(&write(3, b"x")), Err(Dropped::State));
    assert!(lone.qp.set_state(QpState::RTS).is_err());
}
