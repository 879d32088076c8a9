//! Connecting and disconnecting: the functions of `NDK_CONNECTOR` that take time.

use super::callbacks::{self, DISCONNECT};
use super::connector::Connector;
use super::guarded::Guarded;
use super::objects::Fixed;
use super::qp::Qp;
use super::shared_endpoint::SharedEndpoint;
use super::started::Started;
use super::{events, requests, sockaddr};
use ndk_sys::NTSTATUS;
use std::net::SocketAddr;
use std::sync::Arc;

/// What both sides tell each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectOptions {
    /// Reads of the peer's that may be outstanding.
    pub inbound: u32,
    /// Own reads that may be outstanding.
    pub outbound: u32,
    /// Private data; no buffer if it is empty.
    pub private_data: Vec<u8>,
}

impl ConnectOptions {
    /// As many reads as the peer and the adapter allow, and this private data.
    #[must_use]
    pub fn with_data(private_data: &[u8]) -> Self {
        Self {
            inbound: u32::MAX,
            outbound: u32::MAX,
            private_data: private_data.to_vec(),
        }
    }

    /// The arguments: both limits, address and length of the data, which `buffer` holds.
    fn arguments(&self, buffer: &Guarded) -> [u64; 4] {
        let data = if self.private_data.is_empty() {
            0
        } else {
            buffer.address()
        };
        [
            self.inbound.into(),
            self.outbound.into(),
            data as u64,
            self.private_data.len() as u64,
        ]
    }
}

/// Runs when a connection ends that this side has not ended, at the provider's IRQL (at most DISPATCH).
pub type DisconnectEvent = Box<dyn Fn() + Send + Sync>;

impl Connector {
    /// `NdkConnect`: until the peer has accepted or rejected. [`Connector::complete_connect`] follows.
    ///
    /// # Errors
    /// The status.
    pub fn connect(
        &self,
        qp: &Qp,
        source: SocketAddr,
        destination: SocketAddr,
        options: &ConnectOptions,
    ) -> Result<(), NTSTATUS> {
        self.start_connect(qp, source, destination, options).wait()
    }

    /// As [`Connector::connect`], without the wait.
    pub fn start_connect(
        &self,
        qp: &Qp,
        source: SocketAddr,
        destination: SocketAddr,
        options: &ConnectOptions,
    ) -> Started<()> {
        let (source_bytes, destination_bytes) = (sockaddr::encode(source), sockaddr::encode(destination));
        let (from, to) = (Guarded::of(&source_bytes), Guarded::of(&destination_bytes));
        let data = Guarded::of(&options.private_data);
        let mut arguments = vec![
            qp.address() as u64,
            from.address() as u64,
            source_bytes.len() as u64,
            to.address() as u64,
            destination_bytes.len() as u64,
        ];
        arguments.extend(options.arguments(&data));
        let detail = || format!("from {source} to {destination}");
        requests::start_request(self.fixed(), "NdkConnect", &arguments, detail)
    }

    /// `NdkConnectWithSharedEndpoint`: as [`Connector::connect`], from that endpoint.
    ///
    /// # Errors
    /// The status.
    pub fn connect_with_shared_endpoint(
        &self,
        qp: &Qp,
        endpoint: &SharedEndpoint,
        destination: SocketAddr,
        options: &ConnectOptions,
    ) -> Result<(), NTSTATUS> {
        self.start_connect_with_shared_endpoint(qp, endpoint, destination, options)
            .wait()
    }

    /// As [`Connector::connect_with_shared_endpoint`], without the wait.
    pub fn start_connect_with_shared_endpoint(
        &self,
        qp: &Qp,
        endpoint: &SharedEndpoint,
        destination: SocketAddr,
        options: &ConnectOptions,
    ) -> Started<()> {
        let bytes = sockaddr::encode(destination);
        let (to, data) = (Guarded::of(&bytes), Guarded::of(&options.private_data));
        let mut arguments = vec![
            qp.address() as u64,
            endpoint.address() as u64,
            to.address() as u64,
            bytes.len() as u64,
        ];
        arguments.extend(options.arguments(&data));
        let detail = || format!("to {destination}");
        requests::start_request(self.fixed(), "NdkConnectWithSharedEndpoint", &arguments, detail)
    }

    /// `NdkCompleteConnect`: the connection is up when it has succeeded.
    ///
    /// # Errors
    /// The status.
    pub fn complete_connect(&self, disconnected: Option<DisconnectEvent>) -> Result<(), NTSTATUS> {
        self.start_complete_connect(disconnected).wait()
    }

    /// As [`Connector::complete_connect`], without the wait.
    pub fn start_complete_connect(&self, disconnected: Option<DisconnectEvent>) -> Started<()> {
        let arguments = self.disconnect_event(disconnected);
        requests::start_request(self.fixed(), "NdkCompleteConnect", &arguments, String::new)
    }

    /// `NdkAccept`: the connection is up when it has succeeded.
    ///
    /// # Errors
    /// The status.
    pub fn accept(
        &self,
        qp: &Qp,
        options: &ConnectOptions,
        disconnected: Option<DisconnectEvent>,
    ) -> Result<(), NTSTATUS> {
        self.start_accept(qp, options, disconnected).wait()
    }

    /// As [`Connector::accept`], without the wait.
    pub fn start_accept(
        &self,
        qp: &Qp,
        options: &ConnectOptions,
        disconnected: Option<DisconnectEvent>,
    ) -> Started<()> {
        let data = Guarded::of(&options.private_data);
        let mut arguments = vec![qp.address() as u64];
        arguments.extend(options.arguments(&data));
        arguments.extend(self.disconnect_event(disconnected));
        requests::start_request(self.fixed(), "NdkAccept", &arguments, String::new)
    }

    /// `NdkDisconnect`.
    ///
    /// # Errors
    /// The status.
    pub fn disconnect(&self) -> Result<(), NTSTATUS> {
        self.start_disconnect().wait()
    }

    /// As [`Connector::disconnect`], without the wait.
    pub fn start_disconnect(&self) -> Started<()> {
        requests::start_request(self.fixed(), "NdkDisconnect", &[], String::new)
    }

    /// The callback and its context.
    fn disconnect_event(&self, disconnected: Option<DisconnectEvent>) -> [u64; 2] {
        let Some(handler) = disconnected else {
            return [0; 2];
        };
        let handler = move |_: &Arc<Fixed>, _| handler();
        let context = events::register(DISCONNECT, Arc::new(handler));
        events::attach(context, self.fixed().id);
        [callbacks::address_of(DISCONNECT), context]
    }
}
