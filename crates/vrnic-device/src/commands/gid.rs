//! `SET_GID`.

use std::mem::offset_of;
use std::net::IpAddr;

use roce_wire::gid::Gid as WireGid;
use vrnic_abi::cm::{GID_VALID, GidEntry};
use vrnic_abi::cmd::Command;

use super::{NO_OUTPUT, bad_input, check_input, input, no_mailbox};
use crate::command_queue::Outcome;
use crate::device::Device;
use crate::gid_table::Gid;

/// The drop eligible indicator of a VLAN tag, which a table entry cannot have.
const VLAN_DEI: u16 = 1 << 12;
/// The VLAN id that IEEE 802.1Q reserves.
const VLAN_RESERVED: u16 = 0xFFF;

pub(super) fn set(device: &mut Device, command: &Command) -> Outcome {
    no_mailbox(command)?;
    let entry: GidEntry = input(command)?;
    let (flags, vlan) = (entry.flags.get(), entry.vlan.get());
    check_input(flags & !GID_VALID == 0, offset_of!(GidEntry, flags))?;
    check_input(entry.reserved == 0, offset_of!(GidEntry, reserved))?;
    let gid = if flags & GID_VALID == 0 {
        None
    } else {
        let vlan_is_valid = vlan & VLAN_DEI == 0 && vlan & VLAN_RESERVED != VLAN_RESERVED;
        check_input(vlan_is_valid, offset_of!(GidEntry, vlan))?;
        check_input(is_unicast(entry.gid), offset_of!(GidEntry, gid))?;
        Some(Gid {
            addr: entry.gid,
            vlan,
        })
    };
    if device.gids.set(entry.index.get(), gid) {
        Ok(NO_OUTPUT)
    } else {
        Err(bad_input(offset_of!(GidEntry, index)))
    }
}

/// Whether a host can have that address.
pub(super) fn is_unicast(gid: [u8; 16]) -> bool {
    match WireGid(gid).to_ip() {
        IpAddr::V4(v4) => !v4.is_unspecified() && !v4.is_multicast() && !v4.is_broadcast(),
        IpAddr::V6(v6) => !v6.is_unspecified() && !v6.is_multicast(),
    }
}
