//! The messages on the wire and the calls between driver and consumer, in one picture.

use crate::cpu::irql::{DISPATCH_LEVEL, Irql};
use crate::machine::NIC_IPV4;
use crate::ndk::trace;
use crate::wire::ladder::{Row, decode};
use crate::wire::{Captured, Tap};
use parking_lot::Mutex;
use std::fmt::Write as _;
use std::time::SystemTime;

/// Records what is on the wire.
#[derive(Default)]
pub struct Ladder(Mutex<Vec<(SystemTime, Row)>>);

impl Tap for Ladder {
    fn frame(&self, frame: &Captured<'_>) {
        if let Some(row) = decode(frame.since_start, frame.bytes) {
            self.0.lock().push((frame.time, row));
        }
    }
}

impl Ladder {
    /// All that happened so far, in order; times count from the first of it, in milliseconds.
    #[must_use]
    pub fn render(&self) -> String {
        let wire = self
            .0
            .lock()
            .iter()
            .map(|(time, row)| (*time, message(row)))
            .collect::<Vec<_>>();
        let calls = trace::events()
            .0
            .into_iter()
            .map(|event| (event.time, call(&event)));
        let mut lines: Vec<(SystemTime, String)> = wire.into_iter().chain(calls).collect();
        lines.sort_by_key(|(time, _)| *time);
        let Some(&(first, _)) = lines.first() else {
            return String::new();
        };
        let mut text =
            String::from("        ms  peer            wire            NIC, vrnic.sys            consumer\n");
        for (time, line) in &lines {
            let since = time.duration_since(first).unwrap_or_default();
            // Writing to a string does not fail.
            let _ = writeln!(text, "{:>10.3}  {line}", since.as_secs_f64() * 1e3);
        }
        text
    }
}

/// A message, with the peer to the left.
fn message(row: &Row) -> String {
    let to_nic = row.destination == NIC_IPV4.to_string();
    let (peer, arrow) = if to_nic {
        (&row.source, "──▶")
    } else {
        (&row.destination, "◀──")
    };
    format!("{peer:<12} {arrow} {}", row.event)
}

/// A call or callback, to the right.
fn call(event: &trace::Event) -> String {
    format!("{:48}{event}{}", "", at(event.irql))
}

fn at(irql: Irql) -> &'static str {
    if irql >= DISPATCH_LEVEL {
        "  [DISPATCH]"
    } else {
        ""
    }
}
