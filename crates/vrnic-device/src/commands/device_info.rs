//! `QUERY_DEVICE` and `QUERY_STATS`.

use vrnic_abi::cm::GID_ENTRIES;
use vrnic_abi::cmd::Command;
use vrnic_abi::eth::{HASH_ALL, MAX_LARGE_SEND, MAX_MULTICAST, MAX_TX_PIECES, RING_LOG2_MAX};
use vrnic_abi::info::{CAP_CM, CAP_ETH, CAP_RC, DeviceInfo, Statistics};
use vrnic_abi::wqe::MAX_SGE;
use zerocopy::FromZeros;

use super::{no_input, write_mailbox};
use crate::command_queue::Outcome;
use crate::device::Device;
use crate::eth;
use crate::event_queue::MAX_EVENT_QUEUES;
use crate::rdma;

/// Longest message, in bytes: 1 GiB, which IBTA 9.7.7.1.1 allows at least half of.
const MAX_MESSAGE: u32 = 1 << 30;
/// Most bytes of inline data.
const MAX_INLINE: u16 = 256;
static_assertions::const_assert_eq!(MAX_INLINE as usize, vrnic_abi::wqe::MAX_INLINE);

pub(super) fn query_device(device: &mut Device, command: &Command) -> Outcome {
    no_input(command)?;
    // The limits of services that `capabilities` does not name are zero.
    let info = DeviceInfo {
        capabilities: (CAP_CM | CAP_RC | CAP_ETH).into(),
        fw_version: crate::FW_VERSION.into(),
        node_guid: device.config.node_guid,
        max_qps: rdma::MAX_QUEUE_PAIRS.into(),
        max_cqs: rdma::MAX_COMPLETION_QUEUES.into(),
        max_srqs: rdma::MAX_SHARED_RECEIVE_QUEUES.into(),
        max_keys: rdma::MAX_KEYS.into(),
        max_pds: rdma::MAX_PROTECTION_DOMAINS.into(),
        max_eqs: MAX_EVENT_QUEUES.into(),
        max_cq_log2: rdma::CQ_LOG2_MAX,
        max_rq_log2: rdma::RQ_LOG2_MAX,
        max_sq_log2: rdma::SQ_LOG2_MAX,
        max_sge: MAX_SGE,
        max_frmr_pages: rdma::MAX_FAST_PAGES.into(),
        max_message: MAX_MESSAGE.into(),
        max_inline: MAX_INLINE.into(),
        max_inbound_reads: rdma::MAX_INBOUND_READS,
        max_outbound_reads: rdma::MAX_OUTBOUND_READS,
        max_half_open: device.config.max_half_open.into(),
        gid_entries: GID_ENTRIES.into(),
        max_eth_queues: eth::MAX_QUEUES.into(),
        max_eth_log2: RING_LOG2_MAX,
        max_tx_pieces: MAX_TX_PIECES,
        max_multicast: MAX_MULTICAST.into(),
        max_large_send: MAX_LARGE_SEND.into(),
        hash_types: HASH_ALL.into(),
        ..DeviceInfo::new_zeroed()
    };
    write_mailbox(device, command, &info)
}

pub(super) fn query_statistics(device: &mut Device, command: &Command) -> Outcome {
    no_input(command)?;
    let statistics = device.statistics();
    write_mailbox(device, command, &statistics)
}

impl Device {
    /// All counters.
    pub fn statistics(&self) -> Statistics {
        Statistics {
            dma_faults: self.dma.faults.into(),
            ..self.statistics
        }
    }
}
