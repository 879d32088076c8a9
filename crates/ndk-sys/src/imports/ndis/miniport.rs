//! Functions of ndis.sys for registration, initialisation, interrupts, DMA, requests and indications (ndis.h).

use crate::{
    BOOLEAN, CM_RESOURCE_LIST, DEVICE_OBJECT, DRIVER_OBJECT, GROUP_AFFINITY, KAFFINITY,
    MINIPORT_SYNCHRONIZE_INTERRUPT, NDIS_DEVICE_POWER_STATE, NDIS_DRIVER_OPTIONAL_HANDLERS, NDIS_HANDLE,
    NDIS_MINIPORT_ADAPTER_ATTRIBUTES, NDIS_MINIPORT_DRIVER_CHARACTERISTICS,
    NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS, NDIS_MSIX_CONFIG_PARAMETERS, NDIS_OID_REQUEST,
    NDIS_PHYSICAL_ADDRESS, NDIS_PORT_NUMBER, NDIS_SG_DMA_DESCRIPTION, NDIS_STATUS, NDIS_STATUS_INDICATION,
    NET_BUFFER, NET_BUFFER_LIST, NET_PNP_EVENT_NOTIFICATION, PHYSICAL_ADDRESS, SCATTER_GATHER_LIST,
    UNICODE_STRING,
};
use core::ffi::c_void;

imports! {
    library "ndis";

    /// Registers the driver; calls its `SetOptions` handler. `PASSIVE_LEVEL`.
    fn NdisMRegisterMiniportDriver = PFN_NdisMRegisterMiniportDriver(
        DriverObject: *mut DRIVER_OBJECT,
        RegistryPath: *mut UNICODE_STRING,
        MiniportDriverContext: NDIS_HANDLE,
        MiniportDriverCharacteristics: *mut NDIS_MINIPORT_DRIVER_CHARACTERISTICS,
        NdisMiniportDriverHandle: *mut *mut c_void,
    ) -> NDIS_STATUS;

    /// Undoes `NdisMRegisterMiniportDriver`; halts the adapters. `PASSIVE_LEVEL`.
    fn NdisMDeregisterMiniportDriver = PFN_NdisMDeregisterMiniportDriver(
        NdisMiniportDriverHandle: NDIS_HANDLE,
    );

    /// Registers optional handlers, the NDK provider's for one. `PASSIVE_LEVEL`.
    fn NdisSetOptionalHandlers = PFN_NdisSetOptionalHandlers(
        NdisHandle: NDIS_HANDLE,
        OptionalHandlers: *mut NDIS_DRIVER_OPTIONAL_HANDLERS,
    ) -> NDIS_STATUS;

    /// Tells NDIS of the adapter, from inside `MiniportInitializeEx`. `PASSIVE_LEVEL`.
    fn NdisMSetMiniportAttributes = PFN_NdisMSetMiniportAttributes(
        NdisMiniportHandle: NDIS_HANDLE,
        MiniportAttributes: *mut NDIS_MINIPORT_ADAPTER_ATTRIBUTES,
    ) -> NDIS_STATUS;

    /// Asks to halt and fail the adapter after an error that it cannot leave. IRQL <= `DISPATCH_LEVEL`.
    fn NdisMRemoveMiniport = PFN_NdisMRemoveMiniport(MiniportHandle: NDIS_HANDLE) -> NDIS_STATUS;

    /// Asks NDIS to reset the adapter. IRQL <= `DISPATCH_LEVEL`.
    fn NdisMResetMiniport = PFN_NdisMResetMiniport(MiniportAdapterHandle: NDIS_HANDLE);

    /// Completes a pended pause. `PASSIVE_LEVEL`.
    fn NdisMPauseComplete = PFN_NdisMPauseComplete(MiniportAdapterHandle: NDIS_HANDLE);

    /// Completes a pended restart. `PASSIVE_LEVEL`.
    fn NdisMRestartComplete = PFN_NdisMRestartComplete(
        MiniportAdapterHandle: NDIS_HANDLE,
        Status: NDIS_STATUS,
    );

    /// Completes a pended reset. IRQL <= `DISPATCH_LEVEL`.
    fn NdisMResetComplete = PFN_NdisMResetComplete(
        MiniportAdapterHandle: NDIS_HANDLE,
        Status: NDIS_STATUS,
        AddressingReset: BOOLEAN,
    );

    /// Connects the interrupt or the messages. `PASSIVE_LEVEL`.
    fn NdisMRegisterInterruptEx = PFN_NdisMRegisterInterruptEx(
        MiniportAdapterHandle: NDIS_HANDLE,
        MiniportInterruptContext: NDIS_HANDLE,
        MiniportInterruptCharacteristics: *mut NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS,
        NdisInterruptHandle: *mut *mut c_void,
    ) -> NDIS_STATUS;

    /// Disconnects the interrupt; waits for its DPCs. `PASSIVE_LEVEL`.
    fn NdisMDeregisterInterruptEx = PFN_NdisMDeregisterInterruptEx(NdisInterruptHandle: NDIS_HANDLE);

    /// Runs a function with the interrupt's lock held. IRQL <= device IRQL.
    fn NdisMSynchronizeWithInterruptEx = PFN_NdisMSynchronizeWithInterruptEx(
        NdisInterruptHandle: NDIS_HANDLE,
        MessageId: u32,
        SynchronizeFunction: Option<MINIPORT_SYNCHRONIZE_INTERRUPT>,
        SynchronizeContext: *mut c_void,
    ) -> BOOLEAN;

    /// Queues interrupt DPCs to processors of group 0. Any IRQL.
    fn NdisMQueueDpc = PFN_NdisMQueueDpc(
        NdisInterruptHandle: NDIS_HANDLE,
        MessageId: u32,
        TargetProcessors: u32,
        MiniportDpcContext: *mut c_void,
    ) -> u32;

    /// Queues interrupt DPCs to processors of a group. Any IRQL.
    fn NdisMQueueDpcEx = PFN_NdisMQueueDpcEx(
        NdisInterruptHandle: NDIS_HANDLE,
        MessageId: u32,
        TargetProcessors: *mut GROUP_AFFINITY,
        MiniportDpcContext: *mut c_void,
    ) -> KAFFINITY;

    /// Changes the MSI-X table. IRQL <= `DISPATCH_LEVEL`.
    fn NdisMConfigMSIXTableEntry = PFN_NdisMConfigMSIXTableEntry(
        NdisMiniportHandle: NDIS_HANDLE,
        MSIXConfigParameters: *mut NDIS_MSIX_CONFIG_PARAMETERS,
    ) -> NDIS_STATUS;

    /// Maps device memory. `PASSIVE_LEVEL`.
    fn NdisMMapIoSpace = PFN_NdisMMapIoSpace(
        VirtualAddress: *mut *mut c_void,
        MiniportAdapterHandle: NDIS_HANDLE,
        PhysicalAddress: NDIS_PHYSICAL_ADDRESS,
        Length: u32,
    ) -> NDIS_STATUS;

    /// Undoes `NdisMMapIoSpace`. `PASSIVE_LEVEL`.
    fn NdisMUnmapIoSpace = PFN_NdisMUnmapIoSpace(
        MiniportAdapterHandle: NDIS_HANDLE,
        VirtualAddress: *mut c_void,
        Length: u32,
    );

    /// Reads PCI configuration space; returns how many bytes. IRQL <= `DISPATCH_LEVEL`.
    fn NdisMGetBusData = PFN_NdisMGetBusData(
        NdisMiniportHandle: NDIS_HANDLE,
        WhichSpace: u32,
        Offset: u32,
        Buffer: *mut c_void,
        Length: u32,
    ) -> u32;

    /// Writes PCI configuration space; returns how many bytes. IRQL <= `DISPATCH_LEVEL`.
    fn NdisMSetBusData = PFN_NdisMSetBusData(
        NdisMiniportHandle: NDIS_HANDLE,
        WhichSpace: u32,
        Offset: u32,
        Buffer: *mut c_void,
        Length: u32,
    ) -> u32;

    /// Finds the device objects and resources of the adapter. `PASSIVE_LEVEL`.
    fn NdisMGetDeviceProperty = PFN_NdisMGetDeviceProperty(
        MiniportAdapterHandle: NDIS_HANDLE,
        PhysicalDeviceObject: *mut *mut DEVICE_OBJECT,
        FunctionalDeviceObject: *mut *mut DEVICE_OBJECT,
        NextDeviceObject: *mut *mut DEVICE_OBJECT,
        AllocatedResources: *mut *mut CM_RESOURCE_LIST,
        AllocatedResourcesTranslated: *mut *mut CM_RESOURCE_LIST,
    );

    /// Allocates memory for driver and device. `PASSIVE_LEVEL`.
    fn NdisMAllocateSharedMemory = PFN_NdisMAllocateSharedMemory(
        MiniportAdapterHandle: NDIS_HANDLE,
        Length: u32,
        Cached: BOOLEAN,
        VirtualAddress: *mut *mut c_void,
        PhysicalAddress: *mut PHYSICAL_ADDRESS,
    );

    /// Asks for memory for driver and device. IRQL <= `DISPATCH_LEVEL`.
    fn NdisMAllocateSharedMemoryAsyncEx = PFN_NdisMAllocateSharedMemoryAsyncEx(
        MiniportDmaHandle: NDIS_HANDLE,
        Length: u32,
        Cached: BOOLEAN,
        Context: *mut c_void,
    ) -> NDIS_STATUS;

    /// Frees memory for driver and device. `PASSIVE_LEVEL`.
    fn NdisMFreeSharedMemory = PFN_NdisMFreeSharedMemory(
        MiniportAdapterHandle: NDIS_HANDLE,
        Length: u32,
        Cached: BOOLEAN,
        VirtualAddress: *mut c_void,
        PhysicalAddress: NDIS_PHYSICAL_ADDRESS,
    );

    /// Registers the adapter's DMA. `PASSIVE_LEVEL`.
    fn NdisMRegisterScatterGatherDma = PFN_NdisMRegisterScatterGatherDma(
        MiniportAdapterHandle: NDIS_HANDLE,
        DmaDescription: *mut NDIS_SG_DMA_DESCRIPTION,
        NdisMiniportDmaHandle: *mut *mut c_void,
    ) -> NDIS_STATUS;

    /// Undoes `NdisMRegisterScatterGatherDma`. `PASSIVE_LEVEL`.
    fn NdisMDeregisterScatterGatherDma = PFN_NdisMDeregisterScatterGatherDma(
        NdisMiniportDmaHandle: NDIS_HANDLE,
    );

    /// Maps a net buffer for DMA, and calls `MiniportProcessSGList`. `DISPATCH_LEVEL`.
    fn NdisMAllocateNetBufferSGList = PFN_NdisMAllocateNetBufferSGList(
        NdisMiniportDmaHandle: NDIS_HANDLE,
        NetBuffer: *mut NET_BUFFER,
        Context: *mut c_void,
        Flags: u32,
        ScatterGatherListBuffer: *mut c_void,
        ScatterGatherListBufferSize: u32,
    ) -> NDIS_STATUS;

    /// Undoes `NdisMAllocateNetBufferSGList`. `DISPATCH_LEVEL`.
    fn NdisMFreeNetBufferSGList = PFN_NdisMFreeNetBufferSGList(
        NdisMiniportDmaHandle: NDIS_HANDLE,
        pSGL: *mut SCATTER_GATHER_LIST,
        NetBuffer: *mut NET_BUFFER,
    );

    /// Alignment that DMA needs. IRQL <= `DISPATCH_LEVEL`.
    fn NdisMGetDmaAlignment = PFN_NdisMGetDmaAlignment(MiniportAdapterHandle: NDIS_HANDLE) -> u32;

    /// Length of a cache line. Any IRQL.
    fn NdisGetSharedDataAlignment = PFN_NdisGetSharedDataAlignment() -> u32;

    /// Completes a pended OID request. IRQL <= `DISPATCH_LEVEL`.
    fn NdisMOidRequestComplete = PFN_NdisMOidRequestComplete(
        MiniportAdapterHandle: NDIS_HANDLE,
        OidRequest: *mut NDIS_OID_REQUEST,
        Status: NDIS_STATUS,
    );

    /// Completes a pended direct OID request. IRQL <= `DISPATCH_LEVEL`.
    fn NdisMDirectOidRequestComplete = PFN_NdisMDirectOidRequestComplete(
        MiniportAdapterHandle: NDIS_HANDLE,
        OidRequest: *mut NDIS_OID_REQUEST,
        Status: NDIS_STATUS,
    );

    /// Reports a status. IRQL <= `DISPATCH_LEVEL`.
    fn NdisMIndicateStatusEx = PFN_NdisMIndicateStatusEx(
        MiniportAdapterHandle: NDIS_HANDLE,
        StatusIndication: *mut NDIS_STATUS_INDICATION,
    );

    /// Reports a network plug and play event; with NDK off, returns when all NDK adapters are closed.
    /// `PASSIVE_LEVEL`.
    fn NdisMNetPnPEvent = PFN_NdisMNetPnPEvent(
        MiniportAdapterHandle: NDIS_HANDLE,
        NetPnPEventNotification: *mut NET_PNP_EVENT_NOTIFICATION,
    ) -> NDIS_STATUS;

    /// Gives sent lists back. IRQL <= `DISPATCH_LEVEL`.
    fn NdisMSendNetBufferListsComplete = PFN_NdisMSendNetBufferListsComplete(
        MiniportAdapterHandle: NDIS_HANDLE,
        NetBufferList: *mut NET_BUFFER_LIST,
        SendCompleteFlags: u32,
    );

    /// Delivers received lists. IRQL <= `DISPATCH_LEVEL`.
    fn NdisMIndicateReceiveNetBufferLists = PFN_NdisMIndicateReceiveNetBufferLists(
        MiniportAdapterHandle: NDIS_HANDLE,
        NetBufferList: *mut NET_BUFFER_LIST,
        PortNumber: NDIS_PORT_NUMBER,
        NumberOfNetBufferLists: u32,
        ReceiveFlags: u32,
    );

    /// Says that the adapter may go to low power. `PASSIVE_LEVEL`.
    fn NdisMIdleNotificationConfirm = PFN_NdisMIdleNotificationConfirm(
        MiniportAdapterHandle: NDIS_HANDLE,
        IdlePowerState: NDIS_DEVICE_POWER_STATE,
    );

    /// Says that the adapter is back at full power. `PASSIVE_LEVEL`.
    fn NdisMIdleNotificationComplete = PFN_NdisMIdleNotificationComplete(
        MiniportAdapterHandle: NDIS_HANDLE,
    );

    /// Sleeps for some microseconds. `PASSIVE_LEVEL`.
    fn NdisMSleep = PFN_NdisMSleep(MicrosecondsToSleep: u32);
}
