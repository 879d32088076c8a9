//! Completions of the device as `NDK_RESULT` and `NDK_RESULT_EX`.

use ndk_sys::{
    NDK_OPERATION_TYPE, NTSTATUS, NdkOperationTypeReceive, NdkOperationTypeReceiveAndInvalidate,
    STATUS_ACCESS_VIOLATION, STATUS_BUFFER_OVERFLOW, STATUS_CANCELLED, STATUS_DATA_OVERRUN,
    STATUS_INTERNAL_ERROR, STATUS_INVALID_DEVICE_REQUEST, STATUS_IO_TIMEOUT, STATUS_REMOTE_RESOURCES,
    STATUS_SUCCESS,
};
use vrnic_abi::cqe::{CQE_INVALIDATED, WorkStatus};

use crate::nic::work_queue::completion::Completion;

/// The status of a request that ended with `status`. NDKPI names only CANCELLED; the others are those of ND2
/// (`IND2CompletionQueue`), whose numbers are the same.
#[must_use]
#[inline]
pub const fn status_of(status: WorkStatus, receive: bool) -> NTSTATUS {
    if status.0 == WorkStatus::OK.0 {
        STATUS_SUCCESS
    } else {
        error_of(status, receive)
    }
}

/// As [`status_of`]; not on the fast path.
#[cold]
#[inline(never)]
const fn error_of(status: WorkStatus, receive: bool) -> NTSTATUS {
    match status {
        WorkStatus::FLUSHED => STATUS_CANCELLED,
        WorkStatus::LOCAL_LENGTH if receive => STATUS_BUFFER_OVERFLOW,
        WorkStatus::LOCAL_LENGTH => STATUS_DATA_OVERRUN,
        WorkStatus::LOCAL_PROTECTION | WorkStatus::REMOTE_ACCESS => STATUS_ACCESS_VIOLATION,
        WorkStatus::LOCAL_OPERATION | WorkStatus::WINDOW_BIND => STATUS_INVALID_DEVICE_REQUEST,
        WorkStatus::REMOTE_OPERATION | WorkStatus::REMOTE_INVALID_REQUEST => STATUS_REMOTE_RESOURCES,
        WorkStatus::RETRY_EXCEEDED | WorkStatus::RNR_RETRY_EXCEEDED => STATUS_IO_TIMEOUT,
        // BAD_RESPONSE, FATAL, and what a later device may say.
        _ => STATUS_INTERNAL_ERROR,
    }
}

/// What a consumer is told of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkResult {
    /// How it ended.
    pub status: NTSTATUS,
    /// Bytes received; 0 for a request of the initiator queue.
    pub bytes: u32,
    /// What it was.
    pub operation: NDK_OPERATION_TYPE,
    /// The device's own status; 0 is success.
    pub provider_error: u32,
    /// The token that the peer has invalidated, if `operation` says so.
    pub token: u32,
}

impl WorkResult {
    /// Of a request of the initiator queue.
    #[inline]
    #[must_use]
    pub const fn of_initiator(completion: &Completion, operation: NDK_OPERATION_TYPE) -> Self {
        let status = completion.status();
        Self {
            status: status_of(status, false),
            bytes: 0,
            operation,
            provider_error: status.0 as u32,
            token: 0,
        }
    }

    /// Of a receive.
    #[inline]
    #[must_use]
    pub const fn of_receive(completion: &Completion) -> Self {
        let status = completion.status();
        let ok = status.0 == WorkStatus::OK.0;
        let invalidated = ok && completion.flags() & CQE_INVALIDATED != 0;
        Self {
            status: status_of(status, true),
            bytes: if ok { completion.byte_len() } else { 0 },
            operation: if invalidated {
                NdkOperationTypeReceiveAndInvalidate
            } else {
                NdkOperationTypeReceive
            },
            provider_error: status.0 as u32,
            token: if invalidated { completion.extra() } else { 0 },
        }
    }

    /// Of a request that the device never completed.
    #[must_use]
    pub const fn cancelled(operation: NDK_OPERATION_TYPE) -> Self {
        Self {
            status: STATUS_CANCELLED,
            bytes: 0,
            operation,
            provider_error: WorkStatus::FLUSHED.0 as u32,
            token: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_nd2() {
        for (status, initiator, receive) in [
            (WorkStatus::OK, STATUS_SUCCESS, STATUS_SUCCESS),
            (WorkStatus::FLUSHED, STATUS_CANCELLED, STATUS_CANCELLED),
            (
                WorkStatus::LOCAL_LENGTH,
                STATUS_DATA_OVERRUN,
                STATUS_BUFFER_OVERFLOW,
            ),
            (
                WorkStatus::LOCAL_PROTECTION,
                STATUS_ACCESS_VIOLATION,
                STATUS_ACCESS_VIOLATION,
            ),
            (
                WorkStatus::LOCAL_OPERATION,
                STATUS_INVALID_DEVICE_REQUEST,
                STATUS_INVALID_DEVICE_REQUEST,
            ),
            (
                WorkStatus::WINDOW_BIND,
                STATUS_INVALID_DEVICE_REQUEST,
                STATUS_INVALID_DEVICE_REQUEST,
            ),
            (
                WorkStatus::REMOTE_ACCESS,
                STATUS_ACCESS_VIOLATION,
                STATUS_ACCESS_VIOLATION,
            ),
            (
                WorkStatus::REMOTE_OPERATION,
                STATUS_REMOTE_RESOURCES,
                STATUS_REMOTE_RESOURCES,
            ),
            (
                WorkStatus::REMOTE_INVALID_REQUEST,
                STATUS_REMOTE_RESOURCES,
                STATUS_REMOTE_RESOURCES,
            ),
            (WorkStatus::RETRY_EXCEEDED, STATUS_IO_TIMEOUT, STATUS_IO_TIMEOUT),
            (
                WorkStatus::RNR_RETRY_EXCEEDED,
                STATUS_IO_TIMEOUT,
                STATUS_IO_TIMEOUT,
            ),
            (
                WorkStatus::BAD_RESPONSE,
                STATUS_INTERNAL_ERROR,
                STATUS_INTERNAL_ERROR,
            ),
            (WorkStatus::FATAL, STATUS_INTERNAL_ERROR, STATUS_INTERNAL_ERROR),
            (WorkStatus(200), STATUS_INTERNAL_ERROR, STATUS_INTERNAL_ERROR),
        ] {
            assert_eq!(status_of(status, false), initiator, "{status:?}");
            assert_eq!(status_of(status, true), receive, "{status:?}, received");
        }
    }
}
