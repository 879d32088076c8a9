//! Identity registers, reset, bring-up, the interrupt of vector 0.

use vrnic_abi::cmd::{Opcode, Status};
use vrnic_abi::regs::{self, DeviceState, FatalSyndrome};
use vrnic_device::NicConfig;

use crate::rig::{COMMANDS, FETCH, LOG2, NOWHERE, OUR_MAC, Rig};

#[test]
fn identity() {
    let rig = Rig::with(NicConfig {
        mtu: 1500,
        speed_mbps: 25_000,
        ..NicConfig::new(OUR_MAC)
    });
    assert_eq!(rig.read(regs::MAGIC).to_le_bytes(), *b"VNIC");
    assert_eq!(rig.read(regs::ABI_VERSION), vrnic_abi::VERSION);
    assert_eq!(rig.read(regs::FW_VERSION), vrnic_device::FW_VERSION);
    assert_eq!(rig.read(regs::MAC_LO).to_le_bytes(), OUR_MAC[..4]);
    assert_eq!(
        rig.read(regs::MAC_HI).to_le_bytes(),
        [OUR_MAC[4], OUR_MAC[5], 0, 0]
    );
    assert_eq!(rig.read(regs::LINK), 1500 << regs::LINK_MTU_SHIFT | regs::LINK_UP);
    assert_eq!(rig.read(regs::LINK_SPEED), 25_000);
    assert_eq!(rig.read(0xFFC), 0, "an undefined register reads zero");
    for register in [
        regs::MAGIC,
        regs::ABI_VERSION,
        regs::MAC_LO,
        regs::LINK,
        regs::STATUS,
    ] {
        let before = rig.read(register);
        rig.write(register, !before);
        assert_eq!(rig.read(register), before, "{register:#x} is read-only");
    }
}

#[test]
fn wrong_configurations_are_refused() {
    let good = NicConfig::new(OUR_MAC);
    for (config, word) in [
        (
            NicConfig {
                mac: [0; 6],
                ..good.clone()
            },
            "unicast",
        ),
        (
            NicConfig {
                mac: [0x03, 0, 0, 0, 0, 1],
                ..good.clone()
            },
            "unicast",
        ),
        (
            NicConfig {
                mtu: 1279,
                ..good.clone()
            },
            "MTU",
        ),
        (
            NicConfig {
                mtu: 9217,
                ..good.clone()
            },
            "MTU",
        ),
        (
            NicConfig {
                max_half_open: 0,
                ..good
            },
            "half-open",
        ),
    ] {
        let host = std::sync::Arc::new(crate::host::Host::new());
        let error = vrnic_device::Nic::new(config, host.clone(), host.clone(), host)
            .err()
            .unwrap();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn only_aligned_words() {
    let rig = Rig::cold();
    for (offset, length) in [(1, 4), (2, 2), (0, 1), (0, 8), (0x1_0000, 4), (u64::MAX - 3, 4)] {
        let mut data = vec![0; length];
        rig.nic.bar_read(0, offset, &mut data);
        assert!(
            data.iter().all(|byte| *byte == 0xFF),
            "{offset:#x}, {length} bytes"
        );
        rig.nic.bar_write(0, offset, &data);
    }
    rig.nic.bar_write(0, u64::from(regs::CMDQ_LOG2), &[5, 0]);
    assert_eq!(rig.read(regs::CMDQ_LOG2), 0);
}

#[test]
fn bring_up() {
    let mut rig = Rig::cold();
    assert_eq!(rig.state(), DeviceState::IDLE);
    assert_eq!(rig.read(regs::INT_MASK), u32::MAX);
    rig.enable();
    assert_eq!(rig.read(regs::CTRL), regs::CTRL_ENABLE);
    assert_eq!(rig.fetched(), 0, "the fetch word begins with zero");
    rig.write(regs::CMDQ_LOG2, 9);
    assert_eq!(
        rig.read(regs::CMDQ_LOG2),
        LOG2,
        "queue registers are fixed while the queue runs"
    );
    assert_eq!(rig.status(Opcode::NOP, &[0u8; 0]), Status::OK);
}

#[test]
fn queue_registers_are_checked() {
    let cases: [(u32, u64, FatalSyndrome); 12] = [
        (regs::CMDQ_BASE_LO, COMMANDS + 32, FatalSyndrome::BAD_QUEUE),
        (regs::CMDQ_CPL_LO, COMMANDS + 4, FatalSyndrome::BAD_QUEUE),
        (regs::CMDQ_FETCH_LO, FETCH + 2, FatalSyndrome::BAD_QUEUE),
        (regs::CMDQ_BASE_LO, u64::MAX - 63, FatalSyndrome::BAD_QUEUE),
        (regs::CMDQ_CPL_LO, u64::MAX - 63, FatalSyndrome::BAD_QUEUE),
        (regs::CMDQ_FETCH_LO, u64::MAX - 3, FatalSyndrome::BAD_QUEUE),
        (regs::CMDQ_LOG2, 1, FatalSyndrome::BAD_QUEUE),
        (regs::CMDQ_LOG2, 13, FatalSyndrome::BAD_QUEUE),
        (regs::CMDQ_LOG2, 64, FatalSyndrome::BAD_QUEUE),
        (regs::CMDQ_LOG2, 0xFFFF_FFFF, FatalSyndrome::BAD_QUEUE),
        (regs::CMDQ_LOG2, 0, FatalSyndrome::BAD_QUEUE),
        (regs::CMDQ_FETCH_LO, NOWHERE, FatalSyndrome::DMA_FAULT),
    ];
    for (register, value, syndrome) in cases {
        let rig = Rig::cold();
        rig.write_queue_registers();
        if register == regs::CMDQ_LOG2 {
            rig.write(register, u32::try_from(value).unwrap());
        } else {
            rig.write_u64(register, value);
        }
        rig.write(regs::CTRL, regs::CTRL_ENABLE);
        assert_eq!(
            (rig.state(), rig.syndrome()),
            (DeviceState::FATAL, syndrome),
            "{register:#x} = {value:#x}"
        );
        rig.write(regs::CTRL, 0);
        assert_eq!(rig.state(), DeviceState::FATAL, "only a reset helps");
        rig.write(regs::CTRL, regs::CTRL_RESET);
        assert_eq!(
            (rig.state(), rig.syndrome()),
            (DeviceState::IDLE, FatalSyndrome::NONE)
        );
        assert_eq!(rig.read(regs::CMDQ_BASE_LO), 0);
    }
}

#[test]
fn reset_takes_everything_down() {
    let mut rig = Rig::cm();
    assert_eq!(rig.status(Opcode(0x0307), &[0u8; 0]), Status::BAD_OPCODE);
    assert_ne!(rig.nic.statistics().commands_failed.get(), 0);
    rig.write(regs::CTRL, regs::CTRL_RESET | regs::CTRL_ENABLE);
    assert_eq!(
        (rig.state(), rig.read(regs::CTRL)),
        (DeviceState::IDLE, 0),
        "reset wins"
    );
    assert_eq!(rig.nic.statistics().commands_failed.get(), 0);
    assert_eq!(rig.read(regs::INT_CAUSE), 0);
    assert_eq!(rig.read(regs::INT_MASK), u32::MAX);
    rig.enable();
    let rig = rig.start_cm();
    assert_eq!(rig.state(), DeviceState::READY);
}

#[test]
fn disabling_takes_the_objects_down_and_keeps_the_queue_registers() {
    let mut rig = Rig::cm();
    rig.write(regs::CTRL, 0);
    assert_eq!(rig.state(), DeviceState::IDLE);
    assert_eq!(rig.read(regs::CMDQ_LOG2), LOG2);
    rig.write(regs::CMDQ_DOORBELL, 1);
    assert_eq!(
        rig.state(),
        DeviceState::IDLE,
        "a doorbell of a queue that does not run is ignored"
    );
    rig.enable();
    let rig = rig.start_cm();
    assert_eq!(rig.state(), DeviceState::READY);
}

#[test]
fn a_completion_raises_vector_0() {
    let mut rig = Rig::ready();
    rig.status(Opcode::NOP, &[0u8; 0]);
    assert_eq!(rig.host.take_interrupts(), [0]);
    assert_eq!(rig.read(regs::INT_CAUSE), regs::INT_COMMAND);
    rig.status(Opcode::NOP, &[0u8; 0]);
    assert_eq!(rig.host.take_interrupts(), [], "the cause has not been cleared");
    rig.write(regs::INT_CAUSE, regs::INT_COMMAND);
    assert_eq!(
        (rig.read(regs::INT_CAUSE), rig.host.take_interrupts()),
        (0, vec![])
    );
    rig.status(Opcode::NOP, &[0u8; 0]);
    assert_eq!(rig.host.take_interrupts(), [0]);
}

#[test]
fn a_masked_cause_raises_its_interrupt_when_the_mask_goes() {
    let mut rig = Rig::ready();
    rig.write(regs::INT_MASK, regs::INT_COMMAND);
    rig.status(Opcode::NOP, &[0u8; 0]);
    assert_eq!(rig.host.take_interrupts(), []);
    rig.write(regs::INT_MASK, 0);
    assert_eq!(rig.host.take_interrupts(), [0]);
}

#[test]
fn a_cause_that_came_while_another_was_handled_is_not_lost() {
    let mut rig = Rig::ready();
    rig.status(Opcode::NOP, &[0u8; 0]);
    assert_eq!(rig.host.take_interrupts(), [0]);
    let seen = rig.read(regs::INT_CAUSE);
    rig.nic.faults().fatal(FatalSyndrome::INTERNAL);
    assert_eq!(rig.host.take_interrupts(), []);
    rig.write(regs::INT_CAUSE, seen);
    assert_eq!(rig.host.take_interrupts(), [0]);
    assert_eq!(rig.read(regs::INT_CAUSE), regs::INT_FATAL);
}
