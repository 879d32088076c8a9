//! IRQL and processors.

use crate::cpu::irql::{self, DISPATCH_LEVEL, HIGH_LEVEL, Irql};
use crate::cpu::{thread, vp};
use crate::exports;
use crate::memory;
use crate::verifier::{BugCheck, Rule, Violation};

exports! {
    /// Exports about IRQL and processors.
    pub static EXPORTS: "ntoskrnl.exe" = {
        KeGetCurrentIrql = function(ke_get_current_irql, any());
        KfRaiseIrql = function(kf_raise_irql, any().changing());
        KeRaiseIrqlToDpcLevel = function(ke_raise_irql_to_dpc_level, at_most(DISPATCH_LEVEL).changing());
        KeLowerIrql = function(ke_lower_irql, any().changing());
        KeGetCurrentProcessorNumberEx = function(ke_get_current_processor_number_ex, any());
        KeGetCurrentProcessorIndex = function(ke_get_current_processor_index, any());
        KeQueryActiveProcessorCount = function(ke_query_active_processor_count, any());
        KeQueryActiveProcessorCountEx = function(ke_query_active_processor_count_ex, any());
        KeQueryMaximumProcessorCountEx = function(ke_query_maximum_processor_count_ex, any());
        KeQueryMaximumProcessorCount = function(ke_query_maximum_processor_count, any());
        KeGetProcessorNumberFromIndex = function(ke_get_processor_number_from_index, any());
        KeGetProcessorIndexFromNumber = function(ke_get_processor_index_from_number, any());
        KeQueryActiveGroupCount = function(ke_query_active_group_count, any());
        KeQueryHighestNodeNumber = function(ke_query_highest_node_number, any());
        KeGetCurrentNodeNumber = function(ke_get_current_node_number, any());
    }
}

extern "win64" fn ke_get_current_irql() -> Irql {
    irql::current()
}

/// The function behind `KeRaiseIrql`.
extern "win64" fn kf_raise_irql(new: Irql) -> Irql {
    let old = irql::current();
    if new < old || new > HIGH_LEVEL {
        Violation::new(
            Rule::KeRaiseIrql,
            BugCheck::verifier(0x30, [u64::from(old), u64::from(new), 0]),
            format!("KeRaiseIrql from {old} to {new}"),
        )
        .advice("raise only to a higher level; use KeLowerIrql to go back")
        .stop();
    }
    irql::raise(new)
}

extern "win64" fn ke_raise_irql_to_dpc_level() -> Irql {
    irql::raise(DISPATCH_LEVEL)
}

extern "win64" fn ke_lower_irql(new: Irql) {
    let (old, floor) = thread::with(|thread| (thread.irql.get(), thread.floor.get()));
    if new > old || new < floor {
        let inside = u64::from(new < floor);
        Violation::new(
            Rule::KeLowerIrql,
            BugCheck::verifier(0x31, [u64::from(old), u64::from(new), inside]),
            format!("KeLowerIrql from {old} to {new} in a callback that was called at {floor}"),
        )
        .advice("pass the value that KeRaiseIrql returned")
        .stop();
    }
    irql::lower(new);
}

fn current_index() -> u32 {
    u32::try_from(vp::current().index()).expect("few processors")
}

fn processor_count() -> u32 {
    u32::try_from(vp::count()).expect("few processors")
}

/// Stores a `PROCESSOR_NUMBER`: group (2 bytes), number, reserved. All processors are in group 0.
fn write_processor_number(address: usize, index: u32) {
    memory::write(
        address,
        [0_u8, 0, u8::try_from(index).expect("less than 64 processors"), 0],
    );
}

extern "win64" fn ke_get_current_processor_number_ex(number: usize) -> u32 {
    let index = current_index();
    if number != 0 {
        write_processor_number(number, index);
    }
    index
}

extern "win64" fn ke_get_current_processor_index() -> u32 {
    current_index()
}

extern "win64" fn ke_query_active_processor_count(active: usize) -> u32 {
    let count = processor_count();
    if active != 0 {
        memory::write(active, (1_u64 << count) - 1);
    }
    count
}

/// Group 0 or `ALL_PROCESSOR_GROUPS`; other groups have no processors.
fn count_in_group(group: u16) -> u32 {
    if group == 0 || group == 0xFFFF {
        processor_count()
    } else {
        0
    }
}

extern "win64" fn ke_query_active_processor_count_ex(group: u16) -> u32 {
    count_in_group(group)
}

extern "win64" fn ke_query_maximum_processor_count_ex(group: u16) -> u32 {
    count_in_group(group)
}

extern "win64" fn ke_query_maximum_processor_count() -> u32 {
    processor_count()
}

extern "win64" fn ke_get_processor_number_from_index(index: u32, number: usize) -> i32 {
    const STATUS_INVALID_PARAMETER: i32 = 0xC000_000D_u32.cast_signed();
    if index >= processor_count() {
        return STATUS_INVALID_PARAMETER;
    }
    write_processor_number(number, index);
    0
}

extern "win64" fn ke_get_processor_index_from_number(number: usize) -> u32 {
    let [group_low, group_high, index, _]: [u8; 4] = memory::read(number);
    let index = u32::from(index);
    if group_low == 0 && group_high == 0 && index < processor_count() {
        index
    } else {
        u32::MAX
    }
}

extern "win64" fn ke_query_active_group_count() -> u16 {
    1
}

extern "win64" fn ke_query_highest_node_number() -> u16 {
    0
}

extern "win64" fn ke_get_current_node_number() -> u16 {
    0
}
