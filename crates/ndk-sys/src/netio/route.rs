//! Routes, paths and neighbours (netioapi.h).

use crate::{BOOLEAN, MIB_NOTIFICATION_TYPE, NET_IFINDEX, NET_LUID, SOCKADDR_INET};
use core::ffi::c_void;

enums! {
    /// How a route was learned (nldef.h).
    enum NL_ROUTE_PROTOCOL {
        RouteProtocolOther = 1,
        RouteProtocolLocal = 2,
        RouteProtocolNetMgmt = 3,
        RouteProtocolIcmp = 4,
        RouteProtocolEgp = 5,
        RouteProtocolGgp = 6,
        RouteProtocolHello = 7,
        RouteProtocolRip = 8,
        RouteProtocolIsIs = 9,
        RouteProtocolEsIs = 10,
        RouteProtocolCisco = 11,
        RouteProtocolBbn = 12,
        RouteProtocolOspf = 13,
        RouteProtocolBgp = 14,
        RouteProtocolIdpr = 15,
        RouteProtocolEigrp = 16,
        RouteProtocolDvmrp = 17,
        RouteProtocolRpl = 18,
        RouteProtocolDhcp = 19,
        MIB_IPPROTO_OTHER = 1,
        PROTO_IP_OTHER = 1,
        MIB_IPPROTO_LOCAL = 2,
        PROTO_IP_LOCAL = 2,
        MIB_IPPROTO_NETMGMT = 3,
        PROTO_IP_NETMGMT = 3,
        MIB_IPPROTO_ICMP = 4,
        PROTO_IP_ICMP = 4,
        MIB_IPPROTO_EGP = 5,
        PROTO_IP_EGP = 5,
        MIB_IPPROTO_GGP = 6,
        PROTO_IP_GGP = 6,
        MIB_IPPROTO_HELLO = 7,
        PROTO_IP_HELLO = 7,
        MIB_IPPROTO_RIP = 8,
        PROTO_IP_RIP = 8,
        MIB_IPPROTO_IS_IS = 9,
        PROTO_IP_IS_IS = 9,
        MIB_IPPROTO_ES_IS = 10,
        PROTO_IP_ES_IS = 10,
        MIB_IPPROTO_CISCO = 11,
        PROTO_IP_CISCO = 11,
        MIB_IPPROTO_BBN = 12,
        PROTO_IP_BBN = 12,
        MIB_IPPROTO_OSPF = 13,
        PROTO_IP_OSPF = 13,
        MIB_IPPROTO_BGP = 14,
        PROTO_IP_BGP = 14,
        MIB_IPPROTO_IDPR = 15,
        PROTO_IP_IDPR = 15,
        MIB_IPPROTO_EIGRP = 16,
        PROTO_IP_EIGRP = 16,
        MIB_IPPROTO_DVMRP = 17,
        PROTO_IP_DVMRP = 17,
        MIB_IPPROTO_RPL = 18,
        PROTO_IP_RPL = 18,
        MIB_IPPROTO_DHCP = 19,
        PROTO_IP_DHCP = 19,
        MIB_IPPROTO_NT_AUTOSTATIC = 10002,
        PROTO_IP_NT_AUTOSTATIC = 10002,
        MIB_IPPROTO_NT_STATIC = 10006,
        PROTO_IP_NT_STATIC = 10006,
        MIB_IPPROTO_NT_STATIC_NON_DOD = 10007,
        PROTO_IP_NT_STATIC_NON_DOD = 10007,
    }

    /// Where a route comes from (nldef.h).
    enum NL_ROUTE_ORIGIN {
        NlroManual = 0,
        NlroWellKnown = 1,
        NlroDHCP = 2,
        NlroRouterAdvertisement = 3,
        Nlro6to4 = 4,
    }

    /// What is known of a neighbour (nldef.h).
    enum NL_NEIGHBOR_STATE {
        NlnsUnreachable = 0,
        NlnsIncomplete = 1,
        NlnsProbe = 2,
        NlnsDelay = 3,
        NlnsStale = 4,
        NlnsReachable = 5,
        NlnsPermanent = 6,
        NlnsMaximum = 7,
    }
}

functions! {
    /// Reports a change of a route. `PASSIVE_LEVEL` (netioapi.h).
    fn PIPFORWARD_CHANGE_CALLBACK(
        CallerContext: *mut c_void,
        Row: *mut MIB_IPFORWARD_ROW2,
        NotificationType: MIB_NOTIFICATION_TYPE,
    );
}

layouts! {
    /// An address and the length of its prefix in bits (netioapi.h).
    pub struct IP_ADDRESS_PREFIX: 0x20 {
        Prefix @ 0x0: SOCKADDR_INET,
        PrefixLength @ 0x1c: u8,
    }

    /// A route (netioapi.h).
    pub struct MIB_IPFORWARD_ROW2: 0x68 {
        InterfaceLuid @ 0x0: NET_LUID,
        InterfaceIndex @ 0x8: NET_IFINDEX,
        DestinationPrefix @ 0xc: IP_ADDRESS_PREFIX,
        NextHop @ 0x2c: SOCKADDR_INET,
        SitePrefixLength @ 0x48: u8,
        ValidLifetime @ 0x4c: u32,
        PreferredLifetime @ 0x50: u32,
        Metric @ 0x54: u32,
        Protocol @ 0x58: NL_ROUTE_PROTOCOL,
        Loopback @ 0x5c: BOOLEAN,
        AutoconfigureAddress @ 0x5d: BOOLEAN,
        Publish @ 0x5e: BOOLEAN,
        Immortal @ 0x5f: BOOLEAN,
        Age @ 0x60: u32,
        Origin @ 0x64: NL_ROUTE_ORIGIN,
    }

    /// Routes; `Table` has `NumEntries` entries (netioapi.h).
    pub struct MIB_IPFORWARD_TABLE2: 0x70 {
        NumEntries @ 0x0: u32,
        Table @ 0x8: [MIB_IPFORWARD_ROW2; 1],
    }

    /// A neighbour and its hardware address (netioapi.h).
    pub struct MIB_IPNET_ROW2: 0x58 {
        Address @ 0x0: SOCKADDR_INET,
        InterfaceIndex @ 0x1c: NET_IFINDEX,
        InterfaceLuid @ 0x20: NET_LUID,
        PhysicalAddress @ 0x28: [u8; 32],
        PhysicalAddressLength @ 0x48: u32,
        State @ 0x4c: NL_NEIGHBOR_STATE,
        u_ @ 0x50: MIB_IPNET_ROW2_u_,
        ReachabilityTime @ 0x54: MIB_IPNET_ROW2_ReachabilityTime_,
    }

    /// Anonymous union in [`MIB_IPNET_ROW2`].
    pub union MIB_IPNET_ROW2_u_: 0x1 {
        s_ @ 0x0: MIB_IPNET_ROW2_u_s_,
        Flags @ 0x0: u8,
    }

    /// Anonymous struct in [`MIB_IPNET_ROW2_u_`].
    pub struct MIB_IPNET_ROW2_u_s_: 0x1 {
        bits_ @ 0x0: u8,
    }
    bits bits_ {
        IsRouter / set_IsRouter @ 0: 1,
        IsUnreachable / set_IsUnreachable @ 1: 1,
    }

    /// Anonymous union in [`MIB_IPNET_ROW2`].
    pub union MIB_IPNET_ROW2_ReachabilityTime_: 0x4 {
        LastReachable @ 0x0: u32,
        LastUnreachable @ 0x0: u32,
    }

    /// Neighbours; `Table` has `NumEntries` entries (netioapi.h).
    pub struct MIB_IPNET_TABLE2: 0x60 {
        NumEntries @ 0x0: u32,
        Table @ 0x8: [MIB_IPNET_ROW2; 1],
    }

    /// A path (netioapi.h).
    pub struct MIB_IPPATH_ROW: 0x88 {
        Source @ 0x0: SOCKADDR_INET,
        Destination @ 0x1c: SOCKADDR_INET,
        InterfaceLuid @ 0x38: NET_LUID,
        InterfaceIndex @ 0x40: NET_IFINDEX,
        CurrentNextHop @ 0x44: SOCKADDR_INET,
        PathMtu @ 0x60: u32,
        RttMean @ 0x64: u32,
        RttDeviation @ 0x68: u32,
        u_ @ 0x6c: MIB_IPPATH_ROW_u_,
        IsReachable @ 0x70: BOOLEAN,
        LinkTransmitSpeed @ 0x78: u64,
        LinkReceiveSpeed @ 0x80: u64,
    }

    /// Anonymous union in [`MIB_IPPATH_ROW`].
    pub union MIB_IPPATH_ROW_u_: 0x4 {
        LastReachable @ 0x0: u32,
        LastUnreachable @ 0x0: u32,
    }

    /// Paths; `Table` has `NumEntries` entries (netioapi.h).
    pub struct MIB_IPPATH_TABLE: 0x90 {
        NumEntries @ 0x0: u32,
        Table @ 0x8: [MIB_IPPATH_ROW; 1],
    }
}
