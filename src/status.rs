//! The one table from results of the device and of the connection manager to NTSTATUS.
//!
//! | what happened to a REJ | NTSTATUS | the attempt |
//! |---|---|---|
//! | sent, or accepted by the firmware | `SUCCESS` | rejected |
//! | `PEER_ABANDONED` | `CONNECTION_ABORTED` | aborted |
//! | command queue full, `NO_RESOURCES` | `INSUFFICIENT_RESOURCES` | unchanged: may be rejected again |
//! | `LINK_DOWN`, `NETWORK_UNREACHABLE` | `NETWORK_UNREACHABLE` | over |
//! | `HOST_UNREACHABLE` | `HOST_UNREACHABLE` | over |
//! | `TIMEOUT`, no answer from the firmware | `IO_TIMEOUT` | over |
//! | device dead | `DEVICE_NOT_READY` | over |
//! | device removed | `DEVICE_REMOVED` | over |
//! | `BAD_OPCODE` | `NOT_SUPPORTED` | over |
//! | `BAD_PARAMETER` | `INVALID_PARAMETER` | over |
//! | `BAD_RESOURCE` | `INVALID_HANDLE` | over |
//! | `BAD_STATE` | `INVALID_DEVICE_REQUEST` | over |
//! | `IN_USE` | `DEVICE_BUSY` | over |
//! | `BAD_MAILBOX` | `DEVICE_DATA_ERROR` | over |
//! | `INTERNAL_ERROR`, a status that this driver does not know | `INTERNAL_ERROR` | over |
//!
//! Whoever reports `INTERNAL_ERROR` logs the firmware's status and syndrome.

use ndk_sys::NTSTATUS;
use ndk_sys::status::{
    STATUS_ADDRESS_ALREADY_EXISTS, STATUS_CONNECTION_ABORTED, STATUS_CONNECTION_INVALID, STATUS_DEVICE_BUSY,
    STATUS_DEVICE_DATA_ERROR, STATUS_DEVICE_NOT_READY, STATUS_DEVICE_REMOVED, STATUS_HOST_UNREACHABLE,
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INTERNAL_ERROR, STATUS_INVALID_ADDRESS, STATUS_INVALID_BUFFER_SIZE,
    STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_DEVICE_STATE, STATUS_INVALID_HANDLE,
    STATUS_INVALID_PARAMETER, STATUS_IO_TIMEOUT, STATUS_NETWORK_UNREACHABLE, STATUS_NOT_SUPPORTED,
    STATUS_SHARING_VIOLATION, STATUS_SUCCESS, STATUS_TOO_MANY_ADDRESSES,
};
use vrnic_abi::cmd::Status;

use crate::cm::{AcceptError, CompleteError, ConnectError, ListenError, RejectError, SendOutcome};
use crate::nic::command::CommandError;

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// What the caller is told.
    pub status: NTSTATUS,
    /// What becomes of the connection whose message was to be sent.
    pub outcome: SendOutcome,
}

/// The message is sent, or the firmware has it and will send it.
pub const SENT: Row = Row {
    status: STATUS_SUCCESS,
    outcome: SendOutcome::Sent,
};

/// The row of a result of the firmware.
#[must_use]
pub const fn of_firmware(status: Status) -> Row {
    match status {
        Status::OK => SENT,
        Status::BAD_OPCODE => failed(STATUS_NOT_SUPPORTED),
        Status::BAD_PARAMETER => failed(STATUS_INVALID_PARAMETER),
        Status::BAD_RESOURCE => failed(STATUS_INVALID_HANDLE),
        Status::BAD_STATE => failed(STATUS_INVALID_DEVICE_REQUEST),
        Status::IN_USE => failed(STATUS_DEVICE_BUSY),
        Status::NO_RESOURCES => NO_RESOURCES,
        Status::BAD_MAILBOX => failed(STATUS_DEVICE_DATA_ERROR),
        Status::PEER_ABANDONED => Row {
            status: STATUS_CONNECTION_ABORTED,
            outcome: SendOutcome::PeerAbandoned,
        },
        Status::NETWORK_UNREACHABLE | Status::LINK_DOWN => failed(STATUS_NETWORK_UNREACHABLE),
        Status::HOST_UNREACHABLE => failed(STATUS_HOST_UNREACHABLE),
        Status::TIMEOUT => failed(STATUS_IO_TIMEOUT),
        // INTERNAL_ERROR, and what a later firmware may answer.
        _ => failed(STATUS_INTERNAL_ERROR),
    }
}

/// The row of a command that failed.
#[must_use]
pub const fn of_command_error(error: &CommandError) -> Row {
    match *error {
        CommandError::QueueFull => NO_RESOURCES,
        CommandError::Timeout => failed(STATUS_IO_TIMEOUT),
        CommandError::Dead => failed(STATUS_DEVICE_NOT_READY),
        CommandError::Removed => failed(STATUS_DEVICE_REMOVED),
        CommandError::Firmware { status, .. } => of_firmware(status),
    }
}

/// Of a command about an object of the device: what only a message can meet with is no answer to that.
#[must_use]
pub const fn of_object_error(error: &CommandError) -> NTSTATUS {
    match *error {
        CommandError::Firmware {
            status:
                Status::PEER_ABANDONED
                | Status::NETWORK_UNREACHABLE
                | Status::HOST_UNREACHABLE
                | Status::LINK_DOWN,
            ..
        } => STATUS_INTERNAL_ERROR,
        _ => of_command_error(error).status,
    }
}

/// Why a connection cannot be rejected.
#[must_use]
pub const fn of_reject_error(error: RejectError) -> NTSTATUS {
    match error {
        RejectError::TooLong => STATUS_INVALID_BUFFER_SIZE,
        RejectError::InvalidState => STATUS_INVALID_DEVICE_STATE,
        RejectError::Aborted => STATUS_CONNECTION_ABORTED,
    }
}

/// Why a connection cannot be asked for.
#[must_use]
pub const fn of_connect_error(error: ConnectError) -> NTSTATUS {
    match error {
        ConnectError::TooLong => STATUS_INVALID_BUFFER_SIZE,
        ConnectError::InvalidAddress => STATUS_INVALID_ADDRESS,
        ConnectError::AddressExists => STATUS_ADDRESS_ALREADY_EXISTS,
        ConnectError::NoResources => STATUS_INSUFFICIENT_RESOURCES,
    }
}

/// Why a connection cannot be accepted.
#[must_use]
pub const fn of_accept_error(error: AcceptError) -> NTSTATUS {
    match error {
        AcceptError::TooLong => STATUS_INVALID_BUFFER_SIZE,
        // The caller knows better, and says that instead.
        AcceptError::InvalidState | AcceptError::QpFailed => STATUS_INVALID_DEVICE_STATE,
        AcceptError::Aborted => STATUS_CONNECTION_ABORTED,
    }
}

/// Why a connection cannot be completed.
#[must_use]
pub const fn of_complete_error(error: CompleteError) -> NTSTATUS {
    match error {
        CompleteError::InvalidState | CompleteError::QpFailed => STATUS_CONNECTION_INVALID,
        CompleteError::Aborted => STATUS_CONNECTION_ABORTED,
    }
}

/// Why nobody can listen there.
#[must_use]
pub const fn of_listen_error(error: ListenError) -> NTSTATUS {
    match error {
        ListenError::AddressInUse => STATUS_SHARING_VIOLATION,
        ListenError::NoPort => STATUS_TOO_MANY_ADDRESSES,
        ListenError::NoResources => STATUS_INSUFFICIENT_RESOURCES,
    }
}

const NO_RESOURCES: Row = Row {
    status: STATUS_INSUFFICIENT_RESOURCES,
    outcome: SendOutcome::NotSent,
};

const fn failed(status: NTSTATUS) -> Row {
    Row {
        status,
        outcome: SendOutcome::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table once more, with the numbers of ntstatus.h, so that neither a row nor a constant changes unnoticed.
    const EXPECTED: [(Status, u32, SendOutcome); 14] = [
        (Status::OK, 0, SendOutcome::Sent),
        (Status::BAD_OPCODE, 0xC000_00BB, SendOutcome::Failed),
        (Status::BAD_PARAMETER, 0xC000_000D, SendOutcome::Failed),
        (Status::BAD_RESOURCE, 0xC000_0008, SendOutcome::Failed),
        (Status::BAD_STATE, 0xC000_0010, SendOutcome::Failed),
        (Status::IN_USE, 0x8000_0011, SendOutcome::Failed),
        (Status::NO_RESOURCES, 0xC000_009A, SendOutcome::NotSent),
        (Status::BAD_MAILBOX, 0xC000_009C, SendOutcome::Failed),
        (Status::PEER_ABANDONED, 0xC000_0241, SendOutcome::PeerAbandoned),
        (Status::NETWORK_UNREACHABLE, 0xC000_023C, SendOutcome::Failed),
        (Status::HOST_UNREACHABLE, 0xC000_023D, SendOutcome::Failed),
        (Status::LINK_DOWN, 0xC000_023C, SendOutcome::Failed),
        (Status::TIMEOUT, 0xC000_00B5, SendOutcome::Failed),
        (Status::INTERNAL_ERROR, 0xC000_00E5, SendOutcome::Failed),
    ];

    #[test]
    fn every_firmware_status_has_its_row() {
        for status in Status::ALL {
            let rows: Vec<_> = EXPECTED
                .iter()
                .filter(|(expected, ..)| expected == status)
                .collect();
            let [(_, code, outcome)] = rows[..] else {
                panic!("{status:?} has {} rows", rows.len())
            };
            let row = Row {
                status: code.cast_signed(),
                outcome: *outcome,
            };
            assert_eq!(of_firmware(*status), row, "{status:?}");
            let error = CommandError::Firmware {
                status: *status,
                syndrome: 7,
            };
            assert_eq!(of_command_error(&error), row, "{status:?}");
            let is_about_a_message = matches!(
                *status,
                Status::PEER_ABANDONED
                    | Status::NETWORK_UNREACHABLE
                    | Status::HOST_UNREACHABLE
                    | Status::LINK_DOWN
            );
            let expected = if is_about_a_message {
                STATUS_INTERNAL_ERROR
            } else {
                row.status
            };
            assert_eq!(of_object_error(&error), expected, "{status:?}");
        }
    }

    #[test]
    fn only_an_internal_error_shares_the_row_of_the_unknown() {
        let unknown = of_firmware(Status(0x7777));
        assert_eq!(unknown.status, STATUS_INTERNAL_ERROR);
        let like_it: Vec<_> = Status::ALL
            .iter()
            .filter(|status| of_firmware(**status) == unknown)
            .collect();
        assert_eq!(like_it, [&Status::INTERNAL_ERROR]);
    }

    #[test]
    fn the_drivers_own_causes_have_theirs() {
        for (error, code, outcome) in [
            (CommandError::QueueFull, 0xC000_009A_u32, SendOutcome::NotSent),
            (CommandError::Timeout, 0xC000_00B5, SendOutcome::Failed),
            (CommandError::Dead, 0xC000_00A3, SendOutcome::Failed),
            (CommandError::Removed, 0xC000_02B6, SendOutcome::Failed),
        ] {
            assert_eq!(
                of_command_error(&error),
                Row {
                    status: code.cast_signed(),
                    outcome
                },
                "{error:?}"
            );
        }
        assert_eq!(
            of_reject_error(RejectError::TooLong),
            0xC000_0206_u32.cast_signed()
        );
        assert_eq!(
            of_reject_error(RejectError::InvalidState),
            0xC000_0184_u32.cast_signed()
        );
        assert_eq!(
            of_reject_error(RejectError::Aborted),
            0xC000_0241_u32.cast_signed()
        );
    }
}
