//! What `./x bench` compares with peers: lines `@figure NAME<tab>VALUE<tab>UNIT`.
//!
//! The `.sys` runs in the bench, special pool off, with two NICs in the same process that a cable joins. Nothing is measured unless
//! `--compare` asks for it; `--test` runs everything once, quickly.

mod bring_up;
mod connections;
mod doorbell;
mod ethernet;
mod link;

use ntbench::machine::image_from_env;
use ntbench::measure::{Cabled, FastPath};
use std::path::Path;
use vrnic_device::Engine;

/// How often things are done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effort {
    /// To see that it works.
    Test,
    /// To measure.
    Measure,
}

impl Effort {
    /// A number of repetitions, and what remains of it in a test.
    fn times(self, count: usize) -> usize {
        match self {
            Self::Test => count.div_ceil(500),
            Self::Measure => count,
        }
    }
}

fn main() {
    let has = |option: &str| std::env::args().any(|argument| argument == option);
    let effort = match (has("--test"), has("--compare")) {
        (true, _) => Effort::Test,
        (_, true) => Effort::Measure,
        _ => return,
    };
    let sys = image_from_env().unwrap_or_else(|error| panic!("{error}"));
    without_engines(&sys, effort);
    with_engines(&sys, effort);
    ethernet::measure(&sys, effort);
    bring_up::measure(&sys, effort);
    doorbell::measure(effort);
}

fn figure(name: &str, value: f64, unit: &str) {
    println!("@figure {name}\t{value}\t{unit}");
}

/// The threads of the consumers drive the devices too, one adapter each.
fn without_engines(sys: &Path, effort: Effort) {
    let cabled = start(sys, Engine::Host);
    for cost in FastPath::new(&cabled).costs(effort.times(2000)) {
        let instructions = u32::try_from(cost.instructions).unwrap_or(u32::MAX);
        figure(cost.name, instructions.into(), "instructions");
        figure(cost.name, cost.nanoseconds, "ns");
    }
    link::measure(&cabled, effort);
}

/// The devices have their own threads.
fn with_engines(sys: &Path, effort: Effort) {
    connections::measure(&start(sys, Engine::Thread), effort);
}

fn start(sys: &Path, engine: Engine) -> Cabled {
    Cabled::start(sys, engine).expect("the driver starts")
}
