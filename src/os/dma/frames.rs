//! Frames to send, mapped for the device while it has them.

use core::ptr::NonNull;

use ndk_sys::{NDIS_STATUS, NTSTATUS, SCATTER_GATHER_LIST};

use super::adapter::{Access, DmaAdapter, TransferContext, pieces};
use super::coherent::Coherent;
use crate::os::handle::AdapterHandle;
use crate::os::irql::Passive;
use crate::os::nbl::{InFlight, SendList};
use crate::os::pool::{OutOfMemory, PoolArc, PoolSlice, PoolVec, Pooled, Tag};

/// A frame that the device may have.
struct Slot {
    /// Used by the system while there is a list.
    context: TransferContext,
    list: Option<NonNull<SCATTER_GATHER_LIST>>,
    frame: Option<InFlight>,
}

impl Pooled for Slot {
    const TAG: Tag = Tag::new(*b"VrTx");
}

// SAFETY: lists are read and given back by one processor at a time.
unsafe impl Send for Slot {}

/// A fixed number of places for frames, with what mapping needs: nothing is allocated afterwards.
pub struct FrameSlots {
    adapter: PoolArc<DmaAdapter>,
    slots: PoolSlice<Slot>,
}

impl FrameSlots {
    /// `count` empty places.
    ///
    /// # Errors
    ///
    /// No memory.
    pub fn new(adapter: &PoolArc<DmaAdapter>, count: usize) -> Result<Self, OutOfMemory> {
        Ok(Self {
            adapter: adapter.clone(),
            slots: PoolSlice::from_fn(count, |_| Slot {
                context: TransferContext::new(),
                list: None,
                frame: None,
            })?,
        })
    }

    /// Maps the next buffer of `list` at the place `slot`, which is empty, and hands its pieces to `use_pieces` with how many
    /// there are. If that returns true, the buffer is in flight; else nothing has happened. At most `DISPATCH_LEVEL`.
    ///
    /// # Errors
    ///
    /// What the system says: no resources now.
    ///
    /// # Panics
    ///
    /// If there is no such place, or no buffer.
    pub fn map(
        &mut self,
        slot: usize,
        list: &mut SendList,
        use_pieces: impl FnOnce(usize, &mut dyn Iterator<Item = (u64, u64)>) -> bool,
    ) -> Result<bool, NTSTATUS> {
        let place = &mut self.slots[slot];
        debug_assert!(place.list.is_none() && place.frame.is_none(), "an empty place");
        let buffer = list
            .front()
            .unwrap_or_else(|| unreachable!("a buffer that is not there"));
        let context = NonNull::from(&mut place.context);
        let (mdl, offset, length) = (buffer.mdl(), buffer.offset(), buffer.length());
        // SAFETY: the buffer's MDLs, which stay until its list is completed: `frame` keeps it from that; the place's context.
        let mapped = unsafe { self.adapter.map(context, mdl, offset, length, Access::Read) }?;
        // SAFETY: not given back yet.
        let mut pieces = unsafe { pieces(mapped) };
        let taken = use_pieces(pieces.len(), &mut pieces);
        if taken {
            place.list = Some(mapped);
            place.frame = Some(list.take());
        } else {
            // SAFETY: mapped above, and not given to the device.
            unsafe { self.adapter.unmap(mapped, Access::Read) };
        }
        Ok(taken)
    }

    /// The next buffer of `list` is in flight at the place `slot` without a mapping: it has been copied.
    ///
    /// # Panics
    ///
    /// If there is no such place, or no buffer.
    pub fn copied(&mut self, slot: usize, list: &mut SendList) {
        let place = &mut self.slots[slot];
        debug_assert!(place.list.is_none() && place.frame.is_none(), "an empty place");
        place.frame = Some(list.take());
    }

    /// Empties the place `slot`, with which the device is done; what was in flight there.
    ///
    /// # Panics
    ///
    /// If there is no such place.
    pub fn take(&mut self, slot: usize) -> Option<InFlight> {
        let place = &mut self.slots[slot];
        if let Some(list) = place.list.take() {
            // SAFETY: mapped by `map`; the device uses it no more.
            unsafe { self.adapter.unmap(list, Access::Read) };
        }
        place.frame.take()
    }
}

impl Drop for FrameSlots {
    fn drop(&mut self) {
        for slot in 0..self.slots.len() {
            let left = self.take(slot);
            debug_assert!(left.is_none(), "a frame that is still in flight");
        }
    }
}

/// Most bytes in one piece of memory at one bus address.
const BLOCK: usize = 0x1_0000;

/// Places for frames that are copied instead of mapped.
pub struct CopySpace {
    blocks: PoolVec<Coherent>,
    /// Bytes of a place.
    size: usize,
    /// Places in each block, as a logarithm.
    per_block: u32,
}

impl CopySpace {
    /// `count` places of `size` bytes each (64 KiB at most).
    ///
    /// # Errors
    ///
    /// No memory.
    pub fn allocate(
        passive: &Passive,
        adapter: AdapterHandle,
        count: usize,
        size: usize,
    ) -> Result<Self, NDIS_STATUS> {
        let per_block = (BLOCK / size).max(1).ilog2();
        let mut left = count;
        let mut blocks = PoolVec::with_capacity(count.div_ceil(1 << per_block))?;
        while left != 0 {
            let here = left.min(1 << per_block);
            blocks.push(Coherent::allocate(passive, adapter, here * size)?)?;
            left -= here;
        }
        Ok(Self {
            blocks,
            size,
            per_block,
        })
    }

    /// Copies the next buffer of `list` to the place `index`; where the device finds it. `None` if it is longer than a place, or
    /// the system cannot map it. The device must be done with what was there.
    ///
    /// # Panics
    ///
    /// If there is no such place.
    pub fn copy(&mut self, index: usize, list: &SendList) -> Option<u64> {
        let buffer = list
            .front()
            .filter(|buffer| buffer.length() as usize <= self.size)?;
        let block = &self.blocks[index >> self.per_block];
        let offset = (index & ((1 << self.per_block) - 1)) * self.size;
        assert!(offset + self.size <= block.length(), "outside of the space");
        // SAFETY: inside of the block.
        let to = unsafe { block.memory().byte_add(offset) };
        // SAFETY: there is room, and the device does not access it now.
        unsafe { buffer.copy_to(to) }.then(|| block.device_address() + offset as u64)
    }
}
