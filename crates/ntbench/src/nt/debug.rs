//! Debug output and bug checks.

use super::crt::{listed_arguments, variable_arguments};
use super::format::format_message;
use crate::cpu::thread;
use crate::exports;
use crate::memory;
use crate::symbols;
use crate::verifier::{BugCheck, Rule, Violation};
use parking_lot::Mutex;

exports! {
    /// Debug output and bug checks.
    pub static EXPORTS: "ntoskrnl.exe" = {
        DbgPrint = function(dbg_print, at_most(DEVICE_LEVEL));
        DbgPrintEx = function(dbg_print_ex, at_most(DEVICE_LEVEL));
        vDbgPrintEx = function(v_dbg_print_ex, at_most(DEVICE_LEVEL));
        vDbgPrintExWithPrefix = function(v_dbg_print_ex_with_prefix, at_most(DEVICE_LEVEL));
        KeBugCheckEx = function(ke_bug_check_ex, any());
        KeBugCheck = function(ke_bug_check, any());
        RtlFailFast = function(rtl_fail_fast, any());
    }
}

/// Longest output of one call, as on Windows.
const LINE_LIMIT: usize = 512;
/// Longest format string.
const STRING_LIMIT: usize = 4096;

/// Where debug output goes as it comes; it is kept in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Echo {
    /// Nowhere.
    None,
    /// To stderr.
    #[default]
    Stderr,
    /// To stdout, each line with the name of the driver.
    Stdout,
}

static ECHO: Mutex<Echo> = Mutex::new(Echo::Stderr);
static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Where debug output goes as it comes.
pub fn set_echo(echo: Echo) {
    *ECHO.lock() = echo;
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

fn print(prefix: &[u8], format: &[u8], arguments: &[u64]) {
    let mut text = String::from_utf8_lossy(prefix).into_owned();
    text.push_str(&format_message(format, arguments));
    if let Some((index, _)) = text.char_indices().nth(LINE_LIMIT) {
        text.truncate(index);
    }
    let line = text.trim_end_matches(['\n', '\r']);
    match *ECHO.lock() {
        Echo::None => {}
        Echo::Stderr => eprintln!("[driver] {line}"),
        Echo::Stdout => println!("{}: {line}", printing_driver()),
    }
    LOG.lock().push(text);
}

/// Name of the image that calls the current export.
fn printing_driver() -> String {
    let module = thread::caller_address().and_then(symbols::find);
    module.map_or_else(|| "driver".to_owned(), |module| module.name.clone())
}

/// The rest of the arguments is variable.
extern "win64" fn dbg_print(format: usize) -> i32 {
    print(b"", &read(format), &variable_arguments(1));
    0
}

/// The rest of the arguments is variable.
extern "win64" fn dbg_print_ex(_component: u32, _level: u32, format: usize) -> i32 {
    print(b"", &read(format), &variable_arguments(3));
    0
}

extern "win64" fn v_dbg_print_ex(_component: u32, _level: u32, format: usize, list: usize) -> i32 {
    let format = read(format);
    print(b"", &format, &listed_arguments(list, &format));
    0
}

extern "win64" fn v_dbg_print_ex_with_prefix(
    prefix: usize,
    _component: u32,
    _level: u32,
    format: usize,
    list: usize,
) -> i32 {
    let format = read(format);
    print(&read(prefix), &format, &listed_arguments(list, &format));
    0
}

fn read(text: usize) -> Vec<u8> {
    memory::read_c_string(text, STRING_LIMIT)
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
