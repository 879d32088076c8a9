//! What NDIS is told about the adapter.

use ndk_sys::{
    IF_TYPE_ETHERNET_CSMACD, MediaConnectStateConnected, MediaConnectStateDisconnected, MediaDuplexStateFull,
    NDIS_HANDLE, NDIS_LINK_STATE, NDIS_LINK_STATE_REVISION_1, NDIS_MAC_OPTION_8021P_PRIORITY,
    NDIS_MAC_OPTION_8021Q_VLAN, NDIS_MAC_OPTION_COPY_LOOKAHEAD_DATA, NDIS_MAC_OPTION_NO_LOOPBACK,
    NDIS_MAC_OPTION_TRANSFERS_NOT_PEND, NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
    NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2, NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES,
    NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_1, NDIS_MINIPORT_ATTRIBUTES_BUS_MASTER,
    NDIS_MINIPORT_ATTRIBUTES_HARDWARE_DEVICE, NDIS_MINIPORT_ATTRIBUTES_NO_HALT_ON_SUSPEND,
    NDIS_MINIPORT_ATTRIBUTES_SURPRISE_REMOVE_OK, NDIS_OBJECT_HEADER, NDIS_OBJECT_TYPE_DEFAULT,
    NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
    NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES, NDIS_OBJECT_TYPE_RSS_CAPABILITIES,
    NDIS_PACKET_TYPE_ALL_MULTICAST, NDIS_PACKET_TYPE_BROADCAST, NDIS_PACKET_TYPE_DIRECTED,
    NDIS_PACKET_TYPE_MULTICAST, NDIS_PACKET_TYPE_PROMISCUOUS, NDIS_PM_CAPABILITIES,
    NDIS_PM_CAPABILITIES_REVISION_2, NDIS_RECEIVE_SCALE_CAPABILITIES,
    NDIS_RECEIVE_SCALE_CAPABILITIES_REVISION_2, NDIS_RSS_CAPS_CLASSIFICATION_AT_ISR,
    NDIS_RSS_CAPS_HASH_TYPE_TCP_IPV4, NDIS_RSS_CAPS_HASH_TYPE_TCP_IPV6,
    NDIS_RSS_CAPS_MESSAGE_SIGNALED_INTERRUPTS, NDIS_RSS_CAPS_SUPPORTS_MSI_X, NDIS_RSS_CAPS_USING_MSI_X,
    NDIS_SIZEOF_LINK_STATE_REVISION_1, NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2,
    NDIS_SIZEOF_NDIS_PM_CAPABILITIES_REVISION_2, NDIS_SIZEOF_RECEIVE_SCALE_CAPABILITIES_REVISION_2,
    NET_IF_ACCESS_BROADCAST, NET_IF_CONNECTION_DEDICATED, NET_IF_DIRECTION_SENDRECEIVE,
    NdisDeviceStateUnspecified, NdisHashFunctionToeplitz, NdisInterfacePci, NdisMedium802_3,
    NdisPauseFunctionsUnsupported, NdisPhysicalMedium802_3, TRUE,
};

use super::config::Config;
use super::ethernet::{Ethernet, MULTICAST_LIST};
use super::{object_header, statistics};
use crate::nic::{Link, Nic};

/// Entries of the indirection table.
const RSS_ENTRIES: u16 = 128;
static_assertions::const_assert_eq!(RSS_ENTRIES as usize, vrnic_abi::eth::RSS_ENTRIES);
/// Bytes of an Ethernet address.
const ETHERNET_ADDRESS: u16 = 6;
/// Packet filters that the adapter has.
pub const PACKET_FILTERS: u32 = NDIS_PACKET_TYPE_DIRECTED
    | NDIS_PACKET_TYPE_MULTICAST
    | NDIS_PACKET_TYPE_ALL_MULTICAST
    | NDIS_PACKET_TYPE_BROADCAST
    | NDIS_PACKET_TYPE_PROMISCUOUS;
/// How often NDIS asks whether a reset would help: once the watchdog has found that the device has failed, it does.
const CHECK_FOR_HANG_SECONDS: u32 = 4;

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
            | NDIS_MINIPORT_ATTRIBUTES_SURPRISE_REMOVE_OK
            | NDIS_MINIPORT_ATTRIBUTES_NO_HALT_ON_SUSPEND,
        CheckForHangTimeInSeconds: CHECK_FOR_HANG_SECONDS,
        InterfaceType: NdisInterfacePci,
    }
}

fn bits_per_second(link: Link) -> u64 {
    u64::from(link.speed_mbps) * 1_000_000
}

/// General attributes. NDIS answers the OIDs that they cover.
pub fn general(nic: &Nic, ethernet: &Ethernet, config: &Config) -> NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES {
    let link = nic.link();
    let mut general = NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES::zeroed();
    general.Header = NDIS_OBJECT_HEADER {
        Type: NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
        Revision: NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2,
        Size: NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2,
    };
    general.MediaType = NdisMedium802_3;
    general.PhysicalMediumType = NdisPhysicalMedium802_3;
    general.MtuSize = ethernet.mtu();
    general.MaxXmitLinkSpeed = bits_per_second(link);
    general.MaxRcvLinkSpeed = bits_per_second(link);
    let state = link_state(link, true);
    general.XmitLinkSpeed = state.XmitLinkSpeed;
    general.RcvLinkSpeed = state.RcvLinkSpeed;
    general.MediaConnectState = state.MediaConnectState;
    general.MediaDuplexState = state.MediaDuplexState;
    general.LookaheadSize = ethernet.mtu();
    general.MacOptions = NDIS_MAC_OPTION_COPY_LOOKAHEAD_DATA
        | NDIS_MAC_OPTION_TRANSFERS_NOT_PEND
        | NDIS_MAC_OPTION_NO_LOOPBACK;
    if config.priority {
        general.MacOptions |= NDIS_MAC_OPTION_8021P_PRIORITY;
    }
    if config.vlan {
        general.MacOptions |= NDIS_MAC_OPTION_8021Q_VLAN;
    }
    general.SupportedPacketFilters = PACKET_FILTERS;
    general.MaxMulticastListSize = MULTICAST_LIST.into();
    general.MacAddressLength = ETHERNET_ADDRESS;
    general.PermanentMacAddress[..6].copy_from_slice(&nic.mac());
    general.CurrentMacAddress[..6].copy_from_slice(&nic.current_mac());
    general.AccessType = NET_IF_ACCESS_BROADCAST;
    general.DirectionType = NET_IF_DIRECTION_SENDRECEIVE;
    general.ConnectionType = NET_IF_CONNECTION_DEDICATED;
    general.IfType = IF_TYPE_ETHERNET_CSMACD;
    general.IfConnectorPresent = TRUE;
    general.SupportedStatistics = statistics::SUPPORTED;
    general.SupportedPauseFunctions = NdisPauseFunctionsUnsupported.cast_unsigned();
    general
}

/// What receive side scaling can do with so many queues.
pub fn scaling(queues: usize, messages: u16) -> NDIS_RECEIVE_SCALE_CAPABILITIES {
    NDIS_RECEIVE_SCALE_CAPABILITIES {
        Header: NDIS_OBJECT_HEADER {
            Type: NDIS_OBJECT_TYPE_RSS_CAPABILITIES,
            Revision: NDIS_RECEIVE_SCALE_CAPABILITIES_REVISION_2,
            Size: NDIS_SIZEOF_RECEIVE_SCALE_CAPABILITIES_REVISION_2,
        },
        CapabilitiesFlags: NDIS_RSS_CAPS_MESSAGE_SIGNALED_INTERRUPTS
            | NDIS_RSS_CAPS_CLASSIFICATION_AT_ISR
            | NDIS_RSS_CAPS_SUPPORTS_MSI_X
            | NDIS_RSS_CAPS_USING_MSI_X
            | NDIS_RSS_CAPS_HASH_TYPE_TCP_IPV4
            | NDIS_RSS_CAPS_HASH_TYPE_TCP_IPV6
            | NdisHashFunctionToeplitz,
        NumberOfInterruptMessages: messages.into(),
        NumberOfReceiveQueues: u32::try_from(queues).unwrap_or(1),
        NumberOfIndirectionTableEntries: RSS_ENTRIES,
    }
}

/// What the adapter can do while it sleeps: nothing, and nothing wakes it.
pub fn power() -> NDIS_PM_CAPABILITIES {
    NDIS_PM_CAPABILITIES {
        Header: NDIS_OBJECT_HEADER {
            Type: NDIS_OBJECT_TYPE_DEFAULT,
            Revision: NDIS_PM_CAPABILITIES_REVISION_2,
            Size: NDIS_SIZEOF_NDIS_PM_CAPABILITIES_REVISION_2,
        },
        MinMagicPacketWakeUp: NdisDeviceStateUnspecified,
        MinPatternWakeUp: NdisDeviceStateUnspecified,
        MinLinkChangeWakeUp: NdisDeviceStateUnspecified,
        ..NDIS_PM_CAPABILITIES::zeroed()
    }
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
