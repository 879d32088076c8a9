//! One queue's way in: buffers are posted to the device, come back with frames, are lent to NDIS and returned.
//!
//! Everything here runs with the queue's lock; frames are indicated after unlocking.

use bitflags::bitflags;
use vrnic_abi::eth::EthStatus;

use super::super::config::{ETHERNET_HEADER, Offloads};
use super::super::offload::{self, Tagging};
use super::transmit::Sent;
use crate::nic::eth::EthRings;
use crate::nic::eth::completion::Completion;
use crate::os::nbl::{Borrowed, ReceiveBuffer, ReceiveChain, ReceiveInfo};
use crate::os::pool::{PoolSlice, PoolVec};

/// Completions that are taken at a time.
pub const BATCH: usize = 64;

bitflags! {
    /// Why a queue hands no frames to NDIS.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Shut: u8 {
        /// NDIS has paused the adapter.
        const PAUSED = 1 << 0;
        /// The device does not have the queue: nothing is posted and nothing read.
        const STOPPED = 1 << 1;
    }
}

/// What is done with received frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Which verdicts are passed on.
    pub offloads: Offloads,
    /// What of tags is passed on.
    pub tagging: Tagging,
}

/// What has been found in the completion ring, to be dealt with without the lock.
pub struct Found {
    /// Frames sent.
    pub sent: [Sent; BATCH],
    /// So many of them.
    pub sent_count: usize,
    /// Frames received, whose buffers are lent.
    pub lent: ReceiveChain,
    /// Frames received, whose buffers are needed.
    pub shown: Borrowed<BATCH>,
    /// Completions, of both kinds.
    pub count: usize,
    /// Counts restarts of the queue.
    pub life: u32,
}

impl Found {
    /// Nothing.
    pub const fn new() -> Self {
        Self {
            sent: [(0, EthStatus::OK); BATCH],
            sent_count: 0,
            lent: ReceiveChain::new(),
            shown: Borrowed::new(),
            count: 0,
            life: 0,
        }
    }
}

/// How reading went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// There was something, and may be more.
    Some,
    /// There is nothing, and the queue is armed.
    Nothing,
    /// The device wrote what cannot be.
    Garbage,
}

/// The receive half of a queue, and the completion ring.
pub struct Receive {
    shut: Shut,
    /// A processor takes completions. It looks at the ring once more, with the lock, before it stops.
    busy: bool,
    /// Completions read.
    consumer: u32,
    /// Descriptors written, and completed; all run freely.
    produced: u32,
    consumed: u32,
    /// By slot: the buffer that the device has.
    posted: PoolSlice<Option<ReceiveBuffer>>,
    free: PoolVec<ReceiveBuffer>,
    /// Buffers at NDIS.
    lent: u32,
    /// All buffers.
    total: u32,
    /// Bytes of each.
    size: u32,
    mask: u32,
    life: u32,
}

impl Receive {
    /// With all its buffers free, and shut.
    pub fn new(posted: PoolSlice<Option<ReceiveBuffer>>, free: PoolVec<ReceiveBuffer>, size: u32) -> Self {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Self {
            shut: Shut::PAUSED | Shut::STOPPED,
            busy: false,
            consumer: 0,
            produced: 0,
            consumed: 0,
            mask: number(posted.len()) - 1,
            total: number(free.len()),
            posted,
            free,
            lent: 0,
            size,
            life: 0,
        }
    }

    /// Takes the right to read completions. False: somebody has it, and will look again.
    pub fn enter(&mut self) -> bool {
        !core::mem::replace(&mut self.busy, true)
    }

    /// Gives the right back, though there may be more: somebody will enter again.
    pub fn leave(&mut self) {
        self.busy = false;
    }

    /// Whether NDIS has no buffer, and gets none.
    pub fn is_idle(&self) -> bool {
        self.lent == 0 && !self.busy
    }

    /// Reads up to `most` completions. With [`Read::Nothing`] the right to read is given back.
    pub fn read(&mut self, rings: &EthRings, most: usize, rules: &Rules, found: &mut Found) -> Read {
        found.life = self.life;
        if self.shut.contains(Shut::STOPPED) {
            self.leave();
            return Read::Nothing;
        }
        while found.count < most.min(BATCH) {
            let Some(completion) = rings.completion(self.consumer) else {
                break;
            };
            self.consumer = self.consumer.wrapping_add(1);
            found.count += 1;
            if !completion.is_receive() {
                found.sent[found.sent_count] = (completion.index(), completion.status());
                found.sent_count += 1;
            } else if !self.take(&completion, rules, found) {
                return Read::Garbage;
            }
        }
        if found.count != 0 {
            // Before anything is posted again: the ring then has room for it.
            rings.ring_consumer(self.consumer);
            return Read::Some;
        }
        self.leave();
        rings.arm(self.consumer);
        Read::Nothing
    }

    /// Takes a received frame; whether it can be.
    fn take(&mut self, completion: &Completion, rules: &Rules, found: &mut Found) -> bool {
        if completion.index() != self.consumed || self.consumed == self.produced {
            return false;
        }
        let place = &mut self.posted[(self.consumed & self.mask) as usize];
        self.consumed = self.consumed.wrapping_add(1);
        let Some(mut buffer) = place.take() else {
            return false;
        };
        let length = completion.length();
        let good = completion.status() == EthStatus::OK;
        if good && length > self.size {
            self.give_back(buffer);
            return false;
        }
        let tag = rules.tagging.of_receive(completion.flags(), completion.vlan());
        let (Some(tag), true) = (tag, good && length >= ETHERNET_HEADER && self.shut.is_empty()) else {
            self.give_back(buffer);
            return true;
        };
        buffer.fill(
            length,
            &ReceiveInfo {
                checksum: offload::verdicts(completion.flags(), rules.offloads),
                tag,
                hash: completion.hash(),
                hash_info: offload::hash_info(completion),
            },
        );
        if self.is_low() {
            if let Some(buffer) = found.shown.push(buffer) {
                self.give_back(buffer); // Cannot be: there is room for all completions.
            }
        } else {
            self.lent += 1;
            found.lent.push(buffer);
        }
        true
    }

    /// Whether the device would run out of buffers if NDIS kept one more.
    fn is_low(&self) -> bool {
        self.lent >= self.total - self.total / 4
    }

    /// A buffer that NDIS does not have is free.
    pub fn give_back(&mut self, buffer: ReceiveBuffer) {
        // There is room for all: made with that capacity.
        let result = self.free.push(buffer);
        debug_assert!(result.is_ok(), "more buffers than there are");
    }

    /// NDIS returns a buffer.
    pub fn returned(&mut self, buffer: ReceiveBuffer) {
        debug_assert!(self.lent != 0, "a buffer that was not lent");
        self.lent = self.lent.saturating_sub(1);
        self.give_back(buffer);
    }

    /// Posts the free buffers.
    pub fn post(&mut self, rings: &EthRings) {
        if self.shut.contains(Shut::STOPPED) || self.free.is_empty() {
            return;
        }
        while self.produced.wrapping_sub(self.consumed) <= self.mask
            && let Some(buffer) = self.free.pop()
        {
            rings.write_receive(self.produced, buffer.address(), self.size);
            self.posted[(self.produced & self.mask) as usize] = Some(buffer);
            self.produced = self.produced.wrapping_add(1);
        }
        rings.ring_receive(self.produced);
    }

    /// Hands nothing to NDIS any more.
    pub fn shut(&mut self, why: Shut) {
        self.shut |= why;
    }

    /// That reason is gone.
    pub fn open(&mut self, why: Shut) {
        self.shut -= why;
    }

    /// The device does not have the queue any more: all its buffers are free.
    pub fn clear(&mut self) {
        while self.consumed != self.produced {
            if let Some(buffer) = self.posted[(self.consumed & self.mask) as usize].take() {
                self.give_back(buffer);
            }
            self.consumed = self.consumed.wrapping_add(1);
        }
        self.consumer = 0;
        self.produced = 0;
        self.consumed = 0;
        self.life = self.life.wrapping_add(1);
    }

    /// Asks for an event for the next completion.
    pub fn arm(&self, rings: &EthRings) {
        rings.arm(self.consumer);
    }
}
