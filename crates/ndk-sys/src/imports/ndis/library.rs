//! Functions of ndis.sys for configuration, logging, work items, timers, processors and net buffers (ndis.h).

use crate::{
    BOOLEAN, EX_POOL_PRIORITY, KAFFINITY, LARGE_INTEGER, MDL, NDIS_CONFIGURATION_OBJECT,
    NDIS_CONFIGURATION_PARAMETER, NDIS_HANDLE, NDIS_IO_WORKITEM_FUNCTION, NDIS_PARAMETER_TYPE,
    NDIS_RSS_PROCESSOR_INFO, NDIS_STATUS, NDIS_SYSTEM_PROCESSOR_INFO_EX, NDIS_TIMER_CHARACTERISTICS,
    NET_BUFFER, NET_BUFFER_ALLOCATE_MDL_HANDLER, NET_BUFFER_FREE_MDL_HANDLER, NET_BUFFER_LIST,
    NET_BUFFER_LIST_POOL_PARAMETERS, NET_BUFFER_POOL_PARAMETERS, NTSTATUS, PROCESSOR_NUMBER, UNICODE_STRING,
};
use core::ffi::c_void;

imports! {
    library "ndis";

    /// Opens the adapter's or the driver's parameters. `PASSIVE_LEVEL`.
    fn NdisOpenConfigurationEx = PFN_NdisOpenConfigurationEx(
        ConfigObject: *mut NDIS_CONFIGURATION_OBJECT,
        ConfigurationHandle: *mut *mut c_void,
    ) -> NDIS_STATUS;

    /// Opens a subkey. `PASSIVE_LEVEL`.
    fn NdisOpenConfigurationKeyByName = PFN_NdisOpenConfigurationKeyByName(
        Status: *mut i32,
        ConfigurationHandle: NDIS_HANDLE,
        SubKeyName: *mut UNICODE_STRING,
        SubKeyHandle: *mut *mut c_void,
    );

    /// Reads a parameter; the value lives until the handle is closed. `PASSIVE_LEVEL`.
    fn NdisReadConfiguration = PFN_NdisReadConfiguration(
        Status: *mut i32,
        ParameterValue: *mut *mut NDIS_CONFIGURATION_PARAMETER,
        ConfigurationHandle: NDIS_HANDLE,
        Keyword: *mut UNICODE_STRING,
        ParameterType: NDIS_PARAMETER_TYPE,
    );

    /// Writes a parameter. `PASSIVE_LEVEL`.
    fn NdisWriteConfiguration = PFN_NdisWriteConfiguration(
        Status: *mut i32,
        ConfigurationHandle: NDIS_HANDLE,
        Keyword: *mut UNICODE_STRING,
        ParameterValue: *mut NDIS_CONFIGURATION_PARAMETER,
    );

    /// Reads the address that the user has set. `PASSIVE_LEVEL`.
    fn NdisReadNetworkAddress = PFN_NdisReadNetworkAddress(
        Status: *mut i32,
        NetworkAddress: *mut *mut c_void,
        NetworkAddressLength: *mut u32,
        ConfigurationHandle: NDIS_HANDLE,
    );

    /// Closes the parameters. `PASSIVE_LEVEL`.
    fn NdisCloseConfiguration = PFN_NdisCloseConfiguration(ConfigurationHandle: NDIS_HANDLE);

    /// Writes to the system log. IRQL <= `DISPATCH_LEVEL`.
    fn NdisWriteEventLogEntry = PFN_NdisWriteEventLogEntry(
        LogHandle: *mut c_void,
        EventCode: NDIS_STATUS,
        UniqueEventValue: u32,
        NumStrings: u16,
        StringsList: *mut c_void,
        DataSize: u32,
        Data: *mut c_void,
    ) -> NDIS_STATUS;

    /// Allocates a work item. IRQL <= `DISPATCH_LEVEL`.
    fn NdisAllocateIoWorkItem = PFN_NdisAllocateIoWorkItem(NdisObjectHandle: NDIS_HANDLE) -> NDIS_HANDLE;

    /// Queues a work item. IRQL <= `DISPATCH_LEVEL`.
    fn NdisQueueIoWorkItem = PFN_NdisQueueIoWorkItem(
        NdisIoWorkItemHandle: NDIS_HANDLE,
        Routine: Option<NDIS_IO_WORKITEM_FUNCTION>,
        WorkItemContext: *mut c_void,
    );

    /// Frees a work item that is not queued. IRQL <= `DISPATCH_LEVEL`.
    fn NdisFreeIoWorkItem = PFN_NdisFreeIoWorkItem(NdisIoWorkItemHandle: NDIS_HANDLE);

    /// Allocates a timer. IRQL <= `DISPATCH_LEVEL`.
    fn NdisAllocateTimerObject = PFN_NdisAllocateTimerObject(
        NdisHandle: NDIS_HANDLE,
        TimerCharacteristics: *mut NDIS_TIMER_CHARACTERISTICS,
        pTimerObject: *mut *mut c_void,
    ) -> NDIS_STATUS;

    /// Starts a timer; TRUE if it was running. IRQL <= `DISPATCH_LEVEL`.
    fn NdisSetTimerObject = PFN_NdisSetTimerObject(
        TimerObject: NDIS_HANDLE,
        DueTime: LARGE_INTEGER,
        MillisecondsPeriod: i32,
        FunctionContext: *mut c_void,
    ) -> BOOLEAN;

    /// Starts a timer that may be late. IRQL <= `DISPATCH_LEVEL`.
    fn NdisSetCoalescableTimerObject = PFN_NdisSetCoalescableTimerObject(
        TimerObject: NDIS_HANDLE,
        DueTime: LARGE_INTEGER,
        MillisecondsPeriod: i32,
        FunctionContext: *mut c_void,
        Tolerance: u32,
    ) -> BOOLEAN;

    /// Stops a timer; TRUE if it was running. IRQL <= `DISPATCH_LEVEL`.
    fn NdisCancelTimerObject = PFN_NdisCancelTimerObject(TimerObject: NDIS_HANDLE) -> BOOLEAN;

    /// Frees a timer that is not running. IRQL <= `DISPATCH_LEVEL`.
    fn NdisFreeTimerObject = PFN_NdisFreeTimerObject(TimerObject: NDIS_HANDLE);

    /// Version of NDIS: major in the high half, minor in the low half. Any IRQL.
    fn NdisGetVersion = PFN_NdisGetVersion() -> u32;

    /// Milliseconds since the system started. Any IRQL.
    fn NdisGetSystemUpTimeEx = PFN_NdisGetSystemUpTimeEx(pSystemUpTime: *mut LARGE_INTEGER);

    /// The processors that RSS may use. `PASSIVE_LEVEL`.
    fn NdisGetRssProcessorInformation = PFN_NdisGetRssProcessorInformation(
        NdisHandle: NDIS_HANDLE,
        RssProcessorInfo: *mut NDIS_RSS_PROCESSOR_INFO,
        Size: *mut usize,
    ) -> NDIS_STATUS;

    /// What processors there are. `PASSIVE_LEVEL`.
    fn NdisGetProcessorInformationEx = PFN_NdisGetProcessorInformationEx(
        NdisHandle: NDIS_HANDLE,
        SystemProcessorInfo: *mut NDIS_SYSTEM_PROCESSOR_INFO_EX,
        Size: *mut usize,
    ) -> NDIS_STATUS;

    /// Number of processors; optionally all groups' affinity. Any IRQL.
    fn NdisSystemActiveProcessorCount = PFN_NdisSystemActiveProcessorCount(
        ActiveProcessors: *mut KAFFINITY,
    ) -> u32;

    /// Number of processors of a group. Any IRQL.
    fn NdisGroupActiveProcessorCount = PFN_NdisGroupActiveProcessorCount(Group: u16) -> u32;

    /// The current processor's index. IRQL >= `DISPATCH_LEVEL`.
    fn NdisCurrentProcessorIndex = PFN_NdisCurrentProcessorIndex() -> u32;

    /// From index to group and number. Any IRQL.
    fn NdisProcessorIndexToNumber = PFN_NdisProcessorIndexToNumber(
        ProcIndex: u32,
        ProcNum: *mut PROCESSOR_NUMBER,
    ) -> NTSTATUS;

    /// From group and number to index. Any IRQL.
    fn NdisProcessorNumberToIndex = PFN_NdisProcessorNumberToIndex(ProcNum: PROCESSOR_NUMBER) -> u32;

    /// Allocates non-paged memory. IRQL <= `DISPATCH_LEVEL`.
    fn NdisAllocateMemoryWithTagPriority = PFN_NdisAllocateMemoryWithTagPriority(
        NdisHandle: NDIS_HANDLE,
        Length: u32,
        Tag: u32,
        Priority: EX_POOL_PRIORITY,
    ) -> *mut c_void;

    /// Frees memory. IRQL <= `DISPATCH_LEVEL`.
    fn NdisFreeMemory = PFN_NdisFreeMemory(VirtualAddress: *mut c_void, Length: u32, MemoryFlags: u32);

    /// Creates a pool of net buffer lists. IRQL <= `DISPATCH_LEVEL`.
    fn NdisAllocateNetBufferListPool = PFN_NdisAllocateNetBufferListPool(
        NdisHandle: NDIS_HANDLE,
        Parameters: *mut NET_BUFFER_LIST_POOL_PARAMETERS,
    ) -> NDIS_HANDLE;

    /// Frees the pool. IRQL <= `DISPATCH_LEVEL`.
    fn NdisFreeNetBufferListPool = PFN_NdisFreeNetBufferListPool(PoolHandle: NDIS_HANDLE);

    /// Creates a pool of net buffers. IRQL <= `DISPATCH_LEVEL`.
    fn NdisAllocateNetBufferPool = PFN_NdisAllocateNetBufferPool(
        NdisHandle: NDIS_HANDLE,
        Parameters: *mut NET_BUFFER_POOL_PARAMETERS,
    ) -> NDIS_HANDLE;

    /// Frees the pool. IRQL <= `DISPATCH_LEVEL`.
    fn NdisFreeNetBufferPool = PFN_NdisFreeNetBufferPool(PoolHandle: NDIS_HANDLE);

    /// Allocates an empty list. IRQL <= `DISPATCH_LEVEL`.
    fn NdisAllocateNetBufferList = PFN_NdisAllocateNetBufferList(
        PoolHandle: NDIS_HANDLE,
        ContextSize: u16,
        ContextBackFill: u16,
    ) -> *mut NET_BUFFER_LIST;

    /// Allocates a list with one net buffer. IRQL <= `DISPATCH_LEVEL`.
    fn NdisAllocateNetBufferAndNetBufferList = PFN_NdisAllocateNetBufferAndNetBufferList(
        PoolHandle: NDIS_HANDLE,
        ContextSize: u16,
        ContextBackFill: u16,
        MdlChain: *mut MDL,
        DataOffset: u32,
        DataLength: usize,
    ) -> *mut NET_BUFFER_LIST;

    /// Frees a list. IRQL <= `DISPATCH_LEVEL`.
    fn NdisFreeNetBufferList = PFN_NdisFreeNetBufferList(NetBufferList: *mut NET_BUFFER_LIST);

    /// Allocates a net buffer. IRQL <= `DISPATCH_LEVEL`.
    fn NdisAllocateNetBuffer = PFN_NdisAllocateNetBuffer(
        PoolHandle: NDIS_HANDLE,
        MdlChain: *mut MDL,
        DataOffset: u32,
        DataLength: usize,
    ) -> *mut NET_BUFFER;

    /// Allocates a net buffer with MDL and data. IRQL <= `DISPATCH_LEVEL`.
    fn NdisAllocateNetBufferMdlAndData = PFN_NdisAllocateNetBufferMdlAndData(
        PoolHandle: NDIS_HANDLE,
    ) -> *mut NET_BUFFER;

    /// Frees a net buffer. IRQL <= `DISPATCH_LEVEL`.
    fn NdisFreeNetBuffer = PFN_NdisFreeNetBuffer(NetBuffer: *mut NET_BUFFER);

    /// Reserves context space. IRQL <= `DISPATCH_LEVEL`.
    fn NdisAllocateNetBufferListContext = PFN_NdisAllocateNetBufferListContext(
        NetBufferList: *mut NET_BUFFER_LIST,
        ContextSize: u16,
        ContextBackFill: u16,
        PoolTag: u32,
    ) -> NDIS_STATUS;

    /// Releases context space. IRQL <= `DISPATCH_LEVEL`.
    fn NdisFreeNetBufferListContext = PFN_NdisFreeNetBufferListContext(
        NetBufferList: *mut NET_BUFFER_LIST,
        ContextSize: u16,
    );

    /// A contiguous view of the first bytes of a net buffer. IRQL <= `DISPATCH_LEVEL`.
    fn NdisGetDataBuffer = PFN_NdisGetDataBuffer(
        NetBuffer: *mut NET_BUFFER,
        BytesNeeded: u32,
        Storage: *mut c_void,
        AlignMultiple: u32,
        AlignOffset: u32,
    ) -> *mut c_void;

    /// Moves the start of the data forward. IRQL <= `DISPATCH_LEVEL`.
    fn NdisAdvanceNetBufferDataStart = PFN_NdisAdvanceNetBufferDataStart(
        NetBuffer: *mut NET_BUFFER,
        DataOffsetDelta: u32,
        FreeMdl: BOOLEAN,
        FreeMdlHandler: Option<NET_BUFFER_FREE_MDL_HANDLER>,
    );

    /// Moves the start of the data back. IRQL <= `DISPATCH_LEVEL`.
    fn NdisRetreatNetBufferDataStart = PFN_NdisRetreatNetBufferDataStart(
        NetBuffer: *mut NET_BUFFER,
        DataOffsetDelta: u32,
        DataBackFill: u32,
        AllocateMdlHandler: Option<NET_BUFFER_ALLOCATE_MDL_HANDLER>,
    ) -> NDIS_STATUS;

    /// Moves the start of all data forward. IRQL <= `DISPATCH_LEVEL`.
    fn NdisAdvanceNetBufferListDataStart = PFN_NdisAdvanceNetBufferListDataStart(
        NetBufferList: *mut NET_BUFFER_LIST,
        DataOffsetDelta: u32,
        FreeMdl: BOOLEAN,
        FreeMdlMdlHandler: Option<NET_BUFFER_FREE_MDL_HANDLER>,
    );

    /// Moves the start of all data back. IRQL <= `DISPATCH_LEVEL`.
    fn NdisRetreatNetBufferListDataStart = PFN_NdisRetreatNetBufferListDataStart(
        NetBufferList: *mut NET_BUFFER_LIST,
        DataOffsetDelta: u32,
        DataBackFill: u32,
        AllocateMdlHandler: Option<NET_BUFFER_ALLOCATE_MDL_HANDLER>,
        FreeMdlHandler: Option<NET_BUFFER_FREE_MDL_HANDLER>,
    ) -> NDIS_STATUS;

    /// Copies data. IRQL <= `DISPATCH_LEVEL`.
    fn NdisCopyFromNetBufferToNetBuffer = PFN_NdisCopyFromNetBufferToNetBuffer(
        Destination: *mut NET_BUFFER,
        DestinationOffset: u32,
        BytesToCopy: u32,
        Source: *mut NET_BUFFER,
        SourceOffset: u32,
        BytesCopied: *mut u32,
    ) -> NDIS_STATUS;

    /// Copies the out-of-band data of a send. IRQL <= `DISPATCH_LEVEL`.
    fn NdisCopySendNetBufferListInfo = PFN_NdisCopySendNetBufferListInfo(
        DestNetBufferList: *mut NET_BUFFER_LIST,
        SrcNetBufferList: *mut NET_BUFFER_LIST,
    );

    /// Copies the out-of-band data of a receive. IRQL <= `DISPATCH_LEVEL`.
    fn NdisCopyReceiveNetBufferListInfo = PFN_NdisCopyReceiveNetBufferListInfo(
        DestNetBufferList: *mut NET_BUFFER_LIST,
        SrcNetBufferList: *mut NET_BUFFER_LIST,
    );

    /// Number of pages of a net buffer's data. IRQL <= `DISPATCH_LEVEL`.
    fn NdisQueryNetBufferPhysicalCount = PFN_NdisQueryNetBufferPhysicalCount(
        NetBuffer: *mut NET_BUFFER,
    ) -> u32;

    /// Describes non-paged memory by an MDL. IRQL <= `DISPATCH_LEVEL`.
    fn NdisAllocateMdl = PFN_NdisAllocateMdl(
        NdisHandle: NDIS_HANDLE,
        VirtualAddress: *mut c_void,
        Length: u32,
    ) -> *mut MDL;

    /// Frees the MDL. IRQL <= `DISPATCH_LEVEL`.
    fn NdisFreeMdl = PFN_NdisFreeMdl(Mdl: *mut MDL);
}
