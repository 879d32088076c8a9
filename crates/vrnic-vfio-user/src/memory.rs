//! Guest memory: the files that the client has handed over, mapped.
#![expect(unsafe_code, reason = "copies to and from memory that another process shares")]

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::ptr;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::FileType;
use rustix::io::Errno;
use vrnic_device::{DmaFault, HostMemory};

use crate::protocol::{DMA_READ, DMA_WRITE, DmaMap};

/// The most pieces of memory: QEMU has a few dozen, a guest's IOMMU may make thousands.
const MAX_PIECES: usize = 1 << 17;

/// From this size on, memory without a file is the guest's RAM and not one of the small ROMs of a PC.
const RAM: u64 = 1 << 20;

/// One piece of guest memory.
struct Piece {
    size: u64,
    readable: bool,
    writable: bool,
    /// `None`: there is no file (a ROM, another device's BAR), so that the device cannot reach it.
    map: Option<MmapRaw>,
}

/// All memory that the device may reach. Empty without a client.
#[derive(Default)]
pub struct GuestMemory {
    pieces: RwLock<BTreeMap<u64, Piece>>,
}

/// What became of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapped {
    /// The device can reach it.
    Reachable,
    /// It has no file: the device cannot reach it, and does not need to.
    Unreachable,
    /// It is the guest's RAM, and has no file.
    Private,
}

impl GuestMemory {
    /// Adds a piece.
    ///
    /// # Errors
    /// `EINVAL` for a range that is empty, wraps around, is not in the file or not aligned, and for what is no file with contents;
    /// `EEXIST` for one that overlaps another; `ENOSPC` for too many; what `mmap` says.
    pub fn map(&self, request: &DmaMap, file: Option<&OwnedFd>) -> Result<Mapped, Errno> {
        let DmaMap { address, size, .. } = *request;
        let last = address.checked_add(size).filter(|_| size > 0);
        let end = last.ok_or(Errno::INVAL)?;
        let mut pieces = self.pieces_mut();
        if pieces.len() >= MAX_PIECES {
            return Err(Errno::NOSPC);
        }
        let before = pieces.range(..end).next_back();
        if before.is_some_and(|(start, piece)| start + piece.size > address) {
            return Err(Errno::EXIST);
        }
        let writable = request.flags & DMA_WRITE != 0;
        let map = file
            .map(|file| map_file(file, request.offset, size, writable))
            .transpose()?;
        let mapped = match &map {
            Some(_) => Mapped::Reachable,
            // Pieces without a file beside RAM with one are other devices' BARs and ROMs.
            None if writable && (address == 0 || size >= RAM) && pieces.values().all(|p| p.map.is_none()) => {
                return Ok(Mapped::Private);
            }
            None => Mapped::Unreachable,
        };
        let piece = Piece {
            size,
            readable: request.flags & DMA_READ != 0,
            writable,
            map,
        };
        pieces.insert(address, piece);
        Ok(mapped)
    }

    /// Takes away all pieces that lie in the range.
    ///
    /// # Errors
    /// `EINVAL` if the range is empty, wraps around, or ends inside a piece: nothing is unmapped then. A range without pieces is none:
    /// QEMU unmaps whole address spaces when the guest switches its IOMMU on.
    pub fn unmap(&self, address: u64, size: u64) -> Result<(), Errno> {
        // A range may end where the address space does.
        let last = size.checked_sub(1).and_then(|beyond| address.checked_add(beyond));
        let last = last.ok_or(Errno::INVAL)?;
        let mut pieces = self.pieces_mut();
        let inside: Vec<u64> = pieces.range(address..=last).map(|(start, _)| *start).collect();
        let end = |(start, piece): (&u64, &Piece)| start + (piece.size - 1);
        let reaches_in = pieces
            .range(..address)
            .next_back()
            .is_some_and(|piece| end(piece) >= address);
        let reaches_out = pieces
            .range(..=last)
            .next_back()
            .is_some_and(|piece| end(piece) > last);
        if reaches_in || reaches_out {
            return Err(Errno::INVAL);
        }
        for start in inside {
            pieces.remove(&start);
        }
        Ok(())
    }

    /// Takes everything away.
    pub fn clear(&self) {
        self.pieces_mut().clear();
    }

    /// How many pieces there are.
    #[must_use]
    pub fn pieces(&self) -> usize {
        self.all_pieces().len()
    }

    fn all_pieces(&self) -> RwLockReadGuard<'_, BTreeMap<u64, Piece>> {
        self.pieces.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn pieces_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<u64, Piece>> {
        self.pieces.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `access` for each part of the range that lies in one piece, in order: where it is, and which bytes of the range.
    fn each(
        &self,
        addr: u64,
        length: usize,
        write: bool,
        mut access: impl FnMut(*mut u8, std::ops::Range<usize>),
    ) -> Result<(), DmaFault> {
        let fault = DmaFault { addr };
        let pieces = self.all_pieces();
        let mut done = 0;
        while done < length {
            let at = addr.checked_add(done as u64).ok_or(fault)?;
            let (start, piece) = pieces.range(..=at).next_back().ok_or(fault)?;
            let inside = at - start;
            let allowed = if write { piece.writable } else { piece.readable };
            let map = piece.map.as_ref().filter(|_| allowed && inside < piece.size);
            let map = map.ok_or(fault)?;
            let offset = usize::try_from(inside).map_err(|_| fault)?;
            let part = (map.len() - offset).min(length - done);
            access(map.as_mut_ptr().wrapping_add(offset), done..done + part);
            done += part;
        }
        Ok(())
    }

    /// As [`Self::each`], for one aligned word.
    fn word<T>(&self, addr: u64, write: bool, access: impl FnOnce(&AtomicU32) -> T) -> Result<T, DmaFault> {
        let mut place = None;
        let mut access = Some(access);
        if addr.is_multiple_of(4) {
            self.each(addr, 4, write, |at, range| {
                // Pieces and their files are page aligned, so that a word is never in two of them.
                if let (4, Some(access)) = (range.len(), access.take()) {
                    // SAFETY: `each` calls with mapped memory of that length, and keeps it mapped meanwhile; it is aligned as `addr` is.
                    let word = unsafe { AtomicU32::from_ptr(at.cast()) };
                    place = Some(access(word));
                }
            })?;
        }
        place.ok_or(DmaFault { addr })
    }
}

/// Maps a part of a file that must be there.
fn map_file(file: &OwnedFd, offset: u64, size: u64, writable: bool) -> Result<MmapRaw, Errno> {
    let status = rustix::fs::fstat(file)?;
    // Device files may do anything when they are mapped or read.
    let regular = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
    let end = offset.checked_add(size).ok_or(Errno::INVAL)?;
    let there = u64::try_from(status.st_size).is_ok_and(|length| end <= length);
    if !regular || !there || !offset.is_multiple_of(PAGE) || !size.is_multiple_of(PAGE) {
        return Err(Errno::INVAL);
    }
    let mut options = MmapOptions::new();
    options
        .offset(offset)
        .len(usize::try_from(size).map_err(|_| Errno::INVAL)?);
    let mapped = if writable {
        options.map_raw(file)
    } else {
        options.map_raw_read_only(file)
    };
    mapped.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::INVAL))
}

/// Granularity of mappings.
const PAGE: u64 = 4096;

impl HostMemory for GuestMemory {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), DmaFault> {
        self.each(addr, buf.len(), false, |at, range| {
            let part = &mut buf[range];
            // SAFETY: `each` calls with mapped memory of the part's length. The guest may write it meanwhile: then the copy is
            // what a device on a real bus would have read.
            unsafe { ptr::copy_nonoverlapping(at, part.as_mut_ptr(), part.len()) };
        })
    }

    fn write(&self, addr: u64, data: &[u8]) -> Result<(), DmaFault> {
        self.each(addr, data.len(), true, |at, range| {
            let part = &data[range];
            // SAFETY: as above.
            unsafe { ptr::copy_nonoverlapping(part.as_ptr(), at, part.len()) };
        })
    }

    fn store_release_u8(&self, addr: u64, value: u8) -> Result<(), DmaFault> {
        self.each(addr, 1, true, |at, _| {
            // SAFETY: `each` calls with one mapped byte.
            unsafe { AtomicU8::from_ptr(at) }.store(value, Ordering::Release);
        })
    }

    fn store_release_u32(&self, addr: u64, value: u32) -> Result<(), DmaFault> {
        self.word(addr, true, |word| word.store(value.to_le(), Ordering::Release))
    }

    fn load_acquire_u32(&self, addr: u64) -> Result<u32, DmaFault> {
        self.word(addr, false, |word| u32::from_le(word.load(Ordering::Acquire)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(pages: u64) -> OwnedFd {
        let file = rustix::fs::memfd_create("guest", rustix::fs::MemfdFlags::CLOEXEC).expect("memory");
        rustix::fs::ftruncate(&file, pages * PAGE).expect("memory");
        file
    }

    fn request(address: u64, pages: u64, offset: u64, flags: u32) -> DmaMap {
        DmaMap {
            argsz: 32,
            flags,
            offset,
            address,
            size: pages * PAGE,
        }
    }

    const BOTH: u32 = DMA_READ | DMA_WRITE;

    #[test]
    fn accesses_may_span_pieces_but_not_holes() {
        let memory = GuestMemory::default();
        let file = file(4);
        assert_eq!(
            memory.map(&request(0x1_0000, 1, 0, BOTH), Some(&file)),
            Ok(Mapped::Reachable)
        );
        assert_eq!(
            memory.map(&request(0x1_1000, 1, 3 * PAGE, BOTH), Some(&file)),
            Ok(Mapped::Reachable)
        );
        let data: Vec<u8> = (0..=255).collect();
        memory.write(0x1_0F80, &data).expect("two pieces side by side");
        let mut back = vec![0; 256];
        memory.read(0x1_0F80, &mut back).expect("the same");
        assert_eq!(back, data);
        assert!(memory.read(0x1_1FFF, &mut [0; 2]).is_err(), "past the end");
        assert!(memory.read(0xFFFF, &mut [0; 1]).is_err(), "before the beginning");
        assert!(memory.read(u64::MAX, &mut [0; 2]).is_err());
        memory.store_release_u32(0x1_0004, 7).expect("mapped");
        assert_eq!(memory.load_acquire_u32(0x1_0004), Ok(7));
        assert!(memory.load_acquire_u32(0x1_0002).is_err(), "not aligned");
        memory.unmap(0x1_1000, PAGE).expect("it is there");
        assert!(memory.write(0x1_0F80, &data).is_err(), "unmapped");
    }

    #[test]
    fn memory_for_reading_is_not_written() {
        let memory = GuestMemory::default();
        memory
            .map(&request(0, 1, 0, DMA_READ), Some(&file(1)))
            .expect("a file");
        assert!(memory.read(0, &mut [0; 4]).is_ok());
        assert!(memory.write(0, &[1]).is_err());
        assert!(memory.store_release_u8(0, 1).is_err());
        assert!(memory.store_release_u32(0, 1).is_err());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let memory = GuestMemory::default();
        let file = file(2);
        for bad in [
            request(0, 0, 0, BOTH),
            request(u64::MAX - 100, 1, 0, BOTH),
            request(0, 3, 0, BOTH),
            request(0, 1, 1, BOTH),
            request(0, 1, u64::MAX, BOTH),
            DmaMap {
                size: 5,
                ..request(0, 1, 0, BOTH)
            },
        ] {
            assert_eq!(memory.map(&bad, Some(&file)), Err(Errno::INVAL), "{bad:x?}");
        }
        let null = std::fs::File::open("/dev/zero").expect("it is everywhere").into();
        assert_eq!(
            memory.map(&request(0, 1, 0, BOTH), Some(&null)),
            Err(Errno::INVAL)
        );
        memory.map(&request(PAGE, 2, 0, BOTH), Some(&file)).expect("good");
        for overlap in [request(0, 2, 0, BOTH), request(2 * PAGE, 1, 0, BOTH)] {
            assert_eq!(memory.map(&overlap, Some(&file)), Err(Errno::EXIST));
        }
        assert_eq!(memory.unmap(PAGE, PAGE), Err(Errno::INVAL), "half of a piece");
        assert_eq!(memory.unmap(8 * PAGE, PAGE), Ok(()), "nothing there");
        assert_eq!(memory.unmap(2 * PAGE, PAGE), Err(Errno::INVAL), "the other half");
        assert_eq!(memory.unmap(u64::MAX, 2), Err(Errno::INVAL));
        let half = 1 << 63;
        assert_eq!(
            memory.unmap(half, half),
            Ok(()),
            "the upper half of all addresses"
        );
        assert_eq!(memory.pieces(), 1);
        assert_eq!(memory.unmap(0, 8 * PAGE), Ok(()));
        assert_eq!(memory.pieces(), 0);
    }

    #[test]
    fn ram_that_is_not_shared_is_noticed_and_other_devices_memory_is_not() {
        let memory = GuestMemory::default();
        assert_eq!(memory.map(&request(0, 160, 0, BOTH), None), Ok(Mapped::Private));
        assert_eq!(
            memory.map(&request(1 << 32, 256, 0, BOTH), None),
            Ok(Mapped::Private)
        );
        assert_eq!(
            memory.map(&request(0xC_0000, 8, 0, DMA_READ), None),
            Ok(Mapped::Unreachable)
        );
        memory
            .map(&request(0, 160, 0, BOTH), Some(&file(160)))
            .expect("shared");
        let bar = request(0xFE00_0000, 512, 0, BOTH);
        assert_eq!(memory.map(&bar, None), Ok(Mapped::Unreachable));
        assert!(memory.read(0xFE00_0000, &mut [0; 4]).is_err());
    }
}
