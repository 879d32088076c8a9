//! What QEMU and Linux do with a device: find it, reset it, take it away.

use super::support::bare_rig;
use anyhow::{Result, ensure};
use xtask::qemu::guest::{NicGuest, NicGuestConfig};

/// The configuration space's first word, BAR sizes and capabilities, as the guest's kernel has read them.
fn check_function(guest: &NicGuest, address: &str) -> Result<()> {
    let device = format!("/sys/bus/pci/devices/{address}");
    let resources = guest.shell(&format!("cat {device}/resource"))?;
    let sizes: Vec<u64> = resources
        .lines()
        .take(6)
        .filter_map(|line| {
            let mut numbers = line
                .split(' ')
                .map(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16).unwrap_or(0));
            let (start, end) = (numbers.next()?, numbers.next()?);
            (end > 0).then_some(end - start + 1)
        })
        .collect();
    ensure!(sizes == [0x1_0000, 0x20_0000, 0x1000], "BARs: {resources}");
    let class = guest.shell(&format!("cat {device}/class"))?;
    ensure!(class == "0x020000", "class {class}");
    Ok(())
}

/// Linux's FLR by `reset`: configuration space is as before, because Linux saves and restores it.
fn reset(guest: &NicGuest, address: &str) -> Result<()> {
    let device = format!("/sys/bus/pci/devices/{address}");
    let methods = guest.shell(&format!("cat {device}/reset_method"))?;
    ensure!(methods.contains("flr"), "reset methods: {methods}");
    guest.shell(&format!(
        "echo flr > {device}/reset_method && echo 1 > {device}/reset"
    ))?;
    check_function(guest, address)
}

#[test]
fn two_nics_in_one_guest_and_a_killed_qemu() -> Result<()> {
    let rig = bare_rig("qemu-two", 2)?;
    let mut found = Vec::new();
    for times in 1..=2 {
        // The second time QEMU was killed, and both NICs are as after power-on.
        let guest = rig.boot()?;
        let nics = guest.nics()?;
        ensure!(nics.len() == 2, "{nics:?}");
        for nic in &nics {
            check_function(&guest, nic)?;
        }
        found.push(nics);
        drop(guest);
        rig.wait_said("nic0: the client", times)?;
        rig.wait_said("nic1: the client", times)?;
    }
    ensure!(found[0] == found[1], "{found:?}");
    rig.finish()
}

#[test]
fn linux_resets_the_function() -> Result<()> {
    let rig = bare_rig("qemu-flr", 1)?;
    let guest = rig.boot()?;
    let nics = guest.nics()?;
    reset(&guest, &nics[0])?;
    drop(guest);
    rig.finish()
}

/// QEMU 11.1.3 ends itself with an assertion (`memory_region_del_subregion`) when Linux lets the device go; a QEMU that goes on
/// keeps the other NIC. Either way the server takes the next one.
#[test]
fn a_nic_is_pulled_out_and_comes_back() -> Result<()> {
    let rig = bare_rig("qemu-unplug", 2)?;
    let guest = rig.boot()?;
    let nics = guest.nics()?;
    guest.monitor("device_del nic0")?;
    rig.wait_said("nic0: the client", 1)?;
    drop(guest);
    rig.wait_said("nic1: the client", 1)?;
    let guest = rig.boot()?;
    ensure!(guest.nics()? == nics, "not as before");
    drop(guest);
    rig.finish()
}

/// QEMU resets the device and goes on with the same connection.
#[test]
fn the_guest_reboots() -> Result<()> {
    let rig = bare_rig("qemu-reboot", 1)?;
    let guest = rig.boot()?;
    let nics = guest.nics()?;
    let boot_id = "cat /proc/sys/kernel/random/boot_id";
    let before = guest.shell(boot_id)?;
    guest.linux.reboot()?;
    ensure!(guest.shell(boot_id)? != before, "it has not rebooted");
    ensure!(guest.nics()? == nics, "after the reboot");
    check_function(&guest, &nics[0])?;
    ensure!(
        rig.server.said().matches("a client has come").count() == 1,
        "no new client"
    );
    drop(guest);
    rig.finish()
}

#[test]
fn private_guest_memory_is_explained() -> Result<()> {
    let rig = bare_rig("qemu-private", 1)?;
    let config = NicGuestConfig {
        shared: false,
        ..rig.config()
    };
    // QEMU goes on without the NIC's DMA, and says little: it is the server that explains, and once.
    let guest = NicGuest::boot(&rig.files, &config)?;
    rig.wait_said("share=on", 1)?;
    ensure!(
        rig.server.said().matches("share=on").count() == 1,
        "{}",
        rig.server.said()
    );
    drop(guest);
    rig.finish()
}
