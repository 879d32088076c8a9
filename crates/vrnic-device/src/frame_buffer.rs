//! A frame in memory of its own, which changes hands instead of being copied.

use std::ops::Range;

use roce_wire::bth::Bth;
use roce_wire::eth::EthernetHeader;
use roce_wire::icrc;
use roce_wire::ipv6::Ipv6Header;
use roce_wire::reth::Reth;
use roce_wire::udp::UdpHeader;
use static_assertions::const_assert;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

/// Largest payload of a packet of a reliable connection.
pub(crate) const MAX_MTU: usize = 4096;

/// Bytes of a cache line.
const LINE: usize = 64;
const VLAN_TAG: usize = 4;
/// Most bytes of headers: an RDMA header with immediate data is the longest.
const MAX_HEADERS: usize = EthernetHeader::LEN
    + VLAN_TAG
    + Ipv6Header::LEN
    + UdpHeader::LEN
    + Bth::LEN
    + Reth::LEN
    + size_of::<u32>();
/// Where a payload begins: at a cache line, as the host's buffers mostly do. (Some processors copy a page to the next few bytes of
/// another one twenty times slower than to a place of the same alignment.)
pub(crate) const PAYLOAD: usize = 2 * LINE;
const_assert!(MAX_HEADERS <= PAYLOAD);
/// Lines of a buffer: headers, payload, and ICRC. (A payload with a pad is less than [`MAX_MTU`].)
const LINES: usize = (PAYLOAD + MAX_MTU + icrc::LEN).div_ceil(LINE);

/// A piece of memory that begins where a cache line does.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C, align(64))]
struct Line([u8; LINE]);

/// A frame, from the destination address to the last byte before the frame check sequence.
///
/// A transport that builds one knows how long the headers are only when the payload is there: the payload stands at a fixed place, and the
/// headers end right before it.
pub struct FrameBuffer {
    lines: Box<[Line]>,
    frame: Range<usize>,
}

impl FrameBuffer {
    /// An empty frame, with memory for any frame of a reliable connection.
    #[must_use]
    pub fn new() -> Self {
        Self {
            lines: lines(LINES),
            frame: 0..0,
        }
    }

    /// The frame.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.lines.as_bytes()[self.frame.clone()]
    }

    /// Makes it that frame, of any length.
    pub fn set(&mut self, frame: &[u8]) {
        let count = frame.len().div_ceil(LINE);
        if count > self.lines.len() {
            self.lines = lines(count);
        }
        self.frame = 0..frame.len();
        self.memory()[..frame.len()].copy_from_slice(frame);
    }

    /// The place of a payload of `length` bytes, at most [`MAX_MTU`].
    pub(crate) fn payload(&mut self, length: usize) -> &mut [u8] {
        &mut self.memory()[PAYLOAD..PAYLOAD + length]
    }

    /// All of the memory.
    pub(crate) fn memory(&mut self) -> &mut [u8] {
        self.lines.as_mut_bytes()
    }

    /// The frame is at that place of the memory.
    pub(crate) fn set_frame(&mut self, frame: Range<usize>) {
        self.frame = frame;
    }
}

impl Default for FrameBuffer {
    fn default() -> Self {
        Self::new()
    }
}

fn lines(count: usize) -> Box<[Line]> {
    vec![Line::new_zeroed(); count].into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_frame_fits() {
        let mut buffer = FrameBuffer::new();
        assert!(buffer.bytes().is_empty());
        for length in [60, 9018, 0, LINES * LINE, 1514] {
            let frame: Vec<u8> = (0..length).map(|at| at.to_le_bytes()[0]).collect();
            buffer.set(&frame);
            assert_eq!(buffer.bytes(), frame);
        }
    }

    #[test]
    fn payloads_begin_at_cache_lines() {
        let mut buffer = FrameBuffer::new();
        assert!(buffer.memory()[PAYLOAD..].as_ptr().addr().is_multiple_of(LINE));
        assert!(buffer.memory().len() >= PAYLOAD + MAX_MTU + icrc::LEN);
    }
}
