//! `./x capture FILE`: what Wireshark says about a capture.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Arg, ArgMatches, Command, value_parser};

use crate::packages;
use crate::tshark::{self, Row};

/// Columns of the list: a heading, and the field it shows. A packet has only one of two fields of the same heading.
const COLUMNS: &[(&str, &str)] = &[
    ("frame", "frame.number"),
    ("time", "frame.time_relative"),
    ("from", "ip.src"),
    ("from", "ipv6.src"),
    ("to", "ip.dst"),
    ("to", "ipv6.dst"),
    ("message", "_ws.col.Info"),
    ("about", "infiniband.cm.rej.msgrej"),
    ("reason", "infiniband.cm.rej.reason"),
    ("private data of a REJ", "infiniband.cm.rej.private"),
];

/// The subcommand.
#[must_use]
pub fn command() -> Command {
    Command::new("capture")
        .about("List the CM messages of a capture as Wireshark decodes them; fail if it finds a packet malformed")
        .arg(Arg::new("file").required(true).value_parser(value_parser!(PathBuf)).help("A pcap file"))
}

/// Prints the CM messages of a capture.
///
/// # Errors
/// When Wireshark cannot be had, cannot read the file, or objects to a packet.
pub fn run(arguments: &ArgMatches) -> Result<()> {
    packages::ensure(packages::TSHARK)?;
    let file: &PathBuf = arguments.get_one("file").context("a file")?;
    print!("{}", list(file)?);
    tshark::assert_clean(file)?;
    println!("Wireshark finds nothing malformed in {}", file.display());
    Ok(())
}

fn list(file: &Path) -> Result<String> {
    let fields: Vec<&str> = COLUMNS.iter().map(|(_, field)| *field).collect();
    let rows = tshark::decode(file, "infiniband.mad.mgmtclass == 0x07", &fields)?;
    let mut headings: Vec<&str> = COLUMNS.iter().map(|(heading, _)| *heading).collect();
    headings.dedup();
    let mut text = headings.join("  ");
    text.push('\n');
    for row in rows {
        text.push_str(&line(&row));
        text.push('\n');
    }
    Ok(text)
}

fn line(row: &Row) -> String {
    let cells = COLUMNS
        .iter()
        .map(|(_, field)| row.get(*field).map(|values| values.join(",")).unwrap_or_default());
    cells
        .filter(|cell| !cell.is_empty())
        .collect::<Vec<_>>()
        .join("  ")
}
