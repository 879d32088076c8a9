//! The rules of NDKPI that a provider must keep, as reports. Sources: the pages of the NDK functions and callbacks, "NDKPI
//! Object Lifetime Requirements" and "NDKPI Completion Handling Requirements".

use super::callbacks::CQ_NOTIFICATION;
use super::trace::status_name;
use crate::cpu::{irql, thread};
use crate::verifier::{BugCheck, Rule, Violation};
use ndk_sys::{
    NTSTATUS, STATUS_ACCESS_VIOLATION, STATUS_ADDRESS_ALREADY_EXISTS, STATUS_BUFFER_OVERFLOW,
    STATUS_BUFFER_TOO_SMALL, STATUS_CANCELLED, STATUS_CONNECTION_ABORTED, STATUS_CONNECTION_ACTIVE,
    STATUS_CONNECTION_INVALID, STATUS_CONNECTION_REFUSED, STATUS_DATA_OVERRUN, STATUS_DEVICE_BUSY,
    STATUS_DEVICE_DATA_ERROR, STATUS_DEVICE_NOT_READY, STATUS_DEVICE_REMOVED, STATUS_HOST_UNREACHABLE,
    STATUS_IMPLEMENTATION_LIMIT, STATUS_INSUFFICIENT_RESOURCES, STATUS_INTERNAL_ERROR,
    STATUS_INVALID_ADDRESS, STATUS_INVALID_BUFFER_SIZE, STATUS_INVALID_DEVICE_REQUEST,
    STATUS_INVALID_DEVICE_STATE, STATUS_INVALID_HANDLE, STATUS_INVALID_PARAMETER,
    STATUS_INVALID_PARAMETER_MIX, STATUS_IO_TIMEOUT, STATUS_NETWORK_UNREACHABLE, STATUS_NOT_SUPPORTED,
    STATUS_PENDING, STATUS_REMOTE_RESOURCES, STATUS_SHARING_VIOLATION, STATUS_SUCCESS,
    STATUS_TOO_MANY_ADDRESSES,
};

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
    check_failure(name, status);
}

/// What a device that fails, or memory that is out, may make of any function. `status.rs` of a provider gives them names.
const GENERAL: &[NTSTATUS] = &[
    STATUS_INSUFFICIENT_RESOURCES,
    STATUS_INVALID_PARAMETER,
    STATUS_INVALID_DEVICE_REQUEST,
    STATUS_INVALID_DEVICE_STATE,
    STATUS_INVALID_HANDLE,
    STATUS_DEVICE_NOT_READY,
    STATUS_DEVICE_REMOVED,
    STATUS_DEVICE_DATA_ERROR,
    STATUS_DEVICE_BUSY,
    STATUS_INTERNAL_ERROR,
    STATUS_IO_TIMEOUT,
    STATUS_NOT_SUPPORTED,
    STATUS_ACCESS_VIOLATION,
];

/// What connecting may end with.
const CONNECT: &[NTSTATUS] = &[
    STATUS_NETWORK_UNREACHABLE,
    STATUS_HOST_UNREACHABLE,
    STATUS_CONNECTION_REFUSED,
    STATUS_SHARING_VIOLATION,
    STATUS_INVALID_ADDRESS,
    STATUS_TOO_MANY_ADDRESSES,
    STATUS_ADDRESS_ALREADY_EXISTS,
    STATUS_INVALID_BUFFER_SIZE,
    STATUS_CANCELLED,
    STATUS_CONNECTION_ACTIVE,
    STATUS_CONNECTION_INVALID,
    STATUS_CONNECTION_ABORTED,
];

/// What else a function is documented to fail with (the pages of NDKPI; where they are silent, those of NDSPI).
fn documented(name: &str) -> &'static [NTSTATUS] {
    match name {
        "NdkQueryAdapterInfo" | "NdkGetLocalAddress" | "NdkGetPeerAddress" | "NdkGetConnectionData" => {
            &[STATUS_BUFFER_TOO_SMALL, STATUS_CONNECTION_INVALID]
        }
        "NdkBuildLAM" => &[STATUS_BUFFER_TOO_SMALL],
        "NdkControlCqInterruptModeration" => &[STATUS_INVALID_PARAMETER_MIX],
        "NdkCreateSharedEndpoint" | "NdkListen" => &[
            STATUS_SHARING_VIOLATION,
            STATUS_TOO_MANY_ADDRESSES,
            STATUS_INVALID_ADDRESS,
        ],
        "NdkInitializeFastRegisterMr" => &[STATUS_IMPLEMENTATION_LIMIT],
        "NdkConnect" | "NdkConnectWithSharedEndpoint" | "NdkAccept" | "NdkAcceptEx" => CONNECT,
        "NdkCompleteConnect" | "NdkCompleteConnectEx" | "NdkDisconnect" => &[
            STATUS_CONNECTION_INVALID,
            STATUS_CONNECTION_ABORTED,
            STATUS_CANCELLED,
        ],
        "NdkReject" => &[
            STATUS_CONNECTION_ABORTED,
            STATUS_CONNECTION_INVALID,
            STATUS_INVALID_BUFFER_SIZE,
            STATUS_NETWORK_UNREACHABLE,
            STATUS_HOST_UNREACHABLE,
        ],
        "NdkSend"
        | "NdkSendAndInvalidate"
        | "NdkWrite"
        | "NdkRead"
        | "NdkInvalidate"
        | "NdkBind"
        | "NdkFastRegister"
        | "NdkReceive"
        | "NdkSrqReceive" => &[
            STATUS_CONNECTION_INVALID,
            STATUS_REMOTE_RESOURCES,
            STATUS_DATA_OVERRUN,
            STATUS_BUFFER_OVERFLOW,
        ],
        _ => &[],
    }
}

fn check_failure(name: &str, status: NTSTATUS) {
    if status < 0 && !GENERAL.contains(&status) && !documented(name).contains(&status) {
        broken(
            Rule::NdkStatusOfFunction,
            format!("{name} failed with {}", status_name(status)),
            "Translate what went wrong to a status that the function is documented to fail with.",
        )
    }
}

/// Checks the status of a notification.
pub(super) fn check_event_status(name: &str, status: NTSTATUS) {
    let known = match name {
        CQ_NOTIFICATION => &[STATUS_SUCCESS, STATUS_BUFFER_OVERFLOW, STATUS_INTERNAL_ERROR][..],
        _ => &[STATUS_SUCCESS, STATUS_INTERNAL_ERROR],
    };
    if !known.contains(&status) {
        broken(
            Rule::NdkNotificationStatus,
            format!("{name} was called with {}", status_name(status)),
            "A CQ reports STATUS_SUCCESS, STATUS_BUFFER_OVERFLOW when it has overrun, or STATUS_INTERNAL_ERROR; an SRQ the first or the last.",
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
    check_failure(name, status);
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
