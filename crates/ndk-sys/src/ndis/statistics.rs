//! Statistics and interrupt moderation (ntddndis.h).

use crate::{
    BOOLEAN, GUID, NDIS_OBJECT_HEADER, NDIS_OID, NDIS_STATUS, NET_IF_COMPARTMENT_ID,
    NET_IF_MEDIA_CONNECT_STATE, NET_IF_MEDIA_DUPLEX_STATE, NET_IF_OPER_STATUS,
};

enums! {
    /// State of interrupt moderation (ntddndis.h).
    enum NDIS_INTERRUPT_MODERATION {
        NdisInterruptModerationUnknown = 0,
        NdisInterruptModerationNotSupported = 1,
        NdisInterruptModerationEnabled = 2,
        NdisInterruptModerationDisabled = 3,
    }
}

constants! {
    /// Revisions of the statistics and moderation structures (ntddndis.h).
    u8 {
        NDIS_INTERRUPT_MODERATION_PARAMETERS_REVISION_1 = 1,
        NDIS_RSC_STATISTICS_REVISION_1 = 1,
        NDIS_STATISTICS_INFO_REVISION_1 = 1,
    }

    /// Sizes of the statistics and moderation structures by revision (ntddndis.h).
    u16 {
        NDIS_SIZEOF_INTERRUPT_MODERATION_PARAMETERS_REVISION_1 = 0xc,
        NDIS_SIZEOF_RSC_STATISTICS_REVISION_1 = 0x28,
        NDIS_SIZEOF_STATISTICS_INFO_REVISION_1 = 0x98,
    }

    /// Which counters of [`NDIS_STATISTICS_INFO`] count (ntddndis.h).
    u32 {
        NDIS_STATISTICS_FLAGS_VALID_DIRECTED_FRAMES_RCV = 1,
        NDIS_STATISTICS_FLAGS_VALID_MULTICAST_FRAMES_RCV = 2,
        NDIS_STATISTICS_FLAGS_VALID_BROADCAST_FRAMES_RCV = 4,
        NDIS_STATISTICS_FLAGS_VALID_BYTES_RCV = 8,
        NDIS_STATISTICS_FLAGS_VALID_RCV_DISCARDS = 0x10,
        NDIS_STATISTICS_FLAGS_VALID_RCV_ERROR = 0x20,
        NDIS_STATISTICS_FLAGS_VALID_DIRECTED_FRAMES_XMIT = 0x40,
        NDIS_STATISTICS_FLAGS_VALID_MULTICAST_FRAMES_XMIT = 0x80,
        NDIS_STATISTICS_FLAGS_VALID_BROADCAST_FRAMES_XMIT = 0x100,
        NDIS_STATISTICS_FLAGS_VALID_BYTES_XMIT = 0x200,
        NDIS_STATISTICS_FLAGS_VALID_XMIT_ERROR = 0x400,
        NDIS_STATISTICS_FLAGS_VALID_XMIT_DISCARDS = 0x8000,
        NDIS_STATISTICS_FLAGS_VALID_DIRECTED_BYTES_RCV = 0x0001_0000,
        NDIS_STATISTICS_FLAGS_VALID_MULTICAST_BYTES_RCV = 0x0002_0000,
        NDIS_STATISTICS_FLAGS_VALID_BROADCAST_BYTES_RCV = 0x0004_0000,
        NDIS_STATISTICS_FLAGS_VALID_DIRECTED_BYTES_XMIT = 0x0008_0000,
        NDIS_STATISTICS_FLAGS_VALID_MULTICAST_BYTES_XMIT = 0x0010_0000,
        NDIS_STATISTICS_FLAGS_VALID_BROADCAST_BYTES_XMIT = 0x0020_0000,
    }

    /// [`NDIS_INTERRUPT_MODERATION_PARAMETERS::Flags`] (ntddndis.h).
    u32 {
        NDIS_INTERRUPT_MODERATION_CHANGE_NEEDS_RESET = 1,
        NDIS_INTERRUPT_MODERATION_CHANGE_NEEDS_REINITIALIZE = 2,
    }
}

layouts! {
    /// Answer to `OID_GEN_STATISTICS` (ntddndis.h).
    pub struct NDIS_STATISTICS_INFO: 0x98 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        SupportedStatistics @ 0x4: u32,
        ifInDiscards @ 0x8: u64,
        ifInErrors @ 0x10: u64,
        ifHCInOctets @ 0x18: u64,
        ifHCInUcastPkts @ 0x20: u64,
        ifHCInMulticastPkts @ 0x28: u64,
        ifHCInBroadcastPkts @ 0x30: u64,
        ifHCOutOctets @ 0x38: u64,
        ifHCOutUcastPkts @ 0x40: u64,
        ifHCOutMulticastPkts @ 0x48: u64,
        ifHCOutBroadcastPkts @ 0x50: u64,
        ifOutErrors @ 0x58: u64,
        ifOutDiscards @ 0x60: u64,
        ifHCInUcastOctets @ 0x68: u64,
        ifHCInMulticastOctets @ 0x70: u64,
        ifHCInBroadcastOctets @ 0x78: u64,
        ifHCOutUcastOctets @ 0x80: u64,
        ifHCOutMulticastOctets @ 0x88: u64,
        ifHCOutBroadcastOctets @ 0x90: u64,
    }

    /// Answer to `OID_TCP_RSC_STATISTICS` (ntddndis.h).
    pub struct NDIS_RSC_STATISTICS_INFO: 0x28 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        CoalescedPkts @ 0x8: u64,
        CoalescedOctets @ 0x10: u64,
        CoalesceEvents @ 0x18: u64,
        Aborts @ 0x20: u64,
    }

    /// State of interrupt moderation, `OID_GEN_INTERRUPT_MODERATION` (ntddndis.h).
    pub struct NDIS_INTERRUPT_MODERATION_PARAMETERS: 0xc {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u32,
        InterruptModeration @ 0x8: NDIS_INTERRUPT_MODERATION,
    }

    /// Time limits that an adapter offers (ntddndis.h).
    pub struct NDIS_TIMEOUT_DPC_REQUEST_CAPABILITIES: 0x10 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u32,
        TimeoutArrayLength @ 0x8: u32,
        TimeoutArray @ 0xc: [u32; 1],
    }

    /// A custom GUID for WMI, `OID_GEN_SUPPORTED_GUIDS` (ntddndis.h).
    pub struct NDIS_GUID: 0x1c {
        Guid @ 0x0: GUID,
        u_ @ 0x10: NDIS_GUID_u_,
        Size @ 0x14: u32,
        Flags @ 0x18: u32,
    }

    /// Anonymous union in [`NDIS_GUID`].
    pub union NDIS_GUID_u_: 0x4 {
        Oid @ 0x0: NDIS_OID,
        Status @ 0x0: NDIS_STATUS,
    }

    /// A statistic by OID (ntddndis.h).
    pub struct NDIS_STATISTICS_VALUE: 0xc {
        Oid @ 0x0: NDIS_OID,
        DataLength @ 0x4: u32,
        Data @ 0x8: [u8; 1],
    }

    /// A statistic by OID, with the entry's length (ntddndis.h).
    pub struct NDIS_STATISTICS_VALUE_EX: 0x10 {
        Oid @ 0x0: NDIS_OID,
        DataLength @ 0x4: u32,
        Length @ 0x8: u32,
        Data @ 0xc: [u8; 1],
    }

    /// Answer to `OID_GEN_INTERFACE_INFO` (ntddndis.h).
    pub struct NDIS_INTERFACE_INFORMATION: 0xd8 {
        ifOperStatus @ 0x0: NET_IF_OPER_STATUS,
        ifOperStatusFlags @ 0x4: u32,
        MediaConnectState @ 0x8: NET_IF_MEDIA_CONNECT_STATE,
        MediaDuplexState @ 0xc: NET_IF_MEDIA_DUPLEX_STATE,
        ifMtu @ 0x10: u32,
        ifPromiscuousMode @ 0x14: BOOLEAN,
        ifDeviceWakeUpEnable @ 0x15: BOOLEAN,
        XmitLinkSpeed @ 0x18: u64,
        RcvLinkSpeed @ 0x20: u64,
        ifLastChange @ 0x28: u64,
        ifCounterDiscontinuityTime @ 0x30: u64,
        ifInUnknownProtos @ 0x38: u64,
        ifInDiscards @ 0x40: u64,
        ifInErrors @ 0x48: u64,
        ifHCInOctets @ 0x50: u64,
        ifHCInUcastPkts @ 0x58: u64,
        ifHCInMulticastPkts @ 0x60: u64,
        ifHCInBroadcastPkts @ 0x68: u64,
        ifHCOutOctets @ 0x70: u64,
        ifHCOutUcastPkts @ 0x78: u64,
        ifHCOutMulticastPkts @ 0x80: u64,
        ifHCOutBroadcastPkts @ 0x88: u64,
        ifOutErrors @ 0x90: u64,
        ifOutDiscards @ 0x98: u64,
        ifHCInUcastOctets @ 0xa0: u64,
        ifHCInMulticastOctets @ 0xa8: u64,
        ifHCInBroadcastOctets @ 0xb0: u64,
        ifHCOutUcastOctets @ 0xb8: u64,
        ifHCOutMulticastOctets @ 0xc0: u64,
        ifHCOutBroadcastOctets @ 0xc8: u64,
        CompartmentId @ 0xd0: NET_IF_COMPARTMENT_ID,
        SupportedStatistics @ 0xd4: u32,
    }

    /// Operational state, for `NDIS_STATUS_OPER_STATUS` (ntddndis.h).
    pub struct NDIS_OPER_STATE: 0xc {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        OperationalStatus @ 0x4: NET_IF_OPER_STATUS,
        OperationalStatusFlags @ 0x8: u32,
    }
}
