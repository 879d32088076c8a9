//! A host that writes anything anywhere, and a wire that changes frames: the device answers, or stops, but never panics or spins.
//!
//! The device starts with two queue pairs that are connected to each other, so that requests of the fuzzer's make frames; these
//! come back as they are and, on demand, once more with a byte changed (and the right invariant CRC). It has an Ethernet queue too, next to
//! whose rings there are TCP packets that can be sent and received with any offload and any byte changed.

#![no_main]

use std::sync::{Arc, Mutex};

use libfuzzer_sys::fuzz_target;
use roce_wire::frame::{Frame, FrameError};
use roce_wire::icrc;
use vrnic_abi::cm::{GID_VALID, GidEntry};
use vrnic_abi::cmd::{Command, Opcode};
use vrnic_abi::eth::{EthConfig, EthQueueCreate, FILTER_ALL, RxDescriptor, TxDescriptor};
use vrnic_abi::resource::{
    CqCreate, EqCreate, MrRegister, ObjectNumber, QP_PRIVILEGED, QpCreate, QpKind, QpModify, QpState, Ring,
};
use vrnic_abi::wqe::ControlSegment;
use vrnic_abi::{doorbell, regs};
use vrnic_device::{Direction, DmaFault, Engine, HostMemory, Interrupts, Nic, NicConfig, Tap, Wire};
use zerocopy::{FromZeros, Immutable, IntoBytes};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const GID: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 192, 0, 2, 1];
/// Bytes of memory, from address 0 on.
const MEMORY: usize = 0x3_0000;
const COMMANDS: u64 = 0;
const COMPLETIONS: u64 = 0x1000;
const FETCH: u64 = 0x2000;
const MAILBOX: u64 = 0x3000;
const EVENTS: u64 = 0x4000;
/// From here on the fuzzer writes: rings of queue pairs and completion queue, data.
const OBJECTS: u64 = 0x8000;
const CQ: u64 = OBJECTS;
const QUEUES: u64 = OBJECTS + 0x2000;
const DATA: u64 = OBJECTS + 0x8000;
/// Rings of the Ethernet queue.
const TX_RING: u64 = 0x1_8000;
const RX_RING: u64 = TX_RING + 0x400;
const ETH_COMPLETIONS: u64 = TX_RING + 0x1000;
/// What is sent, and where frames are received: TCP packets, one at each of these steps.
const PACKETS: u64 = 0x2_0000;
const PACKET_STEP: u64 = 0x1000;
const LOG2: u32 = 6;
/// Frames that are kept to be changed.
const KEPT: usize = 16;

struct Host {
    memory: Mutex<Vec<u8>>,
    frames: Mutex<Vec<Vec<u8>>>,
}

impl Host {
    fn access<T>(
        &self,
        addr: u64,
        length: usize,
        access: impl FnOnce(&mut [u8]) -> T,
    ) -> Result<T, DmaFault> {
        let mut memory = self.memory.lock().unwrap();
        let start = usize::try_from(addr).map_err(|_| DmaFault { addr })?;
        let end = start.checked_add(length).ok_or(DmaFault { addr })?;
        memory.get_mut(start..end).map(access).ok_or(DmaFault { addr })
    }
}

impl HostMemory for Host {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), DmaFault> {
        self.access(addr, buf.len(), |memory| buf.copy_from_slice(memory))
    }

    fn write(&self, addr: u64, data: &[u8]) -> Result<(), DmaFault> {
        self.access(addr, data.len(), |memory| memory.copy_from_slice(data))
    }

    fn store_release_u8(&self, addr: u64, value: u8) -> Result<(), DmaFault> {
        self.write(addr, &[value])
    }

    fn store_release_u32(&self, addr: u64, value: u32) -> Result<(), DmaFault> {
        self.write(addr, &value.to_le_bytes())
    }

    fn load_acquire_u32(&self, addr: u64) -> Result<u32, DmaFault> {
        let mut word = [0; 4];
        self.read(addr, &mut word).map(|()| u32::from_le_bytes(word))
    }
}

impl Interrupts for Host {
    fn raise(&self, _: u16) {}
}

impl Wire for Host {
    fn transmit(&self, _: &[u8]) {}
}

impl Tap for Host {
    fn frame(&self, direction: Direction, frame: &[u8]) {
        let mut frames = self.frames.lock().unwrap();
        if direction == Direction::Sent && frames.len() < KEPT {
            frames.push(frame.to_vec());
        }
    }
}

struct Machine {
    nic: Arc<Nic>,
    host: Arc<Host>,
    posted: u32,
    blocks: [u32; 2],
    /// Descriptors of the Ethernet queue: transmit, receive.
    descriptors: [u32; 2],
}

impl Machine {
    fn new() -> Self {
        let host = Arc::new(Host {
            memory: Mutex::new(vec![0; MEMORY]),
            frames: Mutex::default(),
        });
        let config = NicConfig {
            engine: Engine::Host,
            ..NicConfig::new(MAC)
        };
        let nic = Nic::new(config, host.clone(), host.clone(), host.clone()).expect("a good configuration");
        nic.enable_function();
        nic.set_tap(Some(host.clone()));
        let mut machine = Self {
            nic,
            host,
            posted: 0,
            blocks: [0; 2],
            descriptors: [0; 2],
        };
        for (register, value) in [
            (regs::CMDQ_BASE_LO, COMMANDS),
            (regs::CMDQ_CPL_LO, COMPLETIONS),
            (regs::CMDQ_FETCH_LO, FETCH),
            (regs::CMDQ_LOG2, LOG2.into()),
            (regs::CTRL, regs::CTRL_ENABLE.into()),
        ] {
            machine.register(register, value);
        }
        machine.make_objects();
        machine.make_ethernet();
        machine
    }

    fn register(&self, register: u32, value: u64) {
        let word = u32::try_from(value).expect("a word");
        self.nic.bar_write(0, register.into(), &word.to_le_bytes());
    }

    /// An event queue (0), an address, a protection domain (0), a region (key 0x200), a completion queue (0) and two queue pairs (2, 3).
    fn make_objects(&mut self) {
        let eq = EqCreate {
            ring: ring(EVENTS, 7),
            ..EqCreate::new_zeroed()
        };
        self.command(Opcode::CREATE_EQ, eq.as_bytes(), 0);
        let gid = GidEntry {
            flags: GID_VALID.into(),
            gid: GID,
            ..GidEntry::new_zeroed()
        };
        self.command(Opcode::SET_GID, gid.as_bytes(), 0);
        self.command(Opcode::ALLOC_PD, &[], 0);
        let mr = MrRegister {
            base: DATA.into(),
            length: 0x8000.into(),
            pages: DATA.into(),
            access: 15.into(),
            ..MrRegister::new_zeroed()
        };
        self.command(Opcode::REGISTER_MR, mr.as_bytes(), 0);
        let cq = CqCreate {
            ring: ring(CQ, 8),
            ..CqCreate::new_zeroed()
        };
        self.command(Opcode::CREATE_CQ, cq.as_bytes(), 0);
        for index in 0..2 {
            let qp = QpCreate {
                sq: ring(QUEUES + index * 0x2000, 6),
                rq: ring(QUEUES + index * 0x2000 + 0x1000, 6),
                flags: QP_PRIVILEGED.into(),
                max_recv_sge: 2.into(),
                kind: QpKind::RC.0,
                ..QpCreate::new_zeroed()
            };
            self.mailbox(&qp);
            self.command(Opcode::CREATE_QP, &[], 64);
        }
        for (qpn, peer) in [(2u32, 3u32), (3, 2)] {
            let modify = QpModify {
                mask: 0x1F.into(),
                state: QpState::RTS.0,
                path_mtu_log2: 8,
                max_inbound_reads: 4,
                max_outbound_reads: 4,
                dst_qpn: peer.into(),
                dst_mac: MAC,
                dst_gid: GID,
                hop_limit: 1,
                timeout: 14,
                retry_count: 1,
                rnr_retry: 1,
                access: 6.into(),
                ..QpModify::new_zeroed()
            };
            self.mailbox(&modify);
            self.command(
                Opcode::MODIFY_QP,
                ObjectNumber { number: qpn.into() }.as_bytes(),
                64,
            );
        }
    }

    /// An Ethernet queue (0) that receives everything, and packets for it.
    fn make_ethernet(&mut self) {
        let queue = EthQueueCreate {
            tx: TX_RING.into(),
            rx: RX_RING.into(),
            completions: ETH_COMPLETIONS.into(),
            tx_log2: 6,
            rx_log2: 6,
            completions_log2: 7,
            ..EthQueueCreate::new_zeroed()
        };
        self.command(Opcode::CREATE_ETH_QUEUE, queue.as_bytes(), 0);
        let config = EthConfig {
            filter: FILTER_ALL.into(),
            mtu: 9000.into(),
            mac: MAC,
            flags: 1.into(),
        };
        self.command(Opcode::SET_ETH_CONFIG, config.as_bytes(), 0);
        for index in 0..16 {
            self.poke(PACKETS + index * PACKET_STEP, &tcp_packet(index % 2 != 0));
        }
    }

    /// Writes the next descriptor of a ring of the Ethernet queue, and rings its doorbell.
    fn post_descriptor(&mut self, ring: usize, descriptor: &[u8]) {
        let base = [TX_RING, RX_RING][ring];
        let slot = u64::from(self.descriptors[ring] % 64);
        self.poke(base + slot * 16, descriptor);
        self.descriptors[ring] = self.descriptors[ring].wrapping_add(1);
        let words = [doorbell::ETH_TX_PRODUCER, doorbell::ETH_RX_PRODUCER];
        let word = doorbell::ETH + words[ring];
        self.nic.doorbells().store(word, self.descriptors[ring]);
    }

    fn mailbox(&self, content: &(impl IntoBytes + Immutable)) {
        self.poke(MAILBOX, content.as_bytes());
    }

    fn poke(&self, addr: u64, bytes: &[u8]) {
        // Out of memory: nothing is written.
        let _ = self.host.write(addr, bytes);
    }

    fn command(&mut self, opcode: Opcode, input: &[u8], mailbox_len: u32) {
        let mut command = Command::new_zeroed();
        command.opcode = opcode.into();
        let length = input.len().min(command.input.len());
        command.input[..length].copy_from_slice(&input[..length]);
        command.mailbox_len = mailbox_len.into();
        command.mailbox = if mailbox_len == 0 { 0 } else { MAILBOX }.into();
        let slot = u64::from(self.posted % (1 << LOG2));
        self.poke(COMMANDS + slot * 64, command.as_bytes());
        self.posted = self.posted.wrapping_add(1);
        self.register(regs::CMDQ_DOORBELL, self.posted.into());
    }

    /// Puts a request into a send queue: a control segment that is right, but for opcode, flags and length, and any bytes behind it.
    fn post(&mut self, which: usize, opcode: u8, flags: u8, rest: &[u8]) {
        let start = self.blocks[which];
        let mut control = ControlSegment::new_zeroed();
        (control.opcode, control.flags) = (opcode, flags);
        control.length16 = u8::try_from(1 + rest.len() / 16).unwrap_or(u8::MAX);
        control.index = u16::try_from(start & 0xFFFF).expect("16 bits").into();
        let bytes = [control.as_bytes(), rest].concat();
        for block in bytes.chunks(64) {
            let slot = u64::from(self.blocks[which] % 64);
            self.poke(QUEUES + which as u64 * 0x2000 + slot * 64, block);
            self.blocks[which] = self.blocks[which].wrapping_add(1);
        }
        let word = doorbell::QP + (2 + which as u64) * doorbell::QP_STRIDE;
        self.nic.doorbells().store(word, self.blocks[which]);
    }

    /// Receives a frame that was sent, with a byte of its transport part changed.
    fn replay(&self, which: usize, at: usize, value: u8) {
        let frames = self.host.frames.lock().unwrap().clone();
        let Some(mut frame) = which.checked_rem(frames.len()).map(|which| frames[which].clone()) else {
            return;
        };
        // Behind Ethernet, IPv4 and UDP.
        let length = frame.len() - 42 - icrc::LEN;
        frame[42 + at % length.max(1)] = value;
        if let Err(FrameError::Icrc { expected, .. }) = Frame::parse(&frame) {
            let end = frame.len() - icrc::LEN;
            frame[end..].copy_from_slice(&expected.to_le_bytes());
        }
        self.nic.receive(&frame);
    }
}

/// A TCP packet in a frame, with room for a large send.
fn tcp_packet(is_v6: bool) -> Vec<u8> {
    let mut frame = [&MAC[..], &MAC[..5], &[2]].concat();
    if is_v6 {
        frame.extend([0x86, 0xDD, 0x60, 0, 0, 0, 0, 100, 6, 64]);
        frame.extend([[0x20; 16], [0x21; 16]].as_flattened());
    } else {
        frame.extend([
            8, 0, 0x45, 0, 0, 120, 0, 1, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
        ]);
    }
    frame.extend([
        0xC0, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 1, 0, 0, 0, 0, 0,
    ]);
    frame.resize(frame.len() + 80, 0xA5);
    frame
}

fn ring(addr: u64, log2_entries: u8) -> Ring {
    Ring {
        addr: addr.into(),
        log2_entries,
        ..Ring::new_zeroed()
    }
}

/// The fuzzer's bytes, taken from the front.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or_default()
    }

    fn word(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }
}

/// Posts the pieces of a frame: a packet, and any memory behind it.
fn transmit(machine: &mut Machine, input: &mut Input<'_>) {
    let (packet, pieces) = (u64::from(input.byte() % 16), input.byte() % 40);
    let (flags, segment_size, vlan) = (input.byte(), input.word(), input.word());
    let mut descriptor = TxDescriptor {
        addr: (PACKETS + packet * PACKET_STEP).into(),
        length: input.word().into(),
        flags: u16::from(flags).into(),
        segment_size: if flags & 0x40 == 0 { 0 } else { segment_size }.into(),
        vlan: if flags & 8 == 0 { 0 } else { vlan }.into(),
    };
    descriptor.flags &= 0x3F;
    for _ in 0..pieces {
        machine.post_descriptor(0, descriptor.as_bytes());
        descriptor = TxDescriptor {
            addr: (PACKETS + u64::from(input.word())).into(),
            length: input.word().into(),
            ..TxDescriptor::new_zeroed()
        };
    }
    descriptor.flags |= 1;
    machine.post_descriptor(0, descriptor.as_bytes());
}

fn step(machine: &mut Machine, input: &mut Input<'_>) {
    match input.byte() % 13 {
        0 => {
            let addr = OBJECTS + u64::from(input.word());
            let length = input.byte();
            machine.poke(addr, input.bytes(length.into()));
        }
        1 => {
            let word = match input.byte() % 8 {
                which @ 0..4 => doorbell::QP + 2 * doorbell::QP_STRIDE + u64::from(which) * 4,
                which @ 4..6 => doorbell::CQ + u64::from(which - 4) * 4,
                which => doorbell::SRQ + u64::from(which - 6) * doorbell::SRQ_STRIDE,
            };
            let by = i8::from_le_bytes([input.byte()]);
            let value = machine.nic.doorbells().load(word).wrapping_add_signed(by.into());
            machine.nic.doorbells().store(word, value);
        }
        2 | 3 => {
            let (which, opcode, flags) = (input.byte(), input.byte() % 10, input.byte() & 0x1F);
            let units = input.byte() % 47;
            let rest = input.bytes(usize::from(units) * 16);
            machine.post(
                usize::from(which & 1),
                opcode,
                flags,
                &rest[..rest.len() / 16 * 16],
            );
        }
        4 => {
            let opcode = Opcode::ALL[usize::from(input.byte()) % Opcode::ALL.len()];
            let (length, mailbox_length) = (input.byte() % 49, input.byte());
            let bytes = input.bytes(length.into());
            machine.command(opcode, bytes, mailbox_length.into());
        }
        5 => {
            let length = input.byte();
            machine.poke(MAILBOX, input.bytes(length.into()));
        }
        6 => machine.replay(input.byte().into(), input.byte().into(), input.byte()),
        7 => {
            let which = u64::from(input.byte() % 8);
            let word = doorbell::ETH + which * 4;
            let by = i8::from_le_bytes([input.byte()]);
            let value = machine.nic.doorbells().load(word).wrapping_add_signed(by.into());
            machine.nic.doorbells().store(word, value);
        }
        8 => transmit(machine, input),
        9 => {
            let descriptor = RxDescriptor {
                addr: (PACKETS + u64::from(input.word())).into(),
                length: u32::from(input.word()).into(),
                reserved: u32::from(input.byte() / 0xFF).into(),
            };
            machine.post_descriptor(1, descriptor.as_bytes());
        }
        10 => {
            let mut frame = tcp_packet(input.byte() & 1 != 0);
            if input.byte() & 1 != 0 {
                frame.splice(12..12, [0x81, 0, input.byte(), input.byte()]);
            }
            let (at, length) = (usize::from(input.byte()), usize::from(input.byte() % 16));
            for (place, byte) in frame.iter_mut().skip(at).zip(input.bytes(length)) {
                *place = *byte;
            }
            frame.truncate(usize::from(input.byte()));
            machine.nic.receive(&frame);
        }
        11 => {
            let addr = PACKETS + u64::from(input.word());
            let length = input.byte();
            machine.poke(addr, input.bytes(length.into()));
        }
        _ => {
            machine.nic.poll();
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut machine = Machine::new();
    let mut input = Input(bytes);
    while !input.0.is_empty() {
        step(&mut machine, &mut input);
    }
    let rests = (0..100_000).any(|_| !machine.nic.poll());
    assert!(rests, "it does not come to rest");
});
