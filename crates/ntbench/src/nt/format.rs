//! C's `printf` formats, with the sizes and additions of Windows.

use super::unicode;
use crate::memory;
use std::iter::Peekable;

/// Widths and precisions are cut to this.
const WIDTH_LIMIT: usize = 512;
/// Longest string that a conversion reads.
const STRING_LIMIT: usize = 4096;

/// What fills a field up to its width.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Padding {
    #[default]
    SpacesBefore,
    SpacesAfter,
    Zeros,
}

/// Which strings are UTF-16.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wide {
    /// All, by the size `l` or `w`.
    BySize,
    /// Those of this letter.
    Letter(u8),
}

/// A conversion between its `%` and its letter.
struct Conversion {
    padding: Padding,
    alternate: bool,
    plus: bool,
    width: usize,
    precision: Option<usize>,
    /// Size of an integer in bytes.
    size: usize,
    wide: Wide,
}

/// Formats for the conversions that drivers use: `d i u x X o c C s S p` with flags, width, precision and the sizes
/// `h l ll I64 I32 I w z`, and `Z`, `wZ` for counted strings. Missing arguments are 0.
#[must_use]
pub fn format_message(format: &[u8], arguments: &[u64]) -> String {
    format_with(format, arguments, Wide::Letter(b'S'))
}

/// As [`format_message`], for the functions whose format is UTF-16: there `%s` is a UTF-16 string, and `%S` is not.
#[must_use]
pub fn format_wide_message(format: &[u8], arguments: &[u64]) -> String {
    format_with(format, arguments, Wide::Letter(b's'))
}

fn format_with(format: &[u8], arguments: &[u64], wide: Wide) -> String {
    let mut output = String::new();
    let mut arguments = arguments.iter().copied();
    let mut bytes = format.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            output.push(char::from(byte));
            continue;
        }
        let conversion = Conversion::parse(&mut bytes, &mut arguments, wide);
        match bytes.next() {
            Some(b'%') => output.push('%'),
            Some(kind) => output.push_str(&conversion.apply(kind, arguments.next().unwrap_or(0))),
            None => break,
        }
    }
    output
}

type Bytes<'a> = Peekable<std::iter::Copied<std::slice::Iter<'a, u8>>>;
type Arguments<'a> = std::iter::Copied<std::slice::Iter<'a, u64>>;

fn number(bytes: &mut Bytes<'_>, arguments: &mut Arguments<'_>) -> Option<usize> {
    if bytes.next_if_eq(&b'*').is_some() {
        return arguments
            .next()
            .map(|value| usize::try_from(value & 0xFFFF).unwrap_or(0).min(WIDTH_LIMIT));
    }
    let mut value = None;
    while let Some(digit) = bytes.next_if(u8::is_ascii_digit) {
        value = Some((value.unwrap_or(0) * 10 + usize::from(digit - b'0')).min(WIDTH_LIMIT));
    }
    value
}

impl Conversion {
    fn parse(bytes: &mut Bytes<'_>, arguments: &mut Arguments<'_>, wide: Wide) -> Self {
        let (mut padding, mut alternate, mut plus) = (Padding::default(), false, false);
        while let Some(flag) = bytes.next_if(|byte| b"-0#+ ".contains(byte)) {
            match flag {
                b'-' => padding = Padding::SpacesAfter,
                b'0' if padding == Padding::SpacesBefore => padding = Padding::Zeros,
                b'#' => alternate = true,
                b'+' => plus = true,
                _ => {}
            }
        }
        let width = number(bytes, arguments).unwrap_or(0);
        let precision = if bytes.next_if_eq(&b'.').is_some() {
            number(bytes, arguments).or(Some(0))
        } else {
            None
        };
        let mut conversion = Self {
            padding,
            alternate,
            plus,
            width,
            precision,
            size: 4,
            wide,
        };
        conversion.parse_size(bytes);
        conversion
    }

    fn parse_size(&mut self, bytes: &mut Bytes<'_>) {
        while let Some(size) = bytes.next_if(|byte| b"hlIwz".contains(byte)) {
            match size {
                b'h' => self.size = 2,
                b'w' => self.wide = Wide::BySize,
                b'z' => self.size = 8,
                // `l` is 32 bits on Windows and makes strings wide; `ll` is 64 bits.
                b'l' => {
                    self.size = if self.wide == Wide::BySize { 8 } else { self.size };
                    self.wide = Wide::BySize;
                }
                // `I`, `I64`, `I32`
                _ => {
                    let bits = bytes.next_if(|byte| b"36".contains(byte));
                    if bits.is_some() {
                        bytes.next();
                    }
                    self.size = if bits == Some(b'3') { 4 } else { 8 };
                }
            }
        }
    }

    fn apply(&self, kind: u8, value: u64) -> String {
        let unsigned = value & (u64::MAX >> (64 - self.size * 8));
        let text = match kind {
            b'd' | b'i' => self.signed(value),
            b'u' => self.digits(unsigned.to_string()),
            b'x' => self.prefixed("0x", format!("{unsigned:x}")),
            b'X' => self.prefixed("0X", format!("{unsigned:X}")),
            b'o' => self.digits(format!("{unsigned:o}")),
            b'p' | b'P' => format!("{value:016X}"),
            b'c' | b'C' => character(value),
            b's' | b'S' if self.is_wide(kind) => self.wide_string(value),
            b's' | b'S' => self.narrow_string(value),
            b'Z' => self.counted_string(value),
            other => format!("%{}", char::from(other)),
        };
        self.pad(&text, b"diuxXo".contains(&kind) && self.precision.is_none())
    }

    /// Whether a string of that letter is UTF-16; the size `h` says that it is not.
    fn is_wide(&self, kind: u8) -> bool {
        self.wide == Wide::BySize || self.size != 2 && self.wide == Wide::Letter(kind)
    }

    fn signed(&self, value: u64) -> String {
        let unused = 64 - self.size * 8;
        let value = (value.cast_signed() << unused) >> unused;
        let digits = self.digits(value.unsigned_abs().to_string());
        match (value < 0, self.plus) {
            (true, _) => format!("-{digits}"),
            (false, true) => format!("+{digits}"),
            (false, false) => digits,
        }
    }

    fn digits(&self, digits: String) -> String {
        let wanted = self.precision.unwrap_or(0);
        if digits.len() < wanted {
            format!("{digits:0>wanted$}")
        } else {
            digits
        }
    }

    fn prefixed(&self, prefix: &str, digits: String) -> String {
        let digits = self.digits(digits);
        if self.alternate {
            format!("{prefix}{digits}")
        } else {
            digits
        }
    }

    fn narrow_string(&self, address: u64) -> String {
        let Some(address) = pointer(address) else {
            return "(null)".to_owned();
        };
        let limit = self.precision.unwrap_or(STRING_LIMIT);
        String::from_utf8_lossy(&memory::read_c_string(address, limit)).into_owned()
    }

    fn wide_string(&self, address: u64) -> String {
        let Some(address) = pointer(address) else {
            return "(null)".to_owned();
        };
        memory::read_wide_string(address, self.precision.unwrap_or(STRING_LIMIT))
    }

    fn counted_string(&self, address: u64) -> String {
        let Some(address) = pointer(address) else {
            return "(null)".to_owned();
        };
        if self.wide == Wide::BySize {
            unicode::read(address)
        } else {
            unicode::read_ansi(address)
        }
    }

    fn pad(&self, text: &str, zeros_allowed: bool) -> String {
        let width = self.width;
        match self.padding {
            Padding::SpacesAfter => format!("{text:<width$}"),
            Padding::Zeros if zeros_allowed => {
                let (sign, digits) = text.split_at(usize::from(text.starts_with(['-', '+'])));
                let width = width.saturating_sub(sign.len());
                format!("{sign}{digits:0>width$}")
            }
            _ => format!("{text:>width$}"),
        }
    }
}

fn pointer(address: u64) -> Option<usize> {
    usize::try_from(address).ok().filter(|&address| address != 0)
}

fn character(value: u64) -> String {
    let unit = u32::try_from(value & 0xFFFF).unwrap_or(0);
    char::from_u32(unit)
        .unwrap_or(char::REPLACEMENT_CHARACTER)
        .to_string()
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
