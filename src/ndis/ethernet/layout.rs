//! Sizes.

use super::super::config::ETHERNET_HEADER;

/// Most bytes of a large send, headers included: a piece is not longer.
pub const MAX_LARGE_SEND: u32 = 0xFFFF;
const _: () = assert!(super::super::task_offload::LARGE_SEND_PAYLOAD + 512 <= MAX_LARGE_SEND);
/// Bytes of a VLAN tag.
const TAG: u32 = 4;
/// Buffers begin and end with cache lines.
const ALIGNMENT: u32 = 128;

/// Bytes of a receive buffer for frames with such a payload.
pub const fn buffer_size(mtu: u32) -> u32 {
    (mtu + ETHERNET_HEADER + TAG).next_multiple_of(ALIGNMENT)
}
