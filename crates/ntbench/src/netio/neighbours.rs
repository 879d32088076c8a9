//! Neighbours: the stations behind addresses.

use super::model::{self, Neighbour};
use super::{host, sockaddr};
use crate::exports;
use crate::memory;
use crate::nt::status;
use ndk_sys::{
    MIB_IPNET_ROW2, NTSTATUS, NlnsPermanent, NlnsReachable, STATUS_BAD_NETWORK_PATH, STATUS_NOT_FOUND,
};
use std::mem::offset_of;
use std::net::IpAddr;

exports! {
    /// Neighbours.
    pub static EXPORTS: "netio.sys" = {
        GetIpNetEntry2 = function(get_ip_net_entry2, exactly(PASSIVE_LEVEL));
        ResolveIpNetEntry2 = function(resolve_ip_net_entry2, exactly(PASSIVE_LEVEL));
    }
}

/// The interface and the address that a row asks for.
fn asked(row: usize) -> Option<(u64, IpAddr)> {
    let address = sockaddr::read(row + offset_of!(MIB_IPNET_ROW2, Address))?;
    let luid: u64 = memory::read(row + offset_of!(MIB_IPNET_ROW2, InterfaceLuid));
    let index: u32 = memory::read(row + offset_of!(MIB_IPNET_ROW2, InterfaceIndex));
    // The LUID counts, unless it is zero.
    let luid = if luid == 0 { model::luid_of(index)? } else { luid };
    Some((luid, address))
}

fn answer(row: usize, luid: u64, neighbour: Neighbour) {
    let mut filled: MIB_IPNET_ROW2 = memory::read(row);
    filled.InterfaceLuid.Value = luid;
    filled.InterfaceIndex = model::index_of(luid).unwrap_or(0);
    filled.PhysicalAddress = [0; 32];
    filled.PhysicalAddress[..6].copy_from_slice(&neighbour.station);
    filled.PhysicalAddressLength = 6;
    filled.State = if neighbour.permanent {
        NlnsPermanent
    } else {
        NlnsReachable
    };
    memory::write(row, filled);
}

extern "win64" fn get_ip_net_entry2(row: usize) -> NTSTATUS {
    let Some((luid, address)) = asked(row) else {
        return status::INVALID_PARAMETER;
    };
    match model::neighbour(luid, address) {
        Some(neighbour) => {
            answer(row, luid, neighbour);
            status::SUCCESS
        }
        None => STATUS_NOT_FOUND,
    }
}

extern "win64" fn resolve_ip_net_entry2(row: usize, source: usize) -> NTSTATUS {
    let Some((luid, address)) = asked(row) else {
        return status::INVALID_PARAMETER;
    };
    let source = if source == 0 { None } else { sockaddr::read(source) };
    match host::resolve(luid, source, address) {
        Some(neighbour) => {
            answer(row, luid, neighbour);
            status::SUCCESS
        }
        None => STATUS_BAD_NETWORK_PATH,
    }
}
