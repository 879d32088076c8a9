//! The reliable connection (RC) transport: a state machine for each queue pair (IBTA volume 1, chapter 9.7).
//!
//! It knows neither rings nor keys: the device gives it a [`Host`] for the queue pair.

mod config;
mod host;

pub use config::{Path, ReceiveAttributes, SendAttributes, TransportConfig};
pub use host::{
    Access, AccessFault, Counter, Extra, Host, Operation, QpEvent, ReceiveCompletion, ReceiveRequest,
    RemoteRange, SendCompletion, SendRequest, Sge,
};
