//! One queue pair whose peer is the test.

use roce_wire::aeth::Aeth;
use roce_wire::bth::{Bth, DEFAULT_P_KEY, Opcode};
use roce_wire::eth::MacAddr;
use roce_wire::frame::{ExtendedHeaders, Frame, FrameAddress};
use roce_wire::immdt::{Ieth, ImmDt};
use roce_wire::num::{Msn, Psn};
use roce_wire::reth::Reth;
use vrnic_abi::resource::QpState;
use vrnic_device::FrameBuffer;
use vrnic_device::rc::{Dropped, QueuePair, ReceiveRequest, SendRequest, Sge};

use crate::world::{A, B, KEY, Node, QPNS, Setup, path, queue_pair};

/// What the queue pair has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub opcode: Opcode,
    pub psn: u32,
    /// Syndrome and MSN.
    pub aeth: Option<(u8, u32)>,
    pub payload: Vec<u8>,
}

/// Side B of a connection. The test speaks for side A.
pub struct Lone {
    pub qp: QueuePair,
    pub node: Node,
    pub setup: Setup,
    buffer: FrameBuffer,
}

/// A packet of side A.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'a> {
    pub opcode: Opcode,
    pub psn: u32,
    pub ack_request: bool,
    pub solicited: bool,
    pub p_key: u16,
    pub reth: Reth,
    pub aeth: Aeth,
    pub word: u32,
    pub payload: &'a [u8],
}

impl<'a> Sent<'a> {
    pub fn new(opcode: Opcode, psn: u32, payload: &'a [u8]) -> Self {
        Self {
            opcode,
            psn: psn & 0xff_ffff,
            ack_request: true,
            solicited: false,
            p_key: DEFAULT_P_KEY,
            reth: Reth::default(),
            aeth: Aeth::default(),
            word: 0,
            payload,
        }
    }

    pub fn reth(self, virtual_address: u64, r_key: u32, dma_length: u32) -> Self {
        Self {
            reth: Reth {
                virtual_address,
                r_key,
                dma_length,
            },
            ..self
        }
    }
}

/// An acknowledgement of side A with that syndrome.
pub fn ack(psn: u32, syndrome: u8) -> Sent<'static> {
    Sent {
        aeth: Aeth {
            syndrome,
            msn: Msn::default(),
        },
        ..Sent::new(Opcode::RC_ACKNOWLEDGE, psn, &[])
    }
}

impl Lone {
    pub fn new(setup: &Setup) -> Self {
        let mut lone = Self::in_init(setup);
        lone.qp.set_state(QpState::RTS).expect("all attributes");
        lone
    }

    pub fn in_init(setup: &Setup) -> Self {
        Self {
            qp: queue_pair(B, setup),
            node: Node::new(0x55),
            setup: setup.clone(),
            buffer: FrameBuffer::new(),
        }
    }

    /// A frame from side A, the queue pair's verdict, and what it does then.
    pub fn receive(&mut self, sent: &Sent<'_>) -> Result<Vec<Answer>, Dropped> {
        let address = frame_address(&self.setup);
        self.receive_from(&address, sent)
    }

    pub fn receive_from(&mut self, address: &FrameAddress, sent: &Sent<'_>) -> Result<Vec<Answer>, Dropped> {
        self.take(address, sent)?;
        Ok(self.run())
    }

    /// A frame from side A, without running the queue pair.
    pub fn take(&mut self, address: &FrameAddress, sent: &Sent<'_>) -> Result<(), Dropped> {
        let mut bytes = vec![0; 8192];
        let length = frame(address, sent).write(&mut bytes).expect("it fits");
        let frame = Frame::parse(&bytes[..length]).expect("a good frame");
        self.qp.receive(&mut self.node, &frame)
    }

    /// A frame of somebody else.
    pub fn receive_bytes(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let frame = Frame::parse(bytes).expect("a good frame");
        self.qp.receive(&mut self.node, &frame).expect("it is taken");
        self.run_raw()
    }

    pub fn run(&mut self) -> Vec<Answer> {
        self.run_raw().iter().map(|bytes| answer(bytes)).collect()
    }

    pub fn run_raw(&mut self) -> Vec<Vec<u8>> {
        for _ in 0..10_000 {
            if !self.qp.run(&mut self.node, &mut self.buffer, self.setup.budget) {
                return std::mem::take(&mut self.node.out);
            }
        }
        panic!("the queue pair never ends");
    }

    /// Lets the deadline pass.
    pub fn expire(&mut self) -> Vec<Answer> {
        self.node.now = self.qp.deadline().expect("there is a deadline");
        self.qp.expire(&mut self.node);
        self.run()
    }

    pub fn post(&mut self, request: SendRequest) -> Vec<Answer> {
        self.node.sends.push_back(request);
        self.run()
    }

    pub fn post_receive(&mut self, index: u32, addr: u64, length: u32) {
        self.node.receives.push_back(ReceiveRequest {
            index,
            sges: vec![Sge {
                addr,
                length,
                key: KEY,
            }],
            length,
            fault: None,
        });
    }
}

fn answer(bytes: &[u8]) -> Answer {
    let frame = Frame::parse(bytes).expect("a good frame");
    assert_eq!(frame.bth.dest_qp, QPNS[A]);
    Answer {
        opcode: frame.bth.opcode,
        psn: frame.bth.psn.get(),
        aeth: frame.extended.aeth.map(|aeth| (aeth.syndrome, aeth.msn.get())),
        payload: frame.payload.to_vec(),
    }
}

/// Where frames of side A come from.
pub fn frame_address(setup: &Setup) -> FrameAddress {
    let path = path(A, setup);
    FrameAddress {
        source_mac: MacAddr(path.source_mac),
        destination_mac: MacAddr(path.destination_mac),
        ip: path.ip,
        udp_source_port: 0xc000,
        traffic_class: 0,
        hop_limit: 64,
    }
}

fn frame<'a>(address: &FrameAddress, sent: &Sent<'a>) -> Frame<'a> {
    use roce_wire::bth::Follows;
    let follows = sent.opcode.follows().unwrap_or(Follows::empty());
    Frame {
        address: *address,
        bth: Bth {
            opcode: sent.opcode,
            solicited_event: sent.solicited,
            p_key: sent.p_key,
            dest_qp: QPNS[B],
            ack_request: sent.ack_request,
            psn: Psn::truncated(sent.psn),
            ..Bth::default()
        },
        extended: ExtendedHeaders {
            deth: follows.contains(Follows::DETH).then(Default::default),
            reth: follows.contains(Follows::RETH).then_some(sent.reth),
            atomic_eth: follows.contains(Follows::ATOMIC_ETH).then(Default::default),
            aeth: follows.contains(Follows::AETH).then_some(sent.aeth),
            atomic_ack_eth: follows.contains(Follows::ATOMIC_ACK_ETH).then(Default::default),
            imm_dt: follows.contains(Follows::IMM_DT).then_some(ImmDt(sent.word)),
            ieth: follows.contains(Follows::IETH).then_some(Ieth(sent.word)),
        },
        payload: sent.payload,
    }
}
