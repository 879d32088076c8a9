//! Winsock Kernel, as far as NDK consumers need it: registration, and NDK adapters by interface index. There are no sockets.
//!
//! `clients` is who is registered and what they hold, `registration` exports the functions of netio.sys, `provider` has the
//! functions behind a captured provider NPI.

pub mod clients;
mod provider;
mod registration;

use crate::exports::Export;

/// The tables of this module's exports.
pub static EXPORTS: &[&[Export]] = &[registration::EXPORTS];

/// `MAKE_WSK_VERSION(1, 0)`, the only version there is.
const VERSION_1_0: u16 = 0x0100;
