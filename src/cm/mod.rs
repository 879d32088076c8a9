//! The InfiniBand communication manager (IBTA volume 1, chapter 12) over `RoCEv2`, with the RDMA IP CM service (annex A11), as a
//! state machine: messages, deadlines and the consumer's calls go in, messages and connect events come out. It knows no
//! operating system and no device, allocates nothing and calls nobody.
//!
//! | module | what |
//! |---|---|
//! | `manager` | [`Manager`]: all connections of an adapter; time |
//! | `calls` | what consumers ask for |
//! | `dispatch` | messages from the wire to connections |
//! | `connection` | one connection: what both sides have in common |
//! | `active`, `passive` | how it is set up |
//! | `reject`, `disconnect` | how it ends |
//! | `alternate_path` | why it has one path only |
//! | `state` | [`CmState`], and which states a consumer can reject in |
//! | `event` | what is to be sent and told |
//! | `request` | a REQ, checked: [`ConnectRequest`] |
//! | `table`, `index` | the table of connections, and how they are found |
//! | `comm_id` | our communication ids |
//! | `listener` | the table of listeners |
//! | `timer` | deadlines |
//! | `config`, `counters`, `address` | [`Config`], [`Counters`], [`AddressHandle`] |
//!
//! # Who waits for whom
//!
//! What we ask of a peer (REQ, REP, DREQ) is repeated until it is answered, and given up after as many repetitions as
//! [`Config`] says; an MRA of the peer begins the count again, since somebody is there. What a peer asks of a consumer (a REQ, or
//! the REP that answers ours) is **held**, without a time limit of ours: before the peer gets impatient, and whenever it
//! repeats itself, an MRA tells it to wait. The peer can **abandon** it (by a REJ or DREQ, by using its id or queue pair for
//! something else, or by having had no patience left for long); the consumer finds out when it answers.
//!
//! # What is remembered
//!
//! What was **rejected** is kept in quarantine for a while: the same message is answered by the same REJ, and does not come to
//! the consumer again. A connection that is over stays in **time wait**, and so do its ids and the peer's queue pair. When
//! all slots are in use, what has been in one of these longest is forgotten first; nothing that has an owner ever is.

mod active;
mod address;
mod alternate_path;
mod calls;
mod comm_id;
mod config;
mod connection;
mod counters;
mod disconnect;
mod dispatch;
mod event;
mod index;
mod listener;
mod manager;
mod passive;
mod reject;
mod request;
mod state;
mod table;
mod timer;

#[cfg(test)]
#[expect(
    clippy::large_types_passed_by_value,
    clippy::large_enum_variant,
    reason = "messages by value keep the tests short"
)]
mod tests;

pub use active::{CompleteError, Connect, ConnectError};
pub use address::{AddressHandle, HOP_LIMIT};
pub use calls::{
    AcceptPlan, AcceptToken, Closed, CompletePlan, CompleteToken, Disconnecting, RejectPlan, RejectToken,
};
pub use config::{Config, DEFAULT_MRA_SERVICE_TIMEOUT, ReadLimits};
pub use connection::{Finished, QpOutcome};
pub use counters::Counters;
pub use disconnect::DisconnectError;
pub use event::{
    Accepted, DisconnectTimeout, Event, LocalQp, Notice, Outgoing, QpParameters, Reaction, Refusal,
};
pub use listener::{ListenError, ListenerId, ListenerSlot};
pub use manager::{DEFAULT_BACKLOG, LiveConnection, Manager, Reacts, Tables};
pub use passive::{Accept, AcceptError};
pub use reject::SendOutcome;
pub use request::{ConnectRequest, Offer, RemoteQp};
pub use state::{CmState, RejectError};
pub use table::{ConnectionId, Slot};
pub use timer::TimerCell;
