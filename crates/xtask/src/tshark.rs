//! Captures decoded by Wireshark: a judge of packets that shares no code with ours.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// One packet: the values of each field that was asked for, in the order in which they occur in the packet.
pub type Row = BTreeMap<String, Vec<String>>;

/// Separates the occurrences of one field; it occurs in no value that tshark prints.
const SEPARATOR: char = '\u{1f}';

/// Decodes those packets of a capture that a display filter selects (`""`: all), and returns `fields` of each.
///
/// # Errors
/// When tshark is missing, does not know a field or the filter, or cannot read the capture to its end.
pub fn decode(pcap: &Path, filter: &str, fields: &[&str]) -> Result<Vec<Row>> {
    decode_with(pcap, &[], filter, fields)
}

/// As [`decode`], with checksums verified: fields such as `tcp.checksum.status` say what became of it.
///
/// # Errors
/// As there.
pub fn decode_and_verify(pcap: &Path, filter: &str, fields: &[&str]) -> Result<Vec<Row>> {
    decode_with(pcap, VERIFYING, filter, fields)
}

/// Preferences without which Wireshark does not look at checksums that adapters may compute.
const VERIFYING: &[&str] = &[
    "ip.check_checksum:TRUE",
    "tcp.check_checksum:TRUE",
    "udp.check_checksum:TRUE",
];

fn decode_with(pcap: &Path, preferences: &[&str], filter: &str, fields: &[&str]) -> Result<Vec<Row>> {
    let mut command = Command::new("tshark");
    command
        .args(["-n", "-r"])
        .arg(pcap)
        .args(["-T", "fields", "-E", "separator=/t", "-E", "occurrence=a"]);
    // RoCEv2 over IPv6 has no UDP checksum (annex A17 of the IBTA specification); Wireshark objects unless told so.
    command.args(["-o", "udp.ignore_ipv6_zero_checksum:TRUE"]);
    for preference in preferences {
        command.args(["-o", preference]);
    }
    // Otherwise it takes the payload of some SENDs for a remote procedure call, and finds it malformed.
    command.args(["--disable-protocol", "rpcordma"]);
    // And what iperf3 sends by chance, on its port, for anything.
    command.args(["-d", "tcp.port==5201,data"]);
    command.args(["-E", &format!("aggregator={SEPARATOR}")]);
    if !filter.is_empty() {
        command.args(["-Y", filter]);
    }
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command
        .output()
        .context("cannot start tshark: run ./x doctor, which says how to get it")?;
    if !output.status.success() {
        bail!(
            "tshark {}: {}",
            pcap.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().map(|line| row(line, fields)).collect())
}

fn row(line: &str, fields: &[&str]) -> Row {
    fields
        .iter()
        .zip(line.split('\t').chain(std::iter::repeat("")))
        .map(|(field, value)| {
            let values = value
                .split(SEPARATOR)
                .filter(|one| !one.is_empty())
                .map(str::to_owned)
                .collect();
            ((*field).to_owned(), values)
        })
        .collect()
}

/// Checks that Wireshark finds no packet malformed and raises no expert error in a capture that has packets.
///
/// # Errors
/// When it does, with the packets' numbers and what Wireshark says; when the capture is empty; or as [`decode`].
pub fn assert_clean(pcap: &Path) -> Result<()> {
    if decode(pcap, "", &["frame.number"])?.is_empty() {
        bail!("{} has no packets", pcap.display());
    }
    // Expert severity 0x00800000 is "error" (epan/proto.h, PI_ERROR).
    let filter = "_ws.malformed || _ws.expert.severity == 0x00800000";
    let bad = decode(
        pcap,
        filter,
        &["frame.number", "_ws.col.Info", "_ws.expert.message"],
    )?;
    if bad.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = bad.iter().map(|row| format!("  {row:?}")).collect();
    bail!(
        "Wireshark objects to {} packets of {}:\n{}",
        bad.len(),
        pcap.display(),
        list.join("\n")
    )
}
