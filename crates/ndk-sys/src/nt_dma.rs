//! The DMA adapter of a device, with which a driver maps memory for it (wdm.h). NDIS has functions of its own for Ethernet;
//! these are for everything else.

use crate::{BOOLEAN, DEVICE_OBJECT, INTERFACE_TYPE, MDL, NTSTATUS, PHYSICAL_ADDRESS, SCATTER_GATHER_LIST};
use core::ffi::c_void;

constants! {
    /// [`DEVICE_DESCRIPTION::Version`] of a driver that uses the functions from `GetDmaAdapterInfo` on (wdm.h).
    u32 {
        DEVICE_DESCRIPTION_VERSION3 = 3,
    }

    /// Bytes of a DMA transfer context on x64 (wdm.h).
    usize {
        DMA_TRANSFER_CONTEXT_SIZE_V1 = 128,
    }

    /// Flag of [`GET_SCATTER_GATHER_LIST_EX`]: answers at once or fails, never waits (wdm.h).
    u32 {
        DMA_SYNCHRONOUS_CALLBACK = 1,
    }
}

functions! {
    /// Gives the adapter back. `PASSIVE_LEVEL` (wdm.h).
    fn PUT_DMA_ADAPTER(DmaAdapter: *mut DMA_ADAPTER);

    /// Makes a transfer context ready for one transfer. IRQL <= `DISPATCH_LEVEL` (wdm.h).
    fn INITIALIZE_DMA_TRANSFER_CONTEXT(
        DmaAdapter: *mut DMA_ADAPTER,
        DmaTransferContext: *mut c_void,
    ) -> NTSTATUS;

    /// Maps a part of an MDL chain for the device. With [`DMA_SYNCHRONOUS_CALLBACK`] and no execution routine the list comes
    /// back through the last parameter. IRQL <= `DISPATCH_LEVEL` (wdm.h).
    fn GET_SCATTER_GATHER_LIST_EX(
        DmaAdapter: *mut DMA_ADAPTER,
        DeviceObject: *mut DEVICE_OBJECT,
        DmaTransferContext: *mut c_void,
        Mdl: *mut MDL,
        Offset: u64,
        Length: u32,
        Flags: u32,
        ExecutionRoutine: *mut c_void,
        Context: *mut c_void,
        WriteToDevice: BOOLEAN,
        DmaCompletionRoutine: *mut c_void,
        CompletionContext: *mut c_void,
        ScatterGatherList: *mut *mut SCATTER_GATHER_LIST,
    ) -> NTSTATUS;

    /// Ends a mapping and frees its list. IRQL <= `DISPATCH_LEVEL` (wdm.h).
    fn PUT_SCATTER_GATHER_LIST(
        DmaAdapter: *mut DMA_ADAPTER,
        ScatterGather: *mut SCATTER_GATHER_LIST,
        WriteToDevice: BOOLEAN,
    );
}

layouts! {
    /// What a device can do, for `IoGetDmaAdapter` (wdm.h).
    pub struct DEVICE_DESCRIPTION: 0x40 {
        Version @ 0x0: u32,
        Master @ 0x4: BOOLEAN,
        ScatterGather @ 0x5: BOOLEAN,
        DemandMode @ 0x6: BOOLEAN,
        AutoInitialize @ 0x7: BOOLEAN,
        Dma32BitAddresses @ 0x8: BOOLEAN,
        IgnoreCount @ 0x9: BOOLEAN,
        Reserved1 @ 0xa: BOOLEAN,
        Dma64BitAddresses @ 0xb: BOOLEAN,
        BusNumber @ 0xc: u32,
        DmaChannel @ 0x10: u32,
        InterfaceType @ 0x14: INTERFACE_TYPE,
        DmaWidth @ 0x18: i32,
        DmaSpeed @ 0x1c: i32,
        MaximumLength @ 0x20: u32,
        DmaPort @ 0x24: u32,
        DmaAddressWidth @ 0x28: u32,
        DmaControllerInstance @ 0x2c: u32,
        DmaRequestLine @ 0x30: u32,
        DeviceAddress @ 0x38: PHYSICAL_ADDRESS,
    }

    /// A device's DMA adapter; the system's data follows (wdm.h).
    pub struct DMA_ADAPTER: 0x10 {
        Version @ 0x0: u16,
        Size @ 0x2: u16,
        DmaOperations @ 0x8: *mut DMA_OPERATIONS,
    }

    /// Functions of a DMA adapter. The slots that this crate does not name a type for are plain pointers (wdm.h).
    pub struct DMA_OPERATIONS: 0x110 {
        Size @ 0x0: u32,
        PutDmaAdapter @ 0x8: Option<PUT_DMA_ADAPTER>,
        AllocateCommonBuffer @ 0x10: *mut c_void,
        FreeCommonBuffer @ 0x18: *mut c_void,
        AllocateAdapterChannel @ 0x20: *mut c_void,
        FlushAdapterBuffers @ 0x28: *mut c_void,
        FreeAdapterChannel @ 0x30: *mut c_void,
        FreeMapRegisters @ 0x38: *mut c_void,
        MapTransfer @ 0x40: *mut c_void,
        GetDmaAlignment @ 0x48: *mut c_void,
        ReadDmaCounter @ 0x50: *mut c_void,
        GetScatterGatherList @ 0x58: *mut c_void,
        PutScatterGatherList @ 0x60: Option<PUT_SCATTER_GATHER_LIST>,
        CalculateScatterGatherList @ 0x68: *mut c_void,
        BuildScatterGatherList @ 0x70: *mut c_void,
        BuildMdlFromScatterGatherList @ 0x78: *mut c_void,
        GetDmaAdapterInfo @ 0x80: *mut c_void,
        GetDmaTransferInfo @ 0x88: *mut c_void,
        InitializeDmaTransferContext @ 0x90: Option<INITIALIZE_DMA_TRANSFER_CONTEXT>,
        AllocateCommonBufferEx @ 0x98: *mut c_void,
        AllocateAdapterChannelEx @ 0xa0: *mut c_void,
        ConfigureAdapterChannel @ 0xa8: *mut c_void,
        CancelAdapterChannel @ 0xb0: *mut c_void,
        MapTransferEx @ 0xb8: *mut c_void,
        GetScatterGatherListEx @ 0xc0: Option<GET_SCATTER_GATHER_LIST_EX>,
        BuildScatterGatherListEx @ 0xc8: *mut c_void,
        FlushAdapterBuffersEx @ 0xd0: *mut c_void,
        FreeAdapterObject @ 0xd8: *mut c_void,
        CancelMappedTransfer @ 0xe0: *mut c_void,
        AllocateDomainCommonBuffer @ 0xe8: *mut c_void,
        FlushDmaBuffer @ 0xf0: *mut c_void,
        JoinDmaDomain @ 0xf8: *mut c_void,
        LeaveDmaDomain @ 0x100: *mut c_void,
        GetDmaDomain @ 0x108: *mut c_void,
    }
}
