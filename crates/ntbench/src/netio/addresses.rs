//! Unicast addresses: the table, and notifications of changes.

use super::model::{self, Address};
use crate::exports;
use crate::memory;
use crate::nt::{pool, status, work};
use crate::verifier::pool::{PoolKind, Request};
use crate::verifier::{BugCheck, Rule, Violation};
use ndk_sys::{
    ADDRESS_FAMILY, AF_INET, AF_INET6, AF_UNSPEC, IpDadStatePreferred, IpPrefixOriginManual,
    IpSuffixOriginManual, MIB_UNICASTIPADDRESS_ROW, MIB_UNICASTIPADDRESS_TABLE, MibInitialNotification,
    NTSTATUS, SOCKADDR_IN, SOCKADDR_IN6,
};
use std::mem::offset_of;
use std::net::IpAddr;
use std::ops::Range;

exports! {
    /// Unicast addresses.
    pub static EXPORTS: "netio.sys" = {
        GetUnicastIpAddressTable = function(get_unicast_ip_address_table, exactly(PASSIVE_LEVEL));
        FreeMibTable = function(free_mib_table, exactly(PASSIVE_LEVEL));
        NotifyUnicastIpAddressChange = function(notify_unicast_ip_address_change, exactly(PASSIVE_LEVEL));
        CancelMibChangeNotify2 = function(cancel_mib_change_notify2, exactly(PASSIVE_LEVEL));
    }
}

/// Tag of the tables, so that one that is never freed is found at unload like other pool.
const TABLE_TAG: u32 = u32::from_le_bytes(*b"MibT");

/// Whether `address` belongs to `family`; everything belongs to `AF_UNSPEC`.
pub(super) fn is_of(address: IpAddr, family: ADDRESS_FAMILY) -> bool {
    family == AF_UNSPEC || family == if address.is_ipv4() { AF_INET } else { AF_INET6 }
}

/// An address as drivers see it: manually configured, and past duplicate address detection.
pub(super) fn row(address: &Address) -> MIB_UNICASTIPADDRESS_ROW {
    let mut row = MIB_UNICASTIPADDRESS_ROW::zeroed();
    match address.address {
        IpAddr::V4(v4) => {
            let mut socket_address = SOCKADDR_IN::zeroed();
            socket_address.sin_family = AF_INET;
            socket_address.sin_addr.S_addr = u32::from_ne_bytes(v4.octets());
            row.Address.Ipv4 = socket_address;
        }
        IpAddr::V6(v6) => {
            let mut socket_address = SOCKADDR_IN6::zeroed();
            socket_address.sin6_family = AF_INET6;
            socket_address.sin6_addr.Word = v6.segments().map(u16::to_be);
            row.Address.Ipv6 = socket_address;
        }
    }
    row.InterfaceLuid.Value = address.luid;
    row.InterfaceIndex = address.index;
    row.PrefixOrigin = IpPrefixOriginManual;
    row.SuffixOrigin = IpSuffixOriginManual;
    row.ValidLifetime = u32::MAX;
    row.PreferredLifetime = u32::MAX;
    row.OnLinkPrefixLength = address.prefix;
    row.DadState = IpDadStatePreferred;
    row
}

fn is_family(family: ADDRESS_FAMILY) -> bool {
    matches!(family, AF_UNSPEC | AF_INET | AF_INET6)
}

extern "win64" fn get_unicast_ip_address_table(family: ADDRESS_FAMILY, table_out: usize) -> NTSTATUS {
    if !is_family(family) || table_out == 0 {
        return status::INVALID_PARAMETER;
    }
    // Never empty: there are the loopback addresses.
    let addresses = model::list(family);
    let rows = offset_of!(MIB_UNICASTIPADDRESS_TABLE, Table);
    let table = pool::allocate(&Request {
        kind: PoolKind::NonPaged,
        size: rows + addresses.len() * size_of::<MIB_UNICASTIPADDRESS_ROW>(),
        tag: TABLE_TAG,
        zeroed: true,
        alignment: 0,
    });
    if table == 0 {
        return status::INSUFFICIENT_RESOURCES;
    }
    memory::write(table, u32::try_from(addresses.len()).unwrap_or(u32::MAX));
    for (index, address) in addresses.iter().enumerate() {
        memory::write(
            table + rows + index * size_of::<MIB_UNICASTIPADDRESS_ROW>(),
            row(address),
        );
    }
    memory::write(table_out, table);
    status::SUCCESS
}

extern "win64" fn free_mib_table(table: usize) {
    pool::free(table, Some(TABLE_TAG));
}

extern "win64" fn notify_unicast_ip_address_change(
    family: ADDRESS_FAMILY,
    callback: usize,
    context: u64,
    initial: u8,
    handle_out: usize,
) -> NTSTATUS {
    if !is_family(family) || callback == 0 || handle_out == 0 {
        return status::INVALID_PARAMETER;
    }
    if crate::verifier::faults::allocation_fails() {
        return status::INSUFFICIENT_RESOURCES;
    }
    let handle = model::subscribe(family, callback, context);
    memory::write(handle_out, handle);
    if initial != 0 {
        // It says no more than that the registration works, and has no row.
        work::queue(move || model::tell(handle, |_| true, 0, MibInitialNotification));
    }
    status::SUCCESS
}

extern "win64" fn cancel_mib_change_notify2(handle: u64) -> NTSTATUS {
    if model::in_callback(handle) {
        Violation::new(
            Rule::NetioCancelInCallback,
            BugCheck::verifier(0x91, [handle, 0, 0]),
            "CancelMibChangeNotify2 was called from the callback that it would wait for",
        )
        .advice("Cancel from another thread: the call returns when the callback has returned.")
        .stop()
    }
    if model::unsubscribe(handle) {
        return status::SUCCESS;
    }
    Violation::new(
        Rule::NetioHandle,
        BugCheck::verifier(0x91, [handle, 0, 0]),
        format!("CancelMibChangeNotify2 was called with {handle:#x}, which is no notification"),
    )
    .advice("Pass the handle that NotifyUnicastIpAddressChange stored, once.")
    .stop()
}

/// Reports notifications that a driver, whose image was at `range`, has left behind.
pub fn check_unloaded(range: &Range<usize>) {
    if let Some(subscriber) = model::subscribers_in(range).into_iter().next() {
        Violation::new(
            Rule::NetioNotificationLeak,
            BugCheck::new(0xCE, [subscriber.callback as u64, 0, subscriber.handle, 0]),
            "the driver was unloaded, and its notification of address changes was not cancelled",
        )
        .stack("registered by", subscriber.registered)
        .advice("Call CancelMibChangeNotify2 before the driver unloads.")
        .stop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_the_address_in_network_order() {
        let of = |address: IpAddr| {
            let row = row(&Address {
                luid: 9,
                index: 3,
                address,
                prefix: 24,
            });
            memory::read_bytes((&raw const row).addr(), size_of::<MIB_UNICASTIPADDRESS_ROW>())
        };
        let v4 = of([10, 1, 2, 3].into());
        assert_eq!(v4[..8], [2, 0, 0, 0, 10, 1, 2, 3]);
        assert_eq!(v4[0x3C], 24);
        let v6 = of("fe80::1:2".parse().expect("an address"));
        assert_eq!((v6[0], v6[1]), (0x17, 0));
        assert_eq!(v6[8..24], [0xFE, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2]);
        assert_eq!(v6[0x28..0x2C], [3, 0, 0, 0]);
    }

    #[test]
    fn families_are_told_apart() {
        let (v4, v6): (IpAddr, IpAddr) = ([1, 2, 3, 4].into(), "::1".parse().expect("an address"));
        assert!(is_of(v4, AF_UNSPEC) && is_of(v6, AF_UNSPEC));
        assert!(is_of(v4, AF_INET) && !is_of(v4, AF_INET6));
        assert!(is_of(v6, AF_INET6) && !is_of(v6, AF_INET));
        assert!(!is_family(1));
    }
}
