//! The plain types of Windows' headers, with a fixed width on every host.

use core::ffi::c_void;

use crate::{
    CM_PARTIAL_RESOURCE_LIST, LARGE_INTEGER, MDL, NET_LUID, SOCKADDR_IN6, SOCKADDR_STORAGE, UNICODE_STRING,
};

/// A status of NT: success if not negative (ntdef.h).
pub type NTSTATUS = i32;
/// A status of NDIS: an [`NTSTATUS`] with names of its own (ndis.h).
pub type NDIS_STATUS = i32;
/// A handle that NDIS or a driver hands out (ndis.h).
pub type NDIS_HANDLE = *mut c_void;
/// A handle of NT (ntdef.h).
pub type HANDLE = *mut c_void;
/// TRUE (1, or any other value) or FALSE (0) (ntdef.h).
pub type BOOLEAN = u8;
/// The true [`BOOLEAN`] (ntdef.h).
pub const TRUE: BOOLEAN = 1;
/// The false [`BOOLEAN`] (ntdef.h).
pub const FALSE: BOOLEAN = 0;
/// An interrupt request level (wdm.h).
pub type KIRQL = u8;
/// A set of processors of one group (basetsd.h).
pub type KAFFINITY = usize;
/// A spin lock (wdm.h).
pub type KSPIN_LOCK = usize;
/// An object identifier (ntddndis.h).
pub type NDIS_OID = u32;
/// A port of an adapter; 0 is the default port (ntddndis.h).
pub type NDIS_PORT_NUMBER = u32;
/// Index of a network interface (ifdef.h).
pub type NET_IFINDEX = u32;
/// IANA's type of a network interface (ifdef.h).
pub type NET_IFTYPE = u16;
/// A network compartment (ifdef.h).
pub type NET_IF_COMPARTMENT_ID = u32;
/// An address family (ws2def.h).
pub type ADDRESS_FAMILY = u16;
/// A NIC switch (ntddndis.h).
pub type NDIS_NIC_SWITCH_ID = u32;
/// A virtual port of a NIC switch (ntddndis.h).
pub type NDIS_NIC_SWITCH_VPORT_ID = u32;

aliases! {
    /// A bus address (wdm.h).
    type PHYSICAL_ADDRESS = LARGE_INTEGER;
    /// A bus address (ndis.h).
    type NDIS_PHYSICAL_ADDRESS = LARGE_INTEGER;
    /// An address as the adapter's DMA sees it (ndkpi.h).
    type NDK_LOGICAL_ADDRESS = LARGE_INTEGER;
    /// A counted string (ndis.h).
    type NDIS_STRING = UNICODE_STRING;
    /// An MDL (ndis.h).
    type NDIS_BUFFER = MDL;
    /// Hardware resources (ndis.h).
    type NDIS_RESOURCE_LIST = CM_PARTIAL_RESOURCE_LIST;
    /// An IPv6 address and port (ws2ipdef.h).
    type SOCKADDR_IN6_LH = SOCKADDR_IN6;
    /// The identity of a network interface (ifdef.h).
    type NET_LUID_LH = NET_LUID;
    /// Room for an address of any family (ws2def.h).
    type SOCKADDR_STORAGE_LH = SOCKADDR_STORAGE;
}
