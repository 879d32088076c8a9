//! QEMU with a vfio-user client: the system's own if it is 10.1 or newer, or else one in the cache.
//!
//! The cached one is Debian's, unpacked with all its libraries by a [private apt](crate::peer::apt) and started through its own
//! dynamic linker: nothing on the machine is installed, replaced or upgraded.

pub mod guest;
pub mod rig;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::packages;
use crate::paths;
use crate::peer::apt::PrivateApt;
use crate::progress::Step;

/// The first version that has `vfio-user-pci`.
const FIRST: (u32, u32) = (10, 1);

/// The Debian release whose backports have such a QEMU.
const SUITE: &str = "trixie";
/// The suite, for apt: without it the release's own older version is taken.
const BACKPORTS: &str = "trixie-backports";

/// The program.
const PROGRAM: &str = "qemu-system-x86_64";
/// Where Debian's packages have libraries.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
/// Folders of packages that no program needs.
const UNUSED: &[&str] = &[
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/icons",
];

/// A QEMU that can attach a vfio-user device.
#[derive(Clone, Debug)]
pub struct Qemu {
    /// What runs.
    pub program: PathBuf,
    /// What it says of itself, such as `10.1.0`.
    pub version: String,
    /// The folder that has the program's libraries and firmware, if it is not the system's.
    root: Option<PathBuf>,
}

impl Qemu {
    /// The system's QEMU if it is new enough, or one from the cache, which is filled if need be.
    ///
    /// # Errors
    /// When none can be had; the error says what to do.
    pub fn prepare() -> Result<Self> {
        if let Some(qemu) = Self::of_system() {
            return Ok(qemu);
        }
        packages::ensure(packages::PRIVATE_APT)?;
        let cache = paths::cache().join("qemu");
        fs::create_dir_all(&cache)?;
        let lock = File::create(cache.join("lock"))?;
        lock.lock()
            .with_context(|| format!("cannot lock {}", cache.display()))?;
        let root = cache.join("root");
        if let Ok(qemu) = Self::in_root(&root) {
            return Ok(qemu);
        }
        let step = Step::start(format!(
            "Fetching QEMU (this machine has none from {}.{} on)",
            FIRST.0, FIRST.1
        ));
        let apt = PrivateApt::open(&cache.join("apt"), SUITE, &step)?;
        let partial = cache.join("partial");
        let _ = fs::remove_dir_all(&partial);
        step.message("downloading QEMU and its libraries");
        apt.target(BACKPORTS)
            .unpack(&["qemu-system-x86"], true, &partial, &step)?;
        for folder in UNUSED {
            let _ = fs::remove_dir_all(partial.join(folder));
        }
        let _ = fs::remove_dir_all(&root);
        fs::rename(&partial, &root)?;
        let qemu = Self::in_root(&root)?;
        step.done(&qemu.version);
        Ok(qemu)
    }

    /// What [`Qemu::prepare`] would find without downloading anything, for tests.
    ///
    /// # Errors
    /// When there is none.
    pub fn prepared() -> Result<Self> {
        match Self::of_system() {
            Some(qemu) => Ok(qemu),
            None => Self::in_root(&paths::cache().join("qemu/root"))
                .context("there is no QEMU from 10.1 on: run ./x qemu first"),
        }
    }

    fn of_system() -> Option<Self> {
        let program = packages::find_program(PROGRAM)?;
        Self::checked(program, None).ok()
    }

    fn in_root(root: &Path) -> Result<Self> {
        Self::checked(root.join("usr/bin").join(PROGRAM), Some(root.to_path_buf()))
    }

    fn checked(program: PathBuf, root: Option<PathBuf>) -> Result<Self> {
        let mut qemu = Self {
            program,
            version: String::new(),
            root,
        };
        let said = qemu.command().arg("--version").output()?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        qemu.version =
            version(&said).with_context(|| format!("{} does not say its version", qemu.program.display()))?;
        if numbers(&qemu.version) < Some(FIRST) {
            bail!(
                "{} {} has no vfio-user client",
                qemu.program.display(),
                qemu.version
            );
        }
        Ok(qemu)
    }

    /// A command line that begins with this QEMU.
    #[must_use]
    pub fn command(&self) -> Command {
        let Some(root) = &self.root else {
            return Command::new(&self.program);
        };
        let libraries = root.join(LIBRARIES);
        let mut command = Command::new(root.join("usr/lib64/ld-linux-x86-64.so.2"));
        command
            .arg("--library-path")
            .arg(&libraries)
            .args([OsStr::new("--argv0"), self.program.as_os_str()])
            .arg(&self.program)
            .arg("-L")
            .arg(root.join("usr/share/qemu"))
            .arg("-L")
            .arg(root.join("usr/share/seabios"))
            .env("QEMU_MODULE_DIR", libraries.join("qemu"));
        command
    }
}

/// The version in what `qemu --version` prints.
fn version(said: &str) -> Option<String> {
    let rest = said.split_once("version ")?.1;
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    Some(rest[..end].to_owned())
}

/// Major and minor version.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared_by_number() {
        let said = "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2~bpo12+1)\nCopyright (c)";
        assert_eq!(version(said).as_deref(), Some("10.0.2"));
        assert!(numbers("10.0.2") < Some(FIRST));
        assert!(numbers("7.2.17") < Some(FIRST));
        assert!(numbers("10.1.0") >= Some(FIRST));
        assert!(numbers("11.0.50") >= Some(FIRST));
        assert_eq!(version("no QEMU"), None);
        assert_eq!(numbers("10"), None);
    }
}
