//! Ordinary IP traffic with Linux through the driver's Ethernet queues: ping, and iperf3 both ways.
//!
//! The IP stack of our side is bound to the miniport as TCPIP is on Windows. Linux knows no neighbour beforehand: it asks.

use crate::support::{LIMIT, step};
use anyhow::{Context, Result, ensure};
use ntbench::apps::iperf;
use ntbench::machine::{Machine, MachineConfig, NIC_IPV4, NIC_IPV6, image_from_env};
use ntbench::wire::{DgramPort, HostStack, Pcap};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use xtask::peer::{LinuxPeer, PeerConfig, PeerFiles, Wire};
use xtask::{paths, tshark};

/// Bytes that iperf3 carries each way.
const BYTES: u64 = 2 << 20;
const PINGS: usize = 5;

/// Judges with Linux: ping, iperf3, IPv6
#[test]
fn linux_pings_us_and_iperf3_runs_both_ways() -> Result<()> {
    let dir = paths::run_dir("linux-ethernet")?;
    let pcap = Arc::new(Pcap::create(&dir.join("run.pcap"))?);
    let mut config = MachineConfig::new(image_from_env().map_err(anyhow::Error::msg)?);
    config.adapters[0].nic.mtu = 1500;
    let machine = Machine::start(config)?;
    machine.hub().tap(pcap.clone());
    let wire = Wire::in_dir(&dir);
    let port = DgramPort::attach(machine.hub(), "linux", &wire.host, &wire.guest)?;
    let linux = LinuxPeer::boot(&PeerFiles::prepared()?, &PeerConfig::new(wire, Vec::new()))?;

    for (family, ours) in [("4", IpAddr::from(NIC_IPV4)), ("6", NIC_IPV6.into())] {
        step(&format!("ping to {ours}"), || ping(&linux, ours))?;
        let host = &machine.hosts()[0];
        for (direction, option) in [("from", ""), ("to", "-R")] {
            step(&format!("iperf3 {direction} Linux, IPv{family}"), || {
                run_iperf3(&linux, host, &format!("-{family} -c {ours} {option}"))
            })?;
        }
    }
    step("ping to nobody", || {
        let answered = pings_answered(&linux, "10.77.0.99", 1)?;
        ensure!(answered == 0, "{answered} answers");
        Ok(())
    })?;

    drop(linux);
    machine.stop();
    drop(port);
    pcap.flush()?;
    step("tshark on all of that", || judge(&dir.join("run.pcap")))?;
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

fn ping(linux: &LinuxPeer, target: IpAddr) -> Result<()> {
    let answered = pings_answered(linux, &target.to_string(), PINGS)?;
    ensure!(answered == PINGS, "{answered} of {PINGS} pings are answered");
    Ok(())
}

/// How many pings of 1,400 bytes are answered.
fn pings_answered(linux: &LinuxPeer, target: &str, count: usize) -> Result<usize> {
    let finished = linux.run(&format!("ping -c {count} -W 5 -s 1400 {target}"), LIMIT)?;
    let answers = finished
        .lines
        .iter()
        .filter(|line| line.starts_with("1408 bytes from"));
    Ok(answers.count())
}

/// One test against our server: both sides must have counted the same.
fn run_iperf3(linux: &LinuxPeer, host: &HostStack, options: &str) -> Result<()> {
    let mut listener = host.listen(iperf::PORT)?;
    let command = format!("iperf3 {options} -n {BYTES} -J --connect-timeout 20000");
    let running = linux.start(&command)?;
    let ours = iperf::serve(&mut listener, LIMIT);
    let finished = running.finish(LIMIT)?;
    let printed = finished.lines.join("\n");
    let ours = ours.with_context(|| format!("our side of `{command}`, which printed {printed}"))?;
    ensure!(finished.code == 0, "`{command}` fails: {printed}");
    ensure!(ours >= BYTES, "our side has counted {ours} bytes");
    let count = |sum: &str| {
        let (_, sum) = printed.split_once(&format!("\"{sum}\":"))?;
        let (_, bytes) = sum.split_once("\"bytes\":")?;
        let end = bytes.find([',', '\n', '}'])?;
        bytes[..end].trim().parse::<u64>().ok()
    };
    let (sent, received) = (count("sum_sent"), count("sum_received"));
    ensure!(
        [sent, received]
            .iter()
            .all(|bytes| bytes.is_some_and(|bytes| bytes >= BYTES)),
        "iperf3 counts {sent:?} and {received:?} bytes: {printed}"
    );
    Ok(())
}

/// Nothing is malformed, and our station has sent each protocol. The checksums were judged by Linux, which drops what is wrong.
fn judge(pcap: &Path) -> Result<()> {
    tshark::assert_clean(pcap)?;
    let ours = "eth.src == 52:54:00:77:00:09";
    for protocol in ["tcp", "icmp", "icmpv6"] {
        let frames = tshark::decode(pcap, &format!("{ours} && {protocol}"), &["frame.number"])?;
        ensure!(frames.len() >= PINGS, "{} frames of {protocol}", frames.len());
    }
    Ok(())
}
