//! Net buffers, net buffer lists and their pools (ndis.h).
//!
//! The headers wrap the members of a net buffer in unions with the older names of the same storage; here they
//! are members of the structure itself.

use crate::{
    BOOLEAN, MDL, NDIS_HANDLE, NDIS_OBJECT_HEADER, NDIS_PHYSICAL_ADDRESS, NDIS_STATUS, SCATTER_GATHER_LIST,
};
use core::ffi::c_void;

constants! {
    /// Revisions of the pool parameters (ndis.h).
    u8 {
        NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1 = 1,
        NET_BUFFER_POOL_PARAMETERS_REVISION_1 = 1,
    }

    /// Sizes of the pool parameters by revision (ndis.h).
    u16 {
        NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1 = 0x10,
        NDIS_SIZEOF_NET_BUFFER_POOL_PARAMETERS_REVISION_1 = 0xc,
    }

    /// [`NET_BUFFER_LIST_POOL_PARAMETERS::ProtocolId`] (ndis.h).
    u8 {
        NDIS_PROTOCOL_ID_DEFAULT = 0,
        NDIS_PROTOCOL_ID_TCP_IP = 2,
        NDIS_PROTOCOL_ID_IP6 = 3,
        NDIS_PROTOCOL_ID_IPX = 6,
        NDIS_PROTOCOL_ID_NBF = 7,
        NDIS_PROTOCOL_ID_MASK = 0xf,
        NDIS_PROTOCOL_ID_MAX = 0xf,
    }

    /// Flags of a net buffer list (ndis.h).
    u32 {
        NDIS_NBL_FLAGS_SEND_READ_ONLY = 1,
        NDIS_NBL_FLAGS_RECV_READ_ONLY = 2,
        NDIS_NBL_FLAGS_HD_SPLIT = 0x100,
        NDIS_NBL_FLAGS_IS_IPV4 = 0x200,
        NDIS_NBL_FLAGS_IS_IPV6 = 0x400,
        NDIS_NBL_FLAGS_IS_TCP = 0x800,
        NDIS_NBL_FLAGS_IS_UDP = 0x1000,
        NDIS_NBL_FLAGS_SPLIT_AT_UPPER_LAYER_PROTOCOL_HEADER = 0x2000,
        NDIS_NBL_FLAGS_SPLIT_AT_UPPER_LAYER_PROTOCOL_PAYLOAD = 0x4000,
        NDIS_NBL_FLAGS_IS_LOOPBACK_PACKET = 0x8000,
    }

    /// Flags of `MiniportSendNetBufferLists` (ndis.h).
    u32 {
        NDIS_SEND_FLAGS_DISPATCH_LEVEL = 1,
        NDIS_SEND_FLAGS_CHECK_FOR_LOOPBACK = 2,
        NDIS_SEND_FLAGS_SINGLE_QUEUE = 4,
        NDIS_SEND_FLAGS_SWITCH_DESTINATION_GROUP = 0x10,
        NDIS_SEND_FLAGS_SWITCH_SINGLE_SOURCE = 0x20,
    }

    /// Flags of `NdisMSendNetBufferListsComplete` (ndis.h).
    u32 {
        NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL = 1,
        NDIS_SEND_COMPLETE_FLAGS_SINGLE_QUEUE = 2,
        NDIS_SEND_COMPLETE_FLAGS_SWITCH_SINGLE_SOURCE = 4,
    }

    /// Flags of `NdisMIndicateReceiveNetBufferLists` (ndis.h).
    u32 {
        NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL = 1,
        NDIS_RECEIVE_FLAGS_RESOURCES = 2,
        NDIS_RECEIVE_FLAGS_SINGLE_ETHER_TYPE = 0x100,
        NDIS_RECEIVE_FLAGS_SINGLE_VLAN = 0x200,
        NDIS_RECEIVE_FLAGS_PERFECT_FILTERED = 0x400,
        NDIS_RECEIVE_FLAGS_SINGLE_QUEUE = 0x800,
        NDIS_RECEIVE_FLAGS_SHARED_MEMORY_INFO_VALID = 0x1000,
        NDIS_RECEIVE_FLAGS_MORE_NBLS = 0x2000,
        NDIS_RECEIVE_FLAGS_SWITCH_DESTINATION_GROUP = 0x4000,
        NDIS_RECEIVE_FLAGS_SWITCH_SINGLE_SOURCE = 0x8000,
    }

    /// Flags of `MiniportReturnNetBufferLists` (ndis.h).
    u32 {
        NDIS_RETURN_FLAGS_DISPATCH_LEVEL = 1,
        NDIS_RETURN_FLAGS_SINGLE_QUEUE = 2,
        NDIS_RETURN_FLAGS_SWITCH_SINGLE_SOURCE = 4,
    }
}

functions! {
    /// Allocates an MDL for [`crate::NET_BUFFER`] data (ndis.h).
    fn NET_BUFFER_ALLOCATE_MDL_HANDLER(BufferSize: *mut u32) -> *mut MDL;

    /// Frees an MDL of [`NET_BUFFER_ALLOCATE_MDL_HANDLER`] (ndis.h).
    fn NET_BUFFER_FREE_MDL_HANDLER(Mdl: *mut MDL);
}

layouts! {
    /// Length of a net buffer's data, as 32 bits and as a size (ndis.h).
    pub struct NET_BUFFER_DATA_LENGTH: 0x8 {
        stDataLength @ 0x0: usize,
    }
    also { DataLength @ 0x0 }

    /// The data members of a net buffer (ndis.h).
    pub struct NET_BUFFER_DATA: 0x30 {
        Next @ 0x0: *mut NET_BUFFER,
        CurrentMdl @ 0x8: *mut MDL,
        CurrentMdlOffset @ 0x10: u32,
        pad_ @ 0x14: u32,
        DataLength @ 0x18: u32,
        pad2_ @ 0x1c: u32,
        MdlChain @ 0x20: *mut MDL,
        DataOffset @ 0x28: u32,
    }
    also { stDataLength @ 0x18 }

    /// The data members of a net buffer, aligned for a lock-free list (ndis.h).
    #[repr(align(16))]
    pub struct NET_BUFFER_HEADER: 0x30 {
        Next @ 0x0: *mut NET_BUFFER,
        CurrentMdl @ 0x8: *mut MDL,
        CurrentMdlOffset @ 0x10: u32,
        pad_ @ 0x14: u32,
        DataLength @ 0x18: u32,
        pad2_ @ 0x1c: u32,
        MdlChain @ 0x20: *mut MDL,
        DataOffset @ 0x28: u32,
    }
    also { Link @ 0x0, stDataLength @ 0x18 }

    /// One packet: an MDL chain, and where in it the data is (ndis.h).
    #[repr(align(16))]
    pub struct NET_BUFFER: 0xb0 {
        Next @ 0x0: *mut NET_BUFFER,
        CurrentMdl @ 0x8: *mut MDL,
        CurrentMdlOffset @ 0x10: u32,
        pad_ @ 0x14: u32,
        DataLength @ 0x18: u32,
        pad2_ @ 0x1c: u32,
        MdlChain @ 0x20: *mut MDL,
        DataOffset @ 0x28: u32,
        pad3_ @ 0x2c: u32,
        ChecksumBias @ 0x30: u16,
        Reserved @ 0x32: u16,
        NdisPoolHandle @ 0x38: NDIS_HANDLE,
        NdisReserved @ 0x40: [*mut c_void; 2],
        ProtocolReserved @ 0x50: [*mut c_void; 6],
        MiniportReserved @ 0x80: [*mut c_void; 4],
        DataPhysicalAddress @ 0xa0: NDIS_PHYSICAL_ADDRESS,
        ScatterGatherList @ 0xa8: *mut SCATTER_GATHER_LIST,
    }
    also { Link @ 0x0, NetBufferHeader @ 0x0, stDataLength @ 0x18, SharedMemoryInfo @ 0xa8 }

    /// Shared memory that holds a net buffer's data (ndis.h).
    pub struct NET_BUFFER_SHARED_MEMORY: 0x20 {
        NextSharedMemorySegment @ 0x0: *mut NET_BUFFER_SHARED_MEMORY,
        SharedMemoryFlags @ 0x8: u32,
        SharedMemoryHandle @ 0x10: NDIS_HANDLE,
        SharedMemoryOffset @ 0x18: u32,
        SharedMemoryLength @ 0x1c: u32,
    }

    /// Context space of a net buffer list (ndis.h).
    #[repr(align(16))]
    pub struct NET_BUFFER_LIST_CONTEXT: 0x10 {
        Next @ 0x0: *mut NET_BUFFER_LIST_CONTEXT,
        Size @ 0x8: u16,
        Offset @ 0xa: u16,
        pad_ @ 0xc: u32,
        ContextData @ 0x10: [u8; 0],
    }

    /// The first members of a net buffer list (ndis.h).
    pub struct NET_BUFFER_LIST_DATA: 0x10 {
        Next @ 0x0: *mut NET_BUFFER_LIST,
        FirstNetBuffer @ 0x8: *mut NET_BUFFER,
    }

    /// The first members of a net buffer list, aligned for a lock-free list (ndis.h).
    #[repr(align(16))]
    pub struct NET_BUFFER_LIST_HEADER: 0x10 {
        Next @ 0x0: *mut NET_BUFFER_LIST,
        FirstNetBuffer @ 0x8: *mut NET_BUFFER,
    }
    also { Link @ 0x0 }

    /// A list of net buffers with out-of-band data. A system whose NDIS is newer appends to
    #[repr(align(16))]
    pub struct NET_BUFFER_LIST: 0x150 {
        Next @ 0x0: *mut NET_BUFFER_LIST,
        FirstNetBuffer @ 0x8: *mut NET_BUFFER,
        Context @ 0x10: *mut NET_BUFFER_LIST_CONTEXT,
        ParentNetBufferList @ 0x18: *mut NET_BUFFER_LIST,
        NdisPoolHandle @ 0x20: NDIS_HANDLE,
        pad_ @ 0x28: u64,
        NdisReserved @ 0x30: [*mut c_void; 2],
        ProtocolReserved @ 0x40: [*mut c_void; 4],
        MiniportReserved @ 0x60: [*mut c_void; 2],
        Scratch @ 0x70: *mut c_void,
        SourceHandle @ 0x78: NDIS_HANDLE,
        NblFlags @ 0x80: u32,
        ChildRefCount @ 0x84: i32,
        Flags @ 0x88: u32,
        Status @ 0x8c: NDIS_STATUS,
        NetBufferListInfo @ 0x90: [*mut c_void; 24],
    }
    also { Link @ 0x0, NetBufferListHeader @ 0x0, NdisReserved2 @ 0x8c }

    /// Parameters of `NdisAllocateNetBufferListPool` (ndis.h).
    pub struct NET_BUFFER_LIST_POOL_PARAMETERS: 0x10 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        ProtocolId @ 0x4: u8,
        fAllocateNetBuffer @ 0x5: BOOLEAN,
        ContextSize @ 0x6: u16,
        PoolTag @ 0x8: u32,
        DataSize @ 0xc: u32,
    }

    /// Parameters of `NdisAllocateNetBufferPool` (ndis.h).
    pub struct NET_BUFFER_POOL_PARAMETERS: 0xc {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        PoolTag @ 0x4: u32,
        DataSize @ 0x8: u32,
    }
}
