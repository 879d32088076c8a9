//! Whatever the host and the network do, the NIC neither panics nor hangs, and a reset brings it back.

use proptest::collection::vec;
use proptest::prelude::*;
use roce_wire::cm::{CmMad, CommId, Dreq, Rej, Rep, Req, Rtu};
use vrnic_abi::cmd::Opcode;
use vrnic_abi::regs;
use vrnic_device::{CompletionFault, Hold};
use zerocopy::IntoBytes;

use crate::host::{MEMORY, MEMORY_SIZE};
use crate::rig::{CM_LOG2, MAILBOX, OUR_IP, Rig, from_peer, to_peer};

/// Something that a host or a peer does.
#[derive(Clone, Debug)]
enum Action {
    Config(u16, Vec<u8>),
    Register(u32, u32),
    Bar(u8, u64, Vec<u8>),
    Doorbell(u64, u32),
    /// A good command with that opcode, and then some of its bits inverted.
    Command {
        opcode: u16,
        flips: Vec<(usize, u8)>,
    },
    Poke(u64, Vec<u8>),
    Frame(Vec<u8>),
    Message {
        kind: u8,
        id: u32,
        flips: Vec<(usize, u8)>,
        length: usize,
    },
    Map(u64, bool),
    Link(bool),
    Fault(u8, u16),
    Restart,
}

fn action() -> impl Strategy<Value = Action> {
    let bytes = || vec(any::<u8>(), 0..24);
    let small = prop_oneof![0u32..8, any::<u32>()];
    prop_oneof![
        1 => (0u16..0x110, bytes()).prop_map(|(at, data)| Action::Config(at, data)),
        3 => (0u32..0x40, small.clone()).prop_map(|(at, value)| Action::Register(at * 4, value)),
        1 => (0u8..6, any::<u64>(), bytes()).prop_map(|(bar, at, data)| Action::Bar(bar, at, data)),
        1 => (0u8..6, 0u64..0x900, bytes()).prop_map(|(bar, at, data)| Action::Bar(bar, at, data)),
        3 => (prop_oneof![0x18_0000u64..0x18_0020, 0x1C_0000u64..0x1C_0044], small)
            .prop_map(|(at, value)| Action::Doorbell(at, value)),
        8 => (command_opcode(), vec((0usize..64, any::<u8>()), 0..3))
            .prop_map(|(opcode, flips)| Action::Command { opcode, flips }),
        1 => (0u64..MEMORY_SIZE - 24, bytes()).prop_map(|(at, data)| Action::Poke(MEMORY + at, data)),
        2 => vec(any::<u8>(), 0..400).prop_map(Action::Frame),
        6 => (0u8..5, 0u32..4, vec((0usize..342, any::<u8>()), 0..3), 0usize..=342)
            .prop_map(|(kind, id, flips, length)| Action::Message { kind, id, flips, length }),
        1 => (0u64..48, any::<bool>()).prop_map(|(page, mapped)| Action::Map(MEMORY + page * 0x1000, mapped)),
        1 => any::<bool>().prop_map(Action::Link),
        1 => (0u8..12, any::<u16>()).prop_map(|(kind, value)| Action::Fault(kind, value)),
        2 => Just(Action::Restart),
    ]
}

fn command_opcode() -> impl Strategy<Value = u16> {
    prop_oneof![
        6 => proptest::sample::select(Opcode::ALL).prop_map(|opcode| opcode.0),
        1 => any::<u16>(),
    ]
}

impl Action {
    fn apply(&self, rig: &mut Rig) {
        match self {
            Self::Config(at, data) => rig.nic.config_write(*at, data),
            Self::Register(at, value) => {
                rig.write(*at, *value);
                rig.read(*at);
            }
            Self::Bar(bar, at, data) => {
                rig.nic.bar_write(*bar, *at, data);
                rig.nic.bar_read(*bar, *at, &mut data.clone());
            }
            Self::Doorbell(at, value) => {
                rig.nic.doorbells().store(*at & !3, *value);
                rig.kick();
            }
            Self::Command { opcode, flips } => post(rig, Opcode(*opcode), flips),
            Self::Poke(addr, data) => rig.host.poke(*addr, data),
            Self::Frame(frame) => rig.nic.receive(frame),
            Self::Message {
                kind,
                id,
                flips,
                length,
            } => rig.nic.receive(&damaged(*kind, *id, flips, *length)),
            Self::Map(page, mapped) => rig.host.map(*page, *mapped),
            Self::Link(up) => rig.nic.set_link(*up),
            Self::Fault(kind, value) => inject(rig, *kind, *value),
            Self::Restart => restart(rig),
        }
    }
}

/// Posts a command without looking for its completion.
fn post(rig: &mut Rig, opcode: Opcode, flips: &[(usize, u8)]) {
    let mut command = match opcode {
        Opcode::CREATE_EQ => rig.new_command(opcode, &Rig::eq_attributes(0)),
        Opcode::CM_ENABLE => rig.new_command(opcode, &Rig::cm_attributes(CM_LOG2)),
        Opcode::SET_GID => rig.new_command(opcode, &Rig::gid_entry(0, OUR_IP, 0)),
        Opcode::CM_SEND => rig.mad_command(&to_peer(), &CmMad::new(1, Rej::default()).to_bytes()),
        _ => rig.new_command(opcode, &[0u8; 0]),
    };
    if matches!(
        opcode,
        Opcode::QUERY_DEVICE | Opcode::QUERY_STATS | Opcode::QUERY_EQ
    ) {
        (command.mailbox, command.mailbox_len) = (MAILBOX.into(), 256.into());
    }
    for (at, bits) in flips {
        command.as_mut_bytes()[*at] ^= bits;
    }
    rig.put(&command);
    rig.ring();
}

fn damaged(kind: u8, id: u32, flips: &[(usize, u8)], length: usize) -> Vec<u8> {
    let local_comm_id = CommId(id);
    let remote_comm_id = CommId(id ^ 1);
    let mut frame = match kind {
        0 => from_peer(Req {
            local_comm_id,
            ..Req::default()
        }),
        1 => from_peer(Rep {
            local_comm_id,
            remote_comm_id,
            ..Rep::default()
        }),
        2 => from_peer(Rej {
            local_comm_id,
            remote_comm_id,
            ..Rej::default()
        }),
        3 => from_peer(Dreq {
            local_comm_id,
            remote_comm_id,
            ..Dreq::default()
        }),
        _ => from_peer(Rtu {
            local_comm_id,
            remote_comm_id,
            ..Rtu::default()
        }),
    };
    for (at, bits) in flips {
        if let Some(byte) = frame.get_mut(*at) {
            *byte ^= bits;
        }
    }
    // Most frames stay whole.
    if length < 50 {
        frame.truncate(length);
    }
    frame
}

fn inject(rig: &Rig, kind: u8, value: u16) {
    let faults = rig.nic.faults();
    match kind {
        0 => faults.hold(Hold::All),
        1 => faults.release(),
        2 => faults.release_reversed(),
        3 => faults.silence(value & 1 == 0),
        4 => faults.spoil_completion(CompletionFault::Tag(value)),
        5 => faults.spoil_completion(CompletionFault::Twice),
        6 => faults.spoil_completion(CompletionFault::Lost),
        7 => faults.spurious_completion(value, value),
        8 => faults.fetch_word(value.into()),
        9 => faults.stall_resets(value & 1 == 0),
        10 => faults.interrupt(value),
        _ => faults.clear(),
    }
}

/// Ends what was injected, and brings everything up from a reset.
fn restart(rig: &mut Rig) {
    (0..256).for_each(|page| rig.host.map(MEMORY + page * 0x1000, true));
    rig.nic.faults().clear();
    rig.nic.set_link(true);
    rig.nic.reset();
    rig.nic.enable_function();
    rig.write(regs::CTRL, regs::CTRL_RESET);
    rig.enable();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn nothing_upsets_it(actions in vec(action(), 0..80)) {
        let mut rig = Rig::cm();
        for action in &actions {
            action.apply(&mut rig);
        }
        restart(&mut rig);
        let mut rig = rig.start_cm();
        rig.hear(Req::default());
        prop_assert!(rig.take_event().is_some());
        prop_assert_eq!(rig.send(Rej::default()), vrnic_abi::cmd::Status::OK);
    }

    #[test]
    fn any_bytes_of_configuration_space_can_be_written(writes in vec((any::<u16>(), vec(any::<u8>(), 0..16)), 0..50)) {
        let rig = Rig::cold();
        for (at, data) in &writes {
            rig.nic.config_write(*at, data);
        }
        let mut identity = [0; 4];
        rig.nic.config_read(0, &mut identity);
        prop_assert_eq!(identity, [0xF4, 0x1A, 0xF0, 0x10]);
    }
}
