//! `ntbench demo`: one connection request, one `NdkReject`, and everything that happened between, for people to look at.
//!
//! With `--peer linux` a QEMU guest is on the wire, which somebody else boots (`./x demo --peer linux`). The two talk over the standard
//! streams: a line `@listening …` says where to connect and with what private data; what Linux reported comes back on standard
//! input, one line per event as the guest's client prints it.
//!
//! With `--vfio` the bench is in a guest itself, and does not see the wire: it prints its calls as lines `@call …`, and whoever has
//! started it draws the picture ([`guest`]).

pub mod guest;
mod ladder;

use crate::machine::{Device, Machine, MachineConfig, NIC_IPV4, NIC_MAC, StartError, v4};
use crate::ndk::trace::status_name;
use crate::ndk::{Incoming, VERSION_2_0};
use crate::verifier::Rule;
use crate::wire::{DgramPort, Pcap, Peer};
use clap::{Arg, ArgMatches, Command, value_parser};
use ladder::Ladder;
use ndk_sys::{NTSTATUS, STATUS_SUCCESS};
use roce_wire::cm::{CmMessage, RejectReason};
use std::fmt::Write as _;
use std::io::{self, BufRead, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use thiserror::Error;

/// The port that the consumer listens on.
const PORT: u16 = 7777;
/// The private data of the request.
const REQUEST_DATA: &[u8] = b"may I come in?";
/// The private data of the reject.
const REJECT_DATA: &[u8] = b"vrnic.sys says: not today";
/// How long a scripted peer and its request may take.
const LIMIT: Duration = Duration::from_secs(20);
/// How often the consumer looks whether it is still needed.
const TICK: Duration = Duration::from_millis(50);
/// What Linux reports for a consumer's reject: `IB_CM_REJ_CONSUMER_DEFINED`.
const LINUX_REJECTED: &str = "event=RDMA_CM_EVENT_REJECTED status=28";

/// The subcommand.
#[must_use]
pub fn command() -> Command {
    let path = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .required(true)
            .value_parser(value_parser!(PathBuf))
            .help(help)
    };
    Command::new("demo").about("Show vrnic.sys reject a connection request, message by message").args([
        path("sys", "The driver: vrnic.sys"),
        path("pcap", "Where to write the capture").required(false).required_unless_present("vfio"),
        Arg::new("peer").long("peer").value_parser(["scripted", "linux"]).default_value("scripted").help(
            "Who sends the request: a script in this process, or a Linux kernel with soft-RoCE in QEMU",
        ),
        path("wire-dir", "With a Linux peer or another process's NIC: the folder for the sockets of the wire, \
            host.sock (ours) and guest.sock (theirs)")
            .required(false),
        Arg::new("vfio").long("vfio").conflicts_with_all(["pcap", "wire-dir"]).help(
            "With a Linux peer: the PCI address of a NIC that Linux hands over through VFIO, whose wire the peer is on",
        ),
        path("vfio-user", "The socket of a NIC in another process (vrnic-vfio-user --wire dgram:DIR/guest.sock,DIR/host.sock)")
            .required(false)
            .requires("wire-dir")
            .conflicts_with("vfio"),
    ])
}

/// Why there is nothing to show.
#[derive(Debug, Error)]
pub enum DemoError {
    /// The machine does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The capture, the wire or a standard stream.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A call of the provider has failed.
    #[error("{0} failed with {status}", status = status_name(*.1))]
    Provider(&'static str, NTSTATUS),
    /// Something did not happen in time.
    #[error("{0} did not happen within {limit} s", limit = LIMIT.as_secs())]
    Missing(&'static str),
    /// A guest's run has no request or no reject.
    #[error("there is no request with a reject in both the capture and the calls")]
    Incomplete,
    /// Linux could not be asked.
    #[error("Linux: {0}")]
    Linux(String),
}

/// What the peer has seen of the reject.
struct Verdict {
    /// In words.
    seen: String,
    /// Whether it is what it should be.
    right: bool,
}

/// Runs the demonstration.
#[must_use]
pub fn run(arguments: &ArgMatches) -> ExitCode {
    match show(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ntbench demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn show(arguments: &ArgMatches) -> Result<bool, DemoError> {
    let mut config = MachineConfig::new(path(arguments, "sys"));
    if let Some(address) = arguments.get_one::<String>("vfio") {
        config.adapters[0].device = Device::Vfio(address.clone());
        let machine = Machine::start(config)?;
        let outcome = ask_linux(&machine);
        guest::report();
        machine.stop();
        return Ok(conclude(outcome?, None));
    }
    let vfio_user = arguments.get_one::<PathBuf>("vfio-user").cloned();
    let with_wire = vfio_user.is_some();
    config.adapters[0].device = vfio_user.map(Device::VfioUser).unwrap_or_default();
    let capture = path(arguments, "pcap");
    let machine = Machine::start(config)?;
    let ladder = Arc::new(Ladder::default());
    let pcap = Arc::new(Pcap::create(&capture)?);
    machine.hub().tap(ladder.clone());
    machine.hub().tap(pcap.clone());
    let linux = arguments
        .get_one::<String>("peer")
        .is_some_and(|peer| peer == "linux");
    let outcome = if linux {
        let _wire = join(&machine, &path(arguments, "wire-dir"))?;
        ask_linux(&machine)
    } else {
        let _wire = with_wire
            .then(|| join(&machine, &path(arguments, "wire-dir")))
            .transpose()?;
        with_script(&machine)
    };
    println!("\n{}", ladder.render());
    // From here on the driver is taken down, which checks what it leaves behind; a violation ends the process.
    machine.stop();
    pcap.flush()?;
    Ok(conclude(outcome?, Some(&capture)))
}

fn path(arguments: &ArgMatches, name: &str) -> PathBuf {
    arguments.get_one::<PathBuf>(name).cloned().unwrap_or_default()
}

/// Says how it went, and whether it is what it should be.
fn conclude((status, verdict): (NTSTATUS, Verdict), capture: Option<&Path>) -> bool {
    println!("request    {:?}", String::from_utf8_lossy(REQUEST_DATA));
    println!(
        "reject     {:?}, NdkReject = {}",
        String::from_utf8_lossy(REJECT_DATA),
        status_name(status)
    );
    println!("peer       {}", verdict.seen);
    println!(
        "verifier   no violation of its {} rules, nothing left behind at unload",
        Rule::ALL.len()
    );
    if let Some(capture) = capture {
        println!("capture    {}", capture.display());
    }
    let right = verdict.right && status == STATUS_SUCCESS;
    println!(
        "result     {}",
        if right {
            "rejected, as it should be"
        } else {
            "NOT what it should be"
        }
    );
    right
}

/// The consumer: waits for a request until `stop`, rejects it, and returns the last status.
fn consume(incoming: &Incoming, stop: &AtomicBool) -> Option<NTSTATUS> {
    let mut last = None;
    while !stop.load(Ordering::Acquire) {
        let Some(connector) = incoming.next_within(TICK) else {
            continue;
        };
        // As a consumer would, before it decides.
        let (_from, _data) = (connector.peer_address(), connector.connection_data());
        last = Some(connector.reject(REJECT_DATA));
    }
    last
}

fn with_script(machine: &Machine) -> Result<(NTSTATUS, Verdict), DemoError> {
    let peer = machine.peer();
    consumer(machine, || {
        let attempt = peer
            .connect(v4(PORT), REQUEST_DATA)
            .map_err(|_| DemoError::Missing("the request"))?;
        Ok(script_verdict(&peer, &attempt))
    })
}

fn script_verdict(peer: &Peer, attempt: &crate::wire::peer::Attempt) -> Verdict {
    match peer.wait_answer(attempt, LIMIT) {
        Ok(CmMessage::Rej(rej)) => {
            let data = &rej.private_data.as_array()[..];
            let right = rej.reason == RejectReason::CONSUMER_REJECT && is_padded(data, REJECT_DATA);
            Verdict {
                seen: format!("a REJ with reason {}, {}", rej.reason.0, readable(data)),
                right,
            }
        }
        Ok(other) => Verdict {
            seen: format!("a {} instead of a REJ", other.name()),
            right: false,
        },
        Err(error) => Verdict {
            seen: error.to_string(),
            right: false,
        },
    }
}

/// Joins the machine's wire to that of another process.
fn join(machine: &Machine, dir: &Path) -> io::Result<DgramPort> {
    let (ours, theirs) = (dir.join("host.sock"), dir.join("guest.sock"));
    DgramPort::attach(machine.hub(), "linux", &ours, &theirs)
}

/// Runs the consumer, says where it listens, and judges what Linux reports.
fn ask_linux(machine: &Machine) -> Result<(NTSTATUS, Verdict), DemoError> {
    consumer(machine, || {
        let mac = NIC_MAC.map(|byte| format!("{byte:02x}")).join(":");
        println!(
            "@listening ip={NIC_IPV4} port={PORT} mac={mac} data={}",
            hex(REQUEST_DATA)
        );
        io::stdout().flush()?;
        let lines: Vec<String> = io::stdin().lock().lines().collect::<Result<_, _>>()?;
        if let Some(error) = lines.iter().find_map(|line| line.strip_prefix("error=")) {
            return Err(DemoError::Linux(error.to_owned()));
        }
        let line = lines.first().ok_or(DemoError::Missing("an answer of Linux"))?;
        Ok(linux_verdict(line))
    })
}

/// Judges what Linux's `rdma_cm` reported: it always hands out the whole private data field.
fn linux_verdict(line: &str) -> Verdict {
    let data = line
        .split_whitespace()
        .find_map(|word| word.strip_prefix("data="))
        .unwrap_or("");
    let mut expected = hex(REJECT_DATA);
    expected.extend(std::iter::repeat_n('0', 2 * 148 - expected.len()));
    let bytes: Vec<u8> = (0..data.len() / 2)
        .map_while(|at| u8::from_str_radix(data.get(2 * at..2 * at + 2)?, 16).ok())
        .collect();
    let event = line.split(" data_len=").next().unwrap_or(line);
    Verdict {
        seen: format!("Linux reports {event}, {}", readable(&bytes)),
        right: line.contains(LINUX_REJECTED) && data == expected,
    }
}

/// Runs the consumer beside `peer`, and takes it down afterwards.
fn consumer(
    machine: &Machine,
    peer: impl FnOnce() -> Result<Verdict, DemoError>,
) -> Result<(NTSTATUS, Verdict), DemoError> {
    let ndk = machine
        .open_ndk(VERSION_2_0)
        .map_err(|status| DemoError::Provider("opening NDK", status))?;
    let incoming =
        Incoming::listen(&ndk, v4(PORT)).map_err(|status| DemoError::Provider("NdkListen", status))?;
    let stop = AtomicBool::new(false);
    let (status, verdict) = std::thread::scope(|scope| {
        // The queue of connectors moves to the consumer's thread, as it would belong to a worker of SMB Direct.
        let worker = scope.spawn(|| {
            let status = consume(&incoming, &stop);
            drop(incoming);
            status
        });
        let verdict = peer();
        stop.store(true, Ordering::Release);
        (worker.join().ok().flatten(), verdict)
    });
    let verdict = verdict?;
    Ok((status.ok_or(DemoError::Missing("a connection request"))?, verdict))
}

fn is_padded(field: &[u8], data: &[u8]) -> bool {
    field
        .strip_prefix(data)
        .is_some_and(|rest| rest.iter().all(|&byte| byte == 0))
}

/// Private data as people see it.
fn readable(field: &[u8]) -> String {
    let used = field
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1);
    format!(
        "private data {:?} in {} bytes",
        String::from_utf8_lossy(&field[..used]),
        field.len()
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_must_report_reason_28_and_the_exact_data() {
        let data = |bytes: &[u8]| {
            let mut field = bytes.to_vec();
            field.resize(148, 0);
            hex(&field)
        };
        let line = |event: &str, status: i32, data: &str| {
            format!("attempt=1 event={event} status={status} data_len=148 data={data} elapsed_ms=12")
        };
        let good = data(REJECT_DATA);
        assert!(linux_verdict(&line("RDMA_CM_EVENT_REJECTED", 28, &good)).right);
        assert!(!linux_verdict(&line("RDMA_CM_EVENT_REJECTED", 8, &good)).right);
        assert!(!linux_verdict(&line("RDMA_CM_EVENT_UNREACHABLE", -110, "")).right);
        assert!(!linux_verdict(&line("RDMA_CM_EVENT_REJECTED", 28, &data(b"something else"))).right);
        assert!(!linux_verdict("").right);
    }

    #[test]
    fn padding_must_be_zero() {
        assert!(is_padded(b"no\0\0", b"no"));
        assert!(!is_padded(b"no\0x", b"no"));
        assert!(!is_padded(b"n", b"no"));
    }
}
