//! The consumer's disconnect event.
#![expect(unsafe_code, reason = "calls consumers back")]

use core::ffi::c_void;
use ndk_sys::{NDK_FN_DISCONNECT_EVENT_CALLBACK, NDK_FN_DISCONNECT_EVENT_CALLBACK_EX};

/// The peer has disconnected, as far as `NDK_FN_DISCONNECT_EVENT_CALLBACK_EX` cares.
const NO_REASON: u32 = 0;
/// The connection has broken: its packets are not acknowledged, the peer has broken the protocol, or the device has failed.
const REASON_BROKEN: u32 = 1;

/// What to call when the connection ends that the consumer has not disconnected.
pub struct DisconnectEvent {
    callback: Callback,
    context: *mut c_void,
}

enum Callback {
    Plain(NDK_FN_DISCONNECT_EVENT_CALLBACK),
    Ex(NDK_FN_DISCONNECT_EVENT_CALLBACK_EX),
}

// SAFETY: the context is only handed back to the consumer, from any thread (NDKPI callbacks).
unsafe impl Send for DisconnectEvent {}

impl DisconnectEvent {
    /// Of `NdkAccept` and `NdkCompleteConnect`; a consumer need not have one.
    pub fn plain(callback: Option<NDK_FN_DISCONNECT_EVENT_CALLBACK>, context: *mut c_void) -> Option<Self> {
        let callback = Callback::Plain(callback?);
        Some(Self { callback, context })
    }

    /// Of `NdkAcceptEx` and `NdkCompleteConnectEx`.
    pub fn ex(callback: Option<NDK_FN_DISCONNECT_EVENT_CALLBACK_EX>, context: *mut c_void) -> Option<Self> {
        let callback = Callback::Ex(callback?);
        Some(Self { callback, context })
    }

    /// Tells the consumer. At most `DISPATCH_LEVEL`, without a lock; the caller keeps the connector.
    pub fn indicate(self, error: bool) {
        match self.callback {
            // SAFETY: the consumer's callback with its context; this is the only call.
            Callback::Plain(callback) => unsafe { callback(self.context) },
            Callback::Ex(callback) => {
                let reason = if error { REASON_BROKEN } else { NO_REASON };
                // SAFETY: as above.
                unsafe { callback(self.context, reason) };
            }
        }
    }
}
