//! Latency, bandwidth and message rate between consumers of two adapters. Whoever is a consumer drives its device, too: either one
//! thread does everything, or each side has its own. Both are tried again and again for a short time, and the best counts: on a machine with
//! other work a thread that waits for another one may wait for a processor.

use crate::{Effort, figure};
use ndk_sys::NDK_OP_FLAG_INLINE;
use ntbench::measure::{Cabled, DirectCq, DirectQp, Region, SgeList};
use ntbench::ndk::{End, PairOptions};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use vrnic_device::Nic;

const SMALL: u32 = 64;
const MEDIUM: u32 = 64 << 10;
const LARGE: u32 = 1 << 20;
/// Small messages in flight when their rate is measured.
const WINDOW: usize = 64;
/// How long is measured at a time.
const SLICE: Duration = Duration::from_millis(50);
/// How often, with one thread and with two.
const SLICES: usize = 10;
/// Requests between two looks at the clock.
const BETWEEN_LOOKS: usize = 8;

/// A consumer and its device.
struct Side<'a> {
    nic: &'a Nic,
    qp: DirectQp,
    sent: DirectCq,
    received: DirectCq,
    region: Region,
}

/// What the peer does, again and again, until the measurement is over.
type Peer<'a> = &'a (dyn Fn() + Sync);

impl<'a> Side<'a> {
    fn new(end: &End, nic: &'a Nic) -> Self {
        Self {
            nic,
            qp: DirectQp::new(&end.qp),
            sent: DirectCq::new(&end.initiator_cq),
            received: DirectCq::new(&end.receive_cq),
            region: Region::new(&end.pd, LARGE as usize),
        }
    }

    /// Sends a small message, and takes the completions of earlier ones.
    fn send(&self, message: &SgeList) {
        let _ = self.sent.take(16);
        self.qp.send(message, NDK_OP_FLAG_INLINE);
    }

    /// Keeps `window` requests in flight, and waits for the last ones: how many there were in a second.
    fn keep_in_flight(&self, slice: Duration, window: usize, turn: &dyn Fn(), post: &dyn Fn()) -> f64 {
        let start = Instant::now();
        let (mut posted, mut done, mut over) = (0, 0, false);
        while !over || done < posted {
            if !over && posted - done < window {
                post();
                posted += 1;
                over = posted % BETWEEN_LOOKS == 0 && start.elapsed() >= slice;
                continue;
            }
            self.nic.poll();
            turn();
            done += self.sent.take(16);
        }
        per_second(done, start.elapsed())
    }
}

fn per_second(number: usize, time: Duration) -> f64 {
    let number = u32::try_from(number).map_or(f64::INFINITY, f64::from);
    number / time.as_secs_f64()
}

pub fn measure(cabled: &Cabled, effort: Effort) {
    let options = PairOptions {
        cq_depth: 1024,
        receive_depth: 256,
        initiator_depth: 256,
        inline: SMALL,
        ..PairOptions::default()
    };
    let pair = cabled.pair(&options).expect("they connect");
    let nics = cabled.machine().nics();
    let sides = [(&pair.client, 0), (&pair.server, 1)].map(|(end, index)| Side::new(end, &nics[index]));
    let [client, server] = &sides;
    let still = cabled.still();
    let round_trips = round_trips(client, server, effort);
    figure("64 B one-way latency", 1e6 / round_trips / 2.0, "us");
    figure("64 B messages", messages(client, server, effort), "/s");
    for (name, length, window) in [("64 KiB bandwidth", MEDIUM, 16), ("1 MiB bandwidth", LARGE, 4)] {
        let (sge, remote) = (client.region.sge(length), server.region.remote());
        let writes = best(effort, &poll(server), |slice, turn| {
            client.keep_in_flight(slice, window, turn, &|| client.qp.write(&sge, remote, 0))
        });
        figure(name, writes * f64::from(length) / 1e9, "GB/s");
    }
    drop(still);
}

/// A side that has nothing to do but to drive its device.
fn poll(side: &Side<'_>) -> impl Fn() + Sync {
    || {
        side.nic.poll();
    }
}

/// The greatest number per second that `measured` has come to. It gets the time that it has, and what to call while it waits.
fn best(effort: Effort, peer: Peer<'_>, measured: impl Fn(Duration, &dyn Fn()) -> f64) -> f64 {
    let (slice, slices) = match effort {
        Effort::Test => (Duration::from_millis(1), 1),
        Effort::Measure => (SLICE, SLICES),
    };
    let alone = || measured(slice, peer);
    let beside = || beside(peer, || measured(slice, &|| {}));
    (0..slices).fold(0.0, |best, _| alone().max(beside()).max(best))
}

/// Runs `measured` while another thread runs `peer`.
fn beside<R>(peer: Peer<'_>, measured: impl FnOnce() -> R) -> R {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                peer();
            }
        });
        let result = measured();
        over.store(true, Ordering::Relaxed);
        result
    })
}

/// Round trips of SENDs in a second.
fn round_trips(client: &Side<'_>, server: &Side<'_>, effort: Effort) -> f64 {
    let sinks = [client, server].map(|side| side.region.sge(SMALL));
    let messages = [client, server].map(|side| side.region.inline_sge(SMALL));
    client.qp.receive(&sinks[0]);
    server.qp.receive(&sinks[1]);
    let answer = || {
        server.nic.poll();
        if server.received.take(1) == 1 {
            server.qp.receive(&sinks[1]);
            server.send(&messages[1]);
        }
    };
    best(effort, &answer, |slice, turn| {
        let start = Instant::now();
        let mut rounds = 0;
        while rounds % BETWEEN_LOOKS != 0 || start.elapsed() < slice {
            client.send(&messages[0]);
            while client.received.take(1) == 0 {
                client.nic.poll();
                turn();
            }
            client.qp.receive(&sinks[0]);
            rounds += 1;
        }
        per_second(rounds, start.elapsed())
    })
}

/// Small SENDs in a second.
fn messages(client: &Side<'_>, server: &Side<'_>, effort: Effort) -> f64 {
    let (sink, message) = (server.region.sge(SMALL), client.region.inline_sge(SMALL));
    (0..WINDOW).for_each(|_| server.qp.receive(&sink));
    let serve = || {
        server.nic.poll();
        (0..server.received.take(16)).for_each(|_| server.qp.receive(&sink));
    };
    best(effort, &serve, |slice, turn| {
        client.keep_in_flight(slice, WINDOW, turn, &|| {
            client.qp.send(&message, NDK_OP_FLAG_INLINE);
        })
    })
}
