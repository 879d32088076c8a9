//! Memory that another process can be given, for devices that are in one: all that is reserved after [`share`] lies in one file.
//!
//! A place in the file is never used twice. So a device that still writes after its memory was taken away (its process was stopped for
//! a while, say) hits nothing of anybody's.
#![expect(unsafe_code, reason = "maps a file, and gives pieces of it back")]

use super::{PAGE_SIZE, page_up};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The length of the file: more than is ever reserved. Only pages that were touched take memory.
const FILE_SIZE: libc::off_t = 1 << 50;

struct Shared {
    file: File,
    next: AtomicU64,
    /// What is reserved: where it starts, its size and its place in the file.
    ranges: RwLock<BTreeMap<usize, (usize, u64)>>,
}

static SHARED: OnceLock<Shared> = OnceLock::new();

/// From now on [`reserve`](super::reserve) takes memory that other processes can be given.
///
/// # Errors
/// The system has no such file for us.
pub fn share() -> io::Result<()> {
    if is_shared() {
        return Ok(());
    }
    // SAFETY: the name is a NUL-terminated string.
    let fd = unsafe { libc::memfd_create(c"ntbench-memory".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is new.
    let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    file.set_len(FILE_SIZE.unsigned_abs())?;
    // Somebody else may have been faster: one is as good as the other.
    let _ = SHARED.set(Shared {
        file,
        next: AtomicU64::new(0),
        ranges: RwLock::default(),
    });
    Ok(())
}

/// Whether [`share`] was called.
#[must_use]
pub fn is_shared() -> bool {
    SHARED.get().is_some()
}

/// Reserves address space in the file; `None` if memory is not shared.
pub(super) fn reserve(size: usize) -> Option<usize> {
    let shared = SHARED.get()?;
    let size = page_up(size);
    // An inaccessible page apart, so that pieces that were reserved one after the other are no single piece to anybody.
    let offset = shared
        .next
        .fetch_add((size + PAGE_SIZE) as u64, Ordering::Relaxed);
    let offset_in_file = libc::off_t::try_from(offset).expect("the file is shorter");
    // SAFETY: a mapping at an address of the system's choice touches no existing memory.
    let address = unsafe {
        libc::mmap(
            ptr::null_mut(),
            size,
            libc::PROT_NONE,
            libc::MAP_SHARED | libc::MAP_NORESERVE,
            shared.file.as_raw_fd(),
            offset_in_file,
        )
    };
    assert!(
        address != libc::MAP_FAILED,
        "cannot reserve {size} bytes of shared memory: {}",
        io::Error::last_os_error()
    );
    let address = address as usize;
    shared.ranges.write().insert(address, (size, offset));
    Some(address)
}

/// The file, and where in it those bytes are, if all of them are in one piece of it.
#[must_use]
pub fn locate(address: usize, length: usize) -> Option<(BorrowedFd<'static>, u64)> {
    let shared = SHARED.get()?;
    let ranges = shared.ranges.read();
    let (&start, &(size, offset)) = ranges.range(..=address).next_back()?;
    let inside = address - start;
    let end = inside.checked_add(length)?;
    (end <= size).then(|| (shared.file.as_fd(), offset + inside as u64))
}

/// Gives the memory behind pages back, which read as zeros then. False if they are not shared.
pub(super) fn empty(address: usize, size: usize) -> bool {
    let Some((file, offset)) = locate(address, page_up(size)) else {
        return false;
    };
    let (offset, length) = (
        libc::off_t::try_from(offset),
        libc::off_t::try_from(page_up(size)),
    );
    let (offset, length) = (
        offset.expect("the file is shorter"),
        length.expect("the file is shorter"),
    );
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    // SAFETY: a plain system call on a file that is ours.
    let result = unsafe { libc::fallocate(file.as_raw_fd(), mode, offset, length) };
    assert!(result == 0, "fallocate: {}", io::Error::last_os_error());
    true
}

/// Forgets a piece, or a part of one at its start or end, that is about to be unmapped, and gives its memory back.
pub(super) fn forget(address: usize, size: usize) {
    if !empty(address, size) {
        return;
    }
    let Some(shared) = SHARED.get() else { return };
    let mut ranges = shared.ranges.write();
    let found = ranges
        .range(..=address)
        .next_back()
        .map(|(&start, &piece)| (start, piece));
    let Some((start, (length, offset))) = found else {
        return;
    };
    ranges.remove(&start);
    let (end, piece_end) = (address + page_up(size), start + length);
    if start < address {
        ranges.insert(start, (address - start, offset));
    }
    if end < piece_end {
        ranges.insert(end, (piece_end - end, offset + (end - start) as u64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{self, Protection};
    use std::os::unix::fs::FileExt;

    #[test]
    fn what_is_reserved_is_found_in_the_file_until_it_is_released() {
        assert!(locate(memory::read as fn(usize) -> u32 as usize, 1).is_none());
        share().expect("there is memory");
        let at = memory::reserve(3 * PAGE_SIZE);
        memory::protect(at + PAGE_SIZE, PAGE_SIZE, Protection::ReadWrite);
        memory::write(at + PAGE_SIZE + 8, 0x1122_3344_u32);
        let (file, offset) = locate(at + PAGE_SIZE, PAGE_SIZE).expect("it is shared");
        let file = File::from(file.try_clone_to_owned().expect("a file"));
        let mut bytes = [0; 4];
        file.read_exact_at(&mut bytes, offset + 8).expect("it is there");
        assert_eq!(bytes, 0x1122_3344_u32.to_ne_bytes());
        file.write_all_at(&[9], offset).expect("as a device would");
        assert_eq!(memory::read::<u8>(at + PAGE_SIZE), 9);
        assert!(locate(at + PAGE_SIZE, 2 * PAGE_SIZE + 1).is_none(), "too long");

        memory::decommit(at + PAGE_SIZE, PAGE_SIZE);
        memory::protect(at + PAGE_SIZE, PAGE_SIZE, Protection::ReadWrite);
        assert_eq!(
            memory::read::<u32>(at + PAGE_SIZE + 8),
            0,
            "its memory was given back"
        );

        memory::release(at, PAGE_SIZE);
        assert!(locate(at, 1).is_none());
        assert_eq!(
            locate(at + PAGE_SIZE, PAGE_SIZE).map(|found| found.1),
            Some(offset)
        );
        memory::release(at + PAGE_SIZE, 2 * PAGE_SIZE);
        assert!(locate(at + PAGE_SIZE, 1).is_none());
        let again = memory::reserve(PAGE_SIZE);
        let place = locate(again, PAGE_SIZE).map(|found| found.1);
        assert!(place > Some(offset + PAGE_SIZE as u64), "no place is used twice");
        memory::release(again, PAGE_SIZE);
    }
}
