//! The functions of netio.sys by which a client registers and captures the provider NPI (wsk.h).

use super::{VERSION_1_0, clients, provider};
use crate::exports;
use crate::memory;
use crate::nt::status;
use ndk_sys::{
    NTSTATUS, STATUS_NOINTERFACE, WSK_CLIENT_DISPATCH, WSK_CLIENT_NPI, WSK_PROVIDER_CHARACTERISTICS,
    WSK_PROVIDER_NPI, WSK_REGISTRATION,
};
use std::mem::offset_of;

exports! {
    /// Registration of WSK clients.
    pub static EXPORTS: "netio.sys" = {
        WskRegister = function(wsk_register, at_most(APC_LEVEL));
        WskDeregister = function(wsk_deregister, at_most(APC_LEVEL));
        WskCaptureProviderNPI = function(wsk_capture_provider_npi, at_most(APC_LEVEL));
        WskReleaseProviderNPI = function(wsk_release_provider_npi, at_most(APC_LEVEL));
        WskQueryProviderCharacteristics = function(wsk_query_provider_characteristics, at_most(APC_LEVEL));
    }
}

extern "win64" fn wsk_register(client: usize, registration: usize) -> NTSTATUS {
    if client == 0 || registration == 0 {
        return status::INVALID_PARAMETER;
    }
    let dispatch: usize = memory::read(client + offset_of!(WSK_CLIENT_NPI, Dispatch));
    if dispatch == 0 {
        return status::INVALID_PARAMETER;
    }
    let version: u16 = memory::read(dispatch + offset_of!(WSK_CLIENT_DISPATCH, Version));
    if crate::verifier::faults::allocation_fails() {
        return status::INSUFFICIENT_RESOURCES;
    }
    memory::write(registration, WSK_REGISTRATION::zeroed());
    clients::register(registration, version);
    status::SUCCESS
}

extern "win64" fn wsk_deregister(registration: usize) {
    clients::deregister(registration);
}

/// The subsystem is always ready: no timeout is ever waited for.
extern "win64" fn wsk_capture_provider_npi(registration: usize, _timeout: u32, npi: usize) -> NTSTATUS {
    if clients::version("WskCaptureProviderNPI", registration) != VERSION_1_0 {
        return STATUS_NOINTERFACE;
    }
    let client = clients::capture(registration);
    memory::write(npi + offset_of!(WSK_PROVIDER_NPI, Client), client);
    memory::write(npi + offset_of!(WSK_PROVIDER_NPI, Dispatch), provider::dispatch());
    status::SUCCESS
}

extern "win64" fn wsk_release_provider_npi(registration: usize) {
    clients::release(registration);
}

extern "win64" fn wsk_query_provider_characteristics(
    registration: usize,
    characteristics: usize,
) -> NTSTATUS {
    let _ = clients::version("WskQueryProviderCharacteristics", registration);
    let versions = WSK_PROVIDER_CHARACTERISTICS {
        HighestVersion: VERSION_1_0,
        LowestVersion: VERSION_1_0,
    };
    memory::write(characteristics, versions);
    status::SUCCESS
}
