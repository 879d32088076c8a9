//! What tshark says of the capture.

use super::checksums::PORT;
use super::{PINGS, VARIANTS, Variant};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use xtask::tshark::{self, Row};

/// A protocol's checksum, and how many right ones each station must have sent.
const CHECKSUMS: [(&str, usize); 5] = [
    ("ip.checksum.status", 150),
    ("tcp.checksum.status", 300),
    ("udp.checksum.status", 1),
    ("icmp.checksum.status", 4 * PINGS),
    ("icmpv6.checksum.status", 3 * PINGS),
];

/// Wireshark's numbers for a checksum's status.
const BAD: &str = "0";
const GOOD: &str = "1";

const OTHERS: [&str; 9] = [
    "frame.number",
    "frame.len",
    "eth.src",
    "vlan.priority",
    "ip.flags.mf",
    "tcp.srcport",
    "udp.srcport",
    "icmp.ident",
    "icmpv6.echo.identifier",
];

/// Nothing is malformed; of the checksums that our stations have sent those are wrong that were damaged on purpose, and no others; and
/// frames are as long as the MTU lets them be, and no longer.
pub fn judge(pcap: &Path) -> Result<()> {
    tshark::assert_clean(pcap)?;
    let fields: Vec<&str> = CHECKSUMS.iter().map(|one| one.0).chain(OTHERS).collect();
    let rows = tshark::decode_and_verify(pcap, "!infiniband", &fields)?;
    for variant in VARIANTS {
        let station = variant.station().map(|byte| format!("{byte:02x}")).join(":");
        let rows: Vec<&Row> = rows.iter().filter(|row| has(row, "eth.src", &station)).collect();
        judge_station(variant, &rows).with_context(|| format!("frames of {variant}"))?;
    }
    Ok(())
}

fn has(row: &Row, field: &str, value: &str) -> bool {
    row.get(field)
        .is_some_and(|values| values.iter().any(|one| one == value))
}

fn judge_station(variant: Variant, rows: &[&Row]) -> Result<()> {
    let count = |wanted: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| wanted(row)).count();
    for (field, least) in CHECKSUMS {
        let good = count(&|row| has(row, field, GOOD));
        ensure!(good >= least, "{good} with a right {field}");
    }
    let is_bad = |row: &Row| CHECKSUMS.iter().any(|(field, _)| has(row, field, BAD));
    // As ports are printed, and identifications.
    let marks = [PORT.to_string(), format!("{PORT:#06x}")];
    let on_purpose = |row: &Row| {
        let fields = [
            "tcp.srcport",
            "udp.srcport",
            "icmp.ident",
            "icmpv6.echo.identifier",
        ];
        fields
            .iter()
            .any(|field| marks.iter().any(|mark| has(row, field, mark)))
    };
    let bad: Vec<_> = rows.iter().filter(|row| is_bad(row)).collect();
    ensure!(
        bad.iter().all(|row| on_purpose(row)),
        "checksums are wrong: {:?}",
        bad.iter().find(|row| !on_purpose(row))
    );
    ensure!(
        bad.len() == super::checksums::DAMAGED.len(),
        "{} frames have wrong checksums on purpose",
        bad.len()
    );
    let length = |row: &Row| {
        let length = row.get("frame.len").and_then(|values| values.first());
        length
            .and_then(|length| length.parse::<usize>().ok())
            .unwrap_or(0)
    };
    let longest = usize::from(variant.mtu) + 14;
    // The tag of a priority is not the payload's.
    let tag = |row: &Row| if row["vlan.priority"].is_empty() { 0 } else { 4 };
    let too_long = count(&|row| length(row) > longest + tag(row));
    ensure!(too_long == 0, "{too_long} frames are longer than {longest} bytes");
    let full = count(&|row| length(row) == longest && !row["tcp.srcport"].is_empty());
    ensure!(full >= 50, "{full} segments fill their frames");
    let fragments = count(&|row| has(row, "ip.flags.mf", "1"));
    ensure!(fragments >= 2 * PINGS, "{fragments} fragments");
    let tagged = count(&|row| has(row, "vlan.priority", &super::checksums::PRIORITY.to_string()));
    ensure!(
        (tagged != 0) == variant.offloads,
        "{tagged} frames have a priority"
    );
    Ok(())
}
