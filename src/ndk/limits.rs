//! What the provider tells consumers about the NIC: `NDK_ADAPTER_INFO`, derived from `QUERY_DEVICE`.
//!
//! A limit of the data path is what the device says and this driver uses: 0 while the device has no reliable connections.

use super::private_data::{MAX_CALLEE_DATA, MAX_CALLER_DATA};
use super::version;
use ndk_sys::{NDK_ADAPTER_INFO, NdkRoCEv2};
use vrnic_abi::info::{CAP_RC, DeviceInfo};
use vrnic_abi::pci::DEVICE_ID;

/// Transfers from this size on count as large, in bytes: one packet of the largest path MTU.
const LARGE_REQUEST: u32 = 4096;

/// The limits of one adapter, with the highest version that the provider speaks.
///
/// `mac` is the permanent address; its first three bytes are the vendor's OUI.
#[must_use]
pub fn adapter_info(device: &DeviceInfo, mac: [u8; 6]) -> NDK_ADAPTER_INFO {
    let connects = device.capabilities.get() & CAP_RC != 0;
    let data_path = |limit: u32| if connects { limit } else { 0 };
    let depth = |log2: u8| {
        if connects {
            1u32.checked_shl(u32::from(log2)).unwrap_or(0)
        } else {
            0
        }
    };
    NDK_ADAPTER_INFO {
        Version: version::HIGHEST,
        VendorId: u32::from_be_bytes([0, mac[0], mac[1], mac[2]]),
        DeviceId: u32::from(DEVICE_ID),
        MaxTransferLength: data_path(device.max_message.get()),
        FRMRPageCount: data_path(device.max_frmr_pages.get()),
        MaxInitiatorRequestSge: data_path(u32::from(device.max_sge)),
        MaxReceiveRequestSge: data_path(u32::from(device.max_sge)),
        MaxReadRequestSge: data_path(u32::from(device.max_sge)),
        MaxInlineDataSize: data_path(u32::from(device.max_inline.get())),
        MaxInboundReadLimit: data_path(u32::from(device.max_inbound_reads)),
        MaxOutboundReadLimit: data_path(u32::from(device.max_outbound_reads)),
        MaxReceiveQueueDepth: depth(device.max_rq_log2),
        MaxInitiatorQueueDepth: depth(device.max_sq_log2),
        MaxCqDepth: depth(device.max_cq_log2),
        LargeRequestThreshold: LARGE_REQUEST,
        MaxCallerData: MAX_CALLER_DATA,
        MaxCalleeData: MAX_CALLEE_DATA,
        RdmaTechnology: NdkRoCEv2,
        ..NDK_ADAPTER_INFO::zeroed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromZeros;

    #[test]
    fn without_connections_nothing_of_the_data_path_is_promised() {
        let mut device = DeviceInfo::new_zeroed();
        (device.max_sge, device.max_sq_log2) = (32, 14);
        let info = adapter_info(&device, [0x02, 0x11, 0x22, 0, 0, 1]);
        assert_eq!((info.MaxInitiatorRequestSge, info.MaxInitiatorQueueDepth), (0, 0));
        assert_eq!((info.MaxCallerData, info.MaxCalleeData), (56, 148));
        assert_eq!((info.VendorId, info.RdmaTechnology), (0x02_1122, NdkRoCEv2));
    }

    #[test]
    fn with_connections_the_device_decides() {
        let mut device = DeviceInfo::new_zeroed();
        device.capabilities = CAP_RC.into();
        (device.max_sge, device.max_sq_log2, device.max_inbound_reads) = (32, 14, 16);
        let info = adapter_info(&device, [0; 6]);
        assert_eq!(info.MaxInitiatorRequestSge, 32);
        assert_eq!(info.MaxInitiatorQueueDepth, 16384);
        assert_eq!(info.MaxInboundReadLimit, 16);
    }
}
