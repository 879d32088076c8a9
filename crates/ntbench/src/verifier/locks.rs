//! Spin lock rules: who holds what, and in which order locks are taken.

use super::{BugCheck, Rule, Violation};
use crate::cpu::irql::Irql;
use crate::cpu::{stack, thread};
use crate::symbols::StackTrace;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ops::Range;

/// Which family of routines took a lock: they must not be mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// `KeAcquireSpinLock…`
    Plain,
    /// `KeAcquireInStackQueuedSpinLock…`
    Queued,
    /// `ExAcquireSpinLockExclusive…` and shared.
    ReaderWriter,
}

/// A held lock.
#[derive(Clone, Debug)]
pub struct Held {
    /// Address of the lock.
    pub lock: usize,
    /// How it was taken.
    pub flavor: Flavor,
    /// IRQL before, for the variants that raise it.
    pub old_irql: Option<Irql>,
    thread: usize,
    stack: StackTrace,
}

#[derive(Default)]
struct Locks {
    held: Vec<Held>,
    /// For each lock the locks that were taken while it was held, with the stack of the first time.
    order: HashMap<usize, HashMap<usize, StackTrace>>,
}

static LOCKS: Mutex<Option<Locks>> = Mutex::new(None);

fn with_locks<R>(f: impl FnOnce(&mut Locks) -> R) -> R {
    f(LOCKS.lock().get_or_insert_default())
}

fn this_thread() -> usize {
    thread::kernel_stack()
}

/// Called before a thread starts to spin: stops on recursion and on an order that can deadlock.
pub fn before_acquire(lock: usize) {
    let me = this_thread();
    let problem = with_locks(|locks| {
        let mine: Vec<Held> = locks
            .held
            .iter()
            .filter(|held| held.thread == me)
            .cloned()
            .collect();
        if let Some(first) = mine.iter().find(|held| held.lock == lock) {
            return Some(
                Violation::new(
                    Rule::SpinLockRecursion,
                    BugCheck::verifier(0x1000, [lock as u64, 0, 0]),
                    format!("spin lock {lock:#x} is acquired by the thread that holds it"),
                )
                .advice(
                    "release the lock before calling code that takes it, and never call out with a lock held",
                )
                .stack("held since", first.stack.clone()),
            );
        }
        // Locks on stacks come and go at the same address: no order can be remembered for them.
        let lasting = |lock: usize| !stack::is_stack(me, lock);
        for held in mine.iter().filter(|held| lasting(held.lock) && lasting(lock)) {
            if locks
                .order
                .get(&held.lock)
                .is_some_and(|after| after.contains_key(&lock))
            {
                continue;
            }
            if let Some(reverse) = locks.path(lock, held.lock) {
                return Some(
                    Violation::new(
                        Rule::LockOrder,
                        BugCheck::verifier(0x1001, [lock as u64, held.lock as u64, 0]),
                        format!(
                            "{lock:#x} is acquired while {:#x} is held; before it was the other way round",
                            held.lock
                        ),
                    )
                    .advice("take the locks in one order everywhere, or do not nest them")
                    .stack("the other order", reverse)
                    .stack("held since", held.stack.clone()),
                );
            }
            locks
                .order
                .entry(held.lock)
                .or_default()
                .insert(lock, StackTrace::track());
        }
        None
    });
    if let Some(violation) = problem {
        violation.stop();
    }
}

impl Locks {
    /// The stack of the first step of a chain of acquisitions from one lock to another.
    fn path(&self, from: usize, to: usize) -> Option<StackTrace> {
        let mut seen = vec![from];
        let mut queue: Vec<(usize, Option<&StackTrace>)> = vec![(from, None)];
        while let Some((lock, first)) = queue.pop() {
            for (next, stack) in self.order.get(&lock).into_iter().flatten() {
                let first = first.or(Some(stack));
                if *next == to {
                    return first.cloned();
                }
                if !seen.contains(next) {
                    seen.push(*next);
                    queue.push((*next, first));
                }
            }
        }
        None
    }
}

/// Called when a thread has got the lock.
pub fn acquired(lock: usize, flavor: Flavor, old_irql: Option<Irql>) {
    let held = Held {
        lock,
        flavor,
        old_irql,
        thread: this_thread(),
        stack: StackTrace::track(),
    };
    with_locks(|locks| locks.held.push(held));
    thread::with(|thread| thread.locks_held.set(thread.locks_held.get() + 1));
}

/// Called before a lock is released: stops unless this thread holds it in this flavor. Returns how it was taken.
#[must_use]
pub fn release(lock: usize, flavor: Flavor) -> Held {
    let me = this_thread();
    let result = with_locks(|locks| {
        let mine = locks
            .held
            .iter()
            .position(|held| held.lock == lock && held.thread == me);
        match mine {
            Some(index) => Ok(locks.held.swap_remove(index)),
            None => Err(locks.held.iter().find(|held| held.lock == lock).cloned()),
        }
    });
    match result {
        Ok(held) if held.flavor == flavor => {
            thread::with(|thread| thread.locks_held.set(thread.locks_held.get() - 1));
            held
        }
        Ok(held) => Violation::new(
            Rule::SpinLockMismatch,
            BugCheck::verifier(0x1009, [lock as u64, 0, 0]),
            format!(
                "spin lock {lock:#x} was acquired as {:?} and is released as {flavor:?}",
                held.flavor
            ),
        )
        .advice("release a lock with the routine that belongs to the one that acquired it")
        .stack("acquired at", held.stack)
        .stop(),
        Err(Some(other)) => Violation::new(
            Rule::SpinLockOwner,
            BugCheck::verifier(0x1004, [lock as u64, other.thread as u64, me as u64]),
            format!("spin lock {lock:#x} is released by a thread that does not hold it"),
        )
        .advice("release a spin lock on the thread that acquired it")
        .stack("acquired at", other.stack)
        .stop(),
        Err(None) => Violation::new(
            Rule::SpinLockNotHeld,
            BugCheck::verifier(0x1007, [lock as u64, 0, 0]),
            format!("spin lock {lock:#x} is released and is not held"),
        )
        .advice("release a spin lock once for each time it was acquired")
        .stop(),
    }
}

/// The stack of the thread that holds a lock.
#[must_use]
pub fn holder(lock: usize) -> Option<StackTrace> {
    with_locks(|locks| {
        locks
            .held
            .iter()
            .find(|held| held.lock == lock)
            .map(|held| held.stack.clone())
    })
}

/// Stops if freed memory contains a held lock; forgets the order of the locks in it.
pub fn check_freed(range: &Range<usize>) {
    let held = with_locks(|locks| {
        locks.order.retain(|lock, _| !range.contains(lock));
        for after in locks.order.values_mut() {
            after.retain(|lock, _| !range.contains(lock));
        }
        locks.held.iter().find(|held| range.contains(&held.lock)).cloned()
    });
    if let Some(held) = held {
        Violation::new(
            Rule::SpinLockFreed,
            BugCheck::verifier(0x100B, [held.lock as u64, held.thread as u64, 0]),
            format!("memory with the held spin lock {:#x} is freed", held.lock),
        )
        .advice("release the lock before its object can be freed")
        .stack("held since", held.stack)
        .stop();
    }
}
