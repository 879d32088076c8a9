//! `QUERY_DEVICE` and `QUERY_STATS`.

use vrnic_abi::cm::GID_ENTRIES;
use vrnic_abi::cmd::Command;
use vrnic_abi::info::{CAP_CM, DeviceInfo, Statistics};
use zerocopy::FromZeros;

use super::{no_input, write_mailbox};
use crate::command_queue::Outcome;
use crate::device::Device;
use crate::event_queue::MAX_EVENT_QUEUES;

pub(super) fn query_device(device: &mut Device, command: &Command) -> Outcome {
    no_input(command)?;
    // The limits of services that `capabilities` does not name are zero.
    let info = DeviceInfo {
        capabilities: CAP_CM.into(),
        fw_version: crate::FW_VERSION.into(),
        node_guid: device.config.node_guid,
        max_eqs: MAX_EVENT_QUEUES.into(),
        max_half_open: device.config.max_half_open.into(),
        gid_entries: GID_ENTRIES.into(),
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
