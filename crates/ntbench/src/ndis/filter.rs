//! The packet filter, as NDIS keeps it: frames that do not match it go no further.

use super::adapter::Miniport;
use super::receive::Received;
use crate::verifier::{BugCheck, Rule, Violation};
use ndk_sys::{
    NDIS_OID, NDIS_PACKET_TYPE_ALL_MULTICAST, NDIS_PACKET_TYPE_BROADCAST, NDIS_PACKET_TYPE_DIRECTED,
    NDIS_PACKET_TYPE_MULTICAST, NDIS_PACKET_TYPE_PROMISCUOUS, NDIS_RECEIVE_FLAGS_PERFECT_FILTERED,
    OID_802_3_MULTICAST_LIST, OID_GEN_CURRENT_PACKET_FILTER,
};
use std::time::{Duration, Instant};

/// How long frames may still come as the filter before said.
const GRACE: Duration = Duration::from_secs(1);

/// What was set last, and before.
#[derive(Default)]
pub(super) struct Filter {
    current: Types,
    previous: Types,
    changed: Option<Instant>,
}

#[derive(Clone, Default)]
struct Types {
    types: u32,
    multicast: Vec<[u8; 6]>,
}

impl Types {
    fn matches(&self, frame: &[u8], own: [u8; 6]) -> bool {
        let to: [u8; 6] = std::array::from_fn(|at| frame.get(at).copied().unwrap_or(0));
        let has = |kind: u32| self.types & kind != 0;
        has(NDIS_PACKET_TYPE_PROMISCUOUS)
            || (to == [0xFF; 6] && has(NDIS_PACKET_TYPE_BROADCAST))
            || (to == own && has(NDIS_PACKET_TYPE_DIRECTED))
            || (to[0] & 1 == 1
                && to != [0xFF; 6]
                && (has(NDIS_PACKET_TYPE_ALL_MULTICAST)
                    || (has(NDIS_PACKET_TYPE_MULTICAST) && self.multicast.contains(&to))))
    }
}

impl Miniport {
    /// A set request has succeeded.
    pub(super) fn note_filter(&self, oid: NDIS_OID, data: &[u8]) {
        let mut filter = self.filter.lock();
        let previous = filter.current.clone();
        match oid {
            OID_GEN_CURRENT_PACKET_FILTER if data.len() >= 4 => {
                filter.current.types = u32::from_le_bytes([data[0], data[1], data[2], data[3]]);
            }
            OID_802_3_MULTICAST_LIST => {
                filter.current.multicast = data
                    .chunks_exact(6)
                    .map(|one| std::array::from_fn(|at| one[at]))
                    .collect();
            }
            _ => return,
        }
        filter.previous = previous;
        filter.changed = Some(Instant::now());
    }

    /// Whether a frame passes the filter; checks that the driver says the truth about it.
    pub(super) fn passes(&self, received: &Received) -> bool {
        let own = self
            .attributes
            .lock()
            .general
            .as_ref()
            .map_or([0; 6], |general| general.current_address);
        let filter = self.filter.lock();
        let passes = filter.current.matches(&received.data, own);
        let recent = filter.changed.is_some_and(|changed| changed.elapsed() < GRACE);
        let was_wanted = recent && filter.previous.matches(&received.data, own);
        let said = received.flags & NDIS_RECEIVE_FLAGS_PERFECT_FILTERED != 0;
        drop(filter);
        if said && !passes && !was_wanted {
            Violation::new(
                Rule::NdisPacketFilter,
                BugCheck::verifier(0x91, [0, 0, 0]),
                format!(
                    "a frame to {:02x?} was indicated as perfectly filtered, and does not match the filter",
                    received.data.get(..6).unwrap_or_default()
                ),
            )
            .advice("Set NDIS_RECEIVE_FLAGS_PERFECT_FILTERED only where the device compares whole addresses.")
            .stop()
        }
        passes
    }
}
