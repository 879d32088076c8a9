//! The rules of NDKPI that a provider must keep, as reports. Sources: the pages of the NDK functions and callbacks, "NDKPI
//! Object Lifetime Requirements" and "NDKPI Completion Handling Requirements".

use super::trace::status_name;
use crate::cpu::{irql, thread};
use crate::verifier::{BugCheck, Rule, Violation};
use ndk_sys::{NTSTATUS, STATUS_PENDING, STATUS_SUCCESS};

/// Driver Verifier has no codes for NDK: all have `DRIVER_VERIFIER_DETECTED_VIOLATION` with this number, and parameter 2
/// is the place of the rule in the list of rules.
const NDK_VIOLATION: u64 = 0x4E44_4B00;

/// A broken rule.
pub(super) fn broken(rule: Rule, what: impl Into<String>, advice: &str) -> ! {
    Violation::new(rule, BugCheck::verifier(NDK_VIOLATION, [rule as u64, 0, 0]), what)
        .advice(advice)
        .stop()
}

/// Checks the status of a function that has returned.
pub(super) fn check_status(name: &str, status: NTSTATUS, may_pend: bool) {
    // NT_SUCCESS is all that consumers look at; the only successes that NDKPI has are these two.
    let known = status < 0 || status == STATUS_SUCCESS || status == STATUS_PENDING && may_pend;
    if !known {
        let not = if status == STATUS_PENDING {
            "which is synchronous"
        } else {
            "which NDKPI does not know"
        };
        broken(
            Rule::NdkStatusUndocumented,
            format!("{name} returned {}, {not}", status_name(status)),
            "Return STATUS_SUCCESS, an error, or, from functions with a completion callback, STATUS_PENDING.",
        )
    }
}

/// Checks the status of a close, which cannot fail.
pub(super) fn check_close_status(name: &str, status: NTSTATUS) {
    if status != STATUS_SUCCESS && status != STATUS_PENDING {
        broken(
            Rule::NdkStatusUndocumented,
            format!("{name} returned {}", status_name(status)),
            "A close cannot fail: return STATUS_SUCCESS or STATUS_PENDING.",
        )
    }
}

/// Checks the status that a completion brings.
pub(super) fn check_completion_status(name: &str, status: NTSTATUS) {
    if status >= 0 && status != STATUS_SUCCESS {
        broken(
            Rule::NdkStatusUndocumented,
            format!("{name} was completed with {}", status_name(status)),
            "Complete with STATUS_SUCCESS or an error.",
        )
    }
}

/// Checks the state in which a provider calls a consumer.
pub(super) fn check_callback(name: &str, locks_of_the_consumer: usize) {
    let level = irql::current();
    if level > irql::DISPATCH_LEVEL {
        broken(
            Rule::NdkCallbackIrql,
            format!("{name} was called at {}", crate::verifier::irql::name(level)),
            "Call consumers at DISPATCH_LEVEL or below: from a DPC, not from an interrupt service routine.",
        )
    }
    if thread::with(|thread| thread.locks_held.get()) > locks_of_the_consumer {
        broken(
            Rule::NdkCallbackLockHeld,
            format!("{name} was called with a spin lock held"),
            "Release every lock before calling the consumer: it may call any NDK function from its callback.",
        )
    }
}

/// A context that the consumer has not given for this kind of callback.
pub(super) fn context(callback: &str, context: u64) -> ! {
    broken(
        Rule::NdkContext,
        format!(
            "{callback} was called with the context {context:#x}, which the consumer did not give for it"
        ),
        "Keep the context beside the callback that it was given with, and pass it unchanged.",
    )
}

/// A request that was completed before, or that did not pend.
pub(super) fn not_pending(call: &str, completed: bool) -> ! {
    if completed {
        broken(
            Rule::NdkCompletionTwice,
            format!("{call} was completed a second time"),
            "Complete a request that returned STATUS_PENDING exactly once.",
        )
    }
    broken(
        Rule::NdkCompletionWithoutPending,
        format!("{call} was completed, and did not return STATUS_PENDING"),
        "Either return the status, or return STATUS_PENDING and call the completion callback.",
    )
}

/// A request that has pended for too long.
pub(super) fn never_completed(call: &str, object: &str) -> ! {
    broken(
        Rule::NdkPendingWithoutCompletion,
        format!(
            "{call}({object}) returned STATUS_PENDING and was not completed within {:?}",
            super::completion_limit()
        ),
        "Call the completion callback of every request that pended, also when the object is closed or the device is gone.",
    )
}
