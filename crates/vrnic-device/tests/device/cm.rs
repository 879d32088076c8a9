//! The CM service: datagrams in and out.

use std::net::IpAddr;

use roce_wire::bth::{Bth, DEFAULT_P_KEY, Opcode as BthOpcode};
use roce_wire::cm::{CmMad, CommId, PrivateData, Rej, RejectReason, Req};
use roce_wire::deth::Deth;
use roce_wire::eth::MacAddr;
use roce_wire::frame::{ExtendedHeaders, Frame};
use roce_wire::gid::Gid;
use roce_wire::mad::GSI_Q_KEY;
use roce_wire::num::Qpn;
use vrnic_abi::cm::{CmEnable, CmSend};
use vrnic_abi::cmd::{Opcode, Status};
use vrnic_abi::doorbell;
use vrnic_abi::event::{Event, EventKind};
use vrnic_abi::info::Statistics;
use vrnic_abi::regs::{DeviceState, FatalSyndrome};
use zerocopy::{FromZeros, IntoBytes};

use crate::rig::{
    CM_LOG2, CM_RING, EQ_LOG2, EQ_VECTOR, NOWHERE, OUR_IP, OUR_MAC, PEER_IP, PEER_MAC, Rig, address,
    contiguous, from_peer, gsi_frame, message_in, to_peer,
};

const NONE: [u8; 0] = [];
const SLOTS: u32 = 1 << CM_LOG2;

fn req(id: u32) -> Req {
    Req {
        local_comm_id: CommId(id),
        ..Req::default()
    }
}

fn rej() -> Rej {
    Rej {
        local_comm_id: CommId(0x11),
        remote_comm_id: CommId(0x22),
        reason: RejectReason::CONSUMER_REJECT,
        private_data: PrivateData::new(b"go away").unwrap(),
        ..Rej::default()
    }
}

#[test]
fn enable_and_disable() {
    let mut rig = Rig::ready();
    assert_eq!(rig.cm_enable(CM_LOG2), Status::BAD_RESOURCE, "no event queue");
    rig.create_eq(0);
    assert_eq!(rig.status(Opcode::CM_DISABLE, &NONE), Status::BAD_STATE);
    for log2 in [1, 15] {
        assert_eq!(rig.cm_enable(log2), Status::BAD_PARAMETER);
    }
    let enable = CmEnable {
        ring: contiguous(CM_RING, CM_LOG2),
        eqn: 0.into(),
        reserved: 1.into(),
    };
    assert_eq!(rig.status(Opcode::CM_ENABLE, &enable), Status::BAD_PARAMETER);
    rig.nic.doorbells().store(doorbell::CM_CONSUMER, 5);
    assert_eq!(rig.cm_enable(CM_LOG2), Status::OK);
    assert_eq!(rig.nic.doorbells().load(doorbell::CM_CONSUMER), 0);
    assert_eq!(rig.cm_enable(CM_LOG2), Status::BAD_STATE);
    assert_eq!(rig.status(Opcode::CM_DISABLE, &NONE), Status::OK);
    assert_eq!(rig.cm_enable(14), Status::OK);
}

#[test]
fn a_datagram_arrives() {
    let mut rig = Rig::cm();
    rig.set_gid(5, "2001:db8::1".parse().unwrap(), 0);
    rig.arm_eq();
    rig.host.take_interrupts();
    let mad = CmMad::new(0x1234, req(0xAABB)).to_bytes();
    rig.nic.receive(&gsi_frame(&address(PEER_IP, OUR_IP), &mad));
    assert_eq!(rig.host.take_interrupts(), [EQ_VECTOR]);
    let event = rig.take_event().unwrap();
    assert_eq!(
        (EventKind::from(event.kind), event.number.get()),
        (EventKind::CM_MAD, 0)
    );
    let slot = rig.slot(0);
    assert_eq!(slot.mad, mad);
    assert_eq!((slot.src_mac, slot.gid_index.get()), (PEER_MAC, 0));
    assert_eq!(slot.src_gid, Gid::from(PEER_IP).0);
    assert_eq!(
        (slot.udp_src_port.get(), slot.traffic_class, slot.hop_limit),
        (0xD00D, 0x20, 63)
    );
    assert_eq!(slot.src_qpn.get(), 1);
    assert_eq!((slot.reserved, slot.padding), ([0; 32], [0; 192]));

    let (source, destination): (IpAddr, IpAddr) =
        ("2001:db8::2".parse().unwrap(), "2001:db8::1".parse().unwrap());
    rig.nic.receive(&gsi_frame(&address(source, destination), &mad));
    assert_eq!(rig.take_event().unwrap().number.get(), 1);
    let slot = rig.slot(1);
    assert_eq!((slot.src_gid, slot.gid_index.get()), (Gid::from(source).0, 5));
    let statistics = rig.nic.statistics();
    assert_eq!((statistics.cm_in.get(), statistics.rdma_in_frames.get()), (2, 2));
    assert_eq!(statistics.rdma_in_octets.get(), 322 + 342);
}

#[test]
fn a_datagram_leaves() {
    let mut rig = Rig::cm();
    for psn in 0..3 {
        assert_eq!(rig.send(rej()), Status::OK);
        let frames = rig.host.take_frames();
        let frame = Frame::parse(&frames[0]).unwrap();
        assert_eq!(frame.bth.psn.get(), psn);
        assert_eq!(frame.address.source_mac, MacAddr(OUR_MAC));
        assert_eq!(frame.address.destination_mac, MacAddr(PEER_MAC));
        assert_eq!(
            (frame.address.ip.source(), frame.address.ip.destination()),
            (OUR_IP, PEER_IP)
        );
        assert_eq!(
            (frame.address.udp_source_port, frame.address.traffic_class),
            (0xC123, 0x28)
        );
        assert_eq!(frame.address.hop_limit, 64);
        assert_eq!(message_in(&frames[0]), rej().into());
    }
    let statistics: Statistics = rig.query(Opcode::QUERY_STATS, &NONE);
    assert_eq!(
        (statistics.cm_out.get(), statistics.rdma_out_frames.get()),
        (3, 3)
    );
    assert_eq!(statistics.rdma_out_octets.get(), 3 * 322);
}

#[test]
fn to_a_redirected_queue_pair() {
    let mut rig = Rig::cm();
    let mad = CmMad::new(1, rej()).to_bytes();
    let command = rig.mad_command(
        &CmSend {
            dst_qpn: 0xFF_FFFF.into(),
            ..to_peer()
        },
        &mad,
    );
    assert_eq!(Status::from(rig.run(&command).status), Status::OK);
    let frames = rig.host.take_frames();
    assert_eq!(Frame::parse(&frames[0]).unwrap().bth.dest_qp, Qpn::MAX);
}

#[test]
fn vlans() {
    let mut rig = Rig::cm();
    let in_vlan: IpAddr = "198.51.100.1".parse().unwrap();
    rig.set_gid(1, in_vlan, 0x6064);
    let command = rig.mad_command(
        &CmSend {
            gid_index: 1.into(),
            ..to_peer()
        },
        &CmMad::new(1, rej()).to_bytes(),
    );
    assert_eq!(Status::from(rig.run(&command).status), Status::OK);
    let sent = rig.host.take_frames().remove(0);
    assert_eq!(sent[12..16], [0x81, 0x00, 0x60, 0x64]);
    let untagged = [&sent[..12], &sent[16..]].concat();
    assert_eq!(message_in(&untagged), rej().into());

    let mad = CmMad::new(1, req(1)).to_bytes();
    let tagged = |destination, tag: [u8; 2]| {
        let frame = gsi_frame(&address(PEER_IP, destination), &mad);
        [&frame[..12], &[0x81, 0x00], &tag, &frame[12..]].concat()
    };
    for (frame, arrives) in [
        (tagged(in_vlan, [0x00, 0x64]), true),
        (tagged(in_vlan, [0xE0, 0x64]), true),
        (tagged(in_vlan, [0x00, 0x65]), false),
        (gsi_frame(&address(PEER_IP, in_vlan), &mad), false),
        (tagged(OUR_IP, [0x00, 0x64]), false),
        (tagged(OUR_IP, [0x20, 0x00]), true),
    ] {
        rig.nic.receive(&frame);
        assert_eq!(
            rig.take_event().is_some(),
            arrives,
            "{:02x?} {:02x?}",
            &frame[12..16],
            &frame[30..34]
        );
    }
}

/// Frames that are not handed to the driver, and which counter they count in.
#[test]
fn frames_that_are_dropped() {
    let mad = CmMad::new(1, req(1)).to_bytes();
    let good = gsi_frame(&address(PEER_IP, OUR_IP), &mad);
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut frame = good.clone();
        change(&mut frame);
        frame
    };
    let with_bth = |bth: Bth, q_key: u32, payload: &[u8]| {
        let deth = Some(Deth {
            q_key,
            source_qp: Qpn::GSI,
        });
        let extended = ExtendedHeaders {
            deth,
            ..ExtendedHeaders::default()
        };
        let frame = Frame {
            address: address(PEER_IP, OUR_IP),
            bth,
            extended,
            payload,
        };
        let mut buffer = vec![0; 1000];
        let length = frame.write(&mut buffer).unwrap();
        buffer.truncate(length);
        buffer
    };
    let bth = Bth {
        opcode: BthOpcode::UD_SEND_ONLY,
        p_key: DEFAULT_P_KEY,
        dest_qp: Qpn::GSI,
        ..Bth::default()
    };
    let mut other_class = mad;
    other_class[1] = 0x03;
    let mut other_version = mad;
    other_version[0] = 2;
    let not_ours: IpAddr = "192.0.2.77".parse().unwrap();
    let cases: [(&str, Vec<u8>, [u64; 3]); 14] = [
        ("good", good.clone(), [0, 0, 0]),
        (
            "member of the partition in full",
            with_bth(Bth { p_key: 0x7FFF, ..bth }, GSI_Q_KEY, &mad),
            [0, 0, 0],
        ),
        ("payload changed", with(&|frame| frame[100] ^= 1), [0, 1, 0]),
        ("cut off", with(&|frame| frame.truncate(200)), [1, 0, 0]),
        (
            "ARP",
            with(&|frame| frame[12..14].copy_from_slice(&[8, 6])),
            [0, 0, 1],
        ),
        ("another port", with(&|frame| frame[37] ^= 1), [0, 0, 1]),
        (
            "another address",
            gsi_frame(&address(PEER_IP, not_ours), &mad),
            [0, 0, 1],
        ),
        (
            "another queue pair",
            with_bth(
                Bth {
                    dest_qp: Qpn::MAX,
                    ..bth
                },
                GSI_Q_KEY,
                &mad,
            ),
            [0, 0, 1],
        ),
        ("wrong queue key", with_bth(bth, 0x1111_1111, &mad), [0, 0, 1]),
        (
            "another partition",
            with_bth(Bth { p_key: 0x8001, ..bth }, GSI_Q_KEY, &mad),
            [0, 0, 1],
        ),
        ("short datagram", with_bth(bth, GSI_Q_KEY, &mad[..252]), [1, 0, 0]),
        ("another class", with_bth(bth, GSI_Q_KEY, &other_class), [0, 0, 1]),
        (
            "another version",
            with_bth(bth, GSI_Q_KEY, &other_version),
            [0, 0, 1],
        ),
        ("nothing", vec![], [1, 0, 0]),
    ];
    for (what, frame, counters) in cases {
        let mut rig = Rig::cm();
        rig.nic.receive(&frame);
        assert_eq!(rig.take_event().is_some(), counters == [0, 0, 0], "{what}");
        let statistics = rig.nic.statistics();
        let counted = [
            statistics.drop_malformed,
            statistics.drop_icrc,
            statistics.drop_no_receiver,
        ];
        assert_eq!(counted.map(vrnic_abi::U64::get), counters, "{what}");
    }
}

#[test]
fn frames_for_other_stations_are_not_counted() {
    let rig = Rig::cm();
    let mut frame = from_peer(req(1));
    frame[5] ^= 1;
    rig.nic.receive(&frame);
    frame[..6].fill(0xFF);
    rig.nic.receive(&frame);
    assert!(rig.peek_event().is_none());
    assert_eq!(rig.nic.statistics().drop_no_receiver.get(), 0);
}

#[test]
fn without_the_service_datagrams_find_no_receiver() {
    let mut rig = Rig::cm();
    assert_eq!(rig.status(Opcode::CM_DISABLE, &NONE), Status::OK);
    rig.hear(req(1));
    assert!(rig.peek_event().is_none());
    assert_eq!(rig.nic.statistics().drop_no_receiver.get(), 1);
}

#[test]
fn a_full_ring_drops_and_goes_on() {
    let mut rig = Rig::cm();
    for id in 0..SLOTS + 2 {
        rig.hear(req(id));
    }
    assert_eq!(rig.nic.statistics().drop_cm_full.get(), 2);
    for number in 0..SLOTS {
        assert_eq!(rig.take_event().unwrap().number.get(), number);
    }
    assert!(rig.take_event().is_none());
    rig.consume_mads(1);
    rig.hear(req(100));
    assert_eq!(rig.take_event().unwrap().number.get(), SLOTS);
    let mad = CmMad::from_bytes(&rig.slot(SLOTS).mad).unwrap();
    assert_eq!(mad.message.local_comm_id(), CommId(100));
}

#[test]
fn many_passes_over_the_ring() {
    let mut rig = Rig::cm();
    for number in 0..SLOTS * 20 {
        rig.hear(req(number));
        assert_eq!(rig.take_event().unwrap().number.get(), number);
        rig.consume_mads(number + 1);
    }
    assert_eq!(rig.nic.statistics().drop_cm_full.get(), 0);
}

#[test]
fn a_datagram_that_cannot_be_announced_is_dropped() {
    let mut rig = Rig::cm();
    for _ in 0..1 << EQ_LOG2 {
        assert!(rig.nic.faults().event(0, Event::new_zeroed()));
    }
    rig.hear(req(1));
    let statistics = rig.nic.statistics();
    assert_eq!(
        (
            statistics.drop_cm_full.get(),
            statistics.events_lost.get(),
            statistics.cm_in.get()
        ),
        (1, 1, 0)
    );
    for _ in 0..1 << EQ_LOG2 {
        rig.take_event().unwrap();
    }
    rig.hear(req(2));
    let event = rig.take_event().unwrap();
    assert_eq!(
        (event.number.get(), event.lost.get()),
        (0, 1),
        "the slot was not used up"
    );
    let mad = CmMad::from_bytes(&rig.slot(0).mad).unwrap();
    assert_eq!(mad.message.local_comm_id(), CommId(2));
}

/// After an error the service does nothing until it is disabled and enabled again.
#[track_caller]
fn assert_failed(rig: &mut Rig, syndrome: FatalSyndrome) {
    let event = rig.take_event().unwrap();
    assert_eq!(
        (EventKind::from(event.kind), event.number.get()),
        (EventKind::CM_ERROR, syndrome.0)
    );
    rig.hear(req(1));
    assert!(rig.take_event().is_none());
    assert_eq!(rig.send(rej()), Status::BAD_STATE);
    assert_eq!(rig.state(), DeviceState::READY);
    assert_eq!(rig.status(Opcode::CM_DISABLE, &NONE), Status::OK);
    assert_eq!(rig.cm_enable(CM_LOG2), Status::OK);
    assert_eq!(rig.send(rej()), Status::OK);
}

#[test]
fn a_wrong_consumer_index_stops_the_service() {
    let mut rig = Rig::cm();
    rig.consume_mads(1);
    rig.hear(req(1));
    assert_failed(&mut rig, FatalSyndrome::BAD_DOORBELL);
}

#[test]
fn an_error_while_the_event_queue_is_full_is_told_later() {
    let mut rig = Rig::cm();
    for _ in 0..1 << EQ_LOG2 {
        assert!(rig.nic.faults().event(0, Event::new_zeroed()));
    }
    rig.consume_mads(1);
    rig.hear(req(1));
    for _ in 0..1 << EQ_LOG2 {
        assert_eq!(rig.take_event().unwrap().kind.get(), 0);
    }
    rig.kick();
    rig.wait("the CM error", |rig| rig.peek_event().is_some());
    assert_failed(&mut rig, FatalSyndrome::BAD_DOORBELL);
}

#[test]
fn a_ring_that_cannot_be_written_stops_the_service() {
    let mut rig = Rig::cm();
    rig.host.map(CM_RING, false);
    rig.hear(req(1));
    assert_failed(&mut rig, FatalSyndrome::DMA_FAULT);
}

/// Runs one `CM_SEND`, and checks its answer, and that it sends exactly when it says so.
#[track_caller]
fn expect(send: CmSend, mad: &[u8], status: Status, syndrome: u32) {
    let mut rig = Rig::cm();
    let command = rig.mad_command(&send, mad);
    let completion = rig.run(&command);
    let answer = (Status::from(completion.status), completion.syndrome.get());
    assert_eq!(answer, (status, syndrome), "{send:?}, {} bytes", mad.len());
    assert_eq!(rig.host.take_frames().len(), usize::from(status == Status::OK));
}

#[test]
fn the_fields_of_cm_send_are_checked() {
    let gid = |ip: &str| Gid::from(ip.parse::<IpAddr>().unwrap()).0;
    let mad = CmMad::new(1, rej()).to_bytes();
    let good = to_peer();
    for (send, offset) in [
        (
            CmSend {
                gid_index: 64.into(),
                ..good
            },
            6,
        ),
        (
            CmSend {
                dst_gid: gid("::"),
                ..good
            },
            8,
        ),
        (
            CmSend {
                dst_gid: gid("224.0.0.5"),
                ..good
            },
            8,
        ),
        (
            CmSend {
                dst_gid: gid("2001:db8::2"),
                ..good
            },
            8,
        ),
        (CmSend { hop_limit: 0, ..good }, 27),
        (
            CmSend {
                dst_qpn: 0.into(),
                ..good
            },
            28,
        ),
        (
            CmSend {
                dst_qpn: 0x100_0000.into(),
                ..good
            },
            28,
        ),
        (
            CmSend {
                reserved: [1; 16],
                ..good
            },
            32,
        ),
    ] {
        expect(send, &mad, Status::BAD_PARAMETER, 16 + offset);
    }
}

#[test]
fn the_datagram_of_cm_send_is_checked() {
    let mad = CmMad::new(1, rej()).to_bytes();
    let with = |at: usize, value: u8| {
        let mut mad = mad;
        mad[at] = value;
        mad
    };
    expect(to_peer(), &mad, Status::OK, 0);
    expect(to_peer(), &mad[..255], Status::BAD_MAILBOX, 256);
    expect(to_peer(), &[], Status::BAD_MAILBOX, 256);
    expect(to_peer(), &with(0, 2), Status::BAD_PARAMETER, 0x1000);
    expect(to_peer(), &with(1, 3), Status::BAD_PARAMETER, 0x1001);
}

#[test]
fn cm_send_without_a_path() {
    let mad = CmMad::new(1, rej()).to_bytes();
    expect(
        CmSend {
            gid_index: 1.into(),
            ..to_peer()
        },
        &mad,
        Status::NETWORK_UNREACHABLE,
        0,
    );
    for dst_mac in [[0; 6], [0xFF; 6], [1, 0, 0x5E, 0, 0, 1]] {
        expect(CmSend { dst_mac, ..to_peer() }, &mad, Status::HOST_UNREACHABLE, 0);
    }
}

#[test]
fn cm_send_without_service_or_mailbox() {
    let mut rig = Rig::ready();
    rig.set_gid(0, OUR_IP, 0);
    assert_eq!(rig.send(rej()), Status::BAD_STATE);
    let mut rig = rig.start_cm();
    let mut command = rig.mad_command(&to_peer(), &CmMad::new(1, rej()).to_bytes());
    command.mailbox = NOWHERE.into();
    assert_eq!(Status::from(rig.run(&command).status), Status::BAD_MAILBOX);
    assert_eq!(rig.send(rej()), Status::OK);
}

#[test]
fn datagrams_of_the_class_that_are_no_message_pass_both_ways() {
    let mut rig = Rig::cm();
    let mut mad = CmMad::new(1, rej()).to_bytes();
    mad[16..18].copy_from_slice(&0x0017u16.to_be_bytes());
    rig.nic.receive(&gsi_frame(&address(PEER_IP, OUR_IP), &mad));
    assert_eq!(rig.take_event().unwrap().number.get(), 0);
    assert_eq!(rig.slot(0).mad.as_bytes(), mad);
    let command = rig.mad_command(&to_peer(), &mad);
    assert_eq!(Status::from(rig.run(&command).status), Status::OK);
}
