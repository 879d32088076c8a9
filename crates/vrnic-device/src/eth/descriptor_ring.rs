//! Rings of descriptors that the driver fills, with private copies of their indexes.

use vrnic_abi::resource::Ring;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

use crate::dma::Dma;
use crate::doorbells::DoorbellMemory;
use crate::host::DmaFault;
use crate::ring::{BadIndex, Posted, RingError, RingMemory};

/// Descriptors that are read in one go.
const BATCH: u32 = 16;

/// A ring of descriptors.
pub(super) struct DescriptorRing<T> {
    ring: RingMemory,
    posted: Posted,
    /// Descriptors that have been read, the first one that of index `read_from`.
    read: [T; BATCH as usize],
    read_from: u32,
    read_count: u32,
}

impl<T: FromBytes + IntoBytes + Immutable + Copy> DescriptorRing<T> {
    /// The ring at `addr`, whose doorbell word is at `word` and is set to zero.
    ///
    /// # Errors
    /// It is not aligned, or does not fit.
    pub fn new(
        dma: &mut Dma,
        addr: u64,
        log2_entries: u8,
        word: u64,
        doorbells: &DoorbellMemory,
    ) -> Result<Self, RingError> {
        Ok(Self {
            ring: contiguous(dma, addr, log2_entries, size_of::<T>())?,
            posted: Posted::new(word, doorbells),
            read: [T::new_zeroed(); BATCH as usize],
            read_from: 0,
            read_count: 0,
        })
    }

    /// Takes over the driver's index.
    ///
    /// # Errors
    /// It went back, or is more than the ring ahead.
    pub fn refresh(&mut self, doorbells: &DoorbellMemory) -> Result<(), BadIndex> {
        self.posted.refresh(doorbells, self.ring.entries())
    }

    /// Descriptors that we know of and have not taken.
    pub fn left(&self) -> u32 {
        self.posted.left()
    }

    /// The index of the next descriptor.
    pub fn index(&self) -> u32 {
        self.posted.next()
    }

    /// Looks at the next descriptor without taking it. None: there is none.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn peek(&mut self, dma: &mut Dma) -> Result<Option<T>, DmaFault> {
        if self.left() == 0 {
            return Ok(None);
        }
        let index = self.index();
        if index.wrapping_sub(self.read_from) >= self.read_count {
            self.read_count = 0;
            let to_end = self.ring.entries() - (index & (self.ring.entries() - 1));
            let batch = self.left().min(to_end).min(BATCH);
            let place = &mut self.read[..batch as usize];
            dma.read(self.ring.entry(index), place.as_mut_bytes())?;
            self.read_from = index;
            self.read_count = batch;
        }
        let at = index.wrapping_sub(self.read_from) as usize;
        Ok(self.read.get(at).copied())
    }

    /// Takes the descriptor that [`Self::peek`] has shown.
    pub fn take(&mut self) {
        self.posted.take();
    }
}

/// A contiguous ring.
///
/// # Errors
/// It is not aligned, or does not fit into the address space.
pub(super) fn contiguous(
    dma: &mut Dma,
    addr: u64,
    log2_entries: u8,
    entry_size: usize,
) -> Result<RingMemory, RingError> {
    let ring = Ring {
        addr: addr.into(),
        log2_entries,
        ..Ring::new_zeroed()
    };
    RingMemory::new(dma, &ring, entry_size as u64, 0..=log2_entries)
}
