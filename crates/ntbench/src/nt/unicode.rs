//! Counted strings.

use crate::memory;

/// Size of a `UNICODE_STRING`: length and capacity in bytes, then the buffer's address at offset 8.
pub const UNICODE_STRING_SIZE: usize = 16;

/// Reads a `UNICODE_STRING`.
#[must_use]
pub fn read(address: usize) -> String {
    let length = usize::from(memory::read::<u16>(address)) / 2;
    let buffer: usize = memory::read(address + 8);
    let units: Vec<u16> = (0..length)
        .map(|index| memory::read(buffer + index * 2))
        .collect();
    String::from_utf16_lossy(&units)
}

/// Reads an `ANSI_STRING`, which has the same layout.
#[must_use]
pub fn read_ansi(address: usize) -> String {
    let length = usize::from(memory::read::<u16>(address));
    let buffer: usize = memory::read(address + 8);
    String::from_utf8_lossy(&memory::read_bytes(buffer, length)).into_owned()
}

/// A string with its `UNICODE_STRING`, kept where drivers can read it.
#[derive(Debug)]
pub struct OwnedUnicodeString {
    header: Box<[u64; 2]>,
    _buffer: Box<[u16]>,
}

impl OwnedUnicodeString {
    /// Makes one; the buffer is NUL-terminated, as many drivers expect.
    ///
    /// # Panics
    /// When the text is longer than a `UNICODE_STRING` can say.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let buffer: Box<[u16]> = text.encode_utf16().chain([0]).collect();
        let capacity = u16::try_from(buffer.len() * 2).expect("strings are shorter than 64 KiB");
        let header = Box::new([
            u64::from(capacity - 2) | u64::from(capacity) << 16,
            buffer.as_ptr() as u64,
        ]);
        Self {
            header,
            _buffer: buffer,
        }
    }

    /// Address of the `UNICODE_STRING`.
    #[must_use]
    pub fn address(&self) -> usize {
        self.header.as_ptr() as usize
    }

    /// The structure's two words, to be copied into another structure.
    #[must_use]
    pub fn words(&self) -> [u64; 2] {
        *self.header
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_round_trips() {
        let string = OwnedUnicodeString::new(r"\Registry\Machine\ü");
        assert_eq!(read(string.address()), r"\Registry\Machine\ü");
        assert_eq!(
            memory::read::<u16>(string.address() + 2),
            memory::read::<u16>(string.address()) + 2
        );
    }
}
