//! Fault injection does what it says.

use vrnic_abi::cmd::{OWNER_PHASE, Opcode, Status};
use vrnic_abi::event::EventKind;
use vrnic_abi::regs::{self, DeviceState};
use vrnic_device::{CompletionFault, Hold};

use crate::rig::{COMPLETIONS, Rig};

const NONE: [u8; 0] = [];

#[test]
fn injected_answers() {
    let mut rig = Rig::cm();
    rig.nic.faults().answer(Opcode::NOP, Status::TIMEOUT, 0xABCD, 2);
    rig.nic.faults().answer(Opcode::NOP, Status(0x99), 1, 1);
    rig.nic.faults().answer(Opcode::NOP, Status::IN_USE, 1, 0);
    assert_eq!(
        rig.status(Opcode::CM_DISABLE, &NONE),
        Status::OK,
        "another opcode"
    );
    for (status, syndrome) in [
        (Status::TIMEOUT, 0xABCD),
        (Status::TIMEOUT, 0xABCD),
        (Status(0x99), 1),
        (Status::OK, 0),
    ] {
        let nop = rig.new_command(Opcode::NOP, &NONE);
        let completion = rig.run(&nop);
        assert_eq!(
            (Status::from(completion.status), completion.syndrome.get()),
            (status, syndrome)
        );
    }
}

#[test]
fn held_commands_are_accepted_but_not_executed() {
    let mut rig = Rig::cm();
    rig.nic.faults().hold(Hold::Only(Opcode::CM_SEND));
    let mad = roce_wire::cm::CmMad::new(1, roce_wire::cm::Rej::default()).to_bytes();
    let send = rig.mad_command(&crate::rig::to_peer(), &mad);
    rig.put(&send);
    rig.ring();
    assert_eq!(rig.fetched(), rig.posted());
    assert_eq!(
        (rig.nic.faults().held(), rig.take_completion().map(|c| c.tag)),
        (1, None)
    );
    assert_eq!(rig.status(Opcode::NOP, &NONE), Status::OK, "others go on");
    assert_eq!(rig.host.take_frames().len(), 0);
    rig.nic.faults().release();
    let completion = rig.take_completion().unwrap();
    assert_eq!(
        (completion.tag, Status::from(completion.status)),
        (send.tag, Status::OK)
    );
    assert_eq!(rig.host.take_frames().len(), 1);
    assert_eq!(rig.send(roce_wire::cm::Rej::default()), Status::OK);
}

#[test]
fn commands_can_complete_out_of_order() {
    let mut rig = Rig::ready();
    rig.nic.faults().hold(Hold::All);
    let commands: Vec<_> = (0..5).map(|_| rig.new_command(Opcode::NOP, &NONE)).collect();
    for command in &commands {
        rig.put(command);
    }
    rig.ring();
    assert_eq!(rig.nic.faults().held(), 5);
    rig.nic.faults().release_reversed();
    for command in commands.iter().rev() {
        assert_eq!(rig.take_completion().unwrap().tag, command.tag);
    }
}

#[test]
fn a_silent_device_does_not_fetch() {
    let mut rig = Rig::ready();
    rig.nic.faults().silence(true);
    let nop = rig.new_command(Opcode::NOP, &NONE);
    rig.put(&nop);
    rig.ring();
    assert_eq!((rig.fetched(), rig.take_completion().map(|c| c.tag)), (0, None));
    rig.nic.faults().silence(false);
    assert_eq!((rig.fetched(), rig.take_completion().unwrap().tag), (1, nop.tag));
}

#[test]
fn spoilt_completions() {
    let mut rig = Rig::ready();
    for fault in [
        CompletionFault::Tag(0x7777),
        CompletionFault::Status(0x1234),
        CompletionFault::Twice,
    ] {
        rig.nic.faults().spoil_completion(fault);
    }
    let commands: Vec<_> = (0..3).map(|_| rig.new_command(Opcode::NOP, &NONE)).collect();
    for command in &commands {
        rig.put(command);
    }
    rig.ring();
    assert_eq!(rig.take_completion().unwrap().tag.get(), 0x7777);
    assert_eq!(rig.take_completion().unwrap().status.get(), 0x1234);
    assert_eq!(rig.take_completion().unwrap().tag, commands[2].tag);
    assert_eq!(rig.take_completion().unwrap().tag, commands[2].tag, "twice");
    assert_eq!(rig.status(Opcode::NOP, &NONE), Status::OK);

    rig.nic.faults().spoil_completion(CompletionFault::Lost);
    let lost = rig.new_command(Opcode::NOP, &NONE);
    rig.put(&lost);
    rig.ring();
    assert_eq!((rig.fetched(), rig.take_completion().map(|c| c.tag)), (5, None));
    rig.nic.faults().spurious_completion(0x4242, 0);
    assert_eq!(rig.take_completion().unwrap().tag.get(), 0x4242);

    rig.nic.faults().spoil_completion(CompletionFault::WrongPhase);
    let unseen = rig.new_command(Opcode::NOP, &NONE);
    rig.put(&unseen);
    rig.ring();
    assert_eq!(rig.take_completion().map(|c| c.tag), None);
    let written = rig.host.peek(COMPLETIONS + 6 * 32, 32);
    assert_eq!(
        (written[..2].to_vec(), written[31] & OWNER_PHASE),
        (unseen.tag.get().to_le_bytes().to_vec(), 0)
    );
}

#[test]
fn the_fetch_word_can_lie() {
    let rig = Rig::ready();
    rig.nic.faults().fetch_word(0x8000_0000);
    assert_eq!(rig.fetched(), 0x8000_0000);
}

#[test]
fn wrong_events() {
    let mut rig = Rig::cm();
    let mut event = vrnic_abi::event::Event {
        kind: EventKind::CM_MAD.into(),
        ..zerocopy::FromZeros::new_zeroed()
    };
    event.number = u32::MAX.into();
    assert!(rig.nic.faults().event(0, event));
    assert_eq!(rig.take_event().unwrap().number.get(), u32::MAX);
    assert!(!rig.nic.faults().event(7, event), "there is no such queue");
}

#[test]
fn a_reset_that_does_not_end() {
    let mut rig = Rig::ready();
    rig.nic.faults().stall_resets(true);
    rig.write(regs::CTRL, regs::CTRL_RESET);
    assert_eq!(rig.state(), DeviceState::RESETTING);
    rig.write_queue_registers();
    rig.write(regs::CTRL, regs::CTRL_ENABLE);
    assert_eq!(
        (rig.state(), rig.read(regs::CMDQ_LOG2)),
        (DeviceState::RESETTING, 0),
        "nothing but waiting"
    );
    rig.nic.faults().stall_resets(false);
    assert_eq!(rig.state(), DeviceState::IDLE);
    rig.enable();
}

#[test]
fn clearing_ends_all_faults() {
    let mut rig = Rig::ready();
    rig.nic.faults().hold(Hold::All);
    let held = rig.new_command(Opcode::NOP, &NONE);
    rig.put(&held);
    rig.ring();
    rig.nic.faults().silence(true);
    let unseen = rig.new_command(Opcode::NOP, &NONE);
    rig.put(&unseen);
    rig.ring();
    rig.nic.faults().answer(Opcode::NOP, Status::TIMEOUT, 0, 5);
    rig.nic.faults().spoil_completion(CompletionFault::Lost);
    rig.nic.faults().clear();
    for command in [held, unseen] {
        let completion = rig.take_completion().unwrap();
        assert_eq!(
            (completion.tag, Status::from(completion.status)),
            (command.tag, Status::OK)
        );
    }
}

#[test]
fn a_reset_forgets_held_commands() {
    let mut rig = Rig::ready();
    rig.nic.faults().hold(Hold::All);
    let held = rig.new_command(Opcode::NOP, &NONE);
    rig.put(&held);
    rig.ring();
    rig.write(regs::CTRL, regs::CTRL_RESET);
    rig.enable();
    rig.nic.faults().release();
    assert_eq!(
        (rig.nic.faults().held(), rig.take_completion().map(|c| c.tag)),
        (0, None)
    );
}
