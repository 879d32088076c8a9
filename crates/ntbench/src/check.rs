//! `ntbench check`: takes a driver through everything that the bench can do with it, so that the verifier sees it all.
//!
//! A miniport goes through its life; an NDK provider gets a consumer that closes things in the most awkward order that is
//! allowed. There is no peer on the wire: connection requests come only from providers that make them up.

mod ethernet;
mod queues;

use crate::machine::Device;
use crate::ndis::departures::Departures;
use crate::ndis::{self, Adapter};
use crate::ndk::{self, Connector, Listener};
use crate::nt::driver::Driver;
use crate::pci::slot::Slot;
use crate::pe::file::LoadError;
use crate::verifier::faults;
use crate::verifier::limits::Limits;
use crate::{Config, Kernel};
use ndk_sys::{
    NDIS_NDK_STATISTICS_INFO, NDIS_OBJECT_TYPE_DEFAULT, NDIS_STATUS, NTSTATUS, OID_GEN_STATISTICS,
    OID_NDK_SET_STATE, OID_NDK_STATISTICS,
};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;
use thiserror::Error;
use vrnic_device::{NicConfig, Wire};

/// Where the consumer listens.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 9);
/// The port on which it accepts.
const PORT: u16 = 7000;

/// Why a check could not be made.
#[derive(Debug, Error)]
pub enum CheckError {
    /// The image cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The device cannot be made.
    #[error("the device cannot be made: {0}")]
    Device(#[from] io::Error),
    /// `DriverEntry` has failed.
    #[error("DriverEntry failed with {0:#010x}")]
    Entry(NTSTATUS),
    /// `MiniportInitializeEx` or `MiniportRestart` has failed.
    #[error("{0} failed with {1:#010x}")]
    Adapter(&'static str, NDIS_STATUS),
}

/// Time limits that a driver without a fault keeps, and that do not keep a tester waiting for the others.
const LIMITS: Limits = Limits {
    call: Duration::from_secs(4),
    spin: Duration::from_secs(1),
    oid: Duration::from_secs(1),
    send: Duration::from_secs(2),
    ndk_completion: Duration::from_secs(2),
    ..Limits::DEFAULT
};

/// How long a request may pend when anything may fail: then the peer may not have heard of a connection request, and it is
/// repeated for a while.
const PATIENT: Duration = Duration::from_mins(1);

/// A wire that nobody listens to.
struct Unplugged;

impl Wire for Unplugged {
    fn transmit(&self, _frame: &[u8]) {}
}

/// Checks the driver at `path`, loaded as `service`, on that device if it is a miniport. A broken rule ends the process.
///
/// # Errors
/// See [`CheckError`].
pub fn run(path: &Path, service: &str, device: &Device) -> Result<(), CheckError> {
    run_with(path, service, device, None)
}

/// The name of the service as which [`run_beside`] loads the provider: the faults of `wrong.sys` have one of that name.
const PROVIDER_SERVICE: &str = "none-miniport";

/// Checks the NDK consumer at `path`, loaded as `service` while `provider` runs with one adapter: it is loaded, and unloaded.
///
/// # Errors
/// See [`CheckError`].
pub fn run_beside(provider: &Path, path: &Path, service: &str) -> Result<(), CheckError> {
    let kernel = boot(None);
    let mut driver = kernel.load(provider, PROVIDER_SERVICE)?;
    let status = driver.start();
    if status < 0 {
        driver.unload();
        return Err(CheckError::Entry(status));
    }
    let adapter = start_adapter(&driver, &Device::Own)?;
    let mut consumer = kernel.load(path, service)?;
    let status = consumer.start();
    consumer.unload();
    adapter.pause();
    adapter.halt();
    driver.unload();
    kernel.settle();
    if status < 0 {
        Err(CheckError::Entry(status))
    } else {
        Ok(())
    }
}

/// How often a driver was run with failing allocations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LowResources {
    /// How many runs it took until nothing new failed.
    pub runs: usize,
    /// How many requests for memory and other resources, told apart by their call stacks, have failed.
    pub failures: usize,
}

/// As [`run`], again and again: each request for a resource fails the first time that it is made, until a run in which
/// all succeed. Nothing may break, leak or hang on the way.
///
/// # Errors
/// As [`run`], if a run fails in which no request did.
pub fn run_low_resources(path: &Path, service: &str, device: &Device) -> Result<LowResources, CheckError> {
    let mut failed = BTreeSet::new();
    for runs in 1.. {
        let result = run_with(path, service, device, Some(failed.clone()));
        let seen = faults::seen();
        if seen.len() == failed.len() {
            return result.map(|()| LowResources {
                runs,
                failures: failed.len(),
            });
        }
        failed = seen;
    }
    unreachable!("a driver has a finite number of call stacks")
}

fn boot(fault_injection: Option<BTreeSet<String>>) -> Kernel {
    let mut limits = LIMITS;
    if fault_injection.is_some() {
        limits.ndk_completion = PATIENT;
    }
    Kernel::boot(&Config {
        echo_debug: false,
        limits,
        fault_injection,
        ..Config::default()
    })
}

fn run_with(
    path: &Path,
    service: &str,
    device: &Device,
    fault_injection: Option<BTreeSet<String>>,
) -> Result<(), CheckError> {
    let kernel = boot(fault_injection);
    let mut driver = kernel.load(path, service)?;
    let status = driver.start();
    if status < 0 {
        driver.unload();
        return Err(CheckError::Entry(status));
    }
    let result = if ndis::driver::find(driver.object()).is_some() {
        miniport(&kernel, &driver, device)
    } else {
        Ok(())
    };
    driver.unload();
    // What the driver has left running meets an image that is not there any more.
    kernel.settle();
    result
}

/// Plugs a device in, and starts the driver's adapter on it.
fn start_adapter(driver: &Driver, device: &Device) -> Result<Adapter, CheckError> {
    let mut departures = None;
    let slot = match device {
        Device::Own => {
            let watched = departures.insert(Departures::new(Arc::new(Unplugged)));
            Slot::plug(
                0,
                NicConfig::new([0x52, 0x54, 0x00, 0x77, 0x00, 0x09]),
                Arc::clone(watched) as Arc<dyn Wire>,
            )?
        }
        Device::Vfio(address) => Slot::vfio(0, address)?,
        Device::VfioUser(socket) => Slot::vfio_user(0, socket)?.0,
    };
    let config = ndis::Config {
        interface_index: 12,
        addresses: vec![(ADDRESS.into(), 24)],
        departures,
        ..ndis::Config::default()
    };
    let adapter = Adapter::add(driver, slot, config)
        .map_err(|status| CheckError::Adapter("MiniportInitializeEx", status))?;
    adapter
        .restart()
        .map_err(|status| CheckError::Adapter("MiniportRestart", status))?;
    Ok(adapter)
}

fn miniport(kernel: &Kernel, driver: &Driver, device: &Device) -> Result<(), CheckError> {
    let adapter = start_adapter(driver, device)?;
    let miniport = adapter.miniport();
    let _ = miniport.oid_query(OID_GEN_STATISTICS, 256);
    let _ = miniport.oid_set(OID_NDK_SET_STATE, &[1]);
    let _ = miniport.direct_oid_query(OID_NDK_STATISTICS, statistics_request());
    ethernet::run(kernel, &adapter);
    // Not every miniport is a provider, and not every provider has every version.
    if let Ok(consumer) = ndk::Adapter::open(miniport, ndk::VERSION_2_0) {
        // What fails here fails with a status: that is no broken rule.
        let _ = consume(consumer);
    }
    adapter.pause();
    adapter.halt();
    Ok(())
}

/// An `NDIS_NDK_STATISTICS_INFO` with its header filled in.
fn statistics_request() -> Vec<u8> {
    let size = size_of::<NDIS_NDK_STATISTICS_INFO>();
    let mut data = vec![0; size];
    data[..2].copy_from_slice(&[NDIS_OBJECT_TYPE_DEFAULT, 1]);
    data[2..4].copy_from_slice(&u16::try_from(size).unwrap_or(0).to_ne_bytes());
    data
}

fn consume(adapter: ndk::Adapter) -> Result<(), NTSTATUS> {
    let _ = adapter.info();
    queues::run(&adapter, SocketAddr::new(ADDRESS.into(), PORT));
    reject_in_event(&adapter)?;
    close_listener_in_event(&adapter)?;
    close_listener_before_connector(&adapter)?;
    close_adapter_before_listener(adapter)
}

fn listen(listener: &Listener) -> Result<(), NTSTATUS> {
    listener.listen(SocketAddr::new(ADDRESS.into(), 0))?;
    let _ = listener.local_address();
    Ok(())
}

/// The usual case: each request is looked at, rejected and closed in its connect event.
fn reject_in_event(adapter: &ndk::Adapter) -> Result<(), NTSTATUS> {
    let listener = adapter.create_listener(|connector| {
        let _ = connector.peer_address();
        let _ = connector.connection_data();
        let _ = connector.reject(b"no");
        connector.close();
    })?;
    listen(&listener)?;
    listener.close();
    Ok(())
}

/// The listener is closed while its connect event runs.
fn close_listener_in_event(adapter: &ndk::Adapter) -> Result<(), NTSTATUS> {
    let (closing, own) = (Arc::new(Mutex::new(None)), Arc::new(OnceLock::<Listener>::new()));
    let (for_event, own_for_event) = (Arc::clone(&closing), Arc::clone(&own));
    let listener = adapter.create_listener(move |connector| {
        if let Some(listener) = own_for_event.get()
            && for_event.lock().is_none()
        {
            *for_event.lock() = Some(listener.start_close());
        }
        connector.close();
    })?;
    let listener = own.get_or_init(|| listener);
    listen_only(listener)?;
    let closing = closing.lock().take();
    closing.unwrap_or_else(|| listener.start_close()).wait();
    Ok(())
}

fn listen_only(listener: &Listener) -> Result<(), NTSTATUS> {
    listener.listen(SocketAddr::new(ADDRESS.into(), 0))
}

/// The listener's close pends as long as its connector is open.
fn close_listener_before_connector(adapter: &ndk::Adapter) -> Result<(), NTSTATUS> {
    let kept = Arc::new(Mutex::new(Vec::<Connector>::new()));
    let keep = Arc::clone(&kept);
    let listener = adapter.create_listener(move |connector| keep.lock().push(connector))?;
    listen(&listener)?;
    let closing = listener.start_close();
    let connectors = std::mem::take(&mut *kept.lock());
    for connector in connectors {
        connector.close();
    }
    closing.wait();
    Ok(())
}

/// The adapter's close waits for its listener.
fn close_adapter_before_listener(adapter: ndk::Adapter) -> Result<(), NTSTATUS> {
    let listener = adapter.create_listener(Connector::close)?;
    let closing = adapter.start_close();
    thread::sleep(Duration::from_millis(100));
    listener.close();
    // A panic on that thread has ended the process.
    let _ = closing.join();
    Ok(())
}
