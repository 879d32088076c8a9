//! Receive side scaling. The bench's rules judge hash and processor of each frame; the tests make the traffic.

use super::{Flow, Station, config, is_numbered, miniport, numbered, start, with_keywords};
use crate::support::PATIENCE;
use ndk_sys::{NDIS_STATUS_SUCCESS, NetBufferListHashInfo};
use ntbench::machine::{Machine, NIC_MAC};
use ntbench::ndis::frame::Headers;
use ntbench::ndis::rss::Parameters;
use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

/// Frames of many flows of both families; the processors on which they come.
fn traffic(machine: &Machine, station: &Station, flows: u16) -> BTreeSet<usize> {
    let mut got = Vec::new();
    for port in 0..flows {
        for v6 in [false, true] {
            let flow = Flow::new(station, v6, false, (port + 1000, 80));
            station.send(&flow.tcp(1, 0x10, b"a segment"));
            station.send(&flow.udp(b"a datagram"));
        }
        // As many as there are buffers for, whatever queue they are for.
        let sent = usize::from(port + 1) * 4;
        if sent.is_multiple_of(100) || port + 1 == flows {
            let come = miniport(machine)
                .receives()
                .wait_for(sent - got.len(), PATIENCE, |received| {
                    Headers::of(&received.data).is_some()
                });
            got.extend(come.expect("all are indicated"));
        }
    }
    got.iter().map(|received| received.processor).collect()
}

#[test]
fn flows_go_to_the_processors_of_the_table() {
    let mut config = config();
    config.kernel.processors = 4;
    let machine = start(config);
    let station = Station::new(&machine, 1);
    let entries = usize::from(
        miniport(&machine)
            .attributes()
            .general
            .and_then(|general| general.indirection_entries)
            .expect("it can scale"),
    );
    for processors in [&[0, 1, 2, 3][..], &[2], &[3, 1], &[0, 1, 2, 3, 3, 3]] {
        let answer = miniport(&machine).set_rss(&Parameters::over(processors, entries));
        assert_eq!(answer.status, NDIS_STATUS_SUCCESS);
        // What was on its way before has come, and the rules are strict from now on.
        thread::sleep(Duration::from_millis(2100));
        let used = traffic(&machine, &station, 200);
        let wanted: BTreeSet<usize> = processors.iter().map(|&one| usize::from(one)).collect();
        assert_eq!(used, wanted);
    }
}

#[test]
fn the_table_changes_under_traffic() {
    let mut config = config();
    config.kernel.processors = 4;
    let machine = start(config);
    let station = Station::new(&machine, 1);
    thread::scope(|scope| {
        let changes = scope.spawn(|| {
            for turn in 0..20_u8 {
                let answer = miniport(&machine).set_rss(&Parameters::over(&[turn % 4, (turn + 1) % 4], 128));
                assert_eq!(answer.status, NDIS_STATUS_SUCCESS);
                thread::sleep(Duration::from_millis(20));
            }
        });
        while !changes.is_finished() {
            let _ = traffic(&machine, &station, 10);
        }
    });
}

#[test]
fn turned_off_there_is_no_hash() {
    let machine = start(config());
    let station = Station::new(&machine, 1);
    let off = Parameters {
        table: Vec::new(),
        ..Parameters::over(&[0], 128)
    };
    assert_eq!(miniport(&machine).set_rss(&off).status, NDIS_STATUS_SUCCESS);
    thread::sleep(Duration::from_millis(100));
    station.send(&Flow::new(&station, false, false, (1, 2)).tcp(1, 0x10, b"payload"));
    let got = miniport(&machine)
        .receives()
        .wait_for(1, PATIENCE, |received| Headers::of(&received.data).is_some())
        .expect("it is indicated");
    assert_eq!(got[0].info[NetBufferListHashInfo as usize], 0);
}

#[test]
fn frames_that_are_not_ip_need_no_hash() {
    let machine = start(config());
    let station = Station::new(&machine, 1);
    station.send(&numbered(NIC_MAC, station.mac, 5, 100));
    let got = miniport(&machine)
        .receives()
        .wait_for(1, PATIENCE, |received| is_numbered(&received.data))
        .expect("it is indicated");
    assert_eq!(got[0].info[NetBufferListHashInfo as usize], 0);
}

#[test]
fn the_keyword_says_no() {
    let machine = start(with_keywords(&[("*RSS", 0)]));
    let general = miniport(&machine).attributes().general.expect("set");
    assert_eq!(general.indirection_entries, None);
    let answer = miniport(&machine).set_rss(&Parameters::over(&[0, 1], 128));
    assert_ne!(answer.status, NDIS_STATUS_SUCCESS);
}
