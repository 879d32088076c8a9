//! BAR2: the memory that driver and device share.
//!
//! It is a memfd, so that a virtual machine monitor can map the very same pages into the guest. The file is sealed: nobody
//! who gets the descriptor can shrink it under our mapping.

#![expect(unsafe_code, reason = "words of the mapping are seen as atomics")]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use memmap2::MmapRaw;
use rustix::fs::{MemfdFlags, SealFlags};
use vrnic_abi::pci::DOORBELL_BAR_SIZE;

/// The doorbell words.
pub struct DoorbellMemory {
    file: File,
    map: MmapRaw,
}

impl DoorbellMemory {
    pub(crate) fn new() -> io::Result<Self> {
        let fd =
            rustix::fs::memfd_create("vrnic-doorbells", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        let file = File::from(fd);
        file.set_len(DOORBELL_BAR_SIZE)?;
        rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let map = MmapRaw::map_raw(&file)?;
        Ok(Self { file, map })
    }

    fn words(&self) -> &[AtomicU32] {
        #[expect(clippy::cast_ptr_alignment, reason = "a mapping is page aligned")]
        let words = self.map.as_mut_ptr().cast::<AtomicU32>();
        // SAFETY: the mapping is page aligned, has this length and lives as long as `self`; all that it holds are words that
        // everybody in this process uses as atomics of this size.
        unsafe { std::slice::from_raw_parts(words, self.map.len() / size_of::<AtomicU32>()) }
    }

    /// The word at `offset`, which must be a multiple of 4 inside the BAR.
    fn word(&self, offset: u64) -> Option<&AtomicU32> {
        let index = usize::try_from(offset / 4).ok()?;
        self.words().get(index).filter(|_| offset.is_multiple_of(4))
    }

    /// Reads a word with acquire ordering; all ones outside the BAR.
    #[must_use]
    pub fn load(&self, offset: u64) -> u32 {
        self.word(offset)
            .map_or(u32::MAX, |word| u32::from_le(word.load(Ordering::Acquire)))
    }

    /// Writes a word with release ordering; nothing outside the BAR.
    pub fn store(&self, offset: u64, value: u32) {
        if let Some(word) = self.word(offset) {
            word.store(value.to_le(), Ordering::Release);
        }
    }

    /// Reads a word and writes zero, in one step.
    pub(crate) fn take(&self, offset: u64) -> u32 {
        self.word(offset)
            .map_or(0, |word| u32::from_le(word.swap(0, Ordering::SeqCst)))
    }

    /// Writes `new` if the word is still `old`, in one step. True if it was.
    pub(crate) fn replace(&self, offset: u64, old: u32, new: u32) -> bool {
        let exchange = |word: &AtomicU32| {
            word.compare_exchange(old.to_le(), new.to_le(), Ordering::SeqCst, Ordering::Relaxed)
        };
        self.word(offset).is_some_and(|word| exchange(word).is_ok())
    }

    /// Sets every word.
    pub(crate) fn fill(&self, value: u32) {
        self.words()
            .iter()
            .for_each(|word| word.store(value.to_le(), Ordering::Release));
    }

    /// Reads bytes, for hosts that cannot map the memory.
    pub(crate) fn read(&self, offset: u64, data: &mut [u8]) {
        data.fill(u8::MAX);
        for (at, byte) in (offset..DOORBELL_BAR_SIZE).zip(data) {
            let (word, lane) = place(at);
            *byte = self.load(word).to_le_bytes()[lane];
        }
    }

    /// Writes bytes; an aligned word in one access.
    pub(crate) fn write(&self, offset: u64, data: &[u8]) {
        if let (true, Ok(value)) = (offset.is_multiple_of(4), <[u8; 4]>::try_from(data)) {
            return self.store(offset, u32::from_le_bytes(value));
        }
        for (at, byte) in (offset..DOORBELL_BAR_SIZE).zip(data) {
            let (word, lane) = place(at);
            let Some(word) = self.word(word) else { return };
            let with_byte = |old: u32| {
                let mut bytes = old.to_ne_bytes();
                bytes[lane] = *byte;
                u32::from_ne_bytes(bytes)
            };
            word.update(Ordering::AcqRel, Ordering::Acquire, with_byte);
        }
    }

    /// Where the memory is mapped in this process, for a host that hands it to a driver directly: page aligned,
    /// [`DOORBELL_BAR_SIZE`] bytes, valid as long as the NIC. Access it with aligned 32-bit atomics only.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        self.map.as_mut_ptr()
    }
}

/// The offset of the word that a byte is in, and the byte's place in memory within it.
const fn place(offset: u64) -> (u64, usize) {
    (offset & !3, (offset & 3) as usize)
}

impl AsFd for DoorbellMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
