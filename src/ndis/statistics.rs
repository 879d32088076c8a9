//! Statistics: the device's counters in NDIS's structures. RDMA traffic counts as traffic of the adapter.

use core::sync::atomic::Ordering;
use ndk_sys::{
    NDIS_NDK_STATISTICS_INFO, NDIS_NDK_STATISTICS_INFO_REVISION_1, NDIS_OBJECT_TYPE_DEFAULT,
    NDIS_STATISTICS_FLAGS_VALID_BROADCAST_BYTES_RCV, NDIS_STATISTICS_FLAGS_VALID_BROADCAST_BYTES_XMIT,
    NDIS_STATISTICS_FLAGS_VALID_BROADCAST_FRAMES_RCV, NDIS_STATISTICS_FLAGS_VALID_BROADCAST_FRAMES_XMIT,
    NDIS_STATISTICS_FLAGS_VALID_BYTES_RCV, NDIS_STATISTICS_FLAGS_VALID_BYTES_XMIT,
    NDIS_STATISTICS_FLAGS_VALID_DIRECTED_BYTES_RCV, NDIS_STATISTICS_FLAGS_VALID_DIRECTED_BYTES_XMIT,
    NDIS_STATISTICS_FLAGS_VALID_DIRECTED_FRAMES_RCV, NDIS_STATISTICS_FLAGS_VALID_DIRECTED_FRAMES_XMIT,
    NDIS_STATISTICS_FLAGS_VALID_MULTICAST_BYTES_RCV, NDIS_STATISTICS_FLAGS_VALID_MULTICAST_BYTES_XMIT,
    NDIS_STATISTICS_FLAGS_VALID_MULTICAST_FRAMES_RCV, NDIS_STATISTICS_FLAGS_VALID_MULTICAST_FRAMES_XMIT,
    NDIS_STATISTICS_FLAGS_VALID_RCV_DISCARDS, NDIS_STATISTICS_FLAGS_VALID_RCV_ERROR,
    NDIS_STATISTICS_FLAGS_VALID_XMIT_DISCARDS, NDIS_STATISTICS_FLAGS_VALID_XMIT_ERROR, NDIS_STATISTICS_INFO,
    NDIS_STATISTICS_INFO_REVISION_1,
};

use vrnic_abi::U64;
use vrnic_abi::info::Statistics;
use zerocopy::IntoBytes;

use super::adapter::Adapter;
use super::object_header;
use crate::ndk::Provider;
use crate::nic::command::CommandError;
use crate::os::irql::Passive;

/// What NDIS requires of every miniport, all of it valid.
pub const SUPPORTED: u32 = NDIS_STATISTICS_FLAGS_VALID_DIRECTED_FRAMES_RCV
    | NDIS_STATISTICS_FLAGS_VALID_MULTICAST_FRAMES_RCV
    | NDIS_STATISTICS_FLAGS_VALID_BROADCAST_FRAMES_RCV
    | NDIS_STATISTICS_FLAGS_VALID_BYTES_RCV
    | NDIS_STATISTICS_FLAGS_VALID_RCV_DISCARDS
    | NDIS_STATISTICS_FLAGS_VALID_RCV_ERROR
    | NDIS_STATISTICS_FLAGS_VALID_DIRECTED_FRAMES_XMIT
    | NDIS_STATISTICS_FLAGS_VALID_MULTICAST_FRAMES_XMIT
    | NDIS_STATISTICS_FLAGS_VALID_BROADCAST_FRAMES_XMIT
    | NDIS_STATISTICS_FLAGS_VALID_BYTES_XMIT
    | NDIS_STATISTICS_FLAGS_VALID_XMIT_ERROR
    | NDIS_STATISTICS_FLAGS_VALID_XMIT_DISCARDS
    | NDIS_STATISTICS_FLAGS_VALID_DIRECTED_BYTES_RCV
    | NDIS_STATISTICS_FLAGS_VALID_MULTICAST_BYTES_RCV
    | NDIS_STATISTICS_FLAGS_VALID_BROADCAST_BYTES_RCV
    | NDIS_STATISTICS_FLAGS_VALID_DIRECTED_BYTES_XMIT
    | NDIS_STATISTICS_FLAGS_VALID_MULTICAST_BYTES_XMIT
    | NDIS_STATISTICS_FLAGS_VALID_BROADCAST_BYTES_XMIT;

/// Sums of the device's counters. They come from outside: sums wrap, as counters do.
pub struct Totals {
    /// Frames received.
    pub in_frames: u64,
    /// Bytes of them.
    pub in_octets: u64,
    /// Frames sent.
    pub out_frames: u64,
    /// Bytes of them.
    pub out_octets: u64,
    /// Frames dropped because they were damaged.
    pub in_errors: u64,
    /// Frames dropped for want of a receiver or a buffer.
    pub in_discards: u64,
    /// Frames that could not be sent.
    pub out_errors: u64,
}

fn sum<const COUNT: usize>(counters: [U64; COUNT]) -> u64 {
    counters
        .iter()
        .fold(0, |sum: u64, counter| sum.wrapping_add(counter.get()))
}

impl From<&Statistics> for Totals {
    fn from(device: &Statistics) -> Self {
        Self {
            in_frames: sum([
                device.in_unicast_frames,
                device.in_multicast_frames,
                device.in_broadcast_frames,
            ]),
            in_octets: sum([
                device.in_unicast_octets,
                device.in_multicast_octets,
                device.in_broadcast_octets,
            ]),
            out_frames: sum([
                device.out_unicast_frames,
                device.out_multicast_frames,
                device.out_broadcast_frames,
            ]),
            out_octets: sum([
                device.out_unicast_octets,
                device.out_multicast_octets,
                device.out_broadcast_octets,
            ]),
            in_errors: sum([
                device.drop_malformed,
                device.drop_icrc,
                device.eth_in_errors,
                device.eth_in_too_long,
                device.eth_in_buffer_too_small,
            ]),
            in_discards: sum([
                device.drop_no_receiver,
                device.drop_cm_full,
                device.eth_in_no_buffer,
            ]),
            out_errors: device.eth_out_errors.get(),
        }
    }
}

/// `OID_GEN_STATISTICS`: Ethernet and RDMA together.
pub fn general(device: &Statistics) -> NDIS_STATISTICS_INFO {
    let totals = Totals::from(device);
    let mut info = NDIS_STATISTICS_INFO::zeroed();
    info.Header =
        object_header::<NDIS_STATISTICS_INFO>(NDIS_OBJECT_TYPE_DEFAULT, NDIS_STATISTICS_INFO_REVISION_1);
    info.SupportedStatistics = SUPPORTED;
    info.ifInDiscards = totals.in_discards;
    info.ifInErrors = totals.in_errors;
    info.ifHCInOctets = totals.in_octets;
    info.ifHCInUcastPkts = device.in_unicast_frames.get();
    info.ifHCInMulticastPkts = device.in_multicast_frames.get();
    info.ifHCInBroadcastPkts = device.in_broadcast_frames.get();
    info.ifHCInUcastOctets = device.in_unicast_octets.get();
    info.ifHCInMulticastOctets = device.in_multicast_octets.get();
    info.ifHCInBroadcastOctets = device.in_broadcast_octets.get();
    info.ifHCOutOctets = totals.out_octets;
    info.ifHCOutUcastPkts = device.out_unicast_frames.get();
    info.ifHCOutMulticastPkts = device.out_multicast_frames.get();
    info.ifHCOutBroadcastPkts = device.out_broadcast_frames.get();
    info.ifHCOutUcastOctets = device.out_unicast_octets.get();
    info.ifHCOutMulticastOctets = device.out_multicast_octets.get();
    info.ifHCOutBroadcastOctets = device.out_broadcast_octets.get();
    info.ifOutErrors = totals.out_errors;
    info.ifOutDiscards = device.eth_out_discards.get();
    info
}

impl Adapter {
    /// The device's counters since the adapter was initialised: those of its lives before the last reset are added.
    ///
    /// # Errors
    ///
    /// See [`CommandError`].
    pub(super) fn device_statistics(&self, passive: &Passive) -> Result<Statistics, CommandError> {
        let mut total = *self.carried.lock();
        if !self.asleep.load(Ordering::Acquire)
            && let Some(nic) = self.nic()
        {
            add(&mut total, &nic.statistics(passive)?);
        }
        Ok(total)
    }

    /// The device is about to be reset: its counters are kept, if it tells them.
    pub(super) fn carry_statistics(&self, passive: &Passive) {
        if let Some(Ok(last)) = self.nic().map(|nic| nic.statistics(passive)) {
            add(&mut self.carried.lock(), &last);
        }
    }
}

/// Adds each counter.
fn add(total: &mut Statistics, more: &Statistics) {
    let (places, _) = total.as_mut_bytes().as_chunks_mut::<8>();
    for (place, more) in places.iter_mut().zip(more.as_bytes().as_chunks::<8>().0) {
        let sum = u64::from_le_bytes(*place).wrapping_add(u64::from_le_bytes(*more));
        *place = sum.to_le_bytes();
    }
}

/// `OID_NDK_STATISTICS`: connections from the provider, traffic from the device.
pub fn ndk(device: &Statistics, provider: &Provider) -> NDIS_NDK_STATISTICS_INFO {
    let mut info = NDIS_NDK_STATISTICS_INFO::zeroed();
    info.Header = object_header::<NDIS_NDK_STATISTICS_INFO>(
        NDIS_OBJECT_TYPE_DEFAULT,
        NDIS_NDK_STATISTICS_INFO_REVISION_1,
    );
    provider.fill_statistics(&mut info.CounterSet);
    info.CounterSet.CQError = device.cq_errors.get();
    info.CounterSet.RDMAInOctets = device.rdma_in_octets.get();
    info.CounterSet.RDMAOutOctets = device.rdma_out_octets.get();
    info.CounterSet.RDMAInFrames = device.rdma_in_frames.get();
    info.CounterSet.RDMAOutFrames = device.rdma_out_frames.get();
    info
}
