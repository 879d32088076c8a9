//! The messages on the wire and the calls between driver and consumer, in one picture.

use crate::cpu::irql::{DISPATCH_LEVEL, Irql};
use crate::machine::NIC_IPV4;
use crate::ndk::trace;
use crate::wire::ladder::{Row, decode};
use crate::wire::{Captured, Tap};
use parking_lot::Mutex;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

/// Records what is on the wire.
#[derive(Default)]
pub struct Ladder(Mutex<Vec<Line>>);

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// When.
    pub time: SystemTime,
    /// What, for people to read.
    pub text: String,
}

impl Tap for Ladder {
    fn frame(&self, frame: &Captured<'_>) {
        self.0.lock().extend(message(frame.time, frame.bytes));
    }
}

impl Ladder {
    /// All that happened so far, in order.
    #[must_use]
    pub fn render(&self) -> String {
        let mut lines = self.0.lock().clone();
        lines.extend(calls().into_iter().map(indented));
        draw(lines)
    }
}

/// A frame, if it belongs into the picture: the peer to the left.
pub(super) fn message(time: SystemTime, frame: &[u8]) -> Option<Line> {
    let row = decode(Duration::ZERO, frame)?;
    let Row {
        source, destination, ..
    } = &row;
    let (peer, arrow) = if *destination == NIC_IPV4.to_string() {
        (source, "──▶")
    } else {
        (destination, "◀──")
    };
    let text = format!("{peer:<12} {arrow} {}", row.event);
    Some(Line { time, text })
}

/// The calls and callbacks between consumer and provider so far.
pub(super) fn calls() -> Vec<Line> {
    let line = |event: trace::Event| Line {
        time: event.time,
        text: format!("{event}{}", at(event.irql)),
    };
    trace::events().0.into_iter().map(line).collect()
}

/// A call or callback, to the right.
pub(super) fn indented(mut call: Line) -> Line {
    call.text.insert_str(0, &" ".repeat(48));
    call
}

fn at(irql: Irql) -> &'static str {
    if irql >= DISPATCH_LEVEL {
        "  [DISPATCH]"
    } else {
        ""
    }
}

/// The picture; times count from the first line, in milliseconds.
pub(super) fn draw(mut lines: Vec<Line>) -> String {
    lines.sort_by_key(|line| line.time);
    let Some(first) = lines.first().map(|line| line.time) else {
        return String::new();
    };
    let mut text =
        String::from("        ms  peer            wire            NIC, vrnic.sys            consumer\n");
    for line in &lines {
        let since = line.time.duration_since(first).unwrap_or_default();
        // Writing to a string does not fail.
        let _ = writeln!(text, "{:>10.3}  {}", since.as_secs_f64() * 1e3, line.text);
    }
    text
}
