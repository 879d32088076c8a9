//! The adapter's hardware: register mappings, DMA, shared memory, configuration space.

use super::adapter::Miniport;
use super::handles;
use super::header::{self, Expected};
use super::resources::{self, Kind};
use crate::exports;
use crate::memory;
use crate::pci::iommu::Shared;
use crate::verifier::{BugCheck, Rule, Violation, faults};
use ndk_sys::{
    NDIS_OBJECT_TYPE_SG_DMA_DESCRIPTION, NDIS_SIZEOF_SG_DMA_DESCRIPTION_REVISION_1, NDIS_STATUS,
    NDIS_STATUS_RESOURCE_CONFLICT, NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS,
};
use std::sync::{Arc, Weak};

exports! {
    /// Hardware access.
    pub static EXPORTS: "ndis.sys" = {
        NdisMMapIoSpace = function(ndis_m_map_io_space, exactly(PASSIVE_LEVEL));
        NdisMUnmapIoSpace = function(ndis_m_unmap_io_space, exactly(PASSIVE_LEVEL));
        NdisMRegisterScatterGatherDma = function(ndis_m_register_scatter_gather_dma, exactly(PASSIVE_LEVEL));
        NdisMDeregisterScatterGatherDma = function(ndis_m_deregister_scatter_gather_dma, exactly(PASSIVE_LEVEL));
        NdisMAllocateSharedMemory = function(ndis_m_allocate_shared_memory, exactly(PASSIVE_LEVEL));
        NdisMFreeSharedMemory = function(ndis_m_free_shared_memory, exactly(PASSIVE_LEVEL));
        NdisMGetDeviceProperty = function(ndis_m_get_device_property, exactly(PASSIVE_LEVEL));
        NdisMGetBusData = function(ndis_m_get_bus_data, at_most(DISPATCH_LEVEL));
        NdisMSetBusData = function(ndis_m_set_bus_data, at_most(DISPATCH_LEVEL));
    }
}

/// `PCI_WHICHSPACE_CONFIG`
const CONFIGURATION_SPACE: u32 = 0;

/// The registration of an adapter's DMA.
struct Dma(Arc<Miniport>);

extern "win64" fn ndis_m_map_io_space(
    address_out: usize,
    handle: u64,
    physical: u64,
    length: u32,
) -> NDIS_STATUS {
    let miniport = handles::get::<Miniport>(handle);
    if faults::allocation_fails() {
        return NDIS_STATUS_RESOURCES;
    }
    let Some(address) = miniport.slot.map(physical, length.into()) else {
        return NDIS_STATUS_RESOURCE_CONFLICT;
    };
    miniport
        .ledger
        .take(Kind::Mapping, address as u64, length as usize);
    memory::write(address_out, address as u64);
    NDIS_STATUS_SUCCESS
}

extern "win64" fn ndis_m_unmap_io_space(handle: u64, address: u64, length: u32) {
    let miniport = handles::get::<Miniport>(handle);
    if miniport.ledger.give_back(Kind::Mapping, address) != Some(length as usize) {
        resources::not_there(Kind::Mapping, address)
    }
    miniport.slot.unmap(usize::try_from(address).unwrap_or(0));
}

extern "win64" fn ndis_m_register_scatter_gather_dma(
    handle: u64,
    description: usize,
    dma_out: usize,
) -> NDIS_STATUS {
    let miniport = handles::get::<Miniport>(handle);
    header::check(
        description,
        Expected {
            name: "NDIS_SG_DMA_DESCRIPTION",
            kind: NDIS_OBJECT_TYPE_SG_DMA_DESCRIPTION,
            revision: 1,
            size: NDIS_SIZEOF_SG_DMA_DESCRIPTION_REVISION_1,
        },
    );
    if faults::allocation_fails() {
        return NDIS_STATUS_RESOURCES;
    }
    let dma = handles::open(Arc::new(Dma(Arc::clone(&miniport))));
    miniport.ledger.take(Kind::Dma, dma, 0);
    memory::write(dma_out, dma);
    NDIS_STATUS_SUCCESS
}

extern "win64" fn ndis_m_deregister_scatter_gather_dma(dma: u64) {
    let miniport = &handles::close::<Dma>(dma).0;
    if miniport.ledger.give_back(Kind::Dma, dma).is_none() {
        resources::not_there(Kind::Dma, dma)
    }
    if miniport.ledger.has(Kind::SharedMemory) {
        dma_order("the DMA registration was given back while shared memory was still allocated")
    }
}

fn dma_order(what: &str) -> ! {
    Violation::new(Rule::NdisSharedMemoryOrder, BugCheck::verifier(0x91, [0, 0, 0]), what)
        .advice("Call NdisMRegisterScatterGatherDma before NdisMAllocateSharedMemory, and undo them in the opposite order.")
        .stop()
}

extern "win64" fn ndis_m_allocate_shared_memory(
    handle: u64,
    length: u32,
    _cached: u8,
    virtual_out: usize,
    physical_out: usize,
) {
    let miniport = handles::get::<Miniport>(handle);
    if !miniport.ledger.has(Kind::Dma) {
        dma_order("NdisMAllocateSharedMemory was called without a DMA registration")
    }
    if faults::allocation_fails() {
        memory::write(virtual_out, 0_u64);
        return;
    }
    let shared = miniport.slot.iommu().allocate(length as usize);
    miniport
        .ledger
        .take(Kind::SharedMemory, shared.logical_address, length as usize);
    memory::write(virtual_out, shared.virtual_address as u64);
    memory::write(physical_out, shared.logical_address);
}

extern "win64" fn ndis_m_free_shared_memory(
    handle: u64,
    length: u32,
    _cached: u8,
    virtual_address: usize,
    physical: u64,
) {
    let miniport = handles::get::<Miniport>(handle);
    let shared = Shared {
        virtual_address,
        logical_address: physical,
    };
    let known = miniport.ledger.give_back(Kind::SharedMemory, physical) == Some(length as usize);
    if !known || !miniport.slot.iommu().free(shared, length as usize) {
        resources::not_there(Kind::SharedMemory, physical)
    }
}

/// A device object: it means something to `IoGetDmaAdapter` only.
pub struct PhysicalDevice(pub Weak<Miniport>);

/// The device objects; the resource lists are those of `MiniportInitializeEx`, and nobody gets them here.
extern "win64" fn ndis_m_get_device_property(
    handle: u64,
    physical_out: usize,
    functional_out: usize,
    next_out: usize,
    resources_out: usize,
    translated_out: usize,
) {
    let miniport = handles::get::<Miniport>(handle);
    for (out, device) in [physical_out, functional_out, next_out]
        .into_iter()
        .zip(miniport.devices)
    {
        if out != 0 {
            memory::write(out, device);
        }
    }
    for out in [resources_out, translated_out] {
        if out != 0 {
            memory::write(out, 0_u64);
        }
    }
}

extern "win64" fn ndis_m_get_bus_data(
    handle: u64,
    space: u32,
    offset: u32,
    buffer: usize,
    length: u32,
) -> u32 {
    let miniport = handles::get::<Miniport>(handle);
    let Some(offset) = configuration_offset(space, offset, length) else {
        return 0;
    };
    let mut data = vec![0; length as usize];
    miniport.slot.config_read(offset, &mut data);
    memory::write_bytes(buffer, &data);
    length
}

extern "win64" fn ndis_m_set_bus_data(
    handle: u64,
    space: u32,
    offset: u32,
    buffer: usize,
    length: u32,
) -> u32 {
    let miniport = handles::get::<Miniport>(handle);
    let Some(offset) = configuration_offset(space, offset, length) else {
        return 0;
    };
    miniport
        .slot
        .config_write(offset, &memory::read_bytes(buffer, length as usize));
    length
}

/// The offset, if the whole access lies in the 4096 bytes of configuration space.
fn configuration_offset(space: u32, offset: u32, length: u32) -> Option<u16> {
    let inside = space == CONFIGURATION_SPACE && offset.checked_add(length)? <= 4096;
    u16::try_from(offset).ok().filter(|_| inside)
}
