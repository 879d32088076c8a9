//! Work items and system threads.

use super::object::{self, Object};
use super::status::{self, NtStatus};
use super::{dispatcher, pool};
use crate::cpu::call::{call, call_without_limit};
use crate::cpu::thunk;
use crate::cpu::{irql, thread, vp};
use crate::exports;
use crate::memory;
use crate::symbols;
use crate::verifier::pool::{PoolKind, Request};
use crate::verifier::{BugCheck, Rule, Violation};
use parking_lot::{Condvar, Mutex};
use std::cell::Cell;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

exports! {
    /// Work items and threads.
    pub static EXPORTS: "ntoskrnl.exe" = {
        IoAllocateWorkItem = function(io_allocate_work_item, at_most(DISPATCH_LEVEL));
        IoFreeWorkItem = function(io_free_work_item, at_most(DISPATCH_LEVEL));
        IoQueueWorkItem = function(io_queue_work_item, at_most(DISPATCH_LEVEL));
        IoQueueWorkItemEx = function(io_queue_work_item_ex, at_most(DISPATCH_LEVEL));
        ExQueueWorkItem = function(ex_queue_work_item, at_most(DISPATCH_LEVEL));
        PsCreateSystemThread = function(ps_create_system_thread, exactly(PASSIVE_LEVEL));
        PsTerminateSystemThread = function(ps_terminate_system_thread, exactly(PASSIVE_LEVEL));
        KeGetCurrentThread = function(ke_get_current_thread, any());
        PsGetCurrentThread = function(ke_get_current_thread, any());
        PsGetCurrentThreadId = function(ps_get_current_thread_id, at_most(DISPATCH_LEVEL));
        KeSetPriorityThread = function(ke_set_priority_thread, exactly(PASSIVE_LEVEL));
    }
}

/// Worker threads; more work waits in the queue.
const WORKERS: usize = 4;

struct Job {
    /// The driver's routine, or 0 for the bench's own jobs.
    routine: usize,
    run: Box<dyn FnOnce() + Send>,
}

#[derive(Default)]
struct Workers {
    queue: VecDeque<Job>,
    idle: usize,
    threads: usize,
    /// The routines that run now.
    running: Vec<usize>,
    /// How many of them wait for somebody outside: see [`parked`].
    parked: usize,
}

static STATE: Mutex<Workers> = Mutex::new(Workers {
    queue: VecDeque::new(),
    idle: 0,
    threads: 0,
    running: Vec::new(),
    parked: 0,
});
static READY: Condvar = Condvar::new();
static IDLE: Condvar = Condvar::new();
static NEXT_VP: AtomicUsize = AtomicUsize::new(0);
/// Routines of system threads that have not ended.
static SYSTEM_THREADS: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// Runs a job on a worker thread at PASSIVE level.
///
/// # Panics
/// When a thread cannot be started.
pub fn queue(job: impl FnOnce() + Send + 'static) {
    queue_job(Job {
        routine: 0,
        run: Box::new(job),
    });
}

/// As [`queue`], for a job that calls `routine` of a driver: until it has returned, the driver must not be unloaded.
pub fn queue_routine(routine: usize, job: impl FnOnce() + Send + 'static) {
    queue_job(Job {
        routine,
        run: Box::new(job),
    });
}

fn queue_job(job: Job) {
    let mut state = STATE.lock();
    state.queue.push_back(job);
    if state.idle == 0 && state.threads < WORKERS {
        state.threads += 1;
        std::thread::Builder::new()
            .name("worker".into())
            .spawn(work)
            .expect("start a worker thread");
    }
    READY.notify_one();
}

thread_local! {
    static IS_WORKER: Cell<bool> = const { Cell::new(false) };
}

/// Runs `wait`, which waits for somebody outside (a consumer, a test). If this is a worker, [`flush`] does not wait for it
/// meanwhile.
pub fn parked<R>(wait: impl FnOnce() -> R) -> R {
    if !IS_WORKER.get() {
        return wait();
    }
    STATE.lock().parked += 1;
    IDLE.notify_all();
    let result = wait();
    STATE.lock().parked -= 1;
    result
}

/// Waits until no job is queued or running, except those that are [`parked`].
pub fn flush() {
    let mut state = STATE.lock();
    while state.running.len() > state.parked || !state.queue.is_empty() {
        IDLE.wait(&mut state);
    }
}

/// Stops if work items or threads of an image are queued or running when it is unloaded.
pub fn check_unloaded(image: &Range<usize>, driver: &str) {
    let state = STATE.lock();
    let queued = state
        .queue
        .iter()
        .map(|job| job.routine)
        .chain(state.running.iter().copied());
    let item = queued
        .map(|routine| (routine, "work item"))
        .find(|(routine, _)| image.contains(routine));
    drop(state);
    let threads = SYSTEM_THREADS
        .lock()
        .iter()
        .copied()
        .find(|routine| image.contains(routine));
    if let Some((routine, kind)) = item.or(threads.map(|routine| (routine, "system thread"))) {
        Violation::new(
            Rule::UnloadPending,
            BugCheck::new(0xCE, [routine as u64, 0, 0, 0]),
            format!(
                "{driver} is unloaded while its {kind} {} has not ended",
                symbols::describe(routine)
            ),
        )
        .advice("wait in the unload routine until every work item and thread has ended")
        .stop();
    }
}

/// Spreads PASSIVE threads over the processors.
fn choose_processor() {
    let index = NEXT_VP.fetch_add(1, Ordering::Relaxed) % vp::count().max(1);
    thread::with(|thread| thread.vp.set(index));
}

fn work() {
    IS_WORKER.set(true);
    let mut state = STATE.lock();
    loop {
        while let Some(job) = state.queue.pop_front() {
            state.running.push(job.routine);
            drop(state);
            choose_processor();
            (job.run)();
            state = STATE.lock();
            if let Some(index) = state.running.iter().position(|&routine| routine == job.routine) {
                state.running.swap_remove(index);
            }
            if state.running.len() <= state.parked && state.queue.is_empty() {
                IDLE.notify_all();
            }
        }
        state.idle += 1;
        READY.wait(&mut state);
        state.idle -= 1;
    }
}

/// An `IO_WORKITEM`, opaque to drivers: the device object, and whether it is queued.
mod io_work_item {
    pub const SIZE: usize = 32;
    pub const DEVICE: usize = 0;
    pub const QUEUED: usize = 8;
}

const WORK_ITEM_TAG: u32 = u32::from_le_bytes(*b"IoWi");

extern "win64" fn io_allocate_work_item(device: usize) -> usize {
    let request = Request {
        kind: PoolKind::NonPaged,
        size: io_work_item::SIZE,
        tag: WORK_ITEM_TAG,
        zeroed: true,
        alignment: 0,
    };
    let item = pool::allocate(&request);
    if item != 0 {
        memory::write(item + io_work_item::DEVICE, device);
    }
    item
}

extern "win64" fn io_free_work_item(item: usize) {
    if memory::read::<u8>(item + io_work_item::QUEUED) != 0 {
        Violation::new(
            Rule::WorkItemFreed,
            BugCheck::new(0xC9, [0x230, item as u64, 0, 0]),
            format!("the work item {item:#x} is freed while it is queued"),
        )
        .advice("free a work item in its own routine, or after that has run")
        .stop();
    }
    pool::free(item, Some(WORK_ITEM_TAG));
}

fn queue_item(item: usize, routine: usize, arguments: impl FnOnce(u64) -> [u64; 3] + Send + 'static) {
    if memory::read::<u8>(item + io_work_item::QUEUED) != 0 {
        Violation::new(
            Rule::WorkItemQueuedTwice,
            BugCheck::new(0xC9, [0x231, item as u64, routine as u64, 0]),
            format!("the work item {item:#x} is queued while it is still queued"),
        )
        .advice("keep a flag under a lock that says whether the item is queued")
        .stop();
    }
    memory::write(item + io_work_item::QUEUED, 1_u8);
    queue_routine(routine, move || {
        memory::write(item + io_work_item::QUEUED, 0_u8);
        let device: u64 = memory::read(item + io_work_item::DEVICE);
        let _ = call(routine, &arguments(device));
    });
}

extern "win64" fn io_queue_work_item(item: usize, routine: usize, _queue: u32, context: u64) {
    queue_item(item, routine, move |device| [device, context, 0]);
}

extern "win64" fn io_queue_work_item_ex(item: usize, routine: usize, _queue: u32, context: u64) {
    queue_item(item, routine, move |device| [device, context, item as u64]);
}

extern "win64" fn ex_queue_work_item(item: usize, _queue: u32) {
    // WORK_QUEUE_ITEM: a list entry of 16 bytes, then the routine and its parameter.
    let (routine, parameter): (usize, u64) = (memory::read(item + 16), memory::read(item + 24));
    queue_routine(routine, move || {
        let _ = call(routine, &[parameter]);
    });
}

/// A system thread: a dispatcher object that is signalled when the thread has ended.
#[derive(Debug)]
pub struct SystemThread {
    /// The `KTHREAD` that drivers see; only its dispatcher header means anything.
    words: Box<[u64; 64]>,
}

impl SystemThread {
    fn new() -> Self {
        let thread = Self {
            words: Box::new([0; 64]),
        };
        dispatcher::initialize(thread.address(), dispatcher::object_type::THREAD, 6, 0);
        thread
    }

    /// Address of the `KTHREAD`.
    #[must_use]
    pub fn address(&self) -> usize {
        self.words.as_ptr() as usize
    }
}

extern "win64" fn ps_create_system_thread(
    handle: usize,
    _access: u32,
    _attributes: usize,
    _process: usize,
    _client: usize,
    routine: usize,
    context: u64,
) -> NtStatus {
    let system_thread = Arc::new(SystemThread::new());
    let running = Arc::clone(&system_thread);
    SYSTEM_THREADS.lock().push(routine);
    let spawned = std::thread::Builder::new()
        .name("system-thread".into())
        .spawn(move || {
            choose_processor();
            let _ = call_without_limit(routine, &[context]);
            let mut threads = SYSTEM_THREADS.lock();
            if let Some(index) = threads.iter().position(|&running| running == routine) {
                threads.swap_remove(index);
            }
            drop(threads);
            dispatcher::signal(running.address(), 1);
            // Waiters may look at the object after the thread has ended; references are not counted for it.
            std::mem::forget(running);
        });
    if spawned.is_err() {
        return status::INSUFFICIENT_RESOURCES;
    }
    memory::write(handle, object::open(Object::Thread(system_thread)));
    status::SUCCESS
}

extern "win64" fn ps_terminate_system_thread(_status: NtStatus) -> NtStatus {
    let depth = thread::with(|thread| thread.depth.get());
    if depth != 1 || irql::current() != irql::PASSIVE_LEVEL {
        return status::INVALID_PARAMETER;
    }
    thunk::leave_driver()
}

extern "win64" fn ke_get_current_thread() -> usize {
    thread::kernel_stack()
}

extern "win64" fn ps_get_current_thread_id() -> usize {
    // Unique among the living, a multiple of 4 like all Windows ids.
    thread::kernel_stack() >> 14
}

extern "win64" fn ke_set_priority_thread(_thread: usize, _priority: i32) -> i32 {
    8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Kernel};
    use std::time::Duration;

    #[test]
    fn jobs_run_at_passive_level_and_flush_waits_for_them() {
        let _kernel = Kernel::boot(&Config::default());
        let ran = Arc::new(AtomicUsize::new(0));
        for _ in 0..3 * WORKERS {
            let ran = Arc::clone(&ran);
            queue(move || {
                assert_eq!(irql::current(), irql::PASSIVE_LEVEL);
                std::thread::sleep(Duration::from_millis(2));
                ran.fetch_add(1, Ordering::SeqCst);
            });
        }
        flush();
        assert_eq!(ran.load(Ordering::SeqCst), 3 * WORKERS);
    }
}
