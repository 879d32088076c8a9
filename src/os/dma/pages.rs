//! Pages of a buffer as the device sees them, and the tables that list them. Rules only: no OS, no device.

use vrnic_abi::PAGE_SIZE;
use vrnic_abi::resource::MAX_LEVELS;

/// Addresses in one table, which is a page.
pub const TABLE_ENTRIES: usize = 512;
/// Bytes of a page, as memory is counted.
pub const PAGE: usize = TABLE_ENTRIES * 8;
const _: () = assert!(PAGE as u64 == PAGE_SIZE);

/// The pieces of a scatter-gather list are not the pages of one virtually contiguous buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// Offset of an address in its page.
#[must_use]
pub const fn page_offset(address: u64) -> u32 {
    (address & (PAGE_SIZE - 1)) as u32
}

/// How many pages a buffer of `length` bytes touches that begins `offset` bytes into a page.
#[must_use]
pub const fn page_count(offset: u32, length: u64) -> u64 {
    (offset as u64 + length).div_ceil(PAGE_SIZE)
}

/// Hands the page addresses of a buffer to `page`, in order. Its `pieces` (address, bytes) follow each other without regard to
/// pages; the buffer has `length` bytes and begins `offset` bytes into its first page.
///
/// # Errors
///
/// The pieces do not make up such a buffer; some pages have been handed over by then.
pub fn for_each_page(
    pieces: impl Iterator<Item = (u64, u64)>,
    offset: u32,
    length: u64,
    mut page: impl FnMut(u64),
) -> Result<(), Broken> {
    let mut left = length;
    // Where the buffer goes on; in the middle of a page only that very address is right.
    let mut next = None;
    for (address, bytes) in pieces.filter(|(_, bytes)| *bytes != 0) {
        let end = address.checked_add(bytes).ok_or(Broken)?;
        left = left.checked_sub(bytes).ok_or(Broken)?;
        let inside = match next {
            None if page_offset(address) == offset => false,
            Some(next) if page_offset(next) == 0 && page_offset(address) == 0 => false,
            Some(next) if page_offset(next) != 0 && address == next => true,
            _ => return Err(Broken),
        };
        let first = address - u64::from(page_offset(address));
        let skip = usize::from(inside);
        (first..end).step_by(PAGE).skip(skip).for_each(&mut page);
        next = Some(end);
    }
    if left == 0 { Ok(()) } else { Err(Broken) }
}

/// Tables at each level above `pages` pages, lowest level first; as many levels as are needed for one table at the top.
/// `None` if there are more pages than the device can be told of.
#[must_use]
pub fn tables(pages: usize) -> Option<([usize; MAX_LEVELS as usize], u8)> {
    let mut counts = [0; MAX_LEVELS as usize];
    let mut below = pages;
    for (level, count) in (1..).zip(&mut counts) {
        *count = below.div_ceil(TABLE_ENTRIES).max(1);
        if *count == 1 {
            return Some((counts, level));
        }
        below = *count;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pages(pieces: &[(u64, u64)], offset: u32, length: u64) -> Result<Vec<u64>, Broken> {
        let mut found = Vec::new();
        for_each_page(pieces.iter().copied(), offset, length, |page| found.push(page))?;
        Ok(found)
    }

    #[test]
    fn pieces_become_pages() {
        assert_eq!(pages(&[(0x5010, 0x10)], 0x10, 0x10), Ok(vec![0x5000]));
        assert_eq!(
            pages(&[(0x5010, 0x1FF0), (0x9000, 1)], 0x10, 0x1FF1),
            Ok(vec![0x5000, 0x6000, 0x9000])
        );
        assert_eq!(
            pages(&[(0x5800, 0x400), (0x5C00, 0x500)], 0x800, 0x900),
            Ok(vec![0x5000, 0x6000]),
            "a page may come in parts"
        );
        assert_eq!(pages(&[(0x5000, 0x1000), (0, 0)], 0, 0x1000), Ok(vec![0x5000]));
    }

    #[test]
    fn what_is_no_buffer_is_refused() {
        for (pieces, offset, length) in [
            (&[(0x5010, 0x10)][..], 0, 0x10),
            (&[(0x5010, 0x10)], 0x10, 0x11),
            (&[(0x5010, 0x10)], 0x10, 0xF),
            (&[(0x5000, 0x10), (0x6010, 0x10)], 0, 0x20),
            (&[(0x5000, 0x10), (0x6000, 0x10)], 0, 0x20),
            (&[(0x5000, 0x1000), (0x6010, 0x10)], 0, 0x1010),
            (&[(u64::MAX - 0xFFF, 0x2000)], 0, 0x2000),
        ] {
            assert_eq!(pages(pieces, offset, length), Err(Broken), "{pieces:x?}");
        }
    }

    #[test]
    fn levels_grow_with_the_pages() {
        assert_eq!(tables(1), Some(([1, 0, 0], 1)));
        assert_eq!(tables(512), Some(([1, 0, 0], 1)));
        assert_eq!(tables(513), Some(([2, 1, 0], 2)));
        assert_eq!(tables(32_768), Some(([64, 1, 0], 2)), "128 MiB");
        assert_eq!(tables(512 * 512 + 1), Some(([513, 2, 1], 3)));
        assert_eq!(tables(512 * 512 * 512), Some(([512 * 512, 512, 1], 3)));
        assert_eq!(tables(512 * 512 * 512 + 1), None);
    }

    proptest! {
        /// However a buffer is cut, its pages are the same.
        #[test]
        fn cuts_do_not_matter(offset in 0u32..4096, length in 1u64..40_000, cuts in proptest::collection::vec(1u64..9000, 0..20)) {
            let base = 0x10_0000;
            let count = page_count(offset, length);
            // Every other page is elsewhere, so that pieces end at pages at the latest.
            let place = |page: u64| base + page * 2 * PAGE_SIZE;
            let mut pieces = Vec::new();
            let (mut at, mut cuts) = (u64::from(offset), cuts.into_iter());
            let end = at + length;
            while at < end {
                let room = PAGE_SIZE - at % PAGE_SIZE;
                let bytes = cuts.next().unwrap_or(u64::MAX).min(room).min(end - at);
                pieces.push((place(at / PAGE_SIZE) + at % PAGE_SIZE, bytes));
                at += bytes;
            }
            let expected: Vec<_> = (0..count).map(place).collect();
            prop_assert_eq!(pages(&pieces, offset, length), Ok(expected));
        }
    }
}
