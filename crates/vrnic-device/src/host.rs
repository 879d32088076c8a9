//! What the NIC needs of the machine that it is plugged into.
//!
//! The NIC calls these traits while it holds its lock: an implementation must not block and must not call back into the
//! NIC. Queue the interrupt or the frame, and deliver it from a thread of your own.

use std::fmt;

use crate::frame_buffer::FrameBuffer;

/// A DMA access that the host's IOMMU refused: an address that is not mapped, or not mapped for that direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmaFault {
    /// Where the access began.
    pub addr: u64,
}

impl fmt::Display for DmaFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DMA fault at {:#x}", self.addr)
    }
}

impl std::error::Error for DmaFault {}

/// DMA through the host's IOMMU. An access of several bytes that fails may have been done in part.
pub trait HostMemory: Send + Sync {
    /// Reads `buf.len()` bytes.
    ///
    /// # Errors
    /// Some byte of the range is not mapped for reading.
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), DmaFault>;

    /// Writes `data`.
    ///
    /// # Errors
    /// Some byte of the range is not mapped for writing.
    fn write(&self, addr: u64, data: &[u8]) -> Result<(), DmaFault>;

    /// Writes one byte with release ordering: a reader that sees it sees all that was written before. Publishes ring
    /// entries by their owner byte.
    ///
    /// # Errors
    /// The byte is not mapped for writing.
    fn store_release_u8(&self, addr: u64, value: u8) -> Result<(), DmaFault>;

    /// Writes a little-endian word at a multiple of 4, in one access with release ordering.
    ///
    /// # Errors
    /// The word is not mapped for writing, or not aligned.
    fn store_release_u32(&self, addr: u64, value: u32) -> Result<(), DmaFault>;

    /// Reads a little-endian word at a multiple of 4, in one access with acquire ordering.
    ///
    /// # Errors
    /// The word is not mapped for reading, or not aligned.
    fn load_acquire_u32(&self, addr: u64) -> Result<u32, DmaFault>;
}

/// Message-signalled interrupts.
pub trait Interrupts: Send + Sync {
    /// Delivers the message of `vector`, which is not masked. Never blocks, never calls back into the NIC.
    fn raise(&self, vector: u16);
}

/// The Ethernet port.
pub trait Wire: Send + Sync {
    /// Sends a frame, from the destination address to the last byte before the frame check sequence. Never blocks, never
    /// calls back into the NIC.
    fn transmit(&self, frame: &[u8]);

    /// Sends frames, the first one first. A wire that needs the memory of a frame keeps it, and leaves another buffer in its place.
    fn transmit_all(&self, frames: &mut [FrameBuffer]) {
        for frame in frames {
            self.transmit(frame.bytes());
        }
    }

    /// For a wire without a thread that calls [`crate::Nic::receive`]: hands frames that have arrived to `receive`, the oldest first,
    /// and not more than are good to be processed in one go. The NIC calls it all the time while it is awake; when a frame comes,
    /// the wire calls [`crate::Nic::wake`].
    fn poll(&self, receive: &mut dyn FnMut(&[u8])) {
        let _ = receive;
    }
}
