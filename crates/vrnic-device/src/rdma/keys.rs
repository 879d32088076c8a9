//! Memory keys: registered regions, fast-register regions and windows.

use vrnic_abi::resource::{ACCESS_LOCAL_WRITE, KEY_VARIANT_BITS, KEY_VARIANT_MASK};

use super::extent::Extent;
use super::table::Table;
use crate::rc::{Access, AccessFault};

/// Regions and windows that there can be.
pub(crate) const MAX_KEYS: u32 = 1 << 18;
/// Index 0 would give keys that look like small numbers, and index 1 holds the privileged key.
const FIRST_INDEX: u32 = 2;
static_assertions::const_assert_eq!(
    vrnic_abi::resource::PRIVILEGED_KEY >> KEY_VARIANT_BITS,
    FIRST_INDEX - 1
);
/// Addresses in the page lists of all regions together: 128 GiB of memory whose pages are not adjacent.
const MAX_PAGES: usize = 1 << 25;

/// What a key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// `REGISTER_MR`.
    Region,
    /// `ALLOC_FRMR`.
    FastRegion,
    /// `ALLOC_MW`.
    Window,
}

/// Why a key cannot be taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyError {
    /// There is no such key, or it is of another kind.
    NotFound,
    /// Windows are bound to the region.
    InUse,
}

/// All keys.
pub(crate) struct KeyTable {
    pub(super) keys: Table<Key>,
    /// Length of all page lists.
    pages: usize,
    /// Windows that are bound.
    pub(super) bound: u32,
}

/// What is behind the index of a key.
pub(super) struct Key {
    /// The low byte of the key that is in force.
    pub variant: u8,
    pub pdn: u32,
    pub target: Target,
}

pub(super) enum Target {
    Region(Region),
    FastRegion {
        /// What a registration may ask for.
        allowed: u32,
        max_pages: usize,
        /// Of the last registration.
        region: Region,
        registered: bool,
    },
    Window {
        /// What a bind may ask for.
        allowed: u32,
        binding: Option<Binding>,
    },
}

#[derive(Default)]
pub(super) struct Region {
    pub access: u32,
    pub extent: Extent,
    /// Windows that are bound to it.
    pub windows: u32,
}

/// What a window shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Binding {
    /// The queue pair that has bound it.
    pub qpn: u32,
    /// Index of the region's key.
    pub region: u32,
    pub access: u32,
    pub base: u64,
    pub length: u64,
}

impl Key {
    fn kind(&self) -> KeyKind {
        match self.target {
            Target::Region(_) => KeyKind::Region,
            Target::FastRegion { .. } => KeyKind::FastRegion,
            Target::Window { .. } => KeyKind::Window,
        }
    }

    /// The region, if there is one now.
    pub fn region(&self) -> Option<&Region> {
        match &self.target {
            Target::Region(region)
            | Target::FastRegion {
                region,
                registered: true,
                ..
            } => Some(region),
            _ => None,
        }
    }

    pub fn region_mut(&mut self) -> Option<&mut Region> {
        match &mut self.target {
            Target::Region(region)
            | Target::FastRegion {
                region,
                registered: true,
                ..
            } => Some(region),
            _ => None,
        }
    }
}

impl Region {
    /// Addresses that its list can hold, in use or not.
    fn pages(&self) -> usize {
        self.extent.pages.capacity()
    }
}

/// The index of a key.
pub(super) const fn index(key: u32) -> u32 {
    key >> KEY_VARIANT_BITS
}

/// The variant of a key.
pub(super) const fn variant(key: u32) -> u8 {
    (key & KEY_VARIANT_MASK) as u8
}

impl KeyTable {
    /// No keys.
    pub const fn new() -> Self {
        Self {
            keys: Table::new(FIRST_INDEX, MAX_KEYS),
            pages: 0,
            bound: 0,
        }
    }

    /// Whether a region with a list of so many pages can be made.
    pub fn has_room(&self, pages: usize) -> bool {
        !self.keys.is_full() && pages <= MAX_PAGES - self.pages
    }

    /// Adds a registered region; its key. None if [`Self::has_room`] said so.
    pub fn register(&mut self, pdn: u32, access: u32, extent: Extent) -> Option<u32> {
        let region = Region {
            access,
            extent,
            windows: 0,
        };
        self.insert(pdn, Target::Region(region))
    }

    /// Adds a fast-register region; its key, which is not in force yet.
    pub fn allocate_fast(&mut self, pdn: u32, allowed: u32, max_pages: usize) -> Option<u32> {
        let region = Region {
            extent: Extent {
                pages: Vec::with_capacity(max_pages),
                ..Extent::default()
            },
            ..Region::default()
        };
        let target = Target::FastRegion {
            allowed,
            max_pages,
            region,
            registered: false,
        };
        self.insert(pdn, target)
    }

    /// Adds a window; its key, which is not in force yet.
    pub fn allocate_window(&mut self, pdn: u32, allowed: u32) -> Option<u32> {
        let target = Target::Window {
            allowed,
            binding: None,
        };
        self.insert(pdn, target)
    }

    fn insert(&mut self, pdn: u32, target: Target) -> Option<u32> {
        let pages = match &target {
            Target::Region(region) | Target::FastRegion { region, .. } => region.pages(),
            Target::Window { .. } => 0,
        };
        let mut key = 0;
        self.keys.insert(|number, generation| {
            key = number << KEY_VARIANT_BITS | u32::from(generation);
            Key {
                variant: generation,
                pdn,
                target,
            }
        })?;
        self.pages += pages;
        Some(key)
    }

    /// Takes a key away that `allowed` kinds have; the number of its protection domain. For a registered region the key must
    /// be the one in force; for the others the variant does not count, because it may be on its way in a work queue.
    pub fn remove(&mut self, key: u32, allowed: &[KeyKind]) -> Result<u32, KeyError> {
        let found = self.keys.get(index(key)).ok_or(KeyError::NotFound)?;
        let kind = found.kind();
        if !allowed.contains(&kind) || kind == KeyKind::Region && found.variant != variant(key) {
            return Err(KeyError::NotFound);
        }
        if found.region().is_some_and(|region| region.windows != 0) {
            return Err(KeyError::InUse);
        }
        self.unbind(index(key));
        let removed = self.keys.remove(index(key)).ok_or(KeyError::NotFound)?;
        if let Target::Region(region) | Target::FastRegion { region, .. } = &removed.target {
            self.pages -= region.pages();
        }
        Ok(removed.pdn)
    }

    /// The key with exactly this variant.
    pub(super) fn exact(&self, key: u32) -> Option<&Key> {
        self.keys
            .get(index(key))
            .filter(|found| found.variant == variant(key))
    }

    /// The memory behind a local key, if the access is allowed.
    pub fn local(
        &self,
        key: u32,
        pdn: u32,
        addr: u64,
        length: u64,
        access: Access,
    ) -> Result<&Extent, AccessFault> {
        let found = self.exact(key).filter(|key| key.pdn == pdn).ok_or(AccessFault)?;
        let region = found.region().ok_or(AccessFault)?;
        let allowed = access == Access::Read || region.access & ACCESS_LOCAL_WRITE != 0;
        if allowed && region.extent.contains(addr, length) {
            Ok(&region.extent)
        } else {
            Err(AccessFault)
        }
    }

    /// The memory behind a key that the peer of queue pair `qpn` names, if the access (an `ACCESS_REMOTE_*` bit) is allowed.
    pub fn remote(
        &self,
        key: u32,
        pdn: u32,
        qpn: u32,
        addr: u64,
        length: u64,
        access: u32,
    ) -> Result<&Extent, AccessFault> {
        let found = self.exact(key).filter(|key| key.pdn == pdn).ok_or(AccessFault)?;
        let (extent, granted, inside) = if let Target::Window { binding, .. } = &found.target {
            let binding = binding.filter(|binding| binding.qpn == qpn).ok_or(AccessFault)?;
            let region = self.keys.get(binding.region).and_then(Key::region);
            let extent = &region.ok_or(AccessFault)?.extent;
            (extent, binding.access, binding.contains(addr, length))
        } else {
            let region = found.region().ok_or(AccessFault)?;
            (&region.extent, region.access, true)
        };
        if granted & access == access && inside && extent.contains(addr, length) {
            Ok(extent)
        } else {
            Err(AccessFault)
        }
    }
}

impl Binding {
    fn contains(&self, addr: u64, length: u64) -> bool {
        let end = addr
            .checked_sub(self.base)
            .and_then(|offset| offset.checked_add(length));
        end.is_some_and(|end| end <= self.length)
    }
}
