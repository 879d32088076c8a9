//! The bench's command line.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use ntbench::exports::{self, Binding};
use ntbench::machine::Device;
use ntbench::verifier::{Rule, irql};
use ntbench::{Config, Kernel};
use ntbench::{check, demo, iperf3, run};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let matches = command().get_matches();
    match matches.subcommand() {
        Some(("load", arguments)) => load(arguments),
        Some(("check", arguments)) => check(arguments),
        Some(("demo", arguments)) => demo::run(arguments),
        Some(("ladder", arguments)) => demo::guest::run(arguments),
        Some(("run", arguments)) => run::run(arguments),
        Some(("iperf3", arguments)) => iperf3::run(arguments),
        Some(("imports", _)) => list_imports(),
        Some(("rules", _)) => list_rules(),
        _ => unreachable!("a subcommand is required"),
    }
}

fn command() -> Command {
    let path = Arg::new("path")
        .required(true)
        .value_parser(value_parser!(PathBuf))
        .help("The .sys file; its PDB is expected beside it");
    let service = Arg::new("service")
        .long("service")
        .help("Name of the service; the file's name by default");
    let fault = Arg::new("fault")
        .long("fault")
        .help("Name of the service, by which wrong.sys chooses the rule to break");
    let low_resources = Arg::new("low-resources")
        .long("low-resources")
        .action(ArgAction::SetTrue)
        .help("Let each request for memory and other resources fail once");
    let provider = Arg::new("provider")
        .long("provider")
        .conflicts_with("low-resources")
        .value_parser(value_parser!(PathBuf))
        .help("The driver is an NDK consumer: load it beside this provider, which has one adapter");
    let vfio_user = Arg::new("vfio-user")
        .long("vfio-user")
        .conflicts_with("provider")
        .value_parser(value_parser!(PathBuf))
        .help("The socket of a NIC in another process (vrnic-vfio-user), in place of the bench's own");
    let processors = Arg::new("processors")
        .long("processors")
        .default_value("2")
        .value_parser(value_parser!(u8).range(1..=64))
        .help("Virtual processors");
    Command::new("ntbench")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Runs Windows kernel drivers on Linux and checks their rules")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("load")
                .about("Load a driver, run DriverEntry, unload it")
                .args([path.clone(), service, processors]),
        )
        .subcommand(
            Command::new("check")
                .about("Take a driver through everything that the bench can do with it; exit code 86 is a broken rule")
                .args([path, fault, low_resources, provider, vfio_user]),
        )
        .subcommand(demo::command())
        .subcommand(demo::guest::command())
        .subcommand(run::command())
        .subcommand(iperf3::command())
        .subcommand(Command::new("imports").about("List the exports that drivers can import, with their IRQL rules"))
        .subcommand(Command::new("rules").about("List the rules that the verifier checks"))
}

fn load(arguments: &ArgMatches) -> ExitCode {
    let path: &PathBuf = arguments.get_one("path").expect("required");
    let processors: u8 = *arguments.get_one("processors").expect("has a default");
    let service = arguments
        .get_one::<String>("service")
        .cloned()
        .unwrap_or_else(|| service_name(path));
    let kernel = Kernel::boot(&Config {
        processors: usize::from(processors),
        ..Config::default()
    });
    let mut driver = match kernel.load(path, &service) {
        Ok(driver) => driver,
        Err(error) => {
            eprintln!("ntbench: {error}");
            return ExitCode::FAILURE;
        }
    };
    let image = driver.image();
    println!(
        "{} loaded at {:#x}, {} imports bound",
        path.display(),
        image.base,
        image.file.imports.len()
    );
    let status = driver.start();
    println!("DriverEntry returned {status:#010x}");
    driver.unload();
    println!("unloaded");
    if status < 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn check(arguments: &ArgMatches) -> ExitCode {
    let path: &PathBuf = arguments.get_one("path").expect("required");
    let service = arguments
        .get_one::<String>("fault")
        .cloned()
        .unwrap_or_else(|| service_name(path));
    let device = arguments
        .get_one("vfio-user")
        .cloned()
        .map_or(Device::Own, Device::VfioUser);
    let result = if let Some(provider) = arguments.get_one::<PathBuf>("provider") {
        check::run_beside(provider, path, &service)
    } else if arguments.get_flag("low-resources") {
        check::run_low_resources(path, &service, &device)
            .map(|done| println!("{} requests have failed in {} runs", done.failures, done.runs))
    } else {
        check::run(path, &service, &device)
    };
    match result {
        Ok(()) => {
            println!("no rule was broken");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("ntbench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn service_name(path: &Path) -> String {
    path.file_stem()
        .map_or_else(|| "driver".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

fn list_imports() -> ExitCode {
    for export in exports::all() {
        let rule = export.irql;
        let kind = match export.binding {
            Binding::Function(_) => format!("{}..={}", irql::name(rule.min), irql::name(rule.max)),
            Binding::Direct(_) => "any IRQL, unchecked".to_owned(),
            Binding::Data(_) => "variable".to_owned(),
        };
        println!("{}!{} {kind}", export.module, export.name);
    }
    ExitCode::SUCCESS
}

fn list_rules() -> ExitCode {
    for rule in Rule::ALL {
        println!("{:28}{}", rule.name(), rule.text());
    }
    ExitCode::SUCCESS
}
