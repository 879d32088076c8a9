//! `NDK_CONNECTOR`: one connection attempt and, later, the connection.
//!
//! | module | what |
//! |---|---|
//! | [`machine`] | what a connector does when: the rules |
//! | [`data`] | what `NdkGetConnectionData` gives |
//! | `object` | the object and its life |
//! | `run` | carries out what the rules say |
//! | `connect`, `accept`, `reject` | how a connection is set up, or not |
//! | `queue_pair` | the queue pair's changes of state |
//! | `event` | the consumer's disconnect event |
//! | `entries` | what consumers call |

pub mod data;
pub mod machine;

#[cfg(windows)]
mod accept;
#[cfg(windows)]
mod connect;
#[cfg(windows)]
mod entries;
#[cfg(windows)]
mod event;
#[cfg(windows)]
mod object;
#[cfg(windows)]
mod queue_pair;
#[cfg(windows)]
mod reject;
#[cfg(windows)]
mod run;

#[cfg(windows)]
pub use entries::{read_address, store_address};
#[cfg(windows)]
pub use object::Connector;
