//! Net buffer lists of the miniport: what is sent is completed at once, and answered with a frame of our own, in a list that comes
//! back; unless a fault was asked for.
#![expect(unsafe_code, reason = "calls of NDIS")]

use core::ffi::c_void;
use core::ptr::with_exposed_provenance_mut;
use core::sync::atomic::{AtomicUsize, Ordering};

use ndk_sys::imports::ndis;
use ndk_sys::{
    NDIS_HANDLE, NDIS_OBJECT_TYPE_DEFAULT, NDIS_RECEIVE_FLAGS_PERFECT_FILTERED,
    NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL, NDIS_STATUS_FAILURE, NDIS_STATUS_SUCCESS,
    NDIS_TCP_LARGE_SEND_OFFLOAD_V2_TYPE, NET_BUFFER, NET_BUFFER_LIST, NET_BUFFER_LIST_POOL_PARAMETERS,
    NetBufferListHashInfo, NetBufferListHashValue, TcpIpChecksumNetBufferListInfo,
    TcpLargeSendNetBufferListInfo,
};

use crate::faults::is;
use crate::kernel::{
    IoAllocateMdl, KeAcquireSpinLockRaiseToDpc, MmBuildMdlForNonPagedPool, number, peek, poke, pool, sleep,
};

/// Bytes of the frame that answers.
const FRAME: usize = 60;

/// The pool of our lists, the MDL of their data, and how many NDIS has.
static POOL: AtomicUsize = AtomicUsize::new(0);
static MDL: AtomicUsize = AtomicUsize::new(0);
static DATA: AtomicUsize = AtomicUsize::new(0);
static LENT: AtomicUsize = AtomicUsize::new(0);

fn handle(value: &AtomicUsize) -> NDIS_HANDLE {
    with_exposed_provenance_mut(value.load(Ordering::Relaxed))
}

/// A frame of an experimental protocol to everybody.
const PLAIN: [u8; 16] = [
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2, 0, 0, 0, 0, 1, 0x88, 0xB5, 1, 2,
];
/// The TCP packet of Microsoft's RSS verification suite: 66.9.149.187 port 2794 to 161.142.100.80 port 1766.
const TCP: [u8; 54] = [
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0,
    66, 9, 149, 187, 161, 142, 100, 80, 0x0A, 0xEA, 6, 0xE6, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0, 0, 0, 0,
    0, 0,
];
/// Its hash with Microsoft's key, and what says so: `NDIS_HASH_TCP_IPV4` of the Toeplitz function.
const HASH: (usize, usize) = (0x51cc_c178, 0x201);

/// Allocates the pool, and memory for a frame.
pub fn set_up(adapter: NDIS_HANDLE) {
    let mut parameters = NET_BUFFER_LIST_POOL_PARAMETERS::zeroed();
    parameters.Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
    parameters.Header.Revision = 1;
    parameters.Header.Size = u16::try_from(size_of_val(&parameters)).unwrap_or(0);
    parameters.fAllocateNetBuffer = 1;
    parameters.PoolTag = u32::from_le_bytes(*b"Wrng");
    // SAFETY: the adapter's handle and a structure of ours.
    let lists = unsafe { ndis::NdisAllocateNetBufferListPool(adapter, &raw mut parameters) };
    POOL.store(number(lists), Ordering::Relaxed);
    let data = pool(FRAME);
    let mdl = IoAllocateMdl(data, u32::try_from(FRAME).unwrap_or(0), 0, 0, 0);
    MmBuildMdlForNonPagedPool(mdl);
    DATA.store(data, Ordering::Relaxed);
    MDL.store(mdl, Ordering::Relaxed);
}

/// Undoes [`set_up`].
pub fn tear_down() {
    if is("NdisNetBufferPool") {
        let _ = allocate();
    }
    let mdl = handle(&MDL);
    // SAFETY: the MDL that we have, of nonpaged memory.
    unsafe { ndis::NdisFreeMdl(mdl.cast()) };
    crate::kernel::free(DATA.load(Ordering::Relaxed));
    // SAFETY: the pool that we have.
    unsafe { ndis::NdisFreeNetBufferListPool(handle(&POOL)) };
}

fn allocate() -> *mut NET_BUFFER_LIST {
    let mdl = handle(&MDL).cast();
    // SAFETY: the pool and the MDL that we have.
    unsafe { ndis::NdisAllocateNetBufferAndNetBufferList(handle(&POOL), 0, 0, mdl, 0, FRAME) }
}

/// Where a list has some out-of-band data.
fn info(list: usize, index: i32) -> usize {
    list + core::mem::offset_of!(NET_BUFFER_LIST, NetBufferListInfo) + 8 * usize::try_from(index).unwrap_or(0)
}

/// What was sent comes back.
pub fn send(adapter: NDIS_HANDLE, lists: *mut NET_BUFFER_LIST) {
    if is("NdisSendLost") {
        return;
    }
    let mut next = number(lists);
    while next != 0 {
        finish(next);
        next = peek(next);
    }
    let at_dispatch = is("NdisDispatchFlag");
    let flags = if at_dispatch {
        NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL
    } else {
        0
    };
    let lock = if is("NdisLockHeld") { pool(8) } else { 0 };
    if lock != 0 {
        let _ = KeAcquireSpinLockRaiseToDpc(lock);
    }
    for _ in 0..if is("NdisSendReturned") { 2 } else { 1 } {
        // SAFETY: the lists that NDIS passed.
        unsafe { ndis::NdisMSendNetBufferListsComplete(adapter, lists, flags) };
    }
    if is("NdisListTouched") {
        poke(
            number(lists) + core::mem::offset_of!(NET_BUFFER_LIST, Scratch),
            0_u64,
        );
    }
    indicate(adapter);
}

/// Fills in a list that is about to be completed.
fn finish(list: usize) {
    let large = info(list, TcpLargeSendNetBufferListInfo);
    let is_large = peek::<u64>(large) != 0;
    // Nothing is sent: only who lies says so.
    let lies = is("NdisSendOnWire") || (is("NdisLargeSendInfo") && is_large);
    let status = if lies {
        NDIS_STATUS_SUCCESS
    } else {
        NDIS_STATUS_FAILURE
    };
    if !is("NdisSendStatus") {
        poke(list + core::mem::offset_of!(NET_BUFFER_LIST, Status), status);
    }
    if is_large && !is("NdisLargeSendInfo") {
        poke(large, u64::from(NDIS_TCP_LARGE_SEND_OFFLOAD_V2_TYPE) << 30);
    }
    let buffer: usize = peek(list + core::mem::offset_of!(NET_BUFFER_LIST, FirstNetBuffer));
    if is("NdisSendChanged") {
        let length = buffer + core::mem::offset_of!(NET_BUFFER, DataLength);
        poke(length, peek::<u32>(length) - 1);
    }
    if is("NdisNetBufferData") {
        // SAFETY: a net buffer of the list, moved too far on purpose.
        unsafe {
            ndis::NdisAdvanceNetBufferDataStart(with_exposed_provenance_mut(buffer), 100_000, 0, None);
        };
    }
}

/// Indicates a frame.
pub fn indicate(adapter: NDIS_HANDLE) {
    let list = allocate();
    if list.is_null() {
        return;
    }
    let at = number(list);
    let data = DATA.load(Ordering::Relaxed);
    let with_tcp = is("NdisRssHash") || is("NdisRssProcessor") || is("NdisReceiveChecksum");
    let frame: &[u8] = if with_tcp { &TCP } else { &PLAIN };
    for (index, &byte) in frame.iter().enumerate() {
        poke(data + index, byte);
    }
    let mut flags = 0;
    if is("NdisPacketFilter") {
        // To a group that nobody has asked for.
        poke(data, [1_u8, 0, 0x5E, 1, 2, 3]);
        flags = NDIS_RECEIVE_FLAGS_PERFECT_FILTERED;
    }
    if with_tcp && !is("NdisRssHash") {
        poke(info(at, NetBufferListHashValue), HASH.0);
        poke(info(at, NetBufferListHashInfo), HASH.1);
    }
    if is("NdisReceiveChecksum") {
        // TcpChecksumSucceeded
        poke(info(at, TcpIpChecksumNetBufferListInfo), 1_usize << 3);
    }
    poke(
        at + core::mem::offset_of!(NET_BUFFER_LIST, SourceHandle),
        number(adapter),
    );
    let count = if is("NdisReceiveList") { 2 } else { 1 };
    LENT.fetch_add(1, Ordering::AcqRel);
    // SAFETY: the adapter's handle and a list of ours.
    unsafe { ndis::NdisMIndicateReceiveNetBufferLists(adapter, list, 0, count, flags) };
    if is("NdisReceiveChanged") {
        poke(data + 20, 0xBAD_u32);
    }
}

/// Our lists come back.
pub fn returned(lists: *mut NET_BUFFER_LIST) {
    let mut next = number(lists);
    while next != 0 {
        let list = with_exposed_provenance_mut::<NET_BUFFER_LIST>(next);
        next = peek(next);
        // SAFETY: a list of ours that NDIS has given back.
        unsafe { ndis::NdisFreeNetBufferList(list) };
        LENT.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Waits until all our lists are back.
pub fn wait_for_returns() {
    while LENT.load(Ordering::Acquire) != 0 {
        sleep(1);
    }
}

/// A status indication that is too short.
pub fn indicate_short_status(adapter: NDIS_HANDLE) {
    let mut word = 0_u32;
    let mut status = ndk_sys::NDIS_STATUS_INDICATION::zeroed();
    status.Header.Type = ndk_sys::NDIS_OBJECT_TYPE_STATUS_INDICATION;
    status.Header.Revision = ndk_sys::NDIS_STATUS_INDICATION_REVISION_1;
    status.Header.Size = ndk_sys::NDIS_SIZEOF_STATUS_INDICATION_REVISION_1;
    status.StatusCode = ndk_sys::NDIS_STATUS_LINK_STATE;
    status.StatusBuffer = (&raw mut word).cast::<c_void>();
    status.StatusBufferSize = 4;
    // SAFETY: the adapter's handle and a structure of ours.
    unsafe { ndis::NdisMIndicateStatusEx(adapter, &raw mut status) };
}
