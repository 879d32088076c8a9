//! `./x run`: consumer drivers beside the provider, in the bench.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::{Arg, ArgMatches};

use crate::cargo::build_bench;
use crate::driver::{self, Image, Profile, consumer};
use crate::packages;

/// Stands for the consumer of this repository, which is built then.
const OURS: &str = "pingpong";

/// The subcommand. What follows it is for `ntbench run`, which knows the options.
#[must_use]
pub fn command() -> clap::Command {
    clap::Command::new("run")
        .about("Load vrnic.sys with adapters on one wire, then NDK consumer drivers beside it, and unload them")
        .after_help(
            "Without arguments: the consumer of this repository, between two adapters.\n\
             ./x run --adapter ifindex=12,ip=10.0.0.1/24 --adapter ifindex=15,ip=10.0.0.2/24 --consumer PATH.sys\n\
             ./x run -- --help shows all options. `--consumer pingpong` is this repository's.",
        )
        .arg(
            Arg::new("arguments")
                .num_args(0..)
                .trailing_var_arg(true)
                .allow_hyphen_values(true)
                .value_parser(clap::value_parser!(OsString))
                .help("For `ntbench run`"),
        )
}

/// Runs it; the exit code is the bench's.
///
/// # Errors
/// When something cannot be had, built or started.
pub fn run(arguments: &ArgMatches) -> Result<ExitCode> {
    packages::ensure(packages::HOST_BUILD)?;
    let given: Vec<OsString> = arguments
        .get_many("arguments")
        .unwrap_or_default()
        .cloned()
        .collect();
    let sys = driver::build(Image::Vrnic, Profile::Release)?;
    let mut command = Command::new(build_bench()?);
    command.arg("run").arg("--sys").arg(sys);
    let given = if given.is_empty() {
        default_arguments()
    } else {
        given
    };
    for argument in given {
        match argument.to_str() {
            Some(OURS) => command.arg(consumer::build(OURS)?),
            Some(text) if text.ends_with("=pingpong") && !text.contains(',') => {
                let service = text.strip_suffix(OURS).unwrap_or(text);
                command.arg(format!("{service}{}", consumer::build(OURS)?.display()))
            }
            _ => command.arg(argument),
        };
    }
    let code = command.status().context("cannot start the bench")?.code();
    // No code: a signal ended the bench.
    Ok(ExitCode::from(
        code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1),
    ))
}

/// Two adapters on one wire, and our consumer between them.
fn default_arguments() -> Vec<OsString> {
    [
        "--adapter",
        "ifindex=12,ip=10.0.0.1/24",
        "--adapter",
        "ifindex=15,ip=10.0.0.2/24",
        "--consumer",
        OURS,
    ]
    .map(OsString::from)
    .to_vec()
}
