//! `OID_GEN_STATISTICS` against what went through.

use super::adapter::Miniport;
use super::oid::Answer;
use crate::memory;
use crate::verifier::{BugCheck, Rule, Violation};
use ndk_sys::{NDIS_STATISTICS_INFO, NDIS_STATUS_SUCCESS, OID_GEN_STATISTICS};
use parking_lot::Mutex;

/// What the counters said last.
#[derive(Default)]
pub(super) struct Counted(Mutex<Option<NDIS_STATISTICS_INFO>>);

/// The frames of each direction.
fn frames(info: &NDIS_STATISTICS_INFO) -> [u64; 2] {
    [
        info.ifHCOutUcastPkts + info.ifHCOutMulticastPkts + info.ifHCOutBroadcastPkts,
        info.ifHCInUcastPkts + info.ifHCInMulticastPkts + info.ifHCInBroadcastPkts,
    ]
}

/// The counters in the order of the structure.
fn counters(info: &NDIS_STATISTICS_INFO) -> Vec<u64> {
    let size = size_of::<NDIS_STATISTICS_INFO>();
    let bytes = memory::read_bytes((&raw const *info).addr(), size);
    bytes[8..]
        .chunks_exact(8)
        .map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default()))
        .collect()
}

impl Miniport {
    /// `OID_GEN_STATISTICS`; `None` if the driver does not answer it.
    pub fn statistics(&self) -> Option<NDIS_STATISTICS_INFO> {
        let answer = self.oid_query(OID_GEN_STATISTICS, size_of::<NDIS_STATISTICS_INFO>());
        (answer.status == NDIS_STATUS_SUCCESS && answer.data.len() == size_of::<NDIS_STATISTICS_INFO>())
            .then(|| memory::read(answer.data.as_ptr().addr()))
    }

    /// What went through before a query of the counters.
    pub(super) fn passed(&self) -> [u64; 2] {
        [self.sends.frames(), self.receives.count()]
    }

    /// Checks the answer to a query of the counters.
    pub(super) fn check_statistics(&self, passed: [u64; 2], answer: &Answer) {
        if answer.status != NDIS_STATUS_SUCCESS || answer.data.len() < size_of::<NDIS_STATISTICS_INFO>() {
            return;
        }
        let info: NDIS_STATISTICS_INFO = memory::read(answer.data.as_ptr().addr());
        let counted = frames(&info);
        if counted[0] < passed[0] || counted[1] < passed[1] {
            broken(&format!(
                "the driver counts {} frames out and {} in, and {} were sent and {} indicated",
                counted[0], counted[1], passed[0], passed[1]
            ))
        }
        let last = self.counted.0.lock().replace(info);
        let went_back = last.is_some_and(|last| {
            counters(&info)
                .iter()
                .zip(counters(&last))
                .any(|(now, then)| *now < then)
        });
        if went_back {
            broken("a counter of OID_GEN_STATISTICS is less than it was")
        }
    }
}

fn broken(what: &str) -> ! {
    Violation::new(
        Rule::NdisStatistics,
        BugCheck::verifier(0x91, [u64::from(OID_GEN_STATISTICS), 0, 0]),
        what,
    )
    .advice("Count from MiniportInitializeEx on, through resets and sleep, before frames are completed or indicated.")
    .stop()
}
