//! `ntbench iperf3`: an iperf3 server whose IP stack is bound to the driver's miniport, for measurements: nothing is verified.
//!
//! Lines on standard output say how it goes: `@listening address=… port=…`, and `@carried BYTES` after each test.

use crate::apps::{AppError, iperf};
use crate::kernel::Config;
use crate::machine::{Device, Machine, MachineConfig, NIC_IPV4, StartError};
use crate::verifier::pool::Placement;
use crate::wire::DgramPort;
use clap::{Arg, ArgMatches, Command, value_parser};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use thiserror::Error;

/// How long a client may take to come, and its test.
const LIMIT: Duration = Duration::from_mins(5);
/// Largest IP packet of the link.
const MTU: u16 = 1500;

/// The subcommand.
#[must_use]
pub fn command() -> Command {
    Command::new("iperf3")
        .about("Serve iperf3 clients through vrnic.sys, without verification; at 10.77.0.9")
        .arg(
            Arg::new("sys")
                .long("sys")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The driver: vrnic.sys"),
        )
        .arg(
            Arg::new("wire-dir")
                .long("wire-dir")
                .required_unless_present("vfio")
                .value_parser(value_parser!(PathBuf))
                .help("The folder of the wire's sockets host.sock (ours) and guest.sock (the client's)"),
        )
        .arg(
            Arg::new("vfio")
                .long("vfio")
                .conflicts_with("wire-dir")
                .help("The PCI address of a NIC that Linux hands over through VFIO"),
        )
        .arg(
            Arg::new("tests")
                .long("tests")
                .default_value("1")
                .value_parser(value_parser!(u32).range(1..))
                .help("How many tests are served"),
        )
}

/// Why nothing is served.
#[derive(Debug, Error)]
enum ServeError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Test(#[from] AppError),
}

/// Runs the subcommand.
#[must_use]
pub fn run(arguments: &ArgMatches) -> ExitCode {
    match serve(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ntbench iperf3: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: &ArgMatches) -> Result<(), ServeError> {
    let sys: PathBuf = arguments.get_one("sys").cloned().unwrap_or_default();
    let mut config = MachineConfig::new(sys);
    config.kernel = Config {
        echo_debug: false,
        pool: Placement::Fast,
        ..Config::default()
    };
    config.adapters[0].nic.mtu = MTU;
    if let Some(address) = arguments.get_one::<String>("vfio") {
        config.adapters[0].device = Device::Vfio(address.clone());
    }
    let machine = Machine::start(config)?;
    let wire: Option<&PathBuf> = arguments.get_one("wire-dir");
    let port = wire.map(|dir| plug_in(&machine, dir)).transpose()?;
    let mut listener = machine.hosts()[0].listen(iperf::PORT)?;
    say(&format!("@listening address={NIC_IPV4} port={}", iperf::PORT))?;
    for _ in 0..arguments.get_one("tests").copied().unwrap_or(1_u32) {
        let carried = iperf::serve(&mut listener, LIMIT)?;
        say(&format!("@carried {carried}"))?;
    }
    drop(listener);
    machine.stop();
    drop(port);
    Ok(())
}

fn plug_in(machine: &Machine, dir: &Path) -> io::Result<DgramPort> {
    DgramPort::attach(
        machine.hub(),
        "linux",
        &dir.join("host.sock"),
        &dir.join("guest.sock"),
    )
}

/// At once: somebody waits for it.
fn say(line: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()
}
