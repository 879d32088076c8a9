//! Net buffer lists: frames as NDIS hands them over and takes them.
//!
//! | module | what it is |
//! |---|---|
//! | `send` | lists that NDIS wants sent, from the call that brings them to their completion |
//! | `receive` | lists of our own that NDIS borrows |
//!
//! Whoever has a list has a token for it, so that it cannot be touched, completed or lent twice.
#![expect(unsafe_code, reason = "walks and fills NDIS's linked lists")]

mod receive;
mod send;

pub use receive::{Borrowed, ReceiveBuffer, ReceiveChain, ReceiveInfo, ReceiveMemory, Returned};
pub use send::{Ended, EndedChain, InFlight, NetBuffer, SendChain, SendList, SendRequest, Waiting};
