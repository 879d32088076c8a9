//! Parts of NT that NDIS and NDK structures are built of (wdm.h, ntddk.h, ntdef.h). A driver calls NT through
//! `wdk-sys`; these types have a fixed width on every host.

use crate::{BOOLEAN, HANDLE, KAFFINITY, KIRQL, KSPIN_LOCK, NTSTATUS};
use core::ffi::c_void;

enums! {
    /// How important an allocation is (wdm.h).
    enum EX_POOL_PRIORITY {
        LowPoolPriority = 0,
        LowPoolPrioritySpecialPoolOverrun = 8,
        LowPoolPrioritySpecialPoolUnderrun = 9,
        NormalPoolPriority = 16,
        NormalPoolPrioritySpecialPoolOverrun = 24,
        NormalPoolPrioritySpecialPoolUnderrun = 25,
        HighPoolPriority = 32,
        HighPoolPrioritySpecialPoolOverrun = 40,
        HighPoolPrioritySpecialPoolUnderrun = 41,
    }
}

constants! {
    /// Interrupt request levels (wdm.h).
    KIRQL {
        PASSIVE_LEVEL = 0,
        APC_LEVEL = 1,
        DISPATCH_LEVEL = 2,
        CLOCK_LEVEL = 0xd,
        IPI_LEVEL = 0xe,
        HIGH_LEVEL = 0xf,
    }

    /// [`MDL::MdlFlags`] (wdm.h).
    u16 {
        MDL_MAPPED_TO_SYSTEM_VA = 1,
        MDL_PAGES_LOCKED = 2,
        MDL_SOURCE_IS_NONPAGED_POOL = 4,
        MDL_ALLOCATED_FIXED_SIZE = 8,
        MDL_PARTIAL = 0x10,
        MDL_PARTIAL_HAS_BEEN_MAPPED = 0x20,
        MDL_IO_PAGE_READ = 0x40,
        MDL_WRITE_OPERATION = 0x80,
        MDL_LOCKED_PAGE_TABLES = 0x100,
        MDL_PARENT_MAPPED_SYSTEM_VA = 0x100,
        MDL_FREE_EXTRA_PTES = 0x200,
        MDL_DESCRIBES_AWE = 0x400,
        MDL_IO_SPACE = 0x800,
        MDL_NETWORK_HEADER = 0x1000,
        MDL_MAPPING_CAN_FAIL = 0x2000,
        MDL_ALLOCATED_MUST_SUCCEED = 0x4000,
        MDL_PAGE_CONTENTS_INVARIANT = 0x4000,
        MDL_INTERNAL = 0x8000,
    }
}

functions! {
    /// Releases everything of the driver. `PASSIVE_LEVEL` (wdm.h).
    fn DRIVER_UNLOAD(DriverObject: *mut DRIVER_OBJECT);

    /// Handles an IRP (wdm.h).
    fn DRIVER_DISPATCH(DeviceObject: *mut DEVICE_OBJECT, Irp: *mut c_void) -> NTSTATUS;

    /// A deferred procedure. `DISPATCH_LEVEL` (wdm.h).
    fn KDEFERRED_ROUTINE(
        Dpc: *mut KDPC,
        DeferredContext: *mut c_void,
        SystemArgument1: *mut c_void,
        SystemArgument2: *mut c_void,
    );

    /// The entry point of a driver. `PASSIVE_LEVEL` (wdm.h).
    fn DRIVER_INITIALIZE(DriverObject: *mut DRIVER_OBJECT, RegistryPath: *mut UNICODE_STRING) -> NTSTATUS;

    /// Starts an IRP (wdm.h).
    fn DRIVER_STARTIO(DeviceObject: *mut DEVICE_OBJECT, Irp: *mut c_void);

    /// Gets an adapter channel. `DISPATCH_LEVEL` (wdm.h).
    fn DRIVER_CONTROL(
        DeviceObject: *mut DEVICE_OBJECT,
        Irp: *mut c_void,
        MapRegisterBase: *mut c_void,
        Context: *mut c_void,
    ) -> i32;
}

layouts! {
    /// A 64-bit number of two halves (ntdef.h).
    pub struct LARGE_INTEGER: 0x8 {
        QuadPart @ 0x0: i64,
    }
    also { LowPart @ 0x0, HighPart @ 0x4 }

    /// A counted UTF-16 string; lengths in bytes (ntdef.h).
    pub struct UNICODE_STRING: 0x10 {
        Length @ 0x0: u16,
        MaximumLength @ 0x2: u16,
        Buffer @ 0x8: *mut u16,
    }

    /// Link of a doubly linked list (ntdef.h).
    pub struct LIST_ENTRY: 0x10 {
        Flink @ 0x0: *mut LIST_ENTRY,
        Blink @ 0x8: *mut LIST_ENTRY,
    }

    /// Link of a singly linked list (ntdef.h).
    pub struct SINGLE_LIST_ENTRY: 0x8 {
        Next @ 0x0: *mut SINGLE_LIST_ENTRY,
    }

    /// Link of a lock-free list (ntdef.h).
    #[repr(align(16))]
    pub struct SLIST_ENTRY: 0x10 {
        Next @ 0x0: *mut SLIST_ENTRY,
    }

    /// Head of a lock-free list (ntdef.h).
    #[repr(align(16))]
    pub struct SLIST_HEADER: 0x10 {
        Alignment @ 0x0: u64,
        Region @ 0x8: u64,
    }
    bits Alignment {
        Depth / set_Depth @ 0: 16,
        Sequence / set_Sequence @ 16: 48,
    }
    bits Region {
        Reserved / set_Reserved @ 64: 4,
        NextEntry / set_NextEntry @ 68: 60,
    }

    /// A processor by group and number (ntdef.h).
    pub struct PROCESSOR_NUMBER: 0x4 {
        Group @ 0x0: u16,
        Number @ 0x2: u8,
        Reserved @ 0x3: u8,
    }

    /// A set of processors of one group (ntdef.h).
    pub struct GROUP_AFFINITY: 0x10 {
        Mask @ 0x0: KAFFINITY,
        Group @ 0x8: u16,
        Reserved @ 0xa: [u16; 3],
    }

    /// A globally unique identifier (guiddef.h).
    pub struct GUID: 0x10 {
        Data1 @ 0x0: u32,
        Data2 @ 0x4: u16,
        Data3 @ 0x6: u16,
        Data4 @ 0x8: [u8; 8],
    }

    /// Describes the pages of a buffer; an array of page numbers follows (wdm.h).
    pub struct MDL: 0x30 {
        Next @ 0x0: *mut MDL,
        Size @ 0x8: i16,
        MdlFlags @ 0xa: i16,
        Process @ 0x10: *mut c_void,
        MappedSystemVa @ 0x18: *mut c_void,
        StartVa @ 0x20: *mut c_void,
        ByteCount @ 0x28: u32,
        ByteOffset @ 0x2c: u32,
    }

    /// Start of every object that a thread can wait for. The names of the first four bytes depend on
    /// the kind of object; their bit fields are left out (wdm.h).
    pub struct DISPATCHER_HEADER: 0x18 {
        Lock @ 0x0: i32,
        SignalState @ 0x4: i32,
        WaitListHead @ 0x8: LIST_ENTRY,
    }
    also {
        LockNV @ 0x0, MutantType @ 0x0, QueueType @ 0x0, ThreadType @ 0x0, Timer2Type @ 0x0,
        TimerType @ 0x0, Type @ 0x0,
        MutantSize @ 0x1, QueueControlFlags @ 0x1, Signalling @ 0x1, ThreadReserved @ 0x1,
        Timer2Flags @ 0x1, TimerControlFlags @ 0x1,
        DpcActive @ 0x2, Hand @ 0x2, QueueSize @ 0x2, Size @ 0x2, ThreadControlFlags @ 0x2,
        Timer2ComponentId @ 0x2,
        DebugActive @ 0x3, MutantReserved @ 0x3, QueueReserved @ 0x3, Reserved1 @ 0x3,
        Timer2RelativeId @ 0x3, TimerMiscFlags @ 0x3,
    }

    /// An event (wdm.h).
    pub struct KEVENT: 0x18 {
        Header @ 0x0: DISPATCHER_HEADER,
    }

    /// A deferred procedure call (wdm.h).
    pub struct KDPC: 0x40 {
        u_ @ 0x0: KDPC_u_,
        DpcListEntry @ 0x8: SINGLE_LIST_ENTRY,
        ProcessorHistory @ 0x10: KAFFINITY,
        DeferredRoutine @ 0x18: Option<KDEFERRED_ROUTINE>,
        DeferredContext @ 0x20: *mut c_void,
        SystemArgument1 @ 0x28: *mut c_void,
        SystemArgument2 @ 0x30: *mut c_void,
        DpcData @ 0x38: *mut c_void,
    }

    /// Anonymous union in [`KDPC`].
    pub union KDPC_u_: 0x4 {
        TargetInfoAsUlong @ 0x0: u32,
        s_ @ 0x0: KDPC_u_s_,
    }

    /// Anonymous struct in [`KDPC_u_`].
    pub struct KDPC_u_s_: 0x4 {
        Type @ 0x0: u8,
        Importance @ 0x1: u8,
        Number @ 0x2: u16,
    }

    /// A kernel timer (wdm.h).
    pub struct KTIMER: 0x40 {
        Header @ 0x0: DISPATCHER_HEADER,
        DueTime @ 0x18: u64,
        TimerListEntry @ 0x20: LIST_ENTRY,
        Dpc @ 0x30: *mut KDPC,
        Processor @ 0x38: u32,
        Period @ 0x3c: u32,
    }

    /// How long DPCs may run and have run (ntddk.h).
    pub struct KDPC_WATCHDOG_INFORMATION: 0x14 {
        DpcTimeLimit @ 0x0: u32,
        DpcTimeCount @ 0x4: u32,
        DpcWatchdogLimit @ 0x8: u32,
        DpcWatchdogCount @ 0xc: u32,
        Reserved @ 0x10: u32,
    }

    /// One waiter of a queued spin lock (wdm.h).
    pub struct KSPIN_LOCK_QUEUE: 0x10 {
        Next @ 0x0: *mut KSPIN_LOCK_QUEUE,
        Lock @ 0x8: *mut KSPIN_LOCK,
    }

    /// A holder of a queued spin lock (wdm.h).
    pub struct KLOCK_QUEUE_HANDLE: 0x18 {
        LockQueue @ 0x0: KSPIN_LOCK_QUEUE,
        OldIrql @ 0x10: KIRQL,
    }

    /// Run-down protection (wdm.h).
    pub struct EX_RUNDOWN_REF: 0x8 {
        Count @ 0x0: usize,
    }
    also { Ptr @ 0x0 }

    /// A loaded driver (wdm.h).
    pub struct DRIVER_OBJECT: 0x150 {
        Type @ 0x0: i16,
        Size @ 0x2: i16,
        DeviceObject @ 0x8: *mut DEVICE_OBJECT,
        Flags @ 0x10: u32,
        DriverStart @ 0x18: *mut c_void,
        DriverSize @ 0x20: u32,
        DriverSection @ 0x28: *mut c_void,
        DriverExtension @ 0x30: *mut c_void,
        DriverName @ 0x38: UNICODE_STRING,
        HardwareDatabase @ 0x48: *mut UNICODE_STRING,
        FastIoDispatch @ 0x50: *mut c_void,
        DriverInit @ 0x58: Option<DRIVER_INITIALIZE>,
        DriverStartIo @ 0x60: Option<DRIVER_STARTIO>,
        DriverUnload @ 0x68: Option<DRIVER_UNLOAD>,
        MajorFunction @ 0x70: [Option<DRIVER_DISPATCH>; 28],
    }

    /// A device of a driver (wdm.h).
    #[repr(align(16))]
    pub struct DEVICE_OBJECT: 0x150 {
        Type @ 0x0: i16,
        Size @ 0x2: u16,
        ReferenceCount @ 0x4: i32,
        DriverObject @ 0x8: *mut DRIVER_OBJECT,
        NextDevice @ 0x10: *mut DEVICE_OBJECT,
        AttachedDevice @ 0x18: *mut DEVICE_OBJECT,
        CurrentIrp @ 0x20: *mut c_void,
        Timer @ 0x28: *mut c_void,
        Flags @ 0x30: u32,
        Characteristics @ 0x34: u32,
        Vpb @ 0x38: *mut c_void,
        DeviceExtension @ 0x40: *mut c_void,
        DeviceType @ 0x48: u32,
        StackSize @ 0x4c: i8,
        Queue @ 0x50: DEVICE_OBJECT_Queue_,
        AlignmentRequirement @ 0x98: u32,
        DeviceQueue @ 0xa0: KDEVICE_QUEUE,
        Dpc @ 0xc8: KDPC,
        ActiveThreadCount @ 0x108: u32,
        SecurityDescriptor @ 0x110: *mut c_void,
        DeviceLock @ 0x118: KEVENT,
        SectorSize @ 0x130: u16,
        Spare1 @ 0x132: u16,
        DeviceObjectExtension @ 0x138: *mut c_void,
        Reserved @ 0x140: *mut c_void,
    }

    /// Anonymous union in [`DEVICE_OBJECT`].
    pub union DEVICE_OBJECT_Queue_: 0x48 {
        ListEntry @ 0x0: LIST_ENTRY,
        Wcb @ 0x0: WAIT_CONTEXT_BLOCK,
    }

    /// A device's queue of IRPs (wdm.h).
    pub struct KDEVICE_QUEUE: 0x28 {
        Type @ 0x0: i16,
        Size @ 0x2: i16,
        DeviceListHead @ 0x8: LIST_ENTRY,
        Lock @ 0x18: KSPIN_LOCK,
        u_ @ 0x20: KDEVICE_QUEUE_u_,
    }

    /// Anonymous union in [`KDEVICE_QUEUE`].
    pub union KDEVICE_QUEUE_u_: 0x8 {
        Busy @ 0x0: BOOLEAN,
        s_ @ 0x0: KDEVICE_QUEUE_u_s_,
    }

    /// Anonymous struct in [`KDEVICE_QUEUE_u_`].
    pub struct KDEVICE_QUEUE_u_s_: 0x8 {
        bits_ @ 0x0: u64,
    }
    bits bits_ {
        Reserved / set_Reserved @ 0: 8,
        Hint / set_Hint @ 8: 56,
    }

    /// Link of a [`KDEVICE_QUEUE`] (wdm.h).
    pub struct KDEVICE_QUEUE_ENTRY: 0x18 {
        DeviceListEntry @ 0x0: LIST_ENTRY,
        SortKey @ 0x10: u32,
        Inserted @ 0x14: BOOLEAN,
    }

    /// A wait for an adapter channel (wdm.h).
    pub struct WAIT_CONTEXT_BLOCK: 0x48 {
        u_ @ 0x0: WAIT_CONTEXT_BLOCK_u_,
        DeviceRoutine @ 0x18: Option<DRIVER_CONTROL>,
        DeviceContext @ 0x20: *mut c_void,
        NumberOfMapRegisters @ 0x28: u32,
        DeviceObject @ 0x30: *mut c_void,
        CurrentIrp @ 0x38: *mut c_void,
        BufferChainingDpc @ 0x40: *mut KDPC,
    }

    /// Anonymous union in [`WAIT_CONTEXT_BLOCK`].
    pub union WAIT_CONTEXT_BLOCK_u_: 0x18 {
        WaitQueueEntry @ 0x0: KDEVICE_QUEUE_ENTRY,
        s_ @ 0x0: WAIT_CONTEXT_BLOCK_u_s_,
    }

    /// Anonymous struct in [`WAIT_CONTEXT_BLOCK_u_`].
    pub struct WAIT_CONTEXT_BLOCK_u_s_: 0x18 {
        DmaWaitEntry @ 0x0: LIST_ENTRY,
        NumberOfChannels @ 0x10: u32,
        bits_ @ 0x14: u32,
    }
    bits bits_ {
        SyncCallback / set_SyncCallback @ 160: 1,
        DmaContext / set_DmaContext @ 161: 1,
        ZeroMapRegisters / set_ZeroMapRegisters @ 162: 1,
        Reserved / set_Reserved @ 163: 29,
    }

    /// Name and attributes of an object to open (ntdef.h).
    pub struct OBJECT_ATTRIBUTES: 0x30 {
        Length @ 0x0: u32,
        RootDirectory @ 0x8: HANDLE,
        ObjectName @ 0x10: *mut UNICODE_STRING,
        Attributes @ 0x18: u32,
        SecurityDescriptor @ 0x20: *mut c_void,
        SecurityQualityOfService @ 0x28: *mut c_void,
    }
}
