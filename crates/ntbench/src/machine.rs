//! A whole machine: a wire, the NIC in a slot, a kernel, and the driver running on it. What tests, the demonstration and
//! the benchmarks start from.

use crate::ndis::adapter::{Adapter, Config as AdapterConfig, Keyword};
use crate::ndk;
use crate::nt::driver::Driver;
use crate::nt::event_log;
use crate::pci::slot::Slot;
use crate::pe::file::LoadError;
use crate::wire::{Hub, HubConfig, Peer, PeerConfig, nic};
use crate::{Config, Kernel};
use ndk_sys::{NDIS_STATUS, NDK_VERSION, NTSTATUS};
use roce_wire::eth::MacAddr;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use thiserror::Error;
use vrnic_device::{Nic, NicConfig};

/// The NIC's station address.
pub const NIC_MAC: [u8; 6] = [0x52, 0x54, 0x00, 0x77, 0x00, 0x09];
/// The NIC's IPv4 address, /24.
pub const NIC_IPV4: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 9);
/// The NIC's IPv6 address, /64.
pub const NIC_IPV6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 9);

/// How long a driver may take to bring its link up.
const LINK_LIMIT: Duration = Duration::from_secs(10);

/// What to start.
#[derive(Clone)]
pub struct MachineConfig {
    /// The driver's image.
    pub sys: PathBuf,
    /// The kernel.
    pub kernel: Config,
    /// The wire.
    pub wire: HubConfig,
    /// The device.
    pub nic: NicConfig,
    /// Registry values of the adapter.
    pub keywords: BTreeMap<String, Keyword>,
    /// Done with the device before the driver gets it: to break it.
    pub before_start: Option<Preparation>,
}

/// Done with a device.
pub type Preparation = Arc<dyn Fn(&Nic) + Send + Sync>;

impl MachineConfig {
    /// A machine with the defaults of everything.
    #[must_use]
    pub fn new(sys: impl Into<PathBuf>) -> Self {
        Self {
            sys: sys.into(),
            kernel: Config {
                echo_debug: false,
                ..Config::default()
            },
            wire: HubConfig::default(),
            nic: NicConfig::new(NIC_MAC),
            keywords: BTreeMap::new(),
            before_start: None,
        }
    }
}

/// Why a machine does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The wire or the device cannot be made.
    #[error("the device cannot be made: {0}")]
    Device(#[from] io::Error),
    /// The image cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// `DriverEntry` has failed.
    #[error("DriverEntry failed with {0:#010x}")]
    Entry(NTSTATUS),
    /// `MiniportInitializeEx` has failed, and this is in the event log.
    #[error("MiniportInitializeEx failed with {0:#010x}; event log: {1:?}")]
    Initialize(NDIS_STATUS, Vec<event_log::Entry>),
    /// `MiniportRestart` has failed.
    #[error("MiniportRestart failed with {0:#010x}")]
    Restart(NDIS_STATUS),
}

/// A running machine. Dropping it takes it down in good order, which checks that the driver leaves nothing behind.
pub struct Machine {
    // In the order in which they go down.
    adapter: Option<Adapter>,
    driver: Option<Driver>,
    nic: Arc<Nic>,
    hub: Hub,
    peers: AtomicU8,
    kernel: Kernel,
}

impl Machine {
    /// Boots the kernel, plugs the NIC in, loads the driver and restarts its adapter: it is running then.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(config: MachineConfig) -> Result<Self, StartError> {
        let machine = Self::start_paused(config)?;
        machine.adapter().restart().map_err(StartError::Restart)?;
        Ok(machine)
    }

    /// As [`Machine::start`], but leaves the adapter paused, as `MiniportInitializeEx` has left it.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start_paused(config: MachineConfig) -> Result<Self, StartError> {
        let kernel = Kernel::boot(&config.kernel);
        let hub = Hub::new(config.wire)?;
        let mut slot = None;
        let nic = nic::plug_in(&hub, "nic", |wire| {
            let plugged = Slot::plug(0, config.nic, wire)?;
            let nic = Arc::clone(plugged.nic());
            slot = Some(plugged);
            Ok(nic)
        })?;
        let slot = slot.ok_or_else(|| io::Error::other("the slot is empty"))?;
        if let Some(prepare) = &config.before_start {
            prepare(&nic);
        }
        let mut driver = kernel.load(&config.sys, &service_name(&config.sys))?;
        let status = driver.start();
        if status < 0 {
            return Err(StartError::Entry(status));
        }
        let adapter_config = AdapterConfig {
            interface_index: 12,
            keywords: config.keywords,
            addresses: vec![(NIC_IPV4.into(), 24), (NIC_IPV6.into(), 64)],
        };
        let adapter = Adapter::add(&driver, slot, adapter_config);
        let adapter = match adapter {
            Ok(adapter) => adapter,
            Err(status) => {
                driver.unload();
                return Err(StartError::Initialize(status, event_log::entries()));
            }
        };
        Ok(Self {
            adapter: Some(adapter),
            driver: Some(driver),
            nic,
            hub,
            peers: AtomicU8::new(0),
            kernel,
        })
    }

    /// The kernel.
    #[must_use]
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// The adapter.
    ///
    /// # Panics
    /// After it has been removed.
    #[must_use]
    pub fn adapter(&self) -> &Adapter {
        self.adapter.as_ref().expect("the adapter has been removed")
    }

    /// Pulls the NIC out: see [`Adapter::surprise_remove`].
    pub fn surprise_remove(&mut self) {
        if let Some(adapter) = self.adapter.take() {
            adapter.surprise_remove();
        }
    }

    /// The device.
    #[must_use]
    pub fn nic(&self) -> &Arc<Nic> {
        &self.nic
    }

    /// The wire.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Opens an NDK adapter as a consumer.
    ///
    /// # Errors
    /// What the provider's open handler returned.
    pub fn open_ndk(&self, version: NDK_VERSION) -> Result<ndk::Adapter, NDIS_STATUS> {
        ndk::Adapter::open(self.adapter().miniport(), version)
    }

    /// Plugs one more scripted peer in. It knows the NIC's station, so it needs no ARP.
    #[must_use]
    pub fn peer(&self) -> Peer {
        let number = self.peers.fetch_add(1, Ordering::Relaxed) + 20;
        let config = PeerConfig {
            name: format!("peer{number}"),
            mac: MacAddr([0x52, 0x54, 0x00, 0x77, 0x01, number]),
            addresses: vec![
                Ipv4Addr::new(10, 77, 0, number).into(),
                Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 1, u16::from(number)).into(),
            ],
        };
        let peer = Peer::attach(&self.hub, config);
        for address in [IpAddr::from(NIC_IPV4), IpAddr::from(NIC_IPV6)] {
            peer.add_neighbour(address, MacAddr(NIC_MAC));
        }
        peer
    }

    /// Waits until the driver has reported its link as up (or down).
    #[must_use]
    pub fn wait_for_link(&self, up: bool) -> bool {
        let connected = ndk_sys::MediaConnectStateConnected;
        let wanted = |link: crate::ndis::indications::LinkState| (link.connect_state == connected) == up;
        self.adapter()
            .miniport()
            .indications()
            .wait_for_link(LINK_LIMIT, wanted)
            .is_some()
    }

    /// Takes the machine down: halts the adapter, unloads the driver.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(adapter) = self.adapter.take() {
            adapter.halt();
        }
        if let Some(driver) = self.driver.take() {
            driver.unload();
        }
    }
}

/// The NIC's IPv4 endpoint with that port.
#[must_use]
pub fn v4(port: u16) -> SocketAddr {
    SocketAddr::new(NIC_IPV4.into(), port)
}

/// The NIC's IPv6 endpoint with that port.
#[must_use]
pub fn v6(port: u16) -> SocketAddr {
    SocketAddr::new(NIC_IPV6.into(), port)
}

fn service_name(sys: &Path) -> String {
    sys.file_stem()
        .map_or_else(|| "driver".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

/// The driver's image that the environment names in `VRNIC_SYS`, as `./x` sets it for tests and benchmarks.
///
/// # Errors
/// There is none: what to do about it.
pub fn image_from_env() -> Result<PathBuf, String> {
    let path = std::env::var_os("VRNIC_SYS").map(PathBuf::from);
    let path =
        path.ok_or("VRNIC_SYS does not name the driver's image: run this with `./x test` or `./x bench`")?;
    if path.is_file() {
        Ok(path)
    } else {
        Err(format!(
            "VRNIC_SYS is {}, which is not there: run `./x driver`",
            path.display()
        ))
    }
}
