//! Pools of net buffer lists and of net buffers, and MDLs for their data.

use crate::exports;
use crate::memory;
use crate::ndis::adapter::Miniport;
use crate::ndis::handles;
use crate::ndis::header::{self, Expected};
use crate::ndis::resources::Kind;
use crate::nt::{mdl, pool};
use crate::symbols::StackTrace;
use crate::verifier::pool::{PoolKind, Request};
use crate::verifier::{BugCheck, Rule, Violation, faults};
use ndk_sys::{
    NDIS_OBJECT_TYPE_DEFAULT, NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
    NDIS_SIZEOF_NET_BUFFER_POOL_PARAMETERS_REVISION_1, NET_BUFFER, NET_BUFFER_LIST, NET_BUFFER_LIST_CONTEXT,
    NET_BUFFER_LIST_POOL_PARAMETERS, NET_BUFFER_POOL_PARAMETERS,
};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

exports! {
    /// Pools.
    pub static EXPORTS: "ndis.sys" = {
        NdisAllocateNetBufferListPool = function(ndis_allocate_net_buffer_list_pool, at_most(DISPATCH_LEVEL));
        NdisFreeNetBufferListPool = function(ndis_free_net_buffer_list_pool, at_most(DISPATCH_LEVEL));
        NdisAllocateNetBufferPool = function(ndis_allocate_net_buffer_pool, at_most(DISPATCH_LEVEL));
        NdisFreeNetBufferPool = function(ndis_free_net_buffer_pool, at_most(DISPATCH_LEVEL));
        NdisAllocateNetBufferList = function(ndis_allocate_net_buffer_list, at_most(DISPATCH_LEVEL));
        NdisAllocateNetBufferAndNetBufferList = function(ndis_allocate_net_buffer_and_net_buffer_list, at_most(DISPATCH_LEVEL));
        NdisFreeNetBufferList = function(ndis_free_net_buffer_list, at_most(DISPATCH_LEVEL));
        NdisAllocateNetBuffer = function(ndis_allocate_net_buffer, at_most(DISPATCH_LEVEL));
        NdisAllocateNetBufferMdlAndData = function(ndis_allocate_net_buffer_mdl_and_data, at_most(DISPATCH_LEVEL));
        NdisFreeNetBuffer = function(ndis_free_net_buffer, at_most(DISPATCH_LEVEL));
        NdisAllocateMdl = function(ndis_allocate_mdl, at_most(DISPATCH_LEVEL));
        NdisFreeMdl = function(ndis_free_mdl, at_most(DISPATCH_LEVEL));
    }
}

/// What pools without a tag of their own are allocated with.
const DEFAULT_TAG: u32 = u32::from_le_bytes(*b"NDnb");
/// A list, its net buffer, and its context are one piece of memory in that order.
const BUFFER: usize = size_of::<NET_BUFFER_LIST>();
const CONTEXT: usize = BUFFER + size_of::<NET_BUFFER>();

/// What a pool gives out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gives {
    /// Lists; with a net buffer each, or without.
    Lists { with_buffer: bool },
    /// Net buffers.
    Buffers,
}

/// A pool that a driver has.
struct Pool {
    miniport: Arc<Miniport>,
    gives: Gives,
    tag: u32,
    context: u16,
    data: u32,
    handle: Mutex<u64>,
}

/// What a driver has allocated.
struct Allocated {
    pool: Arc<Pool>,
    /// MDL and data of `NdisAllocateNetBufferMdlAndData`.
    data: Option<(usize, usize)>,
    stack: StackTrace,
}

static ALLOCATED: Mutex<BTreeMap<usize, Allocated>> = Mutex::new(BTreeMap::new());

/// Whether the driver's adapter has that list from one of its pools.
pub fn has_list(miniport: &Arc<Miniport>, list: usize) -> bool {
    ALLOCATED.lock().get(&list).is_some_and(|allocated| {
        Arc::ptr_eq(&allocated.pool.miniport, miniport) && allocated.pool.gives != Gives::Buffers
    })
}

fn broken(what: impl Into<String>, advice: &str) -> Violation {
    Violation::new(Rule::NdisNetBufferPool, BugCheck::verifier(0x91, [0, 0, 0]), what).advice(advice)
}

fn tag_of(tag: u32) -> u32 {
    if tag == 0 { DEFAULT_TAG } else { tag }
}

fn open(pool: Pool) -> u64 {
    let miniport = Arc::clone(&pool.miniport);
    let pool = Arc::new(pool);
    let handle = handles::open(Arc::clone(&pool));
    *pool.handle.lock() = handle;
    miniport.ledger.take(Kind::NetBufferPool, handle, 0);
    handle
}

extern "win64" fn ndis_allocate_net_buffer_list_pool(handle: u64, parameters: usize) -> u64 {
    let miniport = handles::get::<Miniport>(handle);
    header::check(
        parameters,
        Expected {
            name: "NET_BUFFER_LIST_POOL_PARAMETERS",
            kind: NDIS_OBJECT_TYPE_DEFAULT,
            revision: 1,
            size: NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
        },
    );
    let value: NET_BUFFER_LIST_POOL_PARAMETERS = memory::read(parameters);
    let with_buffer = value.fAllocateNetBuffer != 0;
    if !value.ContextSize.is_multiple_of(16) || (value.DataSize != 0 && !with_buffer) {
        broken(
            format!(
                "a pool with ContextSize {} and DataSize {}",
                value.ContextSize, value.DataSize
            ),
            "ContextSize is a multiple of MEMORY_ALLOCATION_ALIGNMENT; DataSize goes with fAllocateNetBuffer.",
        )
        .stop()
    }
    if faults::allocation_fails() {
        return 0;
    }
    open(Pool {
        miniport,
        gives: Gives::Lists { with_buffer },
        tag: tag_of(value.PoolTag),
        context: value.ContextSize,
        data: value.DataSize,
        handle: Mutex::new(0),
    })
}

extern "win64" fn ndis_allocate_net_buffer_pool(handle: u64, parameters: usize) -> u64 {
    let miniport = handles::get::<Miniport>(handle);
    header::check(
        parameters,
        Expected {
            name: "NET_BUFFER_POOL_PARAMETERS",
            kind: NDIS_OBJECT_TYPE_DEFAULT,
            revision: 1,
            size: NDIS_SIZEOF_NET_BUFFER_POOL_PARAMETERS_REVISION_1,
        },
    );
    let value: NET_BUFFER_POOL_PARAMETERS = memory::read(parameters);
    if faults::allocation_fails() {
        return 0;
    }
    open(Pool {
        miniport,
        gives: Gives::Buffers,
        tag: tag_of(value.PoolTag),
        context: 0,
        data: value.DataSize,
        handle: Mutex::new(0),
    })
}

fn close(handle: u64, of_lists: bool) {
    let pool = handles::get::<Pool>(handle);
    let left = ALLOCATED
        .lock()
        .iter()
        .find(|(_, allocated)| Arc::ptr_eq(&allocated.pool, &pool))
        .map(|(&at, allocated)| (at, allocated.stack.clone()));
    if let Some((at, allocated)) = left {
        broken(
            format!("a pool was freed, and {at:#x} is still allocated from it"),
            "Free what a pool gave before the pool.",
        )
        .stack("allocated by", allocated)
        .stop()
    }
    if (pool.gives == Gives::Buffers) == of_lists {
        broken(
            "a pool was freed by the function for pools of the other kind",
            "NdisFreeNetBufferListPool is for lists, NdisFreeNetBufferPool for net buffers.",
        )
        .stop()
    }
    drop(handles::close::<Pool>(handle));
    pool.miniport.ledger.give_back(Kind::NetBufferPool, handle);
}

extern "win64" fn ndis_free_net_buffer_list_pool(handle: u64) {
    close(handle, true);
}

extern "win64" fn ndis_free_net_buffer_pool(handle: u64) {
    close(handle, false);
}

fn memory_of(pool: &Pool, size: usize) -> usize {
    pool::allocate(&Request {
        kind: PoolKind::NonPaged,
        size,
        tag: pool.tag,
        zeroed: true,
        alignment: 16,
    })
}

/// Fills in a net buffer whose memory is zeroed.
fn fill_buffer(at: usize, handle: u64, mdl: usize, offset: u32, length: usize) {
    let mut buffer = NET_BUFFER::zeroed();
    buffer.NdisPoolHandle = handle as *mut core::ffi::c_void;
    buffer.MdlChain = mdl as *mut ndk_sys::MDL;
    buffer.DataOffset = offset;
    buffer.DataLength = u32::try_from(length).unwrap_or(u32::MAX);
    let (mut current, mut skip) = (mdl, offset as usize);
    while current != 0 && skip >= mdl::length(current) && skip != 0 {
        skip -= mdl::length(current);
        current = memory::read(current + mdl::offset::NEXT);
    }
    buffer.CurrentMdl = current as *mut ndk_sys::MDL;
    buffer.CurrentMdlOffset = u32::try_from(skip).unwrap_or(u32::MAX);
    memory::write(at, buffer);
}

fn remember(at: usize, pool: &Arc<Pool>, data: Option<(usize, usize)>) {
    ALLOCATED.lock().insert(
        at,
        Allocated {
            pool: Arc::clone(pool),
            data,
            stack: StackTrace::track(),
        },
    );
}

/// A list without net buffers, with room for a context.
fn new_list(pool: &Arc<Pool>, size: u16, back_fill: u16) -> usize {
    let room = pool.context.max(size.saturating_add(back_fill));
    let at = memory_of(
        pool,
        CONTEXT + size_of::<NET_BUFFER_LIST_CONTEXT>() + usize::from(room),
    );
    if at == 0 {
        return 0;
    }
    let mut list = NET_BUFFER_LIST::zeroed();
    list.NdisPoolHandle = *pool.handle.lock() as *mut core::ffi::c_void;
    if room != 0 {
        list.Context = (at + CONTEXT) as *mut NET_BUFFER_LIST_CONTEXT;
        super::context::fill(at + CONTEXT, room, room - size);
    }
    memory::write(at, list);
    remember(at, pool, None);
    at
}

/// Whether a context is the one that came with its list.
pub(super) fn is_own_context(list: usize, context: usize) -> bool {
    context == list + CONTEXT
}

extern "win64" fn ndis_allocate_net_buffer_list(handle: u64, size: u16, back_fill: u16) -> usize {
    let pool = handles::get::<Pool>(handle);
    if pool.gives == Gives::Buffers {
        wrong_kind()
    }
    new_list(&pool, size, back_fill)
}

fn wrong_kind() -> ! {
    broken(
        "a pool was asked for what it does not give",
        "NdisAllocateNetBufferAndNetBufferList wants a pool with fAllocateNetBuffer, NdisAllocateNetBuffer one of net buffers.",
    )
    .stop()
}

extern "win64" fn ndis_allocate_net_buffer_and_net_buffer_list(
    handle: u64,
    size: u16,
    back_fill: u16,
    mdl: usize,
    offset: u32,
    length: usize,
) -> usize {
    let pool = handles::get::<Pool>(handle);
    if pool.gives != (Gives::Lists { with_buffer: true }) {
        wrong_kind()
    }
    let at = new_list(&pool, size, back_fill);
    if at != 0 {
        fill_buffer(at + BUFFER, handle, mdl, offset, length);
        memory::write(
            at + std::mem::offset_of!(NET_BUFFER_LIST, FirstNetBuffer),
            at + BUFFER,
        );
    }
    at
}

extern "win64" fn ndis_allocate_net_buffer(handle: u64, mdl: usize, offset: u32, length: usize) -> usize {
    let pool = handles::get::<Pool>(handle);
    if pool.gives != Gives::Buffers {
        wrong_kind()
    }
    let at = memory_of(&pool, size_of::<NET_BUFFER>());
    if at != 0 {
        fill_buffer(at, handle, mdl, offset, length);
        remember(at, &pool, None);
    }
    at
}

extern "win64" fn ndis_allocate_net_buffer_mdl_and_data(handle: u64) -> usize {
    let pool = handles::get::<Pool>(handle);
    if pool.gives != Gives::Buffers || pool.data == 0 {
        wrong_kind()
    }
    let data = memory_of(&pool, pool.data as usize);
    if data == 0 {
        return 0;
    }
    let mdl = mdl::for_nonpaged(data, pool.data);
    let at = if mdl == 0 {
        0
    } else {
        memory_of(&pool, size_of::<NET_BUFFER>())
    };
    if at == 0 {
        if mdl != 0 {
            mdl::free(mdl);
        }
        pool::free(data, Some(pool.tag));
        return 0;
    }
    fill_buffer(at, handle, mdl, 0, pool.data as usize);
    remember(at, &pool, Some((mdl, data)));
    at
}

fn free(at: usize, of_lists: bool) {
    let allocated = ALLOCATED.lock().remove(&at);
    let Some(Allocated { pool, data, .. }) =
        allocated.filter(|one| (one.pool.gives == Gives::Buffers) != of_lists)
    else {
        broken(
            format!("{at:#x} was freed, and is not allocated"),
            "Free lists and net buffers once, each by the function of its kind.",
        )
        .stop()
    };
    if of_lists && pool.miniport.receives.has_lent(at) {
        broken(
            format!("net buffer list {at:#x} was freed while it is indicated"),
            "Keep a list until MiniportReturnNetBufferLists gives it back.",
        )
        .stop()
    }
    if let Some((mdl, data)) = data {
        mdl::free(mdl);
        pool::free(data, Some(pool.tag));
    }
    pool::free(at, Some(pool.tag));
}

extern "win64" fn ndis_free_net_buffer_list(at: usize) {
    super::context::free_all(at);
    free(at, true);
}

extern "win64" fn ndis_free_net_buffer(at: usize) {
    free(at, false);
}

extern "win64" fn ndis_allocate_mdl(_handle: u64, address: usize, length: u32) -> usize {
    mdl::for_nonpaged(address, length)
}

extern "win64" fn ndis_free_mdl(mdl: usize) {
    mdl::free(mdl);
}
