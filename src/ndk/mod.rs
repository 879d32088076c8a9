//! The NDK provider: what NDK consumers (SMB Direct) see of the NIC.
//!
//! | module | what it is |
//! |---|---|
//! | [`version`], [`limits`], [`address`], [`private_data`], [`datagram`], [`endpoints`], [`path`], [`lifetime`] | rules without OS or device |
//! | [`completion_arm`], [`completion_moderation`], [`completion_status`], [`post_rules`], [`srq_rules`] | rules of completion and work queues, likewise |
//! | [`access`], [`key`] | access to memory and the keys for it, likewise |
//! | `object` | what all NDK objects share: header, references, close |
//! | `request` | how consumers learn of the end of what they asked for |
//! | `device_object` | what the objects share that the device has too |
//! | `provider` | one for each NIC: opens adapters, runs the connection manager |
//! | `adapter`, `pd`, `mr`, `mw`, `cq`, `srq`, `qp`, `shared_endpoint`, `listener`, `connector` | the objects, one file each |
//! | `qp_create`, `cq_modify`, `srq_modify` | their creation and changes, where those are long |
//! | `post`, `completion_poll` | posting and polling: the fast path |
//! | `queues` | the queues by their numbers, for the device's events |
//! | `fast_register`, `lam` | regions for fast registration, logical address mappings |

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
pub mod srq_rules;
pub mod version;

#[cfg(windows)]
mod adapter;
#[cfg(windows)]
mod completion_poll;
#[cfg(windows)]
mod cq;
#[cfg(windows)]
mod cq_modify;
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
mod post;
#[cfg(windows)]
mod provider;
#[cfg(windows)]
mod qp;
#[cfg(windows)]
mod qp_create;
#[cfg(windows)]
mod queues;
#[cfg(windows)]
mod request;
#[cfg(windows)]
mod shared_endpoint;
#[cfg(windows)]
mod srq;
#[cfg(windows)]
mod srq_modify;

#[cfg(windows)]
pub use provider::{Config, Provider};
