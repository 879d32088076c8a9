//! What the guest boots from: the kernel and an initramfs with only what the peer needs, so that it is up in seconds.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::cpio::Archive;
use super::kernel::Kernel;
use super::userland::Userland;
use crate::progress::Step;
use crate::{packages, paths};

/// The programs of the guest's packages, by their path in them: what sets the network up, and the judges.
const PROGRAMS: &[&str] = &[
    "bin/ip",
    "usr/bin/rdma",
    "usr/bin/ibv_devinfo",
    "usr/bin/ibv_rc_pingpong",
    "usr/bin/rping",
    "usr/bin/ucmatose",
    "usr/bin/rcopy",
    "usr/bin/ib_send_bw",
    "usr/bin/ib_send_lat",
    "usr/bin/ib_read_bw",
    "usr/bin/ib_read_lat",
    "usr/bin/ib_write_bw",
    "usr/bin/ib_write_lat",
    "usr/bin/iperf3",
];

/// What no program names, but threads need.
const UNWINDER: &str = "libgcc_s.so.1";

/// The kernel and the initramfs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerFiles {
    /// The kernel image.
    pub kernel: PathBuf,
    /// The uncompressed initramfs.
    pub initramfs: PathBuf,
}

impl PeerFiles {
    /// Installs what the host lacks, downloads what the cache lacks, and builds the initramfs. Fast when all is there.
    ///
    /// # Errors
    /// When something cannot be had; the error says what to do.
    pub fn prepare() -> Result<Self> {
        packages::ensure(packages::LINUX_PEER)?;
        let cache = paths::cache().join("peer");
        fs::create_dir_all(&cache)?;
        // Two runs at the same time (a test and a demo) take turns.
        let lock = File::create(cache.join("lock"))?;
        lock.lock()
            .with_context(|| format!("cannot lock {}", cache.display()))?;
        let step = Step::start("Preparing the Linux peer");
        let kernel = Kernel::prepare(&cache, &step)?;
        let userland = Userland::prepare(&cache, &step)?;
        let client = cache.join("vrnic-rdma-client");
        userland.compile_client(&client, &step)?;
        let archive = build(&kernel, &userland, &client)?;
        let files = Self::in_cache(kernel.image);
        // A guest that is booting may have the old one open: it keeps it.
        let partial = files.initramfs.with_extension("partial");
        fs::write(&partial, &archive)?;
        fs::rename(&partial, &files.initramfs)?;
        fs::write(
            cache.join("kernel-image"),
            files.kernel.to_string_lossy().as_bytes(),
        )?;
        step.done(&format!(
            "{}, {} MB of initramfs",
            kernel.package,
            archive.len() >> 20
        ));
        Ok(files)
    }

    /// What an earlier [`PeerFiles::prepare`] left, for tests, which must not install or download anything.
    ///
    /// # Errors
    /// When nothing was prepared.
    pub fn prepared() -> Result<Self> {
        let kernel = fs::read_to_string(paths::cache().join("peer/kernel-image"))
            .context("the Linux peer is not prepared: run ./x peer first")?;
        Ok(Self::in_cache(PathBuf::from(kernel)))
    }

    fn in_cache(kernel: PathBuf) -> Self {
        Self {
            kernel,
            initramfs: paths::cache().join("peer/initramfs.cpio"),
        }
    }
}

fn build(kernel: &Kernel, userland: &Userland, client: &Path) -> Result<Vec<u8>> {
    let mut archive = Archive::new();
    let library_folder = "lib/x86_64-linux-gnu";
    let provider_folder = "usr/lib/x86_64-linux-gnu/libibverbs";
    for folder in [
        "bin",
        "dev",
        "etc",
        "etc/libibverbs.d",
        "lib",
        library_folder,
        "lib64",
        "modules",
        "proc",
        "sys",
        "tmp",
    ]
    .into_iter()
    .chain(["usr", "usr/lib", "usr/lib/x86_64-linux-gnu", provider_folder])
    {
        archive.directory(folder);
    }
    let init = paths::workspace().join("tests/linux-peer/init");
    archive.executable(
        "init",
        &fs::read(&init).with_context(|| format!("cannot read {}", init.display()))?,
    );
    // Debian's static busybox is a "standalone shell": its commands need no files of their own. Its `ip` is not enough, so
    // that iproute2's is called as /bin/ip.
    archive.executable("bin/busybox", &userland.read("bin/busybox")?);
    add_modules(&mut archive, kernel)?;

    let provider = userland.path(&format!("{provider_folder}/librxe-rdmav34.so"));
    let mut programs: Vec<PathBuf> = PROGRAMS.iter().map(|program| userland.path(program)).collect();
    programs.push(client.to_path_buf());
    for program in &programs {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        archive.executable(&format!("bin/{name}"), &read(program)?);
    }
    programs.push(provider.clone());
    archive.file(&format!("{provider_folder}/librxe-rdmav34.so"), &read(&provider)?);
    archive.file(
        "etc/libibverbs.d/rxe.driver",
        &userland.read("etc/libibverbs.d/rxe.driver")?,
    );
    let mut libraries = userland.libraries(&programs)?;
    // The C library loads it by itself when a thread ends.
    libraries.insert(UNWINDER.to_owned(), userland.library(UNWINDER)?);
    for (name, file) in libraries {
        let folder = if name.starts_with("ld-linux") {
            "lib64"
        } else {
            library_folder
        };
        archive.executable(&format!("{folder}/{name}"), &read(&file)?);
    }
    Ok(archive.finish())
}

/// Modules by name, and a list that `init` inserts from top to bottom.
fn add_modules(archive: &mut Archive, kernel: &Kernel) -> Result<()> {
    let mut order = String::new();
    for module in &kernel.modules {
        let name = module.file_name().unwrap_or_default().to_string_lossy();
        archive.file(&format!("modules/{name}"), &read(module)?);
        order.push_str(&name);
        order.push('\n');
    }
    archive.file("modules/order", order.as_bytes());
    Ok(())
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}
