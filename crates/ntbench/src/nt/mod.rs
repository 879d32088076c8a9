//! The exports of ntoskrnl.exe (and hal.dll, which forwards to it).

use crate::exports::Export;

pub mod debug;
pub mod driver;
pub mod processor;
pub mod unicode;

/// The tables of this module's exports.
pub static EXPORTS: &[&[Export]] = &[debug::EXPORTS, processor::EXPORTS];
