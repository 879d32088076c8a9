//! A listener whose connectors wait in a queue, for callers that want to take them one after another.

use super::{Adapter, Connector, Listener};
use ndk_sys::NTSTATUS;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// See the module. Dropping it closes the connectors that nobody has taken, which rejects their requests, then the listener.
pub struct Incoming {
    // In the order in which they go down.
    queue: Receiver<Connector>,
    listener: Listener,
}

impl Incoming {
    /// `NdkCreateListener` and `NdkListen`.
    ///
    /// # Errors
    /// The status of the one that failed.
    pub fn listen(adapter: &Adapter, address: SocketAddr) -> Result<Self, NTSTATUS> {
        let (sender, queue) = channel();
        let sender = Mutex::new(sender);
        let listener = adapter.create_listener(move |connector| {
            // When nobody takes connectors any more it is dropped, which rejects the request.
            let _ = sender.lock().send(connector);
        })?;
        listener.listen(address)?;
        Ok(Self { queue, listener })
    }

    /// The listener.
    #[must_use]
    pub fn listener(&self) -> &Listener {
        &self.listener
    }

    /// The connector of the next request, if one comes within `limit`.
    #[must_use]
    pub fn next_within(&self, limit: Duration) -> Option<Connector> {
        self.queue.recv_timeout(limit).ok()
    }
}
