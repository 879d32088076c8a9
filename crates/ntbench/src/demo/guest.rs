//! The picture of a run in a QEMU guest. The guest's bench reports the calls (`report`), and the process that serves the NIC
//! captures the wire; [`run`], `ntbench ladder`, puts both together on the host.
//!
//! Two clocks were read: the guest's and the host's. The request is on the wire before the consumer is told of it, and the consumer calls
//! `NdkReject` before the answer is on the wire; the guest's clock is set so that both ways take equally long, as NTP does it. Times between
//! lines of the same kind are exact, others may be off by half of what both ways take together.

use super::ladder::{self, Line};
use super::{DemoError, PORT};
use crate::wire::pcap::read_pcap;
use clap::{Arg, ArgMatches, Command, value_parser};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// What a reported call begins with, before its time in nanoseconds since 1970.
const REPORT: &str = "@call";
/// The consumer is told of the request.
const TOLD: &str = "<= NdkConnectEventCallback";
/// The consumer rejects it.
const REJECTS: &str = "-> NdkReject";

/// Prints the calls so far, for whoever has started the guest.
pub(super) fn report() {
    for Line { time, text } in ladder::calls() {
        let time = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        println!("{REPORT} {} {text}", time.as_nanos());
    }
}

/// The subcommand.
#[must_use]
pub fn command() -> Command {
    let path = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .required(true)
            .value_parser(value_parser!(PathBuf))
            .help(help)
    };
    Command::new("ladder")
        .about("Show a capture, and what `ntbench demo --vfio` in a guest printed, as one picture")
        .args([
            path("pcap", "What vrnic-vfio-user has captured"),
            path("calls", "What the demo in the guest has printed"),
        ])
}

/// Runs the subcommand.
#[must_use]
pub fn run(arguments: &ArgMatches) -> ExitCode {
    let path = |name| arguments.get_one::<PathBuf>(name).cloned().unwrap_or_default();
    match picture(&path("pcap"), &path("calls")) {
        Ok(picture) => {
            println!("{picture}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("ntbench ladder: {error}");
            ExitCode::FAILURE
        }
    }
}

fn picture(pcap: &Path, calls: &Path) -> Result<String, DemoError> {
    let capture = fs::read(pcap)?;
    let frames = read_pcap(&capture)?.into_iter();
    let wire: Vec<Line> = frames
        .filter_map(|(time, frame)| ladder::message(time, frame))
        .collect();
    let printed = fs::read_to_string(calls)?;
    let mut calls: Vec<Line> = printed.lines().filter_map(reported).collect();
    let ahead = Ahead::of(&wire, &calls).ok_or(DemoError::Incomplete)?;
    for call in &mut calls {
        call.time = ahead.on_the_host(call.time);
    }
    let lines = wire.into_iter().chain(calls.into_iter().map(ladder::indented));
    Ok(ladder::draw(lines.collect()))
}

/// Reads a line of [`report`].
fn reported(line: &str) -> Option<Line> {
    let (time, text) = line.strip_prefix(REPORT)?.trim_start().split_once(' ')?;
    Some(Line {
        time: SystemTime::UNIX_EPOCH + Duration::from_nanos(time.parse().ok()?),
        text: text.to_owned(),
    })
}

/// How far the guest's clock is ahead of the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ahead {
    By(Duration),
    Behind(Duration),
}

impl Ahead {
    fn of(wire: &[Line], calls: &[Line]) -> Option<Self> {
        let at = |lines: &[Line], texts: [&str; 2]| {
            let mut found = lines
                .iter()
                .filter(|line| texts.iter().all(|text| line.text.contains(text)));
            found.next().map(|line| line.time)
        };
        let asked = at(wire, [" REQ ", &format!("to port {PORT}")])?;
        let answered = at(wire, [" REJ ", ""])?;
        let (told, rejected) = (at(calls, [TOLD, ""])?, at(calls, [REJECTS, ""])?);
        let host = middle(asked, answered);
        let guest = middle(told, rejected);
        Some(match guest.duration_since(host) {
            Ok(ahead) => Self::By(ahead),
            Err(behind) => Self::Behind(behind.duration()),
        })
    }

    fn on_the_host(self, guest: SystemTime) -> SystemTime {
        match self {
            Self::By(ahead) => guest - ahead,
            Self::Behind(behind) => guest + behind,
        }
    }
}

fn middle(first: SystemTime, last: SystemTime) -> SystemTime {
    first + last.duration_since(first).unwrap_or_default() / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(milliseconds: u64, text: &str) -> Line {
        Line {
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds),
            text: text.to_owned(),
        }
    }

    #[test]
    fn both_ways_take_equally_long() {
        let wire = [
            line(1000, "10.77.0.2    ──▶ REQ  id 0x1, to port 7777 from port 4"),
            line(1010, "10.77.0.2    ◀── REJ  id 0x2"),
        ];
        for (clock, expected) in [(5000, 1003), (10, 1003)] {
            let calls = [
                line(clock - 8, "-> NdkListen(listener 1)"),
                line(clock, "<= NdkConnectEventCallback(listener 1)"),
                line(clock + 4, "-> NdkReject(connector 2)"),
            ];
            let ahead = Ahead::of(&wire, &calls).expect("all is there");
            assert_eq!(ahead.on_the_host(calls[1].time), line(expected, "").time);
            assert_eq!(ahead.on_the_host(calls[0].time), line(expected - 8, "").time);
            assert_eq!(Ahead::of(&wire[..1], &calls), None, "no answer");
            assert_eq!(Ahead::of(&wire, &calls[..2]), None, "no call");
        }
    }

    #[test]
    fn only_reports_are_read() {
        assert_eq!(
            reported("@call 7000000 -> NdkReject(connector 2)"),
            Some(line(7, "-> NdkReject(connector 2)"))
        );
        for other in [
            "",
            "@call",
            "@call 7",
            "@call x y",
            "result     rejected, as it should be",
        ] {
            assert_eq!(reported(other), None, "{other}");
        }
    }
}
