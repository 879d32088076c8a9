//! Frames from one adapter's protocol to the other's: through the first driver, both devices and the cable, and the second driver.
//!
//! Whoever has the link is all of the machine: the protocol that sends, the processors that serve interrupts and DPCs, and the devices.
//! Nothing happens meanwhile that nobody asked for: the drivers' clocks stand still.

use super::cabled::{Cabled, Still};
use crate::cpu::step::{Work, count_work};
use crate::cpu::vp::{self, Held};
use crate::machine::{AdapterSetup, StartError};
use crate::ndis::adapter::Keyword;
use crate::ndis::frame::{self, Headers, Left};
use crate::ndis::meter::{Meter, Sender};
use crate::ndis::packet::SendList;
use crate::ndis::protocol::{checksums, large_send};
use crate::nt::timer::{self, StoppedClock};
use ndk_sys::{TcpIpChecksumNetBufferListInfo, TcpLargeSendNetBufferListInfo};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use vrnic_device::Engine;

/// Frames that have been sent and have not been indicated: fewer than there are receive buffers.
const WINDOW: u64 = 256;
/// Lists that one call hands down.
const BURST: usize = 32;
/// Lists whose work is counted together.
const COUNTED: usize = 64;
/// Longer than a device holds an event back.
const HELD_BACK: Duration = Duration::from_micros(120);
/// Longer than anything takes.
const LIMIT: Duration = Duration::from_secs(20);
/// Flows of the frames.
const FLOWS: u16 = 16;

/// What a driver may call on the way of a frame: NDIS's own way, mapping for DMA at DISPATCH, the lock of a queue's half, and nothing that
/// allocates or waits.
const FAST: [&str; 11] = [
    "NdisMSendNetBufferListsComplete",
    "NdisMIndicateReceiveNetBufferLists",
    "NdisMQueueDpcEx",
    "NdisGetDataBuffer",
    "KeAcquireSpinLockRaiseToDpc",
    "KeReleaseSpinLock",
    "KfRaiseIrql",
    "KeLowerIrql",
    "GetScatterGatherListEx",
    "PutScatterGatherList",
    "InitializeDmaTransferContext",
];

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// TCP segments in frames of so many bytes, without a frame check sequence. The device computes their checksums.
    Frames(usize),
    /// TCP segments of so many bytes, which the device cuts into frames of the largest size.
    LargeSends(usize),
}

/// Bytes of Ethernet, IPv4 and TCP headers.
const HEADERS: usize = 54;
/// Payload of a segment in a frame of the largest size.
const SEGMENT: usize = 1460;

impl Load {
    /// The frames that each list becomes.
    #[must_use]
    pub fn frames(self) -> u64 {
        match self {
            Self::Frames(_) => 1,
            Self::LargeSends(length) => (length - HEADERS).div_ceil(SEGMENT) as u64,
        }
    }

    fn list(self, to: [u8; 6], from: [u8; 6], flow: u16) -> SendList {
        let (Self::Frames(length) | Self::LargeSends(length)) = self;
        let mut frame = segment(to, from, flow, length);
        let large = matches!(self, Self::LargeSends(_));
        if large {
            // The length of what no packet holds.
            frame[16..18].fill(0);
        }
        let headers = Headers::of(&frame).expect("an IP packet");
        let left = Left {
            ip4: true,
            transport: true,
            large,
        };
        frame::seed_checksums(&mut frame, left);
        let info = if large {
            (TcpLargeSendNetBufferListInfo, large_send(&headers, SEGMENT))
        } else {
            (
                TcpIpChecksumNetBufferListInfo,
                checksums(&headers, true, true, false),
            )
        };
        SendList {
            frames: vec![frame],
            info: vec![info],
            ..SendList::default()
        }
    }
}

/// A TCP segment in a frame of `length` bytes.
fn segment(to: [u8; 6], from: [u8; 6], flow: u16, length: usize) -> Vec<u8> {
    let packet = u16::try_from(length - 14).unwrap_or(0).to_be_bytes();
    let mut frame = [&to[..], &from, &[0x08, 0x00]].concat();
    frame.extend([0x45, 0, packet[0], packet[1], 0, 0, 0x40, 0, 64, frame::TCP, 0, 0]);
    frame.extend([10, 77, 0, 1, 10, 77, 0, 2]);
    frame.extend((10_000 + flow).to_be_bytes());
    frame.extend([0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xFF, 0xFF, 0, 0, 0, 0]);
    frame.resize(length, 0x5A);
    frame
}

/// The adapters of a link, started for it.
pub struct EthernetPair(Cabled);

impl EthernetPair {
    /// Starts two adapters. With one queue each has a processor of its own; with more, each is spread over both processors.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(sys: &Path, queues: usize) -> Result<Self, StartError> {
        let cabled = Cabled::start_with(sys, Engine::Host, |index, setup| {
            let keywords = [
                ("*NumRssQueues", queues),
                ("*RssBaseProcNumber", if queues == 1 { index } else { 0 }),
            ];
            for (name, value) in keywords {
                setup
                    .keywords
                    .insert(name.into(), Keyword::Text(value.to_string()));
            }
            setup.uses.scaling = queues > 1;
        })?;
        Ok(Self(cabled))
    }

    /// Measures from now on.
    ///
    /// # Panics
    /// When it is being measured already.
    #[must_use]
    pub fn link(&self) -> EthernetLink<'_> {
        let adapters = self.0.machine().adapters();
        let link = EthernetLink {
            meters: [0, 1].map(|index| adapters[index].miniport().measure()),
            _clock: timer::stop_clock(),
            processors: vp::all().iter().map(vp::Vp::hold).collect(),
            still: self.0.still(),
            pair: self,
        };
        link.settle();
        link
    }
}

/// See the module.
pub struct EthernetLink<'a> {
    // In the order in which they go down.
    processors: Vec<Held>,
    _clock: StoppedClock,
    still: Still<'a>,
    meters: [Arc<Meter>; 2],
    pair: &'a EthernetPair,
}

/// What frames cost.
#[derive(Clone, Debug, Default)]
pub struct FrameWork {
    /// The sending driver's calls.
    pub send: Work,
    /// The sending driver's interrupts and DPCs.
    pub sent: Work,
    /// The receiving driver's interrupts and DPCs, with what it is given back.
    pub received: Work,
    /// Lists that were sent.
    pub lists: u64,
    /// Frames that were received.
    pub frames: u64,
}

impl FrameWork {
    /// Instructions of all of it.
    #[must_use]
    pub fn instructions(&self) -> u64 {
        self.send.instructions + self.sent.instructions + self.received.instructions
    }

    /// Instructions of the sending driver for each list.
    #[must_use]
    pub fn instructions_to_send(&self) -> f64 {
        number(self.send.instructions + self.sent.instructions) / number(self.lists)
    }

    /// Instructions of the receiving driver for each frame.
    #[must_use]
    pub fn instructions_to_receive(&self) -> f64 {
        number(self.received.instructions) / number(self.frames)
    }

    /// What of it belongs on no fast path.
    #[must_use]
    pub fn slow(&self) -> Vec<String> {
        [&self.send, &self.sent, &self.received].map(slow).concat()
    }

    /// Locks that were taken.
    #[must_use]
    pub fn locks(&self) -> u64 {
        let parts = [&self.send, &self.sent, &self.received];
        parts.iter().map(|part| part.calls_of(&["KeAcquire"])).sum()
    }
}

/// What belongs on no fast path: what a driver has allocated, waited for, or asked of a register.
#[must_use]
pub fn slow(work: &Work) -> Vec<String> {
    let calls = work.calls.keys().filter(|call| !FAST.contains(call));
    let registers = (work.registers != 0).then(|| format!("{} accesses to registers", work.registers));
    calls.map(|call| (*call).to_owned()).chain(registers).collect()
}

/// How fast frames are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rate {
    /// Frames in a second.
    pub frames: f64,
    /// Bytes of them in a second.
    pub bytes: f64,
    /// Nanoseconds of a processor for each frame, in both drivers, both devices and the bench.
    pub cpu: f64,
    /// Of these: the sending driver's part, and the receiving one's, with what the kernel does for them.
    pub drivers: [f64; 2],
}

impl EthernetLink<'_> {
    /// Lists to be sent by the first adapter.
    #[must_use]
    pub fn sender(&self, load: Load) -> Sender {
        let [from, to] = [0, 1].map(|number| AdapterSetup::numbered(number).nic.mac);
        let lists: Vec<SendList> = (0..2 * COUNTED)
            .map(|index| {
                let flow = u16::try_from(index).unwrap_or(0) % FLOWS;
                load.list(to, from, flow)
            })
            .collect();
        self.pair.0.machine().adapters()[0].miniport().sender(&lists)
    }

    /// Frames and bytes that the second adapter has indicated.
    #[must_use]
    pub fn received(&self) -> (u64, u64) {
        self.meters[1].received()
    }

    /// On how many processors the second adapter has indicated frames, and how many frames it has lent.
    #[must_use]
    pub fn spread(&self) -> (u32, u64) {
        (self.meters[1].processors(), self.meters[1].lent())
    }

    fn poll_processors(&self) -> bool {
        self.processors
            .iter()
            .fold(false, |worked, processor| processor.poll() | worked)
    }

    /// Drives a device for as long as it holds events back.
    fn drive(&self, side: usize) {
        let start = Instant::now();
        while self.still.nics()[side].poll() || start.elapsed() < HELD_BACK {}
    }

    /// Has the drivers do what they still have to do since they were started, such as looking at the link: no frame causes it.
    fn settle(&self) {
        loop {
            self.drive(0);
            self.drive(1);
            if !self.poll_processors() {
                break;
            }
        }
    }

    /// Counts what the drivers do for some lists, `burst` of which go down in one call.
    ///
    /// # Panics
    /// When a frame does not arrive.
    pub fn count(&self, sender: &mut Sender, load: Load, burst: usize) -> FrameWork {
        let mut work = FrameWork::default();
        let before = self.received().0;
        // Of large sends fewer, so that there are buffers for their frames.
        let lists = COUNTED / usize::try_from(load.frames()).unwrap_or(1).min(COUNTED / 4);
        let wanted = before + lists as u64 * load.frames();
        let burst = burst.min(lists);
        for _ in 0..lists / burst {
            work.lists += burst as u64;
            work.send.add(count_work(|| sender.send(burst)).1);
        }
        let deadline = Instant::now() + LIMIT;
        while sender.reclaim() != 0 {
            self.drive(0);
            work.sent.add(count_work(|| self.poll_processors()).1);
            assert!(Instant::now() < deadline, "lists come back");
        }
        while self.received().0 < wanted {
            self.drive(1);
            work.received.add(count_work(|| self.poll_processors()).1);
            assert!(Instant::now() < deadline, "frames arrive");
        }
        work.frames = self.received().0 - before;
        work
    }

    /// Sends for so long: with one thread that is everything, or with two, each of which has an adapter's device and a processor.
    ///
    /// # Panics
    /// When a frame does not arrive.
    pub fn rate(&self, sender: &mut Sender, load: Load, slice: Duration, threads: usize) -> Rate {
        if threads == 1 {
            return self.run(sender, load, slice, &|times| self.turn(1, times));
        }
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let other = scope.spawn(|| {
                let start = cpu_time();
                let mut times = [Duration::ZERO; 2];
                while !over.load(Ordering::Relaxed) {
                    self.turn(1, &mut times);
                }
                (cpu_time().saturating_sub(start), times[1])
            });
            let mut rate = self.run(sender, load, slice, &|_| {});
            let frames = slice.as_secs_f64() * rate.frames;
            over.store(true, Ordering::Relaxed);
            let (cpu, receiving) = other.join().expect("it does not fail");
            rate.cpu += cpu.as_secs_f64() * 1e9 / frames;
            rate.drivers[1] = receiving.as_secs_f64() * 1e9 / frames;
            rate
        })
    }

    /// One turn of an adapter's device and of a processor, whose time is added.
    fn turn(&self, side: usize, times: &mut [Duration; 2]) {
        self.still.nics()[side].poll();
        let start = Instant::now();
        self.processors[side].poll();
        times[side] += start.elapsed();
    }

    fn run(
        &self,
        sender: &mut Sender,
        load: Load,
        slice: Duration,
        other: &dyn Fn(&mut [Duration; 2]),
    ) -> Rate {
        let (start, cpu, before) = (Instant::now(), cpu_time(), self.received());
        let mut times = [Duration::ZERO; 2];
        let (mut sent, mut received, mut over) = (before.0, before, false);
        let deadline = start + LIMIT;
        while !over || received.0 < sent || sender.reclaim() != 0 {
            let now = Instant::now();
            over = over || now >= start + slice;
            assert!(now < deadline, "all frames arrive");
            sender.reclaim();
            while !over && sent - received.0 < WINDOW {
                let room = (WINDOW - (sent - received.0)).div_ceil(load.frames());
                let burst = BURST.min(usize::try_from(room).unwrap_or(1));
                match sender.send(burst) {
                    0 => break,
                    lists => sent += lists as u64 * load.frames(),
                }
            }
            times[0] += now.elapsed();
            self.turn(0, &mut times);
            other(&mut times);
            received = self.received();
        }
        let (frames, bytes) = (received.0 - before.0, received.1 - before.1);
        let seconds = start.elapsed().as_secs_f64();
        let count = number(frames);
        Rate {
            frames: count / seconds,
            bytes: number(bytes) / seconds,
            cpu: cpu_time().saturating_sub(cpu).as_secs_f64() * 1e9 / count,
            drivers: times.map(|time| time.as_secs_f64() * 1e9 / count),
        }
    }
}

fn cpu_time() -> Duration {
    crate::verifier::limits::thread_cpu_time()
}

fn number(value: u64) -> f64 {
    u32::try_from(value).map_or(f64::INFINITY, f64::from)
}
