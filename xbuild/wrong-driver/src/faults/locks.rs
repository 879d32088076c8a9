//! Spin locks.

use super::faults;
use crate::kernel::{
    DISPATCH_LEVEL, ExReleaseSpinLockExclusive, KeAcquireSpinLockAtDpcLevel, KeAcquireSpinLockRaiseToDpc,
    KeLowerIrql, KeReleaseSpinLock, KfRaiseIrql, free, poke, pool, sleep, start_thread,
};

faults! {
    "SpinLock" => |_| {
        let old = KeAcquireSpinLockRaiseToDpc(pool(8));
        KeLowerIrql(old);
    },
    "SpinLockIrql" => |_| KeAcquireSpinLockAtDpcLevel(pool(8)),
    "SpinLockRecursion" => |_| {
        let lock = pool(8);
        KeAcquireSpinLockRaiseToDpc(lock);
        KeAcquireSpinLockRaiseToDpc(lock);
    },
    "SpinLockNotHeld" => |_| {
        KfRaiseIrql(DISPATCH_LEVEL);
        KeReleaseSpinLock(pool(8), 0);
    },
    "SpinLockOwner" => |_| {
        let lock = held_elsewhere();
        KfRaiseIrql(DISPATCH_LEVEL);
        KeReleaseSpinLock(lock, 0);
    },
    "SpinLockMismatch" => |_| {
        let lock = pool(8);
        let old = KeAcquireSpinLockRaiseToDpc(lock);
        ExReleaseSpinLockExclusive(lock, old);
    },
    "SpinLockTimeout" => |_| {
        KeAcquireSpinLockRaiseToDpc(held_elsewhere());
    },
    "SpinLockUninitialized" => |_| {
        let lock = pool(8);
        poke(lock, 0xDDDD_DDDD_DDDD_DDDD_u64);
        KeAcquireSpinLockRaiseToDpc(lock);
    },
    "SpinLockFreed" => |_| {
        let lock = pool(8);
        KeAcquireSpinLockRaiseToDpc(lock);
        free(lock);
    },
    "IrqlKeReleaseSpinLock" => |_| {
        let lock = pool(8);
        KeAcquireSpinLockRaiseToDpc(lock);
        KeReleaseSpinLock(lock, DISPATCH_LEVEL);
    },
    "LockOrder" => |_| {
        let locks = [pool(8), pool(8)];
        for [first, second] in [locks, [locks[1], locks[0]]] {
            let outer = KeAcquireSpinLockRaiseToDpc(first);
            let inner = KeAcquireSpinLockRaiseToDpc(second);
            KeReleaseSpinLock(second, inner);
            KeReleaseSpinLock(first, outer);
        }
    },
}

/// A lock that a thread has, and keeps.
fn held_elsewhere() -> usize {
    let lock = pool(8);
    start_thread(hold, lock);
    sleep(200);
    lock
}

/// Takes a lock, lowers the IRQL as if it had not, and sleeps.
extern "system" fn hold(lock: usize) {
    let old = KeAcquireSpinLockRaiseToDpc(lock);
    KeLowerIrql(old);
    sleep(60_000);
}
