//! Sending: from descriptors to frames on the wire.

use vrnic_abi::doorbell::ETH_TX_PRODUCER;
use vrnic_abi::eth::{
    EthCompletion, EthStatus, MAX_LARGE_SEND, MAX_TX_PIECES, TX_END, TX_IP_CHECKSUM, TX_L4_CHECKSUM,
    TX_NO_COMPLETION, TX_VLAN, TxDescriptor,
};
use zerocopy::FromZeros;

use super::descriptor_ring::DescriptorRing;
use super::headers::{Extent, Headers, header_length};
use super::queue::{Broken, EthQueue};
use super::segment::{LargeSend, Unfit};
use super::{ADDRESSES, HEADER, TAG, checksum, traffic};
use crate::config::MTU_MAX;
use crate::device::{Device, count};
use crate::dma::Dma;
use crate::doorbells::DoorbellMemory;
use crate::host::DmaFault;
use crate::ring::RingError;
use crate::vlan;

/// Flags that the first piece of a frame may have.
const FIRST_FLAGS: u16 = TX_END | TX_IP_CHECKSUM | TX_L4_CHECKSUM | TX_VLAN | TX_NO_COMPLETION;
/// Bytes of the shortest frame, without its check sequence (IEEE 802.3).
const SHORTEST: usize = 60;
/// Bytes of the longest frame that is sent as it is, with a tag of its own and one that is inserted.
const LONGEST: usize = HEADER + 2 * TAG + MTU_MAX as usize;
/// A frame that is dropped costs a turn as much as one that is sent for each so many bytes.
const BYTES_PER_COST: usize = 4096;

/// The transmit side of a queue.
pub(super) struct Transmitter {
    ring: DescriptorRing<TxDescriptor>,
    /// The pieces of the next frame that have been taken.
    pieces: [TxDescriptor; MAX_TX_PIECES as usize],
    count: usize,
    /// The frame has more pieces than it may have: those are skipped.
    is_excessive: bool,
    /// Index of its first descriptor.
    first: u32,
    /// The bytes of the frame, behind room for a tag.
    memory: Vec<u8>,
    large: LargeSend,
}

/// How far the next frame is.
enum Next {
    /// There is nothing to do, or its last piece has not been posted.
    Nothing,
    /// All of it is there.
    Frame,
}

impl Transmitter {
    /// With the ring at `addr`; `words` is where the doorbell words of the queue begin.
    ///
    /// # Errors
    /// The ring is not aligned, or does not fit.
    pub fn new(
        dma: &mut Dma,
        addr: u64,
        log2_entries: u8,
        words: u64,
        doorbells: &DoorbellMemory,
    ) -> Result<Self, RingError> {
        Ok(Self {
            ring: DescriptorRing::new(dma, addr, log2_entries, words + ETH_TX_PRODUCER, doorbells)?,
            pieces: [TxDescriptor::new_zeroed(); MAX_TX_PIECES as usize],
            count: 0,
            is_excessive: false,
            first: 0,
            memory: vec![0; TAG + MAX_LARGE_SEND as usize],
            large: LargeSend::new(LONGEST),
        })
    }

    /// Takes the pieces of the next frame, `limit` at most.
    fn assemble(&mut self, dma: &mut Dma, limit: &mut usize) -> Result<Next, Broken> {
        while *limit != 0 {
            let Some(piece) = self.ring.peek(dma)? else {
                return Ok(Next::Nothing);
            };
            *limit -= 1;
            if self.count == 0 {
                self.first = self.ring.index();
            }
            self.ring.take();
            match self.pieces.get_mut(self.count) {
                Some(place) => {
                    *place = piece;
                    self.count += 1;
                }
                None => self.is_excessive = true,
            }
            if piece.flags.get() & TX_END != 0 {
                return Ok(Next::Frame);
            }
        }
        Ok(Next::Nothing)
    }

    /// The pieces of the frame that is complete; the next one begins.
    fn finish(&mut self) -> (usize, bool) {
        let result = (self.count, self.is_excessive);
        (self.count, self.is_excessive) = (0, false);
        result
    }
}

impl EthQueue {
    /// Sends frames and segments, `budget` at most. True if there was something to do.
    pub(super) fn transmit(&mut self, device: &mut Device, budget: &mut usize) -> Result<bool, Broken> {
        self.transmitter.ring.refresh(&device.doorbells)?;
        let mut pieces = *budget * usize::from(MAX_TX_PIECES);
        let mut worked = false;
        while *budget != 0 && self.completions.has_room(&device.doorbells)? {
            if self.transmitter.large.is_under_way() {
                self.send_segment(device)?;
                *budget -= 1;
            } else {
                let before = pieces;
                let next = self.transmitter.assemble(&mut device.dma, &mut pieces)?;
                worked |= pieces != before;
                if matches!(next, Next::Nothing) {
                    break;
                }
                *budget = budget.saturating_sub(self.send_frame(device)?);
            }
            worked = true;
        }
        Ok(worked)
    }

    /// Sends the frame that is complete, or begins a large send. What that costs.
    fn send_frame(&mut self, device: &mut Device) -> Result<usize, Broken> {
        let (count, is_excessive) = self.transmitter.finish();
        let flags = self.transmitter.pieces[0].flags.get();
        let sent = if is_excessive {
            Err((EthStatus::BAD_DESCRIPTOR, 0))
        } else {
            self.transmitter.send(device, count)
        };
        match sent {
            Ok(Sent::Whole) if flags & TX_NO_COMPLETION != 0 => Ok(1),
            Ok(Sent::Whole) => self.complete_frame(device, EthStatus::OK).map(|()| 1),
            Ok(Sent::Begun) => Ok(0),
            Err((status, bytes)) => self
                .drop_frame(device, status)
                .map(|()| 1 + bytes / BYTES_PER_COST),
        }
    }

    /// Sends the next segment of the large send.
    fn send_segment(&mut self, device: &mut Device) -> Result<(), Broken> {
        let Transmitter {
            large,
            memory,
            pieces,
            ..
        } = &mut self.transmitter;
        if !device.link_up {
            large.abandon();
            return self.drop_frame(device, EthStatus::LINK_DOWN);
        }
        if let Some(place) = large.next(memory) {
            device.transmit_ethernet(&memory[place]);
        }
        let is_quiet = pieces[0].flags.get() & TX_NO_COMPLETION != 0;
        if large.is_under_way() || is_quiet {
            return Ok(());
        }
        self.complete_frame(device, EthStatus::OK)
    }

    fn drop_frame(&mut self, device: &mut Device, status: EthStatus) -> Result<(), Broken> {
        let statistics = &mut device.statistics;
        let counter = match status {
            EthStatus::LINK_DOWN => &mut statistics.eth_out_discards,
            _ => &mut statistics.eth_out_errors,
        };
        count(counter, 1);
        self.complete_frame(device, status)
    }

    fn complete_frame(&mut self, device: &mut Device, status: EthStatus) -> Result<(), Broken> {
        let completion = EthCompletion {
            index: self.transmitter.first.into(),
            status: status.0,
            ..EthCompletion::new_zeroed()
        };
        self.complete(device, completion)
    }
}

/// What became of a frame that is good.
enum Sent {
    Whole,
    /// Its segments are sent from now on.
    Begun,
}

impl Transmitter {
    /// Sends the frame of the first `count` pieces.
    ///
    /// # Errors
    /// It is dropped: why, and how many bytes had been read.
    fn send(&mut self, device: &mut Device, count: usize) -> Result<Sent, (EthStatus, usize)> {
        let free = |status| (status, 0);
        let pieces = &self.pieces[..count];
        if !are_good(pieces) {
            return Err(free(EthStatus::BAD_DESCRIPTOR));
        }
        if !device.link_up {
            return Err(free(EthStatus::LINK_DOWN));
        }
        let first = pieces[0];
        let mtu = device.ethernet.port.mtu;
        let is_large = first.segment_size.get() != 0;
        let longest = if is_large {
            MAX_LARGE_SEND as usize
        } else {
            HEADER + TAG + mtu
        };
        let length = pieces.iter().map(|piece| usize::from(piece.length.get())).sum();
        if !(HEADER..=longest).contains(&length) {
            return Err(free(EthStatus::BAD_LENGTH));
        }
        let costly = |status| (status, length);
        gather(&mut device.dma, pieces, &mut self.memory[TAG..]).map_err(costly)?;
        if is_large {
            return self.begin_large(&first, length, mtu).map_err(costly);
        }
        let frame = self.prepare(&first, length, mtu).map_err(costly)?;
        device.transmit_ethernet(frame);
        Ok(Sent::Whole)
    }

    /// Makes the frame that has been gathered ready to be sent.
    fn prepare(&mut self, first: &TxDescriptor, length: usize, mtu: usize) -> Result<&[u8], EthStatus> {
        let frame = &mut self.memory[TAG..TAG + length];
        if length.saturating_sub(header_length(frame)) > mtu {
            return Err(EthStatus::BAD_LENGTH);
        }
        fill_checksums(frame, first.flags.get()).ok_or(EthStatus::BAD_HEADERS)?;
        let Some(tag) = tag_to_insert(first) else {
            return Ok(&self.memory[TAG..TAG + length]);
        };
        self.memory.copy_within(TAG..TAG + ADDRESSES, 0);
        self.memory[ADDRESSES..ADDRESSES + TAG].copy_from_slice(&vlan::tag_bytes(tag));
        Ok(&self.memory[..TAG + length])
    }

    /// Begins to send the frame that has been gathered in segments.
    fn begin_large(&mut self, first: &TxDescriptor, length: usize, mtu: usize) -> Result<Sent, EthStatus> {
        let memory = &self.memory[..TAG + length];
        let (tag, size) = (tag_to_insert(first), first.segment_size.get());
        self.large
            .begin(memory, TAG, tag, size, mtu)
            .map(|()| Sent::Begun)
            .map_err(|unfit| match unfit {
                Unfit::Headers => EthStatus::BAD_HEADERS,
                Unfit::Length => EthStatus::BAD_LENGTH,
            })
    }
}

/// Whether the pieces of a frame are what the manual allows.
fn are_good(pieces: &[TxDescriptor]) -> bool {
    let Some((first, others)) = pieces.split_first() else {
        return false;
    };
    let flags = first.flags.get();
    let is_good_first = flags & !FIRST_FLAGS == 0 && (flags & TX_VLAN != 0 || first.vlan.get() == 0);
    let is_good_other = |piece: &TxDescriptor| {
        piece.flags.get() & !TX_END == 0 && piece.segment_size.get() == 0 && piece.vlan.get() == 0
    };
    is_good_first && others.iter().all(is_good_other) && pieces.iter().all(|piece| piece.length.get() != 0)
}

fn tag_to_insert(first: &TxDescriptor) -> Option<u16> {
    (first.flags.get() & TX_VLAN != 0).then(|| first.vlan.get())
}

/// Copies the pieces of a frame together; they fit.
fn gather(dma: &mut Dma, pieces: &[TxDescriptor], mut memory: &mut [u8]) -> Result<(), EthStatus> {
    for piece in pieces {
        let (place, rest) = memory.split_at_mut(piece.length.get().into());
        dma.read(piece.addr.get(), place)
            .map_err(|DmaFault { .. }| EthStatus::DMA_FAULT)?;
        memory = rest;
    }
    Ok(())
}

/// Fills in the checksums that are asked for. None: the frame has no place for one.
fn fill_checksums(frame: &mut [u8], flags: u16) -> Option<()> {
    if flags & (TX_IP_CHECKSUM | TX_L4_CHECKSUM) == 0 {
        return Some(());
    }
    let headers = Headers::find(frame, Extent::Header)?;
    if flags & TX_IP_CHECKSUM != 0 {
        checksum::fill_network(frame, &headers);
    }
    let is_filled = flags & TX_L4_CHECKSUM == 0 || checksum::fill_transport(frame, &headers);
    is_filled.then_some(())
}

impl Device {
    /// Sends a frame of an Ethernet queue.
    fn transmit_ethernet(&mut self, frame: &[u8]) {
        let mut padded = [0; SHORTEST];
        let frame = match padded.get_mut(..frame.len()) {
            Some(place) => {
                place.copy_from_slice(frame);
                &padded
            }
            None => frame,
        };
        count(&mut self.statistics.eth_out_frames, 1);
        count(&mut self.statistics.eth_out_octets, frame.len() as u64);
        traffic::count_out(&mut self.statistics, frame);
        self.transmit_to_wire(frame);
    }
}
