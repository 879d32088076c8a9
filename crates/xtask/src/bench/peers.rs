//! The peers of the benchmarks: libfabric's and UCX's own test programs between two processes on this machine, in the same run.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::table::{Figure, Unit};
use crate::packages::{self, Need, Proof};
use crate::progress::Step;

/// What the peers come from.
pub const PACKAGES: &[Need] = &[
    Need {
        package: "libfabric-bin",
        why: "measures libfabric as a peer",
        proof: Proof::Program("fi_pingpong"),
    },
    Need {
        package: "ucx-utils",
        why: "measures UCX as a peer",
        proof: Proof::Program("ucx_perftest"),
    },
];

const LATENCY: &str = "64 B one-way latency";
const MEDIUM: &str = "64 KiB bandwidth";
const LARGE: &str = "1 MiB bandwidth";

/// How often each measurement is made, unless the machine is so busy that they take long.
const RUNS: usize = 5;
/// After so long a measurement is not repeated.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a server may take until it listens.
const START: Duration = Duration::from_secs(10);
/// How long one measurement may take.
const LIMIT: Duration = Duration::from_mins(2);

/// One measurement of a peer.
struct Measurement {
    peer: &'static str,
    /// What is measured, as our own figure is called.
    name: &'static str,
    program: &'static str,
    /// The option that takes the port.
    port_option: &'static str,
    environment: &'static [(&'static str, &'static str)],
    arguments: &'static [&'static str],
    unit: Unit,
    read: fn(&str) -> Option<f64>,
}

const UCX_TCP: &[(&str, &str)] = &[
    ("UCX_TLS", "tcp"),
    ("UCX_NET_DEVICES", "lo"),
    ("UCX_WARN_UNUSED_ENV_VARS", "n"),
];
const UCX_SHARED: &[(&str, &str)] = &[("UCX_TLS", "posix,sysv,cma"), ("UCX_WARN_UNUSED_ENV_VARS", "n")];

const MEASUREMENTS: &[Measurement] = &[
    Measurement {
        name: LATENCY,
        unit: Unit::Microseconds,
        read: |output| column(output, "usec/xfer"),
        ..libfabric(
            "libfabric tcp",
            &["-p", "tcp", "-e", "msg", "-S", "64", "-I", "5000"],
        )
    },
    libfabric(
        "libfabric tcp",
        &["-p", "tcp", "-e", "msg", "-S", "65536", "-I", "1000"],
    ),
    Measurement {
        name: LARGE,
        ..libfabric(
            "libfabric tcp",
            &["-p", "tcp", "-e", "msg", "-S", "1048576", "-I", "200"],
        )
    },
    Measurement {
        name: LATENCY,
        unit: Unit::Microseconds,
        read: |output| column(output, "usec/xfer"),
        ..libfabric(
            "libfabric shm",
            &["-p", "shm", "-e", "rdm", "-S", "64", "-I", "10000"],
        )
    },
    ucx_latency(
        "UCX tcp",
        UCX_TCP,
        &["-t", "tag_lat", "-s", "64", "-n", "5000", "-w", "500"],
    ),
    ucx_latency(
        "UCX shm",
        UCX_SHARED,
        &["-t", "tag_lat", "-s", "64", "-n", "10000", "-w", "1000"],
    ),
    Measurement {
        name: "64 B messages",
        unit: Unit::PerSecond,
        read: |output| column(output, "overall_mr"),
        ..ucx_bandwidth(
            "UCX tcp",
            UCX_TCP,
            &["-t", "tag_bw", "-s", "64", "-n", "20000", "-w", "500"],
        )
    },
    ucx_bandwidth(
        "UCX tcp",
        UCX_TCP,
        &["-t", "tag_bw", "-s", "65536", "-n", "5000", "-w", "200"],
    ),
    ucx_bandwidth(
        "UCX shm",
        UCX_SHARED,
        &["-t", "tag_bw", "-s", "65536", "-n", "5000", "-w", "200"],
    ),
    Measurement {
        name: LARGE,
        ..ucx_bandwidth(
            "UCX tcp",
            UCX_TCP,
            &["-t", "tag_bw", "-s", "1048576", "-n", "500", "-w", "50"],
        )
    },
    Measurement {
        name: LARGE,
        ..ucx_bandwidth(
            "UCX shm",
            UCX_SHARED,
            &["-t", "tag_bw", "-s", "1048576", "-n", "2000", "-w", "100"],
        )
    },
];

/// Bandwidth with messages of 64 KiB, unless the measurement says otherwise: half a round trip, one message in flight.
const fn libfabric(peer: &'static str, arguments: &'static [&'static str]) -> Measurement {
    Measurement {
        peer,
        name: MEDIUM,
        program: "fi_pingpong",
        port_option: "",
        environment: &[],
        arguments,
        unit: Unit::GigabytesPerSecond,
        // Its megabytes have 10^6 bytes.
        read: |output| Some(column(output, "MB/sec")? / 1e3),
    }
}

const fn ucx_latency(
    peer: &'static str,
    environment: &'static [(&'static str, &'static str)],
    arguments: &'static [&'static str],
) -> Measurement {
    Measurement {
        name: LATENCY,
        unit: Unit::Microseconds,
        read: |output| column(output, "overall_lat"),
        ..ucx_bandwidth(peer, environment, arguments)
    }
}

/// Bandwidth with messages of 64 KiB, unless the measurement says otherwise.
const fn ucx_bandwidth(
    peer: &'static str,
    environment: &'static [(&'static str, &'static str)],
    arguments: &'static [&'static str],
) -> Measurement {
    Measurement {
        peer,
        name: MEDIUM,
        program: "ucx_perftest",
        port_option: "-p",
        environment,
        arguments,
        unit: Unit::GigabytesPerSecond,
        // UCX's megabytes have 2^20 bytes.
        read: |output| Some(column(output, "overall_bw")? * f64::from(1 << 20) / 1e9),
    }
}

/// Measures all peers: the best of some runs of each, as we take the best of ours.
///
/// # Errors
/// When a program cannot be had, fails, or prints something unexpected.
pub fn measure() -> Result<Vec<Figure>> {
    packages::ensure(PACKAGES)?;
    let step = Step::start("Measuring libfabric and UCX");
    let figures = MEASUREMENTS.iter().map(best).collect();
    step.done("");
    figures
}

fn best(measurement: &Measurement) -> Result<Figure> {
    let Measurement { peer, name, unit, .. } = *measurement;
    let better = if unit.less_is_better() { f64::min } else { f64::max };
    let start = Instant::now();
    let mut value = None;
    for _ in 0..RUNS {
        let this = run(measurement).with_context(|| format!("{peer} ({name})"))?;
        value = Some(value.map_or(this, |value| better(value, this)));
        if start.elapsed() > PATIENCE {
            break;
        }
    }
    Ok(Figure::new(peer, name, value.context("it never ran")?, unit))
}

fn run(measurement: &Measurement) -> Result<f64> {
    let port = free_port()?;
    let command = |role: &[&str]| {
        let mut command = Command::new(measurement.program);
        command.args(measurement.arguments).args(role);
        command.envs(measurement.environment.iter().copied());
        command
    };
    let port_text = port.to_string();
    let (server, client) = if measurement.port_option.is_empty() {
        // fi_pingpong: the server's control port, and the one that the client connects to.
        (vec!["-B", &*port_text], vec!["-P", &*port_text, "127.0.0.1"])
    } else {
        let port = [measurement.port_option, &*port_text];
        (port.to_vec(), [&port[..], &["-f", "-v", "127.0.0.1"]].concat())
    };
    let mut server = Server(
        command(&server)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", measurement.program))?,
    );
    wait_until_listening(port)?;
    let output = finish(
        command(&client)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?,
    )?;
    server.end()?;
    (measurement.read)(&output).with_context(|| format!("cannot read its figures from\n{output}"))
}

/// A server that does not outlive the measurement.
struct Server(Child);

impl Server {
    /// Waits for the server, which ends with its client.
    fn end(&mut self) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        while self.0.try_wait()?.is_none() {
            ensure!(Instant::now() < deadline, "the server does not end");
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended by itself unless something went wrong before.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn finish(client: Child) -> Result<String> {
    let mut client = Server(client);
    client.end()?;
    let mut text = String::new();
    if let Some(mut stdout) = client.0.stdout.take() {
        std::io::Read::read_to_string(&mut stdout, &mut text)?;
    }
    let status = client.0.wait()?;
    if !status.success() {
        let mut said = String::new();
        if let Some(mut stderr) = client.0.stderr.take() {
            std::io::Read::read_to_string(&mut stderr, &mut said)?;
        }
        bail!("{status}: {said}");
    }
    Ok(text)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Waits until the port is listened on, without connecting: that would be taken for the client.
fn wait_until_listening(port: u16) -> Result<()> {
    let deadline = Instant::now() + START;
    let address = format!(":{port:04X} ");
    while Instant::now() < deadline {
        let tables =
            ["/proc/net/tcp", "/proc/net/tcp6"].map(|file| std::fs::read_to_string(file).unwrap_or_default());
        let listening = |line: &str| {
            let mut columns = line.split_ascii_whitespace().skip(1);
            let local = columns
                .next()
                .is_some_and(|local| format!("{local} ").ends_with(&address));
            // State 0A is LISTEN.
            local && columns.nth(1) == Some("0A")
        };
        if tables.iter().flat_map(|table| table.lines()).any(listening) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(10));
    }
    bail!("the server does not listen on port {port}")
}

/// The number that stands under that name in the output, in a table with spaces or commas between its columns.
fn column(output: &str, name: &str) -> Option<f64> {
    let words = |line: &str| -> Vec<String> {
        let words = line.split([',', ' ', '\t']).filter(|word| !word.is_empty());
        words.map(str::to_owned).collect()
    };
    let mut lines = output.lines().map(words);
    let place = lines.find_map(|words| words.iter().position(|word| word == name))?;
    lines.next()?.get(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_what_the_programs_print() {
        let libfabric = "bytes   #sent   #ack     total       time     MB/sec    usec/xfer   Mxfers/sec\n\
                         64      20k     =20k     2.4m        0.28s      9.03       7.09       0.14\n";
        assert_eq!(column(libfabric, "usec/xfer"), Some(7.09));
        let ucx = "iterations,50.0_percentile_lat,avg_lat,overall_lat,avg_bw,overall_bw,avg_mr,overall_mr\n\
                   2000,7.238,170.854,170.855,5852.94,5852.95,5853,5853\n";
        assert_eq!(column(ucx, "overall_lat"), Some(170.855));
        assert_eq!(column(ucx, "overall_bw"), Some(5852.95));
        assert_eq!(column("nothing", "overall_bw"), None);
    }
}
