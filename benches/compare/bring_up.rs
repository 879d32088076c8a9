//! From a reset to a link that is up.

use crate::{Effort, figure};
use ntbench::measure::bring_up;
use std::path::Path;
use std::time::Duration;

pub fn measure(sys: &Path, effort: Effort) {
    let rounds = effort.times(20);
    let initialized = bring_up::initialize(sys, rounds).expect("the driver starts");
    let [working, failed] = bring_up::resets(sys, rounds).expect("the driver starts");
    for (name, times) in [
        ("FLR and MiniportInitializeEx to link up", initialized),
        ("MiniportResetEx to link up", working),
        ("MiniportResetEx of a failed device to link up", failed),
    ] {
        figure(name, median(times).as_secs_f64() * 1e3, "ms");
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
