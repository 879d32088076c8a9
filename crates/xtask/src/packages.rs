//! The Debian packages that the project uses on the host, and how they get there.
//!
//! Each [`Need`] says what is needed, for what, which package has it, and which file or program proves that it is there.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::paths;
use crate::progress::Step;

/// How a need shows that it is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A program on `$PATH`.
    Program(&'static str),
    /// A file at this path.
    File(&'static str),
}

/// Something that must be on the machine.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// The Debian (or Ubuntu) package that has it.
    pub package: &'static str,
    /// What it is needed for.
    pub why: &'static str,
    /// What proves that it is there.
    pub proof: Proof,
}

const fn program(name: &'static str, package: &'static str, why: &'static str) -> Need {
    Need {
        package,
        why,
        proof: Proof::Program(name),
    }
}

const fn file(path: &'static str, package: &'static str, why: &'static str) -> Need {
    Need {
        package,
        why,
        proof: Proof::File(path),
    }
}

/// To link host programs, Rust's included.
pub const HOST_BUILD: &[Need] = &[
    program("cc", "gcc", "links the host programs"),
    file("/usr/include/stdio.h", "libc6-dev", "links the host programs"),
];

/// To run a Linux guest as the RDMA peer.
pub const LINUX_PEER: &[Need] = &[
    program("qemu-system-x86_64", "qemu-system-x86", "runs the Linux peer"),
    program("gcc", "gcc", "compiles the Linux peer's client"),
    program(
        "readelf",
        "binutils",
        "finds the libraries that the Linux peer's programs need",
    ),
    program("dpkg-deb", "dpkg", "unpacks the Linux peer's packages"),
    program("xz", "xz-utils", "unpacks the Linux peer's kernel modules"),
    file(
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "debian-archive-keyring",
        "verifies the Linux peer's packages",
    ),
];

/// To unpack Debian packages beside the system.
pub const PRIVATE_APT: &[Need] = &[
    program("dpkg-deb", "dpkg", "unpacks QEMU's packages"),
    file(
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "debian-archive-keyring",
        "verifies QEMU's packages",
    ),
];

/// To decode captures with a judge that is not ours.
pub const TSHARK: &[Need] = &[program(
    "tshark",
    "tshark",
    "decodes captures independently of our own code",
)];

impl Need {
    /// Whether the machine has it.
    #[must_use]
    pub fn is_met(&self) -> bool {
        match self.proof {
            Proof::Program(name) => find_program(name).is_some(),
            Proof::File(path) => Path::new(path).exists(),
        }
    }
}

/// The first program of that name on `$PATH`, or in the system folders that a user's `$PATH` may lack.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|dir| dir.join(name))
        .find(|candidate| candidate.is_file())
}

/// Installs the packages of those `needs` that are not met.
///
/// # Errors
/// When a package cannot be installed, or is installed and its proof is still missing. The error says what to do.
pub fn ensure(needs: &[Need]) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !need.is_met()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    packages.sort_unstable();
    packages.dedup();
    let by_hand = explain(&missing, &packages);
    install(&packages).with_context(|| by_hand.clone())?;
    if let Some(need) = missing.iter().find(|need| !need.is_met()) {
        bail!(
            "package {} is installed, but {:?} is not there.\n{by_hand}",
            need.package,
            need.proof
        );
    }
    Ok(())
}

fn explain(missing: &[&Need], packages: &[&str]) -> String {
    let list: Vec<String> = missing
        .iter()
        .map(|need| format!("  {} ({:?}): {}", need.package, need.proof, need.why))
        .collect();
    format!(
        "this machine lacks:\n{}\nTo install them by hand: sudo apt-get install --no-install-recommends {}",
        list.join("\n"),
        packages.join(" ")
    )
}

fn install(packages: &[&str]) -> Result<()> {
    if find_program("apt-get").is_none() {
        bail!("there is no apt-get: install the packages' equivalents with this machine's package manager");
    }
    let root = as_root()?;
    let step = Step::start(format!("Installing {}", packages.join(", ")));
    let log = paths::cache().join("logs/apt-install.log");
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(packages);
    // A fresh container has no package lists, and an old machine has stale ones: refresh them once, then insist.
    if apt_get(&step, root, &arguments, &log).is_err() {
        apt_get(
            &step,
            root,
            &["update"],
            &paths::cache().join("logs/apt-update.log"),
        )?;
        apt_get(&step, root, &arguments, &log)?;
    }
    step.done("");
    Ok(())
}

fn apt_get(step: &Step, root: &[&str], arguments: &[&str], log: &Path) -> Result<()> {
    let mut command = Command::new(root[0]);
    command
        .args(&root[1..])
        .args(["DEBIAN_FRONTEND=noninteractive", "apt-get"])
        .args(["-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"])
        .args(arguments);
    step.run(&mut command, log)
}

/// The words to put before `NAME=value program` to run it as root. `env` carries the setting through sudo, which
/// cleans the environment.
fn as_root() -> Result<&'static [&'static str]> {
    if is_root() {
        return Ok(&["env"]);
    }
    if find_program("sudo").is_none() {
        bail!("installing packages needs root, and there is no sudo: run the command below as root");
    }
    // Asks for the password, if one is needed, while no spinner writes over the question.
    let allowed = Command::new("sudo")
        .arg("-v")
        .status()
        .is_ok_and(|status| status.success());
    if !allowed {
        bail!("sudo refused: run the command below as root");
    }
    Ok(&["sudo", "env"])
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").stderr(Stdio::null()).output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_and_a_missing_one_is_not() {
        assert!(program("sh", "dash", "").is_met());
        assert!(!program("no-such-program-anywhere", "none", "").is_met());
        assert!(file("/proc/self/status", "none", "").is_met());
        assert!(!file("/no/such/file", "none", "").is_met());
    }

    #[test]
    fn nothing_is_installed_when_nothing_is_missing() {
        ensure(&[program("sh", "dash", "")]).expect("sh is there");
    }
}
