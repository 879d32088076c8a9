//! The send queue: taking requests out of it.

use vrnic_abi::cqe::WorkStatus;
use vrnic_abi::doorbell;
use vrnic_abi::wqe::{BASIC_BLOCK, ControlSegment, MAX_BLOCKS};
use zerocopy::FromBytes;

use super::decode::decode;
use crate::dma::Dma;
use crate::doorbells::DoorbellMemory;
use crate::rc::SendRequest;
use crate::ring::{BadIndex, RingMemory};

/// Most basic blocks (logarithm).
pub(crate) const SQ_LOG2_MAX: u8 = 18;

/// A send queue, with private copies of its indexes, which count basic blocks.
pub(crate) struct SendQueue {
    ring: RingMemory,
    /// Where the doorbell word is.
    word: u64,
    /// What the driver has posted.
    producer: u32,
    /// What we have taken.
    taken: u32,
}

impl SendQueue {
    /// The send queue of the queue pair with that index. Its doorbell word is zero.
    pub fn new(ring: RingMemory, qp_index: u32, doorbells: &DoorbellMemory) -> Self {
        let word = doorbell::QP + u64::from(qp_index) * doorbell::QP_STRIDE + doorbell::QP_SQ_PRODUCER;
        doorbells.store(word, 0);
        Self {
            ring,
            word,
            producer: 0,
            taken: 0,
        }
    }

    /// Takes over the driver's index.
    ///
    /// # Errors
    /// It went back, or is more than the ring ahead.
    pub fn refresh(&mut self, doorbells: &DoorbellMemory) -> Result<(), BadIndex> {
        let producer = doorbells.load(self.word);
        let posted = producer.wrapping_sub(self.taken);
        if posted < self.left() || posted > self.ring.entries() {
            return Err(BadIndex);
        }
        self.producer = producer;
        Ok(())
    }

    fn left(&self) -> u32 {
        self.producer.wrapping_sub(self.taken)
    }

    /// Takes the next request. False: there is none that we know of.
    pub fn take(&mut self, dma: &mut Dma, request: &mut SendRequest) -> bool {
        if self.left() == 0 {
            return false;
        }
        request.index = self.taken;
        let mut blocks = [0; BASIC_BLOCK * MAX_BLOCKS];
        if let Some((bytes, count)) = self.read(dma, &mut blocks) {
            decode(self.taken, bytes, request);
            self.taken = self.taken.wrapping_add(count);
        } else {
            // Where the next request begins is not known: this one stands for all of them.
            request.opcode = blocks[0];
            request.fault = Some(WorkStatus::LOCAL_OPERATION);
            self.taken = self.producer;
        }
        true
    }

    /// Copies the next request: its bytes, and how many blocks it has. None if it has a length that cannot be, or cannot be read.
    fn read<'a>(
        &self,
        dma: &mut Dma,
        blocks: &'a mut [u8; BASIC_BLOCK * MAX_BLOCKS],
    ) -> Option<(&'a [u8], u32)> {
        let (first, rest) = blocks.split_at_mut(BASIC_BLOCK);
        dma.read(self.ring.entry(self.taken), first).ok()?;
        let (control, _) = ControlSegment::read_from_prefix(first).ok()?;
        let length = usize::from(control.length16) * size_of::<ControlSegment>();
        let count = u32::try_from(length.div_ceil(BASIC_BLOCK)).ok()?;
        if count == 0 || count > self.left() || length > BASIC_BLOCK * MAX_BLOCKS {
            return None;
        }
        for (block, index) in rest.chunks_mut(BASIC_BLOCK).zip(1..count) {
            let addr = self.ring.entry(self.taken.wrapping_add(index));
            dma.read(addr, block).ok()?;
        }
        Some((&blocks[..length], count))
    }
}
