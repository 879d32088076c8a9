//! A Linux guest that has vrnic NICs: what it boots from, the process that serves the NICs, and QEMU's command line.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::Qemu;
use crate::paths;
use crate::peer::cpio::Archive;
use crate::peer::guest::kernel_command_line;
use crate::peer::kernel::Kernel;
use crate::peer::{LinuxPeer, PeerFiles};
use crate::progress::Step;

/// What the bench in the guest needs, on top of the peer's modules.
const MODULES: &[&str] = &["vfio_pci", "vfio_iommu_type1"];

/// The guest's RAM: the peer's image and the bench have room in it.
const RAM: &str = "768M";

/// How the bench is started in the guest.
pub const BENCH: &str = "/bench/ld.so --library-path /bench /bench/ntbench";

/// What is beside VFIO in the guest.
#[derive(Clone, Debug)]
pub struct Payload {
    /// The bench.
    pub bench: PathBuf,
    /// Windows drivers, for [`in_guest`].
    pub images: Vec<PathBuf>,
}

/// Where a driver's image is in the guest.
#[must_use]
pub fn in_guest(image: &Path) -> String {
    format!(
        "/bench/{}",
        image.file_name().unwrap_or_default().to_string_lossy()
    )
}

/// How long a command may take that only looks at something.
const SHORT: Duration = Duration::from_mins(1);

/// Kernel and initramfs.
#[derive(Clone, Debug)]
pub struct NicGuestFiles {
    /// The QEMU.
    pub qemu: Qemu,
    kernel: PathBuf,
    initramfs: PathBuf,
}

impl NicGuestFiles {
    /// Adds the VFIO modules, and the bench with its drivers if they are given, to the peer's image. What is downloaded is cached.
    ///
    /// # Errors
    /// When something cannot be had.
    pub fn prepare(qemu: Qemu, peer: &PeerFiles, payload: Option<&Payload>, into: &Path) -> Result<Self> {
        let cache = paths::cache().join("peer");
        let lock = File::create(cache.join("lock"))?;
        lock.lock()?;
        let step = Step::start("Preparing the guest with the NIC");
        let kernel = Kernel::with_modules(&cache, "kernel-vfio", MODULES, &step)?;
        let mut archive = Archive::new();
        archive.directory("vfio");
        let mut order = String::new();
        for module in &kernel.modules {
            let name = module.file_name().unwrap_or_default().to_string_lossy();
            archive.file(&format!("vfio/{name}"), &fs::read(module)?);
            order.push_str(&name);
            order.push('\n');
        }
        archive.file("vfio/order", order.as_bytes());
        if let Some(Payload { bench, images }) = payload {
            archive.directory("bench");
            for image in images {
                archive.file(in_guest(image).trim_start_matches('/'), &fs::read(image)?);
            }
            for (name, file) in with_libraries(bench, into, &step)? {
                archive.executable(&format!("bench/{name}"), &fs::read(file)?);
            }
        }
        let mut image = fs::read(&peer.initramfs)?;
        image.extend(archive.finish());
        let initramfs = into.join("guest.cpio");
        fs::write(&initramfs, &image)?;
        step.done(&format!(
            "{}, {} MB of initramfs",
            kernel.package,
            image.len() >> 20
        ));
        Ok(Self {
            qemu,
            kernel: kernel.image,
            initramfs,
        })
    }
}

/// A program without its debug information, and the host's libraries that it runs with, by their names in the guest.
fn with_libraries(program: &Path, into: &Path, step: &Step) -> Result<Vec<(String, PathBuf)>> {
    let stripped = into.join("ntbench");
    let mut strip = Command::new("strip");
    strip.arg("--strip-debug").arg("-o").arg(&stripped).arg(program);
    step.run(&mut strip, &into.join("strip.log"))?;
    let listed = Command::new("ldd").arg(program).env("LC_ALL", "C").output()?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let mut files = vec![("ntbench".to_owned(), stripped)];
    files.extend(parse_ldd(&listed));
    Ok(files)
}

/// The libraries in what `ldd` prints; the dynamic linker gets the name `ld.so`.
fn parse_ldd(listed: &str) -> Vec<(String, PathBuf)> {
    let one = |line: &str| {
        let path = line.split_whitespace().find(|word| word.starts_with('/'))?;
        let name = path.rsplit('/').next()?;
        let name = if name.starts_with("ld-linux") {
            "ld.so"
        } else {
            name
        };
        Some((name.to_owned(), PathBuf::from(path)))
    };
    listed.lines().filter_map(one).collect()
}

/// The process that serves the NICs. It is ended when this is dropped.
#[derive(Debug)]
pub struct NicServer {
    child: Child,
    /// What it says to the user.
    pub log: PathBuf,
}

impl NicServer {
    /// Starts `program` (`vrnic-vfio-user`) with those arguments, and waits until its `sockets` are there.
    ///
    /// # Errors
    /// When it does not start or ends.
    pub fn start(program: &Path, arguments: &[OsString], sockets: usize, log: &Path) -> Result<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let output = child.stdout.take().context("it has no standard output")?;
        let server = Self {
            child,
            log: log.to_owned(),
        };
        let listening = BufReader::new(output).lines().map_while(Result::ok).take(sockets);
        if listening.count() < sockets {
            bail!(
                "{} has ended: {}",
                program.display(),
                fs::read_to_string(log).unwrap_or_default()
            );
        }
        Ok(server)
    }

    /// Ends it from one moment to the next.
    ///
    /// # Errors
    /// It cannot be ended.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// What it has said so far.
    #[must_use]
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for NicServer {
    fn drop(&mut self) {
        // It may have ended by itself; either way there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How the guest is made.
#[derive(Clone, Debug)]
pub struct NicGuestConfig {
    /// The sockets of its NICs. Each is behind a port of its own, named `port0` and so on, and is called `nic0` and so on.
    pub sockets: Vec<PathBuf>,
    /// Whether the guest's RAM is shared, as it must be.
    pub shared: bool,
    /// Whether there is an IOMMU between the NICs and the guest's RAM, as VFIO in the guest needs it.
    pub iommu: bool,
    /// Where the console and QEMU's monitor go.
    pub dir: PathBuf,
}

/// The guest.
#[derive(Debug)]
pub struct NicGuest {
    /// Runs commands in it.
    pub linux: LinuxPeer,
    monitor: PathBuf,
}

impl NicGuest {
    /// Boots it.
    ///
    /// # Errors
    /// When QEMU ends or the guest does not boot.
    pub fn boot(files: &NicGuestFiles, config: &NicGuestConfig) -> Result<Self> {
        let monitor = config.dir.join("monitor.sock");
        let _ = fs::remove_file(&monitor);
        let linux = LinuxPeer::start_guest(
            &mut command(files, config, &monitor),
            &config.dir.join("console.log"),
        )?;
        Ok(Self { linux, monitor })
    }

    /// Runs a shell command to its end, and returns what it printed.
    ///
    /// # Errors
    /// When it fails.
    pub fn shell(&self, command: &str) -> Result<String> {
        let finished = self.linux.run(command, SHORT)?;
        let text = finished.lines.join("\n");
        if finished.code != 0 {
            bail!("`{command}` in the guest gave {}: {text}", finished.code);
        }
        Ok(text)
    }

    /// The PCI addresses of the NICs, as Linux sees them.
    ///
    /// # Errors
    /// When the guest does not answer.
    pub fn nics(&self) -> Result<Vec<String>> {
        let found = self.shell(
            "cd /sys/bus/pci/devices; for d in *; do \
             if test $(cat $d/vendor)$(cat $d/device) = 0x1af40x10f0; then echo $d; fi; done",
        )?;
        Ok(found.lines().map(str::to_owned).collect())
    }

    /// Gives a NIC to VFIO.
    ///
    /// # Errors
    /// When there is no driver for it.
    pub fn bind_to_vfio(&self, address: &str) -> Result<()> {
        self.shell(
            // Without interrupt remapping a device could send any interrupt: here all of them are ours.
            "for m in $(cat /vfio/order); do \
             case $m in vfio_iommu_type1.ko) o=allow_unsafe_interrupts=1;; *) o=;; esac; \
             insmod /vfio/$m $o 2>/dev/null; done; test -e /dev/vfio/vfio",
        )?;
        self.shell(&format!(
            "echo vfio-pci > /sys/bus/pci/devices/{address}/driver_override; \
             echo {address} > /sys/bus/pci/drivers_probe; test -e /sys/bus/pci/drivers/vfio-pci/{address}"
        ))?;
        Ok(())
    }

    /// Says a line to QEMU's monitor.
    ///
    /// # Errors
    /// When it does not listen.
    pub fn monitor(&self, line: &str) -> Result<()> {
        let mut stream = UnixStream::connect(&self.monitor)?;
        stream.set_read_timeout(Some(SHORT))?;
        writeln!(stream, "{line}")?;
        // The prompt comes back when it is done.
        let mut reader = BufReader::new(stream);
        for _ in 0..2 {
            let mut answer = Vec::new();
            reader.read_until(b')', &mut answer)?;
        }
        Ok(())
    }
}

fn command(files: &NicGuestFiles, config: &NicGuestConfig, monitor: &Path) -> Command {
    let escape = |path: &Path| path.to_string_lossy().replace(',', ",,");
    let mut qemu = files.qemu.command();
    qemu.args(["-m", RAM]);
    if config.shared {
        let ram = format!("memory-backend-memfd,id=ram,size={RAM},share=on");
        qemu.args(["-object", &ram, "-machine", "q35,memory-backend=ram"]);
    } else {
        qemu.args(["-machine", "q35"]);
    }
    if config.iommu {
        // Under TCG the timer does not get through remapped interrupts.
        qemu.args(["-device", "intel-iommu,intremap=off,caching-mode=on"]);
    }
    qemu.arg("-kernel")
        .arg(&files.kernel)
        .arg("-initrd")
        .arg(&files.initramfs)
        .args(["-append", &kernel_command_line("intel_iommu=on iommu=pt")])
        .args([
            "-monitor",
            &format!("unix:{},server=on,wait=off", escape(monitor)),
        ]);
    for (number, socket) in config.sockets.iter().enumerate() {
        let port = format!("pcie-root-port,id=port{number},chassis={number},slot={number}");
        let socket = socket
            .to_string_lossy()
            .replace('\\', "\\\\")
            .replace('"', "\\\"");
        let nic = format!(
            "{{\"driver\":\"vfio-user-pci\",\"id\":\"nic{number}\",\"bus\":\"port{number}\",\
             \"socket\":{{\"type\":\"unix\",\"path\":\"{socket}\"}}}}"
        );
        qemu.args(["-device", &port, "-device", &nic]);
    }
    qemu
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_ldd() {
        let listed = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x7f)\n\
                      \t/lib64/ld-linux-x86-64.so.2 (0x7f)\n";
        let names: Vec<String> = parse_ldd(listed).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["libc.so.6", "ld.so"]);
    }
}
