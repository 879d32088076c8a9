//! The part of the C run-time library that ntoskrnl.exe exports and drivers use: strings and formatted text.

use super::format::{format_message, format_wide_message};
use crate::cpu::thread;
use crate::exports;
use crate::exports::MAX_ARGUMENTS;
use crate::memory;

exports! {
    /// C run-time functions.
    pub static EXPORTS: "ntoskrnl.exe" = {
        strlen = function(strlen, any());
        strnlen = function(strnlen, any());
        strcmp = function(strcmp, any());
        strncmp = function(strncmp, any());
        _stricmp = function(stricmp, any());
        _strnicmp = function(strnicmp, any());
        strchr = function(strchr, any());
        wcslen = function(wcslen, any());
        wcsnlen = function(wcsnlen, any());
        wcscmp = function(wcscmp, any());
        wcsncmp = function(wcsncmp, any());
        _wcsicmp = function(wcsicmp, any());
        _wcsnicmp = function(wcsnicmp, any());
        wcschr = function(wcschr, any());
        atoi = function(atoi, any());
        _snprintf = function(snprintf, any());
        _vsnprintf = function(vsnprintf, any());
        _snwprintf = function(snwprintf, any());
        _vsnwprintf = function(vsnwprintf, any());
        __C_specific_handler = function(c_specific_handler, any());
    }
}

/// Longest string that is looked at.
const LIMIT: usize = 1 << 20;

/// The code units of a string, without its NUL.
fn units<T: Copy + Into<u32>>(address: usize, limit: usize) -> impl Iterator<Item = u32> {
    (0..limit)
        .map(move |index| memory::read::<T>(address + index * size_of::<T>()).into())
        .take_while(|&unit| unit != 0)
}

fn length<T: Copy + Into<u32>>(address: usize, limit: usize) -> usize {
    units::<T>(address, limit).count()
}

/// ASCII letters count as equal to their other case if `fold`.
fn compare<T: Copy + Into<u32>>(first: usize, second: usize, limit: usize, fold: bool) -> i32 {
    let folded = move |unit: u32| match char::from_u32(unit) {
        Some(letter) if fold => u32::from(letter.to_ascii_lowercase()),
        _ => unit,
    };
    let [first, second] = [first, second].map(|address| units::<T>(address, limit).map(folded));
    first.cmp(second) as i32
}

fn find<T: Copy + Into<u32>>(address: usize, wanted: u32) -> usize {
    let mut at = address;
    loop {
        let unit: u32 = memory::read::<T>(at).into();
        if unit == wanted {
            return at;
        }
        if unit == 0 {
            return 0;
        }
        at += size_of::<T>();
    }
}

extern "win64" fn strlen(text: usize) -> usize {
    length::<u8>(text, LIMIT)
}

extern "win64" fn strnlen(text: usize, limit: usize) -> usize {
    length::<u8>(text, limit)
}

extern "win64" fn strcmp(first: usize, second: usize) -> i32 {
    compare::<u8>(first, second, LIMIT, false)
}

extern "win64" fn strncmp(first: usize, second: usize, limit: usize) -> i32 {
    compare::<u8>(first, second, limit, false)
}

extern "win64" fn stricmp(first: usize, second: usize) -> i32 {
    compare::<u8>(first, second, LIMIT, true)
}

extern "win64" fn strnicmp(first: usize, second: usize, limit: usize) -> i32 {
    compare::<u8>(first, second, limit, true)
}

extern "win64" fn strchr(text: usize, wanted: u8) -> usize {
    find::<u8>(text, wanted.into())
}

extern "win64" fn wcslen(text: usize) -> usize {
    length::<u16>(text, LIMIT)
}

extern "win64" fn wcsnlen(text: usize, limit: usize) -> usize {
    length::<u16>(text, limit)
}

extern "win64" fn wcscmp(first: usize, second: usize) -> i32 {
    compare::<u16>(first, second, LIMIT, false)
}

extern "win64" fn wcsncmp(first: usize, second: usize, limit: usize) -> i32 {
    compare::<u16>(first, second, limit, false)
}

extern "win64" fn wcsicmp(first: usize, second: usize) -> i32 {
    compare::<u16>(first, second, LIMIT, true)
}

extern "win64" fn wcsnicmp(first: usize, second: usize, limit: usize) -> i32 {
    compare::<u16>(first, second, limit, true)
}

extern "win64" fn wcschr(text: usize, wanted: u16) -> usize {
    find::<u16>(text, wanted.into())
}

extern "win64" fn atoi(text: usize) -> i32 {
    let text = String::from_utf8_lossy(&memory::read_c_string(text, 64)).into_owned();
    let text = text.trim_start();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let end = digits
        .find(|digit: char| !digit.is_ascii_digit())
        .unwrap_or(digits.len());
    let value = digits[..end].parse::<i64>().unwrap_or(0);
    let value = if text.starts_with('-') { -value } else { value };
    i32::try_from(value).unwrap_or(if value < 0 { i32::MIN } else { i32::MAX })
}

/// The arguments of the current call, from number `first` on.
pub(super) fn variable_arguments(first: usize) -> Vec<u64> {
    thread::current_import().map_or_else(Vec::new, |call| {
        (first..MAX_ARGUMENTS).map(|index| call.argument(index)).collect()
    })
}

/// The arguments of a `va_list`: on Windows a pointer to one word for each. `format` says how many there can be.
pub(super) fn listed_arguments(list: usize, format: &[u8]) -> Vec<u64> {
    let count = format.iter().filter(|&&byte| b"%*".contains(&byte)).count();
    (0..count).map(|index| memory::read(list + 8 * index)).collect()
}

/// Stores text as `_snprintf` does: the length, or -1 when it does not fit, in which case there is no NUL.
fn store<T: Copy>(buffer: usize, count: usize, text: impl Iterator<Item = T>, nul: T) -> i32 {
    let mut length = 0;
    for unit in text {
        if length == count {
            return -1;
        }
        memory::write(buffer + length * size_of::<T>(), unit);
        length += 1;
    }
    if length < count {
        memory::write(buffer + length * size_of::<T>(), nul);
    }
    i32::try_from(length).unwrap_or(-1)
}

fn narrow(buffer: usize, count: usize, format: &[u8], arguments: &[u64]) -> i32 {
    store(buffer, count, format_message(format, arguments).bytes(), 0)
}

fn wide(buffer: usize, count: usize, format: &[u8], arguments: &[u64]) -> i32 {
    let text = format_wide_message(format, arguments);
    store(buffer, count, text.encode_utf16(), 0)
}

/// The rest of the arguments is variable.
extern "win64" fn snprintf(buffer: usize, count: usize, format: usize) -> i32 {
    let format = memory::read_c_string(format, LIMIT);
    narrow(buffer, count, &format, &variable_arguments(3))
}

extern "win64" fn vsnprintf(buffer: usize, count: usize, format: usize, list: usize) -> i32 {
    let format = memory::read_c_string(format, LIMIT);
    narrow(buffer, count, &format, &listed_arguments(list, &format))
}

/// The rest of the arguments is variable.
extern "win64" fn snwprintf(buffer: usize, count: usize, format: usize) -> i32 {
    let format = memory::read_wide_string(format, LIMIT).into_bytes();
    wide(buffer, count, &format, &variable_arguments(3))
}

extern "win64" fn vsnwprintf(buffer: usize, count: usize, format: usize, list: usize) -> i32 {
    let format = memory::read_wide_string(format, LIMIT).into_bytes();
    wide(buffer, count, &format, &listed_arguments(list, &format))
}

/// `ExceptionContinueSearch`. Nobody calls it: what raises an exception on Windows is a violation here.
extern "win64" fn c_specific_handler() -> i32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<T>(values: &[T]) -> usize {
        values.as_ptr() as usize
    }

    #[test]
    fn strings_compare_as_in_c() {
        assert_eq!(strcmp(at(b"abc\0"), at(b"abd\0")), -1);
        assert_eq!(strncmp(at(b"abc\0"), at(b"abd\0"), 2), 0);
        assert_eq!(
            (stricmp(at(b"ABC\0"), at(b"abc\0")), strlen(at(b"abc\0"))),
            (0, 3)
        );
        let wide: Vec<u16> = "Ab\0".encode_utf16().collect();
        let other: Vec<u16> = "aB\0".encode_utf16().collect();
        assert_eq!(
            (wcsicmp(at(&wide), at(&other)), wcscmp(at(&wide), at(&other))),
            (0, -1)
        );
        assert_eq!(strchr(at(b"abc\0"), b'x'), 0);
        assert_eq!(
            [b" 42x\0".as_slice(), b"-7\0", b"x\0"].map(|text| atoi(at(text))),
            [42, -7, 0]
        );
    }

    #[test]
    fn formatted_text_is_cut_without_nul() {
        let (mut buffer, list) = ([0xEE_u8; 8], [7_u64, 0x41]);
        let into = buffer.as_mut_ptr() as usize;
        assert_eq!(vsnprintf(into, 8, at(b"%d-%c\0"), at(&list)), 3);
        assert_eq!(memory::read_bytes(into, 5), b"7-A\0\xEE");
        assert_eq!(vsnprintf(into, 2, at(b"%d-%c\0"), at(&list)), -1);
        let (mut wide, text): ([u16; 8], Vec<u16>) = ([0xEEEE; 8], "w%s\0".encode_utf16().collect());
        let argument: Vec<u16> = "ide\0".encode_utf16().collect();
        let into = wide.as_mut_ptr() as usize;
        assert_eq!(vsnwprintf(into, 8, at(&text), at(&[at(&argument) as u64])), 4);
        assert_eq!(memory::read_wide_string(into, 8), "wide");
    }
}
