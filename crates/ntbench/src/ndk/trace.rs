//! A record of all NDK calls and callbacks, for people to read next to the messages on the wire.

use crate::cpu::irql::{self, Irql};
use ndk_sys::NTSTATUS;
use parking_lot::Mutex;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

/// Events that are kept; later ones are only counted.
const LIMIT: usize = 100_000;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The consumer calls the provider.
    Call,
    /// The provider's function returns this; `None` for functions without a result.
    Return(Option<NTSTATUS>),
    /// The provider calls the consumer.
    Callback,
    /// The consumer's callback returns.
    CallbackReturn,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub time: SystemTime,
    /// At which IRQL.
    pub irql: Irql,
    /// What.
    pub what: What,
    /// The function: `NdkReject`, `NdkConnectEventCallback` …
    pub name: &'static str,
    /// The object: `connector 3`.
    pub object: String,
    /// Arguments, or results beyond the status.
    pub detail: String,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name, object, detail, ..
        } = self;
        match self.what {
            What::Call => write!(f, "-> {name}({object}")?,
            What::Return(_) => write!(f, "<- {name}({object}")?,
            What::Callback => write!(f, "<= {name}({object}")?,
            What::CallbackReturn => write!(f, "=> {name}({object}")?,
        }
        if !detail.is_empty() {
            write!(f, ", {detail}")?;
        }
        f.write_str(")")?;
        match self.what {
            What::Return(Some(status)) => write!(f, " = {}", status_name(status)),
            _ => Ok(()),
        }
    }
}

#[derive(Default)]
struct Record {
    events: Vec<Event>,
    dropped: usize,
}

static RECORD: Mutex<Record> = Mutex::new(Record {
    events: Vec::new(),
    dropped: 0,
});
static ENABLED: AtomicBool = AtomicBool::new(true);

/// Whether events are recorded: on unless a benchmark turns it off.
pub fn set_enabled(enabled: bool) {
    ENABLED.store(enabled, Ordering::Relaxed);
}

/// The events since [`clear`], and how many more there were than are kept.
#[must_use]
pub fn events() -> (Vec<Event>, usize) {
    let record = RECORD.lock();
    (record.events.clone(), record.dropped)
}

/// Forgets all events.
pub fn clear() {
    *RECORD.lock() = Record::default();
}

/// Records an event. `text` makes object and detail, and is called only if they are wanted.
pub(super) fn add(what: What, name: &'static str, text: impl FnOnce() -> (String, String)) {
    if !ENABLED.load(Ordering::Relaxed) {
        return;
    }
    let (object, detail) = text();
    let event = Event {
        time: SystemTime::now(),
        irql: irql::current(),
        what,
        name,
        object,
        detail,
    };
    let mut record = RECORD.lock();
    if record.events.len() < LIMIT {
        record.events.push(event);
    } else {
        record.dropped += 1;
    }
}

/// `STATUS_…` as ntstatus.h names it, or the number.
#[must_use]
pub fn status_name(status: NTSTATUS) -> String {
    let mut named = ndk_sys::abi::constants().filter(|one| one.name.starts_with("STATUS_"));
    let found = named.find(|one| one.value == i128::from(status));
    found.map_or_else(
        || format!("{:#010x}", status.cast_unsigned()),
        |one| one.name.to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_like_calls() {
        let event = |what| Event {
            time: SystemTime::UNIX_EPOCH,
            irql: 0,
            what,
            name: "NdkReject",
            object: "connector 3".into(),
            detail: "4 bytes".into(),
        };
        assert_eq!(
            event(What::Call).to_string(),
            "-> NdkReject(connector 3, 4 bytes)"
        );
        let status = Some(ndk_sys::STATUS_CONNECTION_ABORTED);
        assert_eq!(
            event(What::Return(status)).to_string(),
            "<- NdkReject(connector 3, 4 bytes) = STATUS_CONNECTION_ABORTED"
        );
        assert_eq!(
            event(What::Return(None)).to_string(),
            "<- NdkReject(connector 3, 4 bytes)"
        );
    }

    #[test]
    fn statuses_have_their_names() {
        assert_eq!(status_name(0), "STATUS_SUCCESS");
        assert_eq!(status_name(0x103), "STATUS_PENDING");
        assert_eq!(status_name(0xC123_4567_u32.cast_signed()), "0xc1234567");
    }
}
