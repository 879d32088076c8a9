//! Inputs of the commands that create, change and destroy the objects of the data path.

use crate::{U16, U32, U64};
use static_assertions::const_assert_eq;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A ring in host memory.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Ring {
    /// DMA address of the ring itself, a multiple of [`RING_ALIGNMENT`] (`levels` 0); or of the first table of page
    /// addresses, page aligned like every address in it.
    pub addr: U64,
    /// Logarithm to base two of the number of entries.
    pub log2_entries: u8,
    /// 0: the ring is contiguous. 1: `addr` is a page of up to 512 addresses of the ring's pages. 2: a page of
    /// addresses of such pages. 3: one level more.
    pub levels: u8,
    /// Zero.
    pub reserved: [u8; 6],
}
const_assert_eq!(size_of::<Ring>(), 16);

/// What the address of a contiguous [`Ring`] is a multiple of, in bytes.
pub const RING_ALIGNMENT: u64 = 64;
/// Most levels of page tables below a [`Ring`] or a memory region.
pub const MAX_LEVELS: u8 = 3;

/// Input of the commands that only name an object, and the first four bytes of the output of those that create one.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ObjectNumber {
    /// Number of the object, or its key.
    pub number: U32,
}
const_assert_eq!(size_of::<ObjectNumber>(), 4);

/// Fewest entries of an event queue (logarithm).
pub const EQ_LOG2_MIN: u8 = 2;
/// Most entries of an event queue (logarithm).
pub const EQ_LOG2_MAX: u8 = 14;

/// Input of `CREATE_EQ`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct EqCreate {
    /// Ring of [`crate::event::Event`].
    pub ring: Ring,
    /// MSI-X vector, below [`crate::pci::VECTORS`].
    pub vector: U16,
    /// [`EQ_ASYNC`] or 0.
    pub flags: U16,
}
const_assert_eq!(size_of::<EqCreate>(), 20);

/// In [`EqCreate::flags`]: link and fatal events go to this queue. At most one queue has it.
pub const EQ_ASYNC: u16 = 1 << 0;

/// Input of `CREATE_CQ`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CqCreate {
    /// Ring of [`crate::cqe::Cqe`].
    pub ring: Ring,
    /// Event queue that is told when an armed queue fires.
    pub eqn: U32,
    /// Longest time that an event may be held back, in microseconds; 0: not at all.
    pub moderation_us: U16,
    /// Completions after which a held event is sent; 0 or 1: each.
    pub moderation_count: U16,
}
const_assert_eq!(size_of::<CqCreate>(), 24);

/// Input of `MODIFY_CQ`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CqModify {
    /// CQ number.
    pub cqn: U32,
    /// [`CQ_MODIFY_RING`], [`CQ_MODIFY_MODERATION`].
    pub mask: U32,
    /// As in [`CqCreate`], `eqn` as it is. The output's first four bytes say at which free-running index the new ring starts.
    pub attributes: CqCreate,
}
const_assert_eq!(size_of::<CqModify>(), 32);

/// In [`CqModify::mask`]: the ring changes. The completions before the index that is returned stay in the old ring; from it on
/// they are in the new one, whose passes are counted from that index: entry `i` has the phase of `i` minus it.
pub const CQ_MODIFY_RING: u32 = 1 << 0;
/// In [`CqModify::mask`]: the moderation changes.
pub const CQ_MODIFY_MODERATION: u32 = 1 << 1;

/// Input of `CREATE_SRQ`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SrqCreate {
    /// Ring of receive entries, see [`crate::wqe`].
    pub ring: Ring,
    /// Protection domain.
    pub pdn: U32,
    /// Event queue of limit and error events.
    pub eqn: U32,
    /// An event is sent once when fewer entries than this are left, at once if that is so already; 0: never.
    pub limit: U32,
    /// Scatter elements of each entry, 1 to [`crate::wqe::MAX_SGE`].
    pub max_sge: U16,
    /// Zero.
    pub reserved: U16,
}
const_assert_eq!(size_of::<SrqCreate>(), 32);

/// Input of `MODIFY_SRQ`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SrqModify {
    /// SRQ number.
    pub srqn: U32,
    /// [`SRQ_MODIFY_RING`], [`SRQ_MODIFY_LIMIT`].
    pub mask: U32,
    /// New ring.
    pub ring: Ring,
    /// New limit; arms the limit event again.
    pub limit: U32,
    /// Zero.
    pub reserved: U32,
}
const_assert_eq!(size_of::<SrqModify>(), 32);

/// In [`SrqModify::mask`]: the ring changes. The new ring already has the entries that the device has not taken, each at the
/// slot of its free-running index.
pub const SRQ_MODIFY_RING: u32 = 1 << 0;
/// In [`SrqModify::mask`]: the limit changes and is armed.
pub const SRQ_MODIFY_LIMIT: u32 = 1 << 1;

/// Mailbox of `CREATE_QP`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct QpCreate {
    /// Send queue; an entry is a basic block of [`crate::wqe::BASIC_BLOCK`] bytes.
    pub sq: Ring,
    /// Receive queue; zero with a shared receive queue.
    pub rq: Ring,
    /// Protection domain.
    pub pdn: U32,
    /// Completion queue of the send queue.
    pub send_cqn: U32,
    /// Completion queue of the receive queue.
    pub recv_cqn: U32,
    /// Shared receive queue, if [`QP_SRQ`] is set.
    pub srqn: U32,
    /// Event queue of asynchronous errors.
    pub eqn: U32,
    /// [`QP_SRQ`], [`QP_PRIVILEGED`].
    pub flags: U32,
    /// Scatter elements of each receive entry, 1 to [`crate::wqe::MAX_SGE`]; zero with a shared receive queue.
    pub max_recv_sge: U16,
    /// A [`QpKind`].
    pub kind: u8,
    /// Zero.
    pub reserved: [u8; 5],
}
const_assert_eq!(size_of::<QpCreate>(), 64);

/// In [`QpCreate::flags`]: receives come from a shared receive queue.
pub const QP_SRQ: u32 = 1 << 0;
/// In [`QpCreate::flags`]: the privileged key is allowed in its scatter/gather elements.
pub const QP_PRIVILEGED: u32 = 1 << 1;

/// The part of a queue pair's number that is its index: where its doorbells are. The bits above, up to bit 23, change when the
/// index is used again, so that packets for an earlier queue pair find none. Indexes 0 and 1 are not used.
pub const QPN_INDEX_MASK: u32 = 0xFFFF;

open_enum! {
    /// Transport service of a queue pair.
    pub enum QpKind: u8 as u8 {
        /// Reliable connection.
        RC = 1,
    }
}

open_enum! {
    /// State of a queue pair.
    pub enum QpState: u8 as u8 {
        /// Nothing works.
        RESET = 0,
        /// Receives may be posted.
        INIT = 1,
        /// Ready to receive.
        RTR = 2,
        /// Ready to send.
        RTS = 3,
        /// Everything is flushed.
        ERROR = 4,
    }
}

/// Mailbox of `MODIFY_QP` and `QUERY_QP`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct QpModify {
    /// Which fields are set: bits `QP_ATTR_*`.
    pub mask: U32,
    /// New [`QpState`].
    pub state: u8,
    /// Logarithm of the path MTU in bytes: 8 (256) to 12 (4096).
    pub path_mtu_log2: u8,
    /// RDMA READs that we serve at the same time, 0 to 16.
    pub max_inbound_reads: u8,
    /// RDMA READs that we issue at the same time, 0 to 128.
    pub max_outbound_reads: u8,
    /// The peer's queue pair, below 2^24.
    pub dst_qpn: U32,
    /// First packet sequence number that we expect, below 2^24.
    pub rq_psn: U32,
    /// First packet sequence number that we send, below 2^24.
    pub sq_psn: U32,
    /// Ethernet address of the peer or of the next hop.
    pub dst_mac: [u8; 6],
    /// Source address: an index into the GID table.
    pub gid_index: U16,
    /// Destination address, IPv6 or IPv6-mapped IPv4.
    pub dst_gid: [u8; 16],
    /// UDP source port.
    pub udp_src_port: U16,
    /// DSCP and ECN bits.
    pub traffic_class: u8,
    /// Time to live, or hop limit.
    pub hop_limit: u8,
    /// Local ACK timeout: 4.096 us times 2 to this power; 0 for none.
    pub timeout: u8,
    /// Transport retries, 0 to 7.
    pub retry_count: u8,
    /// RNR retries, 0 to 7; 7 means without limit.
    pub rnr_retry: u8,
    /// RNR timer code that we ask for, IBTA table 45.
    pub min_rnr_timer: u8,
    /// Remote access that is allowed: bits of [`crate::resource::MrRegister::access`].
    pub access: U32,
    /// Zero.
    pub reserved: [u8; 8],
}
const_assert_eq!(size_of::<QpModify>(), 64);

/// In [`QpModify::mask`]: state.
pub const QP_ATTR_STATE: u32 = 1 << 0;
/// In [`QpModify::mask`]: address, path MTU, traffic class, hop limit, UDP port.
pub const QP_ATTR_PATH: u32 = 1 << 1;
/// In [`QpModify::mask`]: destination QP and receive PSN.
pub const QP_ATTR_RECEIVE: u32 = 1 << 2;
/// In [`QpModify::mask`]: send PSN, timeout, retries.
pub const QP_ATTR_SEND: u32 = 1 << 3;
/// In [`QpModify::mask`]: read limits, RNR timer and access.
pub const QP_ATTR_LIMITS: u32 = 1 << 4;

/// Input of `REGISTER_MR`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MrRegister {
    /// Virtual address of the first byte, as scatter/gather elements name it.
    pub base: U64,
    /// Bytes.
    pub length: U64,
    /// Page list: the page itself (`levels` 0), or tables as in [`Ring`].
    pub pages: U64,
    /// Protection domain.
    pub pdn: U32,
    /// [`ACCESS_LOCAL_WRITE`], [`ACCESS_REMOTE_READ`], [`ACCESS_REMOTE_WRITE`], [`ACCESS_WINDOW_BIND`].
    pub access: U32,
    /// Levels of tables, 0 to [`MAX_LEVELS`].
    pub levels: u8,
    /// Zero.
    pub reserved: [u8; 3],
    /// Offset of the first byte in the first page.
    pub first_page_offset: U32,
}
const_assert_eq!(size_of::<MrRegister>(), 40);

/// The device may write for local requests.
pub const ACCESS_LOCAL_WRITE: u32 = 1 << 0;
/// Peers may read.
pub const ACCESS_REMOTE_READ: u32 = 1 << 1;
/// Peers may write.
pub const ACCESS_REMOTE_WRITE: u32 = 1 << 2;
/// Memory windows may be bound to the region.
pub const ACCESS_WINDOW_BIND: u32 = 1 << 3;

/// Input of `ALLOC_FRMR` and `ALLOC_MW`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct KeyAlloc {
    /// Protection domain.
    pub pdn: U32,
    /// Most pages that a fast registration may name; 0 for a window.
    pub max_pages: U32,
    /// Access that may be asked for at all, as in [`MrRegister::access`].
    pub access: U32,
    /// Zero.
    pub reserved: U32,
}
const_assert_eq!(size_of::<KeyAlloc>(), 16);

/// Bits of a key below its index. They are the key's variant: chosen by the device for a registered region, and by the driver with
/// each fast registration and each bind, so that earlier keys of the same index do not work any more.
pub const KEY_VARIANT_BITS: u32 = 8;
/// The bits of [`KEY_VARIANT_BITS`].
pub const KEY_VARIANT_MASK: u32 = (1 << KEY_VARIANT_BITS) - 1;

/// The key whose elements name DMA addresses directly: local read and write, never remote (NDK's privileged token).
pub const PRIVILEGED_KEY: u32 = 0x0000_0100;
