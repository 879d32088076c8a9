//! netio.sys: what the IP stack tells drivers about interfaces. `model` is the stack's knowledge; `addresses`, `interfaces`,
//! `routes` and `neighbours` export it; `host` finds neighbours on the wire.

pub mod addresses;
pub mod host;
mod interfaces;
pub mod model;
mod neighbours;
mod routes;
mod sockaddr;

use crate::exports::Export;

pub use host::flush_neighbours;
pub use model::{
    add_address, add_interface, add_route, remove_address, remove_interface, remove_route, set_neighbour,
};

/// The tables of this module's exports.
pub static EXPORTS: &[&[Export]] = &[
    addresses::EXPORTS,
    interfaces::EXPORTS,
    neighbours::EXPORTS,
    routes::EXPORTS,
];
