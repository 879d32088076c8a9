//! Ethernet queues as the device has them: descriptors, completions, doorbells, commands. What is in the frames and whose they
//! are is the business of `ndis::ethernet`.
//!
//! | module | what it is |
//! |---|---|
//! | [`descriptor`] | descriptors as they are written |
//! | [`completion`] | completions as they are read |
//! | `rings` | the rings and doorbells of one queue |
//! | `commands` | the port's settings |

pub mod completion;
pub mod descriptor;

#[cfg(windows)]
mod commands;
#[cfg(windows)]
mod rings;

#[cfg(windows)]
pub use commands::Moderation;
#[cfg(windows)]
pub use rings::{EthRings, RingSizes};
