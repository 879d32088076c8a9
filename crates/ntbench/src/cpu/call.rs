//! Calls from the bench into driver code.
#![expect(unsafe_code, reason = "calls driver code")]

use super::{irql, stack, step, thread};
use crate::exports::MAX_ARGUMENTS;
use crate::pe::cfg;
use crate::verifier::{self, limits, watchdog};

/// Calls a driver function with up to [`MAX_ARGUMENTS`] arguments on the current thread's kernel stack, at the current IRQL.
///
/// The target must be a valid indirect-call target of a loaded image; the IRQL and the held spin locks must be the same
/// afterwards, and it must return within the limit for calls: the verifier stops otherwise. Returns rax; callers cut it to
/// the function's return type.
///
/// # Panics
/// With more than [`MAX_ARGUMENTS`] arguments.
#[expect(clippy::must_use_candidate, reason = "many driver functions return nothing")]
pub fn call(target: usize, arguments: &[u64]) -> u64 {
    // Only the outermost call is timed: nested ones are part of it.
    let outermost = thread::with(|thread| thread.depth.get()) == 0;
    let _limit = outermost.then(|| watchdog::limit_call(target, limits::get().call));
    call_without_limit(target, arguments)
}

/// As [`call`], for code that may run for as long as the driver is loaded: system threads.
///
/// # Panics
/// With more than [`MAX_ARGUMENTS`] arguments.
#[expect(clippy::must_use_candidate, reason = "many driver functions return nothing")]
pub fn call_without_limit(target: usize, arguments: &[u64]) -> u64 {
    cfg::check(target);
    let mut all = [0; MAX_ARGUMENTS];
    all[..arguments.len()].copy_from_slice(arguments);
    let header = thread::kernel_stack();
    let (irql, locks, floor) = thread::with(|thread| {
        if thread.depth.get() == 0 {
            thread.stalled.set(0);
        }
        thread.depth.set(thread.depth.get() + 1);
        (
            thread.irql.get(),
            thread.locks_held.get(),
            thread.floor.replace(thread.irql.get()),
        )
    });
    step::resume();
    // SAFETY: the stack is this thread's; the target was checked; what the driver does with its arguments is what the bench
    // is for.
    let result = unsafe { stack::enter(header, target, &raw const all) };
    step::pause();
    thread::with(|thread| {
        thread.depth.set(thread.depth.get() - 1);
        thread.floor.set(floor);
    });
    if irql::current() != irql {
        verifier::irql::changed_by_callback(target, irql, irql::current());
    }
    if thread::with(|thread| thread.locks_held.get()) != locks {
        verifier::irql::lock_kept_by_callback(target);
    }
    result
}
