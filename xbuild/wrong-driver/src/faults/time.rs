//! Time limits.

use super::faults;
use crate::kernel::{
    DISPATCH_LEVEL, KeInitializeDpc, KeInsertQueueDpc, KeStallExecutionProcessor, KfRaiseIrql, pool, sleep,
};

faults! {
    "DpcTooLong" => |_| {
        let dpc = pool(64);
        KeInitializeDpc(dpc, spin, 0);
        KeInsertQueueDpc(dpc, 0, 0);
        sleep(20_000);
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

/// Computes for a few hundred milliseconds of its own: by the clock it would get too little done on a busy machine.
extern "system" fn spin(_: usize, _: usize, _: usize, _: usize) {
    for _ in 0..20_000_000 {
        core::hint::spin_loop();
    }
}
