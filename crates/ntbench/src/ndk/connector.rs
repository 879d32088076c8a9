//! `NDK_CONNECTOR` as a consumer has it.

use super::guarded::Guarded;
use super::guarded::room_text;
use super::listener::{finish, get_address, get_address_raw};
use super::objects::{self, Fixed};
use super::requests::{self, Closing};
use super::rules;
use crate::verifier::Rule;
use ndk_sys::{NTSTATUS, STATUS_BUFFER_TOO_SMALL, STATUS_SUCCESS};
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;

/// A connector: delivered by a listener, or made by [`super::Adapter::create_connector`]. Dropping it closes it, and
/// waits for that at PASSIVE; one that stands for an unanswered request is rejected by that.
pub struct Connector {
    fixed: Arc<Fixed>,
    open: bool,
    /// The size of its connection data.
    required: Mutex<Option<u32>>,
}

/// What `NdkGetConnectionData` gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionData {
    /// Effective inbound read limit.
    pub inbound_read_limit: u32,
    /// Effective outbound read limit.
    pub outbound_read_limit: u32,
    /// The peer's private data, padded with zeros to the size that the provider requires.
    pub private_data: Vec<u8>,
}

/// The answer to `NdkGetConnectionData` with any arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawConnectionData {
    /// The status.
    pub status: NTSTATUS,
    /// Inbound and outbound read limit; all ones where the provider stored nothing.
    pub limits: [u32; 2],
    /// The buffer, `0xEE` where the provider stored nothing.
    pub buffer: Vec<u8>,
    /// The length that the provider stored.
    pub length: u32,
}

impl Connector {
    pub(super) fn new(fixed: Arc<Fixed>) -> Self {
        Self {
            fixed,
            open: true,
            required: Mutex::default(),
        }
    }

    pub(super) fn fixed(&self) -> &Arc<Fixed> {
        &self.fixed
    }

    /// A number that no other object has.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.fixed.id
    }

    /// `NdkReject` with that private data; without a buffer if it is empty.
    #[must_use]
    pub fn reject(&self, data: &[u8]) -> NTSTATUS {
        let buffer = Guarded::of(data);
        let address = if data.is_empty() { 0 } else { buffer.address() };
        self.reject_raw(address, u32::try_from(data.len()).unwrap_or(u32::MAX))
    }

    /// `NdkReject` with any address and length.
    #[must_use]
    pub fn reject_raw(&self, data: usize, length: u32) -> NTSTATUS {
        let detail = || {
            if data == 0 {
                format!("NULL, {length} bytes")
            } else {
                format!("{length} bytes")
            }
        };
        objects::invoke_now(&self.fixed, "NdkReject", &[data as u64, length.into()], detail)
    }

    /// `NdkGetConnectionData`, asking for the size first, as consumers do.
    ///
    /// # Errors
    /// The status.
    pub fn connection_data(&self) -> Result<ConnectionData, NTSTATUS> {
        let sized = self.get_connection_data(None, 0);
        super::ok(sized.status)?;
        let answer = self.get_connection_data(Some(sized.length as usize), sized.length);
        super::ok(answer.status)?;
        let [inbound_read_limit, outbound_read_limit] = answer.limits;
        Ok(ConnectionData {
            inbound_read_limit,
            outbound_read_limit,
            private_data: answer.buffer,
        })
    }

    /// `NdkGetConnectionData` with a buffer of `room` bytes, or none, and any length.
    #[must_use]
    pub fn get_connection_data(&self, room: Option<usize>, length: u32) -> RawConnectionData {
        let buffer = room.map(|room| Guarded::filled(room, 0xEE));
        let (inbound, outbound) = (Guarded::filled(4, 0xFF), Guarded::filled(4, 0xFF));
        let size = Guarded::of(&length.to_ne_bytes());
        let address = buffer.as_ref().map_or(0, Guarded::address);
        let arguments = [inbound.address(), outbound.address(), address, size.address()].map(|at| at as u64);
        let detail = || format!("{}, length {length}", room_text(room));
        let status = objects::invoke_now(&self.fixed, "NdkGetConnectionData", &arguments, detail);
        let answer = RawConnectionData {
            status,
            limits: [inbound.read(), outbound.read()],
            buffer: buffer.map(|buffer| buffer.bytes()).unwrap_or_default(),
            length: size.read(),
        };
        self.check_connection_data(room, length, &answer);
        answer
    }

    /// What NDKPI promises of the size: the provider's required size, whatever the buffer is.
    fn check_connection_data(&self, room: Option<usize>, length: u32, answer: &RawConnectionData) {
        let RawConnectionData {
            status,
            buffer,
            length: required,
            ..
        } = answer;
        if !matches!(*status, STATUS_SUCCESS | STATUS_BUFFER_TOO_SMALL) || room.is_none() && length != 0 {
            return;
        }
        let before = self.required.lock().replace(*required);
        let fits = room.is_none() || length >= *required;
        let stored = length.min(*required) as usize;
        let beyond = buffer.iter().skip(stored).any(|&byte| byte != 0xEE);
        let what = if before.is_some_and(|before| before != *required) {
            "another size than before"
        } else if fits != (*status == STATUS_SUCCESS) {
            "a status that says the contrary of the size"
        } else if beyond {
            "more bytes than the buffer's length and the size allow"
        } else {
            return;
        };
        rules::broken(
            Rule::NdkConnectionData,
            format!("NdkGetConnectionData of {} stored {what}", self.fixed.label()),
            "Store the required size always; copy as much as fits; return STATUS_SUCCESS if that is all, else STATUS_BUFFER_TOO_SMALL.",
        )
    }

    /// `NdkGetLocalAddress`.
    ///
    /// # Errors
    /// The status.
    pub fn local_address(&self) -> Result<SocketAddr, NTSTATUS> {
        get_address(&self.fixed, "NdkGetLocalAddress")
    }

    /// `NdkGetPeerAddress`.
    ///
    /// # Errors
    /// The status.
    pub fn peer_address(&self) -> Result<SocketAddr, NTSTATUS> {
        get_address(&self.fixed, "NdkGetPeerAddress")
    }

    /// `NdkGetPeerAddress` with room for so many bytes, or without a buffer: status, the buffer, and the size that the
    /// provider stored.
    #[must_use]
    pub fn get_peer_address(&self, room: Option<usize>) -> (NTSTATUS, Vec<u8>, u32) {
        get_address_raw(&self.fixed, "NdkGetPeerAddress", room)
    }

    /// `NdkQueryExtension`, with an interface that does not exist.
    #[must_use]
    pub fn query_extension(&self) -> NTSTATUS {
        super::adapter::query_extension(&self.fixed)
    }

    /// Calls any function of the dispatch table that returns a status inline, with the arguments after the connector
    /// itself.
    #[must_use]
    pub fn call(&self, name: &'static str, arguments: &[u64]) -> NTSTATUS {
        objects::invoke_now(&self.fixed, name, arguments, String::new)
    }

    /// Closes it, and waits for that at PASSIVE.
    pub fn close(self) {
        drop(self);
    }

    /// Closes it without waiting.
    pub fn start_close(mut self) -> Closing {
        self.close_now()
    }

    fn close_now(&mut self) -> Closing {
        self.open = false;
        requests::close(&self.fixed, "NdkCloseConnector")
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.fixed.label())
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        if self.open {
            finish(self.close_now());
        }
    }
}
