//! Lists of our own: one frame each, in memory that the device writes, lent to NDIS and returned.
//!
//! The space that NDIS leaves to a miniport in each list holds where the device finds the memory, and which queue it
//! belongs to.

use core::ptr::{NonNull, null_mut, without_provenance_mut};

use ndk_sys::imports::ndis;
use ndk_sys::{
    Ieee8021QNetBufferListInfo, MDL, NDIS_DEFAULT_PORT_NUMBER, NDIS_HANDLE, NDIS_OBJECT_HEADER,
    NDIS_OBJECT_TYPE_DEFAULT, NDIS_PROTOCOL_ID_DEFAULT, NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL,
    NDIS_RECEIVE_FLAGS_RESOURCES, NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1, NDIS_STATUS,
    NDIS_STATUS_SUCCESS, NET_BUFFER, NET_BUFFER_LIST, NET_BUFFER_LIST_POOL_PARAMETERS,
    NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1, NetBufferListHashInfo, NetBufferListHashValue, TRUE,
    TcpIpChecksumNetBufferListInfo,
};

use crate::os::dma::Coherent;
use crate::os::handle::AdapterHandle;
use crate::os::irql::Passive;
use crate::os::pool::{OutOfMemory, PoolArc, PoolVec, Pooled, Tag};

/// Pool tag of the memory that NDIS allocates for lists.
const TAG: u32 = u32::from_le_bytes(*b"VrNb");

/// Which slot of the miniport's space holds what.
const ADDRESS: usize = 0;
const QUEUE: usize = 1;

/// Which slot of the miniport's space in the net buffer holds what.
const MEMORY: usize = 0;

/// Most bytes in one piece of memory at one bus address.
const BLOCK: usize = 0x1_0000;

/// A pool of lists, freed when it is dropped.
struct ListPool(NDIS_HANDLE);

/// Memory for received frames, and the pool of the lists that describe it. It lives until the last of its buffers is dropped,
/// which has to happen at `PASSIVE_LEVEL`.
pub struct ReceiveMemory {
    // In the order in which they have to go.
    pool: ListPool,
    blocks: PoolVec<Coherent>,
    adapter: AdapterHandle,
    /// Bytes of each buffer, and buffers in each block.
    size: u32,
    per_block: usize,
}

impl Pooled for ReceiveMemory {
    const TAG: Tag = Tag::new(*b"VrRm");
}

impl Pooled for Coherent {
    const TAG: Tag = Tag::new(*b"VrCo");
}

// SAFETY: the handle is one that NDIS takes on any processor, all else is shareable.
unsafe impl Send for ReceiveMemory {}
// SAFETY: as above.
unsafe impl Sync for ReceiveMemory {}

impl ReceiveMemory {
    /// Memory for `count` buffers of `size` bytes (64 KiB at most).
    ///
    /// # Errors
    ///
    /// No memory.
    pub fn new(
        passive: &Passive,
        adapter: AdapterHandle,
        count: usize,
        size: u32,
    ) -> Result<PoolArc<Self>, NDIS_STATUS> {
        let per_block = (BLOCK / size as usize).max(1);
        let mut left = count;
        let mut blocks = PoolVec::with_capacity(count.div_ceil(per_block))?;
        while left != 0 {
            let here = left.min(per_block);
            blocks.push(Coherent::allocate(passive, adapter, here * size as usize)?)?;
            left -= here;
        }
        Ok(PoolArc::new(Self {
            pool: ListPool::new(adapter)?,
            blocks,
            adapter,
            size,
            per_block,
        })?)
    }

    /// Bytes of each buffer.
    #[must_use]
    pub fn buffer_size(&self) -> u32 {
        self.size
    }

    /// A list for buffer number `index`, for queue `queue`; each index once. At most `DISPATCH_LEVEL`.
    ///
    /// # Errors
    ///
    /// No memory.
    ///
    /// # Panics
    ///
    /// If there is no such buffer.
    pub fn buffer(this: &PoolArc<Self>, index: usize, queue: usize) -> Result<ReceiveBuffer, OutOfMemory> {
        let block = &this.blocks[index / this.per_block];
        let offset = index % this.per_block * this.size as usize;
        // SAFETY: the block has as many buffers.
        let memory = unsafe { block.memory().byte_add(offset) };
        let address = block.device_address() + offset as u64;
        // SAFETY: a valid adapter handle, and memory that is not paged.
        let mdl = unsafe { ndis::NdisAllocateMdl(this.adapter.raw(), memory.as_ptr().cast(), this.size) };
        let mdl = NonNull::new(mdl).ok_or(OutOfMemory)?;
        // SAFETY: a pool of lists with net buffers, and an MDL of that length.
        let list = unsafe {
            ndis::NdisAllocateNetBufferAndNetBufferList(
                this.pool.0,
                0,
                0,
                mdl.as_ptr(),
                0,
                this.size as usize,
            )
        };
        let Some(mut list) = NonNull::new(list) else {
            // SAFETY: allocated above, and used by nobody.
            unsafe { ndis::NdisFreeMdl(mdl.as_ptr()) };
            return Err(OutOfMemory);
        };
        // SAFETY: allocated above.
        let raw = unsafe { list.as_mut() };
        raw.SourceHandle = this.adapter.raw();
        // An address of the bus is no pointer here.
        raw.MiniportReserved[ADDRESS] = without_provenance_mut(usize::try_from(address).unwrap_or(0));
        raw.MiniportReserved[QUEUE] = without_provenance_mut(queue);
        // SAFETY: its one net buffer.
        let buffer = unsafe { &mut *raw.FirstNetBuffer };
        buffer.MiniportReserved[MEMORY] = this.clone().into_raw().as_ptr().cast();
        Ok(ReceiveBuffer(list))
    }
}

impl ListPool {
    /// A pool of lists with one net buffer each. At most `DISPATCH_LEVEL`.
    fn new(adapter: AdapterHandle) -> Result<Self, OutOfMemory> {
        let mut parameters = NET_BUFFER_LIST_POOL_PARAMETERS {
            Header: NDIS_OBJECT_HEADER {
                Type: NDIS_OBJECT_TYPE_DEFAULT,
                Revision: NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
                Size: NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
            },
            ProtocolId: NDIS_PROTOCOL_ID_DEFAULT,
            fAllocateNetBuffer: TRUE,
            ContextSize: 0,
            PoolTag: TAG,
            DataSize: 0,
        };
        // SAFETY: a valid adapter handle and a filled structure.
        let pool = unsafe { ndis::NdisAllocateNetBufferListPool(adapter.raw(), &raw mut parameters) };
        if pool.is_null() {
            Err(OutOfMemory)
        } else {
            Ok(Self(pool))
        }
    }
}

impl Drop for ListPool {
    fn drop(&mut self) {
        // SAFETY: allocated by `new`; its lists have been freed, since each keeps a reference to the memory.
        unsafe { ndis::NdisFreeNetBufferListPool(self.0) };
    }
}

/// What is told of a received frame out of band, as NDIS encodes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiveInfo {
    /// `NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO`.
    pub checksum: usize,
    /// `NDIS_NET_BUFFER_LIST_8021Q_INFO`.
    pub tag: usize,
    /// The hash.
    pub hash: u32,
    /// Hash type and function; 0 for none.
    pub hash_info: usize,
}

/// A list that NDIS does not have. Dropping it frees it.
pub struct ReceiveBuffer(NonNull<NET_BUFFER_LIST>);

// SAFETY: an owner of a list, which any processor may work on.
unsafe impl Send for ReceiveBuffer {}

impl Pooled for ReceiveBuffer {
    const TAG: Tag = Tag::new(*b"VrRb");
}

impl Pooled for Option<ReceiveBuffer> {
    const TAG: Tag = Tag::new(*b"VrRs");
}

impl ReceiveBuffer {
    /// Where the device finds its memory.
    #[must_use]
    pub fn address(&self) -> u64 {
        // SAFETY: ours.
        unsafe { self.0.as_ref() }.MiniportReserved[ADDRESS].addr() as u64
    }

    /// The queue that it belongs to.
    #[must_use]
    pub fn queue(&self) -> usize {
        // SAFETY: ours.
        unsafe { self.0.as_ref() }.MiniportReserved[QUEUE].addr()
    }

    fn buffer(&self) -> *mut NET_BUFFER {
        // SAFETY: ours.
        unsafe { self.0.as_ref() }.FirstNetBuffer
    }

    fn mdl(&self) -> *mut MDL {
        // SAFETY: its one net buffer, which is ours too.
        unsafe { (*self.buffer()).MdlChain }
    }

    /// Describes the frame of `length` bytes that the device has written.
    pub fn fill(&mut self, length: u32, info: &ReceiveInfo) {
        let mdl = self.mdl();
        // SAFETY: its MDL, which describes at least as many bytes.
        unsafe { (*mdl).ByteCount = length };
        // SAFETY: ours.
        let list = unsafe { self.0.as_mut() };
        list.Next = null_mut();
        list.Status = NDIS_STATUS_SUCCESS;
        list.NblFlags = 0;
        list.Flags = 0;
        list.NetBufferListInfo = [null_mut(); 24];
        list.NetBufferListInfo[TcpIpChecksumNetBufferListInfo as usize] =
            without_provenance_mut(info.checksum);
        list.NetBufferListInfo[Ieee8021QNetBufferListInfo as usize] = without_provenance_mut(info.tag);
        if info.hash_info != 0 {
            list.NetBufferListInfo[NetBufferListHashValue as usize] =
                without_provenance_mut(info.hash as usize);
            list.NetBufferListInfo[NetBufferListHashInfo as usize] = without_provenance_mut(info.hash_info);
        }
        // SAFETY: its one net buffer.
        let buffer = unsafe { &mut *list.FirstNetBuffer };
        buffer.Next = null_mut();
        buffer.CurrentMdl = mdl;
        buffer.CurrentMdlOffset = 0;
        buffer.DataOffset = 0;
        buffer.DataLength = length;
    }
}

impl Drop for ReceiveBuffer {
    fn drop(&mut self) {
        let mdl = self.mdl();
        // SAFETY: its one net buffer, which is ours too.
        let memory = unsafe { (*self.buffer()).MiniportReserved[MEMORY] };
        // SAFETY: allocated by the pool, and nobody has it.
        unsafe { ndis::NdisFreeNetBufferList(self.0.as_ptr()) };
        // SAFETY: allocated with it.
        unsafe { ndis::NdisFreeMdl(mdl) };
        if let Some(memory) = NonNull::new(memory.cast::<ReceiveMemory>()) {
            // SAFETY: the reference that the buffer was made with.
            drop(unsafe { PoolArc::from_raw(memory) });
        }
    }
}

/// Frames on their way to NDIS, which borrows their buffers until it returns them.
pub struct ReceiveChain {
    first: *mut NET_BUFFER_LIST,
    last: *mut NET_BUFFER_LIST,
    count: u32,
}

impl ReceiveChain {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            first: null_mut(),
            last: null_mut(),
            count: 0,
        }
    }

    /// Appends a frame that has been filled in.
    pub fn push(&mut self, buffer: ReceiveBuffer) {
        let list = core::mem::ManuallyDrop::new(buffer).0.as_ptr();
        match NonNull::new(self.last) {
            // SAFETY: the last list of the chain, which is ours.
            Some(end) => unsafe { (*end.as_ptr()).Next = list },
            None => self.first = list,
        }
        self.last = list;
        self.count += 1;
    }

    /// Lends the frames to NDIS. `DISPATCH_LEVEL`, without a lock.
    pub fn lend(self, adapter: AdapterHandle) {
        if !self.first.is_null() {
            indicate(adapter, self.first, self.count, 0);
        }
    }
}

impl Default for ReceiveChain {
    fn default() -> Self {
        Self::new()
    }
}

/// Frames that NDIS gets to copy, because few buffers are left: as many as one round has at most.
pub struct Borrowed<const MOST: usize> {
    buffers: [Option<ReceiveBuffer>; MOST],
    count: usize,
}

impl<const MOST: usize> Borrowed<MOST> {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            buffers: [const { None }; MOST],
            count: 0,
        }
    }

    /// Appends a frame that has been filled in; it comes back if there is no room.
    pub fn push(&mut self, buffer: ReceiveBuffer) -> Option<ReceiveBuffer> {
        match self.buffers.get_mut(self.count) {
            Some(place) => {
                *place = Some(buffer);
                self.count += 1;
                None
            }
            None => Some(buffer),
        }
    }

    /// Shows the frames to NDIS, which is done with them when this returns. `DISPATCH_LEVEL`, without a lock.
    pub fn show(&mut self, adapter: AdapterHandle) {
        let mut next = null_mut();
        let mut count = 0;
        for buffer in self.buffers.iter().flatten().rev() {
            // SAFETY: ours.
            unsafe { (*buffer.0.as_ptr()).Next = next };
            next = buffer.0.as_ptr();
            count += 1;
        }
        if !next.is_null() {
            indicate(adapter, next, count, NDIS_RECEIVE_FLAGS_RESOURCES);
        }
    }

    /// The buffers, which are free again.
    pub fn take(&mut self) -> impl Iterator<Item = ReceiveBuffer> {
        self.count = 0;
        self.buffers.iter_mut().filter_map(Option::take)
    }
}

impl<const MOST: usize> Default for Borrowed<MOST> {
    fn default() -> Self {
        Self::new()
    }
}

fn indicate(adapter: AdapterHandle, first: *mut NET_BUFFER_LIST, count: u32, flags: u32) {
    let flags = flags | NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL;
    // SAFETY: a valid handle, and that many lists of our own which have been filled in.
    unsafe {
        ndis::NdisMIndicateReceiveNetBufferLists(
            adapter.raw(),
            first,
            NDIS_DEFAULT_PORT_NUMBER,
            count,
            flags,
        );
    };
}

/// Buffers that NDIS returns.
pub struct Returned(*mut NET_BUFFER_LIST);

impl Returned {
    /// Takes the chain back.
    ///
    /// # Safety
    ///
    /// `first` is that of one call of `MiniportReturnNetBufferLists`.
    #[must_use]
    pub unsafe fn new(first: *mut NET_BUFFER_LIST) -> Self {
        Self(first)
    }
}

impl Iterator for Returned {
    type Item = ReceiveBuffer;

    fn next(&mut self) -> Option<ReceiveBuffer> {
        let list = NonNull::new(self.0)?;
        // SAFETY: a list of the chain, lent by us and ours again.
        self.0 = unsafe { list.as_ref() }.Next;
        Some(ReceiveBuffer(list))
    }
}
