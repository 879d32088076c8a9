//! A server for NICs, and guests that have them.

use anyhow::{Context, Result};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use xtask::peer::PeerFiles;
use xtask::qemu::Qemu;
use xtask::qemu::guest::{NicGuest, NicGuestConfig, NicGuestFiles, NicServer};

/// How long anything may take; under emulation on a busy machine a second is little.
pub const LIMIT: Duration = Duration::from_mins(2);

/// The NICs of one process, in a folder of its own.
pub struct Rig {
    pub server: NicServer,
    pub files: NicGuestFiles,
    pub dir: PathBuf,
    sockets: Vec<PathBuf>,
    iommu: bool,
}

impl Rig {
    /// Starts a server for that many NICs, with more arguments. `bench`: the guests have the bench.
    pub fn new(name: &str, nics: usize, arguments: &[String], bench: bool) -> Result<Self> {
        let dir = env::temp_dir().join(format!("vrnic-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        let sockets: Vec<PathBuf> = (0..nics).map(|nic| dir.join(format!("nic{nic}.sock"))).collect();
        let mut all: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        for socket in &sockets {
            all.extend(["--nic".into(), format!("socket={}", socket.display()).into()]);
        }
        let server = NicServer::start(&program("VRNIC_VFIO_USER")?, &all, nics, &dir.join("server.log"))?;
        let iommu = bench;
        let (ntbench, sys);
        let bench = if bench {
            ntbench = program("VRNIC_NTBENCH")?;
            sys = program("VRNIC_SYS")?;
            Some((ntbench.as_path(), sys.as_path()))
        } else {
            None
        };
        let files = NicGuestFiles::prepare(Qemu::prepared()?, &PeerFiles::prepared()?, bench, &dir)?;
        Ok(Self {
            server,
            files,
            dir,
            sockets,
            iommu,
        })
    }

    /// Boots a guest with all NICs.
    pub fn boot(&self) -> Result<NicGuest> {
        NicGuest::boot(&self.files, &self.config())
    }

    pub fn config(&self) -> NicGuestConfig {
        NicGuestConfig {
            sockets: self.sockets.clone(),
            shared: true,
            iommu: self.iommu,
            dir: self.dir.clone(),
        }
    }

    /// Waits until the server has said something that often.
    pub fn wait_said(&self, what: &str, times: usize) -> Result<()> {
        wait(|| Ok(self.server.said().matches(what).count() >= times))
            .with_context(|| format!("the server did not say `{what}`: {}", self.server.said()))
    }

    /// Removes the folder of a run that went well.
    pub fn finish(self) -> Result<()> {
        drop(self.server);
        Ok(fs::remove_dir_all(self.dir)?)
    }
}

fn program(variable: &str) -> Result<PathBuf> {
    env::var_os(variable)
        .map(PathBuf::from)
        .with_context(|| format!("{variable} is not set: run this with ./x test"))
}

/// Waits for something.
fn wait(mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + LIMIT;
    while !condition()? {
        anyhow::ensure!(Instant::now() < end, "it did not happen within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
