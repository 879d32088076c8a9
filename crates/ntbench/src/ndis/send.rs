//! Sends: net buffer lists that the bench hands to a miniport, each of which must come back exactly once.

use super::adapter::Miniport;
use super::handles;
use crate::exports;
use crate::memory;
use crate::nt::mdl;
use crate::verifier::{BugCheck, Rule, Violation};
use ndk_sys::{MDL, NDIS_STATUS, NET_BUFFER, NET_BUFFER_LIST};
use parking_lot::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

exports! {
    /// Sends.
    pub static EXPORTS: "ndis.sys" = {
        NdisMSendNetBufferListsComplete = function(ndis_m_send_net_buffer_lists_complete, at_most(DISPATCH_LEVEL));
    }
}

/// A list with one buffer, as the bench owns it: the driver sees the addresses.
struct Frame {
    list: Box<NET_BUFFER_LIST>,
    _buffer: Box<NET_BUFFER>,
    _mdl: Box<[u64]>,
    _data: Vec<u8>,
}

#[expect(unsafe_code, reason = "a frame holds addresses of its own parts")]
// SAFETY: the parts are boxes that move with the frame; the bench never dereferences the addresses.
unsafe impl Send for Frame {}

/// The lists that a miniport has, and the statuses of those that came back.
#[derive(Default)]
pub struct Sends {
    with_driver: Mutex<BTreeMap<usize, Frame>>,
    returned: Mutex<Vec<NDIS_STATUS>>,
    changed: Condvar,
}

impl Sends {
    /// Reports lists that the driver still has where it must not have any.
    pub(super) fn check_all_returned(&self, handler: &str) {
        let left = self.with_driver.lock().len();
        if left != 0 {
            Violation::new(
                Rule::NdisSendLost,
                BugCheck::verifier(0x91, [left as u64, 0, 0]),
                format!("{handler} has completed, and {left} net buffer lists have not come back"),
            )
            .advice("Complete every list with NdisMSendNetBufferListsComplete before the pause completes.")
            .stop()
        }
    }

    fn wait_for(&self, count: usize, limit: Duration) -> Option<Vec<NDIS_STATUS>> {
        let deadline = Instant::now() + limit;
        let mut returned = self.returned.lock();
        while returned.len() < count {
            if self.changed.wait_until(&mut returned, deadline).timed_out() {
                return None;
            }
        }
        Some(std::mem::take(&mut *returned))
    }
}

impl Miniport {
    /// Sends frames in one call, at the current IRQL, and waits until all have come back; the statuses, in order of
    /// completion, or `None` after `limit`.
    pub fn send(&self, frames: &[&[u8]], limit: Duration) -> Option<Vec<NDIS_STATUS>> {
        let handler = self.registration.handlers.SendNetBufferListsHandler?;
        let mut first = 0;
        for data in frames.iter().rev() {
            first = self.sends.own(data, first);
        }
        self.handler(
            "MiniportSendNetBufferLists",
            handler as usize,
            &[first as u64, 0, 0],
        );
        self.sends.wait_for(frames.len(), limit)
    }
}

impl Sends {
    /// Makes a list for `data` with `next` behind it; returns its address.
    fn own(&self, data: &[u8], next: usize) -> usize {
        let data = data.to_vec();
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let pages = mdl::span_pages(data.as_ptr().addr(), data.len());
        let mdl = vec![0_u64; size_of::<MDL>() / 8 + pages].into_boxed_slice();
        mdl::initialize(mdl.as_ptr().addr(), data.as_ptr().addr(), length);
        mdl::fill_pages(mdl.as_ptr().addr());
        let mut buffer = Box::new(NET_BUFFER::zeroed());
        buffer.CurrentMdl = mdl.as_ptr().cast_mut().cast();
        buffer.MdlChain = buffer.CurrentMdl;
        buffer.DataLength = length;
        let mut list = Box::new(NET_BUFFER_LIST::zeroed());
        list.FirstNetBuffer = &raw mut *buffer;
        list.Next = next as *mut NET_BUFFER_LIST;
        let address = (&raw const *list).addr();
        self.with_driver.lock().insert(
            address,
            Frame {
                list,
                _buffer: buffer,
                _mdl: mdl,
                _data: data,
            },
        );
        address
    }

    fn give_back(&self, address: usize) -> NET_BUFFER_LIST {
        let Some(frame) = self.with_driver.lock().remove(&address) else {
            Violation::new(
                Rule::NdisSendReturned,
                BugCheck::verifier(0x91, [address as u64, 0, 0]),
                format!("net buffer list {address:#x} was completed, and the driver does not have it"),
            )
            .advice("Complete each list once, and only lists that MiniportSendNetBufferLists got.")
            .stop()
        };
        memory::read((&raw const *frame.list).addr())
    }
}

extern "win64" fn ndis_m_send_net_buffer_lists_complete(handle: u64, list: usize, _flags: u32) {
    let miniport = handles::get::<Miniport>(handle);
    let mut next = list;
    while next != 0 {
        let list = miniport.sends.give_back(next);
        miniport.sends.returned.lock().push(list.Status);
        next = list.Next as usize;
    }
    miniport.sends.changed.notify_all();
}
