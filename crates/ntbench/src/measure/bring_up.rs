//! How long an adapter takes from a reset until the system is told that its link is up.

use crate::machine::{AdapterSetup, Machine, MachineConfig, StartError};
use crate::ndis::adapter::{Adapter, Config as AdapterConfig};
use crate::pci::slot::Slot;
use crate::verifier::pool::Placement;
use crate::{Config, Kernel};
use ndk_sys::{MediaConnectStateConnected, NDIS_STATUS_LINK_STATE};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use vrnic_abi::regs::FatalSyndrome;
use vrnic_device::{CableEnd, Wire};

/// How long the driver may take to notice or to do something.
const LIMIT: Duration = Duration::from_secs(20);

fn config() -> Config {
    Config {
        echo_debug: false,
        pool: Placement::Fast,
        ..Config::default()
    }
}

/// When the link was reported as up first after `start`.
fn link_up(adapter: &Adapter, start: Instant) -> Instant {
    let deadline = start + LIMIT;
    loop {
        let all = adapter.miniport().indications().all();
        let mut links = all
            .iter()
            .filter(|one| one.code == NDIS_STATUS_LINK_STATE && one.time >= start);
        // `MediaConnectState` follows the header.
        let connected =
            |data: &[u8]| data.get(4).map(|&state| i32::from(state)) == Some(MediaConnectStateConnected);
        if let Some(link) = links.find(|one| connected(&one.data)) {
            return link.time;
        }
        assert!(Instant::now() < deadline, "the link comes up");
        thread::sleep(Duration::from_millis(1));
    }
}

/// From a function level reset of a device until `MiniportInitializeEx` has said that the link is up and `MiniportRestart` is done: a
/// time for each round.
///
/// # Errors
/// See [`StartError`].
///
/// # Panics
/// When the link does not come up.
pub fn initialize(sys: &Path, rounds: usize) -> Result<Vec<Duration>, StartError> {
    let kernel = Kernel::boot(&config());
    let mut driver = kernel.load(sys, "vrnic")?;
    let status = driver.start();
    if status < 0 {
        return Err(StartError::Entry(status));
    }
    let mut times = Vec::new();
    for _ in 0..rounds {
        let setup = AdapterSetup::numbered(0);
        let [wire, _] = CableEnd::pair();
        let slot = Slot::plug(0, setup.nic, wire as Arc<dyn Wire>)?;
        let nic = slot.nic().cloned();
        let adapter_config = AdapterConfig {
            interface_index: setup.interface_index,
            addresses: setup.addresses,
            ..AdapterConfig::default()
        };
        let start = Instant::now();
        if let Some(nic) = nic {
            nic.reset();
            nic.enable_function();
        }
        let adapter = Adapter::add(&driver, slot, adapter_config)
            .map_err(|status| StartError::Initialize(status, Vec::new()))?;
        adapter.restart().map_err(StartError::Restart)?;
        times.push(start.elapsed());
        let general = adapter.miniport().attributes().general;
        let connected = general.is_some_and(|general| general.connect_state == MediaConnectStateConnected);
        assert!(connected, "the link is up at once");
        adapter.halt();
    }
    driver.unload();
    Ok(times)
}

/// From `MiniportResetEx` until the link is indicated as up, of a device that works, and of one that has failed: times for each
/// round.
///
/// # Errors
/// See [`StartError`].
///
/// # Panics
/// When the link does not come up.
pub fn resets(sys: &Path, rounds: usize) -> Result<[Vec<Duration>; 2], StartError> {
    let machine = Machine::start(MachineConfig {
        kernel: config(),
        ..MachineConfig::new(sys)
    })?;
    let adapter = machine.adapter();
    let reset = || {
        let start = Instant::now();
        adapter.reset().expect("it resets");
        link_up(adapter, start).duration_since(start)
    };
    let working = (0..rounds).map(|_| reset()).collect();
    let failed = (0..rounds).map(|_| {
        machine.nic().faults().fatal(FatalSyndrome::INTERNAL);
        let deadline = Instant::now() + LIMIT;
        while !adapter.check_for_hang() {
            assert!(Instant::now() < deadline, "the driver notices");
            thread::sleep(Duration::from_millis(1));
        }
        reset()
    });
    Ok([working, failed.collect()])
}
