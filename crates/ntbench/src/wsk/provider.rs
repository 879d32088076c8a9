//! The functions of a captured provider NPI (`WSK_PROVIDER_DISPATCH`), and those for NDK (`WSK_PROVIDER_NDK_DISPATCH`).

use super::{VERSION_1_0, clients};
use crate::cpu::thunk;
use crate::exports;
use crate::exports::Export;
use crate::memory;
use crate::ndk::consumer::adapter;
use crate::nt::status;
use ndk_sys::{NDK_VERSION, NTSTATUS, WSK_PROVIDER_NDK_DISPATCH, WSKNDK_GET_WSK_PROVIDER_NDK_DISPATCH};
use std::sync::LazyLock;

// Not exports that can be imported: their addresses are in dispatch tables.
exports! {
    /// In the order of `WSK_PROVIDER_DISPATCH`, after the version.
    static FUNCTIONS: "wsk" = {
        WskSocket = function(unsupported, at_most(DISPATCH_LEVEL));
        WskSocketConnect = function(unsupported, at_most(DISPATCH_LEVEL));
        WskControlClient = function(wsk_control_client, exactly(PASSIVE_LEVEL));
        WskGetAddressInfo = function(unsupported, exactly(PASSIVE_LEVEL));
        WskFreeAddressInfo = function(unsupported, exactly(PASSIVE_LEVEL));
        WskGetNameInfo = function(unsupported, exactly(PASSIVE_LEVEL));
    }
}

exports! {
    /// In the order of `WSK_PROVIDER_NDK_DISPATCH`.
    static NDK_FUNCTIONS: "wsk" = {
        WskOpenNdkAdapter = function(wsk_open_ndk_adapter, exactly(PASSIVE_LEVEL));
        WskCloseNdkAdapter = function(wsk_close_ndk_adapter, exactly(PASSIVE_LEVEL));
    }
}

fn addresses(functions: &'static [Export]) -> impl Iterator<Item = u64> {
    functions
        .iter()
        .map(|function| thunk::address_of(function) as u64)
}

/// The table that every captured NPI has; its first word is the version.
static DISPATCH: LazyLock<Vec<u64>> = LazyLock::new(|| {
    let version = u64::from(VERSION_1_0);
    std::iter::once(version).chain(addresses(FUNCTIONS)).collect()
});

/// Address of the `WSK_PROVIDER_DISPATCH`.
pub(super) fn dispatch() -> usize {
    DISPATCH.as_ptr().addr()
}

/// The bench has no sockets.
extern "win64" fn unsupported() -> NTSTATUS {
    status::NOT_IMPLEMENTED
}

extern "win64" fn wsk_control_client(
    client: u64,
    code: u32,
    _input_size: usize,
    _input: usize,
    output_size: usize,
    output: usize,
    size_returned: usize,
    _irp: usize,
) -> NTSTATUS {
    const SIZE: usize = size_of::<WSK_PROVIDER_NDK_DISPATCH>();
    clients::check("WskControlClient", client);
    if code != WSKNDK_GET_WSK_PROVIDER_NDK_DISPATCH {
        return status::NOT_IMPLEMENTED;
    }
    // As observed on Windows: anything but room for exactly this structure is an invalid parameter.
    if output_size != SIZE || output == 0 {
        return status::INVALID_PARAMETER;
    }
    for (slot, address) in addresses(NDK_FUNCTIONS).enumerate() {
        memory::write(output + 8 * slot, address);
    }
    if size_returned != 0 {
        memory::write(size_returned, SIZE);
    }
    status::SUCCESS
}

extern "win64" fn wsk_open_ndk_adapter(
    client: u64,
    version: u32,
    interface_index: u32,
    out: usize,
) -> NTSTATUS {
    clients::check("WskOpenNdkAdapter", client);
    if out == 0 {
        return status::INVALID_PARAMETER;
    }
    // NDK_VERSION is passed by value: the major version in the lower half.
    let [low, high, ..] = [version & 0xFFFF, version >> 16];
    let part = |half: u32| u16::try_from(half).unwrap_or(0);
    let version = NDK_VERSION {
        Major: part(low),
        Minor: part(high),
    };
    match adapter::open(client, version, interface_index) {
        Ok(address) => {
            memory::write(out, address);
            status::SUCCESS
        }
        Err(failure) => failure,
    }
}

extern "win64" fn wsk_close_ndk_adapter(client: u64, address: usize) {
    clients::check("WskCloseNdkAdapter", client);
    adapter::close(client, address);
}
