//! Reading and writing host memory by key.
//!
//! Every access is checked again, because a key can go away between two packets of one message.

use std::ops::Range;

use vrnic_abi::resource::{ACCESS_REMOTE_READ, ACCESS_REMOTE_WRITE, PRIVILEGED_KEY};

use super::extent::Extent;
use super::keys::KeyTable;
use crate::dma::Dma;
use crate::host::DmaFault;
use crate::rc::{Access, AccessFault, Sge};

/// The rights of a queue pair.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rights {
    pub qpn: u32,
    pub pdn: u32,
    /// The privileged key may be used.
    pub privileged: bool,
    /// `ACCESS_REMOTE_*` bits: what peers may do at all.
    pub remote: u32,
}

/// Host memory, as one queue pair may see it.
pub(super) struct Memory<'a> {
    pub dma: &'a mut Dma,
    pub keys: &'a KeyTable,
    pub rights: Rights,
}

/// A piece of local memory: behind a key, or at a DMA address.
enum Local<'a> {
    Extent(&'a Extent, u64),
    Direct(u64),
}

impl From<DmaFault> for AccessFault {
    fn from(_: DmaFault) -> Self {
        Self
    }
}

impl Memory<'_> {
    /// Whether each element may be accessed as a whole. An element without bytes names nothing.
    pub fn check_local(&self, sges: &[Sge], access: Access) -> Result<(), AccessFault> {
        sges.iter()
            .filter(|sge| sge.length != 0)
            .try_for_each(|sge| local(self.keys, self.rights, sge, 0, sge.length.into(), access).map(|_| ()))
    }

    /// Reads `data.len()` bytes, `offset` bytes into the elements.
    pub fn read_local(&mut self, sges: &[Sge], offset: u32, data: &mut [u8]) -> Result<(), AccessFault> {
        let length = data.len();
        self.for_each_local(sges, offset, length, Access::Read, |dma, addr, range| {
            dma.read(addr, &mut data[range])
        })
    }

    /// Writes `data`, `offset` bytes into the elements.
    pub fn write_local(&mut self, sges: &[Sge], offset: u32, data: &[u8]) -> Result<(), AccessFault> {
        self.for_each_local(sges, offset, data.len(), Access::Write, |dma, addr, range| {
            dma.write(addr, &data[range])
        })
    }

    fn for_each_local(
        &mut self,
        sges: &[Sge],
        offset: u32,
        length: usize,
        access: Access,
        mut piece: impl FnMut(&mut Dma, u64, Range<usize>) -> Result<(), DmaFault>,
    ) -> Result<(), AccessFault> {
        let mut skip = u64::from(offset);
        let mut at = 0;
        for sge in sges {
            let available = u64::from(sge.length).saturating_sub(skip);
            let count = usize::try_from(available).map_or(length - at, |count| count.min(length - at));
            if count != 0 {
                match local(self.keys, self.rights, sge, skip, count as u64, access)? {
                    Local::Direct(addr) => piece(self.dma, addr, at..at + count)?,
                    Local::Extent(extent, addr) => extent.pieces(addr, count, |addr, range| {
                        piece(self.dma, addr, at + range.start..at + range.end)
                    })?,
                }
            }
            skip = skip.saturating_sub(sge.length.into());
            at += count;
        }
        if at == length { Ok(()) } else { Err(AccessFault) }
    }

    /// Whether the peer may do that.
    pub fn check_remote(&self, key: u32, addr: u64, length: u64, access: Access) -> Result<(), AccessFault> {
        remote(self.keys, self.rights, key, addr, length, access).map(|_| ())
    }

    /// Reads for the peer.
    pub fn read_remote(&mut self, key: u32, addr: u64, data: &mut [u8]) -> Result<(), AccessFault> {
        let length = data.len();
        let extent = remote(self.keys, self.rights, key, addr, length as u64, Access::Read)?;
        extent.pieces(addr, length, |addr, range| self.dma.read(addr, &mut data[range]))?;
        Ok(())
    }

    /// Writes for the peer.
    pub fn write_remote(&mut self, key: u32, addr: u64, data: &[u8]) -> Result<(), AccessFault> {
        let extent = remote(
            self.keys,
            self.rights,
            key,
            addr,
            data.len() as u64,
            Access::Write,
        )?;
        extent.pieces(addr, data.len(), |addr, range| self.dma.write(addr, &data[range]))?;
        Ok(())
    }
}

/// Where `length` bytes of an element are, from `offset` on.
fn local<'a>(
    keys: &'a KeyTable,
    rights: Rights,
    sge: &Sge,
    offset: u64,
    length: u64,
    access: Access,
) -> Result<Local<'a>, AccessFault> {
    let addr = sge.addr.checked_add(offset).ok_or(AccessFault)?;
    if sge.key == PRIVILEGED_KEY {
        let is_good = rights.privileged && addr.checked_add(length).is_some();
        return is_good.then_some(Local::Direct(addr)).ok_or(AccessFault);
    }
    let extent = keys.local(sge.key, rights.pdn, addr, length, access)?;
    Ok(Local::Extent(extent, addr))
}

fn remote(
    keys: &KeyTable,
    rights: Rights,
    key: u32,
    addr: u64,
    length: u64,
    access: Access,
) -> Result<&Extent, AccessFault> {
    let bit = match access {
        Access::Read => ACCESS_REMOTE_READ,
        Access::Write => ACCESS_REMOTE_WRITE,
    };
    if rights.remote & bit == 0 {
        return Err(AccessFault);
    }
    keys.remote(key, rights.pdn, rights.qpn, addr, length, bit)
}
