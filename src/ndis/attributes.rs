//! What NDIS is told about the adapter.

use ndk_sys::{
    IF_TYPE_ETHERNET_CSMACD, MediaConnectStateConnected, MediaConnectStateDisconnected, MediaDuplexStateFull,
    NDIS_HANDLE, NDIS_LINK_STATE, NDIS_LINK_STATE_REVISION_1, NDIS_MAC_OPTION_COPY_LOOKAHEAD_DATA,
    NDIS_MAC_OPTION_NO_LOOPBACK, NDIS_MAC_OPTION_TRANSFERS_NOT_PEND,
    NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES, NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2,
    NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES, NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_1,
    NDIS_MINIPORT_ATTRIBUTES_BUS_MASTER, NDIS_MINIPORT_ATTRIBUTES_HARDWARE_DEVICE,
    NDIS_MINIPORT_ATTRIBUTES_SURPRISE_REMOVE_OK, NDIS_OBJECT_HEADER, NDIS_OBJECT_TYPE_DEFAULT,
    NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
    NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES, NDIS_PACKET_TYPE_ALL_MULTICAST,
    NDIS_PACKET_TYPE_BROADCAST, NDIS_PACKET_TYPE_DIRECTED, NDIS_PACKET_TYPE_MULTICAST,
    NDIS_PACKET_TYPE_PROMISCUOUS, NDIS_SIZEOF_LINK_STATE_REVISION_1,
    NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2, NET_IF_ACCESS_BROADCAST,
    NET_IF_CONNECTION_DEDICATED, NET_IF_DIRECTION_SENDRECEIVE, NdisInterfacePci, NdisMedium802_3,
    NdisPauseFunctionsUnsupported, NdisPhysicalMedium802_3, TRUE,
};

use super::{object_header, statistics};
use crate::nic::Link;

/// Payload of an Ethernet frame where the device says nothing sensible.
const DEFAULT_MTU: u32 = 1500;
/// Bytes of the Ethernet header.
pub const ETHERNET_HEADER: u32 = 14;
/// Bytes of an Ethernet address.
const ETHERNET_ADDRESS: u16 = 6;
/// Multicast addresses that the adapter filters.
pub const MULTICAST_LIST: u32 = 64;
/// Packet filters that the adapter has.
pub const PACKET_FILTERS: u32 = NDIS_PACKET_TYPE_DIRECTED
    | NDIS_PACKET_TYPE_MULTICAST
    | NDIS_PACKET_TYPE_ALL_MULTICAST
    | NDIS_PACKET_TYPE_BROADCAST
    | NDIS_PACKET_TYPE_PROMISCUOUS;
/// Check-for-hang calls are discouraged and find nothing that the watchdog does not: as rarely as possible.
const CHECK_FOR_HANG_SECONDS: u32 = 60;

/// Registration attributes with the adapter context.
pub fn registration(context: NDIS_HANDLE) -> NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES {
    NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES {
        Header: object_header::<NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES>(
            NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES,
            NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_1,
        ),
        MiniportAdapterContext: context,
        AttributeFlags: NDIS_MINIPORT_ATTRIBUTES_HARDWARE_DEVICE
            | NDIS_MINIPORT_ATTRIBUTES_BUS_MASTER
            | NDIS_MINIPORT_ATTRIBUTES_SURPRISE_REMOVE_OK,
        CheckForHangTimeInSeconds: CHECK_FOR_HANG_SECONDS,
        InterfaceType: NdisInterfacePci,
    }
}

/// Largest payload of an Ethernet frame, in bytes.
pub fn mtu(link: Link) -> u32 {
    if (576..=9000).contains(&link.mtu) {
        link.mtu
    } else {
        DEFAULT_MTU
    }
}

fn bits_per_second(link: Link) -> u64 {
    u64::from(link.speed_mbps) * 1_000_000
}

/// General attributes. NDIS answers the OIDs that they cover.
pub fn general(link: Link, permanent: [u8; 6], current: [u8; 6]) -> NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES {
    let mut general = NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES::zeroed();
    general.Header = NDIS_OBJECT_HEADER {
        Type: NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
        Revision: NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2,
        Size: NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2,
    };
    general.MediaType = NdisMedium802_3;
    general.PhysicalMediumType = NdisPhysicalMedium802_3;
    general.MtuSize = mtu(link);
    general.MaxXmitLinkSpeed = bits_per_second(link);
    general.MaxRcvLinkSpeed = bits_per_second(link);
    let state = link_state(link, true);
    general.XmitLinkSpeed = state.XmitLinkSpeed;
    general.RcvLinkSpeed = state.RcvLinkSpeed;
    general.MediaConnectState = state.MediaConnectState;
    general.MediaDuplexState = state.MediaDuplexState;
    general.LookaheadSize = mtu(link);
    general.MacOptions = NDIS_MAC_OPTION_COPY_LOOKAHEAD_DATA
        | NDIS_MAC_OPTION_TRANSFERS_NOT_PEND
        | NDIS_MAC_OPTION_NO_LOOPBACK;
    general.SupportedPacketFilters = PACKET_FILTERS;
    general.MaxMulticastListSize = MULTICAST_LIST;
    general.MacAddressLength = ETHERNET_ADDRESS;
    general.PermanentMacAddress[..6].copy_from_slice(&permanent);
    general.CurrentMacAddress[..6].copy_from_slice(&current);
    general.AccessType = NET_IF_ACCESS_BROADCAST;
    general.DirectionType = NET_IF_DIRECTION_SENDRECEIVE;
    general.ConnectionType = NET_IF_CONNECTION_DEDICATED;
    general.IfType = IF_TYPE_ETHERNET_CSMACD;
    general.IfConnectorPresent = TRUE;
    general.SupportedStatistics = statistics::SUPPORTED;
    general.SupportedPauseFunctions = NdisPauseFunctionsUnsupported.cast_unsigned();
    general
}

/// The link as NDIS sees it; disconnected when the device does not work.
pub fn link_state(link: Link, working: bool) -> NDIS_LINK_STATE {
    let up = link.up && working;
    let speed = if up {
        bits_per_second(link)
    } else {
        ndk_sys::NDIS_LINK_SPEED_UNKNOWN
    };
    NDIS_LINK_STATE {
        Header: NDIS_OBJECT_HEADER {
            Type: NDIS_OBJECT_TYPE_DEFAULT,
            Revision: NDIS_LINK_STATE_REVISION_1,
            Size: NDIS_SIZEOF_LINK_STATE_REVISION_1,
        },
        MediaConnectState: if up {
            MediaConnectStateConnected
        } else {
            MediaConnectStateDisconnected
        },
        MediaDuplexState: MediaDuplexStateFull,
        XmitLinkSpeed: speed,
        RcvLinkSpeed: speed,
        PauseFunctions: NdisPauseFunctionsUnsupported,
        AutoNegotiationFlags: 0,
    }
}
