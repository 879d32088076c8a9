//! Configuration space, MSI-X, function level reset, surprise removal.

use vrnic_abi::{pci, regs};

use crate::rig::Rig;

fn config_u32(rig: &Rig, offset: u16) -> u32 {
    let mut word = [0; 4];
    rig.nic.config_read(offset, &mut word);
    u32::from_le_bytes(word)
}

fn write_config(rig: &Rig, offset: u16, value: u32) {
    rig.nic.config_write(offset, &value.to_le_bytes());
}

/// Offset of the capability with that id, found as software finds it.
fn capability(rig: &Rig, id: u8) -> u16 {
    let mut at = config_u32(rig, 0x34) & 0xFF;
    for _ in 0..16 {
        assert_ne!(at, 0, "no capability {id:#x}");
        let header = config_u32(rig, u16::try_from(at).unwrap());
        if header & 0xFF == u32::from(id) {
            return u16::try_from(at).unwrap();
        }
        at = header >> 8 & 0xFF;
    }
    panic!("the capability list has a loop");
}

fn msix_table(rig: &Rig, vector: u16, word: u64, value: u32) {
    rig.nic.bar_write(
        pci::MSIX_BAR,
        u64::from(vector) * 16 + word * 4,
        &value.to_le_bytes(),
    );
}

fn pending_bits(rig: &Rig) -> u32 {
    let mut word = [0; 4];
    rig.nic
        .bar_read(pci::MSIX_BAR, pci::MSIX_PBA_OFFSET.into(), &mut word);
    u32::from_le_bytes(word)
}

#[test]
fn identity() {
    let rig = Rig::cold();
    assert_eq!(config_u32(&rig, 0x00), 0x10F0_1AF4);
    assert_eq!(config_u32(&rig, 0x08), 0x0200_0001);
    assert_eq!(config_u32(&rig, 0x2C), 0x0001_1AF4);
    assert_eq!(config_u32(&rig, 0x0C) >> 16 & 0xFF, 0, "header type 0");
    write_config(&rig, 0x00, 0);
    assert_eq!(config_u32(&rig, 0x00), 0x10F0_1AF4, "the identity is read-only");
}

#[test]
fn odd_accesses_to_configuration_space() {
    let rig = Rig::cold();
    let mut bytes = [0; 3];
    rig.nic.config_read(1, &mut bytes);
    assert_eq!(bytes, [0x1A, 0xF0, 0x10]);
    let mut beyond = [0; 8];
    rig.nic.config_read(4092, &mut beyond);
    assert_eq!(beyond, [0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
    rig.nic.config_write(4095, &[1; 8]);
    rig.nic.config_write(u16::MAX, &[1; 8]);
    rig.nic.config_read(u16::MAX, &mut beyond);
    assert_eq!(beyond, [0xFF; 8]);
}

#[test]
fn bars_say_their_size() {
    let rig = Rig::cold();
    for (bar, size, flags) in [
        (pci::REGISTER_BAR, pci::REGISTER_BAR_SIZE, 0b0100),
        (pci::DOORBELL_BAR, pci::DOORBELL_BAR_SIZE, 0b1100),
        (pci::MSIX_BAR, pci::MSIX_BAR_SIZE, 0b0100),
    ] {
        let at = 0x10 + u16::from(bar) * 4;
        assert_eq!(config_u32(&rig, at) & 0xF, flags);
        write_config(&rig, at, u32::MAX);
        write_config(&rig, at + 4, u32::MAX);
        let mask = u64::from(config_u32(&rig, at + 4)) << 32 | u64::from(config_u32(&rig, at) & !0xF);
        assert_eq!(mask.wrapping_neg(), size, "BAR{bar}");
    }
    write_config(&rig, 0x30, u32::MAX);
    assert_eq!(config_u32(&rig, 0x30), 0, "no expansion ROM");
}

#[test]
fn bars_need_memory_decoding_and_d0() {
    let rig = Rig::cold();
    assert_eq!(rig.read(regs::MAGIC), regs::MAGIC_VALUE);
    let power = capability(&rig, 0x01) + 4;
    rig.nic.config_write(power, &[3]);
    assert_eq!(rig.read(regs::MAGIC), u32::MAX, "D3hot");
    rig.nic.config_write(power, &[1]);
    assert_eq!(config_u32(&rig, power) & 3, 3, "D1 does not exist");
    rig.nic.config_write(power, &[0]);
    assert_eq!(rig.read(regs::MAGIC), regs::MAGIC_VALUE);
    rig.nic.config_write(4, &[0, 0]);
    assert_eq!(rig.read(regs::MAGIC), u32::MAX, "decoding is off");
    rig.nic.bar_write(2, 0, &[1, 2, 3, 4]);
    assert_eq!(rig.nic.doorbells().load(0), 0, "a write goes nowhere");
}

#[test]
fn dma_needs_bus_mastering() {
    let rig = Rig::cold();
    rig.nic.config_write(4, &[0b010, 0]);
    rig.write_queue_registers();
    rig.write(regs::CTRL, regs::CTRL_ENABLE);
    assert_eq!(rig.syndrome(), regs::FatalSyndrome::DMA_FAULT);
    assert_eq!(rig.nic.statistics().dma_faults.get(), 1);
}

#[test]
fn a_masked_vector_waits_in_its_pending_bit() {
    let rig = Rig::cold();
    let msix = capability(&rig, 0x11);
    assert_eq!(config_u32(&rig, msix) >> 16 & 0x7FF, u32::from(pci::VECTORS) - 1);
    assert_eq!(config_u32(&rig, msix + 4), u32::from(pci::MSIX_BAR));
    assert_eq!(
        config_u32(&rig, msix + 8),
        pci::MSIX_PBA_OFFSET | u32::from(pci::MSIX_BAR)
    );

    msix_table(&rig, 5, 0, 0xFEE0_0003);
    msix_table(&rig, 5, 1, 0x1);
    msix_table(&rig, 5, 2, 0x4051);
    msix_table(&rig, 5, 3, u32::MAX);
    let vector = rig.nic.msix()[5];
    assert_eq!(
        (vector.addr, vector.data, vector.masked),
        (0x1_FEE0_0000, 0x4051, true)
    );

    rig.nic.faults().interrupt(5);
    rig.nic.faults().interrupt(5);
    assert_eq!(rig.host.take_interrupts(), []);
    assert_eq!(pending_bits(&rig), 1 << 5);
    assert!(rig.nic.msix()[5].pending);
    msix_table(&rig, 5, 3, 0);
    assert_eq!(
        rig.host.take_interrupts(),
        [5],
        "once, however often it was raised"
    );
    assert_eq!(pending_bits(&rig), 0);
    rig.nic.faults().interrupt(5);
    assert_eq!(rig.host.take_interrupts(), [5]);
    rig.nic.faults().interrupt(pci::VECTORS);
    assert_eq!(rig.host.take_interrupts(), [], "there is no such vector");
}

#[test]
fn the_function_mask_and_the_enable_bit_hold_interrupts_back() {
    let rig = Rig::cold();
    let control = capability(&rig, 0x11) + 2;
    for closed in [0u16, 0xC000, 0x4000] {
        rig.nic.config_write(control, &closed.to_le_bytes());
        rig.nic.faults().interrupt(1);
        assert_eq!(rig.host.take_interrupts(), []);
        rig.nic.config_write(control, &0x8000u16.to_le_bytes());
        assert_eq!(rig.host.take_interrupts(), [1]);
    }
    rig.nic.config_write(4, &[0b010, 0]);
    rig.nic.faults().interrupt(1);
    assert_eq!(rig.host.take_interrupts(), [], "a message is a memory write");
    rig.nic.config_write(4, &[0b110, 0]);
    assert_eq!(rig.host.take_interrupts(), [1]);
}

#[test]
fn the_msix_bar_takes_aligned_words_only() {
    let rig = Rig::cold();
    rig.nic.bar_write(pci::MSIX_BAR, 8, &[1, 2]);
    rig.nic.bar_write(pci::MSIX_BAR, 9, &[1; 4]);
    assert_eq!(rig.nic.msix()[0].data, 0);
    rig.nic
        .bar_write(pci::MSIX_BAR, pci::MSIX_PBA_OFFSET.into(), &[0xFF; 4]);
    assert_eq!(pending_bits(&rig), 0, "the pending bits are read-only");
    let mut beyond = [0; 4];
    rig.nic.bar_read(pci::MSIX_BAR, pci::MSIX_BAR_SIZE, &mut beyond);
    assert_eq!(beyond, [0xFF; 4]);
    rig.nic.bar_read(1, 0, &mut beyond);
    assert_eq!(beyond, [0xFF; 4], "there is no BAR1");
}

#[test]
fn function_level_reset() {
    let rig = Rig::cm();
    let express = capability(&rig, 0x10);
    assert_eq!(config_u32(&rig, express + 4) >> 28 & 1, 1, "FLR capable");
    write_config(&rig, 0x10, 0xE000_0000);
    rig.nic.config_write(express + 8, &0x8000u16.to_le_bytes());
    assert_eq!(config_u32(&rig, express + 8) & 0x8000, 0, "reads zero");
    assert_eq!(config_u32(&rig, 0x10) & !0xF, 0, "BARs are cleared");
    assert_eq!(config_u32(&rig, 4) & 0xFFFF, 0, "so is the command register");
    assert!(rig.nic.msix().iter().all(|vector| vector.masked));
    rig.nic.enable_function();
    assert_eq!(rig.state(), regs::DeviceState::IDLE);
    assert_eq!(rig.read(regs::CMDQ_LOG2), 0);
}

#[test]
fn the_host_can_reset_the_function() {
    let mut rig = Rig::cm();
    rig.nic.reset();
    assert_eq!(rig.read(regs::MAGIC), u32::MAX);
    rig.nic.enable_function();
    rig.enable();
    rig = rig.start_cm();
    assert_eq!(rig.state(), regs::DeviceState::READY);
}

#[test]
fn surprise_removal() {
    let mut rig = Rig::cm();
    rig.arm_eq();
    let nop = rig.new_command(vrnic_abi::cmd::Opcode::NOP, &[0u8; 0]);
    rig.put(&nop);
    rig.host.take_interrupts();
    rig.nic.remove();
    rig.ring();
    for register in [regs::MAGIC, regs::STATUS, regs::LINK, regs::INT_CAUSE] {
        assert_eq!(rig.read(register), u32::MAX);
    }
    assert_eq!(config_u32(&rig, 0), u32::MAX);
    assert_eq!(rig.nic.doorbells().load(vrnic_abi::doorbell::SLEEP), u32::MAX);
    let mut word = [0; 4];
    rig.nic.bar_read(2, 0, &mut word);
    assert_eq!(word, [0xFF; 4]);
    rig.hear(roce_wire::cm::Req::default());
    rig.nic.set_link(false);
    rig.nic.faults().interrupt(0);
    rig.nic.faults().clear();
    rig.nic.reset();
    rig.nic.enable_function();
    rig.kick();
    assert_eq!(rig.host.take_interrupts(), []);
    assert_eq!(rig.take_completion().map(|c| c.tag.get()), None);
    assert_eq!(config_u32(&rig, 0), u32::MAX, "there is no way back");
}
