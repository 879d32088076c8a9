//! Sleep and waking, with frames and NDK consumers.

use super::{Station, assert_passes, config, list, miniport, numbered, start, wait_for_link};
use crate::support::{PATIENCE, listen, next, open};
use ndk_sys::{NdisDeviceStateD3, STATUS_SUCCESS};
use ntbench::machine::{NIC_MAC, v4};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

#[test]
fn it_sleeps_and_wakes() {
    let machine = start(config());
    let station = Station::new(&machine, 1);
    assert_passes(&machine, &station);
    for _ in 0..3 {
        machine.adapter().suspend(NdisDeviceStateD3).expect("it sleeps");
        let count = miniport(&machine).receives().count();
        station.send(&numbered(NIC_MAC, station.mac, 1, 100));
        let numbers = miniport(&machine).send_lists(&[list(numbered(station.mac, NIC_MAC, 2, 100), 0)]);
        let sent = miniport(&machine)
            .wait_sent(&numbers, PATIENCE)
            .expect("it comes back");
        assert!(sent[0].status < 0, "{:#x}", sent[0].status);
        thread::sleep(Duration::from_millis(50));
        assert_eq!(miniport(&machine).receives().count(), count, "it sleeps");
        machine.adapter().resume().expect("it wakes");
        wait_for_link(&machine, true);
        // The filter is as it was set before.
        assert_passes(&machine, &station);
        assert!(miniport(&machine).statistics().is_some());
    }
}

/// Judges rule: an adapter sleeps and wakes while NDK adapters are open
#[test]
fn ndk_survives_sleep() {
    let machine = start(config());
    let station = Station::new(&machine, 1);
    let ndk = Arc::new(Mutex::new(Some(open(&machine))));
    let at_disable = Arc::clone(&ndk);
    let close = move || drop(at_disable.lock().expect("no panic").take());
    miniport(&machine).open_ndk_adapters().on_disable(Arc::new(close));
    machine.adapter().suspend(NdisDeviceStateD3).expect("it sleeps");
    machine.adapter().resume().expect("it wakes");
    wait_for_link(&machine, true);
    assert_passes(&machine, &station);
    drop(ndk.lock().expect("no panic").take());
    // NDK works after it, with an adapter that is opened anew.
    crate::support::eventually("NDK is back", || {
        machine.open_ndk(ntbench::ndk::VERSION_1_2).is_ok()
    });
    let ndk = open(&machine);
    let incoming = listen(&ndk, v4(7420));
    let peer = machine.peer();
    peer.connect(v4(7420), b"").expect("there is a way");
    assert_eq!(next(&incoming).reject(b""), STATUS_SUCCESS);
}

#[test]
fn halt_and_removal_while_asleep() {
    let machine = start(config());
    machine.adapter().suspend(NdisDeviceStateD3).expect("it sleeps");
    machine.stop();
    let mut machine = start(config());
    machine.adapter().suspend(NdisDeviceStateD3).expect("it sleeps");
    machine.surprise_remove();
}
