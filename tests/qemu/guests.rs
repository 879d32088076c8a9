//! A guest with two NICs and the bench, and a guest with soft-RoCE on their wire.

use super::support::{payload, program, setup};
use anyhow::{Result, ensure};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use xtask::peer::LinuxPeer;
use xtask::peer::guest::{Finished, Running};
use xtask::qemu::guest::{BENCH, NicGuest, in_guest};
use xtask::qemu::rig::{Rig, Setup};

/// A NIC, as the bench is told about it.
pub struct Nic {
    pub interface: u32,
    pub mac: &'static str,
    pub ipv4: Ipv4Addr,
    pub ipv6: Ipv6Addr,
}

const fn nic(interface: u32, mac: &'static str, number: u16) -> Nic {
    Nic {
        interface,
        mac,
        ipv4: Ipv4Addr::new(10, 77, 0, number.to_le_bytes()[0]),
        ipv6: Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, number),
    }
}

/// The NICs, in the order of their ports.
pub const NICS: [Nic; 2] = [nic(12, "52:54:00:77:00:09", 9), nic(15, "52:54:00:77:00:0a", 10)];

/// The guests.
pub struct Guests {
    // In the order in which they go down.
    guest: NicGuest,
    pub peer: LinuxPeer,
    rig: Rig,
    /// The peer's addresses.
    pub linux: (Ipv4Addr, Ipv6Addr),
    /// What crosses the wire.
    pub pcap: PathBuf,
    dir: PathBuf,
    addresses: Vec<String>,
}

impl Guests {
    pub fn boot(name: &str) -> Result<Self> {
        let setup = setup(name, NICS.len())?;
        let (dir, pcap) = (setup.dir.clone(), setup.dir.join("run.pcap"));
        let rig = Rig::start(Setup {
            payload: Some(payload(&["VRNIC_SYS", "VRNIC_WRONG_SYS", "VRNIC_PINGPONG_SYS"])?),
            pcap: Some(pcap.clone()),
            ..setup
        })?;
        // Linux knows no neighbour: it asks, and the IP stack above the driver answers.
        let (guest, addresses, peer) = rig.boot_with_peer(Vec::new())?;
        Ok(Self {
            guest,
            peer,
            rig,
            linux: (
                Ipv4Addr::new(10, 77, 0, 2),
                Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2),
            ),
            pcap,
            dir,
            addresses,
        })
    }

    /// Starts `ntbench run` with the driver.
    pub fn bench(&self, arguments: &str) -> Result<Running> {
        let sys = in_guest(&program("VRNIC_SYS")?);
        let command = format!("{BENCH} run --sys {sys} {arguments}");
        self.guest.linux.start(&command)
    }

    /// The option's value for a NIC.
    pub fn adapter(&self, number: usize) -> String {
        let nic = &NICS[number];
        format!(
            "ifindex={},ip={}/24,ip={}/64,mac={},vfio={}",
            nic.interface, nic.ipv4, nic.ipv6, nic.mac, self.addresses[number]
        )
    }

    /// Linux resets a function (FLR).
    pub fn reset(&self, number: usize) -> Result<()> {
        let device = format!("/sys/bus/pci/devices/{}", self.addresses[number]);
        self.guest.shell(&format!(
            "echo flr > {device}/reset_method && echo 1 > {device}/reset"
        ))?;
        Ok(())
    }

    /// Ends programs of the peer.
    pub fn kill_programs(&self, name: &str) -> Result<()> {
        self.peer.run(
            &format!("killall {name}; true"),
            std::time::Duration::from_mins(1),
        )?;
        Ok(())
    }

    /// Ends the process that serves the NICs from one moment to the next.
    pub fn kill_server(&mut self) -> Result<()> {
        self.rig.server.kill()
    }

    /// Whether the QEMU of the NICs' guest has printed something.
    pub fn qemu_said(&self, text: &str) -> Result<bool> {
        Ok(std::fs::read_to_string(self.dir.join("qemu.log"))?.contains(text))
    }

    /// Ends everything: the folder of the run is left.
    pub fn finish(self) -> PathBuf {
        self.dir
    }
}

/// Where a driver is in the guest.
pub fn consumer(name: &str) -> String {
    in_guest(format!("{name}.sys").as_ref())
}

/// Whether a bench ended well: no rule was broken, and nothing was left behind.
pub fn clean(finished: &Finished) -> Result<()> {
    let verdict = |line: &String| line.starts_with("verifier: no violation");
    ensure!(
        finished.code == 0 && finished.lines.iter().any(verdict),
        "the bench in the guest: {finished:#?}"
    );
    Ok(())
}
