//! The device's DMA adapter: maps memory for the device at any IRQL up to `DISPATCH_LEVEL`, without waiting.

use core::ptr::{NonNull, null_mut};

use ndk_sys::{
    BOOLEAN, DEVICE_DESCRIPTION, DEVICE_DESCRIPTION_VERSION3, DEVICE_OBJECT, DMA_ADAPTER,
    DMA_SYNCHRONOUS_CALLBACK, DMA_TRANSFER_CONTEXT_SIZE_V1, GET_SCATTER_GATHER_LIST_EX,
    INITIALIZE_DMA_TRANSFER_CONTEXT, MDL, NTSTATUS, PCIBus, PUT_DMA_ADAPTER, PUT_SCATTER_GATHER_LIST,
    SCATTER_GATHER_LIST, STATUS_INSUFFICIENT_RESOURCES, STATUS_SUCCESS, TRUE, imports::ndis,
};
use wdk_sys::ntddk::IoGetDmaAdapter;

use crate::os::handle::AdapterHandle;
use crate::os::irql::{AtDispatch, Passive};
use crate::os::pool::{PoolArc, PoolBox, Pooled, Tag};

/// Longest buffer that is mapped at once, in bytes: a registration of 1 GiB that does not begin with a page.
pub const MAX_MAPPING: u32 = (1 << 30) + 4096;

/// The adapter. Dropping it, at `PASSIVE_LEVEL`, gives it back.
pub struct DmaAdapter {
    adapter: NonNull<DMA_ADAPTER>,
    /// The device that transfers are accounted to.
    device: *mut DEVICE_OBJECT,
    put_adapter: PUT_DMA_ADAPTER,
    initialize_context: INITIALIZE_DMA_TRANSFER_CONTEXT,
    get_list: GET_SCATTER_GATHER_LIST_EX,
    put_list: PUT_SCATTER_GATHER_LIST,
}

impl Pooled for DmaAdapter {
    const TAG: Tag = Tag::new(*b"VrDm");
}

// SAFETY: the system serialises what has to be; the functions may be called on any processor.
unsafe impl Send for DmaAdapter {}
// SAFETY: as above.
unsafe impl Sync for DmaAdapter {}

impl DmaAdapter {
    /// Asks the bus for it.
    ///
    /// # Errors
    ///
    /// [`STATUS_INSUFFICIENT_RESOURCES`]: none, or one without the functions of Windows 8.
    pub fn get(passive: &Passive, handle: AdapterHandle) -> Result<Self, NTSTATUS> {
        passive.check();
        let (mut physical, mut functional) = (null_mut(), null_mut());
        // SAFETY: a valid adapter handle, and places for what is asked for.
        unsafe {
            ndis::NdisMGetDeviceProperty(
                handle.raw(),
                &raw mut physical,
                &raw mut functional,
                null_mut(),
                null_mut(),
                null_mut(),
            );
        };
        let mut description = DEVICE_DESCRIPTION {
            Version: DEVICE_DESCRIPTION_VERSION3,
            Master: TRUE,
            ScatterGather: TRUE,
            Dma64BitAddresses: TRUE,
            InterfaceType: PCIBus,
            MaximumLength: MAX_MAPPING,
            DmaAddressWidth: 64,
            ..DEVICE_DESCRIPTION::zeroed()
        };
        let mut map_registers = 0;
        // SAFETY: the device below NDIS's, a filled description, and a place for the number.
        let adapter = unsafe {
            IoGetDmaAdapter(
                physical.cast(),
                (&raw mut description).cast(),
                &raw mut map_registers,
            )
        };
        let adapter = NonNull::new(adapter.cast::<DMA_ADAPTER>()).ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
        // SAFETY: the system's structure, which lives until it is given back.
        let operations = unsafe { adapter.as_ref() }.DmaOperations;
        // SAFETY: its table of functions, of the version that was asked for.
        let operations = unsafe { operations.as_ref() }.ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
        match (
            operations.PutDmaAdapter,
            operations.InitializeDmaTransferContext,
            operations.GetScatterGatherListEx,
            operations.PutScatterGatherList,
        ) {
            (Some(put_adapter), Some(initialize_context), Some(get_list), Some(put_list)) => Ok(Self {
                adapter,
                device: functional,
                put_adapter,
                initialize_context,
                get_list,
                put_list,
            }),
            (put_adapter, ..) => {
                if let Some(put_adapter) = put_adapter {
                    // SAFETY: the adapter, which nobody uses.
                    unsafe { put_adapter(adapter.as_ptr()) };
                }
                Err(STATUS_INSUFFICIENT_RESOURCES)
            }
        }
    }
}

impl DmaAdapter {
    /// Maps `length` bytes of a chain of MDLs from `offset` on, without waiting. At most `DISPATCH_LEVEL`.
    ///
    /// # Errors
    ///
    /// What the system says: no resources now.
    ///
    /// # Safety
    ///
    /// The MDLs are of locked pages and have as many bytes; both stay until [`DmaAdapter::unmap`], and so does `context`,
    /// which nobody else uses.
    pub(super) unsafe fn map(
        &self,
        context: NonNull<TransferContext>,
        mdl: *mut MDL,
        offset: u32,
        length: u32,
        access: Access,
    ) -> Result<NonNull<SCATTER_GATHER_LIST>, NTSTATUS> {
        let context = context.as_ptr().cast();
        // SAFETY: the adapter's function, and a block of the size that it wants.
        let status = unsafe { (self.initialize_context)(self.adapter.as_ptr(), context) };
        if status != STATUS_SUCCESS {
            return Err(status);
        }
        let mut list = null_mut();
        // SAFETY: the adapter's function, the caller's MDLs, and a place for the list; it does not wait.
        let status = unsafe {
            (self.get_list)(
                self.adapter.as_ptr(),
                self.device,
                context,
                mdl,
                offset.into(),
                length,
                DMA_SYNCHRONOUS_CALLBACK,
                null_mut(),
                null_mut(),
                access.write_to_device(),
                null_mut(),
                null_mut(),
                &raw mut list,
            )
        };
        match NonNull::new(list) {
            Some(list) if status == STATUS_SUCCESS => Ok(list),
            _ if status == STATUS_SUCCESS => Err(STATUS_INSUFFICIENT_RESOURCES),
            _ => Err(status),
        }
    }

    /// Ends a mapping. At most `DISPATCH_LEVEL`.
    ///
    /// # Safety
    ///
    /// `list` came from [`DmaAdapter::map`] with that access; the device uses it no more.
    pub(super) unsafe fn unmap(&self, list: NonNull<SCATTER_GATHER_LIST>, access: Access) {
        let _raised = AtDispatch::raise();
        // SAFETY: the caller's list, at DISPATCH_LEVEL.
        unsafe { (self.put_list)(self.adapter.as_ptr(), list.as_ptr(), access.write_to_device()) };
    }
}

impl Drop for DmaAdapter {
    fn drop(&mut self) {
        // SAFETY: the adapter of `get`; every list has been given back, since each keeps a reference.
        unsafe { (self.put_adapter)(self.adapter.as_ptr()) };
    }
}

/// What a transfer needs; stays where it is until the list is given back.
#[repr(C, align(16))]
pub(super) struct TransferContext([u8; DMA_TRANSFER_CONTEXT_SIZE_V1]);

impl TransferContext {
    pub(super) const fn new() -> Self {
        Self([0; DMA_TRANSFER_CONTEXT_SIZE_V1])
    }
}

impl Pooled for TransferContext {
    const TAG: Tag = Tag::new(*b"VrDc");
}

/// What the device may do with mapped memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read it.
    Read,
    /// Read and write it.
    ReadWrite,
}

impl Access {
    /// The `WriteToDevice` parameter: whether data only goes to the device.
    fn write_to_device(self) -> BOOLEAN {
        BOOLEAN::from(self == Self::Read)
    }
}

/// A mapped buffer. Dropping it ends the mapping; the device must not use it any more.
pub(super) struct List {
    adapter: PoolArc<DmaAdapter>,
    elements: NonNull<SCATTER_GATHER_LIST>,
    access: Access,
    /// Used by the system until the list is given back.
    _context: PoolBox<TransferContext>,
}

// SAFETY: the list is only read, and given back once.
unsafe impl Send for List {}
// SAFETY: as above.
unsafe impl Sync for List {}

impl List {
    /// Maps the first `length` bytes of the buffer that the MDLs describe. At most `DISPATCH_LEVEL`.
    ///
    /// # Errors
    ///
    /// What the system says: no resources now.
    ///
    /// # Safety
    ///
    /// `mdl` is a chain of MDLs of locked pages that has `length` bytes, and both stay until the list is dropped.
    pub(super) unsafe fn map(
        adapter: &PoolArc<DmaAdapter>,
        mdl: *mut MDL,
        length: u32,
        access: Access,
    ) -> Result<Self, NTSTATUS> {
        let mut context = PoolBox::new(TransferContext::new())?;
        let place = NonNull::from(&mut *context);
        // SAFETY: the caller's MDLs; the context is ours and stays as long as the list.
        let list = unsafe { adapter.map(place, mdl, 0, length, access) }?;
        Ok(Self {
            adapter: adapter.clone(),
            elements: list,
            access,
            _context: context,
        })
    }

    /// The pieces: bus address and bytes.
    pub(super) fn pieces(&self) -> impl Iterator<Item = (u64, u64)> {
        // SAFETY: the system's list, which lives as long as `self`.
        unsafe { pieces(self.elements) }
    }
}

/// The pieces of a list: bus address and bytes.
///
/// # Safety
///
/// The list is not given back while the pieces are read.
pub(super) unsafe fn pieces(list: NonNull<SCATTER_GATHER_LIST>) -> impl ExactSizeIterator<Item = (u64, u64)> {
    let list = list.as_ptr();
    // SAFETY: the caller's list.
    let count = unsafe { (*list).NumberOfElements } as usize;
    // SAFETY: a field of it.
    let first = unsafe { &raw const (*list).Elements }.cast::<ndk_sys::SCATTER_GATHER_ELEMENT>();
    (0..count).map(move |index| {
        // SAFETY: that many elements follow each other.
        let element = unsafe { first.add(index) };
        // SAFETY: one of them.
        let element = unsafe { element.read() };
        (
            element.Address.QuadPart.cast_unsigned(),
            u64::from(element.Length),
        )
    })
}

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: the list of `map`; the device uses it no more.
        unsafe { self.adapter.unmap(self.elements, self.access) };
    }
}
