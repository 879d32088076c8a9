//! perftest's programs with `-R`: `ib_send_bw`, `ib_read_bw`, `ib_write_bw`, `ib_send_lat`, `ib_read_lat`, `ib_write_lat`.
//!
//! A client makes two connections to the same port: one for control messages, and one for the test. The control messages come in
//! pairs, the client's first: version, parameters, then `Destination`s, which name the memory of the test and keep both sides in
//! step, and for some tests the results. A server can give most of them back as they came: both sides must have the same
//! parameters. The facts are from perftest's source, version 6.06.

mod control;
mod side;

use super::node::{GRACE, LIMIT};
use super::{AppError, Result};
use crate::ndk::{Adapter, Incoming};
use control::{Control, Destination};
use side::Side;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `ib_send_…`
    Send,
    /// `ib_read_…`
    Read,
    /// `ib_write_…`
    Write,
}

/// A test, as both sides are told about it.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    /// Which requests.
    pub verb: Verb,
    /// `…_lat` rather than `…_bw`.
    pub latency: bool,
    /// Requests: the option `-n`.
    pub iterations: u32,
    /// Bytes of each: the option `-s`.
    pub size: usize,
    /// How long a client waits in the end for a server that may not have got its last acknowledgement: on a wire that loses nothing,
    /// not at all.
    pub linger: Duration,
}

/// Serves one client of one test.
///
/// # Errors
/// Something fails, or the client does not behave like perftest's.
pub fn serve(ndk: &Adapter, incoming: &Incoming, test: Test) -> Result<()> {
    let next = || {
        incoming
            .next_within(LIMIT)
            .ok_or(AppError::Silence("a connection"))
    };
    let mut control = Control::new(ndk)?;
    let mut side = Side::new(ndk, test)?;
    let ours = side.destination();
    control.accept(next()?)?;
    let (found, destinations) = mpsc::channel();
    thread::scope(|scope| {
        let mirror = scope.spawn(move || {
            for left in (0..test.messages()).rev() {
                let message = control.receive()?.ok_or(AppError::Silence("a control message"))?;
                let answer = if let Some(theirs) = Destination::from_bytes(&message) {
                    // Nobody listens any more when the test is over.
                    let _ = found.send(theirs);
                    ours.to_bytes().to_vec()
                } else {
                    message
                };
                match left {
                    0 => control.post(&answer)?,
                    _ => control.send(&answer)?,
                }
            }
            Ok(control)
        });
        side.accept(next()?)?;
        side.answer(|| {
            let named = destinations.iter().find(Destination::names_memory);
            named.ok_or(AppError::Silence("the client's memory"))
        })?;
        let mirrored = mirror
            .join()
            .map_err(|_| AppError::Nonsense("a panic".to_owned()))?;
        mirrored?.end(GRACE)?;
        side.disconnect()
    })
}

/// Runs a test against a server. `version` is the program's, as `--version` prints it.
///
/// # Errors
/// Something fails, or the server does not behave like perftest's.
pub fn run(ndk: &Adapter, source: SocketAddr, target: SocketAddr, test: Test, version: &str) -> Result<()> {
    let mut control = Control::new(ndk)?;
    let mut side = Side::new(ndk, test)?;
    control.connect(ndk, source, target)?;
    control.agree(version)?;
    // Before and after the connection of the test is made; the memory is named from then on.
    control.meet(side.destination())?;
    side.connect(ndk, source, target)?;
    control.meet(side.destination())?;
    let theirs = control.meet(side.destination())?;
    for _ in 0..test.meetings_before() {
        control.meet(side.destination())?;
    }
    side.ask(theirs)?;
    if test.tells_results() {
        control.meet(side.destination())?;
        control.exchange_results()?;
    }
    if test.ends_with_meeting() {
        control.part(side.destination())?;
    }
    side.disconnect()?;
    // The server's last message may have to come again, if our acknowledgement is lost.
    control.end(test.linger)
}

impl Test {
    /// Control messages of a client: version and parameters, the meetings, the results.
    const fn messages(self) -> usize {
        let results = if self.tells_results() { 6 } else { 0 };
        4 + 3 + self.meetings_before() + results + self.ends_with_meeting() as usize
    }

    /// Whether the server, which has nothing to measure in a one-sided test, is told the results after one more meeting.
    const fn tells_results(self) -> bool {
        !self.latency && !matches!(self.verb, Verb::Send)
    }

    /// The write latency test ends without a word.
    const fn ends_with_meeting(self) -> bool {
        !matches!((self.verb, self.latency), (Verb::Write, true))
    }

    /// How often both sides wait for each other between naming their memory and the first request.
    const fn meetings_before(self) -> usize {
        match (self.verb, self.latency) {
            (Verb::Send, false) | (_, true) => 3,
            (Verb::Read | Verb::Write, false) => 2,
        }
    }
}
