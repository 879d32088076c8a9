//! What work requests do to keys: fast registration, invalidation, binding of windows.

use vrnic_abi::PAGE_SIZE;
use vrnic_abi::cqe::WorkStatus;
use vrnic_abi::resource::{ACCESS_LOCAL_WRITE, ACCESS_REMOTE_READ, ACCESS_REMOTE_WRITE, ACCESS_WINDOW_BIND};
use vrnic_abi::wqe::{BindSegment, FastRegSegment};

use super::extent::Extent;
use super::keys::{Binding, Key, KeyTable, Target, index, variant};
use crate::dma::Dma;
use crate::rc::AccessFault;

/// All bits that an access mask can have.
pub(crate) const ACCESS_ALL: u32 =
    ACCESS_LOCAL_WRITE | ACCESS_REMOTE_READ | ACCESS_REMOTE_WRITE | ACCESS_WINDOW_BIND;
/// Most pages of a fast registration: their addresses fill a page.
pub(crate) const MAX_FAST_PAGES: u32 = 512;

/// Whether the bits make sense together: who lets peers write lets the device write.
pub(crate) const fn is_region_access(access: u32) -> bool {
    access & !ACCESS_ALL == 0 && (access & ACCESS_REMOTE_WRITE == 0 || access & ACCESS_LOCAL_WRITE != 0)
}

impl KeyTable {
    /// `FAST_REG` of a queue pair in protection domain `pdn`.
    pub fn fast_register(
        &mut self,
        dma: &mut Dma,
        pdn: u32,
        segment: &FastRegSegment,
    ) -> Result<(), WorkStatus> {
        let malformed = WorkStatus::LOCAL_OPERATION;
        let key = segment.key.get();
        let found = self.keys.get_mut(index(key)).filter(|found| found.pdn == pdn);
        let Some(Key {
            variant: current,
            target:
                Target::FastRegion {
                    allowed,
                    max_pages,
                    region,
                    registered: registered @ false,
                },
            ..
        }) = found
        else {
            return Err(malformed);
        };
        let pages = usize::try_from(segment.pages.get()).map_err(|_| malformed)?;
        let access = segment.access.get();
        let (base, length) = (segment.base.get(), segment.length.get());
        let needed = Extent::page_count(base, length).ok_or(malformed)?;
        let is_good = (1..=*max_pages).contains(&pages)
            && length != 0
            && needed <= pages as u64
            && base % PAGE_SIZE == u64::from(segment.first_page_offset.get())
            && access & !*allowed == 0
            && is_region_access(access)
            && segment.reserved == [0; 8];
        if !is_good {
            return Err(malformed);
        }
        read_pages(dma, segment.page_list.get(), pages, &mut region.extent.pages)?;
        (region.extent.base, region.extent.length, region.access) = (base, length, access);
        *current = variant(key);
        *registered = true;
        Ok(())
    }

    /// Ends what a key gives access to: that of a fast-register region without windows, or of a window which queue pair `qpn` has
    /// bound.
    pub fn invalidate(&mut self, key: u32, pdn: u32, qpn: u32) -> Result<(), AccessFault> {
        let found = self.keys.get_mut(index(key)).ok_or(AccessFault)?;
        if found.variant != variant(key) || found.pdn != pdn {
            return Err(AccessFault);
        }
        match &mut found.target {
            Target::FastRegion {
                region,
                registered: registered @ true,
                ..
            } if region.windows == 0 => *registered = false,
            Target::Window {
                binding: Some(binding),
                ..
            } if binding.qpn == qpn => self.unbind(index(key)),
            _ => return Err(AccessFault),
        }
        Ok(())
    }

    /// `BIND_MW` of queue pair `qpn` in protection domain `pdn`.
    pub fn bind(&mut self, pdn: u32, qpn: u32, segment: &BindSegment) -> Result<(), WorkStatus> {
        let refused = WorkStatus::WINDOW_BIND;
        let (window_key, region_key) = (segment.window_key.get(), segment.region_key.get());
        let access = segment.access.get();
        let binding = Binding {
            qpn,
            region: index(region_key),
            access,
            base: segment.base.get(),
            length: segment.length.get(),
        };
        let region = self.exact(region_key).filter(|key| key.pdn == pdn);
        let region = region.and_then(Key::region).ok_or(refused)?;
        let is_good = region.access & ACCESS_WINDOW_BIND != 0
            && (access & ACCESS_REMOTE_WRITE == 0 || region.access & ACCESS_LOCAL_WRITE != 0)
            && binding.length != 0
            && region.extent.contains(binding.base, binding.length)
            && segment.reserved == [0; 20];
        let window = self.keys.get_mut(index(window_key)).filter(|key| key.pdn == pdn);
        match window {
            Some(Key {
                variant: current,
                target:
                    Target::Window {
                        allowed,
                        binding: bound @ None,
                    },
                ..
            }) if is_good && access & !(*allowed & (ACCESS_REMOTE_READ | ACCESS_REMOTE_WRITE)) == 0 => {
                *bound = Some(binding);
                *current = variant(window_key);
            }
            _ => return Err(refused),
        }
        self.bound += 1;
        if let Some(region) = self.keys.get_mut(binding.region).and_then(Key::region_mut) {
            region.windows += 1;
        }
        Ok(())
    }

    /// Ends the binding of the window with that index, if it is a window and bound.
    pub(super) fn unbind(&mut self, window: u32) {
        let Some(Key {
            target: Target::Window { binding, .. },
            ..
        }) = self.keys.get_mut(window)
        else {
            return;
        };
        let Some(binding) = binding.take() else { return };
        self.bound -= 1;
        if let Some(region) = self.keys.get_mut(binding.region).and_then(Key::region_mut) {
            region.windows -= 1;
        }
    }

    /// Ends the bindings of a queue pair that goes away: its number will be another's some day.
    pub fn unbind_all_of(&mut self, qpn: u32) {
        if self.bound == 0 {
            return;
        }
        let is_its = |key: &Key| matches!(&key.target, Target::Window { binding: Some(binding), .. } if binding.qpn == qpn);
        let windows: Vec<_> = self
            .keys
            .iter_mut()
            .filter_map(|(number, key)| is_its(key).then_some(number))
            .collect();
        for window in windows {
            self.unbind(window);
        }
    }
}

/// Reads a list of page addresses, which does not grow beyond its capacity: it counts in the table's limit.
fn read_pages(dma: &mut Dma, list: u64, count: usize, pages: &mut Vec<u64>) -> Result<(), WorkStatus> {
    let malformed = WorkStatus::LOCAL_OPERATION;
    let mut bytes = [0; MAX_FAST_PAGES as usize * size_of::<u64>()];
    let bytes = bytes.get_mut(..count * size_of::<u64>()).ok_or(malformed)?;
    if !list.is_multiple_of(size_of::<u64>() as u64) {
        return Err(malformed);
    }
    dma.read(list, bytes).map_err(|_| WorkStatus::LOCAL_PROTECTION)?;
    pages.clear();
    let (words, _) = bytes.as_chunks();
    pages.extend(words.iter().map(|word| u64::from_le_bytes(*word)));
    let is_page = |page: &u64| page.is_multiple_of(PAGE_SIZE) && page.checked_add(PAGE_SIZE).is_some();
    if pages.iter().all(is_page) {
        Ok(())
    } else {
        Err(malformed)
    }
}
