//! Power management (ntddndis.h).

use crate::NDIS_OBJECT_HEADER;

enums! {
    /// Device power states; what `OID_PNP_SET_POWER` sets (ntddndis.h).
    enum NDIS_DEVICE_POWER_STATE {
        NdisDeviceStateUnspecified = 0,
        NdisDeviceStateD0 = 1,
        NdisDeviceStateD1 = 2,
        NdisDeviceStateD2 = 3,
        NdisDeviceStateD3 = 4,
        NdisDeviceStateMaximum = 5,
    }

    /// Packets that wake the system (ntddndis.h).
    enum NDIS_PM_WOL_PACKET {
        NdisPMWoLPacketUnspecified = 0,
        NdisPMWoLPacketBitmapPattern = 1,
        NdisPMWoLPacketMagicPacket = 2,
        NdisPMWoLPacketIPv4TcpSyn = 3,
        NdisPMWoLPacketIPv6TcpSyn = 4,
        NdisPMWoLPacketEapolRequestIdMessage = 5,
        NdisPMWoLPacketMaximum = 6,
    }

    /// Protocols that a sleeping adapter answers (ntddndis.h).
    enum NDIS_PM_PROTOCOL_OFFLOAD_TYPE {
        NdisPMProtocolOffloadIdUnspecified = 0,
        NdisPMProtocolOffloadIdIPv4ARP = 1,
        NdisPMProtocolOffloadIdIPv6NS = 2,
        NdisPMProtocolOffload80211RSNRekey = 3,
        NdisPMProtocolOffloadIdMaximum = 4,
    }

    /// What woke the system (ntddndis.h).
    enum NDIS_PM_WAKE_REASON_TYPE {
        NdisWakeReasonUnspecified = 0,
        NdisWakeReasonPacket = 1,
        NdisWakeReasonMediaDisconnect = 2,
        NdisWakeReasonMediaConnect = 3,
        NdisWakeReasonWlanNLODiscovery = 4096,
        NdisWakeReasonWlanAPAssociationLost = 4097,
        NdisWakeReasonWlanGTKHandshakeError = 4098,
        NdisWakeReasonWlan4WayHandshakeRequest = 4099,
        NdisWakeReasonWwanRegisterState = 8192,
        NdisWakeReasonWwanSMSReceive = 8193,
        NdisWakeReasonWwanUSSDReceive = 8194,
    }
}

constants! {
    /// Revisions of the power management structures (ntddndis.h).
    u8 {
        NDIS_PM_CAPABILITIES_REVISION_1 = 1,
        NDIS_PM_CAPABILITIES_REVISION_2 = 2,
        NDIS_PM_PARAMETERS_REVISION_1 = 1,
        NDIS_PM_PARAMETERS_REVISION_2 = 2,
        NDIS_PM_PROTOCOL_OFFLOAD_REVISION_1 = 1,
        NDIS_PM_WAKE_PACKET_REVISION_1 = 1,
        NDIS_PM_WAKE_REASON_REVISION_1 = 1,
        NDIS_PM_WOL_PATTERN_REVISION_1 = 1,
        NDIS_PM_WOL_PATTERN_REVISION_2 = 2,
    }

    /// Sizes of the power management structures by revision (ntddndis.h).
    u16 {
        NDIS_SIZEOF_NDIS_PM_CAPABILITIES_REVISION_1 = 0x34,
        NDIS_SIZEOF_NDIS_PM_CAPABILITIES_REVISION_2 = 0x3c,
        NDIS_SIZEOF_NDIS_PM_PARAMETERS_REVISION_1 = 0x10,
        NDIS_SIZEOF_NDIS_PM_PARAMETERS_REVISION_2 = 0x14,
        NDIS_SIZEOF_NDIS_PM_PROTOCOL_OFFLOAD_REVISION_1 = 0xf0,
        NDIS_SIZEOF_NDIS_PM_WOL_PATTERN_REVISION_1 = 0xc4,
        NDIS_SIZEOF_NDIS_PM_WOL_PATTERN_REVISION_2 = 0xc4,
    }

    /// Wake-up packets of [`NDIS_PM_CAPABILITIES`] (ntddndis.h).
    u32 {
        NDIS_PM_WOL_BITMAP_PATTERN_ENABLED = 1,
        NDIS_PM_WOL_BITMAP_PATTERN_SUPPORTED = 1,
        NDIS_PM_WOL_PRIORITY_HIGHEST = 1,
        NDIS_PM_WOL_MAGIC_PACKET_ENABLED = 2,
        NDIS_PM_WOL_MAGIC_PACKET_SUPPORTED = 2,
        NDIS_PM_WOL_IPV4_TCP_SYN_ENABLED = 4,
        NDIS_PM_WOL_IPV4_TCP_SYN_SUPPORTED = 4,
        NDIS_PM_WOL_IPV6_TCP_SYN_ENABLED = 8,
        NDIS_PM_WOL_IPV6_TCP_SYN_SUPPORTED = 8,
        NDIS_PM_WOL_IPV4_DEST_ADDR_WILDCARD_ENABLED = 0x200,
        NDIS_PM_WOL_IPV4_DEST_ADDR_WILDCARD_SUPPORTED = 0x200,
        NDIS_PM_WOL_IPV6_DEST_ADDR_WILDCARD_ENABLED = 0x800,
        NDIS_PM_WOL_IPV6_DEST_ADDR_WILDCARD_SUPPORTED = 0x800,
        NDIS_PM_WOL_EAPOL_REQUEST_ID_MESSAGE_ENABLED = 0x0001_0000,
        NDIS_PM_WOL_EAPOL_REQUEST_ID_MESSAGE_SUPPORTED = 0x0001_0000,
        NDIS_PM_WOL_PRIORITY_NORMAL = 0x1000_0000,
        NDIS_PM_WOL_PRIORITY_LOWEST = 0xFFFF_FFFF,
    }

    /// Wake-up events of [`NDIS_PM_CAPABILITIES`] and [`NDIS_PM_PARAMETERS`] (ntddndis.h).
    u32 {
        NDIS_PM_WAKE_ON_LINK_CHANGE_ENABLED = 1,
        NDIS_PM_WAKE_ON_MEDIA_CONNECT_SUPPORTED = 1,
        NDIS_PM_WAKE_ON_MEDIA_DISCONNECT_ENABLED = 2,
        NDIS_PM_WAKE_ON_MEDIA_DISCONNECT_SUPPORTED = 2,
    }

    /// [`NDIS_PM_CAPABILITIES::Flags`] (ntddndis.h).
    u32 {
        NDIS_PM_WAKE_PACKET_INDICATION_SUPPORTED = 1,
        NDIS_PM_SELECTIVE_SUSPEND_SUPPORTED = 2,
        NDIS_PM_SELECTIVE_SUSPEND_ENABLED = 0x10,
    }

    /// Protocol offloads of [`NDIS_PM_CAPABILITIES`] (ntddndis.h).
    u32 {
        NDIS_PM_PROTOCOL_OFFLOAD_ARP_ENABLED = 1,
        NDIS_PM_PROTOCOL_OFFLOAD_ARP_SUPPORTED = 1,
        NDIS_PM_PROTOCOL_OFFLOAD_NS_ENABLED = 2,
        NDIS_PM_PROTOCOL_OFFLOAD_NS_SUPPORTED = 2,
        NDIS_PM_PROTOCOL_OFFLOAD_80211_RSN_REKEY_ENABLED = 0x80,
        NDIS_PM_PROTOCOL_OFFLOAD_80211_RSN_REKEY_SUPPORTED = 0x80,
    }

    /// Priorities and limits (ntddndis.h).
    u32 {
        NDIS_PM_PRIVATE_PATTERN_ID = 1,
        NDIS_PM_PROTOCOL_OFFLOAD_PRIORITY_HIGHEST = 1,
        NDIS_PM_MAX_STRING_SIZE = 0x40,
        NDIS_PM_MAX_PATTERN_ID = 0xffff,
        NDIS_PM_PROTOCOL_OFFLOAD_PRIORITY_NORMAL = 0x1000_0000,
        NDIS_PM_PROTOCOL_OFFLOAD_PRIORITY_LOWEST = 0xFFFF_FFFF,
    }

    /// Flags of [`NDIS_PNP_CAPABILITIES`] and `OID_PNP_ENABLE_WAKE_UP` (ntddndis.h).
    u32 {
        NDIS_DEVICE_WAKE_UP_ENABLE = 1,
        NDIS_PNP_WAKE_UP_MAGIC_PACKET = 1,
        NDIS_DEVICE_WAKE_ON_PATTERN_MATCH_ENABLE = 2,
        NDIS_PNP_WAKE_UP_PATTERN_MATCH = 2,
        NDIS_DEVICE_WAKE_ON_MAGIC_PACKET_ENABLE = 4,
        NDIS_PNP_WAKE_UP_LINK_CHANGE = 4,
    }
}

layouts! {
    /// Lowest power state for each kind of wake-up (ntddndis.h).
    pub struct NDIS_PM_WAKE_UP_CAPABILITIES: 0xc {
        MinMagicPacketWakeUp @ 0x0: NDIS_DEVICE_POWER_STATE,
        MinPatternWakeUp @ 0x4: NDIS_DEVICE_POWER_STATE,
        MinLinkChangeWakeUp @ 0x8: NDIS_DEVICE_POWER_STATE,
    }

    /// Power management before NDIS 6.20; answer to `OID_PNP_CAPABILITIES` (ntddndis.h).
    pub struct NDIS_PNP_CAPABILITIES: 0x10 {
        Flags @ 0x0: u32,
        WakeUpCapabilities @ 0x4: NDIS_PM_WAKE_UP_CAPABILITIES,
    }

    /// Power management abilities (ntddndis.h).
    pub struct NDIS_PM_CAPABILITIES: 0x3c {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u32,
        SupportedWoLPacketPatterns @ 0x8: u32,
        NumTotalWoLPatterns @ 0xc: u32,
        MaxWoLPatternSize @ 0x10: u32,
        MaxWoLPatternOffset @ 0x14: u32,
        MaxWoLPacketSaveBuffer @ 0x18: u32,
        SupportedProtocolOffloads @ 0x1c: u32,
        NumArpOffloadIPv4Addresses @ 0x20: u32,
        NumNSOffloadIPv6Addresses @ 0x24: u32,
        MinMagicPacketWakeUp @ 0x28: NDIS_DEVICE_POWER_STATE,
        MinPatternWakeUp @ 0x2c: NDIS_DEVICE_POWER_STATE,
        MinLinkChangeWakeUp @ 0x30: NDIS_DEVICE_POWER_STATE,
        SupportedWakeUpEvents @ 0x34: u32,
        MediaSpecificWakeUpEvents @ 0x38: u32,
    }

    /// Power management that is on (ntddndis.h).
    pub struct NDIS_PM_PARAMETERS: 0x14 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        EnabledWoLPacketPatterns @ 0x4: u32,
        EnabledProtocolOffloads @ 0x8: u32,
        WakeUpFlags @ 0xc: u32,
        MediaSpecificWakeUpEvents @ 0x10: u32,
    }

    /// A counted name (ntddndis.h).
    pub struct NDIS_PM_COUNTED_STRING: 0x84 {
        Length @ 0x0: u16,
        String @ 0x2: [u16; 65],
    }

    /// A wake-up pattern before NDIS 6.20 (ntddndis.h).
    pub struct NDIS_PM_PACKET_PATTERN: 0x18 {
        Priority @ 0x0: u32,
        Reserved @ 0x4: u32,
        MaskSize @ 0x8: u32,
        PatternOffset @ 0xc: u32,
        PatternSize @ 0x10: u32,
        PatternFlags @ 0x14: u32,
    }

    /// Wake on an IPv4 TCP SYN (ntddndis.h).
    pub struct IPV4_TCP_SYN_WOL_PACKET_PARAMETERS: 0x10 {
        Flags @ 0x0: u32,
        IPv4SourceAddress @ 0x4: [u8; 4],
        IPv4DestAddress @ 0x8: [u8; 4],
        TCPSourcePortNumber @ 0xc: u16,
        TCPDestPortNumber @ 0xe: u16,
    }

    /// Wake on an IPv6 TCP SYN (ntddndis.h).
    pub struct IPV6_TCP_SYN_WOL_PACKET_PARAMETERS: 0x28 {
        Flags @ 0x0: u32,
        IPv6SourceAddress @ 0x4: [u8; 16],
        IPv6DestAddress @ 0x14: [u8; 16],
        TCPSourcePortNumber @ 0x24: u16,
        TCPDestPortNumber @ 0x26: u16,
    }

    /// Wake on an EAPOL identity request (ntddndis.h).
    pub struct EAPOL_REQUEST_ID_MESSAGE_WOL_PACKET_PARAMETERS: 0x4 {
        Flags @ 0x0: u32,
    }

    /// Wake on a bit-mapped pattern; mask and pattern follow at the offsets (ntddndis.h).
    pub struct WOL_BITMAP_PATTERN: 0x14 {
        Flags @ 0x0: u32,
        MaskOffset @ 0x4: u32,
        MaskSize @ 0x8: u32,
        PatternOffset @ 0xc: u32,
        PatternSize @ 0x10: u32,
    }

    /// What depends on the kind of [`NDIS_PM_WOL_PATTERN`] (ntddndis.h).
    pub union WOL_PATTERN: 0x28 {
        IPv4TcpSynParameters @ 0x0: IPV4_TCP_SYN_WOL_PACKET_PARAMETERS,
        IPv6TcpSynParameters @ 0x0: IPV6_TCP_SYN_WOL_PACKET_PARAMETERS,
        EapolRequestIdMessageParameters @ 0x0: EAPOL_REQUEST_ID_MESSAGE_WOL_PACKET_PARAMETERS,
        WoLBitMapPattern @ 0x0: WOL_BITMAP_PATTERN,
    }

    /// A wake-up pattern (ntddndis.h).
    pub struct NDIS_PM_WOL_PATTERN: 0xc4 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u32,
        Priority @ 0x8: u32,
        WoLPacketType @ 0xc: NDIS_PM_WOL_PACKET,
        FriendlyName @ 0x10: NDIS_PM_COUNTED_STRING,
        PatternId @ 0x94: u32,
        NextWoLPatternOffset @ 0x98: u32,
        WoLPattern @ 0x9c: WOL_PATTERN,
    }

    /// ARP answers while asleep (ntddndis.h).
    pub struct IPV4_ARP_PARAMETERS: 0x14 {
        Flags @ 0x0: u32,
        RemoteIPv4Address @ 0x4: [u8; 4],
        HostIPv4Address @ 0x8: [u8; 4],
        MacAddress @ 0xc: [u8; 6],
    }

    /// Neighbour discovery answers while asleep (ntddndis.h).
    pub struct IPV6_NS_PARAMETERS: 0x4c {
        Flags @ 0x0: u32,
        RemoteIPv6Address @ 0x4: [u8; 16],
        SolicitedNodeIPv6Address @ 0x14: [u8; 16],
        MacAddress @ 0x24: [u8; 6],
        TargetIPv6Addresses @ 0x2a: [[u8; 16]; 2],
    }

    /// Wireless rekeying while asleep (ntddndis.h).
    pub struct DOT11_RSN_REKEY_PARAMETERS: 0x30 {
        Flags @ 0x0: u32,
        KCK @ 0x4: [u8; 16],
        KEK @ 0x14: [u8; 16],
        KeyReplayCounter @ 0x28: u64,
    }

    /// What depends on the kind of [`NDIS_PM_PROTOCOL_OFFLOAD`] (ntddndis.h).
    pub union PROTOCOL_OFFLOAD_PARAMETERS: 0x50 {
        IPv4ARPParameters @ 0x0: IPV4_ARP_PARAMETERS,
        IPv6NSParameters @ 0x0: IPV6_NS_PARAMETERS,
        Dot11RSNRekeyParameters @ 0x0: DOT11_RSN_REKEY_PARAMETERS,
    }

    /// A protocol offload (ntddndis.h).
    pub struct NDIS_PM_PROTOCOL_OFFLOAD: 0xf0 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u32,
        Priority @ 0x8: u32,
        ProtocolOffloadType @ 0xc: NDIS_PM_PROTOCOL_OFFLOAD_TYPE,
        FriendlyName @ 0x10: NDIS_PM_COUNTED_STRING,
        ProtocolOffloadId @ 0x94: u32,
        NextProtocolOffloadOffset @ 0x98: u32,
        ProtocolOffloadParameters @ 0xa0: PROTOCOL_OFFLOAD_PARAMETERS,
    }

    /// Why the system woke (ntddndis.h).
    pub struct NDIS_PM_WAKE_REASON: 0x14 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u32,
        WakeReason @ 0x8: NDIS_PM_WAKE_REASON_TYPE,
        InfoBufferOffset @ 0xc: u32,
        InfoBufferSize @ 0x10: u32,
    }

    /// The packet that woke the system (ntddndis.h).
    pub struct NDIS_PM_WAKE_PACKET: 0x9c {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u32,
        PatternId @ 0x8: u32,
        PatternFriendlyName @ 0xc: NDIS_PM_COUNTED_STRING,
        OriginalPacketSize @ 0x90: u32,
        SavedPacketSize @ 0x94: u32,
        SavedPacketOffset @ 0x98: u32,
    }
}
