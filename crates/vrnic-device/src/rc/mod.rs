//! The reliable connection (RC) transport: a state machine for each queue pair (IBTA volume 1, chapter 9.7).
//!
//! A [`QueuePair`] knows neither rings nor keys, and has no thread: the device calls it when something has happened, and gives it a [`Host`]
//! for what it needs. Everything is checked: what comes from the wire leads to an answer or is dropped, what comes from the driver to a
//! completion.
//!
//! | file | what |
//! |---|---|
//! | `queue_pair` | the states, and who gets what |
//! | `host`, `port`, `config` | what surrounds it |
//! | `requester`, `completer`, `retry`, `window` | our requests: out, back, again, how many at once |
//! | `responder`, `answers`, `parking`, `request` | the peer's requests: execution, answers, early SENDs |
//! | `packet`, `psn` | frames, and the place of a packet |

mod answers;
mod completer;
mod config;
mod host;
mod packet;
mod parking;
mod port;
mod psn;
mod queue_pair;
mod request;
mod requester;
mod responder;
mod retry;
mod window;

pub use config::{Limits, Path, ReceiveAttributes, SendAttributes, TransportConfig};
pub use host::{
    Access, AccessFault, Counter, Extra, Host, Operation, QpEvent, ReceiveCompletion, ReceiveRequest,
    RemoteRange, SendCompletion, SendRequest, Sge,
};
pub use queue_pair::{Dropped, QueuePair, StateError};
