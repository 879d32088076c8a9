//! Virtual processors: each has a dispatch lock, queues of interrupts and DPCs, and two threads that share them.
//!
//! An interrupt service routine preempts DISPATCH code on a real processor; here it runs beside it. Correct drivers cannot tell the
//! difference, because a routine that synchronises with its interrupt takes the interrupt's own spin lock.
//!
//! One thread at a time runs service routines, and one DPCs. Whoever has run a service routine goes on with the DPCs that it has queued, as
//! a real processor does when the IRQL drops; while it is at that, or waits for the processor, the other thread takes the next
//! interrupt. So a message wakes one thread and not two.

use super::irql::{self, DISPATCH_LEVEL, Irql};
use super::thread;
use parking_lot::lock_api::RawMutex as _;
use parking_lot::lock_api::RawMutexFair as _;
use parking_lot::{Condvar, Mutex, RawMutex, RwLock};
use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;

/// A deferred procedure call as the bench queues it.
pub struct Dpc {
    /// Identity for removal: the address of the driver's KDPC, or of the bench's object.
    pub key: usize,
    /// Runs at `DISPATCH_LEVEL` on the processor.
    pub run: Box<dyn FnOnce() + Send>,
}

type Interrupt = (Irql, Box<dyn FnOnce() + Send>);

#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is true or false whatever the others are"
)]
struct Queues {
    dpcs: VecDeque<Dpc>,
    interrupts: VecDeque<Interrupt>,
    /// A thread runs DPCs, or waits for the processor to do so.
    dpc_running: bool,
    /// A thread runs a service routine. It looks at both queues afterwards.
    servicing: bool,
    /// Somebody has taken the threads' work over: see [`Held`].
    held: bool,
    stop: bool,
}

/// What a thread of a processor does next.
enum Task {
    Interrupt(Interrupt),
    /// All that are queued.
    Dpcs,
}

impl Queues {
    /// Interrupts come first, as their IRQL is higher.
    fn take(&mut self) -> Option<Task> {
        if self.held {
            return None;
        }
        if !self.servicing
            && let Some(interrupt) = self.interrupts.pop_front()
        {
            self.servicing = true;
            return Some(Task::Interrupt(interrupt));
        }
        if self.dpc_running || self.dpcs.is_empty() {
            return None;
        }
        self.dpc_running = true;
        Some(Task::Dpcs)
    }

    /// Whether the thread that did not get a task would get one.
    fn is_work_left(&self) -> bool {
        let interrupt = !self.servicing && !self.interrupts.is_empty();
        let dpcs = !self.dpc_running && !self.dpcs.is_empty();
        !self.held && (interrupt || dpcs)
    }
}

/// One virtual processor.
pub struct Vp {
    index: usize,
    dispatch: RawMutex,
    queues: Mutex<Queues>,
    /// There may be something for a thread that has nothing to do.
    ready: Condvar,
    dpc_idle: Condvar,
}

static PROCESSORS: RwLock<Vec<Arc<Vp>>> = RwLock::new(Vec::new());

/// The running processors; dropping it stops them.
pub struct Processors {
    threads: Vec<JoinHandle<()>>,
}

impl Processors {
    /// Starts `count` processors with two threads each.
    ///
    /// # Panics
    /// When threads cannot be started.
    #[must_use]
    pub fn start(count: usize) -> Self {
        let vps: Vec<Arc<Vp>> = (0..count.max(1)).map(|index| Arc::new(Vp::new(index))).collect();
        (*PROCESSORS.write()).clone_from(&vps);
        let mut threads = Vec::new();
        for vp in vps {
            for number in 0..2 {
                let vp = Arc::clone(&vp);
                let thread = std::thread::Builder::new()
                    .name(format!("vp{}-{number}", vp.index))
                    .spawn(move || vp.run());
                threads.push(thread.expect("start a processor thread"));
            }
        }
        Self { threads }
    }
}

impl Drop for Processors {
    fn drop(&mut self) {
        for vp in all() {
            vp.queues.lock().stop = true;
            vp.ready.notify_all();
        }
        for handle in self.threads.drain(..) {
            // A panic of such a thread has ended the process already.
            let _ = handle.join();
        }
        PROCESSORS.write().clear();
    }
}

/// Number of processors.
#[must_use]
pub fn count() -> usize {
    PROCESSORS.read().len()
}

/// All processors.
#[must_use]
pub fn all() -> Vec<Arc<Vp>> {
    PROCESSORS.read().clone()
}

/// A processor by index.
#[must_use]
pub fn get(index: usize) -> Option<Arc<Vp>> {
    PROCESSORS.read().get(index).cloned()
}

/// The current thread's processor.
///
/// # Panics
/// When no kernel is booted.
#[must_use]
pub fn current() -> Arc<Vp> {
    let index = thread::with(|thread| thread.vp.get());
    get(index)
        .or_else(|| get(0))
        .expect("no kernel is booted: keep the `Kernel` alive while drivers run")
}

impl Vp {
    fn new(index: usize) -> Self {
        Self {
            index,
            dispatch: RawMutex::INIT,
            queues: Mutex::new(Queues::default()),
            ready: Condvar::new(),
            dpc_idle: Condvar::new(),
        }
    }

    /// Number of the processor, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Becomes the one thread at DISPATCH level or above on this processor.
    pub fn lock_dispatch(&self) {
        self.dispatch.lock();
    }

    /// Leaves DISPATCH level; a waiting thread (the one that runs the DPCs, for instance) gets the processor at once.
    pub fn unlock_dispatch(&self) {
        #[expect(unsafe_code, reason = "raw mutex held across calls of the driver")]
        // SAFETY: only `irql::lower` calls this, on the thread that took the lock in `irql::raise`.
        unsafe {
            self.dispatch.unlock_fair();
        };
    }

    /// Queues a DPC; false if one with the same key is queued already. `front` is high importance.
    pub fn queue_dpc(&self, dpc: Dpc, front: bool) -> bool {
        let mut queues = self.queues.lock();
        if queues.dpcs.iter().any(|queued| queued.key == dpc.key) {
            return false;
        }
        if front {
            queues.dpcs.push_front(dpc);
        } else {
            queues.dpcs.push_back(dpc);
        }
        let wake = !queues.dpc_running && !queues.servicing;
        drop(queues);
        if wake {
            self.ready.notify_one();
        }
        true
    }

    /// Takes a DPC out of the queue; false if it is not there (any more).
    pub fn remove_dpc(&self, key: usize) -> bool {
        let mut queues = self.queues.lock();
        let before = queues.dpcs.len();
        queues.dpcs.retain(|dpc| dpc.key != key);
        queues.dpcs.len() != before
    }

    /// Whether a DPC whose key lies in the range is queued.
    #[must_use]
    pub fn has_dpc_in(&self, range: &std::ops::Range<usize>) -> Option<usize> {
        self.queues
            .lock()
            .dpcs
            .iter()
            .map(|dpc| dpc.key)
            .find(|key| range.contains(key))
    }

    /// Waits until every queued DPC has run. Not to be called at DISPATCH level or from a DPC.
    pub fn flush_dpcs(&self) {
        let mut queues = self.queues.lock();
        while queues.dpc_running || !queues.dpcs.is_empty() {
            self.dpc_idle.wait(&mut queues);
        }
    }

    /// Takes over what the processor's threads do, until the result is dropped. For measurements: who has it is the processor.
    ///
    /// # Panics
    /// When somebody has it already.
    #[must_use]
    pub fn hold(self: &Arc<Self>) -> Held {
        let before = std::mem::replace(&mut self.queues.lock().held, true);
        assert!(!before, "somebody is this processor already");
        Held { vp: Arc::clone(self) }
    }

    /// Queues an interrupt: `service` runs at `irql` on a thread of the processor, one at a time.
    pub fn interrupt(&self, irql: Irql, service: Box<dyn FnOnce() + Send>) {
        let mut queues = self.queues.lock();
        queues.interrupts.push_back((irql, service));
        let wake = !queues.servicing;
        drop(queues);
        if wake {
            self.ready.notify_one();
        }
    }

    /// Does whatever there is to do, until the processor stops.
    fn run(&self) {
        thread::with(|thread| thread.vp.set(self.index));
        let mut queues = self.queues.lock();
        loop {
            let Some(task) = queues.take() else {
                if queues.stop {
                    return;
                }
                self.ready.wait(&mut queues);
                continue;
            };
            let wake = queues.is_work_left();
            drop(queues);
            if wake {
                self.ready.notify_one();
            }
            match task {
                Task::Interrupt(interrupt) => {
                    serve(interrupt);
                    queues = self.queues.lock();
                    queues.servicing = false;
                }
                Task::Dpcs => {
                    self.drain_dpcs();
                    queues = self.queues.lock();
                    queues.dpc_running = false;
                    if queues.dpcs.is_empty() || queues.held {
                        self.dpc_idle.notify_all();
                    }
                }
            }
        }
    }

    /// Runs the DPCs that are queued, on the current thread.
    fn drain_dpcs(&self) {
        let old = irql::raise(DISPATCH_LEVEL);
        loop {
            // Taken out only now: until it runs it can be removed.
            let next = self.queues.lock().dpcs.pop_front();
            let Some(dpc) = next else { break };
            (dpc.run)();
        }
        irql::lower(old);
    }
}

/// Runs an interrupt's service routine on the current thread.
fn serve((irql, service): Interrupt) {
    thread::with(|thread| thread.irql.set(irql));
    service();
    thread::with(|thread| thread.irql.set(irql::PASSIVE_LEVEL));
}

/// A processor whose threads stand still: who has this runs its interrupts and DPCs.
pub struct Held {
    vp: Arc<Vp>,
}

impl Held {
    /// Runs the interrupts and the DPCs that are queued, on the current thread, which is at PASSIVE. Whether there were any.
    #[expect(clippy::must_use_candidate, reason = "who polls often need not know")]
    pub fn poll(&self) -> bool {
        let before = thread::with(|thread| thread.vp.replace(self.vp.index));
        let mut worked = false;
        loop {
            let mut queues = self.vp.queues.lock();
            let interrupt = queues.interrupts.pop_front();
            let has_dpcs = !queues.dpcs.is_empty();
            drop(queues);
            match interrupt {
                Some(interrupt) => serve(interrupt),
                None if has_dpcs => self.vp.drain_dpcs(),
                None => break,
            }
            worked = true;
        }
        thread::with(|thread| thread.vp.set(before));
        worked
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.vp.queues.lock().held = false;
        self.vp.ready.notify_all();
    }
}
