//! A small Ethernet driver: queues, buffers, frames out and in.

use vrnic_abi::cmd::{Completion, OWNER_PHASE, Opcode, Status, phase};
use vrnic_abi::doorbell;
use vrnic_abi::eth::{
    ETH_RX, EthCompletion, EthConfig, EthQueueCreate, EthStatus, FILTER_BROADCAST, FILTER_DIRECTED,
    FILTER_MULTICAST, RssTable, RxDescriptor, TX_END, TxDescriptor,
};
use vrnic_abi::resource::{EQ_ASYNC, ObjectNumber};
use vrnic_device::{Engine, NicConfig};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::host::MEMORY;
use crate::rig::{MAILBOX, OUR_MAC, Rig};

/// Where the memory of queue 0 begins; those of the others follow.
const QUEUES: u64 = MEMORY + 0x3_0000;
/// Bytes for each queue: its rings, then its buffers.
const QUEUE_SIZE: u64 = 0x1_0000;
const RX_RING: u64 = 0x400;
const COMPLETION_RING: u64 = 0x800;
const BUFFERS: u64 = 0x2000;
/// Bytes for each of the buffers of a queue.
pub const BUFFER: u32 = 0x800;
/// What is sent is copied here first.
pub const PAYLOAD: u64 = MEMORY + 0xC_0000;
/// Logarithm of the descriptors in each ring.
pub const LOG2: u8 = 6;
/// The MTU of the configuration.
pub const MTU: u32 = 1500;

/// A NIC with Ethernet queues.
pub struct Port {
    pub rig: Rig,
    pub queues: Vec<Queue>,
    pub config: EthConfig,
}

/// What the driver knows of a queue.
pub struct Queue {
    pub number: u32,
    pub base: u64,
    pub tx_posted: u32,
    pub rx_posted: u32,
    pub consumed: u32,
}

impl Port {
    /// A port with so many queues, whose engine runs when the test says so.
    pub fn with_queues(queues: u32) -> Self {
        let config = NicConfig {
            engine: Engine::Host,
            ..NicConfig::new(OUR_MAC)
        };
        Self::with(queues, config)
    }

    /// A port with so many queues, and an event queue with number 0 for all of them.
    pub fn with(queues: u32, config: NicConfig) -> Self {
        let mut rig = Rig::with(config);
        rig.enable();
        rig.create_eq(EQ_ASYNC);
        let mut port = Self {
            rig,
            queues: Vec::new(),
            config: EthConfig {
                filter: (FILTER_DIRECTED | FILTER_MULTICAST | FILTER_BROADCAST).into(),
                mtu: MTU.into(),
                mac: OUR_MAC,
                flags: 0.into(),
            },
        };
        for _ in 0..queues {
            port.create();
        }
        assert_eq!(port.configure(), Status::OK);
        port
    }

    /// One queue, with buffers.
    pub fn ready() -> Self {
        let mut port = Self::with_queues(1);
        port.post_buffers(0, 16);
        port
    }

    pub fn attributes(number: u32) -> EthQueueCreate {
        let base = QUEUES + u64::from(number) * QUEUE_SIZE;
        EthQueueCreate {
            tx: base.into(),
            rx: (base + RX_RING).into(),
            completions: (base + COMPLETION_RING).into(),
            tx_log2: LOG2,
            rx_log2: LOG2,
            completions_log2: LOG2 + 1,
            ..EthQueueCreate::new_zeroed()
        }
    }

    /// Makes the next queue.
    pub fn create(&mut self) {
        let number = u32::try_from(self.queues.len()).unwrap();
        let attributes = Self::attributes(number);
        self.rig.host.poke(attributes.completions.get(), &[0; 0x1000]);
        assert_eq!(self.try_create(&attributes), Ok(number));
        self.queues.push(Queue {
            number,
            base: attributes.tx.get(),
            tx_posted: 0,
            rx_posted: 0,
            consumed: 0,
        });
    }

    /// `CREATE_ETH_QUEUE`: the number, or status and syndrome.
    pub fn try_create(&mut self, attributes: &EthQueueCreate) -> Result<u32, (Status, u32)> {
        let command = self.rig.new_command(Opcode::CREATE_ETH_QUEUE, attributes);
        let completion = self.rig.run(&command);
        outcome(&completion)?;
        let (object, _) = ObjectNumber::read_from_prefix(&completion.output).unwrap();
        Ok(object.number.get())
    }

    pub fn destroy(&mut self, number: u32) -> Status {
        let number = ObjectNumber {
            number: number.into(),
        };
        self.rig.status(Opcode::DESTROY_ETH_QUEUE, &number)
    }

    /// `SET_ETH_CONFIG` with what `config` says.
    pub fn configure(&mut self) -> Status {
        self.rig.status(Opcode::SET_ETH_CONFIG, &self.config)
    }

    pub fn set_filter(&mut self, filter: u32) {
        self.config.filter = filter.into();
        assert_eq!(self.configure(), Status::OK);
    }

    pub fn set_multicast(&mut self, addresses: &[[u8; 6]]) -> Result<(), (Status, u32)> {
        self.rig.host.poke(MAILBOX, addresses.as_flattened());
        let mut command = self.rig.new_command(Opcode::SET_MULTICAST, &[0u8; 0]);
        if !addresses.is_empty() {
            command.mailbox = MAILBOX.into();
            command.mailbox_len = u32::try_from(size_of_val(addresses)).unwrap().into();
        }
        outcome(&self.rig.run(&command))
    }

    pub fn set_rss(&mut self, table: &RssTable) -> Result<(), (Status, u32)> {
        self.rig.host.poke(MAILBOX, table.as_bytes());
        let completion = self
            .rig
            .run_mailbox(Opcode::SET_RSS, &[0u8; 0], size_of::<RssTable>());
        outcome(&completion)
    }

    pub fn word(&self, queue: usize, word: u64) -> u64 {
        doorbell::ETH + u64::from(self.queues[queue].number) * doorbell::ETH_STRIDE + word
    }

    pub fn ring(&self, queue: usize, word: u64, value: u32) {
        self.rig.nic.doorbells().store(self.word(queue, word), value);
    }

    /// Lets the engine run until it has nothing to do any more.
    pub fn run(&self) {
        for _ in 0..10_000 {
            if !self.rig.nic.poll() {
                return;
            }
        }
        panic!("the engine does not come to rest");
    }

    /// Writes a transmit descriptor, and does not ring the doorbell.
    pub fn put_descriptor(&mut self, queue: usize, descriptor: &TxDescriptor) {
        let Queue { base, tx_posted, .. } = self.queues[queue];
        let slot = u64::from(tx_posted % (1 << LOG2));
        self.rig.host.poke(base + slot * 16, descriptor.as_bytes());
        self.queues[queue].tx_posted = tx_posted.wrapping_add(1);
    }

    pub fn ring_tx(&self, queue: usize) {
        self.ring(queue, doorbell::ETH_TX_PRODUCER, self.queues[queue].tx_posted);
    }

    /// Writes the descriptors of a frame in so many pieces; `first` says what its first descriptor asks for.
    pub fn put_frame(&mut self, queue: usize, frame: &[u8], pieces: usize, first: &TxDescriptor) {
        self.rig.host.poke(PAYLOAD, frame);
        let size = frame.len().div_ceil(pieces);
        let mut at = PAYLOAD;
        let mut chunks = frame.chunks(size).enumerate().peekable();
        while let Some((index, chunk)) = chunks.next() {
            let mut descriptor = if index == 0 {
                *first
            } else {
                TxDescriptor::new_zeroed()
            };
            descriptor.addr = at.into();
            descriptor.length = u16::try_from(chunk.len()).unwrap().into();
            if chunks.peek().is_none() {
                descriptor.flags |= TX_END;
            }
            self.put_descriptor(queue, &descriptor);
            at += chunk.len() as u64;
        }
    }

    /// Sends a frame with queue 0: what comes out of the port, and the status of the completion.
    pub fn send(&mut self, frame: &[u8], first: &TxDescriptor) -> (Vec<Vec<u8>>, EthStatus) {
        self.send_in(frame, 3, first)
    }

    pub fn send_in(
        &mut self,
        frame: &[u8],
        pieces: usize,
        first: &TxDescriptor,
    ) -> (Vec<Vec<u8>>, EthStatus) {
        let index = self.queues[0].tx_posted;
        self.put_frame(0, frame, pieces, first);
        self.ring_tx(0);
        self.run();
        let completion = self.take(0).expect("the frame has not completed");
        assert_eq!(completion.index, index);
        assert_eq!(completion.flags.get() & ETH_RX, 0);
        (self.rig.host.take_frames(), EthStatus(completion.status))
    }

    /// Sends a frame as it is, or with offloads, and expects just one to come out.
    pub fn send_one(&mut self, frame: &[u8], flags: u16, vlan: u16) -> Vec<u8> {
        let (frames, status) = self.send(frame, &asks(flags, 0, vlan));
        assert_eq!(status, EthStatus::OK);
        let [frame] = frames.try_into().expect("one frame");
        frame
    }

    /// The next completion, not consumed.
    pub fn peek(&self, queue: usize) -> Option<EthCompletion> {
        let Queue { base, consumed, .. } = self.queues[queue];
        let slot = u64::from(consumed % (2 << LOG2));
        let bytes = self.rig.host.peek(base + COMPLETION_RING + slot * 32, 32);
        let completion = EthCompletion::read_from_bytes(&bytes).unwrap();
        (completion.owner & OWNER_PHASE == phase(consumed, u32::from(LOG2) + 1)).then_some(completion)
    }

    /// The next completion, consumed.
    pub fn take(&mut self, queue: usize) -> Option<EthCompletion> {
        let completion = self.peek(queue)?;
        assert_eq!(completion.reserved, [0; 10]);
        self.queues[queue].consumed = self.queues[queue].consumed.wrapping_add(1);
        self.ring(queue, doorbell::ETH_CONSUMER, self.queues[queue].consumed);
        Some(completion)
    }

    pub fn arm(&self, queue: usize) {
        let index = self.queues[queue].consumed & doorbell::ETH_ARM_INDEX_MASK;
        self.ring(queue, doorbell::ETH_ARM, doorbell::ETH_ARMED | index);
    }

    /// The address of the buffer that belongs to a receive descriptor.
    pub fn buffer(&self, queue: usize, index: u32) -> u64 {
        self.queues[queue].base + BUFFERS + u64::from(index % 24) * u64::from(BUFFER)
    }

    /// Writes a receive descriptor and rings the doorbell.
    pub fn post(&mut self, queue: usize, descriptor: &RxDescriptor) {
        let Queue { base, rx_posted, .. } = self.queues[queue];
        let slot = u64::from(rx_posted % (1 << LOG2));
        self.rig
            .host
            .poke(base + RX_RING + slot * 16, descriptor.as_bytes());
        self.queues[queue].rx_posted = rx_posted.wrapping_add(1);
        self.ring(queue, doorbell::ETH_RX_PRODUCER, rx_posted.wrapping_add(1));
    }

    pub fn post_buffers(&mut self, queue: usize, count: u32) {
        for _ in 0..count {
            let descriptor = RxDescriptor {
                addr: self.buffer(queue, self.queues[queue].rx_posted).into(),
                length: BUFFER.into(),
                reserved: 0.into(),
            };
            self.post(queue, &descriptor);
        }
    }

    /// The next frame that a queue has received.
    pub fn received(&mut self, queue: usize) -> Option<(EthCompletion, Vec<u8>)> {
        let completion = self.take(queue)?;
        assert_ne!(completion.flags.get() & ETH_RX, 0);
        assert_eq!(EthStatus(completion.status), EthStatus::OK);
        let length = usize::try_from(completion.length.get()).unwrap();
        let addr = self.buffer(queue, completion.index.get());
        Some((completion, self.rig.host.peek(addr, length)))
    }

    /// A frame comes over the wire: what queue 0 makes of it.
    pub fn hear(&mut self, frame: &[u8]) -> Option<(EthCompletion, Vec<u8>)> {
        self.rig.nic.receive(frame);
        self.received(0)
    }
}

/// A first descriptor that asks for something.
pub fn asks(flags: u16, segment_size: u16, vlan: u16) -> TxDescriptor {
    TxDescriptor {
        flags: flags.into(),
        segment_size: segment_size.into(),
        vlan: vlan.into(),
        ..TxDescriptor::new_zeroed()
    }
}

fn outcome(completion: &Completion) -> Result<(), (Status, u32)> {
    match Status::from(completion.status) {
        Status::OK => Ok(()),
        status => Err((status, completion.syndrome.get())),
    }
}
