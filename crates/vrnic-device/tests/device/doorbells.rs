//! BAR2 as memory, and the sleep protocol.

use std::os::fd::AsFd;

use vrnic_abi::{doorbell, pci, regs};

use crate::rig::Rig;

#[test]
fn the_same_memory_by_every_way() {
    let rig = Rig::cold();
    let file = std::fs::File::from(rig.nic.doorbells().as_fd().try_clone_to_owned().unwrap());
    assert_eq!(file.metadata().unwrap().len(), pci::DOORBELL_BAR_SIZE);
    let at = doorbell::CQ + 16;
    rig.nic.bar_write(2, at, &0x1122_3344u32.to_le_bytes());
    assert_eq!(rig.nic.doorbells().load(at), 0x1122_3344);
    let mut bytes = [0; 4];
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, at).unwrap();
    assert_eq!(u32::from_le_bytes(bytes), 0x1122_3344);
    rig.nic.bar_write(2, at + 1, &[0xAA, 0xBB]);
    assert_eq!(rig.nic.doorbells().load(at), 0x11BB_AA44);
    rig.nic.bar_write(2, at + 2, &[1, 2, 3, 4]);
    let mut across = [0; 6];
    rig.nic.bar_read(2, at + 1, &mut across);
    assert_eq!(across, [0xAA, 1, 2, 3, 4, 0]);
    assert!(file.set_len(0).is_err(), "nobody can shrink it under the mapping");
}

#[test]
fn outside_of_the_bar() {
    let rig = Rig::cold();
    let mut bytes = [0; 8];
    rig.nic.bar_read(2, pci::DOORBELL_BAR_SIZE - 4, &mut bytes);
    assert_eq!(bytes, [0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
    rig.nic.bar_write(2, pci::DOORBELL_BAR_SIZE - 2, &[7; 8]);
    rig.nic.bar_write(2, u64::MAX, &[7; 8]);
    rig.nic.bar_read(2, u64::MAX - 1, &mut bytes);
    assert_eq!(rig.nic.doorbells().load(pci::DOORBELL_BAR_SIZE), u32::MAX);
    assert_eq!(rig.nic.doorbells().load(2), u32::MAX, "not aligned");
    rig.nic.doorbells().store(2, 1);
    assert_eq!(rig.nic.doorbells().load(0), 0);
}

fn asleep(rig: &Rig) -> bool {
    rig.nic.doorbells().load(doorbell::SLEEP) != 0
}

#[test]
fn the_engine_sleeps_and_is_kicked() {
    let rig = Rig::cm();
    rig.wait("sleep", asleep);
    // A wrong index rung in while it sleeps is not seen before the kick.
    rig.nic.doorbells().store(doorbell::CM_CONSUMER, 9);
    assert!(rig.peek_event().is_none());
    rig.kick();
    rig.wait("the CM error", |rig| rig.peek_event().is_some());
    rig.wait("sleep again", asleep);
}

#[test]
fn the_engine_says_again_that_it_sleeps_after_a_reset() {
    let mut rig = Rig::ready();
    rig.wait("sleep", asleep);
    for _ in 0..20 {
        rig.write(regs::CTRL, regs::CTRL_RESET);
        rig.enable();
        rig.wait("sleep after a reset", asleep);
    }
}

#[test]
fn many_nics_end_cleanly() {
    for _ in 0..20 {
        drop(Rig::cm());
    }
}
