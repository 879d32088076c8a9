//! Posting to a queue pair: the functions of `NDK_QP` that consumers call most.
//!
//! Nothing here locks, allocates or waits: NDKPI serialises the posts of one queue. Arguments are checked once, the request
//! is written straight into the ring, and the doorbell is rung once, or later if the consumer defers it. A post that
//! fails leaves nothing behind, and rings what was deferred before it.
#![expect(
    unsafe_code,
    reason = "entries that consumers call by pointer, and their arrays"
)]

use super::mr::Mr;
use super::mw::Mw;
use super::object::{self, ObjectRef};
use super::post_rules::{access_of, check_fast_register, is_remote, send_flags, work_flags};
use super::qp::Qp;
use crate::nic::work_queue::doorbell::Doorbell;
use crate::nic::work_queue::memory::RingMemory;
use crate::nic::work_queue::queue_pair::Receives;
use crate::nic::work_queue::send::Full;
use crate::nic::work_queue::wqe::{self, Bind, FastReg, Head, Remote, Sge, Start, key_of, length_of};
use core::ffi::c_void;
use core::mem::offset_of;
use core::ptr::with_exposed_provenance;
use core::slice;
use ndk_sys::{
    NDK_LOGICAL_ADDRESS, NDK_MR, NDK_MW, NDK_OBJECT_HEADER, NDK_OP_FLAG_DEFER, NDK_OP_FLAG_INLINE,
    NDK_OP_FLAG_RDMA_READ_LOCAL_INVALIDATE, NDK_OPERATION_TYPE, NDK_QP, NDK_QP_DISPATCH, NDK_SGE, NTSTATUS,
    NdkObjectTypeMr, NdkObjectTypeMw, NdkOperationTypeBind, NdkOperationTypeFastRegister,
    NdkOperationTypeInvalidate, NdkOperationTypeRead, NdkOperationTypeSend, NdkOperationTypeWrite,
    STATUS_ACCESS_VIOLATION, STATUS_BUFFER_OVERFLOW, STATUS_DATA_OVERRUN, STATUS_INSUFFICIENT_RESOURCES,
    STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
};
use static_assertions::const_assert_eq;
use vrnic_abi::resource::{ACCESS_LOCAL_WRITE, ACCESS_REMOTE_READ, ACCESS_REMOTE_WRITE};
use vrnic_abi::wqe::WorkOpcode;

impl From<Full> for NTSTATUS {
    fn from(_: Full) -> Self {
        STATUS_INSUFFICIENT_RESOURCES
    }
}

/// Where requests of the initiator queue go.
pub struct SendSide {
    /// The ring, in basic blocks.
    pub ring: RingMemory,
    /// Its producer index.
    pub doorbell: Doorbell,
    /// Scatter/gather elements that a request may have.
    pub max_sge: u32,
    /// Bytes of inline data that a request may have.
    pub max_inline: u32,
}

/// Where receives go.
pub struct ReceiveSide {
    /// The ring, in entries.
    pub ring: RingMemory,
    /// Its producer index.
    pub doorbell: Doorbell,
    /// Units of an entry.
    pub entry_units: u32,
    /// Scatter/gather elements that a request may have.
    pub max_sge: u32,
}

pub(super) static DISPATCH: NDK_QP_DISPATCH = NDK_QP_DISPATCH {
    NdkCloseQp: Some(object::close::<Qp>),
    NdkQueryExtension: Some(object::query_extension),
    NdkFlush: Some(flush),
    NdkSend: Some(send),
    NdkReceive: Some(receive),
    NdkBind: Some(bind),
    NdkFastRegister: Some(fast_register),
    NdkInvalidate: Some(invalidate),
    NdkRead: Some(read),
    NdkWrite: Some(write),
    NdkSendAndInvalidate: Some(send_and_invalidate),
};

/// What the consumer says of a request of any kind.
#[derive(Clone, Copy)]
struct Post {
    /// Its name.
    request: u64,
    kind: NDK_OPERATION_TYPE,
    flags: u32,
}

impl Post {
    fn new(request: *mut c_void, kind: NDK_OPERATION_TYPE, flags: u32) -> Self {
        Self {
            request: request.expose_provenance() as u64,
            kind,
            flags,
        }
    }
}

impl Qp {
    /// Posts a request that `write` writes; it says how many units it has taken.
    #[expect(
        clippy::inline_always,
        reason = "the fast path: each kind of request gets code of its own"
    )]
    #[inline(always)]
    fn post(
        &self,
        post: Post,
        write: impl FnOnce(&RingMemory, Start) -> Result<u32, NTSTATUS>,
    ) -> Result<(), NTSTATUS> {
        let opened = self.pair.send.open()?;
        let units = write(&self.send.ring, opened.start)?;
        let kind = (post.kind.cast_unsigned() & 0xFFFF) as u16;
        let producer = self.pair.send.finish(opened, units, post.request, kind);
        if post.flags & NDK_OP_FLAG_DEFER == 0 {
            self.pair.send.set_rung(producer);
            self.send.doorbell.ring(producer);
        }
        Ok(())
    }

    /// SEND, WRITE and READ.
    #[expect(
        clippy::inline_always,
        reason = "the fast path: each kind of request gets code of its own"
    )]
    #[inline(always)]
    fn transfer(&self, post: Post, head: Head, remote: Option<Remote>, sges: &[Sge]) -> Result<(), NTSTATUS> {
        self.check_connected()?;
        if sges.len() > self.send.max_sge as usize {
            return Err(STATUS_DATA_OVERRUN);
        }
        self.post(post, |ring, start| {
            Ok(wqe::gather(ring, start, head, remote, sges))
        })
    }

    /// SEND and WRITE whose data is copied now; the number of elements does not matter.
    fn transfer_inline(
        &self,
        post: Post,
        head: Head,
        remote: Option<Remote>,
        sges: &[Sge],
    ) -> Result<(), NTSTATUS> {
        self.check_connected()?;
        let length: u64 = sges.iter().map(|sge| u64::from(length_of(sge))).sum();
        let length = u32::try_from(length)
            .ok()
            .filter(|length| *length <= self.send.max_inline)
            .ok_or(STATUS_BUFFER_OVERFLOW)?;
        let pieces = sges.iter().filter(|sge| length_of(sge) != 0).map(|sge| {
            let data = with_exposed_provenance::<u8>(usize::try_from(sge[0]).unwrap_or(0));
            // SAFETY: the consumer's data, readable at any IRQL during the call (NDK_OP_FLAG_INLINE).
            unsafe { slice::from_raw_parts(data, length_of(sge) as usize) }
        });
        self.post(post, |ring, start| {
            Ok(wqe::inline(ring, start, head, remote, pieces, length))
        })
    }

    /// SEND and WRITE.
    #[inline]
    fn transfer_out(
        &self,
        post: Post,
        head: Head,
        remote: Option<Remote>,
        sges: &[Sge],
    ) -> Result<(), NTSTATUS> {
        if post.flags & NDK_OP_FLAG_INLINE == 0 {
            self.transfer(post, head, remote, sges)
        } else {
            self.transfer_inline(post, head, remote, sges)
        }
    }

    /// `NdkReceive`.
    #[inline]
    fn post_receive(&self, request: *mut c_void, sges: &[Sge]) -> Result<(), NTSTATUS> {
        self.check_alive()?;
        let (Some(side), Receives::Own(queue)) = (&self.receive, &self.pair.receives) else {
            return Err(STATUS_INVALID_DEVICE_REQUEST);
        };
        if sges.len() > side.max_sge as usize {
            return Err(STATUS_DATA_OVERRUN);
        }
        let index = queue.open()?;
        wqe::receive(&side.ring, index, side.entry_units, None, sges);
        let producer = queue.finish(index, request.expose_provenance() as u64);
        side.doorbell.ring(producer);
        Ok(())
    }

    /// `NdkFastRegister`. The region's new key is in force when this returns, before the device has seen the request.
    fn post_fast_register(
        &self,
        post: Post,
        mr: &Mr,
        pages: &[NDK_LOGICAL_ADDRESS],
        to: Range,
    ) -> Result<(), NTSTATUS> {
        self.check_connected()?;
        let fast = mr.fast().ok_or(STATUS_INVALID_PARAMETER)?;
        let count = u32::try_from(pages.len()).map_err(|_| STATUS_INVALID_PARAMETER)?;
        check_fast_register(to.base, to.length, count, to.first_page_offset)?;
        let access = access_of(post.flags);
        self.post(post, |ring, start| {
            let registration = fast.register(mr, pages, is_remote(access))?;
            let to = FastReg {
                base: to.base,
                length: to.length,
                page_list: registration.page_list,
                key: registration.key,
                access,
                pages: count,
                first_page_offset: to.first_page_offset,
            };
            Ok(wqe::fast_register(ring, start, work_flags(post.flags), &to))
        })
    }

    /// `NdkBind`. As with a fast registration, the window's new key is in force when this returns.
    fn post_bind(
        &self,
        post: Post,
        mr: &ObjectRef<Mr>,
        mw: &Mw,
        base: u64,
        length: u64,
    ) -> Result<(), NTSTATUS> {
        self.check_connected()?;
        let access = access_of(post.flags) & (ACCESS_REMOTE_READ | ACCESS_REMOTE_WRITE);
        let needed = if access & ACCESS_REMOTE_WRITE == 0 {
            0
        } else {
            ACCESS_LOCAL_WRITE
        };
        if !mr.allows(needed) {
            return Err(STATUS_ACCESS_VIOLATION);
        }
        self.post(post, |ring, start| {
            let to = Bind {
                base,
                length,
                window_key: mw.bind(mr),
                region_key: mr.key(),
                access,
            };
            Ok(wqe::bind(ring, start, work_flags(post.flags), &to))
        })
    }

    /// `NdkInvalidate` of a region or window with this key.
    fn post_invalidate(&self, post: Post, key: u32) -> Result<(), NTSTATUS> {
        self.check_connected()?;
        let head = Head {
            opcode: WorkOpcode::LOCAL_INV,
            flags: work_flags(post.flags),
            invalidate_key: key,
        };
        self.post(post, |ring, start| Ok(wqe::gather(ring, start, head, None, &[])))
    }

    /// What the function returns. After a failure nothing deferred may wait for a later post (NDKPI, Deferred Processing).
    #[inline]
    fn answer(&self, result: Result<(), NTSTATUS>) -> NTSTATUS {
        match result {
            Ok(()) => STATUS_SUCCESS,
            Err(status) => self.refuse(status),
        }
    }

    #[cold]
    fn refuse(&self, status: NTSTATUS) -> NTSTATUS {
        if let Some(producer) = self.pair.send.deferred() {
            self.pair.send.set_rung(producer);
            self.send.doorbell.ring(producer);
        }
        status
    }
}

/// What a fast registration makes of the pages.
#[derive(Clone, Copy)]
struct Range {
    base: u64,
    length: u64,
    first_page_offset: u32,
}

/// The consumer's scatter/gather list.
///
/// # Safety
/// `sgl` is null or has `count` elements, which stay during the call.
#[inline]
pub unsafe fn list<'a>(sgl: *const NDK_SGE, count: u32) -> Result<&'a [Sge], NTSTATUS> {
    const_assert_eq!(size_of::<NDK_SGE>(), size_of::<Sge>());
    const_assert_eq!(align_of::<NDK_SGE>(), align_of::<Sge>());
    const_assert_eq!(offset_of!(NDK_SGE, Length), 8);
    const_assert_eq!(offset_of!(NDK_SGE, MemoryRegionToken), 12);
    if count == 0 {
        return Ok(&[]);
    }
    if sgl.is_null() {
        return Err(STATUS_INVALID_PARAMETER);
    }
    // SAFETY: the caller's list; an element is two words, as asserted above.
    Ok(unsafe { slice::from_raw_parts(sgl.cast::<Sge>(), count as usize) })
}

unsafe extern "system" fn flush(qp: *mut NDK_QP) {
    // SAFETY: the consumer passes an open queue pair.
    let qp = unsafe { object::reference::<Qp, _>(qp) };
    Qp::cancel(&qp);
}

unsafe extern "system" fn send(
    qp: *mut NDK_QP,
    request: *mut c_void,
    sgl: *const NDK_SGE,
    count: u32,
    flags: u32,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open queue pair.
    let qp: &Qp = unsafe { object::borrow(qp) };
    let head = Head {
        opcode: WorkOpcode::SEND,
        flags: send_flags(flags),
        invalidate_key: 0,
    };
    // SAFETY: the consumer's list.
    let sges = unsafe { list(sgl, count) };
    let post = Post::new(request, NdkOperationTypeSend, flags);
    qp.answer(sges.and_then(|sges| qp.transfer_out(post, head, None, sges)))
}

unsafe extern "system" fn send_and_invalidate(
    qp: *mut NDK_QP,
    request: *mut c_void,
    sgl: *const NDK_SGE,
    count: u32,
    flags: u32,
    remote_token: u32,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open queue pair.
    let qp: &Qp = unsafe { object::borrow(qp) };
    let head = Head {
        opcode: WorkOpcode::SEND_INV,
        flags: send_flags(flags),
        invalidate_key: remote_token,
    };
    // SAFETY: the consumer's list.
    let sges = unsafe { list(sgl, count) };
    let post = Post::new(request, NdkOperationTypeSend, flags);
    qp.answer(sges.and_then(|sges| qp.transfer_out(post, head, None, sges)))
}

unsafe extern "system" fn write(
    qp: *mut NDK_QP,
    request: *mut c_void,
    sgl: *const NDK_SGE,
    count: u32,
    remote_address: u64,
    remote_token: u32,
    flags: u32,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open queue pair.
    let qp: &Qp = unsafe { object::borrow(qp) };
    let head = Head {
        opcode: WorkOpcode::WRITE,
        flags: work_flags(flags),
        invalidate_key: 0,
    };
    let remote = Remote {
        addr: remote_address,
        key: remote_token,
    };
    // SAFETY: the consumer's list.
    let sges = unsafe { list(sgl, count) };
    let post = Post::new(request, NdkOperationTypeWrite, flags);
    qp.answer(sges.and_then(|sges| qp.transfer_out(post, head, Some(remote), sges)))
}

unsafe extern "system" fn read(
    qp: *mut NDK_QP,
    request: *mut c_void,
    sgl: *const NDK_SGE,
    count: u32,
    remote_address: u64,
    remote_token: u32,
    flags: u32,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open queue pair.
    let qp: &Qp = unsafe { object::borrow(qp) };
    // SAFETY: the consumer's list.
    let sges = match unsafe { list(sgl, count) } {
        Ok(sges) => sges,
        Err(status) => return qp.answer(Err(status)),
    };
    // The token of the first element is invalidated; without elements there is none.
    let (opcode, invalidate_key) = match sges.first() {
        Some(first) if flags & NDK_OP_FLAG_RDMA_READ_LOCAL_INVALIDATE != 0 => {
            (WorkOpcode::READ_LOCAL_INV, key_of(first))
        }
        _ => (WorkOpcode::READ, 0),
    };
    let head = Head {
        opcode,
        flags: work_flags(flags),
        invalidate_key,
    };
    let remote = Remote {
        addr: remote_address,
        key: remote_token,
    };
    let post = Post::new(request, NdkOperationTypeRead, flags);
    qp.answer(qp.transfer(post, head, Some(remote), sges))
}

unsafe extern "system" fn receive(
    qp: *mut NDK_QP,
    request: *mut c_void,
    sgl: *const NDK_SGE,
    count: u32,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open queue pair.
    let qp: &Qp = unsafe { object::borrow(qp) };
    // SAFETY: the consumer's list.
    let sges = unsafe { list(sgl, count) };
    // Not `answer`: deferral is of the other queue, whose poster may be at work.
    match sges.and_then(|sges| qp.post_receive(request, sges)) {
        Ok(()) => STATUS_SUCCESS,
        Err(status) => status,
    }
}

unsafe extern "system" fn fast_register(
    qp: *mut NDK_QP,
    request: *mut c_void,
    mr: *mut NDK_MR,
    page_count: u32,
    pages: *const NDK_LOGICAL_ADDRESS,
    first_page_offset: u32,
    length: usize,
    base: *mut c_void,
    flags: u32,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open queue pair.
    let qp: &Qp = unsafe { object::borrow(qp) };
    if mr.is_null() || pages.is_null() || page_count == 0 {
        return qp.answer(Err(STATUS_INVALID_PARAMETER));
    }
    // SAFETY: the consumer passes an open region.
    let mr: &Mr = unsafe { object::borrow(mr) };
    // SAFETY: the consumer's array, which stays during the call.
    let pages = unsafe { slice::from_raw_parts(pages, page_count as usize) };
    let to = Range {
        base: base.addr() as u64,
        length: length as u64,
        first_page_offset,
    };
    let post = Post::new(request, NdkOperationTypeFastRegister, flags);
    qp.answer(qp.post_fast_register(post, mr, pages, to))
}

unsafe extern "system" fn bind(
    qp: *mut NDK_QP,
    request: *mut c_void,
    mr: *mut NDK_MR,
    mw: *mut NDK_MW,
    base: *mut c_void,
    length: usize,
    flags: u32,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open queue pair.
    let qp: &Qp = unsafe { object::borrow(qp) };
    if mr.is_null() || mw.is_null() {
        return qp.answer(Err(STATUS_INVALID_PARAMETER));
    }
    // SAFETY: the consumer passes an open region.
    let mr = unsafe { object::reference::<Mr, _>(mr) };
    // SAFETY: the consumer passes an open window.
    let mw: &Mw = unsafe { object::borrow(mw) };
    let post = Post::new(request, NdkOperationTypeBind, flags);
    qp.answer(qp.post_bind(post, &mr, mw, base.addr() as u64, length as u64))
}

unsafe extern "system" fn invalidate(
    qp: *mut NDK_QP,
    request: *mut c_void,
    target: *mut NDK_OBJECT_HEADER,
    flags: u32,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open queue pair.
    let qp: &Qp = unsafe { object::borrow(qp) };
    // SAFETY: the consumer passes an open region or window.
    let key = unsafe { key_to_invalidate(target) };
    let post = Post::new(request, NdkOperationTypeInvalidate, flags);
    qp.answer(key.and_then(|key| qp.post_invalidate(post, key)))
}

/// The key of a region for fast registration, or of a window.
///
/// # Safety
/// `target` is null or the header of an open object.
unsafe fn key_to_invalidate(target: *mut NDK_OBJECT_HEADER) -> Result<u32, NTSTATUS> {
    // SAFETY: the caller's object.
    let kind = unsafe { target.as_ref() }
        .map(|header| header.ObjectType)
        .ok_or(STATUS_INVALID_PARAMETER)?;
    let key = if kind == NdkObjectTypeMr {
        // SAFETY: an open region.
        let mr: &Mr = unsafe { object::borrow(target) };
        // A region that is registered by MDL is not invalidated but deregistered.
        mr.fast().map_or(0, |_| mr.key())
    } else if kind == NdkObjectTypeMw {
        // SAFETY: an open window.
        let mw: &Mw = unsafe { object::borrow(target) };
        mw.key()
    } else {
        0
    };
    if key == 0 {
        Err(STATUS_INVALID_PARAMETER)
    } else {
        Ok(key)
    }
}
