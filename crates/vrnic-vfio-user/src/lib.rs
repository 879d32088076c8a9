//! Serves vrnic NICs to QEMU (10.1 or newer) and to the bench over vfio-user: each NIC has a socket, to which one client at a time
//! connects.
//!
//! | file | what |
//! |---|---|
//! | `protocol` | the messages |
//! | `channel` | whole messages with their files over a socket |
//! | `memory`, `truncated` | guest memory |
//! | `interrupts` | event files for MSI-X |
//! | `function` | what each message does to the NIC |
//! | `server` | client after client |
//! | `options` | the command line |
//! | `client` | the other side, for the bench |
//!
//! The server layer is the project's own, because a client is not trusted: each message is read whole and checked once, what
//! is wrong gets an `errno`, what cannot be understood ends that client and nothing else. rust-vmm's client judges it in the tests.

pub mod channel;
pub mod client;
pub mod function;
pub mod interrupts;
pub mod memory;
pub mod options;
pub mod protocol;
pub mod server;
pub mod truncated;

pub use client::{Client, ClientError};
pub use function::Function;
pub use server::Server;
