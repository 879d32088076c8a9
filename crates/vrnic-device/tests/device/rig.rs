//! A small driver: brings the NIC up, posts commands, reads completions and events.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use roce_wire::cm::{CmMad, CmMessage};
use roce_wire::eth::MacAddr;
use roce_wire::frame::{Frame, FrameAddress, GSI_IPV6_LEN, IpPair, write_gsi};
use roce_wire::gid::Gid;
use roce_wire::num::Psn;
use vrnic_abi::cm::{CmEnable, CmReceive, CmSend, GID_VALID, GidEntry};
use vrnic_abi::cmd::{Command, Completion, OWNER_PHASE, Opcode, Status, phase};
use vrnic_abi::event::Event;
use vrnic_abi::resource::{EQ_ASYNC, EqCreate, ObjectNumber, Ring};
use vrnic_abi::{doorbell, regs};
use vrnic_device::{Nic, NicConfig, Wire};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

use crate::host::{Host, MEMORY};

pub const OUR_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
pub const PEER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x02];
pub const OUR_IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
pub const PEER_IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

/// Logarithm of the command ring's size.
pub const LOG2: u32 = 4;
pub const COMMANDS: u64 = MEMORY;
pub const COMPLETIONS: u64 = MEMORY + 0x1000;
pub const FETCH: u64 = MEMORY + 0x2000;
pub const MAILBOX: u64 = MEMORY + 0x3000;
/// Events of the queue that [`Rig::create_eq`] makes; several queues follow one another.
pub const EVENTS: u64 = MEMORY + 0x1_0000;
pub const EQ_LOG2: u8 = 3;
pub const CM_RING: u64 = MEMORY + 0x2_0000;
pub const CM_LOG2: u8 = 2;
/// Vector of the event queue.
pub const EQ_VECTOR: u16 = 3;
/// No address of the host.
pub const NOWHERE: u64 = 0xDEAD_0000_0000;

pub struct Rig {
    pub nic: Arc<Nic>,
    pub host: Arc<Host>,
    posted: u32,
    completions_read: u32,
    events_read: u32,
    next_tag: u16,
}

impl Rig {
    /// A NIC after power-on, with the PCI function enabled.
    pub fn cold() -> Self {
        Self::with(NicConfig::new(OUR_MAC))
    }

    pub fn with(config: NicConfig) -> Self {
        let host = Arc::new(Host::new());
        Self::on_wire(config, host.clone(), host)
    }

    /// A NIC with another wire than the host's recorder.
    pub fn on_wire(config: NicConfig, host: Arc<Host>, wire: Arc<dyn Wire>) -> Self {
        let nic = Nic::new(config, host.clone(), host.clone(), wire).unwrap();
        nic.enable_function();
        Self {
            nic,
            host,
            posted: 0,
            completions_read: 0,
            events_read: 0,
            next_tag: 0x100,
        }
    }

    /// A NIC whose command queue runs.
    pub fn ready() -> Self {
        let mut rig = Self::cold();
        rig.enable();
        rig
    }

    /// A NIC with an event queue (asynchronous, number 0), one address and the CM service.
    pub fn cm() -> Self {
        Self::ready().start_cm()
    }

    pub fn start_cm(mut self) -> Self {
        assert_eq!(self.create_eq(EQ_ASYNC), 0);
        self.set_gid(0, OUR_IP, 0);
        assert_eq!(self.cm_enable(CM_LOG2), Status::OK);
        self
    }

    pub fn read(&self, register: u32) -> u32 {
        let mut word = [0; 4];
        self.nic.bar_read(0, register.into(), &mut word);
        u32::from_le_bytes(word)
    }

    pub fn write(&self, register: u32, value: u32) {
        self.nic.bar_write(0, register.into(), &value.to_le_bytes());
    }

    pub fn state(&self) -> regs::DeviceState {
        regs::DeviceState(self.read(regs::STATUS) & regs::STATUS_STATE_MASK)
    }

    pub fn syndrome(&self) -> regs::FatalSyndrome {
        regs::FatalSyndrome(self.read(regs::FATAL_SYNDROME))
    }

    pub fn write_queue_registers(&self) {
        for (register, addr) in [
            (regs::CMDQ_BASE_LO, COMMANDS),
            (regs::CMDQ_CPL_LO, COMPLETIONS),
            (regs::CMDQ_FETCH_LO, FETCH),
        ] {
            self.write_u64(register, addr);
        }
        self.write(regs::CMDQ_LOG2, LOG2);
    }

    /// Writes a pair of registers.
    pub fn write_u64(&self, register: u32, value: u64) {
        self.write(register, u32::try_from(value & 0xFFFF_FFFF).unwrap());
        self.write(register + 4, u32::try_from(value >> 32).unwrap());
    }

    /// Brings the command queue up from idle.
    pub fn enable(&mut self) {
        self.host.poke(COMPLETIONS, &[0; 0x1000]);
        self.host.poke(EVENTS, &[0; 0x1000]);
        self.host.poke(FETCH, &[0xFF; 4]);
        (self.posted, self.completions_read, self.events_read) = (0, 0, 0);
        self.write_queue_registers();
        self.write(regs::CTRL, regs::CTRL_ENABLE);
        assert_eq!(self.state(), regs::DeviceState::READY, "{:?}", self.syndrome());
        self.write(regs::INT_MASK, 0);
    }

    pub fn new_command(&mut self, opcode: Opcode, input: &(impl IntoBytes + Immutable + ?Sized)) -> Command {
        let mut command = Command::new_zeroed();
        command.opcode = opcode.into();
        command.tag = self.next_tag.into();
        self.next_tag = self.next_tag.wrapping_add(1);
        command.input[..size_of_val(input)].copy_from_slice(input.as_bytes());
        command
    }

    /// Writes a command into the ring, and does not ring the doorbell.
    pub fn put(&mut self, command: &Command) {
        let slot = u64::from(self.posted % (1 << LOG2));
        self.host.poke(COMMANDS + slot * 64, command.as_bytes());
        self.posted = self.posted.wrapping_add(1);
    }

    pub fn ring(&self) {
        self.write(regs::CMDQ_DOORBELL, self.posted);
    }

    /// Moves the producer index without writing commands.
    pub fn skew_posted(&mut self, by: u32) {
        self.posted = self.posted.wrapping_add(by);
    }

    pub fn posted(&self) -> u32 {
        self.posted
    }

    pub fn fetched(&self) -> u32 {
        self.host.peek_u32(FETCH)
    }

    /// The next completion, if its phase says that it has been written.
    pub fn take_completion(&mut self) -> Option<Completion> {
        let slot = u64::from(self.completions_read % (1 << LOG2));
        let bytes = self.host.peek(COMPLETIONS + slot * 32, 32);
        let completion = Completion::read_from_bytes(&bytes).unwrap();
        if completion.owner & OWNER_PHASE != phase(self.completions_read, LOG2) {
            return None;
        }
        self.completions_read += 1;
        assert_eq!(completion.reserved, [0; 7]);
        Some(completion)
    }

    pub fn run(&mut self, command: &Command) -> Completion {
        self.put(command);
        self.ring();
        let completion = self.take_completion().expect("the command has not completed");
        assert_eq!(completion.tag, command.tag);
        completion
    }

    /// Runs a command without mailbox and returns its status.
    pub fn status(&mut self, opcode: Opcode, input: &(impl IntoBytes + Immutable + ?Sized)) -> Status {
        let command = self.new_command(opcode, input);
        self.run(&command).status.into()
    }

    /// Runs a command with a mailbox of `length` bytes.
    pub fn run_mailbox(
        &mut self,
        opcode: Opcode,
        input: &(impl IntoBytes + Immutable + ?Sized),
        length: usize,
    ) -> Completion {
        let mut command = self.new_command(opcode, input);
        command.mailbox = MAILBOX.into();
        command.mailbox_len = u32::try_from(length).unwrap().into();
        self.run(&command)
    }

    /// Runs a command that returns a structure in the mailbox.
    pub fn query<T: FromBytes>(
        &mut self,
        opcode: Opcode,
        input: &(impl IntoBytes + Immutable + ?Sized),
    ) -> T {
        let completion = self.run_mailbox(opcode, input, size_of::<T>());
        assert_eq!(Status::from(completion.status), Status::OK);
        T::read_from_bytes(&self.host.peek(MAILBOX, size_of::<T>())).unwrap()
    }

    pub fn eq_attributes(flags: u16) -> EqCreate {
        EqCreate {
            ring: contiguous(EVENTS, EQ_LOG2),
            vector: EQ_VECTOR.into(),
            flags: flags.into(),
        }
    }

    pub fn create_eq(&mut self, flags: u16) -> u32 {
        let command = self.new_command(Opcode::CREATE_EQ, &Self::eq_attributes(flags));
        let completion = self.run(&command);
        assert_eq!(Status::from(completion.status), Status::OK);
        ObjectNumber::read_from_prefix(&completion.output)
            .unwrap()
            .0
            .number
            .get()
    }

    pub fn gid_entry(index: u16, ip: IpAddr, vlan: u16) -> GidEntry {
        GidEntry {
            index: index.into(),
            flags: GID_VALID.into(),
            vlan: vlan.into(),
            reserved: 0.into(),
            gid: Gid::from(ip).0,
        }
    }

    pub fn set_gid(&mut self, index: u16, ip: IpAddr, vlan: u16) {
        assert_eq!(
            self.status(Opcode::SET_GID, &Self::gid_entry(index, ip, vlan)),
            Status::OK
        );
    }

    pub fn cm_attributes(log2: u8) -> CmEnable {
        CmEnable {
            ring: contiguous(CM_RING, log2),
            eqn: 0.into(),
            reserved: 0.into(),
        }
    }

    pub fn cm_enable(&mut self, log2: u8) -> Status {
        self.status(Opcode::CM_ENABLE, &Self::cm_attributes(log2))
    }

    /// The next event of queue 0, not consumed.
    pub fn peek_event(&self) -> Option<Event> {
        let slot = u64::from(self.events_read % (1 << EQ_LOG2));
        let event = Event::read_from_bytes(&self.host.peek(EVENTS + slot * 32, 32)).unwrap();
        (event.owner & OWNER_PHASE == phase(self.events_read, EQ_LOG2.into())).then_some(event)
    }

    /// The next event of queue 0, consumed.
    pub fn take_event(&mut self) -> Option<Event> {
        let event = self.peek_event()?;
        self.events_read += 1;
        self.nic
            .doorbells()
            .store(doorbell::EQ + doorbell::EQ_CONSUMER, self.events_read);
        Some(event)
    }

    pub fn arm_eq(&self) {
        self.nic
            .doorbells()
            .store(doorbell::EQ + doorbell::EQ_ARM, doorbell::EQ_ARMED);
    }

    /// The slot that a `CM_MAD` event with that number announces.
    pub fn slot(&self, number: u32) -> CmReceive {
        let slot = u64::from(number % (1 << CM_LOG2));
        CmReceive::read_from_bytes(&self.host.peek(CM_RING + slot * 512, 512)).unwrap()
    }

    pub fn consume_mads(&self, consumer: u32) {
        self.nic.doorbells().store(doorbell::CM_CONSUMER, consumer);
    }

    pub fn kick(&self) {
        self.write(regs::KICK, 1);
    }

    pub fn mad_command(&mut self, send: &CmSend, mad: &[u8]) -> Command {
        self.host.poke(MAILBOX, mad);
        let mut command = self.new_command(Opcode::CM_SEND, send);
        command.mailbox = MAILBOX.into();
        command.mailbox_len = u32::try_from(mad.len()).unwrap().into();
        command
    }

    /// Sends a CM message to the peer.
    pub fn send(&mut self, message: impl Into<CmMessage>) -> Status {
        let command = self.mad_command(&to_peer(), &CmMad::new(7, message).to_bytes());
        self.run(&command).status.into()
    }

    /// A CM message comes from the peer.
    pub fn hear(&self, message: impl Into<CmMessage>) {
        self.nic.receive(&from_peer(message));
    }

    /// Waits until `done`, for what the engine thread does.
    pub fn wait(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !done(self) {
            assert!(Instant::now() < deadline, "{what} did not happen");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

pub fn contiguous(addr: u64, log2_entries: u8) -> Ring {
    Ring {
        addr: addr.into(),
        log2_entries,
        levels: 0,
        reserved: [0; 6],
    }
}

/// `CM_SEND` from GID 0 to the peer.
pub fn to_peer() -> CmSend {
    CmSend {
        dst_mac: PEER_MAC,
        gid_index: 0.into(),
        dst_gid: Gid::from(PEER_IP).0,
        udp_src_port: 0xC123.into(),
        traffic_class: 0x28,
        hop_limit: 64,
        dst_qpn: 1.into(),
        reserved: [0; 16],
    }
}

/// Where frames from `source` to `destination` come from and go to.
pub fn address(source: IpAddr, destination: IpAddr) -> FrameAddress {
    FrameAddress {
        source_mac: MacAddr(PEER_MAC),
        destination_mac: MacAddr(OUR_MAC),
        ip: IpPair::new(source, destination).unwrap(),
        udp_source_port: 0xD00D,
        traffic_class: 0x20,
        hop_limit: 63,
    }
}

pub fn gsi_frame(address: &FrameAddress, mad: &[u8; 256]) -> Vec<u8> {
    let mut buffer = vec![0; GSI_IPV6_LEN];
    let length = write_gsi(&mut buffer, address, Psn::default(), mad).unwrap();
    buffer.truncate(length);
    buffer
}

/// The frame of a CM message from the peer.
pub fn from_peer(message: impl Into<CmMessage>) -> Vec<u8> {
    gsi_frame(&address(PEER_IP, OUR_IP), &CmMad::new(7, message).to_bytes())
}

/// The CM message that an untagged frame carries.
pub fn message_in(frame: &[u8]) -> CmMessage {
    let mad = Frame::parse(frame).unwrap().gsi_mad().unwrap();
    CmMad::from_bytes(mad).unwrap().message
}
