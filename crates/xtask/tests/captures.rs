//! What `tshark` says about good and bad captures. Needs tshark.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use roce_wire::cm::{CmMad, CommId, MessageRejected, PrivateData, Rej, RejectReason};
use roce_wire::eth::MacAddr;
use roce_wire::frame::{FrameAddress, GSI_IPV6_LEN, IpPair, write_gsi};
use roce_wire::num::Psn;
use xtask::{paths, tshark};

/// A frame with a REJ, over IPv4.
fn reject() -> Vec<u8> {
    let ip = |last| IpAddr::V4(Ipv4Addr::new(10, 77, 0, last));
    reject_over(IpPair::new(ip(1), ip(2)).expect("one family"))
}

fn reject_over(ip: IpPair) -> Vec<u8> {
    let rej = Rej {
        local_comm_id: CommId(1),
        remote_comm_id: CommId(2),
        message_rejected: MessageRejected::REQ,
        reason: RejectReason::CONSUMER_REJECT,
        private_data: PrivateData::new(b"no").expect("it fits"),
        ..Rej::default()
    };
    let address = FrameAddress {
        source_mac: MacAddr([2, 0, 0, 0, 0, 1]),
        destination_mac: MacAddr([2, 0, 0, 0, 0, 2]),
        ip,
        udp_source_port: 0xc001,
        traffic_class: 0,
        hop_limit: 64,
    };
    let mut frame = vec![0; GSI_IPV6_LEN];
    let length = write_gsi(
        &mut frame,
        &address,
        Psn::truncated(0),
        &CmMad::new(3, rej).to_bytes(),
    );
    frame.truncate(length.expect("it fits"));
    frame
}

/// A capture with these frames (libpcap file format, Ethernet).
fn pcap(name: &str, frames: &[&[u8]]) -> PathBuf {
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 0xffff, 1] {
        bytes.extend(word.to_le_bytes());
    }
    for frame in frames {
        let length = u32::try_from(frame.len()).expect("a short frame");
        for word in [0, 0, length, length] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(*frame);
    }
    let file = paths::run_dir("captures")
        .expect("a folder for the run")
        .join(name);
    fs::write(&file, bytes).expect("a capture");
    file
}

#[test]
fn a_reject_is_decoded() {
    let ipv6 = |last| IpAddr::V6(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, last));
    let over_ipv6 = reject_over(IpPair::new(ipv6(1), ipv6(2)).expect("one family"));
    let file = pcap("good.pcap", &[&reject(), &over_ipv6]);
    tshark::assert_clean(&file).expect("nothing malformed");
    let fields = [
        "frame.number",
        "infiniband.cm.rej.reason",
        "infiniband.cm.rej.private",
    ];
    let rows = tshark::decode(&file, "infiniband.mad.attributeid == 0x0012", &fields).expect("decoded");
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[1]["frame.number"], ["2"]);
    assert_eq!(rows[1]["infiniband.cm.rej.reason"], ["0x001c"]);
    assert!(rows[1]["infiniband.cm.rej.private"][0].starts_with("6e6f0000"));
}

#[test]
fn bad_packets_are_found() {
    let good = reject();
    // Cut off in the DETH, with IP and UDP lengths that agree with the frame: malformed.
    let mut short = good[..14 + 20 + 8 + 14].to_vec();
    short[16..18].copy_from_slice(&42_u16.to_be_bytes());
    short[38..40].copy_from_slice(&22_u16.to_be_bytes());
    // More in the IP header than in the frame: an expert error.
    let mut long = good.clone();
    long[16..18].copy_from_slice(&400_u16.to_be_bytes());
    let error = tshark::assert_clean(&pcap("bad.pcap", &[&good, &short, &long])).expect_err("two are bad");
    assert!(error.to_string().contains("objects to 2 packets"), "{error:#}");
}

#[test]
fn captures_that_prove_nothing_are_refused() {
    let error = tshark::assert_clean(&pcap("empty.pcap", &[])).expect_err("it is empty");
    assert!(error.to_string().contains("no packets"), "{error:#}");
    tshark::assert_clean(Path::new("/no/such.pcap")).expect_err("it is not there");
    tshark::decode(&pcap("one.pcap", &[&reject()]), "", &["no.such.field"]).expect_err("an unknown field");
    tshark::decode(
        &pcap("two.pcap", &[&reject()]),
        "no such filter",
        &["frame.number"],
    )
    .expect_err("an unknown filter");
}
