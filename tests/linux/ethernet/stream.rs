//! RDMA between the same two ends, all the time: rping's server in the guest, our client.

use crate::support::{LIMIT, step};
use anyhow::{Result, anyhow, ensure};
use ntbench::apps::{rping, until_served};
use ntbench::ndk;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use xtask::peer::LinuxPeer;

const PORT: u16 = 7610;
/// Bytes that Linux reads and writes for each ping: some packets each.
const SIZE: usize = 3000;
/// Between two pings, so that the guest's only processor has time for the rest.
const PAUSE: Duration = Duration::from_millis(10);
/// How long the server gets until it listens.
const START: Duration = Duration::from_secs(20);

/// How far the stream is.
#[derive(Default)]
pub struct Pings {
    done: AtomicUsize,
    ended: AtomicBool,
    over: AtomicBool,
}

impl Pings {
    /// Does a step during which some pings begin and end.
    pub fn during(&self, name: &str, body: impl FnOnce() -> Result<()>) -> Result<()> {
        step(name, || {
            let before = self.done.load(Ordering::Acquire);
            body()?;
            let pings = self.done.load(Ordering::Acquire) - before;
            ensure!(pings >= 2, "only {pings} RDMA pings meanwhile");
            Ok(())
        })
    }

    /// Waits for the first ping.
    fn wait_for_first(&self) {
        let deadline = Instant::now() + LIMIT;
        while self.done.load(Ordering::Acquire) == 0
            && !self.ended.load(Ordering::Acquire)
            && Instant::now() < deadline
        {
            thread::sleep(PAUSE);
        }
    }
}

/// Does `body` while RDMA runs between our address and Linux's. What comes back from Linux is compared.
pub fn during(
    linux: &LinuxPeer,
    ndk: &ndk::Adapter,
    (ours, theirs): (IpAddr, IpAddr),
    body: impl FnOnce(&Pings) -> Result<()>,
) -> Result<()> {
    let pings = Pings::default();
    let server = linux.start(&format!("rping -s -a {theirs} -p {PORT} -S {SIZE}"))?;
    let more = |number: usize| {
        pings.done.store(number, Ordering::Release);
        thread::sleep(PAUSE);
        !pings.over.load(Ordering::Acquire)
    };
    let (source, target) = (SocketAddr::new(ours, 0), SocketAddr::new(theirs, PORT));
    let (done, stream) = thread::scope(|scope| {
        let stream = scope.spawn(|| {
            let result = until_served(START, || rping::ping_while(ndk, source, target, SIZE, more));
            pings.ended.store(true, Ordering::Release);
            result
        });
        pings.wait_for_first();
        let done = body(&pings);
        pings.over.store(true, Ordering::Release);
        (done, stream.join())
    });
    let stream = stream.map_err(|_| anyhow!("the RDMA stream panics"))?;
    // Its error explains those of the rest.
    stream.map_err(|error| anyhow!("the RDMA stream: {error}; the rest: {done:?}"))?;
    done?;
    let finished = server.finish(LIMIT)?;
    ensure!(finished.code == 0, "rping ends with {finished:?}");
    Ok(())
}
