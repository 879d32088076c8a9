//! NDIS 6.30 as a miniport driver sees it: the exports of ndis.sys, and the life cycle that NDIS drives adapters through.

use crate::exports::Export;

pub mod adapter;
pub mod attributes;
pub mod config;
pub mod departures;
pub mod driver;
pub mod filter;
pub mod frame;
pub mod handles;
pub mod header;
pub mod indications;
pub mod interrupt;
pub mod io;
pub mod meter;
pub mod nbl;
pub mod ndk;
pub mod objects;
pub mod oid;
pub mod packet;
pub mod pnp;
pub mod power;
pub mod processors;
pub mod protocol;
pub mod receive;
pub mod resources;
pub mod rss;
pub mod send;
pub mod statistics;

pub use adapter::{Adapter, Config, Keyword, Miniport};
pub use protocol::{Protocol, Uses};

/// The tables of this module's exports.
pub static EXPORTS: &[&[Export]] = &[
    attributes::EXPORTS,
    config::EXPORTS,
    driver::EXPORTS,
    indications::EXPORTS,
    interrupt::EXPORTS,
    io::EXPORTS,
    nbl::context::EXPORTS,
    nbl::data::EXPORTS,
    nbl::pool::EXPORTS,
    ndk::EXPORTS,
    objects::EXPORTS,
    oid::EXPORTS,
    processors::EXPORTS,
    receive::EXPORTS,
    send::EXPORTS,
];

/// The lower half of `rax`, as the status that the driver returned.
#[must_use]
pub(crate) fn status_of(result: u64) -> ndk_sys::NDIS_STATUS {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a status is the lower half of rax"
    )]
    let low = result as u32;
    low.cast_signed()
}
