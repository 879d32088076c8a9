//! One queue's way out: lists of NDIS become descriptors, and completions send the lists back.
//!
//! Everything here runs with the queue's lock. Lists that find no room wait; whoever takes completions goes on with them.

use bitflags::bitflags;
use ndk_sys::{
    NDIS_STATUS, NDIS_STATUS_ADAPTER_NOT_READY, NDIS_STATUS_FAILURE, NDIS_STATUS_INVALID_LENGTH,
    NDIS_STATUS_LOW_POWER_STATE, NDIS_STATUS_MEDIA_DISCONNECTED, NDIS_STATUS_PAUSED,
    NDIS_STATUS_RESET_IN_PROGRESS, NDIS_STATUS_RESOURCES, NDIS_STATUS_SEND_ABORTED, NDIS_STATUS_SUCCESS,
};
use vrnic_abi::eth::{EthStatus, MAX_TX_PIECES, TX_NO_COMPLETION};

use super::super::config::ETHERNET_HEADER;
use super::super::offload::{self, Tagging};
use super::MAX_LARGE_SEND;
use crate::nic::eth::EthRings;
use crate::nic::eth::descriptor::{Offload, piece, without};
use crate::os::dma::{CopySpace, FrameSlots};
use crate::os::nbl::{EndedChain, NetBuffer, SendList, Waiting};
use crate::os::pool::PoolSlice;

/// Frames up to this are copied: that is cheaper than mapping them. A whole one without jumbo frames is among them, with its tag.
pub const COPY: usize = 1536;
/// Frames in too many pieces are copied to a space of this size, one at a time.
pub const LARGE_COPY: usize = 0x1_0000;
/// Frames without a completion of their own in a row, at most.
const SILENT: u32 = 15;
/// Bytes of a VLAN tag.
const TAG: u32 = 4;

const PIECES: u32 = MAX_TX_PIECES as u32;

bitflags! {
    /// Why a queue takes nothing to send.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Closed: u8 {
        /// NDIS has paused the adapter.
        const PAUSED = 1 << 0;
        /// It sleeps.
        const ASLEEP = 1 << 1;
        /// It is being reset.
        const RESET = 1 << 2;
        /// The device does not work.
        const DEAD = 1 << 3;
        /// There is no link.
        const DISCONNECTED = 1 << 4;
    }
}

impl Closed {
    /// What a list is completed with.
    pub const fn status(self) -> NDIS_STATUS {
        if self.contains(Self::PAUSED) {
            NDIS_STATUS_PAUSED
        } else if self.contains(Self::ASLEEP) {
            NDIS_STATUS_LOW_POWER_STATE
        } else if self.contains(Self::RESET) {
            NDIS_STATUS_RESET_IN_PROGRESS
        } else if self.contains(Self::DEAD) {
            NDIS_STATUS_ADAPTER_NOT_READY
        } else {
            NDIS_STATUS_MEDIA_DISCONNECTED
        }
    }
}

/// What became of a buffer that was to be sent.
enum Start {
    /// It is in flight.
    Done,
    /// There is no room now; a completion will come.
    Full,
    /// It cannot be sent.
    Refused(NDIS_STATUS),
}

/// A completion of a frame.
pub type Sent = (u32, EthStatus);

/// The transmit half of a queue.
pub struct Transmit {
    closed: Closed,
    waiting: Waiting,
    slots: FrameSlots,
    /// By the slot of its first descriptor: pieces of a frame.
    pieces: PoolSlice<u8>,
    /// For small frames, by slot.
    copies: CopySpace,
    /// For one in too many pieces.
    large_copies: CopySpace,
    /// The large copy belongs to the frame with this first descriptor.
    large_copy: Option<u32>,
    /// Descriptors written, and of frames that are done; both run freely.
    produced: u32,
    consumed: u32,
    /// Descriptors that the device has been told of.
    rung: u32,
    /// Descriptors that the device may have at a time.
    limit: u32,
    mask: u32,
    /// The last frame written and the second word of its descriptor, while it has no completion of its own.
    silent: Option<(u32, u64)>,
    silent_frames: u32,
    /// Ticks without a completion while there are frames in flight.
    still: u32,
    /// Counts restarts of the queue: completions of an earlier life are not looked at.
    life: u32,
    /// Largest payload.
    mtu: u32,
    tagging: Tagging,
}

impl Transmit {
    /// Nothing is in flight, and the queue is closed. `mask` is the number of slots less one.
    pub fn new(
        slots: FrameSlots,
        pieces: PoolSlice<u8>,
        [copies, large_copies]: [CopySpace; 2],
        limit: u32,
        mtu: u32,
        tagging: Tagging,
    ) -> Self {
        let mask = u32::try_from(pieces.len()).unwrap_or(1) - 1;
        Self {
            closed: Closed::PAUSED | Closed::RESET,
            waiting: Waiting::new(),
            slots,
            pieces,
            copies,
            large_copies,
            large_copy: None,
            produced: 0,
            consumed: 0,
            rung: 0,
            limit,
            mask,
            silent: None,
            silent_frames: 0,
            still: 0,
            life: 0,
            mtu,
            tagging,
        }
    }

    fn slot(&self, index: u32) -> usize {
        (index & self.mask) as usize
    }

    /// Whether nothing waits and nothing is in flight.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.produced == self.consumed
    }

    /// Descriptors that the device has.
    pub fn in_flight(&self) -> u32 {
        self.produced.wrapping_sub(self.consumed)
    }

    /// Counts restarts of the queue.
    pub fn life(&self) -> u32 {
        self.life
    }

    /// The VLAN that the adapter belongs to.
    pub fn set_tagging(&mut self, tagging: Tagging) {
        self.tagging = tagging;
    }

    /// Sends a list, has it wait, or refuses it.
    pub fn send(&mut self, rings: &EthRings, list: SendList, ended: &mut EndedChain) {
        if !self.closed.is_empty() {
            ended.extend(list.end(self.closed.status()));
        } else if self.waiting.is_empty() {
            if let Some(rest) = self.start(rings, list, ended) {
                self.waiting.push_front(rest);
            }
        } else {
            self.waiting.push(list);
        }
    }

    /// Goes on with lists that wait.
    pub fn go_on(&mut self, rings: &EthRings, ended: &mut EndedChain) {
        while let Some(list) = self.waiting.pop() {
            if let Some(rest) = self.start(rings, list, ended) {
                self.waiting.push_front(rest);
                return;
            }
        }
    }

    /// Tells the device of what has been written.
    pub fn flush(&mut self, rings: &EthRings) {
        if let Some((index, word)) = self.silent.take() {
            // Somebody has to tell of the batch.
            rings.rewrite_transmit(index, without(word, TX_NO_COMPLETION));
        }
        self.silent_frames = 0;
        if self.rung != self.produced {
            self.rung = self.produced;
            rings.ring_transmit(self.produced);
        }
    }

    /// Starts to send the buffers of a list; what is left of it if there is no room for all.
    fn start(&mut self, rings: &EthRings, mut list: SendList, ended: &mut EndedChain) -> Option<SendList> {
        let request = list.request();
        let offload = offload::of_send(request.checksum, request.large_send, request.tag, self.tagging);
        while list.front().is_some() {
            match self.start_buffer(rings, &mut list, offload) {
                Start::Done => {}
                Start::Full => return Some(list),
                Start::Refused(status) => {
                    ended.extend(list.end(status));
                    return None;
                }
            }
        }
        ended.extend(list.end(NDIS_STATUS_SUCCESS));
        None
    }

    fn start_buffer(&mut self, rings: &EthRings, list: &mut SendList, offload: Offload) -> Start {
        let length = list.front().map_or(0, NetBuffer::length);
        let longest = if offload.segment_size == 0 {
            self.mtu + ETHERNET_HEADER + TAG
        } else {
            MAX_LARGE_SEND
        };
        if !(ETHERNET_HEADER..=longest).contains(&length) {
            return Start::Refused(NDIS_STATUS_INVALID_LENGTH);
        }
        // One that is mapped must not find out that it does not fit.
        if self.produced.wrapping_sub(self.consumed) + PIECES > self.limit {
            return Start::Full;
        }
        let quiet = self.silent_frames < SILENT;
        let offload = Offload {
            flags: offload.flags | if quiet { TX_NO_COMPLETION } else { 0 },
            ..offload
        };
        let first = self.produced;
        let pieces = if length as usize <= COPY && self.copy_small(rings, list, offload) {
            1
        } else {
            match self.map(rings, list, offload) {
                Ok(pieces) => pieces,
                Err(start) => return start,
            }
        };
        self.pieces[(first & self.mask) as usize] = pieces;
        if self.produced == self.consumed {
            self.still = 0;
        }
        self.produced = first.wrapping_add(pieces.into());
        if quiet {
            self.silent_frames += 1;
        } else {
            self.silent = None;
            self.silent_frames = 0;
        }
        Start::Done
    }

    fn copy_small(&mut self, rings: &EthRings, list: &mut SendList, offload: Offload) -> bool {
        let slot = self.slot(self.produced);
        let Some(address) = self.copies.copy(slot, list) else {
            return false;
        };
        self.write_copy(rings, list, offload, address)
    }

    fn copy_large(&mut self, rings: &EthRings, list: &mut SendList, offload: Offload) -> Result<u8, Start> {
        if self.large_copy.is_some() {
            return Err(Start::Full);
        }
        let address = self.large_copies.copy(0, list);
        let address = address.ok_or(Start::Refused(NDIS_STATUS_RESOURCES))?;
        self.large_copy = Some(self.produced);
        if self.write_copy(rings, list, offload, address) {
            Ok(1)
        } else {
            Err(Start::Refused(NDIS_STATUS_INVALID_LENGTH))
        }
    }

    fn write_copy(&mut self, rings: &EthRings, list: &mut SendList, offload: Offload, address: u64) -> bool {
        let length = list.front().map_or(0, NetBuffer::length);
        let Ok(length) = u16::try_from(length) else {
            return false;
        };
        let word = piece(length, Some(offload), true);
        rings.write_transmit(self.produced, address, word);
        self.silent = Some((self.produced, word));
        let slot = self.slot(self.produced);
        self.slots.copied(slot, list);
        true
    }

    /// Maps a frame, or copies it if it is in too many pieces.
    fn map(&mut self, rings: &EthRings, list: &mut SendList, offload: Offload) -> Result<u8, Start> {
        let (first, slot) = (self.produced, self.slot(self.produced));
        let mut count = 0;
        let mut first_word = 0;
        let mapped = self.slots.map(slot, list, |pieces, each| {
            count = pieces;
            if !(1..=PIECES as usize).contains(&pieces) {
                return false;
            }
            let mut index = first;
            for (address, length) in each {
                // Longer frames have been refused.
                let length = u16::try_from(length).unwrap_or(0);
                let offload = (index == first).then_some(offload);
                let is_end = index.wrapping_sub(first) as usize == pieces - 1;
                let word = piece(length, offload, is_end);
                if index == first {
                    first_word = word;
                }
                rings.write_transmit(index, address, word);
                index = index.wrapping_add(1);
            }
            true
        });
        match mapped {
            Ok(true) => {
                self.silent = Some((first, first_word));
                u8::try_from(count).map_err(|_| Start::Refused(NDIS_STATUS_RESOURCES))
            }
            Ok(false) => self.copy_large(rings, list, offload),
            // What is in flight gives resources back.
            Err(_) if self.produced != self.consumed => Err(Start::Full),
            Err(_) => Err(Start::Refused(NDIS_STATUS_RESOURCES)),
        }
    }

    /// The device is done with the frame at `index`, and with those before it. Whether that can be.
    pub fn complete(&mut self, (index, status): Sent, ended: &mut EndedChain) -> bool {
        let ahead = index.wrapping_sub(self.consumed);
        if ahead >= self.produced.wrapping_sub(self.consumed) {
            return false;
        }
        self.still = 0;
        while self.consumed != index {
            self.retire(NDIS_STATUS_SUCCESS, ended);
            // `index` has to be the first descriptor of a frame.
            if index.wrapping_sub(self.consumed) > ahead {
                return false;
            }
        }
        self.retire(status_of(status), ended);
        true
    }

    /// The oldest frame is done with.
    fn retire(&mut self, status: NDIS_STATUS, ended: &mut EndedChain) {
        let slot = self.slot(self.consumed);
        if self.large_copy == Some(self.consumed) {
            self.large_copy = None;
        }
        if let Some(frame) = self.slots.take(slot) {
            ended.extend(frame.done(status));
        }
        self.consumed = self.consumed.wrapping_add(u32::from(self.pieces[slot]).max(1));
    }

    /// Takes nothing more for that reason, and ends what waits; frames in flight are the device's.
    pub fn close(&mut self, why: Closed, ended: &mut EndedChain) {
        self.closed |= why;
        while let Some(list) = self.waiting.pop() {
            ended.extend(list.end(self.closed.status()));
        }
    }

    /// That reason is gone.
    pub fn open(&mut self, why: Closed) {
        self.closed -= why;
    }

    /// Ends everything: the device does not have the queue any more.
    pub fn abort(&mut self, ended: &mut EndedChain) {
        let status = self.closed.status();
        while self.produced != self.consumed {
            self.retire(status, ended);
        }
        while let Some(list) = self.waiting.pop() {
            ended.extend(list.end(status));
        }
        self.produced = 0;
        self.consumed = 0;
        self.rung = 0;
        self.silent = None;
        self.silent_frames = 0;
        self.life = self.life.wrapping_add(1);
    }

    /// Ends the lists with that cancellation id that wait.
    pub fn cancel(&mut self, id: usize, ended: &mut EndedChain) {
        self.waiting
            .cancel(id, |list| ended.extend(list.end(NDIS_STATUS_SEND_ABORTED)));
    }

    /// Called at each tick; whether there have been frames in flight and no completion for `limit` ticks.
    pub fn is_stuck(&mut self, limit: u32) -> bool {
        if self.produced == self.consumed {
            return false;
        }
        self.still = self.still.saturating_add(1);
        self.still > limit
    }
}

/// What a list gets for what became of its frame.
fn status_of(status: EthStatus) -> NDIS_STATUS {
    match status {
        EthStatus::OK => NDIS_STATUS_SUCCESS,
        EthStatus::LINK_DOWN => NDIS_STATUS_MEDIA_DISCONNECTED,
        EthStatus::BAD_LENGTH => NDIS_STATUS_INVALID_LENGTH,
        _ => NDIS_STATUS_FAILURE,
    }
}
