//! Access to memory, as NDK and as the device say it.

use ndk_sys::{
    NDK_MR_FLAG_ALLOW_LOCAL_WRITE, NDK_MR_FLAG_ALLOW_REMOTE_READ, NDK_MR_FLAG_ALLOW_REMOTE_WRITE,
    NDK_MR_FLAG_RDMA_READ_SINK, NTSTATUS, STATUS_INVALID_PARAMETER,
};
use vrnic_abi::resource::{ACCESS_LOCAL_WRITE, ACCESS_REMOTE_READ, ACCESS_REMOTE_WRITE, ACCESS_WINDOW_BIND};

/// All that `NdkRegisterMr` may be given.
const MR_FLAGS: u32 = NDK_MR_FLAG_ALLOW_LOCAL_WRITE
    | NDK_MR_FLAG_ALLOW_REMOTE_READ
    | NDK_MR_FLAG_ALLOW_REMOTE_WRITE
    | NDK_MR_FLAG_RDMA_READ_SINK;

/// The device's access bits for the flags of `NdkRegisterMr`. Remote write contains local write, and what the adapter's own
/// reads go to must be writable; windows may be bound to every region.
///
/// # Errors
/// `STATUS_INVALID_PARAMETER`: flags that do not exist, remote write without local write among them.
pub fn of_mr_flags(flags: u32) -> Result<u32, NTSTATUS> {
    let has = |flag: u32| flags & flag == flag;
    let half_a_flag = flags & NDK_MR_FLAG_ALLOW_REMOTE_WRITE == 4;
    if flags & !MR_FLAGS != 0 || half_a_flag {
        return Err(STATUS_INVALID_PARAMETER);
    }
    let mut access = ACCESS_WINDOW_BIND;
    if has(NDK_MR_FLAG_ALLOW_LOCAL_WRITE) || has(NDK_MR_FLAG_RDMA_READ_SINK) {
        access |= ACCESS_LOCAL_WRITE;
    }
    if has(NDK_MR_FLAG_ALLOW_REMOTE_READ) {
        access |= ACCESS_REMOTE_READ;
    }
    if has(NDK_MR_FLAG_ALLOW_REMOTE_WRITE) {
        access |= ACCESS_REMOTE_WRITE;
    }
    Ok(access)
}

/// What fast registrations of a region may ask for.
#[must_use]
pub const fn of_fast_register(remote: bool) -> u32 {
    let local = ACCESS_LOCAL_WRITE | ACCESS_WINDOW_BIND;
    if remote {
        local | ACCESS_REMOTE_READ | ACCESS_REMOTE_WRITE
    } else {
        local
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_access() {
        assert_eq!(of_mr_flags(0), Ok(ACCESS_WINDOW_BIND));
        assert_eq!(of_mr_flags(1), Ok(ACCESS_WINDOW_BIND | ACCESS_LOCAL_WRITE));
        assert_eq!(of_mr_flags(2), Ok(ACCESS_WINDOW_BIND | ACCESS_REMOTE_READ));
        assert_eq!(
            of_mr_flags(5),
            Ok(ACCESS_WINDOW_BIND | ACCESS_LOCAL_WRITE | ACCESS_REMOTE_WRITE)
        );
        assert_eq!(of_mr_flags(8), Ok(ACCESS_WINDOW_BIND | ACCESS_LOCAL_WRITE));
        assert_eq!(
            of_mr_flags(4),
            Err(STATUS_INVALID_PARAMETER),
            "half of remote write"
        );
        assert_eq!(of_mr_flags(0x10), Err(STATUS_INVALID_PARAMETER));
    }
}
