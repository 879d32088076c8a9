//! The hang watchdog: whatever calls into a driver says how long it may take.
#![expect(unsafe_code, reason = "signals the thread that hangs")]

use super::{BugCheck, Rule, Violation};
use crate::cpu::thread;
use crate::symbols;
use parking_lot::{Condvar, Mutex};
use std::sync::Once;
use std::time::{Duration, Instant};

/// The signal with which a hanging thread is made to report itself.
pub const REPORT_SIGNAL: i32 = libc::SIGUSR2;

/// What is being timed.
#[derive(Clone, Copy, Debug)]
enum What {
    Name(&'static str),
    Target(usize),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    id: u64,
    what: What,
    limit: Duration,
    deadline: Instant,
    thread: libc::pthread_t,
}

#[derive(Default)]
struct State {
    next_id: u64,
    active: Vec<Entry>,
    hung: Option<(What, Duration)>,
}

static STATE: Mutex<State> = Mutex::new(State {
    next_id: 0,
    active: Vec::new(),
    hung: None,
});
static CHANGED: Condvar = Condvar::new();
static START: Once = Once::new();

/// A running limit; it ends when dropped.
#[must_use = "the limit ends when this is dropped"]
pub struct Limit {
    id: u64,
}

impl Drop for Limit {
    fn drop(&mut self) {
        STATE.lock().active.retain(|entry| entry.id != self.id);
    }
}

/// What the current thread does now, called `name`, must end within `limit`.
pub fn limit(name: &'static str, limit: Duration) -> Limit {
    add(What::Name(name), limit)
}

/// As [`limit`], for a call of a driver function.
pub(crate) fn limit_call(target: usize, limit: Duration) -> Limit {
    add(What::Target(target), limit)
}

fn add(what: What, limit: Duration) -> Limit {
    START.call_once(|| {
        let started = std::thread::Builder::new().name("watchdog".into()).spawn(watch);
        assert!(started.is_ok(), "the watchdog thread cannot be started");
    });
    // SAFETY: pthread_self cannot fail.
    let thread = unsafe { libc::pthread_self() };
    let mut state = STATE.lock();
    let id = state.next_id;
    state.next_id += 1;
    let deadline = Instant::now() + limit;
    state.active.push(Entry {
        id,
        what,
        limit,
        deadline,
        thread,
    });
    // Waking the watchdog for each call would cost more than the call: it looks again at least every second.
    Limit { id }
}

fn watch() {
    let mut state = STATE.lock();
    loop {
        let now = Instant::now();
        if let Some(&late) = state.active.iter().find(|entry| entry.deadline <= now) {
            state.hung = Some((late.what, late.limit));
            // SAFETY: the entry is removed before its thread ends, and the lock is held.
            unsafe { libc::pthread_kill(late.thread, REPORT_SIGNAL) };
            // The report ends the process.
            state.active.retain(|entry| entry.id != late.id);
        }
        let next = state.active.iter().map(|entry| entry.deadline).min();
        let longest = now + Duration::from_secs(1);
        let _ = CHANGED.wait_until(&mut state, next.map_or(longest, |next| next.min(longest)));
    }
}

/// Called by the signal handler on the thread that hangs.
pub(crate) fn report_current() {
    // The lock may be held by this very thread if the signal comes late.
    let Some((what, limit)) = STATE
        .try_lock_for(Duration::from_secs(1))
        .and_then(|mut state| state.hung.take())
    else {
        return;
    };
    let what = match what {
        What::Name(name) => name.to_owned(),
        What::Target(target) => symbols::describe(target),
    };
    violation(&what, limit).stop();
}

/// Reports that something did not happen in time, from the thread that waited for it.
pub fn hung(what: &str, limit: Duration) -> ! {
    violation(what, limit).stop()
}

fn violation(what: &str, limit: Duration) -> Violation {
    let milliseconds = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    let level = crate::cpu::irql::current();
    Violation::new(
        Rule::Hang,
        BugCheck::new(
            0x133,
            [
                1,
                milliseconds,
                u64::from(level),
                thread::with(|thread| thread.vp.get()) as u64,
            ],
        ),
        format!("{what} did not end within {limit:?}"),
    )
    .advice("bound every wait, and complete what is pending also when the device does not answer")
}
