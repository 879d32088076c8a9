//! Frames between two adapters: what each costs, and how many there are in a second.

use crate::{Effort, figure};
use ntbench::measure::{EthernetLink, EthernetPair, FrameWork, Load, Rate};
use std::path::Path;
use std::time::Duration;

/// The smallest frame on a wire: 64 bytes with its check sequence.
const SMALL: Load = Load::Frames(60);
/// The largest one without jumbo frames: an IP packet of 1500 bytes.
const FULL: Load = Load::Frames(1514);
/// What TCP hands down at once.
const LARGE: Load = Load::LargeSends(62 << 10);
/// Lists that one call hands down, while instructions are counted.
const CALLS: [usize; 2] = [1, 16];
/// How long is measured at a time, and how often with one thread and with two.
const SLICE: Duration = Duration::from_millis(100);
const SLICES: usize = 5;

pub fn measure(sys: &Path, effort: Effort) {
    let pair = EthernetPair::start(sys, 1).expect("the driver starts");
    let link = pair.link();
    for (name, load) in [("64 B", SMALL), ("1500 B", FULL)] {
        instructions(&link, name, load, effort);
        let rate = best(&link, load, effort);
        figure(&format!("Ethernet {name}, frames"), rate.frames, "/s");
        figure(&format!("Ethernet {name}, CPU of a frame"), rate.cpu, "ns");
        let [sent, received] = rate.drivers;
        figure(&format!("Ethernet {name}, CPU of the sending driver"), sent, "ns");
        figure(
            &format!("Ethernet {name}, CPU of the receiving driver"),
            received,
            "ns",
        );
    }
    instructions(&link, "62 KiB large send", LARGE, effort);
    let rate = best(&link, LARGE, effort);
    figure("Ethernet 62 KiB large send, bandwidth", rate.bytes / 1e9, "GB/s");
    drop(link);
    drop(pair);
    let pair = EthernetPair::start(sys, 2).expect("the driver starts");
    let link = pair.link();
    let rate = best(&link, FULL, effort);
    assert_eq!(link.spread().0, 2, "both queues have had frames");
    figure("Ethernet 1500 B over 2 queues, frames", rate.frames, "/s");
    figure("Ethernet 1500 B over 2 queues, CPU of a frame", rate.cpu, "ns");
}

/// What each list, and each frame that is received, takes of the drivers.
fn instructions(link: &EthernetLink<'_>, name: &str, load: Load, effort: Effort) {
    let mut sender = link.sender(load);
    for burst in CALLS {
        let rounds = (0..effort.times(5)).map(|_| link.count(&mut sender, load, burst));
        // The first ones find nothing in their caches; the drivers' clocks stand still.
        let least = rounds
            .min_by_key(FrameWork::instructions)
            .expect("there is a round");
        assert!(least.slow().is_empty(), "{name}: {:?}", least.slow());
        let how = if burst == 1 {
            String::new()
        } else {
            format!(", {burst} in a call")
        };
        figure(
            &format!("Ethernet {name} sent{how}"),
            least.instructions_to_send(),
            "instructions",
        );
        if burst == 1 {
            figure(
                &format!("Ethernet {name} received, a frame"),
                least.instructions_to_receive(),
                "instructions",
            );
        }
    }
}

/// The greatest rate of frames, with one thread or two, and the least that each frame has cost.
fn best(link: &EthernetLink<'_>, load: Load, effort: Effort) -> Rate {
    let (slice, slices) = match effort {
        Effort::Test => (Duration::from_millis(2), 1),
        Effort::Measure => (SLICE, SLICES),
    };
    let mut sender = link.sender(load);
    let rates = (0..2 * slices).map(|turn| link.rate(&mut sender, load, slice, 1 + turn % 2));
    rates
        .reduce(|best, rate| Rate {
            frames: best.frames.max(rate.frames),
            bytes: best.bytes.max(rate.bytes),
            cpu: best.cpu.min(rate.cpu),
            drivers: [0, 1].map(|side| best.drivers[side].min(rate.drivers[side])),
        })
        .unwrap_or_default()
}
