//! Resource faults: each distinct call stack fails once, so that every error branch is taken in a finite number of runs.

use crate::symbols::{self, Frame, StackTrace};
use parking_lot::Mutex;
use std::collections::BTreeSet;

#[derive(Default)]
struct Faults {
    enabled: bool,
    seen: BTreeSet<String>,
    /// Who was refused last.
    last: Option<StackTrace>,
}

static FAULTS: Mutex<Faults> = Mutex::new(Faults {
    enabled: false,
    seen: BTreeSet::new(),
    last: None,
});

/// Turns fault injection on or off. `seen` are the stacks that failed in earlier runs and shall succeed now.
pub fn configure(enabled: bool, seen: BTreeSet<String>) {
    *FAULTS.lock() = Faults {
        enabled,
        seen,
        last: None,
    };
}

/// The stacks that have failed so far, each as text that is the same in every run.
#[must_use]
pub fn seen() -> BTreeSet<String> {
    FAULTS.lock().seen.clone()
}

/// Whether this request for a resource shall fail: true the first time for each driver stack.
#[must_use]
pub fn allocation_fails() -> bool {
    if !FAULTS.lock().enabled {
        return false;
    }
    let stack = StackTrace::capture();
    let key = stack_key(&stack);
    let mut faults = FAULTS.lock();
    let fails = !key.is_empty() && faults.seen.insert(key);
    if fails {
        faults.last = Some(stack);
    }
    fails
}

/// The last request that was refused: often the reason of what comes after it.
#[must_use]
pub fn last() -> Option<StackTrace> {
    // A report must not wait for a thread that is being stopped.
    FAULTS.try_lock()?.last.clone()
}

fn stack_key(trace: &StackTrace) -> String {
    let frames = trace.frames.iter().map(|frame| match frame {
        Frame::Bench(name) => (*name).to_owned(),
        Frame::Driver { address, .. } => symbols::find(*address).map_or_else(
            || "?".to_owned(),
            |module| format!("{}+{:#x}", module.name, address - module.base),
        ),
    });
    frames.collect::<Vec<_>>().join(" ")
}
