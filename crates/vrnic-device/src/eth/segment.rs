//! Large sends: one TCP packet, cut into segments that fit the MTU.
//!
//! The segments are made in place: the headers of each are written right in front of its payload, over the payload of the one before,
//! which has been sent. So no byte of payload is copied.

use std::ops::Range;

use super::ADDRESSES;
use super::checksum;
use super::headers::{Extent, Family, Headers, Transport};
use crate::vlan;

/// Where fields are in the headers.
const IPV4_TOTAL_LENGTH: usize = 2;
const IPV4_IDENTIFICATION: usize = 4;
const IPV6_PAYLOAD_LENGTH: usize = 4;
const IPV6_HEADER: usize = 40;
const TCP_SEQUENCE: usize = 4;
const TCP_FLAGS: usize = 13;

const FIN: u8 = 1 << 0;
const SYN: u8 = 1 << 1;
const RST: u8 = 1 << 2;
const PSH: u8 = 1 << 3;
const URG: u8 = 1 << 5;
const CWR: u8 = 1 << 7;

/// Why a frame cannot be sent as a large send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// No TCP packet, or one that must not be cut.
    Headers,
    /// A segment would be longer than the MTU.
    Length,
}

/// The large send that a queue is at, if it is at one.
pub(super) struct LargeSend {
    /// A copy of all headers; its memory is kept.
    template: Vec<u8>,
    /// Where they are. None: there is no large send under way.
    headers: Option<Headers>,
    segment_size: usize,
    /// Where the payload begins and ends, in the memory that the frame stands in.
    begin: usize,
    end: usize,
    /// Where the payload of the next segment begins.
    next: usize,
    /// Segments that have been made.
    made: u32,
}

impl LargeSend {
    /// None is under way. `longest` bytes is the longest segment that there can be.
    pub fn new(longest: usize) -> Self {
        Self {
            template: Vec::with_capacity(longest),
            headers: None,
            segment_size: 0,
            begin: 0,
            end: 0,
            next: 0,
            made: 0,
        }
    }

    /// Begins with the frame that stands in `memory` from `at` on; each segment gets the VLAN tag, if there is one, for which there is
    /// room in front of the frame.
    ///
    /// # Errors
    /// See [`Unfit`].
    pub fn begin(
        &mut self,
        memory: &[u8],
        at: usize,
        tag: Option<u16>,
        segment_size: u16,
        mtu: usize,
    ) -> Result<(), Unfit> {
        let frame = &memory[at..];
        let headers = Headers::find(frame, Extent::Frame)
            .filter(|headers| may_be_cut(frame, headers))
            .ok_or(Unfit::Headers)?;
        let segment_size = usize::from(segment_size);
        if headers.payload - headers.network + segment_size > mtu {
            return Err(Unfit::Length);
        }
        let (addresses, rest) = frame[..headers.payload].split_at(ADDRESSES);
        let tag = tag.map(vlan::tag_bytes);
        let tag = tag.as_ref().map_or(&[][..], |tag| tag);
        self.template.clear();
        for part in [addresses, tag, rest] {
            self.template.extend_from_slice(part);
        }
        self.headers = Some(Headers {
            network: headers.network + tag.len(),
            transport_at: headers.transport_at + tag.len(),
            payload: self.template.len(),
            ..headers
        });
        self.segment_size = segment_size;
        self.begin = at + headers.payload;
        self.end = memory.len();
        self.next = self.begin;
        self.made = 0;
        Ok(())
    }

    /// One is under way.
    pub const fn is_under_way(&self) -> bool {
        self.headers.is_some()
    }

    /// Gives it up.
    pub const fn abandon(&mut self) {
        self.headers = None;
    }

    /// Makes the next segment in the memory of the frame: where it is. The last one ends the large send.
    pub fn next(&mut self, memory: &mut [u8]) -> Option<Range<usize>> {
        let headers = self.headers?;
        let payload = self.segment_size.min(self.end - self.next);
        let sent = self.next - self.begin;
        let place = self.next - self.template.len()..self.next + payload;
        let segment = &mut memory[place.clone()];
        segment[..self.template.len()].copy_from_slice(&self.template);
        self.next += payload;
        let headers = Headers {
            end: segment.len(),
            ..headers
        };
        self.adapt_network(segment, &headers);
        self.adapt_tcp(segment, &headers, sent);
        checksum::fill_network(segment, &headers);
        checksum::fill_transport(segment, &headers);
        self.made += 1;
        if self.next == self.end {
            self.headers = None;
        }
        Some(place)
    }

    fn adapt_network(&self, segment: &mut [u8], headers: &Headers) {
        let length = segment.len() - headers.network;
        let network = &mut segment[headers.network..];
        match headers.family {
            Family::V4 => {
                put16(network, IPV4_TOTAL_LENGTH, length);
                let identification = u32::from(read16(network, IPV4_IDENTIFICATION)) + self.made;
                network[IPV4_IDENTIFICATION..][..2].copy_from_slice(&identification.to_be_bytes()[2..]);
            }
            Family::V6 => put16(network, IPV6_PAYLOAD_LENGTH, length - IPV6_HEADER),
        }
    }

    /// `sent` bytes of payload are in earlier segments.
    fn adapt_tcp(&self, segment: &mut [u8], headers: &Headers, sent: usize) {
        let tcp = &mut segment[headers.transport_at..];
        if let Some(sequence) = tcp[TCP_SEQUENCE..].first_chunk_mut() {
            let number = u32::from_be_bytes(*sequence).wrapping_add(u32::try_from(sent).unwrap_or_default());
            *sequence = number.to_be_bytes();
        }
        if self.made != 0 {
            tcp[TCP_FLAGS] &= !CWR;
        }
        if self.next != self.end {
            tcp[TCP_FLAGS] &= !(FIN | PSH);
        }
    }
}

/// TCP, and with none of the flags that belong to one sequence number.
fn may_be_cut(frame: &[u8], headers: &Headers) -> bool {
    headers.transport == Transport::Tcp && frame[headers.transport_at + TCP_FLAGS] & (SYN | RST | URG) == 0
}

fn read16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Writes a value that fits: the MTU does.
fn put16(bytes: &mut [u8], at: usize, value: usize) {
    let value = u16::try_from(value).unwrap_or(u16::MAX);
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}
