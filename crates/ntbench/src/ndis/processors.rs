//! Processors, memory and small services of ndis.sys.

use super::adapter::Miniport;
use super::handles;
use super::header;
use crate::cpu::vp;
use crate::exports;
use crate::memory;
use crate::nt::pool;
use crate::verifier::pool::{PoolKind, Request};
use ndk_sys::{
    NDIS_OBJECT_TYPE_RSS_PROCESSOR_INFO, NDIS_RSS_PROCESSOR, NDIS_RSS_PROCESSOR_INFO,
    NDIS_RSS_PROCESSOR_INFO_REVISION_1, NDIS_STATUS, NDIS_STATUS_BUFFER_TOO_SHORT, NDIS_STATUS_SUCCESS,
    NTSTATUS, NdisRssProfileClosest,
};
use std::time::Duration;

exports! {
    /// Processors, memory, services.
    pub static EXPORTS: "ndis.sys" = {
        NdisGetRssProcessorInformation = function(ndis_get_rss_processor_information, exactly(PASSIVE_LEVEL));
        NdisSystemActiveProcessorCount = function(ndis_system_active_processor_count, any());
        NdisGroupActiveProcessorCount = function(ndis_group_active_processor_count, any());
        NdisCurrentProcessorIndex = function(ndis_current_processor_index, at_least(DISPATCH_LEVEL));
        NdisProcessorIndexToNumber = function(ndis_processor_index_to_number, any());
        NdisProcessorNumberToIndex = function(ndis_processor_number_to_index, any());
        NdisGetSharedDataAlignment = function(ndis_get_shared_data_alignment, any());
        NdisMGetDmaAlignment = function(ndis_m_get_dma_alignment, at_most(DISPATCH_LEVEL));
        NdisMSleep = function(ndis_m_sleep, exactly(PASSIVE_LEVEL));
        NdisAllocateMemoryWithTagPriority = function(ndis_allocate_memory_with_tag_priority, at_most(DISPATCH_LEVEL));
        NdisFreeMemory = function(ndis_free_memory, at_most(DISPATCH_LEVEL));
    }
}

/// Bytes of a cache line.
const CACHE_LINE: u32 = 64;

fn count() -> u32 {
    u32::try_from(vp::count()).unwrap_or(u32::MAX)
}

extern "win64" fn ndis_get_rss_processor_information(handle: u64, out: usize, size: usize) -> NDIS_STATUS {
    drop(handles::get::<Miniport>(handle));
    let head = size_of::<NDIS_RSS_PROCESSOR_INFO>();
    let entry = size_of::<NDIS_RSS_PROCESSOR>();
    let needed = head + entry * vp::count();
    let room: usize = memory::read(size);
    memory::write(size, needed);
    if out == 0 || room < needed {
        return NDIS_STATUS_BUFFER_TOO_SHORT;
    }
    let mut info = NDIS_RSS_PROCESSOR_INFO::zeroed();
    info.Header = header::make::<NDIS_RSS_PROCESSOR_INFO>(
        NDIS_OBJECT_TYPE_RSS_PROCESSOR_INFO,
        NDIS_RSS_PROCESSOR_INFO_REVISION_1,
    );
    info.Header.Size = u16::try_from(needed).unwrap_or(u16::MAX);
    info.MaxNumRssProcessors = count();
    info.RssProcessorCount = count();
    info.RssProcessorArrayOffset = u32::try_from(head).unwrap_or(u32::MAX);
    info.RssProcessorEntrySize = u32::try_from(entry).unwrap_or(u32::MAX);
    info.RssProfile = NdisRssProfileClosest;
    info.RssBaseProcessor.Number = 0;
    info.RssMaxProcessor.Number = u8::try_from(vp::count() - 1).unwrap_or(u8::MAX);
    memory::write(out, info);
    for index in 0..vp::count() {
        let mut one = NDIS_RSS_PROCESSOR::zeroed();
        one.ProcNum.Number = u8::try_from(index).unwrap_or(u8::MAX);
        memory::write(out + head + entry * index, one);
    }
    NDIS_STATUS_SUCCESS
}

extern "win64" fn ndis_system_active_processor_count(active: usize) -> u32 {
    if active != 0 {
        memory::write(active, (1_u64 << count()) - 1);
    }
    count()
}

extern "win64" fn ndis_group_active_processor_count(group: u16) -> u32 {
    if group == 0 || group == 0xFFFF { count() } else { 0 }
}

extern "win64" fn ndis_current_processor_index() -> u32 {
    u32::try_from(vp::current().index()).unwrap_or(u32::MAX)
}

extern "win64" fn ndis_processor_index_to_number(index: u32, number: usize) -> NTSTATUS {
    if index >= count() {
        return crate::nt::status::INVALID_PARAMETER;
    }
    memory::write(number, [0_u8, 0, u8::try_from(index).unwrap_or(u8::MAX), 0]);
    crate::nt::status::SUCCESS
}

/// The `PROCESSOR_NUMBER` comes in a register: group, number, reserved.
extern "win64" fn ndis_processor_number_to_index(number: u32) -> u32 {
    let [group_low, group_high, index, _] = number.to_le_bytes();
    let index = u32::from(index);
    if group_low == 0 && group_high == 0 && index < count() {
        index
    } else {
        u32::MAX
    }
}

extern "win64" fn ndis_get_shared_data_alignment() -> u32 {
    CACHE_LINE
}

extern "win64" fn ndis_m_get_dma_alignment(handle: u64) -> u32 {
    drop(handles::get::<Miniport>(handle));
    1
}

extern "win64" fn ndis_m_sleep(microseconds: u32) {
    std::thread::sleep(Duration::from_micros(microseconds.into()));
}

extern "win64" fn ndis_allocate_memory_with_tag_priority(
    _handle: u64,
    length: u32,
    tag: u32,
    _priority: u32,
) -> usize {
    pool::allocate(&Request {
        kind: PoolKind::NonPaged,
        size: length as usize,
        tag,
        zeroed: false,
        alignment: 0,
    })
}

extern "win64" fn ndis_free_memory(address: usize, _length: u32, _flags: u32) {
    pool::free(address, None);
}
