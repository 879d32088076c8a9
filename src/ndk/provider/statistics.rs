//! What the NDK OIDs ask for.

use super::Provider;
use crate::ndk::address;
use crate::ndk::endpoints::Owner;
use core::net::SocketAddr;
use ndk_sys::{
    BOOLEAN, FALSE, NDIS_NDK_CONNECTION_ENTRY, NDIS_NDK_LOCAL_ENDPOINT_ENTRY, NDIS_NDK_PERFORMANCE_COUNTERS,
    TRUE,
};

impl Provider {
    /// Connection counters of `OID_NDK_STATISTICS`.
    pub fn fill_statistics(&self, counters: &mut NDIS_NDK_PERFORMANCE_COUNTERS) {
        counters.ConnectFailure = self.cm.lock().counters().failures();
    }

    /// Established connections, for `OID_NDK_CONNECTIONS`: none, since accepting comes with the transport.
    pub fn connections(&self, _entry: &mut dyn FnMut(&NDIS_NDK_CONNECTION_ENTRY)) {}

    /// Listeners and shared endpoints, for `OID_NDK_LOCAL_ENDPOINTS`. `entry` is called at DISPATCH and must not call back.
    pub fn local_endpoints(&self, entry: &mut dyn FnMut(&NDIS_NDK_LOCAL_ENDPOINT_ENTRY)) {
        for (local, owner) in self.endpoints.lock().iter() {
            match owner {
                Owner::Listener => entry(&local_endpoint(local, TRUE)),
                Owner::Shared => entry(&local_endpoint(local, FALSE)),
                // Implicit endpoints are not listed: `OID_NDK_CONNECTIONS` has them.
                Owner::Connector => {}
            }
        }
    }
}

/// The consumers are in the kernel: no process owns an endpoint.
fn local_endpoint(address: SocketAddr, is_listener: BOOLEAN) -> NDIS_NDK_LOCAL_ENDPOINT_ENTRY {
    let mut entry = NDIS_NDK_LOCAL_ENDPOINT_ENTRY::zeroed();
    entry.Local = address::to_inet(address);
    entry.Listener = is_listener;
    entry
}
