//! The rig of `xtask::qemu`, made from what `./x test` has prepared.

use anyhow::{Context, Result};
use std::env;
use std::path::PathBuf;
use std::time::Instant;
use xtask::paths;
use xtask::peer::PeerFiles;
use xtask::qemu::Qemu;
use xtask::qemu::guest::Payload;
use xtask::qemu::rig::{Rig, Setup};

/// NICs for a guest that has no bench.
pub fn bare_rig(name: &str, nics: usize) -> Result<Rig> {
    Rig::start(setup(name, nics)?)
}

/// What [`bare_rig`] starts.
pub fn setup(name: &str, nics: usize) -> Result<Setup> {
    Ok(Setup {
        dir: paths::run_dir(name)?,
        nics,
        server: program("VRNIC_VFIO_USER")?,
        payload: None,
        pcap: None,
        qemu: Qemu::prepared()?,
        peer: PeerFiles::prepared()?,
    })
}

/// The bench with these drivers, which variables name.
pub fn payload(images: &[&str]) -> Result<Payload> {
    Ok(Payload {
        bench: program("VRNIC_NTBENCH")?,
        images: images.iter().map(|image| program(image)).collect::<Result<_>>()?,
    })
}

/// A file that a variable names.
pub fn program(variable: &str) -> Result<PathBuf> {
    env::var_os(variable)
        .map(PathBuf::from)
        .with_context(|| format!("{variable} is not set: run this with ./x test"))
}

/// Says what was done and how long it took, and in which step an error was.
pub fn step<T>(name: &str, body: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let result = body().with_context(|| name.to_owned());
    eprintln!("  {:6.1} s  {name}", start.elapsed().as_secs_f32());
    result
}
