//! The system event log: what drivers report to administrators.

use super::pool;
use crate::exports;
use crate::memory;
use crate::verifier::pool::{PoolKind, Request};
use parking_lot::Mutex;

exports! {
    /// Error log entries.
    pub static EXPORTS: "ntoskrnl.exe" = {
        IoAllocateErrorLogEntry = function(io_allocate_error_log_entry, at_most(DISPATCH_LEVEL));
        IoWriteErrorLogEntry = function(io_write_error_log_entry, at_most(DISPATCH_LEVEL));
        IoFreeErrorLogEntry = function(io_free_error_log_entry, at_most(DISPATCH_LEVEL));
    }
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Message id of the driver's message table.
    pub code: u32,
    /// Strings that are inserted into the message.
    pub strings: Vec<String>,
    /// Data for support engineers.
    pub data: Vec<u8>,
}

static ENTRIES: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

/// Entries since the kernel was booted.
#[must_use]
pub fn entries() -> Vec<Entry> {
    ENTRIES.lock().clone()
}

/// Adds an entry.
pub fn add(entry: Entry) {
    ENTRIES.lock().push(entry);
}

/// Forgets all entries.
pub fn clear() {
    ENTRIES.lock().clear();
}

/// Offsets in `IO_ERROR_LOG_PACKET`.
mod offset {
    pub const DUMP_DATA_SIZE: usize = 2;
    pub const NUMBER_OF_STRINGS: usize = 4;
    pub const STRING_OFFSET: usize = 6;
    pub const ERROR_CODE: usize = 12;
    pub const DUMP_DATA: usize = 40;
}

const TAG: u32 = u32::from_le_bytes(*b"IoEr");

extern "win64" fn io_allocate_error_log_entry(_object: usize, size: u8) -> usize {
    if usize::from(size) < offset::DUMP_DATA || size > 240 {
        return 0;
    }
    pool::allocate(&Request {
        kind: PoolKind::NonPaged,
        size: usize::from(size),
        tag: TAG,
        zeroed: true,
        alignment: 0,
    })
}

extern "win64" fn io_write_error_log_entry(packet: usize) {
    let size = usize::from(memory::read::<u16>(packet + offset::DUMP_DATA_SIZE)).min(200);
    let strings = usize::from(memory::read::<u16>(packet + offset::NUMBER_OF_STRINGS)).min(16);
    let mut place = packet + usize::from(memory::read::<u16>(packet + offset::STRING_OFFSET));
    let mut texts = Vec::new();
    for _ in 0..strings {
        let text = memory::read_wide_string(place, 128);
        place += (text.encode_utf16().count() + 1) * 2;
        texts.push(text);
    }
    add(Entry {
        code: memory::read(packet + offset::ERROR_CODE),
        strings: texts,
        data: memory::read_bytes(packet + offset::DUMP_DATA, size),
    });
    pool::free(packet, Some(TAG));
}

extern "win64" fn io_free_error_log_entry(packet: usize) {
    pool::free(packet, Some(TAG));
}
