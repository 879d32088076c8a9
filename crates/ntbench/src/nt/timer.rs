//! Timers: the thread that waits for due times, and `KTIMER` objects.

use super::dispatcher::{self, object_type};
use super::{clock, dpc};
use crate::exports;
use crate::memory;
use crate::verifier::{BugCheck, Rule, Violation};
use parking_lot::{Condvar, Mutex};
use std::ops::Range;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

exports! {
    /// Timers.
    pub static EXPORTS: "ntoskrnl.exe" = {
        KeInitializeTimer = function(ke_initialize_timer, any());
        KeInitializeTimerEx = function(ke_initialize_timer_ex, any());
        KeSetTimer = function(ke_set_timer, at_most(DISPATCH_LEVEL));
        KeSetTimerEx = function(ke_set_timer_ex, at_most(DISPATCH_LEVEL));
        KeSetCoalescableTimer = function(ke_set_coalescable_timer, at_most(DISPATCH_LEVEL));
        KeCancelTimer = function(ke_cancel_timer, at_most(DISPATCH_LEVEL));
        KeReadStateTimer = function(ke_read_state_timer, at_most(DISPATCH_LEVEL));
    }
}

type Action = Arc<dyn Fn() + Send + Sync>;

struct Entry {
    key: usize,
    due: Instant,
    period: Option<Duration>,
    action: Action,
}

#[derive(Default)]
struct Queue {
    entries: Vec<Entry>,
    running: bool,
    /// No timer expires: see [`stop_clock`].
    stopped: bool,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue {
    entries: Vec::new(),
    running: false,
    stopped: false,
});
static CHANGED: Condvar = Condvar::new();

/// The thread that runs timers; dropping it stops them.
pub struct Timers {
    thread: Option<JoinHandle<()>>,
}

impl Timers {
    /// Starts the thread.
    ///
    /// # Panics
    /// When the thread cannot be started.
    #[must_use]
    pub fn start() -> Self {
        QUEUE.lock().running = true;
        let thread = std::thread::Builder::new()
            .name("timers".into())
            .spawn(run)
            .expect("start the timer thread");
        Self { thread: Some(thread) }
    }
}

impl Drop for Timers {
    fn drop(&mut self) {
        let mut queue = QUEUE.lock();
        queue.running = false;
        queue.entries.clear();
        CHANGED.notify_all();
        drop(queue);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has ended the process already.
            let _ = thread.join();
        }
    }
}

fn run() {
    let mut queue = QUEUE.lock();
    while queue.running {
        let now = Instant::now();
        let next = queue
            .entries
            .iter()
            .enumerate()
            .min_by_key(|(_, entry)| entry.due)
            .map(|(index, entry)| (index, entry.due))
            .filter(|_| !queue.stopped);
        match next {
            None => CHANGED.wait(&mut queue),
            Some((_, due)) if due > now => {
                let _ = CHANGED.wait_until(&mut queue, due);
            }
            Some((index, due)) => {
                let action = if let Some(period) = queue.entries[index].period {
                    queue.entries[index].due = (due + period).max(now);
                    Arc::clone(&queue.entries[index].action)
                } else {
                    queue.entries.swap_remove(index).action
                };
                // With the queue locked: when a cancellation fails, the expiry is over, as drivers may rely on.
                action();
            }
        }
    }
}

/// As long as there is one, no timer expires. For measurements.
pub struct StoppedClock(());

/// Stops the clock of the timers.
#[must_use]
pub fn stop_clock() -> StoppedClock {
    QUEUE.lock().stopped = true;
    StoppedClock(())
}

impl Drop for StoppedClock {
    fn drop(&mut self) {
        QUEUE.lock().stopped = false;
        CHANGED.notify_all();
    }
}

/// Runs `action` on the timer thread at `due`, and then every `period`. It runs with the timers locked, so all it may do is to
/// queue a DPC or work item, or signal something. A timer with the same key is replaced; returns whether there was one.
pub fn schedule(key: usize, due: Instant, period: Option<Duration>, action: Action) -> bool {
    let mut queue = QUEUE.lock();
    let before = queue.entries.len();
    queue.entries.retain(|entry| entry.key != key);
    let replaced = queue.entries.len() != before;
    queue.entries.push(Entry {
        key,
        due,
        period,
        action,
    });
    CHANGED.notify_all();
    replaced
}

/// Takes a timer back; false if it was not set or its last action has begun.
pub fn cancel(key: usize) -> bool {
    let mut queue = QUEUE.lock();
    let before = queue.entries.len();
    queue.entries.retain(|entry| entry.key != key);
    queue.entries.len() != before
}

/// Whether a timer with this key is set.
#[must_use]
pub fn is_set(key: usize) -> bool {
    QUEUE.lock().entries.iter().any(|entry| entry.key == key)
}

/// Offsets in `KTIMER`.
mod offset {
    pub const DUE_TIME: usize = 24;
    pub const DPC: usize = 48;
    pub const PERIOD: usize = 60;
}

extern "win64" fn ke_initialize_timer(timer: usize) {
    ke_initialize_timer_ex(timer, 0);
}

extern "win64" fn ke_initialize_timer_ex(timer: usize, kind: u32) {
    check_freed(&(timer..timer + 64));
    let kind = if kind == 0 {
        object_type::NOTIFICATION_TIMER
    } else {
        object_type::SYNCHRONIZATION_TIMER
    };
    memory::fill(timer, 0, 64);
    dispatcher::initialize(timer, kind, 16, 0);
}

fn check(timer: usize) {
    let kind: u8 = memory::read(timer);
    if kind != object_type::NOTIFICATION_TIMER && kind != object_type::SYNCHRONIZATION_TIMER {
        Violation::new(
            Rule::TimerInvalid,
            BugCheck::new(0xC7, [0, timer as u64, 0, 0]),
            format!("the timer object {timer:#x} was not initialised"),
        )
        .advice("call KeInitializeTimer or KeInitializeTimerEx first")
        .stop();
    }
}

fn set(timer: usize, due_time: i64, period_ms: u32, dpc: usize) -> u8 {
    check(timer);
    dispatcher::signal(timer, 0);
    memory::write(timer + offset::DUE_TIME, due_time);
    memory::write(timer + offset::DPC, dpc);
    memory::write(timer + offset::PERIOD, period_ms);
    let period = (period_ms != 0).then(|| Duration::from_millis(u64::from(period_ms)));
    let action = move || {
        dispatcher::signal(timer, 1);
        if dpc != 0 {
            dpc::insert(dpc, 0, 0);
        }
    };
    u8::from(schedule(timer, clock::due(due_time), period, Arc::new(action)))
}

extern "win64" fn ke_set_timer(timer: usize, due_time: i64, dpc: usize) -> u8 {
    set(timer, due_time, 0, dpc)
}

extern "win64" fn ke_set_timer_ex(timer: usize, due_time: i64, period_ms: u32, dpc: usize) -> u8 {
    set(timer, due_time, period_ms, dpc)
}

extern "win64" fn ke_set_coalescable_timer(
    timer: usize,
    due_time: i64,
    period_ms: u32,
    _tolerance: u32,
    dpc: usize,
) -> u8 {
    set(timer, due_time, period_ms, dpc)
}

extern "win64" fn ke_cancel_timer(timer: usize) -> u8 {
    check(timer);
    u8::from(cancel(timer))
}

extern "win64" fn ke_read_state_timer(timer: usize) -> u8 {
    check(timer);
    u8::from(memory::read::<i32>(timer + 4) > 0)
}

/// Stops if freed memory contains a timer that is set.
pub fn check_freed(range: &Range<usize>) {
    let active = QUEUE
        .lock()
        .entries
        .iter()
        .map(|entry| entry.key)
        .find(|key| range.contains(key));
    if let Some(timer) = active {
        Violation::new(
            Rule::TimerFreed,
            BugCheck::verifier(0x15, [timer as u64, 0, range.start as u64]),
            format!("memory with the active timer {timer:#x} is freed or initialised again"),
        )
        .advice("cancel the timer, and wait for its DPC, before freeing it")
        .stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Kernel};
    use std::sync::mpsc;

    #[test]
    fn timers_fire_once_or_periodically_until_cancelled() {
        let _kernel = Kernel::boot(&Config::default());
        let (sender, receiver) = mpsc::channel();
        let action = |what: &'static str| -> Action {
            let sender = Mutex::new(sender.clone());
            // The test may have ended when a periodic timer fires once more.
            Arc::new(move || sender.lock().send(what).unwrap_or_default())
        };
        let limit = Duration::from_secs(10);
        assert!(!schedule(1, Instant::now(), None, action("once")));
        assert_eq!(receiver.recv_timeout(limit), Ok("once"));
        assert!(!is_set(1));
        assert!(!cancel(1), "it has fired");

        assert!(!schedule(2, Instant::now() + limit, None, action("never")));
        assert!(
            schedule(2, Instant::now(), Some(Duration::from_millis(1)), action("again")),
            "replaces"
        );
        for _ in 0..3 {
            assert_eq!(receiver.recv_timeout(limit), Ok("again"));
        }
        assert!(is_set(2) && cancel(2) && !is_set(2));
    }

    #[test]
    fn timers_fire_in_the_order_of_their_due_times() {
        let _kernel = Kernel::boot(&Config::default());
        let (sender, receiver) = mpsc::channel();
        let start = Instant::now() + Duration::from_millis(30);
        for (key, delay) in [(1, 20), (2, 0), (3, 10)] {
            let sender = Mutex::new(sender.clone());
            let action = move || sender.lock().send(key).expect("the test waits");
            schedule(key, start + Duration::from_millis(delay), None, Arc::new(action));
        }
        let order: Vec<usize> = receiver.iter().take(3).collect();
        assert_eq!(order, [2, 3, 1]);
    }

    #[test]
    fn a_timer_object_is_signalled_when_due() {
        let _kernel = Kernel::boot(&Config::default());
        let words = Box::new([0_u64; 8]);
        let timer = words.as_ptr() as usize;
        ke_initialize_timer_ex(timer, 0);
        assert_eq!(ke_set_timer(timer, -1_000_000_000, 0), 0);
        assert_eq!(ke_set_timer(timer, -10_000, 0), 1, "it was set");
        let limit = Instant::now() + Duration::from_secs(10);
        while ke_read_state_timer(timer) == 0 {
            assert!(Instant::now() < limit);
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(ke_cancel_timer(timer), 0);
    }
}
