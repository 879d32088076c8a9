//! Commands as their callers see them.

use vrnic_abi::cmd::{INLINE_OUTPUT, Status};

/// Bytes of the mailbox that each command in flight has.
pub const MAILBOX_BYTES: usize = 1024;

/// What a command transfers besides its inline input and output.
pub enum Mailbox<'a> {
    /// Nothing.
    None,
    /// To the device; at most [`MAILBOX_BYTES`].
    In(&'a [u8]),
    /// From the device, if the command succeeds and is waited for; at most [`MAILBOX_BYTES`].
    Out(&'a mut [u8]),
}

/// How a command went that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Reply {
    /// The firmware is done with it; its inline output.
    Done([u8; INLINE_OUTPUT]),
    /// The firmware has it, or will have it, and the caller did not wait for the end.
    Accepted,
}

/// Why a command failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// As many commands as fit are in flight. Nothing was posted: may be tried again.
    QueueFull,
    /// The firmware did not answer in time. A waiting caller has thereby found the device dead; a caller that spun has not,
    /// and the command may still be executed.
    Timeout,
    /// The device has stopped working: an earlier command timed out, or the device said or wrote something that it
    /// must not.
    Dead,
    /// The device has been removed.
    Removed,
    /// The firmware refused the command.
    Firmware {
        /// Its result, not [`Status::OK`].
        status: Status,
        /// Detail, for logs.
        syndrome: u32,
    },
}

#[cfg(windows)]
impl From<CommandError> for ndk_sys::NDIS_STATUS {
    /// What an NDIS request says that needed a command.
    fn from(error: CommandError) -> Self {
        use ndk_sys::{
            NDIS_STATUS_ADAPTER_NOT_READY, NDIS_STATUS_ADAPTER_REMOVED, NDIS_STATUS_FAILURE,
            NDIS_STATUS_RESOURCES,
        };
        match error {
            CommandError::QueueFull => NDIS_STATUS_RESOURCES,
            CommandError::Timeout | CommandError::Dead => NDIS_STATUS_ADAPTER_NOT_READY,
            CommandError::Removed => NDIS_STATUS_ADAPTER_REMOVED,
            CommandError::Firmware { .. } => NDIS_STATUS_FAILURE,
        }
    }
}
