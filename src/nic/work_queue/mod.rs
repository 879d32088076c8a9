//! Work queues and completion queues: what is on the fast path between consumers and the device.
//!
//! | module | what it is |
//! |---|---|
//! | [`wqe`] | work requests, written straight into the ring |
//! | [`send`], [`receive`], [`shared`] | which requests are outstanding, and their consumers' names |
//! | [`completion`] | completions as they are read |

pub mod completion;
pub mod receive;
pub mod send;
pub mod shared;
pub mod wqe;
