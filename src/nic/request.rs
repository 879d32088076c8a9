//! Commands whose callers do not wait.
//!
//! A [`Request`] is a block in pool that its owner makes early, so that nothing can fail later, and hands to
//! [`super::Nic::submit`] each time that a command is due. It comes back exactly once: at once with the answer, or through
//! [`Payload::done`]. While it is under way the command queue owns it, in one of its lists or by the command's tag.
#![expect(unsafe_code, reason = "requests of any payload in one list")]

use core::ptr::NonNull;

use vrnic_abi::cmd::{INLINE_INPUT, Opcode};

use super::command::CommandError;
use super::slots::Outcome;
use crate::os::pool::{OutOfMemory, PoolBox, Pooled, Tag};

/// Bytes of the longest mailbox that a request carries to the device.
pub const REQUEST_MAILBOX: usize = 128;

/// What an owner keeps with its request.
pub trait Payload: Send + Sized + 'static {
    /// Pool tag of the request.
    const TAG: Tag;

    /// The command of a request that was [`Submitted::Pending`] has ended. `DISPATCH_LEVEL`, without a lock, and never inside
    /// somebody's call of this driver. The request may be used again or dropped.
    fn done(request: PoolBox<Request<Self>>, outcome: Outcome);
}

/// A command and what its owner keeps with it.
#[repr(C)]
pub struct Request<T> {
    /// First, so that the queue finds it whatever the payload is.
    header: Header,
    /// The owner's.
    pub payload: T,
}

impl<T: Payload> Pooled for Request<T> {
    const TAG: Tag = T::TAG;
}

impl<T: Payload> Request<T> {
    /// A request that can be submitted. At most `DISPATCH_LEVEL`.
    ///
    /// # Errors
    ///
    /// No memory.
    pub fn new(payload: T) -> Result<PoolBox<Self>, OutOfMemory> {
        let header = Header {
            next: None,
            done: finish::<T>,
            outcome: Err(CommandError::Dead),
            opcode: Opcode::NOP,
            input: [0; INLINE_INPUT],
            mailbox: [0; REQUEST_MAILBOX],
            mailbox_len: 0,
        };
        PoolBox::new(Self { header, payload })
    }
}

/// What became of a submitted request.
#[must_use]
pub enum Submitted<T: Payload> {
    /// The firmware has answered already, or never will. [`Payload::done`] is not called.
    Done(PoolBox<Request<T>>, Outcome),
    /// [`Payload::done`] will be called.
    Pending,
}

/// The part of a request that the queue works with.
pub(super) struct Header {
    next: Option<Erased>,
    done: unsafe fn(Erased),
    pub(super) outcome: Outcome,
    pub(super) opcode: Opcode,
    pub(super) input: [u8; INLINE_INPUT],
    mailbox: [u8; REQUEST_MAILBOX],
    mailbox_len: usize,
}

impl Header {
    /// Sets the command.
    ///
    /// # Panics
    ///
    /// If input or mailbox are longer than there is room for: the opcode fixes both.
    pub(super) fn set(&mut self, opcode: Opcode, input: &[u8], mailbox: &[u8]) {
        self.opcode = opcode;
        self.input = [0; INLINE_INPUT];
        self.input[..input.len()].copy_from_slice(input);
        self.mailbox[..mailbox.len()].copy_from_slice(mailbox);
        self.mailbox_len = mailbox.len();
    }

    pub(super) fn mailbox(&self) -> &[u8] {
        &self.mailbox[..self.mailbox_len]
    }
}

/// An owned request of some payload. Not dropped but given back.
pub(super) struct Erased(NonNull<Header>);

// SAFETY: the payload is `Send`, and an `Erased` owns its request.
unsafe impl Send for Erased {}

impl Erased {
    pub(super) fn new<T: Payload>(request: PoolBox<Request<T>>) -> Self {
        Self(request.into_raw().cast())
    }

    /// The request of a payload that the caller knows.
    ///
    /// # Safety
    ///
    /// It was made of such a request.
    pub(super) unsafe fn into_request<T: Payload>(self) -> PoolBox<Request<T>> {
        // SAFETY: the header is the first field of the request that `new` took (caller).
        unsafe { PoolBox::from_raw(self.0.cast()) }
    }

    /// Its place in memory, to tell requests apart.
    pub(super) fn address(&self) -> usize {
        self.0.addr().get()
    }

    pub(super) fn header(&self) -> &Header {
        // SAFETY: owned.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn header_mut(&mut self) -> &mut Header {
        // SAFETY: owned, and borrowed exclusively.
        unsafe { self.0.as_mut() }
    }

    /// Gives the request back to its owner.
    pub(super) fn finish(self) {
        let done = self.header().done;
        // SAFETY: the function that was made for this payload.
        unsafe { done(self) };
    }
}

/// [`Header::done`] of requests with payload `T`.
///
/// # Safety
///
/// The request has that payload.
unsafe fn finish<T: Payload>(request: Erased) {
    let outcome = request.header().outcome;
    // SAFETY: the caller's promise.
    T::done(unsafe { request.into_request() }, outcome);
}

/// Requests, first in, first out.
pub(super) struct List {
    first: Option<Erased>,
    /// The last of them, which one of the others owns.
    last: Option<NonNull<Header>>,
}

// SAFETY: `last` points into what the list owns.
unsafe impl Send for List {}

impl List {
    pub(super) const fn new() -> Self {
        Self {
            first: None,
            last: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn push(&mut self, mut request: Erased) {
        request.header_mut().next = None;
        let place = request.0;
        match self.last.replace(place) {
            None => self.first = Some(request),
            // SAFETY: the list owns its last request, which lives until it is taken out.
            Some(last) => unsafe { (*last.as_ptr()).next = Some(request) },
        }
    }

    pub(super) fn pop(&mut self) -> Option<Erased> {
        let mut request = self.first.take()?;
        self.first = request.header_mut().next.take();
        if self.first.is_none() {
            self.last = None;
        }
        Some(request)
    }
}

impl Drop for List {
    fn drop(&mut self) {
        debug_assert!(self.is_empty(), "a command queue goes away with requests in it");
    }
}
