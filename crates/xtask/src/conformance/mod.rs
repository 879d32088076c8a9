//! The conformance table: which rule or function is judged by which test, and how that ended.
//!
//! Tests say what they judge in their documentation, a line for each kind:
//!
//! ```text
//! /// Judges functions: NdkReject, NdkAccept
//! /// Judges rule: a refused connect may be retried on the same connector
//! #[test]
//! ```
//!
//! [`sources`] collects these lines, [`results`] what `cargo test` printed; [`page`] puts both into a page of the book. The page in
//! the repository must be the one that a run of all tests gives; [`required`] lists what must be in it.

pub mod page;
pub mod required;
pub mod results;
pub mod sources;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::paths;
use results::Results;

/// The subcommand.
#[must_use]
pub fn command() -> Command {
    Command::new("conformance")
        .about("Check docs/src/conformance.md against the tests and their last results")
        .arg(
            Arg::new("write")
                .long("write")
                .action(ArgAction::SetTrue)
                .help("Write the page instead"),
        )
}

/// Runs it with the results that the last `./x test` has left.
///
/// # Errors
/// When there are none, the page is not what they give, or something that must be judged is not.
pub fn run(arguments: &ArgMatches) -> Result<()> {
    let file = results_file();
    let text = fs::read_to_string(&file)
        .with_context(|| format!("no results in {}: run ./x test first", file.display()))?;
    let results = Results::parse(&text);
    check(&results, arguments.get_flag("write"))?;
    let missing = required::missing(&sources::collect(&paths::workspace())?, &results);
    if !missing.is_empty() {
        bail!("no test that passes judges: {}", missing.join(", "));
    }
    Ok(())
}

/// Where `./x test` leaves what it printed.
#[must_use]
pub fn results_file() -> PathBuf {
    paths::target().join("test-results.txt")
}

/// Checks the page in the book and the numbers in the README, or writes them.
///
/// # Errors
/// When they are others.
pub fn check(results: &Results, write: bool) -> Result<()> {
    let workspace = paths::workspace();
    let claims = sources::collect(&workspace)?;
    let readme = fs::read_to_string(workspace.join("README.md"))?;
    let readme = with_summary(&readme, &page::summary(&claims, results))?;
    for (name, text) in [
        ("docs/src/conformance.md", page::render(&claims, results)),
        ("README.md", readme),
    ] {
        let path = workspace.join(name);
        if write {
            fs::write(&path, &text)?;
        } else if fs::read_to_string(&path).unwrap_or_default() != text {
            bail!("{name} is not what the tests say: run ./x conformance --write");
        }
    }
    Ok(())
}

/// What stands before and behind the numbers in the README.
const MARKS: [&str; 2] = ["<!-- ./x conformance writes this -->\n", "<!-- to here -->\n"];

/// The README with these numbers.
fn with_summary(readme: &str, summary: &str) -> Result<String> {
    let [begin, end] = MARKS;
    let parts = readme
        .split_once(begin)
        .and_then(|(before, rest)| Some((before, rest.split_once(end)?.1)));
    let (before, behind) = parts.context("README.md has lost its marks for the conformance numbers")?;
    Ok(format!("{before}{begin}{summary}{end}{behind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_replace_those_before() {
        let [begin, end] = MARKS;
        let readme = format!("a\n{begin}old\n{end}b\n");
        let written = with_summary(&readme, "new\n").expect("it has marks");
        assert_eq!(written, format!("a\n{begin}new\n{end}b\n"));
        assert!(with_summary("a\n", "new\n").is_err());
    }
}
