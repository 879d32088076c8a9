//! The hardware: registers, reset, command queue, event queue, CM service.
//!
//! Programs what [`vrnic_abi`] lays out. Nothing that the device writes is trusted: it is copied once and range-checked,
//! garbage marks the device dead, and all waits are bounded.
//!
//! | module | what it is |
//! |---|---|
//! | [`command`] | commands as their callers see them |
//! | [`health`] | whether the device works, and why not |
//! | [`gid`] | the table of the port's addresses |
//! | `slots`, `ring`, `info`, `turn` | rules of the queues and of the device's answers, without OS or device |
//! | [`work_queue`] | send, receive and completion queues: the fast path |
//! | [`eth`] | Ethernet queues |
//! | `device` | registers, doorbells, reset |
//! | `command_queue` | posts commands and gets their results |
//! | `request` | commands whose callers do not wait |
//! | `events` | the event queues and the ring of received datagrams |
//! | `bring_up`, `adapter` | `Nic`: all of it together |

pub mod command;
pub mod eth;
pub mod gid;
pub mod health;
pub mod ring;

pub mod info;
pub mod slots;
pub mod turn;
pub mod work_queue;

#[cfg(windows)]
mod adapter;
#[cfg(windows)]
mod bring_up;
#[cfg(windows)]
mod command_queue;
#[cfg(windows)]
mod device;
#[cfg(windows)]
mod events;
#[cfg(windows)]
mod request;

#[cfg(windows)]
pub use adapter::Nic;
#[cfg(windows)]
pub use bring_up::{BringUpError, Resources};
#[cfg(windows)]
pub use command_queue::Wait;
#[cfg(windows)]
pub use device::{Link, StateError};
#[cfg(windows)]
pub use events::{NicEvent, ObjectEvent};
pub use health::Health;
#[cfg(windows)]
pub use request::{Payload, Request, Submitted};
pub use slots::Outcome;
