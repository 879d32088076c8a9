//! `./x bench --qemu`: TCP between guests, by iperf3. The same QEMU everywhere, without KVM; a guest with virtio-net is the client.
//!
//! | server | what carries its frames |
//! |---|---|
//! | a second such guest | virtio-net and Linux's stack |
//! | the bench on the host | `vrnic.sys` and the NIC in the bench's process, smoltcp |
//! | the bench in a guest | the same driver, VFIO, an IOMMU, QEMU's `vfio-user-pci`, the NIC in `vrnic-vfio-user`, smoltcp |

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::table::{Figure, OURSELVES, Unit};
use crate::cargo::{build_bench, build_server};
use crate::driver::{self, Image, Profile};
use crate::paths;
use crate::peer::{LinuxPeer, PeerConfig, PeerFiles, Wire};
use crate::progress::Step;
use crate::qemu::Qemu;
use crate::qemu::guest::{BENCH, Payload, in_guest};
use crate::qemu::rig::{Rig, Setup};

/// How long each test sends.
const SECONDS: u32 = 5;
/// How long anything may take besides; under emulation a second is little.
const LIMIT: Duration = Duration::from_mins(3);
/// Tests of each server: the client sends, and the server does.
const DIRECTIONS: [(&str, &str); 2] = [("to", ""), ("from", "-R")];
/// Where the driver's stack is.
const OURS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 9);

/// What all measurements need.
struct Bench {
    qemu: Qemu,
    files: PeerFiles,
    sys: PathBuf,
    ntbench: PathBuf,
    dir: PathBuf,
}

/// Bytes in a second to a server and from it, in 10^6.
type Rates = [f64; 2];

/// Measures all three.
///
/// # Errors
/// When something cannot be had, built or started, or a test fails.
pub fn measure() -> Result<Vec<Figure>> {
    let bench = Bench {
        qemu: Qemu::prepare()?,
        files: PeerFiles::prepare()?,
        sys: driver::build(Image::Vrnic, Profile::Release)?,
        ntbench: build_bench()?,
        dir: paths::run_dir("iperf3")?,
    };
    let server = build_server()?;
    let virtio = step("iperf3 between two guests with virtio-net", || bench.virtio())?;
    let host = step("iperf3 with the driver in the bench", || bench.on_the_host())?;
    let guest = step("iperf3 with the driver in a guest", || bench.in_a_guest(&server))?;
    fs::remove_dir_all(&bench.dir)?;
    let mut figures = Vec::new();
    for (place, ours) in [("in the bench", host), ("in a guest", guest)] {
        for (index, (direction, _)) in DIRECTIONS.iter().enumerate() {
            let name = format!("iperf3 {direction} the driver {place}");
            for (who, rate) in [(OURSELVES, ours[index]), ("virtio-net", virtio[index])] {
                figures.push(Figure::new(who, &name, rate, Unit::MegabytesPerSecond));
            }
        }
    }
    Ok(figures)
}

fn step(name: &str, body: impl FnOnce() -> Result<Rates>) -> Result<Rates> {
    let step = Step::start(name);
    let rates = body().with_context(|| name.to_owned())?;
    step.done(&format!("{:.2} and {:.2} MB/s", rates[0], rates[1]));
    Ok(rates)
}

impl Bench {
    /// A new folder.
    fn folder(&self, name: &str) -> Result<PathBuf> {
        let dir = self.dir.join(name);
        fs::create_dir_all(&dir)?;
        Ok(dir)
    }

    /// A wire in a folder of its own.
    fn wire(&self, name: &str) -> Result<Wire> {
        Ok(Wire::in_dir(&self.folder(name)?))
    }

    /// A guest with virtio-net, which is 10.77.0.`number`.
    fn boot(&self, wire: Wire, number: u8) -> Result<LinuxPeer> {
        let config = PeerConfig {
            mac: [0x52, 0x54, 0, 0x77, 0, number],
            ipv4: (Ipv4Addr::new(10, 77, 0, number), 24),
            ipv6: (Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, number.into()), 64),
            qemu: Some(self.qemu.clone()),
            ..PeerConfig::new(wire, Vec::new())
        };
        LinuxPeer::boot(&self.files, &config)
    }

    fn virtio(&self) -> Result<Rates> {
        let [one, other] = [self.wire("server")?, self.wire("client")?];
        // Each QEMU sends to the other's socket.
        let joined = |own: &Wire, peer: &Wire| Wire {
            guest: own.guest.clone(),
            host: peer.guest.clone(),
        };
        joined(&one, &other).unplug_host()?;
        let server = self.boot(joined(&one, &other), 3)?;
        let client = self.boot(joined(&other, &one), 2)?;
        let mut rates = [0.0; 2];
        for (rate, (_, options)) in rates.iter_mut().zip(DIRECTIONS) {
            let mut serving = server.start("iperf3 -s -1 --forceflush")?;
            while !serving
                .next_line(LIMIT)?
                .context("the server has ended")?
                .contains("listening")
            {}
            *rate = iperf3(&client, Ipv4Addr::new(10, 77, 0, 3), options)?;
            serving.finish(LIMIT)?;
        }
        Ok(rates)
    }

    fn on_the_host(&self) -> Result<Rates> {
        let wire = self.wire("bench")?;
        let mut command = Command::new(&self.ntbench);
        command
            .args(["iperf3", "--tests", "2", "--sys"])
            .arg(&self.sys)
            .arg("--wire-dir")
            .arg(self.dir.join("bench"));
        let mut serving = Serving::start(&mut command)?;
        let client = self.boot(wire, 2)?;
        let mut rates = [0.0; 2];
        for (rate, (_, options)) in rates.iter_mut().zip(DIRECTIONS) {
            *rate = iperf3(&client, OURS, options)?;
            serving.carried()?;
        }
        Ok(rates)
    }

    fn in_a_guest(&self, server: &Path) -> Result<Rates> {
        let rig = Rig::start(Setup {
            dir: self.folder("guest")?,
            nics: 1,
            server: server.to_owned(),
            payload: Some(Payload {
                bench: self.ntbench.clone(),
                images: vec![self.sys.clone()],
            }),
            pcap: None,
            qemu: self.qemu.clone(),
            peer: self.files.clone(),
        })?;
        let guest = rig.boot()?;
        let nics = guest.nics()?;
        let nic = nics.first().context("the guest has no NIC")?;
        guest.bind_to_vfio(nic)?;
        let mut serving = guest.linux.start(&format!(
            "{BENCH} iperf3 --tests 2 --sys {} --vfio {nic}",
            in_guest(&self.sys)
        ))?;
        let mut said = |what: &str| -> Result<()> {
            let line = serving.next_line(LIMIT)?.context("the bench has ended")?;
            ensure!(line.starts_with(what), "the bench says {line:?}");
            Ok(())
        };
        said("@listening")?;
        let client = self.boot(rig.wire()?, 2)?;
        let mut rates = [0.0; 2];
        for (rate, (_, options)) in rates.iter_mut().zip(DIRECTIONS) {
            *rate = iperf3(&client, OURS, options)?;
            said("@carried")?;
        }
        Ok(rates)
    }
}

/// One test: what has arrived, in 10^6 bytes a second.
fn iperf3(client: &LinuxPeer, server: Ipv4Addr, options: &str) -> Result<f64> {
    let command = format!("iperf3 -c {server} -t {SECONDS} -J --connect-timeout 20000 {options}");
    let finished = client.run(&command, LIMIT)?;
    let printed = finished.lines.join("\n");
    if finished.code != 0 {
        bail!("`{command}` in the guest fails: {printed}");
    }
    rate(&printed).with_context(|| format!("cannot read its figures from\n{printed}"))
}

/// What the receiver has counted.
fn rate(printed: &str) -> Option<f64> {
    let value: Value = serde_json::from_str(printed).ok()?;
    Some(value["end"]["sum_received"]["bits_per_second"].as_f64()? / 8e6)
}

/// The bench on the host, which serves. It is ended when this is dropped.
struct Serving {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Serving {
    fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the bench")?;
        let output = child.stdout.take().context("it has no standard output")?;
        let mut serving = Self {
            child,
            said: BufReader::new(output).lines(),
        };
        serving.wait_for("@listening")?;
        Ok(serving)
    }

    fn wait_for(&mut self, what: &str) -> Result<()> {
        let line = self.said.next().context("the bench has ended")??;
        ensure!(line.starts_with(what), "the bench says {line:?}");
        Ok(())
    }

    /// The server has counted too.
    fn carried(&mut self) -> Result<()> {
        self.wait_for("@carried")
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It has ended by itself unless something went wrong before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_what_iperf3_prints() {
        let printed = r#"{"start": {}, "end": {"sum_sent": {"bits_per_second": 1}, "sum_received": {"bits_per_second": 8e8}}}"#;
        assert_eq!(rate(printed), Some(100.0));
        assert_eq!(rate(r#"{"error": "unable to connect"}"#), None);
    }
}
