//! The name of the service that a driver is loaded as.
#![expect(unsafe_code, reason = "reads the string that Windows passes by pointer")]

use core::slice;

use wdk_sys::PCUNICODE_STRING;

const BACKSLASH: u16 = b'\\' as u16;

/// The last component of a registry path, in UTF-16.
///
/// # Safety
/// `path` points to a valid `UNICODE_STRING` that stays unchanged for `'a`.
pub unsafe fn name<'a>(path: PCUNICODE_STRING) -> &'a [u16] {
    // SAFETY: valid by this function's contract.
    let path = unsafe { &*path };
    if path.Buffer.is_null() {
        return &[];
    }
    // SAFETY: `Length` is the size in bytes of what `Buffer` points to.
    let text = unsafe { slice::from_raw_parts(path.Buffer, usize::from(path.Length) / size_of::<u16>()) };
    text.rsplit(|&unit| unit == BACKSLASH).next().unwrap_or_default()
}

/// Whether a name is this ASCII text, in upper or lower case: the registry does not tell them apart.
pub fn is(name: &[u16], text: &str) -> bool {
    let units = text.bytes().map(|byte| u16::from(byte.to_ascii_lowercase()));
    let lower = |unit: u16| u8::try_from(unit).map_or(unit, |byte| u16::from(byte.to_ascii_lowercase()));
    name.iter().map(|&unit| lower(unit)).eq(units)
}
