//! The NDK provider: what NDK consumers (SMB Direct) see of the NIC.
//!
//! | module | what it is |
//! |---|---|
//! | [`version`], [`limits`], [`address`], [`private_data`], [`datagram`], [`endpoints`], [`path`], [`lifetime`] | rules without OS or device |
//! | [`completion_arm`], [`completion_moderation`], [`completion_status`], [`post_rules`] | rules of completion and work queues, likewise |
//! | [`access`], [`key`] | access to memory and the keys for it, likewise |
//! | `object` | what all NDK objects share: header, references, close |
//! | `request` | how consumers learn of the end of what they asked for |
//! | `device_object` | what the objects share that the device has too |
//! | `provider` | one for each NIC: opens adapters, runs the connection manager |
//! | `adapter`, `pd`, `mr`, `mw`, `listener`, `connector` | the objects, one file each |
//! | `fast_register`, `lam` | regions for fast registration, logical address mappings |
//! | `unsupported` | slots of the objects that are not built yet |
//!
//! Completion queues, shared endpoints and queue pairs come with the transport;
//! until then their creation answers `STATUS_NOT_SUPPORTED`, and the limits that the adapter reports for them are 0.

pub mod access;
pub mod address;
pub mod completion_arm;
pub mod completion_moderation;
pub mod completion_status;
pub mod connector;
pub mod datagram;
pub mod endpoints;
pub mod key;
pub mod lifetime;
pub mod limits;
pub mod path;
pub mod post_rules;
pub mod private_data;
pub mod version;

#[cfg(windows)]
mod adapter;
#[cfg(windows)]
mod device_object;
#[cfg(windows)]
mod fast_register;
#[cfg(windows)]
mod lam;
#[cfg(windows)]
mod listener;
#[cfg(windows)]
mod mr;
#[cfg(windows)]
mod mw;
#[cfg(windows)]
mod object;
#[cfg(windows)]
mod pd;
#[cfg(windows)]
mod provider;
#[cfg(windows)]
mod qp;
#[cfg(windows)]
mod request;
#[cfg(windows)]
mod shared_endpoint;
#[cfg(windows)]
mod unsupported;

#[cfg(windows)]
pub use provider::{Config, Provider};
