//! The guest's kernel and the modules that soft-RoCE needs, in the order to insert them.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::apt::{PrivateApt, SUITE};
use crate::progress::Step;

/// The kernel that the peer was last seen to work with. A newer one of the same suite is used where this one is gone.
const PINNED: &str = "linux-image-6.12.95+deb12-amd64";

/// All kernels that will do: the backported ones (Debian's cloud kernels have no soft-RoCE).
const PATTERN: &str = r"^linux-image-[0-9]+\.[0-9]+\.[0-9]+\+deb[0-9]+-amd64$";

/// What the guest needs inserted; dependencies follow. soft-RoCE computes the ICRC through the crypto API's `crc32`, which
/// nothing depends on by symbol.
const MODULES: &[&str] = &["virtio_net", "crc32_generic", "rdma_rxe", "ib_uverbs", "rdma_ucm"];

/// A kernel to boot.
#[derive(Debug)]
pub struct Kernel {
    /// The Debian package that it came from.
    pub package: String,
    /// The image to give to QEMU.
    pub image: PathBuf,
    /// Uncompressed modules, each after those that it depends on.
    pub modules: Vec<PathBuf>,
}

impl Kernel {
    /// Takes the kernel from the cache, or downloads it.
    ///
    /// # Errors
    /// When no suitable kernel can be had or it lacks a module.
    pub fn prepare(cache: &Path, step: &Step) -> Result<Self> {
        Self::with_modules(cache, "kernel", MODULES, step)
    }

    /// As [`Kernel::prepare`], with other modules, kept in the cache's folder of that name.
    ///
    /// # Errors
    /// As there.
    pub fn with_modules(cache: &Path, folder: &str, wanted: &[&str], step: &Step) -> Result<Self> {
        let kernels = cache.join(folder);
        if let Ok(kernel) = Self::load(&kernels, PINNED, wanted) {
            return Ok(kernel);
        }
        let apt = PrivateApt::open(&cache.join("apt"), SUITE, step)?;
        let package = choose(&apt, step)?;
        Self::load(&kernels, &package, wanted).or_else(|_| {
            step.message(format!("downloading {package}"));
            let unpacked = kernels.join(format!("{package}.unpacked"));
            let _ = fs::remove_dir_all(&unpacked);
            apt.unpack(&[&package], false, &unpacked, step)?;
            store(&unpacked, &kernels.join(&package), wanted)?;
            fs::remove_dir_all(&unpacked)?;
            Self::load(&kernels, &package, wanted)
        })
    }

    fn load(kernels: &Path, package: &str, wanted: &[&str]) -> Result<Self> {
        let dir = kernels.join(package);
        let order = fs::read_to_string(dir.join("order"))?;
        let mut lines = order.lines();
        if lines.next() != Some(&wanted.join(" ")) {
            bail!("the cached kernel has other modules");
        }
        let modules = lines.map(|name| dir.join(format!("{name}.ko"))).collect();
        Ok(Self {
            package: package.to_owned(),
            image: dir.join("vmlinuz"),
            modules,
        })
    }
}

/// The pinned kernel, or the newest that there is.
fn choose(apt: &PrivateApt, step: &Step) -> Result<String> {
    let names = apt.search(PATTERN)?;
    if names.iter().any(|name| name == PINNED) {
        return Ok(PINNED.to_owned());
    }
    let newest = newest(names).with_context(|| {
        format!("no kernel like {PINNED} in {SUITE}-backports: the mirror may lack that suite")
    })?;
    step.note(&format!(
        "{PINNED} is no longer in {SUITE}-backports: using {newest} in its place"
    ));
    Ok(newest)
}

fn newest(names: Vec<String>) -> Option<String> {
    names.into_iter().max_by_key(|name| version(name))
}

/// The numbers in a package name, for ordering: 6.12.9 is before 6.12.10.
fn version(name: &str) -> Vec<u32> {
    name.split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

/// Puts the image and the modules that the guest needs from an unpacked kernel package into `dir`, all or nothing.
fn store(unpacked: &Path, dir: &Path, wanted: &[&str]) -> Result<()> {
    let partial = dir.with_extension("partial");
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir_all(&partial)?;
    let image = find(&unpacked.join("boot"), |name| name.starts_with("vmlinuz-"))?;
    fs::copy(
        image
            .first()
            .context("the kernel package has no boot/vmlinuz-*")?,
        partial.join("vmlinuz"),
    )?;
    let mut closure = Closure::new(unpacked, &partial)?;
    for module in wanted {
        closure.add(module)?;
    }
    fs::write(
        partial.join("order"),
        format!("{}\n{}\n", wanted.join(" "), closure.order.join("\n")),
    )?;
    let _ = fs::remove_dir_all(dir);
    fs::rename(&partial, dir)?;
    Ok(())
}

/// Modules with what they depend on, dependencies first.
struct Closure<'a> {
    files: HashMap<String, PathBuf>,
    builtin: HashSet<String>,
    into: &'a Path,
    order: Vec<String>,
}

impl<'a> Closure<'a> {
    fn new(unpacked: &Path, into: &'a Path) -> Result<Self> {
        let is_module = |name: &str| name.split('.').skip(1).any(|part| part == "ko");
        let files = find(&unpacked.join("lib/modules"), is_module)
            .or_else(|_| find(&unpacked.join("usr/lib/modules"), is_module))?
            .into_iter()
            .map(|path| (module_name(&path.to_string_lossy()), path))
            .collect();
        let lists = find(unpacked, |name| name == "modules.builtin")?;
        let builtin = fs::read_to_string(
            lists
                .first()
                .context("the kernel package has no modules.builtin")?,
        )?;
        Ok(Self {
            files,
            builtin: builtin.lines().map(module_name).collect(),
            into,
            order: Vec::new(),
        })
    }

    fn add(&mut self, name: &str) -> Result<()> {
        let name = module_name(name);
        if self.builtin.contains(&name) || self.order.contains(&name) {
            return Ok(());
        }
        let file = self
            .files
            .get(&name)
            .with_context(|| format!("the kernel package has no module {name}"))?;
        let module = decompress(file)?;
        for dependency in dependencies(&module) {
            self.add(&dependency)?;
        }
        fs::write(self.into.join(format!("{name}.ko")), module)?;
        self.order.push(name);
        Ok(())
    }
}

/// A module's name from its name or path: the kernel treats `-` and `_` as the same.
fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

/// The names in the `depends=` entry of a module's `.modinfo` section (NUL-separated strings).
fn dependencies(module: &[u8]) -> Vec<String> {
    let key = b"\0depends=";
    let Some(start) = module.windows(key.len()).position(|window| window == key) else {
        return Vec::new();
    };
    let value = module[start + key.len()..]
        .split(|byte| *byte == 0)
        .next()
        .unwrap_or_default();
    String::from_utf8_lossy(value)
        .split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn decompress(file: &Path) -> Result<Vec<u8>> {
    if file.extension().is_some_and(|extension| extension == "ko") {
        return fs::read(file).with_context(|| format!("cannot read {}", file.display()));
    }
    let output = Command::new("xz")
        .args(["--decompress", "--stdout"])
        .arg(file)
        .output()?;
    if !output.status.success() {
        bail!(
            "cannot unpack {}: {}",
            file.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(output.stdout)
}

/// All files under `dir` whose name `wanted` accepts.
fn find(dir: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if wanted(&entry.file_name().to_string_lossy()) {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_number() {
        assert!(version("linux-image-6.12.100+deb12-amd64") > version(PINNED));
        assert!(version("linux-image-6.12.9+deb12-amd64") < version(PINNED));
        let names = [
            "linux-image-6.12.9+deb12-amd64",
            "linux-image-6.12.43+deb12-amd64",
        ]
        .map(str::to_owned);
        assert_eq!(newest(names.to_vec()).as_ref(), names.last());
        assert_eq!(newest(Vec::new()), None);
    }

    #[test]
    fn a_modules_dependencies_are_read_from_its_modinfo() {
        let module = b"\x7fELF\0license=GPL\0depends=ib_core,ip6-udp-tunnel\0name=rdma_rxe\0";
        assert_eq!(dependencies(module), ["ib_core", "ip6-udp-tunnel"]);
        assert!(dependencies(b"\0depends=\0").is_empty());
        assert!(dependencies(b"no such entry").is_empty());
    }

    #[test]
    fn module_names_are_the_kernels() {
        assert_eq!(module_name("kernel/crypto/crc32-generic.ko.xz"), "crc32_generic");
        assert_eq!(module_name("rdma_rxe"), "rdma_rxe");
    }
}
