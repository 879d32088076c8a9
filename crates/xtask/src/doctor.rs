//! `./x doctor`: says what the machine has of what the project needs, and how to get the rest.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use clap::Command;

use crate::driver::TARGET;
use crate::driver::toolchain;
use crate::package;
use crate::packages::{self, Need};

/// The subcommand.
#[must_use]
pub fn command() -> Command {
    Command::new("doctor").about("Say what this machine has of what vrnic needs, and how to get the rest")
}

/// Prints each requirement as found or missing.
///
/// # Errors
/// When something is missing, after the list; the other commands would install it.
pub fn run() -> Result<()> {
    let mut report = Report::default();
    report.heading("To build the host programs");
    report.needs(packages::HOST_BUILD);
    report.heading("To build vrnic.sys");
    report.needs(toolchain::LLVM_AND_HEADERS);
    report.windows_compiler(toolchain::rustup_has_target());
    report.heading("To make the driver package");
    for needs in package::NEEDS {
        report.needs(needs);
    }
    report.heading("To run the Linux peer");
    report.needs(packages::LINUX_PEER);
    report.heading("To check captures");
    report.needs(packages::TSHARK);
    print!("{}", report.text);
    if report.too_old {
        bail!("Debian's Rust compiler is too old for the driver; see above");
    }
    if report.missing.is_empty() {
        return Ok(());
    }
    bail!(
        "missing; install with: sudo apt-get install --no-install-recommends {}",
        report.missing.join(" ")
    )
}

#[derive(Default)]
struct Report {
    text: String,
    missing: Vec<&'static str>,
    too_old: bool,
}

impl Report {
    fn heading(&mut self, text: &str) {
        self.line(format_args!("{text}"));
    }

    fn needs(&mut self, needs: &[Need]) {
        for need in needs {
            if need.is_met() {
                self.line(format_args!("  ✓ {}: {}", need.package, need.why));
            } else {
                self.line(format_args!(
                    "  ✗ {}: {} (missing: {:?})",
                    need.package, need.why, need.proof
                ));
                if !self.missing.contains(&need.package) {
                    self.missing.push(need.package);
                }
            }
        }
    }

    /// One of two compilers will do.
    fn windows_compiler(&mut self, rustup_has_target: bool) {
        if rustup_has_target {
            self.line(format_args!("  ✓ rustup's toolchain has the target {TARGET}"));
            return;
        }
        self.line(format_args!(
            "  - rustup's toolchain lacks the target {TARGET}, so Debian's compiler is used"
        ));
        self.line(format_args!("    (or: rustup target add {TARGET})"));
        self.needs(toolchain::DEBIAN_RUST);
        self.needs(toolchain::DEBIAN_CLIPPY);
        if toolchain::DEBIAN_RUST.iter().all(Need::is_met)
            && let Err(error) = toolchain::check_debian_version()
        {
            self.line(format_args!("  ✗ {error:#}"));
            self.too_old = true;
        }
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::Report;
    use crate::packages::{Need, Proof};

    #[test]
    fn a_missing_package_is_named_once_and_a_found_one_is_not() {
        let missing = Need {
            package: "nothing",
            why: "tests",
            proof: Proof::File("/no/such/file"),
        };
        let found = Need {
            package: "procfs",
            why: "tests",
            proof: Proof::File("/proc/self/status"),
        };
        let mut report = Report::default();
        report.needs(&[missing, found, missing]);
        assert_eq!(report.missing, ["nothing"]);
        assert!(report.text.contains("✗ nothing") && report.text.contains("✓ procfs"));
    }

    #[test]
    fn the_compiler_of_rustup_needs_no_packages() {
        let mut report = Report::default();
        report.windows_compiler(true);
        assert!(report.missing.is_empty());
    }
}
