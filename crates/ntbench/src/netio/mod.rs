//! netio.sys: what the IP stack tells drivers about interfaces. `model` is the stack's knowledge, `addresses` exports it.

pub mod addresses;
mod interfaces;
pub mod model;

use crate::exports::Export;

pub use model::{add_address, add_interface, remove_address, remove_interface};

/// The tables of this module's exports.
pub static EXPORTS: &[&[Export]] = &[addresses::EXPORTS, interfaces::EXPORTS];
