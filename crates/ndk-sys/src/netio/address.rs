//! IP addresses of interfaces (netioapi.h).

use crate::{BOOLEAN, LARGE_INTEGER, MIB_NOTIFICATION_TYPE, NET_IFINDEX, NET_LUID, SCOPE_ID, SOCKADDR_INET};
use core::ffi::c_void;

enums! {
    /// Where an address prefix comes from (nldef.h).
    enum NL_PREFIX_ORIGIN {
        IpPrefixOriginOther = 0,
        IpPrefixOriginManual = 1,
        IpPrefixOriginWellKnown = 2,
        IpPrefixOriginDhcp = 3,
        IpPrefixOriginRouterAdvertisement = 4,
        IpPrefixOriginUnchanged = 16,
    }

    /// Where the rest of an address comes from (nldef.h).
    enum NL_SUFFIX_ORIGIN {
        NlsoOther = 0,
        NlsoManual = 1,
        NlsoWellKnown = 2,
        NlsoDhcp = 3,
        NlsoLinkLayerAddress = 4,
        NlsoRandom = 5,
        IpSuffixOriginOther = 0,
        IpSuffixOriginManual = 1,
        IpSuffixOriginWellKnown = 2,
        IpSuffixOriginDhcp = 3,
        IpSuffixOriginLinkLayerAddress = 4,
        IpSuffixOriginRandom = 5,
        IpSuffixOriginUnchanged = 16,
    }

    /// State of duplicate address detection (nldef.h).
    enum NL_DAD_STATE {
        NldsInvalid = 0,
        NldsTentative = 1,
        NldsDuplicate = 2,
        NldsDeprecated = 3,
        NldsPreferred = 4,
        IpDadStateInvalid = 0,
        IpDadStateTentative = 1,
        IpDadStateDuplicate = 2,
        IpDadStateDeprecated = 3,
        IpDadStatePreferred = 4,
    }
}

functions! {
    /// Reports a change of a unicast address. `PASSIVE_LEVEL` (netioapi.h).
    fn PUNICAST_IPADDRESS_CHANGE_CALLBACK(
        CallerContext: *mut c_void,
        Row: *mut MIB_UNICASTIPADDRESS_ROW,
        NotificationType: MIB_NOTIFICATION_TYPE,
    );

    /// Gets the addresses when they are stable. `PASSIVE_LEVEL` (netioapi.h).
    fn PSTABLE_UNICAST_IPADDRESS_TABLE_CALLBACK(
        CallerContext: *mut c_void,
        AddressTable: *mut MIB_UNICASTIPADDRESS_TABLE,
    );
}

layouts! {
    /// A unicast address (netioapi.h).
    pub struct MIB_UNICASTIPADDRESS_ROW: 0x50 {
        Address @ 0x0: SOCKADDR_INET,
        InterfaceLuid @ 0x20: NET_LUID,
        InterfaceIndex @ 0x28: NET_IFINDEX,
        PrefixOrigin @ 0x2c: NL_PREFIX_ORIGIN,
        SuffixOrigin @ 0x30: NL_SUFFIX_ORIGIN,
        ValidLifetime @ 0x34: u32,
        PreferredLifetime @ 0x38: u32,
        OnLinkPrefixLength @ 0x3c: u8,
        SkipAsSource @ 0x3d: BOOLEAN,
        DadState @ 0x40: NL_DAD_STATE,
        ScopeId @ 0x44: SCOPE_ID,
        CreationTimeStamp @ 0x48: LARGE_INTEGER,
    }

    /// Unicast addresses; `Table` has `NumEntries` entries (netioapi.h).
    pub struct MIB_UNICASTIPADDRESS_TABLE: 0x58 {
        NumEntries @ 0x0: u32,
        Table @ 0x8: [MIB_UNICASTIPADDRESS_ROW; 1],
    }

    /// An anycast address (netioapi.h).
    pub struct MIB_ANYCASTIPADDRESS_ROW: 0x30 {
        Address @ 0x0: SOCKADDR_INET,
        InterfaceLuid @ 0x20: NET_LUID,
        InterfaceIndex @ 0x28: NET_IFINDEX,
        ScopeId @ 0x2c: SCOPE_ID,
    }

    /// Anycast addresses; `Table` has `NumEntries` entries (netioapi.h).
    pub struct MIB_ANYCASTIPADDRESS_TABLE: 0x38 {
        NumEntries @ 0x0: u32,
        Table @ 0x8: [MIB_ANYCASTIPADDRESS_ROW; 1],
    }

    /// A multicast address (netioapi.h).
    pub struct MIB_MULTICASTIPADDRESS_ROW: 0x30 {
        Address @ 0x0: SOCKADDR_INET,
        InterfaceIndex @ 0x1c: NET_IFINDEX,
        InterfaceLuid @ 0x20: NET_LUID,
        ScopeId @ 0x28: SCOPE_ID,
    }

    /// Multicast addresses; `Table` has `NumEntries` entries (netioapi.h).
    pub struct MIB_MULTICASTIPADDRESS_TABLE: 0x38 {
        NumEntries @ 0x0: u32,
        Table @ 0x8: [MIB_MULTICASTIPADDRESS_ROW; 1],
    }
}
