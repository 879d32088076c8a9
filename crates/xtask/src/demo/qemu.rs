//! `./x demo --qemu`: the NIC is served to stock QEMU over vfio-user. In its guest the bench drives it through VFIO with the same
//! `vrnic.sys`; a second guest with soft-RoCE on the same wire sends the request.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{Listening, capture, connect, exit_code, for_the_bench};
use crate::cargo::{build_bench, build_server};
use crate::driver::{self, Image, Profile};
use crate::paths;
use crate::peer::PeerFiles;
use crate::peer::guest::{Finished, Running};
use crate::progress::Step;
use crate::qemu::Qemu;
use crate::qemu::guest::{BENCH, NicGuest, Payload, in_guest};
use crate::qemu::rig::{Rig, Setup};

/// How long the bench may say nothing: it runs under emulation.
const LIMIT: Duration = Duration::from_mins(2);

/// Where the bench in the guest waits for what Linux reports.
const ANSWER: &str = "/tmp/answer";

/// Runs it; the exit code is the bench's.
///
/// # Errors
/// When something cannot be had, built or started.
pub fn run() -> Result<ExitCode> {
    let (qemu, peer) = (Qemu::prepare()?, PeerFiles::prepare()?);
    let sys = driver::build(Image::Vrnic, Profile::Release)?;
    let (bench, server) = (build_bench()?, build_server()?);
    let dir = paths::run_dir("demo")?;
    let pcap = capture("qemu")?;
    let rig = Rig::start(Setup {
        dir: dir.clone(),
        nics: 1,
        server,
        payload: Some(Payload {
            bench: bench.clone(),
            images: vec![sys.clone()],
        }),
        pcap: Some(pcap.clone()),
        qemu,
        peer,
    })?;
    let finished = reject(&rig, &in_guest(&sys))?;
    if finished.code == 0 {
        draw(&bench, &pcap, &finished, &dir)?;
    }
    for line in finished.lines.iter().filter(|line| !line.starts_with('@')) {
        println!("{line}");
    }
    println!("capture    {}", pcap.display());
    // The consoles of the guests are worth keeping only when something went wrong.
    if finished.code == 0 {
        rig.finish()?;
    }
    Ok(exit_code(Some(finished.code)))
}

/// Boots both guests; the bench in one rejects the request of the other one. Returns what the bench printed.
fn reject(rig: &Rig, sys: &str) -> Result<Finished> {
    let step = Step::start("Booting two Linux guests in QEMU, one with the NIC, one with soft-RoCE");
    let (guest, nics, peer) = rig.boot_with_peer(Vec::new())?;
    step.done("");
    let nic = nics.first().context("there is no NIC")?;
    let step = Step::start("The bench in the guest loads vrnic.sys, which takes the NIC over through VFIO");
    // The bench reads its standard input to the end when it wants the answer.
    let mut bench = guest.linux.start(&format!(
        "{{ while ! test -e {ANSWER}; do sleep 0.2; done; cat {ANSWER}; }} | \
         {BENCH} demo --sys {sys} --peer linux --vfio {nic}"
    ))?;
    let mut lines = Vec::new();
    let Some(listening) = listening(&mut bench, &mut lines)? else {
        return ended(bench, lines);
    };
    step.done("");
    let reported = connect(&peer, &listening);
    answer(&guest, &for_the_bench(&reported))?;
    let finished = ended(bench, lines)?;
    reported.map(|_| finished)
}

/// Reads the bench's lines until its consumer listens; `None` if it ended before.
fn listening(bench: &mut Running, lines: &mut Vec<String>) -> Result<Option<Listening>> {
    while let Some(line) = bench.next_line(LIMIT)? {
        match Listening::parse(&line) {
            Some(listening) => return listening.map(Some),
            None => lines.push(line),
        }
    }
    Ok(None)
}

/// The end of the bench.
fn ended(bench: Running, mut lines: Vec<String>) -> Result<Finished> {
    let finished = bench.finish(LIMIT)?;
    lines.extend(finished.lines);
    Ok(Finished {
        lines,
        code: finished.code,
    })
}

/// Hands lines to the bench.
fn answer(guest: &NicGuest, lines: &str) -> Result<()> {
    let quoted = |line: &str| format!("'{}'", line.replace('\'', "'\\''"));
    let lines = lines.lines().map(quoted).collect::<Vec<_>>().join(" ");
    guest.shell(&format!(
        "printf '%s\\n' {lines} > {ANSWER}.new && mv {ANSWER}.new {ANSWER}"
    ))?;
    Ok(())
}

/// Shows the messages on the wire and the calls in the guest as one picture.
fn draw(bench: &Path, pcap: &Path, finished: &Finished, dir: &Path) -> Result<()> {
    let calls = dir.join("calls.txt");
    fs::write(&calls, finished.lines.join("\n"))?;
    let mut ladder = Command::new(bench);
    ladder
        .arg("ladder")
        .arg("--pcap")
        .arg(pcap)
        .arg("--calls")
        .arg(&calls);
    let status = ladder.status().context("cannot start the bench")?;
    if !status.success() {
        bail!("the bench cannot draw what happened ({status})");
    }
    Ok(())
}
