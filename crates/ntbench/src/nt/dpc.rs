//! `KDPC` objects.

use crate::cpu::call::call;
use crate::cpu::vp::{self, Dpc, Vp};
use crate::exports;
use crate::memory;
use crate::verifier::{BugCheck, Rule, Violation, limits};
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::Arc;

exports! {
    /// Deferred procedure calls.
    pub static EXPORTS: "ntoskrnl.exe" = {
        KeInitializeDpc = function(ke_initialize_dpc, any());
        KeInitializeThreadedDpc = function(ke_initialize_dpc, any());
        KeInsertQueueDpc = function(ke_insert_queue_dpc, any());
        KeRemoveQueueDpc = function(ke_remove_queue_dpc, any());
        KeSetTargetProcessorDpc = function(ke_set_target_processor_dpc, any());
        KeSetTargetProcessorDpcEx = function(ke_set_target_processor_dpc_ex, any());
        KeSetImportanceDpc = function(ke_set_importance_dpc, any());
        KeFlushQueuedDpcs = function(ke_flush_queued_dpcs, exactly(PASSIVE_LEVEL));
    }
}

/// Offsets in `KDPC`.
mod offset {
    pub const IMPORTANCE: usize = 1;
    pub const NUMBER: usize = 2;
    pub const ROUTINE: usize = 24;
    pub const CONTEXT: usize = 32;
    pub const ARGUMENT1: usize = 40;
    pub const ARGUMENT2: usize = 48;
}

/// `DpcObject` in the type byte.
const DPC_OBJECT: u8 = 0x13;
/// Added to a processor's index in `Number`, so that 0 means "where it is queued".
const TARGETED: u16 = 0x500;
const HIGH_IMPORTANCE: u8 = 2;

/// Makes "is it queued anywhere" and "queue it here" one step.
static INSERTION: Mutex<()> = Mutex::new(());

extern "win64" fn ke_initialize_dpc(dpc: usize, routine: usize, context: usize) {
    memory::fill(dpc, 0, 64);
    memory::write(dpc, [DPC_OBJECT, 1]);
    memory::write(dpc + offset::ROUTINE, routine);
    memory::write(dpc + offset::CONTEXT, context);
}

fn check(dpc: usize) {
    if memory::read::<u8>(dpc) != DPC_OBJECT {
        Violation::new(
            Rule::DpcInvalid,
            BugCheck::new(0xC7, [1, dpc as u64, 0, 0]),
            format!("the DPC object {dpc:#x} was not initialised"),
        )
        .advice("call KeInitializeDpc first")
        .stop();
    }
}

fn target(dpc: usize) -> Arc<Vp> {
    let number: u16 = memory::read(dpc + offset::NUMBER);
    number
        .checked_sub(TARGETED)
        .and_then(|index| vp::get(usize::from(index)))
        .unwrap_or_else(vp::current)
}

/// Queues a driver's DPC; false if it is queued already.
pub(super) fn insert(dpc: usize, argument1: usize, argument2: usize) -> bool {
    check(dpc);
    let _guard = INSERTION.lock();
    if vp::all()
        .iter()
        .any(|vp| vp.has_dpc_in(&(dpc..dpc + 1)).is_some())
    {
        return false;
    }
    memory::write(dpc + offset::ARGUMENT1, [argument1, argument2]);
    let front = memory::read::<u8>(dpc + offset::IMPORTANCE) == HIGH_IMPORTANCE;
    target(dpc).queue_dpc(
        Dpc {
            key: dpc,
            run: Box::new(move || run(dpc)),
        },
        front,
    )
}

fn run(dpc: usize) {
    let routine: usize = memory::read(dpc + offset::ROUTINE);
    let arguments = [
        dpc as u64,
        memory::read(dpc + offset::CONTEXT),
        memory::read(dpc + offset::ARGUMENT1),
        memory::read(dpc + offset::ARGUMENT2),
    ];
    limits::dpc(routine, || {
        let _ = call(routine, &arguments);
    });
}

extern "win64" fn ke_insert_queue_dpc(dpc: usize, argument1: usize, argument2: usize) -> u8 {
    u8::from(insert(dpc, argument1, argument2))
}

extern "win64" fn ke_remove_queue_dpc(dpc: usize) -> u8 {
    check(dpc);
    let _guard = INSERTION.lock();
    let removed = vp::all().iter().any(|vp| vp.remove_dpc(dpc));
    u8::from(removed)
}

fn set_target(dpc: usize, index: u16) {
    check(dpc);
    memory::write(dpc + offset::NUMBER, TARGETED + index);
}

extern "win64" fn ke_set_target_processor_dpc(dpc: usize, number: u8) {
    set_target(dpc, u16::from(number));
}

extern "win64" fn ke_set_target_processor_dpc_ex(dpc: usize, number: usize) -> i32 {
    let [group_low, group_high, index, _]: [u8; 4] = memory::read(number);
    if group_low != 0 || group_high != 0 || usize::from(index) >= vp::count() {
        return super::status::INVALID_PARAMETER;
    }
    set_target(dpc, u16::from(index));
    super::status::SUCCESS
}

extern "win64" fn ke_set_importance_dpc(dpc: usize, importance: u32) {
    check(dpc);
    memory::write(
        dpc + offset::IMPORTANCE,
        u8::try_from(importance & 3).unwrap_or(1),
    );
}

extern "win64" fn ke_flush_queued_dpcs() {
    for vp in vp::all() {
        vp.flush_dpcs();
    }
}

/// Stops if freed memory contains a queued DPC.
pub fn check_freed(range: &Range<usize>) {
    if let Some(dpc) = vp::all().iter().find_map(|vp| vp.has_dpc_in(range)) {
        Violation::new(
            Rule::DpcFreed,
            BugCheck::new(0xC7, [1, dpc as u64, range.start as u64, 0]),
            format!("memory with the queued DPC {dpc:#x} is freed"),
        )
        .advice("remove the DPC or call KeFlushQueuedDpcs before freeing it")
        .stop();
    }
}
