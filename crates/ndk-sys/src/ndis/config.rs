//! Configuration from the registry, timers and work items (ndis.h).

use crate::{KEVENT, KIRQL, KSPIN_LOCK, NDIS_HANDLE, NDIS_OBJECT_HEADER, NDIS_STRING};
use core::ffi::c_void;

enums! {
    /// Type of a configuration value (ndis.h).
    enum NDIS_PARAMETER_TYPE {
        NdisParameterInteger = 0,
        NdisParameterHexInteger = 1,
        NdisParameterString = 2,
        NdisParameterMultiString = 3,
        NdisParameterBinary = 4,
    }
}

constants! {
    /// Revisions of the configuration and timer structures (ndis.h).
    u8 {
        NDIS_CONFIGURATION_OBJECT_REVISION_1 = 1,
        NDIS_TIMER_CHARACTERISTICS_REVISION_1 = 1,
    }

    /// Sizes of the configuration and timer structures by revision (ndis.h).
    u16 {
        NDIS_SIZEOF_CONFIGURATION_OBJECT_REVISION_1 = 0x14,
        NDIS_SIZEOF_TIMER_CHARACTERISTICS_REVISION_1 = 0x18,
    }
}

functions! {
    /// Runs when a timer expires. `DISPATCH_LEVEL` (ndis.h).
    fn NDIS_TIMER_FUNCTION(
        SystemSpecific1: *mut c_void,
        FunctionContext: *mut c_void,
        SystemSpecific2: *mut c_void,
        SystemSpecific3: *mut c_void,
    );

    /// Runs a queued work item. `PASSIVE_LEVEL` (ndis.h).
    fn NDIS_IO_WORKITEM_FUNCTION(WorkItemContext: *mut c_void, NdisIoWorkItemHandle: NDIS_HANDLE);
}

layouts! {
    /// A spin lock of NDIS (ndis.h).
    pub struct NDIS_SPIN_LOCK: 0x10 {
        SpinLock @ 0x0: KSPIN_LOCK,
        OldIrql @ 0x8: KIRQL,
    }

    /// An event of NDIS (ndis.h).
    pub struct NDIS_EVENT: 0x18 {
        Event @ 0x0: KEVENT,
    }

    /// Whose configuration to open, for `NdisOpenConfigurationEx` (ndis.h).
    pub struct NDIS_CONFIGURATION_OBJECT: 0x18 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        NdisHandle @ 0x8: NDIS_HANDLE,
        Flags @ 0x10: u32,
    }

    /// A binary configuration value (ndis.h).
    pub struct BINARY_DATA: 0x10 {
        Length @ 0x0: u16,
        Buffer @ 0x8: *mut c_void,
    }

    /// A configuration value (ndis.h).
    pub struct NDIS_CONFIGURATION_PARAMETER: 0x18 {
        ParameterType @ 0x0: NDIS_PARAMETER_TYPE,
        ParameterData @ 0x8: NDIS_CONFIGURATION_PARAMETER_ParameterData_,
    }

    /// Anonymous union in [`NDIS_CONFIGURATION_PARAMETER`].
    pub union NDIS_CONFIGURATION_PARAMETER_ParameterData_: 0x10 {
        IntegerData @ 0x0: u32,
        StringData @ 0x0: NDIS_STRING,
        BinaryData @ 0x0: BINARY_DATA,
    }

    /// A timer's function, for `NdisAllocateTimerObject` (ndis.h).
    pub struct NDIS_TIMER_CHARACTERISTICS: 0x18 {
        Header @ 0x0: NDIS_OBJECT_HEADER,
        AllocationTag @ 0x4: u32,
        TimerFunction @ 0x8: Option<NDIS_TIMER_FUNCTION>,
        FunctionContext @ 0x10: *mut c_void,
    }
}
