//! The list of all rules. A violation names one of them, and every one has a negative control.

macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $rule:ident $(= $name:literal)?,)*) => {
        /// A rule that drivers must keep.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Rule {
            $($(#[doc = $doc])+ $rule,)*
        }

        impl Rule {
            /// All rules.
            pub const ALL: &[Self] = &[$(Self::$rule,)*];

            /// The rule's name in reports: Driver Verifier's where it has one.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$rule => rules!(@name $rule $($name)?),)*
                }
            }

            /// The rule in words.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$rule => concat!($($doc),+),)*
                }
            }
        }
    };
    (@name $rule:ident) => { stringify!($rule) };
    (@name $rule:ident $name:literal) => { $name };
}

rules! {
    // Machine
    /// Memory is accessed only where it is mapped, and as its protection allows.
    InvalidAccess,
    /// Only memory of code sections is executed.
    ExecuteData,
    /// Code and constants are not written.
    WriteReadOnly,
    /// Instructions are valid; `ud2` marks code that must not be reached.
    IllegalInstruction,
    /// Privileged instructions are left to the kernel's routines.
    PrivilegedInstruction,
    /// Divisors are not zero and quotients fit.
    ArithmeticFault,
    /// Breakpoints are not left in drivers.
    Breakpoint,
    /// The kernel stack has 24 KiB.
    KernelStackOverflow,
    /// Indirect calls go to functions that the compiler listed as targets.
    GuardIcallCheck,
    /// Registers are accessed by plain loads and stores of 1, 2, 4 or 8 bytes.
    RegisterAccess,
    /// The code of an unloaded image is not called any more.
    CallAfterUnload,
    /// The driver calls `KeBugCheckEx` only when it cannot go on.
    KeBugCheckEx,

    // IRQL
    /// Exports are called at the IRQL of their documentation.
    IrqlExport,
    /// A callback returns at the IRQL at which it was called.
    IrqlReturn,
    /// `KeRaiseIrql` does not lower.
    KeRaiseIrql,
    /// `KeLowerIrql` does not raise, and not below the IRQL at which a callback was called.
    KeLowerIrql,
    /// Threads wait only below `DISPATCH_LEVEL`.
    WaitIrql,

    // Spin locks
    /// Spin locks are held when a callback returns as they were when it was called.
    SpinLock,
    /// Spin lock routines are called at the right IRQL.
    SpinLockIrql,
    /// A thread does not acquire a spin lock that it holds.
    SpinLockRecursion,
    /// Only held spin locks are released.
    SpinLockNotHeld,
    /// A spin lock is released by the thread that holds it.
    SpinLockOwner,
    /// Acquire and release routines of a lock belong together.
    SpinLockMismatch,
    /// Spin locks are held briefly.
    SpinLockTimeout,
    /// Spin locks are initialised.
    SpinLockUninitialized,
    /// A held spin lock is not freed.
    SpinLockFreed,
    /// `KeReleaseSpinLock` gets the IRQL that the acquire returned.
    IrqlKeReleaseSpinLock,
    /// Locks are always taken in the same order.
    LockOrder,

    // Pool
    /// Pool is allocated at the IRQL that its kind allows.
    PoolAllocationIrql,
    /// Pool is freed at the IRQL that its kind allows.
    PoolFreeIrql,
    /// Allocations have a size.
    PoolZeroBytes,
    /// Allocations have a tag.
    PoolTagZero,
    /// Pool flags name one kind of pool.
    PoolFlags,
    /// The pool type exists.
    PoolType,
    /// Pool is not executable.
    ExecutablePool,
    /// Only allocations are freed, by their start.
    PoolBadFree,
    /// An allocation is freed once.
    PoolDoubleFree,
    /// An allocation is freed with its tag.
    PoolTag,
    /// Nothing is written beside an allocation.
    SpecialPool,
    /// Nothing is accessed beyond an allocation.
    PoolOverrun,
    /// Freed memory is not accessed.
    UseAfterFree,
    /// Everything is freed when the driver unloads.
    PoolLeak,

    // Objects
    /// Synchronisation objects are initialised and stay where they are.
    DispatcherObject,
    /// `KeSetEvent` is called with `Wait` FALSE.
    KeSetEventWait,
    /// A semaphore's limit is kept.
    SemaphoreLimit,
    /// A mutex is released by its owner.
    MutexOwner,
    /// A fast mutex is acquired once.
    FastMutexRecursion,
    /// A fast mutex is released at `APC_LEVEL`.
    FastMutexIrql,
    /// A fast mutex is released by its owner.
    FastMutexOwner,
    /// Rundown protection is released as often as it was acquired.
    RundownRelease,
    /// Interlocked lists are aligned to 16 bytes.
    SListAlignment,
    /// DPC objects are initialised.
    DpcInvalid,
    /// A queued DPC is not freed.
    DpcFreed,
    /// Timer objects are initialised.
    TimerInvalid,
    /// An active timer is not freed.
    TimerFreed,
    /// A queued work item is not freed.
    WorkItemFreed,
    /// A work item is queued once at a time.
    WorkItemQueuedTwice,
    /// Nothing of the driver is queued or set when it unloads.
    UnloadPending,
    /// Handles are valid.
    InvalidHandle,
    /// Handles are closed when the driver unloads.
    HandleLeak,
    /// MDLs are locked, mapped and released in order.
    Mdl,
    /// `IoAllocateMdl` is called without an IRP.
    MdlIrp,
    /// Only IRPs that a driver was sent are completed.
    IrpCompleted,

    // Time
    /// DPCs are short.
    DpcTooLong,
    /// Calls into the driver return.
    Hang,
    /// Stalls are no longer than 50 µs.
    NdisStallExecutionDelay = "NdisStallExecution_Delay",
    /// Stalls at `DISPATCH_LEVEL` do not add up.
    StallTotal,

    // DMA
    /// The device is given addresses of mapped memory only.
    DmaUnmapped,
    /// The device writes only to memory that is mapped for transfers from it.
    DmaDirection,
    /// DMA adapters and transfer contexts are used as the DMA operations want them.
    DmaOperation,

    // NDIS
    /// NDIS objects have the right header.
    NdisObjectHeader,
    /// NDIS handles are passed to the routines that they belong to.
    NdisHandle,
    /// A miniport driver is deregistered once, after its adapters are gone.
    NdisDeregisterMiniportDriver,
    /// Optional handlers are set in `MiniportSetOptions`.
    NdisSetOptionalHandlers,
    /// Miniport attributes are set in the documented order.
    NdisMiniportAttributes,
    /// A pending operation is completed once.
    NdisCompletion,
    /// Pause does not fail.
    NdisPauseFailed,
    /// At halt everything is returned.
    NdisResourceLeak,
    /// Only what is held is returned.
    NdisResourceNotHeld,
    /// Shared memory is allocated while the adapter's DMA is registered.
    NdisSharedMemoryOrder,
    /// A periodic timer is cancelled at `PASSIVE_LEVEL`.
    PeriodicTimer,
    /// A timer is freed when it is cancelled.
    NdisTimerFreed,
    /// A work item is queued once at a time.
    NdisWorkItemQueued,
    /// A queued work item is not freed.
    NdisWorkItemFreed,
    /// An OID request is completed once.
    NdisOidComplete = "NdisDoubleOidComplete",
    /// An OID request is completed within 12 seconds.
    NdisTimedOidComplete,
    /// The answer to an OID request fits its buffer.
    NdisOidBytesWritten,
    /// `NdisMNetPnPEvent` is not called from an OID request handler.
    NdisNetPnPEventInOid,
    /// Each net buffer list that is sent comes back.
    NdisSendLost,
    /// Each net buffer list that is sent comes back once.
    NdisSendReturned,
    /// A net buffer list comes back with a status.
    NdisSendStatus,
    /// A net buffer list comes back as it was given: data, offsets, MDL chains.
    NdisSendChanged,
    /// A net buffer list that comes back with success has left on the wire, with its offloads done.
    NdisSendOnWire,
    /// The list of a large send comes back with what NDIS wants to know of it.
    NdisLargeSendInfo,
    /// Net buffer lists are left alone after they were completed.
    NdisListTouched,
    /// NDIS is told that the IRQL is `DISPATCH_LEVEL` only where it is.
    NdisDispatchFlag,
    /// Spin locks are released before lists are completed or indicated.
    NdisLockHeld,
    /// Net buffers and their lists are freed once, before their pool, and not while they are indicated.
    NdisNetBufferPool,
    /// The data of a net buffer starts inside its MDL chain.
    NdisNetBufferData,
    /// Frames are indicated while the adapter runs, at full power.
    NdisReceiveState,
    /// An indicated list is the driver's, with one frame that lies in its MDL chain, and is counted.
    NdisReceiveList,
    /// An indicated list is left alone until it is returned.
    NdisReceiveChanged,
    /// A pause completes when all indicated lists have been returned.
    NdisPauseWithReceives,
    /// Frames come with the hash that receive side scaling asks for.
    NdisRssHash,
    /// Frames come on the processor that the indirection table names.
    NdisRssProcessor,
    /// Checksum verdicts of received frames are true.
    NdisReceiveChecksum,
    /// Frames that are indicated as perfectly filtered match the packet filter.
    NdisPacketFilter,
    /// Statistics never go back, and count at least what was sent and indicated.
    NdisStatistics,
    /// Status indications have the structure of their kind.
    NdisStatusBuffer,

    // NETIO
    /// NETIO handles are passed to the routines that they belong to.
    NetioHandle,
    /// A notification is not cancelled from its own callback.
    NetioCancelInCallback,
    /// Notifications are cancelled when the driver unloads.
    NetioNotificationLeak,

    // NDK
    /// NDK objects have version, type, zeroed reserved part and a complete dispatch table.
    NdkObjectHeader,
    /// The provider leaves the reserved part of an object's header alone.
    NdkReservedTouched,
    /// The provider does not use an object's `Dispatch`, which the consumer may replace.
    NdkDispatchUsed,
    /// Addresses are a `SOCKADDR_IN` or a `SOCKADDR_IN6`.
    NdkAddress,
    /// A pended request is completed once.
    NdkCompletionTwice,
    /// A request that did not return `STATUS_PENDING` is not completed.
    NdkCompletionWithoutPending,
    /// A request that returned `STATUS_PENDING` is completed.
    NdkPendingWithoutCompletion,
    /// Callbacks get the context that the consumer gave for them.
    NdkContext,
    /// The out parameter of a creation that pends is not written.
    NdkOutParamOnPending,
    /// Functions and completions have a status that NDKPI knows.
    NdkStatusUndocumented,
    /// Callbacks come at `DISPATCH_LEVEL` or below.
    NdkCallbackIrql,
    /// Consumers are called without spin locks held.
    NdkCallbackLockHeld,
    /// Nothing is called back for an object after its close has completed.
    NdkCallbackAfterClose,
    /// A close completes after the object's other callbacks have returned.
    NdkCloseDuringCallback,
    /// A close completes after the close completions of the objects that depend on it have returned.
    NdkCloseOrder,
    /// Connect events of one listener come one after another.
    NdkConnectEventOverlap,
    /// Closing an adapter returns when all its objects are closed.
    NdkAdapterClosedWithObjects,
    /// Functions fail only with statuses that are documented for them, or that a failing device explains.
    NdkStatusOfFunction,
    /// CQ and SRQ notifications have a status that NDKPI knows.
    NdkNotificationStatus,
    /// Notifications of one CQ come one after another.
    NdkCqNotificationOverlap,
    /// A CQ notifies once for each time that it is armed.
    NdkCqNotArmed,
    /// A CQ that is armed for solicited completions notifies for those and for errors only.
    NdkCqNotSolicited,
    /// A CQ that is armed notifies of the next completion.
    NdkCqLostWakeup,
    /// The threshold of an SRQ notifies once for each time that it is set.
    NdkSrqNotArmed,
    /// No more results are stored than were asked for.
    NdkResultCount,
    /// A request that was posted completes once at most; one whose post failed does not.
    NdkResultUnknown,
    /// Requests of a queue complete in the order in which they were posted.
    NdkResultOrder,
    /// A silent request that succeeds has no completion.
    NdkResultSilent,
    /// A completion has a status that its operation can have.
    NdkResultStatus,
    /// When a request has failed, the later ones of its queue are cancelled.
    NdkResultAfterError,
    /// A completion has the context of its QP, the type of its operation, and bytes that there was room for, and is in the CQ of its queue.
    NdkResultFields,
    /// Requests that are flushed complete.
    NdkRequestLost,
    /// Deferred requests are processed when a later post fails.
    NdkDeferredStuck,
    /// A disconnect event comes once.
    NdkDisconnectEventTwice,
    /// Connection data has one size, is stored up to it and to the buffer's, and the status says whether that is all.
    NdkConnectionData,
    /// A logical address mapping has the pages of its memory, aligned, and their count.
    NdkLam,
    /// MDLs are left as they were.
    NdkMdlChanged,
    /// Tokens stay the same as long as a region is registered.
    NdkToken,
    /// The adapter's information agrees with itself and with its version.
    NdkAdapterInfo,
    /// Reserved counters are zero.
    NdkReservedCounters,

    // NDK consumers
    /// Consumers call functions of the objects that they have, until they close them.
    NdkConsumerObject,
    /// Consumers give the callbacks that NDKPI demands.
    NdkConsumerCallback,
    /// Consumers call the functions of one queue one after another.
    NdkConsumerOverlap,
    /// Consumers that close an adapter close its objects, too.
    NdkConsumerAdapterObjects,
    /// WSK is used in order: register, capture, release, deregister.
    WskRegistration,
    /// NDK adapters are closed before their client's provider NPI is released.
    WskAdapterOpen,
    /// WSK clients are deregistered when the driver unloads.
    WskLeak,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn rules_have_distinct_names_and_a_text() {
        let names: HashSet<_> = Rule::ALL.iter().map(|rule| rule.name()).collect();
        assert_eq!(names.len(), Rule::ALL.len());
        assert!(Rule::ALL.iter().all(|rule| rule.text().len() > 10));
        assert_eq!(Rule::NdisStallExecutionDelay.name(), "NdisStallExecution_Delay");
    }
}
