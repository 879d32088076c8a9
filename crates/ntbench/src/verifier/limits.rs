//! Time limits: DPCs, calls, spinning, stalling.

use super::{BugCheck, Rule, Violation};
use crate::cpu::irql::{self, DISPATCH_LEVEL};
use crate::cpu::{step, thread};
use crate::symbols;
use parking_lot::RwLock;
use std::cell::Cell;
use std::time::Duration;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// CPU time of one DPC, without the bench's own. Microsoft's guideline is 100 µs; a shared machine needs more.
    pub dpc: Duration,
    /// Real time of one call into a driver, waiting included.
    pub call: Duration,
    /// Real time of spinning for one lock.
    pub spin: Duration,
    /// One stall: `NdisStallExecution`, `KeStallExecutionProcessor`.
    pub stall: Duration,
    /// All stalls of one call into a driver at DISPATCH level.
    pub stall_total: Duration,
    /// Real time until an OID request that has pended is completed (Driver Verifier's `NdisTimedOidComplete`).
    pub oid: Duration,
    /// Real time until a net buffer list that was sent comes back.
    pub send: Duration,
    /// Real time until an NDK request that has pended is completed, when nothing keeps the provider from doing so.
    pub ndk_completion: Duration,
}

impl Limits {
    /// The limits that hold unless a test sets others.
    pub const DEFAULT: Self = Self {
        dpc: Duration::from_millis(100),
        call: Duration::from_mins(1),
        spin: Duration::from_secs(10),
        stall: Duration::from_micros(50),
        stall_total: Duration::from_millis(1),
        oid: Duration::from_secs(12),
        send: Duration::from_secs(20),
        ndk_completion: Duration::from_secs(20),
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

static LIMITS: RwLock<Limits> = RwLock::new(Limits::DEFAULT);

/// The limits in force.
#[must_use]
pub fn get() -> Limits {
    *LIMITS.read()
}

/// Sets the limits.
pub fn set(limits: Limits) {
    *LIMITS.write() = limits;
}

/// CPU time that the current thread has used.
///
/// # Panics
/// When the system has no such clock.
#[must_use]
pub fn thread_cpu_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    #[expect(unsafe_code, reason = "the standard library has no thread CPU clock")]
    // SAFETY: the pointer is to a local that the call fills in.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert!(result == 0, "the thread CPU clock exists on every Linux");
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

thread_local! {
    /// CPU time of the bench itself in the DPC that runs on this thread; `None` outside of DPCs.
    static OWN_TIME: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// Runs an export that a driver has called. What the bench does in a DPC does not count as the driver's: its checks take longer.
pub fn export<R>(run: impl FnOnce() -> R) -> R {
    if OWN_TIME.get().is_none() {
        return run();
    }
    let start = thread_cpu_time();
    // Exports that callbacks of this one call are part of it.
    let before = OWN_TIME.take();
    let result = run();
    let used = thread_cpu_time().saturating_sub(start);
    OWN_TIME.set(before.map(|before| before + used));
    result
}

/// Runs a DPC routine under its limit. `routine` is its address, for the report.
pub fn dpc(routine: usize, run: impl FnOnce()) {
    // Benchmarks have no time to tell the two apart.
    OWN_TIME.set((!symbols::is_fast()).then_some(Duration::ZERO));
    let start = thread_cpu_time();
    run();
    let own = OWN_TIME.take().unwrap_or_default();
    let used = thread_cpu_time().saturating_sub(start + own);
    let limit = get().dpc;
    // Single steps take a thousand times longer.
    if used > limit && !step::is_counting() {
        Violation::new(
            Rule::DpcTooLong,
            BugCheck::new(0x133, [0, micros(used), micros(limit), routine as u64]),
            format!(
                "the DPC routine {} used {used:?} of CPU time, the limit is {limit:?}",
                symbols::describe(routine)
            ),
        )
        .advice("do bounded work in a DPC and queue another DPC or a work item for the rest")
        .stop();
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Checks a stall before it is made.
pub fn stall(routine: &'static str, microseconds: u32) {
    let (limits, wanted) = (get(), Duration::from_micros(u64::from(microseconds)));
    if wanted > limits.stall {
        Violation::new(
            Rule::NdisStallExecutionDelay,
            BugCheck::verifier(0x0009_2003, [u64::from(microseconds), micros(limits.stall), 0]),
            format!("{routine} for {microseconds} µs, the limit is {:?}", limits.stall),
        )
        .advice("wait with an event or a timer at PASSIVE_LEVEL, or poll in shorter steps")
        .stop();
    }
    if irql::current() < DISPATCH_LEVEL {
        return;
    }
    let total = thread::with(|thread| {
        thread.stalled.set(thread.stalled.get() + u64::from(microseconds));
        Duration::from_micros(thread.stalled.get())
    });
    if total > limits.stall_total {
        Violation::new(
            Rule::StallTotal,
            BugCheck::new(0x133, [0, micros(total), micros(limits.stall_total), 0]),
            format!(
                "stalls of this call at DISPATCH_LEVEL add up to {total:?}, the limit is {:?}",
                limits.stall_total
            ),
        )
        .advice("bound the polling loop")
        .stop();
    }
}
