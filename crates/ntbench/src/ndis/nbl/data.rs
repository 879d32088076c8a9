//! The data of net buffers: moving its start, looking at it in one piece, copying it.

use crate::cpu::call::call;
use crate::exports;
use crate::memory::{self, PAGE_SIZE};
use crate::nt::mdl;
use crate::verifier::{BugCheck, Rule, Violation};
use ndk_sys::{
    Ieee8021QNetBufferListInfo, NDIS_NET_BUFFER_LIST_INFO, NDIS_STATUS, NDIS_STATUS_RESOURCES,
    NDIS_STATUS_SUCCESS, NET_BUFFER, NET_BUFFER_LIST, NetBufferListCancelId, NetBufferListFrameType,
    NetBufferListHashInfo, NetBufferListHashValue, TcpIpChecksumNetBufferListInfo,
    TcpLargeSendNetBufferListInfo,
};
use std::mem::offset_of;

exports! {
    /// Data of net buffers.
    pub static EXPORTS: "ndis.sys" = {
        NdisGetDataBuffer = function(ndis_get_data_buffer, at_most(DISPATCH_LEVEL));
        NdisAdvanceNetBufferDataStart = function(ndis_advance_net_buffer_data_start, at_most(DISPATCH_LEVEL));
        NdisRetreatNetBufferDataStart = function(ndis_retreat_net_buffer_data_start, at_most(DISPATCH_LEVEL));
        NdisAdvanceNetBufferListDataStart = function(ndis_advance_net_buffer_list_data_start, at_most(DISPATCH_LEVEL));
        NdisRetreatNetBufferListDataStart = function(ndis_retreat_net_buffer_list_data_start, at_most(DISPATCH_LEVEL));
        NdisCopyFromNetBufferToNetBuffer = function(ndis_copy_from_net_buffer_to_net_buffer, at_most(DISPATCH_LEVEL));
        NdisCopySendNetBufferListInfo = function(ndis_copy_send_net_buffer_list_info, at_most(DISPATCH_LEVEL));
        NdisCopyReceiveNetBufferListInfo = function(ndis_copy_receive_net_buffer_list_info, at_most(DISPATCH_LEVEL));
        NdisQueryNetBufferPhysicalCount = function(ndis_query_net_buffer_physical_count, at_most(DISPATCH_LEVEL));
    }
}

fn broken(what: impl Into<String>, advice: &str) -> ! {
    Violation::new(Rule::NdisNetBufferData, BugCheck::verifier(0x91, [0, 0, 0]), what)
        .advice(advice)
        .stop()
}

/// The MDL, and the offset in it, of the byte at `offset` of a chain.
fn locate(chain: usize, mut offset: usize) -> Option<(usize, usize)> {
    let mut last = None;
    for mdl in super::mdls(chain) {
        let length = mdl::length(mdl);
        if offset < length {
            return Some((mdl, offset));
        }
        offset -= length;
        last = Some((mdl, length));
    }
    last.filter(|_| offset == 0)
}

/// Moves the start of the data to `offset` of the chain.
fn start_at(buffer: usize, value: &mut NET_BUFFER, offset: u32) {
    let Some((mdl, within)) = locate(value.MdlChain as usize, offset as usize) else {
        broken(
            "the start of the data was moved out of the MDL chain",
            "Advance by DataLength at most.",
        )
    };
    value.CurrentMdl = mdl as *mut ndk_sys::MDL;
    value.CurrentMdlOffset = u32::try_from(within).unwrap_or(u32::MAX);
    value.DataOffset = offset;
    memory::write(buffer, *value);
}

/// The pieces of memory of `length` bytes of data from `skip` on.
fn pieces(value: &NET_BUFFER, skip: usize, mut length: usize) -> Vec<(usize, usize)> {
    let mut skip = value.DataOffset as usize + skip;
    let mut pieces = Vec::new();
    for mdl in super::mdls(value.MdlChain as usize) {
        let bytes = mdl::length(mdl);
        if skip < bytes && length != 0 {
            let take = (bytes - skip).min(length);
            pieces.push((mdl::address(mdl) + skip, take));
            length -= take;
        }
        skip -= skip.min(bytes);
    }
    pieces
}

extern "win64" fn ndis_get_data_buffer(
    buffer: usize,
    needed: u32,
    storage: usize,
    align_multiple: u32,
    align_offset: u32,
) -> usize {
    let value: NET_BUFFER = memory::read(buffer);
    if needed == 0 || needed > value.DataLength {
        return 0;
    }
    let needed = needed as usize;
    let pieces = pieces(&value, 0, needed);
    let multiple = (align_multiple as usize).max(1);
    if let [(address, length)] = pieces[..]
        && length == needed
        && address % multiple == align_offset as usize % multiple
    {
        return address;
    }
    if storage == 0 {
        return 0;
    }
    let mut at = storage;
    for (address, length) in pieces {
        memory::copy(at, address, length);
        at += length;
    }
    storage
}

fn advance(buffer: usize, delta: u32, free_mdl: bool, handler: usize) {
    let mut value: NET_BUFFER = memory::read(buffer);
    if delta > value.DataLength {
        broken(
            format!(
                "the start of the data was advanced by {delta}, and there are {} bytes",
                value.DataLength
            ),
            "Advance by DataLength at most.",
        )
    }
    value.DataLength -= delta;
    let mut offset = value.DataOffset + delta;
    if free_mdl {
        offset = free_passed(&mut value, offset, handler);
    }
    start_at(buffer, &mut value, offset);
}

/// Frees the MDLs before `offset` of the chain; returns what the offset is in the rest.
fn free_passed(value: &mut NET_BUFFER, mut offset: u32, handler: usize) -> u32 {
    loop {
        let first = value.MdlChain as usize;
        let length = u32::try_from(mdl::length(first)).unwrap_or(u32::MAX);
        let next: usize = memory::read(first + mdl::offset::NEXT);
        if next == 0 || length > offset {
            return offset;
        }
        offset -= length;
        value.MdlChain = next as *mut ndk_sys::MDL;
        if handler == 0 {
            mdl::free(first);
        } else {
            let _ = call(handler, &[first as u64]);
        }
    }
}

fn retreat(buffer: usize, delta: u32, back_fill: u32, handler: usize) -> NDIS_STATUS {
    let mut value: NET_BUFFER = memory::read(buffer);
    if let Some(offset) = value.DataOffset.checked_sub(delta) {
        value.DataLength += delta;
        start_at(buffer, &mut value, offset);
        return NDIS_STATUS_SUCCESS;
    }
    if handler == 0 {
        // NDIS allocates memory and frees it when the data advances again; drivers of the bench bring their own or have room.
        return NDIS_STATUS_RESOURCES;
    }
    let size = delta - value.DataOffset + back_fill;
    let room = size;
    let mdl = usize::try_from(call(handler, &[(&raw const room).addr() as u64])).unwrap_or(0);
    if mdl == 0 {
        return NDIS_STATUS_RESOURCES;
    }
    memory::write(mdl + mdl::offset::NEXT, value.MdlChain as u64);
    let offset = u32::try_from(mdl::length(mdl)).unwrap_or(u32::MAX) + value.DataOffset - delta;
    value.MdlChain = mdl as *mut ndk_sys::MDL;
    value.DataLength += delta;
    start_at(buffer, &mut value, offset);
    NDIS_STATUS_SUCCESS
}

extern "win64" fn ndis_advance_net_buffer_data_start(
    buffer: usize,
    delta: u32,
    free_mdl: u8,
    handler: usize,
) {
    advance(buffer, delta, free_mdl != 0, handler);
}

extern "win64" fn ndis_retreat_net_buffer_data_start(
    buffer: usize,
    delta: u32,
    back_fill: u32,
    handler: usize,
) -> NDIS_STATUS {
    retreat(buffer, delta, back_fill, handler)
}

extern "win64" fn ndis_advance_net_buffer_list_data_start(
    list: usize,
    delta: u32,
    free_mdl: u8,
    handler: usize,
) {
    for buffer in super::buffers(list) {
        advance(buffer, delta, free_mdl != 0, handler);
    }
}

extern "win64" fn ndis_retreat_net_buffer_list_data_start(
    list: usize,
    delta: u32,
    back_fill: u32,
    allocate: usize,
    free: usize,
) -> NDIS_STATUS {
    let mut done = Vec::new();
    for buffer in super::buffers(list) {
        let status = retreat(buffer, delta, back_fill, allocate);
        if status != NDIS_STATUS_SUCCESS {
            for buffer in done {
                advance(buffer, delta, free != 0, free);
            }
            return status;
        }
        done.push(buffer);
    }
    NDIS_STATUS_SUCCESS
}

extern "win64" fn ndis_copy_from_net_buffer_to_net_buffer(
    destination: usize,
    destination_offset: u32,
    bytes: u32,
    source: usize,
    source_offset: u32,
    copied_out: usize,
) -> NDIS_STATUS {
    let read = |at: usize| memory::read::<NET_BUFFER>(at);
    let from = pieces(&read(source), source_offset as usize, bytes as usize);
    let data: Vec<u8> = from
        .into_iter()
        .flat_map(|(address, length)| memory::read_bytes(address, length))
        .collect();
    let mut rest = &data[..];
    for (address, length) in pieces(&read(destination), destination_offset as usize, data.len()) {
        memory::write_bytes(address, &rest[..length]);
        rest = &rest[length..];
    }
    let copied = data.len() - rest.len();
    memory::write(copied_out, u32::try_from(copied).unwrap_or(u32::MAX));
    NDIS_STATUS_SUCCESS
}

fn copy_info(destination: usize, source: usize, indexes: &[NDIS_NET_BUFFER_LIST_INFO]) {
    let place = |list: usize, index: NDIS_NET_BUFFER_LIST_INFO| {
        list + offset_of!(NET_BUFFER_LIST, NetBufferListInfo) + 8 * usize::try_from(index).unwrap_or(0)
    };
    for &index in indexes {
        memory::write(
            place(destination, index),
            memory::read::<u64>(place(source, index)),
        );
    }
}

extern "win64" fn ndis_copy_send_net_buffer_list_info(destination: usize, source: usize) {
    copy_info(
        destination,
        source,
        &[
            TcpIpChecksumNetBufferListInfo,
            TcpLargeSendNetBufferListInfo,
            Ieee8021QNetBufferListInfo,
            NetBufferListCancelId,
            NetBufferListFrameType,
        ],
    );
}

extern "win64" fn ndis_copy_receive_net_buffer_list_info(destination: usize, source: usize) {
    copy_info(
        destination,
        source,
        &[
            TcpIpChecksumNetBufferListInfo,
            Ieee8021QNetBufferListInfo,
            NetBufferListFrameType,
            NetBufferListHashValue,
            NetBufferListHashInfo,
        ],
    );
}

extern "win64" fn ndis_query_net_buffer_physical_count(buffer: usize) -> u32 {
    let value: NET_BUFFER = memory::read(buffer);
    let pages: usize = pieces(&value, 0, value.DataLength as usize)
        .into_iter()
        .map(|(address, length)| (address % PAGE_SIZE + length).div_ceil(PAGE_SIZE))
        .sum();
    u32::try_from(pages).unwrap_or(u32::MAX)
}
