//! OID requests: the union and the raw buffers of NDIS behind checked accessors.
#![expect(unsafe_code, reason = "NDIS's unions and buffers")]

use core::ptr::NonNull;

use ndk_sys::imports::ndis;
use ndk_sys::{
    NDIS_OID, NDIS_OID_REQUEST, NDIS_STATUS, NDIS_STATUS_BUFFER_TOO_SHORT, NDIS_STATUS_INVALID_LENGTH,
    NDIS_STATUS_SUCCESS, NdisRequestQueryInformation, NdisRequestQueryStatistics, NdisRequestSetInformation,
};

use super::handle::AdapterHandle;
use super::lock::SpinLock;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// To fill the buffer.
    Query,
    /// To take what is in the buffer.
    Set,
    /// Something else.
    Other,
}

/// Plain data of NDIS that goes into or comes out of a buffer byte by byte: any bytes are a valid value.
///
/// # Safety
///
/// The type has no invalid bit patterns and no pointers that are followed.
pub unsafe trait Plain: Copy {}

// SAFETY: integers.
unsafe impl Plain for u8 {}
// SAFETY: integers.
unsafe impl Plain for u16 {}
// SAFETY: integers.
unsafe impl Plain for u32 {}
// SAFETY: integers.
unsafe impl Plain for u64 {}
// SAFETY: integers.
unsafe impl Plain for i32 {}
// SAFETY: integers.
unsafe impl Plain for [u8; 6] {}
// SAFETY: integers and arrays of them.
unsafe impl Plain for ndk_sys::NDIS_STATISTICS_INFO {}
// SAFETY: as above.
unsafe impl Plain for ndk_sys::NDIS_INTERRUPT_MODERATION_PARAMETERS {}
// SAFETY: as above.
unsafe impl Plain for ndk_sys::NDIS_OFFLOAD {}
// SAFETY: as above.
unsafe impl Plain for ndk_sys::NDIS_OFFLOAD_ENCAPSULATION {}
// SAFETY: as above.
unsafe impl Plain for ndk_sys::NDIS_PM_PARAMETERS {}
// SAFETY: as above.
unsafe impl Plain for ndk_sys::NDIS_NDK_STATISTICS_INFO {}
// SAFETY: as above.
unsafe impl Plain for ndk_sys::NDIS_NDK_CONNECTION_ENTRY {}
// SAFETY: as above.
unsafe impl Plain for ndk_sys::NDIS_NDK_LOCAL_ENDPOINT_ENTRY {}

/// A request that NDIS waits for.
pub struct OidRequest<'a>(&'a mut NDIS_OID_REQUEST);

impl OidRequest<'_> {
    /// Wraps it.
    ///
    /// # Safety
    ///
    /// `raw` is a request that NDIS handed over and that has not been completed.
    #[must_use]
    pub unsafe fn new(raw: NonNull<NDIS_OID_REQUEST>) -> Self {
        // SAFETY: the caller's promise: the request is ours until it is completed.
        Self(unsafe { &mut *raw.as_ptr() })
    }

    /// What is asked.
    #[must_use]
    pub fn kind(&self) -> Kind {
        let kind = self.0.RequestType;
        if kind == NdisRequestQueryInformation || kind == NdisRequestQueryStatistics {
            Kind::Query
        } else if kind == NdisRequestSetInformation {
            Kind::Set
        } else {
            Kind::Other
        }
    }

    /// Which object.
    #[must_use]
    pub fn oid(&self) -> NDIS_OID {
        // SAFETY: every member of the union begins with the OID.
        unsafe { self.0.DATA.QUERY_INFORMATION.Oid }
    }

    /// The buffer and its length: the same fields for queries and for sets.
    fn buffer(&self) -> (*mut u8, usize) {
        // SAFETY: query and set have the same layout up to here, and other kinds are not answered.
        let query = unsafe { &self.0.DATA.QUERY_INFORMATION };
        let length = if query.InformationBuffer.is_null() {
            0
        } else {
            query.InformationBufferLength
        };
        (query.InformationBuffer.cast(), length as usize)
    }

    /// Bytes that an answer may have.
    #[must_use]
    pub fn room(&self) -> usize {
        self.buffer().1
    }

    /// Notes how much was written or read, and how much would have been needed.
    fn account(&mut self, done: usize, needed: usize) {
        // SAFETY: both members are integers at the same places in queries (written) and sets (read).
        let query = unsafe { &mut self.0.DATA.QUERY_INFORMATION };
        query.BytesWritten = u32::try_from(done).unwrap_or(u32::MAX);
        query.BytesNeeded = u32::try_from(needed).unwrap_or(u32::MAX);
    }

    /// Copies `value` to `offset` of the buffer; whether it fits there.
    fn put<T: Plain>(&self, offset: usize, value: &T) -> bool {
        let (buffer, room) = self.buffer();
        if offset.checked_add(size_of::<T>()).is_none_or(|end| end > room) {
            return false;
        }
        // SAFETY: inside the buffer.
        let to = unsafe { buffer.add(offset) };
        // SAFETY: room for the value was checked; buffers of NDIS have no alignment, hence bytes.
        unsafe { core::ptr::copy_nonoverlapping((&raw const *value).cast(), to, size_of::<T>()) };
        true
    }

    /// Answers a query with `bytes`.
    pub fn answer_bytes(&mut self, bytes: &[u8]) -> NDIS_STATUS {
        if bytes.len() > self.room() {
            return self.too_short(bytes.len());
        }
        for (offset, byte) in bytes.iter().enumerate() {
            self.put(offset, byte);
        }
        self.account(bytes.len(), 0);
        NDIS_STATUS_SUCCESS
    }

    /// Answers a query with a structure or number.
    pub fn answer<T: Plain>(&mut self, value: &T) -> NDIS_STATUS {
        if !self.put(0, value) {
            return self.too_short(size_of::<T>());
        }
        self.account(size_of::<T>(), 0);
        NDIS_STATUS_SUCCESS
    }

    /// Answers a query with a counter: 64 bits where they fit, else the lower 32.
    pub fn answer_counter(&mut self, value: u64) -> NDIS_STATUS {
        if self.room() >= size_of::<u64>() {
            return self.answer(&value);
        }
        let status = self.answer(&((value & 0xFFFF_FFFF) as u32));
        if status == NDIS_STATUS_SUCCESS {
            self.account(size_of::<u32>(), size_of::<u64>());
        }
        status
    }

    /// Answers a query with a list behind a head of `head` bytes. `fill` calls its argument with each entry; `finish` makes
    /// the head's 32-bit words from the number of entries and the size of the whole.
    pub fn answer_list<T: Plain, const WORDS: usize>(
        &mut self,
        fill: impl FnOnce(&mut dyn FnMut(&T)),
        finish: impl FnOnce(u32, usize) -> [u32; WORDS],
    ) -> NDIS_STATUS {
        let head = WORDS * size_of::<u32>();
        let mut count = 0;
        let mut fits = true;
        fill(&mut |entry| {
            fits &= self.put(head + count * size_of::<T>(), entry);
            count += 1;
        });
        let total = head + count * size_of::<T>();
        let words = finish(u32::try_from(count).unwrap_or(u32::MAX), total);
        if !fits || total > self.room() {
            return self.too_short(total);
        }
        for (index, word) in words.iter().enumerate() {
            self.put(index * size_of::<u32>(), word);
        }
        self.account(total, 0);
        NDIS_STATUS_SUCCESS
    }

    /// The buffer cannot hold the answer of so many bytes.
    fn too_short(&mut self, needed: usize) -> NDIS_STATUS {
        self.account(0, needed);
        NDIS_STATUS_BUFFER_TOO_SHORT
    }

    /// The value of a set request.
    ///
    /// # Errors
    ///
    /// [`NDIS_STATUS_INVALID_LENGTH`], with the length that is needed.
    pub fn input<T: Plain>(&mut self) -> Result<T, NDIS_STATUS> {
        let (buffer, length) = self.buffer();
        if length < size_of::<T>() {
            self.account(0, size_of::<T>());
            return Err(NDIS_STATUS_INVALID_LENGTH);
        }
        self.account(size_of::<T>(), 0);
        // SAFETY: the buffer is long enough, and all bytes are a valid value.
        Ok(unsafe { buffer.cast::<T>().read_unaligned() })
    }

    /// The whole buffer of a set request, which has a variable length.
    pub fn whole_input(&mut self) -> &[u8] {
        let (buffer, length) = self.buffer();
        self.account(length, 0);
        if length == 0 {
            return &[];
        }
        // SAFETY: the buffer of the request, which is ours until it is completed; not null, since it has a length.
        unsafe { core::slice::from_raw_parts(buffer, length) }
    }

    /// The buffer of a set request is too short.
    pub fn needs(&mut self, bytes: usize) -> NDIS_STATUS {
        self.account(0, bytes);
        NDIS_STATUS_INVALID_LENGTH
    }

    /// Takes the whole buffer of a set request, whose content needs no copy.
    pub fn consume(&mut self) -> NDIS_STATUS {
        let length = self.room();
        self.account(length, 0);
        NDIS_STATUS_SUCCESS
    }
}

/// Direct requests that wait for a worker, linked through the space that NDIS leaves to the miniport in each.
pub struct PendingRequests(SpinLock<Ends>);

struct Ends {
    first: Option<NonNull<NDIS_OID_REQUEST>>,
    last: Option<NonNull<NDIS_OID_REQUEST>>,
}

// SAFETY: the requests belong to the list until they are taken out, one at a time.
unsafe impl Send for Ends {}

impl PendingRequests {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self(SpinLock::new(Ends {
            first: None,
            last: None,
        }))
    }

    /// Where a request has the link to the next one.
    fn link(request: NonNull<NDIS_OID_REQUEST>) -> *mut Option<NonNull<NDIS_OID_REQUEST>> {
        const { assert!(size_of::<Option<NonNull<NDIS_OID_REQUEST>>>() <= 16) };
        // SAFETY: a field of a live request, 8-byte aligned.
        unsafe { &raw mut (*request.as_ptr()).MiniportReserved }.cast()
    }

    /// Appends a request that will be answered with `NDIS_STATUS_PENDING`.
    ///
    /// # Safety
    ///
    /// `request` is one that NDIS handed over; it is completed by [`PendingRequests::serve`].
    pub unsafe fn push(&self, request: NonNull<NDIS_OID_REQUEST>) {
        let mut ends = self.0.lock();
        // SAFETY: the request is ours.
        unsafe { Self::link(request).write(None) };
        match ends.last.replace(request) {
            // SAFETY: a request of the list.
            Some(last) => unsafe { Self::link(last).write(Some(request)) },
            None => ends.first = Some(request),
        }
    }

    fn pop(&self) -> Option<NonNull<NDIS_OID_REQUEST>> {
        let mut ends = self.0.lock();
        let first = ends.first?;
        // SAFETY: a request of the list.
        ends.first = unsafe { Self::link(first).read() };
        if ends.first.is_none() {
            ends.last = None;
        }
        Some(first)
    }

    /// Completes all requests, each with what `answer` returns.
    pub fn serve(&self, adapter: AdapterHandle, mut answer: impl FnMut(&mut OidRequest<'_>) -> NDIS_STATUS) {
        while let Some(raw) = self.pop() {
            // SAFETY: handed over by NDIS and not completed.
            let mut request = unsafe { OidRequest::new(raw) };
            let status = answer(&mut request);
            // SAFETY: as above; it is not touched afterwards.
            unsafe { ndis::NdisMDirectOidRequestComplete(adapter.raw(), raw.as_ptr(), status) };
        }
    }
}

impl Default for PendingRequests {
    fn default() -> Self {
        Self::new()
    }
}
