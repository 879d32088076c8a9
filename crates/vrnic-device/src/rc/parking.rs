//! Packets that wait for a receive: a SEND that comes a little early is not answered with an RNR NAK, which would end the connection of a
//! peer that retries zero times (Linux's SMB Direct does).

use std::collections::VecDeque;

use super::TransportConfig;
use super::host::Host;
use super::psn::{Seq, packets};
use super::request::{Kind, Request};

/// The packets that wait, in order: the first one is the responder's expected one.
pub(super) struct Parking {
    /// Nanoseconds; 0: nothing is held.
    hold: u64,
    max_packets: usize,
    packets: VecDeque<Parked>,
    /// The packet that may be parked next.
    next: Seq,
    due: Option<u64>,
    /// This packet has been answered with an RNR NAK already: it is not held again.
    refused: Option<Seq>,
}

/// A packet with its own copy of the payload.
pub(super) struct Parked {
    request: Request<'static>,
    payload: Box<[u8]>,
}

impl Parked {
    pub fn request(&self) -> Request<'_> {
        Request {
            payload: &self.payload,
            ..self.request
        }
    }
}

impl Parking {
    pub fn new(config: &TransportConfig) -> Self {
        Self {
            hold: u64::try_from(config.rnr_hold.as_nanos()).unwrap_or(u64::MAX),
            max_packets: config.max_parked,
            packets: VecDeque::new(),
            next: Seq::default(),
            due: None,
            refused: None,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// When the first packet has been held long enough.
    pub const fn deadline(&self) -> Option<u64> {
        self.due
    }

    pub fn is_due(&self, now: u64) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// Begins to hold: `request` is the packet that needs a receive. False: it is not to be held.
    pub fn begin<H: Host>(&mut self, host: &mut H, request: &Request<'_>, seq: Seq, mtu: u32) -> bool {
        self.next = seq;
        if self.hold == 0 || self.refused == Some(seq) || !self.park(host, request, mtu) {
            return false;
        }
        self.due = Some(host.now().saturating_add(self.hold));
        true
    }

    /// Holds a packet that comes behind those that wait. What does not fit in, or is not the next one, is dropped: it comes again.
    pub fn follow<H: Host>(&mut self, host: &mut H, request: &Request<'_>, seq: Seq, mtu: u32) {
        if seq == self.next {
            self.park(host, request, mtu);
        }
    }

    fn park<H: Host>(&mut self, host: &mut H, request: &Request<'_>, mtu: u32) -> bool {
        let bytes = request.payload.len();
        if self.packets.len() >= self.max_packets || !host.reserve(bytes) {
            return false;
        }
        let count = match request.kind {
            Kind::Read(header) => packets(header.dma_length, mtu),
            _ => 1,
        };
        self.next = self.next.after(count);
        self.packets.push_back(Parked {
            request: Request {
                payload: &[],
                ..*request
            },
            payload: request.payload.into(),
        });
        true
    }

    /// The packet whose turn it is: to be given back with [`Self::drop_packet`] or [`Self::put_back`].
    pub fn pop(&mut self) -> Option<Parked> {
        self.packets.pop_front()
    }

    pub fn put_back(&mut self, packet: Parked) {
        self.packets.push_front(packet);
    }

    pub fn drop_packet<H: Host>(&mut self, host: &mut H, packet: &Parked) {
        host.release(packet.payload.len());
        // What comes behind gets a time of its own.
        self.due = if self.packets.is_empty() {
            None
        } else {
            Some(host.now().saturating_add(self.hold))
        };
    }

    pub fn clear<H: Host>(&mut self, host: &mut H) {
        for packet in self.packets.drain(..) {
            host.release(packet.payload.len());
        }
        self.due = None;
    }

    pub const fn refused(&mut self, seq: Seq) {
        self.refused = Some(seq);
    }
}
