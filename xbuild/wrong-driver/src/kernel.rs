//! What the faults call in ntoskrnl.exe, and how they touch memory.
//!
//! Addresses are plain numbers and all of it is declared safe: whoever calls here means to break a rule, and the verifier is the
//! judge of that, not the compiler.
#![expect(unsafe_code, reason = "calls the kernel, and touches memory that is not ours")]

use core::ffi::c_void;
use core::ptr;

unsafe extern "system" {
    pub safe fn ExAcquireFastMutex(mutex: usize);
    pub safe fn ExAllocatePool2(flags: u64, size: usize, tag: u32) -> usize;
    pub safe fn ExAllocatePoolWithTag(kind: u32, size: usize, tag: u32) -> usize;
    pub safe fn ExFreePoolWithTag(address: usize, tag: u32);
    pub safe fn ExInitializeRundownProtection(reference: usize);
    pub safe fn ExReleaseFastMutex(mutex: usize);
    pub safe fn ExReleaseRundownProtection(reference: usize);
    pub safe fn ExReleaseSpinLockExclusive(lock: usize, irql: u8);
    pub safe fn InitializeSListHead(list: usize);
    pub safe fn IoAllocateMdl(address: usize, length: u32, secondary: u8, charge: u8, irp: usize) -> usize;
    pub safe fn IoAllocateWorkItem(device: usize) -> usize;
    pub safe fn IoGetDmaAdapter(device: usize, description: usize, registers: &mut u32) -> usize;
    pub safe fn IoFreeWorkItem(item: usize);
    pub safe fn IoQueueWorkItem(item: usize, routine: WorkRoutine, queue: u32, context: usize);
    pub safe fn IofCompleteRequest(irp: usize, boost: i8);
    pub safe fn KeAcquireSpinLockAtDpcLevel(lock: usize);
    pub safe fn KeAcquireSpinLockRaiseToDpc(lock: usize) -> u8;
    pub safe fn KeBugCheckEx(code: u32, p1: usize, p2: usize, p3: usize, p4: usize) -> !;
    pub safe fn KeDelayExecutionThread(mode: i8, alertable: u8, interval: &i64) -> i32;
    pub safe fn KeInitializeDpc(dpc: usize, routine: DpcRoutine, context: usize);
    pub safe fn KeInitializeEvent(event: usize, kind: i32, state: u8);
    pub safe fn KeInitializeMutex(mutex: usize, level: u32);
    pub safe fn KeInitializeSemaphore(semaphore: usize, count: i32, limit: i32);
    pub safe fn KeInitializeTimer(timer: usize);
    pub safe fn KeInsertQueueDpc(dpc: usize, argument1: usize, argument2: usize) -> u8;
    pub safe fn KeLowerIrql(irql: u8);
    pub safe fn KeReleaseMutex(mutex: usize, wait: u8) -> i32;
    pub safe fn KeReleaseSemaphore(semaphore: usize, increment: i32, adjustment: i32, wait: u8) -> i32;
    pub safe fn KeReleaseSpinLock(lock: usize, irql: u8);
    pub safe fn KeSetEvent(event: usize, increment: i32, wait: u8) -> i32;
    pub safe fn KeSetPriorityThread(thread: usize, priority: i32) -> i32;
    pub safe fn KeSetTimer(timer: usize, due: i64, dpc: usize) -> u8;
    pub safe fn KeStallExecutionProcessor(microseconds: u32);
    pub safe fn KeWaitForSingleObject(
        object: usize,
        reason: i32,
        mode: i8,
        alertable: u8,
        timeout: Option<&i64>,
    ) -> i32;
    pub safe fn KfRaiseIrql(irql: u8) -> u8;
    pub safe fn MmBuildMdlForNonPagedPool(mdl: usize);
    pub safe fn MmUnlockPages(mdl: usize);
    pub safe fn PsCreateSystemThread(
        handle: &mut usize,
        access: u32,
        attributes: usize,
        process: usize,
        client: usize,
        routine: ThreadRoutine,
        context: usize,
    ) -> i32;
    pub safe fn ZwClose(handle: usize) -> i32;
}

/// `PKSTART_ROUTINE`
pub type ThreadRoutine = extern "system" fn(usize);
/// `PIO_WORKITEM_ROUTINE`
pub type WorkRoutine = extern "system" fn(usize, usize);
/// `PKDEFERRED_ROUTINE`
pub type DpcRoutine = extern "system" fn(usize, usize, usize, usize);

/// Tag of all pool.
pub const TAG: u32 = u32::from_le_bytes(*b"Wrng");
/// `POOL_FLAG_NON_PAGED`
pub const NON_PAGED: u64 = 0x40;
/// `POOL_FLAG_PAGED`
pub const PAGED: u64 = 0x100;

/// `APC_LEVEL`
pub const APC_LEVEL: u8 = 1;
/// `DISPATCH_LEVEL`
pub const DISPATCH_LEVEL: u8 = 2;

/// Zeroed non-paged pool, which whoever breaks a rule with it does not free.
pub fn pool(size: usize) -> usize {
    ExAllocatePool2(NON_PAGED, size, TAG)
}

/// Frees what [`pool`] gave.
pub fn free(address: usize) {
    ExFreePoolWithTag(address, TAG);
}

/// Reads from any address.
pub fn peek<T: Copy>(address: usize) -> T {
    // SAFETY: not safe at all, which is the point.
    unsafe { ptr::read_volatile(ptr::with_exposed_provenance(address)) }
}

/// Writes to any address.
pub fn poke<T>(address: usize, value: T) {
    // SAFETY: not safe at all, which is the point.
    unsafe { ptr::write_volatile(ptr::with_exposed_provenance_mut(address), value) }
}

/// A pointer to any address.
pub fn pointer<T>(address: usize) -> *mut T {
    ptr::with_exposed_provenance_mut(address)
}

/// The number of an address.
pub fn address<T>(value: &T) -> usize {
    ptr::from_ref(value).expose_provenance()
}

/// The number of a pointer.
pub fn number<T>(value: *const T) -> usize {
    value.expose_provenance()
}

/// Waits so many milliseconds.
pub fn sleep(milliseconds: i64) {
    let _ = KeDelayExecutionThread(0, 0, &(-10_000 * milliseconds));
}

/// Starts a thread, and returns its handle.
pub fn start_thread(routine: ThreadRoutine, context: usize) -> usize {
    let mut handle = 0;
    let _ = PsCreateSystemThread(&mut handle, 0, 0, 0, 0, routine, context);
    handle
}

/// Sets the driver's unload routine (`DriverUnload` in `DRIVER_OBJECT`).
pub fn on_unload(driver: *mut c_void, routine: ThreadRoutine) {
    const DRIVER_UNLOAD: usize = 104;
    poke(number(driver) + DRIVER_UNLOAD, routine);
}
