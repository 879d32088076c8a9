//! A small RDMA driver: makes objects, posts requests, reads completions.

use std::net::IpAddr;
use std::sync::Arc;

use roce_wire::gid::Gid;
use vrnic_abi::cmd::{OWNER_PHASE, Opcode, Status, phase};
use vrnic_abi::cqe::Cqe;
use vrnic_abi::doorbell;
use vrnic_abi::event::{Event, EventKind};
use vrnic_abi::resource::{
    ACCESS_LOCAL_WRITE, ACCESS_REMOTE_READ, ACCESS_REMOTE_WRITE, ACCESS_WINDOW_BIND, CqCreate, EQ_ASYNC,
    KeyAlloc, MrRegister, ObjectNumber, QP_ATTR_LIMITS, QP_ATTR_PATH, QP_ATTR_RECEIVE, QP_ATTR_SEND,
    QP_ATTR_STATE, QP_SRQ, QpCreate, QpKind, QpModify, QpState, SrqCreate,
};
use vrnic_abi::wqe::{
    BASIC_BLOCK, ControlSegment, DataSegment, END_KEY, SrqSegment, WORK_SIGNALED, WorkOpcode,
    receive_entry_size, srq_entry_size,
};
use vrnic_device::{CableEnd, Engine, NicConfig, Wire};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

use crate::host::{Host, MEMORY};
use crate::rig::{MAILBOX, OUR_IP, OUR_MAC, PEER_IP, PEER_MAC, Rig, contiguous};

/// All rights that a region can give.
pub const ALL_ACCESS: u32 =
    ACCESS_LOCAL_WRITE | ACCESS_REMOTE_READ | ACCESS_REMOTE_WRITE | ACCESS_WINDOW_BIND;
/// Data segments of a receive entry.
pub const RECV_SGE: u16 = 2;

/// Spoils something.
pub type Change<T> = fn(&mut T);

/// One NIC, driven by the test alone, with an event queue (0), a protection domain and a GID.
pub struct Side {
    pub rig: Rig,
    pub pdn: u32,
    pub mac: [u8; 6],
    pub ip: IpAddr,
    next: u64,
}

/// A completion queue, as its driver knows it.
pub struct Cq {
    pub number: u32,
    pub addr: u64,
    pub log2: u8,
    pub consumer: u32,
    /// Index at which the ring begins.
    pub start: u32,
}

/// A queue pair, as its driver knows it.
pub struct Qp {
    pub qpn: u32,
    pub sq: u64,
    pub sq_log2: u8,
    /// Basic blocks posted.
    pub sq_producer: u32,
    pub rq: u64,
    pub rq_log2: u8,
    pub rq_producer: u32,
}

/// A shared receive queue, as its driver knows it.
pub struct Srq {
    pub number: u32,
    pub addr: u64,
    pub log2: u8,
    pub producer: u32,
}

impl Side {
    pub fn new(mac: [u8; 6], ip: IpAddr) -> Self {
        let mut rig = Rig::with(NicConfig {
            engine: Engine::Host,
            ..NicConfig::new(mac)
        });
        rig.enable();
        Self::with_rig(rig, mac, ip)
    }

    /// On a NIC that runs.
    pub fn on(rig: Rig) -> Self {
        Self::with_rig(rig, OUR_MAC, OUR_IP)
    }

    /// On that wire.
    pub fn on_wire(config: NicConfig, ip: IpAddr, wire: Arc<dyn Wire>) -> Self {
        let mac = config.mac;
        let mut rig = Rig::on_wire(config, Arc::new(Host::new()), wire);
        rig.enable();
        Self::with_rig(rig, mac, ip)
    }

    /// Two of them with a cable between them.
    pub fn cabled(engine: Engine) -> [Self; 2] {
        let mut ends = CableEnd::pair().into_iter();
        [(OUR_MAC, OUR_IP), (PEER_MAC, PEER_IP)].map(|(mac, ip)| {
            let config = NicConfig {
                engine,
                ..NicConfig::new(mac)
            };
            let end = ends.next().unwrap();
            let side = Self::on_wire(config, ip, end.clone());
            end.plug_in(&side.rig.nic);
            side
        })
    }

    fn with_rig(mut rig: Rig, mac: [u8; 6], ip: IpAddr) -> Self {
        assert_eq!(rig.create_eq(EQ_ASYNC), 0);
        rig.set_gid(0, ip, 0);
        let mut side = Self {
            rig,
            pdn: 0,
            mac,
            ip,
            next: MEMORY + 0x4_0000,
        };
        side.pdn = side.make(Opcode::ALLOC_PD, &[0u8; 0]).unwrap();
        side
    }

    /// The one that most tests need.
    pub fn ours() -> Self {
        Self::new(OUR_MAC, OUR_IP)
    }

    /// Two of them.
    pub fn both() -> [Self; 2] {
        [Self::ours(), Self::new(PEER_MAC, PEER_IP)]
    }

    /// Memory that is zero, page aligned.
    pub fn memory(&mut self, bytes: usize) -> u64 {
        let addr = self.next;
        self.next += (bytes as u64).next_multiple_of(0x1000);
        self.rig.host.poke(addr, &vec![0; bytes]);
        addr
    }

    /// Runs a command that makes something: its number.
    pub fn make(
        &mut self,
        opcode: Opcode,
        input: &(impl IntoBytes + Immutable + ?Sized),
    ) -> Result<u32, (Status, u32)> {
        let command = self.rig.new_command(opcode, input);
        let completion = self.rig.run(&command);
        number(&completion)
    }

    /// As [`Self::make`], with an input mailbox.
    pub fn make_with_mailbox(
        &mut self,
        opcode: Opcode,
        input: &(impl IntoBytes + Immutable + ?Sized),
        mailbox: &(impl IntoBytes + Immutable + ?Sized),
    ) -> Result<u32, (Status, u32)> {
        self.rig.host.poke(MAILBOX, mailbox.as_bytes());
        let completion = self.rig.run_mailbox(opcode, input, size_of_val(mailbox));
        number(&completion)
    }

    /// Runs a command that names an object.
    pub fn command(&mut self, opcode: Opcode, number: u32) -> Status {
        self.rig.status(opcode, &object(number))
    }

    pub fn cq_attributes(&mut self, log2: u8) -> CqCreate {
        CqCreate {
            ring: contiguous(self.memory(32 << log2), log2),
            eqn: 0.into(),
            moderation_us: 0.into(),
            moderation_count: 0.into(),
        }
    }

    pub fn cq(&mut self, log2: u8) -> Cq {
        let attributes = self.cq_attributes(log2);
        self.cq_with(&attributes)
    }

    pub fn cq_with(&mut self, attributes: &CqCreate) -> Cq {
        Cq {
            number: self.make(Opcode::CREATE_CQ, attributes).unwrap(),
            addr: attributes.ring.addr.get(),
            log2: attributes.ring.log2_entries,
            consumer: 0,
            start: 0,
        }
    }

    pub fn srq_attributes(&mut self, log2: u8) -> SrqCreate {
        SrqCreate {
            ring: contiguous(self.memory(srq_entry_size(RECV_SGE) << log2), log2),
            pdn: self.pdn.into(),
            eqn: 0.into(),
            limit: 0.into(),
            max_sge: RECV_SGE.into(),
            reserved: 0.into(),
        }
    }

    pub fn srq(&mut self, log2: u8) -> Srq {
        let attributes = self.srq_attributes(log2);
        Srq {
            number: self.make(Opcode::CREATE_SRQ, &attributes).unwrap(),
            addr: attributes.ring.addr.get(),
            log2,
            producer: 0,
        }
    }

    pub fn qp_attributes(&mut self, cq: &Cq) -> QpCreate {
        let log2 = 5;
        QpCreate {
            sq: contiguous(self.memory(BASIC_BLOCK << log2), log2),
            rq: contiguous(self.memory(receive_entry_size(RECV_SGE) << log2), log2),
            pdn: self.pdn.into(),
            send_cqn: cq.number.into(),
            recv_cqn: cq.number.into(),
            srqn: 0.into(),
            eqn: 0.into(),
            flags: 0.into(),
            max_recv_sge: RECV_SGE.into(),
            kind: QpKind::RC.0,
            reserved: [0; 5],
        }
    }

    /// As [`Self::qp_attributes`], with a shared receive queue.
    pub fn srq_qp_attributes(&mut self, cq: &Cq, srq: &Srq) -> QpCreate {
        QpCreate {
            rq: vrnic_abi::resource::Ring::new_zeroed(),
            max_recv_sge: 0.into(),
            srqn: srq.number.into(),
            flags: QP_SRQ.into(),
            ..self.qp_attributes(cq)
        }
    }

    pub fn qp(&mut self, cq: &Cq) -> Qp {
        let attributes = self.qp_attributes(cq);
        self.qp_with(&attributes)
    }

    pub fn qp_with(&mut self, attributes: &QpCreate) -> Qp {
        Qp {
            qpn: self
                .make_with_mailbox(Opcode::CREATE_QP, &[0u8; 0], attributes)
                .unwrap(),
            sq: attributes.sq.addr.get(),
            sq_log2: attributes.sq.log2_entries,
            sq_producer: 0,
            rq: attributes.rq.addr.get(),
            rq_log2: attributes.rq.log2_entries,
            rq_producer: 0,
        }
    }

    /// Registers contiguous memory: the key.
    pub fn register(&mut self, addr: u64, length: usize, access: u32) -> u32 {
        let register = self.mr_attributes(addr, length, access);
        self.make(Opcode::REGISTER_MR, &register).unwrap()
    }

    /// A region whose virtual addresses are the DMA addresses.
    pub fn mr_attributes(&self, addr: u64, length: usize, access: u32) -> MrRegister {
        MrRegister {
            base: addr.into(),
            length: (length as u64).into(),
            pages: (addr & !0xFFF).into(),
            pdn: self.pdn.into(),
            access: access.into(),
            levels: 0,
            reserved: [0; 3],
            first_page_offset: u32::try_from(addr & 0xFFF).unwrap().into(),
        }
    }

    pub fn key_alloc(&self, max_pages: u32, access: u32) -> KeyAlloc {
        KeyAlloc {
            pdn: self.pdn.into(),
            max_pages: max_pages.into(),
            access: access.into(),
            reserved: 0.into(),
        }
    }

    pub fn modify(&mut self, qp: &Qp, modify: &QpModify) -> Result<(), (Status, u32)> {
        self.make_with_mailbox(Opcode::MODIFY_QP, &object(qp.qpn), modify)
            .map(|_| ())
    }

    /// `MODIFY_QP` that changes nothing but the state.
    pub fn move_to(&mut self, qp: &Qp, state: QpState) -> Result<(), (Status, u32)> {
        let mut modify = QpModify::new_zeroed();
        modify.mask = QP_ATTR_STATE.into();
        modify.state = state.0;
        self.modify(qp, &modify)
    }

    pub fn state(&mut self, qp: &Qp) -> QpState {
        let query: QpModify = self.rig.query(Opcode::QUERY_QP, &object(qp.qpn));
        QpState(query.state)
    }

    /// What brings a queue pair from INIT to RTS, connected to `peer_qpn` of the other side.
    pub fn to_rts(peer: &Self, peer_qpn: u32) -> QpModify {
        QpModify {
            mask: (QP_ATTR_STATE | QP_ATTR_PATH | QP_ATTR_RECEIVE | QP_ATTR_SEND | QP_ATTR_LIMITS).into(),
            state: QpState::RTS.0,
            path_mtu_log2: 10,
            max_inbound_reads: 16,
            max_outbound_reads: 16,
            dst_qpn: peer_qpn.into(),
            rq_psn: 0x123.into(),
            sq_psn: 0x123.into(),
            dst_mac: peer.mac,
            gid_index: 0.into(),
            dst_gid: Gid::from(peer.ip).0,
            udp_src_port: 0xC123.into(),
            traffic_class: 0,
            hop_limit: 64,
            timeout: 14,
            retry_count: 7,
            rnr_retry: 6,
            min_rnr_timer: 12,
            access: (ACCESS_REMOTE_READ | ACCESS_REMOTE_WRITE).into(),
            reserved: [0; 8],
        }
    }

    /// The next completion.
    pub fn poll_cq(&self, cq: &mut Cq) -> Option<Cqe> {
        let log2 = cq.log2.into();
        let slot = u64::from(cq.consumer & ((1 << cq.log2) - 1));
        let cqe = Cqe::read_from_bytes(&self.rig.host.peek(cq.addr + slot * 32, 32)).unwrap();
        let expected = phase(cq.consumer.wrapping_sub(cq.start), log2);
        if cqe.owner & OWNER_PHASE != expected {
            return None;
        }
        cq.consumer = cq.consumer.wrapping_add(1);
        Some(cqe)
    }

    /// All completions that are there; the device is told that they have been read.
    pub fn drain(&self, cq: &mut Cq) -> Vec<Cqe> {
        let found = std::iter::from_fn(|| self.poll_cq(cq)).collect();
        self.consumed(cq);
        found
    }

    pub fn consumed(&self, cq: &Cq) {
        self.ring(
            doorbell::CQ + u64::from(cq.number) * 8 + doorbell::CQ_CONSUMER,
            cq.consumer,
        );
    }

    pub fn arm(&self, cq: &Cq, kind: doorbell::ArmKind, sequence: u32) {
        let word = kind.0 | sequence << 2 | cq.consumer << 4;
        self.ring(doorbell::CQ + u64::from(cq.number) * 8 + doorbell::CQ_ARM, word);
    }

    pub fn ring(&self, offset: u64, value: u32) {
        self.rig.nic.doorbells().store(offset, value);
    }

    /// Writes a send request that may have any content, and does not ring.
    pub fn put_send(&self, qp: &mut Qp, request: &[u8]) {
        for block in request.chunks(BASIC_BLOCK) {
            let slot = u64::from(qp.sq_producer & ((1 << qp.sq_log2) - 1));
            self.rig.host.poke(qp.sq + slot * BASIC_BLOCK as u64, block);
            qp.sq_producer = qp.sq_producer.wrapping_add(1);
        }
    }

    pub fn ring_send(&self, qp: &Qp) {
        self.ring(doorbell::QP + u64::from(qp.qpn & 0xFFFF) * 8, qp.sq_producer);
    }

    /// Posts a request; the index that its completion will have.
    pub fn send(&self, qp: &mut Qp, request: &Request) -> u32 {
        let index = qp.sq_producer;
        self.put_send(qp, &request.bytes(index));
        self.ring_send(qp);
        index
    }

    pub fn receive(&self, qp: &mut Qp, sges: &[(u64, u32, u32)]) {
        let entry = elements(sges, RECV_SGE);
        let slot = u64::from(qp.rq_producer & ((1 << qp.rq_log2) - 1));
        self.rig
            .host
            .poke(qp.rq + slot * receive_entry_size(RECV_SGE) as u64, &entry);
        qp.rq_producer = qp.rq_producer.wrapping_add(1);
        self.ring(
            doorbell::QP + u64::from(qp.qpn & 0xFFFF) * 8 + doorbell::QP_RQ_PRODUCER,
            qp.rq_producer,
        );
    }

    pub fn receive_shared(&self, srq: &mut Srq, cookie: u32, sges: &[(u64, u32, u32)]) {
        let header = SrqSegment {
            cookie: cookie.into(),
            reserved: [0; 12],
        };
        let entry = [header.as_bytes(), &elements(sges, RECV_SGE)].concat();
        let slot = u64::from(srq.producer & ((1 << srq.log2) - 1));
        self.rig
            .host
            .poke(srq.addr + slot * srq_entry_size(RECV_SGE) as u64, &entry);
        srq.producer = srq.producer.wrapping_add(1);
        self.ring(doorbell::SRQ + u64::from(srq.number) * 8, srq.producer);
    }

    /// Lets the device work until it has nothing to do.
    pub fn settle(&self) {
        while self.rig.nic.poll() {}
    }

    /// The next event: kind, number, detail.
    pub fn event(&mut self) -> Option<(EventKind, u32, u16)> {
        let event: Event = self.rig.take_event()?;
        Some((event.kind.into(), event.number.get(), event.detail.get()))
    }
}

/// A send request before it has its index.
#[derive(Clone)]
pub struct Request {
    pub control: ControlSegment,
    /// Everything behind the control segment.
    pub rest: Vec<u8>,
}

impl Request {
    pub fn new(opcode: WorkOpcode, segments: &[&[u8]], sges: &[(u64, u32, u32)]) -> Self {
        let mut control = ControlSegment::new_zeroed();
        control.opcode = opcode.0;
        control.flags = WORK_SIGNALED;
        let mut rest = segments.concat();
        for sge in sges {
            rest.extend(segment(*sge).as_bytes());
        }
        Self { control, rest }
    }

    pub fn flags(mut self, flags: u8) -> Self {
        self.control.flags = flags;
        self
    }

    pub fn key(mut self, key: u32) -> Self {
        self.control.invalidate_key = key.into();
        self
    }

    pub fn bytes(&self, index: u32) -> Vec<u8> {
        let mut control = self.control;
        control.index = u16::try_from(index & 0xFFFF).unwrap().into();
        control.length16 = u8::try_from(1 + self.rest.len().div_ceil(16)).unwrap();
        [control.as_bytes(), &self.rest].concat()
    }
}

fn segment((addr, length, key): (u64, u32, u32)) -> DataSegment {
    DataSegment {
        addr: addr.into(),
        length: length.into(),
        key: key.into(),
    }
}

fn elements(sges: &[(u64, u32, u32)], max: u16) -> Vec<u8> {
    let mut entry: Vec<u8> = sges
        .iter()
        .flat_map(|sge| segment(*sge).as_bytes().to_vec())
        .collect();
    if sges.len() < max.into() {
        entry.extend(segment((0, 0, END_KEY)).as_bytes());
    }
    entry
}

pub fn object(number: u32) -> ObjectNumber {
    ObjectNumber {
        number: number.into(),
    }
}

fn number(completion: &vrnic_abi::cmd::Completion) -> Result<u32, (Status, u32)> {
    match Status::from(completion.status) {
        Status::OK => Ok(ObjectNumber::read_from_prefix(&completion.output)
            .unwrap()
            .0
            .number
            .get()),
        status => Err((status, completion.syndrome.get())),
    }
}
