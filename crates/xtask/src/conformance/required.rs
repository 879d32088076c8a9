//! What must be judged by a test that passes.

use std::collections::BTreeSet;

use super::results::{Outcome, Results};
use super::sources::{Claim, Kind};

/// Microsoft's `NetworkDirect` unit tests, by their names there without the prefix `nd`.
pub const NETWORK_DIRECT: &[&str] = &[
    "ConnClose",
    "ConnListenClosing",
    "ConnReject",
    "ConnRejectClose",
    "DualConnection",
    "DualListen",
    "InvalidIP",
    "InvalidRead",
    "InvalidWrite",
    "LargePrivateData",
    "LargeQPDepth",
    "MRDeregister",
    "MRInvalidBuffer",
    "OverRead",
    "OverWrite",
    "QpMax",
    "ReceiveConnClosed",
    "ReceiveFlushQP",
    "SendNoReceive",
    "WriteViolation",
    "mval",
    "mw",
];

/// The events of SMB Direct's log that complain about an adapter, by channel and number.
pub const SMB_DIRECT: &[&str] = &[
    "Admin 1",
    "Admin 2",
    "Admin 3",
    "Admin 6",
    "Admin 10",
    "Operational 300",
    "Operational 301",
    "Operational 302",
    "Operational 303",
    "Operational 304",
    "Debug 305",
];

/// Programs of Linux, and what must be tried with them.
pub const LINUX: &[&str] = &[
    "rping",
    "ibv_rc_pingpong",
    "ucmatose",
    "ib_send_bw",
    "ib_read_bw",
    "ib_write_bw",
    "ib_send_lat",
    "ib_read_lat",
    "ib_write_lat",
    "reject by us",
    "reject by Linux",
    "IPv6",
    "MTU 1024",
    "MTU 4096",
    "loss and reordering",
    "peer killed",
    "peer rebooted",
    "1,000 connects",
    "ping",
    "iperf3",
    "reject through QEMU",
    "rping through QEMU",
    "perftest through QEMU",
    "iperf3 through QEMU",
    "two NICs in a guest",
    "reset in a guest",
    "NIC lost in a guest",
    "IP fragments",
    "Ethernet MTU 1500",
    "Ethernet MTU 9000",
    "with offloads",
    "without offloads",
    "checksums",
    "IP while RDMA runs",
];

/// Handlers of the miniport that belong to NDK; the functions are those of the dispatch tables.
const HANDLERS: &[&str] = &[
    "OpenNDKAdapterHandler",
    "CloseNDKAdapterHandler",
    "OID_NDK_SET_STATE",
    "OID_NDK_STATISTICS",
    "OID_NDK_CONNECTIONS",
    "OID_NDK_LOCAL_ENDPOINTS",
];

/// The functions of all NDK dispatch tables, and the handlers.
#[must_use]
pub fn functions() -> BTreeSet<String> {
    let mut functions: BTreeSet<String> = HANDLERS.iter().map(|name| (*name).to_owned()).collect();
    let tables = ndk_sys::abi::layouts()
        .filter(|layout| layout.name.starts_with("NDK_") && layout.name.ends_with("_DISPATCH"));
    for table in tables {
        table.for_each_member(&mut |name, _| {
            if name.starts_with("Ndk") {
                functions.insert(name.to_owned());
            }
        });
    }
    functions
}

/// What is required and judged by no test that has passed.
#[must_use]
pub fn missing(claims: &[Claim], results: &Results) -> Vec<String> {
    let judged = |kind: Kind, subject: &str| {
        claims
            .iter()
            .filter(|claim| claim.kind == kind && claim.subject == subject)
            .any(|claim| results.of(&claim.test) == Some(Outcome::Passed))
    };
    let lists = [
        (Kind::NetworkDirect, NETWORK_DIRECT),
        (Kind::SmbDirect, SMB_DIRECT),
        (Kind::Linux, LINUX),
    ];
    let listed = lists
        .iter()
        .flat_map(|(kind, names)| names.iter().map(|name| (*kind, (*name).to_owned())));
    functions()
        .into_iter()
        .map(|name| (Kind::Function, name))
        .chain(listed)
        .filter(|(kind, name)| !judged(*kind, name))
        .map(|(_, name)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_are_those_of_all_tables() {
        let functions = functions();
        for name in [
            "NdkReject",
            "NdkCreateCq",
            "NdkSendAndInvalidate",
            "NdkSrqReceive",
            "NdkGetCqResultsEx",
        ] {
            assert!(functions.contains(name), "{name} is in {functions:?}");
        }
    }

    #[test]
    fn nothing_is_judged_without_tests() {
        let missing = missing(&[], &Results::default());
        assert_eq!(
            missing.len(),
            functions().len() + NETWORK_DIRECT.len() + SMB_DIRECT.len() + LINUX.len()
        );
    }
}
