//! Pool memory: `ExAllocatePool2` and its kin, over the verifier's special pool.

use super::{dpc, spinlock, timer};
use crate::cpu::irql::{self, APC_LEVEL, DISPATCH_LEVEL};
use crate::exports;
use crate::verifier::pool::{self, PoolKind, Request};
use crate::verifier::{BugCheck, Rule, Violation, faults};

exports! {
    /// Pool routines. The verifier checks the IRQL itself, because the rule depends on the kind of pool.
    pub static EXPORTS: "ntoskrnl.exe" = {
        ExAllocatePool2 = function(ex_allocate_pool2, any());
        ExAllocatePoolWithTag = function(ex_allocate_pool_with_tag, any());
        ExAllocatePoolWithTagPriority = function(ex_allocate_pool_with_tag_priority, any());
        ExAllocatePoolZero = function(ex_allocate_pool_zero, any());
        ExFreePool = function(ex_free_pool, any());
        ExFreePoolWithTag = function(ex_free_pool_with_tag, any());
        ExFreePool2 = function(ex_free_pool2, any());
    }
}

/// `POOL_FLAG_*` (wdm.h).
mod flag {
    pub const UNINITIALIZED: u64 = 0x2;
    pub const CACHE_ALIGNED: u64 = 0x8;
    pub const NON_PAGED: u64 = 0x40;
    pub const NON_PAGED_EXECUTE: u64 = 0x80;
    pub const PAGED: u64 = 0x100;
}

/// `POOL_TYPE`
mod pool_type {
    pub const NON_PAGED: u32 = 0;
    pub const PAGED: u32 = 1;
    pub const CACHE_ALIGNED: u32 = 4;
    pub const NON_PAGED_NX: u32 = 512;
}

const CACHE_LINE: usize = 64;
/// Set in a tag to say that the memory may be freed only with this tag; not part of the tag itself.
const PROTECTED_POOL: u32 = 0x8000_0000;

/// Checks a request as Driver Verifier does and serves it; 0 when there is no memory.
#[must_use]
pub fn allocate(request: &Request) -> usize {
    let level = irql::current();
    let (bytes, kind) = (request.size as u64, request.kind as u64);
    let limit = if request.kind == PoolKind::Paged {
        APC_LEVEL
    } else {
        DISPATCH_LEVEL
    };
    if level > limit {
        let violation = if request.kind == PoolKind::Paged { 1 } else { 2 };
        Violation::new(
            Rule::PoolAllocationIrql,
            BugCheck::verifier(violation, [u64::from(level), kind, bytes]),
            format!("{:?} pool allocated at IRQL {level}", request.kind),
        )
        .advice("allocate before raising the IRQL, or use non-paged pool up to DISPATCH_LEVEL")
        .stop();
    }
    if request.size == 0 {
        Violation::new(
            Rule::PoolZeroBytes,
            BugCheck::verifier(0, [u64::from(level), kind, 0]),
            "allocation of zero bytes",
        )
        .advice("do not allocate when there is nothing to store")
        .stop();
    }
    if request.tag == 0 {
        Violation::new(
            Rule::PoolTagZero,
            BugCheck::new(0xC2, [0x9B, kind, bytes, 0]),
            "allocation with the tag 0, which cannot be tracked",
        )
        .advice("give every allocation a tag of four characters")
        .stop();
    }
    if faults::allocation_fails() {
        return 0;
    }
    pool::allocate(request).unwrap_or(0)
}

/// Checks and frees. `tag` is checked when given.
pub fn free(address: usize, tag: Option<u32>) {
    if let Some(allocation) = pool::find(address) {
        check_free_irql(&allocation);
        let range = address..address + allocation.request.size;
        dpc::check_freed(&range);
        timer::check_freed(&range);
        spinlock::check_freed(&range);
    }
    pool::free(address, tag);
}

fn check_free_irql(allocation: &pool::Allocation) {
    let level = irql::current();
    let kind = allocation.request.kind;
    let (limit, violation) = if kind == PoolKind::Paged {
        (APC_LEVEL, 0x11)
    } else {
        (DISPATCH_LEVEL, 0x12)
    };
    if level > limit {
        Violation::new(
            Rule::PoolFreeIrql,
            BugCheck::verifier(
                violation,
                [u64::from(level), kind as u64, allocation.address as u64],
            ),
            format!("{kind:?} pool freed at IRQL {level}"),
        )
        .advice("free it from a DPC or a work item")
        .stack("allocated at", allocation.stack.clone())
        .stop();
    }
}

fn executable(kind: u64) -> ! {
    Violation::new(
        Rule::ExecutablePool,
        BugCheck::verifier(0x2000, [0, kind, 0]),
        "allocation of executable pool, which hypervisor-protected code integrity refuses",
    )
    .advice("use POOL_FLAG_NON_PAGED or NonPagedPoolNx")
    .stop()
}

extern "win64" fn ex_allocate_pool2(flags: u64, size: usize, tag: u32) -> usize {
    if flags & flag::NON_PAGED_EXECUTE != 0 {
        executable(flags);
    }
    let kind = match (flags & flag::NON_PAGED != 0, flags & flag::PAGED != 0) {
        (true, false) => PoolKind::NonPaged,
        (false, true) => PoolKind::Paged,
        // Windows fails such a call; it is a mistake in any driver.
        _ => Violation::new(
            Rule::PoolFlags,
            BugCheck::new(0xC2, [0x9C, flags, size as u64, u64::from(tag)]),
            format!("ExAllocatePool2 with flags {flags:#x}, which name no or more than one kind of pool"),
        )
        .advice("pass exactly one of POOL_FLAG_NON_PAGED and POOL_FLAG_PAGED")
        .stop(),
    };
    let alignment = if flags & flag::CACHE_ALIGNED != 0 {
        CACHE_LINE
    } else {
        0
    };
    allocate(&Request {
        kind,
        size,
        tag,
        zeroed: flags & flag::UNINITIALIZED == 0,
        alignment,
    })
}

fn allocate_by_type(pool_type: u32, size: usize, tag: u32, zeroed: bool) -> usize {
    let kind = match pool_type & !pool_type::CACHE_ALIGNED {
        pool_type::PAGED => PoolKind::Paged,
        pool_type::NON_PAGED_NX => PoolKind::NonPaged,
        pool_type::NON_PAGED => executable(u64::from(pool_type)),
        other => Violation::new(
            Rule::PoolType,
            BugCheck::new(0xC2, [0x9C, u64::from(other), size as u64, u64::from(tag)]),
            format!("pool type {other:#x} is unknown or obsolete"),
        )
        .advice("use NonPagedPoolNx or PagedPool")
        .stop(),
    };
    let alignment = if pool_type & pool_type::CACHE_ALIGNED != 0 {
        CACHE_LINE
    } else {
        0
    };
    allocate(&Request {
        kind,
        size,
        tag,
        zeroed,
        alignment,
    })
}

extern "win64" fn ex_allocate_pool_with_tag(pool_type: u32, size: usize, tag: u32) -> usize {
    allocate_by_type(pool_type, size, tag, false)
}

/// The priority says how little memory may be left: there is always enough.
extern "win64" fn ex_allocate_pool_with_tag_priority(
    pool_type: u32,
    size: usize,
    tag: u32,
    _priority: u32,
) -> usize {
    allocate_by_type(pool_type, size, tag, false)
}

extern "win64" fn ex_allocate_pool_zero(pool_type: u32, size: usize, tag: u32) -> usize {
    allocate_by_type(pool_type, size, tag, true)
}

extern "win64" fn ex_free_pool(address: usize) {
    free(address, None);
}

extern "win64" fn ex_free_pool_with_tag(address: usize, tag: u32) {
    // A tag of 0 asks for no check.
    free(address, (tag != 0).then_some(tag & !PROTECTED_POOL));
}

extern "win64" fn ex_free_pool2(address: usize, tag: u32, _parameters: usize, _count: u32) {
    ex_free_pool_with_tag(address, tag);
}
