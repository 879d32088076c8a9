//! Frames both ways: sizes, layouts, lists, jumbo, filters, lent buffers, statistics.

use super::{
    Station, assert_passes, config, is_numbered, list, miniport, number_of, numbered, send_all, start,
    with_keywords,
};
use crate::support::{PATIENCE, QUIET, eventually};
use ndk_sys::{
    NDIS_PACKET_TYPE_ALL_MULTICAST, NDIS_PACKET_TYPE_BROADCAST, NDIS_PACKET_TYPE_DIRECTED,
    NDIS_PACKET_TYPE_MULTICAST, NDIS_PACKET_TYPE_PROMISCUOUS, NDIS_STATUS_SUCCESS, OID_802_3_MULTICAST_LIST,
    OID_GEN_CURRENT_PACKET_FILTER,
};
use ntbench::cpu::irql::{DISPATCH_LEVEL, PASSIVE_LEVEL};
use ntbench::machine::NIC_MAC;
use ntbench::ndis::packet::{Layout, SendList};
use ntbench::ndis::receive::Returns;
use std::thread;

/// The bytes that were sent, whatever padding the wire adds.
fn same(on_wire: &[u8], sent: &[u8]) -> bool {
    on_wire.len() == sent.len().max(60) && on_wire.starts_with(sent)
}

#[test]
fn frames_of_all_sizes_and_layouts_are_sent_at_both_irqls() {
    let machine = start(config());
    let station = Station::new(&machine, 1);
    let sizes = [18, 42, 59, 60, 61, 64, 65, 127, 128, 500, 1499, 1513, 1514];
    for (turn, irql) in [PASSIVE_LEVEL, DISPATCH_LEVEL]
        .into_iter()
        .cycle()
        .take(10)
        .enumerate()
    {
        let frames: Vec<Vec<u8>> = (0..)
            .zip(sizes)
            .map(|(number, size)| numbered(station.mac, NIC_MAC, number, size))
            .collect();
        let lists: Vec<SendList> = frames
            .iter()
            .enumerate()
            .map(|(number, frame)| list(frame.clone(), turn + number))
            .collect();
        let numbers = machine
            .kernel()
            .run_at(irql, turn % 2, || miniport(&machine).send_lists(&lists));
        let sent = miniport(&machine)
            .wait_sent(&numbers, PATIENCE)
            .expect("each list comes back");
        assert!(sent.iter().all(|sent| sent.status == NDIS_STATUS_SUCCESS));
        let arrived = station.wait_for(frames.len(), is_numbered);
        for (on_wire, sent) in arrived.iter().zip(&frames) {
            assert!(same(on_wire, sent), "{} bytes", sent.len());
        }
    }
}

#[test]
fn lists_with_many_frames_keep_their_order() {
    let machine = start(config());
    let station = Station::new(&machine, 1);
    let mut next = 0;
    let mut frames = |count: u32| {
        let numbers = next..next + count;
        next += count;
        numbers
            .map(|number| numbered(station.mac, NIC_MAC, number, 60 + number as usize * 7 % 1400))
            .collect::<Vec<_>>()
    };
    let lists: Vec<SendList> = (0..40)
        .map(|number| SendList {
            frames: frames(1 + number % 6),
            layout: Layout::varied(number as usize),
            ..SendList::default()
        })
        .collect();
    assert!(send_all(&machine, &lists));
    let all: Vec<Vec<u8>> = lists.iter().flat_map(|list| list.frames.clone()).collect();
    assert_eq!(station.wait_for(all.len(), is_numbered), all);
}

#[test]
fn a_frame_in_more_pieces_than_the_device_takes_is_sent() {
    // So long that it would be mapped.
    let machine = start(with_keywords(&[("*JumboPacket", 9014)]));
    let station = Station::new(&machine, 1);
    let whole = numbered(station.mac, NIC_MAC, 1, 9014);
    for mapped in [true, false] {
        let in_pieces = SendList {
            frames: vec![whole.clone()],
            layout: Layout {
                pieces: vec![11; 100],
                before: 3,
                behind: 5,
                mapped,
            },
            ..SendList::default()
        };
        assert!(send_all(&machine, &[in_pieces]));
        assert_eq!(station.wait_for(1, is_numbered), std::slice::from_ref(&whole));
    }
}

#[test]
fn more_is_sent_than_the_queues_hold() {
    let machine = start(config());
    let station = Station::new(&machine, 1);
    let lists: Vec<SendList> = (0..4000)
        .map(|number| list(numbered(station.mac, NIC_MAC, number, 200), number as usize))
        .collect();
    assert!(send_all(&machine, &lists), "in one chain");
    let arrived = station.wait_for(lists.len(), is_numbered);
    assert!(
        arrived
            .iter()
            .map(|frame| number_of(frame))
            .eq((0..4000).map(Some))
    );
}

#[test]
fn frames_of_all_sizes_are_indicated() {
    let machine = start(config());
    let station = Station::new(&machine, 1);
    let receives = miniport(&machine).receives();
    for returns in [Returns::Inside, Returns::Mixed] {
        receives.set_returns(returns);
        for number in 0..400 {
            let frame = numbered(NIC_MAC, station.mac, number, 60 + number as usize * 97 % 1455);
            station.send(&frame);
            let got = receives
                .wait_for(1, PATIENCE, |received| number_of(&received.data) == Some(number))
                .expect("it is indicated");
            assert_eq!(got[0].data, frame);
        }
    }
}

#[test]
fn frames_pass_both_ways_at_once() {
    let machine = start(config());
    let station = Station::new(&machine, 1);
    let receives = miniport(&machine).receives();
    thread::scope(|scope| {
        scope.spawn(|| {
            for batch in 0..50_u32 {
                let numbers = batch * 20..(batch + 1) * 20;
                let lists: Vec<SendList> = numbers
                    .map(|number| list(numbered(station.mac, NIC_MAC, number, 900), number as usize))
                    .collect();
                assert!(send_all(&machine, &lists));
            }
        });
        for number in 0..1000 {
            station.send(&numbered(NIC_MAC, station.mac, number, 900));
            if number % 50 == 49 {
                receives
                    .wait_for(50, PATIENCE, |received| is_numbered(&received.data))
                    .expect("they are indicated");
            }
        }
    });
    assert_eq!(station.wait_for(1000, is_numbered).len(), 1000);
}

#[test]
fn jumbo_frames_pass_when_the_keyword_says_so() {
    let machine = start(with_keywords(&[("*JumboPacket", 9014)]));
    let general = miniport(&machine).attributes().general.expect("set");
    assert_eq!(general.mtu, 9000);
    let station = Station::new(&machine, 1);
    for size in [1515, 4096, 8192, 9014] {
        let out = numbered(station.mac, NIC_MAC, 1, size);
        assert!(send_all(&machine, &[list(out.clone(), size)]));
        assert_eq!(station.wait_for(1, is_numbered), [out]);
        let back = numbered(NIC_MAC, station.mac, 2, size);
        station.send(&back);
        let got = miniport(&machine)
            .receives()
            .wait_for(1, PATIENCE, |received| is_numbered(&received.data))
            .expect("it is indicated");
        assert_eq!(got[0].data, back);
    }
}

#[test]
fn frames_that_are_too_long_go_nowhere() {
    let machine = start(config());
    let station = Station::new(&machine, 1);
    assert!(
        !send_all(&machine, &[list(numbered(station.mac, NIC_MAC, 1, 1600), 0)]),
        "it is not sent"
    );
    let before = miniport(&machine).statistics().expect("it is answered");
    station.send(&numbered(NIC_MAC, station.mac, 2, 1700));
    assert_passes(&machine, &station);
    assert_eq!(
        miniport(&machine).receives().take().len(),
        0,
        "it is not indicated"
    );
    assert_eq!(station.seen(|frame| number_of(frame) == Some(1)), 0);
    let after = miniport(&machine).statistics().expect("it is answered");
    let lost = |of: &ndk_sys::NDIS_STATISTICS_INFO| of.ifInErrors + of.ifInDiscards;
    assert!(lost(&after) > lost(&before), "it is counted");
}

#[test]
fn the_packet_filter_is_kept() {
    let machine = start(config());
    let station = Station::new(&machine, 1);
    let miniport = miniport(&machine);
    let groups = [[0x33, 0x33, 0, 0, 0, 7], [1, 0, 0x5E, 0, 0, 8]];
    let set = |filter: u32| {
        let status = miniport
            .oid_set(OID_GEN_CURRENT_PACKET_FILTER, &filter.to_le_bytes())
            .status;
        assert_eq!(status, NDIS_STATUS_SUCCESS, "{filter:#x}");
    };
    let status = miniport
        .oid_set(OID_802_3_MULTICAST_LIST, &groups.concat())
        .status;
    assert_eq!(status, NDIS_STATUS_SUCCESS);
    let to = [
        NIC_MAC,
        [0xFF; 6],
        groups[0],
        groups[1],
        [1, 0, 0x5E, 0, 0, 9],
        [2, 0, 0, 0, 0, 0x77],
    ];
    let cases = [
        (0, 0b00_0000),
        (NDIS_PACKET_TYPE_DIRECTED, 0b00_0001),
        (NDIS_PACKET_TYPE_BROADCAST, 0b00_0010),
        (NDIS_PACKET_TYPE_MULTICAST, 0b00_1100),
        (NDIS_PACKET_TYPE_ALL_MULTICAST, 0b01_1100),
        (
            NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_BROADCAST | NDIS_PACKET_TYPE_MULTICAST,
            0b00_1111,
        ),
        (NDIS_PACKET_TYPE_PROMISCUOUS, 0b11_1111),
        (NDIS_PACKET_TYPE_DIRECTED, 0b00_0001),
    ];
    for (turn, (filter, expected)) in (0_u32..).zip(cases) {
        set(filter);
        drop(miniport.receives().take());
        for (index, to) in (0..).zip(to) {
            station.send(&numbered(to, station.mac, turn * 100 + index, 80));
        }
        assert!(machine.hub().settle(PATIENCE));
        let wanted = expected_count(expected);
        let got = miniport
            .receives()
            .wait_for(wanted, PATIENCE, |received| is_numbered(&received.data))
            .expect("what passes is indicated");
        thread::sleep(QUIET / 3);
        let more = miniport.receives().take();
        let numbers = got
            .iter()
            .chain(&more)
            .filter_map(|received| number_of(&received.data));
        let passed = numbers.fold(0_u32, |passed, number| passed | 1 << (number % 100));
        assert_eq!(passed, expected, "filter {filter:#x}");
    }
}

fn expected_count(mask: u32) -> usize {
    mask.count_ones() as usize
}

#[test]
fn buffers_that_are_held_are_missed_and_come_back() {
    let machine = start(with_keywords(&[("*ReceiveBuffers", 64)]));
    let station = Station::new(&machine, 1);
    let receives = miniport(&machine).receives();
    receives.set_returns(Returns::Held);
    for number in 0..2000 {
        station.send(&numbered(NIC_MAC, station.mac, number, 100));
    }
    assert!(machine.hub().settle(PATIENCE));
    eventually("some are indicated", || receives.count() >= 64);
    thread::sleep(QUIET);
    let kept = receives.outstanding();
    assert!(kept >= 32, "they are lent: {kept}");
    receives.set_returns(Returns::Mixed);
    eventually("they are returned", || receives.outstanding() == 0);
    assert_passes(&machine, &station);
}

#[test]
fn statistics_count_each_kind_of_frame() {
    let machine = start(config());
    let station = Station::new(&machine, 1);
    let miniport = miniport(&machine);
    let _ = miniport.oid_set(
        OID_GEN_CURRENT_PACKET_FILTER,
        &(NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_BROADCAST | NDIS_PACKET_TYPE_ALL_MULTICAST)
            .to_le_bytes(),
    );
    assert_passes(&machine, &station);
    let before = miniport.statistics().expect("it is answered");
    let group = [0x33, 0x33, 0, 0, 0, 0x99];
    let out = |to, number, size| list(numbered(to, NIC_MAC, number, size), 0);
    assert!(send_all(
        &machine,
        &[
            out(station.mac, 1, 100),
            out(station.mac, 2, 200),
            out(group, 3, 300),
            out([0xFF; 6], 4, 400),
        ]
    ));
    for (number, to, size) in [
        (1, NIC_MAC, 150),
        (2, group, 250),
        (3, group, 350),
        (4, [0xFF; 6], 450),
    ] {
        station.send(&numbered(to, station.mac, number, size));
    }
    miniport
        .receives()
        .wait_for(4, PATIENCE, |received| is_numbered(&received.data))
        .expect("they are indicated");
    let after = miniport.statistics().expect("it is answered");
    let difference = |of: fn(&ndk_sys::NDIS_STATISTICS_INFO) -> u64| of(&after) - of(&before);
    assert_eq!(difference(|of| of.ifHCOutUcastPkts), 2);
    assert_eq!(difference(|of| of.ifHCOutMulticastPkts), 1);
    assert_eq!(difference(|of| of.ifHCOutBroadcastPkts), 1);
    assert_eq!(difference(|of| of.ifHCOutOctets), 1000);
    assert_eq!(difference(|of| of.ifHCInUcastPkts), 1);
    assert_eq!(difference(|of| of.ifHCInMulticastPkts), 2);
    assert_eq!(difference(|of| of.ifHCInBroadcastPkts), 1);
    assert_eq!(difference(|of| of.ifHCInOctets), 1200);
}
