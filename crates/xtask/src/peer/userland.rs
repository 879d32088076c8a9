//! The guest's userland: Debian packages unpacked to a folder that is also the sysroot the client is compiled against,
//! so that the client's libraries in the guest are those that it was linked with, whatever the host has.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::apt::{PrivateApt, SUITE};
use crate::paths;
use crate::progress::Step;

/// What the guest runs, and what its client is compiled with.
const PACKAGES: &[&str] = &[
    "busybox-static",
    "iproute2",
    "ibverbs-providers",
    "librdmacm-dev",
    "libibverbs-dev",
    "libc6-dev",
    "rdmacm-utils",
    "ibverbs-utils",
    "perftest",
    "iperf3",
    "libgcc-s1",
];

/// Where Debian's libraries may be, in an unpacked package.
const LIBRARY_FOLDERS: &[&str] = &[
    "lib/x86_64-linux-gnu",
    "usr/lib/x86_64-linux-gnu",
    "lib64",
    "usr/lib64",
];

/// Unpacked packages.
#[derive(Debug)]
pub struct Userland {
    root: PathBuf,
}

impl Userland {
    /// Takes it from the cache, or downloads it.
    ///
    /// # Errors
    /// When the packages cannot be had.
    pub fn prepare(cache: &Path, step: &Step) -> Result<Self> {
        let root = cache.join("userland");
        let wanted = PACKAGES.join("\n");
        let list = root.join("packages");
        if fs::read_to_string(&list).is_ok_and(|there| there == wanted) {
            return Ok(Self { root });
        }
        let _ = fs::remove_dir_all(&root);
        let apt = PrivateApt::open(&cache.join("apt"), SUITE, step)?;
        step.message("downloading rdma-core, perftest, iperf3, iproute2 and busybox");
        apt.unpack(PACKAGES, true, &root, step)?;
        fs::write(list, wanted)?;
        Ok(Self { root })
    }

    /// Compiles the client on librdmacm from `tests/linux-peer/client.c`.
    ///
    /// # Errors
    /// When it does not compile.
    pub fn compile_client(&self, into: &Path, step: &Step) -> Result<()> {
        let mut gcc = Command::new("gcc");
        gcc.arg(format!("--sysroot={}", self.root.display()))
            .args([
                "-std=c11",
                "-D_GNU_SOURCE",
                "-O2",
                "-Wall",
                "-Wextra",
                "-Werror",
                "-o",
            ])
            .arg(into)
            .arg(paths::workspace().join("tests/linux-peer/client.c"));
        for folder in &LIBRARY_FOLDERS[..2] {
            gcc.arg(format!("-Wl,-rpath-link,{}", self.root.join(folder).display()));
        }
        step.run(gcc.args(["-lrdmacm", "-libverbs"]), &into.with_extension("log"))
    }

    /// A file of a package, by its path in it.
    ///
    /// # Errors
    /// When no package has it.
    pub fn read(&self, path: &str) -> Result<Vec<u8>> {
        let file = self.root.join(path);
        fs::read(&file).with_context(|| format!("the guest's packages have no {path} ({})", file.display()))
    }

    /// The shared libraries, with the dynamic linker, that `programs` need: name to file.
    ///
    /// # Errors
    /// When one is in none of the packages.
    pub fn libraries(&self, programs: &[PathBuf]) -> Result<BTreeMap<String, PathBuf>> {
        let mut libraries = BTreeMap::new();
        let mut todo = programs.to_vec();
        while let Some(file) = todo.pop() {
            for name in needed(&file)? {
                let path = self
                    .library(&name)
                    .with_context(|| format!("{} needs it", file.display()))?;
                if libraries.insert(name, path.clone()).is_none() {
                    todo.push(path);
                }
            }
        }
        Ok(libraries)
    }

    /// The path of a file of a package.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// A library of a package, by its name.
    ///
    /// # Errors
    /// When no package has it.
    pub fn library(&self, name: &str) -> Result<PathBuf> {
        LIBRARY_FOLDERS
            .iter()
            .map(|folder| self.root.join(folder).join(name))
            .find(|path| path.is_file())
            .with_context(|| format!("the guest's packages have no library {name}"))
    }
}

/// The libraries that an ELF file names, and its dynamic linker.
fn needed(file: &Path) -> Result<Vec<String>> {
    let output = Command::new("readelf")
        .args(["--dynamic", "--program-headers", "--wide"])
        .arg(file)
        .env("LC_ALL", "C")
        .output()?;
    if !output.status.success() {
        bail!(
            "readelf {}: {}",
            file.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(parse_needed(&String::from_utf8_lossy(&output.stdout)))
}

fn parse_needed(readelf: &str) -> Vec<String> {
    readelf
        .lines()
        .filter_map(|line| {
            let (_, rest) = line
                .split_once("Shared library: [")
                .or_else(|| line.split_once("Requesting program interpreter: "))?;
            let path = rest.split(']').next()?;
            path.rsplit('/').next().map(str::to_owned)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_linker_are_read_from_readelf() {
        let text = "      [Requesting program interpreter: /lib64/ld-linux-x86-64.so.2]\n \
                    0x0000000000000001 (NEEDED)             Shared library: [librdmacm.so.1]\n \
                    0x000000000000000c (INIT)               0x3000\n";
        assert_eq!(parse_needed(text), ["ld-linux-x86-64.so.2", "librdmacm.so.1"]);
    }
}
