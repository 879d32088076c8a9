//! Counting what crosses the port, whoever sends or receives it.

use vrnic_abi::info::Statistics;

use super::port::Cast;
use crate::device::count;

/// Counts a frame that the port has received and handed on.
pub(crate) fn count_in(statistics: &mut Statistics, frame: &[u8]) {
    let (frames, octets) = match Cast::of(frame) {
        Cast::Unicast => (
            &mut statistics.in_unicast_frames,
            &mut statistics.in_unicast_octets,
        ),
        Cast::Multicast => (
            &mut statistics.in_multicast_frames,
            &mut statistics.in_multicast_octets,
        ),
        Cast::Broadcast => (
            &mut statistics.in_broadcast_frames,
            &mut statistics.in_broadcast_octets,
        ),
    };
    count(frames, 1);
    count(octets, frame.len() as u64);
}

/// Counts a frame that the port has sent.
pub(crate) fn count_out(statistics: &mut Statistics, frame: &[u8]) {
    let (frames, octets) = match Cast::of(frame) {
        Cast::Unicast => (
            &mut statistics.out_unicast_frames,
            &mut statistics.out_unicast_octets,
        ),
        Cast::Multicast => (
            &mut statistics.out_multicast_frames,
            &mut statistics.out_multicast_octets,
        ),
        Cast::Broadcast => (
            &mut statistics.out_broadcast_frames,
            &mut statistics.out_broadcast_octets,
        ),
    };
    count(frames, 1);
    count(octets, frame.len() as u64);
}
