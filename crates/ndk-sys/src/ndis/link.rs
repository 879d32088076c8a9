//! Media and link state (ntddndis.h, ifdef.h).

use crate::NDIS_OBJECT_HEADER;

enums! {
    /// The kind of network (ntddndis.h).
    enum NDIS_MEDIUM {
        NdisMedium802_3 = 0,
        NdisMedium802_5 = 1,
        NdisMediumFddi = 2,
        NdisMediumWan = 3,
        NdisMediumLocalTalk = 4,
        NdisMediumDix = 5,
        NdisMediumArcnetRaw = 6,
        NdisMediumArcnet878_2 = 7,
        NdisMediumAtm = 8,
        NdisMediumWirelessWan = 9,
        NdisMediumIrda = 10,
        NdisMediumBpc = 11,
        NdisMediumCoWan = 12,
        NdisMedium1394 = 13,
        NdisMediumInfiniBand = 14,
        NdisMediumTunnel = 15,
        NdisMediumNative802_11 = 16,
        NdisMediumLoopback = 17,
        NdisMediumWiMAX = 18,
        NdisMediumIP = 19,
        NdisMediumMax = 20,
    }

    /// What the network runs over (ntddndis.h).
    enum NDIS_PHYSICAL_MEDIUM {
        NdisPhysicalMediumUnspecified = 0,
        NdisPhysicalMediumWirelessLan = 1,
        NdisPhysicalMediumCableModem = 2,
        NdisPhysicalMediumPhoneLine = 3,
        NdisPhysicalMediumPowerLine = 4,
        NdisPhysicalMediumDSL = 5,
        NdisPhysicalMediumFibreChannel = 6,
        NdisPhysicalMedium1394 = 7,
        NdisPhysicalMediumWirelessWan = 8,
        NdisPhysicalMediumNative802_11 = 9,
        NdisPhysicalMediumBluetooth = 10,
        NdisPhysicalMediumInfiniband = 11,
        NdisPhysicalMediumWiMax = 12,
        NdisPhysicalMediumUWB = 13,
        NdisPhysicalMedium802_3 = 14,
        NdisPhysicalMedium802_5 = 15,
        NdisPhysicalMediumIrda = 16,
        NdisPhysicalMediumWiredWAN = 17,
        NdisPhysicalMediumWiredCoWan = 18,
        NdisPhysicalMediumOther = 19,
        NdisPhysicalMediumNative802_15_4 = 20,
        NdisPhysicalMediumMax = 21,
    }

    /// Whether there is a link (ntddndis.h).
    enum NDIS_MEDIA_STATE {
        NdisMediaStateConnected = 0,
        NdisMediaStateDisconnected = 1,
    }

    /// Whether there is a link (ifdef.h).
    enum NET_IF_MEDIA_CONNECT_STATE {
        MediaConnectStateUnknown = 0,
        MediaConnectStateConnected = 1,
        MediaConnectStateDisconnected = 2,
    }

    /// Half or full duplex (ifdef.h).
    enum NET_IF_MEDIA_DUPLEX_STATE {
        MediaDuplexStateUnknown = 0,
        MediaDuplexStateHalf = 1,
        MediaDuplexStateFull = 2,
    }

    /// How the interface reaches its network (ifdef.h).
    enum NET_IF_ACCESS_TYPE {
        NET_IF_ACCESS_LOOPBACK = 1,
        NET_IF_ACCESS_BROADCAST = 2,
        NET_IF_ACCESS_POINT_TO_POINT = 3,
        NET_IF_ACCESS_POINT_TO_MULTI_POINT = 4,
        NET_IF_ACCESS_MAXIMUM = 5,
    }

    /// Whether the interface sends, receives or both (ifdef.h).
    enum NET_IF_DIRECTION_TYPE {
        NET_IF_DIRECTION_SENDRECEIVE = 0,
        NET_IF_DIRECTION_SENDONLY = 1,
        NET_IF_DIRECTION_RECEIVEONLY = 2,
        NET_IF_DIRECTION_MAXIMUM = 3,
    }

    /// Who keeps up the connection (ifdef.h).
    enum NET_IF_CONNECTION_TYPE {
        NET_IF_CONNECTION_DEDICATED = 1,
        NET_IF_CONNECTION_PASSIVE = 2,
        NET_IF_CONNECTION_DEMAND = 3,
        NET_IF_CONNECTION_MAXIMUM = 4,
    }

    /// What the administrator wants of the interface (ifdef.h).
    enum NET_IF_ADMIN_STATUS {
        NET_IF_ADMIN_STATUS_UP = 1,
        NET_IF_ADMIN_STATUS_DOWN = 2,
        NET_IF_ADMIN_STATUS_TESTING = 3,
    }

    /// What state the interface is in (ifdef.h).
    enum NET_IF_OPER_STATUS {
        NET_IF_OPER_STATUS_UP = 1,
        NET_IF_OPER_STATUS_DOWN = 2,
        NET_IF_OPER_STATUS_TESTING = 3,
        NET_IF_OPER_STATUS_UNKNOWN = 4,
        NET_IF_OPER_STATUS_DORMANT = 5,
        NET_IF_OPER_STATUS_NOT_PRESENT = 6,
        NET_IF_OPER_STATUS_LOWER_LAYER_DOWN = 7,
    }

    /// IEEE 802.3 pause frames (ntddndis.h).
    enum NDIS_SUPPORTED_PAUSE_FUNCTIONS {
        NdisPauseFunctionsUnsupported = 0,
        NdisPauseFunctionsSendOnly = 1,
        NdisPauseFunctionsReceiveOnly = 2,
        NdisPauseFunctionsSendAndReceive = 3,
        NdisPauseFunctionsUnknown = 4,
    }
}

constants! {
    /// Revisions of the link structures (ntddndis.h).
    u8 {
        NDIS_LINK_PARAMETERS_REVISION_1 = 1,
        NDIS_LINK_STATE_REVISION_1 = 1,
    }

    /// Sizes of the link structures by revision (ntddndis.h).
    u16 {
        NDIS_SIZEOF_LINK_PARAMETERS_REVISION_1 = 0x20,
        NDIS_SIZEOF_LINK_STATE_REVISION_1 = 0x28,
    }

    /// What was negotiated with the link partner (ntddndis.h).
    u32 {
        NDIS_LINK_STATE_XMIT_LINK_SPEED_AUTO_NEGOTIATED = 1,
        NDIS_LINK_STATE_RCV_LINK_SPEED_AUTO_NEGOTIATED = 2,
        NDIS_LINK_STATE_DUPLEX_AUTO_NEGOTIATED = 4,
        NDIS_LINK_STATE_PAUSE_FUNCTIONS_AUTO_NEGOTIATED = 8,
    }

    /// Link speed that is not known (ifdef.h, ntddndis.h).
    u64 {
        NDIS_LINK_SPEED_UNKNOWN = u64::MAX,
    }
}

layouts! {
    /// The link, for `NDIS_STATUS_LINK_STATE`; speeds in bits per second (ntddndis.h).
    pub struct NDIS_LINK_STATE: 0x28 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        MediaConnectState @ 0x4: NET_IF_MEDIA_CONNECT_STATE,
        MediaDuplexState @ 0x8: NET_IF_MEDIA_DUPLEX_STATE,
        XmitLinkSpeed @ 0x10: u64,
        RcvLinkSpeed @ 0x18: u64,
        PauseFunctions @ 0x20: NDIS_SUPPORTED_PAUSE_FUNCTIONS,
        AutoNegotiationFlags @ 0x24: u32,
    }

    /// What the link shall be (ntddndis.h).
    pub struct NDIS_LINK_PARAMETERS: 0x20 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        MediaDuplexState @ 0x4: NET_IF_MEDIA_DUPLEX_STATE,
        XmitLinkSpeed @ 0x8: u64,
        RcvLinkSpeed @ 0x10: u64,
        PauseFunctions @ 0x18: NDIS_SUPPORTED_PAUSE_FUNCTIONS,
        AutoNegotiationFlags @ 0x1c: u32,
    }

    /// Transmit and receive speed in bits per second (ntddndis.h).
    pub struct NDIS_LINK_SPEED: 0x10 {
        XmitLinkSpeed @ 0x0: u64,
        RcvLinkSpeed @ 0x8: u64,
    }
}
