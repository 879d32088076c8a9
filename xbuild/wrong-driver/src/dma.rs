//! The faults of DMA adapters: memory of our own, mapped for the device.
#![expect(unsafe_code, reason = "calls of NDIS and of the DMA operations")]

use core::ptr::null_mut;

use ndk_sys::imports::ndis;
use ndk_sys::{
    DEVICE_DESCRIPTION, DEVICE_DESCRIPTION_VERSION3, DMA_ADAPTER, DMA_OPERATIONS, DMA_SYNCHRONOUS_CALLBACK,
    DMA_TRANSFER_CONTEXT_SIZE_V1, NDIS_HANDLE, SCATTER_GATHER_LIST,
};

use crate::faults::is;
use crate::kernel::{
    IoAllocateMdl, IoGetDmaAdapter, MmBuildMdlForNonPagedPool, address, number, peek, pointer, pool,
};

/// Bytes that are mapped.
const LENGTH: u32 = 64;

/// The device's DMA adapter, and its operations.
fn adapter_of(miniport: NDIS_HANDLE) -> (*mut DMA_ADAPTER, DMA_OPERATIONS) {
    let mut physical = null_mut();
    // SAFETY: the adapter's handle and a variable of ours.
    unsafe {
        ndis::NdisMGetDeviceProperty(
            miniport,
            &raw mut physical,
            null_mut(),
            null_mut(),
            null_mut(),
            null_mut(),
        );
    };
    let mut description = DEVICE_DESCRIPTION::zeroed();
    description.Version = DEVICE_DESCRIPTION_VERSION3;
    description.Master = 1;
    description.ScatterGather = 1;
    description.Dma64BitAddresses = 1;
    description.MaximumLength = 1 << 20;
    let mut registers = 0_u32;
    let adapter = IoGetDmaAdapter(number(physical), address(&description), &mut registers);
    let operations: usize = peek(adapter + 8);
    (pointer(adapter), peek(operations))
}

/// Maps memory for transfers to the device, and returns its logical address.
///
/// With `DmaOperation` it uses a transfer context that is not initialised.
pub fn map_for_reading(miniport: NDIS_HANDLE) -> u64 {
    let (adapter, operations) = adapter_of(miniport);
    let memory = pool(LENGTH as usize);
    let mdl = IoAllocateMdl(memory, LENGTH, 0, 0, 0);
    MmBuildMdlForNonPagedPool(mdl);
    let context = pool(DMA_TRANSFER_CONTEXT_SIZE_V1);
    let (Some(initialize), Some(get)) = (
        operations.InitializeDmaTransferContext,
        operations.GetScatterGatherListEx,
    ) else {
        return 0;
    };
    if !is("DmaOperation") {
        // SAFETY: an adapter, and memory of ours.
        let _ = unsafe { initialize(adapter, pointer(context)) };
    }
    let mut list: *mut SCATTER_GATHER_LIST = null_mut();
    // SAFETY: an adapter, and memory of ours.
    let _ = unsafe {
        get(
            adapter,
            null_mut(),
            pointer(context),
            pointer(mdl),
            0,
            LENGTH,
            DMA_SYNCHRONOUS_CALLBACK,
            null_mut(),
            null_mut(),
            1,
            null_mut(),
            null_mut(),
            &raw mut list,
        )
    };
    // SCATTER_GATHER_LIST: the first element's address at offset 16.
    peek(number(list) + 16)
}
