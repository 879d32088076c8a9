//! Rings of receives: the receive queue of a queue pair, and the ring of a shared receive queue.

use vrnic_abi::cqe::WorkStatus;
use vrnic_abi::doorbell;
use vrnic_abi::wqe::{DataSegment, END_KEY, MAX_SGE, SrqSegment, receive_entry_size, srq_entry_size};
use zerocopy::FromBytes;

use crate::dma::Dma;
use crate::doorbells::DoorbellMemory;
use crate::host::DmaFault;
use crate::rc::{ReceiveRequest, Sge};
use crate::ring::{BadIndex, Posted, RingMemory};

/// Most entries (logarithm).
pub(crate) const RQ_LOG2_MAX: u8 = 14;
/// The largest entry, in bytes.
const MAX_ENTRY: usize = srq_entry_size(MAX_SGE as u16);

/// A ring of receives, with private copies of its indexes.
pub(crate) struct ReceiveRing {
    ring: RingMemory,
    posted: Posted,
    max_sge: usize,
    /// Entries begin with an [`SrqSegment`].
    shared: bool,
}

impl ReceiveRing {
    /// The receive queue of the queue pair with that index. Its doorbell word is zero.
    pub fn new(ring: RingMemory, qp_index: u32, max_sge: u16, doorbells: &DoorbellMemory) -> Self {
        let word = doorbell::QP + u64::from(qp_index) * doorbell::QP_STRIDE + doorbell::QP_RQ_PRODUCER;
        Self::at(ring, word, max_sge, false, doorbells)
    }

    /// The ring of a shared receive queue. Its doorbell word is zero.
    pub fn shared(ring: RingMemory, srqn: u32, max_sge: u16, doorbells: &DoorbellMemory) -> Self {
        let word = doorbell::SRQ + u64::from(srqn) * doorbell::SRQ_STRIDE + doorbell::SRQ_PRODUCER;
        Self::at(ring, word, max_sge, true, doorbells)
    }

    fn at(ring: RingMemory, word: u64, max_sge: u16, shared: bool, doorbells: &DoorbellMemory) -> Self {
        Self {
            ring,
            posted: Posted::new(word, doorbells),
            max_sge: max_sge.into(),
            shared,
        }
    }

    /// Bytes of an entry, with which its [`RingMemory`] is made.
    pub fn entry_size(&self) -> u64 {
        let max_sge = u16::try_from(self.max_sge).unwrap_or_default();
        let size = if self.shared {
            srq_entry_size(max_sge)
        } else {
            receive_entry_size(max_sge)
        };
        size as u64
    }

    /// Takes over the driver's index.
    ///
    /// # Errors
    /// It went back, or is more than the ring ahead.
    pub fn refresh(&mut self, doorbells: &DoorbellMemory) -> Result<(), BadIndex> {
        self.posted.refresh(doorbells, self.ring.entries())
    }

    /// Whether the driver's index is another than that which we know.
    pub fn is_rung(&self, doorbells: &DoorbellMemory) -> bool {
        self.posted.is_rung(doorbells)
    }

    /// Entries that we know of and have not taken.
    pub fn left(&self) -> u32 {
        self.posted.left()
    }

    /// Takes the next entry without looking at it: its index.
    pub fn skip(&mut self) -> Option<u32> {
        self.posted.take()
    }

    /// Takes the next entry. False: there is none.
    ///
    /// # Errors
    /// It could not be read. It is taken.
    pub fn take(&mut self, dma: &mut Dma, receive: &mut ReceiveRequest) -> Result<bool, DmaFault> {
        let Some(index) = self.skip() else {
            return Ok(false);
        };
        receive.index = index;
        let mut bytes = [0; MAX_ENTRY];
        let used =
            self.max_sge * size_of::<DataSegment>() + if self.shared { size_of::<SrqSegment>() } else { 0 };
        let entry = &mut bytes[..used];
        dma.read(self.ring.entry(index), entry)?;
        let mut segments = &*entry;
        if self.shared
            && let Ok((header, rest)) = SrqSegment::read_from_prefix(segments)
        {
            receive.index = header.cookie.get();
            receive.fault = (header.reserved != [0; 12]).then_some(WorkStatus::LOCAL_OPERATION);
            segments = rest;
        }
        while let Ok((segment, rest)) = DataSegment::read_from_prefix(segments) {
            if segment.key.get() == END_KEY {
                break;
            }
            let sge = Sge {
                addr: segment.addr.get(),
                length: segment.length.get(),
                key: segment.key.get(),
            };
            receive.length = receive.length.saturating_add(sge.length);
            receive.sges.push(sge);
            segments = rest;
        }
        Ok(true)
    }

    /// Uses a new ring, which already has the entries that are left. False: they do not fit.
    pub fn resize(&mut self, ring: RingMemory) -> bool {
        let fits = self.left() <= ring.entries();
        if fits {
            self.ring = ring;
        }
        fits
    }
}
