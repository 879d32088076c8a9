//! Time limits.

use super::faults;
use crate::kernel::{
    DISPATCH_LEVEL, KeInitializeDpc, KeInsertQueueDpc, KeQueryPerformanceCounter, KeStallExecutionProcessor,
    KfRaiseIrql, pool, sleep,
};

faults! {
    "DpcTooLong" => |_| {
        let dpc = pool(64);
        KeInitializeDpc(dpc, spin, 0);
        KeInsertQueueDpc(dpc, 0, 0);
        sleep(2_000);
    },
    "Hang" => |_| sleep(600_000),
    "NdisStallExecution_Delay" => |_| KeStallExecutionProcessor(1_000),
    "StallTotal" => |_| {
        KfRaiseIrql(DISPATCH_LEVEL);
        for _ in 0..1_000 {
            KeStallExecutionProcessor(50);
        }
    },
}

/// Computes for half a second.
extern "system" fn spin(_: usize, _: usize, _: usize, _: usize) {
    const HALF_A_SECOND: i64 = 5_000_000;
    let start = KeQueryPerformanceCounter(0);
    while KeQueryPerformanceCounter(0) - start < HALF_A_SECOND {
        core::hint::spin_loop();
    }
}
