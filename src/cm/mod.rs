//! The InfiniBand communication manager (IBTA volume 1, chapter 12) over `RoCEv2`, with the RDMA IP CM service (annex A11), as a
//! state machine: messages, deadlines and the consumer's calls go in, messages and connect events come out. It knows no
//! operating system and no device, allocates nothing and calls nobody.
//!
//! | module | what |
//! |---|---|
//! | `manager` | [`Manager`]: all connections of an adapter, what its driver calls |
//! | `dispatch` | messages from the wire to connections |
//! | `connection` | one connection: events to changes of state |
//! | `state` | [`CmState`], and which states a consumer can reject in |
//! | `request` | a REQ, checked: [`ConnectRequest`] |
//! | `table` | the table of connections |
//! | `comm_id` | our communication ids |
//! | `listener` | the table of listeners |
//! | `timer` | deadlines |
//! | `address` | [`AddressHandle`] |
//!
//! # The passive side
//!
//! A request that passes its checks and finds a listener is **held**, without a time limit of ours: before the peer gets
//! impatient, and whenever it repeats the request, an MRA tells it to wait. The peer can **abandon** it (by a REJ or DREQ, by using its id for
//! something else, or by having had no patience left for long); the consumer finds out when it answers. What the consumer
//! **rejects** is kept in quarantine for a while: the same request is answered by the same REJ, and does not come to the consumer
//! again. When all slots are in use, the request longest in quarantine is forgotten first; held ones never are.

mod address;
mod comm_id;
mod connection;
mod dispatch;
mod listener;
mod manager;
mod request;
mod state;
mod table;
mod timer;

#[cfg(test)]
mod tests;

pub use address::{AddressHandle, HOP_LIMIT};
pub use connection::SendOutcome;
pub use listener::{ListenError, ListenerId, ListenerSlot};
pub use manager::{
    Config, Counters, DEFAULT_BACKLOG, DEFAULT_MRA_SERVICE_TIMEOUT, Manager, Outgoing, Reaction, RejectPlan,
    RejectToken, Tables,
};
pub use request::{ConnectRequest, Offer, RemoteQp};
pub use state::{CmState, RejectError};
pub use table::{ConnectionId, Slot};
pub use timer::TimerCell;
