//! The command queue, and every command's answers.

use vrnic_abi::cm::{GID_VALID, GidEntry};
use vrnic_abi::cmd::{Command, Opcode, Status};
use vrnic_abi::info::{CAP_CM, CAP_ETH, CAP_RC, DeviceInfo, Statistics};
use vrnic_abi::regs::{self, DeviceState, FatalSyndrome};
use vrnic_abi::resource::{EQ_ASYNC, EqCreate, ObjectNumber, Ring};
use zerocopy::FromZeros;

use crate::host::MEMORY;
use crate::rig::{COMMANDS, COMPLETIONS, EVENTS, FETCH, LOG2, MAILBOX, NOWHERE, OUR_MAC, Rig, contiguous};

const NONE: [u8; 0] = [];

fn number(number: u32) -> ObjectNumber {
    ObjectNumber {
        number: number.into(),
    }
}

/// Runs a command, and checks status and syndrome.
#[track_caller]
fn expect(rig: &mut Rig, command: &Command, status: Status, syndrome: u32) {
    let completion = rig.run(command);
    assert_eq!(
        (Status::from(completion.status), completion.syndrome.get()),
        (status, syndrome)
    );
    if status != Status::OK {
        assert_eq!(completion.output, [0; 16]);
    }
}

#[test]
fn several_passes_over_the_ring() {
    let mut rig = Rig::ready();
    for round in 1..=100 {
        assert_eq!(rig.status(Opcode::NOP, &NONE), Status::OK);
        assert_eq!(rig.fetched(), round);
    }
    assert_eq!(rig.take_completion().map(|c| c.tag), None);
}

#[test]
fn a_full_ring_at_once() {
    let mut rig = Rig::ready();
    let commands: Vec<_> = (0..1 << LOG2)
        .map(|_| rig.new_command(Opcode::NOP, &NONE))
        .collect();
    for command in &commands {
        rig.put(command);
    }
    rig.ring();
    for command in &commands {
        assert_eq!(rig.take_completion().unwrap().tag, command.tag);
    }
    assert_eq!(rig.state(), DeviceState::READY);
}

#[test]
fn a_doorbell_too_far_ahead_is_fatal() {
    for (skew, state) in [
        (16, DeviceState::READY),
        (17, DeviceState::FATAL),
        (u32::MAX, DeviceState::FATAL),
    ] {
        let mut rig = Rig::ready();
        rig.nic.faults().silence(true);
        rig.skew_posted(skew);
        rig.ring();
        assert_eq!(rig.state(), state, "{skew} commands at once");
        if state == DeviceState::FATAL {
            assert_eq!(rig.syndrome(), FatalSyndrome::BAD_DOORBELL);
            assert_eq!(rig.host.take_interrupts(), [0]);
            assert_eq!(rig.read(regs::INT_CAUSE), regs::INT_FATAL);
        }
    }
}

#[test]
fn the_doorbell_counts_commands_that_are_not_completed() {
    let mut rig = Rig::ready();
    rig.nic.faults().hold(vrnic_device::Hold::All);
    for _ in 0..1 << LOG2 {
        let nop = rig.new_command(Opcode::NOP, &NONE);
        rig.put(&nop);
    }
    rig.ring();
    rig.ring();
    assert_eq!((rig.state(), rig.fetched()), (DeviceState::READY, 1 << LOG2));
    rig.skew_posted(1);
    rig.ring();
    assert_eq!(rig.syndrome(), FatalSyndrome::BAD_DOORBELL);
}

#[test]
fn dma_faults_of_the_queue_are_fatal() {
    for page in [COMMANDS, COMPLETIONS, FETCH] {
        let mut rig = Rig::ready();
        let nop = rig.new_command(Opcode::NOP, &NONE);
        rig.put(&nop);
        rig.host.map(page, false);
        rig.ring();
        assert_eq!(
            (rig.state(), rig.syndrome()),
            (DeviceState::FATAL, FatalSyndrome::DMA_FAULT),
            "{page:#x}"
        );
        rig.host.map(page, true);
        rig.ring();
        assert_eq!(rig.take_completion().map(|c| c.tag), None, "it stays dead");
    }
}

#[test]
fn unknown_opcodes() {
    let mut rig = Rig::ready();
    for opcode in [Opcode(0x0004), Opcode(0x0307), Opcode(0x7777), Opcode(u16::MAX)] {
        assert_eq!(rig.status(opcode, &NONE), Status::BAD_OPCODE, "{opcode:?}");
    }
}

#[test]
fn commands_without_mailbox_want_none() {
    let mut rig = Rig::ready();
    for opcode in [
        Opcode::NOP,
        Opcode::SET_GID,
        Opcode::CREATE_EQ,
        Opcode::DESTROY_EQ,
        Opcode::CM_ENABLE,
        Opcode::CM_DISABLE,
    ] {
        let mut command = rig.new_command(opcode, &NONE);
        command.mailbox_len = 1.into();
        expect(&mut rig, &command, Status::BAD_PARAMETER, 4);
        command.mailbox_len = 0.into();
        command.mailbox = MAILBOX.into();
        expect(&mut rig, &command, Status::BAD_PARAMETER, 8);
    }
}

#[test]
fn what_is_behind_the_input_must_be_zero() {
    let mut rig = Rig::ready();
    for (opcode, length) in [
        (Opcode::NOP, 0),
        (Opcode::QUERY_DEVICE, 0),
        (Opcode::QUERY_STATS, 0),
        (Opcode::SET_GID, 24),
        (Opcode::CREATE_EQ, 20),
        (Opcode::DESTROY_EQ, 4),
        (Opcode::QUERY_EQ, 4),
        (Opcode::CM_ENABLE, 24),
        (Opcode::CM_DISABLE, 0),
    ] {
        for at in [length, 47] {
            let mut command = rig.new_command(opcode, &NONE);
            command.input[at] = 1;
            expect(
                &mut rig,
                &command,
                Status::BAD_PARAMETER,
                16 + u32::try_from(at).unwrap(),
            );
        }
    }
}

#[test]
fn mailboxes_are_checked() {
    let mut rig = Rig::ready();
    for (opcode, needed) in [(Opcode::QUERY_DEVICE, 128), (Opcode::QUERY_STATS, 512)] {
        let mut command = rig.new_command(opcode, &NONE);
        expect(&mut rig, &command, Status::BAD_MAILBOX, needed);
        command.mailbox = MAILBOX.into();
        command.mailbox_len = (needed - 1).into();
        expect(&mut rig, &command, Status::BAD_MAILBOX, needed);
        command.mailbox_len = needed.into();
        expect(&mut rig, &command, Status::OK, 0);
        command.mailbox_len = 4096.into();
        expect(&mut rig, &command, Status::OK, 0);
        command.mailbox_len = 4097.into();
        expect(&mut rig, &command, Status::BAD_PARAMETER, 4);
        command.mailbox_len = needed.into();
        for addr in [NOWHERE, u64::MAX, MEMORY - 1] {
            command.mailbox = addr.into();
            expect(&mut rig, &command, Status::BAD_MAILBOX, 0);
        }
    }
    assert_eq!(
        rig.state(),
        DeviceState::READY,
        "a mailbox that faults is the command's problem only"
    );
    assert_eq!(rig.nic.statistics().dma_faults.get(), 6);
}

#[test]
fn query_device() {
    let mut rig = Rig::ready();
    let info: DeviceInfo = rig.query(Opcode::QUERY_DEVICE, &NONE);
    assert_eq!(info.capabilities, CAP_CM | CAP_RC | CAP_ETH);
    assert_eq!(info.fw_version, vrnic_device::FW_VERSION);
    assert_eq!(info.node_guid, [0x00, 0, 0, 0xFF, 0xFE, 0, 0, OUR_MAC[5]]);
    assert_eq!(
        (
            info.max_eqs.get(),
            info.gid_entries.get(),
            info.max_half_open.get()
        ),
        (64, 64, 4096)
    );
    assert_eq!(
        (
            info.max_eth_queues.get(),
            info.max_tx_pieces,
            info.max_large_send.get()
        ),
        (16, 32, 0x2_0000)
    );
    assert_eq!(info.hash_types.get(), 0xD700);
}

#[test]
fn query_statistics() {
    let mut rig = Rig::ready();
    rig.status(Opcode::ALLOC_MW, &NONE);
    rig.nic.receive(&[0; 5]);
    let statistics: Statistics = rig.query(Opcode::QUERY_STATS, &NONE);
    assert_eq!(
        (statistics.commands_failed.get(), statistics.drop_malformed.get()),
        (1, 1)
    );
    assert_eq!(statistics.rdma_in_frames.get(), 0);
}

fn gid_entry(index: u16, flags: u16, vlan: u16, gid: &str) -> GidEntry {
    GidEntry {
        flags: flags.into(),
        ..Rig::gid_entry(index, gid.parse().unwrap(), vlan)
    }
}

#[test]
fn set_gid() {
    let mut rig = Rig::ready();
    for (entry, status, syndrome) in [
        (gid_entry(0, GID_VALID, 0, "192.0.2.1"), Status::OK, 0),
        (gid_entry(63, GID_VALID, 0xE00A, "2001:db8::1"), Status::OK, 0),
        (gid_entry(63, 0, 0, "::"), Status::OK, 0),
        (
            gid_entry(64, GID_VALID, 0, "192.0.2.1"),
            Status::BAD_PARAMETER,
            16,
        ),
        (gid_entry(u16::MAX, 0, 0, "::"), Status::BAD_PARAMETER, 16),
        (gid_entry(0, 2, 0, "192.0.2.1"), Status::BAD_PARAMETER, 18),
        (
            gid_entry(0, GID_VALID, 0x1001, "192.0.2.1"),
            Status::BAD_PARAMETER,
            20,
        ),
        (
            gid_entry(0, GID_VALID, 0x0FFF, "192.0.2.1"),
            Status::BAD_PARAMETER,
            20,
        ),
        (
            GidEntry {
                reserved: 1.into(),
                ..gid_entry(0, GID_VALID, 0, "192.0.2.1")
            },
            Status::BAD_PARAMETER,
            22,
        ),
        (gid_entry(0, GID_VALID, 0, "0.0.0.0"), Status::BAD_PARAMETER, 24),
        (gid_entry(0, GID_VALID, 0, "224.0.0.1"), Status::BAD_PARAMETER, 24),
        (
            gid_entry(0, GID_VALID, 0, "255.255.255.255"),
            Status::BAD_PARAMETER,
            24,
        ),
        (gid_entry(0, GID_VALID, 0, "::"), Status::BAD_PARAMETER, 24),
        (gid_entry(0, GID_VALID, 0, "ff02::1"), Status::BAD_PARAMETER, 24),
    ] {
        let command = rig.new_command(Opcode::SET_GID, &entry);
        expect(&mut rig, &command, status, syndrome);
    }
}

#[test]
fn create_eq_checks_its_input() {
    let good = Rig::eq_attributes(0);
    let with = |change: fn(&mut Ring)| {
        let mut attributes = good;
        change(&mut attributes.ring);
        attributes
    };
    for (attributes, syndrome) in [
        (with(|ring| ring.addr = (EVENTS + 32).into()), 16),
        (with(|ring| ring.addr = (u64::MAX - 63).into()), 16),
        (with(|ring| ring.log2_entries = 1), 24),
        (with(|ring| ring.log2_entries = 15), 24),
        (with(|ring| ring.log2_entries = 255), 24),
        (with(|ring| ring.levels = 4), 25),
        (with(|ring| ring.reserved[5] = 1), 26),
        (
            with(|ring| (ring.levels, ring.addr) = (1, (EVENTS + 64).into())),
            16,
        ),
        (with(|ring| (ring.levels, ring.addr) = (1, NOWHERE.into())), 16),
        (
            EqCreate {
                vector: 16.into(),
                ..good
            },
            32,
        ),
        (
            EqCreate {
                flags: 2.into(),
                ..good
            },
            34,
        ),
    ] {
        let mut rig = Rig::ready();
        let command = rig.new_command(Opcode::CREATE_EQ, &attributes);
        expect(&mut rig, &command, Status::BAD_PARAMETER, syndrome);
        assert_eq!(rig.create_eq(0), 0, "nothing was left behind");
    }
}

#[test]
fn event_queues_come_and_go() {
    let mut rig = Rig::ready();
    assert_eq!(rig.create_eq(EQ_ASYNC), 0);
    assert_eq!(
        rig.status(Opcode::CREATE_EQ, &Rig::eq_attributes(EQ_ASYNC)),
        Status::IN_USE,
        "one is asynchronous"
    );
    for expected in 1..64 {
        assert_eq!(rig.create_eq(0), expected);
    }
    assert_eq!(
        rig.status(Opcode::CREATE_EQ, &Rig::eq_attributes(0)),
        Status::NO_RESOURCES
    );
    let attributes: EqCreate = rig.query(Opcode::QUERY_EQ, &number(5));
    assert_eq!(
        zerocopy::IntoBytes::as_bytes(&attributes),
        zerocopy::IntoBytes::as_bytes(&Rig::eq_attributes(0))
    );
    assert_eq!(rig.status(Opcode::DESTROY_EQ, &number(5)), Status::OK);
    assert_eq!(rig.status(Opcode::DESTROY_EQ, &number(5)), Status::BAD_RESOURCE);
    for missing in [5, 64, u32::MAX] {
        assert_eq!(
            rig.status(Opcode::DESTROY_EQ, &number(missing)),
            Status::BAD_RESOURCE
        );
        let completion = rig.run_mailbox(Opcode::QUERY_EQ, &number(missing), 20);
        assert_eq!(Status::from(completion.status), Status::BAD_RESOURCE);
    }
    assert_eq!(rig.create_eq(0), 5);
}

#[test]
fn rings_in_pages() {
    let table = MEMORY + 0x8000;
    let mut rig = Rig::ready();
    // 256 events of 32 bytes: two pages, in reverse order.
    rig.host.poke(table, &(EVENTS + 0x1000).to_le_bytes());
    rig.host.poke(table + 8, &EVENTS.to_le_bytes());
    let one_level = Ring {
        levels: 1,
        ..contiguous(table, 8)
    };
    let attributes = EqCreate {
        ring: one_level,
        ..Rig::eq_attributes(0)
    };
    assert_eq!(rig.status(Opcode::CREATE_EQ, &attributes), Status::OK);
    for _ in 0..129 {
        assert!(rig.nic.faults().event(0, vrnic_abi::event::Event::new_zeroed()));
    }
    assert_eq!(rig.host.peek(EVENTS + 0x1000 + 127 * 32, 32)[31], 1);
    assert_eq!(rig.host.peek(EVENTS, 32)[31], 1);
    assert_eq!(rig.host.peek(EVENTS + 32, 32)[31], 0);

    // The same two levels deep.
    rig.host.poke(table + 0x1000, &table.to_le_bytes());
    let attributes = EqCreate {
        ring: Ring {
            levels: 2,
            ..contiguous(table + 0x1000, 8)
        },
        ..attributes
    };
    assert_eq!(rig.status(Opcode::CREATE_EQ, &attributes), Status::OK);
    // A page that is not aligned.
    rig.host.poke(table + 8, &(EVENTS + 64).to_le_bytes());
    let command = rig.new_command(Opcode::CREATE_EQ, &attributes);
    expect(&mut rig, &command, Status::BAD_PARAMETER, 16);
}

#[test]
fn the_event_queue_of_the_cm_service_is_in_use() {
    let mut rig = Rig::cm();
    assert_eq!(rig.status(Opcode::DESTROY_EQ, &number(0)), Status::IN_USE);
    assert_eq!(rig.status(Opcode::CM_DISABLE, &NONE), Status::OK);
    assert_eq!(rig.status(Opcode::DESTROY_EQ, &number(0)), Status::OK);
}
