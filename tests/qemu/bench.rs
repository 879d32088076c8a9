//! In a guest, the bench drives two NICs through VFIO with the same `vrnic.sys`; a second guest with soft-RoCE is on their wire.
//!
//! One test, because guests take long to boot; each step says what it is about.

use super::guests::{Guests, NICS, clean, consumer};
use super::support::step;
use anyhow::{Context, Result, ensure};
use ntbench::verifier::EXIT_CODE;
use std::time::Duration;
use xtask::peer::Connect;
use xtask::peer::guest::{Finished, Running};
use xtask::tshark;

/// How long anything may take; under emulation on a busy machine a second is little.
const LIMIT: Duration = Duration::from_mins(3);
/// Where the apps of the bench listen, and Linux's.
const PORT: u16 = 7500;
/// Linux's numbers for a consumer's reject, and for nobody listening.
const CONSUMER_DEFINED: i32 = 28;
const INVALID_SERVICE_ID: i32 = 8;
/// What a loop of the guest's tools may carry.
const BYTES: u64 = 1 << 20;

/// Judges functions: `NdkReject`, `NdkAccept`, `NdkDisconnect`
/// Judges with Linux: reject through QEMU, rping through QEMU, perftest through QEMU, iperf3 through QEMU, two NICs in a guest, reset in a guest, NIC lost in a guest
#[test]
fn the_driver_works_in_a_guest() -> Result<()> {
    let mut guests = Guests::boot("qemu-bench")?;
    let version = perftest_version(&guests)?;
    step("what Linux asks of the driver, and the driver of Linux", || {
        conversation(&guests, &version)
    })?;
    step(
        "Linux resets the function, and the driver is loaded again",
        || loaded_again(&guests),
    )?;
    step("a consumer between two NICs", || two_nics(&guests))?;
    step("a consumer that breaks a rule", || broken_rule(&guests))?;
    step("the function is reset under the driver", || {
        reset_under_it(&guests)
    })?;
    step("the NIC's process is killed under the driver", || {
        killed_under_it(&mut guests)
    })?;
    let pcap = guests.pcap.clone();
    let dir = guests.finish();
    step("tshark on all of that", || judge(&pcap))?;
    Ok(std::fs::remove_dir_all(dir)?)
}

/// A bench that runs apps one after another, and what it has said.
struct Bench {
    running: Running,
    said: Vec<String>,
}

impl Bench {
    fn start(guests: &Guests, apps: &[String]) -> Result<Self> {
        let apps = apps.join("' --app '");
        let running = guests.bench(&format!("--adapter {} --app '{apps}'", guests.adapter(0)))?;
        let said = Vec::new();
        Ok(Self { running, said })
    }

    /// Waits until it says a line.
    fn says(&mut self, wanted: &str) -> Result<()> {
        loop {
            let line = self.running.next_line(LIMIT)?;
            let line = line.with_context(|| format!("it ended without `{wanted}`: {:#?}", self.said))?;
            let found = line.starts_with(wanted);
            self.said.push(line);
            if found {
                return Ok(());
            }
        }
    }

    /// A server of the bench gets a client of Linux.
    fn serves(&mut self, guests: &Guests, app: &str, client: &str) -> Result<Finished> {
        step(client, || {
            self.says(&format!("{app}: listening"))?;
            let finished = guests.peer.run(client, LIMIT)?;
            ensure!(finished.code == 0, "it fails: {:#?}", finished.lines);
            self.says(&format!("{app}: done"))?;
            Ok(finished)
        })
    }

    /// A client of the bench gets a server of Linux.
    fn asks(&mut self, guests: &Guests, app: &str, server: &str) -> Result<Finished> {
        step(server, || {
            let running = guests.peer.start(server)?;
            self.says(&format!("{app}: done"))?;
            let finished = running.finish(LIMIT)?;
            ensure!(finished.code == 0, "it fails: {:#?}", finished.lines);
            Ok(finished)
        })
    }

    /// Linux connects, and is rejected.
    fn rejects(&mut self, guests: &Guests, app: &str, data: &[u8]) -> Result<()> {
        self.says(&format!("{app}: listening"))?;
        rejected(guests, PORT, CONSUMER_DEFINED, data)?;
        self.says(&format!("{app}: done"))
    }

    fn finish(self) -> Result<Finished> {
        let Self { running, mut said } = self;
        let finished = running.finish(LIMIT)?;
        said.extend(finished.lines);
        Ok(Finished {
            lines: said,
            code: finished.code,
        })
    }
}

/// Linux connects to a port of the first NIC, and is told this.
fn rejected(guests: &Guests, port: u16, status: i32, data: &[u8]) -> Result<()> {
    let request = Connect::new(NICS[0].ipv4.into(), port);
    let events = guests.peer.connect(&request)?;
    let mut field = data.to_vec();
    field.resize(148, 0);
    ensure!(
        matches!(&events[..], [event] if event.event == "RDMA_CM_EVENT_REJECTED"
            && event.status == status && event.data == field),
        "Linux reports {events:?}"
    );
    Ok(())
}

fn conversation(guests: &Guests, version: &str) -> Result<()> {
    let (us, us6) = (NICS[0].ipv4, NICS[0].ipv6);
    let (them, them6) = (guests.linux.0, guests.linux.1);
    let perftest = format!("count=50,size=16384,port={PORT}");
    let apps = [
        "reject:data=not today".to_owned(),
        "ignore".to_owned(),
        "rping-server".to_owned(),
        format!("rping-server:at={us6}"),
        format!("rping-client:peer={them}"),
        format!("rping-client:peer={them6},at={us6}"),
        "ucmatose-server:count=8,size=3000".to_owned(),
        format!("ucmatose-client:count=8,size=3000,peer={them}"),
        format!("ib_send_bw-server:{perftest}"),
        format!("ib_read_bw-server:{perftest}"),
        format!("ib_write_bw-server:{perftest}"),
        format!("ib_send_bw-client:{perftest},peer={them},version={version}"),
        "iperf3-server".to_owned(),
        "iperf3-server".to_owned(),
    ];
    let mut bench = Bench::start(guests, &apps)?;
    step("a port that nobody listens on", || {
        bench.says("reject: listening")?;
        rejected(guests, PORT + 1, INVALID_SERVICE_ID, &[])
    })?;
    step("a reject with private data", || {
        rejected(guests, PORT, CONSUMER_DEFINED, b"not today")?;
        bench.says("reject: done")
    })?;
    step("a connector that is closed", || {
        bench.rejects(guests, "ignore", &[])
    })?;
    // -V: it compares what comes back with what it has sent. The client disconnects.
    for target in [us.to_string(), us6.to_string()] {
        let client = format!("rping -c -V -C 10 -S 5000 -a {target} -p {PORT}");
        bench.serves(guests, "rping-server", &client)?;
    }
    for own in [them.to_string(), them6.to_string()] {
        let server = format!("rping -s -v -C 10 -S 5000 -a {own} -p {PORT}");
        bench.asks(guests, "rping-client", &server)?;
    }
    // Here the server disconnects.
    let options = format!("-p {PORT} -C 8 -S 3000");
    bench.serves(guests, "ucmatose-server", &format!("ucmatose -s {us} {options}"))?;
    bench.asks(
        guests,
        "ucmatose-client",
        &format!("ucmatose -b {them} {options}"),
    )?;
    let options = format!("-R -F -n 50 -s 16384 -p {PORT}");
    for program in ["ib_send_bw", "ib_read_bw", "ib_write_bw"] {
        let client = format!("{program} {options} {us}");
        bench.serves(guests, &format!("{program}-server"), &client)?;
    }
    bench.asks(guests, "ib_send_bw-client", &format!("ib_send_bw {options}"))?;
    ethernet(guests, &mut bench)?;
    clean(&bench.finish()?)
}

/// Ordinary IP traffic through the same NIC.
fn ethernet(guests: &Guests, bench: &mut Bench) -> Result<()> {
    let us = NICS[0].ipv4;
    for target in [us.to_string(), NICS[0].ipv6.to_string()] {
        let ping = format!("ping -c 3 -W 10 -s 1400 {target}");
        step(&ping, || {
            let finished = guests.peer.run(&ping, LIMIT)?;
            let answers = finished
                .lines
                .iter()
                .filter(|line| line.starts_with("1408 bytes from"));
            ensure!(answers.count() == 3, "{:#?}", finished.lines);
            Ok(())
        })?;
    }
    for direction in ["", " -R"] {
        let client = format!("iperf3 -c {us} -p {PORT} -n {BYTES}{direction} --connect-timeout 20000");
        bench.serves(guests, "iperf3-server", &client)?;
        let carried = bench.said.iter().rev().find_map(|line| {
            let bytes = line.strip_prefix("iperf3-server: ")?.strip_suffix(" bytes")?;
            bytes.parse::<u64>().ok()
        });
        ensure!(carried >= Some(BYTES), "it has carried {carried:?} bytes");
    }
    Ok(())
}

/// The reset finds nothing that the last driver left, and the next one finds the function as after power-on.
fn loaded_again(guests: &Guests) -> Result<()> {
    guests.reset(0)?;
    for _ in 0..2 {
        let mut bench = Bench::start(guests, &["reject:data=and again".to_owned()])?;
        bench.rejects(guests, "reject", b"and again")?;
        clean(&bench.finish()?)?;
    }
    Ok(())
}

fn two_nics(guests: &Guests) -> Result<()> {
    let running = guests.bench(&format!(
        "--adapter {} --adapter {} --consumer {} --param Address={} --param PeerAddress={} --param PeerInterface={}",
        guests.adapter(0),
        guests.adapter(1),
        consumer("pingpong"),
        NICS[0].ipv4,
        NICS[1].ipv4,
        NICS[1].interface,
    ))?;
    let finished = running.finish(LIMIT)?;
    clean(&finished)?;
    for line in [
        "client: refused, as it should be",
        "client: 16 echoes in ",
        "client: read 65536 bytes",
        "client: wrote 65536 bytes",
        "client: invalidated token 0x",
        "client: disconnected by the server",
        "client: rejected what the server had accepted",
        "result: 0x00000000",
    ] {
        ensure!(
            finished.lines.iter().any(|said| said.contains(line)),
            "`{line}` is missing: {:#?}",
            finished.lines
        );
    }
    Ok(())
}

/// The negative control of all the others: what breaks a rule in the guest is noticed here.
fn broken_rule(guests: &Guests) -> Result<()> {
    let running = guests.bench(&format!(
        "--adapter {} --consumer UseAfterFree={}",
        guests.adapter(0),
        consumer("wrong"),
    ))?;
    let finished = running.finish(LIMIT)?;
    ensure!(
        finished.code == EXIT_CODE && names(&finished, "VERIFIER rule=UseAfterFree "),
        "it is not reported: {finished:#?}"
    );
    ensure!(clean(&finished).is_err(), "and would be overlooked");
    Ok(())
}

/// A ping that has no end.
fn endless(guests: &Guests) -> Result<(Bench, Running)> {
    let server = guests
        .peer
        .start(&format!("rping -s -v -S 64 -a {} -p {PORT}", guests.linux.0))?;
    let app = format!("rping-client:peer={},count=1000000,size=64", guests.linux.0);
    Ok((Bench::start(guests, &[app])?, server))
}

/// Waits until the peer has seen some pings.
fn flows(server: &mut Running) -> Result<()> {
    for _ in 0..20 {
        server.next_line(LIMIT)?.context("the server has ended")?;
    }
    Ok(())
}

/// The consumer is told, and everything comes down in good order.
fn ends_with_an_error(bench: Bench) -> Result<()> {
    let finished = bench.finish()?;
    ensure!(
        finished.code == 1
            && names(&finished, "ntbench run: rping-client: ")
            && !names(&finished, "VERIFIER"),
        "{finished:#?}"
    );
    Ok(())
}

fn reset_under_it(guests: &Guests) -> Result<()> {
    let (bench, mut server) = endless(guests)?;
    flows(&mut server)?;
    guests.reset(0)?;
    ends_with_an_error(bench)?;
    guests.kill_programs("rping")
}

/// QEMU 11.1.3 does not outlive its server for long: it ends itself when Linux gives the function's memory back, which it does when the
/// bench has ended, and in some runs by an assertion before that (`util/error.c`). Then the bench has had no time to say anything.
fn killed_under_it(guests: &mut Guests) -> Result<()> {
    let (mut bench, mut server) = endless(guests)?;
    flows(&mut server)?;
    guests.kill_server()?;
    // The last words come when the driver has been unloaded.
    let said = bench.says("ntbench run: rping-client: ");
    ensure!(
        !bench.said.iter().any(|line| line.contains("VERIFIER")),
        "{:#?}",
        bench.said
    );
    match said {
        Err(error) if guests.qemu_said("Assertion `*errp == NULL' failed")? => {
            eprintln!("           QEMU has ended itself before the bench could: {error}");
            Ok(())
        }
        said => said,
    }
}

fn names(finished: &Finished, text: &str) -> bool {
    finished.lines.iter().any(|line| line.contains(text))
}

/// A client must tell the server which version it is.
fn perftest_version(guests: &Guests) -> Result<String> {
    let said = guests.peer.run("ib_send_bw --version", LIMIT)?;
    let version = said.lines.iter().find_map(|line| line.strip_prefix("Version: "));
    Ok(version.context("it says no version")?.to_owned())
}

/// Nothing is malformed, and both NICs have rejected.
fn judge(pcap: &std::path::Path) -> Result<()> {
    tshark::assert_clean(pcap)?;
    for nic in &NICS {
        let filter = format!("infiniband.mad.attributeid == 0x0012 && ip.src == {}", nic.ipv4);
        let rejects = tshark::decode(pcap, &filter, &["frame.number"])?;
        ensure!(!rejects.is_empty(), "{} has rejected nothing", nic.ipv4);
    }
    Ok(())
}
