//! What a miniport tells NDIS of an adapter with `NdisMSetMiniportAttributes` (ndis.h).

use crate::{
    BOOLEAN, NDIS_HANDLE, NDIS_INTERFACE_TYPE, NDIS_MEDIUM, NDIS_MINIPORT_ADAPTER_NDK_ATTRIBUTES,
    NDIS_NIC_SWITCH_CAPABILITIES, NDIS_OBJECT_HEADER, NDIS_OFFLOAD, NDIS_PHYSICAL_MEDIUM,
    NDIS_PM_CAPABILITIES, NDIS_PNP_CAPABILITIES, NDIS_QOS_CAPABILITIES, NDIS_RECEIVE_FILTER_CAPABILITIES,
    NDIS_RECEIVE_SCALE_CAPABILITIES, NDIS_SRIOV_CAPABILITIES, NDIS_TCP_CONNECTION_OFFLOAD,
    NET_IF_ACCESS_TYPE, NET_IF_CONNECTION_TYPE, NET_IF_DIRECTION_TYPE, NET_IF_MEDIA_CONNECT_STATE,
    NET_IF_MEDIA_DUPLEX_STATE, NET_IFTYPE,
};
use core::ffi::c_void;

constants! {
    /// Revisions of the attribute structures (ndis.h).
    u8 {
        NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_1 = 1,
        NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2 = 2,
        NDIS_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES_REVISION_1 = 1,
        NDIS_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES_REVISION_2 = 2,
        NDIS_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES_REVISION_3 = 3,
        NDIS_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES_REVISION_4 = 4,
        NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1 = 1,
        NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_1 = 1,
        NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2 = 2,
    }

    /// Sizes of the attribute structures by revision (ndis.h).
    u16 {
        NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_1 = 0xd8,
        NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2 = 0xe0,
        NDIS_SIZEOF_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES_REVISION_1 = 0x10,
        NDIS_SIZEOF_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES_REVISION_2 = 0x30,
        NDIS_SIZEOF_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES_REVISION_3 = 0x50,
        NDIS_SIZEOF_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES_REVISION_4 = 0x60,
        NDIS_SIZEOF_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1 = 0x28,
        NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_1 = 0x1c,
        NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2 = 0x1c,
    }

    /// Registration attribute flags (ndis.h).
    u32 {
        NDIS_MINIPORT_ATTRIBUTES_HARDWARE_DEVICE = 1,
        NDIS_MINIPORT_ATTRIBUTES_NDIS_WDM = 2,
        NDIS_MINIPORT_ATTRIBUTES_SURPRISE_REMOVE_OK = 4,
        NDIS_MINIPORT_ATTRIBUTES_NOT_CO_NDIS = 8,
        NDIS_MINIPORT_ATTRIBUTES_DO_NOT_BIND_TO_ALL_CO = 0x10,
        NDIS_MINIPORT_ATTRIBUTES_NO_HALT_ON_SUSPEND = 0x20,
        NDIS_MINIPORT_ATTRIBUTES_BUS_MASTER = 0x40,
        NDIS_MINIPORT_ATTRIBUTES_CONTROLS_DEFAULT_PORT = 0x80,
        NDIS_MINIPORT_ATTRIBUTES_NO_PAUSE_ON_SUSPEND = 0x100,
        NDIS_MINIPORT_ATTRIBUTES_NO_OID_INTERCEPT_ON_NONDEFAULT_PORTS = 0x200,
        NDIS_MINIPORT_ATTRIBUTES_REGISTER_BUGCHECK_CALLBACK = 0x400,
    }
}

layouts! {
    /// Context of a miniport that handles add-device (ndis.h).
    pub struct NDIS_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES: 0x18 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        MiniportAddDeviceContext @ 0x8: NDIS_HANDLE,
        Flags @ 0x10: u32,
    }

    /// The adapter's context and kind; first of all attributes (ndis.h).
    pub struct NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES: 0x20 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        MiniportAdapterContext @ 0x8: NDIS_HANDLE,
        AttributeFlags @ 0x10: u32,
        CheckForHangTimeInSeconds @ 0x14: u32,
        InterfaceType @ 0x18: NDIS_INTERFACE_TYPE,
    }

    /// Media, addresses, speeds, OIDs (ndis.h).
    pub struct NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES: 0xe0 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u32,
        MediaType @ 0x8: NDIS_MEDIUM,
        PhysicalMediumType @ 0xc: NDIS_PHYSICAL_MEDIUM,
        MtuSize @ 0x10: u32,
        MaxXmitLinkSpeed @ 0x18: u64,
        XmitLinkSpeed @ 0x20: u64,
        MaxRcvLinkSpeed @ 0x28: u64,
        RcvLinkSpeed @ 0x30: u64,
        MediaConnectState @ 0x38: NET_IF_MEDIA_CONNECT_STATE,
        MediaDuplexState @ 0x3c: NET_IF_MEDIA_DUPLEX_STATE,
        LookaheadSize @ 0x40: u32,
        PowerManagementCapabilities @ 0x48: *mut NDIS_PNP_CAPABILITIES,
        MacOptions @ 0x50: u32,
        SupportedPacketFilters @ 0x54: u32,
        MaxMulticastListSize @ 0x58: u32,
        MacAddressLength @ 0x5c: u16,
        PermanentMacAddress @ 0x5e: [u8; 32],
        CurrentMacAddress @ 0x7e: [u8; 32],
        RecvScaleCapabilities @ 0xa0: *mut NDIS_RECEIVE_SCALE_CAPABILITIES,
        AccessType @ 0xa8: NET_IF_ACCESS_TYPE,
        DirectionType @ 0xac: NET_IF_DIRECTION_TYPE,
        ConnectionType @ 0xb0: NET_IF_CONNECTION_TYPE,
        IfType @ 0xb4: NET_IFTYPE,
        IfConnectorPresent @ 0xb6: BOOLEAN,
        SupportedStatistics @ 0xb8: u32,
        SupportedPauseFunctions @ 0xbc: u32,
        DataBackFillSize @ 0xc0: u32,
        ContextBackFillSize @ 0xc4: u32,
        SupportedOidList @ 0xc8: *mut u32,
        SupportedOidListLength @ 0xd0: u32,
        AutoNegotiationFlags @ 0xd4: u32,
        PowerManagementCapabilitiesEx @ 0xd8: *mut NDIS_PM_CAPABILITIES,
    }

    /// Offloads: what is on and what the hardware can do (ndis.h).
    pub struct NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES: 0x28 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        DefaultOffloadConfiguration @ 0x8: *mut NDIS_OFFLOAD,
        HardwareOffloadCapabilities @ 0x10: *mut NDIS_OFFLOAD,
        DefaultTcpConnectionOffloadConfiguration @ 0x18: *mut NDIS_TCP_CONNECTION_OFFLOAD,
        TcpConnectionOffloadHardwareCapabilities @ 0x20: *mut NDIS_TCP_CONNECTION_OFFLOAD,
    }

    /// Receive filters, NIC switch, SR-IOV and quality of service (ndis.h).
    pub struct NDIS_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES: 0x50 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        HDSplitAttributes @ 0x8: *mut NDIS_HD_SPLIT_ATTRIBUTES,
        HardwareReceiveFilterCapabilities @ 0x10: *mut NDIS_RECEIVE_FILTER_CAPABILITIES,
        CurrentReceiveFilterCapabilities @ 0x18: *mut NDIS_RECEIVE_FILTER_CAPABILITIES,
        HardwareNicSwitchCapabilities @ 0x20: *mut NDIS_NIC_SWITCH_CAPABILITIES,
        CurrentNicSwitchCapabilities @ 0x28: *mut NDIS_NIC_SWITCH_CAPABILITIES,
        HardwareSriovCapabilities @ 0x30: *mut NDIS_SRIOV_CAPABILITIES,
        CurrentSriovCapabilities @ 0x38: *mut NDIS_SRIOV_CAPABILITIES,
        HardwareQosCapabilities @ 0x40: *mut NDIS_QOS_CAPABILITIES,
        CurrentQosCapabilities @ 0x48: *mut NDIS_QOS_CAPABILITIES,
    }

    /// Header-data split (ndis.h).
    pub struct NDIS_HD_SPLIT_ATTRIBUTES: 0x18 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        HardwareCapabilities @ 0x4: u32,
        CurrentCapabilities @ 0x8: u32,
        HDSplitFlags @ 0xc: u32,
        BackfillSize @ 0x10: u32,
        MaxHeaderSize @ 0x14: u32,
    }

    /// Wireless attributes, here as a part of [`NDIS_MINIPORT_ADAPTER_ATTRIBUTES`] (ndis.h).
    pub struct NDIS_MINIPORT_ADAPTER_NATIVE_802_11_ATTRIBUTES: 0x40 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        OpModeCapability @ 0x4: u32,
        NumOfTXBuffers @ 0x8: u32,
        NumOfRXBuffers @ 0xc: u32,
        MultiDomainCapabilityImplemented @ 0x10: BOOLEAN,
        NumSupportedPhys @ 0x14: u32,
        SupportedPhyAttributes @ 0x18: *mut c_void,
        ExtSTAAttributes @ 0x20: *mut c_void,
        VWiFiAttributes @ 0x28: *mut c_void,
        ExtAPAttributes @ 0x30: *mut c_void,
        WFDAttributes @ 0x38: *mut c_void,
    }

    /// What `NdisMSetMiniportAttributes` takes; the header tells which member it is (ndis.h).
    pub union NDIS_MINIPORT_ADAPTER_ATTRIBUTES: 0xe0 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        AddDeviceRegistrationAttributes @ 0x0: NDIS_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES,
        RegistrationAttributes @ 0x0: NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES,
        GeneralAttributes @ 0x0: NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
        OffloadAttributes @ 0x0: NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES,
        Native_802_11_Attributes @ 0x0: NDIS_MINIPORT_ADAPTER_NATIVE_802_11_ATTRIBUTES,
        HardwareAssistAttributes @ 0x0: NDIS_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES,
        NDKAttributes @ 0x0: NDIS_MINIPORT_ADAPTER_NDK_ATTRIBUTES,
    }
}
