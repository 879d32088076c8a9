//! Debug output and bug checks.

use crate::exports;
use crate::memory;
use crate::nt::unicode;
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
/// Longest string that a conversion reads.
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

fn print(format: usize, arguments: &[u64]) {
    let mut text = format_message(&memory::read_c_string(format, STRING_LIMIT), arguments);
    if let Some((index, _)) = text.char_indices().nth(LINE_LIMIT) {
        text.truncate(index);
    }
    if ECHO.load(Ordering::Relaxed) {
        eprintln!("[driver] {}", text.trim_end_matches('\n'));
    }
    LOG.lock().push(text);
}

type W = u64;

#[expect(clippy::too_many_arguments, reason = "stands for C's variable arguments")]
extern "win64" fn dbg_print(
    format: usize,
    a: W,
    b: W,
    c: W,
    d: W,
    e: W,
    f: W,
    g: W,
    h: W,
    i: W,
    j: W,
    k: W,
) -> i32 {
    print(format, &[a, b, c, d, e, f, g, h, i, j, k]);
    0
}

#[expect(clippy::too_many_arguments, reason = "stands for C's variable arguments")]
extern "win64" fn dbg_print_ex(
    _component: u32,
    _level: u32,
    format: usize,
    a: W,
    b: W,
    c: W,
    d: W,
    e: W,
    f: W,
    g: W,
    h: W,
    i: W,
    j: W,
    k: W,
) -> i32 {
    print(format, &[a, b, c, d, e, f, g, h, i, j, k]);
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

/// One conversion of a format string.
#[derive(Default)]
struct Conversion {
    left: bool,
    zero: bool,
    alternate: bool,
    plus: bool,
    width: usize,
    precision: Option<usize>,
    /// Size of an integer in bytes, or of a character.
    size: usize,
    wide: bool,
}

/// C's `printf` for the conversions that drivers use: `d i u x X o c s p` with flags, width, precision and the sizes
/// `h l ll I64 I32 I w z`, and `Z`/`wZ` for counted strings.
fn format_message(format: &[u8], arguments: &[u64]) -> String {
    let mut output = String::new();
    let mut arguments = arguments.iter().copied();
    let mut bytes = format.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            output.push(char::from(byte));
            continue;
        }
        let mut conversion = Conversion {
            size: 4,
            ..Conversion::default()
        };
        while let Some(flag) = bytes.next_if(|byte| b"-0#+ ".contains(byte)) {
            match flag {
                b'-' => conversion.left = true,
                b'0' => conversion.zero = true,
                b'#' => conversion.alternate = true,
                b'+' => conversion.plus = true,
                _ => {}
            }
        }
        let mut number = |arguments: &mut dyn Iterator<Item = u64>| {
            if bytes.next_if_eq(&b'*').is_some() {
                return arguments
                    .next()
                    .and_then(|value| usize::try_from(value & 0xFFFF).ok());
            }
            let mut value = None;
            while let Some(digit) = bytes.next_if(u8::is_ascii_digit) {
                value = Some((value.unwrap_or(0) * 10 + usize::from(digit - b'0')).min(LINE_LIMIT));
            }
            value
        };
        conversion.width = number(&mut arguments).unwrap_or(0);
        if bytes.next_if_eq(&b'.').is_some() {
            let mut digits = None;
            while let Some(digit) = bytes.next_if(u8::is_ascii_digit) {
                digits = Some((digits.unwrap_or(0) * 10 + usize::from(digit - b'0')).min(LINE_LIMIT));
            }
            conversion.precision = if bytes.next_if_eq(&b'*').is_some() {
                arguments
                    .next()
                    .and_then(|value| usize::try_from(value & 0xFFFF).ok())
            } else {
                digits.or(Some(0))
            };
        }
        while let Some(size) = bytes.next_if(|byte| b"hlIwz".contains(byte)) {
            match size {
                b'h' => conversion.size = 2,
                b'w' => conversion.wide = true,
                b'z' => conversion.size = 8,
                b'I' => {
                    conversion.size = 8;
                    if bytes.next_if_eq(&b'3').is_some() {
                        bytes.next();
                        conversion.size = 4;
                    } else if bytes.next_if_eq(&b'6').is_some() {
                        bytes.next();
                    }
                }
                // `l` is 32 bits on Windows, `ll` is 64; before `s` and `c` it means wide.
                _ => {
                    if conversion.wide {
                        conversion.size = 8;
                    }
                    conversion.wide = true;
                }
            }
        }
        let Some(kind) = bytes.next() else { break };
        output.push_str(&convert(kind, &conversion, &mut arguments));
    }
    output
}

fn convert(kind: u8, conversion: &Conversion, arguments: &mut dyn Iterator<Item = u64>) -> String {
    if kind == b'%' {
        return "%".to_owned();
    }
    let value = arguments.next().unwrap_or(0);
    let unsigned = match conversion.size {
        2 => value & 0xFFFF,
        8 => value,
        _ => value & 0xFFFF_FFFF,
    };
    let body = match kind {
        b'd' | b'i' => signed(value, conversion),
        b'u' => digits(unsigned.to_string(), conversion),
        b'x' => prefixed("0x", format!("{unsigned:x}"), conversion),
        b'X' => prefixed("0X", format!("{unsigned:X}"), conversion),
        b'o' => digits(format!("{unsigned:o}"), conversion),
        b'p' | b'P' => format!("{value:016X}"),
        b'c' | b'C' => char::from_u32(u32::from(u16::try_from(value & 0xFFFF).unwrap_or(0)))
            .unwrap_or('\u{FFFD}')
            .to_string(),
        b's' if !conversion.wide => narrow_string(value, conversion),
        b's' | b'S' => wide_string(value, conversion),
        b'Z' => counted_string(value, conversion.wide),
        other => format!("%{}", char::from(other)),
    };
    pad(body, kind, conversion)
}

fn signed(value: u64, conversion: &Conversion) -> String {
    let signed = match conversion.size {
        2 => i64::from((value & 0xFFFF) as u16 as i16),
        8 => value.cast_signed(),
        _ => i64::from((value & 0xFFFF_FFFF) as u32 as i32),
    };
    let body = digits(signed.unsigned_abs().to_string(), conversion);
    let sign = if signed < 0 {
        "-"
    } else if conversion.plus {
        "+"
    } else {
        ""
    };
    format!("{sign}{body}")
}

fn digits(body: String, conversion: &Conversion) -> String {
    let wanted = conversion.precision.unwrap_or(0);
    if body.len() < wanted {
        format!("{body:0>wanted$}")
    } else {
        body
    }
}

fn prefixed(prefix: &str, body: String, conversion: &Conversion) -> String {
    let body = digits(body, conversion);
    if conversion.alternate {
        format!("{prefix}{body}")
    } else {
        body
    }
}

fn narrow_string(address: u64, conversion: &Conversion) -> String {
    let Some(address) = usize::try_from(address).ok().filter(|&address| address != 0) else {
        return "(null)".into();
    };
    let limit = conversion.precision.unwrap_or(STRING_LIMIT);
    String::from_utf8_lossy(&memory::read_c_string(address, limit)).into_owned()
}

fn wide_string(address: u64, conversion: &Conversion) -> String {
    let Some(address) = usize::try_from(address).ok().filter(|&address| address != 0) else {
        return "(null)".into();
    };
    memory::read_wide_string(address, conversion.precision.unwrap_or(STRING_LIMIT))
}

fn counted_string(address: u64, wide: bool) -> String {
    let Some(address) = usize::try_from(address).ok().filter(|&address| address != 0) else {
        return "(null)".into();
    };
    if wide {
        unicode::read(address)
    } else {
        unicode::read_ansi(address)
    }
}

fn pad(body: String, kind: u8, conversion: &Conversion) -> String {
    let width = conversion.width;
    let length = body.chars().count();
    if length >= width {
        return body;
    }
    let numeric = b"diuxXop".contains(&kind);
    if conversion.left {
        format!("{body:<width$}")
    } else if conversion.zero && numeric && conversion.precision.is_none() {
        let (sign, rest) = body
            .strip_prefix('-')
            .map_or(("", body.as_str()), |rest| ("-", rest));
        let width = width - sign.len();
        format!("{sign}{rest:0>width$}")
    } else {
        format!("{body:>width$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_follow_the_sizes_of_windows() {
        assert_eq!(
            format_message(b"%d %u %x", &[u64::MAX, u64::MAX, 0xFFFF_FFFF_0000_00AB]),
            "-1 4294967295 ab"
        );
        assert_eq!(
            format_message(b"%lld %I64u %zx", &[u64::MAX, 5, 0x1_0000_0000]),
            "-1 5 100000000"
        );
        assert_eq!(
            format_message(b"%hd|%ld", &[0x1_FFFF, 0xFFFF_FFFF_FFFF_FFFE]),
            "-1|-2"
        );
        assert_eq!(
            format_message(b"%08X|%-5d|%5d|%#x|%.3u", &[0xBEEF, 7, 7, 255, 9]),
            "0000BEEF|7    |    7|0xff|009"
        );
        assert_eq!(
            format_message(b"%05d %+d 100%%", &[(-42_i64).cast_unsigned(), 3]),
            "-0042 +3 100%"
        );
    }

    #[test]
    fn strings_are_narrow_wide_and_counted() {
        let narrow = b"narrow\0";
        let wide: Vec<u16> = "wide\0".encode_utf16().collect();
        let (narrow, wide) = (narrow.as_ptr() as u64, wide.as_ptr() as u64);
        assert_eq!(
            format_message(b"%s %ws %ls %S", &[narrow, wide, wide, wide]),
            "narrow wide wide wide"
        );
        assert_eq!(
            format_message(b"%.3s|%s|%10s", &[narrow, 0, narrow]),
            "nar|(null)|    narrow"
        );
        let counted = [(4_u64 << 16) | 4, narrow];
        assert_eq!(format_message(b"%Z", &[counted.as_ptr() as u64]), "narr");
        assert_eq!(
            format_message(b"%p %c", &[0x1234, u64::from(b'x')]),
            "0000000000001234 x"
        );
    }

    #[test]
    fn broken_formats_end_quietly() {
        assert_eq!(format_message(b"abc%", &[]), "abc");
        assert_eq!(format_message(b"%5", &[]), "");
        assert_eq!(format_message(b"%y", &[1]), "%y");
    }
}
