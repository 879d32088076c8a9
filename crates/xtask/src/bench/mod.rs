//! `./x bench`: criterion's measurements of single calls, then our figures beside those of peers in the same run.

pub mod peers;
pub mod qemu;
pub mod table;

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::{Arg, ArgAction, ArgMatches};

use crate::cargo::{build_server, cargo, record};
use crate::check::{SERVER, with_images};
use crate::driver::succeed;
use crate::packages;
use table::{Figure, OURSELVES, Unit};

/// What others' user-space drivers need for the same work, in instructions: gcc -O2, L1-hot, counted by callgrind.
const PUBLISHED: &[(&str, &str, f64)] = &[
    ("erdma", "SEND, one SGE", 195.0),
    ("mlx5", "SEND, one SGE", 339.0),
    ("erdma", "WRITE, one SGE", 206.0),
    ("mlx5", "WRITE, one SGE", 350.0),
    ("erdma", "SEND inline, 64 B", 342.0),
    ("mlx5", "SEND inline, 64 B", 392.0),
    ("erdma", "SEND, each in a deferred chain of 16", 138.0),
    ("mlx5", "SEND, each in a deferred chain of 16", 181.0),
    ("erdma", "poll, one completion", 134.0),
    ("mlx5", "poll, one completion", 183.0),
    ("erdma", "poll, each of 16 completions", 95.0),
    ("mlx5", "poll, each of 16 completions", 114.0),
];

/// What we want without a peer to compare with.
const TARGETS: &[(&str, f64, Unit)] = &[
    ("frame to completion callback, median", 50.0, Unit::Microseconds),
    ("connection with 512 FRMRs at each end", 100.0, Unit::Milliseconds),
    ("Ethernet 64 B, frames", 1e6, Unit::PerSecond),
    // 10 Gbit/s: such a frame has 1538 bytes with all that Ethernet adds.
    ("Ethernet 1500 B, frames", 812_744.0, Unit::PerSecond),
    (
        "FLR and MiniportInitializeEx to link up",
        100.0,
        Unit::Milliseconds,
    ),
    (
        "MiniportResetEx of a failed device to link up",
        100.0,
        Unit::Milliseconds,
    ),
];

/// The option that asks for measurements between guests.
#[must_use]
pub fn qemu_option() -> Arg {
    Arg::new("qemu")
        .long("qemu")
        .action(ArgAction::SetTrue)
        .help("Measure TCP between guests in QEMU too, which takes some minutes")
}

/// Runs the benchmarks. With arguments: only criterion's, which get them.
///
/// # Errors
/// When something cannot be built, and when a benchmark fails.
pub fn run(arguments: &ArgMatches) -> Result<()> {
    packages::ensure(packages::HOST_BUILD)?;
    let server = build_server()?;
    let mut criterion = cargo("bench");
    with_images(&mut criterion)?.env(SERVER, &server);
    criterion.args(["--package", "vrnic", "--benches", "--"]);
    let passed_on: Vec<&OsString> = arguments.get_many("arguments").unwrap_or_default().collect();
    succeed(criterion.args(&passed_on))?;
    if !passed_on.is_empty() {
        return Ok(());
    }
    let mut figures = ours(&server)?;
    let published = PUBLISHED.iter();
    figures.extend(published.map(|&(who, name, value)| Figure::new(who, name, value, Unit::Instructions)));
    let targets = TARGETS.iter();
    figures.extend(targets.map(|&(name, value, unit)| Figure::new("target", name, value, unit)));
    figures.extend(peers::measure()?);
    if arguments.get_flag("qemu") {
        figures.extend(qemu::measure()?);
    }
    print!("{}", table::render(&figures));
    Ok(())
}

/// What `benches/compare` measures: lines `@figure NAME<tab>VALUE<tab>UNIT` among its output.
fn ours(server: &Path) -> Result<Vec<Figure>> {
    let mut compare = cargo("bench");
    with_images(&mut compare)?.env(SERVER, server);
    compare.args(["--package", "vrnic", "--bench", "compare", "--", "--compare"]);
    let (status, output) = record(&mut compare)?;
    if !status.success() {
        bail!("the comparison failed ({status})");
    }
    output
        .lines()
        .filter_map(|line| line.strip_prefix("@figure "))
        .map(parse)
        .collect()
}

fn parse(line: &str) -> Result<Figure> {
    let mut fields = line.split('\t');
    let mut field = || {
        fields
            .next()
            .with_context(|| format!("a field is missing in {line:?}"))
    };
    let (name, value, unit) = (field()?, field()?, field()?);
    let unit = Unit::from_name(unit).with_context(|| format!("unknown unit {unit:?}"))?;
    Ok(Figure::new(OURSELVES, name, value.parse()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_lines() {
        let figure = parse("SEND, one SGE\t150\tinstructions").expect("it is well formed");
        assert_eq!((&*figure.name, figure.value), ("SEND, one SGE", 150.0));
        assert!(parse("SEND, one SGE\t150").is_err());
        assert!(parse("SEND, one SGE\tmany\tinstructions").is_err());
    }
}
