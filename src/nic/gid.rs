//! The GID table: the addresses that the port receives `RoCEv2` packets for.

use vrnic_abi::cm::{GID_ENTRIES, GID_VALID, GidEntry};

/// Entries of the table.
pub const ENTRIES: usize = GID_ENTRIES as usize;

/// An entry in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GidAddress {
    /// Which entry, below [`ENTRIES`].
    pub index: u16,
    /// The IPv6 address, or the IPv4 address as `::ffff:a.b.c.d`.
    pub gid: [u8; 16],
}

#[cfg(windows)]
impl crate::os::pool::Pooled for GidAddress {
    const TAG: crate::os::pool::Tag = crate::os::pool::Tag::new(*b"VrGi");
}

impl GidAddress {
    /// The command input that sets or clears it.
    #[must_use]
    pub fn entry(self, valid: bool) -> GidEntry {
        let gid = if valid { self.gid } else { [0; 16] };
        let flags = if valid { GID_VALID } else { 0 };
        GidEntry {
            index: self.index.into(),
            flags: flags.into(),
            vlan: 0.into(),
            reserved: 0.into(),
            gid,
        }
    }
}

/// What the driver believes that the device has.
#[derive(Clone, Debug)]
pub struct GidTable {
    entries: [Option<[u8; 16]>; ENTRIES],
    /// So many entries exist.
    size: u16,
}

/// A change that brings the device closer to the wanted addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The address is not wanted any more.
    Clear(GidAddress),
    /// The address is new.
    Set(GidAddress),
}

impl GidTable {
    /// An empty table of a device that has `size` entries; more than [`ENTRIES`] are not used.
    #[must_use]
    pub const fn new(size: u16) -> Self {
        Self {
            entries: [None; ENTRIES],
            size,
        }
    }

    /// The next change towards exactly `wanted`, or `None` when there is nothing more to do: entries that stay keep their
    /// index, unwanted ones go first. Addresses beyond the size of the table are left out.
    #[must_use]
    pub fn next_change(&self, wanted: &[[u8; 16]]) -> Option<Change> {
        let unwanted = self.iter().find(|entry| !wanted.contains(&entry.gid));
        if let Some(entry) = unwanted {
            return Some(Change::Clear(entry));
        }
        let (index, _free) = (0..self.size)
            .zip(&self.entries)
            .find(|(_, entry)| entry.is_none())?;
        let gid = *wanted
            .iter()
            .find(|gid| !self.iter().any(|entry| entry.gid == **gid))?;
        Some(Change::Set(GidAddress { index, gid }))
    }

    /// The device has made the change.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Clear(entry) => self.entries[usize::from(entry.index)] = None,
            Change::Set(entry) => self.entries[usize::from(entry.index)] = Some(entry.gid),
        }
    }

    /// Entries in use.
    pub fn iter(&self) -> impl Iterator<Item = GidAddress> {
        let entry = |(index, gid): (u16, &Option<[u8; 16]>)| gid.map(|gid| GidAddress { index, gid });
        (0..self.size).zip(&self.entries).filter_map(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gid(last: u8) -> [u8; 16] {
        let mut gid = [0; 16];
        gid[15] = last;
        gid
    }

    fn settle(table: &mut GidTable, wanted: &[[u8; 16]]) -> usize {
        let mut changes = 0;
        while let Some(change) = table.next_change(wanted) {
            table.apply(change);
            changes += 1;
            assert!(changes <= 2 * ENTRIES, "does not settle");
        }
        changes
    }

    #[test]
    fn addresses_that_stay_keep_their_index() {
        let mut table = GidTable::new(GID_ENTRIES);
        assert_eq!(settle(&mut table, &[gid(1), gid(2), gid(3)]), 3);
        assert_eq!(settle(&mut table, &[gid(3), gid(4), gid(1)]), 2);
        let entries: Vec<_> = table.iter().map(|entry| (entry.index, entry.gid[15])).collect();
        assert_eq!(entries, [(0, 1), (1, 4), (2, 3)]);
        assert_eq!(settle(&mut table, &[gid(3), gid(4), gid(1)]), 0);
        assert_eq!(settle(&mut table, &[]), 3);
    }

    #[test]
    fn duplicates_and_too_many_do_no_harm() {
        let mut table = GidTable::new(GID_ENTRIES);
        assert_eq!(settle(&mut table, &[gid(1), gid(1)]), 1);
        let many: Vec<_> = (0..100).map(gid).collect();
        settle(&mut table, &many);
        assert_eq!(table.iter().count(), ENTRIES);
        let mut small = GidTable::new(2);
        settle(&mut small, &many);
        assert_eq!(small.iter().count(), 2);
    }

    #[test]
    fn clearing_sends_zeros() {
        let address = GidAddress {
            index: 3,
            gid: gid(9),
        };
        assert_eq!(address.entry(true).flags.get(), GID_VALID);
        assert_eq!(address.entry(true).gid, gid(9));
        assert_eq!(address.entry(false).flags.get(), 0);
        assert_eq!(address.entry(false).gid, [0; 16]);
    }
}
