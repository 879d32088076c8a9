//! What the provider tells about the NIC, derived from `QUERY_DEVICE`: `NDK_ADAPTER_INFO` for one consumer, and
//! `NDIS_NDK_CAPABILITIES` for all together.
//!
//! Each limit can be used up to its value, all of them at the same time. They are 0 while the device has no reliable connections.

use super::private_data::{MAX_CALLEE_DATA, MAX_CALLER_DATA};
use super::version;
use ndk_sys::{
    NDIS_NDK_CAPABILITIES, NDIS_NDK_CAPABILITIES_REVISION_1, NDIS_OBJECT_HEADER, NDIS_OBJECT_TYPE_DEFAULT,
    NDK_ADAPTER_FLAG_CQ_INTERRUPT_MODERATION_SUPPORTED, NDK_ADAPTER_FLAG_CQ_RESIZE_SUPPORTED,
    NDK_ADAPTER_FLAG_IN_ORDER_DMA_SUPPORTED, NDK_ADAPTER_FLAG_LOOPBACK_CONNECTIONS_SUPPORTED,
    NDK_ADAPTER_FLAG_RDMA_READ_LOCAL_INVALIDATE_SUPPORTED, NDK_ADAPTER_FLAG_RDMA_READ_SINK_NOT_REQUIRED,
    NDK_ADAPTER_INFO, NdkRoCEv2,
};
use vrnic_abi::info::{CAP_RC, DeviceInfo};
use vrnic_abi::pci::DEVICE_ID;
use vrnic_abi::wqe::MAX_BLOCKS;

/// Transfers from this size on count as large, in bytes: one packet of the largest path MTU.
const LARGE_REQUEST: u32 = 4096;
/// Longest buffer that is registered at once, in bytes: as long as the longest transfer.
pub const MAX_REGISTRATION: usize = 1 << 30;
/// Most pages of a fast registration: their addresses fill one page.
pub const MAX_FRMR_PAGES: u32 = 512;
/// Bytes of `NDIS_NDK_CAPABILITIES`, as its header says.
const CAPABILITIES_SIZE: u16 = 0x38;
const _: () = assert!(size_of::<NDIS_NDK_CAPABILITIES>() == CAPABILITIES_SIZE as usize);
/// What the driver, and with it the device, can do beyond numbers. The device writes a message's bytes in their order.
const FLAGS: u32 = NDK_ADAPTER_FLAG_IN_ORDER_DMA_SUPPORTED
    | NDK_ADAPTER_FLAG_RDMA_READ_SINK_NOT_REQUIRED
    | NDK_ADAPTER_FLAG_CQ_INTERRUPT_MODERATION_SUPPORTED
    | NDK_ADAPTER_FLAG_RDMA_READ_LOCAL_INVALIDATE_SUPPORTED
    | NDK_ADAPTER_FLAG_CQ_RESIZE_SUPPORTED
    | NDK_ADAPTER_FLAG_LOOPBACK_CONNECTIONS_SUPPORTED;

/// The limits of one adapter, with the highest version that the provider speaks.
///
/// `mac` is the permanent address; its first three bytes are the vendor's OUI.
#[must_use]
pub fn adapter_info(device: &DeviceInfo, mac: [u8; 6]) -> NDK_ADAPTER_INFO {
    let always = NDK_ADAPTER_INFO {
        Version: version::HIGHEST,
        VendorId: u32::from_be_bytes([0, mac[0], mac[1], mac[2]]),
        DeviceId: u32::from(DEVICE_ID),
        LargeRequestThreshold: LARGE_REQUEST,
        MaxCallerData: MAX_CALLER_DATA,
        MaxCalleeData: MAX_CALLEE_DATA,
        RdmaTechnology: NdkRoCEv2,
        ..NDK_ADAPTER_INFO::zeroed()
    };
    if device.capabilities.get() & CAP_RC == 0 {
        return always;
    }
    let entries = |log2: u8| 1u32.checked_shl(u32::from(log2)).unwrap_or(0);
    let sge = u32::from(device.max_sge);
    NDK_ADAPTER_INFO {
        MaxRegistrationSize: MAX_REGISTRATION,
        MaxWindowSize: MAX_REGISTRATION,
        FRMRPageCount: device.max_frmr_pages.get().min(MAX_FRMR_PAGES),
        MaxInitiatorRequestSge: sge,
        MaxReceiveRequestSge: sge,
        MaxReadRequestSge: sge,
        MaxTransferLength: device.max_message.get(),
        MaxInlineDataSize: u32::from(device.max_inline.get()),
        MaxInboundReadLimit: u32::from(device.max_inbound_reads),
        MaxOutboundReadLimit: u32::from(device.max_outbound_reads),
        MaxReceiveQueueDepth: entries(device.max_rq_log2),
        // Also if each request has as many blocks as there can be.
        MaxInitiatorQueueDepth: entries(device.max_sq_log2) / LARGEST_REQUEST,
        MaxSrqDepth: entries(device.max_rq_log2),
        // One entry stays free, so that a full queue is told from an empty one.
        MaxCqDepth: entries(device.max_cq_log2).saturating_sub(1),
        AdapterFlags: FLAGS,
        ..always
    }
}

/// Blocks of the largest request, rounded up to what rings are sized in.
const LARGEST_REQUEST: u32 = 16;
const _: () = assert!(MAX_BLOCKS.next_power_of_two() == LARGEST_REQUEST as usize);

/// System-wide limits. `info` stays where it is for as long as they are used.
#[must_use]
pub fn capabilities(device: &DeviceInfo, info: &NDK_ADAPTER_INFO) -> NDIS_NDK_CAPABILITIES {
    // The device counts regions and windows together, and two keys are never given: every fourth is for a window.
    let keys = device.max_keys.get().saturating_sub(2);
    let windows = keys / 4;
    NDIS_NDK_CAPABILITIES {
        Header: NDIS_OBJECT_HEADER {
            Type: NDIS_OBJECT_TYPE_DEFAULT,
            Revision: NDIS_NDK_CAPABILITIES_REVISION_1,
            Size: CAPABILITIES_SIZE,
        },
        MaxQpCount: device.max_qps.get(),
        MaxCqCount: device.max_cqs.get(),
        MaxMrCount: keys - windows,
        MaxPdCount: device.max_pds.get(),
        MaxMwCount: windows,
        MaxSrqCount: device.max_srqs.get(),
        NdkInfo: core::ptr::from_ref(info).cast_mut(),
        ..NDIS_NDK_CAPABILITIES::zeroed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromZeros;

    /// As the device of this repository says.
    fn device() -> DeviceInfo {
        let mut device = DeviceInfo::new_zeroed();
        device.capabilities = CAP_RC.into();
        (device.max_sge, device.max_inbound_reads) = (32, 16);
        (device.max_cq_log2, device.max_rq_log2, device.max_sq_log2) = (22, 14, 18);
        device.max_frmr_pages = 511.into();
        device.max_keys = (1 << 18).into();
        device.max_cqs = (1 << 15).into();
        device
    }

    #[test]
    fn without_connections_nothing_of_the_data_path_is_promised() {
        let mut device = device();
        device.capabilities = 0.into();
        let info = adapter_info(&device, [0x02, 0x11, 0x22, 0, 0, 1]);
        assert_eq!((info.MaxInitiatorRequestSge, info.MaxInitiatorQueueDepth), (0, 0));
        assert_eq!((info.AdapterFlags, info.MaxRegistrationSize), (0, 0));
        assert_eq!((info.MaxCallerData, info.MaxCalleeData), (56, 148));
        assert_eq!((info.VendorId, info.RdmaTechnology), (0x02_1122, NdkRoCEv2));
    }

    #[test]
    fn with_connections_the_device_decides() {
        let info = adapter_info(&device(), [0; 6]);
        assert_eq!(info.MaxInitiatorRequestSge, 32);
        assert_eq!(
            (
                info.MaxInitiatorQueueDepth,
                info.MaxReceiveQueueDepth,
                info.MaxCqDepth
            ),
            (16_384, 16_384, 4_194_303)
        );
        assert_eq!((info.MaxInboundReadLimit, info.FRMRPageCount), (16, 511));
        assert_eq!(info.AdapterFlags, 0x1_0117);
    }

    #[test]
    fn counts_do_not_promise_more_than_there_is() {
        let info = adapter_info(&device(), [0; 6]);
        let capabilities = capabilities(&device(), &info);
        assert_eq!(capabilities.MaxMrCount + capabilities.MaxMwCount, (1 << 18) - 2);
        assert_eq!(capabilities.MaxCqCount, 1 << 15);
        assert_eq!(capabilities.Header.Size, 0x38);
    }
}
