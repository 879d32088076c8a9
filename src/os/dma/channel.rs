//! The DMA channel that NDIS knows of.

use ndk_sys::{
    DEVICE_OBJECT, NDIS_HANDLE, NDIS_OBJECT_HEADER, NDIS_OBJECT_TYPE_SG_DMA_DESCRIPTION,
    NDIS_SG_DMA_64_BIT_ADDRESS, NDIS_SG_DMA_DESCRIPTION, NDIS_SG_DMA_DESCRIPTION_REVISION_1,
    NDIS_SIZEOF_SG_DMA_DESCRIPTION_REVISION_1, NDIS_STATUS, NDIS_STATUS_SUCCESS, SCATTER_GATHER_LIST,
    imports::ndis,
};

use crate::os::handle::AdapterHandle;
use crate::os::irql::Passive;

/// Longest transfer that is mapped at once, in bytes: an Ethernet frame with a large send in front of it.
const MAXIMUM_PHYSICAL_MAPPING: u32 = 0x1_0000;

/// The adapter's bus-master DMA channel. NDIS wants it before any shared memory is allocated.
pub struct DmaChannel(NDIS_HANDLE);

// SAFETY: a handle that is only given back.
unsafe impl Send for DmaChannel {}
// SAFETY: as above.
unsafe impl Sync for DmaChannel {}

impl DmaChannel {
    /// Registers 64-bit scatter-gather DMA.
    ///
    /// # Errors
    ///
    /// What NDIS says.
    pub fn register(passive: &Passive, adapter: AdapterHandle) -> Result<Self, NDIS_STATUS> {
        passive.check();
        let mut description = NDIS_SG_DMA_DESCRIPTION {
            Header: NDIS_OBJECT_HEADER {
                Type: NDIS_OBJECT_TYPE_SG_DMA_DESCRIPTION,
                Revision: NDIS_SG_DMA_DESCRIPTION_REVISION_1,
                Size: NDIS_SIZEOF_SG_DMA_DESCRIPTION_REVISION_1,
            },
            Flags: NDIS_SG_DMA_64_BIT_ADDRESS,
            MaximumPhysicalMapping: MAXIMUM_PHYSICAL_MAPPING,
            ProcessSGListHandler: Some(process_sg_list),
            SharedMemAllocateCompleteHandler: None,
            ScatterGatherListSize: 0,
        };
        let mut handle = core::ptr::null_mut();
        // SAFETY: a valid adapter handle and places for both results.
        let status = unsafe {
            ndis::NdisMRegisterScatterGatherDma(adapter.raw(), &raw mut description, &raw mut handle)
        };
        if status == NDIS_STATUS_SUCCESS {
            Ok(Self(handle))
        } else {
            Err(status)
        }
    }
}

impl Drop for DmaChannel {
    fn drop(&mut self) {
        // SAFETY: registered by `register`; initialize and halt drop it at PASSIVE_LEVEL, after all shared memory.
        unsafe { ndis::NdisMDeregisterScatterGatherDma(self.0) };
    }
}

/// NDIS demands the handler. It runs for lists that the driver asks for, and this driver asks for none yet.
unsafe extern "system" fn process_sg_list(
    _device: *mut DEVICE_OBJECT,
    _reserved: *mut core::ffi::c_void,
    _list: *mut SCATTER_GATHER_LIST,
    _context: *mut core::ffi::c_void,
) {
    debug_assert!(false, "a scatter-gather list that nobody asked for");
}
