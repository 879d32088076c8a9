//! perftest's programs with `-R`: `ib_send_bw`, `ib_read_bw`, `ib_write_bw`, `ib_send_lat`, `ib_read_lat`, `ib_write_lat`.
//!
//! A client makes two connections to the same port: one for control messages, and one for the test. The control messages come in
//! pairs, the client's first: version, parameters, then `Destination`s, which name the memory of the test and keep both sides in
//! step, and for some tests the results. A server can give most of them back as they came: both sides must have the same
//! parameters. The facts are from perftest's source, version 6.06.

mod control;
mod side;

use super::node::LIMIT;
use super::{AppError, Result};
use crate::ndk::{Adapter, Incoming};
use control::{Control, Destination};
use side::Side;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;

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
            while let Some(message) = control.receive()? {
                match Destination::from_bytes(&message) {
                    Some(theirs) => {
                        // Nobody listens any more when the test is over.
                        let _ = found.send(theirs);
                        control.send(&ours.to_bytes())?;
                    }
                    None => control.send(&message)?,
                }
            }
            control.disconnect()
        });
        side.accept(next()?)?;
        side.answer(|| {
            let named = destinations.iter().find(Destination::names_memory);
            named.ok_or(AppError::Silence("the client's memory"))
        })?;
        let mirrored = mirror
            .join()
            .map_err(|_| AppError::Nonsense("a panic".to_owned()))?;
        mirrored.and_then(|()| side.disconnect())
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
    if !test.latency && test.verb != Verb::Send {
        control.meet(side.destination())?;
        control.exchange_results()?;
    }
    // The write latency test ends without a word.
    if (test.verb, test.latency) != (Verb::Write, true) {
        control.meet(side.destination())?;
    }
    side.disconnect()?;
    control.disconnect()
}

impl Test {
    /// How often both sides wait for each other between naming their memory and the first request.
    const fn meetings_before(self) -> usize {
        match (self.verb, self.latency) {
            (Verb::Send, false) | (_, true) => 3,
            (Verb::Read | Verb::Write, false) => 2,
        }
    }
}
