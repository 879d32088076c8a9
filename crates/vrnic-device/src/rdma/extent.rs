//! Where the bytes of a region are: a private copy of its page list, which the host cannot change any more.

use vrnic_abi::PAGE_SIZE;

use crate::host::DmaFault;

/// Bytes of a page.
const PAGE: usize = 4096;
static_assertions::const_assert_eq!(PAGE as u64, PAGE_SIZE);

/// A range of virtual addresses and its pages.
#[derive(Debug, Default)]
pub(crate) struct Extent {
    /// Address of the first byte, which is at this address's offset in the first page.
    pub base: u64,
    /// Bytes.
    pub length: u64,
    /// The pages, in order; one entry alone can stand for a contiguous range of any length.
    pub pages: Vec<u64>,
}

impl Extent {
    /// Pages that `length` bytes from `base` on touch; None if the range does not exist.
    pub fn page_count(base: u64, length: u64) -> Option<u64> {
        let offset = base % PAGE_SIZE;
        base.checked_add(length)?;
        Some(offset.checked_add(length)?.div_ceil(PAGE_SIZE))
    }

    /// Whether these bytes belong to it.
    pub fn contains(&self, addr: u64, length: u64) -> bool {
        let end = addr
            .checked_sub(self.base)
            .and_then(|offset| offset.checked_add(length));
        end.is_some_and(|end| end <= self.length)
    }

    /// Calls `access` with the DMA address, and the place in the range from `addr` on, of each piece that is contiguous.
    /// The range has been checked with [`Self::contains`].
    ///
    /// # Errors
    /// The first one of `access`.
    pub fn pieces(
        &self,
        addr: u64,
        length: usize,
        mut access: impl FnMut(u64, std::ops::Range<usize>) -> Result<(), DmaFault>,
    ) -> Result<(), DmaFault> {
        let fault = DmaFault { addr };
        let offset = (self.base % PAGE_SIZE) + (addr - self.base);
        if let [page] = *self.pages {
            return access(page + offset, 0..length);
        }
        let mut index = usize::try_from(offset / PAGE_SIZE).map_err(|_| fault)?;
        let mut within = usize::try_from(offset % PAGE_SIZE).map_err(|_| fault)?;
        let mut at = 0;
        while at < length {
            let first = *self.pages.get(index).ok_or(fault)?;
            let mut run = PAGE - within;
            index += 1;
            while run < length - at && self.pages.get(index) == Some(&(first + (within + run) as u64)) {
                run += PAGE;
                index += 1;
            }
            let run = run.min(length - at);
            access(first + within as u64, at..at + run)?;
            at += run;
            within = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(extent: &Extent, addr: u64, length: usize) -> Vec<(u64, usize)> {
        let mut found = Vec::new();
        let mut next = 0;
        extent
            .pieces(addr, length, |dma, range| {
                assert_eq!(range.start, next);
                next = range.end;
                found.push((dma, range.len()));
                Ok(())
            })
            .unwrap();
        assert_eq!(next, length);
        found
    }

    #[test]
    fn adjacent_pages_are_one_piece() {
        let extent = Extent {
            base: 0x7_0010,
            length: 0x3FF0,
            pages: vec![0xA000, 0xB000, 0x2000, 0xC000],
        };
        assert_eq!(
            pieces(&extent, 0x7_0010, 0x3FF0),
            [(0xA010, 0x1FF0), (0x2000, 0x1000), (0xC000, 0x1000)]
        );
        assert_eq!(pieces(&extent, 0x7_1800, 0x800), [(0xB800, 0x800)]);
        assert_eq!(pieces(&extent, 0x7_1FFF, 2), [(0xBFFF, 1), (0x2000, 1)]);
        assert_eq!(pieces(&extent, 0x7_1FFF, 0), []);
    }

    #[test]
    fn one_address_is_contiguous() {
        let extent = Extent {
            base: 0x7_0010,
            length: 1 << 32,
            pages: vec![0xA000],
        };
        assert_eq!(pieces(&extent, 0x7_0020, 1 << 31), [(0xA020, 1 << 31)]);
    }

    #[test]
    fn ranges() {
        let extent = Extent {
            base: 100,
            length: 50,
            pages: vec![0],
        };
        for (addr, length, inside) in [
            (100, 50, true),
            (100, 51, false),
            (99, 1, false),
            (150, 0, true),
            (149, 2, false),
            (100, u64::MAX, false),
            (u64::MAX, 1, false),
        ] {
            assert_eq!(extent.contains(addr, length), inside, "{addr} {length}");
        }
        assert_eq!(Extent::page_count(4095, 2), Some(2));
        assert_eq!(Extent::page_count(u64::MAX, 2), None);
        assert_eq!(Extent::page_count(0, u64::MAX), Some(1 << 52));
    }
}
