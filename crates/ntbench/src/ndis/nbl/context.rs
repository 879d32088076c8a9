//! Context space of net buffer lists: it is taken from the end of a block, and given back in the opposite order.

use crate::exports;
use crate::memory;
use crate::nt::pool;
use crate::verifier::pool::{PoolKind, Request};
use crate::verifier::{BugCheck, Rule, Violation};
use ndk_sys::{
    NDIS_STATUS, NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS, NET_BUFFER_LIST, NET_BUFFER_LIST_CONTEXT,
};
use std::mem::offset_of;

exports! {
    /// Context space.
    pub static EXPORTS: "ndis.sys" = {
        NdisAllocateNetBufferListContext = function(ndis_allocate_net_buffer_list_context, at_most(DISPATCH_LEVEL));
        NdisFreeNetBufferListContext = function(ndis_free_net_buffer_list_context, at_most(DISPATCH_LEVEL));
    }
}

/// Where a list has its context.
const CONTEXT: usize = offset_of!(NET_BUFFER_LIST, Context);

/// Writes the head of a block of `size` bytes of which the first `offset` are free.
pub(super) fn fill(at: usize, size: u16, offset: u16) {
    let mut context = NET_BUFFER_LIST_CONTEXT::zeroed();
    context.Size = size;
    context.Offset = offset;
    memory::write(at, context);
}

/// Frees all blocks of a list that did not come with it.
pub(super) fn free_all(list: usize) {
    let mut at: usize = memory::read(list + CONTEXT);
    while at != 0 {
        let next = memory::read(at + offset_of!(NET_BUFFER_LIST_CONTEXT, Next));
        if !super::pool::is_own_context(list, at) {
            pool::free(at, None);
        }
        at = next;
    }
}

extern "win64" fn ndis_allocate_net_buffer_list_context(
    list: usize,
    size: u16,
    back_fill: u16,
    tag: u32,
) -> NDIS_STATUS {
    let at: usize = memory::read(list + CONTEXT);
    if at != 0 {
        let offset: u16 = memory::read(at + offset_of!(NET_BUFFER_LIST_CONTEXT, Offset));
        if let Some(rest) = offset.checked_sub(size) {
            memory::write(at + offset_of!(NET_BUFFER_LIST_CONTEXT, Offset), rest);
            return NDIS_STATUS_SUCCESS;
        }
    }
    let room = size.saturating_add(back_fill);
    let new = pool::allocate(&Request {
        kind: PoolKind::NonPaged,
        size: size_of::<NET_BUFFER_LIST_CONTEXT>() + usize::from(room),
        tag,
        zeroed: true,
        alignment: 16,
    });
    if new == 0 {
        return NDIS_STATUS_RESOURCES;
    }
    fill(new, room, back_fill);
    memory::write(new + offset_of!(NET_BUFFER_LIST_CONTEXT, Next), at);
    memory::write(list + CONTEXT, new);
    NDIS_STATUS_SUCCESS
}

extern "win64" fn ndis_free_net_buffer_list_context(list: usize, size: u16) {
    let at: usize = memory::read(list + CONTEXT);
    let block: Option<NET_BUFFER_LIST_CONTEXT> = (at != 0).then(|| memory::read(at));
    let end = block.and_then(|block| block.Offset.checked_add(size).filter(|&end| end <= block.Size));
    let (Some(block), Some(end)) = (block, end) else {
        Violation::new(
            Rule::NdisNetBufferPool,
            BugCheck::verifier(0x91, [list as u64, u64::from(size), 0]),
            format!("{size} bytes of context were freed, and the list does not have them"),
        )
        .advice("Free context space with the sizes with which it was allocated.")
        .stop()
    };
    memory::write(at + offset_of!(NET_BUFFER_LIST_CONTEXT, Offset), end);
    if end == block.Size && !super::pool::is_own_context(list, at) {
        memory::write(list + CONTEXT, block.Next as u64);
        pool::free(at, None);
    }
}
