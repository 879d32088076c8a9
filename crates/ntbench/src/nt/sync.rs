//! Rundown protection, interlocked lists, fast mutexes, stalling.

use crate::cpu::irql::{self, APC_LEVEL};
use crate::cpu::thread;
use crate::exports;
use crate::memory;
use crate::verifier::{BugCheck, Rule, Violation, limits};
use parking_lot::{Condvar, Mutex};
use std::time::{Duration, Instant};

exports! {
    /// Rundown protection, interlocked singly linked lists, fast mutexes, stalling.
    pub static EXPORTS: "ntoskrnl.exe" = {
        ExInitializeRundownProtection = function(ex_initialize_rundown_protection, any());
        ExReInitializeRundownProtection = function(ex_initialize_rundown_protection, any());
        ExAcquireRundownProtection = function(ex_acquire_rundown_protection, any());
        ExAcquireRundownProtectionEx = function(ex_acquire_rundown_protection_ex, any());
        ExReleaseRundownProtection = function(ex_release_rundown_protection, any());
        ExReleaseRundownProtectionEx = function(ex_release_rundown_protection_ex, any());
        ExWaitForRundownProtectionRelease = function(ex_wait_for_rundown_protection_release, at_most(APC_LEVEL));
        ExRundownCompleted = function(ex_rundown_completed, any());
        InitializeSListHead = function(initialize_s_list_head, any());
        ExpInterlockedPushEntrySList = function(push_entry_s_list, any());
        ExpInterlockedPopEntrySList = function(pop_entry_s_list, any());
        ExpInterlockedFlushSList = function(flush_s_list, any());
        ExQueryDepthSList = function(query_depth_s_list, any());
        ExAcquireFastMutex = function(ex_acquire_fast_mutex, at_most(APC_LEVEL).changing());
        ExReleaseFastMutex = function(ex_release_fast_mutex, any().changing());
        ExTryToAcquireFastMutex = function(ex_try_to_acquire_fast_mutex, at_most(APC_LEVEL).changing());
        KeStallExecutionProcessor = function(ke_stall_execution_processor, any());
    }
}

/// Guards all rundown references and lists; nothing is done under it but changing a few words.
static LOCK: Mutex<()> = Mutex::new(());
static CHANGED: Condvar = Condvar::new();

/// `EX_RUNDOWN_REF`: bit 0 says that rundown has begun, the rest counts references.
const RUNDOWN_ACTIVE: u64 = 1;
const RUNDOWN_REFERENCE: u64 = 2;

pub(super) extern "win64" fn ex_initialize_rundown_protection(reference: usize) {
    memory::write(reference, 0_u64);
}

extern "win64" fn ex_acquire_rundown_protection(reference: usize) -> u8 {
    ex_acquire_rundown_protection_ex(reference, 1)
}

pub(super) extern "win64" fn ex_acquire_rundown_protection_ex(reference: usize, count: u32) -> u8 {
    let _guard = LOCK.lock();
    let value: u64 = memory::read(reference);
    if value & RUNDOWN_ACTIVE != 0 {
        return 0;
    }
    memory::write(reference, value + RUNDOWN_REFERENCE * u64::from(count));
    1
}

extern "win64" fn ex_release_rundown_protection(reference: usize) {
    ex_release_rundown_protection_ex(reference, 1);
}

pub(super) extern "win64" fn ex_release_rundown_protection_ex(reference: usize, count: u32) {
    let guard = LOCK.lock();
    let value: u64 = memory::read(reference);
    let Some(left) = value.checked_sub(RUNDOWN_REFERENCE * u64::from(count)) else {
        drop(guard);
        Violation::new(
            Rule::RundownRelease,
            BugCheck::new(0x139, [0x10, reference as u64, value, 0]),
            "rundown protection is released more often than acquired",
        )
        .advice("release once for each acquisition that returned TRUE")
        .stop();
    };
    memory::write(reference, left);
    CHANGED.notify_all();
}

pub(super) extern "win64" fn ex_wait_for_rundown_protection_release(reference: usize) {
    let mut guard = LOCK.lock();
    memory::write(reference, memory::read::<u64>(reference) | RUNDOWN_ACTIVE);
    while memory::read::<u64>(reference) != RUNDOWN_ACTIVE {
        CHANGED.wait(&mut guard);
    }
}

pub(super) extern "win64" fn ex_rundown_completed(reference: usize) {
    memory::write(reference, RUNDOWN_ACTIVE);
}

/// An `SLIST_HEADER` as the bench keeps it: depth in the first 16 bits, the first entry's address in the second word.
const LIST_FIRST: usize = 8;

fn check_alignment(address: usize) {
    if !address.is_multiple_of(16) {
        Violation::new(
            Rule::SListAlignment,
            BugCheck::new(0x1E, [0x8000_0002, address as u64, 0, 0]),
            format!("SLIST header or entry at {address:#x} is not aligned to 16 bytes"),
        )
        .advice("align the structure, for instance with #[repr(align(16))]")
        .stop();
    }
}

extern "win64" fn initialize_s_list_head(list: usize) {
    check_alignment(list);
    memory::write(list, [0_u64; 2]);
}

extern "win64" fn push_entry_s_list(list: usize, entry: usize) -> usize {
    check_alignment(list);
    check_alignment(entry);
    let _guard = LOCK.lock();
    let first: usize = memory::read(list + LIST_FIRST);
    memory::write(entry, first);
    memory::write(list + LIST_FIRST, entry);
    memory::write(list, memory::read::<u16>(list).wrapping_add(1));
    first
}

extern "win64" fn pop_entry_s_list(list: usize) -> usize {
    let _guard = LOCK.lock();
    let first: usize = memory::read(list + LIST_FIRST);
    if first != 0 {
        memory::write(list + LIST_FIRST, memory::read::<usize>(first));
        memory::write(list, memory::read::<u16>(list).wrapping_sub(1));
    }
    first
}

extern "win64" fn flush_s_list(list: usize) -> usize {
    let _guard = LOCK.lock();
    let first: usize = memory::read(list + LIST_FIRST);
    memory::write(list, [0_u64; 2]);
    first
}

extern "win64" fn query_depth_s_list(list: usize) -> u16 {
    memory::read(list)
}

/// Offsets in `FAST_MUTEX`.
mod fast_mutex {
    pub const COUNT: usize = 0;
    pub const OWNER: usize = 8;
    pub const OLD_IRQL: usize = 48;
}

fn take_fast_mutex(mutex: usize) -> bool {
    if memory::read::<i32>(mutex + fast_mutex::COUNT) != 1 {
        return false;
    }
    memory::write(mutex + fast_mutex::COUNT, 0_i32);
    memory::write(mutex + fast_mutex::OWNER, thread::kernel_stack());
    true
}

extern "win64" fn ex_acquire_fast_mutex(mutex: usize) {
    let old = irql::raise(APC_LEVEL);
    let mut guard = LOCK.lock();
    if memory::read::<usize>(mutex + fast_mutex::OWNER) == thread::kernel_stack() {
        drop(guard);
        Violation::new(
            Rule::FastMutexRecursion,
            BugCheck::verifier(0x1000, [mutex as u64, 0, 0]),
            format!("fast mutex {mutex:#x} is acquired by the thread that owns it"),
        )
        .advice("a fast mutex cannot be acquired recursively")
        .stop();
    }
    while !take_fast_mutex(mutex) {
        CHANGED.wait(&mut guard);
    }
    memory::write(mutex + fast_mutex::OLD_IRQL, u32::from(old));
}

extern "win64" fn ex_try_to_acquire_fast_mutex(mutex: usize) -> u8 {
    let old = irql::raise(APC_LEVEL);
    let _guard = LOCK.lock();
    if take_fast_mutex(mutex) {
        memory::write(mutex + fast_mutex::OLD_IRQL, u32::from(old));
        return 1;
    }
    irql::lower(old);
    0
}

extern "win64" fn ex_release_fast_mutex(mutex: usize) {
    if irql::current() != APC_LEVEL {
        Violation::new(
            Rule::FastMutexIrql,
            BugCheck::verifier(0x34, [u64::from(irql::current()), mutex as u64, 0]),
            "fast mutex released at another IRQL than APC_LEVEL",
        )
        .advice("release the mutex where the acquire has left the IRQL")
        .stop();
    }
    let guard = LOCK.lock();
    let owner: usize = memory::read(mutex + fast_mutex::OWNER);
    if owner != thread::kernel_stack() {
        drop(guard);
        Violation::new(
            Rule::FastMutexOwner,
            BugCheck::verifier(
                0x1004,
                [mutex as u64, owner as u64, thread::kernel_stack() as u64],
            ),
            "fast mutex released by a thread that does not own it",
        )
        .advice("release the mutex on the thread that acquired it")
        .stop();
    }
    memory::write(mutex + fast_mutex::OWNER, 0_usize);
    memory::write(mutex + fast_mutex::COUNT, 1_i32);
    let old: u32 = memory::read(mutex + fast_mutex::OLD_IRQL);
    CHANGED.notify_all();
    drop(guard);
    irql::lower(u8::try_from(old).unwrap_or(0).min(APC_LEVEL));
}

/// Spins: that is what the routine is for, and the verifier bounds it.
extern "win64" fn ke_stall_execution_processor(microseconds: u32) {
    limits::stall("KeStallExecutionProcessor", microseconds);
    let until = Instant::now() + Duration::from_micros(u64::from(microseconds));
    while Instant::now() < until {
        std::thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Kernel};

    #[repr(align(16))]
    #[derive(Default)]
    struct Words([u64; 8]);

    fn address(words: &mut Words) -> usize {
        words.0.as_mut_ptr() as usize
    }

    #[test]
    fn rundown_waits_for_the_last_reference_and_refuses_new_ones() {
        let mut words = Words::default();
        let reference = address(&mut words);
        ex_initialize_rundown_protection(reference);
        assert_eq!(ex_acquire_rundown_protection(reference), 1);
        assert_eq!(ex_acquire_rundown_protection_ex(reference, 2), 1);
        let waiter = std::thread::spawn(move || ex_wait_for_rundown_protection_release(reference));
        while ex_acquire_rundown_protection(reference) == 1 {
            ex_release_rundown_protection(reference);
            std::thread::yield_now();
        }
        assert!(!waiter.is_finished(), "three references are left");
        ex_release_rundown_protection_ex(reference, 2);
        ex_release_rundown_protection(reference);
        waiter.join().expect("no panic");
        assert_eq!(ex_acquire_rundown_protection(reference), 0, "rundown is over");
        ex_initialize_rundown_protection(reference);
        assert_eq!(ex_acquire_rundown_protection(reference), 1);
    }

    #[test]
    fn interlocked_lists_are_last_in_first_out() {
        let (mut head, mut first, mut second) = (Words::default(), Words::default(), Words::default());
        let (list, a, b) = (address(&mut head), address(&mut first), address(&mut second));
        initialize_s_list_head(list);
        assert_eq!(pop_entry_s_list(list), 0);
        assert_eq!(push_entry_s_list(list, a), 0);
        assert_eq!(push_entry_s_list(list, b), a);
        assert_eq!(query_depth_s_list(list), 2);
        assert_eq!(pop_entry_s_list(list), b);
        assert_eq!(push_entry_s_list(list, b), a);
        assert_eq!(flush_s_list(list), b);
        assert_eq!(memory::read::<usize>(b), a, "flushing leaves the chain");
        assert_eq!((query_depth_s_list(list), pop_entry_s_list(list)), (0, 0));
    }

    #[test]
    fn a_fast_mutex_excludes_and_raises_to_apc_level() {
        let _kernel = Kernel::boot(&Config::default());
        let mut words = Words::default();
        words.0[0] = 1;
        let mutex = address(&mut words);
        ex_acquire_fast_mutex(mutex);
        assert_eq!(irql::current(), APC_LEVEL);
        let tried = std::thread::spawn(move || ex_try_to_acquire_fast_mutex(mutex))
            .join()
            .expect("no panic");
        assert_eq!(tried, 0);
        let waiter = std::thread::spawn(move || {
            ex_acquire_fast_mutex(mutex);
            ex_release_fast_mutex(mutex);
        });
        ex_release_fast_mutex(mutex);
        waiter.join().expect("no panic");
        assert_eq!(irql::current(), irql::PASSIVE_LEVEL);
        assert_eq!(ex_try_to_acquire_fast_mutex(mutex), 1);
        ex_release_fast_mutex(mutex);
    }
}
