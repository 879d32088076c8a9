//! What Ethernet costs in the NIC: one of them, driven by one thread that is the driver and the wire too. All times are times of the processor.
//!
//! Each frame is two to four accesses to the test's host memory, with a lock for each, and one copy into the test's wire.
#![expect(missing_docs, reason = "criterion's macro makes a public function")]

#[path = "cpu/mod.rs"]
mod cpu;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/device/ethernet/frames.rs"]
mod frames;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/device/host.rs"]
mod host;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/device/ethernet/port.rs"]
mod port;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/device/rig.rs"]
mod rig;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vrnic_abi::eth::{HASH_ALL, RssTable, TX_END, TX_IP_CHECKSUM, TX_L4_CHECKSUM, TxDescriptor};
use zerocopy::FromZeros;

use cpu::CpuTime;
use frames::{Maker, V4, payload};
use port::{PAYLOAD, Port};

/// Frames that are posted and completed together.
const BATCH: u32 = 32;
/// Payload of a large send.
const LENGTH: usize = 62 * 1024;

fn sending(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("Ethernet, sending");
    group.throughput(Throughput::Elements(BATCH.into()));
    for (name, length, flags) in [
        ("64 B", 64, 0),
        ("64 B, checksums", 64, TX_IP_CHECKSUM | TX_L4_CHECKSUM),
        ("1500 B", 1500, 0),
        ("1500 B, checksums", 1500, TX_IP_CHECKSUM | TX_L4_CHECKSUM),
    ] {
        let mut port = Port::ready();
        let frame = Maker::ours(V4).udp(&payload(length - 42));
        port.rig.host.poke(PAYLOAD, &frame);
        let descriptor = TxDescriptor {
            addr: PAYLOAD.into(),
            length: u16::try_from(length).unwrap().into(),
            flags: (TX_END | flags).into(),
            ..TxDescriptor::new_zeroed()
        };
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                (0..BATCH).for_each(|_| port.put_descriptor(0, &descriptor));
                port.ring_tx(0);
                port.run();
                assert_eq!(port.rig.host.take_frames().len(), BATCH as usize);
                assert!((0..BATCH).all(|_| port.take(0).is_some()));
            });
        });
    }
    group.finish();
}

fn large_sends(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("Ethernet, large send");
    group.throughput(Throughput::Bytes(LENGTH as u64));
    for segment_size in [1448, 8948] {
        let mut port = Port::ready();
        port.config.mtu = 9000.into();
        port.configure();
        let headers = Maker::ours(V4).tcp(&[], true);
        port.rig
            .host
            .poke(PAYLOAD, &[headers.clone(), payload(LENGTH)].concat());
        let descriptor = TxDescriptor {
            addr: PAYLOAD.into(),
            length: u16::try_from(headers.len() + LENGTH).unwrap().into(),
            flags: TX_END.into(),
            segment_size: segment_size.into(),
            ..TxDescriptor::new_zeroed()
        };
        group.bench_function(format!("62 KiB in segments of {segment_size} B"), |bencher| {
            bencher.iter(|| {
                port.put_descriptor(0, &descriptor);
                port.ring_tx(0);
                port.run();
                let segments = port.rig.host.take_frames().len();
                assert_eq!(segments, LENGTH.div_ceil(segment_size.into()));
                port.take(0).expect("sent");
            });
        });
    }
    group.finish();
}

fn receiving(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("Ethernet, receiving");
    group.throughput(Throughput::Elements(BATCH.into()));
    for (name, length) in [("64 B", 64), ("1500 B", 1500)] {
        let mut port = Port::ready();
        let mut table = RssTable {
            hash_types: HASH_ALL.into(),
            entries: 128.into(),
            ..RssTable::new_zeroed()
        };
        table.key.copy_from_slice(&payload(40));
        port.set_rss(&table).expect("a good table");
        port.post_buffers(0, 16);
        let frame = Maker::peers(V4).tcp(&payload(length - 54), false);
        group.bench_function(format!("{name}, checksums and RSS"), |bencher| {
            bencher.iter(|| {
                port.post_buffers(0, BATCH);
                for _ in 0..BATCH {
                    port.rig.nic.receive(&frame);
                }
                assert!((0..BATCH).all(|_| port.take(0).is_some()));
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .with_measurement(CpuTime)
        .sample_size(20)
        .warm_up_time(std::time::Duration::from_millis(500))
        .measurement_time(std::time::Duration::from_secs(1));
    targets = sending, large_sends, receiving
}
criterion_main!(benches);
