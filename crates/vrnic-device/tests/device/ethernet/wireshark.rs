//! tshark reads what the NIC has sent: no frame is malformed, no checksum is wrong, and a large send is one TCP stream again.

use std::fs::File;
use std::io::BufWriter;
use std::process::Command;
use std::sync::Arc;

use vrnic_abi::eth::{EthStatus, TX_IP_CHECKSUM, TX_L4_CHECKSUM, TX_VLAN};
use vrnic_device::PcapTap;

use super::frames::{Maker, V4, V6, payload};
use super::port::{Port, asks};

fn tshark(file: &std::path::Path, arguments: &[&str]) -> String {
    let checks = ["ip.check_checksum", "tcp.check_checksum", "udp.check_checksum"];
    let mut command = Command::new("tshark");
    command.arg("-n").arg("-r").arg(file);
    for check in checks {
        command.arg("-o").arg(format!("{check}:TRUE"));
    }
    let output = command
        .args(arguments)
        .output()
        .expect("tshark has to be there: run ./x doctor");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The frames that tshark complains about.
const BAD: &str = "_ws.malformed || ip.checksum.status == \"Bad\" || tcp.checksum.status == \"Bad\" \
                   || udp.checksum.status == \"Bad\" || tcp.analysis.flags || _ws.expert.severity == error";

fn complaints(file: &std::path::Path) -> usize {
    tshark(file, &["-Y", BAD]).lines().count()
}

#[test]
fn what_is_sent_is_well_formed() {
    let directory = std::env::temp_dir().join(format!("vrnic-eth-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let file = directory.join("sent.pcap");
    let tap = Arc::new(PcapTap::new(BufWriter::new(File::create(&file).unwrap())).unwrap());
    let mut port = Port::ready();
    port.rig.nic.set_tap(Some(tap.clone()));
    let both = TX_IP_CHECKSUM | TX_L4_CHECKSUM;
    let data = payload(50_000);
    for addresses in [V4, V6] {
        let frame = [Maker::ours(addresses).tcp(&[], true), data.clone()].concat();
        let (_, status) = port.send_in(&frame, 32, &asks(TX_VLAN, 1400, 0x2005));
        assert_eq!(status, EthStatus::OK);
        port.send_one(&Maker::ours(addresses).udp(b"checksum"), both, 0);
    }
    tap.flush().unwrap();
    assert_eq!(tshark(&file, &[]).lines().count(), 2 * (36 + 1));
    assert_eq!(complaints(&file), 0, "{}", tshark(&file, &["-Y", BAD]));
    for stream in ["0", "1"] {
        let follow = tshark(&file, &["-q", "-z", &format!("follow,tcp,raw,{stream}")]);
        let lines = follow.lines().map(str::trim);
        let is_hex = |line: &&str| !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_hexdigit());
        let hex = lines.filter(is_hex).collect::<String>();
        let digits = hex.as_bytes().as_chunks::<2>().0.iter();
        let bytes = digits.map(|digits| u8::from_str_radix(str::from_utf8(digits).unwrap(), 16).unwrap());
        assert!(bytes.eq(data.iter().copied()), "stream {stream} is another");
    }
    // The judge notices a checksum that nobody filled in.
    port.send_one(&Maker::ours(V4).udp(b"no checksum"), 0, 0);
    tap.flush().unwrap();
    assert_eq!(complaints(&file), 1);
    std::fs::remove_dir_all(&directory).unwrap();
}
