//! Completions that a consumer without a poll loop is told of, and connecting.

use crate::{Effort, figure};
use ndk_sys::STATUS_SUCCESS;
use ntbench::measure::{Cabled, Resources};
use ntbench::ndk::{End, Memory, Notify, PairOptions, QpConfig, pair};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use vrnic_device::{Direction, Tap};

/// How long a completion may take.
const LIMIT: Duration = Duration::from_secs(20);
/// Longer than the devices poll before they sleep.
const PAUSE: Duration = Duration::from_micros(300);

pub fn measure(cabled: &Cabled, effort: Effort) {
    let mut delays = notifications(cabled, effort.times(2000));
    delays.sort_unstable();
    for (name, percent) in [
        ("frame to completion callback, median", 50),
        ("frame to completion callback, 95 %", 95),
    ] {
        let delay = delays[(delays.len() - 1) * percent / 100];
        figure(name, delay.as_secs_f64() * 1e6, "us");
    }
    let set_ups = (0..effort.times(10)).map(|_| set_up(cabled));
    let set_up = set_ups.min().unwrap_or_default();
    figure(
        "connection with 512 FRMRs at each end",
        set_up.as_secs_f64() * 1e3,
        "ms",
    );
    let connects = effort.times(500);
    let start = Instant::now();
    for _ in 0..connects {
        drop(cabled.pair(&PairOptions::default()).expect("they connect"));
    }
    let each = start
        .elapsed()
        .div_f64(u32::try_from(connects).map_or(f64::NAN, f64::from));
    figure("connections, made and closed", 1.0 / each.as_secs_f64(), "/s");
}

/// When the last frame went out.
#[derive(Default)]
struct Departure(Mutex<Option<Instant>>);

impl Tap for Departure {
    fn frame(&self, direction: Direction, _: &[u8]) {
        if direction == Direction::Sent {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
    }
}

/// From the frame of a SEND on the wire to its receive in the hands of a consumer that had armed the CQ: one at a time, all asleep before.
fn notifications(cabled: &Cabled, count: usize) -> Vec<Duration> {
    let options = PairOptions {
        inline: 64,
        ..PairOptions::default()
    };
    let (seen, times) = channel();
    let mut client = End::new(&cabled.client, &options).expect("an end is made");
    let mut server = notified_end(cabled, seen);
    pair::connect_ends(
        &cabled.client,
        &mut client,
        &cabled.server,
        &mut server,
        Cabled::client_address(),
        Cabled::server_address(),
        0,
    )
    .expect("they connect");
    let departure = Arc::new(Departure::default());
    let nic = &cabled.machine().nics()[0];
    nic.set_tap(Some(Arc::clone(&departure) as Arc<dyn Tap>));
    let data = Memory::new(64);
    let delays = (0..count).map(|_| {
        assert_eq!(server.qp.receive(0, &[]), STATUS_SUCCESS);
        server.receive_cq.arm(Notify::Any);
        thread::sleep(PAUSE);
        let sent = client
            .qp
            .send(0, &[data.inline_sge(0, 0)], ndk_sys::NDK_OP_FLAG_INLINE);
        assert_eq!(sent, STATUS_SUCCESS);
        let arrived = times.recv_timeout(LIMIT).expect("the consumer is told");
        assert_eq!(client.initiator_cq.wait_for(1, LIMIT).len(), 1);
        let departed = departure.0.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.duration_since(departed.expect("the frame has been seen"))
    });
    let delays = delays.collect();
    nic.set_tap(None);
    delays
}

/// An end whose receive CQ says when its consumer has a completion.
fn notified_end(cabled: &Cabled, seen: Sender<Instant>) -> End {
    let ndk = &cabled.server;
    let seen = Mutex::new(seen);
    let receive_cq = ndk.create_cq(64, move |cq, _| {
        if !cq.results(1).is_empty() {
            let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody waits any more when the connection ends.
            let _ = seen.send(Instant::now());
        }
    });
    let receive_cq = receive_cq.expect("a CQ is made");
    let pd = ndk.create_pd().expect("a PD is made");
    let qp = pd.create_qp(&QpConfig::new(&receive_cq)).expect("a QP is made");
    End {
        connector: None,
        qp,
        pd,
        receive_cq,
        initiator_cq: ndk.create_silent_cq(64).expect("a CQ is made"),
    }
}

/// From nothing to a connection as SMB Direct has it, both ends one after the other.
fn set_up(cabled: &Cabled) -> Duration {
    let start = Instant::now();
    let mut client = Resources::new(&cabled.client).expect("there is room");
    let mut server = Resources::new(&cabled.server).expect("there is room");
    pair::connect_ends(
        &cabled.client,
        &mut client.end,
        &cabled.server,
        &mut server.end,
        Cabled::client_address(),
        Cabled::server_address(),
        16,
    )
    .expect("they connect");
    start.elapsed()
}
