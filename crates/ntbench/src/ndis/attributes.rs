//! `NdisMSetMiniportAttributes`: what a driver says of its adapter while it initialises, in the order that NDIS wants.

use super::adapter::{Miniport, State};
use super::handles;
use super::header::{self, Expected};
use crate::exports;
use crate::memory;
use crate::verifier::{BugCheck, Rule, Violation};
use ndk_sys::{
    NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES, NDIS_MINIPORT_ADAPTER_NDK_ATTRIBUTES,
    NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES, NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES,
    NDIS_NDK_CAPABILITIES, NDIS_OBJECT_TYPE_DEFAULT, NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
    NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES,
    NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_NDK_ATTRIBUTES, NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES,
    NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES, NDIS_OBJECT_TYPE_OFFLOAD,
    NDIS_OBJECT_TYPE_RSS_CAPABILITIES, NDIS_OFFLOAD, NDIS_RECEIVE_SCALE_CAPABILITIES,
    NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2,
    NDIS_SIZEOF_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1,
    NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_1, NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_1,
    NDIS_SIZEOF_RECEIVE_SCALE_CAPABILITIES_REVISION_1, NDIS_STATUS, NDIS_STATUS_NOT_SUPPORTED,
    NDIS_STATUS_SUCCESS, NDK_ADAPTER_INFO,
};
use std::sync::atomic::Ordering;

exports! {
    /// Attributes.
    pub static EXPORTS: "ndis.sys" = {
        NdisMSetMiniportAttributes = function(ndis_m_set_miniport_attributes, exactly(PASSIVE_LEVEL));
    }
}

/// Copies of what the driver has set.
#[derive(Clone, Default)]
pub struct Attributes {
    /// Registration attributes.
    pub registration: Option<Registered>,
    /// General attributes.
    pub general: Option<General>,
    /// Offload attributes.
    pub offload: Option<Offload>,
    /// NDK attributes.
    pub ndk: Option<Ndk>,
}

/// What NDIS keeps of the registration attributes.
#[derive(Clone, Copy, Debug)]
pub struct Registered {
    /// `NDIS_MINIPORT_ATTRIBUTES_*`.
    pub flags: u32,
    /// Seconds between calls of `MiniportCheckForHangEx`.
    pub check_for_hang_seconds: u32,
}

/// What NDIS keeps of the general attributes.
#[derive(Clone, Debug)]
pub struct General {
    /// Largest payload, in bytes.
    pub mtu: u32,
    /// Fastest link in each direction, bit/s.
    pub max_link_speed: [u64; 2],
    /// Link speed in each direction, bit/s.
    pub link_speed: [u64; 2],
    /// `MediaConnectState*`.
    pub connect_state: i32,
    /// Permanent address.
    pub permanent_address: [u8; 6],
    /// Current address.
    pub current_address: [u8; 6],
    /// Entries of the indirection table, if the adapter can scale receives.
    pub indirection_entries: Option<u16>,
    /// OIDs that the driver answers.
    pub oids: Vec<u32>,
}

/// What NDIS keeps of the offload attributes.
#[derive(Clone, Copy)]
pub struct Offload {
    /// What is on.
    pub current: NDIS_OFFLOAD,
    /// What the adapter can do.
    pub hardware: NDIS_OFFLOAD,
}

/// What NDIS keeps of the NDK attributes.
#[derive(Clone, Copy)]
pub struct Ndk {
    /// Whether NDK is enabled.
    pub enabled: bool,
    /// System-wide limits.
    pub capabilities: NDIS_NDK_CAPABILITIES,
    /// Limits for each consumer.
    pub info: NDK_ADAPTER_INFO,
}

#[expect(
    unsafe_code,
    reason = "the capabilities hold an address of driver memory, a plain number here"
)]
// SAFETY: nobody dereferences it.
unsafe impl Send for Ndk {}

impl Attributes {
    /// After a successful `MiniportInitializeEx`: the mandatory ones are there.
    pub(super) fn check_complete(&self) {
        if self.registration.is_none() || self.general.is_none() {
            wrong("MiniportInitializeEx succeeded without setting registration and general attributes")
        }
    }
}

fn wrong(what: &str) -> ! {
    Violation::new(Rule::NdisMiniportAttributes, BugCheck::verifier(0x91, [0, 0, 0]), what)
        .advice("Set registration attributes first, then general attributes, then the others, all inside MiniportInitializeEx.")
        .stop()
}

extern "win64" fn ndis_m_set_miniport_attributes(handle: u64, attributes: usize) -> NDIS_STATUS {
    let miniport = handles::get::<Miniport>(handle);
    let kind: u8 = memory::read(attributes);
    if miniport.state() != State::Initializing {
        wrong("NdisMSetMiniportAttributes was called outside of MiniportInitializeEx")
    }
    let (has_registration, has_general) = {
        let attributes = miniport.attributes.lock();
        (attributes.registration.is_some(), attributes.general.is_some())
    };
    let is_registration = kind == NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES;
    if !is_registration && !has_registration {
        wrong("other attributes were set before the registration attributes")
    }
    let is_general = kind == NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES;
    if !is_registration && !is_general && !has_general {
        wrong("further attributes were set before the general attributes")
    }
    match kind {
        NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES => registration(&miniport, attributes),
        NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES => general(&miniport, attributes),
        NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_NDK_ATTRIBUTES => ndk(&miniport, attributes),
        NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES => offload(&miniport, attributes),
        NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES => {}
        _ => return NDIS_STATUS_NOT_SUPPORTED,
    }
    NDIS_STATUS_SUCCESS
}

fn registration(miniport: &Miniport, at: usize) {
    header::check(
        at,
        Expected {
            name: "NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES",
            kind: NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES,
            revision: 1,
            size: NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_1,
        },
    );
    let value: NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES = memory::read(at);
    miniport
        .context
        .store(value.MiniportAdapterContext as u64, Ordering::Release);
    miniport.attributes.lock().registration = Some(Registered {
        flags: value.AttributeFlags,
        check_for_hang_seconds: value.CheckForHangTimeInSeconds,
    });
}

fn general(miniport: &Miniport, at: usize) {
    header::check(
        at,
        Expected {
            name: "NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES",
            kind: NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
            revision: 2,
            size: NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2,
        },
    );
    let value: NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES = memory::read(at);
    let oids = memory::read_bytes(
        value.SupportedOidList as usize,
        value.SupportedOidListLength as usize,
    )
    .chunks_exact(4)
    .map(|oid| u32::from_le_bytes([oid[0], oid[1], oid[2], oid[3]]))
    .collect();
    let scaling = value.RecvScaleCapabilities as usize;
    let indirection_entries = (scaling != 0).then(|| receive_scaling(scaling));
    let address = |bytes: &[u8]| std::array::from_fn(|at| bytes.get(at).copied().unwrap_or(0));
    miniport.attributes.lock().general = Some(General {
        mtu: value.MtuSize,
        max_link_speed: [value.MaxXmitLinkSpeed, value.MaxRcvLinkSpeed],
        link_speed: [value.XmitLinkSpeed, value.RcvLinkSpeed],
        connect_state: value.MediaConnectState,
        permanent_address: address(&value.PermanentMacAddress),
        current_address: address(&value.CurrentMacAddress),
        indirection_entries,
        oids,
    });
}

/// The entries of the indirection table that the capabilities name; before revision 2 all tables have 128.
fn receive_scaling(at: usize) -> u16 {
    header::check(
        at,
        Expected {
            name: "NDIS_RECEIVE_SCALE_CAPABILITIES",
            kind: NDIS_OBJECT_TYPE_RSS_CAPABILITIES,
            revision: 1,
            size: NDIS_SIZEOF_RECEIVE_SCALE_CAPABILITIES_REVISION_1,
        },
    );
    let value: NDIS_RECEIVE_SCALE_CAPABILITIES = memory::read(at);
    if value.Header.Revision >= 2 {
        value.NumberOfIndirectionTableEntries
    } else {
        128
    }
}

fn offload(miniport: &Miniport, at: usize) {
    header::check(
        at,
        Expected {
            name: "NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES",
            kind: NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES,
            revision: 1,
            size: NDIS_SIZEOF_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1,
        },
    );
    let value: NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES = memory::read(at);
    let [current, hardware] = [
        value.DefaultOffloadConfiguration as usize,
        value.HardwareOffloadCapabilities as usize,
    ]
    .map(|at| {
        header::check(
            at,
            Expected {
                name: "NDIS_OFFLOAD",
                kind: NDIS_OBJECT_TYPE_OFFLOAD,
                revision: 1,
                size: NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_1,
            },
        );
        memory::read(at)
    });
    miniport.attributes.lock().offload = Some(Offload { current, hardware });
}

fn ndk(miniport: &Miniport, at: usize) {
    header::check(
        at,
        Expected {
            name: "NDIS_MINIPORT_ADAPTER_NDK_ATTRIBUTES",
            kind: NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_NDK_ATTRIBUTES,
            revision: 1,
            size: 0x10,
        },
    );
    let value: NDIS_MINIPORT_ADAPTER_NDK_ATTRIBUTES = memory::read(at);
    let capabilities_at = value.NdkCapabilities as usize;
    header::check(
        capabilities_at,
        Expected {
            name: "NDIS_NDK_CAPABILITIES",
            kind: NDIS_OBJECT_TYPE_DEFAULT,
            revision: 1,
            size: 0x38,
        },
    );
    let capabilities: NDIS_NDK_CAPABILITIES = memory::read(capabilities_at);
    let info: NDK_ADAPTER_INFO = memory::read(capabilities.NdkInfo as usize);
    miniport.attributes.lock().ndk = Some(Ndk {
        enabled: value.Enabled != 0,
        capabilities,
        info,
    });
}
