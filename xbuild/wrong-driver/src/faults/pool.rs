//! Pool memory.

use core::hint::black_box;

use super::faults;
use crate::kernel::{
    DISPATCH_LEVEL, ExAllocatePool2, ExAllocatePoolWithTag, ExFreePoolWithTag, KfRaiseIrql, NON_PAGED, PAGED,
    TAG, free, peek, poke, pool,
};

/// `NonPagedPool`, whose memory is executable.
const NON_PAGED_POOL: u32 = 0;
/// A pool type that there is not.
const NO_POOL: u32 = 9;

faults! {
    "PoolAllocationIrql" => |_| {
        KfRaiseIrql(DISPATCH_LEVEL);
        ExAllocatePool2(PAGED, 16, TAG);
    },
    "PoolFreeIrql" => |_| {
        let memory = ExAllocatePool2(PAGED, 16, TAG);
        KfRaiseIrql(DISPATCH_LEVEL);
        free(memory);
    },
    "PoolZeroBytes" => |_| {
        pool(0);
    },
    "PoolTagZero" => |_| {
        ExAllocatePool2(NON_PAGED, 16, 0);
    },
    "PoolFlags" => |_| {
        ExAllocatePool2(NON_PAGED | PAGED, 16, TAG);
    },
    "PoolType" => |_| {
        ExAllocatePoolWithTag(NO_POOL, 16, TAG);
    },
    "ExecutablePool" => |_| {
        ExAllocatePoolWithTag(NON_PAGED_POOL, 16, TAG);
    },
    "PoolBadFree" => |_| free(pool(64) + 16),
    "PoolBadFree-unknown" => |_| free(0x1234_5678_9000),
    "PoolDoubleFree" => |_| {
        let memory = pool(16);
        free(memory);
        free(memory);
    },
    "PoolTag" => |_| ExFreePoolWithTag(pool(16), TAG + 1),
    "SpecialPool" => |_| {
        let memory = pool(32);
        poke(memory - 1, 1_u8);
        free(memory);
    },
    "PoolOverrun" => |_| poke(pool(32) + 32, 1_u8),
    "UseAfterFree" => |_| {
        let memory = pool(32);
        free(memory);
        black_box(peek::<u8>(memory));
    },
    "InvalidAccess-allocation" => |_| {
        // Only when the allocation fails.
        let memory = pool(16);
        poke(memory, 1_u8);
        free(memory);
    },
    "PoolLeak" => |_| {
        pool(32);
    },
}
