//! Interfaces by index, LUID and alias.

use super::model;
use crate::exports;
use crate::memory;
use crate::nt::status;
use ndk_sys::{NTSTATUS, STATUS_NO_MEMORY};

exports! {
    /// Conversions between the names of interfaces.
    pub static EXPORTS: "netio.sys" = {
        ConvertInterfaceIndexToLuid = function(convert_interface_index_to_luid, exactly(PASSIVE_LEVEL));
        ConvertInterfaceLuidToIndex = function(convert_interface_luid_to_index, exactly(PASSIVE_LEVEL));
        ConvertInterfaceLuidToAlias = function(convert_interface_luid_to_alias, exactly(PASSIVE_LEVEL));
        ConvertInterfaceAliasToLuid = function(convert_interface_alias_to_luid, exactly(PASSIVE_LEVEL));
    }
}

/// Longest alias (`NDIS_IF_MAX_STRING_SIZE`).
const ALIAS_LIMIT: usize = 256;

/// What the system calls an interface.
fn alias(index: u32) -> String {
    format!("Ethernet {index}")
}

extern "win64" fn convert_interface_index_to_luid(index: u32, out: usize) -> NTSTATUS {
    if out == 0 {
        return status::INVALID_PARAMETER;
    }
    let found = model::interfaces().into_iter().find(|&(_, other)| other == index);
    memory::write(out, found.map_or(0, |(luid, _)| luid));
    found.map_or(status::INVALID_PARAMETER, |_| status::SUCCESS)
}

extern "win64" fn convert_interface_luid_to_index(luid: usize, out: usize) -> NTSTATUS {
    if luid == 0 || out == 0 {
        return status::INVALID_PARAMETER;
    }
    let found = index_of(luid);
    memory::write(out, found.unwrap_or(0));
    found.map_or(status::INVALID_PARAMETER, |_| status::SUCCESS)
}

/// The index of the interface whose `NET_LUID` is there.
fn index_of(luid: usize) -> Option<u32> {
    let luid: u64 = memory::read(luid);
    let found = model::interfaces().into_iter().find(|&(other, _)| other == luid);
    found.map(|(_, index)| index)
}

extern "win64" fn convert_interface_luid_to_alias(luid: usize, out: usize, length: usize) -> NTSTATUS {
    if luid == 0 || out == 0 {
        return status::INVALID_PARAMETER;
    }
    let Some(index) = index_of(luid) else {
        return status::INVALID_PARAMETER;
    };
    let text: Vec<u16> = alias(index).encode_utf16().chain([0]).collect();
    if length < text.len() {
        return STATUS_NO_MEMORY;
    }
    for (place, unit) in text.into_iter().enumerate() {
        memory::write(out + 2 * place, unit);
    }
    status::SUCCESS
}

extern "win64" fn convert_interface_alias_to_luid(text: usize, out: usize) -> NTSTATUS {
    if text == 0 || out == 0 {
        return status::INVALID_PARAMETER;
    }
    let wanted = memory::read_wide_string(text, ALIAS_LIMIT);
    let mut all = model::interfaces().into_iter();
    let found = all.find(|&(_, index)| alias(index).eq_ignore_ascii_case(&wanted));
    memory::write(out, found.map_or(0, |(luid, _)| luid));
    found.map_or(status::INVALID_PARAMETER, |_| status::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_found_by_each_of_its_names() {
        const LUID: u64 = 0x0006_0000_9900_0000;
        model::add_interface(99, LUID, &[]);
        let (mut luid, mut index, mut alias) = (0_u64, 0_u32, [0_u16; 16]);
        let luid_at = (&raw mut luid) as usize;
        let alias_at = alias.as_mut_ptr() as usize;
        assert_eq!(convert_interface_index_to_luid(99, luid_at), 0);
        assert_eq!(memory::read::<u64>(luid_at), LUID);
        let index_at = (&raw mut index) as usize;
        assert_eq!(convert_interface_luid_to_index(luid_at, index_at), 0);
        assert_eq!(memory::read::<u32>(index_at), 99);
        assert_eq!(
            convert_interface_luid_to_alias(luid_at, alias_at, 11),
            STATUS_NO_MEMORY
        );
        assert_eq!(convert_interface_luid_to_alias(luid_at, alias_at, 12), 0);
        assert_eq!(memory::read_wide_string(alias_at, 16), "Ethernet 99");
        assert_eq!(convert_interface_alias_to_luid(alias_at, luid_at), 0);
        assert_eq!(memory::read::<u64>(luid_at), LUID);
        model::remove_interface(LUID);
        assert_eq!(
            convert_interface_luid_to_index(luid_at, index_at),
            status::INVALID_PARAMETER
        );
        assert_eq!(
            convert_interface_index_to_luid(99, luid_at),
            status::INVALID_PARAMETER
        );
        assert_eq!(memory::read::<u64>(luid_at), 0);
    }
}
