//! Interrupts (ndis.h).

use crate::{BOOLEAN, IO_INTERRUPT_MESSAGE_INFO, NDIS_HANDLE, NDIS_OBJECT_HEADER};
use core::ffi::c_void;

enums! {
    /// How the interrupt was connected (ndis.h).
    enum NDIS_INTERRUPT_TYPE {
        NDIS_CONNECT_LINE_BASED = 1,
        NDIS_CONNECT_MESSAGE_BASED = 2,
    }

    /// What `NdisMConfigMSIXTableEntry` does (ndis.h).
    enum NDIS_MSIX_TABLE_CONFIG {
        NdisMSIXTableConfigSetTableEntry = 0,
        NdisMSIXTableConfigMaskTableEntry = 1,
        NdisMSIXTableConfigUnmaskTableEntry = 2,
        NdisMSIXTableConfigMax = 3,
    }
}

constants! {
    /// Revisions of the interrupt structures (ndis.h).
    u8 {
        NDIS_MINIPORT_INTERRUPT_REVISION_1 = 1,
        NDIS_MSIX_CONFIG_PARAMETERS_REVISION_1 = 1,
    }

    /// Sizes of the interrupt structures by revision (ndis.h).
    u16 {
        NDIS_SIZEOF_MINIPORT_INTERRUPT_CHARACTERISTICS_REVISION_1 = 0x60,
        NDIS_SIZEOF_MSIX_CONFIG_PARAMETERS_REVISION_1 = 0x10,
    }
}

functions! {
    /// Handles a line interrupt at device IRQL; TRUE if it was the adapter's (ndis.h).
    fn MINIPORT_ISR(
        MiniportInterruptContext: NDIS_HANDLE,
        QueueDefaultInterruptDpc: *mut BOOLEAN,
        TargetProcessors: *mut u32,
    ) -> BOOLEAN;

    /// Continues [`MINIPORT_ISR`] at `DISPATCH_LEVEL` (ndis.h).
    fn MINIPORT_INTERRUPT_DPC(
        MiniportInterruptContext: NDIS_HANDLE,
        MiniportDpcContext: *mut c_void,
        ReceiveThrottleParameters: *mut c_void,
        NdisReserved2: *mut c_void,
    );

    /// Disables the interrupt, for diagnosis (ndis.h).
    fn MINIPORT_DISABLE_INTERRUPT(MiniportInterruptContext: NDIS_HANDLE);

    /// Enables the interrupt, for diagnosis (ndis.h).
    fn MINIPORT_ENABLE_INTERRUPT(MiniportInterruptContext: NDIS_HANDLE);

    /// Handles an MSI or MSI-X message at device IRQL (ndis.h).
    fn MINIPORT_MESSAGE_INTERRUPT(
        MiniportInterruptContext: NDIS_HANDLE,
        MessageId: u32,
        QueueDefaultInterruptDpc: *mut BOOLEAN,
        TargetProcessors: *mut u32,
    ) -> BOOLEAN;

    /// Continues [`MINIPORT_MESSAGE_INTERRUPT`] at `DISPATCH_LEVEL` (ndis.h).
    fn MINIPORT_MESSAGE_INTERRUPT_DPC(
        MiniportInterruptContext: NDIS_HANDLE,
        MessageId: u32,
        MiniportDpcContext: *mut c_void,
        ReceiveThrottleParameters: *mut c_void,
        NdisReserved2: *mut c_void,
    );

    /// Disables a message, for diagnosis (ndis.h).
    fn MINIPORT_DISABLE_MESSAGE_INTERRUPT(MiniportInterruptContext: NDIS_HANDLE, MessageId: u32);

    /// Enables a message, for diagnosis (ndis.h).
    fn MINIPORT_ENABLE_MESSAGE_INTERRUPT(MiniportInterruptContext: NDIS_HANDLE, MessageId: u32);

    /// Runs at device IRQL, with the interrupt's lock, for `NdisMSynchronizeWithInterruptEx` (ndis.h).
    fn MINIPORT_SYNCHRONIZE_INTERRUPT(SynchronizeContext: NDIS_HANDLE) -> BOOLEAN;
}

layouts! {
    /// How much a DPC may indicate, and whether more is pending (ndis.h).
    pub struct NDIS_RECEIVE_THROTTLE_PARAMETERS: 0x8 {
        MaxNblsToIndicate @ 0x0: u32,
        bits_ @ 0x4: u32,
    }
    bits bits_ {
        MoreNblsPending / set_MoreNblsPending @ 32: 1,
    }

    /// Interrupt handlers, for `NdisMRegisterInterruptEx` (ndis.h).
    pub struct NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS: 0x60 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        InterruptHandler @ 0x8: Option<MINIPORT_ISR>,
        InterruptDpcHandler @ 0x10: Option<MINIPORT_INTERRUPT_DPC>,
        DisableInterruptHandler @ 0x18: Option<MINIPORT_DISABLE_INTERRUPT>,
        EnableInterruptHandler @ 0x20: Option<MINIPORT_ENABLE_INTERRUPT>,
        MsiSupported @ 0x28: BOOLEAN,
        MsiSyncWithAllMessages @ 0x29: BOOLEAN,
        MessageInterruptHandler @ 0x30: Option<MINIPORT_MESSAGE_INTERRUPT>,
        MessageInterruptDpcHandler @ 0x38: Option<MINIPORT_MESSAGE_INTERRUPT_DPC>,
        DisableMessageInterruptHandler @ 0x40: Option<MINIPORT_DISABLE_MESSAGE_INTERRUPT>,
        EnableMessageInterruptHandler @ 0x48: Option<MINIPORT_ENABLE_MESSAGE_INTERRUPT>,
        InterruptType @ 0x50: NDIS_INTERRUPT_TYPE,
        MessageInfoTable @ 0x58: *mut IO_INTERRUPT_MESSAGE_INFO,
    }

    /// An MSI-X table change, for `NdisMConfigMSIXTableEntry` (ndis.h).
    pub struct NDIS_MSIX_CONFIG_PARAMETERS: 0x10 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        ConfigOperation @ 0x4: NDIS_MSIX_TABLE_CONFIG,
        TableEntry @ 0x8: u32,
        MessageNumber @ 0xc: u32,
    }
}
