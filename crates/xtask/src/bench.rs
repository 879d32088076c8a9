//! `./x bench`: criterion's measurements.

use std::ffi::OsString;

use anyhow::Result;
use clap::ArgMatches;

use crate::cargo::cargo;
use crate::check::with_images;
use crate::driver::succeed;
use crate::packages;

/// Runs the benchmarks; criterion gets the arguments.
///
/// # Errors
/// When something cannot be built, and when a benchmark fails.
pub fn run(arguments: &ArgMatches) -> Result<()> {
    packages::ensure(packages::HOST_BUILD)?;
    let mut criterion = cargo("bench");
    with_images(&mut criterion)?;
    let passed_on: Vec<&OsString> = arguments.get_many("arguments").unwrap_or_default().collect();
    succeed(
        criterion
            .args(["--package", "vrnic", "--benches", "--"])
            .args(passed_on),
    )
}
