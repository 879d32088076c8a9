//! The exports of ntoskrnl.exe (and hal.dll, which forwards to it): one file for each group of routines.

use crate::exports::Export;

pub mod clock;
pub mod debug;
pub mod dispatcher;
pub mod dpc;
pub mod driver;
pub mod event_log;
mod format;
pub mod mdl;
pub mod object;
pub mod pool;
pub mod processor;
pub mod registry;
pub mod rtl;
pub mod spinlock;
pub mod status;
mod string;
pub mod sync;
pub mod timer;
pub mod unicode;
pub mod work;

/// The tables of this module's exports.
pub static EXPORTS: &[&[Export]] = &[
    clock::EXPORTS,
    debug::EXPORTS,
    dispatcher::EXPORTS,
    dpc::EXPORTS,
    event_log::EXPORTS,
    mdl::EXPORTS,
    object::EXPORTS,
    pool::EXPORTS,
    processor::EXPORTS,
    registry::EXPORTS,
    rtl::EXPORTS,
    spinlock::EXPORTS,
    sync::EXPORTS,
    timer::EXPORTS,
    work::EXPORTS,
];
