//! The IP addresses of our interface, as NETIO knows them.
#![expect(unsafe_code, reason = "NETIO tables and their callback")]

use core::ffi::c_void;
use core::ptr::{NonNull, null_mut};

use ndk_sys::imports::netio;
use ndk_sys::{
    AF_INET, AF_INET6, AF_UNSPEC, FALSE, HANDLE, IpDadStateDeprecated, IpDadStatePreferred,
    MIB_NOTIFICATION_TYPE, MIB_UNICASTIPADDRESS_ROW, MIB_UNICASTIPADDRESS_TABLE, NET_LUID, NTSTATUS,
    STATUS_SUCCESS,
};

use super::irql::Passive;
use super::pool::{OutOfMemory, PoolArc, PoolVec, Pooled, Tag};

/// An address in the form of a GID: IPv6, or IPv4 as `::ffff:a.b.c.d`.
pub type Address = [u8; 16];

impl Pooled for Address {
    const TAG: Tag = Tag::new(*b"VrAd");
}

/// Who is told that addresses have changed.
pub trait AddressTarget: Pooled + Send + Sync {
    /// Some unicast address of some interface has changed. `PASSIVE_LEVEL`, but NETIO waits: no long work here.
    fn on_address_change(&self);
}

/// A registration for address changes. It keeps its target alive; dropping it at `PASSIVE_LEVEL` ends it, and no
/// callback runs or will run when that is done.
pub struct Notification<T: AddressTarget> {
    handle: HANDLE,
    /// The reference that the callback uses.
    target: NonNull<T>,
}

// SAFETY: a handle, and a reference to something that may be shared.
unsafe impl<T: AddressTarget> Send for Notification<T> {}
// SAFETY: as above.
unsafe impl<T: AddressTarget> Sync for Notification<T> {}

impl<T: AddressTarget> Notification<T> {
    /// Registers `target`.
    ///
    /// # Errors
    ///
    /// What NETIO says.
    pub fn register(passive: &Passive, target: PoolArc<T>) -> Result<Self, NTSTATUS> {
        passive.check();
        let target = target.into_raw();
        let mut handle = null_mut();
        // SAFETY: a callback whose context lives until the registration has ended, and a place for the handle.
        let status = unsafe {
            netio::NotifyUnicastIpAddressChange(
                AF_UNSPEC,
                Some(address_changed::<T>),
                target.as_ptr().cast(),
                FALSE,
                &raw mut handle,
            )
        };
        if status == STATUS_SUCCESS {
            return Ok(Self { handle, target });
        }
        // SAFETY: the reference of `into_raw`; no callback has it.
        drop(unsafe { PoolArc::from_raw(target) });
        Err(status)
    }
}

impl<T: AddressTarget> Drop for Notification<T> {
    fn drop(&mut self) {
        // SAFETY: a registered notification; waits for callbacks that run.
        let _ = unsafe { netio::CancelMibChangeNotify2(self.handle) };
        // SAFETY: the reference of `register`; no callback uses it any more.
        drop(unsafe { PoolArc::from_raw(self.target) });
    }
}

/// `PUNICAST_IPADDRESS_CHANGE_CALLBACK`.
unsafe extern "system" fn address_changed<T: AddressTarget>(
    context: *mut c_void,
    _row: *mut MIB_UNICASTIPADDRESS_ROW,
    _kind: MIB_NOTIFICATION_TYPE,
) {
    // SAFETY: the context is the target, kept alive by the `Notification`.
    unsafe { &*context.cast::<T>() }.on_address_change();
}

/// A table that NETIO allocated.
struct Table(NonNull<MIB_UNICASTIPADDRESS_TABLE>);

impl Table {
    fn rows(&self) -> &[MIB_UNICASTIPADDRESS_ROW] {
        // SAFETY: NETIO filled the table in.
        let count = unsafe { (*self.0.as_ptr()).NumEntries };
        // SAFETY: a field of the table.
        let first = unsafe { &raw const (*self.0.as_ptr()).Table }.cast();
        // SAFETY: so many rows follow the count, and live as long as the table.
        unsafe { core::slice::from_raw_parts(first, count as usize) }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // SAFETY: allocated by NETIO.
        unsafe { netio::FreeMibTable(self.0.as_ptr().cast()) };
    }
}

/// The usable unicast addresses of the interface `luid`.
///
/// # Errors
///
/// What NETIO says, or no memory.
pub fn addresses(passive: &Passive, luid: NET_LUID) -> Result<PoolVec<Address>, NTSTATUS> {
    passive.check();
    let mut table = null_mut();
    // SAFETY: a place for the table.
    let status = unsafe { netio::GetUnicastIpAddressTable(AF_UNSPEC, &raw mut table) };
    let table = match NonNull::new(table) {
        Some(table) if status == STATUS_SUCCESS => Table(table),
        _ => {
            return Err(if status == STATUS_SUCCESS {
                OutOfMemory.into()
            } else {
                status
            });
        }
    };
    let mut found = PoolVec::new();
    for row in table
        .rows()
        .iter()
        .filter(|row| row.InterfaceLuid.Value == luid.Value && is_usable(row))
    {
        if let Some(address) = address(row) {
            found.push(address)?;
        }
    }
    Ok(found)
}

/// Duplicate address detection has passed.
fn is_usable(row: &MIB_UNICASTIPADDRESS_ROW) -> bool {
    row.DadState == IpDadStatePreferred || row.DadState == IpDadStateDeprecated
}

fn address(row: &MIB_UNICASTIPADDRESS_ROW) -> Option<Address> {
    // SAFETY: the family is at the start of every member of the union.
    match unsafe { row.Address.si_family } {
        AF_INET => {
            // SAFETY: the family says so.
            let ipv4 = unsafe { row.Address.Ipv4 }.sin_addr.S_addr.to_ne_bytes();
            let mut address = [0; 16];
            address[10..12].fill(0xFF);
            address[12..].copy_from_slice(&ipv4);
            Some(address)
        }
        AF_INET6 => {
            // SAFETY: the family says so.
            let words = unsafe { row.Address.Ipv6 }.sin6_addr.Word;
            let mut address = [0; 16];
            for (bytes, word) in address.chunks_exact_mut(2).zip(words) {
                bytes.copy_from_slice(&word.to_ne_bytes());
            }
            Some(address)
        }
        _ => None,
    }
}
