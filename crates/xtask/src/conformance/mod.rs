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

/// Checks the page in the book, or writes it.
///
/// # Errors
/// When the page is another one.
pub fn check(results: &Results, write: bool) -> Result<()> {
    let claims = sources::collect(&paths::workspace())?;
    let page = page::render(&claims, results);
    let path = paths::workspace().join("docs/src/conformance.md");
    if write {
        fs::write(&path, &page)?;
    } else if fs::read_to_string(&path).unwrap_or_default() != page {
        bail!("docs/src/conformance.md is not what the tests say: run ./x conformance --write");
    }
    Ok(())
}
