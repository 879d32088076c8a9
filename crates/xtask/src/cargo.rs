//! Cargo, for what is built and tested on the host.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::driver::succeed;
use crate::paths;

/// A `cargo` command in the workspace.
#[must_use]
pub fn cargo(subcommand: &str) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(paths::workspace()).arg(subcommand);
    cargo
}

/// Builds the bench, optimised, and returns where it is.
///
/// # Errors
/// When it does not compile.
pub fn build_bench() -> Result<PathBuf> {
    succeed(cargo("build").args(["--release", "--package", "ntbench", "--bin", "ntbench"]))?;
    Ok(paths::target().join("release/ntbench"))
}
