//! A learning Ethernet switch with a queue: whoever transmits never waits and is never called back on its own thread.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
use roce_wire::eth::{EthernetHeader, MacAddr};

use vrnic_device::Wire;

use crate::impair::{Fate, Impairer, Impairment};

/// What a port does with a frame for it. It is called on the wire's thread, one frame at a time, and holds up all others while it runs.
pub type Receiver = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// Says whether a frame may pass.
pub type Filter = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// How long the last frame is held back when another one should overtake it and none comes.
const HOLD: Duration = Duration::from_millis(5);

/// How a hub behaves.
#[derive(Clone, Copy, Debug)]
pub struct HubConfig {
    /// How many frames may wait for delivery; more are dropped and counted.
    pub depth: usize,
    /// What happens to frames on the way.
    pub impairment: Impairment,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            depth: 16 * 1024,
            impairment: Impairment::default(),
        }
    }
}

/// A frame on its way out of the hub, as a tap sees it: after loss and damage.
#[derive(Clone, Copy, Debug)]
pub struct Captured<'a> {
    /// When it was transmitted.
    pub time: SystemTime,
    /// The same, since the hub was made.
    pub since_start: Duration,
    /// The port that transmitted it.
    pub port: &'a str,
    /// From the destination address on, without the frame check sequence.
    pub bytes: &'a [u8],
}

/// Sees every frame. It is called on the wire's thread.
pub trait Tap: Send + Sync {
    /// A frame passes.
    fn frame(&self, frame: &Captured<'_>);

    /// Nothing more is queued right now: the time for what is slow.
    fn idle(&self) {}
}

/// What a hub has done so far, in frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Transmitted by some port.
    pub transmitted: u64,
    /// Handed to some port; a broadcast counts once per port.
    pub delivered: u64,
    /// Dropped because too many were waiting.
    pub overflowed: u64,
    /// Dropped because they were shorter than an Ethernet header.
    pub runts: u64,
    /// Dropped by the filter.
    pub filtered: u64,
    /// Dropped by chance.
    pub lost: u64,
    /// Changed by chance.
    pub damaged: u64,
    /// Sent twice by chance.
    pub duplicated: u64,
    /// Overtaken by another one by chance.
    pub reordered: u64,
}

/// A switch. Dropping it delivers what is queued and ends its thread.
pub struct Hub {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    depth: usize,
    start: Instant,
    queue: Mutex<Queue>,
    arrived: Condvar,
    settled: Condvar,
    ports: RwLock<Ports>,
    taps: RwLock<Vec<Arc<dyn Tap>>>,
    filter: RwLock<Option<Filter>>,
    counters: Counters,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Queued>,
    /// The wire's thread is at work on frames that it has taken out, or holds one back.
    busy: bool,
    stopping: bool,
}

struct Queued {
    port: u64,
    name: Arc<str>,
    time: SystemTime,
    since_start: Duration,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Ports {
    next: u64,
    receivers: BTreeMap<u64, Receiver>,
}

#[derive(Default)]
struct Counters {
    transmitted: AtomicU64,
    delivered: AtomicU64,
    overflowed: AtomicU64,
    runts: AtomicU64,
    filtered: AtomicU64,
    lost: AtomicU64,
    damaged: AtomicU64,
    duplicated: AtomicU64,
    reordered: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// One port's way to transmit. Dropping it unplugs the port.
pub struct PortHandle {
    shared: Arc<Shared>,
    id: u64,
    name: Arc<str>,
}

impl Hub {
    /// Makes a hub and starts its thread.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn new(config: HubConfig) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            depth: config.depth,
            start: Instant::now(),
            queue: Mutex::default(),
            arrived: Condvar::new(),
            settled: Condvar::new(),
            ports: RwLock::default(),
            taps: RwLock::default(),
            filter: RwLock::default(),
            counters: Counters::default(),
        });
        let switch = Switch {
            shared: Arc::clone(&shared),
            addresses: HashMap::new(),
            impairer: Impairer::new(config.impairment),
            held: None,
        };
        let thread = thread::Builder::new()
            .name("wire".into())
            .spawn(move || switch.run())?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Plugs in a port whose frames go to `receiver`. `name` is what taps call it.
    #[must_use]
    pub fn attach(&self, name: &str, receiver: Receiver) -> PortHandle {
        let port = self.port(name);
        port.connect(receiver);
        port
    }

    /// Plugs in a port that can transmit; frames for it are dropped until it is [connected](PortHandle::connect).
    #[must_use]
    pub fn port(&self, name: &str) -> PortHandle {
        let mut ports = self.shared.ports.write();
        let id = ports.next;
        ports.next += 1;
        PortHandle {
            shared: Arc::clone(&self.shared),
            id,
            name: name.into(),
        }
    }

    /// Lets `tap` see all frames from now on.
    pub fn tap(&self, tap: Arc<dyn Tap>) {
        self.shared.taps.write().push(tap);
    }

    /// Drops the frames to which `filter` says no, from now on; `None` lets all pass.
    pub fn set_filter(&self, filter: Option<Filter>) {
        *self.shared.filter.write() = filter;
    }

    /// Waits until all frames are delivered, those included that receivers transmit on the wire's thread meanwhile. False: that
    /// took longer than `timeout`.
    #[must_use]
    pub fn settle(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut queue = self.shared.queue.lock();
        while queue.busy || !queue.frames.is_empty() {
            if self.shared.settled.wait_until(&mut queue, deadline).timed_out() {
                return false;
            }
        }
        true
    }

    /// What has been done so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let counters = &self.shared.counters;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Statistics {
            transmitted: get(&counters.transmitted),
            delivered: get(&counters.delivered),
            overflowed: get(&counters.overflowed),
            runts: get(&counters.runts),
            filtered: get(&counters.filtered),
            lost: get(&counters.lost),
            damaged: get(&counters.damaged),
            duplicated: get(&counters.duplicated),
            reordered: get(&counters.reordered),
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.shared.queue.lock().stopping = true;
        self.shared.arrived.notify_one();
        // The last owner may be a receiver, which runs on that very thread.
        if let Some(thread) = self
            .thread
            .take()
            .filter(|thread| thread.thread().id() != thread::current().id())
        {
            // A receiver's panic has been printed by then; there is nothing to add to it here.
            let _ = thread.join();
        }
    }
}

impl PortHandle {
    /// Puts a frame on the wire, without waiting: from the destination address on, without the frame check sequence.
    pub fn transmit(&self, frame: &[u8]) {
        let counters = &self.shared.counters;
        count(&counters.transmitted);
        if frame.len() < EthernetHeader::LEN {
            count(&counters.runts);
            return;
        }
        let queued = Queued {
            port: self.id,
            name: Arc::clone(&self.name),
            time: SystemTime::now(),
            since_start: self.shared.start.elapsed(),
            bytes: frame.to_vec(),
        };
        let mut queue = self.shared.queue.lock();
        if queue.stopping || queue.frames.len() >= self.shared.depth {
            count(&counters.overflowed);
            return;
        }
        queue.frames.push_back(queued);
        drop(queue);
        self.shared.arrived.notify_one();
    }

    /// Hands the port's frames to `receiver` from now on.
    pub fn connect(&self, receiver: Receiver) {
        self.shared.ports.write().receivers.insert(self.id, receiver);
    }

    /// The port's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Wire for PortHandle {
    fn transmit(&self, frame: &[u8]) {
        Self::transmit(self, frame);
    }
}

impl Drop for PortHandle {
    fn drop(&mut self) {
        let receiver = self.shared.ports.write().receivers.remove(&self.id);
        // Outside of the lock: it may own the last handle of another port.
        drop(receiver);
    }
}

/// The wire's thread.
struct Switch {
    shared: Arc<Shared>,
    /// Which station is behind which port.
    addresses: HashMap<MacAddr, u64>,
    impairer: Impairer,
    /// A frame that the next one will overtake.
    held: Option<Queued>,
}

impl Switch {
    fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        while let Some(frames) = self.next_frames(&shared) {
            for frame in frames {
                self.pass(frame);
            }
            for tap in shared.taps.read().iter() {
                tap.idle();
            }
        }
    }

    /// All frames that wait, at least one; `None` at the end.
    fn next_frames(&mut self, shared: &Shared) -> Option<VecDeque<Queued>> {
        let mut queue = shared.queue.lock();
        loop {
            if !queue.frames.is_empty() {
                queue.busy = true;
                return Some(std::mem::take(&mut queue.frames));
            }
            if let Some(held) = self.held.take() {
                if queue.stopping || shared.arrived.wait_for(&mut queue, HOLD).timed_out() {
                    MutexGuard::unlocked(&mut queue, || self.deliver(&held));
                } else {
                    self.held = Some(held);
                }
                continue;
            }
            queue.busy = false;
            shared.settled.notify_all();
            if queue.stopping {
                return None;
            }
            shared.arrived.wait(&mut queue);
        }
    }

    fn pass(&mut self, mut frame: Queued) {
        let shared = Arc::clone(&self.shared);
        let counters = &shared.counters;
        if shared
            .filter
            .read()
            .as_ref()
            .is_some_and(|passes| !passes(&frame.bytes))
        {
            count(&counters.filtered);
            return;
        }
        match self.impairer.fate(&mut frame.bytes) {
            Fate::Lost => count(&counters.lost),
            Fate::Damaged => {
                count(&counters.damaged);
                self.deliver(&frame);
            }
            Fate::Doubled => {
                count(&counters.duplicated);
                self.deliver(&frame);
                self.deliver(&frame);
            }
            Fate::Overtaken if self.held.is_none() => {
                count(&counters.reordered);
                self.held = Some(frame);
                return;
            }
            // One is held back already: this is the one that overtakes it.
            Fate::Overtaken | Fate::Passes => self.deliver(&frame),
        }
        if let Some(held) = self.held.take() {
            self.deliver(&held);
        }
    }

    fn deliver(&mut self, frame: &Queued) {
        let Some(header) = frame.bytes.first_chunk().map(EthernetHeader::from_bytes) else {
            return;
        };
        if !header.source.is_multicast() {
            self.addresses.insert(header.source, frame.port);
        }
        let captured = Captured {
            time: frame.time,
            since_start: frame.since_start,
            port: &frame.name,
            bytes: &frame.bytes,
        };
        for tap in self.shared.taps.read().iter() {
            tap.frame(&captured);
        }
        for receiver in self.receivers(frame.port, header.destination) {
            count(&self.shared.counters.delivered);
            receiver(&frame.bytes);
        }
    }

    /// Who gets a frame: the port behind which the station is, or all but the sender's.
    fn receivers(&self, sender: u64, destination: MacAddr) -> Vec<Receiver> {
        let ports = self.shared.ports.read();
        let known = self
            .addresses
            .get(&destination)
            .filter(|port| ports.receivers.contains_key(port));
        let wanted = |port: u64| port != sender && known.is_none_or(|known| *known == port);
        ports
            .receivers
            .iter()
            .filter(|(port, _)| wanted(**port))
            .map(|(_, receiver)| Arc::clone(receiver))
            .collect()
    }
}

#[cfg(test)]
mod tests;
