//! What leaves the adapter's port, against what was sent: a list that is completed with success has left, with its offloads done.

use super::frame::{self, Headers, TCP};
use super::packet::SendList;
use crate::wire::host::is_rdma;
use ndk_sys::{
    NDIS_NET_BUFFER_LIST_INFO, NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO,
    NDIS_TCP_LARGE_SEND_OFFLOAD_NET_BUFFER_LIST_INFO, TcpIpChecksumNetBufferListInfo,
    TcpLargeSendNetBufferListInfo,
};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use vrnic_device::Wire;

/// Frames that are remembered; the oldest are forgotten.
const REMEMBERED: usize = 1 << 16;
/// The shortest frame on the wire, without its check sequence.
const SHORTEST: usize = 60;
/// TCP flags that only the last segment has, and one that only the first has.
const LAST_ONLY: u8 = 0x09;
const FIRST_ONLY: u8 = 0x80;

/// The wire of an adapter, with a memory.
pub struct Departures {
    wire: Arc<dyn Wire>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    frames: HashMap<u64, u32>,
    order: VecDeque<u64>,
}

impl Departures {
    /// Watches what is transmitted to `wire`.
    #[must_use]
    pub fn new(wire: Arc<dyn Wire>) -> Arc<Self> {
        Arc::new(Self {
            wire,
            seen: Mutex::default(),
        })
    }

    /// Whether such a frame has left; it counts once.
    pub(super) fn take(&self, print: u64) -> bool {
        let mut seen = self.seen.lock();
        let there = seen.frames.get_mut(&print).is_some_and(|count| {
            *count = count.saturating_sub(1);
            true
        });
        if seen.frames.get(&print) == Some(&0) {
            seen.frames.remove(&print);
        }
        there
    }
}

impl Wire for Departures {
    fn transmit(&self, frame: &[u8]) {
        if !is_rdma(frame) {
            let print = fingerprint(frame);
            let mut seen = self.seen.lock();
            *seen.frames.entry(print).or_default() += 1;
            seen.order.push_back(print);
            if seen.order.len() > REMEMBERED
                && let Some(old) = seen.order.pop_front()
                && let Some(count) = seen.frames.get_mut(&old)
            {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    seen.frames.remove(&old);
                }
            }
        }
        self.wire.transmit(frame);
    }
}

/// What must be the same of a frame on the wire: all of it but a VLAN tag, the padding's length, and the identification of IPv4 packets,
/// which whoever cuts a large send chooses.
fn fingerprint(frame: &[u8]) -> u64 {
    let mut frame = frame.to_vec();
    if frame.get(12..14) == Some(&[0x81, 0]) && frame.len() >= 18 {
        frame.drain(12..16);
    }
    let right = frame::Checksums::of(&frame).ip == Some(true);
    if let Some(headers) = Headers::of(&frame).filter(|headers| right && !headers.v6) {
        frame[headers.ip + 4..headers.ip + 6].fill(0);
        frame[headers.ip + 10..headers.ip + 12].fill(0);
    }
    frame.resize(frame.len().max(SHORTEST), 0);
    let mut hasher = DefaultHasher::new();
    frame.hash(&mut hasher);
    hasher.finish()
}

/// The out-of-band data of a list with that index.
fn info(list: &SendList, index: NDIS_NET_BUFFER_LIST_INFO) -> usize {
    let found = list.info.iter().find(|one| one.0 == index);
    found.map_or(0, |one| usize::try_from(one.1).unwrap_or(0))
}

/// Fingerprints of the frames that a list becomes.
pub(super) fn expected(list: &SendList) -> Vec<u64> {
    let large = NDIS_TCP_LARGE_SEND_OFFLOAD_NET_BUFFER_LIST_INFO {
        Value: info(list, TcpLargeSendNetBufferListInfo),
    };
    let checksums = NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO {
        Value: info(list, TcpIpChecksumNetBufferListInfo),
    };
    let mut prints = Vec::new();
    for frame in &list.frames {
        if large.Value != 0 {
            let segment = usize::try_from(large.MSS()).unwrap_or(0);
            prints.extend(segments(frame, segment).iter().map(|one| fingerprint(one)));
            continue;
        }
        let mut frame = frame.clone();
        let transport = checksums.TcpChecksum() != 0 || checksums.UdpChecksum() != 0;
        frame::fill_some(&mut frame, checksums.IpHeaderChecksum() != 0, transport);
        prints.push(fingerprint(&frame));
    }
    prints
}

/// The segments of a large send.
fn segments(frame: &[u8], segment: usize) -> Vec<Vec<u8>> {
    let Some(headers) = Headers::of(frame).filter(|headers| headers.protocol == TCP && segment != 0) else {
        return vec![frame.to_vec()];
    };
    let start = headers.transport + usize::from(frame[headers.transport + 12] >> 4) * 4;
    let count = (frame.len() - start).div_ceil(segment).max(1);
    let sequence = u32::from_be_bytes(std::array::from_fn(|at| frame[headers.transport + 4 + at]));
    let one = |index: usize| {
        let from = start + index * segment;
        let payload = &frame[from..(from + segment).min(frame.len())];
        let mut one = frame[..start].to_vec();
        one.extend_from_slice(payload);
        let (at, length) = if headers.v6 {
            (headers.ip + 4, one.len() - headers.ip - 40)
        } else {
            (headers.ip + 2, one.len() - headers.ip)
        };
        one[at..at + 2].copy_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
        let offset = u32::try_from(index * segment).unwrap_or(u32::MAX);
        let place = headers.transport + 4;
        one[place..place + 4].copy_from_slice(&sequence.wrapping_add(offset).to_be_bytes());
        if index + 1 != count {
            one[headers.transport + 13] &= !LAST_ONLY;
        }
        if index != 0 {
            one[headers.transport + 13] &= !FIRST_ONLY;
        }
        frame::fill_checksums(&mut one);
        one
    };
    (0..count).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nowhere;

    impl Wire for Nowhere {
        fn transmit(&self, _: &[u8]) {}
    }

    #[test]
    fn what_has_left_is_known_once() {
        let departures = Departures::new(Arc::new(Nowhere));
        let list = SendList {
            frames: vec![vec![7; 30]],
            ..SendList::default()
        };
        let [print] = expected(&list)[..] else {
            panic!("one frame")
        };
        assert!(!departures.take(print));
        let mut padded = vec![7; 30];
        padded.resize(60, 0);
        departures.transmit(&padded);
        assert!(departures.take(print) && !departures.take(print));
        let mut tagged = padded.clone();
        tagged.splice(12..12, [0x81, 0, 0, 5]);
        departures.transmit(&tagged);
        assert!(departures.take(print), "whatever its tag");
        padded[59] = 1;
        departures.transmit(&padded);
        assert!(!departures.take(print), "the padding is zero");
    }
}
