//! Task offloads: checksums, large send, receive coalescing (ntddndis.h).

use crate::{BOOLEAN, NDIS_OBJECT_HEADER};

constants! {
    /// Revisions of the offload structures (ntddndis.h).
    u8 {
        NDIS_OFFLOAD_ENCAPSULATION_REVISION_1 = 1,
        NDIS_OFFLOAD_PARAMETERS_REVISION_1 = 1,
        NDIS_OFFLOAD_PARAMETERS_REVISION_2 = 2,
        NDIS_OFFLOAD_PARAMETERS_REVISION_3 = 3,
        NDIS_OFFLOAD_PARAMETERS_REVISION_4 = 4,
        NDIS_OFFLOAD_REVISION_1 = 1,
        NDIS_OFFLOAD_REVISION_2 = 2,
        NDIS_OFFLOAD_REVISION_3 = 3,
        NDIS_OFFLOAD_REVISION_4 = 4,
        NDIS_TCP_CONNECTION_OFFLOAD_REVISION_1 = 1,
        NDIS_TCP_CONNECTION_OFFLOAD_REVISION_2 = 2,
    }

    /// Sizes of the offload structures by revision (ntddndis.h).
    u16 {
        NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_1 = 0x70,
        NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_2 = 0x90,
        NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_3 = 0x9c,
        NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_4 = 0xb1,
        NDIS_SIZEOF_OFFLOAD_ENCAPSULATION_REVISION_1 = 0x1c,
        NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_1 = 0x14,
        NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_2 = 0x16,
        NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_3 = 0x1a,
        NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_4 = 0x20,
        NDIS_SIZEOF_TCP_CONNECTION_OFFLOAD_REVISION_1 = 0x14,
        NDIS_SIZEOF_TCP_CONNECTION_OFFLOAD_REVISION_2 = 0x14,
    }

    /// Encapsulations that an offload works with (ntddndis.h).
    u32 {
        NDIS_ENCAPSULATION_NOT_SUPPORTED = 0,
        NDIS_ENCAPSULATION_NULL = 1,
        NDIS_ENCAPSULATION_TYPE_GRE_MAC = 1,
        NDIS_ENCAPSULATION_IEEE_802_3 = 2,
        NDIS_ENCAPSULATION_IEEE_802_3_P_AND_Q = 4,
        NDIS_ENCAPSULATION_IEEE_802_3_P_AND_Q_IN_OOB = 8,
        NDIS_ENCAPSULATION_IEEE_LLC_SNAP_ROUTED = 0x10,
    }

    /// States of an offload in a capability or in its current configuration (ntddndis.h).
    u32 {
        NDIS_OFFLOAD_NOT_SUPPORTED = 0,
        NDIS_OFFLOAD_SET_NO_CHANGE = 0,
        NDIS_OFFLOAD_SET_ON = 1,
        NDIS_OFFLOAD_SUPPORTED = 1,
        NDIS_OFFLOAD_SET_OFF = 2,
    }

    /// Settings in [`NDIS_OFFLOAD_PARAMETERS`] (ntddndis.h).
    u8 {
        NDIS_OFFLOAD_PARAMETERS_NO_CHANGE = 0,
        NDIS_OFFLOAD_PARAMETERS_CONNECTION_OFFLOAD_DISABLED = 1,
        NDIS_OFFLOAD_PARAMETERS_IPSECV1_DISABLED = 1,
        NDIS_OFFLOAD_PARAMETERS_IPSECV2_DISABLED = 1,
        NDIS_OFFLOAD_PARAMETERS_LSOV1_DISABLED = 1,
        NDIS_OFFLOAD_PARAMETERS_LSOV2_DISABLED = 1,
        NDIS_OFFLOAD_PARAMETERS_RSC_DISABLED = 1,
        NDIS_OFFLOAD_PARAMETERS_TX_RX_DISABLED = 1,
        NDIS_OFFLOAD_PARAMETERS_CONNECTION_OFFLOAD_ENABLED = 2,
        NDIS_OFFLOAD_PARAMETERS_IPSECV1_AH_ENABLED = 2,
        NDIS_OFFLOAD_PARAMETERS_IPSECV2_AH_ENABLED = 2,
        NDIS_OFFLOAD_PARAMETERS_LSOV1_ENABLED = 2,
        NDIS_OFFLOAD_PARAMETERS_LSOV2_ENABLED = 2,
        NDIS_OFFLOAD_PARAMETERS_RSC_ENABLED = 2,
        NDIS_OFFLOAD_PARAMETERS_TX_ENABLED_RX_DISABLED = 2,
        NDIS_OFFLOAD_PARAMETERS_IPSECV1_ESP_ENABLED = 3,
        NDIS_OFFLOAD_PARAMETERS_IPSECV2_ESP_ENABLED = 3,
        NDIS_OFFLOAD_PARAMETERS_RX_ENABLED_TX_DISABLED = 3,
        NDIS_OFFLOAD_PARAMETERS_IPSECV1_AH_AND_ESP_ENABLED = 4,
        NDIS_OFFLOAD_PARAMETERS_IPSECV2_AH_AND_ESP_ENABLED = 4,
        NDIS_OFFLOAD_PARAMETERS_TX_RX_ENABLED = 4,
    }

    /// [`NDIS_OFFLOAD_PARAMETERS::Flags`] (ntddndis.h).
    u32 {
        NDIS_OFFLOAD_PARAMETERS_SKIP_REGISTRY_UPDATE = 1,
    }

    /// [`NDIS_OFFLOAD::Flags`] (ntddndis.h).
    u32 {
        NDIS_OFFLOAD_FLAGS_GROUP_CHECKSUM_CAPABILITIES = 1,
    }
}

layouts! {
    /// Checksum offload abilities (ntddndis.h).
    pub struct NDIS_TCP_IP_CHECKSUM_OFFLOAD: 0x20 {
        IPv4Transmit @ 0x0: NDIS_TCP_IP_CHECKSUM_OFFLOAD_IPv4Transmit_,
        IPv4Receive @ 0x8: NDIS_TCP_IP_CHECKSUM_OFFLOAD_IPv4Receive_,
        IPv6Transmit @ 0x10: NDIS_TCP_IP_CHECKSUM_OFFLOAD_IPv6Transmit_,
        IPv6Receive @ 0x18: NDIS_TCP_IP_CHECKSUM_OFFLOAD_IPv6Receive_,
    }

    /// Anonymous struct in [`NDIS_TCP_IP_CHECKSUM_OFFLOAD`].
    pub struct NDIS_TCP_IP_CHECKSUM_OFFLOAD_IPv4Transmit_: 0x8 {
        Encapsulation @ 0x0: u32,
        bits_ @ 0x4: u32,
    }
    bits bits_ {
        IpOptionsSupported / set_IpOptionsSupported @ 32: 2,
        TcpOptionsSupported / set_TcpOptionsSupported @ 34: 2,
        TcpChecksum / set_TcpChecksum @ 36: 2,
        UdpChecksum / set_UdpChecksum @ 38: 2,
        IpChecksum / set_IpChecksum @ 40: 2,
    }

    /// Anonymous struct in [`NDIS_TCP_IP_CHECKSUM_OFFLOAD`].
    pub struct NDIS_TCP_IP_CHECKSUM_OFFLOAD_IPv4Receive_: 0x8 {
        Encapsulation @ 0x0: u32,
        bits_ @ 0x4: u32,
    }
    bits bits_ {
        IpOptionsSupported / set_IpOptionsSupported @ 32: 2,
        TcpOptionsSupported / set_TcpOptionsSupported @ 34: 2,
        TcpChecksum / set_TcpChecksum @ 36: 2,
        UdpChecksum / set_UdpChecksum @ 38: 2,
        IpChecksum / set_IpChecksum @ 40: 2,
    }

    /// Anonymous struct in [`NDIS_TCP_IP_CHECKSUM_OFFLOAD`].
    pub struct NDIS_TCP_IP_CHECKSUM_OFFLOAD_IPv6Transmit_: 0x8 {
        Encapsulation @ 0x0: u32,
        bits_ @ 0x4: u32,
    }
    bits bits_ {
        IpExtensionHeadersSupported / set_IpExtensionHeadersSupported @ 32: 2,
        TcpOptionsSupported / set_TcpOptionsSupported @ 34: 2,
        TcpChecksum / set_TcpChecksum @ 36: 2,
        UdpChecksum / set_UdpChecksum @ 38: 2,
    }

    /// Anonymous struct in [`NDIS_TCP_IP_CHECKSUM_OFFLOAD`].
    pub struct NDIS_TCP_IP_CHECKSUM_OFFLOAD_IPv6Receive_: 0x8 {
        Encapsulation @ 0x0: u32,
        bits_ @ 0x4: u32,
    }
    bits bits_ {
        IpExtensionHeadersSupported / set_IpExtensionHeadersSupported @ 32: 2,
        TcpOptionsSupported / set_TcpOptionsSupported @ 34: 2,
        TcpChecksum / set_TcpChecksum @ 36: 2,
        UdpChecksum / set_UdpChecksum @ 38: 2,
    }

    /// Large send offload, version 1, IPv4 only (ntddndis.h).
    pub struct NDIS_TCP_LARGE_SEND_OFFLOAD_V1: 0x10 {
        IPv4 @ 0x0: NDIS_TCP_LARGE_SEND_OFFLOAD_V1_IPv4_,
    }

    /// Anonymous struct in [`NDIS_TCP_LARGE_SEND_OFFLOAD_V1`].
    pub struct NDIS_TCP_LARGE_SEND_OFFLOAD_V1_IPv4_: 0x10 {
        Encapsulation @ 0x0: u32,
        MaxOffLoadSize @ 0x4: u32,
        MinSegmentCount @ 0x8: u32,
        bits_ @ 0xc: u32,
    }
    bits bits_ {
        TcpOptions / set_TcpOptions @ 96: 2,
        IpOptions / set_IpOptions @ 98: 2,
    }

    /// Large send offload, version 2 (ntddndis.h).
    pub struct NDIS_TCP_LARGE_SEND_OFFLOAD_V2: 0x1c {
        IPv4 @ 0x0: NDIS_TCP_LARGE_SEND_OFFLOAD_V2_IPv4_,
        IPv6 @ 0xc: NDIS_TCP_LARGE_SEND_OFFLOAD_V2_IPv6_,
    }

    /// Anonymous struct in [`NDIS_TCP_LARGE_SEND_OFFLOAD_V2`].
    pub struct NDIS_TCP_LARGE_SEND_OFFLOAD_V2_IPv4_: 0xc {
        Encapsulation @ 0x0: u32,
        MaxOffLoadSize @ 0x4: u32,
        MinSegmentCount @ 0x8: u32,
    }

    /// Anonymous struct in [`NDIS_TCP_LARGE_SEND_OFFLOAD_V2`].
    pub struct NDIS_TCP_LARGE_SEND_OFFLOAD_V2_IPv6_: 0x10 {
        Encapsulation @ 0x0: u32,
        MaxOffLoadSize @ 0x4: u32,
        MinSegmentCount @ 0x8: u32,
        bits_ @ 0xc: u32,
    }
    bits bits_ {
        IpExtensionHeadersSupported / set_IpExtensionHeadersSupported @ 96: 2,
        TcpOptionsSupported / set_TcpOptionsSupported @ 98: 2,
    }

    /// Receive segment coalescing (ntddndis.h).
    pub struct NDIS_TCP_RECV_SEG_COALESCE_OFFLOAD: 0x2 {
        IPv4 @ 0x0: NDIS_TCP_RECV_SEG_COALESCE_OFFLOAD_IPv4_,
        IPv6 @ 0x1: NDIS_TCP_RECV_SEG_COALESCE_OFFLOAD_IPv6_,
    }

    /// Anonymous struct in [`NDIS_TCP_RECV_SEG_COALESCE_OFFLOAD`].
    pub struct NDIS_TCP_RECV_SEG_COALESCE_OFFLOAD_IPv4_: 0x1 {
        Enabled @ 0x0: BOOLEAN,
    }

    /// Anonymous struct in [`NDIS_TCP_RECV_SEG_COALESCE_OFFLOAD`].
    pub struct NDIS_TCP_RECV_SEG_COALESCE_OFFLOAD_IPv6_: 0x1 {
        Enabled @ 0x0: BOOLEAN,
    }

    /// Offloads inside NVGRE (ntddndis.h).
    pub struct NDIS_ENCAPSULATED_PACKET_TASK_OFFLOAD: 0x8 {
        bits_ @ 0x0: u32,
        MaxHeaderSizeSupported @ 0x4: u32,
    }
    bits bits_ {
        TransmitChecksumOffloadSupported / set_TransmitChecksumOffloadSupported @ 0: 4,
        ReceiveChecksumOffloadSupported / set_ReceiveChecksumOffloadSupported @ 4: 4,
        LsoV2Supported / set_LsoV2Supported @ 8: 4,
        RssSupported / set_RssSupported @ 12: 4,
        VmqSupported / set_VmqSupported @ 16: 4,
    }

    /// IP security offload, version 1 (ntddndis.h).
    pub struct NDIS_IPSEC_OFFLOAD_V1: 0x1c {
        Supported @ 0x0: NDIS_IPSEC_OFFLOAD_V1_Supported_,
        IPv4AH @ 0x14: NDIS_IPSEC_OFFLOAD_V1_IPv4AH_,
        IPv4ESP @ 0x18: NDIS_IPSEC_OFFLOAD_V1_IPv4ESP_,
    }

    /// Anonymous struct in [`NDIS_IPSEC_OFFLOAD_V1`].
    pub struct NDIS_IPSEC_OFFLOAD_V1_Supported_: 0x14 {
        Encapsulation @ 0x0: u32,
        AhEspCombined @ 0x4: u32,
        TransportTunnelCombined @ 0x8: u32,
        IPv4Options @ 0xc: u32,
        Flags @ 0x10: u32,
    }

    /// Anonymous struct in [`NDIS_IPSEC_OFFLOAD_V1`].
    pub struct NDIS_IPSEC_OFFLOAD_V1_IPv4AH_: 0x4 {
        bits_ @ 0x0: u32,
    }
    bits bits_ {
        Md5 / set_Md5 @ 0: 2,
        Sha_1 / set_Sha_1 @ 2: 2,
        Transport / set_Transport @ 4: 2,
        Tunnel / set_Tunnel @ 6: 2,
        Send / set_Send @ 8: 2,
        Receive / set_Receive @ 10: 2,
    }

    /// Anonymous struct in [`NDIS_IPSEC_OFFLOAD_V1`].
    pub struct NDIS_IPSEC_OFFLOAD_V1_IPv4ESP_: 0x4 {
        bits_ @ 0x0: u32,
    }
    bits bits_ {
        Des / set_Des @ 0: 2,
        Reserved / set_Reserved @ 2: 2,
        TripleDes / set_TripleDes @ 4: 2,
        NullEsp / set_NullEsp @ 6: 2,
        Transport / set_Transport @ 8: 2,
        Tunnel / set_Tunnel @ 10: 2,
        Send / set_Send @ 12: 2,
        Receive / set_Receive @ 14: 2,
    }

    /// IP security offload, version 2 (ntddndis.h).
    pub struct NDIS_IPSEC_OFFLOAD_V2: 0x20 {
        Encapsulation @ 0x0: u32,
        IPv6Supported @ 0x4: BOOLEAN,
        IPv4Options @ 0x5: BOOLEAN,
        IPv6NonIPsecExtensionHeaders @ 0x6: BOOLEAN,
        Ah @ 0x7: BOOLEAN,
        Esp @ 0x8: BOOLEAN,
        AhEspCombined @ 0x9: BOOLEAN,
        Transport @ 0xa: BOOLEAN,
        Tunnel @ 0xb: BOOLEAN,
        TransportTunnelCombined @ 0xc: BOOLEAN,
        LsoSupported @ 0xd: BOOLEAN,
        ExtendedSequenceNumbers @ 0xe: BOOLEAN,
        UdpEsp @ 0x10: u32,
        AuthenticationAlgorithms @ 0x14: u32,
        EncryptionAlgorithms @ 0x18: u32,
        SaOffloadCapacity @ 0x1c: u32,
    }

    /// All task offloads of an adapter (ntddndis.h).
    pub struct NDIS_OFFLOAD: 0x9c {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Checksum @ 0x4: NDIS_TCP_IP_CHECKSUM_OFFLOAD,
        LsoV1 @ 0x24: NDIS_TCP_LARGE_SEND_OFFLOAD_V1,
        IPsecV1 @ 0x34: NDIS_IPSEC_OFFLOAD_V1,
        LsoV2 @ 0x50: NDIS_TCP_LARGE_SEND_OFFLOAD_V2,
        Flags @ 0x6c: u32,
        IPsecV2 @ 0x70: NDIS_IPSEC_OFFLOAD_V2,
        Rsc @ 0x90: NDIS_TCP_RECV_SEG_COALESCE_OFFLOAD,
        EncapsulatedPacketTaskOffloadGre @ 0x94: NDIS_ENCAPSULATED_PACKET_TASK_OFFLOAD,
    }

    /// What `OID_TCP_OFFLOAD_PARAMETERS` turns on and off (ntddndis.h).
    pub struct NDIS_OFFLOAD_PARAMETERS: 0x1c {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        IPv4Checksum @ 0x4: u8,
        TCPIPv4Checksum @ 0x5: u8,
        UDPIPv4Checksum @ 0x6: u8,
        TCPIPv6Checksum @ 0x7: u8,
        UDPIPv6Checksum @ 0x8: u8,
        LsoV1 @ 0x9: u8,
        IPsecV1 @ 0xa: u8,
        LsoV2IPv4 @ 0xb: u8,
        LsoV2IPv6 @ 0xc: u8,
        TcpConnectionIPv4 @ 0xd: u8,
        TcpConnectionIPv6 @ 0xe: u8,
        Flags @ 0x10: u32,
        IPsecV2 @ 0x14: u8,
        IPsecV2IPv4 @ 0x15: u8,
        s1_ @ 0x16: NDIS_OFFLOAD_PARAMETERS_s1_,
        s2_ @ 0x18: NDIS_OFFLOAD_PARAMETERS_s2_,
    }

    /// Anonymous struct in [`NDIS_OFFLOAD_PARAMETERS`].
    pub struct NDIS_OFFLOAD_PARAMETERS_s1_: 0x2 {
        RscIPv4 @ 0x0: u8,
        RscIPv6 @ 0x1: u8,
    }

    /// Anonymous struct in [`NDIS_OFFLOAD_PARAMETERS`].
    pub struct NDIS_OFFLOAD_PARAMETERS_s2_: 0x2 {
        EncapsulatedPacketTaskOffload @ 0x0: u8,
        EncapsulationTypes @ 0x1: u8,
    }

    /// What `OID_OFFLOAD_ENCAPSULATION` sets (ntddndis.h).
    pub struct NDIS_OFFLOAD_ENCAPSULATION: 0x1c {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        IPv4 @ 0x4: NDIS_OFFLOAD_ENCAPSULATION_IPv4_,
        IPv6 @ 0x10: NDIS_OFFLOAD_ENCAPSULATION_IPv6_,
    }

    /// Anonymous struct in [`NDIS_OFFLOAD_ENCAPSULATION`].
    pub struct NDIS_OFFLOAD_ENCAPSULATION_IPv4_: 0xc {
        Enabled @ 0x0: u32,
        EncapsulationType @ 0x4: u32,
        HeaderSize @ 0x8: u32,
    }

    /// Anonymous struct in [`NDIS_OFFLOAD_ENCAPSULATION`].
    pub struct NDIS_OFFLOAD_ENCAPSULATION_IPv6_: 0xc {
        Enabled @ 0x0: u32,
        EncapsulationType @ 0x4: u32,
        HeaderSize @ 0x8: u32,
    }

    /// Connection offload (chimney), obsolete (ntddndis.h).
    pub struct NDIS_TCP_CONNECTION_OFFLOAD: 0x14 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Encapsulation @ 0x4: u32,
        bits_ @ 0x8: u32,
        TcpConnectionOffloadCapacity @ 0xc: u32,
        Flags @ 0x10: u32,
    }
    bits bits_ {
        SupportIPv4 / set_SupportIPv4 @ 64: 2,
        SupportIPv6 / set_SupportIPv6 @ 66: 2,
        SupportIPv6ExtensionHeaders / set_SupportIPv6ExtensionHeaders @ 68: 2,
        SupportSack / set_SupportSack @ 70: 2,
        CongestionAlgorithm / set_CongestionAlgorithm @ 72: 4,
    }
}
