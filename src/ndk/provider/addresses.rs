//! The addresses of the interface, and the way from them to peers.

use super::Provider;
use crate::cm::AddressHandle;
use crate::ndk::address;
use crate::nic::gid::GidAddress;
use crate::os::irql::Passive;
use crate::os::route;
use core::net::{IpAddr, SocketAddr};
use ndk_sys::{NTSTATUS, STATUS_INVALID_ADDRESS, STATUS_NETWORK_UNREACHABLE};
use roce_wire::gid::Gid;
use roce_wire::num::Qpn;
use vrnic_abi::cm::GID_ENTRIES;

/// UDP source port of the datagrams that begin a connection; answers come back with it.
const CM_SOURCE_PORT: u16 = 0xC000;

impl Provider {
    /// The addresses that NETIO has for the interface, as the GID table now holds them.
    pub fn set_addresses(&self, _passive: &Passive, addresses: &[GidAddress]) {
        let mut table = [None; GID_ENTRIES as usize];
        for address in addresses {
            if let Some(entry) = table.get_mut(usize::from(address.index)) {
                *entry = Some(Gid(address.gid).to_ip());
            }
        }
        *self.addresses.lock() = table;
    }

    /// Where `address` is in the GID table.
    ///
    /// # Errors
    /// `STATUS_INVALID_ADDRESS` if it is not the adapter's.
    pub(in crate::ndk) fn gid_index(&self, address: IpAddr) -> Result<u16, NTSTATUS> {
        self.addresses
            .lock()
            .iter()
            .position(|entry| *entry == Some(address))
            .and_then(|index| u16::try_from(index).ok())
            .ok_or(STATUS_INVALID_ADDRESS)
    }

    /// Whether packets can be sent at all. Costs two register reads.
    ///
    /// # Errors
    /// `STATUS_NETWORK_UNREACHABLE` without a link, `STATUS_DEVICE_NOT_READY` and `STATUS_DEVICE_REMOVED` without a device.
    pub(in crate::ndk) fn check_link(&self) -> Result<(), NTSTATUS> {
        match self.device_failure() {
            Some(status) => Err(status),
            None if self.nic.link().up => Ok(()),
            None => Err(STATUS_NETWORK_UNREACHABLE),
        }
    }

    /// The way to the adapter itself, if that is where `peer` is.
    ///
    /// # Errors
    /// `STATUS_INVALID_ADDRESS` if `local` is not the adapter's.
    pub(in crate::ndk) fn loopback(
        &self,
        local: IpAddr,
        peer: IpAddr,
    ) -> Result<Option<AddressHandle>, NTSTATUS> {
        match self.gid_index(peer) {
            Ok(_) => self.way(local, peer, self.nic.current_mac()).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// The way from `local` to `peer`: asks NETIO, which asks the network, and waits for the answer.
    ///
    /// # Errors
    /// Those of [`Provider::check_link`], `STATUS_NETWORK_UNREACHABLE` if there is no route, `STATUS_HOST_UNREACHABLE` if nobody answers,
    /// `STATUS_INVALID_ADDRESS` if `local` is not the adapter's, `STATUS_INSUFFICIENT_RESOURCES`.
    pub(in crate::ndk) fn resolve(
        &self,
        passive: &Passive,
        local: SocketAddr,
        peer: SocketAddr,
    ) -> Result<AddressHandle, NTSTATUS> {
        self.check_link()?;
        let inet = |address| address::to_inet(address::scoped(address, self.interface_index));
        let (source, destination) = (inet(local), inet(peer));
        let mac = route::resolve(passive, self.luid, &source, &destination)?;
        self.way(local.ip(), peer.ip(), mac)
    }

    fn way(&self, local: IpAddr, peer: IpAddr, mac: [u8; 6]) -> Result<AddressHandle, NTSTATUS> {
        Ok(AddressHandle {
            mac,
            gid: Gid::from(peer),
            local_gid: Gid::from(local),
            gid_index: self.gid_index(local)?,
            qpn: Qpn::GSI,
            udp_src_port: CM_SOURCE_PORT,
            traffic_class: 0,
        })
    }
}
