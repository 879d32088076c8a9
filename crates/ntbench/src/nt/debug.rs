//! Debug output and bug checks.

use super::format::format_message;
use crate::cpu::thread;
use crate::exports;
use crate::exports::MAX_ARGUMENTS;
use crate::memory;
use crate::verifier::{BugCheck, Rule, Violation};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

exports! {
    /// Debug output and bug checks.
    pub static EXPORTS: "ntoskrnl.exe" = {
        DbgPrint = function(dbg_print, at_most(DEVICE_LEVEL));
        DbgPrintEx = function(dbg_print_ex, at_most(DEVICE_LEVEL));
        KeBugCheckEx = function(ke_bug_check_ex, any());
        KeBugCheck = function(ke_bug_check, any());
        RtlFailFast = function(rtl_fail_fast, any());
    }
}

/// Longest output of one call, as on Windows.
const LINE_LIMIT: usize = 512;
/// Longest format string.
const STRING_LIMIT: usize = 4096;

static ECHO: AtomicBool = AtomicBool::new(true);
static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Whether debug output also goes to stderr.
pub fn set_echo(echo: bool) {
    ECHO.store(echo, Ordering::Relaxed);
}

/// Debug output since the kernel was booted, one entry for each call.
#[must_use]
pub fn log() -> Vec<String> {
    LOG.lock().clone()
}

/// Forgets the output.
pub fn clear_log() {
    LOG.lock().clear();
}

/// Prints with the arguments of the current call, starting with number `first`.
fn print(format: usize, first: usize) {
    let arguments: Vec<u64> = thread::current_import().map_or_else(Vec::new, |call| {
        (first..MAX_ARGUMENTS).map(|index| call.argument(index)).collect()
    });
    let mut text = format_message(&memory::read_c_string(format, STRING_LIMIT), &arguments);
    if let Some((index, _)) = text.char_indices().nth(LINE_LIMIT) {
        text.truncate(index);
    }
    if ECHO.load(Ordering::Relaxed) {
        eprintln!("[driver] {}", text.trim_end_matches('\n'));
    }
    LOG.lock().push(text);
}

/// The rest of the arguments is variable.
extern "win64" fn dbg_print(format: usize) -> i32 {
    print(format, 1);
    0
}

/// The rest of the arguments is variable.
extern "win64" fn dbg_print_ex(_component: u32, _level: u32, format: usize) -> i32 {
    print(format, 3);
    0
}

extern "win64" fn ke_bug_check_ex(code: u32, p1: u64, p2: u64, p3: u64, p4: u64) -> ! {
    Violation::new(
        Rule::KeBugCheckEx,
        BugCheck::new(code, [p1, p2, p3, p4]),
        "the driver called KeBugCheckEx",
    )
    .advice("the driver itself found a state that it cannot go on from: the stack shows where")
    .stop()
}

extern "win64" fn ke_bug_check(code: u32) -> ! {
    ke_bug_check_ex(code, 0, 0, 0, 0)
}

extern "win64" fn rtl_fail_fast(code: u32) -> ! {
    ke_bug_check_ex(0x139, u64::from(code), 0, 0, 0)
}
