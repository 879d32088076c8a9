//! Socket addresses (ws2def.h, ws2ipdef.h).

use crate::ADDRESS_FAMILY;

constants! {
    /// Address families (ws2def.h).
    ADDRESS_FAMILY {
        AF_UNSPEC = 0,
        AF_INET = 2,
        AF_INET6 = 0x17,
    }

    /// Socket types (ws2def.h).
    u16 {
        SOCK_STREAM = 1,
        SOCK_DGRAM = 2,
        SOCK_RAW = 3,
    }

    /// IP protocols (ws2def.h).
    u32 {
        IPPROTO_TCP = 6,
        IPPROTO_UDP = 0x11,
    }
}

layouts! {
    /// An IPv4 address in network byte order (inaddr.h).
    pub struct IN_ADDR: 0x4 {
        S_addr @ 0x0: u32,
    }

    /// An IPv6 address in network byte order (in6addr.h).
    pub struct IN6_ADDR: 0x10 {
        Word @ 0x0: [u16; 8],
    }
    also { Byte @ 0x0 }

    /// An IPv6 scope (ws2def.h).
    pub struct SCOPE_ID: 0x4 {
        Value @ 0x0: u32,
    }
    bits Value {
        Zone / set_Zone @ 0: 28,
        Level / set_Level @ 28: 4,
    }

    /// An address of any family; `sa_family` tells which (ws2def.h).
    pub struct SOCKADDR: 0x10 {
        sa_family @ 0x0: ADDRESS_FAMILY,
        sa_data @ 0x2: [i8; 14],
    }

    /// An IPv4 address and port, in network byte order (ws2def.h).
    pub struct SOCKADDR_IN: 0x10 {
        sin_family @ 0x0: ADDRESS_FAMILY,
        sin_port @ 0x2: u16,
        sin_addr @ 0x4: IN_ADDR,
        sin_zero @ 0x8: [i8; 8],
    }

    /// An IPv6 address and port, in network byte order (ws2ipdef.h).
    pub struct SOCKADDR_IN6: 0x1c {
        sin6_family @ 0x0: ADDRESS_FAMILY,
        sin6_port @ 0x2: u16,
        sin6_flowinfo @ 0x4: u32,
        sin6_addr @ 0x8: IN6_ADDR,
        sin6_scope_id @ 0x18: u32,
    }
    also { sin6_scope_struct @ 0x18 }

    /// An IPv4 or IPv6 address and port; `si_family` tells which (ws2ipdef.h).
    pub union SOCKADDR_INET: 0x1c {
        Ipv4 @ 0x0: SOCKADDR_IN,
        Ipv6 @ 0x0: SOCKADDR_IN6,
        si_family @ 0x0: ADDRESS_FAMILY,
    }

    /// Room for an address of any family (ws2def.h).
    pub struct SOCKADDR_STORAGE: 0x80 {
        ss_family @ 0x0: ADDRESS_FAMILY,
        __ss_pad1 @ 0x2: [i8; 6],
        __ss_align @ 0x8: i64,
        __ss_pad2 @ 0x10: [i8; 112],
    }
}
