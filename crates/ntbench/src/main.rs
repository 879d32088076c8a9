//! The bench's command line.

use clap::{Parser, Subcommand};
use ntbench::demo;
use ntbench::check;
use ntbench::exports::{self, Binding};
use ntbench::verifier::{Rule, irql};
use ntbench::{Config, Kernel};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "ntbench",
    version,
    about = "Runs Windows kernel drivers on Linux and checks their rules"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Load a driver, run DriverEntry, unload it.
    Load {
        /// The .sys file; its PDB is expected beside it.
        path: PathBuf,
        /// Name of the service; the file's name by default.
        #[arg(long)]
        service: Option<String>,
        /// Virtual processors.
        #[arg(long, default_value_t = 2)]
        processors: usize,
    },
    /// Take a driver through everything that the bench can do with it; a broken rule is exit code 86.
    Check {
        /// The .sys file; its PDB is expected beside it.
        path: PathBuf,
        /// Name of the service, which chooses the fault of wrong.sys; the file's name by default.
        #[arg(long, alias = "service")]
        fault: Option<String>,
    },
    /// Show vrnic.sys reject a connection request.
    Demo(demo::Arguments),
    /// List the exports that drivers can import, with their IRQL rules.
    Imports,
    /// List the rules that the verifier checks.
    Rules,
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Load {
            path,
            service,
            processors,
        } => {
            let service = service.unwrap_or_else(|| file_stem(&path));
            load(&path, &service, processors)
        }
        Command::Check { path, fault } => {
            let service = fault.unwrap_or_else(|| file_stem(&path));
            match check::run(&path, &service) {
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
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Imports => {
            list_imports();
            ExitCode::SUCCESS
        }
        Command::Rules => {
            for rule in Rule::ALL {
                println!("{:26}{}", rule.name(), rule.text());
            }
            ExitCode::SUCCESS
        }
    }
}

fn file_stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| "driver".into(), |stem| stem.to_string_lossy().into_owned())
}

fn load(path: &Path, service: &str, processors: usize) -> ExitCode {
    let kernel = Kernel::boot(&Config {
        processors,
        ..Config::default()
    });
    let mut driver = match kernel.load(path, service) {
        Ok(driver) => driver,
        Err(error) => {
            eprintln!("ntbench: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!(
        "{} loaded at {:#x}, {} imports bound",
        path.display(),
        driver.image().base,
        driver.image().file.imports.len()
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

fn list_imports() {
    for export in exports::all() {
        let rule = export.irql;
        let kind = match export.binding {
            Binding::Function(_) => format!("{}..={}", irql::name(rule.min), irql::name(rule.max)),
            Binding::Direct(_) => "any IRQL, unchecked".to_owned(),
            Binding::Data(_) => "variable".to_owned(),
        };
        println!("{}!{} {kind}", export.module, export.name);
    }
}
