//! What NDIS calls for frames.
#![expect(unsafe_code, reason = "called by NDIS")]

use core::ffi::c_void;

use ndk_sys::{NDIS_HANDLE, NDIS_PORT_NUMBER, NDIS_STATUS_PAUSED, NET_BUFFER_LIST};

use super::super::adapter::Adapter;
use crate::os::nbl::{EndedChain, Returned, SendChain};

impl Adapter {
    fn send(&self, chain: SendChain) {
        if let Some(ethernet) = self.ethernet.get() {
            ethernet.send(chain);
        } else {
            // Not before initialisation is done.
            let mut ended = EndedChain::new();
            for list in chain {
                ended.extend(list.end(NDIS_STATUS_PAUSED));
            }
            ended.complete(self.handle, false);
        }
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
    // SAFETY: NDIS hands the chain over.
    adapter.send(unsafe { SendChain::new(lists, flags) });
}

/// `MiniportCancelSend`.
pub unsafe extern "system" fn cancel_send(context: NDIS_HANDLE, id: *mut c_void) {
    // SAFETY: NDIS passes the adapter's context.
    if let Some(ethernet) = unsafe { Adapter::borrow(context) }.ethernet.get() {
        ethernet.cancel(id.addr());
    }
}

/// `MiniportReturnNetBufferLists`.
pub unsafe extern "system" fn return_net_buffer_lists(
    context: NDIS_HANDLE,
    lists: *mut NET_BUFFER_LIST,
    _flags: u32,
) {
    // SAFETY: NDIS passes the adapter's context.
    let adapter = unsafe { Adapter::borrow(context) };
    // SAFETY: NDIS gives back what was lent.
    let returned = unsafe { Returned::new(lists) };
    if let Some(ethernet) = adapter.ethernet.get() {
        ethernet.take_returned(returned);
    }
    adapter.look_at_pause();
}
