//! The adapter's PCI configuration space and resources.
#![expect(unsafe_code, reason = "NDIS bus access")]

use core::ptr::NonNull;

use ndk_sys::imports::ndis;
use ndk_sys::{CM_PARTIAL_RESOURCE_DESCRIPTOR, CM_PARTIAL_RESOURCE_LIST, CmResourceTypeMemory};

use super::bytes_of;
use super::handle::AdapterHandle;

/// The configuration space of a PCI device (wdm.h).
const PCI_WHICHSPACE_CONFIG: u32 = 0;

/// Vendor and device id. `None` if the device does not answer.
#[must_use]
pub fn vendor_and_device(adapter: AdapterHandle) -> Option<(u16, u16)> {
    let mut ids = [0u8; 4];
    // SAFETY: a valid adapter handle and a buffer of the length that is passed.
    let read = unsafe {
        ndis::NdisMGetBusData(
            adapter.raw(),
            PCI_WHICHSPACE_CONFIG,
            0,
            ids.as_mut_ptr().cast(),
            bytes_of::<[u8; 4]>(),
        )
    };
    let [vendor_low, vendor_high, device_low, device_high] = ids;
    (read as usize == ids.len() && ids != [0xFF; 4]).then(|| {
        (
            u16::from_le_bytes([vendor_low, vendor_high]),
            u16::from_le_bytes([device_low, device_high]),
        )
    })
}

/// Offset of the command register, and the bit in it that lets the device access memory (PCI specification).
const COMMAND_REGISTER: u32 = 4;
const BUS_MASTER: u16 = 1 << 2;

/// Takes the right to access memory from a device that does not stop by itself, before that memory is freed.
pub fn disable_bus_master(adapter: AdapterHandle) {
    change_command(adapter, |command| command & !BUS_MASTER);
}

/// Gives it back.
pub fn enable_bus_master(adapter: AdapterHandle) {
    change_command(adapter, |command| command | BUS_MASTER);
}

fn change_command(adapter: AdapterHandle, change: impl FnOnce(u16) -> u16) {
    let mut command = [0u8; 2];
    let length = bytes_of::<[u8; 2]>();
    // SAFETY: a valid adapter handle and a buffer of the length that is passed.
    let read = unsafe {
        ndis::NdisMGetBusData(
            adapter.raw(),
            PCI_WHICHSPACE_CONFIG,
            COMMAND_REGISTER,
            command.as_mut_ptr().cast(),
            length,
        )
    };
    if read != length {
        return;
    }
    let old = u16::from_le_bytes(command);
    let new = change(old);
    if new == old {
        return;
    }
    command = new.to_le_bytes();
    // SAFETY: as above.
    let _ = unsafe {
        ndis::NdisMSetBusData(
            adapter.raw(),
            PCI_WHICHSPACE_CONFIG,
            COMMAND_REGISTER,
            command.as_mut_ptr().cast(),
            length,
        )
    };
}

/// The bus address of the adapter's memory resource that is `length` bytes long: how BARs are told apart, which all have
/// different sizes.
///
/// # Safety
///
/// `resources` is null or the list that NDIS passed to `MiniportInitializeEx`.
#[must_use]
pub unsafe fn memory_resource(resources: *const CM_PARTIAL_RESOURCE_LIST, length: u64) -> Option<u64> {
    let list = NonNull::new(resources.cast_mut())?;
    // SAFETY: a field of the list.
    let first =
        unsafe { &raw const (*list.as_ptr()).PartialDescriptors }.cast::<CM_PARTIAL_RESOURCE_DESCRIPTOR>();
    // SAFETY: the caller's list.
    let count = unsafe { (*list.as_ptr()).Count } as usize;
    (0..count).find_map(|index| {
        // SAFETY: `Count` descriptors follow each other.
        let place = unsafe { first.add(index) };
        // SAFETY: a descriptor, at any alignment.
        let descriptor = unsafe { place.read_unaligned() };
        if descriptor.Type != CmResourceTypeMemory {
            return None;
        }
        // SAFETY: the type says so.
        let memory = unsafe { descriptor.u.Memory };
        let (start, bytes) = (memory.Start, memory.Length);
        (u64::from(bytes) == length).then_some(start.QuadPart.cast_unsigned())
    })
}
