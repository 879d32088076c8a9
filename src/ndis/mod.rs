//! The miniport: how NDIS drives the adapter.
//!
//! | module | what it is |
//! |---|---|
//! | `driver` | registration of the driver and of its NDK provider handlers, unload |
//! | `adapter` | the adapter context: what belongs to one NIC |
//! | [`config`] | keywords in the registry |
//! | `ethernet` | frames, both ways |
//! | `power` | sleeping, waking up, being reset |
//! | [`offload`], [`task_offload`], [`rss`] | from NDIS's terms to the device's: rules without OS or device |
//! | `initialize`, `attributes`, `halt` | an adapter comes and goes |
//! | `state` | pause, restart, shutdown, reset, surprise removal |
//! | `interrupt` | what the device's events lead to |
//! | `health` | what becomes of an adapter whose device fails |
//! | [`oids`] | the OIDs that the adapter answers |
//! | `oid`, `oid_ethernet`, `oid_direct`, `statistics` | OID requests |
//! | `ndk_state`, `ndk_adapter` | enabling, disabling, opening and closing NDK |
//!
//! Functions that NDIS calls turn their raw arguments into checked types, call one safe method, and turn the result into
//! a status.

pub mod config;
pub mod offload;
pub mod oids;
pub mod rss;
pub mod task_offload;

#[cfg(windows)]
mod adapter;
#[cfg(windows)]
mod attributes;
#[cfg(windows)]
pub mod driver;
#[cfg(windows)]
mod ethernet;
#[cfg(windows)]
mod halt;
#[cfg(windows)]
mod health;
#[cfg(windows)]
mod initialize;
#[cfg(windows)]
mod interrupt;
#[cfg(windows)]
mod ndk_adapter;
#[cfg(windows)]
mod ndk_state;
#[cfg(windows)]
mod oid;
#[cfg(windows)]
mod oid_direct;
#[cfg(windows)]
mod oid_ethernet;
#[cfg(windows)]
mod power;
#[cfg(windows)]
mod state;
#[cfg(windows)]
mod statistics;

use ndk_sys::NDIS_OBJECT_HEADER;

/// The header of NDIS structure `T`, for structures that end with their last field.
#[must_use]
pub const fn object_header<T>(kind: u8, revision: u8) -> NDIS_OBJECT_HEADER {
    const { assert!(size_of::<T>() <= u16::MAX as usize) };
    #[expect(clippy::cast_possible_truncation, reason = "checked above, when compiling")]
    let size = size_of::<T>() as u16;
    NDIS_OBJECT_HEADER {
        Type: kind,
        Revision: revision,
        Size: size,
    }
}
