//! DMA adapters (wdm.h): how drivers map memory that is not theirs for their device, through the slot's IOMMU.
//!
//! `lists` has the scatter/gather operations. Operations that nobody needs here stop with their name.

mod lists;

use crate::cpu::thunk;
use crate::exports;
use crate::exports::Export;
use crate::memory;
use crate::ndis::Miniport;
use crate::ndis::handles;
use crate::ndis::io::PhysicalDevice;
use crate::ndis::resources::{self, Kind};
use crate::pci::iommu::Shared;
use crate::verifier::{BugCheck, Rule, Violation, faults};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

exports! {
    /// Where DMA adapters come from.
    pub static EXPORTS: "ntoskrnl.exe" = {
        IoGetDmaAdapter = function(io_get_dma_adapter, exactly(PASSIVE_LEVEL));
    }
}

// Not exports that can be imported: the addresses go into the table, in the order of `DMA_OPERATIONS`.
exports! {
    /// The operations of version 3.
    static OPERATIONS: "hal dma" = {
        PutDmaAdapter = function(put_dma_adapter, exactly(PASSIVE_LEVEL));
        AllocateCommonBuffer = function(allocate_common_buffer, exactly(PASSIVE_LEVEL));
        FreeCommonBuffer = function(free_common_buffer, exactly(PASSIVE_LEVEL));
        AllocateAdapterChannel = function(missing);
        FlushAdapterBuffers = function(flush_adapter_buffers, at_most(DISPATCH_LEVEL));
        FreeAdapterChannel = function(missing);
        FreeMapRegisters = function(missing);
        MapTransfer = function(missing);
        GetDmaAlignment = function(get_dma_alignment, exactly(PASSIVE_LEVEL));
        ReadDmaCounter = function(missing);
        GetScatterGatherList = function(lists::get_scatter_gather_list, exactly(DISPATCH_LEVEL));
        PutScatterGatherList = function(lists::put_scatter_gather_list, exactly(DISPATCH_LEVEL));
        CalculateScatterGatherList = function(lists::calculate_scatter_gather_list, at_most(DISPATCH_LEVEL));
        BuildScatterGatherList = function(lists::build_scatter_gather_list, exactly(DISPATCH_LEVEL));
        BuildMdlFromScatterGatherList = function(missing);
        GetDmaAdapterInfo = function(missing);
        GetDmaTransferInfo = function(missing);
        InitializeDmaTransferContext = function(lists::initialize_dma_transfer_context, any());
        AllocateCommonBufferEx = function(missing);
        AllocateAdapterChannelEx = function(missing);
        ConfigureAdapterChannel = function(missing);
        CancelAdapterChannel = function(missing);
        MapTransferEx = function(missing);
        GetScatterGatherListEx = function(lists::get_scatter_gather_list_ex, at_most(DISPATCH_LEVEL));
        BuildScatterGatherListEx = function(missing);
        FlushAdapterBuffersEx = function(flush_adapter_buffers_ex, at_most(DISPATCH_LEVEL));
        FreeAdapterObject = function(missing);
        CancelMappedTransfer = function(missing);
        AllocateDomainCommonBuffer = function(missing);
        FlushDmaBuffer = function(missing);
        JoinDmaDomain = function(missing);
        LeaveDmaDomain = function(missing);
        GetDmaDomain = function(missing);
    }
}

/// Operations that adapters of version 2 have.
const VERSION_2_OPERATIONS: usize = 15;

/// `DMA_OPERATIONS`: its size, then the functions.
static TABLES: LazyLock<[Vec<usize>; 2]> = LazyLock::new(|| {
    [VERSION_2_OPERATIONS, OPERATIONS.len()].map(|count| {
        let functions = OPERATIONS[..count].iter().map(thunk::address_of);
        std::iter::once(8 * (count + 1)).chain(functions).collect()
    })
});

/// A `DMA_ADAPTER` that a driver has.
struct Adapter {
    miniport: Arc<Miniport>,
    version: u16,
    /// What the driver's pointer points to: version, size, table.
    _words: Box<[usize; 2]>,
}

static ADAPTERS: Mutex<BTreeMap<usize, Arc<Adapter>>> = Mutex::new(BTreeMap::new());

/// A broken rule of the operations.
fn broken(what: impl Into<String>, advice: &str) -> ! {
    Violation::new(Rule::DmaOperation, BugCheck::new(0xE6, [0x18, 0, 0, 0]), what)
        .advice(advice)
        .stop()
}

fn adapter(address: usize) -> Arc<Adapter> {
    ADAPTERS.lock().get(&address).cloned().unwrap_or_else(|| {
        broken(
            format!("a DMA operation was called with {address:#x}, which is no DMA adapter"),
            "Pass what IoGetDmaAdapter returned, until PutDmaAdapter.",
        )
    })
}

/// Members of `DEVICE_DESCRIPTION` by offset.
mod description {
    pub const VERSION: usize = 0;
    pub const MASTER: usize = 4;
    pub const SCATTER_GATHER: usize = 5;
    pub const DMA_64_BIT_ADDRESSES: usize = 11;
    pub const MAXIMUM_LENGTH: usize = 32;
}

extern "win64" fn io_get_dma_adapter(device: u64, description: usize, map_registers: usize) -> usize {
    let device = handles::get::<PhysicalDevice>(device);
    let version: u32 = memory::read(description + description::VERSION);
    let flag = |offset: usize| memory::read::<u8>(description + offset) != 0;
    let is_64_bit_master = flag(description::MASTER)
        && flag(description::SCATTER_GATHER)
        && (version >= 3 || flag(description::DMA_64_BIT_ADDRESSES));
    if !(2..=3).contains(&version) || !is_64_bit_master {
        broken(
            format!(
                "IoGetDmaAdapter for a device of version {version} that is no 64-bit scatter/gather bus master"
            ),
            "Set Version to DEVICE_DESCRIPTION_VERSION3 (or VERSION2), Master, ScatterGather and Dma64BitAddresses.",
        )
    }
    let Some(miniport) = device.0.upgrade() else {
        return 0;
    };
    if faults::allocation_fails() {
        return 0;
    }
    let length: u32 = memory::read(description + description::MAXIMUM_LENGTH);
    memory::write(map_registers, length / 4096 + 1);
    let table = &TABLES[usize::from(version == 3)];
    let version = if version == 3 { 3_u16 } else { 2 };
    let head = usize::from(version) | size_of::<[usize; 2]>() << 16;
    let words = Box::new([head, table.as_ptr().addr()]);
    let address = words.as_ptr().addr();
    miniport.ledger.take(Kind::DmaAdapter, address as u64, 0);
    let adapter = Adapter {
        miniport,
        version,
        _words: words,
    };
    ADAPTERS.lock().insert(address, Arc::new(adapter));
    address
}

extern "win64" fn put_dma_adapter(address: usize) {
    let adapter = adapter(address);
    lists::check_none(&adapter);
    if adapter.miniport.ledger.has(Kind::CommonBuffer) {
        broken(
            "PutDmaAdapter while a common buffer is allocated",
            "Call FreeCommonBuffer first.",
        )
    }
    let _ = adapter
        .miniport
        .ledger
        .give_back(Kind::DmaAdapter, address as u64);
    ADAPTERS.lock().remove(&address);
}

extern "win64" fn allocate_common_buffer(
    address: usize,
    length: u32,
    logical_out: usize,
    _cached: u8,
) -> usize {
    let adapter = adapter(address);
    if faults::allocation_fails() {
        return 0;
    }
    let shared = adapter.miniport.slot().iommu().allocate(length as usize);
    adapter
        .miniport
        .ledger
        .take(Kind::CommonBuffer, shared.logical_address, length as usize);
    memory::write(logical_out, shared.logical_address);
    shared.virtual_address
}

extern "win64" fn free_common_buffer(
    address: usize,
    length: u32,
    logical_address: u64,
    virtual_address: usize,
    _cached: u8,
) {
    let miniport = &adapter(address).miniport;
    let shared = Shared {
        virtual_address,
        logical_address,
    };
    let known = miniport.ledger.give_back(Kind::CommonBuffer, logical_address) == Some(length as usize);
    if !known || !miniport.slot().iommu().free(shared, length as usize) {
        resources::not_there(Kind::CommonBuffer, logical_address)
    }
}

/// Caches are coherent, and nothing bounces.
extern "win64" fn flush_adapter_buffers(
    address: usize,
    _mdl: usize,
    _map_registers: usize,
    _current: usize,
    _length: u32,
    _write: u8,
) -> u8 {
    drop(adapter(address));
    1
}

extern "win64" fn flush_adapter_buffers_ex(
    address: usize,
    _mdl: usize,
    _map_registers: usize,
    _offset: u64,
    _length: u32,
    _write: u8,
) -> i32 {
    drop(adapter(address));
    crate::nt::status::SUCCESS
}

extern "win64" fn get_dma_alignment(address: usize) -> u32 {
    drop(adapter(address));
    1
}

extern "win64" fn missing() {
    let call = crate::cpu::thread::current_import().map_or("a DMA operation", |call| call.export.name);
    broken(
        format!("the driver called {call}, which the bench does not have"),
        "Use the scatter/gather operations or common buffers.",
    )
}

/// The table of exports.
pub static TABLE: &[&[Export]] = &[EXPORTS];
