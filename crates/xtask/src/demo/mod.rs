//! `./x demo`: sets everything up, and lets the bench show a connection request and its reject.
//!
//! `ntbench demo` runs the driver and prints the ladder. With a Linux peer, this module boots the guest on the bench's
//! wire. The two talk over the bench's standard streams: lines that begin with `@` are for this module, all others are shown;
//! what Linux reported goes to the bench's standard input, one line per event, as the guest's client printed it.
//!
//! `qemu` does the same with the bench in a guest too.

mod qemu;

use std::fs;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Arg, ArgAction, ArgMatches};

use crate::cargo::build_bench;
use crate::driver::{self, Image, Profile};
use crate::packages;
use crate::paths;
use crate::peer::{Connect, LinuxPeer, Neighbour, PeerConfig, PeerFiles, Wire, client};
use crate::progress::Step;

/// How long the bench may take to load the driver and listen.
const LISTEN_LIMIT: Duration = Duration::from_mins(1);

/// How long the bench may take to end when Linux has had its answer.
const END_LIMIT: Duration = Duration::from_mins(1);

/// The subcommand.
#[must_use]
pub fn command() -> clap::Command {
    clap::Command::new("demo")
        .about("Show vrnic.sys reject a connection request, message by message")
        .arg(
            Arg::new("peer")
                .long("peer")
                .value_parser(["scripted", "linux"])
                .default_value("scripted")
                .help(
                    "Who sends the request: a script in the bench, or a Linux kernel with soft-RoCE in QEMU",
                ),
        )
        .arg(
            Arg::new("qemu")
                .long("qemu")
                .action(ArgAction::SetTrue)
                .conflicts_with("peer")
                .help("In QEMU: a guest's bench drives the NIC through VFIO, and a guest with soft-RoCE sends the request"),
        )
}

/// Runs the demo; its exit code is the bench's.
///
/// # Errors
/// When something cannot be had, built or started.
pub fn run(arguments: &ArgMatches) -> Result<ExitCode> {
    packages::ensure(packages::HOST_BUILD)?;
    if arguments.get_flag("qemu") {
        return qemu::run();
    }
    let peer: &String = arguments.get_one("peer").context("a peer")?;
    let files = (peer == "linux").then(PeerFiles::prepare).transpose()?;
    let sys = driver::build(Image::Vrnic, Profile::Release)?;
    let bench = build_bench()?;
    let dir = paths::run_dir("demo")?;
    let pcap = capture(peer)?;
    let mut command = Command::new(bench);
    command.arg("demo").arg("--sys").arg(sys).arg("--pcap").arg(&pcap);
    if std::io::stdout().is_terminal() {
        command.env("CLICOLOR_FORCE", "1");
    }
    let code = match files {
        None => command.status().context("cannot start the bench")?.code(),
        Some(files) => with_linux(command, &files, &dir)?,
    };
    // The guest's console and QEMU's errors are worth keeping only when something went wrong.
    if code == Some(0) {
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    Ok(exit_code(code))
}

/// Where a capture goes; the folder is there then.
fn capture(name: &str) -> Result<PathBuf> {
    let folder = paths::target().join("demo");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder.join(format!("{name}.pcap")))
}

/// The bench's exit code as ours; there is none when a signal ended it.
fn exit_code(code: Option<i32>) -> ExitCode {
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

fn with_linux(mut command: Command, files: &PeerFiles, dir: &Path) -> Result<Option<i32>> {
    let wire = Wire::in_dir(dir);
    let mut bench = Bench::start(command.args(["--peer", "linux", "--wire-dir"]).arg(dir))?;
    let Some(listening) = bench.listening()? else {
        return bench.end();
    };
    let reported = boot_and_connect(files, wire, &listening);
    bench.tell(&for_the_bench(&reported))?;
    let code = bench.end()?;
    reported.map(|_| code)
}

/// The bench shows what Linux reported, or else why there is nothing to show.
fn for_the_bench(reported: &Result<Vec<String>>) -> String {
    match reported {
        Ok(lines) => lines.join("\n"),
        Err(error) => format!("error={}", format!("{error:#}").replace('\n', " ")),
    }
}

/// Boots Linux, lets it connect, and returns what its client printed.
fn boot_and_connect(files: &PeerFiles, wire: Wire, listening: &Listening) -> Result<Vec<String>> {
    let step = Step::start("Booting Linux in QEMU");
    let neighbours = vec![Neighbour {
        ip: listening.ip,
        mac: listening.mac,
    }];
    let linux = LinuxPeer::boot(files, &PeerConfig::new(wire, neighbours))?;
    step.done("");
    connect(&linux, listening)
}

/// Lets Linux connect, and returns what its client printed.
fn connect(linux: &LinuxPeer, listening: &Listening) -> Result<Vec<String>> {
    let step = Step::start(format!(
        "Linux connects to {} port {}",
        listening.ip, listening.port
    ));
    let request = Connect {
        data: listening.data.clone(),
        ..Connect::new(listening.ip, listening.port)
    };
    let lines = linux.start_connect(&request)?.lines()?;
    step.done("");
    Ok(lines)
}

/// What the bench says when its consumer listens: `@listening ip=… port=… mac=… data=HEX`.
#[derive(Debug, PartialEq, Eq)]
struct Listening {
    ip: IpAddr,
    port: u16,
    mac: [u8; 6],
    /// The private data that Linux is to send.
    data: Vec<u8>,
}

impl Listening {
    /// Reads a line; `None` if it is no line for xtask.
    fn parse(line: &str) -> Option<Result<Self>> {
        let words = line.strip_prefix("@listening ")?;
        let value = |key: &str| {
            words
                .split_whitespace()
                .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
                .with_context(|| format!("the bench did not say {key}=: {line}"))
        };
        Some((|| {
            let mac = client::parse_hex(&value("mac")?.replace(':', ""))?;
            let mac = mac
                .try_into()
                .ok()
                .with_context(|| format!("no MAC address: {line}"))?;
            Ok(Self {
                ip: value("ip")?.parse()?,
                port: value("port")?.parse()?,
                mac,
                data: client::parse_hex(value("data")?)?,
            })
        })())
    }
}

/// The running bench. It is ended when this is dropped.
struct Bench {
    child: Child,
    listening: mpsc::Receiver<Result<Listening>>,
}

impl Bench {
    fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the bench")?;
        let stdout = child.stdout.take().context("the bench has no standard output")?;
        let (sender, listening) = mpsc::channel();
        thread::spawn(move || show(stdout, &sender));
        Ok(Self { child, listening })
    }

    /// Waits until the consumer listens; `None` if the bench ended before.
    fn listening(&self) -> Result<Option<Listening>> {
        match self.listening.recv_timeout(LISTEN_LIMIT) {
            Ok(listening) => listening.map(Some),
            Err(mpsc::RecvTimeoutError::Disconnected) => Ok(None),
            Err(mpsc::RecvTimeoutError::Timeout) => bail!("the bench did not listen within {LISTEN_LIMIT:?}"),
        }
    }

    /// Hands lines to the bench and closes its standard input.
    fn tell(&mut self, lines: &str) -> Result<()> {
        let mut stdin = self.child.stdin.take().context("the bench's input is closed")?;
        writeln!(stdin, "{lines}").context("the bench does not listen to what Linux reported")
    }

    /// Waits for the end and returns the exit code; `None` after a signal.
    fn end(mut self) -> Result<Option<i32>> {
        let deadline = Instant::now() + END_LIMIT;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.code());
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("the bench did not end within {END_LIMIT:?} after Linux had its answer")
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // It may have ended by itself; either way there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Shows the bench's lines, except those that are for xtask.
fn show(stdout: ChildStdout, listening: &Sender<Result<Listening>>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        match Listening::parse(&line) {
            Some(parsed) => {
                // Nobody waits any more when the bench took too long.
                let _ = listening.send(parsed);
            }
            None => println!("{line}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_benchs_line_is_read() {
        let line = "@listening ip=10.77.0.9 port=7777 mac=52:54:00:77:00:09 data=6869";
        let listening = Listening::parse(line).expect("for xtask").expect("well formed");
        assert_eq!(listening.ip, IpAddr::from([10, 77, 0, 9]));
        assert_eq!(
            (listening.port, listening.mac),
            (7777, [0x52, 0x54, 0, 0x77, 0, 9])
        );
        assert_eq!(listening.data, b"hi");
    }

    #[test]
    fn other_lines_are_shown_and_bad_ones_refused() {
        assert!(Listening::parse("NdkReject -> STATUS_SUCCESS").is_none());
        for bad in [
            "@listening ",
            "@listening ip=x port=1 mac=525400770009 data=",
            "@listening ip=::1 port=1 mac=5254 data=",
        ] {
            assert!(Listening::parse(bad).expect("for xtask").is_err(), "{bad}");
        }
    }
}
