//! Bindings for NDKPI, NDIS, NETIO and WSK, for a driver (on Windows) and for the bench that loads it (on Linux).
//!
//! - Names are Microsoft's. A name that ends in `_` is ours, for what a header leaves without a name.
//! - Integers have the width that they have on 64-bit Windows, on every host. Function pointer types have Windows'
//!   calling convention on every host; structures and parameters hold them as `Option`, because C allows null.
//! - Layouts are those that an NDIS 6.30 miniport sees. Sizes and offsets in the source are those of Microsoft's
//!   headers (10.0.16299; what is newer says so) and are checked at compile time; [`abi`] lists what was declared.
//! - A C enumeration is an `i32` with constants, because the other side may send any value.
//! - [`imports`] has the functions of ndis.sys and netio.sys on Windows, and a type `PFN_…` of each everywhere.

#![no_std]
#![expect(
    unsafe_code,
    reason = "bindings: foreign functions, and plain structures that start out as zeros"
)]
#![expect(
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    reason = "the names are Microsoft's"
)]
#![expect(clippy::pub_underscore_fields, reason = "the names are Microsoft's")]
#![expect(
    clippy::cast_possible_truncation,
    reason = "bit fields: the value is masked to the field's width"
)]

#[macro_use]
mod macros;

pub mod abi;
pub mod imports;
pub mod ndis;
pub mod ndkinfo;
pub mod ndkpi;
pub mod netio;
pub mod nt;
pub mod nt_dma;
pub mod nt_resources;
pub mod sockaddr;
pub mod status;
pub mod types;
pub mod wsk;

pub use ndis::{
    assist::*, attributes::*, config::*, dma::*, driver::*, interrupt::*, link::*, nbl::*, nbl_info::*,
    ndk::*, object::*, offload::*, oid::*, oids::*, pm::*, pnp::*, rss::*, statistics::*, status::*,
};
pub use ndkinfo::*;
pub use ndkpi::{adapter::*, common::*, connector::*, cq::*, mr::*, pd::*, qp::*, srq::*};
pub use netio::{address::*, interface::*, route::*};
pub use nt::*;
pub use nt_dma::*;
pub use nt_resources::*;
pub use sockaddr::*;
pub use status::*;
pub use types::*;
pub use wsk::{client::*, provider::*};
