//! What the transport needs of the device around it, on behalf of one queue pair.
//!
//! The device makes a [`Host`] for the queue pair that it drives and passes it to every entry point of
//! [`QueuePair`](super::QueuePair). No method may call back into a queue pair, and none may block.

use vrnic_abi::cqe::WorkStatus;
use vrnic_abi::wqe::{BindSegment, FastRegSegment, WorkOpcode};

use crate::frame_buffer::FrameBuffer;

/// One scatter/gather element, as the driver wrote it: its key is checked with each access.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sge {
    /// Address in the region of `key`.
    pub addr: u64,
    /// Bytes.
    pub length: u32,
    /// Local key.
    pub key: u32,
}

/// Memory that a peer names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemoteRange {
    /// Remote key.
    pub key: u32,
    /// Address in the region or window of `key`.
    pub addr: u64,
    /// Bytes; the range may wrap around the end of the address space, which is then an access fault.
    pub length: u32,
}

/// What is to be done with memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The device reads it.
    Read,
    /// The device writes it.
    Write,
}

/// An access that is refused: key, protection domain, range, access right, or the DMA itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessFault;

/// What a send work request asks for, without its local data.
#[derive(Clone, Copy, Debug, Default)]
pub enum Operation {
    /// SEND.
    #[default]
    Send,
    /// SEND with Invalidate: the key goes to the peer.
    SendInvalidate {
        /// The peer's key.
        key: u32,
    },
    /// RDMA WRITE; the length is that of the local data.
    Write {
        /// Remote address.
        addr: u64,
        /// Remote key.
        key: u32,
    },
    /// RDMA READ; the length is that of the local buffers.
    Read {
        /// Remote address.
        addr: u64,
        /// Remote key.
        key: u32,
        /// A local key that is invalidated when the data is there.
        invalidate: Option<u32>,
    },
    /// Fast registration: it takes effect in its turn, without waiting for earlier requests.
    FastRegister(FastRegSegment),
    /// Invalidation of a local key: it waits until all earlier requests are complete.
    LocalInvalidate {
        /// The local key.
        key: u32,
    },
    /// Binding of a memory window: it takes effect in its turn.
    Bind(BindSegment),
}

/// A send work request in the form that the host has checked: a private copy, used again and again.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are the request's flags")]
pub struct SendRequest {
    /// Free-running index that its completion carries.
    pub index: u32,
    /// The opcode that its completion carries, whatever it is.
    pub opcode: u8,
    /// What it does.
    pub operation: Operation,
    /// Write a completion also on success.
    pub signaled: bool,
    /// Start only when all earlier READs are done.
    pub fenced: bool,
    /// Ask for a solicited event.
    pub solicited: bool,
    /// Bytes of local data: the sum of `sges`, or the length of `inline_data`.
    pub length: u32,
    /// The local data is in `inline_data`, not in `sges`.
    pub inline: bool,
    /// Scatter/gather elements.
    pub sges: Vec<Sge>,
    /// Inline data.
    pub inline_data: Vec<u8>,
    /// The request is malformed: nothing else of it but `index` and `opcode` counts, and it completes with this status in its turn.
    pub fault: Option<WorkStatus>,
}

impl SendRequest {
    /// Makes it empty, and keeps the memory of its lists.
    pub fn clear(&mut self) {
        let (mut sges, mut inline_data) = (
            std::mem::take(&mut self.sges),
            std::mem::take(&mut self.inline_data),
        );
        sges.clear();
        inline_data.clear();
        *self = Self {
            sges,
            inline_data,
            ..Self::default()
        };
    }
}

/// A receive, as a private copy.
#[derive(Clone, Debug, Default)]
pub struct ReceiveRequest {
    /// Free-running index, or cookie of the shared receive queue, that its completion carries.
    pub index: u32,
    /// Scatter elements.
    pub sges: Vec<Sge>,
    /// Their bytes; saturated.
    pub length: u32,
    /// The entry is malformed: it completes with this status as soon as a message needs it.
    pub fault: Option<WorkStatus>,
}

impl ReceiveRequest {
    /// Makes it empty, and keeps the memory of its list.
    pub fn clear(&mut self) {
        let mut sges = std::mem::take(&mut self.sges);
        sges.clear();
        *self = Self {
            sges,
            ..Self::default()
        };
    }
}

/// How a send work request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendCompletion {
    /// As in [`SendRequest::index`].
    pub index: u32,
    /// As in [`SendRequest::opcode`].
    pub opcode: WorkOpcode,
    /// The result.
    pub status: WorkStatus,
    /// The AETH syndrome that the peer gave for an error; otherwise 0.
    pub syndrome: u32,
}

/// What a received message carried beside its data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extra {
    /// Nothing.
    #[default]
    None,
    /// Immediate data.
    Immediate(u32),
    /// This local key has been invalidated.
    Invalidated(u32),
}

/// How a receive ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveCompletion {
    /// As in [`ReceiveRequest::index`].
    pub index: u32,
    /// The result.
    pub status: WorkStatus,
    /// Bytes of the message; for a WRITE with immediate those that were written.
    pub byte_len: u32,
    /// The peer asked for a solicited event.
    pub solicited: bool,
    /// Immediate data or invalidated key.
    pub extra: Extra,
}

/// What the driver is told about beside completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QpEvent {
    /// The first valid packet came in RTR.
    CommEst,
    /// The queue pair went to ERROR by itself.
    Fatal(WorkStatus),
    /// It has a shared receive queue, is in ERROR, and takes no more entries from it. (The device raises it only for such queue pairs.)
    LastWqe,
}

/// What the statistics count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// A request came again.
    Duplicate,
    /// A packet came too early: one before it is missing.
    OutOfSequence,
    /// A NAK went out, of any code but RNR.
    Nak,
    /// An RNR NAK went out.
    RnrNak,
    /// A packet went out again.
    Retransmit,
    /// The local ACK timeout passed.
    Timeout,
}

/// The device, as one queue pair sees it.
pub trait Host {
    /// Nanoseconds of a clock that never goes back.
    fn now(&mut self) -> u64;

    /// Takes the next request out of the send queue into `request` (which is clear). False: there is none. A malformed one is
    /// taken too: see [`SendRequest::fault`].
    fn next_send(&mut self, request: &mut SendRequest) -> bool;

    /// Takes the next entry of the receive queue, or of the shared one, into `receive` (which is clear). False: there is none.
    fn next_receive(&mut self, receive: &mut ReceiveRequest) -> bool;

    /// Takes the next entry of this queue pair's own receive queue, to flush it: its index. None when it is empty, and always with a
    /// shared receive queue.
    fn flush_receive(&mut self) -> Option<u32>;

    /// Whether each element lies within its key's region, in this protection domain, with that access.
    ///
    /// # Errors
    /// It does not.
    fn check_local(&mut self, sges: &[Sge], access: Access) -> Result<(), AccessFault>;

    /// Reads from the elements, `offset` bytes into them.
    ///
    /// # Errors
    /// Key, range, access or DMA; or the elements end before.
    fn read_local(&mut self, sges: &[Sge], offset: u32, data: &mut [u8]) -> Result<(), AccessFault>;

    /// Writes to the elements, `offset` bytes into them.
    ///
    /// # Errors
    /// As for [`Self::read_local`].
    fn write_local(&mut self, sges: &[Sge], offset: u32, data: &[u8]) -> Result<(), AccessFault>;

    /// Whether the peer may do that. Not called for a length of 0.
    ///
    /// # Errors
    /// Key (bound to this queue pair if it is a window), range, access of the key or of the queue pair.
    fn check_remote(&mut self, range: RemoteRange, access: Access) -> Result<(), AccessFault>;

    /// Reads for the peer: checks as [`Self::check_remote`] does, each time.
    ///
    /// # Errors
    /// As for [`Self::check_remote`], or the DMA.
    fn read_remote(&mut self, key: u32, addr: u64, data: &mut [u8]) -> Result<(), AccessFault>;

    /// Writes for the peer: checks as [`Self::check_remote`] does, each time.
    ///
    /// # Errors
    /// As for [`Self::check_remote`], or the DMA.
    fn write_remote(&mut self, key: u32, addr: u64, data: &[u8]) -> Result<(), AccessFault>;

    /// Invalidates a key of ours because the peer's SEND with Invalidate says so.
    ///
    /// # Errors
    /// The key cannot be invalidated by this peer.
    fn invalidate_for_peer(&mut self, key: u32) -> Result<(), AccessFault>;

    /// Does a fast registration.
    ///
    /// # Errors
    /// The status of its completion.
    fn fast_register(&mut self, segment: &FastRegSegment) -> Result<(), WorkStatus>;

    /// Invalidates a local key for a work request.
    ///
    /// # Errors
    /// The status of its completion.
    fn invalidate_local(&mut self, key: u32) -> Result<(), WorkStatus>;

    /// Binds a memory window.
    ///
    /// # Errors
    /// The status of its completion.
    fn bind(&mut self, segment: &BindSegment) -> Result<(), WorkStatus>;

    /// Writes a completion to the send completion queue. An overrun shows later, by the device calling
    /// [`QueuePair::set_error`](super::QueuePair::set_error).
    fn complete_send(&mut self, completion: &SendCompletion);

    /// Writes a completion to the receive completion queue.
    fn complete_receive(&mut self, completion: &ReceiveCompletion);

    /// Tells the driver.
    fn event(&mut self, event: QpEvent);

    /// Counts.
    fn count(&mut self, counter: Counter);

    /// Sends a frame, complete but for the frame check sequence. It may keep the frame's memory, and leave another buffer in its place.
    fn transmit(&mut self, frame: &mut FrameBuffer);

    /// Asks for `bytes` to park early packets in. The device bounds what all queue pairs park together. False: no.
    fn reserve(&mut self, bytes: usize) -> bool;

    /// Gives back what [`Self::reserve`] gave.
    fn release(&mut self, bytes: usize);
}
