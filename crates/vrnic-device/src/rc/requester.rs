//! Sends requests: takes them from the send queue in order, cuts them into packets, and goes back when told to (IBTA 9.7.2, 9.7.3).
//!
//! What comes back for them is the completer's: `completer.rs`.

use std::collections::VecDeque;

use roce_wire::bth::Opcode;
use roce_wire::reth::Reth;
use vrnic_abi::cqe::WorkStatus;
use vrnic_abi::wqe::WorkOpcode;

use super::host::{Access, Counter, Host, Operation, SendCompletion, SendRequest};
use super::packet::{Extended, Packet};
use super::port::{Failure, Port};
use super::psn::{Seq, packets};
use super::retry::Retry;
use super::window::Window;
use super::{SendAttributes, TransportConfig};

/// Longest message (IBTA 9.7.2 allows 2³¹; the device says 2³⁰).
pub(super) const MAX_MESSAGE: u32 = 1 << 30;

/// Requests that are held at most at the same time.
const MAX_PENDING: usize = 512;

/// Emptied requests that are kept for their memory.
const MAX_SPARE: usize = 32;

/// The requester and completer of a queue pair.
pub(super) struct Requester {
    mtu: u32,
    ack_interval: u32,
    read_piece: u32,
    /// READ requests that may be under way.
    pub max_reads: usize,
    pub(super) retry: Retry,
    pub(super) window: Window,
    /// Requests that are not complete, in order, and maybe one that is not begun.
    pub(super) queue: VecDeque<Pending>,
    spare: Vec<SendRequest>,
    /// The request in `queue` that `sending` belongs to, or whose turn is next.
    pub(super) cursor: usize,
    /// The packet that is sent next.
    pub(super) sending: Seq,
    /// The first packet that has never been sent.
    pub(super) sent: Seq,
    /// The first packet that is not acknowledged, or for a READ: whose response has not come.
    pub(super) unacked: Seq,
    /// Ends of the READ requests that are under way, in packets.
    pub(super) reads: VecDeque<Seq>,
    /// READs in `queue` that are begun.
    pub(super) begun_reads: usize,
    since_ack_request: u32,
    /// We have gone back to this packet: what else tells that it is lost is old news.
    pub(super) recovering: Option<Seq>,
    pub(super) ack_deadline: Option<u64>,
    pub(super) rnr_until: Option<u64>,
}

/// A request that is not complete.
pub(super) struct Pending {
    pub request: SendRequest,
    /// Its first packet, if it is begun.
    pub first: Seq,
    packets: u32,
    pub stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Just taken.
    New,
    /// Its local buffers are good.
    Checked,
    /// It has its place in the stream of packets.
    Begun,
    /// A local operation that has taken effect.
    Done,
    /// It completes with this status when all before it are complete.
    Failed(WorkStatus),
}

impl Pending {
    pub fn end(&self) -> Seq {
        self.first.after(self.packets)
    }

    pub const fn is_read(&self) -> bool {
        matches!(self.request.operation, Operation::Read { .. })
    }

    /// Whether it has packets.
    const fn is_remote(&self) -> bool {
        matches!(
            self.request.operation,
            Operation::Send
                | Operation::SendInvalidate { .. }
                | Operation::Write { .. }
                | Operation::Read { .. }
        )
    }
}

/// What a step of the requester did.
enum Step {
    /// A packet or a local operation.
    Worked,
    /// Nothing: it waits for something.
    Blocked,
}

impl Requester {
    pub fn new(config: &TransportConfig, attributes: SendAttributes, mtu: u32) -> Self {
        let first = Seq::first(attributes.psn);
        Self {
            mtu,
            ack_interval: config.ack_interval.max(1),
            read_piece: config.read_piece.max(1),
            max_reads: 0,
            retry: Retry::new(attributes),
            window: Window::new(config),
            queue: VecDeque::new(),
            spare: Vec::new(),
            cursor: 0,
            sending: first,
            sent: first,
            unacked: first,
            reads: VecDeque::new(),
            begun_reads: 0,
            since_ack_request: 0,
            recovering: None,
            ack_deadline: None,
            rnr_until: None,
        }
    }

    pub const fn mtu(&self) -> u32 {
        self.mtu
    }

    /// Sends packets and does local operations, at most `budget`: how many. A failure is that of the front request.
    pub fn run<H: Host>(&mut self, port: &mut Port<'_, H>, budget: usize) -> Result<usize, Failure> {
        let mut worked = 0;
        while worked < budget
            && let Step::Worked = self.step(port)?
        {
            worked += 1;
        }
        if self.ack_deadline.is_none() && self.rnr_until.is_none() && self.sending > self.unacked {
            self.ack_deadline = self.retry.deadline(port.host.now());
        }
        Ok(worked)
    }

    fn step<H: Host>(&mut self, port: &mut Port<'_, H>) -> Result<Step, Failure> {
        if self.rnr_until.is_some() {
            return Ok(Step::Blocked);
        }
        while self.is_fetched(self.cursor, port.host) {
            match self.queue[self.cursor].stage {
                Stage::New | Stage::Checked => return self.begin(port),
                Stage::Begun if self.sending < self.queue[self.cursor].end() => return Ok(self.send(port)),
                Stage::Begun | Stage::Done => self.cursor += 1,
                Stage::Failed(_) => {
                    // Those before it may all be complete.
                    self.retire(port.host)?;
                    return Ok(Step::Blocked);
                }
            }
        }
        Ok(Step::Blocked)
    }

    /// Whether there is a request at that index; the next one is taken from the send queue for it.
    fn is_fetched<H: Host>(&mut self, index: usize, host: &mut H) -> bool {
        if index < self.queue.len() {
            return true;
        }
        if index >= MAX_PENDING {
            return false;
        }
        let mut request = self.spare.pop().unwrap_or_default();
        if !host.next_send(&mut request) {
            self.spare.push(request);
            return false;
        }
        self.queue.push_back(Pending {
            request,
            first: self.sending,
            packets: 0,
            stage: Stage::New,
        });
        true
    }

    /// Begins the request at the cursor, unless it has to wait. All before it are begun.
    fn begin<H: Host>(&mut self, port: &mut Port<'_, H>) -> Result<Step, Failure> {
        let pending = &self.queue[self.cursor];
        let waits_for_all = matches!(pending.request.operation, Operation::LocalInvalidate { .. });
        if self.is_fenced(self.cursor) || (waits_for_all && self.cursor > 0) {
            return Ok(Step::Blocked);
        }
        self.check(self.cursor, port.host);
        let pending = &mut self.queue[self.cursor];
        match pending.stage {
            Stage::Failed(_) => {}
            _ if pending.is_remote() => {
                pending.first = self.sending;
                pending.packets = packets(pending.request.length, self.mtu);
                pending.stage = Stage::Begun;
                self.begun_reads += usize::from(pending.is_read());
                return Ok(self.send(port));
            }
            _ => {
                pending.first = self.sending;
                let result = local_operation(&pending.request.operation, port.host);
                pending.stage = result.map_or_else(Stage::Failed, |()| Stage::Done);
            }
        }
        self.retire(port.host)?;
        Ok(Step::Worked)
    }

    /// Whether the request waits for READs before it.
    fn is_fenced(&self, index: usize) -> bool {
        self.begun_reads > 0 && self.queue[index].request.fenced
    }

    /// Looks once at the request's lengths and local buffers. Local operations before it must have taken effect.
    fn check<H: Host>(&mut self, index: usize, host: &mut H) {
        let max_reads = self.max_reads;
        let pending = &mut self.queue[index];
        if pending.stage != Stage::New {
            return;
        }
        let request = &pending.request;
        let access = if pending.is_read() {
            Access::Write
        } else {
            Access::Read
        };
        pending.stage = if let Some(status) = request.fault {
            Stage::Failed(status)
        } else if (pending.is_read() && max_reads == 0)
            || (request.inline && request.inline_data.len() != request.length as usize)
        {
            Stage::Failed(WorkStatus::LOCAL_OPERATION)
        } else if request.length > MAX_MESSAGE {
            Stage::Failed(WorkStatus::LOCAL_LENGTH)
        } else if pending.is_remote() && !request.inline && host.check_local(&request.sges, access).is_err() {
            Stage::Failed(WorkStatus::LOCAL_PROTECTION)
        } else {
            Stage::Checked
        };
    }

    /// Sends the next packet of the request at the cursor, if window and read limit allow.
    fn send<H: Host>(&mut self, port: &mut Port<'_, H>) -> Step {
        let in_flight = self.sending.since(self.unacked);
        if in_flight >= self.window.size() {
            return Step::Blocked;
        }
        if self.queue[self.cursor].is_read() {
            self.send_read(port, in_flight)
        } else {
            self.send_data(port, in_flight)
        }
    }

    /// Packets of the READ `pending` from `from` on that are asked for with one request; 0: wait. A READ is cut at the same places each
    /// time: the responder knows none that begins before what it expects and ends behind it.
    fn read_room(&self, pending: &Pending, from: Seq, in_flight: u32) -> u32 {
        let piece = self.read_piece - from.since(pending.first) % self.read_piece;
        let room = piece.min(pending.end().since(from));
        let has_window = in_flight == 0 || in_flight.saturating_add(room) <= self.window.size();
        if has_window && self.reads.len() < self.max_reads {
            room
        } else {
            0
        }
    }

    fn send_read<H: Host>(&mut self, port: &mut Port<'_, H>, in_flight: u32) -> Step {
        let pending = &self.queue[self.cursor];
        let Operation::Read { addr, key, .. } = pending.request.operation else {
            return Step::Blocked;
        };
        let room = self.read_room(pending, self.sending, in_flight);
        if room == 0 {
            return Step::Blocked;
        }
        let offset = self.sending.since(pending.first) * self.mtu;
        let length = (pending.request.length - offset).min(room.saturating_mul(self.mtu));
        let packet = Packet {
            opcode: Opcode::RC_RDMA_READ_REQUEST,
            psn: self.sending.psn(),
            extended: Extended::Reth(Reth {
                virtual_address: addr.wrapping_add(offset.into()),
                r_key: key,
                dma_length: length,
            }),
            ..Packet::default()
        };
        self.count_repetition(port.host);
        port.send(&packet);
        self.since_ack_request = 0;
        self.reads.push_back(self.sending.after(room));
        self.sent_packets(room);
        Step::Worked
    }

    fn send_data<H: Host>(&mut self, port: &mut Port<'_, H>, in_flight: u32) -> Step {
        let pending = &self.queue[self.cursor];
        let offset = self.sending.since(pending.first) * self.mtu;
        let is_last = self.sending.after(1) == pending.end();
        let ack_request = self.since_ack_request + 1 >= self.ack_interval.min(self.window.size().div_ceil(2))
            || in_flight + 1 >= self.window.size()
            || (is_last && !self.can_follow(port.host, in_flight + 1));
        let request = &self.queue[self.cursor].request;
        // At most an MTU.
        let payload = (request.length - offset).min(self.mtu) as usize;
        let data = port.buffer.payload(payload);
        if request.inline {
            let inline = request
                .inline_data
                .get(offset as usize..offset as usize + payload);
            data.copy_from_slice(inline.unwrap_or(&[]));
        } else if payload > 0 && port.host.read_local(&request.sges, offset, data).is_err() {
            self.queue[self.cursor].stage = Stage::Failed(WorkStatus::LOCAL_PROTECTION);
            return Step::Worked;
        }
        let (opcode, extended) = data_headers(request, offset == 0, is_last);
        let packet = Packet {
            opcode,
            psn: self.sending.psn(),
            solicited: is_last && request.solicited,
            ack_request,
            extended,
            payload,
        };
        self.count_repetition(port.host);
        port.send(&packet);
        self.since_ack_request = if ack_request {
            0
        } else {
            self.since_ack_request + 1
        };
        self.sent_packets(1);
        Step::Worked
    }

    /// Whether the request behind the one at the cursor can be sent at once, so that the acknowledgement can be left to it.
    fn can_follow<H: Host>(&mut self, host: &mut H, in_flight: u32) -> bool {
        let index = self.cursor + 1;
        if in_flight >= self.window.size() || !self.is_fetched(index, host) || self.is_fenced(index) {
            return false;
        }
        if !self.queue[index].is_remote() {
            return false;
        }
        self.check(index, host);
        let pending = &self.queue[index];
        match pending.stage {
            Stage::Checked if pending.is_read() => {
                let packets = packets(pending.request.length, self.mtu).min(self.read_piece);
                in_flight.saturating_add(packets) <= self.window.size() && self.reads.len() < self.max_reads
            }
            Stage::Begun if pending.is_read() => self.read_room(pending, pending.first, in_flight) > 0,
            Stage::Checked | Stage::Begun => true,
            _ => false,
        }
    }

    fn count_repetition<H: Host>(&self, host: &mut H) {
        if self.sending < self.sent {
            host.count(Counter::Retransmit);
        }
    }

    fn sent_packets(&mut self, packets: u32) {
        self.sending = self.sending.after(packets);
        self.sent = self.sent.max(self.sending);
        if self.sending == self.queue[self.cursor].end() {
            self.cursor += 1;
        }
    }

    /// Starts again from the first packet that is not acknowledged: the front request has it.
    pub(super) fn go_back(&mut self) {
        self.cursor = 0;
        self.sending = self.unacked;
        self.reads.clear();
        self.since_ack_request = 0;
        self.ack_deadline = None;
    }

    /// Takes the front request away, with its completion if it has one.
    pub(super) fn complete_front<H: Host>(&mut self, host: &mut H, status: WorkStatus, syndrome: u32) {
        let Some(pending) = self.queue.pop_front() else {
            return;
        };
        self.cursor = self.cursor.saturating_sub(1);
        self.begun_reads -= usize::from(pending.is_read() && pending.stage == Stage::Begun);
        complete(host, &pending.request, status, syndrome);
        self.keep(pending.request);
    }

    fn keep(&mut self, mut request: SendRequest) {
        if self.spare.len() < MAX_SPARE {
            request.clear();
            self.spare.push(request);
        }
    }

    /// Flushes one request: false if there is none left.
    pub fn flush<H: Host>(&mut self, host: &mut H) -> bool {
        if !self.is_fetched(0, host) {
            return false;
        }
        self.complete_front(host, WorkStatus::FLUSHED, 0);
        true
    }
}

fn complete<H: Host>(host: &mut H, request: &SendRequest, status: WorkStatus, syndrome: u32) {
    if request.signaled || status != WorkStatus::OK {
        host.complete_send(&SendCompletion {
            index: request.index,
            opcode: WorkOpcode(request.opcode),
            status,
            syndrome,
        });
    }
}

fn local_operation<H: Host>(operation: &Operation, host: &mut H) -> Result<(), WorkStatus> {
    match operation {
        Operation::FastRegister(segment) => host.fast_register(segment),
        Operation::LocalInvalidate { key } => host.invalidate_local(*key),
        Operation::Bind(segment) => host.bind(segment),
        _ => Err(WorkStatus::LOCAL_OPERATION),
    }
}

/// Opcode and extended header of a packet of a SEND or WRITE.
fn data_headers(request: &SendRequest, is_first: bool, is_last: bool) -> (Opcode, Extended) {
    match request.operation {
        Operation::Write { addr, key } => {
            let reth = Extended::Reth(Reth {
                virtual_address: addr,
                r_key: key,
                dma_length: request.length,
            });
            match (is_first, is_last) {
                (true, true) => (Opcode::RC_RDMA_WRITE_ONLY, reth),
                (true, false) => (Opcode::RC_RDMA_WRITE_FIRST, reth),
                (false, false) => (Opcode::RC_RDMA_WRITE_MIDDLE, Extended::None),
                (false, true) => (Opcode::RC_RDMA_WRITE_LAST, Extended::None),
            }
        }
        Operation::SendInvalidate { key } if is_last => {
            let opcode = if is_first {
                Opcode::RC_SEND_ONLY_WITH_INVALIDATE
            } else {
                Opcode::RC_SEND_LAST_WITH_INVALIDATE
            };
            (opcode, Extended::Word(key))
        }
        _ => {
            let opcode = match (is_first, is_last) {
                (true, true) => Opcode::RC_SEND_ONLY,
                (true, false) => Opcode::RC_SEND_FIRST,
                (false, false) => Opcode::RC_SEND_MIDDLE,
                (false, true) => Opcode::RC_SEND_LAST,
            };
            (opcode, Extended::None)
        }
    }
}
