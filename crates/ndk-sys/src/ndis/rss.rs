//! Receive side scaling (ntddndis.h).

use crate::{NDIS_OBJECT_HEADER, PROCESSOR_NUMBER};

enums! {
    /// How the RSS processors were chosen (ntddndis.h).
    enum NDIS_RSS_PROFILE {
        NdisRssProfileClosest = 1,
        NdisRssProfileClosestStatic = 2,
        NdisRssProfileNuma = 3,
        NdisRssProfileNumaStatic = 4,
        NdisRssProfileConservative = 5,
        NdisRssProfileMaximum = 6,
    }
}

constants! {
    /// Revisions of the RSS structures (ntddndis.h).
    u8 {
        NDIS_RECEIVE_HASH_PARAMETERS_REVISION_1 = 1,
        NDIS_RECEIVE_SCALE_CAPABILITIES_REVISION_1 = 1,
        NDIS_RECEIVE_SCALE_CAPABILITIES_REVISION_2 = 2,
        NDIS_RECEIVE_SCALE_PARAMETERS_REVISION_1 = 1,
        NDIS_RECEIVE_SCALE_PARAMETERS_REVISION_2 = 2,
        NDIS_RSS_PROCESSOR_INFO_REVISION_1 = 1,
        NDIS_RSS_PROCESSOR_INFO_REVISION_2 = 2,
    }

    /// Sizes of the RSS structures by revision (ntddndis.h).
    u16 {
        NDIS_SIZEOF_RECEIVE_HASH_PARAMETERS_REVISION_1 = 0x14,
        NDIS_SIZEOF_RECEIVE_SCALE_CAPABILITIES_REVISION_1 = 0x10,
        NDIS_SIZEOF_RECEIVE_SCALE_CAPABILITIES_REVISION_2 = 0x12,
        NDIS_SIZEOF_RECEIVE_SCALE_PARAMETERS_REVISION_1 = 0x1c,
        NDIS_SIZEOF_RECEIVE_SCALE_PARAMETERS_REVISION_2 = 0x28,
        NDIS_SIZEOF_RSS_PROCESSOR_INFO_REVISION_1 = 0x20,
        NDIS_SIZEOF_RSS_PROCESSOR_INFO_REVISION_2 = 0x28,
    }

    /// [`NDIS_RECEIVE_SCALE_CAPABILITIES::CapabilitiesFlags`] (ntddndis.h).
    u32 {
        NDIS_RSS_CAPS_HASH_TYPE_TCP_IPV4 = 0x100,
        NDIS_RSS_CAPS_HASH_TYPE_TCP_IPV6 = 0x200,
        NDIS_RSS_CAPS_HASH_TYPE_TCP_IPV6_EX = 0x400,
        NDIS_RSS_CAPS_MESSAGE_SIGNALED_INTERRUPTS = 0x0100_0000,
        NDIS_RSS_CAPS_CLASSIFICATION_AT_ISR = 0x0200_0000,
        NDIS_RSS_CAPS_CLASSIFICATION_AT_DPC = 0x0400_0000,
        NDIS_RSS_CAPS_USING_MSI_X = 0x0800_0000,
        NDIS_RSS_CAPS_RSS_AVAILABLE_ON_PORTS = 0x1000_0000,
        NDIS_RSS_CAPS_SUPPORTS_MSI_X = 0x2000_0000,
    }

    /// [`NDIS_RECEIVE_SCALE_PARAMETERS::Flags`] (ntddndis.h).
    u16 {
        NDIS_RSS_PARAM_FLAG_BASE_CPU_UNCHANGED = 1,
        NDIS_RSS_PARAM_FLAG_HASH_INFO_UNCHANGED = 2,
        NDIS_RSS_PARAM_FLAG_ITABLE_UNCHANGED = 4,
        NDIS_RSS_PARAM_FLAG_HASH_KEY_UNCHANGED = 8,
        NDIS_RSS_PARAM_FLAG_DISABLE_RSS = 0x10,
    }

    /// Sizes of the RSS tables (ntddndis.h).
    u16 {
        NDIS_RSS_HASH_SECRET_KEY_MAX_SIZE_REVISION_1 = 0x28,
        NDIS_RSS_HASH_SECRET_KEY_MAX_SIZE_REVISION_2 = 0x28,
        NDIS_RSS_HASH_SECRET_KEY_SIZE_REVISION_1 = 0x28,
        NDIS_RSS_INDIRECTION_TABLE_MAX_SIZE_REVISION_1 = 0x80,
        NDIS_RSS_INDIRECTION_TABLE_MAX_SIZE_REVISION_2 = 0x200,
        NDIS_RSS_INDIRECTION_TABLE_SIZE_REVISION_1 = 0x80,
    }

    /// Hash functions and the fields that they cover (ntddndis.h).
    u32 {
        NdisHashFunctionToeplitz = 1,
        NdisHashFunctionReserved1 = 2,
        NdisHashFunctionReserved2 = 4,
        NdisHashFunctionReserved3 = 8,
        NDIS_HASH_FUNCTION_MASK = 0xff,
        NDIS_HASH_IPV4 = 0x100,
        NDIS_HASH_TCP_IPV4 = 0x200,
        NDIS_HASH_IPV6 = 0x400,
        NDIS_HASH_IPV6_EX = 0x800,
        NDIS_HASH_TCP_IPV6 = 0x1000,
        NDIS_HASH_TCP_IPV6_EX = 0x2000,
        NDIS_HASH_TYPE_MASK = 0x00FF_FF00,
    }

    /// [`NDIS_RECEIVE_HASH_PARAMETERS::Flags`] (ntddndis.h).
    u32 {
        NDIS_RECEIVE_HASH_FLAG_ENABLE_HASH = 1,
        NDIS_RECEIVE_HASH_FLAG_HASH_INFO_UNCHANGED = 2,
        NDIS_RECEIVE_HASH_FLAG_HASH_KEY_UNCHANGED = 4,
    }
}

layouts! {
    /// What the adapter can do (ntddndis.h).
    pub struct NDIS_RECEIVE_SCALE_CAPABILITIES: 0x14 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        CapabilitiesFlags @ 0x4: u32,
        NumberOfInterruptMessages @ 0x8: u32,
        NumberOfReceiveQueues @ 0xc: u32,
        NumberOfIndirectionTableEntries @ 0x10: u16,
    }

    /// Hash, key and indirection table; tables follow at the offsets (ntddndis.h).
    pub struct NDIS_RECEIVE_SCALE_PARAMETERS: 0x28 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u16,
        BaseCpuNumber @ 0x6: u16,
        HashInformation @ 0x8: u32,
        IndirectionTableSize @ 0xc: u16,
        IndirectionTableOffset @ 0x10: u32,
        HashSecretKeySize @ 0x14: u16,
        HashSecretKeyOffset @ 0x18: u32,
        ProcessorMasksOffset @ 0x1c: u32,
        NumberOfProcessorMasks @ 0x20: u32,
        ProcessorMasksEntrySize @ 0x24: u32,
    }

    /// Hash without scaling (ntddndis.h).
    pub struct NDIS_RECEIVE_HASH_PARAMETERS: 0x14 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u32,
        HashInformation @ 0x8: u32,
        HashSecretKeySize @ 0xc: u16,
        HashSecretKeyOffset @ 0x10: u32,
    }

    /// One processor that RSS may use (ntddndis.h).
    pub struct NDIS_RSS_PROCESSOR: 0x8 {
        ProcNum @ 0x0: PROCESSOR_NUMBER,
        PreferenceIndex @ 0x4: u16,
        Reserved @ 0x6: u16,
    }

    /// The processors that RSS may use; entries follow at the offset (ntddndis.h).
    pub struct NDIS_RSS_PROCESSOR_INFO: 0x28 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u32,
        RssBaseProcessor @ 0x8: PROCESSOR_NUMBER,
        MaxNumRssProcessors @ 0xc: u32,
        PreferredNumaNode @ 0x10: u16,
        RssProcessorArrayOffset @ 0x14: u32,
        RssProcessorCount @ 0x18: u32,
        RssProcessorEntrySize @ 0x1c: u32,
        RssMaxProcessor @ 0x20: PROCESSOR_NUMBER,
        RssProfile @ 0x24: NDIS_RSS_PROFILE,
    }
}
