//! Lookaside lists. The functions that use them are inline: they take from the list's `SLIST`, or call the functions that
//! are in the list. With a depth of 0 nothing is ever kept, so that special pool sees every allocation.

use super::status::{self, NtStatus};
use crate::cpu::thunk;
use crate::exports;
use crate::memory;

exports! {
    /// Lookaside lists.
    pub static EXPORTS: "ntoskrnl.exe" = {
        ExInitializeNPagedLookasideList = function(ex_initialize_n_paged_lookaside_list, at_most(DISPATCH_LEVEL));
        ExDeleteNPagedLookasideList = function(ex_delete_lookaside_list, at_most(DISPATCH_LEVEL));
        ExInitializePagedLookasideList = function(ex_initialize_paged_lookaside_list, at_most(APC_LEVEL));
        ExDeletePagedLookasideList = function(ex_delete_lookaside_list, at_most(APC_LEVEL));
        ExInitializeLookasideListEx = function(ex_initialize_lookaside_list_ex, at_most(DISPATCH_LEVEL));
        ExDeleteLookasideListEx = function(ex_delete_lookaside_list, at_most(DISPATCH_LEVEL));
        ExFlushLookasideListEx = function(ex_delete_lookaside_list, at_most(DISPATCH_LEVEL));
    }
}

/// Offsets in `GENERAL_LOOKASIDE` (wdm.h, x64), with which all kinds of lists begin.
mod offset {
    pub const LIST_HEAD: usize = 0;
    pub const DEPTH: usize = 16;
    pub const POOL_TYPE: usize = 36;
    pub const TAG: usize = 40;
    pub const SIZE: usize = 44;
    pub const ALLOCATE: usize = 48;
    pub const FREE: usize = 56;
}

const PAGED_POOL: u32 = 1;
const NON_PAGED_POOL_NX: u32 = 512;

fn address_of(name: &str) -> usize {
    crate::exports::find("ntoskrnl.exe", name).map_or(0, thunk::address_of)
}

fn initialize(list: usize, functions: [usize; 2], pool_type: u32, size: usize, tag: u32) {
    let [allocate, free] = functions;
    memory::write(list + offset::LIST_HEAD, [0_u64; 2]);
    memory::write(list + offset::DEPTH, [0_u16; 2]);
    memory::write(list + offset::POOL_TYPE, pool_type);
    memory::write(list + offset::TAG, tag);
    memory::write(list + offset::SIZE, u32::try_from(size).unwrap_or(u32::MAX));
    let or_default = |function: usize, name: &str| {
        if function == 0 { address_of(name) } else { function }
    };
    memory::write(
        list + offset::ALLOCATE,
        or_default(allocate, "ExAllocatePoolWithTag"),
    );
    memory::write(list + offset::FREE, or_default(free, "ExFreePool"));
}

extern "win64" fn ex_initialize_n_paged_lookaside_list(
    list: usize,
    allocate: usize,
    free: usize,
    _flags: u32,
    size: usize,
    tag: u32,
    _depth: u16,
) {
    initialize(list, [allocate, free], NON_PAGED_POOL_NX, size, tag);
}

extern "win64" fn ex_initialize_paged_lookaside_list(
    list: usize,
    allocate: usize,
    free: usize,
    _flags: u32,
    size: usize,
    tag: u32,
    _depth: u16,
) {
    initialize(list, [allocate, free], PAGED_POOL, size, tag);
}

extern "win64" fn ex_initialize_lookaside_list_ex(
    list: usize,
    allocate: usize,
    free: usize,
    pool_type: u32,
    _flags: u32,
    size: usize,
    tag: u32,
    _depth: u16,
) -> NtStatus {
    initialize(list, [allocate, free], pool_type, size, tag);
    status::SUCCESS
}

/// Nothing is kept, so nothing is left to free.
extern "win64" fn ex_delete_lookaside_list(_list: usize) {}
