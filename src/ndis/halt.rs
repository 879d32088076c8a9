//! `MiniportHaltEx`, and the teardown that a failed initialisation shares with it.
#![expect(unsafe_code, reason = "called by NDIS")]

use core::ptr::NonNull;
use core::sync::atomic::Ordering;

use ndk_sys::{NDIS_HALT_ACTION, NDIS_HANDLE};

use super::adapter::Adapter;
use super::ethernet::Closed;
use crate::os::irql::Passive;
use crate::os::pool::PoolArc;

/// `MiniportHaltEx`.
pub unsafe extern "system" fn halt(context: NDIS_HANDLE, _action: NDIS_HALT_ACTION) {
    // SAFETY: NDIS calls this at PASSIVE_LEVEL.
    let passive = unsafe { Passive::assume() };
    let Some(context) = NonNull::new(context.cast::<Adapter>()) else {
        return;
    };
    // SAFETY: the context that initialize registered; NDIS calls nothing for it any more.
    let adapter = unsafe { Adapter::take(context) };
    Adapter::tear_down(adapter, &passive);
}

impl Adapter {
    /// Undoes initialisation, as far as it has come, in reverse order: first what could bring new work, then what does
    /// it, then what it is done with. Bounded but for consumers that do not close their NDK adapters.
    pub(super) fn tear_down(this: PoolArc<Self>, passive: &Passive) {
        this.closing.store(true, Ordering::Release);
        // Out of the lock first: dropping waits.
        let notification = this.notification.lock().take();
        drop(notification);
        // If the device is gone, consumers are told that first.
        if let Some(worker) = this.worker.get() {
            worker.drain(passive);
        }
        // Consumers close their adapters before NDIS halts; if not, they are asked to, and this waits for them.
        this.shut_ndk_down(passive);
        let timer = this.timer.lock().take();
        drop(timer);
        if let Some(nic) = this.nic() {
            nic.silence();
            // Nobody else gives back what has ended by that.
            nic.tick(usize::MAX);
        }
        if let Some(ethernet) = this.ethernet.get() {
            ethernet.clear(Closed::DEAD, false);
        }
        let interrupt = this.interrupt.lock().take();
        drop(interrupt);
        for worker in [this.ndk_worker.get(), this.worker.get()].into_iter().flatten() {
            worker.stop(passive);
        }
        // What held references to the adapter is gone: this was the last one, and the fields follow in their order.
        let adapter = this.try_unwrap();
        debug_assert!(adapter.is_ok(), "something still uses the adapter");
    }
}
