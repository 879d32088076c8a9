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

    /// The word at `offset`, which must be a multiple of 4 inside the BAR.
    fn word(&self, offset: u64) -> Option<&AtomicU32> {
        let offset = usize::try_from(offset).ok()?;
        if !offset.is_multiple_of(4) || offset >= self.map.len() {
            return None;
        }
        #[expect(
            clippy::cast_ptr_alignment,
            reason = "checked: the mapping is page aligned, the offset a multiple of 4"
        )]
        let word = self.map.as_mut_ptr().wrapping_add(offset).cast::<u32>();
        // SAFETY: the mapping is page aligned and lives as long as `self`; `offset` is a multiple of 4 below its length, which
        // is a multiple of 4 too; everybody in this process uses the word as an atomic of this size.
        Some(unsafe { AtomicU32::from_ptr(word) })
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

    /// Sets every word.
    pub(crate) fn fill(&self, value: u32) {
        for offset in (0..DOORBELL_BAR_SIZE).step_by(4) {
            self.store(offset, value);
        }
    }

    /// Reads bytes, for hosts that cannot map the memory.
    pub(crate) fn read(&self, offset: u64, data: &mut [u8]) {
        for (at, byte) in (offset..).zip(data) {
            let [lane, word] = lane(at);
            *byte = self.load(word).to_le_bytes()[usize::try_from(lane).unwrap_or(0)];
        }
    }

    /// Writes bytes; an aligned word in one access.
    pub(crate) fn write(&self, offset: u64, data: &[u8]) {
        if let ([lane @ 0, word], Ok(value)) = (lane(offset), <[u8; 4]>::try_from(data)) {
            return self.store(word + lane, u32::from_le_bytes(value));
        }
        for (at, byte) in (offset..).zip(data) {
            let [lane, word] = lane(at);
            let shift = lane * 8;
            if let Some(word) = self.word(word) {
                let replaced = |old| {
                    let kept = u32::from_le(old) & !(0xFF << shift);
                    (kept | u32::from(*byte) << shift).to_le()
                };
                word.update(Ordering::AcqRel, Ordering::Acquire, replaced);
            }
        }
    }

    /// Where the memory is mapped in this process, for a host that hands it to a driver directly: page aligned,
    /// [`DOORBELL_BAR_SIZE`] bytes, valid as long as the NIC. Access it with aligned 32-bit atomics only.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        self.map.as_mut_ptr()
    }
}

/// The byte's place in its word, and the word's offset.
const fn lane(offset: u64) -> [u64; 2] {
    [offset % 4, offset - offset % 4]
}

impl AsFd for DoorbellMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
