//! Network plug and play events, ports, and what processors and buses there are (ndis.h, ntddndis.h, netpnp.h).

use crate::{
    NDIS_OBJECT_HEADER, NDIS_PORT_NUMBER, NET_IF_DIRECTION_TYPE, NET_IF_MEDIA_CONNECT_STATE, PROCESSOR_NUMBER,
};
use core::ffi::c_void;

enums! {
    /// A network plug and play event; 13 and 14 turn NDK on and off (netpnp.h).
    enum NET_PNP_EVENT_CODE {
        NetEventSetPower = 0,
        NetEventQueryPower = 1,
        NetEventQueryRemoveDevice = 2,
        NetEventCancelRemoveDevice = 3,
        NetEventReconfigure = 4,
        NetEventBindList = 5,
        NetEventBindsComplete = 6,
        NetEventPnPCapabilities = 7,
        NetEventPause = 8,
        NetEventRestart = 9,
        NetEventPortActivation = 10,
        NetEventPortDeactivation = 11,
        NetEventIMReEnableDevice = 12,
        NetEventNDKEnable = 13,
        NetEventNDKDisable = 14,
        NetEventFilterPreDetach = 15,
        NetEventBindFailed = 16,
        NetEventSwitchActivate = 17,
        NetEventAllowBindsAbove = 18,
        NetEventInhibitBindsAbove = 19,
        NetEventAllowStart = 20,
        NetEventRequirePause = 21,
        NetEventUploadGftFlowEntries = 22,
        NetEventMaximum = 23,
    }

    /// Power states in [`NET_PNP_EVENT`] (netpnp.h).
    enum NET_DEVICE_POWER_STATE {
        NetDeviceStateUnspecified = 0,
        NetDeviceStateD0 = 1,
        NetDeviceStateD1 = 2,
        NetDeviceStateD2 = 3,
        NetDeviceStateD3 = 4,
        NetDeviceStateMaximum = 5,
    }

    /// Kinds of NDIS port (ntddndis.h).
    enum NDIS_PORT_TYPE {
        NdisPortTypeUndefined = 0,
        NdisPortTypeBridge = 1,
        NdisPortTypeRasConnection = 2,
        NdisPortType8021xSupplicant = 3,
        NdisPortTypeNdisImPlatform = 4,
        NdisPortTypeMax = 5,
    }

    /// Whether a port is authorised (ntddndis.h).
    enum NDIS_PORT_AUTHORIZATION_STATE {
        NdisPortAuthorizationUnknown = 0,
        NdisPortAuthorized = 1,
        NdisPortUnauthorized = 2,
        NdisPortReauthorizing = 3,
    }

    /// Whether a port is controlled (ntddndis.h).
    enum NDIS_PORT_CONTROL_STATE {
        NdisPortControlStateUnknown = 0,
        NdisPortControlStateControlled = 1,
        NdisPortControlStateUncontrolled = 2,
    }

    /// Kinds of bus (ndis.h).
    enum NDIS_INTERFACE_TYPE {
        NdisInterfaceInternal = 0,
        NdisInterfaceIsa = 1,
        NdisInterfaceEisa = 2,
        NdisInterfaceMca = 3,
        NdisInterfaceTurboChannel = 4,
        NdisInterfacePci = 5,
        NdisInterfacePcMcia = 8,
        NdisInterfaceCBus = 9,
        NdisInterfaceMPIBus = 10,
        NdisInterfaceMPSABus = 11,
        NdisInterfaceProcessorInternal = 12,
        NdisInterfaceInternalPowerBus = 13,
        NdisInterfacePNPISABus = 14,
        NdisInterfacePNPBus = 15,
        NdisInterfaceUSB = 16,
        NdisInterfaceIrda = 17,
        NdisInterface1394 = 18,
        NdisMaximumInterfaceType = 19,
    }

    /// Processor makers (ndis.h).
    enum NDIS_PROCESSOR_VENDOR {
        NdisProcessorVendorUnknown = 0,
        NdisProcessorVendorGenuinIntel = 1,
        NdisProcessorVendorGenuineIntel = 1,
        NdisProcessorVendorAuthenticAMD = 2,
    }
}

constants! {
    /// Revisions of the event and port structures (ndis.h, ntddndis.h).
    u8 {
        NDIS_PORT_ARRAY_REVISION_1 = 1,
        NDIS_PORT_AUTHENTICATION_PARAMETERS_REVISION_1 = 1,
        NDIS_PORT_CHARACTERISTICS_REVISION_1 = 1,
        NDIS_PORT_STATE_REVISION_1 = 1,
        NET_PNP_EVENT_NOTIFICATION_REVISION_1 = 1,
    }

    /// Sizes of the event and port structures by revision (ndis.h, ntddndis.h).
    u16 {
        NDIS_SIZEOF_NET_PNP_EVENT_NOTIFICATION_REVISION_1 = 0xa4,
        NDIS_SIZEOF_NET_PNP_EVENT_NOTIFICATION_REVISION_2 = 0xac,
        NDIS_SIZEOF_PORT_ARRAY_REVISION_1 = 0x50,
        NDIS_SIZEOF_PORT_AUTHENTICATION_PARAMETERS_REVISION_1 = 0x14,
        NDIS_SIZEOF_PORT_CHARACTERISTICS_REVISION_1 = 0x3c,
        NDIS_SIZEOF_PORT_STATE_REVISION_1 = 0x30,
    }

    /// [`NDIS_PORT_CHARACTERISTICS::Flags`] (ntddndis.h).
    u32 {
        NDIS_PORT_CHAR_USE_DEFAULT_AUTH_SETTINGS = 1,
    }
}

layouts! {
    /// A network plug and play event (netpnp.h).
    pub struct NET_PNP_EVENT: 0x98 {
        NetEvent @ 0x0: NET_PNP_EVENT_CODE,
        Buffer @ 0x8: *mut c_void,
        BufferLength @ 0x10: u32,
        NdisReserved @ 0x18: [usize; 4],
        TransportReserved @ 0x38: [usize; 4],
        TdiReserved @ 0x58: [usize; 4],
        TdiClientReserved @ 0x78: [usize; 4],
    }

    /// An event to report with `NdisMNetPnPEvent` (ndis.h).
    pub struct NET_PNP_EVENT_NOTIFICATION: 0xa8 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        PortNumber @ 0x4: NDIS_PORT_NUMBER,
        NetPnPEvent @ 0x8: NET_PNP_EVENT,
        Flags @ 0xa0: u32,
    }

    /// Characteristics of a port (ntddndis.h).
    pub struct NDIS_PORT_CHARACTERISTICS: 0x40 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        PortNumber @ 0x4: NDIS_PORT_NUMBER,
        Flags @ 0x8: u32,
        Type @ 0xc: NDIS_PORT_TYPE,
        MediaConnectState @ 0x10: NET_IF_MEDIA_CONNECT_STATE,
        XmitLinkSpeed @ 0x18: u64,
        RcvLinkSpeed @ 0x20: u64,
        Direction @ 0x28: NET_IF_DIRECTION_TYPE,
        SendControlState @ 0x2c: NDIS_PORT_CONTROL_STATE,
        RcvControlState @ 0x30: NDIS_PORT_CONTROL_STATE,
        SendAuthorizationState @ 0x34: NDIS_PORT_AUTHORIZATION_STATE,
        RcvAuthorizationState @ 0x38: NDIS_PORT_AUTHORIZATION_STATE,
    }

    /// A port (ndis.h).
    pub struct NDIS_PORT: 0x60 {
        Next @ 0x0: *mut NDIS_PORT,
        NdisReserved @ 0x8: *mut c_void,
        MiniportReserved @ 0x10: *mut c_void,
        ProtocolReserved @ 0x18: *mut c_void,
        PortCharacteristics @ 0x20: NDIS_PORT_CHARACTERISTICS,
    }

    /// Active ports (ntddndis.h).
    pub struct NDIS_PORT_ARRAY: 0x50 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        NumberOfPorts @ 0x4: u32,
        OffsetFirstPort @ 0x8: u32,
        ElementSize @ 0xc: u32,
        Ports @ 0x10: [NDIS_PORT_CHARACTERISTICS; 1],
    }

    /// State of a port (ntddndis.h).
    pub struct NDIS_PORT_STATE: 0x30 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        MediaConnectState @ 0x4: NET_IF_MEDIA_CONNECT_STATE,
        XmitLinkSpeed @ 0x8: u64,
        RcvLinkSpeed @ 0x10: u64,
        Direction @ 0x18: NET_IF_DIRECTION_TYPE,
        SendControlState @ 0x1c: NDIS_PORT_CONTROL_STATE,
        RcvControlState @ 0x20: NDIS_PORT_CONTROL_STATE,
        SendAuthorizationState @ 0x24: NDIS_PORT_AUTHORIZATION_STATE,
        RcvAuthorizationState @ 0x28: NDIS_PORT_AUTHORIZATION_STATE,
        Flags @ 0x2c: u32,
    }

    /// Authorisation of a port (ntddndis.h).
    pub struct NDIS_PORT_AUTHENTICATION_PARAMETERS: 0x14 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        SendControlState @ 0x4: NDIS_PORT_CONTROL_STATE,
        RcvControlState @ 0x8: NDIS_PORT_CONTROL_STATE,
        SendAuthorizationState @ 0xc: NDIS_PORT_AUTHORIZATION_STATE,
        RcvAuthorizationState @ 0x10: NDIS_PORT_AUTHORIZATION_STATE,
    }

    /// A processor (ndis.h).
    pub struct NDIS_PROCESSOR_INFO_EX: 0x14 {
        ProcNum @ 0x0: PROCESSOR_NUMBER,
        SocketId @ 0x4: u32,
        CoreId @ 0x8: u32,
        HyperThreadId @ 0xc: u32,
        NodeId @ 0x10: u16,
        NodeDistance @ 0x12: u16,
    }

    /// The processors; entries follow at the offset (ndis.h).
    pub struct NDIS_SYSTEM_PROCESSOR_INFO_EX: 0x28 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u32,
        ProcessorVendor @ 0x8: NDIS_PROCESSOR_VENDOR,
        NumSockets @ 0xc: u32,
        NumCores @ 0x10: u32,
        NumCoresPerSocket @ 0x14: u32,
        MaxHyperThreadingProcsPerCore @ 0x18: u32,
        ProcessorInfoOffset @ 0x1c: u32,
        NumberOfProcessors @ 0x20: u32,
        ProcessorInfoEntrySize @ 0x24: u32,
    }

    /// One network-layer address of a binding (ntddndis.h).
    pub struct NETWORK_ADDRESS: 0x6 {
        AddressLength @ 0x0: u16,
        AddressType @ 0x2: u16,
        Address @ 0x4: [u8; 1],
    }

    /// What `OID_GEN_NETWORK_LAYER_ADDRESSES` sets (ntddndis.h).
    pub struct NETWORK_ADDRESS_LIST: 0xc {
        AddressCount @ 0x0: i32,
        AddressType @ 0x4: u16,
        Address @ 0x6: [NETWORK_ADDRESS; 1],
    }
}
