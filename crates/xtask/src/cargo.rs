//! Cargo, for what is built and tested on the host.

use std::env;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result};

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

/// Builds the program that serves the NIC to QEMU, optimised, and returns where it is.
///
/// # Errors
/// When it does not compile.
pub fn build_server() -> Result<PathBuf> {
    succeed(cargo("build").args(["--release", "--package", "vrnic-vfio-user"]))?;
    Ok(paths::target().join("release/vrnic-vfio-user"))
}

/// Runs a command whose output goes on to ours, both streams into one, and returns all of it.
///
/// # Errors
/// When it does not start.
pub fn record(command: &mut Command) -> Result<(ExitStatus, String)> {
    let (reader, writer) = io::pipe()?;
    let program = command.get_program().to_owned();
    let mut child = command
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    // The command holds the writing ends of the pipe: it would never end.
    command.stdout(io::stdout()).stderr(io::stderr());
    let mut recorded = String::new();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? != 0 {
        io::stdout().write_all(&line)?;
        recorded.push_str(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok((child.wait()?, recorded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_streams_are_recorded_with_the_status() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; exit 3"]);
        let (status, output) = record(&mut command).expect("there is a shell");
        assert_eq!(status.code(), Some(3));
        assert_eq!(output, "one\ntwo\n");
    }
}
