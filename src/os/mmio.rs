//! Device memory: the register BAR, read and written by volatile 32-bit accesses, and the doorbell BAR, memory shared with
//! the device.
#![expect(unsafe_code, reason = "memory-mapped device memory")]

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering, fence};

use ndk_sys::{NDIS_STATUS, PHYSICAL_ADDRESS, imports::ndis};
use vrnic_abi::doorbell::SLEEP;
use vrnic_abi::pci::{DOORBELL_BAR_SIZE, REGISTER_BAR_SIZE};
use vrnic_abi::regs::KICK;

use super::handle::AdapterHandle;
use super::irql::Passive;

/// Bytes of the register BAR, as NDIS counts them.
const REGISTER_BAR_LENGTH: u32 = (REGISTER_BAR_SIZE & 0xFFFF_FFFF) as u32;
/// Bytes of the doorbell BAR, as NDIS counts them.
const DOORBELL_BAR_LENGTH: u32 = (DOORBELL_BAR_SIZE & 0xFFFF_FFFF) as u32;
static_assertions::const_assert_eq!(REGISTER_BAR_LENGTH as u64, REGISTER_BAR_SIZE);
static_assertions::const_assert_eq!(DOORBELL_BAR_LENGTH as u64, DOORBELL_BAR_SIZE);

/// A range of the device's memory, mapped for as long as it lives.
struct Mapping {
    adapter: AdapterHandle,
    address: NonNull<u8>,
    length: u32,
}

impl Mapping {
    /// Maps `length` bytes at a bus address, which must be one of the adapter's resources.
    fn new(
        passive: &Passive,
        adapter: AdapterHandle,
        physical: u64,
        length: u32,
    ) -> Result<Self, NDIS_STATUS> {
        passive.check();
        let mut address = core::ptr::null_mut();
        let physical = PHYSICAL_ADDRESS {
            QuadPart: physical.cast_signed(),
        };
        // SAFETY: the adapter handle is valid from initialize to halt, in which mappings live.
        let status = unsafe { ndis::NdisMMapIoSpace(&raw mut address, adapter.raw(), physical, length) };
        match NonNull::new(address.cast()) {
            Some(address) if status == ndk_sys::NDIS_STATUS_SUCCESS => Ok(Self {
                adapter,
                address,
                length,
            }),
            _ => Err(status),
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`; initialize and halt drop mappings at PASSIVE_LEVEL.
        unsafe { ndis::NdisMUnmapIoSpace(self.adapter.raw(), self.address.as_ptr().cast(), self.length) };
    }
}

/// BAR0. Offsets are constants that the compiler checks.
pub struct RegisterBar(Mapping);

// SAFETY: registers may be accessed from any processor; each access is one instruction.
unsafe impl Send for RegisterBar {}
// SAFETY: as above.
unsafe impl Sync for RegisterBar {}

impl RegisterBar {
    /// Maps the registers.
    ///
    /// # Errors
    ///
    /// What NDIS says, for example that there are no resources.
    pub fn map(passive: &Passive, adapter: AdapterHandle, physical: u64) -> Result<Self, NDIS_STATUS> {
        Mapping::new(passive, adapter, physical, REGISTER_BAR_LENGTH).map(Self)
    }

    const fn check(offset: u32) {
        assert!(
            offset.is_multiple_of(4) && (offset as u64) < REGISTER_BAR_SIZE,
            "not a register"
        );
    }

    /// Reads a register. Any IRQL; costs a round trip to the device.
    #[must_use]
    pub fn read<const OFFSET: u32>(&self) -> u32 {
        const { Self::check(OFFSET) };
        // SAFETY: the offset is inside the mapping.
        let register = unsafe { self.0.address.byte_add(OFFSET as usize) };
        // SAFETY: mapped and aligned; device memory is read by volatile accesses only.
        unsafe { register.cast::<u32>().read_volatile() }
    }

    /// Writes a register, after every earlier store to memory. Any IRQL.
    pub fn write<const OFFSET: u32>(&self, value: u32) {
        const { Self::check(OFFSET) };
        // What the register points to must be visible before the device reads it.
        fence(Ordering::Release);
        // SAFETY: the offset is inside the mapping.
        let register = unsafe { self.0.address.byte_add(OFFSET as usize) };
        // SAFETY: mapped and aligned; device memory is written by volatile accesses only.
        unsafe { register.cast::<u32>().write_volatile(value) };
    }
}

/// BAR2: doorbell words. Nothing traps there; the device looks at them while it is awake.
pub struct DoorbellBar(Mapping);

// SAFETY: only atomic accesses are made.
unsafe impl Send for DoorbellBar {}
// SAFETY: as above.
unsafe impl Sync for DoorbellBar {}

impl DoorbellBar {
    /// Maps the doorbells.
    ///
    /// # Errors
    ///
    /// What NDIS says, for example that there are no resources.
    pub fn map(passive: &Passive, adapter: AdapterHandle, physical: u64) -> Result<Self, NDIS_STATUS> {
        Mapping::new(passive, adapter, physical, DOORBELL_BAR_LENGTH).map(Self)
    }

    /// The word at `offset`, which comes from [`vrnic_abi::doorbell`] and a number that has been range-checked.
    ///
    /// # Panics
    ///
    /// If the offset is not that of a word in the BAR.
    #[must_use]
    pub fn word(&self, offset: u64) -> &AtomicU32 {
        assert!(
            offset.is_multiple_of(4) && offset < DOORBELL_BAR_SIZE,
            "not a doorbell"
        );
        // SAFETY: the offset is inside the mapping.
        let word = unsafe {
            self.0
                .address
                .byte_add((offset & (DOORBELL_BAR_SIZE - 1)) as usize)
        };
        // SAFETY: mapped and aligned for the life of `self`, and shared by atomic accesses only.
        unsafe { AtomicU32::from_ptr(word.cast().as_ptr()) }
    }

    /// Stores `value` into a doorbell and wakes the device if it sleeps (see [`vrnic_abi::doorbell`]). At most
    /// `DISPATCH_LEVEL`.
    pub fn ring(&self, registers: &RegisterBar, offset: u64, value: u32) {
        self.word(offset).store(value, Ordering::Release);
        // The device sets SLEEP, then looks at the doorbells once more: with a full barrier on both sides one of the two
        // sees the other's store.
        fence(Ordering::SeqCst);
        if self.word(SLEEP).load(Ordering::Relaxed) != 0 {
            registers.write::<KICK>(1);
        }
    }
}
