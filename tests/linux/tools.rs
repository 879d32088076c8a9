//! rping, ucmatose and perftest, either side as server, at both packet sizes and over both families.

use crate::pingpong;
use crate::support::{Bench, LIMIT, LINUX_IPV4, LINUX_IPV6, Setup, Station, step};
use anyhow::{Context, Result, ensure};
use ntbench::apps::echo::{self, Exchange};
use ntbench::apps::perftest::{self, Test, Verb};
use ntbench::apps::{rping, until_served};
use ntbench::wire::Impairment;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use xtask::peer::guest::Finished;
use xtask::tshark;

const PORT: u16 = 7600;
/// How long a server in the guest gets until it listens; a client that comes too early is refused and comes again.
const START: Duration = Duration::from_secs(20);

/// Judges with Linux: rping, `ibv_rc_pingpong`, ucmatose, `ib_send_bw`, `ib_read_bw`, `ib_write_bw`, `ib_send_lat`, `ib_read_lat`, `ib_write_lat`, MTU 1024, MTU 4096, IPv6
#[test]
fn the_tools_of_linux_agree() -> Result<()> {
    const MTUS: [u16; 2] = [1500, 9000];
    let bench = Bench::boot(&Setup {
        name: "linux-tools",
        mtus: &MTUS,
        impairment: Impairment::default(),
    })?;
    for (number, mtu) in MTUS.into_iter().enumerate() {
        step(&format!("with an MTU of {mtu}"), || {
            bench.linux().set_mtu(mtu)?;
            all_tools(&bench.station(number))?;
            pingpong::both_ways(&bench, mtu)
        })?;
    }
    bench.finish(judge)
}

/// Every tool once in each role.
fn all_tools(station: &Station<'_>) -> Result<()> {
    for (ours, theirs) in families(station) {
        step(&format!("rping from {theirs}"), || rping_to_us(station, ours, 10))?;
        step(&format!("rping to {theirs}"), || {
            rping_from_us(station, ours, theirs, 10)
        })?;
    }
    step("ucmatose from Linux", || ucmatose_to_us(station))?;
    step("ucmatose to Linux", || ucmatose_from_us(station))?;
    for (program, verb, latency) in [
        ("ib_send_bw", Verb::Send, false),
        ("ib_read_bw", Verb::Read, false),
        ("ib_write_bw", Verb::Write, false),
        ("ib_send_lat", Verb::Send, true),
        ("ib_read_lat", Verb::Read, true),
        ("ib_write_lat", Verb::Write, true),
    ] {
        let test = Test {
            verb,
            latency,
            iterations: if latency { 20 } else { 100 },
            size: if latency { 64 } else { 16 * 1024 },
            linger: Duration::ZERO,
        };
        step(&format!("{program} from Linux"), || {
            perftest_to_us(station, program, test)
        })?;
        step(&format!("{program} to Linux"), || {
            perftest_from_us(station, program, test)
        })?;
    }
    Ok(())
}

/// Our address and the guest's, in both families.
pub fn families(station: &Station<'_>) -> [(IpAddr, IpAddr); 2] {
    [
        (station.ipv4, LINUX_IPV4.into()),
        (station.ipv6, LINUX_IPV6.into()),
    ]
}

/// What tshark says of the capture: there were packets of both sizes.
fn judge(pcap: &Path) -> Result<()> {
    // Ethernet, IPv4, UDP, BTH, payload, ICRC.
    for length in [1024, 4096].map(|payload| 14 + 20 + 8 + 12 + payload + 4) {
        let filter = format!("infiniband && frame.len == {length}");
        let packets = tshark::decode(pcap, &filter, &["frame.len"])?;
        ensure!(
            packets.len() >= 100,
            "{} packets of {length} bytes",
            packets.len()
        );
    }
    Ok(())
}

/// Runs a program in the guest while `ours` runs here. Both must succeed.
pub fn with_guest<T>(
    bench: &Bench,
    command: &str,
    ours: impl FnOnce() -> ntbench::apps::Result<T>,
) -> Result<(Finished, T)> {
    let running = bench.linux().start(command)?;
    let result = ours();
    let finished = running.finish(LIMIT).with_context(|| match &result {
        Ok(_) => format!("`{command}` does not end"),
        Err(error) => format!("`{command}` does not end; our side says: {error}"),
    })?;
    let result =
        result.with_context(|| format!("our side of `{command}`, which printed {:#?}", finished.lines))?;
    ensure!(finished.code == 0, "`{command}` fails: {:#?}", finished.lines);
    Ok((finished, result))
}

/// As [`with_guest`], with a server in the guest: we come again until it listens.
fn with_server(
    bench: &Bench,
    command: &str,
    ours: impl FnMut() -> ntbench::apps::Result<()>,
) -> Result<Finished> {
    let (finished, ()) = with_guest(bench, command, || until_served(START, ours))?;
    Ok(finished)
}

pub fn rping_to_us(station: &Station<'_>, ours: IpAddr, pings: usize) -> Result<()> {
    let incoming = station.listen(SocketAddr::new(ours, PORT))?;
    // -V: it compares what comes back with what it has sent.
    let command = format!("rping -c -V -C {pings} -S 5000 -a {ours} -p {PORT}");
    let (_, texts) = with_guest(station.bench, &command, || {
        let connector = incoming
            .next_within(LIMIT)
            .ok_or(ntbench::apps::AppError::Silence("a connection"))?;
        rping::serve(station.ndk, connector, pings)
    })?;
    for (number, text) in texts.iter().enumerate() {
        ensure!(
            text.starts_with(&format!("rdma-ping-{number}: ")),
            "ping {number} is {text:?}"
        );
    }
    Ok(())
}

pub fn rping_from_us(station: &Station<'_>, ours: IpAddr, theirs: IpAddr, pings: usize) -> Result<()> {
    let command = format!("rping -s -v -C {pings} -S 5000 -a {theirs} -p {PORT}");
    let (source, target) = (SocketAddr::new(ours, 0), SocketAddr::new(theirs, PORT));
    let finished = with_server(station.bench, &command, || {
        rping::ping(station.ndk, source, target, pings, 5000)
    })?;
    let printed = finished
        .lines
        .iter()
        .filter(|line| line.contains("rdma-ping-"))
        .count();
    ensure!(printed == pings, "rping prints {:#?}", finished.lines);
    Ok(())
}

const EXCHANGE: Exchange = Exchange {
    count: 16,
    size: 3000,
};

fn ucmatose_to_us(station: &Station<'_>) -> Result<()> {
    let incoming = station.listen(SocketAddr::new(station.ipv4, PORT))?;
    let command = format!(
        "ucmatose -s {} -p {PORT} -C {} -S {}",
        station.ipv4, EXCHANGE.count, EXCHANGE.size
    );
    let (finished, ()) = with_guest(station.bench, &command, || {
        let connector = incoming
            .next_within(LIMIT)
            .ok_or(ntbench::apps::AppError::Silence("a connection"))?;
        echo::serve(station.ndk, connector, EXCHANGE)
    })?;
    expect_line(&finished, "data transfers complete")
}

fn ucmatose_from_us(station: &Station<'_>) -> Result<()> {
    let command = format!(
        "ucmatose -b {LINUX_IPV4} -p {PORT} -C {} -S {}",
        EXCHANGE.count, EXCHANGE.size
    );
    let (source, target) = (SocketAddr::new(station.ipv4, 0), (LINUX_IPV4, PORT).into());
    let finished = with_server(station.bench, &command, || {
        echo::run(station.ndk, source, target, EXCHANGE)
    })?;
    expect_line(&finished, "data transfers complete")
}

/// The program's options that both sides must agree on.
fn options(program: &str, test: Test) -> String {
    format!(
        "{program} -R -F -n {} -s {} -p {PORT}",
        test.iterations, test.size
    )
}

pub fn perftest_to_us(station: &Station<'_>, program: &str, test: Test) -> Result<()> {
    let incoming = station.listen(SocketAddr::new(station.ipv4, PORT))?;
    let command = format!("{} {}", options(program, test), station.ipv4);
    let (finished, ()) = with_guest(station.bench, &command, || {
        perftest::serve(station.ndk, &incoming, test)
    })?;
    expect_result(&finished, test)
}

pub fn perftest_from_us(station: &Station<'_>, program: &str, test: Test) -> Result<()> {
    let version = station
        .bench
        .linux()
        .run(&format!("{program} --version"), LIMIT)?;
    let version = version
        .lines
        .iter()
        .find_map(|line| line.strip_prefix("Version: "));
    let version = version.context("it says no version")?.to_owned();
    let (source, target) = (SocketAddr::new(station.ipv4, 0), (LINUX_IPV4, PORT).into());
    let finished = with_server(station.bench, &options(program, test), || {
        perftest::run(station.ndk, source, target, test, &version)
    })?;
    // A server of a one-sided test has no result of its own.
    if test.verb == Verb::Send {
        expect_result(&finished, test)?;
    }
    Ok(())
}

fn expect_line(finished: &Finished, text: &str) -> Result<()> {
    let found = finished.lines.iter().any(|line| line.contains(text));
    ensure!(found, "it prints {:#?}", finished.lines);
    Ok(())
}

/// perftest's line of results begins with the size and the number of iterations.
fn expect_result(finished: &Finished, test: Test) -> Result<()> {
    let expected = [test.size.to_string(), test.iterations.to_string()];
    let found = finished.lines.iter().any(|line| {
        line.split_ascii_whitespace()
            .take(2)
            .eq(expected.iter().map(String::as_str))
    });
    ensure!(found, "it prints {:#?}", finished.lines);
    Ok(())
}
