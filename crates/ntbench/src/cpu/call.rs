//! Calls from the bench into driver code.
#![expect(unsafe_code, reason = "calls driver code")]

use super::{irql, stack, thread};
use crate::exports::MAX_ARGUMENTS;
use crate::pe::cfg;
use crate::verifier;

/// Calls a driver function with up to [`MAX_ARGUMENTS`] arguments on the current thread's kernel stack, at the current IRQL.
///
/// The target must be a valid indirect-call target of a loaded image; the IRQL and the held spin locks must be the same
/// afterwards: the verifier stops otherwise. Returns rax; callers cut it to the function's return type.
///
/// # Panics
/// With more than [`MAX_ARGUMENTS`] arguments.
#[must_use]
pub fn call(target: usize, arguments: &[u64]) -> u64 {
    cfg::check(target);
    let mut all = [0; MAX_ARGUMENTS];
    all[..arguments.len()].copy_from_slice(arguments);
    let header = thread::kernel_stack();
    let irql_before = irql::current();
    let locks_before = thread::with(|thread| thread.locks_held.get());
    thread::with(|thread| {
        if thread.depth.get() == 0 {
            thread.stalled.set(0);
        }
        thread.depth.set(thread.depth.get() + 1);
    });
    // SAFETY: the stack is this thread's; the target was checked; see `Kernel::call` for the arguments.
    let result = unsafe { stack::enter(header, target, &raw const all) };
    thread::with(|thread| thread.depth.set(thread.depth.get() - 1));
    let irql_after = irql::current();
    if irql_after != irql_before {
        verifier::irql::changed_by_callback(target, irql_before, irql_after);
    }
    if thread::with(|thread| thread.locks_held.get()) != locks_before {
        verifier::irql::lock_kept_by_callback(target);
    }
    result
}
