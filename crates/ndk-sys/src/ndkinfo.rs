//! What an NDK adapter can do (ndkinfo.h).

enums! {
    /// The wire protocol of an NDK adapter (ndkinfo.h).
    enum NDK_RDMA_TECHNOLOGY {
        NdkUndefined = 0,
        NdkiWarp = 1,
        NdkInfiniBand = 2,
        NdkRoCE = 3,
        NdkRoCEv2 = 4,
        NdkMaxTechnology = 5,
    }
}

constants! {
    /// [`NDK_ADAPTER_INFO::AdapterFlags`] (ndkinfo.h).
    u32 {
        NDK_ADAPTER_FLAG_IN_ORDER_DMA_SUPPORTED = 1,
        NDK_ADAPTER_FLAG_RDMA_READ_SINK_NOT_REQUIRED = 2,
        NDK_ADAPTER_FLAG_CQ_INTERRUPT_MODERATION_SUPPORTED = 4,
        NDK_ADAPTER_FLAG_MULTI_ENGINE_SUPPORTED = 8,
        NDK_ADAPTER_FLAG_RDMA_READ_LOCAL_INVALIDATE_SUPPORTED = 0x10,
        NDK_ADAPTER_FLAG_CQ_RESIZE_SUPPORTED = 0x100,
        NDK_ADAPTER_FLAG_LOOPBACK_CONNECTIONS_SUPPORTED = 0x0001_0000,
    }
}

layouts! {
    /// A version of NDKPI (ndkinfo.h).
    pub struct NDK_VERSION: 0x4 {
        Major @ 0x0: u16,
        Minor @ 0x2: u16,
    }

    /// Limits and features of an NDK adapter, for one consumer (ndkinfo.h).
    pub struct NDK_ADAPTER_INFO: 0x68 {
        Version @ 0x0: NDK_VERSION,
        VendorId @ 0x4: u32,
        DeviceId @ 0x8: u32,
        MaxRegistrationSize @ 0x10: usize,
        MaxWindowSize @ 0x18: usize,
        FRMRPageCount @ 0x20: u32,
        MaxInitiatorRequestSge @ 0x24: u32,
        MaxReceiveRequestSge @ 0x28: u32,
        MaxReadRequestSge @ 0x2c: u32,
        MaxTransferLength @ 0x30: u32,
        MaxInlineDataSize @ 0x34: u32,
        MaxInboundReadLimit @ 0x38: u32,
        MaxOutboundReadLimit @ 0x3c: u32,
        MaxReceiveQueueDepth @ 0x40: u32,
        MaxInitiatorQueueDepth @ 0x44: u32,
        MaxSrqDepth @ 0x48: u32,
        MaxCqDepth @ 0x4c: u32,
        LargeRequestThreshold @ 0x50: u32,
        MaxCallerData @ 0x54: u32,
        MaxCalleeData @ 0x58: u32,
        AdapterFlags @ 0x5c: u32,
        RdmaTechnology @ 0x60: NDK_RDMA_TECHNOLOGY,
    }

    /// [`NDK_ADAPTER_INFO`] as WMI shows it (ndkinfo.h).
    pub struct NDK_WMI_ADAPTER_INFO: 0x60 {
        Version @ 0x0: NDK_VERSION,
        VendorId @ 0x4: u32,
        DeviceId @ 0x8: u32,
        MaxRegistrationSize @ 0x10: u64,
        MaxWindowSize @ 0x18: u64,
        FRMRPageCount @ 0x20: u32,
        MaxInitiatorRequestSge @ 0x24: u32,
        MaxReceiveRequestSge @ 0x28: u32,
        MaxReadRequestSge @ 0x2c: u32,
        MaxTransferLength @ 0x30: u32,
        MaxInlineDataSize @ 0x34: u32,
        MaxInboundReadLimit @ 0x38: u32,
        MaxOutboundReadLimit @ 0x3c: u32,
        MaxReceiveQueueDepth @ 0x40: u32,
        MaxInitiatorQueueDepth @ 0x44: u32,
        MaxSrqDepth @ 0x48: u32,
        MaxCqDepth @ 0x4c: u32,
        LargeRequestThreshold @ 0x50: u32,
        MaxCallerData @ 0x54: u32,
        MaxCalleeData @ 0x58: u32,
        AdapterFlags @ 0x5c: u32,
    }
}
