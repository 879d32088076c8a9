//! The engine thread: polls the doorbells for a while, then sleeps until it is kicked.

use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::nic::Shared;

/// Wakes the engine. Its lock is the innermost one of the NIC: nothing else is locked while it is held.
#[derive(Default)]
pub(crate) struct Signal {
    flags: Mutex<Flags>,
    changed: Condvar,
    /// The engine sleeps, or is about to and will look once more.
    asleep: AtomicBool,
}

#[derive(Clone, Copy, Default)]
struct Flags {
    kicked: bool,
    stop: bool,
}

impl Signal {
    /// Makes the engine look at the doorbells.
    pub fn wake(&self) {
        self.set(|flags| flags.kicked = true);
    }

    /// Notes whether the engine sleeps.
    pub fn set_asleep(&self, asleep: bool) {
        self.asleep.store(asleep, Ordering::SeqCst);
    }

    /// Whether the engine has to be woken to look at something.
    pub fn sleeps(&self) -> bool {
        self.asleep.load(Ordering::SeqCst)
    }

    /// Ends the engine.
    pub fn stop(&self) {
        self.set(|flags| flags.stop = true);
    }

    fn set(&self, change: impl FnOnce(&mut Flags)) {
        change(&mut self.flags.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    /// Sleeps until there is a kick, and takes it, but not longer than `limit`. False: the engine must end.
    fn wait(&self, limit: Option<Duration>) -> bool {
        let flags = self.flags.lock().unwrap_or_else(PoisonError::into_inner);
        let asleep = |flags: &mut Flags| !flags.kicked && !flags.stop;
        // A wait without limit is one that is longer than the machine runs.
        let limit = limit.unwrap_or(Duration::from_secs(u32::MAX.into()));
        let (mut flags, _) = self
            .changed
            .wait_timeout_while(flags, limit, asleep)
            .unwrap_or_else(PoisonError::into_inner);
        flags.kicked = false;
        !flags.stop
    }
}

/// Starts the engine.
pub(crate) fn start(shared: Arc<Shared>) -> std::io::Result<thread::JoinHandle<()>> {
    thread::Builder::new()
        .name("vrnic-engine".to_owned())
        .spawn(move || run(&shared))
}

fn run(shared: &Shared) {
    let window = shared.device().config.poll_window;
    loop {
        let mut last_work = Instant::now();
        while last_work.elapsed() < window {
            if shared.device().poll() {
                last_work = Instant::now();
            }
            thread::yield_now();
        }
        // After this store a driver that rings a doorbell sees that we sleep, or we see its doorbell below.
        shared.device().announce_sleep(true);
        fence(Ordering::SeqCst);
        let mut device = shared.device();
        if device.poll() {
            device.announce_sleep(false);
            continue;
        }
        let limit = device.begin_sleep();
        drop(device);
        if !shared.signal().wait(limit) {
            return;
        }
        shared.device().end_sleep();
    }
}
