//! Work for a system thread at `PASSIVE_LEVEL`, asked for at any IRQL up to `DISPATCH_LEVEL`.
#![expect(unsafe_code, reason = "NDIS work items and their callback")]

use core::ffi::c_void;

use ndk_sys::{NDIS_HANDLE, imports::ndis};

use super::event::Event;
use super::handle::AdapterHandle;
use super::irql::Passive;
use super::lock::SpinLock;
use super::pool::{OutOfMemory, PoolArc, PoolBox, Pooled, Tag};

/// The worker's function: runs with the requests that have come in since it last ran.
pub type Handler<T> = fn(&T, &Passive, u32);

/// A worker: one preallocated work item that takes requests as bits. Requests for a bit that is already waiting merge; the
/// handler never runs twice at a time, so that several requests are served in one go.
pub struct Worker<T: Pooled + Send + Sync>(PoolBox<Shared<T>>);

struct Shared<T: Pooled + Send + Sync> {
    item: NDIS_HANDLE,
    handler: Handler<T>,
    state: SpinLock<State<T>>,
    /// Set while the work item is neither queued nor running.
    idle: Event,
}

struct State<T: Pooled> {
    /// `None` once stopped: no more requests are taken.
    target: Option<PoolArc<T>>,
    requests: u32,
    /// The work item is queued or running.
    busy: bool,
}

impl<T: Pooled + Send + Sync> Pooled for Shared<T> {
    const TAG: Tag = Tag::new(*b"VrWk");
}

// SAFETY: the handle is used under NDIS's own synchronisation, the rest is shareable.
unsafe impl<T: Pooled + Send + Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Pooled + Send + Sync> Sync for Shared<T> {}

impl<T: Pooled + Send + Sync> Worker<T> {
    /// A worker that calls `handler` with `target`, which it keeps alive.
    ///
    /// # Errors
    ///
    /// No memory.
    pub fn new(
        passive: &Passive,
        adapter: AdapterHandle,
        target: PoolArc<T>,
        handler: Handler<T>,
    ) -> Result<Self, OutOfMemory> {
        passive.check();
        let idle = Event::new()?;
        idle.set();
        // SAFETY: a valid adapter handle.
        let item = unsafe { ndis::NdisAllocateIoWorkItem(adapter.raw()) };
        if item.is_null() {
            return Err(OutOfMemory);
        }
        let state = SpinLock::new(State {
            target: Some(target),
            requests: 0,
            busy: false,
        });
        // Dropping `Shared` frees the work item, also when this fails.
        PoolBox::new(Shared {
            item,
            handler,
            state,
            idle,
        })
        .map(Self)
    }

    /// Asks for `requests` (bits of the handler's choosing). At most `DISPATCH_LEVEL`. Ignored once stopped.
    pub fn request(&self, requests: u32) {
        let mut state = self.0.state.lock();
        if state.target.is_none() {
            return;
        }
        state.requests |= requests;
        if state.busy {
            return;
        }
        state.busy = true;
        self.0.idle.reset();
        drop(state);
        let context = (&raw const *self.0).cast_mut().cast();
        // SAFETY: the item is not queued (`busy` was clear), and the context lives until the worker has stopped.
        unsafe { ndis::NdisQueueIoWorkItem(self.0.item, Some(work_item_function::<T>), context) };
    }

    /// Waits until every request so far has been served.
    pub fn drain(&self, passive: &Passive) {
        self.0.idle.wait_forever(passive);
    }

    /// Takes no more requests, waits until the handler is not running any more, and lets go of the target.
    pub fn stop(&self, passive: &Passive) {
        let target = self.0.state.lock().target.take();
        drop(target);
        self.0.idle.wait_forever(passive);
        // The handler's thread sets the event with the lock held: having the lock means that it is done with all of this.
        drop(self.0.state.lock());
    }
}

impl<T: Pooled + Send + Sync> Drop for Worker<T> {
    fn drop(&mut self) {
        debug_assert!(
            !self.0.state.lock().busy,
            "a worker must be stopped before it is dropped"
        );
    }
}

impl<T: Pooled + Send + Sync> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: allocated, and neither queued nor running.
        unsafe { ndis::NdisFreeIoWorkItem(self.item) };
    }
}

impl<T: Pooled + Send + Sync> Shared<T> {
    /// Serves requests until there are none.
    fn run(&self, passive: &Passive) {
        loop {
            let mut state = self.state.lock();
            let requests = core::mem::take(&mut state.requests);
            match &state.target {
                Some(target) if requests != 0 => {
                    let target = target.clone();
                    drop(state);
                    (self.handler)(&target, passive, requests);
                }
                _ => {
                    state.busy = false;
                    self.idle.set();
                    return;
                }
            }
        }
    }
}

/// `NdisIoWorkItemFunction`.
unsafe extern "system" fn work_item_function<T: Pooled + Send + Sync>(
    context: *mut c_void,
    _item: NDIS_HANDLE,
) {
    // SAFETY: the context is the worker's shared part, which lives until the item is idle.
    let shared = unsafe { &*context.cast::<Shared<T>>() };
    // SAFETY: work items run at PASSIVE_LEVEL.
    let passive = unsafe { Passive::assume() };
    shared.run(&passive);
}
