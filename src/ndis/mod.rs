//! The miniport: how NDIS drives the adapter.
//!
//! | module | what it is |
//! |---|---|
//! | `driver` | registration of the driver and of its NDK provider handlers, unload |
//! | `adapter` | the adapter context: what belongs to one NIC |
//! | `config` | keywords in the registry |
//! | `initialize`, `attributes`, `halt` | an adapter comes and goes |
//! | `state` | pause, restart, shutdown, reset, surprise removal |
//! | `interrupt` | what the device's events lead to |
//! | `health` | what becomes of an adapter whose device fails |
//! | `oid`, `oid_direct`, `statistics` | OID requests |
//! | `ndk_state`, `ndk_adapter` | enabling, disabling, opening and closing NDK |
//! | `send` | transmit |
//!
//! Functions that NDIS calls turn their raw arguments into checked types, call one safe method, and turn the result into
//! a status.

mod adapter;
mod attributes;
mod config;
pub mod driver;
mod halt;
mod health;
mod initialize;
mod interrupt;
mod ndk_adapter;
mod ndk_state;
mod oid;
mod oid_direct;
mod send;
mod state;
mod statistics;

use ndk_sys::NDIS_OBJECT_HEADER;

/// The header of NDIS structure `T`, for structures that end with their last field.
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
