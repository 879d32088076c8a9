//! Routes and neighbours, as NETIO knows them: where a packet to an IP address goes on the Ethernet.
#![expect(unsafe_code, reason = "NETIO functions and the unions in their structures")]

use ndk_sys::imports::netio;
use ndk_sys::{
    AF_INET, AF_INET6, MIB_IPFORWARD_ROW2, MIB_IPNET_ROW2, NET_LUID, NL_NEIGHBOR_STATE, NTSTATUS,
    NlnsPermanent, NlnsProbe, SOCKADDR_INET, STATUS_HOST_UNREACHABLE, STATUS_INSUFFICIENT_RESOURCES,
    STATUS_NETWORK_UNREACHABLE, STATUS_NO_MEMORY, STATUS_SUCCESS,
};

use super::irql::Passive;

/// Bytes of an Ethernet address.
const MAC_LENGTH: u32 = 6;

/// The Ethernet address that packets of the interface `luid` from `source` to `destination` go to: the destination's, or
/// that of the router on the way to it. Asks the network if NETIO does not know, and waits for the answer, which takes
/// some seconds if there is none.
///
/// # Errors
///
/// `STATUS_NETWORK_UNREACHABLE` if there is no route, `STATUS_HOST_UNREACHABLE` if nobody answers,
/// `STATUS_INSUFFICIENT_RESOURCES`.
pub fn resolve(
    passive: &Passive,
    luid: NET_LUID,
    source: &SOCKADDR_INET,
    destination: &SOCKADDR_INET,
) -> Result<[u8; 6], NTSTATUS> {
    passive.check();
    let next_hop = next_hop(luid, source, destination)?;
    let mut row = MIB_IPNET_ROW2 {
        Address: next_hop,
        InterfaceLuid: luid,
        ..MIB_IPNET_ROW2::zeroed()
    };
    // SAFETY: a row whose key is filled in.
    let known = unsafe { netio::GetIpNetEntry2(&raw mut row) };
    if known == STATUS_SUCCESS
        && is_usable(row.State)
        && let Some(mac) = hardware_address(&row)
    {
        return Ok(mac);
    }
    let mut row = MIB_IPNET_ROW2 {
        Address: next_hop,
        InterfaceLuid: luid,
        ..MIB_IPNET_ROW2::zeroed()
    };
    // SAFETY: a row whose key is filled in, and an address of the interface.
    let resolved = unsafe { netio::ResolveIpNetEntry2(&raw mut row, source) };
    match resolved {
        STATUS_SUCCESS => hardware_address(&row).ok_or(STATUS_HOST_UNREACHABLE),
        status => Err(memory_or(status, STATUS_HOST_UNREACHABLE)),
    }
}

/// The neighbour on the way to `destination`: the destination itself if the route says that it is on the link.
fn next_hop(
    luid: NET_LUID,
    source: &SOCKADDR_INET,
    destination: &SOCKADDR_INET,
) -> Result<SOCKADDR_INET, NTSTATUS> {
    let mut luid = luid;
    let mut route = MIB_IPFORWARD_ROW2::zeroed();
    let mut best_source = SOCKADDR_INET::zeroed();
    // SAFETY: valid addresses, and places for the results.
    let status = unsafe {
        netio::GetBestRoute2(
            &raw mut luid,
            0,
            source,
            destination,
            0,
            &raw mut route,
            &raw mut best_source,
        )
    };
    if status != STATUS_SUCCESS {
        return Err(memory_or(status, STATUS_NETWORK_UNREACHABLE));
    }
    Ok(if is_unspecified(&route.NextHop) {
        *destination
    } else {
        route.NextHop
    })
}

/// Why NETIO has no answer: want of memory is our problem, all else is the network's.
fn memory_or(status: NTSTATUS, unreachable: NTSTATUS) -> NTSTATUS {
    match status {
        STATUS_INSUFFICIENT_RESOURCES | STATUS_NO_MEMORY => STATUS_INSUFFICIENT_RESOURCES,
        _ => unreachable,
    }
}

/// NETIO keeps the address of a neighbour that it has not heard of for a while, and checks it while it is used.
fn is_usable(state: NL_NEIGHBOR_STATE) -> bool {
    (NlnsProbe..=NlnsPermanent).contains(&state)
}

fn hardware_address(row: &MIB_IPNET_ROW2) -> Option<[u8; 6]> {
    let address = *row.PhysicalAddress.first_chunk()?;
    (row.PhysicalAddressLength == MAC_LENGTH && address != [0; 6]).then_some(address)
}

fn is_unspecified(address: &SOCKADDR_INET) -> bool {
    // SAFETY: the family is at the start of every member of the union.
    match unsafe { address.si_family } {
        // SAFETY: the family says so.
        AF_INET => unsafe { address.Ipv4 }.sin_addr.S_addr == 0,
        // SAFETY: the family says so.
        AF_INET6 => unsafe { address.Ipv6 }.sin6_addr.Word == [0; 8],
        _ => true,
    }
}
