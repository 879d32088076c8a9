//! The processors of the machine.
#![expect(unsafe_code, reason = "asks the kernel and NDIS")]

use core::mem::offset_of;

use ndk_sys::imports::ndis;
use ndk_sys::{NDIS_RSS_PROCESSOR, NDIS_RSS_PROCESSOR_INFO, NDIS_STATUS_SUCCESS, PROCESSOR_NUMBER};
use wdk_sys::ntddk::KeQueryActiveProcessorCountEx;

use super::handle::AdapterHandle;
use super::irql::Passive;
use crate::ndis::rss::{MAX_QUEUES, Processor};

/// All processor groups together (ntdef.h).
const ALL_PROCESSOR_GROUPS: u16 = 0xFFFF;

/// Processors that are active, at least one. Any IRQL.
#[must_use]
pub fn count() -> u32 {
    // SAFETY: a number.
    unsafe { KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS) }.max(1)
}

/// Words of a buffer for NDIS's list: more processors than there can be queues are not looked at.
const WORDS: usize = 256;

/// The processors that NDIS has for receive side scaling, in its order of preference.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScalingProcessors {
    list: [Processor; MAX_QUEUES],
    listed: usize,
    count: u32,
}

impl ScalingProcessors {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Those that are listed, beginning with the first whose number is `base` at least.
    pub fn from(&self, base: u32) -> impl Iterator<Item = Processor> {
        let list = &self.list[..self.listed];
        let start = list
            .iter()
            .position(|one| u32::from(one.number) >= base)
            .unwrap_or(0);
        list[start..].iter().chain(&list[..start]).copied()
    }
}

/// Asks NDIS which processors are for receive side scaling; if it does not say, only how many there are is known.
#[must_use]
pub fn for_scaling(passive: &Passive, adapter: AdapterHandle) -> ScalingProcessors {
    passive.check();
    let unknown = ScalingProcessors {
        count: count(),
        ..ScalingProcessors::default()
    };
    let mut buffer = [0u64; WORDS];
    let mut size = size_of_val(&buffer);
    // SAFETY: a valid adapter handle, and a buffer of that size.
    let status = unsafe {
        ndis::NdisGetRssProcessorInformation(adapter.raw(), buffer.as_mut_ptr().cast(), &raw mut size)
    };
    if status != NDIS_STATUS_SUCCESS {
        return unknown;
    }
    let word = |offset: usize| {
        let half = buffer.get(offset / 8).copied().unwrap_or(0) >> (offset % 8 * 8);
        (half & 0xFFFF_FFFF) as u32
    };
    let first = word(offset_of!(NDIS_RSS_PROCESSOR_INFO, RssProcessorArrayOffset)) as usize;
    let entry = word(offset_of!(NDIS_RSS_PROCESSOR_INFO, RssProcessorEntrySize)) as usize;
    let total = word(offset_of!(NDIS_RSS_PROCESSOR_INFO, RssProcessorCount));
    let most = word(offset_of!(NDIS_RSS_PROCESSOR_INFO, MaxNumRssProcessors));
    let total = total.min(most.max(1));
    if total == 0 || entry < size_of::<NDIS_RSS_PROCESSOR>() || !(first | entry).is_multiple_of(4) {
        return unknown;
    }
    let mut found = ScalingProcessors {
        count: total,
        ..ScalingProcessors::default()
    };
    for (place, index) in found.list.iter_mut().zip(0..total as usize) {
        let number = word(first + index * entry + offset_of!(NDIS_RSS_PROCESSOR, ProcNum));
        *place = Processor {
            group: (number >> (8 * offset_of!(PROCESSOR_NUMBER, Group)) & 0xFFFF) as u16,
            number: (number >> (8 * offset_of!(PROCESSOR_NUMBER, Number)) & 0xFF) as u8,
        };
    }
    found.listed = MAX_QUEUES.min(total as usize);
    found
}
