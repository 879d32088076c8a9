//! IRQL: a property of the thread. At `DISPATCH_LEVEL` and above a thread holds the dispatch lock of its virtual
//! processor, so that at most one thread per processor is there; PASSIVE threads run freely.

use super::{thread, vp};

/// An interrupt request level.
pub type Irql = u8;

/// Normal thread execution.
pub const PASSIVE_LEVEL: Irql = 0;
/// Asynchronous procedure calls are held off.
pub const APC_LEVEL: Irql = 1;
/// DPCs and spin locks: no waiting, no paged memory.
pub const DISPATCH_LEVEL: Irql = 2;
/// The level at which the bench's message-signalled interrupts run.
pub const DEVICE_LEVEL: Irql = 5;
/// The highest level.
pub const HIGH_LEVEL: Irql = 15;

/// The current thread's IRQL.
#[must_use]
pub fn current() -> Irql {
    thread::with(|thread| thread.irql.get())
}

/// Raises the IRQL; returns the old one. Waits for the processor when that goes from below to `DISPATCH_LEVEL` or above.
///
/// # Panics
/// When `new` is lower: exports check that before.
#[expect(clippy::must_use_candidate, reason = "the old IRQL is often known")]
pub fn raise(new: Irql) -> Irql {
    let old = current();
    assert!(new >= old, "raise from {old} to {new}");
    if old < DISPATCH_LEVEL && new >= DISPATCH_LEVEL {
        vp::current().lock_dispatch();
    }
    thread::with(|thread| thread.irql.set(new));
    old
}

/// Lowers the IRQL; DPCs that waited for the processor may then run.
///
/// # Panics
/// When `new` is higher: exports check that before.
pub fn lower(new: Irql) {
    let old = current();
    assert!(new <= old, "lower from {old} to {new}");
    thread::with(|thread| thread.irql.set(new));
    if old >= DISPATCH_LEVEL && new < DISPATCH_LEVEL {
        vp::current().unlock_dispatch();
    }
}

/// Raised IRQL for a scope of bench code.
pub struct RaisedIrql {
    old: Irql,
}

impl RaisedIrql {
    /// Raises to `irql` until dropped; does nothing when already there or above.
    #[must_use]
    pub fn at_least(irql: Irql) -> Self {
        Self {
            old: raise(irql.max(current())),
        }
    }
}

impl Drop for RaisedIrql {
    fn drop(&mut self) {
        lower(self.old);
    }
}
