//! IRQLs.

use super::faults;
use crate::kernel::{
    APC_LEVEL, DISPATCH_LEVEL, KeInitializeEvent, KeLowerIrql, KeSetPriorityThread, KeWaitForSingleObject,
    KfRaiseIrql, pool,
};

faults! {
    "IrqlExport" => |_| {
        KfRaiseIrql(DISPATCH_LEVEL);
        let _ = KeSetPriorityThread(0, 0);
    },
    "IrqlReturn" => |_| {
        KfRaiseIrql(DISPATCH_LEVEL);
    },
    "KeRaiseIrql" => |_| {
        KfRaiseIrql(DISPATCH_LEVEL);
        KfRaiseIrql(APC_LEVEL);
    },
    "KeLowerIrql" => |_| KeLowerIrql(DISPATCH_LEVEL),
    "WaitIrql" => |_| {
        let event = pool(24);
        KeInitializeEvent(event, 0, 0);
        KfRaiseIrql(DISPATCH_LEVEL);
        let _ = KeWaitForSingleObject(event, 0, 0, 0, None);
    },
}
