//! Buffers that end at an inaccessible page: a provider that touches a byte too much faults.

use crate::memory::{self, PAGE_SIZE, Protection};
use std::cell::RefCell;

/// What the bytes in front of a buffer hold.
const CANARY: u8 = 0xA5;

thread_local! {
    /// Pages that are free, so that a call does not cost a mapping. They stay mapped when the thread ends.
    static FREE: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// A buffer.
#[derive(Debug)]
pub struct Guarded {
    /// Where its pages start, the last of which is followed by an inaccessible one.
    page: usize,
    /// Bytes of its pages.
    size: usize,
    length: usize,
}

impl Guarded {
    /// A buffer of `length` bytes that are all `fill`.
    #[must_use]
    pub fn filled(length: usize, fill: u8) -> Self {
        let size = memory::page_up(length.max(1));
        let used = if size == PAGE_SIZE {
            FREE.with_borrow_mut(Vec::pop)
        } else {
            None
        };
        let page = used.unwrap_or_else(|| {
            let page = memory::reserve(size + PAGE_SIZE);
            memory::protect(page, size, Protection::ReadWrite);
            page
        });
        memory::fill(page, CANARY, size - length);
        memory::fill(page + size - length, fill, length);
        Self { page, size, length }
    }

    /// A copy of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let buffer = Self::filled(bytes.len(), 0);
        memory::write_bytes(buffer.address(), bytes);
        buffer
    }

    /// Where it is. An empty buffer has an address, too, at which nothing can be accessed.
    #[must_use]
    pub fn address(&self) -> usize {
        self.page + self.size - self.length
    }

    /// What it holds now.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        memory::read_bytes(self.address(), self.length)
    }

    /// A value from its start.
    ///
    /// # Panics
    /// When it is shorter than that.
    #[must_use]
    pub fn read<T: Copy>(&self) -> T {
        assert!(size_of::<T>() <= self.length, "the buffer is too short");
        memory::read(self.address())
    }

    /// Whether the bytes in front of it are as they were.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        memory::read_bytes(self.page, self.size - self.length)
            .iter()
            .all(|&byte| byte == CANARY)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if self.size != PAGE_SIZE {
            memory::release(self.page, self.size + PAGE_SIZE);
            return;
        }
        // When the thread is ending there is no list any more, and the page stays unused.
        let _ = FREE.try_with(|free| free.borrow_mut().push(self.page));
    }
}

/// How a buffer reads in a trace.
pub(super) fn room_text(room: Option<usize>) -> String {
    room.map_or_else(|| "no buffer".to_owned(), |room| format!("room for {room} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_end_at_their_guard() {
        let buffer = Guarded::of(&[1, 2, 3]);
        assert_eq!(buffer.bytes(), [1, 2, 3]);
        assert_eq!((buffer.address() + 3) % PAGE_SIZE, 0);
        assert!(memory::is_mapped(buffer.address() + 2));
        assert!(!memory::is_mapped(buffer.address() + 3));
        let long = Guarded::filled(PAGE_SIZE + 1, 0);
        assert!(!memory::is_mapped(long.address() + PAGE_SIZE + 1) && long.is_intact());
        let empty = Guarded::of(&[]);
        assert!(!memory::is_mapped(empty.address()));
        assert_ne!(
            empty.address(),
            buffer.address() + 3,
            "two buffers at a time are two pages"
        );
        assert!(buffer.is_intact());
        memory::write(buffer.address() - 1, 0_u8);
        assert!(!buffer.is_intact());
    }
}
