//! A device that stops answering never hangs anything, and nothing is lost.

use super::{
    Station, assert_passes, config, list, miniport, numbered, start, took, wait_for_link, with_keywords,
};
use crate::support::{PATIENCE, eventually};
use ndk_sys::{
    NDIS_STATUS, NdisDeviceStateD3, OID_GEN_CURRENT_PACKET_FILTER, OID_GEN_STATISTICS, OID_NDK_SET_STATE,
};
use ntbench::machine::{Machine, MachineConfig, NIC_MAC, StartError};
use ntbench::ndis::packet::SendList;
use ntbench::ndis::rss::Parameters;
use ntbench::nt::event_log;
use std::sync::Arc;
use std::time::Duration;
use vrnic_abi::cmd::{Opcode, Status};

/// A machine whose driver waits no longer than 100 ms for a command.
fn impatient() -> MachineConfig {
    with_keywords(&[("VrnicCommandTimeout", 100)])
}

/// How long anything may take then.
const LIMIT: Duration = Duration::from_secs(10);

/// Sends that are under way when the device falls silent.
fn send(machine: &Machine, station: &Station) -> Vec<u64> {
    let lists: Vec<SendList> = (0..100)
        .map(|number| list(numbered(station.mac, NIC_MAC, number, 1000), number as usize))
        .collect();
    miniport(machine).send_lists(&lists)
}

fn silenced(name: &str, action: impl FnOnce(&Machine)) {
    let machine = start(impatient());
    let station = Station::new(&machine, 1);
    machine.nic().faults().silence(true);
    let numbers = send(&machine, &station);
    took(name, LIMIT, || action(&machine));
    assert!(
        miniport(&machine).wait_sent(&numbers, PATIENCE).is_some(),
        "{name}: all sends come back"
    );
    took("halt", LIMIT, || machine.stop());
}

#[test]
fn pause() {
    silenced("pause", |machine| machine.adapter().pause());
}

#[test]
fn restart() {
    silenced("restart", |machine| {
        machine.adapter().pause();
        let _: Result<(), NDIS_STATUS> = machine.adapter().restart();
    });
}

#[test]
fn reset() {
    silenced("reset", |machine| {
        let _: Result<(), NDIS_STATUS> = machine.adapter().reset();
    });
}

#[test]
fn sleep_and_waking() {
    silenced("sleep", |machine| {
        if machine.adapter().suspend(NdisDeviceStateD3).is_ok() {
            let _: Result<(), NDIS_STATUS> = machine.adapter().resume();
        }
    });
}

#[test]
fn requests() {
    silenced("requests", |machine| {
        let miniport = miniport(machine);
        let _ = miniport.oid_set(OID_GEN_CURRENT_PACKET_FILTER, &1_u32.to_le_bytes());
        let _ = miniport.oid_query(OID_GEN_STATISTICS, 256);
        let _ = miniport.set_rss(&Parameters::over(&[0], 128));
        let _ = miniport.oid_set(OID_NDK_SET_STATE, &[0]);
        let _ = miniport.oid_set(OID_NDK_SET_STATE, &[1]);
    });
}

#[test]
fn halt() {
    let machine = start(impatient());
    let station = Station::new(&machine, 1);
    machine.nic().faults().silence(true);
    let _ = send(&machine, &station);
    took("halt", LIMIT, || machine.stop());
}

#[test]
fn removal() {
    let mut machine = start(impatient());
    let station = Station::new(&machine, 1);
    machine.nic().faults().silence(true);
    let _ = send(&machine, &station);
    took("removal", LIMIT, || machine.surprise_remove());
}

#[test]
fn a_reset_brings_a_failed_device_back() {
    let machine = start(impatient());
    let station = Station::new(&machine, 1);
    assert!(!machine.adapter().check_for_hang(), "nothing hangs");
    machine.nic().faults().silence(true);
    let numbers = send(&machine, &station);
    let _ = miniport(&machine).oid_query(OID_GEN_STATISTICS, 256);
    eventually("the driver asks for a reset", || {
        machine.adapter().check_for_hang()
    });
    machine.nic().faults().silence(false);
    machine.adapter().reset().expect("it resets");
    assert!(miniport(&machine).wait_sent(&numbers, PATIENCE).is_some());
    wait_for_link(&machine, true);
    assert_passes(&machine, &station);
    assert!(!machine.adapter().check_for_hang());
}

/// The commands of an initialisation, each of which fails in turn.
const COMMANDS: [(Opcode, bool); 8] = [
    (Opcode::QUERY_DEVICE, false),
    (Opcode::CREATE_EQ, false),
    (Opcode::CREATE_ETH_QUEUE, false),
    (Opcode::SET_ETH_CONFIG, true),
    (Opcode::SET_MULTICAST, true),
    (Opcode::SET_RSS, true),
    (Opcode::CM_ENABLE, true),
    (Opcode::SET_GID, true),
];

#[test]
fn initialise_fails_at_each_command_and_gives_everything_back() {
    for (opcode, may_start) in COMMANDS {
        for status in [Status::INTERNAL_ERROR, Status::NO_RESOURCES] {
            for nth in [1, 2, 4] {
                let mut config = impatient();
                config.adapters[0].before_start = Some(Arc::new(move |nic| {
                    nic.faults().answer(opcode, status, 7, nth);
                }));
                match Machine::start(config) {
                    Ok(machine) => {
                        assert!(may_start, "{opcode:?} {status:?}: it must not start");
                        machine.stop();
                    }
                    Err(StartError::Initialize(_, log)) => {
                        assert!(!log.is_empty(), "{opcode:?}: the event log says why");
                    }
                    Err(StartError::Restart(_)) => {}
                    Err(other) => panic!("{opcode:?}: {other}"),
                }
            }
        }
    }
    drop(event_log::entries());
    drop(start(config()));
}
