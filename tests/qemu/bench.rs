//! In a guest, the bench drives the NIC through VFIO with the same `vrnic.sys`; a second guest with soft-RoCE is its peer.

use super::support::{LIMIT, Rig};
use anyhow::{Context, Result, ensure};
use std::net::{IpAddr, Ipv4Addr};
use xtask::peer::{Connect, LinuxPeer, Neighbour, PeerConfig, PeerFiles, Wire};
use xtask::qemu::guest::{BENCH, SYS};
use xtask::{paths, tshark};

const NIC: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 9));
const MAC: [u8; 6] = [0x52, 0x54, 0, 0x77, 0, 9];

/// Judges functions: NdkReject
/// Judges with Linux: the driver rejects through QEMU, VFIO and an IOMMU
#[test]
fn linux_is_rejected_by_the_driver_in_a_guest() -> Result<()> {
    let dir = paths::run_dir("qemu-wire")?;
    let wire = Wire::in_dir(&dir);
    let pcap = dir.join("run.pcap");
    let arguments = [
        "--wire".to_owned(),
        format!("dgram:{},{}", wire.host.display(), wire.guest.display()),
        "--pcap".to_owned(),
        pcap.display().to_string(),
    ];
    let rig = Rig::new("qemu-bench", 1, &arguments, true)?;
    let guest = rig.boot()?;
    let nics = guest.nics()?;
    let nic = nics.first().context("no NIC")?;
    guest.bind_to_vfio(nic)?;
    guest.shell("mkfifo /tmp/reported")?;
    let mut bench = guest.linux.start(&format!(
        "{BENCH} demo --sys {SYS} --pcap /tmp/none.pcap --peer linux --vfio {nic} < /tmp/reported"
    ))?;
    // Opens the pipe's other end before the bench reads it, and keeps it open until the answer is there.
    let reported = |text: &str| format!("echo '{text}' > /tmp/reported");
    let neighbour = Neighbour { ip: NIC, mac: MAC };
    let config = PeerConfig {
        mtu: 9000,
        ..PeerConfig::new(wire, vec![neighbour])
    };
    let peer = LinuxPeer::boot(&PeerFiles::prepared()?, &config)?;
    let keep_open = guest.linux.start("exec 4>/tmp/reported; sleep 600")?;
    let mut lines = Vec::new();
    let listening = loop {
        let line = bench
            .next_line(LIMIT)?
            .with_context(|| format!("the bench has ended: {lines:?}"))?;
        let found = line.starts_with("@listening");
        lines.push(line);
        if found {
            break lines.last().cloned().unwrap_or_default();
        }
    };
    ensure!(listening.contains("port=7777"), "{listening}");
    let request = Connect {
        data: b"may I come in?".to_vec(),
        ..Connect::new(NIC, 7777)
    };
    let answer = peer.start_connect(&request)?.lines()?;
    let answer = answer.first().context("Linux reports nothing")?;
    guest.shell(&reported(answer))?;
    drop(keep_open);
    guest.shell(
        "for p in /proc/[0-9]*; do if grep -q '^sleep.600' $p/cmdline; then kill ${p#/proc/}; fi; done; true",
    )?;
    let finished = bench.finish(LIMIT)?;
    ensure!(
        finished.code == 0
            && finished
                .lines
                .iter()
                .any(|line| line.contains("rejected, as it should be")),
        "{answer}\n{finished:?}"
    );
    drop((guest, peer));
    rig.finish()?;
    tshark::assert_clean(&pcap)?;
    Ok(std::fs::remove_dir_all(dir)?)
}
