//! The running guest: QEMU, and the line protocol with the guest's init.
//!
//! A virtio-serial port of the guest is QEMU's standard input and output. (With an emulated UART the guest was seen to
//! stop reading in the middle of a line.) The host writes `run ID COMMAND`; the guest answers `out ID TEXT` for each line
//! that the command prints and `exit ID CODE` at its end, with any number of commands at a time. It says `ready` first.
//! The serial port is the console; it goes to a file that errors quote.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::image::PeerFiles;
use super::wire::Wire;
use crate::progress;
use crate::qemu::Qemu;

/// How long the guest may take to boot; it needs 5 s on an idle machine without KVM.
const BOOT_LIMIT: Duration = Duration::from_mins(3);

/// How long the guest's network set-up may take.
const SETUP_LIMIT: Duration = Duration::from_mins(1);

/// The guest powers off by itself after this many seconds, so that none outlives a host program that was killed.
const LIFETIME_SECONDS: u32 = 3600;

/// soft-RoCE's GID table.
const GIDS: &str = "/sys/class/infiniband/rxe0/ports/1/gids";

/// Where QEMU's own messages go, beside the console's file.
const QEMU_LOG: &str = "qemu.log";

/// A host on the wire that the guest knows without asking (a permanent neighbour entry).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its address.
    pub ip: IpAddr,
    /// Its Ethernet address.
    pub mac: [u8; 6],
}

/// The guest's place on the wire.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// The guest's Ethernet address.
    pub mac: [u8; 6],
    /// The guest's IPv4 address and prefix length.
    pub ipv4: (Ipv4Addr, u8),
    /// The guest's IPv6 address and prefix length.
    pub ipv6: (Ipv6Addr, u8),
    /// The other hosts.
    pub neighbours: Vec<Neighbour>,
    /// The Ethernet payload size: 1500 gives RoCE packets of 1024 bytes, 9000 of 4096.
    pub mtu: u16,
    /// The cable. The guest's console goes to `console.log` beside the sockets.
    pub wire: Wire,
    /// The QEMU, if it shall not be the system's.
    pub qemu: Option<Qemu>,
}

impl PeerConfig {
    /// A guest that is 10.77.0.2/24 and `fd77::2/64`, with an MTU of 1500.
    #[must_use]
    pub fn new(wire: Wire, neighbours: Vec<Neighbour>) -> Self {
        Self {
            mac: [0x52, 0x54, 0, 0x77, 0, 2],
            ipv4: (Ipv4Addr::new(10, 77, 0, 2), 24),
            ipv6: (Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2), 64),
            neighbours,
            mtu: 1500,
            wire,
            qemu: None,
        }
    }
}

/// A booted guest with soft-RoCE on its only Ethernet device. Dropping it ends QEMU.
#[derive(Debug)]
pub struct LinuxPeer {
    qemu: Mutex<Child>,
    input: Mutex<ChildStdin>,
    commands: Arc<Mutex<Commands>>,
    next_id: AtomicU64,
    console: PathBuf,
}

/// What the guest said about one command.
#[derive(Debug)]
enum Message {
    Line(String),
    Exit(i32),
}

/// The running commands; none can be added once the guest is gone.
#[derive(Debug, Default)]
struct Commands {
    receivers: HashMap<u64, Sender<Message>>,
    /// Who waits for a reboot.
    rebooted: Option<Sender<()>>,
    gone: bool,
}

/// A command that runs in the guest.
#[derive(Debug)]
pub struct Running {
    command: String,
    messages: Receiver<Message>,
    console: PathBuf,
    code: Option<i32>,
}

/// What a finished command printed (standard output and error) and its exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Its lines.
    pub lines: Vec<String>,
    /// Its exit code; 128 + n when signal n ended it.
    pub code: i32,
}

impl LinuxPeer {
    /// Boots a guest, gives it its addresses and starts soft-RoCE. The host's end of the wire must be bound.
    ///
    /// # Errors
    /// When QEMU does not start, or the guest is not ready in time; the error has the end of its console.
    pub fn boot(files: &PeerFiles, config: &PeerConfig) -> Result<Self> {
        config.wire.check_before_boot()?;
        let console = config.wire.guest.with_file_name("console.log");
        let peer = Self::start_guest(&mut qemu(files, config), &console)?;
        let setup = peer.run(&setup_command(config), SETUP_LIMIT)?;
        if setup.code != 0 {
            let said = setup.lines.join("\n");
            bail!(
                "the Linux guest's network set-up failed:\n{said}\nits console:\n{}",
                peer.console_tail()
            );
        }
        Ok(peer)
    }

    /// Starts a guest with this QEMU, which must not have a console, standard streams or machine options yet, and waits until its
    /// init takes commands. Its console goes to `console`.
    ///
    /// # Errors
    /// When QEMU does not start, or the guest is not ready in time; the error has the end of its console.
    pub fn start_guest(qemu: &mut Command, console: &Path) -> Result<Self> {
        let mut qemu = start_qemu(qemu, console)?;
        let input = qemu.stdin.take().context("QEMU has no standard input")?;
        let output = qemu.stdout.take().context("QEMU has no standard output")?;
        let commands = Arc::new(Mutex::new(Commands::default()));
        let (ready, is_ready) = mpsc::channel();
        thread::spawn({
            let commands = Arc::clone(&commands);
            move || dispatch(output, &ready, &commands)
        });
        let guest = Self {
            qemu: Mutex::new(qemu),
            input: Mutex::new(input),
            commands,
            next_id: AtomicU64::new(1),
            console: console.to_owned(),
        };
        is_ready.recv_timeout(BOOT_LIMIT).map_err(|_| {
            anyhow!(
                "the Linux guest did not boot; its console:\n{}",
                guest.console_tail()
            )
        })?;
        Ok(guest)
    }

    /// Starts a shell command in the guest.
    ///
    /// # Errors
    /// When the guest is gone.
    pub fn start(&self, command: &str) -> Result<Running> {
        if command.contains('\n') {
            bail!("a guest command is one line");
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, messages) = mpsc::channel();
        {
            let mut commands = lock(&self.commands);
            if commands.gone {
                bail!("the Linux guest is gone; its console:\n{}", self.console_tail());
            }
            commands.receivers.insert(id, sender);
        }
        let mut input = lock(&self.input);
        input
            .write_all(format!("run {id} {command}\n").as_bytes())
            .and_then(|()| input.flush())
            .with_context(|| {
                format!(
                    "QEMU does not listen; the guest's console:\n{}",
                    self.console_tail()
                )
            })?;
        Ok(Running {
            command: command.to_owned(),
            messages,
            console: self.console.clone(),
            code: None,
        })
    }

    /// Runs a shell command in the guest to its end.
    ///
    /// # Errors
    /// When it does not end within `limit`, or the guest is gone.
    pub fn run(&self, command: &str, limit: Duration) -> Result<Finished> {
        self.start(command)?.finish(limit)
    }

    /// The index in soft-RoCE's GID table of one of the guest's addresses.
    ///
    /// # Errors
    /// When it is not there, or the guest is gone.
    pub fn gid_index(&self, ip: IpAddr) -> Result<u32> {
        let gid = match ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let command = format!("cd {GIDS} && grep -l {} *", format_gid(gid));
        let found = self.run(&command, SETUP_LIMIT)?;
        let index = found.lines.first().and_then(|line| line.parse().ok());
        index.with_context(|| format!("soft-RoCE has no GID of {ip}: {found:?}"))
    }

    /// Changes the MTU of the guest's Ethernet device, and with it soft-RoCE's; [`PeerConfig::mtu`] is the most.
    ///
    /// # Errors
    /// When Linux refuses it, or the guest is gone.
    pub fn set_mtu(&self, mtu: u16) -> Result<()> {
        let command = format!("/bin/ip link set eth0 mtu {mtu}");
        let finished = self.run(&command, SETUP_LIMIT)?;
        ensure!(finished.code == 0, "`{command}` fails: {:?}", finished.lines);
        Ok(())
    }

    /// Reboots the guest, and waits until its init takes commands again. What runs in it is lost. The first boot must not have been
    /// told to end QEMU in place of a reboot.
    ///
    /// # Errors
    /// When it is not ready in time.
    pub fn reboot(&self) -> Result<()> {
        let (ready, is_ready) = mpsc::channel();
        lock(&self.commands).rebooted = Some(ready);
        let _going = self.start("reboot -f")?;
        is_ready.recv_timeout(BOOT_LIMIT).map_err(|_| {
            anyhow!(
                "the guest did not come back; its console:\n{}",
                self.console_tail()
            )
        })
    }

    /// The end of the guest's console, and what QEMU had to say.
    #[must_use]
    pub fn console_tail(&self) -> String {
        console_tail(&self.console)
    }
}

impl Drop for LinuxPeer {
    fn drop(&mut self) {
        let mut qemu = lock(&self.qemu);
        // It may have ended by itself; either way there is nobody to tell.
        let _ = qemu.kill();
        let _ = qemu.wait();
    }
}

impl Running {
    /// The command's next line, or `None` when it has ended.
    ///
    /// # Errors
    /// When there is neither within `limit`, or the guest is gone.
    pub fn next_line(&mut self, limit: Duration) -> Result<Option<String>> {
        if self.code.is_some() {
            return Ok(None);
        }
        match self.messages.recv_timeout(limit) {
            Ok(Message::Line(line)) => Ok(Some(line)),
            Ok(Message::Exit(code)) => {
                self.code = Some(code);
                Ok(None)
            }
            Err(error) => {
                let what = match error {
                    RecvTimeoutError::Timeout => format!("said nothing for {limit:.1?}"),
                    RecvTimeoutError::Disconnected => "was cut off: the guest is gone".to_owned(),
                };
                bail!(
                    "`{}` in the Linux guest {what}; its console:\n{}",
                    self.command,
                    console_tail(&self.console)
                )
            }
        }
    }

    /// The rest of the command's output, and how it ended.
    ///
    /// # Errors
    /// When it does not end within `limit`, or the guest is gone.
    pub fn finish(mut self, limit: Duration) -> Result<Finished> {
        let deadline = Instant::now() + limit;
        let mut lines = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self
                .next_line(left)
                .with_context(|| format!("it printed {lines:?}, then:"))?
            {
                Some(line) => lines.push(line),
                None => break,
            }
        }
        Ok(Finished {
            lines,
            code: self.code.unwrap_or_default(),
        })
    }
}

/// QEMU with the peer's hardware.
fn qemu(files: &PeerFiles, config: &PeerConfig) -> Command {
    // The guest computes and checks all checksums by itself: it is a judge of those on the wire. It gets frames with priority tags too,
    // which QEMU would keep from a guest that has not asked for VLAN 0.
    let device = format!(
        "virtio-net-pci,netdev=wire,mac={},host_mtu={},csum=off,guest_csum=off,ctrl_vlan=off,romfile=",
        format_mac(config.mac),
        config.mtu
    );
    let mut qemu = config
        .qemu
        .as_ref()
        .map_or_else(|| Command::new("qemu-system-x86_64"), Qemu::command);
    qemu.args(["-machine", "q35", "-m", "512"])
        .arg("-kernel")
        .arg(&files.kernel)
        .arg("-initrd")
        .arg(&files.initramfs)
        .args(["-append", &kernel_command_line("")])
        .args(["-no-reboot", "-monitor", "none"])
        .args(["-netdev", &config.wire.netdev(), "-device", &device]);
    qemu
}

/// The kernel's command line, with more words.
pub(crate) fn kernel_command_line(more: &str) -> String {
    format!("console=ttyS0 quiet panic=-1 mitigations=off vrnic.lifetime={LIFETIME_SECONDS} {more}")
}

/// Adds what all guests have, and starts QEMU.
fn start_qemu(qemu: &mut Command, console: &Path) -> Result<Child> {
    let serial = format!("file:{}", console.to_string_lossy().replace(',', ",,"));
    let errors = File::create(console.with_file_name(QEMU_LOG))?;
    // One virtual processor and no KVM: the same everywhere, and enough for a connection manager.
    qemu.args(["-accel", "tcg", "-cpu", "max"])
        .args(["-nodefaults", "-no-user-config", "-display", "none"])
        .args([
            "-serial",
            &serial,
            "-chardev",
            "stdio,id=control,signal=off",
            "-device",
            "virtio-serial-pci",
            "-device",
            "virtserialport,chardev=control,name=vrnic.control",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .context("cannot start QEMU: run ./x peer, which installs it")
}

/// The ends of both logs.
fn console_tail(console: &Path) -> String {
    progress::tail(console) + &progress::tail(&console.with_file_name(QEMU_LOG))
}

/// Hands what the guest says to those who wait for it, until QEMU ends.
fn dispatch(output: ChildStdout, ready: &Sender<()>, commands: &Mutex<Commands>) {
    let mut reader = BufReader::new(output);
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line), Ok(n) if n > 0) {
        let text = String::from_utf8_lossy(&line);
        let mut words = text.trim_end_matches(['\r', '\n']).splitn(3, ' ');
        match (words.next(), words.next().and_then(|id| id.parse::<u64>().ok())) {
            (Some("ready"), None) => {
                let again = lock(commands).rebooted.take();
                // The receiver has given up when the guest was too slow.
                let _ = again.as_ref().unwrap_or(ready).send(());
            }
            (Some("out"), Some(id)) => {
                let message = Message::Line(words.next().unwrap_or_default().to_owned());
                if let Some(receiver) = lock(commands).receivers.get(&id) {
                    let _ = receiver.send(message);
                }
            }
            (Some("exit"), Some(id)) => {
                let code = words.next().and_then(|code| code.parse().ok()).unwrap_or(-1);
                if let Some(receiver) = lock(commands).receivers.remove(&id) {
                    let _ = receiver.send(Message::Exit(code));
                }
            }
            // Firmware noise before the kernel owns the port.
            _ => {}
        }
        line.clear();
    }
    let mut commands = lock(commands);
    commands.gone = true;
    commands.rebooted = None;
    commands.receivers.clear();
}

/// One shell line that brings up the Ethernet device and soft-RoCE, and waits until its GID table has both addresses.
fn setup_command(config: &PeerConfig) -> String {
    let (ipv4, ipv4_prefix) = config.ipv4;
    let (ipv6, ipv6_prefix) = config.ipv6;
    // The wire belongs to the test: no router solicitations, and no address probing that delays the address.
    let mut command = String::from(
        "set -e; echo 0 > /proc/sys/net/ipv6/conf/eth0/router_solicitations; \
         echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad; /bin/ip link set lo up; /bin/ip link set eth0 up",
    );
    // Writing to a String cannot fail.
    let _ = write!(
        command,
        "; /bin/ip addr add {ipv4}/{ipv4_prefix} dev eth0; /bin/ip addr add {ipv6}/{ipv6_prefix} dev eth0"
    );
    for neighbour in &config.neighbours {
        let mac = format_mac(neighbour.mac);
        let _ = write!(
            command,
            "; /bin/ip neigh replace {} lladdr {mac} dev eth0 nud permanent",
            neighbour.ip
        );
    }
    command.push_str("; rdma link add rxe0 type rxe netdev eth0");
    for gid in [ipv4.to_ipv6_mapped(), ipv6] {
        let gid = format_gid(gid);
        let _ = write!(
            command,
            "; n=0; until grep -q {gid} {GIDS}/*; do \
             n=$((n+1)); test $n -lt 200 || {{ echo no GID {gid} in soft-RoCE; exit 1; }}; usleep 50000; done"
        );
    }
    command
}

fn format_mac(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// A GID as sysfs prints it: all eight groups, each of four digits.
fn format_gid(gid: Ipv6Addr) -> String {
    gid.segments().map(|group| format!("{group:04x}")).join(":")
}

/// Locks; a panic elsewhere leaves these maps and pipes usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gids_are_written_as_sysfs_prints_them() {
        let gid = Ipv4Addr::new(10, 77, 0, 2).to_ipv6_mapped();
        assert_eq!(format_gid(gid), "0000:0000:0000:0000:0000:ffff:0a4d:0002");
    }
}
