//! Chains of net buffer lists.
#![expect(unsafe_code, reason = "walks NDIS's linked lists")]

use core::ptr::NonNull;

use ndk_sys::imports::ndis;
use ndk_sys::{
    NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL, NDIS_SEND_FLAGS_DISPATCH_LEVEL, NDIS_STATUS, NET_BUFFER_LIST,
};

use super::handle::AdapterHandle;

/// Net buffer lists that NDIS handed over for sending. They are ours until they are completed, each exactly once.
pub struct SendChain {
    first: NonNull<NET_BUFFER_LIST>,
    /// NDIS promises that the IRQL is `DISPATCH_LEVEL`.
    at_dispatch: bool,
}

impl SendChain {
    /// Takes the chain over.
    ///
    /// # Safety
    ///
    /// `first` and `flags` are those of one call of `MiniportSendNetBufferLists`.
    #[must_use]
    pub unsafe fn new(first: NonNull<NET_BUFFER_LIST>, flags: u32) -> Self {
        Self {
            first,
            at_dispatch: flags & NDIS_SEND_FLAGS_DISPATCH_LEVEL != 0,
        }
    }

    /// Gives the whole chain back to NDIS with one status.
    pub fn complete(self, adapter: AdapterHandle, status: NDIS_STATUS) {
        let mut next = Some(self.first);
        while let Some(mut list) = next {
            // SAFETY: a list of the chain, which is ours.
            let list = unsafe { list.as_mut() };
            list.Status = status;
            next = NonNull::new(list.Next);
        }
        let flags = if self.at_dispatch {
            NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL
        } else {
            0
        };
        // SAFETY: a valid handle and the chain as it was handed over, with the status set.
        unsafe { ndis::NdisMSendNetBufferListsComplete(adapter.raw(), self.first.as_ptr(), flags) };
    }
}
