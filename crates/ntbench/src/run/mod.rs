//! `ntbench run`: the provider with its adapters on one wire, and consumers beside it: drivers, and those of the bench.

mod app;
mod options;

pub use app::AppOption;
pub use options::{AdapterOption, ConsumerOption, Parameter};

use crate::apps::AppError;
use crate::kernel::Config;
use crate::machine::{Machine, MachineConfig, StartError};
use crate::ndk::trace::{self, status_name};
use crate::nt::debug::{self, Echo};
use crate::nt::driver::Driver;
use crate::pe::file::LoadError;
use crate::verifier::limits::Limits;
use crate::verifier::{self, Rule};
use crate::wire::{Ladder, Pcap};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use ndk_sys::NTSTATUS;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// The subcommand.
#[must_use]
pub fn command() -> Command {
    Command::new("run")
        .about("Load the provider, then NDK consumers, and unload them; exit code 86 is a broken rule")
        .arg(
            Arg::new("sys")
                .long("sys")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The provider: vrnic.sys"),
        )
        .args(arguments())
}

/// The arguments that `./x run` hands on.
#[must_use]
pub fn arguments() -> [Arg; 9] {
    [
        Arg::new("adapter")
            .long("adapter")
            .action(ArgAction::Append)
            .required(true)
            .value_parser(value_parser!(AdapterOption))
            .help("An adapter of the provider: ifindex=12,ip=10.0.0.1/24[,ip=fd00::1/64][,mac=52:54:00:77:00:0c][,mtu=4200]; [,vfio=0000:01:00.0]: Linux hands its NIC over; [,vfio-user=SOCKET]: the NIC is in another process"),
        Arg::new("consumer")
            .long("consumer")
            .action(ArgAction::Append)
            .required_unless_present("app")
            .value_parser(value_parser!(ConsumerOption))
            .help("A consumer driver: PATH.sys, or SERVICE=PATH.sys; they are loaded in this order"),
        Arg::new("app")
            .long("app")
            .action(ArgAction::Append)
            .value_parser(value_parser!(AppOption))
            .help("A consumer of the bench, such as rping-server or ucmatose-client:peer=10.0.0.2,port=7600; they run one after another"),
        Arg::new("param")
            .long("param")
            .action(ArgAction::Append)
            .value_parser(value_parser!(Parameter))
            .help("A registry value of the consumers: NAME=VALUE, or SERVICE/NAME=VALUE for one of them"),
        Arg::new("pcap")
            .long("pcap")
            .value_parser(value_parser!(PathBuf))
            .help("Where to write a capture of the bench's wire (NICs in other processes have wires of their own)"),
        Arg::new("wait")
            .long("wait")
            .default_value("0")
            .value_parser(value_parser!(u64))
            .help("Seconds that the consumers stay loaded"),
        Arg::new("limit")
            .long("limit")
            .default_value("60")
            .value_parser(value_parser!(u64).range(1..))
            .help("Seconds that a consumer's DriverEntry or unload routine may take"),
        Arg::new("trace")
            .long("trace")
            .action(ArgAction::SetTrue)
            .help("Show every NDK call and callback at the end"),
        Arg::new("ladder")
            .long("ladder")
            .action(ArgAction::SetTrue)
            .help("Show the messages on the wire at the end"),
    ]
}

/// Why a run did not come to its end.
#[derive(Debug, Error)]
pub enum RunError {
    /// The provider does not start.
    #[error("the provider: {0}")]
    Start(#[from] StartError),
    /// A consumer cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A consumer's `DriverEntry` has failed.
    #[error("{0}: DriverEntry failed with {status}", status = status_name(*.1))]
    Entry(String, NTSTATUS),
    /// A consumer of the bench gives up.
    #[error("{0}: {1}")]
    App(&'static str, AppError),
    /// The capture cannot be written.
    #[error("the capture: {0}")]
    Capture(#[from] io::Error),
    /// Two options that do not go together.
    #[error("{0}")]
    Options(String),
}

/// Runs the subcommand.
#[must_use]
pub fn run(arguments: &ArgMatches) -> ExitCode {
    match run_all(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ntbench run: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run_all(arguments: &ArgMatches) -> Result<(), RunError> {
    let consumers: Vec<ConsumerOption> = all(arguments, "consumer");
    let parameters: Vec<Parameter> = all(arguments, "param");
    options::check(&consumers, &parameters).map_err(RunError::Options)?;
    let machine = start(arguments)?;
    debug::set_echo(Echo::Stdout);
    let ladder = Arc::new(Ladder::default());
    if arguments.get_flag("ladder") {
        machine.hub().tap(ladder.clone());
    }
    let pcap = arguments.get_one::<PathBuf>("pcap");
    let pcap = pcap.map(|path| Pcap::create(path).map(Arc::new)).transpose()?;
    if let Some(pcap) = &pcap {
        machine.hub().tap(pcap.clone());
        let pcap = Arc::clone(pcap);
        verifier::on_stop(move || {
            // The report of the broken rule matters more than the capture.
            let _ = pcap.flush();
        });
    }
    trace::clear();
    if arguments.get_flag("trace") {
        verifier::on_stop(print_trace);
    }
    let outcome = consume(&machine, &consumers, &parameters, || {
        all(arguments, "app")
            .iter()
            .try_for_each(|app| run_app(&machine, app))?;
        std::thread::sleep(seconds(arguments, "wait"));
        Ok(())
    });
    if arguments.get_flag("trace") {
        print_trace();
    }
    if arguments.get_flag("ladder") {
        println!("\n{}", ladder.render());
    }
    // From here on the provider is taken down, which checks what it leaves behind; a violation ends the process.
    machine.stop();
    if let Some(pcap) = pcap {
        pcap.flush()?;
    }
    outcome?;
    println!(
        "verifier: no violation of its {} rules, nothing left behind at unload",
        Rule::ALL.len()
    );
    Ok(())
}

fn all<T: Clone + Send + Sync + 'static>(arguments: &ArgMatches, name: &str) -> Vec<T> {
    arguments.get_many(name).unwrap_or_default().cloned().collect()
}

fn seconds(arguments: &ArgMatches, name: &str) -> Duration {
    Duration::from_secs(arguments.get_one(name).copied().unwrap_or(0))
}

fn start(arguments: &ArgMatches) -> Result<Machine, RunError> {
    let adapters: Vec<AdapterOption> = all(arguments, "adapter");
    let adapters = options::setups(&adapters).map_err(RunError::Options)?;
    let sys: PathBuf = arguments.get_one("sys").cloned().unwrap_or_default();
    let config = MachineConfig {
        kernel: Config {
            echo_debug: false,
            limits: Limits {
                call: seconds(arguments, "limit"),
                ..Limits::DEFAULT
            },
            ..Config::default()
        },
        ..MachineConfig::with_adapters(sys, adapters)
    };
    Ok(Machine::start(config)?)
}

/// Loads the consumers one after the other, and unloads them in the opposite order, with `meanwhile` in between.
fn consume(
    machine: &Machine,
    consumers: &[ConsumerOption],
    parameters: &[Parameter],
    meanwhile: impl FnOnce() -> Result<(), RunError>,
) -> Result<(), RunError> {
    let mut loaded: Vec<Driver> = Vec::new();
    let mut outcome = Ok(());
    for consumer in consumers {
        match load(machine, consumer, parameters) {
            Ok(driver) => loaded.push(driver),
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
    }
    if outcome.is_ok() {
        outcome = meanwhile();
    }
    while let Some(driver) = loaded.pop() {
        let service = driver.service().to_owned();
        driver.unload();
        println!("{service}: unloaded");
    }
    outcome
}

fn run_app(machine: &Machine, app: &AppOption) -> Result<(), RunError> {
    let name = app.name();
    app.run(machine).map_err(|error| RunError::App(name, error))?;
    println!("{name}: done");
    Ok(())
}

fn load(machine: &Machine, consumer: &ConsumerOption, parameters: &[Parameter]) -> Result<Driver, RunError> {
    let values = parameters
        .iter()
        .filter(|parameter| parameter.is_for(&consumer.service));
    let values = values.map(|parameter| (parameter.name.clone(), parameter.value.clone()));
    let mut driver = machine.load_consumer(&consumer.path, &consumer.service, values)?;
    let status = driver.start();
    println!("{}: DriverEntry = {}", consumer.service, status_name(status));
    if status < 0 {
        driver.unload();
        return Err(RunError::Entry(consumer.service.clone(), status));
    }
    Ok(driver)
}

fn print_trace() {
    let (events, dropped) = trace::events();
    println!();
    for event in events {
        println!("{} {event}", verifier::irql::name(event.irql));
    }
    if dropped != 0 {
        println!("… and {dropped} more");
    }
}
