//! Transmit.
//!
//! The device's Ethernet queues are not driven yet: every net buffer list is completed at once, with a status that says
//! why. Nothing is received, so nothing is returned.
#![expect(unsafe_code, reason = "called by NDIS")]

use core::ffi::c_void;
use core::ptr::NonNull;

use ndk_sys::{NDIS_HANDLE, NDIS_PORT_NUMBER, NDIS_STATUS_FAILURE, NDIS_STATUS_PAUSED, NET_BUFFER_LIST};

use super::adapter::Adapter;
use crate::os::nbl::SendChain;

impl Adapter {
    fn send(&self, chain: SendChain) {
        self.send_gate.pass(|allowed| {
            let status = if allowed {
                NDIS_STATUS_FAILURE
            } else {
                NDIS_STATUS_PAUSED
            };
            chain.complete(self.handle, status);
        });
    }
}

/// `MiniportSendNetBufferLists`.
pub unsafe extern "system" fn send_net_buffer_lists(
    context: NDIS_HANDLE,
    lists: *mut NET_BUFFER_LIST,
    _port: NDIS_PORT_NUMBER,
    flags: u32,
) {
    // SAFETY: NDIS passes the adapter's context.
    let adapter = unsafe { Adapter::borrow(context) };
    if let Some(first) = NonNull::new(lists) {
        // SAFETY: NDIS hands the chain over.
        adapter.send(unsafe { SendChain::new(first, flags) });
    }
}

/// `MiniportCancelSend`: there are never sends that wait.
pub unsafe extern "system" fn cancel_send(_context: NDIS_HANDLE, _id: *mut c_void) {}

/// `MiniportReturnNetBufferLists`: none has been indicated.
pub unsafe extern "system" fn return_net_buffer_lists(
    _context: NDIS_HANDLE,
    _lists: *mut NET_BUFFER_LIST,
    _flags: u32,
) {
    debug_assert!(false, "a net buffer list is returned that was never indicated");
}
