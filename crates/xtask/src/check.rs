//! `./x test`, `./x lint` and `./x docs`: what a change must pass.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::{Arg, ArgMatches};

use crate::bench;
use crate::cargo::{build_bench, build_server, cargo, record};
use crate::conformance;
use crate::driver::{self, Image, Profile, succeed};
use crate::package;
use crate::packages;
use crate::paths;
use crate::peer::PeerFiles;
use crate::qemu::Qemu;

/// The mdBook that the book is built with.
const MDBOOK: &str = "0.5.4";

/// The subcommands of this module.
#[must_use]
pub fn commands() -> [clap::Command; 4] {
    let pass_on = |help: &'static str| {
        Arg::new("arguments")
            .num_args(0..)
            .trailing_var_arg(true)
            .allow_hyphen_values(true)
            .value_parser(clap::value_parser!(OsString))
            .help(help)
    };
    [
        clap::Command::new("test")
            .about("Build the Windows images and run all tests, those against Linux and tshark included")
            .arg(pass_on(
                "For cargo test, such as a part of a test's name, or `-p roce-wire`",
            )),
        clap::Command::new("lint")
            .about("Check the formatting, and run clippy on the code for the host and for Windows"),
        clap::Command::new("docs").about("Build the API documentation and the book, with warnings as errors"),
        clap::Command::new("bench")
            .about("Build vrnic.sys and run the benchmarks")
            .arg(bench::qemu_option())
            .arg(pass_on("For criterion, such as a part of a benchmark's name")),
    ]
}

/// Runs all tests: everything that they need is there before, so that none has a reason to be skipped.
///
/// # Errors
/// When something cannot be had or built, and when a test fails.
pub fn test(arguments: &ArgMatches) -> Result<()> {
    packages::ensure(packages::HOST_BUILD)?;
    packages::ensure(packages::TSHARK)?;
    for needs in package::NEEDS {
        packages::ensure(needs)?;
    }
    PeerFiles::prepare()?;
    Qemu::prepare()?;
    let mut test = cargo("test");
    with_images(&mut test)?
        .env("VRNIC_NTBENCH", build_bench()?)
        .env(SERVER, build_server()?);
    test.args(["--workspace", "--no-fail-fast"]);
    if arguments.contains_id("arguments") {
        return succeed(test.args(passed_on(arguments)));
    }
    let (status, output) = record(&mut test)?;
    fs::write(conformance::results_file(), &output)?;
    if !status.success() {
        bail!("cargo test failed ({status})");
    }
    Ok(())
}

/// Checks formatting and lints.
///
/// # Errors
/// When something is not as it should be.
pub fn lint() -> Result<()> {
    packages::ensure(packages::HOST_BUILD)?;
    succeed(cargo("fmt").args(["--all", "--check"]))
        .context("the formatting is not rustfmt's: run cargo fmt")?;
    succeed(cargo("clippy").args(["--workspace", "--all-targets", "--", "--deny", "warnings"]))?;
    driver::clippy()
}

/// Builds the documentation.
///
/// # Errors
/// When a link is broken or a page is missing.
pub fn docs() -> Result<()> {
    packages::ensure(packages::HOST_BUILD)?;
    succeed(
        cargo("doc")
            .args(["--workspace", "--no-deps", "--document-private-items"])
            .env("RUSTDOCFLAGS", "--deny warnings"),
    )?;
    succeed(
        Command::new(mdbook()?)
            .arg("build")
            .arg(paths::workspace().join("docs")),
    )
}

/// The variable that names the program that serves the NIC.
pub(crate) const SERVER: &str = "VRNIC_VFIO_USER";

/// The paths of the images, for the tests and benchmarks that run them.
pub(crate) fn with_images(command: &mut Command) -> Result<&mut Command> {
    let vrnic = driver::build(Image::Vrnic, Profile::Release)?;
    let wrong = driver::build(Image::Wrong, Profile::Release)?;
    let consumer = driver::consumer::build("pingpong")?;
    Ok(command
        .env("VRNIC_SYS", vrnic)
        .env("VRNIC_WRONG_SYS", wrong)
        .env("VRNIC_PINGPONG_SYS", consumer))
}

fn passed_on(arguments: &ArgMatches) -> impl Iterator<Item = &OsString> {
    arguments.get_many("arguments").unwrap_or_default()
}

/// The mdBook in the cache; it is installed there at first.
fn mdbook() -> Result<PathBuf> {
    let tools = paths::cache().join(format!("mdbook-{MDBOOK}"));
    let program = tools.join("bin/mdbook");
    if !program.is_file() {
        // What takes most of the time to compile is left out: the optimiser, the web server, the search index.
        let mut install = cargo("install");
        install.args([
            "--locked",
            "--debug",
            "--no-default-features",
            "--version",
            MDBOOK,
            "--root",
        ]);
        succeed(install.arg(&tools).arg("mdbook")).context("cannot install mdBook, which builds the book")?;
    }
    Ok(program)
}
