//! Private data and read limits: how `NdkGetConnectionData` and `NdkReject` treat a consumer's buffers.

use ndk_sys::{
    NTSTATUS, STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_BUFFER_SIZE, STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
};

/// `MaxCallerData`: bytes of a REQ's private data that the RDMA IP CM header leaves to the consumer.
pub const MAX_CALLER_DATA: u32 = 56;
/// `MaxCalleeData`: bytes of private data of accept and reject; a REJ holds no more.
pub const MAX_CALLEE_DATA: u32 = 148;

/// Checks the private data arguments of a function before anything is read or changed; `most` is [`MAX_CALLER_DATA`] or
/// [`MAX_CALLEE_DATA`].
///
/// # Errors
/// `STATUS_INVALID_PARAMETER` for a length without data, `STATUS_INVALID_BUFFER_SIZE` for more than `most` bytes.
pub const fn check(is_null: bool, length: u32, most: u32) -> Result<(), NTSTATUS> {
    if is_null && length != 0 {
        Err(STATUS_INVALID_PARAMETER)
    } else if length > most {
        Err(STATUS_INVALID_BUFFER_SIZE)
    } else {
        Ok(())
    }
}

/// `NdkGetConnectionData`: copies as much of `data` as `buffer` holds.
///
/// `length` is the size that the consumer gave, and may be non-zero only with a buffer. Returns the status; the caller
/// stores `data.len()` as the required size whatever it is, except with `STATUS_INVALID_PARAMETER`.
#[must_use]
pub fn copy_out(data: &[u8], buffer: Option<&mut [u8]>, length: u32) -> NTSTATUS {
    match buffer {
        None if length == 0 => STATUS_SUCCESS,
        None => STATUS_INVALID_PARAMETER,
        Some(buffer) => {
            let copied = buffer.len().min(data.len());
            buffer[..copied].copy_from_slice(&data[..copied]);
            if copied == data.len() {
                STATUS_SUCCESS
            } else {
                STATUS_BUFFER_TOO_SMALL
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_checked_before_it_is_read() {
        for most in [MAX_CALLER_DATA, MAX_CALLEE_DATA] {
            assert_eq!(check(true, 0, most), Ok(()));
            assert_eq!(check(false, 0, most), Ok(()));
            assert_eq!(check(false, most, most), Ok(()));
            assert_eq!(check(false, most + 1, most), Err(STATUS_INVALID_BUFFER_SIZE));
            assert_eq!(check(false, u32::MAX, most), Err(STATUS_INVALID_BUFFER_SIZE));
            assert_eq!(check(true, 1, most), Err(STATUS_INVALID_PARAMETER));
            assert_eq!(check(true, most + 1, most), Err(STATUS_INVALID_PARAMETER));
        }
    }

    #[test]
    fn the_required_size_can_be_asked_for() {
        assert_eq!(copy_out(&[7; 56], None, 0), STATUS_SUCCESS);
        assert_eq!(copy_out(&[7; 56], None, 1), STATUS_INVALID_PARAMETER);
    }

    #[test]
    fn a_buffer_gets_what_fits() {
        let data: [u8; 56] = core::array::from_fn(|at| u8::try_from(at).expect("small"));
        for (length, status) in [
            (0, STATUS_BUFFER_TOO_SMALL),
            (55, STATUS_BUFFER_TOO_SMALL),
            (56, STATUS_SUCCESS),
            (100, STATUS_SUCCESS),
        ] {
            let mut buffer = vec![0xEE; length];
            let got = copy_out(&data, Some(&mut buffer), u32::try_from(length).expect("small"));
            assert_eq!(got, status, "{length}");
            let copied = length.min(56);
            assert_eq!(buffer[..copied], data[..copied]);
            assert!(
                buffer[copied..].iter().all(|&byte| byte == 0xEE),
                "nothing beyond the data is written"
            );
        }
    }
}
