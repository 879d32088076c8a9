//! The NDIS side of NDK: registration, attributes, OIDs (ndisndk.h, ntddndis.h, ndis.h).

use crate::{
    BOOLEAN, GUID, NDIS_HANDLE, NDIS_OBJECT_HEADER, NDIS_OID, NDIS_STATUS, NDK_ADAPTER, NDK_ADAPTER_INFO,
    NDK_VERSION, NDK_WMI_ADAPTER_INFO, SOCKADDR_INET,
};

/// WMI identifier of the NDK capabilities of an adapter (ntddndis.h).
pub const GUID_NDIS_NDK_CAPABILITIES: GUID = GUID {
    Data1: 0x7969_ba4d,
    Data2: 0xdd80,
    Data3: 0x4bc7,
    Data4: [0xb3, 0xe6, 0x68, 0x04, 0x39, 0x97, 0xe5, 0x19],
};
/// WMI identifier of the NDK state of an adapter (ntddndis.h).
pub const GUID_NDIS_NDK_STATE: GUID = GUID {
    Data1: 0x530c_69c9,
    Data2: 0x2f51,
    Data3: 0x49de,
    Data4: [0xa1, 0xaf, 0x08, 0x8d, 0x54, 0xff, 0xa4, 0x74],
};

constants! {
    /// Revisions of the NDK structures (ntddndis.h, ndis.h).
    u8 {
        NDIS_MINIPORT_ADAPTER_NDK_ATTRIBUTES_REVISION_1 = 1,
        NDIS_NDK_CAPABILITIES_REVISION_1 = 1,
        NDIS_NDK_CONNECTIONS_REVISION_1 = 1,
        NDIS_NDK_LOCAL_ENDPOINTS_REVISION_1 = 1,
        NDIS_NDK_PROVIDER_CHARACTERISTICS_REVISION_1 = 1,
        NDIS_NDK_STATISTICS_INFO_REVISION_1 = 1,
    }

    /// Sizes of the NDK structures by revision (ntddndis.h, ndis.h, ndisndk.h).
    u16 {
        NDIS_SIZEOF_MINIPORT_ADAPTER_NDK_ATTRIBUTES_REVISION_1 = 0x10,
        NDIS_SIZEOF_NDK_CAPABILITIES_REVISION_1 = 0x38,
        NDIS_SIZEOF_NDK_STATISTICS_INFO_REVISION_1 = 0xf8,
        NDIS_SIZEOF_NDK_PROVIDER_CHARACTERISTICS_REVISION_1 = 0x18,
    }

    /// NDK object identifiers (ntddndis.h).
    NDIS_OID {
        OID_NDK_SET_STATE = 0xFC04_0201,
        OID_NDK_STATISTICS = 0xFC04_0202,
        OID_NDK_CONNECTIONS = 0xFC04_0203,
        OID_NDK_LOCAL_ENDPOINTS = 0xFC04_0204,
    }
}

functions! {
    /// Opens an NDK adapter: success, `BAD_VERSION`, `ADAPTER_NOT_READY` or `RESOURCES`.
    /// `PASSIVE_LEVEL` (ndisndk.h).
    fn OPEN_NDK_ADAPTER_HANDLER(
        MiniportAdapterContext: NDIS_HANDLE,
        Parameters: *mut NDIS_OPEN_NDK_ADAPTER_PARAMETERS,
        ppNdkAdapter: *mut *mut NDK_ADAPTER,
    ) -> NDIS_STATUS;

    /// Closes an NDK adapter; returns when the last callback of it has returned.
    /// `PASSIVE_LEVEL` (ndisndk.h).
    fn CLOSE_NDK_ADAPTER_HANDLER(MiniportAdapterContext: NDIS_HANDLE, pNdkAdapter: *mut NDK_ADAPTER);
}

layouts! {
    /// What version of NDKPI the consumer asks for. From NDIS 6.50 a switch and port follow (ndisndk.h).
    pub struct NDIS_OPEN_NDK_ADAPTER_PARAMETERS: 0x4 {
        Version @ 0x0: NDK_VERSION,
    }

    /// The provider's open and close handlers, for `NdisSetOptionalHandlers` (ndisndk.h).
    pub struct NDIS_NDK_PROVIDER_CHARACTERISTICS: 0x18 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u32,
        OpenNDKAdapterHandler @ 0x8: Option<OPEN_NDK_ADAPTER_HANDLER>,
        CloseNDKAdapterHandler @ 0x10: Option<CLOSE_NDK_ADAPTER_HANDLER>,
    }

    /// Limits that all consumers of the adapter share (ntddndis.h).
    pub struct NDIS_NDK_CAPABILITIES: 0x38 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u32,
        MaxQpCount @ 0x8: u32,
        MaxCqCount @ 0xc: u32,
        MaxMrCount @ 0x10: u32,
        MaxPdCount @ 0x14: u32,
        MaxInboundReadLimit @ 0x18: u32,
        MaxOutboundReadLimit @ 0x1c: u32,
        MaxMwCount @ 0x20: u32,
        MaxSrqCount @ 0x24: u32,
        MissingCounterMask @ 0x28: u64,
        NdkInfo @ 0x30: *mut NDK_ADAPTER_INFO,
    }

    /// [`NDIS_NDK_CAPABILITIES`] as WMI shows it (ntddndis.h).
    pub struct NDIS_WMI_NDK_CAPABILITIES: 0x88 {
        MaxQpCount @ 0x0: u32,
        MaxCqCount @ 0x4: u32,
        MaxMrCount @ 0x8: u32,
        MaxPdCount @ 0xc: u32,
        MaxInboundReadLimit @ 0x10: u32,
        MaxOutboundReadLimit @ 0x14: u32,
        MaxMwCount @ 0x18: u32,
        MaxSrqCount @ 0x1c: u32,
        MissingCounterMask @ 0x20: u64,
        NdkInfo @ 0x28: NDK_WMI_ADAPTER_INFO,
    }

    /// NDK state and capabilities, for `NdisMSetMiniportAttributes` (ndis.h).
    pub struct NDIS_MINIPORT_ADAPTER_NDK_ATTRIBUTES: 0x10 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Enabled @ 0x4: BOOLEAN,
        NdkCapabilities @ 0x8: *mut NDIS_NDK_CAPABILITIES,
    }

    /// Counters; a counter's index is its bit in `MissingCounterMask` (ntddndis.h).
    pub struct NDIS_NDK_PERFORMANCE_COUNTERS: 0xf0 {
        Connect @ 0x0: u64,
        Accept @ 0x8: u64,
        ConnectFailure @ 0x10: u64,
        ConnectionError @ 0x18: u64,
        ActiveConnection @ 0x20: u64,
        Reserved01 @ 0x28: u64,
        Reserved02 @ 0x30: u64,
        Reserved03 @ 0x38: u64,
        Reserved04 @ 0x40: u64,
        Reserved05 @ 0x48: u64,
        Reserved06 @ 0x50: u64,
        Reserved07 @ 0x58: u64,
        Reserved08 @ 0x60: u64,
        Reserved09 @ 0x68: u64,
        Reserved10 @ 0x70: u64,
        Reserved11 @ 0x78: u64,
        Reserved12 @ 0x80: u64,
        Reserved13 @ 0x88: u64,
        Reserved14 @ 0x90: u64,
        Reserved15 @ 0x98: u64,
        Reserved16 @ 0xa0: u64,
        Reserved17 @ 0xa8: u64,
        Reserved18 @ 0xb0: u64,
        Reserved19 @ 0xb8: u64,
        Reserved20 @ 0xc0: u64,
        CQError @ 0xc8: u64,
        RDMAInOctets @ 0xd0: u64,
        RDMAOutOctets @ 0xd8: u64,
        RDMAInFrames @ 0xe0: u64,
        RDMAOutFrames @ 0xe8: u64,
    }

    /// Answer to `OID_NDK_STATISTICS`, a direct OID (ntddndis.h).
    pub struct NDIS_NDK_STATISTICS_INFO: 0xf8 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u32,
        CounterSet @ 0x8: NDIS_NDK_PERFORMANCE_COUNTERS,
    }

    /// One connection (ntddndis.h).
    pub struct NDIS_NDK_CONNECTION_ENTRY: 0x40 {
        Local @ 0x0: SOCKADDR_INET,
        Remote @ 0x1c: SOCKADDR_INET,
        UserModeOwner @ 0x38: BOOLEAN,
        OwnerPid @ 0x3c: u32,
    }

    /// Answer to `OID_NDK_CONNECTIONS`; `Connections` has `Count` entries (ntddndis.h).
    pub struct NDIS_NDK_CONNECTIONS: 0x50 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u32,
        Count @ 0x8: u32,
        NDConnectionsMappedtoTCPConnections @ 0xc: BOOLEAN,
        Connections @ 0x10: [NDIS_NDK_CONNECTION_ENTRY; 1],
    }

    /// One listener or shared endpoint (ntddndis.h).
    pub struct NDIS_NDK_LOCAL_ENDPOINT_ENTRY: 0x24 {
        Local @ 0x0: SOCKADDR_INET,
        UserModeOwner @ 0x1c: BOOLEAN,
        Listener @ 0x1d: BOOLEAN,
        OwnerPid @ 0x20: u32,
    }

    /// Answer to `OID_NDK_LOCAL_ENDPOINTS`; `LocalEndpoints` has `Count` entries (ntddndis.h).
    pub struct NDIS_NDK_LOCAL_ENDPOINTS: 0x34 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u32,
        Count @ 0x8: u32,
        NDLocalEndpointsMappedtoTCPLocalEndpoints @ 0xc: BOOLEAN,
        LocalEndpoints @ 0x10: [NDIS_NDK_LOCAL_ENDPOINT_ENTRY; 1],
    }
}
