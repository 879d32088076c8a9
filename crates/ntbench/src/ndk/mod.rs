//! An NDK consumer, standing where tcpip's NDK shim stands on Windows: between the provider's dispatch tables and whoever
//! uses them. Tests use it directly.
//!
//! | module | what |
//! |---|---|
//! | [`adapter`], [`listener`], [`connector`] | the objects, as a consumer holds them |
//! | `objects` | the live objects of all providers: adoption, antecedents, close |
//! | `requests` | calls that may pend, and their completions |
//! | `callbacks` | what providers call |
//! | [`consumer`] | consumers that are drivers |
//! | `kind` | the object types and their dispatch tables |
//! | `rules` | the rules that a provider must keep |
//! | [`guarded`], [`sockaddr`] | arguments |
//! | [`trace`] | a record of all calls and callbacks |
//!
//! As the shim may, it replaces each object's `Dispatch` and uses `NdkReserved`, so that a provider that relies on either
//! is found out.

pub mod adapter;
mod callbacks;
pub mod connector;
pub mod consumer;
pub mod guarded;
mod incoming;
mod kind;
pub mod listener;
mod objects;
mod requests;
mod rules;
pub mod sockaddr;
pub mod trace;

pub use adapter::Adapter;
pub use connector::{ConnectionData, Connector};
pub use incoming::Incoming;
pub use listener::Listener;
pub use requests::Closing;

use ndk_sys::{NDK_VERSION, NTSTATUS};
use std::time::Duration;

/// NDKPI 1.2.
pub const VERSION_1_2: NDK_VERSION = NDK_VERSION { Major: 1, Minor: 2 };
/// NDKPI 2.0.
pub const VERSION_2_0: NDK_VERSION = NDK_VERSION { Major: 2, Minor: 0 };

/// How long a provider may take to complete what has pended, when nothing keeps it from doing so.
fn completion_limit() -> Duration {
    crate::verifier::limits::get().ndk_completion
}

/// `STATUS_SUCCESS` or the status.
fn ok(status: NTSTATUS) -> Result<(), NTSTATUS> {
    if status == ndk_sys::STATUS_SUCCESS {
        Ok(())
    } else {
        Err(status)
    }
}
