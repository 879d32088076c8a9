//! rping, ucmatose and perftest, either side as server, at both packet sizes and over both families.

use crate::support::{Bench, LIMIT, Setup, step};
use anyhow::{Context, Result, ensure};
use ntbench::apps::echo::{self, Exchange};
use ntbench::apps::perftest::{self, Test, Verb};
use ntbench::apps::rping;
use ntbench::machine::{NIC_IPV4, NIC_IPV6};
use ntbench::wire::Impairment;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::thread;
use std::time::Duration;
use xtask::peer::guest::Finished;

/// The guest's addresses.
const LINUX_IPV4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2));
const LINUX_IPV6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2));
const PORT: u16 = 7600;
/// How long a server in the guest gets until it listens; a client that comes too early is refused and comes again.
const START: Duration = Duration::from_secs(20);

/// Judges with Linux: rping, ucmatose, `ib_send_bw`, `ib_read_bw`, `ib_write_bw`, `ib_send_lat`, `ib_read_lat`, `ib_write_lat`, MTU 1024, IPv6
#[test]
fn the_tools_of_linux_agree_with_packets_of_1024_bytes() -> Result<()> {
    run("linux-tools-1024", 1500)
}

/// Judges with Linux: rping, ucmatose, `ib_send_bw`, `ib_read_bw`, `ib_write_bw`, `ib_send_lat`, `ib_read_lat`, `ib_write_lat`, MTU 4096
#[test]
fn the_tools_of_linux_agree_with_packets_of_4096_bytes() -> Result<()> {
    run("linux-tools-4096", 9000)
}

fn run(name: &'static str, mtu: u16) -> Result<()> {
    let bench = Bench::boot(&Setup {
        name,
        mtu,
        impairment: Impairment::default(),
    })?;
    all_tools(&bench)?;
    bench.finish(|_| Ok(()))
}

/// Every tool once in each role.
fn all_tools(bench: &Bench) -> Result<()> {
    for (ours, theirs) in [
        (IpAddr::from(NIC_IPV4), LINUX_IPV4),
        (NIC_IPV6.into(), LINUX_IPV6),
    ] {
        step(&format!("rping from {theirs}"), || rping_to_us(bench, ours))?;
        step(&format!("rping to {theirs}"), || {
            rping_from_us(bench, ours, theirs)
        })?;
    }
    step("ucmatose from Linux", || ucmatose_to_us(bench))?;
    step("ucmatose to Linux", || ucmatose_from_us(bench))?;
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
        };
        step(&format!("{program} from Linux"), || {
            perftest_to_us(bench, program, test)
        })?;
        step(&format!("{program} to Linux"), || {
            perftest_from_us(bench, program, test)
        })?;
    }
    Ok(())
}

/// Runs a program in the guest while `ours` runs here. Both must succeed.
fn with_guest<T>(
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
    mut ours: impl FnMut() -> ntbench::apps::Result<()>,
) -> Result<Finished> {
    let deadline = std::time::Instant::now() + START;
    let (finished, ()) = with_guest(bench, command, || {
        loop {
            let result = ours();
            let refused = matches!(&result, Err(ntbench::apps::AppError::Call("NdkConnect", status))
                if status == "STATUS_CONNECTION_REFUSED");
            if !refused || std::time::Instant::now() > deadline {
                return result;
            }
            thread::sleep(Duration::from_millis(50));
        }
    })?;
    Ok(finished)
}

fn rping_to_us(bench: &Bench, ours: IpAddr) -> Result<()> {
    const PINGS: usize = 10;
    let incoming = bench.listen(SocketAddr::new(ours, PORT))?;
    // -V: it compares what comes back with what it has sent.
    let command = format!("rping -c -V -C {PINGS} -S 5000 -a {ours} -p {PORT}");
    let (_, texts) = with_guest(bench, &command, || {
        let connector = incoming
            .next_within(LIMIT)
            .ok_or(ntbench::apps::AppError::Silence("a connection"))?;
        rping::serve(&bench.ndk, connector)
    })?;
    ensure!(texts.len() == PINGS, "{} pings arrive", texts.len());
    for (number, text) in texts.iter().enumerate() {
        ensure!(
            text.starts_with(&format!("rdma-ping-{number}: ")),
            "ping {number} is {text:?}"
        );
    }
    Ok(())
}

fn rping_from_us(bench: &Bench, ours: IpAddr, theirs: IpAddr) -> Result<()> {
    let command = format!("rping -s -v -C 10 -S 5000 -a {theirs} -p {PORT}");
    let (source, target) = (SocketAddr::new(ours, 0), SocketAddr::new(theirs, PORT));
    let finished = with_server(bench, &command, || {
        rping::ping(&bench.ndk, source, target, 10, 5000)
    })?;
    let pings = finished
        .lines
        .iter()
        .filter(|line| line.contains("rdma-ping-"))
        .count();
    ensure!(pings == 10, "rping prints {:#?}", finished.lines);
    Ok(())
}

const EXCHANGE: Exchange = Exchange {
    count: 16,
    size: 3000,
};

fn ucmatose_to_us(bench: &Bench) -> Result<()> {
    let incoming = bench.listen((NIC_IPV4, PORT).into())?;
    let command = format!(
        "ucmatose -s {NIC_IPV4} -p {PORT} -C {} -S {}",
        EXCHANGE.count, EXCHANGE.size
    );
    let (finished, ()) = with_guest(bench, &command, || {
        let connector = incoming
            .next_within(LIMIT)
            .ok_or(ntbench::apps::AppError::Silence("a connection"))?;
        echo::serve(&bench.ndk, connector, EXCHANGE)
    })?;
    expect_line(&finished, "data transfers complete")
}

fn ucmatose_from_us(bench: &Bench) -> Result<()> {
    let command = format!(
        "ucmatose -b {LINUX_IPV4} -p {PORT} -C {} -S {}",
        EXCHANGE.count, EXCHANGE.size
    );
    let (source, target) = ((NIC_IPV4, 0).into(), SocketAddr::new(LINUX_IPV4, PORT));
    let finished = with_server(bench, &command, || {
        echo::run(&bench.ndk, source, target, EXCHANGE)
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

fn perftest_to_us(bench: &Bench, program: &str, test: Test) -> Result<()> {
    let incoming = bench.listen((NIC_IPV4, PORT).into())?;
    let command = format!("{} {NIC_IPV4}", options(program, test));
    let (finished, ()) = with_guest(bench, &command, || perftest::serve(&bench.ndk, &incoming, test))?;
    expect_result(&finished, test)
}

fn perftest_from_us(bench: &Bench, program: &str, test: Test) -> Result<()> {
    let version = bench.linux().run(&format!("{program} --version"), LIMIT)?;
    let version = version
        .lines
        .iter()
        .find_map(|line| line.strip_prefix("Version: "));
    let version = version.context("it says no version")?.to_owned();
    let (source, target) = ((NIC_IPV4, 0).into(), SocketAddr::new(LINUX_IPV4, PORT));
    let finished = with_server(bench, &options(program, test), || {
        perftest::run(&bench.ndk, source, target, test, &version)
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
