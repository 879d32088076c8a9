//! Lists that NDIS wants sent.
//!
//! The space that NDIS leaves to a miniport in each list holds how many tokens there are for it, and which of its buffers is
//! the next to be sent.

use core::marker::PhantomData;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicUsize, Ordering};

use ndk_sys::imports::ndis;
use ndk_sys::{
    Ieee8021QNetBufferListInfo, MDL, NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL, NDIS_SEND_FLAGS_DISPATCH_LEVEL,
    NDIS_STATUS, NDIS_STATUS_SUCCESS, NDIS_TCP_LARGE_SEND_OFFLOAD_V2_TYPE, NET_BUFFER, NET_BUFFER_LIST,
    NetBufferListCancelId, NetBufferListHashValue, TcpIpChecksumNetBufferListInfo,
    TcpLargeSendNetBufferListInfo,
};

use crate::os::handle::AdapterHandle;

/// What a completed large send says of itself: the type, and nothing else.
const LARGE_SEND_DONE: usize = (NDIS_TCP_LARGE_SEND_OFFLOAD_V2_TYPE as usize) << 30;

/// Which slot of the miniport's space holds what.
const TOKENS: usize = 0;
const NEXT_BUFFER: usize = 1;

/// The lists of one call of `MiniportSendNetBufferLists`.
pub struct SendChain {
    next: *mut NET_BUFFER_LIST,
    at_dispatch: bool,
}

impl SendChain {
    /// Takes the chain over.
    ///
    /// # Safety
    ///
    /// `first` and `flags` are those of one call of `MiniportSendNetBufferLists`.
    #[must_use]
    pub unsafe fn new(first: *mut NET_BUFFER_LIST, flags: u32) -> Self {
        Self {
            next: first,
            at_dispatch: flags & NDIS_SEND_FLAGS_DISPATCH_LEVEL != 0,
        }
    }

    /// Whether NDIS promises that the IRQL is `DISPATCH_LEVEL`.
    #[must_use]
    pub fn at_dispatch(&self) -> bool {
        self.at_dispatch
    }
}

impl Iterator for SendChain {
    type Item = SendList;

    fn next(&mut self) -> Option<SendList> {
        let mut place = NonNull::new(self.next)?;
        // SAFETY: a list of the chain, which is ours.
        let list = unsafe { place.as_mut() };
        self.next = list.Next;
        list.Next = null_mut();
        list.Status = NDIS_STATUS_SUCCESS;
        list.MiniportReserved[TOKENS] = core::ptr::without_provenance_mut(1);
        list.MiniportReserved[NEXT_BUFFER] = list.FirstNetBuffer.cast();
        Some(SendList(place))
    }
}

impl Drop for SendChain {
    fn drop(&mut self) {
        debug_assert!(self.next.is_null(), "lists were not taken out of their chain");
    }
}

/// What a list asks for out of band, as NDIS encodes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendRequest {
    /// `NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO`.
    pub checksum: usize,
    /// `NDIS_TCP_LARGE_SEND_OFFLOAD_NET_BUFFER_LIST_INFO`.
    pub large_send: usize,
    /// `NDIS_NET_BUFFER_LIST_8021Q_INFO`.
    pub tag: usize,
    /// Hash of the flow, 0 for none.
    pub hash: u32,
}

/// The right to send the buffers of a list that have not been sent yet. It ends by [`SendList::end`].
pub struct SendList(NonNull<NET_BUFFER_LIST>);

// SAFETY: a list may be worked on by any processor; tokens keep them apart.
unsafe impl Send for SendList {}

impl SendList {
    fn list(&self) -> &NET_BUFFER_LIST {
        // SAFETY: ours until it is completed, which needs every token.
        unsafe { self.0.as_ref() }
    }

    fn info(&self, index: i32) -> usize {
        usize::try_from(index)
            .ok()
            .and_then(|index| self.list().NetBufferListInfo.get(index))
            .map_or(0, |value| value.addr())
    }

    /// What it asks for.
    #[must_use]
    pub fn request(&self) -> SendRequest {
        SendRequest {
            checksum: self.info(TcpIpChecksumNetBufferListInfo),
            large_send: self.info(TcpLargeSendNetBufferListInfo),
            tag: self.info(Ieee8021QNetBufferListInfo),
            hash: (self.info(NetBufferListHashValue) as u64 & 0xFFFF_FFFF) as u32,
        }
    }

    /// The next buffer to send; `None` when all have been sent.
    #[must_use]
    pub fn front(&self) -> Option<NetBuffer<'_>> {
        let next = self.list().MiniportReserved[NEXT_BUFFER].cast();
        NonNull::new(next).map(|buffer| NetBuffer(buffer, PhantomData))
    }

    /// The next buffer has been given to the device: the token for it.
    ///
    /// # Panics
    ///
    /// If there is no next buffer.
    #[must_use]
    pub fn take(&mut self) -> InFlight {
        let next = self.front().map(|buffer| buffer.raw().Next);
        let next = next.unwrap_or_else(|| unreachable!("a buffer that is not there"));
        // SAFETY: ours, and this token is the only one that moves the place.
        unsafe { self.0.as_mut() }.MiniportReserved[NEXT_BUFFER] = next.cast();
        tokens(self.0).fetch_add(1, Ordering::Relaxed);
        InFlight(self.0)
    }

    /// Sends no more of it: because all has been sent, or with the reason why not. The list, if nothing of it is in flight.
    #[must_use]
    pub fn end(self, status: NDIS_STATUS) -> Option<Ended> {
        give_up(self.0, status)
    }
}

/// How many tokens there are for a list.
fn tokens<'a>(list: NonNull<NET_BUFFER_LIST>) -> &'a AtomicUsize {
    // SAFETY: a field of a live list.
    let place = unsafe { &raw mut (*list.as_ptr()).MiniportReserved[TOKENS] };
    // SAFETY: aligned, valid as long as there are tokens, and only accessed atomically while there are several.
    unsafe { AtomicUsize::from_ptr(place.cast()) }
}

/// Gives up one token; the list, if it was the last one.
fn give_up(mut list: NonNull<NET_BUFFER_LIST>, status: NDIS_STATUS) -> Option<Ended> {
    if status != NDIS_STATUS_SUCCESS {
        // SAFETY: a field of a live list; whoever writes it has the queue's lock.
        unsafe { (*list.as_ptr()).Status = status };
    }
    if tokens(list).fetch_sub(1, Ordering::AcqRel) != 1 {
        return None;
    }
    // SAFETY: nobody else has a token any more.
    let raw = unsafe { list.as_mut() };
    let large_send = &mut raw.NetBufferListInfo[TcpLargeSendNetBufferListInfo as usize];
    if !large_send.is_null() {
        *large_send = core::ptr::without_provenance_mut(LARGE_SEND_DONE);
    }
    raw.Next = null_mut();
    Some(Ended(list))
}

/// One buffer of a list is with the device.
pub struct InFlight(NonNull<NET_BUFFER_LIST>);

// SAFETY: as for `SendList`.
unsafe impl Send for InFlight {}

impl InFlight {
    /// The device is done with the buffer. The list, if that was all of it.
    #[must_use]
    pub fn done(self, status: NDIS_STATUS) -> Option<Ended> {
        give_up(self.0, status)
    }
}

/// A buffer of a list that is ours: one frame.
#[derive(Clone, Copy)]
pub struct NetBuffer<'a>(NonNull<NET_BUFFER>, PhantomData<&'a NET_BUFFER>);

impl<'a> NetBuffer<'a> {
    fn raw(self) -> &'a NET_BUFFER {
        // SAFETY: part of a list that is ours for that long.
        unsafe { self.0.as_ref() }
    }

    /// Bytes of the frame, or of the large send.
    #[must_use]
    pub fn length(self) -> u32 {
        self.raw().DataLength
    }

    /// The MDL in which the frame begins; others follow it.
    #[must_use]
    pub fn mdl(self) -> *mut MDL {
        self.raw().CurrentMdl
    }

    /// Where it begins there.
    #[must_use]
    pub fn offset(self) -> u32 {
        self.raw().CurrentMdlOffset
    }

    /// Copies the whole frame to `to`; false if the system cannot map it.
    ///
    /// # Safety
    ///
    /// There is room for [`NetBuffer::length`] bytes, which nobody else accesses now.
    #[must_use]
    pub unsafe fn copy_to(self, to: NonNull<u8>) -> bool {
        let length = self.length();
        let storage = to.as_ptr().cast();
        // SAFETY: a live net buffer of that length, and room for as much.
        let data = unsafe { ndis::NdisGetDataBuffer(self.0.as_ptr(), length, storage, 1, 0) };
        if data.is_null() {
            return false;
        }
        if data != storage {
            // SAFETY: the frame's bytes in one piece, and room for as many elsewhere.
            unsafe { to.as_ptr().copy_from_nonoverlapping(data.cast(), length as usize) };
        }
        true
    }
}

/// A list that is done with, and goes back to NDIS in an [`EndedChain`].
pub struct Ended(NonNull<NET_BUFFER_LIST>);

/// Lists that go back to NDIS together.
#[must_use]
pub struct EndedChain {
    first: *mut NET_BUFFER_LIST,
    last: *mut NET_BUFFER_LIST,
}

impl EndedChain {
    /// None.
    pub const fn new() -> Self {
        Self {
            first: null_mut(),
            last: null_mut(),
        }
    }

    /// Appends a list, if there is one.
    #[expect(clippy::needless_pass_by_value, reason = "the token is used up")]
    pub fn extend(&mut self, list: Option<Ended>) {
        let Some(Ended(list)) = list else { return };
        match NonNull::new(self.last) {
            // SAFETY: the last list of the chain, which is ours.
            Some(end) => unsafe { (*end.as_ptr()).Next = list.as_ptr() },
            None => self.first = list.as_ptr(),
        }
        self.last = list.as_ptr();
    }

    /// Gives the lists back. At most `DISPATCH_LEVEL` (exactly that if `at_dispatch`), without a lock.
    pub fn complete(mut self, adapter: AdapterHandle, at_dispatch: bool) {
        if self.first.is_null() {
            return;
        }
        let flags = if at_dispatch {
            NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL
        } else {
            0
        };
        let first = core::mem::replace(&mut self.first, null_mut());
        // SAFETY: a valid handle, and lists that nobody has a token for, with their statuses set.
        unsafe { ndis::NdisMSendNetBufferListsComplete(adapter.raw(), first, flags) };
    }
}

impl Default for EndedChain {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for EndedChain {
    fn drop(&mut self) {
        debug_assert!(self.first.is_null(), "lists that do not go back to NDIS");
    }
}

/// Lists that wait for room at the device, first in, first out.
pub struct Waiting {
    first: *mut NET_BUFFER_LIST,
    last: *mut NET_BUFFER_LIST,
}

// SAFETY: the lists are its own.
unsafe impl Send for Waiting {}

impl Waiting {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            first: null_mut(),
            last: null_mut(),
        }
    }

    /// Whether none wait.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    /// Appends a list.
    #[expect(clippy::needless_pass_by_value, reason = "the token is used up")]
    pub fn push(&mut self, list: SendList) {
        let list = list.0.as_ptr();
        // SAFETY: ours.
        unsafe { (*list).Next = null_mut() };
        match NonNull::new(self.last) {
            // SAFETY: the last list, which is ours.
            Some(end) => unsafe { (*end.as_ptr()).Next = list },
            None => self.first = list,
        }
        self.last = list;
    }

    /// Puts a list back to the front.
    #[expect(clippy::needless_pass_by_value, reason = "the token is used up")]
    pub fn push_front(&mut self, list: SendList) {
        let list = list.0.as_ptr();
        // SAFETY: ours.
        unsafe { (*list).Next = self.first };
        if self.first.is_null() {
            self.last = list;
        }
        self.first = list;
    }

    /// Takes the first list out.
    pub fn pop(&mut self) -> Option<SendList> {
        let first = NonNull::new(self.first)?;
        // SAFETY: ours.
        self.first = unsafe { first.as_ref() }.Next;
        if self.first.is_null() {
            self.last = null_mut();
        }
        Some(SendList(first))
    }

    /// Takes all lists with that cancellation id out, and hands each to `cancel`.
    pub fn cancel(&mut self, id: usize, mut cancel: impl FnMut(SendList)) {
        let mut all = core::mem::take(self);
        while let Some(list) = all.pop() {
            if list.info(NetBufferListCancelId) == id {
                cancel(list);
            } else {
                self.push(list);
            }
        }
    }
}

impl Default for Waiting {
    fn default() -> Self {
        Self::new()
    }
}
