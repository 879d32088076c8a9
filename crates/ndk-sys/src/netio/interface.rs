//! Interfaces (netioapi.h, ifdef.h).

use crate::{
    ADDRESS_FAMILY, BOOLEAN, GUID, NDIS_MEDIUM, NDIS_PHYSICAL_MEDIUM, NET_IF_ACCESS_TYPE,
    NET_IF_ADMIN_STATUS, NET_IF_CONNECTION_TYPE, NET_IF_DIRECTION_TYPE, NET_IF_MEDIA_CONNECT_STATE,
    NET_IFINDEX,
};
use core::ffi::c_void;

enums! {
    /// What happened to an entry (netioapi.h).
    enum MIB_NOTIFICATION_TYPE {
        MibParameterNotification = 0,
        MibAddInstance = 1,
        MibDeleteInstance = 2,
        MibInitialNotification = 3,
    }

    /// What state the interface is in (ifdef.h).
    enum IF_OPER_STATUS {
        IfOperStatusUp = 1,
        IfOperStatusDown = 2,
        IfOperStatusTesting = 3,
        IfOperStatusUnknown = 4,
        IfOperStatusDormant = 5,
        IfOperStatusNotPresent = 6,
        IfOperStatusLowerLayerDown = 7,
    }

    /// How the interface tunnels (ifdef.h).
    enum TUNNEL_TYPE {
        TUNNEL_TYPE_NONE = 0,
        TUNNEL_TYPE_OTHER = 1,
        TUNNEL_TYPE_DIRECT = 2,
        TUNNEL_TYPE_6TO4 = 11,
        TUNNEL_TYPE_ISATAP = 13,
        TUNNEL_TYPE_TEREDO = 14,
        TUNNEL_TYPE_IPHTTPS = 15,
    }

    /// Whether routers are discovered (nldef.h).
    enum NL_ROUTER_DISCOVERY_BEHAVIOR {
        RouterDiscoveryDisabled = 0,
        RouterDiscoveryEnabled = 1,
        RouterDiscoveryDhcp = 2,
        RouterDiscoveryUnchanged = -1,
    }

    /// Whether there is a link-local address (nldef.h).
    enum NL_LINK_LOCAL_ADDRESS_BEHAVIOR {
        LinkLocalAlwaysOff = 0,
        LinkLocalDelayed = 1,
        LinkLocalAlwaysOn = 2,
        LinkLocalUnchanged = -1,
    }
}

functions! {
    /// Reports a change of an IP interface. `PASSIVE_LEVEL` (netioapi.h).
    fn PIPINTERFACE_CHANGE_CALLBACK(
        CallerContext: *mut c_void,
        Row: *mut MIB_IPINTERFACE_ROW,
        NotificationType: MIB_NOTIFICATION_TYPE,
    );
}

layouts! {
    /// Identity of a network interface, the same after a restart (ifdef.h).
    pub struct NET_LUID: 0x8 {
        Value @ 0x0: u64,
    }
    bits Value {
        Reserved / set_Reserved @ 0: 24,
        NetLuidIndex / set_NetLuidIndex @ 24: 24,
        IfType / set_IfType @ 48: 16,
    }

    /// Offloads of an IP interface (nldef.h).
    pub struct NL_INTERFACE_OFFLOAD_ROD: 0x1 {
        bits_ @ 0x0: u8,
    }
    bits bits_ {
        NlChecksumSupported / set_NlChecksumSupported @ 0: 1,
        NlOptionsSupported / set_NlOptionsSupported @ 1: 1,
        TlDatagramChecksumSupported / set_TlDatagramChecksumSupported @ 2: 1,
        TlStreamChecksumSupported / set_TlStreamChecksumSupported @ 3: 1,
        TlStreamOptionsSupported / set_TlStreamOptionsSupported @ 4: 1,
        FastPathCompatible / set_FastPathCompatible @ 5: 1,
        TlLargeSendOffloadSupported / set_TlLargeSendOffloadSupported @ 6: 1,
        TlGiantSendOffloadSupported / set_TlGiantSendOffloadSupported @ 7: 1,
    }

    /// An interface (netioapi.h).
    pub struct MIB_IF_ROW2: 0x548 {
        InterfaceLuid @ 0x0: NET_LUID,
        InterfaceIndex @ 0x8: NET_IFINDEX,
        InterfaceGuid @ 0xc: GUID,
        Alias @ 0x1c: [u16; 257],
        Description @ 0x21e: [u16; 257],
        PhysicalAddressLength @ 0x420: u32,
        PhysicalAddress @ 0x424: [u8; 32],
        PermanentPhysicalAddress @ 0x444: [u8; 32],
        Mtu @ 0x464: u32,
        Type @ 0x468: u32,
        TunnelType @ 0x46c: TUNNEL_TYPE,
        MediaType @ 0x470: NDIS_MEDIUM,
        PhysicalMediumType @ 0x474: NDIS_PHYSICAL_MEDIUM,
        AccessType @ 0x478: NET_IF_ACCESS_TYPE,
        DirectionType @ 0x47c: NET_IF_DIRECTION_TYPE,
        InterfaceAndOperStatusFlags @ 0x480: MIB_IF_ROW2_InterfaceAndOperStatusFlags_,
        OperStatus @ 0x484: IF_OPER_STATUS,
        AdminStatus @ 0x488: NET_IF_ADMIN_STATUS,
        MediaConnectState @ 0x48c: NET_IF_MEDIA_CONNECT_STATE,
        NetworkGuid @ 0x490: GUID,
        ConnectionType @ 0x4a0: NET_IF_CONNECTION_TYPE,
        TransmitLinkSpeed @ 0x4a8: u64,
        ReceiveLinkSpeed @ 0x4b0: u64,
        InOctets @ 0x4b8: u64,
        InUcastPkts @ 0x4c0: u64,
        InNUcastPkts @ 0x4c8: u64,
        InDiscards @ 0x4d0: u64,
        InErrors @ 0x4d8: u64,
        InUnknownProtos @ 0x4e0: u64,
        InUcastOctets @ 0x4e8: u64,
        InMulticastOctets @ 0x4f0: u64,
        InBroadcastOctets @ 0x4f8: u64,
        OutOctets @ 0x500: u64,
        OutUcastPkts @ 0x508: u64,
        OutNUcastPkts @ 0x510: u64,
        OutDiscards @ 0x518: u64,
        OutErrors @ 0x520: u64,
        OutUcastOctets @ 0x528: u64,
        OutMulticastOctets @ 0x530: u64,
        OutBroadcastOctets @ 0x538: u64,
        OutQLen @ 0x540: u64,
    }

    /// Anonymous struct in [`MIB_IF_ROW2`].
    pub struct MIB_IF_ROW2_InterfaceAndOperStatusFlags_: 0x1 {
        bits_ @ 0x0: u8,
    }
    bits bits_ {
        HardwareInterface / set_HardwareInterface @ 0: 1,
        FilterInterface / set_FilterInterface @ 1: 1,
        ConnectorPresent / set_ConnectorPresent @ 2: 1,
        NotAuthenticated / set_NotAuthenticated @ 3: 1,
        NotMediaConnected / set_NotMediaConnected @ 4: 1,
        Paused / set_Paused @ 5: 1,
        LowPower / set_LowPower @ 6: 1,
        EndPointInterface / set_EndPointInterface @ 7: 1,
    }

    /// Interfaces; `Table` has `NumEntries` entries (netioapi.h).
    pub struct MIB_IF_TABLE2: 0x550 {
        NumEntries @ 0x0: u32,
        Table @ 0x8: [MIB_IF_ROW2; 1],
    }

    /// An IP interface (netioapi.h).
    pub struct MIB_IPINTERFACE_ROW: 0xa8 {
        Family @ 0x0: ADDRESS_FAMILY,
        InterfaceLuid @ 0x8: NET_LUID,
        InterfaceIndex @ 0x10: NET_IFINDEX,
        MaxReassemblySize @ 0x14: u32,
        InterfaceIdentifier @ 0x18: u64,
        MinRouterAdvertisementInterval @ 0x20: u32,
        MaxRouterAdvertisementInterval @ 0x24: u32,
        AdvertisingEnabled @ 0x28: BOOLEAN,
        ForwardingEnabled @ 0x29: BOOLEAN,
        WeakHostSend @ 0x2a: BOOLEAN,
        WeakHostReceive @ 0x2b: BOOLEAN,
        UseAutomaticMetric @ 0x2c: BOOLEAN,
        UseNeighborUnreachabilityDetection @ 0x2d: BOOLEAN,
        ManagedAddressConfigurationSupported @ 0x2e: BOOLEAN,
        OtherStatefulConfigurationSupported @ 0x2f: BOOLEAN,
        AdvertiseDefaultRoute @ 0x30: BOOLEAN,
        RouterDiscoveryBehavior @ 0x34: NL_ROUTER_DISCOVERY_BEHAVIOR,
        DadTransmits @ 0x38: u32,
        BaseReachableTime @ 0x3c: u32,
        RetransmitTime @ 0x40: u32,
        PathMtuDiscoveryTimeout @ 0x44: u32,
        LinkLocalAddressBehavior @ 0x48: NL_LINK_LOCAL_ADDRESS_BEHAVIOR,
        LinkLocalAddressTimeout @ 0x4c: u32,
        ZoneIndices @ 0x50: [u32; 16],
        SitePrefixLength @ 0x90: u32,
        Metric @ 0x94: u32,
        NlMtu @ 0x98: u32,
        Connected @ 0x9c: BOOLEAN,
        SupportsWakeUpPatterns @ 0x9d: BOOLEAN,
        SupportsNeighborDiscovery @ 0x9e: BOOLEAN,
        SupportsRouterDiscovery @ 0x9f: BOOLEAN,
        ReachableTime @ 0xa0: u32,
        TransmitOffload @ 0xa4: NL_INTERFACE_OFFLOAD_ROD,
        ReceiveOffload @ 0xa5: NL_INTERFACE_OFFLOAD_ROD,
        DisableDefaultRoutes @ 0xa6: BOOLEAN,
    }

    /// IP interfaces; `Table` has `NumEntries` entries (netioapi.h).
    pub struct MIB_IPINTERFACE_TABLE: 0xb0 {
        NumEntries @ 0x0: u32,
        Table @ 0x8: [MIB_IPINTERFACE_ROW; 1],
    }

    /// Which interface is below which (netioapi.h).
    pub struct MIB_INVERTEDIFSTACK_ROW: 0x8 {
        LowerLayerInterfaceIndex @ 0x0: NET_IFINDEX,
        HigherLayerInterfaceIndex @ 0x4: NET_IFINDEX,
    }

    /// Which interfaces are below which; `Table` has `NumEntries` entries (netioapi.h).
    pub struct MIB_INVERTEDIFSTACK_TABLE: 0xc {
        NumEntries @ 0x0: u32,
        Table @ 0x4: [MIB_INVERTEDIFSTACK_ROW; 1],
    }

    /// Which interface is above which (netioapi.h).
    pub struct MIB_IFSTACK_ROW: 0x8 {
        HigherLayerInterfaceIndex @ 0x0: NET_IFINDEX,
        LowerLayerInterfaceIndex @ 0x4: NET_IFINDEX,
    }

    /// Which interfaces are above which; `Table` has `NumEntries` entries (netioapi.h).
    pub struct MIB_IFSTACK_TABLE: 0xc {
        NumEntries @ 0x0: u32,
        Table @ 0x4: [MIB_IFSTACK_ROW; 1],
    }
}
