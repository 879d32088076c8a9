//! The MSI-X table and the pending bit array (PCI Local Bus 3.0, 6.8.2).

use vrnic_abi::pci::{MSIX_BAR_SIZE, MSIX_PBA_OFFSET, MSIX_TABLE_OFFSET, VECTORS};

const ENTRIES: usize = VECTORS as usize;
const ENTRY_WORDS: usize = 4;
const CONTROL: usize = 3;
const MASKED: u32 = 1;

/// One vector, as software has programmed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsixVector {
    /// Message address.
    pub addr: u64,
    /// Message data.
    pub data: u32,
    /// The vector is masked: its interrupts wait in the pending bit.
    pub masked: bool,
    /// An interrupt waits.
    pub pending: bool,
}

/// All vectors.
pub type MsixTable = [MsixVector; ENTRIES];

/// The table and the pending bits.
pub(crate) struct Msix {
    table: [[u32; ENTRY_WORDS]; ENTRIES],
    pending: u32,
}

impl Msix {
    /// All vectors masked, as after reset; or all open, for a host that masks them itself.
    pub const fn new(host_masks_vectors: bool) -> Self {
        let control = if host_masks_vectors { 0 } else { MASKED };
        Self {
            table: [[0, 0, 0, control]; ENTRIES],
            pending: 0,
        }
    }

    /// Notes an interrupt. True: send it now. `open`: MSI-X is enabled and the function not masked.
    pub fn signal(&mut self, vector: u16, open: bool) -> bool {
        let Some(entry) = self.table.get(usize::from(vector)) else {
            return false;
        };
        let send = open && entry[CONTROL] & MASKED == 0;
        if !send {
            self.pending |= 1 << vector;
        }
        send
    }

    /// Takes the vectors that waited and may be sent now, as bits.
    pub fn take_ready(&mut self, open: bool) -> u32 {
        if !open {
            return 0;
        }
        let unmasked = (0..ENTRIES).filter(|v| self.table[*v][CONTROL] & MASKED == 0);
        let ready = self.pending & unmasked.fold(0, |bits, v| bits | 1 << v);
        self.pending &= !ready;
        ready
    }

    /// Forgets the interrupts that wait.
    pub fn clear_pending(&mut self) {
        self.pending = 0;
    }

    /// Unmasks every vector.
    pub fn unmask_all(&mut self) {
        for entry in &mut self.table {
            entry[CONTROL] &= !MASKED;
        }
    }

    /// Reads an aligned word of the BAR.
    pub fn read(&self, offset: u32) -> u32 {
        match offset {
            MSIX_PBA_OFFSET => self.pending,
            _ => self
                .place(offset)
                .map_or(0, |(vector, word)| self.table[vector][word]),
        }
    }

    /// Writes an aligned word of the BAR; the pending bits are read-only.
    pub fn write(&mut self, offset: u32, value: u32) {
        if let Some((vector, word)) = self.place(offset) {
            self.table[vector][word] = match word {
                0 => value & !0b11, // messages are aligned
                CONTROL => value & MASKED,
                _ => value,
            };
        }
    }

    /// Vector and word of the table that are at `offset`.
    #[expect(clippy::unused_self, reason = "reads as a property of the table")]
    fn place(&self, offset: u32) -> Option<(usize, usize)> {
        let index = usize::try_from(offset.checked_sub(MSIX_TABLE_OFFSET)? / 4).ok()?;
        (index < ENTRIES * ENTRY_WORDS).then_some((index / ENTRY_WORDS, index % ENTRY_WORDS))
    }

    /// What software has programmed.
    pub fn vectors(&self) -> MsixTable {
        std::array::from_fn(|v| {
            let [low, high, data, control] = self.table[v];
            MsixVector {
                addr: u64::from(high) << 32 | u64::from(low),
                data,
                masked: control & MASKED != 0,
                pending: self.pending >> v & 1 != 0,
            }
        })
    }
}

static_assertions::const_assert!(
    MSIX_TABLE_OFFSET as usize + ENTRIES * ENTRY_WORDS * 4 <= MSIX_PBA_OFFSET as usize
);
static_assertions::const_assert!((MSIX_PBA_OFFSET as u64) < MSIX_BAR_SIZE);
