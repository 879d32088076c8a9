//! Routes: what is on the link of an interface, and what is behind a router.

use super::model::{self, Route};
use super::sockaddr;
use crate::exports;
use crate::memory;
use crate::nt::status;
use ndk_sys::{
    MIB_IPFORWARD_ROW2, MIB_IPPROTO_LOCAL, MIB_IPPROTO_NETMGMT, NTSTATUS, STATUS_NETWORK_UNREACHABLE,
};
use std::net::IpAddr;

exports! {
    /// Routes.
    pub static EXPORTS: "netio.sys" = {
        GetBestRoute2 = function(get_best_route2, at_most(DISPATCH_LEVEL));
    }
}

/// A route as drivers see it.
fn row(route: &Route) -> MIB_IPFORWARD_ROW2 {
    let mut row = MIB_IPFORWARD_ROW2::zeroed();
    row.InterfaceLuid.Value = route.luid;
    row.InterfaceIndex = route.index;
    row.DestinationPrefix.Prefix = sockaddr::inet(route.destination);
    row.DestinationPrefix.PrefixLength = route.prefix;
    row.NextHop = sockaddr::inet(
        route
            .next_hop
            .unwrap_or_else(|| sockaddr::unspecified(route.destination)),
    );
    row.ValidLifetime = u32::MAX;
    row.PreferredLifetime = u32::MAX;
    row.Protocol = if route.next_hop.is_some() {
        MIB_IPPROTO_NETMGMT
    } else {
        MIB_IPPROTO_LOCAL
    };
    row.Immortal = 1;
    row
}

/// The address that packets to `destination` by that route have as their source, unless one is asked for.
fn source(route: &Route, asked: Option<IpAddr>) -> Option<IpAddr> {
    if asked.is_some_and(|asked| !asked.is_unspecified()) {
        return asked;
    }
    let of_family = |address: &IpAddr| address.is_ipv4() == route.destination.is_ipv4();
    let mut all = model::of_interface(route.luid).into_iter().filter(of_family);
    all.next()
}

extern "win64" fn get_best_route2(
    luid: usize,
    index: u32,
    source_address: usize,
    destination: usize,
    _sort: u32,
    row_out: usize,
    source_out: usize,
) -> NTSTATUS {
    let Some(destination) = sockaddr::read(destination) else {
        return status::INVALID_PARAMETER;
    };
    let asked = if source_address == 0 {
        None
    } else {
        sockaddr::read(source_address)
    };
    if asked.is_some_and(|asked| asked.is_ipv4() != destination.is_ipv4()) || row_out == 0 || source_out == 0
    {
        return status::INVALID_PARAMETER;
    }
    let luid = if luid == 0 { 0 } else { memory::read::<u64>(luid) };
    let wanted = |route: &Route| (luid == 0 || route.luid == luid) && (index == 0 || route.index == index);
    let best = model::routes(destination).into_iter().find(wanted);
    let found = best.and_then(|route| Some((source(&route, asked)?, route)));
    let Some((source, route)) = found else {
        return STATUS_NETWORK_UNREACHABLE;
    };
    memory::write(row_out, row(&route));
    memory::write(source_out, sockaddr::inet(source));
    status::SUCCESS
}
