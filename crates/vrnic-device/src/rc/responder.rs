//! Executes the peer's requests in order (IBTA 9.7.4), and owes it answers, which `answers.rs` sends.

use std::collections::VecDeque;

use roce_wire::num::Psn;
use roce_wire::reth::Reth;
use vrnic_abi::cqe::WorkStatus;

use super::TransportConfig;
use super::host::{
    Access, AccessFault, Counter, Extra, Host, ReceiveCompletion, ReceiveRequest, RemoteRange,
};
use super::parking::Parking;
use super::psn::{Seq, packets};
use super::request::{Kind, Place, Request, Trailer};
use super::requester::MAX_MESSAGE;

/// AETH syndromes of NAKs (IBTA tables 45 and 47).
pub(super) const NAK_SEQUENCE: u8 = 0x60;
const NAK_INVALID_REQUEST: u8 = 0x61;
pub(super) const NAK_REMOTE_ACCESS: u8 = 0x62;
const NAK_REMOTE_OPERATIONAL: u8 = 0x63;

/// The responder of a queue pair.
pub(super) struct Responder {
    pub(super) mtu: u32,
    /// READs that are answered at the same time.
    pub max_reads: usize,
    /// The RNR timer code that goes into an RNR NAK.
    pub rnr_timer: u8,
    /// The packet that comes next.
    pub(super) expected: Seq,
    /// Messages that are complete.
    pub(super) msn: u32,
    message: Message,
    receive: ReceiveRequest,
    /// `receive` is taken, and not complete.
    has_receive: bool,
    /// A NAK for the gap at `expected` has been sent, or will be.
    pub(super) is_nak_out: bool,
    /// READs whose responses are not all sent, in order.
    pub(super) reads: VecDeque<ReadResponse>,
    /// The first packet of the latest READ.
    last_read: Option<Seq>,
    /// The packet to acknowledge.
    pub(super) ack: Option<Seq>,
    /// The NAK to send, behind all READ responses.
    pub(super) nak: Option<Nak>,
    pub(super) parking: Parking,
}

/// The message that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    None,
    Send { received: u32 },
    Write { header: Reth, received: u32 },
}

/// A READ that is being answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadResponse {
    pub first: Seq,
    pub packets: u32,
    pub sent: u32,
    pub header: Reth,
    pub msn: u32,
    /// It was answered before, and does not count.
    pub is_repeated: bool,
}

impl ReadResponse {
    fn end(&self) -> Seq {
        self.first.after(self.packets)
    }
}

/// A NAK that is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nak {
    pub seq: Seq,
    pub syndrome: u8,
    /// The queue pair goes to ERROR with it.
    pub fatal: Option<WorkStatus>,
}

/// Why a packet is not executed.
enum Refusal {
    /// It needs a receive, and there is none.
    NotReady,
    /// The connection ends.
    Fatal { syndrome: u8, status: WorkStatus },
}

impl Refusal {
    const INVALID_REQUEST: Self = Self::Fatal {
        syndrome: NAK_INVALID_REQUEST,
        status: WorkStatus::REMOTE_INVALID_REQUEST,
    };
}

impl From<AccessFault> for Refusal {
    fn from(_: AccessFault) -> Self {
        Self::Fatal {
            syndrome: NAK_REMOTE_ACCESS,
            status: WorkStatus::REMOTE_ACCESS,
        }
    }
}

impl Responder {
    pub fn new(config: &TransportConfig, psn: Psn, mtu: u32) -> Self {
        Self {
            mtu,
            max_reads: 0,
            rnr_timer: 0,
            expected: Seq::first(psn),
            msn: 0,
            message: Message::None,
            receive: ReceiveRequest::default(),
            has_receive: false,
            is_nak_out: false,
            reads: VecDeque::new(),
            last_read: None,
            ack: None,
            nak: None,
            parking: Parking::new(config),
        }
    }

    /// A request has come.
    pub fn receive<H: Host>(&mut self, host: &mut H, request: &Request<'_>) {
        if self.is_ending() {
            return;
        }
        let seq = self.expected.near(request.psn);
        if seq < self.expected {
            host.count(Counter::Duplicate);
            self.repeat(request, seq);
        } else if !self.parking.is_empty() {
            self.parking.follow(host, request, seq, self.mtu);
        } else if seq > self.expected {
            host.count(Counter::OutOfSequence);
            self.gap();
        } else {
            self.expected_packet(host, request);
        }
    }

    /// The queue pair goes to ERROR as soon as the NAK is sent.
    fn is_ending(&self) -> bool {
        self.nak.is_some_and(|nak| nak.fatal.is_some())
    }

    fn expected_packet<H: Host>(&mut self, host: &mut H, request: &Request<'_>) {
        // What had seemed lost was only late, or comes again.
        self.is_nak_out = false;
        self.nak = None;
        match self.execute(host, request) {
            Ok(()) => {}
            Err(Refusal::NotReady) => {
                if !self.parking.begin(host, request, self.expected, self.mtu) {
                    self.not_ready();
                }
            }
            Err(Refusal::Fatal { syndrome, status }) => self.end(syndrome, status),
        }
    }

    /// Executes what is parked, now that there may be a receive.
    pub fn unpark<H: Host>(&mut self, host: &mut H) {
        while let Some(packet) = self.parking.pop() {
            match self.execute(host, &packet.request()) {
                Ok(()) => self.parking.drop_packet(host, &packet),
                Err(Refusal::NotReady) => return self.parking.put_back(packet),
                Err(Refusal::Fatal { syndrome, status }) => {
                    self.parking.drop_packet(host, &packet);
                    self.parking.clear(host);
                    return self.end(syndrome, status);
                }
            }
        }
    }

    /// No receive has been posted for too long.
    pub fn expire<H: Host>(&mut self, host: &mut H) {
        if self.parking.is_due(host.now()) {
            self.parking.clear(host);
            self.not_ready();
        }
    }

    fn not_ready(&mut self) {
        self.parking.refused(self.expected);
        self.is_nak_out = true;
        self.nak = Some(Nak {
            seq: self.expected,
            syndrome: 0x20 | self.rnr_timer & 0x1f,
            fatal: None,
        });
    }

    /// A packet before this one is missing: one NAK for each gap (IBTA 9.7.5.2.8).
    fn gap(&mut self) {
        if !self.is_nak_out {
            self.is_nak_out = true;
            self.nak = Some(Nak {
                seq: self.expected,
                syndrome: NAK_SEQUENCE,
                fatal: None,
            });
        }
    }

    fn end(&mut self, syndrome: u8, status: WorkStatus) {
        self.nak = Some(Nak {
            seq: self.expected,
            syndrome,
            fatal: Some(status),
        });
    }

    /// Executes the packet that is expected.
    fn execute<H: Host>(&mut self, host: &mut H, request: &Request<'_>) -> Result<(), Refusal> {
        if !self.is_in_order(request) || !request.has_right_length(self.mtu) {
            return Err(Refusal::INVALID_REQUEST);
        }
        let packets = match request.kind {
            Kind::Send(place, trailer) => self.send(host, request, place, trailer).map(|()| 1)?,
            Kind::Write(place, header, trailer) => {
                self.write(host, request, place, header, trailer).map(|()| 1)?
            }
            Kind::Read(header) => self.read(host, header)?,
            Kind::Atomic => return Err(Refusal::INVALID_REQUEST),
        };
        self.expected = self.expected.after(packets);
        let is_read = matches!(request.kind, Kind::Read(_));
        if is_read {
            // Its response acknowledges what was before.
            self.ack = None;
        } else if request.wants_ack {
            self.ack = Some(self.expected.before());
        }
        Ok(())
    }

    /// Whether the packet may follow the one before (IBTA 9.7.4.1.2).
    fn is_in_order(&self, request: &Request<'_>) -> bool {
        let begins = request.place().is_none_or(|place| place.is_first);
        match self.message {
            Message::None => begins,
            Message::Send { .. } => !begins && matches!(request.kind, Kind::Send(..)),
            Message::Write { .. } => !begins && matches!(request.kind, Kind::Write(..)),
        }
    }

    fn send<H: Host>(
        &mut self,
        host: &mut H,
        request: &Request<'_>,
        place: Place,
        trailer: Trailer,
    ) -> Result<(), Refusal> {
        self.need_receive(host)?;
        let offset = match self.message {
            Message::Send { received } => received,
            _ => 0,
        };
        let received = offset.saturating_add(length(request.payload));
        if received > self.receive.length || received > MAX_MESSAGE {
            self.complete(host, WorkStatus::LOCAL_LENGTH, 0, false, Extra::None);
            return Err(Refusal::INVALID_REQUEST);
        }
        if !request.payload.is_empty()
            && host
                .write_local(&self.receive.sges, offset, request.payload)
                .is_err()
        {
            return Err(self.local_fault(host, WorkStatus::LOCAL_PROTECTION));
        }
        self.message = Message::Send { received };
        if place.is_last {
            self.finish(host, request, trailer, received)?;
        }
        Ok(())
    }

    fn write<H: Host>(
        &mut self,
        host: &mut H,
        request: &Request<'_>,
        place: Place,
        header: Option<Reth>,
        trailer: Trailer,
    ) -> Result<(), Refusal> {
        let (header, offset) = match (self.message, header) {
            (Message::Write { header, received }, _) => (header, received),
            (_, Some(header)) => (header, 0),
            (_, None) => return Err(Refusal::INVALID_REQUEST),
        };
        if place.is_first {
            check(host, &header, Access::Write)?;
        }
        let received = offset.saturating_add(length(request.payload));
        let is_right = if place.is_last {
            received == header.dma_length
        } else {
            received < header.dma_length
        };
        if !is_right {
            return Err(Refusal::INVALID_REQUEST);
        }
        if trailer != Trailer::None {
            self.need_receive(host)?;
        }
        if !request.payload.is_empty() {
            let addr = header.virtual_address.wrapping_add(offset.into());
            host.write_remote(header.r_key, addr, request.payload)?;
        }
        self.message = Message::Write { header, received };
        if place.is_last {
            self.finish(host, request, trailer, received)?;
        }
        Ok(())
    }

    /// The last packet of a SEND or WRITE has been stored.
    fn finish<H: Host>(
        &mut self,
        host: &mut H,
        request: &Request<'_>,
        trailer: Trailer,
        received: u32,
    ) -> Result<(), Refusal> {
        let extra = match trailer {
            Trailer::None => Extra::None,
            Trailer::Immediate(data) => Extra::Immediate(data),
            Trailer::Invalidate(key) => {
                if host.invalidate_for_peer(key).is_err() {
                    self.complete(host, WorkStatus::REMOTE_INVALID_REQUEST, 0, false, Extra::None);
                    return Err(AccessFault.into());
                }
                Extra::Invalidated(key)
            }
        };
        self.message = Message::None;
        self.msn = self.msn.wrapping_add(1);
        if self.has_receive {
            self.complete(host, WorkStatus::OK, received, request.solicited, extra);
        }
        Ok(())
    }

    /// Takes a receive for the message, unless it has one.
    fn need_receive<H: Host>(&mut self, host: &mut H) -> Result<(), Refusal> {
        if !self.has_receive {
            self.receive.clear();
            self.has_receive = host.next_receive(&mut self.receive);
        }
        match self.receive.fault.filter(|_| self.has_receive) {
            Some(status) => Err(self.local_fault(host, status)),
            None if self.has_receive => Ok(()),
            None => Err(Refusal::NotReady),
        }
    }

    /// The receive is of no use.
    fn local_fault<H: Host>(&mut self, host: &mut H, status: WorkStatus) -> Refusal {
        self.complete(host, status, 0, false, Extra::None);
        Refusal::Fatal {
            syndrome: NAK_REMOTE_OPERATIONAL,
            status,
        }
    }

    fn complete<H: Host>(
        &mut self,
        host: &mut H,
        status: WorkStatus,
        byte_len: u32,
        solicited: bool,
        extra: Extra,
    ) {
        self.has_receive = false;
        host.complete_receive(&ReceiveCompletion {
            index: self.receive.index,
            status,
            byte_len,
            solicited,
            extra,
        });
    }

    /// A READ: its packets.
    fn read<H: Host>(&mut self, host: &mut H, header: Reth) -> Result<u32, Refusal> {
        let reads = self.reads.iter().filter(|read| !read.is_repeated).count();
        if header.dma_length > MAX_MESSAGE || reads >= self.max_reads {
            return Err(Refusal::INVALID_REQUEST);
        }
        check(host, &header, Access::Read)?;
        self.msn = self.msn.wrapping_add(1);
        let packets = packets(header.dma_length, self.mtu);
        self.last_read = Some(self.expected);
        self.reads.push_back(ReadResponse {
            first: self.expected,
            packets,
            sent: 0,
            header,
            msn: self.msn,
            is_repeated: false,
        });
        Ok(packets)
    }

    /// A request that has been executed comes again (IBTA 9.7.5.1.2): READs are executed again, others acknowledged.
    fn repeat(&mut self, request: &Request<'_>, seq: Seq) {
        let Kind::Read(header) = request.kind else {
            // Not what is behind a READ whose response may be lost: that would tell the peer that it is.
            let behind_reads = self.last_read.is_none_or(|read| read < seq);
            let seq = if behind_reads { self.expected.before() } else { seq };
            self.ack = Some(self.ack.map_or(seq, |ack| ack.max(seq)));
            return;
        };
        let packets = packets(header.dma_length, self.mtu);
        if header.dma_length > MAX_MESSAGE || seq.after(packets) > self.expected {
            return;
        }
        self.ack = None;
        let read = ReadResponse {
            first: seq,
            packets,
            sent: 0,
            header,
            msn: self.msn,
            is_repeated: true,
        };
        let has_room = self.reads.len() < 2 * self.max_reads;
        let place = self.reads.partition_point(|read| read.end() <= seq);
        match self.reads.get_mut(place) {
            // It is being answered just now: from here, then.
            Some(current) if current.first <= seq => {
                *current = ReadResponse {
                    is_repeated: current.is_repeated,
                    ..read
                }
            }
            _ if has_room => self.reads.insert(place, read),
            _ => {}
        }
    }

    /// Nothing is answered or parked any more: the queue pair is in ERROR.
    pub fn stop<H: Host>(&mut self, host: &mut H) {
        self.reads.clear();
        self.ack = None;
        self.nak = None;
        self.parking.clear(host);
    }

    /// Flushes one receive: false if there is none left.
    pub fn flush<H: Host>(&mut self, host: &mut H) -> bool {
        if !self.has_receive {
            let Some(index) = host.flush_receive() else {
                return false;
            };
            self.receive.index = index;
        }
        self.complete(host, WorkStatus::FLUSHED, 0, false, Extra::None);
        true
    }
}

/// Whether the peer may do what it asks for. A length of 0 touches nothing: any key will do (IBTA 9.7.4.1.7).
fn check<H: Host>(host: &mut H, header: &Reth, access: Access) -> Result<(), AccessFault> {
    if header.dma_length == 0 {
        return Ok(());
    }
    let range = RemoteRange {
        key: header.r_key,
        addr: header.virtual_address,
        length: header.dma_length,
    };
    host.check_remote(range, access)
}

/// The length of a payload, which no packet makes longer than 16 bits.
fn length(payload: &[u8]) -> u32 {
    u32::try_from(payload.len()).unwrap_or(u32::MAX)
}
