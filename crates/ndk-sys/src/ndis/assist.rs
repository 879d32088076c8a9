//! Capabilities of receive filters, NIC switches, SR-IOV and quality of service (ntddndis.h).

use crate::NDIS_OBJECT_HEADER;

constants! {
    /// Revisions of the capability structures (ntddndis.h).
    u8 {
        NDIS_HD_SPLIT_ATTRIBUTES_REVISION_1 = 1,
        NDIS_HD_SPLIT_CURRENT_CONFIG_REVISION_1 = 1,
        NDIS_HD_SPLIT_PARAMETERS_REVISION_1 = 1,
        NDIS_NIC_SWITCH_CAPABILITIES_REVISION_1 = 1,
        NDIS_NIC_SWITCH_CAPABILITIES_REVISION_2 = 2,
        NDIS_QOS_CAPABILITIES_REVISION_1 = 1,
        NDIS_QOS_CLASSIFICATION_ELEMENT_REVISION_1 = 1,
        NDIS_QOS_PARAMETERS_REVISION_1 = 1,
        NDIS_RECEIVE_FILTER_CAPABILITIES_REVISION_1 = 1,
        NDIS_RECEIVE_FILTER_CAPABILITIES_REVISION_2 = 2,
        NDIS_SRIOV_CAPABILITIES_REVISION_1 = 1,
    }

    /// Sizes of the capability structures by revision (ntddndis.h).
    u16 {
        NDIS_SIZEOF_HD_SPLIT_ATTRIBUTES_REVISION_1 = 0x18,
        NDIS_SIZEOF_HD_SPLIT_CURRENT_CONFIG_REVISION_1 = 0x1c,
        NDIS_SIZEOF_HD_SPLIT_PARAMETERS_REVISION_1 = 8,
        NDIS_SIZEOF_NIC_SWITCH_CAPABILITIES_REVISION_1 = 0x20,
        NDIS_SIZEOF_NIC_SWITCH_CAPABILITIES_REVISION_2 = 0x74,
        NDIS_SIZEOF_QOS_CAPABILITIES_REVISION_1 = 0x14,
        NDIS_SIZEOF_QOS_CLASSIFICATION_ELEMENT_REVISION_1 = 0x10,
        NDIS_SIZEOF_QOS_PARAMETERS_REVISION_1 = 0x34,
        NDIS_SIZEOF_RECEIVE_FILTER_CAPABILITIES_REVISION_1 = 0x38,
        NDIS_SIZEOF_RECEIVE_FILTER_CAPABILITIES_REVISION_2 = 0x54,
        NDIS_SIZEOF_SRIOV_CAPABILITIES_REVISION_1 = 0xc,
    }

    /// What a classification element looks at (ntddndis.h).
    u16 {
        NDIS_QOS_CONDITION_RESERVED = 0,
        NDIS_QOS_CONDITION_DEFAULT = 1,
        NDIS_QOS_CONDITION_TCP_PORT = 2,
        NDIS_QOS_CONDITION_UDP_PORT = 3,
        NDIS_QOS_CONDITION_TCP_OR_UDP_PORT = 4,
        NDIS_QOS_CONDITION_ETHERTYPE = 5,
        NDIS_QOS_CONDITION_NETDIRECT_PORT = 6,
        NDIS_QOS_CONDITION_MAXIMUM = 7,
    }

    /// What a classification element does (ntddndis.h).
    u16 {
        NDIS_QOS_ACTION_PRIORITY = 0,
        NDIS_QOS_ACTION_MAXIMUM = 1,
    }

    /// Quality of service flags and limits (ntddndis.h).
    u32 {
        NDIS_QOS_TSA_STRICT = 0,
        NDIS_QOS_CAPABILITIES_STRICT_TSA_SUPPORTED = 1,
        NDIS_QOS_PARAMETERS_ETS_CHANGED = 1,
        NDIS_QOS_TSA_CBS = 1,
        NDIS_QOS_CAPABILITIES_MACSEC_BYPASS_SUPPORTED = 2,
        NDIS_QOS_PARAMETERS_ETS_CONFIGURED = 2,
        NDIS_QOS_TSA_ETS = 2,
        NDIS_QOS_TSA_MAXIMUM = 3,
        NDIS_QOS_CAPABILITIES_CEE_DCBX_SUPPORTED = 4,
        NDIS_QOS_CAPABILITIES_IEEE_DCBX_SUPPORTED = 8,
        NDIS_QOS_MAXIMUM_PRIORITIES = 8,
        NDIS_QOS_MAXIMUM_TRAFFIC_CLASSES = 8,
        NDIS_QOS_PARAMETERS_PFC_CHANGED = 0x100,
        NDIS_QOS_PARAMETERS_PFC_CONFIGURED = 0x200,
        NDIS_QOS_PARAMETERS_CLASSIFICATION_CHANGED = 0x0001_0000,
        NDIS_QOS_PARAMETERS_CLASSIFICATION_CONFIGURED = 0x0002_0000,
        NDIS_QOS_CLASSIFICATION_ENFORCED_BY_MINIPORT = 0x0100_0000,
        NDIS_QOS_PARAMETERS_WILLING = 0x8000_0000,
        NDIS_QOS_CLASSIFICATION_SET_BY_MINIPORT_MASK = 0xFF00_0000,
    }
}

layouts! {
    /// Receive filters and queues (ntddndis.h).
    pub struct NDIS_RECEIVE_FILTER_CAPABILITIES: 0x54 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u32,
        EnabledFilterTypes @ 0x8: u32,
        EnabledQueueTypes @ 0xc: u32,
        NumQueues @ 0x10: u32,
        SupportedQueueProperties @ 0x14: u32,
        SupportedFilterTests @ 0x18: u32,
        SupportedHeaders @ 0x1c: u32,
        SupportedMacHeaderFields @ 0x20: u32,
        MaxMacHeaderFilters @ 0x24: u32,
        MaxQueueGroups @ 0x28: u32,
        MaxQueuesPerQueueGroup @ 0x2c: u32,
        MinLookaheadSplitSize @ 0x30: u32,
        MaxLookaheadSplitSize @ 0x34: u32,
        SupportedARPHeaderFields @ 0x38: u32,
        SupportedIPv4HeaderFields @ 0x3c: u32,
        SupportedIPv6HeaderFields @ 0x40: u32,
        SupportedUdpHeaderFields @ 0x44: u32,
        MaxFieldTestsPerPacketCoalescingFilter @ 0x48: u32,
        MaxPacketCoalescingFilters @ 0x4c: u32,
        NdisReserved @ 0x50: u32,
    }

    /// NIC switches (ntddndis.h).
    pub struct NDIS_NIC_SWITCH_CAPABILITIES: 0x74 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u32,
        NdisReserved1 @ 0x8: u32,
        NumTotalMacAddresses @ 0xc: u32,
        NumMacAddressesPerPort @ 0x10: u32,
        NumVlansPerPort @ 0x14: u32,
        NdisReserved2 @ 0x18: u32,
        NdisReserved3 @ 0x1c: u32,
        NicSwitchCapabilities @ 0x20: u32,
        MaxNumSwitches @ 0x24: u32,
        MaxNumVPorts @ 0x28: u32,
        NdisReserved4 @ 0x2c: u32,
        MaxNumVFs @ 0x30: u32,
        MaxNumQueuePairs @ 0x34: u32,
        NdisReserved5 @ 0x38: u32,
        NdisReserved6 @ 0x3c: u32,
        NdisReserved7 @ 0x40: u32,
        MaxNumQueuePairsPerNonDefaultVPort @ 0x44: u32,
        NdisReserved8 @ 0x48: u32,
        NdisReserved9 @ 0x4c: u32,
        NdisReserved10 @ 0x50: u32,
        NdisReserved11 @ 0x54: u32,
        NdisReserved12 @ 0x58: u32,
        MaxNumMacAddresses @ 0x5c: u32,
        NdisReserved13 @ 0x60: u32,
        NdisReserved14 @ 0x64: u32,
        NdisReserved15 @ 0x68: u32,
        NdisReserved16 @ 0x6c: u32,
        NdisReserved17 @ 0x70: u32,
    }

    /// Single-root I/O virtualisation (ntddndis.h).
    pub struct NDIS_SRIOV_CAPABILITIES: 0xc {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u32,
        SriovCapabilities @ 0x8: u32,
    }

    /// Data centre bridging (ntddndis.h).
    pub struct NDIS_QOS_CAPABILITIES: 0x14 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u32,
        MaxNumTrafficClasses @ 0x8: u32,
        MaxNumEtsCapableTrafficClasses @ 0xc: u32,
        MaxNumPfcEnabledTrafficClasses @ 0x10: u32,
    }

    /// Traffic classes and flow control (ntddndis.h).
    pub struct NDIS_QOS_PARAMETERS: 0x34 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u32,
        NumTrafficClasses @ 0x8: u32,
        PriorityAssignmentTable @ 0xc: [u8; 8],
        TcBandwidthAssignmentTable @ 0x14: [u8; 8],
        TsaAssignmentTable @ 0x1c: [u8; 8],
        PfcEnable @ 0x24: u32,
        NumClassificationElements @ 0x28: u32,
        ClassificationElementSize @ 0x2c: u32,
        FirstClassificationElementOffset @ 0x30: u32,
    }

    /// Which traffic gets which priority (ntddndis.h).
    pub struct NDIS_QOS_CLASSIFICATION_ELEMENT: 0x10 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u32,
        ConditionSelector @ 0x8: u16,
        ConditionField @ 0xa: u16,
        ActionSelector @ 0xc: u16,
        ActionField @ 0xe: u16,
    }

    /// Header-data split that is on (ntddndis.h).
    pub struct NDIS_HD_SPLIT_CURRENT_CONFIG: 0x1c {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        HardwareCapabilities @ 0x4: u32,
        CurrentCapabilities @ 0x8: u32,
        HDSplitFlags @ 0xc: u32,
        HDSplitCombineFlags @ 0x10: u32,
        BackfillSize @ 0x14: u32,
        MaxHeaderSize @ 0x18: u32,
    }

    /// What `OID_GEN_HD_SPLIT_PARAMETERS` sets (ntddndis.h).
    pub struct NDIS_HD_SPLIT_PARAMETERS: 0x8 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        HDSplitCombineFlags @ 0x4: u32,
    }
}
