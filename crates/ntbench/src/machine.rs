//! A whole machine: a wire, NICs in their slots, a kernel, and the driver running on them. What tests, the demonstration,
//! the benchmarks and `ntbench run` start from.

use crate::ndis::adapter::{Adapter, Config as AdapterConfig, Keyword};
use crate::ndis::departures::Departures;
use crate::ndis::{Protocol, Uses};
use crate::ndk;
use crate::netio;
use crate::nt::driver::Driver;
use crate::nt::{event_log, registry};
use crate::pci::slot::Slot;
use crate::pe::file::LoadError;
use crate::verifier::pool::Placement;
use crate::wire::host::{Attachment, Link};
use crate::wire::{HostStack, Hub, HubConfig, Peer, PeerConfig, nic};
use crate::{Config, Kernel};
use ndk_sys::{NDIS_STATUS, NDK_VERSION, NTSTATUS};
use roce_wire::eth::MacAddr;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use thiserror::Error;
use vrnic_device::{CableEnd, Nic, NicConfig, Wire};

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
    /// The wire, which all adapters are on.
    pub wire: HubConfig,
    /// For measurements: a cable joins the two adapters instead of the wire. It has no thread, nobody else is on it, and neighbours
    /// are known without ARP.
    pub cable: bool,
    /// The adapters, each with a device of its own. Most tests have one.
    pub adapters: Vec<AdapterSetup>,
}

/// One adapter: its device, and what the system knows of it.
#[derive(Clone)]
pub struct AdapterSetup {
    /// Interface index, by which NDK consumers choose it.
    pub interface_index: u32,
    /// The device.
    pub nic: NicConfig,
    /// Addresses of the interface, with their prefix lengths.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Registry values of the adapter.
    pub keywords: BTreeMap<String, Keyword>,
    /// Where the device is.
    pub device: Device,
    /// What the host's IP stack, which is bound to the miniport, may use of what it offers.
    pub uses: Uses,
    /// Done with the device before the driver gets it: to break it.
    pub before_start: Option<Preparation>,
}

/// Where an adapter's device is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// In the bench, made as [`AdapterSetup::nic`] says, at the machine's wire.
    #[default]
    Own,
    /// Linux hands the one with that PCI address over: see [`crate::pci::vfio`]. It has a wire of its own.
    Vfio(String),
    /// In the process that listens at that socket: see [`crate::pci::vfio_user`]. It has a wire and a station address of its own.
    VfioUser(PathBuf),
}

/// Done with a device.
pub type Preparation = Arc<dyn Fn(&Nic) + Send + Sync>;

/// Calls and callbacks that [`Machine::story`] ends with.
const STORY_CALLS: usize = 60;

/// Interface index of the first adapter.
const FIRST_INTERFACE: u32 = 12;

impl AdapterSetup {
    /// An adapter with that interface index, station address and addresses, and the defaults of everything else.
    #[must_use]
    pub fn new(interface_index: u32, mac: [u8; 6], addresses: Vec<(IpAddr, u8)>) -> Self {
        Self {
            interface_index,
            nic: NicConfig::new(mac),
            addresses,
            keywords: BTreeMap::new(),
            device: Device::Own,
            uses: Uses::default(),
            before_start: None,
        }
    }

    /// Number `number`, from 0, of a row of adapters on one subnet: the first has [`NIC_MAC`], [`NIC_IPV4`] and
    /// [`NIC_IPV6`], and each other has the numbers that follow.
    #[must_use]
    pub fn numbered(number: u8) -> Self {
        let mut mac = NIC_MAC;
        mac[5] += number;
        let v4 = Ipv4Addr::from_bits(NIC_IPV4.to_bits() + u32::from(number));
        let v6 = Ipv6Addr::from_bits(NIC_IPV6.to_bits() + u128::from(number));
        Self::new(
            FIRST_INTERFACE + u32::from(number),
            mac,
            vec![(v4.into(), 24), (v6.into(), 64)],
        )
    }
}

impl MachineConfig {
    /// A machine with one adapter and the defaults of everything.
    #[must_use]
    pub fn new(sys: impl Into<PathBuf>) -> Self {
        Self::with_adapters(sys, vec![AdapterSetup::numbered(0)])
    }

    /// A machine with those adapters and the defaults of everything else.
    #[must_use]
    pub fn with_adapters(sys: impl Into<PathBuf>, adapters: Vec<AdapterSetup>) -> Self {
        Self {
            sys: sys.into(),
            kernel: Config {
                echo_debug: false,
                ..Config::default()
            },
            wire: HubConfig::default(),
            cable: false,
            adapters,
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
    adapters: Vec<Adapter>,
    driver: Option<Driver>,
    nics: Vec<Arc<Nic>>,
    hosts: Vec<Arc<HostStack>>,
    hub: Hub,
    /// The adapters' addresses, and the station that each belongs to.
    stations: Vec<(IpAddr, MacAddr)>,
    peers: AtomicU8,
    kernel: Kernel,
}

impl Machine {
    /// Boots the kernel, plugs the NICs in, loads the driver and restarts its adapters: they are running then.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(config: MachineConfig) -> Result<Self, StartError> {
        let machine = Self::start_paused(config)?;
        for adapter in &machine.adapters {
            adapter.restart().map_err(StartError::Restart)?;
        }
        Ok(machine)
    }

    /// As [`Machine::start`], but leaves the adapters paused, as `MiniportInitializeEx` has left them.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start_paused(config: MachineConfig) -> Result<Self, StartError> {
        let kernel = Kernel::boot(&config.kernel);
        let hub = Hub::new(config.wire)?;
        let ends = config.cable.then(|| cable_ends(&config.adapters)).transpose()?;
        // Benchmarks have no time to watch.
        let watch = !config.cable && config.kernel.pool != Placement::Fast;
        let plugged: Vec<Plugged> = (0..)
            .zip(&config.adapters)
            .map(|(number, setup)| {
                let end = ends.as_ref().map(|ends| &ends[usize::from(number)]);
                plug_in(&hub, number, setup, end, watch)
            })
            .collect::<io::Result<_>>()?;
        let mut driver = kernel.load(&config.sys, &service_name(&config.sys))?;
        let status = driver.start();
        if status < 0 {
            return Err(StartError::Entry(status));
        }
        let mut machine = Self {
            adapters: Vec::new(),
            driver: None,
            nics: plugged.iter().filter_map(|one| one.slot.nic().cloned()).collect(),
            hosts: plugged.iter().map(|one| Arc::clone(&one.host)).collect(),
            hub,
            stations: plugged.iter().flat_map(Plugged::stations).collect(),
            peers: AtomicU8::new(0),
            kernel,
        };
        for (one, setup) in plugged.into_iter().zip(config.adapters) {
            let adapter_config = AdapterConfig {
                interface_index: setup.interface_index,
                keywords: setup.keywords,
                addresses: setup.addresses,
                host: Some(one.host),
                departures: one.departures,
                protocol: Some(one.protocol),
            };
            match Adapter::add(&driver, one.slot, adapter_config) {
                Ok(adapter) => machine.adapters.push(adapter),
                Err(status) => {
                    let log = event_log::entries();
                    machine.driver = Some(driver);
                    return Err(StartError::Initialize(status, log));
                }
            }
        }
        machine.driver = Some(driver);
        if config.cable {
            machine.introduce_neighbours();
        }
        Ok(machine)
    }

    /// Tells the IP stack of each adapter which station each address belongs to.
    fn introduce_neighbours(&self) {
        for adapter in &self.adapters {
            let luid = adapter.miniport().luid();
            for &(address, station) in &self.stations {
                netio::set_neighbour(luid, address, Some(station.0));
            }
        }
    }

    /// The kernel.
    #[must_use]
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// The first adapter.
    ///
    /// # Panics
    /// After it has been removed.
    #[must_use]
    pub fn adapter(&self) -> &Adapter {
        self.adapters.first().expect("the adapter has been removed")
    }

    /// All adapters that have not been removed, in the order of the configuration.
    #[must_use]
    pub fn adapters(&self) -> &[Adapter] {
        &self.adapters
    }

    /// Pulls the first adapter's NIC out: see [`Adapter::surprise_remove`].
    pub fn surprise_remove(&mut self) {
        if !self.adapters.is_empty() {
            self.adapters.remove(0).surprise_remove();
        }
    }

    /// The device of the first adapter.
    #[must_use]
    pub fn nic(&self) -> &Arc<Nic> {
        &self.nics[0]
    }

    /// The devices of all adapters, in the order of the configuration; those that were pulled out included.
    #[must_use]
    pub fn nics(&self) -> &[Arc<Nic>] {
        &self.nics
    }

    /// The IP stacks of the hosts that the adapters are in, in the order of the configuration.
    #[must_use]
    pub fn hosts(&self) -> &[Arc<HostStack>] {
        &self.hosts
    }

    /// The wire.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Opens the NDK adapter of the first adapter as a consumer.
    ///
    /// # Errors
    /// What the provider's open handler returned.
    pub fn open_ndk(&self, version: NDK_VERSION) -> Result<ndk::Adapter, NDIS_STATUS> {
        ndk::Adapter::open(self.adapter().miniport(), version)
    }

    /// As [`Machine::open_ndk`], for the adapter with that place among [`Machine::adapters`].
    ///
    /// # Errors
    /// What the provider's open handler returned.
    ///
    /// # Panics
    /// When there is no such adapter.
    pub fn open_ndk_on(&self, adapter: usize, version: NDK_VERSION) -> Result<ndk::Adapter, NDIS_STATUS> {
        ndk::Adapter::open(self.adapters[adapter].miniport(), version)
    }

    /// Loads a consumer driver as that service, with registry values under its service key and in `Parameters` below it:
    /// drivers read either. `DriverEntry` has not run yet.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load_consumer(
        &self,
        sys: &Path,
        service: &str,
        values: impl IntoIterator<Item = (String, registry::Value)>,
    ) -> Result<Driver, LoadError> {
        let key = registry::service_key(service);
        let parameters = format!(r"{key}\Parameters");
        registry::create_key(&parameters);
        for (name, value) in values {
            registry::set(&key, &name, value.clone());
            registry::set(&parameters, &name, value);
        }
        self.kernel.load(sys, service)
    }

    /// What has happened, for whoever has to find out why a test has failed: event log, counters of devices and wire, and the
    /// last calls between consumers and provider. Printed when a machine goes down in a panic.
    #[must_use]
    pub fn story(&self) -> String {
        let mut story = String::new();
        for entry in event_log::entries() {
            let _ = writeln!(story, "event log: {entry:?}");
        }
        for (number, nic) in self.nics.iter().enumerate() {
            let _ = writeln!(story, "nic {number}: {:?}", nic.statistics());
        }
        let _ = writeln!(story, "wire: {:?}", self.hub.statistics());
        let (events, _) = ndk::trace::events();
        let last = &events[events.len().saturating_sub(STORY_CALLS)..];
        for event in last {
            let since = event.time.duration_since(last[0].time).unwrap_or_default();
            let _ = writeln!(story, "{:10.3} ms  {event}", since.as_secs_f64() * 1e3);
        }
        story
    }

    /// Plugs one more scripted peer in. It knows the adapters' stations, so it needs no ARP.
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
        for &(address, station) in &self.stations {
            peer.add_neighbour(address, station);
        }
        peer
    }

    /// Waits until the driver has reported the links of all adapters as up (or down).
    #[must_use]
    pub fn wait_for_link(&self, up: bool) -> bool {
        let connected = ndk_sys::MediaConnectStateConnected;
        let wanted = |link: crate::ndis::indications::LinkState| (link.connect_state == connected) == up;
        self.adapters.iter().all(|adapter| {
            let indications = adapter.miniport().indications();
            indications.wait_for_link(LINK_LIMIT, wanted).is_some()
        })
    }

    /// Takes the machine down: halts the adapters, unloads the driver.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprint!("{}", self.story());
        }
        for adapter in self.adapters.drain(..) {
            if adapter.miniport().slot().is_gone() {
                adapter.surprise_remove();
            } else {
                adapter.halt();
            }
        }
        if let Some(driver) = self.driver.take() {
            driver.unload();
        }
    }
}

/// An adapter's hardware, and the stack of its host.
struct Plugged {
    slot: Slot,
    station: MacAddr,
    addresses: Vec<IpAddr>,
    host: Arc<HostStack>,
    protocol: Arc<Protocol>,
    departures: Option<Arc<Departures>>,
}

impl Plugged {
    /// Its addresses, and the station that each belongs to.
    fn stations(&self) -> impl Iterator<Item = (IpAddr, MacAddr)> {
        self.addresses.iter().map(|&address| (address, self.station))
    }
}

/// A cable for those adapters, of which there must be two.
fn cable_ends(adapters: &[AdapterSetup]) -> io::Result<[Arc<CableEnd>; 2]> {
    if adapters.len() == 2 {
        Ok(CableEnd::pair())
    } else {
        Err(io::Error::other("a cable joins two adapters"))
    }
}

/// Plugs the device of an adapter into the slot of that number, and, if it is the bench's own, into the wire, which is watched if
/// `watch`, or into an end of a cable.
fn plug_in(
    hub: &Hub,
    number: u8,
    setup: &AdapterSetup,
    cable: Option<&Arc<CableEnd>>,
    watch: bool,
) -> io::Result<Plugged> {
    let mut departures = None;
    let mut station = setup.nic.mac;
    let slot = match &setup.device {
        Device::Own => {
            let (slot, watched) = plug_in_own(hub, number, setup, cable, watch)?;
            departures = watched;
            slot
        }
        Device::Vfio(address) => Slot::vfio(number, address)?,
        Device::VfioUser(socket) => {
            let slot;
            (slot, station) = Slot::vfio_user(number, socket)?;
            slot
        }
    };
    let station = MacAddr(station);
    let protocol = Protocol::new(setup.uses);
    let host = HostStack::above(Attachment::plain(station), Arc::clone(&protocol) as Arc<dyn Link>)?;
    let host = Arc::new(host);
    protocol.set_host(&host);
    for &(address, prefix) in &setup.addresses {
        if !host.add_address(address, prefix) {
            return Err(io::Error::other("the host's stack takes no more addresses"));
        }
    }
    Ok(Plugged {
        slot,
        station,
        addresses: setup.addresses.iter().map(|one| one.0).collect(),
        host,
        protocol,
        departures,
    })
}

/// Makes a device of the bench's own: the slot with it, and who watches its port.
fn plug_in_own(
    hub: &Hub,
    number: u8,
    setup: &AdapterSetup,
    cable: Option<&Arc<CableEnd>>,
    watch: bool,
) -> io::Result<(Slot, Option<Arc<Departures>>)> {
    let name = match number {
        0 => "nic".to_owned(),
        _ => format!("nic{}", number + 1),
    };
    let (mut slot, mut departures) = (None, None);
    let make = |wire: Arc<dyn Wire>| {
        let port = match cable {
            Some(end) => Arc::clone(end) as Arc<dyn Wire>,
            None if watch => Arc::clone(departures.insert(Departures::new(wire))) as Arc<dyn Wire>,
            None => wire,
        };
        let plugged = slot.insert(Slot::plug(number, setup.nic.clone(), port)?);
        let nic = plugged.nic().cloned();
        let nic = nic.ok_or_else(|| io::Error::other("the slot is empty"))?;
        if let Some(end) = cable {
            end.plug_in(&nic);
        }
        Ok(nic)
    };
    let nic = nic::plug_in_alone(hub, &name, make)?;
    if let Some(prepare) = &setup.before_start {
        prepare(&nic);
    }
    let slot = slot.ok_or_else(|| io::Error::other("the slot is empty"))?;
    Ok((slot, departures))
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
