//! `NDK_SHARED_ENDPOINT` as a consumer has it.

use super::adapter::Adapter;
use super::guarded::Guarded;
use super::handle::{Handle, closable};
use super::kind::Kind;
use super::listener::{get_address, get_address_raw};
use super::sockaddr;
use super::started::Started;
use ndk_sys::NTSTATUS;
use std::net::SocketAddr;

/// A local address and port that many connectors may connect from. Dropping it closes it, and waits for that at PASSIVE
/// unless a connector uses it.
pub struct SharedEndpoint {
    pub(super) handle: Handle,
}

closable!(SharedEndpoint);

impl Adapter {
    /// `NdkCreateSharedEndpoint`; port 0 for any.
    ///
    /// # Errors
    /// The status.
    pub fn create_shared_endpoint(&self, address: SocketAddr) -> Result<SharedEndpoint, NTSTATUS> {
        self.start_create_shared_endpoint(address).wait()
    }

    /// As [`Adapter::create_shared_endpoint`], without the wait.
    pub fn start_create_shared_endpoint(&self, address: SocketAddr) -> Started<SharedEndpoint> {
        let bytes = sockaddr::encode(address);
        let argument = Guarded::of(&bytes);
        let arguments = [argument.address() as u64, bytes.len() as u64];
        self.start_create(
            Kind::SharedEndpoint,
            "NdkCreateSharedEndpoint",
            &arguments,
            |fixed| SharedEndpoint {
                handle: Handle::new(fixed, "NdkCloseSharedEndpoint"),
            },
        )
    }
}

impl SharedEndpoint {
    /// `NdkGetLocalAddress`.
    ///
    /// # Errors
    /// The status.
    pub fn local_address(&self) -> Result<SocketAddr, NTSTATUS> {
        get_address(&self.handle.fixed, "NdkGetLocalAddress")
    }

    /// `NdkGetLocalAddress` with room for so many bytes, or without a buffer: status, the buffer, and the size that the
    /// provider stored.
    #[must_use]
    pub fn get_local_address(&self, room: Option<usize>) -> (NTSTATUS, Vec<u8>, u32) {
        get_address_raw(&self.handle.fixed, "NdkGetLocalAddress", room)
    }
}
