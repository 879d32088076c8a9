//! DMA: scatter-gather lists and shared memory (ndis.h, wdm.h).

use crate::{
    DEVICE_OBJECT, MDL, NDIS_HANDLE, NDIS_NIC_SWITCH_VPORT_ID, NDIS_OBJECT_HEADER, NDIS_STATUS,
    PHYSICAL_ADDRESS,
};
use core::ffi::c_void;

enums! {
    /// What shared memory is for (ndis.h).
    enum NDIS_SHARED_MEMORY_USAGE {
        NdisSharedMemoryUsageUndefined = 0,
        NdisSharedMemoryUsageXmit = 1,
        NdisSharedMemoryUsageXmitHeader = 2,
        NdisSharedMemoryUsageXmitData = 3,
        NdisSharedMemoryUsageReceive = 4,
        NdisSharedMemoryUsageReceiveLookahead = 5,
        NdisSharedMemoryUsageReceivePostLookahead = 6,
        NdisSharedMemoryUsageReceiveHeader = 7,
        NdisSharedMemoryUsageReceiveData = 8,
        NdisSharedMemoryUsageOther = 9,
        NdisSharedMemoryUsageMax = 10,
    }
}

constants! {
    /// Revisions of the DMA structures (ndis.h).
    u8 {
        NDIS_SCATTER_GATHER_LIST_PARAMETERS_REVISION_1 = 1,
        NDIS_SG_DMA_DESCRIPTION_REVISION_1 = 1,
        NDIS_SHARED_MEMORY_PARAMETERS_REVISION_1 = 1,
        NDIS_SHARED_MEMORY_PARAMETERS_REVISION_2 = 2,
        NDIS_SHARED_MEMORY_PROVIDER_CHARACTERISTICS_REVISION_1 = 1,
    }

    /// Sizes of the DMA structures by revision (ndis.h).
    u16 {
        NDIS_SIZEOF_SCATTER_GATHER_LIST_PARAMETERS_REVISION_1 = 0x48,
        NDIS_SIZEOF_SG_DMA_DESCRIPTION_REVISION_1 = 0x24,
        NDIS_SIZEOF_SHARED_MEMORY_PARAMETERS_REVISION_1 = 0x40,
        NDIS_SIZEOF_SHARED_MEMORY_PARAMETERS_REVISION_2 = 0x44,
        NDIS_SIZEOF_SHARED_MEMORY_PROVIDER_CHARACTERISTICS_REVISION_1 = 0x20,
    }

    /// [`NDIS_SG_DMA_DESCRIPTION::Flags`] (ndis.h).
    u32 {
        NDIS_SG_DMA_64_BIT_ADDRESS = 1,
        NDIS_SG_DMA_V3_HAL_API = 2,
    }

    /// Direction of a transfer for `NdisMAllocateNetBufferSGList` (ndis.h).
    u32 {
        NDIS_SG_LIST_WRITE_TO_DEVICE = 1,
    }
}

functions! {
    /// Gets the scatter-gather list of a net buffer. `DISPATCH_LEVEL` (ndis.h).
    fn MINIPORT_PROCESS_SG_LIST(
        pDO: *mut DEVICE_OBJECT,
        Reserved: *mut c_void,
        pSGL: *mut SCATTER_GATHER_LIST,
        Context: *mut c_void,
    );

    /// Gets memory of an asynchronous shared memory allocation. `PASSIVE_LEVEL` (ndis.h).
    fn MINIPORT_ALLOCATE_SHARED_MEM_COMPLETE(
        MiniportAdapterContext: NDIS_HANDLE,
        VirtualAddress: *mut c_void,
        PhysicalAddress: *mut PHYSICAL_ADDRESS,
        Length: u32,
        Context: *mut c_void,
    );

    /// Gets the list of `NdisBuildScatterGatherList`. `DISPATCH_LEVEL` (ndis.h).
    fn NDIS_PROCESS_SG_LIST(
        DeviceObject: *mut DEVICE_OBJECT,
        Reserved: *mut c_void,
        ScatterGatherListBuffer: *mut SCATTER_GATHER_LIST,
        Context: *mut c_void,
    );

    /// Allocates shared memory for the miniport's clients (ndis.h).
    fn ALLOCATE_SHARED_MEMORY_HANDLER(
        ProviderContext: NDIS_HANDLE,
        SharedMemoryParameters: *mut NDIS_SHARED_MEMORY_PARAMETERS,
        pSharedMemoryProviderContext: *mut *mut c_void,
    ) -> NDIS_STATUS;

    /// Frees what [`ALLOCATE_SHARED_MEMORY_HANDLER`] allocated (ndis.h).
    fn FREE_SHARED_MEMORY_HANDLER(ProviderContext: NDIS_HANDLE, SharedMemoryProviderContext: NDIS_HANDLE);
}

layouts! {
    /// The adapter's DMA abilities, for `NdisMRegisterScatterGatherDma` (ndis.h).
    pub struct NDIS_SG_DMA_DESCRIPTION: 0x28 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u32,
        MaximumPhysicalMapping @ 0x8: u32,
        ProcessSGListHandler @ 0x10: Option<MINIPORT_PROCESS_SG_LIST>,
        SharedMemAllocateCompleteHandler @ 0x18: Option<MINIPORT_ALLOCATE_SHARED_MEM_COMPLETE>,
        ScatterGatherListSize @ 0x20: u32,
    }

    /// One piece of a buffer by bus address (wdm.h).
    pub struct SCATTER_GATHER_ELEMENT: 0x18 {
        Address @ 0x0: PHYSICAL_ADDRESS,
        Length @ 0x8: u32,
        Reserved @ 0x10: usize,
    }

    /// A buffer by bus addresses; `Elements` has `NumberOfElements` entries (wdm.h).
    pub struct SCATTER_GATHER_LIST: 0x10 {
        NumberOfElements @ 0x0: u32,
        Reserved @ 0x8: usize,
        Elements @ 0x10: [SCATTER_GATHER_ELEMENT; 0],
    }

    /// Parameters of `NdisBuildScatterGatherList` (ndis.h).
    pub struct NDIS_SCATTER_GATHER_LIST_PARAMETERS: 0x48 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u32,
        QueueId @ 0x8: u32,
        SharedMemoryUsage @ 0xc: NDIS_SHARED_MEMORY_USAGE,
        Mdl @ 0x10: *mut MDL,
        CurrentVa @ 0x18: *mut c_void,
        Length @ 0x20: u32,
        ProcessSGListHandler @ 0x28: Option<NDIS_PROCESS_SG_LIST>,
        Context @ 0x30: *mut c_void,
        ScatterGatherListBuffer @ 0x38: *mut SCATTER_GATHER_LIST,
        ScatterGatherListBufferSize @ 0x40: u32,
        ScatterGatherListBufferSizeNeeded @ 0x44: u32,
    }

    /// Parameters of `NdisAllocateSharedMemory` (ndis.h).
    pub struct NDIS_SHARED_MEMORY_PARAMETERS: 0x48 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u32,
        QueueId @ 0x8: u32,
        SharedMemoryHandle @ 0x10: NDIS_HANDLE,
        PreferredNode @ 0x18: u32,
        Usage @ 0x1c: NDIS_SHARED_MEMORY_USAGE,
        Length @ 0x20: u32,
        VirtualAddress @ 0x28: *mut c_void,
        SGListBufferLength @ 0x30: u32,
        SGListBuffer @ 0x38: *mut SCATTER_GATHER_LIST,
        VPortId @ 0x40: NDIS_NIC_SWITCH_VPORT_ID,
    }

    /// Shared memory handlers, for `NdisSetOptionalHandlers` (ndis.h).
    pub struct NDIS_SHARED_MEMORY_PROVIDER_CHARACTERISTICS: 0x20 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        Flags @ 0x4: u32,
        ProviderContext @ 0x8: NDIS_HANDLE,
        AllocateSharedMemoryHandler @ 0x10: Option<ALLOCATE_SHARED_MEMORY_HANDLER>,
        FreeSharedMemoryHandler @ 0x18: Option<FREE_SHARED_MEMORY_HANDLER>,
    }
}
