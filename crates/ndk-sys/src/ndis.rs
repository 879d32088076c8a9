//! NDIS as a miniport driver sees it (ndis.h, ntddndis.h, ndisndk.h), by concern.

pub mod assist;
pub mod attributes;
pub mod config;
pub mod dma;
pub mod driver;
pub mod interrupt;
pub mod link;
pub mod nbl;
pub mod nbl_info;
pub mod ndk;
pub mod object;
pub mod offload;
pub mod oid;
pub mod oids;
pub mod pm;
pub mod pnp;
pub mod rss;
pub mod statistics;
pub mod status;
