//! What the NIC itself costs: two of them, back to back, with a cable between them, driven by one thread.
#![expect(missing_docs, reason = "criterion's macro makes a public function")]

#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/device/host.rs"]
mod host;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/device/rig.rs"]
mod rig;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/device/rdma/side.rs"]
mod side;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vrnic_abi::cqe::WorkStatus;
use vrnic_abi::wqe::{RemoteSegment, WorkOpcode};
use vrnic_device::Engine;
use zerocopy::IntoBytes;

use side::{ALL_ACCESS, Cq, Qp, Request, Side};

const LENGTH: usize = 0x4_0000;

struct Pair {
    sides: [Side; 2],
    cqs: [Cq; 2],
    qps: [Qp; 2],
    memory: [u64; 2],
    keys: [u32; 2],
}

impl Pair {
    fn new() -> Self {
        let mut sides = Side::cabled(Engine::Host);
        let cqs = sides.each_mut().map(|side| side.cq(6));
        let qps = [0, 1].map(|index| sides[index].qp(&cqs[index]));
        let memory = sides.each_mut().map(|side| side.memory(LENGTH));
        let keys = [0, 1].map(|index| sides[index].register(memory[index], LENGTH, ALL_ACCESS));
        for index in 0..2 {
            let mut modify = Side::to_rts(&sides[1 - index], qps[1 - index].qpn);
            modify.path_mtu_log2 = 12;
            sides[index].modify(&qps[index], &modify).unwrap();
        }
        Self {
            sides,
            cqs,
            qps,
            memory,
            keys,
        }
    }

    /// Posts a request and drives both until it is done.
    fn request(&mut self, request: &Request) {
        self.sides[0].send(&mut self.qps[0], request);
        loop {
            self.sides.iter().for_each(|side| {
                side.rig.nic.poll();
            });
            if let Some(cqe) = self.sides[0].poll_cq(&mut self.cqs[0]) {
                assert_eq!(WorkStatus(cqe.status), WorkStatus::OK);
                return self.sides[0].consumed(&self.cqs[0]);
            }
        }
    }
}

fn pair(criterion: &mut Criterion) {
    let mut pair = Pair::new();
    let mut group = criterion.benchmark_group("two NICs");
    for (name, length) in [
        ("64 B", 64),
        ("4 KiB", 4096),
        ("64 KiB", 0x1_0000),
        ("256 KiB", LENGTH),
    ] {
        let remote = RemoteSegment {
            addr: pair.memory[1].into(),
            key: pair.keys[1].into(),
            reserved: 0.into(),
        };
        let local = (pair.memory[0], u32::try_from(length).unwrap(), pair.keys[0]);
        group.throughput(Throughput::Bytes(length as u64));
        for (what, opcode) in [("WRITE", WorkOpcode::WRITE), ("READ", WorkOpcode::READ)] {
            let request = Request::new(opcode, &[remote.as_bytes()], &[local]);
            group.bench_function(format!("{what} {name}"), |bencher| {
                bencher.iter(|| pair.request(&request));
            });
        }
        let request = Request::new(WorkOpcode::SEND, &[], &[local]);
        let sge = (pair.memory[1], u32::try_from(length).unwrap(), pair.keys[1]);
        group.bench_function(format!("SEND {name}"), |bencher| {
            bencher.iter(|| {
                pair.sides[1].receive(&mut pair.qps[1], &[sge]);
                pair.request(&request);
                let received = pair.sides[1].poll_cq(&mut pair.cqs[1]).unwrap();
                assert_eq!(WorkStatus(received.status), WorkStatus::OK);
                pair.sides[1].consumed(&pair.cqs[1]);
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(std::time::Duration::from_millis(500))
        .measurement_time(std::time::Duration::from_secs(1));
    targets = pair
}
criterion_main!(benches);
