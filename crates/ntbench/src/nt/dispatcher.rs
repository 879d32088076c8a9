//! Dispatcher objects and waiting: events, semaphores, mutexes; timers and threads are signalled from their own modules.
//!
//! One lock and one condition variable serve all objects, as the dispatcher lock did in Windows NT. The state is in the driver's
//! memory, where drivers expect it; nothing else is kept there.

use super::clock;
use super::status::{self, NtStatus};
use crate::cpu::irql::{self, DISPATCH_LEVEL};
use crate::cpu::thread;
use crate::exports;
use crate::memory;
use crate::verifier::{BugCheck, Rule, Violation};
use parking_lot::{Condvar, Mutex};
use std::time::Instant;

exports! {
    /// Events, semaphores, mutexes and waits.
    pub static EXPORTS: "ntoskrnl.exe" = {
        KeInitializeEvent = function(ke_initialize_event, any());
        KeSetEvent = function(ke_set_event, at_most(DISPATCH_LEVEL));
        KeResetEvent = function(ke_reset_event, at_most(DISPATCH_LEVEL));
        KeClearEvent = function(ke_clear_event, at_most(DISPATCH_LEVEL));
        KePulseEvent = function(ke_pulse_event, at_most(DISPATCH_LEVEL));
        KeReadStateEvent = function(ke_read_state, at_most(DISPATCH_LEVEL));
        KeInitializeSemaphore = function(ke_initialize_semaphore, any());
        KeReleaseSemaphore = function(ke_release_semaphore, at_most(DISPATCH_LEVEL));
        KeReadStateSemaphore = function(ke_read_state, at_most(DISPATCH_LEVEL));
        KeInitializeMutex = function(ke_initialize_mutex, any());
        KeReleaseMutex = function(ke_release_mutex, at_most(DISPATCH_LEVEL));
        KeReadStateMutex = function(ke_read_state, at_most(DISPATCH_LEVEL));
        KeWaitForSingleObject = function(ke_wait_for_single_object, any());
        KeWaitForMultipleObjects = function(ke_wait_for_multiple_objects, any());
        KeDelayExecutionThread = function(ke_delay_execution_thread, at_most(APC_LEVEL));
    }
}

/// Types in the first byte of a `DISPATCHER_HEADER`.
pub(super) mod object_type {
    pub const NOTIFICATION_EVENT: u8 = 0;
    pub const SYNCHRONIZATION_EVENT: u8 = 1;
    pub const MUTANT: u8 = 2;
    pub const SEMAPHORE: u8 = 5;
    pub const THREAD: u8 = 6;
    pub const NOTIFICATION_TIMER: u8 = 8;
    pub const SYNCHRONIZATION_TIMER: u8 = 9;
}

/// Offsets in `DISPATCHER_HEADER` and the objects that start with it.
mod offset {
    pub const SIZE: usize = 2;
    pub const SIGNAL_STATE: usize = 4;
    pub const WAIT_LIST: usize = 8;
    pub const SEMAPHORE_LIMIT: usize = 24;
    pub const MUTANT_OWNER: usize = 40;
}

static LOCK: Mutex<()> = Mutex::new(());
static CHANGED: Condvar = Condvar::new();

/// Initialises the header of an object of `words` 32-bit words.
pub(super) fn initialize(object: usize, kind: u8, words: u8, state: i32) {
    memory::write(object, [kind, 0, words, 0]);
    memory::write(object + offset::SIGNAL_STATE, state);
    let list = object + offset::WAIT_LIST;
    memory::write(list, [list, list]);
}

/// An initialised object has a wait list that points to itself; one that was copied elsewhere, or never
/// initialised, has not.
fn check(object: usize) {
    let list = object + offset::WAIT_LIST;
    let pointers: [usize; 2] = memory::read(list);
    if memory::read::<u8>(object + offset::SIZE) == 0 || pointers != [list, list] {
        Violation::new(
            Rule::DispatcherObject,
            BugCheck::verifier(0xE1, [object as u64, 0, 0]),
            format!("the synchronisation object {object:#x} was never initialised, or moved since then"),
        )
        .advice(
            "initialise the object where it stays: in Rust it must be pinned or in an allocation of its own",
        )
        .stop();
    }
}

fn state(object: usize) -> i32 {
    memory::read(object + offset::SIGNAL_STATE)
}

fn set_state(object: usize, state: i32) {
    memory::write(object + offset::SIGNAL_STATE, state);
}

/// Sets an object's state and wakes waiters; returns the old state.
pub(super) fn signal(object: usize, new: i32) -> i32 {
    let _guard = LOCK.lock();
    let old = state(object);
    set_state(object, new);
    CHANGED.notify_all();
    old
}

extern "win64" fn ke_initialize_event(event: usize, kind: u32, signalled: u8) {
    let kind = if kind == 0 {
        object_type::NOTIFICATION_EVENT
    } else {
        object_type::SYNCHRONIZATION_EVENT
    };
    initialize(event, kind, 6, i32::from(signalled != 0));
}

extern "win64" fn ke_set_event(event: usize, _increment: i32, wait: u8) -> i32 {
    check(event);
    if wait != 0 {
        Violation::new(
            Rule::KeSetEventWait,
            BugCheck::verifier(0x80, [u64::from(irql::current()), event as u64, 0]),
            "KeSetEvent with Wait TRUE, which returns at raised IRQL",
        )
        .advice("pass FALSE, and wait with an own call")
        .stop();
    }
    signal(event, 1)
}

extern "win64" fn ke_reset_event(event: usize) -> i32 {
    check(event);
    signal(event, 0)
}

extern "win64" fn ke_clear_event(event: usize) {
    check(event);
    signal(event, 0);
}

extern "win64" fn ke_pulse_event(event: usize, _increment: i32, _wait: u8) -> i32 {
    check(event);
    let old = signal(event, 1);
    signal(event, 0);
    old
}

extern "win64" fn ke_read_state(object: usize) -> i32 {
    check(object);
    state(object)
}

extern "win64" fn ke_initialize_semaphore(semaphore: usize, count: i32, limit: i32) {
    initialize(semaphore, object_type::SEMAPHORE, 8, count);
    memory::write(semaphore + offset::SEMAPHORE_LIMIT, limit);
}

extern "win64" fn ke_release_semaphore(semaphore: usize, _increment: i32, adjustment: i32, _wait: u8) -> i32 {
    check(semaphore);
    let limit: i32 = memory::read(semaphore + offset::SEMAPHORE_LIMIT);
    let guard = LOCK.lock();
    let old = state(semaphore);
    let new = old
        .checked_add(adjustment)
        .filter(|&new| adjustment > 0 && new <= limit);
    if let Some(new) = new {
        set_state(semaphore, new);
        CHANGED.notify_all();
        return old;
    }
    drop(guard);
    // Windows raises STATUS_SEMAPHORE_LIMIT_EXCEEDED, which nobody in a driver handles.
    Violation::new(
        Rule::SemaphoreLimit,
        BugCheck::new(
            0x1E,
            [
                u64::from(status::SEMAPHORE_LIMIT_EXCEEDED.cast_unsigned()),
                semaphore as u64,
                0,
                0,
            ],
        ),
        format!("KeReleaseSemaphore by {adjustment} from {old} exceeds the limit {limit}"),
    )
    .advice("release the semaphore once for each wait")
    .stop()
}

extern "win64" fn ke_initialize_mutex(mutex: usize, _level: u32) {
    initialize(mutex, object_type::MUTANT, 14, 1);
    memory::write(mutex + offset::MUTANT_OWNER, 0_usize);
}

extern "win64" fn ke_release_mutex(mutex: usize, _wait: u8) -> i32 {
    check(mutex);
    let guard = LOCK.lock();
    let owner: usize = memory::read(mutex + offset::MUTANT_OWNER);
    if owner == thread::kernel_stack() {
        let old = state(mutex);
        set_state(mutex, old + 1);
        if old + 1 == 1 {
            memory::write(mutex + offset::MUTANT_OWNER, 0_usize);
        }
        CHANGED.notify_all();
        return old;
    }
    drop(guard);
    Violation::new(
        Rule::MutexOwner,
        BugCheck::verifier(
            0x1004,
            [mutex as u64, owner as u64, thread::kernel_stack() as u64],
        ),
        "KeReleaseMutex by a thread that does not own the mutex",
    )
    .advice("release a mutex on the thread that waited for it")
    .stop()
}

/// Whether a wait on the object would succeed now.
fn is_signalled(object: usize) -> bool {
    state(object) > 0
        || (memory::read::<u8>(object) == object_type::MUTANT
            && memory::read::<usize>(object + offset::MUTANT_OWNER) == thread::kernel_stack())
}

/// What a successful wait does to the object.
fn consume(object: usize) {
    match memory::read::<u8>(object) {
        object_type::SYNCHRONIZATION_EVENT | object_type::SYNCHRONIZATION_TIMER => set_state(object, 0),
        object_type::SEMAPHORE => set_state(object, state(object) - 1),
        object_type::MUTANT => {
            set_state(object, state(object) - 1);
            memory::write(object + offset::MUTANT_OWNER, thread::kernel_stack());
        }
        _ => {}
    }
}

/// At DISPATCH level only a look without waiting is allowed.
fn check_wait_irql(object: usize, timeout: Option<i64>) {
    let level = irql::current();
    let violation = match timeout {
        _ if level < DISPATCH_LEVEL => return,
        _ if level > DISPATCH_LEVEL => 0x120,
        None => 0x121,
        Some(0) => return,
        Some(_) => 0x122,
    };
    Violation::new(
        Rule::WaitIrql,
        BugCheck::verifier(
            violation,
            [
                u64::from(level),
                object as u64,
                timeout.map_or(0, i64::cast_unsigned),
            ],
        ),
        format!("wait at IRQL {level} with timeout {timeout:?}"),
    )
    .advice("wait at PASSIVE_LEVEL; at DISPATCH_LEVEL continue from a DPC or work item instead")
    .stop()
}

/// Waits for all or any of the objects; the index of the one that ended the wait, or `None` when the time was over.
fn wait(objects: &[usize], all: bool, timeout: Option<i64>) -> Option<usize> {
    for &object in objects {
        check(object);
    }
    check_wait_irql(objects.first().copied().unwrap_or(0), timeout);
    let until = timeout.map(clock::due);
    let mut guard = LOCK.lock();
    loop {
        let ready = if all {
            objects.iter().all(|&object| is_signalled(object)).then_some(0)
        } else {
            objects.iter().position(|&object| is_signalled(object))
        };
        if let Some(index) = ready {
            if all {
                objects.iter().copied().for_each(consume);
            } else {
                consume(objects[index]);
            }
            return Some(index);
        }
        match until {
            None => CHANGED.wait(&mut guard),
            Some(until) if Instant::now() < until => {
                let _ = CHANGED.wait_until(&mut guard, until);
            }
            Some(_) => return None,
        }
    }
}

extern "win64" fn ke_wait_for_single_object(
    object: usize,
    _reason: u32,
    _mode: u8,
    _alertable: u8,
    timeout: usize,
) -> NtStatus {
    let timeout = clock::read_timeout(timeout);
    if wait(&[object], false, timeout).is_some() {
        status::SUCCESS
    } else {
        status::TIMEOUT
    }
}

extern "win64" fn ke_wait_for_multiple_objects(
    count: u32,
    objects: usize,
    wait_type: u32,
    _reason: u32,
    _mode: u8,
    _alertable: u8,
    timeout: usize,
    _wait_blocks: usize,
) -> NtStatus {
    let objects: Vec<usize> = (0..count as usize)
        .map(|index| memory::read(objects + index * 8))
        .collect();
    let index = wait(&objects, wait_type == 0, clock::read_timeout(timeout));
    index.map_or(status::TIMEOUT, |index| {
        i32::try_from(index).unwrap_or(status::INVALID_PARAMETER)
    })
}

extern "win64" fn ke_delay_execution_thread(_mode: u8, _alertable: u8, interval: usize) -> NtStatus {
    let until = clock::due(memory::read(interval));
    std::thread::sleep(until.saturating_duration_since(Instant::now()));
    status::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An object in memory of its own.
    struct Memory(Box<[u64; 8]>);

    impl Memory {
        fn new(initialize: impl FnOnce(usize)) -> Self {
            let memory = Self(Box::new([0; 8]));
            initialize(memory.at());
            memory
        }

        fn at(&self) -> usize {
            self.0.as_ptr() as usize
        }
    }

    fn event(kind: u32, signalled: u8) -> Memory {
        Memory::new(|at| ke_initialize_event(at, kind, signalled))
    }

    const NOW: Option<i64> = Some(0);

    #[test]
    fn events_stay_signalled_or_release_one_waiter() {
        let (notification, synchronization) = (event(0, 0), event(1, 0));
        assert_eq!(wait(&[notification.at()], false, NOW), None);
        for object in [&notification, &synchronization] {
            assert_eq!(ke_set_event(object.at(), 0, 0), 0);
            assert_eq!(ke_set_event(object.at(), 0, 0), 1, "the old state is returned");
            assert_eq!(wait(&[object.at()], false, NOW), Some(0));
        }
        assert_eq!(wait(&[notification.at()], false, NOW), Some(0));
        assert_eq!(
            wait(&[synchronization.at()], false, NOW),
            None,
            "one wait has consumed it"
        );
        assert_eq!(ke_reset_event(notification.at()), 1);
        assert_eq!(ke_read_state(notification.at()), 0);
    }

    #[test]
    fn a_wait_ends_in_time_or_when_signalled() {
        let object = event(1, 0);
        let start = Instant::now();
        assert_eq!(wait(&[object.at()], false, Some(-200_000)), None);
        assert!(start.elapsed() >= std::time::Duration::from_millis(20));
        let at = object.at();
        let waiter = std::thread::spawn(move || wait(&[at], false, Some(-100_000_000)));
        signal(at, 1);
        assert_eq!(waiter.join().expect("no panic"), Some(0));
    }

    #[test]
    fn waiting_for_all_takes_all_or_nothing() {
        let (first, second) = (event(1, 1), event(1, 0));
        let objects = [first.at(), second.at()];
        assert_eq!(wait(&objects, true, NOW), None);
        assert_eq!(ke_read_state(first.at()), 1, "nothing was consumed");
        signal(second.at(), 1);
        assert_eq!(wait(&objects, true, NOW), Some(0));
        assert_eq!((ke_read_state(first.at()), ke_read_state(second.at())), (0, 0));
        signal(second.at(), 1);
        assert_eq!(
            wait(&objects, false, NOW),
            Some(1),
            "any: the index of the one that was signalled"
        );
    }

    #[test]
    fn semaphores_count() {
        let semaphore = Memory::new(|at| ke_initialize_semaphore(at, 1, 3));
        assert_eq!(wait(&[semaphore.at()], false, NOW), Some(0));
        assert_eq!(wait(&[semaphore.at()], false, NOW), None);
        assert_eq!(ke_release_semaphore(semaphore.at(), 0, 2, 0), 0);
        assert_eq!(wait(&[semaphore.at()], false, NOW), Some(0));
        assert_eq!(ke_read_state(semaphore.at()), 1);
    }

    #[test]
    fn a_mutex_is_recursive_for_its_owner_only() {
        let mutex = Memory::new(|at| ke_initialize_mutex(at, 0));
        let at = mutex.at();
        assert_eq!(wait(&[at], false, NOW), Some(0));
        assert_eq!(wait(&[at], false, NOW), Some(0));
        let other = move || {
            std::thread::spawn(move || wait(&[at], false, NOW))
                .join()
                .expect("no panic")
        };
        assert_eq!(ke_release_mutex(at, 0), -1);
        assert_eq!(other(), None);
        assert_eq!(ke_release_mutex(at, 0), 0);
        assert_eq!(other(), Some(0));
    }
}
