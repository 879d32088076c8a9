//! The commands behind `./x`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Arg, Command};
use xtask::peer::{LinuxPeer, PeerConfig, PeerFiles, Wire};
use xtask::progress::Step;
use xtask::{abi, bench, capture, check, conformance, demo, doctor, driver, package, paths, qemu, run};

fn main() -> ExitCode {
    // Not `fn main() -> Result`: that prints errors in the form for developers, with a backtrace.
    run_command().unwrap_or_else(|error| {
        eprintln!("x: {error:#}");
        ExitCode::FAILURE
    })
}

fn run_command() -> Result<ExitCode> {
    match command_line().get_matches().subcommand() {
        Some(("demo", arguments)) => return demo::run(arguments),
        Some(("run", arguments)) => return run::run(arguments),
        Some(("test", arguments)) => check::test(arguments)?,
        Some(("lint", _)) => check::lint()?,
        Some(("docs", _)) => check::docs()?,
        Some(("bench", arguments)) => bench::run(arguments)?,
        Some(("driver", arguments)) => driver::run(arguments)?,
        Some(("package", arguments)) => package::run(arguments)?,
        Some(("clippy-windows", _)) => driver::clippy()?,
        Some(("conformance", arguments)) => conformance::run(arguments)?,
        Some(("abi", _)) => abi::run()?,
        Some(("peer", arguments)) => peer(arguments.get_many::<String>("command").unwrap_or_default())?,
        Some(("qemu", _)) => {
            let qemu = qemu::Qemu::prepare()?;
            println!("{} {}", qemu.program.display(), qemu.version);
        }
        Some(("capture", arguments)) => capture::run(arguments)?,
        Some(("doctor", _)) => doctor::run()?,
        _ => unreachable!("clap asks for a subcommand and knows their names"),
    }
    Ok(ExitCode::SUCCESS)
}

/// The command line. Built without clap's derive, which would double the time until `./x` starts on a fresh clone.
fn command_line() -> Command {
    Command::new("x")
        .bin_name("./x")
        .about("Builds, tests and shows vrnic. Each command installs what it needs.")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(demo::command())
        .subcommand(run::command())
        .subcommands(check::commands())
        .subcommand(conformance::command())
        .subcommand(driver::command())
        .subcommand(package::command())
        .subcommand(driver::clippy_command())
        .subcommand(
            Command::new("abi").about("Print the sizes and offsets of all structures of ndk-sys as JSON"),
        )
        .subcommand(peer_command())
        .subcommand(Command::new("qemu").about("Get a QEMU that can attach the NIC"))
        .subcommand(capture::command())
        .subcommand(doctor::command())
}

fn peer_command() -> Command {
    Command::new("peer")
        .about("Prepare the Linux peer (QEMU, a Debian kernel with soft-RoCE, an initramfs), and try it")
        .arg(
            Arg::new("command")
                .num_args(0..)
                .trailing_var_arg(true)
                .allow_hyphen_values(true)
                .help("Boot it with nobody else on the wire and run this shell command, such as `rdma link`"),
        )
}

/// How long a command may run that a person gave to `./x peer`.
const PEER_COMMAND_LIMIT: Duration = Duration::from_mins(10);

fn peer<'a>(command: impl Iterator<Item = &'a String>) -> Result<()> {
    let files = PeerFiles::prepare()?;
    let command: Vec<&str> = command.map(String::as_str).collect();
    if command.is_empty() {
        return Ok(());
    }
    let dir = paths::run_dir("peer")?;
    let wire = Wire::in_dir(&dir);
    wire.unplug_host()?;
    let step = Step::start("Booting Linux");
    let peer = LinuxPeer::boot(&files, &PeerConfig::new(wire, Vec::new()))?;
    step.done("");
    let mut running = peer.start(&command.join(" "))?;
    while let Some(line) = running.next_line(PEER_COMMAND_LIMIT)? {
        println!("{line}");
    }
    Ok(())
}
