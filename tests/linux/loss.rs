//! Linux on a wire that loses one frame in a hundred and lets one in a hundred be overtaken.

use crate::pingpong;
use crate::support::{Bench, Setup, step};
use crate::tools::{families, perftest_from_us, perftest_to_us, rping_from_us, rping_to_us};
use anyhow::{Result, ensure};
use ntbench::apps::perftest::{Test, Verb};
use ntbench::wire::Impairment;
use std::time::Duration;

const MTU: u16 = 1500;
/// Linux asks again for an acknowledgement after half a second.
const LINGER: Duration = Duration::from_secs(2);

/// Judges with Linux: loss and reordering
#[test]
fn linux_and_we_get_over_loss_and_reordering() -> Result<()> {
    let bench = Bench::boot(&Setup {
        name: "linux-loss",
        mtus: &[MTU],
        impairment: Impairment {
            seed: 1,
            loss: 0.01,
            reordering: 0.01,
            ..Impairment::default()
        },
    })?;
    let station = bench.station(0);
    for (ours, theirs) in families(&station) {
        impaired(&bench, &format!("rping from {theirs}"), || {
            rping_to_us(&station, ours, 40)
        })?;
        impaired(&bench, &format!("rping to {theirs}"), || {
            rping_from_us(&station, ours, theirs, 40)
        })?;
    }
    for (program, verb) in [
        ("ib_send_bw", Verb::Send),
        ("ib_read_bw", Verb::Read),
        ("ib_write_bw", Verb::Write),
    ] {
        let test = Test {
            verb,
            latency: false,
            iterations: 100,
            size: 16 * 1024,
            linger: LINGER,
        };
        impaired(&bench, &format!("{program} from Linux"), || {
            perftest_to_us(&station, program, test)
        })?;
        impaired(&bench, &format!("{program} to Linux"), || {
            perftest_from_us(&station, program, test)
        })?;
    }
    let mut station = pingpong::Station::plug_in(bench.machine.hub(), MTU)?;
    impaired(&bench, "ibv_rc_pingpong from Linux", || {
        station.serve(&bench, &pingpong::V4, 50)
    })?;
    impaired(&bench, "ibv_rc_pingpong to Linux", || {
        station.ask(&bench, &pingpong::V4, 50, pingpong::ping).map(|_| ())
    })?;
    bench.finish(|_| Ok(()))
}

/// A step during which the wire must have lost frames and let others overtake them: otherwise it has shown nothing.
fn impaired(bench: &Bench, name: &str, body: impl FnOnce() -> Result<()>) -> Result<()> {
    step(name, || {
        let before = bench.machine.hub().statistics();
        body()?;
        let after = bench.machine.hub().statistics();
        let (lost, reordered) = (after.lost - before.lost, after.reordered - before.reordered);
        eprintln!("    {lost} frames lost, {reordered} overtaken");
        ensure!(
            lost > 0 && reordered > 0,
            "{lost} frames were lost, {reordered} overtaken"
        );
        Ok(())
    })
}
