//! The objects of reliable connections, and the host side of the transport in [`crate::rc`].
//!
//! | file | what |
//! |---|---|
//! | `table` | objects by number |
//! | `extent` | the memory of a region: its private page list |
//! | `keys`, `binding` | memory regions, fast registration, windows |
//! | `access` | reading and writing memory by key, for us and for peers |
//! | `completion_queue`, `arming` | completions, and when their events are due |
//! | `receive_queue`, `shared_receive_queue` | receives |
//! | `send_queue`, `decode` | send requests |
//! | `queue_pair` | the object that holds all this together with its transport |
//! | `host` | what the transport asks for |
//! | `schedule` | which queue pair has work, and timers |
//! | `events` | events that wait for room |

mod access;
mod arming;
mod binding;
mod completion_queue;
mod decode;
mod events;
mod extent;
mod host;
mod keys;
mod queue_pair;
mod receive_queue;
mod schedule;
mod send_queue;
mod shared_receive_queue;
mod table;

pub(crate) use binding::{MAX_FAST_PAGES, is_region_access};
pub(crate) use completion_queue::{CQ_LOG2_MAX, CompletionQueue, MAX_COMPLETION_QUEUES};
pub(crate) use extent::Extent;
pub(crate) use keys::{KeyError, KeyKind, MAX_KEYS};
pub(crate) use queue_pair::{Attributes, MAX_INBOUND_READS, MAX_OUTBOUND_READS, MAX_QUEUE_PAIRS, QueuePair};
pub(crate) use receive_queue::{RQ_LOG2_MAX, ReceiveRing};
pub(crate) use schedule::{MAX_PROTECTION_DOMAINS, QueuePairSlot, Rdma, Received};
pub(crate) use send_queue::{SQ_LOG2_MAX, SendQueue};
pub(crate) use shared_receive_queue::{MAX_SHARED_RECEIVE_QUEUES, SharedReceiveQueue};
