//! Pause, restart, reset, halt, removal and NDK's switch, under traffic both ways.

use super::{Station, assert_passes, config, list, miniport, numbered, start, wait_for_link};
use crate::support::{PATIENCE, eventually, open};
use ndk_sys::{
    NDIS_STATUS_PAUSED, NDIS_STATUS_SUCCESS, NetEventNDKDisable, NetEventNDKEnable, OID_NDK_SET_STATE,
};
use ntbench::machine::{Machine, NIC_MAC};
use ntbench::ndis::packet::SendList;
use ntbench::ndis::receive::Returns;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Frames out and in, as fast as they go, while `action` runs. Sends end in one way or another. How many came back.
fn under_traffic<R>(machine: &Machine, station: &Station, action: impl FnOnce() -> R) -> (R, usize) {
    let (stop, returned) = (AtomicBool::new(false), AtomicUsize::new(0));
    let miniport = Arc::clone(miniport(machine));
    let result = thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                let lists: Vec<SendList> = (0..8)
                    .map(|index| {
                        list(
                            numbered(station.mac, NIC_MAC, number + index, 700),
                            index as usize,
                        )
                    })
                    .collect();
                number += 8;
                let numbers = miniport.send_lists(&lists);
                let sent = miniport.wait_sent(&numbers, PATIENCE);
                returned.fetch_add(sent.expect("each comes back").len(), Ordering::Relaxed);
            }
        });
        scope.spawn(|| {
            for number in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                station.send(&numbered(NIC_MAC, station.mac, number, 700));
                if number % 32 == 0 {
                    thread::sleep(Duration::from_millis(1));
                }
            }
        });
        thread::sleep(Duration::from_millis(20));
        let result = action();
        stop.store(true, Ordering::Relaxed);
        result
    });
    (result, returned.into_inner())
}

#[test]
fn pause_and_restart_under_traffic() {
    let machine = start(config());
    let station = Station::new(&machine, 1);
    let ((), returned) = under_traffic(&machine, &station, || {
        for turn in 0..20 {
            machine.adapter().pause();
            thread::sleep(Duration::from_millis(turn % 5));
            machine.adapter().restart().expect("it restarts");
            thread::sleep(Duration::from_millis(turn % 7));
        }
    });
    assert!(returned > 100, "{returned}");
    assert_passes(&machine, &station);
}

#[test]
fn a_paused_adapter_sends_nothing_and_indicates_nothing() {
    let machine = start(config());
    let station = Station::new(&machine, 1);
    assert_passes(&machine, &station);
    machine.adapter().pause();
    let count = miniport(&machine).receives().count();
    station.send(&numbered(NIC_MAC, station.mac, 1, 100));
    let numbers = miniport(&machine).send_lists(&[list(numbered(station.mac, NIC_MAC, 2, 100), 0)]);
    let sent = miniport(&machine)
        .wait_sent(&numbers, PATIENCE)
        .expect("it comes back");
    assert_eq!(sent[0].status, NDIS_STATUS_PAUSED);
    assert!(machine.hub().settle(PATIENCE));
    thread::sleep(Duration::from_millis(50));
    assert_eq!(miniport(&machine).receives().count(), count);
    machine.adapter().restart().expect("it restarts");
    assert_passes(&machine, &station);
}

#[test]
fn a_pause_waits_for_buffers_that_are_held() {
    let machine = start(config());
    let station = Station::new(&machine, 1);
    let receives = miniport(&machine).receives();
    for _ in 0..5 {
        receives.set_returns(Returns::Held);
        for number in 0..20 {
            station.send(&numbered(NIC_MAC, station.mac, number, 100));
        }
        eventually("they are indicated", || receives.outstanding() >= 20);
        // The bench gives them back some time after the pause has begun, and judges when it completes.
        machine.adapter().pause();
        machine.adapter().restart().expect("it restarts");
    }
    receives.set_returns(Returns::Mixed);
    assert_passes(&machine, &station);
}

#[test]
fn reset_under_traffic() {
    let machine = start(config());
    let station = Station::new(&machine, 1);
    let ((), _) = under_traffic(&machine, &station, || {
        for _ in 0..5 {
            machine.adapter().reset().expect("it resets");
            thread::sleep(Duration::from_millis(5));
        }
    });
    wait_for_link(&machine, true);
    assert_passes(&machine, &station);
}

#[test]
fn cancelled_sends_come_back() {
    let machine = start(config());
    let station = Station::new(&machine, 1);
    let lists: Vec<SendList> = (0..500)
        .map(|number| {
            let mut list = list(numbered(station.mac, NIC_MAC, number, 1000), number as usize);
            list.info.push((ndk_sys::NetBufferListCancelId, 0x00C0_FFEE));
            list
        })
        .collect();
    let numbers = miniport(&machine).send_lists(&lists);
    miniport(&machine).cancel_sends(0x00C0_FFEE);
    let sent = miniport(&machine)
        .wait_sent(&numbers, PATIENCE)
        .expect("each comes back");
    let known = [NDIS_STATUS_SUCCESS, ndk_sys::NDIS_STATUS_SEND_ABORTED];
    assert!(sent.iter().all(|sent| known.contains(&sent.status)));
    assert_passes(&machine, &station);
}

#[test]
fn halt_under_traffic() {
    for _ in 0..3 {
        let machine = start(config());
        let station = Station::new(&machine, 1);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    station.send(&numbered(NIC_MAC, station.mac, number, 300));
                    if number % 32 == 0 {
                        thread::sleep(Duration::from_millis(1));
                    }
                }
            });
            thread::sleep(Duration::from_millis(30));
            machine.stop();
            stop.store(true, Ordering::Relaxed);
        });
    }
}

/// Judges functions: CloseNDKAdapterHandler
#[test]
fn surprise_removal_under_traffic() {
    let mut machine = start(config());
    let station = Station::new(&machine, 1);
    let ndk = std::sync::Mutex::new(Some(open(&machine)));
    let close = move || drop(ndk.lock().expect("no panic").take());
    miniport(&machine).open_ndk_adapters().on_disable(Arc::new(close));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                station.send(&numbered(NIC_MAC, station.mac, number, 300));
                if number % 32 == 0 {
                    thread::sleep(Duration::from_millis(1));
                }
            }
        });
        let lists: Vec<SendList> = (0..200)
            .map(|number| list(numbered(station.mac, NIC_MAC, number, 1000), number as usize))
            .collect();
        let _ = miniport(&machine).send_lists(&lists);
        machine.surprise_remove();
        stop.store(true, Ordering::Relaxed);
    });
}

/// Judges functions: OID_NDK_SET_STATE
#[test]
fn ndk_is_switched_under_traffic() {
    let machine = start(config());
    let station = Station::new(&machine, 1);
    let miniport = Arc::clone(miniport(&machine));
    let ((), _) = under_traffic(&machine, &station, || {
        for turn in 1..=5 {
            let ndk = std::sync::Mutex::new(Some(open(&machine)));
            let close = move || drop(ndk.lock().expect("no panic").take());
            miniport.open_ndk_adapters().on_disable(Arc::new(close));
            let status = miniport.oid_set(OID_NDK_SET_STATE, &[0]).status;
            assert_eq!(status, NDIS_STATUS_SUCCESS);
            let count = |event| {
                let events = miniport.open_ndk_adapters().events();
                events.iter().filter(|&&one| one == event).count()
            };
            eventually("it is off", || count(NetEventNDKDisable) == turn);
            eventually("the consumer has closed", || {
                machine.open_ndk(ntbench::ndk::VERSION_1_2).is_err()
            });
            assert_eq!(
                miniport.oid_set(OID_NDK_SET_STATE, &[1]).status,
                NDIS_STATUS_SUCCESS
            );
            eventually("it is on", || count(NetEventNDKEnable) == turn);
        }
    });
    assert_passes(&machine, &station);
}

#[test]
fn the_link_goes_down_and_up() {
    let machine = start(config());
    let station = Station::new(&machine, 1);
    for _ in 0..3 {
        machine.nic().set_link(false);
        wait_for_link(&machine, false);
        let numbers = miniport(&machine).send_lists(&[list(numbered(station.mac, NIC_MAC, 2, 100), 0)]);
        assert!(
            miniport(&machine).wait_sent(&numbers, PATIENCE).is_some(),
            "it comes back"
        );
        machine.nic().set_link(true);
        wait_for_link(&machine, true);
        assert_passes(&machine, &station);
    }
}

#[test]
fn ndk_unavailable_leaves_a_working_network_adapter() {
    let mut config = config();
    config.adapters[0].before_start = Some(Arc::new(|nic| {
        nic.faults().answer(
            vrnic_abi::cmd::Opcode::CM_ENABLE,
            vrnic_abi::cmd::Status::INTERNAL_ERROR,
            7,
            1,
        );
    }));
    let machine = start(config);
    let station = Station::new(&machine, 1);
    assert!(machine.open_ndk(ntbench::ndk::VERSION_1_2).is_err());
    assert!(
        !ntbench::nt::event_log::entries().is_empty(),
        "the event log says why"
    );
    assert_passes(&machine, &station);
}
