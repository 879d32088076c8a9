//! One piece of memory at one bus address, from NDIS.

use core::ptr::NonNull;

use ndk_sys::{NDIS_STATUS, NDIS_STATUS_RESOURCES, PHYSICAL_ADDRESS, imports::ndis};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::shared::Shared;
use crate::os::handle::AdapterHandle;
use crate::os::irql::Passive;

/// What new memory is filled with.
const ZEROS: [u8; 64] = [0; 64];

/// A piece of memory at one bus address, zeroed.
pub struct Coherent {
    adapter: AdapterHandle,
    address: NonNull<u8>,
    physical: PHYSICAL_ADDRESS,
    length: u32,
}

// SAFETY: all accesses are volatile or atomic; who may access what when is the business of the queues built on it.
unsafe impl Send for Coherent {}
// SAFETY: as above.
unsafe impl Sync for Coherent {}

impl Coherent {
    /// Allocates `length` bytes, page aligned. After [`DmaChannel::register`].
    ///
    /// # Errors
    ///
    /// [`NDIS_STATUS_RESOURCES`].
    pub fn allocate(passive: &Passive, adapter: AdapterHandle, length: usize) -> Result<Self, NDIS_STATUS> {
        passive.check();
        let length = u32::try_from(length).map_err(|_| NDIS_STATUS_RESOURCES)?;
        let mut address = core::ptr::null_mut();
        let mut physical = PHYSICAL_ADDRESS { QuadPart: 0 };
        // SAFETY: a valid adapter handle and places for both results. TRUE: cached, which x64 always is.
        unsafe {
            ndis::NdisMAllocateSharedMemory(adapter.raw(), length, 1, &raw mut address, &raw mut physical);
        };
        let address = NonNull::new(address.cast()).ok_or(NDIS_STATUS_RESOURCES)?;
        let memory = Self {
            adapter,
            address,
            physical,
            length,
        };
        for offset in (0..length as usize).step_by(ZEROS.len()) {
            memory.write(offset, &ZEROS[..(length as usize - offset).min(ZEROS.len())]);
        }
        Ok(memory)
    }

    /// Where the device finds it.
    #[must_use]
    pub fn device_address(&self) -> u64 {
        self.physical.QuadPart.cast_unsigned()
    }

    /// Bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length as usize
    }

    /// Where it is, for code in `nic` that checks its indexes itself. Valid as long as the memory.
    #[must_use]
    pub fn memory(&self) -> NonNull<u8> {
        self.address
    }

    fn shared(&self) -> Shared<'_> {
        // SAFETY: allocated, page aligned, as long as it is borrowed; all accesses are of that kind.
        unsafe { Shared::new(self.address, self.length as usize) }
    }

    /// See [`Shared::write`].
    ///
    /// # Panics
    ///
    /// If they do not fit.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        self.shared().write(offset, bytes);
    }

    /// See [`Shared::read`].
    ///
    /// # Panics
    ///
    /// If there are not so many.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) {
        self.shared().read(offset, bytes);
    }

    /// See [`Shared::write_value`].
    ///
    /// # Panics
    ///
    /// If it does not fit.
    pub fn write_value<T: IntoBytes + Immutable>(&self, offset: usize, value: &T) {
        self.shared().write_value(offset, value);
    }

    /// See [`Shared::read_value`].
    ///
    /// # Panics
    ///
    /// If it is not inside.
    #[must_use]
    pub fn read_value<T: FromBytes + IntoBytes>(&self, offset: usize) -> T {
        self.shared().read_value(offset)
    }

    /// See [`Shared::load_u8`].
    ///
    /// # Panics
    ///
    /// If it is not inside.
    #[must_use]
    pub fn load_u8(&self, offset: usize) -> u8 {
        self.shared().load_u8(offset)
    }

    /// See [`Shared::load_u32`].
    ///
    /// # Panics
    ///
    /// If it is not inside, or not aligned.
    #[must_use]
    pub fn load_u32(&self, offset: usize) -> u32 {
        self.shared().load_u32(offset)
    }
}

impl Drop for Coherent {
    fn drop(&mut self) {
        // SAFETY: allocated by `allocate` with these values; the device has been reset and uses it no more.
        unsafe {
            ndis::NdisMFreeSharedMemory(
                self.adapter.raw(),
                self.length,
                1,
                self.address.as_ptr().cast(),
                self.physical,
            );
        };
    }
}
