//! Accesses to memory that the device reads and writes too.

use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A view of such memory. No reference to it ever exists: it is copied in and out by volatile accesses, and what comes out is
/// a private copy.
#[derive(Clone, Copy)]
pub struct Shared<'a> {
    address: NonNull<u8>,
    length: usize,
    memory: PhantomData<&'a ()>,
}

impl Shared<'_> {
    /// A view of `length` bytes.
    ///
    /// # Safety
    ///
    /// They are mapped for as long as the view lives, page aligned, and only accessed by volatile or atomic accesses.
    pub(super) unsafe fn new(address: NonNull<u8>, length: usize) -> Self {
        Self {
            address,
            length,
            memory: PhantomData,
        }
    }

    /// The address of `length` bytes at `offset`.
    fn at(self, offset: usize, length: usize) -> NonNull<u8> {
        let end = offset.checked_add(length);
        assert!(
            end.is_some_and(|end| end <= self.length),
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
    pub fn write(self, offset: usize, bytes: &[u8]) {
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
    pub fn read(self, offset: usize, bytes: &mut [u8]) {
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
    pub fn write_value<T: IntoBytes + Immutable>(self, offset: usize, value: &T) {
        self.write(offset, value.as_bytes());
    }

    /// A private copy of the structure at `offset`.
    ///
    /// # Panics
    ///
    /// If it is not inside.
    #[must_use]
    pub fn read_value<T: FromBytes + IntoBytes>(self, offset: usize) -> T {
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
    pub fn load_u8(self, offset: usize) -> u8 {
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
    pub fn load_u32(self, offset: usize) -> u32 {
        assert!(offset.is_multiple_of(4), "an aligned word");
        let place = self.at(offset, 4);
        // SAFETY: inside the block for the life of `self`, aligned, and shared by atomic accesses only.
        let word = unsafe { AtomicU32::from_ptr(place.as_ptr().cast()) };
        u32::from_le(word.load(Ordering::Acquire))
    }
}
