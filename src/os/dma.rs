//! Memory that the device reads and writes too.
//!
//! No reference to such memory ever exists: the device may change it at any time. It is copied in and out by volatile
//! accesses, and what comes out is a private copy that is checked once.
#![expect(unsafe_code, reason = "memory shared with the device")]

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use ndk_sys::{
    DEVICE_OBJECT, NDIS_HANDLE, NDIS_OBJECT_HEADER, NDIS_OBJECT_TYPE_SG_DMA_DESCRIPTION,
    NDIS_SG_DMA_64_BIT_ADDRESS, NDIS_SG_DMA_DESCRIPTION, NDIS_SG_DMA_DESCRIPTION_REVISION_1,
    NDIS_SIZEOF_SG_DMA_DESCRIPTION_REVISION_1, NDIS_STATUS, PHYSICAL_ADDRESS, SCATTER_GATHER_LIST,
    imports::ndis,
};
use ndk_sys::{NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::handle::AdapterHandle;
use super::irql::Passive;

/// What new memory is filled with.
const ZEROS: [u8; 64] = [0; 64];
/// Longest transfer that is mapped at once, in bytes: an Ethernet frame with a large send in front of it.
const MAXIMUM_PHYSICAL_MAPPING: u32 = 0x1_0000;

/// The adapter's bus-master DMA channel. NDIS wants it before any shared memory is allocated.
pub struct DmaChannel(NDIS_HANDLE);

// SAFETY: a handle that is only given back.
unsafe impl Send for DmaChannel {}
// SAFETY: as above.
unsafe impl Sync for DmaChannel {}

impl DmaChannel {
    /// Registers 64-bit scatter-gather DMA.
    ///
    /// # Errors
    ///
    /// What NDIS says.
    pub fn register(passive: &Passive, adapter: AdapterHandle) -> Result<Self, NDIS_STATUS> {
        passive.check();
        let mut description = NDIS_SG_DMA_DESCRIPTION {
            Header: NDIS_OBJECT_HEADER {
                Type: NDIS_OBJECT_TYPE_SG_DMA_DESCRIPTION,
                Revision: NDIS_SG_DMA_DESCRIPTION_REVISION_1,
                Size: NDIS_SIZEOF_SG_DMA_DESCRIPTION_REVISION_1,
            },
            Flags: NDIS_SG_DMA_64_BIT_ADDRESS,
            MaximumPhysicalMapping: MAXIMUM_PHYSICAL_MAPPING,
            ProcessSGListHandler: Some(process_sg_list),
            SharedMemAllocateCompleteHandler: None,
            ScatterGatherListSize: 0,
        };
        let mut handle = core::ptr::null_mut();
        // SAFETY: a valid adapter handle and places for both results.
        let status = unsafe {
            ndis::NdisMRegisterScatterGatherDma(adapter.raw(), &raw mut description, &raw mut handle)
        };
        if status == NDIS_STATUS_SUCCESS {
            Ok(Self(handle))
        } else {
            Err(status)
        }
    }
}

impl Drop for DmaChannel {
    fn drop(&mut self) {
        // SAFETY: registered by `register`; initialize and halt drop it at PASSIVE_LEVEL, after all shared memory.
        unsafe { ndis::NdisMDeregisterScatterGatherDma(self.0) };
    }
}

/// NDIS demands the handler. It runs for lists that the driver asks for, and this driver asks for none yet.
unsafe extern "system" fn process_sg_list(
    _device: *mut DEVICE_OBJECT,
    _reserved: *mut core::ffi::c_void,
    _list: *mut SCATTER_GATHER_LIST,
    _context: *mut core::ffi::c_void,
) {
    debug_assert!(false, "a scatter-gather list that nobody asked for");
}

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

    /// The address of `length` bytes at `offset`.
    fn at(&self, offset: usize, length: usize) -> NonNull<u8> {
        let end = offset.checked_add(length);
        assert!(
            end.is_some_and(|end| end <= self.length as usize),
            "outside of the shared memory"
        );
        // SAFETY: inside the block.
        unsafe { self.address.byte_add(offset) }
    }

    /// Copies `bytes` to `offset`.
    ///
    /// # Panics
    ///
    /// If they do not fit.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        let to = self.at(offset, bytes.len());
        let (words, rest) = bytes.as_chunks::<8>();
        for (index, word) in words.iter().enumerate() {
            // SAFETY: inside the length that was checked.
            let place = unsafe { to.cast::<[u8; 8]>().add(index) };
            // SAFETY: valid for writes; the device may read it at the same time, hence volatile.
            unsafe { place.write_volatile(*word) };
        }
        for (index, byte) in rest.iter().enumerate() {
            // SAFETY: inside the length that was checked.
            let place = unsafe { to.add(words.len() * 8 + index) };
            // SAFETY: as above.
            unsafe { place.write_volatile(*byte) };
        }
    }

    /// Copies `bytes.len()` bytes from `offset`.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) {
        let from = self.at(offset, bytes.len());
        let (words, rest) = bytes.as_chunks_mut::<8>();
        for (index, word) in words.iter_mut().enumerate() {
            // SAFETY: inside the length that was checked.
            let place = unsafe { from.cast::<[u8; 8]>().add(index) };
            // SAFETY: valid for reads; the device may write it at the same time, hence volatile.
            *word = unsafe { place.read_volatile() };
        }
        for (index, byte) in rest.iter_mut().enumerate() {
            // SAFETY: inside the length that was checked.
            let place = unsafe { from.add(words.len() * 8 + index) };
            // SAFETY: as above.
            *byte = unsafe { place.read_volatile() };
        }
    }

    /// Copies a structure to `offset`.
    ///
    /// # Panics
    ///
    /// If it does not fit.
    pub fn write_value<T: IntoBytes + Immutable>(&self, offset: usize, value: &T) {
        self.write(offset, value.as_bytes());
    }

    /// A private copy of the structure at `offset`.
    ///
    /// # Panics
    ///
    /// If it is not inside.
    #[must_use]
    pub fn read_value<T: FromBytes + IntoBytes>(&self, offset: usize) -> T {
        let mut value = T::new_zeroed();
        self.read(offset, value.as_mut_bytes());
        value
    }

    /// The byte at `offset`, read before everything that is read afterwards.
    ///
    /// # Panics
    ///
    /// If it is not inside.
    #[must_use]
    pub fn load_u8(&self, offset: usize) -> u8 {
        let place = self.at(offset, 1);
        // SAFETY: inside the block for the life of `self`, and shared by atomic accesses only.
        let byte = unsafe { AtomicU8::from_ptr(place.as_ptr()) };
        byte.load(Ordering::Acquire)
    }

    /// The aligned little-endian word at `offset`, read before everything that is read afterwards.
    ///
    /// # Panics
    ///
    /// If it is not inside, or not aligned.
    #[must_use]
    pub fn load_u32(&self, offset: usize) -> u32 {
        assert!(offset.is_multiple_of(4), "an aligned word");
        let place = self.at(offset, 4);
        // SAFETY: inside the block for the life of `self`, aligned, and shared by atomic accesses only.
        let word = unsafe { AtomicU32::from_ptr(place.as_ptr().cast()) };
        u32::from_le(word.load(Ordering::Acquire))
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
