//! What a reject costs: from the consumer's `NdkReject` to the frame on the wire, and in instructions of the driver.
//!
//! The `.sys` runs in the bench with the NIC in the same process, special pool off. `criterion` measures time; instructions
//! are counted by single steps, so they are the same in every run on every machine.
#![expect(missing_docs, reason = "criterion's macro makes a public function")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ntbench::Config;
use ntbench::cpu::irql::{DISPATCH_LEVEL, Irql, PASSIVE_LEVEL};
use ntbench::cpu::step::count_instructions;
use ntbench::machine::{Machine, MachineConfig, image_from_env, v4};
use ntbench::ndk::{self, Connector, Incoming, VERSION_1_2, trace};
use ntbench::verifier::pool::Placement;
use ntbench::wire::Peer;
use std::time::Duration;

const PORT: u16 = 7600;
const LIMIT: Duration = Duration::from_secs(20);
/// Rejects that are prepared at a time.
const BATCH: usize = 256;

struct Bench {
    // In the order in which they go down.
    incoming: Incoming,
    _ndk: ndk::Adapter,
    peer: Peer,
    machine: Machine,
}

impl Bench {
    fn start() -> Self {
        let mut config = MachineConfig::new(image_from_env().unwrap_or_else(|error| panic!("{error}")));
        config.kernel = Config {
            echo_debug: false,
            pool: Placement::Fast,
            ..Config::default()
        };
        let machine = Machine::start(config).expect("the driver starts");
        trace::set_enabled(false);
        let ndk = machine.open_ndk(VERSION_1_2).expect("NDK opens");
        let incoming = Incoming::listen(&ndk, v4(PORT)).expect("the port is free");
        let peer = machine.peer();
        Self {
            incoming,
            _ndk: ndk,
            peer,
            machine,
        }
    }

    fn request(&self) -> Connector {
        self.peer.connect(v4(PORT), b"").expect("there is a way");
        self.incoming.next_within(LIMIT).expect("a request arrives")
    }

    fn requests(&self, count: usize) -> Vec<Connector> {
        self.peer
            .flood(v4(PORT), count, |_| Vec::new())
            .expect("there is a way");
        (0..count)
            .map(|_| self.incoming.next_within(LIMIT).expect("a request arrives"))
            .collect()
    }

    fn at<R>(&self, irql: Irql, body: impl FnOnce() -> R) -> R {
        self.machine.kernel().run_at(irql, 0, body)
    }
}

fn reject(c: &mut Criterion) {
    let bench = Bench::start();
    let data = [0x5A; 148];
    for (name, irql) in [("passive", PASSIVE_LEVEL), ("dispatch", DISPATCH_LEVEL)] {
        let connector = bench.request();
        let (status, instructions) = bench.at(irql, || count_instructions(|| connector.reject(&data)));
        assert_eq!(status, 0, "the counted reject succeeds");
        println!("reject/{name}: {instructions} instructions of vrnic.sys");
    }

    let mut group = c.benchmark_group("reject");
    group.throughput(Throughput::Elements(1));
    group
        .measurement_time(Duration::from_secs(3))
        .warm_up_time(Duration::from_secs(1))
        .sample_size(20);
    for (name, irql) in [
        ("call_to_wire/passive", PASSIVE_LEVEL),
        ("call_to_wire/dispatch", DISPATCH_LEVEL),
    ] {
        // The firmware hands the frame to the wire before the command completes, so the call's end is the frame's departure.
        group.bench_function(name, |b| {
            let mut ready = Vec::new();
            b.iter_batched(
                || {
                    if ready.is_empty() {
                        ready = bench.requests(BATCH);
                    }
                    ready.pop().expect("just filled")
                },
                |connector| {
                    assert_eq!(bench.at(irql, || connector.reject(&data)), 0);
                    connector
                },
                BatchSize::PerIteration,
            );
        });
    }
    // Request to reject and close, everything included: what a server can turn away in a second.
    group.throughput(Throughput::Elements(BATCH as u64));
    group.sample_size(10);
    group.bench_function("request_to_reject", |b| {
        b.iter(|| {
            for connector in bench.requests(BATCH) {
                assert_eq!(connector.reject(&data), 0);
            }
        });
    });
    group.finish();
}

criterion_group!(benches, reject);
criterion_main!(benches);
