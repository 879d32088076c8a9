//! `NDK_CONNECTOR`: one connection attempt and, later, the connection.
//!
//! | module | what |
//! |---|---|
//! | [`machine`] | what a connector does when: the rules |
//! | `object` | the object and what consumers call |

pub mod machine;

#[cfg(windows)]
mod object;

#[cfg(windows)]
pub use object::{Connector, store_address};
