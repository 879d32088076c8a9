//! An NDK consumer, standing where tcpip's NDK shim stands on Windows: between the provider's dispatch tables and whoever
//! uses them. Tests use it directly.
//!
//! | module | what |
//! |---|---|
//! | [`adapter`], [`listener`], [`connector`], `connect`, [`cq`], `pd`, `mr`, `srq`, `qp`, `lam`, `shared_endpoint` | the objects, as a consumer holds them |
//! | `handle` | what they have in common: closing |
//! | [`pair`] | two ends of a connection |
//! | `memory` | what is registered and mapped |
//! | `objects` | the live objects of all providers: adoption, antecedents, close |
//! | `requests`, `started` | calls that may pend, and their completions |
//! | `work` | work requests, their completions, and the rules for both |
//! | `events` | event callbacks |
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
mod connect;
pub mod connector;
pub mod consumer;
pub mod cq;
mod events;
pub mod guarded;
mod handle;
mod incoming;
mod kind;
mod lam;
pub mod listener;
mod memory;
mod mr;
mod objects;
pub mod pair;
mod pd;
mod qp;
mod requests;
mod rules;
mod shared_endpoint;
pub mod sockaddr;
mod srq;
mod started;
pub mod trace;
mod work;

pub use adapter::Adapter;
pub use connect::{ConnectOptions, DisconnectEvent};
pub use connector::{ConnectionData, Connector};
pub use cq::{Cq, CqFunctions, Notify, WorkResult, WorkResultEx};
pub use incoming::Incoming;
pub use lam::{Lam, RawLam, mapping_size};
pub use listener::Listener;
pub use memory::{Memory, MemoryOptions, Sge};
pub use mr::{Mr, Mw};
pub use pair::{End, Pair, PairOptions};
pub use pd::{Pd, QpConfig};
pub use qp::{FastRegistration, Qp};
pub use requests::Closing;
pub use shared_endpoint::SharedEndpoint;
pub use srq::Srq;
pub use started::Started;

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
