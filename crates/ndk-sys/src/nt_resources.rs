//! Hardware resources and interrupt messages (wdm.h).

use crate::{KAFFINITY, KIRQL, PHYSICAL_ADDRESS};
use core::ffi::c_void;

enums! {
    /// Kinds of bus (wdm.h).
    enum INTERFACE_TYPE {
        InterfaceTypeUndefined = -1,
        Internal = 0,
        Isa = 1,
        Eisa = 2,
        MicroChannel = 3,
        TurboChannel = 4,
        PCIBus = 5,
        VMEBus = 6,
        NuBus = 7,
        PCMCIABus = 8,
        CBus = 9,
        MPIBus = 10,
        MPSABus = 11,
        ProcessorInternal = 12,
        InternalPowerBus = 13,
        PNPISABus = 14,
        PNPBus = 15,
        Vmcs = 16,
        ACPIBus = 17,
        MaximumInterfaceType = 18,
    }

    /// Whether an interrupt is level-triggered or a message or edge (wdm.h).
    enum KINTERRUPT_MODE {
        LevelSensitive = 0,
        Latched = 1,
    }

    /// Which level or edge is active (wdm.h).
    enum KINTERRUPT_POLARITY {
        InterruptPolarityUnknown = 0,
        InterruptActiveHigh = 1,
        InterruptRisingEdge = 1,
        InterruptActiveLow = 2,
        InterruptFallingEdge = 2,
        InterruptActiveBoth = 3,
        InterruptActiveBothTriggerLow = 3,
        InterruptActiveBothTriggerHigh = 4,
    }
}

constants! {
    /// [`CM_PARTIAL_RESOURCE_DESCRIPTOR::Type`] (wdm.h).
    u8 {
        CmResourceTypeNull = 0,
        CmResourceTypePort = 1,
        CmResourceTypeInterrupt = 2,
        CmResourceTypeMemory = 3,
        CmResourceTypeDma = 4,
        CmResourceTypeDeviceSpecific = 5,
        CmResourceTypeBusNumber = 6,
        CmResourceTypeMemoryLarge = 7,
    }

    /// Flags of an interrupt resource (wdm.h).
    u16 {
        CM_RESOURCE_INTERRUPT_LEVEL_SENSITIVE = 0,
        CM_RESOURCE_INTERRUPT_LATCHED = 1,
        CM_RESOURCE_INTERRUPT_MESSAGE = 2,
    }

    /// Flags of a memory resource (wdm.h).
    u16 {
        CM_RESOURCE_MEMORY_READ_WRITE = 0,
        CM_RESOURCE_MEMORY_READ_ONLY = 1,
        CM_RESOURCE_MEMORY_PREFETCHABLE = 4,
        CM_RESOURCE_MEMORY_BAR = 0x80,
    }
}

layouts! {
    /// One hardware resource; `Type` tells the member of `u` (wdm.h).
    #[repr(packed(4))]
    pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR: 0x14 {
        Type @ 0x0: u8,
        ShareDisposition @ 0x1: u8,
        Flags @ 0x2: u16,
        u @ 0x4: CM_PARTIAL_RESOURCE_DESCRIPTOR_u_,
    }

    /// Anonymous union in [`CM_PARTIAL_RESOURCE_DESCRIPTOR`].
    #[repr(packed(4))]
    pub union CM_PARTIAL_RESOURCE_DESCRIPTOR_u_: 0x10 {
        Generic @ 0x0: CM_PARTIAL_RESOURCE_DESCRIPTOR_u_Generic_,
        Port @ 0x0: CM_PARTIAL_RESOURCE_DESCRIPTOR_u_Port_,
        Interrupt @ 0x0: CM_PARTIAL_RESOURCE_DESCRIPTOR_u_Interrupt_,
        MessageInterrupt @ 0x0: CM_PARTIAL_RESOURCE_DESCRIPTOR_u_MessageInterrupt_,
        Memory @ 0x0: CM_PARTIAL_RESOURCE_DESCRIPTOR_u_Memory_,
        Dma @ 0x0: CM_PARTIAL_RESOURCE_DESCRIPTOR_u_Dma_,
        DmaV3 @ 0x0: CM_PARTIAL_RESOURCE_DESCRIPTOR_u_DmaV3_,
        DevicePrivate @ 0x0: CM_PARTIAL_RESOURCE_DESCRIPTOR_u_DevicePrivate_,
        BusNumber @ 0x0: CM_PARTIAL_RESOURCE_DESCRIPTOR_u_BusNumber_,
        DeviceSpecificData @ 0x0: CM_PARTIAL_RESOURCE_DESCRIPTOR_u_DeviceSpecificData_,
        Memory40 @ 0x0: CM_PARTIAL_RESOURCE_DESCRIPTOR_u_Memory40_,
        Memory48 @ 0x0: CM_PARTIAL_RESOURCE_DESCRIPTOR_u_Memory48_,
        Memory64 @ 0x0: CM_PARTIAL_RESOURCE_DESCRIPTOR_u_Memory64_,
        Connection @ 0x0: CM_PARTIAL_RESOURCE_DESCRIPTOR_u_Connection_,
    }

    /// Anonymous struct in [`CM_PARTIAL_RESOURCE_DESCRIPTOR_u_`].
    #[repr(packed(4))]
    pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_u_Generic_: 0xc {
        Start @ 0x0: PHYSICAL_ADDRESS,
        Length @ 0x8: u32,
    }

    /// Anonymous struct in [`CM_PARTIAL_RESOURCE_DESCRIPTOR_u_`].
    #[repr(packed(4))]
    pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_u_Port_: 0xc {
        Start @ 0x0: PHYSICAL_ADDRESS,
        Length @ 0x8: u32,
    }

    /// Anonymous struct in [`CM_PARTIAL_RESOURCE_DESCRIPTOR_u_`].
    #[repr(packed(4))]
    pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_u_Interrupt_: 0x10 {
        Level @ 0x0: u32,
        Vector @ 0x4: u32,
        Affinity @ 0x8: KAFFINITY,
    }

    /// Anonymous struct in [`CM_PARTIAL_RESOURCE_DESCRIPTOR_u_`].
    #[repr(packed(4))]
    pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_u_MessageInterrupt_: 0x10 {
        u_ @ 0x0: CM_PARTIAL_RESOURCE_DESCRIPTOR_u_MessageInterrupt_u_,
    }

    /// Anonymous union in [`CM_PARTIAL_RESOURCE_DESCRIPTOR_u_MessageInterrupt_`].
    #[repr(packed(4))]
    pub union CM_PARTIAL_RESOURCE_DESCRIPTOR_u_MessageInterrupt_u_: 0x10 {
        Raw @ 0x0: CM_PARTIAL_RESOURCE_DESCRIPTOR_u_MessageInterrupt_u_Raw_,
        Translated @ 0x0: CM_PARTIAL_RESOURCE_DESCRIPTOR_u_MessageInterrupt_u_Translated_,
    }

    /// Anonymous struct in [`CM_PARTIAL_RESOURCE_DESCRIPTOR_u_MessageInterrupt_u_`].
    #[repr(packed(4))]
    pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_u_MessageInterrupt_u_Raw_: 0x10 {
        Reserved @ 0x0: u16,
        MessageCount @ 0x2: u16,
        Vector @ 0x4: u32,
        Affinity @ 0x8: KAFFINITY,
    }

    /// Anonymous struct in [`CM_PARTIAL_RESOURCE_DESCRIPTOR_u_MessageInterrupt_u_`].
    #[repr(packed(4))]
    pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_u_MessageInterrupt_u_Translated_: 0x10 {
        Level @ 0x0: u32,
        Vector @ 0x4: u32,
        Affinity @ 0x8: KAFFINITY,
    }

    /// Anonymous struct in [`CM_PARTIAL_RESOURCE_DESCRIPTOR_u_`].
    #[repr(packed(4))]
    pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_u_Memory_: 0xc {
        Start @ 0x0: PHYSICAL_ADDRESS,
        Length @ 0x8: u32,
    }

    /// Anonymous struct in [`CM_PARTIAL_RESOURCE_DESCRIPTOR_u_`].
    pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_u_Dma_: 0xc {
        Channel @ 0x0: u32,
        Port @ 0x4: u32,
        Reserved1 @ 0x8: u32,
    }

    /// Anonymous struct in [`CM_PARTIAL_RESOURCE_DESCRIPTOR_u_`].
    pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_u_DmaV3_: 0xc {
        Channel @ 0x0: u32,
        RequestLine @ 0x4: u32,
        TransferWidth @ 0x8: u8,
        Reserved1 @ 0x9: u8,
        Reserved2 @ 0xa: u8,
        Reserved3 @ 0xb: u8,
    }

    /// Anonymous struct in [`CM_PARTIAL_RESOURCE_DESCRIPTOR_u_`].
    pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_u_DevicePrivate_: 0xc {
        Data @ 0x0: [u32; 3],
    }

    /// Anonymous struct in [`CM_PARTIAL_RESOURCE_DESCRIPTOR_u_`].
    pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_u_BusNumber_: 0xc {
        Start @ 0x0: u32,
        Length @ 0x4: u32,
        Reserved @ 0x8: u32,
    }

    /// Anonymous struct in [`CM_PARTIAL_RESOURCE_DESCRIPTOR_u_`].
    pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_u_DeviceSpecificData_: 0xc {
        DataSize @ 0x0: u32,
        Reserved1 @ 0x4: u32,
        Reserved2 @ 0x8: u32,
    }

    /// Anonymous struct in [`CM_PARTIAL_RESOURCE_DESCRIPTOR_u_`].
    #[repr(packed(4))]
    pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_u_Memory40_: 0xc {
        Start @ 0x0: PHYSICAL_ADDRESS,
        Length40 @ 0x8: u32,
    }

    /// Anonymous struct in [`CM_PARTIAL_RESOURCE_DESCRIPTOR_u_`].
    #[repr(packed(4))]
    pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_u_Memory48_: 0xc {
        Start @ 0x0: PHYSICAL_ADDRESS,
        Length48 @ 0x8: u32,
    }

    /// Anonymous struct in [`CM_PARTIAL_RESOURCE_DESCRIPTOR_u_`].
    #[repr(packed(4))]
    pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_u_Memory64_: 0xc {
        Start @ 0x0: PHYSICAL_ADDRESS,
        Length64 @ 0x8: u32,
    }

    /// Anonymous struct in [`CM_PARTIAL_RESOURCE_DESCRIPTOR_u_`].
    pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR_u_Connection_: 0xc {
        Class @ 0x0: u8,
        Type @ 0x1: u8,
        Reserved1 @ 0x2: u8,
        Reserved2 @ 0x3: u8,
        IdLowPart @ 0x4: u32,
        IdHighPart @ 0x8: u32,
    }

    /// Hardware resources; `PartialDescriptors` has `Count` entries (wdm.h).
    pub struct CM_PARTIAL_RESOURCE_LIST: 0x1c {
        Version @ 0x0: u16,
        Revision @ 0x2: u16,
        Count @ 0x4: u32,
        PartialDescriptors @ 0x8: [CM_PARTIAL_RESOURCE_DESCRIPTOR; 1],
    }

    /// Hardware resources on one bus (wdm.h).
    pub struct CM_FULL_RESOURCE_DESCRIPTOR: 0x24 {
        InterfaceType @ 0x0: INTERFACE_TYPE,
        BusNumber @ 0x4: u32,
        PartialResourceList @ 0x8: CM_PARTIAL_RESOURCE_LIST,
    }

    /// Hardware resources; `List` has `Count` entries of varying length (wdm.h).
    pub struct CM_RESOURCE_LIST: 0x28 {
        Count @ 0x0: u32,
        List @ 0x4: [CM_FULL_RESOURCE_DESCRIPTOR; 1],
    }

    /// One connected interrupt message (wdm.h).
    pub struct IO_INTERRUPT_MESSAGE_INFO_ENTRY: 0x30 {
        MessageAddress @ 0x0: PHYSICAL_ADDRESS,
        TargetProcessorSet @ 0x8: KAFFINITY,
        InterruptObject @ 0x10: *mut c_void,
        MessageData @ 0x18: u32,
        Vector @ 0x1c: u32,
        Irql @ 0x20: KIRQL,
        Mode @ 0x24: KINTERRUPT_MODE,
        Polarity @ 0x28: KINTERRUPT_POLARITY,
    }

    /// The connected interrupt messages; `MessageInfo` has `MessageCount` entries (wdm.h).
    pub struct IO_INTERRUPT_MESSAGE_INFO: 0x38 {
        UnifiedIrql @ 0x0: KIRQL,
        MessageCount @ 0x4: u32,
        MessageInfo @ 0x8: [IO_INTERRUPT_MESSAGE_INFO_ENTRY; 1],
    }
}
