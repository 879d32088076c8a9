//! What is bound to the addresses of the interface: listeners, shared endpoints, connectors.

use super::Provider;
use crate::cm::{self, ListenerId};
use crate::ndk::endpoints::{BindError, Owner};
use crate::ndk::listener::Listener;
use crate::ndk::object::ObjectRef;
use crate::status;
use core::net::SocketAddr;
use ndk_sys::{NTSTATUS, STATUS_INSUFFICIENT_RESOURCES, STATUS_SHARING_VIOLATION, STATUS_TOO_MANY_ADDRESSES};

impl Provider {
    /// Takes the endpoint `local`; port 0 chooses one.
    ///
    /// # Errors
    /// `STATUS_INVALID_ADDRESS` for an address that is not the adapter's, `STATUS_SHARING_VIOLATION` if it is taken,
    /// `STATUS_TOO_MANY_ADDRESSES` if no port is left, `STATUS_INSUFFICIENT_RESOURCES`.
    pub(in crate::ndk) fn bind(&self, local: SocketAddr, owner: Owner) -> Result<SocketAddr, NTSTATUS> {
        self.gid_index(local.ip())?;
        let bound = self.endpoints.lock().bind(local, owner);
        bound.map_err(|error| match error {
            BindError::Taken => STATUS_SHARING_VIOLATION,
            BindError::NoPort => STATUS_TOO_MANY_ADDRESSES,
            BindError::Full => STATUS_INSUFFICIENT_RESOURCES,
        })
    }

    /// Gives back what [`Provider::bind`] returned.
    pub(in crate::ndk) fn unbind(&self, local: SocketAddr) {
        self.endpoints.lock().release(local);
    }

    /// `NdkListen` of `listener` on `local`; port 0 chooses one. Returns the endpoint, which is bound until
    /// [`Provider::release_listener`].
    ///
    /// # Errors
    /// As [`Provider::bind`].
    pub(in crate::ndk) fn listen(
        &self,
        local: SocketAddr,
        listener: ObjectRef<Listener>,
    ) -> Result<(ListenerId, SocketAddr), NTSTATUS> {
        let local = self.bind(local, Owner::Listener)?;
        let bound = self
            .cm
            .lock()
            .listen(local.ip(), local.port(), cm::DEFAULT_BACKLOG, listener);
        match bound {
            Ok((id, _port)) => Ok((id, local)),
            Err(error) => {
                self.unbind(local);
                Err(status::of_listen_error(error))
            }
        }
    }

    /// `NdkControlConnectEvents`.
    pub(in crate::ndk) fn set_paused(&self, listener: ListenerId, paused: bool) {
        self.cm.lock().set_paused(listener, paused);
    }

    /// `NdkCloseListener`, first half: refuses new requests at once.
    pub(in crate::ndk) fn stop_listening(&self, listener: ListenerId) {
        let context = self.cm.lock().stop_listening(listener);
        drop(context); // After unlocking: it may be the last reference.
    }

    /// `NdkCloseListener`, second half: no connector uses the endpoint any more.
    pub(in crate::ndk) fn release_listener(&self, listener: ListenerId, local: SocketAddr) {
        let context = self.cm.lock().release(listener);
        debug_assert!(
            context.is_none(),
            "a listener is stopped before its endpoint is released"
        );
        self.unbind(local);
    }
}
