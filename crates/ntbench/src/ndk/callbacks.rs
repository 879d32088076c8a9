//! What a provider calls: completions and events.

use super::rules::broken;
use super::{events, listener, requests};
use crate::cpu::thunk;
use crate::exports;
use crate::verifier::Rule;
use ndk_sys::{NTSTATUS, STATUS_SUCCESS};

// Not an export that can be imported: the addresses go into arguments. The IRQL is checked by the rules of NDK.
exports! {
    /// The consumer's callbacks.
    pub static CALLBACKS: "ndk consumer" = {
        NdkCloseCompletion = function(close_completion);
        NdkRequestCompletion = function(request_completion);
        NdkCreateCompletion = function(create_completion);
        NdkConnectEventCallback = function(connect_event);
        NdkCqNotificationCallback = function(cq_notification);
        NdkSrqNotificationCallback = function(srq_notification);
        NdkDisconnectEventCallback = function(disconnect_event);
        Dispatch = function(dispatch_used);
    }
}

/// `NDK_FN_CLOSE_COMPLETION`
pub(super) const CLOSE: &str = "NdkCloseCompletion";
/// `NDK_FN_REQUEST_COMPLETION`
pub(super) const REQUEST: &str = "NdkRequestCompletion";
/// `NDK_FN_CREATE_COMPLETION`
pub(super) const CREATE: &str = "NdkCreateCompletion";
/// `NDK_FN_CONNECT_EVENT_CALLBACK`
pub(super) const CONNECT_EVENT: &str = "NdkConnectEventCallback";
/// `NDK_FN_CQ_NOTIFICATION_CALLBACK`
pub(super) const CQ_NOTIFICATION: &str = "NdkCqNotificationCallback";
/// `NDK_FN_SRQ_NOTIFICATION_CALLBACK`
pub(super) const SRQ_NOTIFICATION: &str = "NdkSrqNotificationCallback";
/// `NDK_FN_DISCONNECT_EVENT_CALLBACK`
pub(super) const DISCONNECT: &str = "NdkDisconnectEventCallback";
const DISPATCH: &str = "Dispatch";

/// The address by which a provider calls one of them.
///
/// # Panics
/// When there is none of that name.
pub(super) fn address_of(name: &str) -> u64 {
    let callback = CALLBACKS
        .iter()
        .find(|callback| callback.name == name)
        .expect("a callback of the table");
    thunk::address_of(callback) as u64
}

/// What the slots of a replaced dispatch table point to.
pub(super) fn dispatch_trap() -> usize {
    usize::try_from(address_of(DISPATCH)).unwrap_or(0)
}

extern "win64" fn close_completion(context: u64) {
    requests::complete(CLOSE, context, STATUS_SUCCESS, 0);
}

extern "win64" fn request_completion(context: u64, status: NTSTATUS) {
    requests::complete(REQUEST, context, status, 0);
}

extern "win64" fn create_completion(context: u64, status: NTSTATUS, object: usize) {
    requests::complete(CREATE, context, status, object);
}

extern "win64" fn connect_event(context: u64, connector: usize) {
    listener::connect_event(context, connector);
}

extern "win64" fn cq_notification(context: u64, status: NTSTATUS) {
    events::deliver(CQ_NOTIFICATION, context, Some(status));
}

extern "win64" fn srq_notification(context: u64, status: NTSTATUS) {
    events::deliver(SRQ_NOTIFICATION, context, Some(status));
}

extern "win64" fn disconnect_event(context: u64) {
    events::deliver(DISCONNECT, context, None);
}

extern "win64" fn dispatch_used() {
    dispatch_is_used()
}

/// The provider has called through an object's `Dispatch`.
pub(super) fn dispatch_is_used() -> ! {
    broken(
        Rule::NdkDispatchUsed,
        "the provider called a function through an object's Dispatch",
        "A consumer may replace Dispatch: find your functions and your own data from the object's address.",
    )
}
