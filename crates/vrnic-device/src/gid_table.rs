//! The addresses of the port.

/// One address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gid {
    /// IPv6, or IPv6-mapped IPv4.
    pub addr: [u8; 16],
    /// VLAN id (bits 0 to 11) and priority (bits 13 to 15); 0 for untagged.
    pub vlan: u16,
}

/// The table.
pub(crate) struct GidTable {
    entries: Vec<Option<Gid>>,
}

impl GidTable {
    /// An empty table.
    pub fn new(entries: u16) -> Self {
        Self {
            entries: vec![None; usize::from(entries)],
        }
    }

    /// The entry, if it is set.
    pub fn get(&self, index: u16) -> Option<Gid> {
        self.entries.get(usize::from(index)).copied().flatten()
    }

    /// Sets or clears an entry. False if there is no such entry.
    pub fn set(&mut self, index: u16, gid: Option<Gid>) -> bool {
        self.entries
            .get_mut(usize::from(index))
            .map(|entry| *entry = gid)
            .is_some()
    }

    /// The lowest entry that takes frames to `addr` in the VLAN with id `vlan_id`.
    pub fn find(&self, addr: [u8; 16], vlan_id: u16) -> Option<u16> {
        let takes = |gid: &Gid| gid.addr == addr && gid.vlan & 0xFFF == vlan_id;
        (0..)
            .zip(&self.entries)
            .find_map(|(index, entry)| entry.as_ref().is_some_and(takes).then_some(index))
    }
}
