//! A machine with a Linux guest on its wire.

use anyhow::{Context, Result, bail, ensure};
use ntbench::machine::{Machine, MachineConfig, NIC_IPV4, NIC_IPV6, NIC_MAC, image_from_env};
use ntbench::ndk::{self, Incoming, VERSION_2_0};
use ntbench::wire::{DgramPort, Impairment, Pcap};
use roce_wire::frame::{Frame, FrameError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use xtask::peer::{LinuxPeer, Neighbour, PeerConfig, PeerFiles, Wire};
use xtask::{paths, tshark};

/// How long Linux may take for anything; under emulation on a busy machine a second is little.
pub const LIMIT: Duration = Duration::from_mins(2);

/// How a bench is made.
pub struct Setup {
    /// Names the folder of the run.
    pub name: &'static str,
    /// The Ethernet MTU of the wire: 1500 gives RoCE packets of 1024 bytes, 9000 of 4096.
    pub mtu: u16,
    /// What the wire does to frames.
    pub impairment: Impairment,
}

/// The machine, the guest, and the capture of their wire.
pub struct Bench {
    // In the order in which they go down.
    pub linux: Option<LinuxPeer>,
    pub ndk: ndk::Adapter,
    pub machine: Machine,
    port: Option<DgramPort>,
    pcap: Arc<Pcap>,
    dir: PathBuf,
    mtu: u16,
}

impl Bench {
    /// Boots both, and opens NDK.
    pub fn boot(setup: &Setup) -> Result<Self> {
        let dir = paths::run_dir(setup.name)?;
        let pcap = Arc::new(Pcap::create(&dir.join("run.pcap"))?);
        let mut config = MachineConfig::new(image_from_env().map_err(anyhow::Error::msg)?);
        config.wire.impairment = setup.impairment;
        // All stations of a link have the same MTU.
        config.adapters[0].nic.mtu = setup.mtu;
        let machine = Machine::start(config)?;
        machine.hub().tap(pcap.clone());
        let ndk = machine
            .open_ndk(VERSION_2_0)
            .map_err(|status| anyhow::anyhow!("NDK does not open: {status:#x}"))?;
        let mut bench = Self {
            linux: None,
            ndk,
            machine,
            port: None,
            pcap,
            dir,
            mtu: setup.mtu,
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
        let neighbours = [NIC_IPV4.into(), NIC_IPV6.into()].map(|ip| Neighbour { ip, mac: NIC_MAC });
        let config = PeerConfig {
            mtu: self.mtu,
            ..PeerConfig::new(Wire::in_dir(&self.dir), neighbours.into())
        };
        self.linux = Some(LinuxPeer::boot(&PeerFiles::prepared()?, &config)?);
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

    /// Listens.
    pub fn listen(&self, address: SocketAddr) -> Result<Incoming> {
        Incoming::listen(&self.ndk, address)
            .map_err(|status| anyhow::anyhow!("NdkListen failed: {status:#x}"))
    }

    /// Takes everything down in good order, and has the capture judged: nothing is malformed, and every ICRC is right.
    pub fn finish(self, judge: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let Self {
            linux,
            ndk,
            machine,
            port,
            pcap,
            dir,
            mtu: _,
        } = self;
        drop((linux, ndk));
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

/// Says what is being done, and in which step an error was.
pub fn step<T>(name: &str, body: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("  {name}");
    body().with_context(|| name.to_owned())
}

fn check_icrcs(pcap: &Path) -> Result<()> {
    let bytes = std::fs::read(pcap)?;
    let (mut at, mut checked) = (24, 0);
    while let Some(header) = bytes.get(at..at + 16) {
        let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
        let frame = bytes
            .get(at + 16..at + 16 + length)
            .context("the capture is cut off")?;
        match Frame::parse(frame) {
            Ok(_) => checked += 1,
            Err(FrameError::NotRoce(_)) => {}
            Err(error) => bail!("frame at byte {at}: {error:?}"),
        }
        at += 16 + length;
    }
    ensure!(checked >= 60, "only {checked} RoCEv2 frames");
    Ok(())
}
