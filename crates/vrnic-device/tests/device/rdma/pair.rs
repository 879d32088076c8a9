//! Two NICs back to back.

use vrnic_abi::cmd::{Opcode, Status};
use vrnic_abi::cqe::{CQE_INVALIDATED, CQE_RECEIVE, CQE_SOLICITED, Cqe, WorkStatus};
use vrnic_abi::doorbell::ArmKind;
use vrnic_abi::event::EventKind;
use vrnic_abi::resource::{
    ACCESS_LOCAL_WRITE, ACCESS_REMOTE_READ, ACCESS_REMOTE_WRITE, PRIVILEGED_KEY, QP_PRIVILEGED, QpModify,
    QpState,
};
use vrnic_abi::wqe::{
    BindSegment, FastRegSegment, RemoteSegment, WORK_INLINE, WORK_SIGNALED, WORK_SOLICITED, WorkOpcode,
};
use zerocopy::{FromZeros, IntoBytes};

use super::side::{ALL_ACCESS, Cq, Qp, Request, Side};

/// Two connected queue pairs, each with a completion queue and a page of registered memory.
pub struct Pair {
    pub sides: [Side; 2],
    pub cqs: [Cq; 2],
    pub qps: [Qp; 2],
    pub memory: [u64; 2],
    pub keys: [u32; 2],
}

/// What makes a range of remote memory.
type OfPair = fn(&mut Pair) -> RemoteSegment;

const LENGTH: usize = 0x4000;

impl Pair {
    pub fn new() -> Self {
        Self::with(|_, _| {})
    }

    /// `change` may change how each queue pair is made.
    pub fn with(change: impl Fn(usize, &mut vrnic_abi::resource::QpCreate)) -> Self {
        let mut sides = Side::both();
        let cqs = sides.each_mut().map(|side| side.cq(5));
        let mut index = 0;
        let qps = sides.each_mut().map(|side| {
            let mut attributes = side.qp_attributes(&cqs[index]);
            change(index, &mut attributes);
            index += 1;
            side.qp_with(&attributes)
        });
        let memory = sides.each_mut().map(|side| side.memory(LENGTH));
        let mut keys = [0; 2];
        for (index, side) in sides.iter_mut().enumerate() {
            keys[index] = side.register(memory[index], LENGTH, ALL_ACCESS);
        }
        let mut pair = Self {
            sides,
            cqs,
            qps,
            memory,
            keys,
        };
        pair.connect();
        pair
    }

    /// Connects the queue pairs, which are in INIT.
    pub fn connect(&mut self) {
        for index in 0..2 {
            let modify = Side::to_rts(&self.sides[1 - index], self.qps[1 - index].qpn);
            self.sides[index].modify(&self.qps[index], &modify).unwrap();
        }
    }

    /// Lets both work, and carries frames, until nothing is left to do.
    pub fn run(&self) {
        loop {
            self.sides.iter().for_each(Side::settle);
            let mut carried = false;
            for (from, to) in [(0, 1), (1, 0)] {
                for frame in self.sides[from].rig.host.take_frames() {
                    self.sides[to].rig.nic.receive(&frame);
                    carried = true;
                }
            }
            if !carried {
                return;
            }
        }
    }

    /// Posts a request at side 0 and lets it be done: the completions of both sides.
    pub fn request(&mut self, request: &Request) -> [Vec<Cqe>; 2] {
        self.sides[0].send(&mut self.qps[0], request);
        self.run();
        self.drain()
    }

    pub fn drain(&mut self) -> [Vec<Cqe>; 2] {
        [0, 1].map(|index| self.sides[index].drain(&mut self.cqs[index]))
    }

    /// Posts a receive of `length` bytes at side 1, at the beginning of its memory.
    pub fn receive(&mut self, length: u32) {
        let sge = (self.memory[1], length, self.keys[1]);
        self.sides[1].receive(&mut self.qps[1], &[sge]);
    }

    pub fn fill(&self, index: usize, bytes: &[u8]) {
        self.sides[index].rig.host.poke(self.memory[index], bytes);
    }

    pub fn bytes(&self, index: usize, length: usize) -> Vec<u8> {
        self.sides[index].rig.host.peek(self.memory[index], length)
    }

    /// Side 0's memory.
    pub fn local(&self, length: u32) -> (u64, u32, u32) {
        (self.memory[0], length, self.keys[0])
    }

    /// Side 1's memory.
    pub fn remote(&self, key: u32) -> RemoteSegment {
        RemoteSegment {
            addr: self.memory[1].into(),
            key: key.into(),
            reserved: 0.into(),
        }
    }
}

pub fn statuses(cqes: &[Cqe]) -> Vec<WorkStatus> {
    cqes.iter().map(|cqe| WorkStatus(cqe.status)).collect()
}

pub fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| u8::try_from(index * 7 % 251).unwrap())
        .collect()
}

const OK: WorkStatus = WorkStatus::OK;

#[test]
fn send() {
    let mut pair = Pair::new();
    pair.fill(0, &pattern(5000));
    pair.receive(0x4000);
    let request = Request::new(WorkOpcode::SEND, &[], &[pair.local(5000)]);
    let [sent, received] = pair.request(&request);
    assert_eq!((statuses(&sent), statuses(&received)), (vec![OK], vec![OK]));
    assert_eq!(
        (sent[0].qpn.get(), sent[0].opcode, sent[0].flags.get()),
        (2, 1, 0)
    );
    let cqe = received[0];
    assert_eq!((cqe.qpn.get(), cqe.index.get(), cqe.byte_len.get()), (2, 0, 5000));
    assert_eq!((cqe.opcode, cqe.flags.get()), (0, CQE_RECEIVE));
    assert_eq!(pair.bytes(1, 5000), pattern(5000));
    assert_eq!(pair.bytes(1, 5001)[5000], 0);
}

#[test]
fn inline_and_solicited() {
    let mut pair = Pair::new();
    pair.receive(64);
    pair.sides[1].arm(&pair.cqs[1], ArmKind::SOLICITED, 1);
    let mut request = Request::new(WorkOpcode::SEND, &[b"hello"], &[]);
    request.control.inline_len = 5.into();
    let plain = request.clone().flags(WORK_INLINE | WORK_SIGNALED);
    pair.request(&plain);
    assert_eq!(pair.sides[1].event(), None, "not solicited");
    assert_eq!(pair.bytes(1, 6), b"hello\0");
    pair.receive(64);
    let [_, received] = pair.request(&request.flags(WORK_INLINE | WORK_SOLICITED));
    assert_eq!(received[0].flags.get(), CQE_RECEIVE | CQE_SOLICITED);
    assert_eq!(pair.sides[1].event(), Some((EventKind::CQ, 0, 0)));
    assert_eq!(pair.sides[0].event(), None);
}

#[test]
fn write_and_read() {
    let mut pair = Pair::new();
    pair.fill(0, &pattern(9000));
    let remote = pair.remote(pair.keys[1]);
    let write = Request::new(WorkOpcode::WRITE, &[remote.as_bytes()], &[pair.local(9000)]);
    let [sent, received] = pair.request(&write);
    assert_eq!((statuses(&sent), received.len()), (vec![OK], 0));
    assert_eq!(pair.bytes(1, 9000), pattern(9000));
    pair.fill(0, &[0; 9000]);
    let read = Request::new(WorkOpcode::READ, &[remote.as_bytes()], &[pair.local(9000)]);
    let [sent, _] = pair.request(&read);
    assert_eq!(statuses(&sent), [OK]);
    assert_eq!(pair.bytes(0, 9000), pattern(9000));
}

#[test]
fn a_request_that_is_not_signaled_completes_silently() {
    let mut pair = Pair::new();
    let remote = pair.remote(pair.keys[1]);
    let write = Request::new(WorkOpcode::WRITE, &[remote.as_bytes()], &[pair.local(8)]);
    let [sent, _] = pair.request(&write.clone().flags(0));
    assert_eq!(sent.len(), 0);
    let [sent, _] = pair.request(&write);
    assert_eq!((statuses(&sent), sent[0].index.get()), (vec![OK], 1));
}

#[test]
fn remote_access_that_is_refused() {
    let write = |pair: &Pair, remote: RemoteSegment, length| {
        Request::new(WorkOpcode::WRITE, &[remote.as_bytes()], &[pair.local(length)])
    };
    let cases: [(&str, OfPair, u32, bool); 7] = [
        ("good", |pair| pair.remote(pair.keys[1]), 64, true),
        ("another variant", |pair| pair.remote(pair.keys[1] ^ 1), 64, false),
        ("no such key", |pair| pair.remote(0x7700), 64, false),
        (
            "the privileged key",
            |pair| pair.remote(PRIVILEGED_KEY),
            64,
            false,
        ),
        ("beyond the end", |pair| pair.remote(pair.keys[1]), 0x4001, false),
        (
            "read only",
            |pair| {
                let key = pair.sides[1].register(pair.memory[1], 64, ACCESS_LOCAL_WRITE | ACCESS_REMOTE_READ);
                pair.remote(key)
            },
            64,
            false,
        ),
        (
            "another protection domain",
            |pair| {
                let own = pair.sides[1].pdn;
                pair.sides[1].pdn = pair.sides[1].make(Opcode::ALLOC_PD, &[0u8; 0]).unwrap();
                let key = pair.sides[1].register(pair.memory[1], 64, ALL_ACCESS);
                pair.sides[1].pdn = own;
                pair.remote(key)
            },
            64,
            false,
        ),
    ];
    for (what, remote, length, works) in cases {
        let mut pair = Pair::with(|_, qp| qp.flags = QP_PRIVILEGED.into());
        pair.keys[0] = pair.sides[0].register(pair.memory[0], 0x8000, ALL_ACCESS);
        pair.receive(64);
        let remote = remote(&mut pair);
        let request = write(&pair, remote, length);
        let [sent, received] = pair.request(&request);
        if works {
            assert_eq!((statuses(&sent), received.len()), (vec![OK], 0), "{what}");
            continue;
        }
        assert_eq!(statuses(&sent), [WorkStatus::REMOTE_ACCESS], "{what}");
        assert_eq!(statuses(&received), [WorkStatus::FLUSHED], "{what}");
        for side in &mut pair.sides {
            let event = side.event().expect(what);
            assert_eq!((event.0, event.1), (EventKind::QP_FATAL, 2), "{what}");
            assert_eq!(side.rig.nic.statistics().qp_errors.get(), 1);
        }
    }
}

#[test]
fn a_queue_pair_without_the_right_refuses_peers() {
    let mut pair = Pair::new();
    let mut limits = QpModify::new_zeroed();
    limits.mask = 16.into();
    limits.access = ACCESS_REMOTE_READ.into();
    limits.max_inbound_reads = 1;
    pair.sides[1].modify(&pair.qps[1], &limits).unwrap();
    let remote = pair.remote(pair.keys[1]);
    let read = Request::new(WorkOpcode::READ, &[remote.as_bytes()], &[pair.local(8)]);
    assert_eq!(statuses(&pair.request(&read)[0]), [OK]);
    let write = Request::new(WorkOpcode::WRITE, &[remote.as_bytes()], &[pair.local(8)]);
    assert_eq!(statuses(&pair.request(&write)[0]), [WorkStatus::REMOTE_ACCESS]);
}

#[test]
fn a_receive_into_memory_that_is_not_ours() {
    let mut pair = Pair::new();
    let read_only = pair.sides[1].register(pair.memory[1], 64, ACCESS_REMOTE_READ);
    pair.sides[1].receive(&mut pair.qps[1], &[(pair.memory[1], 64, read_only)]);
    let request = Request::new(WorkOpcode::SEND, &[], &[pair.local(8)]);
    let [sent, received] = pair.request(&request);
    assert_eq!(statuses(&received), [WorkStatus::LOCAL_PROTECTION]);
    assert_eq!(statuses(&sent), [WorkStatus::REMOTE_OPERATION]);
}

#[test]
fn a_receive_that_is_too_small() {
    let mut pair = Pair::new();
    pair.receive(1023);
    let request = Request::new(WorkOpcode::SEND, &[], &[pair.local(1024)]);
    let [sent, received] = pair.request(&request);
    assert_eq!(statuses(&received), [WorkStatus::LOCAL_LENGTH]);
    assert_eq!(statuses(&sent), [WorkStatus::REMOTE_INVALID_REQUEST]);
}

#[test]
fn privileged_elements_are_dma_addresses() {
    let mut pair = Pair::with(|_, qp| qp.flags = QP_PRIVILEGED.into());
    pair.fill(0, &pattern(100));
    pair.sides[1].receive(&mut pair.qps[1], &[(pair.memory[1], 100, PRIVILEGED_KEY)]);
    let request = Request::new(WorkOpcode::SEND, &[], &[(pair.memory[0], 100, PRIVILEGED_KEY)]);
    let [sent, received] = pair.request(&request);
    assert_eq!((statuses(&sent), statuses(&received)), (vec![OK], vec![OK]));
    assert_eq!(pair.bytes(1, 100), pattern(100));
    let mut pair = Pair::new();
    let request = Request::new(WorkOpcode::SEND, &[], &[(pair.memory[0], 100, PRIVILEGED_KEY)]);
    assert_eq!(
        statuses(&pair.request(&request)[0]),
        [WorkStatus::LOCAL_PROTECTION]
    );
}

/// A fast-register region at side 1 with `variant`, registered over its first page.
fn fast_register(pair: &mut Pair, key: u32) -> WorkStatus {
    let list = pair.sides[1].memory(8);
    pair.sides[1].rig.host.poke(list, &pair.memory[1].to_le_bytes());
    let segment = FastRegSegment {
        base: pair.memory[1].into(),
        length: 0x1000.into(),
        page_list: list.into(),
        key: key.into(),
        access: ALL_ACCESS.into(),
        pages: 1.into(),
        first_page_offset: 0.into(),
        reserved: [0; 8],
    };
    let request = Request::new(WorkOpcode::FAST_REG, &[segment.as_bytes()], &[]);
    pair.sides[1].send(&mut pair.qps[1], &request);
    pair.run();
    statuses(&pair.drain()[1])[0]
}

#[test]
fn remote_invalidation() {
    let mut pair = Pair::new();
    let alloc = pair.sides[1].key_alloc(1, ALL_ACCESS);
    let key = pair.sides[1].make(Opcode::ALLOC_FRMR, &alloc).unwrap() + 5;
    assert_eq!(fast_register(&mut pair, key), OK);
    let remote = pair.remote(key);
    let write = Request::new(WorkOpcode::WRITE, &[remote.as_bytes()], &[pair.local(8)]);
    assert_eq!(statuses(&pair.request(&write)[0]), [OK]);
    pair.receive(8);
    let invalidate = Request::new(WorkOpcode::SEND_INV, &[], &[pair.local(8)]).key(key);
    let [sent, received] = pair.request(&invalidate);
    assert_eq!((statuses(&sent), statuses(&received)), (vec![OK], vec![OK]));
    assert_eq!(
        (received[0].flags.get(), received[0].extra.get()),
        (CQE_RECEIVE | CQE_INVALIDATED, key)
    );
    assert_eq!(statuses(&pair.request(&write)[0]), [WorkStatus::REMOTE_ACCESS]);
}

#[test]
fn a_window_works_through_its_own_queue_pair_only() {
    let mut pair = Pair::new();
    let alloc = pair.sides[1].key_alloc(0, ACCESS_REMOTE_WRITE);
    let key = pair.sides[1].make(Opcode::ALLOC_MW, &alloc).unwrap() ^ 0x42;
    let bind = BindSegment {
        base: (pair.memory[1] + 16).into(),
        length: 16.into(),
        window_key: key.into(),
        region_key: pair.keys[1].into(),
        access: ACCESS_REMOTE_WRITE.into(),
        reserved: [0; 20],
    };
    let request = Request::new(WorkOpcode::BIND_MW, &[bind.as_bytes()], &[]);
    pair.sides[1].send(&mut pair.qps[1], &request);
    pair.run();
    assert_eq!(statuses(&pair.drain()[1]), [OK]);
    let key_of_region = pair.keys[1];
    assert_eq!(
        pair.sides[1].command(Opcode::DEREGISTER_MR, key_of_region),
        Status::IN_USE
    );

    // A second connection between the same NICs may not use it.
    let attributes = pair.sides[0].qp_attributes(&pair.cqs[0]);
    let mut other = pair.sides[0].qp_with(&attributes);
    let attributes = pair.sides[1].qp_attributes(&pair.cqs[1]);
    let other_peer = pair.sides[1].qp_with(&attributes);
    let modify = Side::to_rts(&pair.sides[1], other_peer.qpn);
    pair.sides[0].modify(&other, &modify).unwrap();
    let modify = Side::to_rts(&pair.sides[0], other.qpn);
    pair.sides[1].modify(&other_peer, &modify).unwrap();
    pair.fill(0, &pattern(64));
    let mut remote = pair.remote(key);
    remote.addr = (pair.memory[1] + 16).into();
    let write = Request::new(WorkOpcode::WRITE, &[remote.as_bytes()], &[pair.local(16)]);
    pair.sides[0].send(&mut other, &write);
    pair.run();
    assert_eq!(statuses(&pair.drain()[0]), [WorkStatus::REMOTE_ACCESS]);
    assert_eq!(pair.bytes(1, 64), [0; 64]);

    let [sent, _] = pair.request(&write);
    assert_eq!(statuses(&sent), [OK]);
    assert_eq!(pair.bytes(1, 64)[16..32], pattern(16));
    let past_its_end = Request::new(WorkOpcode::WRITE, &[remote.as_bytes()], &[pair.local(17)]);
    assert_eq!(
        statuses(&pair.request(&past_its_end)[0]),
        [WorkStatus::REMOTE_ACCESS]
    );
    let window_qp = pair.qps[1].qpn;
    assert_eq!(pair.sides[1].command(Opcode::DESTROY_QP, window_qp), Status::OK);
    assert_eq!(
        pair.sides[1].command(Opcode::DEREGISTER_MR, key_of_region),
        Status::OK,
        "unbound"
    );
}

#[test]
fn an_early_send_waits_for_its_receive() {
    let mut pair = Pair::new();
    pair.fill(0, &pattern(100));
    let request = Request::new(WorkOpcode::SEND, &[], &[pair.local(100)]);
    let [sent, received] = pair.request(&request);
    assert_eq!((sent.len(), received.len()), (0, 0));
    pair.receive(100);
    pair.run();
    let [sent, received] = pair.drain();
    assert_eq!((statuses(&sent), statuses(&received)), (vec![OK], vec![OK]));
    assert_eq!(pair.bytes(1, 100), pattern(100));
    assert_eq!(pair.sides[1].rig.nic.statistics().rc_rnr_naks_out.get(), 0);
}

#[test]
fn a_shared_receive_queue() {
    let mut sides = Side::both();
    let mut cqs = sides.each_mut().map(|side| side.cq(5));
    let mut srq_attributes = sides[1].srq_attributes(3);
    srq_attributes.limit = 2.into();
    let number = sides[1].make(Opcode::CREATE_SRQ, &srq_attributes).unwrap();
    let mut srq = super::side::Srq {
        number,
        addr: srq_attributes.ring.addr.get(),
        log2: 3,
        producer: 0,
    };
    let mut qp = sides[0].qp(&cqs[0]);
    let attributes = sides[1].srq_qp_attributes(&cqs[1], &srq);
    let peer = sides[1].qp_with(&attributes);
    let [modify, peer_modify] = [Side::to_rts(&sides[1], peer.qpn), Side::to_rts(&sides[0], qp.qpn)];
    sides[0].modify(&qp, &modify).unwrap();
    sides[1].modify(&peer, &peer_modify).unwrap();
    let memory = sides.each_mut().map(|side| side.memory(0x1000));
    let keys = [0, 1].map(|index| sides[index].register(memory[index], 0x1000, ALL_ACCESS));
    for cookie in [70, 71, 72] {
        sides[1].receive_shared(&mut srq, cookie, &[(memory[1], 64, keys[1])]);
    }
    let request = Request::new(WorkOpcode::SEND, &[], &[(memory[0], 8, keys[0])]);
    let mut send = |sides: &[Side; 2], cqs: &mut [Cq; 2]| {
        sides[0].send(&mut qp, &request);
        loop {
            sides.iter().for_each(Side::settle);
            let frames = [0, 1].map(|index| sides[index].rig.host.take_frames());
            if frames.iter().all(Vec::is_empty) {
                break sides[1].drain(&mut cqs[1]);
            }
            for (to, frames) in [1, 0].into_iter().zip(frames) {
                for frame in &frames {
                    sides[to].rig.nic.receive(frame);
                }
            }
        }
    };
    assert_eq!(send(&sides, &mut cqs)[0].index.get(), 70);
    assert_eq!(sides[1].event(), None);
    assert_eq!(send(&sides, &mut cqs)[0].index.get(), 71);
    assert_eq!(
        sides[1].event(),
        Some((EventKind::SRQ_LIMIT, number, 0)),
        "one is left"
    );
    assert_eq!(send(&sides, &mut cqs)[0].index.get(), 72);
    assert_eq!(sides[1].event(), None, "once");
    assert_eq!(send(&sides, &mut cqs).len(), 0, "it waits");
    sides[1].receive_shared(&mut srq, 73, &[(memory[1], 64, keys[1])]);
    sides[1].settle();
    assert_eq!(sides[1].drain(&mut cqs[1])[0].index.get(), 73);
    sides[1].move_to(&peer, QpState::ERROR).unwrap();
    assert_eq!(sides[1].event(), Some((EventKind::QP_LAST_WQE, peer.qpn, 0)));
}

#[test]
fn a_connection_to_oneself() {
    let mut side = Side::ours();
    let mut cq = side.cq(5);
    let (mut one, mut two) = (side.qp(&cq), side.qp(&cq));
    for (qp, peer) in [(&one, &two), (&two, &one)] {
        let modify = Side::to_rts(&side, peer.qpn);
        side.modify(qp, &modify).unwrap();
    }
    let memory = side.memory(0x2000);
    let key = side.register(memory, 0x2000, ALL_ACCESS);
    side.rig.host.poke(memory, &pattern(3000));
    side.receive(&mut two, &[(memory + 0x1000, 0x1000, key)]);
    side.send(
        &mut one,
        &Request::new(WorkOpcode::SEND, &[], &[(memory, 3000, key)]),
    );
    side.settle();
    let mut cqes = side.drain(&mut cq);
    cqes.sort_by_key(|cqe| cqe.qpn.get());
    assert_eq!(statuses(&cqes), [OK, OK]);
    assert_eq!(side.rig.host.peek(memory + 0x1000, 3000), pattern(3000));
    assert_eq!(side.rig.host.take_frames().len(), 0, "nothing leaves the port");
}

#[test]
fn frames_for_others() {
    let mut pair = Pair::new();
    pair.receive(64);
    let request = Request::new(WorkOpcode::SEND, &[], &[pair.local(8)]);
    pair.sides[0].send(&mut pair.qps[0], &request);
    pair.sides[0].settle();
    let frames = pair.sides[0].rig.host.take_frames();
    let number = pair.qps[1].qpn;
    assert_eq!(pair.sides[1].command(Opcode::DESTROY_QP, number), Status::OK);
    pair.sides[1].rig.nic.receive(&frames[0]);
    let statistics = pair.sides[1].rig.nic.statistics();
    assert_eq!(
        (statistics.drop_no_receiver.get(), statistics.drop_qp.get()),
        (1, 0)
    );
    let again = pair.sides[1].qp(&pair.cqs[1]);
    assert_ne!(again.qpn, number, "another generation");
    pair.sides[1].rig.nic.receive(&frames[0]);
    assert_eq!(pair.sides[1].rig.nic.statistics().drop_no_receiver.get(), 2);

    let pair = Pair::new();
    pair.sides[1].rig.nic.receive(&frames[0]);
    assert_eq!(
        pair.sides[1].rig.nic.statistics().drop_qp.get(),
        0,
        "the peer's own frame"
    );
}
