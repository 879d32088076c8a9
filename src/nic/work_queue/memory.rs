//! The memory of rings, for the fast path: indexes are masked, so that every one of them is valid.
#![expect(unsafe_code, reason = "memory shared with the device")]

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};

use ndk_sys::NTSTATUS;
use vrnic_abi::resource::Ring;

use super::completion::Entries;
use super::wqe::{UNIT, Units};
use crate::os::dma::{Buffer, DmaAdapter};
use crate::os::pool::PoolArc;

/// Units of 16 bytes in a completion.
const UNITS_PER_COMPLETION: u32 = 2;
static_assertions::const_assert_eq!(
    (UNITS_PER_COMPLETION * UNIT) as usize,
    size_of::<vrnic_abi::cqe::Cqe>()
);

/// A ring in memory that driver and device share.
pub struct RingMemory {
    address: NonNull<u8>,
    /// Units in the ring, less one: a mask.
    mask: u32,
    log2_entries: u8,
    buffer: Buffer,
}

// SAFETY: the address is that of the buffer, whose memory is accessed by single stores and loads only.
unsafe impl Send for RingMemory {}
// SAFETY: as above.
unsafe impl Sync for RingMemory {}

impl RingMemory {
    /// A zeroed ring of `1 << log2_entries` entries of `entry_units` units each, a power of two. At most
    /// `DISPATCH_LEVEL`.
    ///
    /// # Errors
    ///
    /// `STATUS_INSUFFICIENT_RESOURCES`.
    pub fn allocate(
        adapter: &PoolArc<DmaAdapter>,
        log2_entries: u8,
        entry_units: u32,
    ) -> Result<Self, NTSTATUS> {
        let units = u64::from(entry_units) << log2_entries;
        let mask = u32::try_from(units - 1).map_err(|_| ndk_sys::STATUS_INSUFFICIENT_RESOURCES)?;
        debug_assert!(units.is_power_of_two(), "or it could not be masked");
        // Also a single completion is whole.
        let buffer = Buffer::allocate(adapter, (mask as usize + 1) * UNIT as usize)?;
        Ok(Self {
            address: buffer.address(),
            mask,
            log2_entries,
            buffer,
        })
    }

    /// How many entries.
    #[must_use]
    pub fn entries(&self) -> u32 {
        1 << self.log2_entries
    }

    /// As commands describe it.
    #[must_use]
    pub fn ring(&self) -> Ring {
        self.buffer.ring(self.log2_entries)
    }

    /// The two halves of a unit.
    #[inline]
    fn unit(&self, unit: u32) -> (&AtomicU64, &AtomicU64) {
        let offset = (unit & self.mask) as usize * UNIT as usize;
        // SAFETY: the mask keeps the offset inside of the buffer.
        let low = unsafe { self.address.byte_add(offset) };
        // SAFETY: the same unit.
        let high = unsafe { low.byte_add(8) };
        // SAFETY: aligned, in memory that lives as long as `self` and is accessed atomically while it is used this way.
        let low = unsafe { AtomicU64::from_ptr(low.cast().as_ptr()) };
        // SAFETY: as above.
        let high = unsafe { AtomicU64::from_ptr(high.cast().as_ptr()) };
        (low, high)
    }

    /// Copies the entries `from..to` (free-running, at most a ring of them) of `entry_units` each to another ring.
    pub fn copy_to(&self, other: &Self, from: u32, to: u32, entry_units: u32) {
        let first = from.wrapping_mul(entry_units);
        for ahead in 0..to.wrapping_sub(from).wrapping_mul(entry_units) {
            let unit = first.wrapping_add(ahead);
            let (low, high) = self.unit(unit);
            other.store(unit, low.load(Ordering::Relaxed), high.load(Ordering::Relaxed));
        }
    }
}

impl Units for RingMemory {
    #[inline]
    fn store(&self, unit: u32, low: u64, high: u64) {
        let (to_low, to_high) = self.unit(unit);
        to_low.store(low.to_le(), Ordering::Relaxed);
        to_high.store(high.to_le(), Ordering::Relaxed);
    }
}

impl Entries for RingMemory {
    #[inline]
    fn entry(&self, index: u32) -> &[AtomicU64; 4] {
        let unit = index.wrapping_mul(UNITS_PER_COMPLETION) & self.mask;
        // SAFETY: the mask keeps the offset inside of the buffer.
        let entry = unsafe { self.address.byte_add(unit as usize * UNIT as usize) };
        // SAFETY: a ring of completions: whole and aligned, in memory that lives as long as `self` and is accessed atomically.
        unsafe { entry.cast().as_ref() }
    }
}
