//! Synchronisation objects, DPCs, timers, work items, handles and MDLs.

use super::faults;
use crate::kernel::{
    APC_LEVEL, DISPATCH_LEVEL, ExAcquireFastMutex, ExInitializeRundownProtection, ExReleaseFastMutex,
    ExReleaseRundownProtection, InitializeSListHead, IoAllocateMdl, IoAllocateWorkItem, IoFreeWorkItem,
    IoQueueWorkItem, KeInitializeDpc, KeInitializeEvent, KeInitializeMutex, KeInitializeSemaphore,
    KeInitializeTimer, KeInsertQueueDpc, KeReleaseMutex, KeReleaseSemaphore, KeSetEvent, KeSetTimer,
    KfRaiseIrql, MmUnlockPages, ZwClose, free, number, poke, pool, sleep, start_thread,
};

faults! {
    "DispatcherObject" => |_| {
        let _ = KeSetEvent(pool(24), 0, 0);
    },
    "KeSetEventWait" => |_| {
        let event = pool(24);
        KeInitializeEvent(event, 0, 0);
        let _ = KeSetEvent(event, 0, 1);
    },
    "SemaphoreLimit" => |_| {
        let semaphore = pool(32);
        KeInitializeSemaphore(semaphore, 1, 1);
        let _ = KeReleaseSemaphore(semaphore, 0, 1, 0);
    },
    "MutexOwner" => |_| {
        let mutex = pool(56);
        KeInitializeMutex(mutex, 0);
        let _ = KeReleaseMutex(mutex, 0);
    },
    "FastMutexRecursion" => |_| {
        let mutex = fast_mutex();
        ExAcquireFastMutex(mutex);
        ExAcquireFastMutex(mutex);
    },
    "FastMutexIrql" => |_| {
        let mutex = fast_mutex();
        ExAcquireFastMutex(mutex);
        KfRaiseIrql(DISPATCH_LEVEL);
        ExReleaseFastMutex(mutex);
    },
    "FastMutexOwner" => |_| {
        KfRaiseIrql(APC_LEVEL);
        ExReleaseFastMutex(fast_mutex());
    },
    "RundownRelease" => |_| {
        let reference = pool(8);
        ExInitializeRundownProtection(reference);
        ExReleaseRundownProtection(reference);
    },
    "SListAlignment" => |_| InitializeSListHead(pool(32) + 8),
    "DpcInvalid" => |_| {
        KeInsertQueueDpc(pool(64), 0, 0);
    },
    "DpcFreed" => |_| {
        let dpc = pool(64);
        KeInitializeDpc(dpc, nothing_dpc, 0);
        // At this level the processor does not get to the DPC.
        KfRaiseIrql(DISPATCH_LEVEL);
        KeInsertQueueDpc(dpc, 0, 0);
        free(dpc);
    },
    "TimerInvalid" => |_| {
        KeSetTimer(pool(64), -10_000, 0);
    },
    "TimerFreed" => |_| {
        let timer = pool(64);
        KeInitializeTimer(timer);
        KeSetTimer(timer, -600_000_000, 0);
        free(timer);
    },
    "WorkItemFreed" => |load| {
        keep_workers_busy(number(load.driver));
        let item = IoAllocateWorkItem(number(load.driver));
        IoQueueWorkItem(item, sleep_routine, 1, 0);
        IoFreeWorkItem(item);
    },
    "WorkItemQueuedTwice" => |load| {
        keep_workers_busy(number(load.driver));
        let item = IoAllocateWorkItem(number(load.driver));
        IoQueueWorkItem(item, sleep_routine, 1, 0);
        IoQueueWorkItem(item, sleep_routine, 1, 0);
    },
    "UnloadPending" => |load| {
        crate::kernel::on_unload(load.driver, nothing);
        let _ = ZwClose(start_thread(sleep_thread, 0));
    },
    "InvalidHandle" => |_| {
        let _ = ZwClose(0x1234);
    },
    "HandleLeak" => |load| {
        crate::kernel::on_unload(load.driver, nothing);
        start_thread(nothing, 0);
        sleep(200);
    },
    "Mdl" => |_| MmUnlockPages(IoAllocateMdl(pool(64), 64, 0, 0, 0)),
    "MdlIrp" => |_| {
        IoAllocateMdl(pool(64), 64, 0, 0, 0x1000);
    },
}

/// A fast mutex that nobody has: count 1, owner, contention, and an event at offset 24.
fn fast_mutex() -> usize {
    let mutex = pool(56);
    poke(mutex, 1_i32);
    KeInitializeEvent(mutex + 24, 1, 0);
    mutex
}

/// Queues more sleeping work items than there are threads to run them: what comes after stays queued.
pub fn keep_workers_busy(device: usize) {
    for _ in 0..8 {
        IoQueueWorkItem(IoAllocateWorkItem(device), sleep_routine, 1, 0);
    }
    sleep(100);
}

extern "system" fn nothing(_: usize) {}

extern "system" fn nothing_dpc(_: usize, _: usize, _: usize, _: usize) {}

extern "system" fn sleep_thread(_: usize) {
    sleep(5_000);
}

extern "system" fn sleep_routine(_: usize, _: usize) {
    sleep(1_000);
}
