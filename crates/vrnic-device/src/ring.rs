//! Rings in host memory, contiguous or in pages.
//!
//! Page tables are read once, when the ring is made, into a private list: what the host writes there later has no effect.

use vrnic_abi::resource::{MAX_LEVELS, Ring};
use vrnic_abi::{PAGE_SIZE, cmd};

use crate::dma::Dma;
use crate::doorbells::DoorbellMemory;
use crate::host::DmaFault;

/// Contiguous rings begin at a multiple of this.
const ALIGNMENT: u64 = vrnic_abi::resource::RING_ALIGNMENT;
/// Addresses in a page of a page table.
const TABLE_ENTRIES: usize = 512;
static_assertions::const_assert_eq!(TABLE_ENTRIES as u64 * size_of::<u64>() as u64, PAGE_SIZE);

/// Why a [`Ring`] is not acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RingError {
    /// Address not aligned, or beyond the end of the address space.
    Address,
    /// Number of entries out of range.
    Size,
    /// Too many levels, or too few for the size.
    Levels,
    /// The reserved bytes are not zero.
    Reserved,
    /// A page table could not be read.
    Fault(DmaFault),
}

/// Where the entries of a ring are.
#[derive(Debug)]
pub(crate) struct RingMemory {
    place: Place,
    entry_size: u64,
    log2_entries: u32,
}

#[derive(Debug)]
enum Place {
    Contiguous(u64),
    Pages(Vec<u64>),
}

impl RingMemory {
    /// Checks `ring`, whose entries have `entry_size` bytes (a power of two up to a page), and finds its pages.
    ///
    /// # Errors
    /// See [`RingError`].
    pub fn new(
        dma: &mut Dma,
        ring: &Ring,
        entry_size: u64,
        log2: std::ops::RangeInclusive<u8>,
    ) -> Result<Self, RingError> {
        if ring.reserved != [0; 6] {
            return Err(RingError::Reserved);
        }
        if !log2.contains(&ring.log2_entries) {
            return Err(RingError::Size);
        }
        if ring.levels > MAX_LEVELS {
            return Err(RingError::Levels);
        }
        let bytes = entry_size << ring.log2_entries;
        let addr = ring.addr.get();
        let place = if ring.levels == 0 {
            check_range(addr, bytes, ALIGNMENT)?;
            Place::Contiguous(addr)
        } else {
            let count = usize::try_from(bytes.div_ceil(PAGE_SIZE)).map_err(|_| RingError::Size)?;
            Place::Pages(read_page_list(dma, addr, ring.levels, count)?)
        };
        Ok(Self {
            place,
            entry_size,
            log2_entries: u32::from(ring.log2_entries),
        })
    }

    /// Number of entries.
    pub fn entries(&self) -> u32 {
        1 << self.log2_entries
    }

    /// DMA address of the entry that the free-running `index` names.
    pub fn entry(&self, index: u32) -> u64 {
        let offset = u64::from(index & (self.entries() - 1)) * self.entry_size;
        match &self.place {
            Place::Contiguous(addr) => addr + offset,
            Place::Pages(pages) => {
                let page = usize::try_from(offset / PAGE_SIZE)
                    .ok()
                    .and_then(|page| pages.get(page));
                page.map_or(0, |page| page + offset % PAGE_SIZE)
            }
        }
    }

    /// The phase that the entry of the free-running `index` carries.
    pub fn phase(&self, index: u32) -> u8 {
        cmd::phase(index, self.log2_entries)
    }

    /// Whether a ring with these indexes has no room.
    pub fn is_full(&self, indexes: &Indexes) -> bool {
        indexes.used() >= self.entries()
    }

    /// Writes an entry whose last byte is its owner byte, and publishes it.
    pub fn publish(&self, dma: &mut Dma, index: u32, entry: &[u8]) -> Result<(), DmaFault> {
        let Some((owner, body)) = entry.split_last() else {
            return Ok(());
        };
        let addr = self.entry(index);
        dma.write(addr, body)?;
        dma.store_release_u8(addr + body.len() as u64, *owner)
    }
}

/// The indexes of a ring that the device fills, private copies; they run freely modulo 2^32.
#[derive(Debug, Default)]
pub(crate) struct Indexes {
    /// Entries that the device has written.
    pub producer: u32,
    /// Entries that the driver is done with.
    consumer: u32,
}

/// The driver's index went back, or past what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadIndex;

impl Indexes {
    /// Entries that the driver is not done with.
    pub fn used(&self) -> u32 {
        self.producer.wrapping_sub(self.consumer)
    }

    /// Takes over the driver's index. True if it moved.
    pub fn consume(&mut self, consumer: u32) -> Result<bool, BadIndex> {
        let done = consumer.wrapping_sub(self.consumer);
        if done > self.used() {
            return Err(BadIndex);
        }
        self.consumer = consumer;
        Ok(done != 0)
    }

    /// One more entry is written.
    pub fn produce(&mut self) {
        self.producer = self.producer.wrapping_add(1);
    }
}

/// The indexes of a ring that the driver fills, private copies; they run freely modulo 2^32.
#[derive(Debug)]
pub(crate) struct Posted {
    /// Where the driver's doorbell word is.
    word: u64,
    /// What the driver has posted.
    producer: u32,
    /// What the device has taken.
    taken: u32,
}

impl Posted {
    /// An empty ring, whose doorbell word is set to zero.
    pub fn new(word: u64, doorbells: &DoorbellMemory) -> Self {
        doorbells.store(word, 0);
        Self {
            word,
            producer: 0,
            taken: 0,
        }
    }

    /// Takes over the driver's index; the ring has so many `entries`.
    ///
    /// # Errors
    /// It went back, or is more than the ring ahead.
    pub fn refresh(&mut self, doorbells: &DoorbellMemory, entries: u32) -> Result<(), BadIndex> {
        let producer = doorbells.load(self.word);
        let posted = producer.wrapping_sub(self.taken);
        if posted < self.left() || posted > entries {
            return Err(BadIndex);
        }
        self.producer = producer;
        Ok(())
    }

    /// Whether the driver's index is another than that which we know.
    pub fn is_rung(&self, doorbells: &DoorbellMemory) -> bool {
        doorbells.load(self.word) != self.producer
    }

    /// Entries that we know of and have not taken.
    pub const fn left(&self) -> u32 {
        self.producer.wrapping_sub(self.taken)
    }

    /// The index of the next entry.
    pub const fn next(&self) -> u32 {
        self.taken
    }

    /// Takes the next entry: its index. None: there is none.
    pub fn take(&mut self) -> Option<u32> {
        let index = self.taken;
        (self.left() != 0).then(|| self.taken = index.wrapping_add(1))?;
        Some(index)
    }
}

/// Reads the addresses of `count` pages out of tables with so many `levels`, 1 to [`MAX_LEVELS`].
///
/// # Errors
/// More pages than the levels can name, a table that cannot be read, or an address that is not that of a page.
pub(crate) fn read_page_list(
    dma: &mut Dma,
    addr: u64,
    levels: u8,
    count: usize,
) -> Result<Vec<u64>, RingError> {
    let levels = u32::from(levels);
    if count > TABLE_ENTRIES.pow(levels) {
        return Err(RingError::Levels);
    }
    let mut pages = vec![addr];
    for level in (0..levels).rev() {
        pages = read_tables(dma, &pages, count.div_ceil(TABLE_ENTRIES.pow(level)))?;
    }
    for page in &pages {
        check_range(*page, PAGE_SIZE, PAGE_SIZE)?;
    }
    Ok(pages)
}

/// Reads the first `count` addresses of the table that the `tables` make up.
fn read_tables(dma: &mut Dma, tables: &[u64], count: usize) -> Result<Vec<u64>, RingError> {
    let mut addresses = Vec::with_capacity(count);
    for table in tables {
        check_range(*table, PAGE_SIZE, PAGE_SIZE)?;
        let mut bytes = vec![0; (count - addresses.len()).min(TABLE_ENTRIES) * size_of::<u64>()];
        dma.read(*table, &mut bytes).map_err(RingError::Fault)?;
        let (words, _) = bytes.as_chunks();
        addresses.extend(words.iter().map(|word| u64::from_le_bytes(*word)));
    }
    Ok(addresses)
}

/// Whether a piece of memory is aligned, and there at all.
///
/// # Errors
/// It is not.
pub(crate) fn check_range(addr: u64, bytes: u64, alignment: u64) -> Result<(), RingError> {
    let fits = addr.checked_add(bytes).is_some();
    if fits && addr.is_multiple_of(alignment) {
        Ok(())
    } else {
        Err(RingError::Address)
    }
}
