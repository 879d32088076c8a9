//! Functions of ndis.sys (ndis.h).

mod library;
mod log;
mod miniport;

pub use library::*;
pub use log::*;
pub use miniport::*;
