//! Two hosts with a queue pair each, and the wire between them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use roce_wire::bth::Opcode;
use roce_wire::frame::{Frame, IpPair};
use roce_wire::num::{FlowLabel, Psn, Qpn};
use vrnic_abi::cqe::WorkStatus;
use vrnic_abi::resource::QpState;
use vrnic_abi::wqe::{BindSegment, FastRegSegment};
use vrnic_device::FrameBuffer;
use vrnic_device::rc::{
    Access, AccessFault, Counter, Dropped, Host, Limits, Operation, Path, QpEvent, QueuePair,
    ReceiveAttributes, ReceiveCompletion, ReceiveRequest, RemoteRange, SendAttributes, SendCompletion,
    SendRequest, Sge, TransportConfig,
};

/// Where each host's memory begins.
pub const BASE: u64 = 0x10_0000;
/// Bytes of memory of each host.
pub const SIZE: usize = 1 << 20;
/// A key to all of a host's memory: local and remote, reading and writing.
pub const KEY: u32 = 0x700;
/// A key for remote reading only, from the middle of the memory on.
pub const READ_KEY: u32 = 0x800;
/// A key that peers may invalidate, to all of the memory.
pub const WINDOW_KEY: u32 = 0x900;
/// Bytes that all queue pairs of a host may park.
pub const PARK_LIMIT: usize = 64 << 10;

pub const A: usize = 0;
pub const B: usize = 1;
pub const QPNS: [Qpn; 2] = [Qpn::truncated(0x01_0002), Qpn::truncated(0x37_0005)];

/// 251 is a prime: no two packets of an MTU look alike.
static MEMORY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let byte = |i| u8::try_from((i + i / 251) % 251).expect("below 251");
    (0..SIZE).map(byte).collect()
});

/// One of the hosts, without its queue pair.
pub struct Node {
    pub now: u64,
    pub memory: Vec<u8>,
    /// Range in the memory, and whether peers may read and write.
    pub keys: HashMap<u32, (std::ops::Range<u64>, bool, bool)>,
    /// Where the memory of a key begins, as peers name it, if that is not [`BASE`].
    pub aliases: HashMap<u32, u64>,
    pub sends: VecDeque<SendRequest>,
    pub receives: VecDeque<ReceiveRequest>,
    pub sent: Vec<SendCompletion>,
    pub received: Vec<ReceiveCompletion>,
    pub events: Vec<QpEvent>,
    pub counters: HashMap<&'static str, u64>,
    pub out: Vec<Vec<u8>>,
    pub parked: usize,
    /// Keys in the order in which requests registered, bound or invalidated them.
    pub key_log: Vec<(&'static str, u32)>,
}

impl Node {
    pub fn new(salt: u8) -> Self {
        let all = BASE..BASE + SIZE as u64;
        let upper = BASE + SIZE as u64 / 2..BASE + SIZE as u64;
        Self {
            now: 1,
            memory: MEMORY.iter().map(|byte| byte ^ salt).collect(),
            keys: HashMap::from([
                (KEY, (all.clone(), true, true)),
                (READ_KEY, (upper, true, false)),
                (WINDOW_KEY, (all, true, true)),
            ]),
            aliases: HashMap::new(),
            sends: VecDeque::new(),
            receives: VecDeque::new(),
            sent: Vec::new(),
            received: Vec::new(),
            events: Vec::new(),
            counters: HashMap::new(),
            out: Vec::new(),
            parked: 0,
            key_log: Vec::new(),
        }
    }

    pub fn bytes(&self, addr: u64, length: usize) -> &[u8] {
        let at = usize::try_from(addr - BASE).expect("an address in the memory");
        &self.memory[at..at + length]
    }

    fn range(&self, key: u32, addr: u64, length: usize) -> Result<std::ops::Range<usize>, AccessFault> {
        let (range, ..) = self.keys.get(&key).ok_or(AccessFault)?;
        let end = addr.checked_add(length as u64).ok_or(AccessFault)?;
        if addr < range.start || end > range.end {
            return Err(AccessFault);
        }
        let base = self.aliases.get(&key).copied().unwrap_or(BASE);
        // A key to more than there is: the memory begins again.
        let at = usize::try_from(addr - base).expect("inside the memory") % SIZE;
        Ok(at..at + length)
    }

    fn remote(
        &self,
        key: u32,
        addr: u64,
        length: usize,
        access: Access,
    ) -> Result<std::ops::Range<usize>, AccessFault> {
        let (_, read, write) = self.keys.get(&key).ok_or(AccessFault)?;
        let allowed = match access {
            Access::Read => *read,
            Access::Write => *write,
        };
        if allowed {
            self.range(key, addr, length)
        } else {
            Err(AccessFault)
        }
    }

    /// The pieces of the elements that hold `length` bytes from `offset` on.
    fn pieces(
        &self,
        sges: &[Sge],
        offset: u32,
        length: usize,
    ) -> Result<Vec<std::ops::Range<usize>>, AccessFault> {
        let mut pieces = Vec::new();
        let (mut skip, mut left) = (offset as usize, length);
        for sge in sges {
            let size = sge.length as usize;
            if skip >= size {
                skip -= size;
                continue;
            }
            let take = left.min(size - skip);
            pieces.push(self.range(sge.key, sge.addr + skip as u64, take)?);
            (skip, left) = (0, left - take);
            if left == 0 {
                break;
            }
        }
        if left == 0 { Ok(pieces) } else { Err(AccessFault) }
    }

    pub fn count_of(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or_default()
    }
}

impl Host for Node {
    fn now(&mut self) -> u64 {
        self.now
    }

    fn next_send(&mut self, request: &mut SendRequest) -> bool {
        assert!(
            request.sges.is_empty() && request.inline_data.is_empty(),
            "not clear"
        );
        match self.sends.pop_front() {
            Some(next) => {
                *request = next;
                true
            }
            None => false,
        }
    }

    fn next_receive(&mut self, receive: &mut ReceiveRequest) -> bool {
        match self.receives.pop_front() {
            Some(next) => {
                *receive = next;
                true
            }
            None => false,
        }
    }

    fn flush_receive(&mut self) -> Option<u32> {
        self.receives.pop_front().map(|receive| receive.index)
    }

    fn check_local(&mut self, sges: &[Sge], _: Access) -> Result<(), AccessFault> {
        sges.iter()
            .try_for_each(|sge| self.range(sge.key, sge.addr, sge.length as usize).map(|_| ()))
    }

    fn read_local(&mut self, sges: &[Sge], offset: u32, data: &mut [u8]) -> Result<(), AccessFault> {
        let mut at = 0;
        for piece in self.pieces(sges, offset, data.len())? {
            let length = piece.len();
            data[at..at + length].copy_from_slice(&self.memory[piece]);
            at += length;
        }
        Ok(())
    }

    fn write_local(&mut self, sges: &[Sge], offset: u32, data: &[u8]) -> Result<(), AccessFault> {
        let mut at = 0;
        for piece in self.pieces(sges, offset, data.len())? {
            let length = piece.len();
            self.memory[piece].copy_from_slice(&data[at..at + length]);
            at += length;
        }
        Ok(())
    }

    fn check_remote(&mut self, range: RemoteRange, access: Access) -> Result<(), AccessFault> {
        assert!(range.length > 0, "a length of 0 is not checked");
        self.remote(range.key, range.addr, range.length as usize, access)
            .map(|_| ())
    }

    fn read_remote(&mut self, key: u32, addr: u64, data: &mut [u8]) -> Result<(), AccessFault> {
        let range = self.remote(key, addr, data.len(), Access::Read)?;
        data.copy_from_slice(&self.memory[range]);
        Ok(())
    }

    fn write_remote(&mut self, key: u32, addr: u64, data: &[u8]) -> Result<(), AccessFault> {
        let range = self.remote(key, addr, data.len(), Access::Write)?;
        self.memory[range].copy_from_slice(data);
        Ok(())
    }

    fn invalidate_for_peer(&mut self, key: u32) -> Result<(), AccessFault> {
        self.key_log.push(("peer", key));
        self.keys.remove(&key).map(|_| ()).ok_or(AccessFault)
    }

    fn fast_register(&mut self, segment: &FastRegSegment) -> Result<(), WorkStatus> {
        let key = segment.key.get();
        self.key_log.push(("register", key));
        let range = BASE..BASE + segment.length.get();
        match self.keys.insert(key, (range, true, true)) {
            None => Ok(()),
            Some(_) => Err(WorkStatus::LOCAL_OPERATION),
        }
    }

    fn invalidate_local(&mut self, key: u32) -> Result<(), WorkStatus> {
        self.key_log.push(("invalidate", key));
        self.keys
            .remove(&key)
            .map(|_| ())
            .ok_or(WorkStatus::LOCAL_OPERATION)
    }

    fn bind(&mut self, segment: &BindSegment) -> Result<(), WorkStatus> {
        self.key_log.push(("bind", segment.window_key.get()));
        Err(WorkStatus::WINDOW_BIND)
    }

    fn complete_send(&mut self, completion: &SendCompletion) {
        self.sent.push(*completion);
    }

    fn complete_receive(&mut self, completion: &ReceiveCompletion) {
        self.received.push(*completion);
    }

    fn event(&mut self, event: QpEvent) {
        self.events.push(event);
    }

    fn count(&mut self, counter: Counter) {
        let name = match counter {
            Counter::Duplicate => "duplicate",
            Counter::OutOfSequence => "out of sequence",
            Counter::Nak => "nak",
            Counter::RnrNak => "rnr nak",
            Counter::Retransmit => "retransmit",
            Counter::Timeout => "timeout",
        };
        *self.counters.entry(name).or_default() += 1;
    }

    fn transmit(&mut self, frame: &mut FrameBuffer) {
        self.out.push(frame.bytes().to_vec());
    }

    fn reserve(&mut self, bytes: usize) -> bool {
        let fits = self.parked + bytes <= PARK_LIMIT;
        self.parked += if fits { bytes } else { 0 };
        fits
    }

    fn release(&mut self, bytes: usize) {
        self.parked = self
            .parked
            .checked_sub(bytes)
            .expect("not more than was reserved");
    }
}

/// What happens to frames, in thousandths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    pub loss: u64,
    pub repetition: u64,
    pub reordering: u64,
    pub seed: u64,
}

/// How the connection is made.
#[derive(Clone, Debug)]
pub struct Setup {
    pub mtu_log2: u8,
    pub psn: [u32; 2],
    pub v6: bool,
    pub vlan_tag: u16,
    pub reads: u8,
    pub retry_count: u8,
    pub rnr_retry: u8,
    pub budget: usize,
    pub config: TransportConfig,
    pub weather: Weather,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            mtu_log2: 10,
            psn: [0xff_fff0, 5],
            v6: false,
            vlan_tag: 0,
            reads: 16,
            retry_count: 7,
            rnr_retry: 6,
            budget: 16,
            config: TransportConfig::default(),
            weather: Weather::default(),
        }
    }
}

/// Both hosts and the wire.
pub struct World {
    pub now: u64,
    pub nodes: [Node; 2],
    pub qps: [QueuePair; 2],
    pub weather: Weather,
    pub drops: Vec<Dropped>,
    /// Opcodes that have been sent, by side.
    pub opcodes: [Vec<Opcode>; 2],
    budget: usize,
    buffer: FrameBuffer,
    wire: BinaryHeap<Reverse<(u64, u64)>>,
    frames: BTreeMap<u64, (usize, Vec<u8>)>,
    serial: u64,
    random: u64,
    vlan_tag: u16,
}

/// Nanoseconds that a frame takes.
const DELAY: u64 = 2_000;

pub fn path(side: usize, setup: &Setup) -> Path {
    let ip = if setup.v6 {
        let address = |side| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, [1, 2][side]);
        IpPair::V6 {
            source: address(side),
            destination: address(1 - side),
            flow_label: FlowLabel::default(),
        }
    } else {
        let address = |side| Ipv4Addr::new(192, 0, 2, [1, 2][side]);
        IpPair::V4 {
            source: address(side),
            destination: address(1 - side),
            identification: 0,
        }
    };
    Path {
        source_mac: [2, 0, 0, 0, 0, [1, 2][side]],
        destination_mac: [2, 0, 0, 0, 0, [2, 1][side]],
        vlan_tag: setup.vlan_tag,
        ip,
        udp_source_port: 0,
        traffic_class: 0x68,
        hop_limit: 64,
        mtu_log2: setup.mtu_log2,
    }
}

/// A queue pair in INIT that has all its attributes.
pub fn queue_pair(side: usize, setup: &Setup) -> QueuePair {
    let mut qp = QueuePair::new(QPNS[side], Arc::new(setup.config.clone()));
    qp.set_path(path(side, setup)).expect("an MTU");
    qp.set_receive(ReceiveAttributes {
        peer_qpn: QPNS[1 - side],
        psn: Psn::truncated(setup.psn[1 - side]),
    });
    qp.set_send(SendAttributes {
        psn: Psn::truncated(setup.psn[side]),
        timeout: 14,
        retry_count: setup.retry_count,
        rnr_retry: setup.rnr_retry,
    });
    qp.set_limits(Limits {
        max_inbound_reads: setup.reads,
        max_outbound_reads: setup.reads,
        min_rnr_timer: 1,
    });
    qp
}

impl World {
    pub fn new(setup: &Setup) -> Self {
        let mut qps = [queue_pair(A, setup), queue_pair(B, setup)];
        for qp in &mut qps {
            qp.set_state(QpState::RTS).expect("all attributes");
        }
        Self {
            now: 1,
            nodes: [Node::new(0), Node::new(0xff)],
            qps,
            weather: setup.weather,
            drops: Vec::new(),
            opcodes: [Vec::new(), Vec::new()],
            budget: setup.budget,
            buffer: FrameBuffer::new(),
            wire: BinaryHeap::new(),
            frames: BTreeMap::new(),
            serial: 0,
            random: setup.weather.seed | 1,
            vlan_tag: setup.vlan_tag,
        }
    }

    /// A number below `bound` (xorshift).
    fn random(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % bound
    }

    /// Runs one side until it has nothing to do, and puts what it sends on the wire.
    pub fn run(&mut self, side: usize) {
        self.nodes[side].now = self.now;
        for round in 0.. {
            assert!(round < 100_000, "the queue pair never ends");
            let more = self.qps[side].run(&mut self.nodes[side], &mut self.buffer, self.budget);
            let frames = std::mem::take(&mut self.nodes[side].out);
            assert!(
                frames.len() <= self.budget + 1,
                "{} frames in a budget of {}",
                frames.len(),
                self.budget
            );
            for frame in frames {
                self.carry(side, frame);
            }
            if !more {
                return;
            }
        }
    }

    fn carry(&mut self, side: usize, mut frame: Vec<u8>) {
        if self.vlan_tag != 0 {
            assert_eq!(
                frame[12..16],
                [
                    0x81,
                    0,
                    self.vlan_tag.to_be_bytes()[0],
                    self.vlan_tag.to_be_bytes()[1]
                ]
            );
            frame.drain(12..16);
        }
        let parsed = Frame::parse(&frame).expect("a good frame");
        self.opcodes[side].push(parsed.bth.opcode);
        let weather = self.weather;
        let copies = 1 + u64::from(self.random(1000) < weather.repetition);
        for _ in 0..copies {
            if self.random(1000) < weather.loss {
                continue;
            }
            let late = if self.random(1000) < weather.reordering {
                self.random(10 * DELAY)
            } else {
                0
            };
            self.serial += 1;
            self.frames.insert(self.serial, (1 - side, frame.clone()));
            self.wire.push(Reverse((self.now + DELAY + late, self.serial)));
        }
    }

    pub fn run_both(&mut self) {
        self.run(A);
        self.run(B);
    }

    /// Lets time pass until nothing moves any more, or that much time is over. True: nothing moves.
    pub fn settle(&mut self, limit: Duration) -> bool {
        let limit = self.now + u64::try_from(limit.as_nanos()).expect("a short time");
        self.run_both();
        loop {
            let frame = self.wire.peek().map(|Reverse((time, _))| *time);
            let deadlines = [A, B].map(|side| self.qps[side].deadline());
            let Some(next) = frame.into_iter().chain(deadlines.into_iter().flatten()).min() else {
                return true;
            };
            if next > limit {
                self.now = limit;
                return false;
            }
            self.now = self.now.max(next);
            self.deliver();
            for side in [A, B] {
                if self.qps[side]
                    .deadline()
                    .is_some_and(|deadline| deadline <= self.now)
                {
                    self.nodes[side].now = self.now;
                    self.qps[side].expire(&mut self.nodes[side]);
                }
            }
            self.run_both();
        }
    }

    /// Delivers what has arrived by now.
    fn deliver(&mut self) {
        while let Some(Reverse((time, serial))) = self.wire.peek().copied()
            && time <= self.now
        {
            self.wire.pop();
            let (side, frame) = self.frames.remove(&serial).expect("it is on the wire");
            let frame = Frame::parse(&frame).expect("a good frame");
            self.nodes[side].now = self.now;
            if let Err(dropped) = self.qps[side].receive(&mut self.nodes[side], &frame) {
                self.drops.push(dropped);
            }
        }
    }

    /// Posts a request, which the queue pair sees when it runs.
    pub fn post(&mut self, side: usize, request: SendRequest) {
        self.nodes[side].sends.push_back(request);
    }

    pub fn post_receive(&mut self, side: usize, index: u32, addr: u64, length: u32) {
        self.nodes[side].receives.push_back(ReceiveRequest {
            index,
            sges: sge(addr, length),
            length,
            fault: None,
        });
    }
}

fn sge(addr: u64, length: u32) -> Vec<Sge> {
    // In two halves, so that elements begin in the middle of packets.
    let half = length / 2;
    [(addr, half), (addr + u64::from(half), length - half)]
        .map(|(addr, length)| Sge {
            addr,
            length,
            key: KEY,
        })
        .to_vec()
}

/// A signalled request whose local data is at `addr`.
pub fn request(index: u32, operation: Operation, addr: u64, length: u32) -> SendRequest {
    SendRequest {
        index,
        opcode: 1,
        operation,
        signaled: true,
        length,
        sges: sge(addr, length),
        ..SendRequest::default()
    }
}

pub fn inline(index: u32, operation: Operation, data: &[u8]) -> SendRequest {
    SendRequest {
        inline: true,
        length: u32::try_from(data.len()).expect("short"),
        sges: Vec::new(),
        inline_data: data.to_vec(),
        ..request(index, operation, 0, 0)
    }
}

pub fn read(addr: u64) -> Operation {
    Operation::Read {
        addr,
        key: KEY,
        invalidate: None,
    }
}

pub fn write(addr: u64) -> Operation {
    Operation::Write { addr, key: KEY }
}
