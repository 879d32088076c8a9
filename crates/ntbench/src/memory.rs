//! Page mappings, and access to memory that the driver shares with the bench.
//!
//! The driver is native code in this process, so any address that it hands over may be wrong. The accessors here copy
//! by raw pointer and never make a reference; a bad address faults, and the fault handler (`cpu::fault`) reports it as
//! a violation of the driver and ends the process. That is why they are safe functions: a bad address cannot return.
//!
//! Where a device is in another process, `shared` puts the memory into a file that it can be given.
#![expect(unsafe_code, reason = "maps pages and touches raw driver memory")]

pub mod shared;

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// Size of a page on x86-64.
pub const PAGE_SIZE: usize = 4096;

/// What may be done with a range of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Any access faults.
    None,
    /// Read.
    Read,
    /// Read and write.
    ReadWrite,
    /// Read and execute.
    ReadExecute,
}

impl Protection {
    fn bits(self) -> i32 {
        match self {
            Self::None => libc::PROT_NONE,
            Self::Read => libc::PROT_READ,
            Self::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
            Self::ReadExecute => libc::PROT_READ | libc::PROT_EXEC,
        }
    }
}

/// Rounds `size` up to whole pages.
#[must_use]
pub const fn page_up(size: usize) -> usize {
    (size + PAGE_SIZE - 1) & !(PAGE_SIZE - 1)
}

/// Reserves address space without access and without committing memory.
///
/// # Panics
/// When the system refuses: the bench cannot go on.
#[must_use]
pub fn reserve(size: usize) -> usize {
    if let Some(address) = shared::reserve(size) {
        return address;
    }
    // SAFETY: an anonymous mapping at an address of the system's choice touches no existing memory.
    let address = unsafe {
        libc::mmap(
            ptr::null_mut(),
            size,
            libc::PROT_NONE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    assert!(
        address != libc::MAP_FAILED,
        "cannot reserve {size} bytes: {}",
        io::Error::last_os_error()
    );
    address as usize
}

/// Reserves address space whose start is a multiple of `alignment` (a power of two, at least a page).
#[must_use]
pub fn reserve_aligned(size: usize, alignment: usize) -> usize {
    let start = reserve(size + alignment);
    let aligned = (start + alignment - 1) & !(alignment - 1);
    release(start, aligned - start);
    release(aligned + size, start + alignment - aligned);
    aligned
}

/// Maps one piece of new memory twice: executable at `executable` (reserved by the caller), and writable elsewhere.
/// Returns the writable address.
///
/// # Panics
/// When the system refuses.
#[must_use]
pub fn map_twice(executable: usize, size: usize) -> usize {
    // SAFETY: the name is a NUL-terminated string.
    let file = unsafe { libc::memfd_create(c"ntbench-thunks".as_ptr(), libc::MFD_CLOEXEC) };
    assert!(file >= 0, "memfd_create: {}", io::Error::last_os_error());
    let length = libc::off_t::try_from(size).expect("sizes fit off_t");
    // SAFETY: the descriptor is ours.
    let result = unsafe { libc::ftruncate(file, length) };
    assert!(result == 0, "ftruncate: {}", io::Error::last_os_error());
    let map = |address: usize, protection, flags| {
        let address = address as *mut libc::c_void;
        // SAFETY: with MAP_FIXED the caller owns the range; without it the system chooses a free one.
        let result = unsafe { libc::mmap(address, size, protection, libc::MAP_SHARED | flags, file, 0) };
        assert!(result != libc::MAP_FAILED, "mmap: {}", io::Error::last_os_error());
        result as usize
    };
    map(executable, libc::PROT_READ | libc::PROT_EXEC, libc::MAP_FIXED);
    let writable = map(0, libc::PROT_READ | libc::PROT_WRITE, 0);
    // SAFETY: the descriptor is ours; the mappings keep the memory.
    unsafe { libc::close(file) };
    writable
}

/// Maps `size` bytes of a file from `offset` on, shared, readable and writable, at `address`, which the caller has reserved.
///
/// # Errors
/// What `mmap` says.
pub fn map_file(address: usize, size: usize, file: BorrowedFd<'_>, offset: u64) -> io::Result<()> {
    let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_FIXED;
    let address = address as *mut libc::c_void;
    // SAFETY: the caller owns the range that is replaced.
    let result = unsafe { libc::mmap(address, size, protection, flags, file.as_raw_fd(), offset) };
    if result == libc::MAP_FAILED {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Gives a mapping back.
///
/// # Panics
/// When it is none.
pub fn release(address: usize, size: usize) {
    if size == 0 {
        return;
    }
    shared::forget(address, size);
    // SAFETY: callers own the mapping that they release.
    let result = unsafe { libc::munmap(address as *mut libc::c_void, size) };
    assert!(result == 0, "munmap: {}", io::Error::last_os_error());
}

/// Changes the protection of whole pages that the caller owns.
///
/// # Errors
/// What `mprotect` says (out of mappings, for instance).
pub fn try_protect(address: usize, size: usize, protection: Protection) -> io::Result<()> {
    // SAFETY: callers own the range; losing access faults, which the fault handler reports.
    let result = unsafe { libc::mprotect(address as *mut libc::c_void, page_up(size), protection.bits()) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Like [`try_protect`], where failure is a bug or exhaustion of the bench itself.
///
/// # Panics
/// When the system refuses.
pub fn protect(address: usize, size: usize, protection: Protection) {
    if let Err(error) = try_protect(address, size, protection) {
        panic!("mprotect({address:#x}, {size:#x}, {protection:?}): {error}");
    }
}

/// Takes away access and gives the memory behind the pages back; the address range stays reserved.
///
/// # Panics
/// When the system refuses.
pub fn decommit(address: usize, size: usize) {
    protect(address, size, Protection::None);
    if shared::empty(address, size) {
        return;
    }
    // SAFETY: the range is owned by the caller and inaccessible now.
    let result = unsafe { libc::madvise(address as *mut libc::c_void, page_up(size), libc::MADV_DONTNEED) };
    assert!(result == 0, "madvise: {}", io::Error::last_os_error());
}

/// Whether a page is mapped with any access. Asks the kernel to copy a byte from it, which fails instead of faulting.
#[must_use]
pub fn is_mapped(address: usize) -> bool {
    let mut byte = 0_u8;
    let local = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    let remote = libc::iovec {
        iov_base: address as *mut libc::c_void,
        iov_len: 1,
    };
    // SAFETY: getpid cannot fail.
    let process = unsafe { libc::getpid() };
    // SAFETY: the local buffer has one byte; the remote address may be anything.
    let copied = unsafe { libc::process_vm_readv(process, &raw const local, 1, &raw const remote, 1, 0) };
    copied == 1
}

/// Copies a value out of driver memory.
#[must_use]
pub fn read<T: Copy>(address: usize) -> T {
    // SAFETY: see the module's first paragraph; alignment is not assumed.
    unsafe { ptr::read_unaligned(address as *const T) }
}

/// Stores a value in driver memory.
pub fn write<T: Copy>(address: usize, value: T) {
    // SAFETY: see the module's first paragraph; alignment is not assumed.
    unsafe { ptr::write_unaligned(address as *mut T, value) }
}

/// Copies `length` bytes out of driver memory.
#[must_use]
pub fn read_bytes(address: usize, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    // SAFETY: the destination has `length` bytes; for the source see the module's first paragraph.
    unsafe { ptr::copy(address as *const u8, bytes.as_mut_ptr(), length) };
    bytes
}

/// Copies bytes into driver memory.
pub fn write_bytes(address: usize, bytes: &[u8]) {
    // SAFETY: see the module's first paragraph.
    unsafe { ptr::copy(bytes.as_ptr(), address as *mut u8, bytes.len()) };
}

/// Copies `length` bytes between two places of driver memory; they may overlap.
pub fn copy(destination: usize, source: usize, length: usize) {
    // SAFETY: see the module's first paragraph.
    unsafe { ptr::copy(source as *const u8, destination as *mut u8, length) };
}

/// Fills driver memory with one byte value.
pub fn fill(address: usize, value: u8, length: usize) {
    // SAFETY: see the module's first paragraph.
    unsafe { ptr::write_bytes(address as *mut u8, value, length) };
}

/// Reads a NUL-terminated byte string of at most `limit` bytes.
#[must_use]
pub fn read_c_string(address: usize, limit: usize) -> Vec<u8> {
    (address..address.saturating_add(limit))
        .map(read::<u8>)
        .take_while(|&byte| byte != 0)
        .collect()
}

/// Reads UTF-16 code units up to a NUL or `limit` units.
#[must_use]
pub fn read_wide_string(address: usize, limit: usize) -> String {
    let units: Vec<u16> = (0..limit)
        .map(|index| read::<u16>(address + index * 2))
        .take_while(|&unit| unit != 0)
        .collect();
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligned_reservations_can_be_used_and_given_back() {
        let base = reserve_aligned(0x20000, 0x10000);
        assert_eq!(base % 0x10000, 0);
        protect(base, PAGE_SIZE, Protection::ReadWrite);
        write(base + 1, 0x1234_5678_u32);
        assert_eq!(read::<u32>(base + 1), 0x1234_5678);
        decommit(base, PAGE_SIZE);
        protect(base, PAGE_SIZE, Protection::Read);
        assert_eq!(read_bytes(base, 8), [0; 8]);
        release(base, 0x20000);
    }

    #[test]
    fn strings_end_at_nul_or_limit() {
        let text = b"hello\0world";
        assert_eq!(read_c_string(text.as_ptr() as usize, 64), b"hello");
        assert_eq!(read_c_string(text.as_ptr() as usize, 3), b"hel");
        let wide: Vec<u16> = "ab\0".encode_utf16().collect();
        assert_eq!(read_wide_string(wide.as_ptr() as usize, 64), "ab");
    }
}
