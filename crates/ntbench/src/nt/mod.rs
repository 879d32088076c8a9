//! The exports of ntoskrnl.exe (and hal.dll, which forwards to it): one file for each group of routines.

use crate::exports::Export;

pub mod clock;
mod crt;
pub mod debug;
pub mod device;
pub mod dispatcher;
pub mod dpc;
pub mod driver;
pub mod event_log;
mod format;
mod ip_string;
mod lookaside;
pub mod mdl;
pub mod object;
pub mod pool;
pub mod processor;
pub mod registry;
pub mod rtl;
mod rundown;
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
    crt::EXPORTS,
    debug::EXPORTS,
    device::EXPORTS,
    dispatcher::EXPORTS,
    dpc::EXPORTS,
    event_log::EXPORTS,
    ip_string::EXPORTS,
    lookaside::EXPORTS,
    mdl::EXPORTS,
    object::EXPORTS,
    pool::EXPORTS,
    processor::EXPORTS,
    registry::EXPORTS,
    rtl::EXPORTS,
    rundown::EXPORTS,
    spinlock::EXPORTS,
    sync::EXPORTS,
    timer::EXPORTS,
    work::EXPORTS,
];
