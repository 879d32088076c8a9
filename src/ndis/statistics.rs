//! Statistics: the device's counters in NDIS's structures. RDMA traffic counts as traffic of the adapter.

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
use vrnic_abi::info::Statistics;

use super::object_header;
use crate::ndk::Provider;

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

/// Frames and bytes of both kinds of traffic.
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
}

impl From<&Statistics> for Totals {
    /// The device's counters come from outside: sums wrap, as counters do.
    fn from(device: &Statistics) -> Self {
        Self {
            in_frames: device
                .rdma_in_frames
                .get()
                .wrapping_add(device.eth_in_frames.get()),
            in_octets: device
                .rdma_in_octets
                .get()
                .wrapping_add(device.eth_in_octets.get()),
            out_frames: device
                .rdma_out_frames
                .get()
                .wrapping_add(device.eth_out_frames.get()),
            out_octets: device
                .rdma_out_octets
                .get()
                .wrapping_add(device.eth_out_octets.get()),
            in_errors: device.drop_malformed.get().wrapping_add(device.drop_icrc.get()),
            in_discards: device
                .drop_no_receiver
                .get()
                .wrapping_add(device.drop_cm_full.get()),
        }
    }
}

/// `OID_GEN_STATISTICS`. RDMA frames are unicast, and there are no others yet.
pub fn general(device: &Statistics) -> NDIS_STATISTICS_INFO {
    let totals = Totals::from(device);
    let mut info = NDIS_STATISTICS_INFO::zeroed();
    info.Header =
        object_header::<NDIS_STATISTICS_INFO>(NDIS_OBJECT_TYPE_DEFAULT, NDIS_STATISTICS_INFO_REVISION_1);
    info.SupportedStatistics = SUPPORTED;
    info.ifInDiscards = totals.in_discards;
    info.ifInErrors = totals.in_errors;
    info.ifHCInOctets = totals.in_octets;
    info.ifHCInUcastPkts = totals.in_frames;
    info.ifHCInUcastOctets = totals.in_octets;
    info.ifHCOutOctets = totals.out_octets;
    info.ifHCOutUcastPkts = totals.out_frames;
    info.ifHCOutUcastOctets = totals.out_octets;
    info
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
