//! A machine with a Linux guest on its wire.

use anyhow::{Context, Result, bail, ensure};
use ntbench::machine::{AdapterSetup, Machine, MachineConfig, image_from_env};
use ntbench::ndk::{self, Incoming, VERSION_2_0};
use ntbench::wire::pcap::read_pcap;
use ntbench::wire::{DgramPort, Impairment, Pcap};
use roce_wire::frame::{Frame, FrameError};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use xtask::peer::{LinuxPeer, Neighbour, PeerConfig, PeerFiles, Wire};
use xtask::{paths, tshark};

/// How long Linux may take for anything; under emulation on a busy machine a second is little.
pub const LIMIT: Duration = Duration::from_mins(2);

/// The guest's addresses.
pub const LINUX_IPV4: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// The guest's addresses.
pub const LINUX_IPV6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2);

/// How a bench is made.
pub struct Setup {
    /// Names the folder of the run.
    pub name: &'static str,
    /// The Ethernet MTU of each adapter, the first one's in the beginning the guest's too: 1500 gives RoCE packets of 1024 bytes, 9000
    /// of 4096.
    pub mtus: &'static [u16],
    /// What the wire does to frames.
    pub impairment: Impairment,
}

/// The machine, the guest, and the capture of their wire.
pub struct Bench {
    // In the order in which they go down.
    pub linux: Option<LinuxPeer>,
    ndks: Vec<ndk::Adapter>,
    pub machine: Machine,
    port: Option<DgramPort>,
    pcap: Arc<Pcap>,
    dir: PathBuf,
    mtus: &'static [u16],
}

/// An adapter of the bench, and where it is.
#[derive(Clone, Copy)]
pub struct Station<'a> {
    /// Its bench.
    pub bench: &'a Bench,
    /// The opened adapter.
    pub ndk: &'a ndk::Adapter,
    /// Its address.
    pub ipv4: IpAddr,
    /// Its address.
    pub ipv6: IpAddr,
}

impl Station<'_> {
    /// Listens.
    pub fn listen(&self, address: SocketAddr) -> Result<Incoming> {
        Incoming::listen(self.ndk, address).map_err(|status| anyhow::anyhow!("NdkListen failed: {status:#x}"))
    }
}

impl Bench {
    /// Boots both, and opens NDK.
    pub fn boot(setup: &Setup) -> Result<Self> {
        let dir = paths::run_dir(setup.name)?;
        let pcap = Arc::new(Pcap::create(&dir.join("run.pcap"))?);
        let mut config = MachineConfig::new(image_from_env().map_err(anyhow::Error::msg)?);
        config.wire.impairment = setup.impairment;
        config.adapters = setups(setup.mtus);
        let machine = Machine::start(config)?;
        machine.hub().tap(pcap.clone());
        let ndks = (0..setup.mtus.len())
            .map(|adapter| machine.open_ndk_on(adapter, VERSION_2_0))
            .collect::<Result<_, _>>()
            .map_err(|status| anyhow::anyhow!("NDK does not open: {status:#x}"))?;
        let mut bench = Self {
            linux: None,
            ndks,
            machine,
            port: None,
            pcap,
            dir,
            mtus: setup.mtus,
        };
        bench.boot_linux()?;
        Ok(bench)
    }

    /// Boots the guest, for the first time or after [`Bench::kill_linux`].
    pub fn boot_linux(&mut self) -> Result<()> {
        let sockets = ["host.sock", "guest.sock"].map(|name| self.dir.join(name));
        self.port = Some(DgramPort::attach(
            self.machine.hub(),
            "linux",
            &sockets[0],
            &sockets[1],
        )?);
        let neighbours = setups(self.mtus).into_iter().flat_map(|setup| {
            let mac = setup.nic.mac;
            setup
                .addresses
                .into_iter()
                .map(move |(ip, _)| Neighbour { ip, mac })
        });
        let config = PeerConfig {
            mtu: self.mtus.iter().copied().max().context("there is no adapter")?,
            ..PeerConfig::new(Wire::in_dir(&self.dir), neighbours.collect())
        };
        let linux = LinuxPeer::boot(&PeerFiles::prepared()?, &config)?;
        linux.set_mtu(self.mtus[0])?;
        self.linux = Some(linux);
        Ok(())
    }

    /// Ends the guest from one moment to the next.
    pub fn kill_linux(&mut self) {
        self.linux = None;
        self.port = None;
    }

    /// The guest.
    pub fn linux(&self) -> &LinuxPeer {
        self.linux.as_ref().expect("the guest runs")
    }

    /// The first adapter.
    pub fn ndk(&self) -> &ndk::Adapter {
        &self.ndks[0]
    }

    /// An adapter. All stations of a link should have the same MTU: see [`LinuxPeer::set_mtu`].
    pub fn station(&self, number: usize) -> Station<'_> {
        let addresses = &setups(self.mtus)[number].addresses;
        Station {
            bench: self,
            ndk: &self.ndks[number],
            ipv4: addresses[0].0,
            ipv6: addresses[1].0,
        }
    }

    /// Listens at the first adapter.
    pub fn listen(&self, address: SocketAddr) -> Result<Incoming> {
        self.station(0).listen(address)
    }

    /// Takes everything down in good order, and has the capture judged: nothing is malformed, and every ICRC is right.
    pub fn finish(self, judge: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let Self {
            linux,
            ndks,
            machine,
            port,
            pcap,
            dir,
            mtus: _,
        } = self;
        drop((linux, ndks));
        machine.stop();
        drop(port);
        pcap.flush()?;
        step("tshark and the ICRC on all of that", || {
            let path = dir.join("run.pcap");
            tshark::assert_clean(&path)?;
            check_icrcs(&path)?;
            judge(&path)
        })?;
        std::fs::remove_dir_all(&dir)?;
        Ok(())
    }
}

fn setups(mtus: &[u16]) -> Vec<AdapterSetup> {
    let numbered = (0..).zip(mtus).map(|(number, &mtu)| {
        let mut setup = AdapterSetup::numbered(number);
        setup.nic.mtu = mtu;
        setup
    });
    numbered.collect()
}

/// Says what is being done, and in which step an error was.
pub fn step<T>(name: &str, body: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("  {name}");
    body().with_context(|| name.to_owned())
}

fn check_icrcs(pcap: &Path) -> Result<()> {
    let file = std::fs::read(pcap)?;
    let mut checked = 0;
    for (number, (_, frame)) in (1..).zip(read_pcap(&file)?) {
        match Frame::parse(frame) {
            Ok(_) => checked += 1,
            Err(FrameError::NotRoce(_)) => {}
            Err(error) => bail!("frame {number}: {error:?}"),
        }
    }
    ensure!(checked >= 60, "only {checked} RoCEv2 frames");
    Ok(())
}
