//! The arguments of work requests: what flags mean to the device, and which arguments make no sense.

use ndk_sys::{
    NDK_OP_FLAG_ALLOW_LOCAL_WRITE, NDK_OP_FLAG_ALLOW_REMOTE_READ, NDK_OP_FLAG_ALLOW_REMOTE_WRITE,
    NDK_OP_FLAG_READ_FENCE, NDK_OP_FLAG_SEND_AND_SOLICIT_EVENT, NDK_OP_FLAG_SILENT_SUCCESS, NTSTATUS,
    STATUS_INVALID_PARAMETER,
};
use vrnic_abi::PAGE_SIZE;
use vrnic_abi::resource::{ACCESS_LOCAL_WRITE, ACCESS_REMOTE_READ, ACCESS_REMOTE_WRITE};
use vrnic_abi::wqe::{WORK_FENCE, WORK_SIGNALED, WORK_SOLICITED};

// The flags are the device's, but for the first, which is the other way round.
const _: () = assert!(
    NDK_OP_FLAG_SILENT_SUCCESS == WORK_SIGNALED as u32
        && NDK_OP_FLAG_READ_FENCE == WORK_FENCE as u32
        && NDK_OP_FLAG_SEND_AND_SOLICIT_EVENT == WORK_SOLICITED as u32
);

/// `WORK_*` of a SEND with these `NDK_OP_FLAG_*`.
#[must_use]
pub const fn send_flags(flags: u32) -> u8 {
    let mask = NDK_OP_FLAG_SILENT_SUCCESS | NDK_OP_FLAG_READ_FENCE | NDK_OP_FLAG_SEND_AND_SOLICIT_EVENT;
    (flags & mask & 0xFF) as u8 ^ WORK_SIGNALED
}

/// `WORK_*` of any other request, which asks for no event at the peer.
#[must_use]
pub const fn work_flags(flags: u32) -> u8 {
    send_flags(flags & !NDK_OP_FLAG_SEND_AND_SOLICIT_EVENT)
}

/// `ACCESS_*` that a fast registration or bind with these `NDK_OP_FLAG_*` grants. Remote write is two bits, of which one is local
/// write (ndkpi.h): both must be set.
#[must_use]
pub const fn access_of(flags: u32) -> u32 {
    let mut access = 0;
    if flags & NDK_OP_FLAG_ALLOW_REMOTE_READ != 0 {
        access |= ACCESS_REMOTE_READ;
    }
    if flags & NDK_OP_FLAG_ALLOW_LOCAL_WRITE != 0 {
        access |= ACCESS_LOCAL_WRITE;
    }
    if flags & NDK_OP_FLAG_ALLOW_REMOTE_WRITE == NDK_OP_FLAG_ALLOW_REMOTE_WRITE {
        access |= ACCESS_REMOTE_WRITE;
    }
    access
}

/// The part of [`access_of`] that a peer has.
#[must_use]
pub const fn is_remote(access: u32) -> bool {
    access & (ACCESS_REMOTE_READ | ACCESS_REMOTE_WRITE) != 0
}

/// Checks the range of a fast registration: `length` bytes from offset `fbo` of the first of `pages` pages, to be known as
/// `base` (`NDK_FN_FAST_REGISTER`). Zero-based is what the rule on the offset makes of it: only without one.
///
/// # Errors
///
/// `STATUS_INVALID_PARAMETER`.
pub fn check_fast_register(base: u64, length: u64, pages: u32, fbo: u32) -> Result<(), NTSTATUS> {
    let room = (u64::from(pages) * PAGE_SIZE).checked_sub(u64::from(fbo));
    let ends = base.checked_add(length).is_some();
    let aligned = base % PAGE_SIZE == u64::from(fbo);
    if ends && aligned && room.is_some_and(|room| length <= room) {
        Ok(())
    } else {
        Err(STATUS_INVALID_PARAMETER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndk_sys::{NDK_OP_FLAG_DEFER, NDK_OP_FLAG_INLINE};

    #[test]
    fn flags_for_the_device() {
        assert_eq!(send_flags(0), WORK_SIGNALED);
        assert_eq!(send_flags(NDK_OP_FLAG_SILENT_SUCCESS), 0);
        assert_eq!(
            send_flags(NDK_OP_FLAG_READ_FENCE | NDK_OP_FLAG_SEND_AND_SOLICIT_EVENT | NDK_OP_FLAG_DEFER),
            WORK_SIGNALED | WORK_FENCE | WORK_SOLICITED
        );
        assert_eq!(
            send_flags(NDK_OP_FLAG_INLINE),
            WORK_SIGNALED,
            "known from elsewhere"
        );
        assert_eq!(work_flags(NDK_OP_FLAG_SEND_AND_SOLICIT_EVENT), WORK_SIGNALED);
        assert_eq!(work_flags(u32::MAX), WORK_FENCE);
    }

    #[test]
    fn access() {
        assert_eq!(access_of(NDK_OP_FLAG_ALLOW_REMOTE_READ), ACCESS_REMOTE_READ);
        assert_eq!(access_of(NDK_OP_FLAG_ALLOW_LOCAL_WRITE), ACCESS_LOCAL_WRITE);
        assert_eq!(
            access_of(NDK_OP_FLAG_ALLOW_REMOTE_WRITE),
            ACCESS_LOCAL_WRITE | ACCESS_REMOTE_WRITE
        );
        assert_eq!(access_of(0x20), 0, "half of remote write is nothing");
        assert!(
            is_remote(ACCESS_REMOTE_READ) && is_remote(ACCESS_REMOTE_WRITE) && !is_remote(ACCESS_LOCAL_WRITE)
        );
    }

    #[test]
    fn ranges_of_fast_registrations() {
        assert_eq!(check_fast_register(0, 4096, 1, 0), Ok(()));
        assert_eq!(check_fast_register(0x7000, 8192, 2, 0), Ok(()));
        assert_eq!(check_fast_register(0x7010, 8192 - 16, 2, 16), Ok(()));
        assert_eq!(check_fast_register(0x7010, 0, 1, 16), Ok(()));
        for (base, length, pages, fbo) in [
            (0, 4097, 1, 0),
            (0, 16, 1, 16),
            (0x7010, 8192 - 15, 2, 16),
            (0x7010, 16, 1, 0),
            (0x7000, 16, 1, 4096),
            (0x7000, 1, 0, 0),
            (u64::MAX - 4095, 4097, 2, 0),
        ] {
            let result = check_fast_register(base, length, pages, fbo);
            assert_eq!(
                result,
                Err(STATUS_INVALID_PARAMETER),
                "{base:#x} {length} {pages} {fbo}"
            );
        }
    }
}
