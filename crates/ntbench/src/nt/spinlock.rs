//! Spin locks.
#![expect(unsafe_code, reason = "the lock word is an atomic in driver memory")]

use crate::cpu::irql::{self, DISPATCH_LEVEL, Irql};
use crate::exports;
use crate::memory;
use crate::verifier::locks::{self, Flavor};
use crate::verifier::{BugCheck, Rule, Violation, limits};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Instant;

pub use crate::verifier::locks::check_freed;

exports! {
    /// Spin locks. The routines check the IRQL themselves: each rule has a code of its own in Driver Verifier.
    pub static EXPORTS: "ntoskrnl.exe" = {
        KeInitializeSpinLock = function(ke_initialize_spin_lock, any());
        KeAcquireSpinLockRaiseToDpc = function(ke_acquire_spin_lock_raise_to_dpc, any().changing());
        KeReleaseSpinLock = function(ke_release_spin_lock, any().changing());
        KeAcquireSpinLockAtDpcLevel = function(ke_acquire_spin_lock_at_dpc_level, any());
        KeReleaseSpinLockFromDpcLevel = function(ke_release_spin_lock_from_dpc_level, any());
        KeTryToAcquireSpinLockAtDpcLevel = function(ke_try_to_acquire_spin_lock_at_dpc_level, any());
        KeTestSpinLock = function(ke_test_spin_lock, any());
        KeAcquireInStackQueuedSpinLock = function(ke_acquire_in_stack_queued_spin_lock, any().changing());
        KeReleaseInStackQueuedSpinLock = function(ke_release_in_stack_queued_spin_lock, any().changing());
        KeAcquireInStackQueuedSpinLockAtDpcLevel = function(ke_acquire_in_stack_queued_at_dpc_level, any());
        KeReleaseInStackQueuedSpinLockFromDpcLevel = function(ke_release_in_stack_queued_from_dpc_level, any());
        ExAcquireSpinLockExclusive = function(ex_acquire_spin_lock_exclusive, any().changing());
        ExReleaseSpinLockExclusive = function(ex_release_spin_lock_exclusive, any().changing());
        ExAcquireSpinLockShared = function(ex_acquire_spin_lock_shared, any().changing());
        ExReleaseSpinLockShared = function(ex_release_spin_lock_shared, any().changing());
        ExAcquireSpinLockExclusiveAtDpcLevel = function(ex_acquire_exclusive_at_dpc_level, any());
        ExReleaseSpinLockExclusiveFromDpcLevel = function(ex_release_exclusive_from_dpc_level, any());
        ExAcquireSpinLockSharedAtDpcLevel = function(ex_acquire_shared_at_dpc_level, any());
        ExReleaseSpinLockSharedFromDpcLevel = function(ex_release_shared_from_dpc_level, any());
    }
}

/// Offsets in `KLOCK_QUEUE_HANDLE`.
mod handle {
    pub const LOCK: usize = 8;
    pub const OLD_IRQL: usize = 16;
}

/// An `EX_SPIN_LOCK` with this bit is held exclusively; the rest counts readers.
const EXCLUSIVE: u32 = 0x8000_0000;

fn word(lock: usize) -> &'static AtomicUsize {
    // SAFETY: a KSPIN_LOCK is a naturally aligned word of the driver that lives as long as it is used as a lock; a bad
    // address faults and is reported.
    unsafe { AtomicUsize::from_ptr(lock as *mut usize) }
}

fn word32(lock: usize) -> &'static AtomicU32 {
    // SAFETY: as for `word`; an EX_SPIN_LOCK has 32 bits.
    unsafe { AtomicU32::from_ptr(lock as *mut u32) }
}

fn wrong_irql(violation: u64, lock: usize, what: &str) -> ! {
    let level = irql::current();
    Violation::new(
        Rule::SpinLockIrql,
        BugCheck::verifier(violation, [u64::from(level), lock as u64, 0]),
        format!("{what} at IRQL {level}"),
    )
    .advice("KeAcquireSpinLock belongs below or at DISPATCH_LEVEL, the …DpcLevel variants at DISPATCH_LEVEL, and a release where the acquire has left the IRQL")
    .stop()
}

fn require_at_most_dispatch(lock: usize) {
    if irql::current() > DISPATCH_LEVEL {
        wrong_irql(0x42, lock, "spin lock acquired");
    }
}

fn require_dispatch(lock: usize) {
    if irql::current() < DISPATCH_LEVEL {
        wrong_irql(0x40, lock, "spin lock acquired with an AtDpcLevel routine");
    }
}

/// Spins until `take` succeeds, with the limit of the verifier.
fn spin(lock: usize, mut take: impl FnMut() -> bool) {
    locks::before_acquire(lock);
    if take() {
        return;
    }
    let start = Instant::now();
    let mut rounds = 0_u32;
    while !take() {
        rounds += 1;
        if rounds < 64 {
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
        if rounds.is_multiple_of(1024) && start.elapsed() > limits::get().spin {
            spun_too_long(lock);
        }
    }
}

fn spun_too_long(lock: usize) -> ! {
    let limit = limits::get().spin;
    let violation = match locks::holder(lock) {
        Some(stack) => Violation::new(
            Rule::SpinLockTimeout,
            BugCheck::new(0x133, [0, lock as u64, 0, 0]),
            format!("spin lock {lock:#x} could not be had within {limit:?}"),
        )
        .stack("held since", stack),
        None => Violation::new(
            Rule::SpinLockUninitialized,
            BugCheck::verifier(0x1002, [lock as u64, 0, 0]),
            format!(
                "spin lock {lock:#x} looks taken ({:#x}) and nobody holds it",
                memory::read::<usize>(lock)
            ),
        ),
    };
    violation
        .advice("initialise the lock, hold it briefly, and release it on every path")
        .stop()
}

/// Takes the lock at the current IRQL.
fn acquire(lock: usize, flavor: Flavor, old_irql: Option<Irql>) {
    spin(lock, || {
        word(lock)
            .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    });
    locks::acquired(lock, flavor, old_irql);
}

/// Releases at the current IRQL; returns the IRQL from before the acquire, if that raised it.
fn release(lock: usize, flavor: Flavor) -> Option<Irql> {
    let held = locks::release(lock, flavor);
    word(lock).store(0, Ordering::Release);
    held.old_irql
}

/// Lowers to `new`, which must be what the acquire returned.
fn lower(lock: usize, old: Option<Irql>, new: Irql) {
    if old != Some(new) {
        Violation::new(
            Rule::IrqlKeReleaseSpinLock,
            BugCheck::verifier(0x0002_0015, [lock as u64, u64::from(new), 0]),
            format!("spin lock {lock:#x} is released to IRQL {new}; it was acquired at {old:?}"),
        )
        .advice("pass the IRQL that the acquire returned to the matching release")
        .stop();
    }
    irql::lower(new);
}

extern "win64" fn ke_initialize_spin_lock(lock: usize) {
    memory::write(lock, 0_usize);
}

extern "win64" fn ke_acquire_spin_lock_raise_to_dpc(lock: usize) -> Irql {
    require_at_most_dispatch(lock);
    let old = irql::raise(DISPATCH_LEVEL);
    acquire(lock, Flavor::Plain, Some(old));
    old
}

extern "win64" fn ke_release_spin_lock(lock: usize, new: Irql) {
    if irql::current() != DISPATCH_LEVEL {
        wrong_irql(0x32, lock, "spin lock released");
    }
    let old = release(lock, Flavor::Plain);
    lower(lock, old, new);
}

extern "win64" fn ke_acquire_spin_lock_at_dpc_level(lock: usize) {
    require_dispatch(lock);
    acquire(lock, Flavor::Plain, None);
}

extern "win64" fn ke_release_spin_lock_from_dpc_level(lock: usize) {
    if irql::current() < DISPATCH_LEVEL {
        wrong_irql(0x41, lock, "spin lock released with a FromDpcLevel routine");
    }
    let _ = release(lock, Flavor::Plain);
}

extern "win64" fn ke_try_to_acquire_spin_lock_at_dpc_level(lock: usize) -> u8 {
    require_dispatch(lock);
    if word(lock)
        .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
        .is_err()
    {
        return 0;
    }
    locks::acquired(lock, Flavor::Plain, None);
    1
}

extern "win64" fn ke_test_spin_lock(lock: usize) -> u8 {
    u8::from(word(lock).load(Ordering::Relaxed) == 0)
}

fn fill_handle(queue_handle: usize, lock: usize, old: Irql) {
    memory::write(queue_handle, 0_usize);
    memory::write(queue_handle + handle::LOCK, lock);
    memory::write(queue_handle + handle::OLD_IRQL, old);
}

extern "win64" fn ke_acquire_in_stack_queued_spin_lock(lock: usize, queue_handle: usize) {
    require_at_most_dispatch(lock);
    let old = irql::raise(DISPATCH_LEVEL);
    acquire(lock, Flavor::Queued, Some(old));
    fill_handle(queue_handle, lock, old);
}

extern "win64" fn ke_release_in_stack_queued_spin_lock(queue_handle: usize) {
    let lock: usize = memory::read(queue_handle + handle::LOCK);
    if irql::current() != DISPATCH_LEVEL {
        wrong_irql(0x36, lock, "queued spin lock released");
    }
    let old = release(lock, Flavor::Queued);
    lower(lock, old, memory::read(queue_handle + handle::OLD_IRQL));
}

extern "win64" fn ke_acquire_in_stack_queued_at_dpc_level(lock: usize, queue_handle: usize) {
    require_dispatch(lock);
    acquire(lock, Flavor::Queued, None);
    fill_handle(queue_handle, lock, DISPATCH_LEVEL);
}

extern "win64" fn ke_release_in_stack_queued_from_dpc_level(queue_handle: usize) {
    let lock: usize = memory::read(queue_handle + handle::LOCK);
    if irql::current() < DISPATCH_LEVEL {
        wrong_irql(
            0x41,
            lock,
            "queued spin lock released with a FromDpcLevel routine",
        );
    }
    let _ = release(lock, Flavor::Queued);
}

fn acquire_exclusive(lock: usize, old: Option<Irql>) {
    let take = || {
        word32(lock)
            .compare_exchange(0, EXCLUSIVE, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    };
    spin(lock, take);
    locks::acquired(lock, Flavor::ReaderWriter, old);
}

fn acquire_shared(lock: usize, old: Option<Irql>) {
    let add = |value: u32| (value & EXCLUSIVE == 0).then_some(value + 1);
    spin(lock, || {
        word32(lock)
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, add)
            .is_ok()
    });
    locks::acquired(lock, Flavor::ReaderWriter, old);
}

fn release_reader_writer(lock: usize) -> Option<Irql> {
    let held = locks::release(lock, Flavor::ReaderWriter);
    let remove = |value: u32| {
        Some(if value & EXCLUSIVE == 0 {
            value - 1
        } else {
            value & !EXCLUSIVE
        })
    };
    // `remove` always gives a value, so this cannot fail.
    let _ = word32(lock).fetch_update(Ordering::Release, Ordering::Relaxed, remove);
    held.old_irql
}

extern "win64" fn ex_acquire_spin_lock_exclusive(lock: usize) -> Irql {
    require_at_most_dispatch(lock);
    let old = irql::raise(DISPATCH_LEVEL);
    acquire_exclusive(lock, Some(old));
    old
}

extern "win64" fn ex_release_spin_lock_exclusive(lock: usize, new: Irql) {
    let old = release_reader_writer(lock);
    lower(lock, old, new);
}

extern "win64" fn ex_acquire_spin_lock_shared(lock: usize) -> Irql {
    require_at_most_dispatch(lock);
    let old = irql::raise(DISPATCH_LEVEL);
    acquire_shared(lock, Some(old));
    old
}

extern "win64" fn ex_release_spin_lock_shared(lock: usize, new: Irql) {
    let old = release_reader_writer(lock);
    lower(lock, old, new);
}

extern "win64" fn ex_acquire_exclusive_at_dpc_level(lock: usize) {
    require_dispatch(lock);
    acquire_exclusive(lock, None);
}

extern "win64" fn ex_release_exclusive_from_dpc_level(lock: usize) {
    let _ = release_reader_writer(lock);
}

extern "win64" fn ex_acquire_shared_at_dpc_level(lock: usize) {
    require_dispatch(lock);
    acquire_shared(lock, None);
}

extern "win64" fn ex_release_shared_from_dpc_level(lock: usize) {
    let _ = release_reader_writer(lock);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::irql::PASSIVE_LEVEL;
    use crate::{Config, Kernel};

    #[test]
    fn a_lock_raises_excludes_and_restores() {
        let kernel = Kernel::boot(&Config::default());
        let words = Box::new([0_usize; 2]);
        let (lock, counter) = (words.as_ptr() as usize, words.as_ptr() as usize + 8);
        let add = move |vp| {
            crate::cpu::thread::with(|thread| thread.vp.set(vp));
            for _ in 0..2000 {
                let old = ke_acquire_spin_lock_raise_to_dpc(lock);
                assert_eq!((old, irql::current()), (PASSIVE_LEVEL, DISPATCH_LEVEL));
                memory::write(counter, memory::read::<usize>(counter) + 1);
                ke_release_spin_lock(lock, old);
            }
        };
        let other = std::thread::spawn(move || add(1));
        add(0);
        other.join().expect("no panic");
        assert_eq!(memory::read::<usize>(counter), 4000);
        kernel.run_at(DISPATCH_LEVEL, 0, || {
            assert_eq!(ke_try_to_acquire_spin_lock_at_dpc_level(lock), 1);
            assert_eq!(ke_test_spin_lock(lock), 0);
            assert_eq!(ke_try_to_acquire_spin_lock_at_dpc_level(lock), 0);
            ke_release_spin_lock_from_dpc_level(lock);
            assert_eq!(ke_test_spin_lock(lock), 1);
        });
    }

    #[test]
    fn readers_share_and_writers_do_not() {
        let _kernel = Kernel::boot(&Config::default());
        let words = Box::new([0_u32; 2]);
        let lock = words.as_ptr() as usize;
        let old = ex_acquire_spin_lock_shared(lock);
        let reader = std::thread::spawn(move || {
            crate::cpu::thread::with(|thread| thread.vp.set(1));
            let old = ex_acquire_spin_lock_shared(lock);
            ex_release_spin_lock_shared(lock, old);
        });
        reader.join().expect("a second reader does not wait");
        let writer = std::thread::spawn(move || {
            crate::cpu::thread::with(|thread| thread.vp.set(1));
            let old = ex_acquire_spin_lock_exclusive(lock);
            ex_release_spin_lock_exclusive(lock, old);
        });
        ex_release_spin_lock_shared(lock, old);
        writer.join().expect("no panic");
        assert_eq!(memory::read::<u32>(lock), 0);
    }

    #[test]
    fn queued_locks_keep_the_irql_in_their_handle() {
        let _kernel = Kernel::boot(&Config::default());
        let words = Box::new([0_u64; 4]);
        let (lock, queue_handle) = (words.as_ptr() as usize, words.as_ptr() as usize + 8);
        ke_acquire_in_stack_queued_spin_lock(lock, queue_handle);
        assert_eq!(irql::current(), DISPATCH_LEVEL);
        assert_eq!(
            memory::read::<Irql>(queue_handle + handle::OLD_IRQL),
            PASSIVE_LEVEL
        );
        ke_release_in_stack_queued_spin_lock(queue_handle);
        assert_eq!(irql::current(), PASSIVE_LEVEL);
    }
}
