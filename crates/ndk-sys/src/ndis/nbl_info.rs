//! Out-of-band data of net buffer lists: what stands in `NetBufferListInfo` (ndis.h).

use crate::NDIS_OBJECT_HEADER;
use core::ffi::c_void;

enums! {
    /// Index into [`crate::NET_BUFFER_LIST::NetBufferListInfo`] (ndis.h).
    enum NDIS_NET_BUFFER_LIST_INFO {
        TcpIpChecksumNetBufferListInfo = 0,
        TcpOffloadBytesTransferred = 0,
        IPsecOffloadV1NetBufferListInfo = 1,
        IPsecOffloadV2NetBufferListInfo = 1,
        TcpLargeSendNetBufferListInfo = 2,
        TcpReceiveNoPush = 2,
        ClassificationHandleNetBufferListInfo = 3,
        Ieee8021QNetBufferListInfo = 4,
        NetBufferListCancelId = 5,
        MediaSpecificInformation = 6,
        NetBufferListFrameType = 7,
        NetBufferListProtocolId = 7,
        NetBufferListHashValue = 8,
        NetBufferListHashInfo = 9,
        WfpNetBufferListInfo = 10,
        IPsecOffloadV2TunnelNetBufferListInfo = 11,
        IPsecOffloadV2HeaderNetBufferListInfo = 12,
        NetBufferListCorrelationId = 13,
        NetBufferListFilteringInfo = 14,
        MediaSpecificInformationEx = 15,
        NblOriginalInterfaceIfIndex = 16,
        NblReAuthWfpFlowContext = 16,
        TcpReceiveBytesTransferred = 17,
        NrtNameResolutionId = 17,
        SwitchForwardingReserved = 18,
        SwitchForwardingDetail = 19,
        VirtualSubnetInfo = 20,
        IMReserved = 21,
        TcpRecvSegCoalesceInfo = 22,
        RscTcpTimestampDelta = 23,
        TcpSendOffloadsSupplementalNetBufferListInfo = 23,
        MaxNetBufferListInfo = 24,
    }
}

constants! {
    /// [`NDIS_TCP_LARGE_SEND_OFFLOAD_NET_BUFFER_LIST_INFO::Type`] (ndis.h).
    u32 {
        NDIS_TCP_LARGE_SEND_OFFLOAD_V1_TYPE = 0,
        NDIS_TCP_LARGE_SEND_OFFLOAD_V2_TYPE = 1,
    }

    /// [`NDIS_TCP_LARGE_SEND_OFFLOAD_NET_BUFFER_LIST_INFO::IPVersion`] (ndis.h).
    u32 {
        NDIS_TCP_LARGE_SEND_OFFLOAD_IPv4 = 0,
        NDIS_TCP_LARGE_SEND_OFFLOAD_IPv6 = 1,
    }
}

layouts! {
    /// Checksums to compute, or those that were checked (ndis.h).
    pub struct NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO: 0x8 {
        Value @ 0x0: usize,
    }
    bits Value {
        IsIPv4 / set_IsIPv4 @ 0: 1,
        TcpChecksumFailed / set_TcpChecksumFailed @ 0: 1,
        IsIPv6 / set_IsIPv6 @ 1: 1,
        UdpChecksumFailed / set_UdpChecksumFailed @ 1: 1,
        IpChecksumFailed / set_IpChecksumFailed @ 2: 1,
        TcpChecksum / set_TcpChecksum @ 2: 1,
        TcpChecksumSucceeded / set_TcpChecksumSucceeded @ 3: 1,
        UdpChecksum / set_UdpChecksum @ 3: 1,
        IpHeaderChecksum / set_IpHeaderChecksum @ 4: 1,
        UdpChecksumSucceeded / set_UdpChecksumSucceeded @ 4: 1,
        IpChecksumSucceeded / set_IpChecksumSucceeded @ 5: 1,
        Reserved / set_Reserved @ 5: 11,
        Loopback / set_Loopback @ 6: 1,
        TcpChecksumValueInvalid / set_TcpChecksumValueInvalid @ 7: 1,
        IpChecksumValueInvalid / set_IpChecksumValueInvalid @ 8: 1,
        TcpHeaderOffset / set_TcpHeaderOffset @ 16: 10,
    }

    /// Large send: segment size and header offset; on completion the payload sent (ndis.h).
    pub struct NDIS_TCP_LARGE_SEND_OFFLOAD_NET_BUFFER_LIST_INFO: 0x8 {
        Value @ 0x0: usize,
    }
    bits Value {
        MSS / set_MSS @ 0: 20,
        Reserved / set_Reserved @ 0: 30,
        TcpPayload / set_TcpPayload @ 0: 30,
        Unused / set_Unused @ 0: 30,
        TcpHeaderOffset / set_TcpHeaderOffset @ 20: 10,
        Type / set_Type @ 30: 1,
        IPVersion / set_IPVersion @ 31: 1,
        Reserved2 / set_Reserved2 @ 31: 1,
    }

    /// Headers of encapsulated sends (ndis.h).
    pub struct NDIS_TCP_SEND_OFFLOADS_SUPPLEMENTAL_NET_BUFFER_LIST_INFO: 0x8 {
        Value @ 0x0: usize,
    }
    bits Value {
        IsEncapsulatedPacket / set_IsEncapsulatedPacket @ 0: 1,
        EncapsulatedPacketOffsetsValid / set_EncapsulatedPacketOffsetsValid @ 1: 1,
        InnerFrameOffset / set_InnerFrameOffset @ 2: 8,
        TransportIpHeaderRelativeOffset / set_TransportIpHeaderRelativeOffset @ 10: 6,
        TcpHeaderRelativeOffset / set_TcpHeaderRelativeOffset @ 16: 10,
        IsInnerIPv6 / set_IsInnerIPv6 @ 26: 1,
        TcpOptionsPresent / set_TcpOptionsPresent @ 27: 1,
        Reserved / set_Reserved @ 28: 4,
    }

    /// VLAN tag (ndis.h).
    pub struct NDIS_NET_BUFFER_LIST_8021Q_INFO: 0x8 {
        Value @ 0x0: usize,
    }
    bits Value {
        UserPriority / set_UserPriority @ 0: 3,
        CanonicalFormatId / set_CanonicalFormatId @ 3: 1,
        VlanId / set_VlanId @ 4: 12,
        WMMInfo / set_WMMInfo @ 16: 4,
        Reserved / set_Reserved @ 20: 12,
    }

    /// Which receive filter matched (ndis.h).
    pub struct NDIS_NET_BUFFER_LIST_FILTERING_INFO: 0x8 {
        u_ @ 0x0: NDIS_NET_BUFFER_LIST_FILTERING_INFO_u_,
    }

    /// Anonymous union in [`NDIS_NET_BUFFER_LIST_FILTERING_INFO`].
    pub union NDIS_NET_BUFFER_LIST_FILTERING_INFO_u_: 0x8 {
        FilteringInfo @ 0x0: NDIS_NET_BUFFER_LIST_FILTERING_INFO_u_FilteringInfo_,
        Value @ 0x0: *mut c_void,
    }

    /// Anonymous struct in [`NDIS_NET_BUFFER_LIST_FILTERING_INFO_u_`].
    pub struct NDIS_NET_BUFFER_LIST_FILTERING_INFO_u_FilteringInfo_: 0x4 {
        FilterId @ 0x0: u16,
        QueueVPortInfo @ 0x2: NDIS_NET_BUFFER_LIST_FILTERING_INFO_u_FilteringInfo_QueueVPortInfo_,
    }

    /// Anonymous union in [`NDIS_NET_BUFFER_LIST_FILTERING_INFO_u_FilteringInfo_`].
    pub union NDIS_NET_BUFFER_LIST_FILTERING_INFO_u_FilteringInfo_QueueVPortInfo_: 0x2 {
        QueueId @ 0x0: u16,
        VPortId @ 0x0: u16,
    }

    /// Virtual subnet (ndis.h).
    pub struct NDIS_NET_BUFFER_LIST_VIRTUAL_SUBNET_INFO: 0x8 {
        u_ @ 0x0: NDIS_NET_BUFFER_LIST_VIRTUAL_SUBNET_INFO_u_,
    }

    /// Anonymous union in [`NDIS_NET_BUFFER_LIST_VIRTUAL_SUBNET_INFO`].
    pub union NDIS_NET_BUFFER_LIST_VIRTUAL_SUBNET_INFO_u_: 0x8 {
        s_ @ 0x0: NDIS_NET_BUFFER_LIST_VIRTUAL_SUBNET_INFO_u_s_,
        Value @ 0x0: *mut c_void,
    }

    /// Anonymous struct in [`NDIS_NET_BUFFER_LIST_VIRTUAL_SUBNET_INFO_u_`].
    pub struct NDIS_NET_BUFFER_LIST_VIRTUAL_SUBNET_INFO_u_s_: 0x8 {
        bits_ @ 0x0: u32,
        Reserved @ 0x4: u32,
    }
    bits bits_ {
        VirtualSubnetId / set_VirtualSubnetId @ 0: 24,
        ReservedVsidBits / set_ReservedVsidBits @ 24: 8,
    }

    /// Media-specific data (ndis.h).
    pub struct NDIS_NET_BUFFER_LIST_MEDIA_SPECIFIC_INFO: 0x8 {
        u_ @ 0x0: NDIS_NET_BUFFER_LIST_MEDIA_SPECIFIC_INFO_u_,
    }

    /// Anonymous union in [`NDIS_NET_BUFFER_LIST_MEDIA_SPECIFIC_INFO`].
    pub union NDIS_NET_BUFFER_LIST_MEDIA_SPECIFIC_INFO_u_: 0x8 {
        MediaSpecificInfo @ 0x0: *mut c_void,
        NativeWifiSpecificInfo @ 0x0: *mut c_void,
        Value @ 0x0: *mut c_void,
    }

    /// One piece of media-specific data (ndis.h).
    pub struct NDIS_NBL_MEDIA_SPECIFIC_INFORMATION_EX: 0x20 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        NextEntry @ 0x8: *mut NDIS_NBL_MEDIA_SPECIFIC_INFORMATION_EX,
        Tag @ 0x10: u32,
        Data @ 0x18: *mut c_void,
    }

    /// Segments and duplicate ACKs of a coalesced receive (ndis.h).
    pub union NDIS_RSC_NBL_INFO: 0x8 {
        Info @ 0x0: NDIS_RSC_NBL_INFO_Info_,
        Value @ 0x0: *mut c_void,
    }

    /// Anonymous struct in [`NDIS_RSC_NBL_INFO`].
    pub struct NDIS_RSC_NBL_INFO_Info_: 0x4 {
        CoalescedSegCount @ 0x0: u16,
        DupAckCount @ 0x2: u16,
    }
}
