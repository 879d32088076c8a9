//! What posting a request and polling for completions cost.
//!
//! The devices stand still meanwhile. Time includes the bench's way into the driver and back (a switch of stacks); instructions are
//! the driver's own.

use super::cabled::{Cabled, Still};
use super::direct::{DirectCq, DirectQp, Region, SgeList};
use crate::cpu::step::count_instructions;
use crate::ndk::{Memory, Mr, Pair, PairOptions};
use ndk_sys::{NDK_OP_FLAG_DEFER, NDK_OP_FLAG_INLINE};
use std::time::{Duration, Instant};

/// Requests that are posted before the devices execute them.
const BATCH: usize = 64;
/// Requests of a chain, and completions that are polled for together.
const CHAIN: usize = 16;
/// Bytes of a message.
const MESSAGE: u32 = 64;
/// Pages of a fast registration: 64 KiB.
const PAGES: usize = 16;

/// What an operation costs.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// The operation.
    pub name: &'static str,
    /// Instructions of the driver: the most that one of them took.
    pub instructions: u64,
    /// Nanoseconds: the median.
    pub nanoseconds: f64,
}

/// A connection whose fast path can be measured.
pub struct FastPath<'a> {
    // In the order in which they go down.
    fast_regions: Vec<Mr>,
    from: Region,
    to: Region,
    pair: Pair,
    cabled: &'a Cabled,
}

/// What is measured, and what has to be done around it. Each function gets the number of the step in its batch.
#[derive(Clone, Copy)]
struct Operation<'a> {
    name: &'static str,
    /// Requests of one step.
    requests: usize,
    /// The peer has to have receives.
    needs_receives: bool,
    before: &'a dyn Fn(usize),
    step: &'a dyn Fn(usize),
    after: &'a dyn Fn(usize),
}

impl<'a> FastPath<'a> {
    /// Connects.
    ///
    /// # Panics
    /// When something that it needs cannot be made.
    #[must_use]
    pub fn new(cabled: &'a Cabled) -> Self {
        let options = PairOptions {
            cq_depth: 4 * 128,
            receive_depth: 128,
            initiator_depth: 128,
            inline: MESSAGE,
            ..PairOptions::default()
        };
        let pair = cabled.pair(&options).expect("they connect");
        let fast_region = || {
            let region = pair.client.pd.create_mr(true).expect("a region is made");
            let pages = u32::try_from(PAGES).unwrap_or(u32::MAX);
            region
                .initialize_fast_register(pages, true)
                .expect("it is initialised");
            region
        };
        Self {
            fast_regions: (0..BATCH).map(|_| fast_region()).collect(),
            from: Region::new(&pair.client.pd, 4096),
            to: Region::new(&pair.server.pd, 4096),
            pair,
            cabled,
        }
    }

    /// Measures everything: time as often as `rounds` says, after one round to get warm.
    ///
    /// # Panics
    /// When a request fails.
    #[must_use]
    pub fn costs(&self, rounds: usize) -> Vec<Cost> {
        let memory = Memory::new(PAGES * 4096);
        let lam = self.cabled.client.build_lam(&memory, memory.len());
        let lam = lam.expect("the memory is mapped");
        let still = self.cabled.still();
        let bench = Stand {
            rounds,
            still: &still,
            qp: DirectQp::new(&self.pair.client.qp),
            cq: DirectCq::new(&self.pair.client.initiator_cq),
            peer_qp: DirectQp::new(&self.pair.server.qp),
            peer_cq: DirectCq::new(&self.pair.server.receive_cq),
            sink: self.to.sge(MESSAGE),
        };
        let (qp, remote) = (&bench.qp, self.to.remote());
        let (sge, inline) = (self.from.sge(MESSAGE), self.from.inline_sge(MESSAGE));
        let chain = |_| {
            (1..CHAIN).for_each(|_| qp.send(&sge, NDK_OP_FLAG_DEFER));
            qp.send(&sge, 0);
        };
        let register = |index: usize| qp.fast_register(&self.fast_regions[index], lam.pages(), memory.va());
        let invalidate = |index: usize| qp.invalidate(&self.fast_regions[index]);
        let plain = Operation {
            name: "",
            requests: 1,
            needs_receives: false,
            before: &|_| {},
            step: &|_| {},
            after: &|_| {},
        };
        let operations = [
            Operation {
                name: "SEND, one SGE",
                needs_receives: true,
                step: &|_| qp.send(&sge, 0),
                ..plain
            },
            Operation {
                name: "SEND inline, 64 B",
                needs_receives: true,
                step: &|_| qp.send(&inline, NDK_OP_FLAG_INLINE),
                ..plain
            },
            Operation {
                name: "SEND, each in a deferred chain of 16",
                requests: CHAIN,
                needs_receives: true,
                step: &chain,
                ..plain
            },
            Operation {
                name: "WRITE, one SGE",
                step: &|_| qp.write(&sge, remote, 0),
                ..plain
            },
            Operation {
                name: "READ, one SGE",
                step: &|_| qp.read(&sge, remote, 0),
                ..plain
            },
            Operation {
                name: "FastRegister, 16 pages",
                step: &register,
                after: &invalidate,
                ..plain
            },
            Operation {
                name: "Invalidate",
                before: &register,
                step: &invalidate,
                ..plain
            },
        ];
        let mut costs: Vec<Cost> = operations
            .iter()
            .map(|operation| bench.measure(operation))
            .collect();
        let write = |_| qp.write(&sge, remote, 0);
        costs.push(bench.measure_polls("poll, one completion", 1, &write));
        costs.push(bench.measure_polls("poll, each of 16 completions", CHAIN, &write));
        costs
    }
}

/// Where operations are measured.
struct Stand<'a> {
    rounds: usize,
    still: &'a Still<'a>,
    qp: DirectQp,
    cq: DirectCq,
    peer_qp: DirectQp,
    peer_cq: DirectCq,
    /// Where the peer receives.
    sink: SgeList,
}

/// Times, and the most instructions, of steps with several parts.
#[derive(Default)]
struct Samples {
    times: Vec<Duration>,
    instructions: u64,
}

impl Samples {
    /// Repeats `step` and notes what it takes: instructions in the second round, time in the later ones.
    fn add(&mut self, round: usize, steps: usize, step: &dyn Fn(usize)) {
        match round {
            0 => (0..steps).for_each(step),
            1 => {
                let counts = (0..steps).map(|index| count_instructions(|| step(index)).1);
                self.instructions = counts.max().unwrap_or(0);
            }
            _ => {
                let start = Instant::now();
                (0..steps).for_each(step);
                self.times.push(start.elapsed());
            }
        }
    }

    /// What one of `parts` parts of a step costs, and one of all that were timed together.
    fn cost(mut self, name: &'static str, parts: usize) -> Cost {
        self.times.sort_unstable();
        let median = self.times.get(self.times.len() / 2).copied().unwrap_or_default();
        Cost {
            name,
            instructions: self.instructions.div_ceil(parts as u64),
            nanoseconds: median.div_duration_f64(Duration::from_nanos(BATCH as u64)),
        }
    }
}

impl Stand<'_> {
    fn measure(&self, operation: &Operation<'_>) -> Cost {
        let mut samples = Samples::default();
        let steps = BATCH / operation.requests;
        for round in 0..self.rounds + 2 {
            self.around(operation.before, steps);
            if operation.needs_receives {
                (0..BATCH).for_each(|_| self.peer_qp.receive(&self.sink));
            }
            samples.add(round, steps, operation.step);
            self.still.settle();
            drain(&self.cq);
            drain(&self.peer_cq);
            self.around(operation.after, steps);
        }
        samples.cost(operation.name, operation.requests)
    }

    /// Does what is not measured.
    fn around(&self, work: &dyn Fn(usize), steps: usize) {
        (0..steps).for_each(work);
        self.still.settle();
        drain(&self.cq);
    }

    /// `count` completions at a time.
    fn measure_polls(&self, name: &'static str, count: usize, post: &dyn Fn(usize)) -> Cost {
        let mut samples = Samples::default();
        for round in 0..self.rounds + 2 {
            (0..BATCH).for_each(post);
            self.still.settle();
            samples.add(round, BATCH / count, &|_| {
                assert_eq!(self.cq.take(count), count, "all have completed");
            });
        }
        samples.cost(name, count)
    }
}

fn drain(cq: &DirectCq) {
    while cq.take(CHAIN) != 0 {}
}
