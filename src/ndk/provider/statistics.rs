//! What the NDK OIDs ask for.

use super::Provider;
use crate::ndk::address;
use crate::ndk::endpoints::Owner;
use core::net::SocketAddr;
use ndk_sys::{
    BOOLEAN, FALSE, NDIS_NDK_CONNECTION_ENTRY, NDIS_NDK_LOCAL_ENDPOINT_ENTRY, NDIS_NDK_PERFORMANCE_COUNTERS,
    SOCKADDR_INET, TRUE,
};

impl Provider {
    /// Connection counters of `OID_NDK_STATISTICS`. An incoming request that is refused counts as a failure as well.
    pub fn fill_statistics(&self, counters: &mut NDIS_NDK_PERFORMANCE_COUNTERS) {
        let cm = self.cm();
        let happened = cm.counters();
        counters.Connect = happened.connects;
        counters.Accept = happened.accepts;
        counters.ConnectFailure = happened.failures();
        counters.ConnectionError = happened.connection_errors;
        counters.ActiveConnection = cm.active_connections() as u64;
    }

    /// Established connections, for `OID_NDK_CONNECTIONS`. `entry` is called at DISPATCH and must not call back.
    pub fn connections(&self, entry: &mut dyn FnMut(&NDIS_NDK_CONNECTION_ENTRY)) {
        for connection in self.cm().established_connections() {
            let mut row = NDIS_NDK_CONNECTION_ENTRY::zeroed();
            row.Local = self.inet(connection.local);
            row.Remote = self.inet(connection.peer);
            entry(&row);
        }
    }

    /// Listeners and shared endpoints, for `OID_NDK_LOCAL_ENDPOINTS`. `entry` is called at DISPATCH and must not call back.
    pub fn local_endpoints(&self, entry: &mut dyn FnMut(&NDIS_NDK_LOCAL_ENDPOINT_ENTRY)) {
        for (local, owner) in self.endpoints.lock().iter() {
            match owner {
                Owner::Listener => entry(&local_endpoint(self.inet(local), TRUE)),
                Owner::Shared => entry(&local_endpoint(self.inet(local), FALSE)),
                // Implicit endpoints are not listed: `OID_NDK_CONNECTIONS` has them.
                Owner::Connector => {}
            }
        }
    }

    fn inet(&self, address: SocketAddr) -> SOCKADDR_INET {
        address::to_inet(address::scoped(address, self.interface_index))
    }
}

/// The consumers are in the kernel: no process owns an endpoint.
fn local_endpoint(local: SOCKADDR_INET, is_listener: BOOLEAN) -> NDIS_NDK_LOCAL_ENDPOINT_ENTRY {
    let mut entry = NDIS_NDK_LOCAL_ENDPOINT_ENTRY::zeroed();
    entry.Local = local;
    entry.Listener = is_listener;
    entry
}
