//! Frames that Linux sent, and tshark's reading of them; and frames of ours that tshark has read. See `fixtures/README.md`.

mod common {
    pub mod fields;
    pub mod ours;
    pub mod pcap;
}
use common::{fields, ours, pcap};

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use roce_wire::bth::Opcode;
use roce_wire::cm::{CmMad, CmMessage, CommId, MessageMraed, MessageRejected, RejectReason};
use roce_wire::frame::{Frame, FrameError};
use roce_wire::ip_cm::IpCmHeader;

static LINUX: &[u8] = include_bytes!("fixtures/linux.pcap");
static LINUX_PEER: &[u8] = include_bytes!("fixtures/linux-peer.pcap");
static OURS: &[u8] = include_bytes!("fixtures/ours.pcap");
static LINUX_DECODED: &str = include_str!("fixtures/linux.tsv");
static LINUX_PEER_DECODED: &str = include_str!("fixtures/linux-peer.tsv");
static OURS_DECODED: &str = include_str!("fixtures/ours.tsv");

/// tshark's reading, one map per frame, without fields that a frame does not have.
fn decoded(tsv: &'static str) -> Vec<BTreeMap<&'static str, &'static str>> {
    let mut lines = tsv.lines();
    let names: Vec<_> = lines.next().expect("a line of names").split('\t').collect();
    let row = |line: &'static str| {
        names
            .iter()
            .copied()
            .zip(line.split('\t'))
            .filter(|(_, value)| !value.is_empty())
            .collect()
    };
    lines.map(row).collect()
}

fn is_roce(row: &BTreeMap<&str, &str>) -> bool {
    row.contains_key("infiniband.bth.opcode")
}

/// Every difference between the two readings of a frame.
fn differences(frame: &[u8], row: &BTreeMap<&str, &str>) -> Vec<String> {
    let mut theirs = row.clone();
    let number = theirs.remove("frame.number").unwrap_or("?");
    let mut found = Vec::new();
    for (name, value) in fields::of(frame) {
        match theirs.remove(name.as_str()) {
            Some(tshark) if value.is(tshark) => {}
            tshark => found.push(format!("frame {number}: {name}: tshark {tshark:?}, we {value:?}")),
        }
    }
    found.extend(
        theirs
            .iter()
            .map(|(name, value)| format!("frame {number}: {name}: tshark {value}, we nothing")),
    );
    found
}

fn assert_same_reading(capture: &[u8], tsv: &'static str) -> usize {
    let (frames, rows) = (pcap::frames(capture), decoded(tsv));
    assert_eq!(frames.len(), rows.len());
    let roce: Vec<_> = frames.iter().zip(&rows).filter(|(_, row)| is_roce(row)).collect();
    let found: Vec<_> = roce
        .iter()
        .flat_map(|(frame, row)| differences(frame, row))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
    roce.len()
}

/// The CM messages of a capture.
fn messages(capture: &[u8]) -> Vec<CmMessage> {
    let frames = pcap::frames(capture);
    let mads = frames
        .iter()
        .filter_map(|frame| Frame::parse(frame).ok()?.gsi_mad().ok());
    mads.map(|mad| CmMad::from_bytes(mad).expect("a CM message").message)
        .collect()
}

/// All frames that Linux sent.
fn linux_frames() -> Vec<&'static [u8]> {
    [pcap::frames(LINUX), pcap::frames(LINUX_PEER)].concat()
}

#[test]
fn linux_frames_read_as_tshark_reads_them() {
    assert_eq!(assert_same_reading(LINUX, LINUX_DECODED), 27);
    assert_eq!(assert_same_reading(LINUX_PEER, LINUX_PEER_DECODED), 18);
}

#[test]
fn our_frames_read_as_tshark_reads_them() {
    assert_eq!(assert_same_reading(OURS, OURS_DECODED), 21);
}

#[test]
fn a_difference_is_found() {
    let (frames, mut rows) = (pcap::frames(LINUX), decoded(LINUX_DECODED));
    let index = rows
        .iter()
        .position(|row| row.contains_key("infiniband.cm.rej.reason"))
        .expect("a REJ");
    assert_eq!(differences(frames[index], &rows[index]), [""; 0]);
    rows[index].insert("infiniband.cm.rej.reason", "0x001b");
    rows[index].remove("infiniband.cm.rej.msgrej");
    rows[index].insert("infiniband.cm.rep.srq", "0x01");
    assert_eq!(differences(frames[index], &rows[index]).len(), 3);
}

#[test]
fn what_is_not_roce_for_tshark_is_not_roce_for_us() {
    let (frames, rows) = (pcap::frames(LINUX), decoded(LINUX_DECODED));
    let others: Vec<_> = frames
        .iter()
        .zip(&rows)
        .filter(|(_, row)| !is_roce(row))
        .collect();
    assert_eq!(others.len(), 3, "ARP, IPv6 and TCP");
    for (frame, row) in others {
        assert!(
            matches!(Frame::parse(frame), Err(FrameError::NotRoce(_))),
            "{row:?}"
        );
    }
}

#[test]
fn linux_frames_are_written_again_byte_for_byte() {
    for frame in linux_frames() {
        let parsed = match Frame::parse(frame) {
            Err(FrameError::NotRoce(_)) => continue,
            parsed => parsed.expect("a good frame"),
        };
        let mut buffer = vec![0xee; frame.len()];
        assert_eq!(parsed.write(&mut buffer), Ok(frame.len()));
        assert_eq!(buffer, frame);
        if let Ok(mad) = parsed.gsi_mad() {
            assert_eq!(CmMad::from_bytes(mad).expect("a CM message").to_bytes(), *mad);
        }
    }
}

#[test]
fn our_fixture_is_what_the_code_builds() {
    assert_eq!(
        pcap::frames(OURS),
        ours::frames(),
        "run tests/fixtures/make.sh ours, and look at what tshark says"
    );
}

#[test]
fn an_icrc_that_linux_sent_does_not_verify_after_a_change() {
    for frame in linux_frames()
        .into_iter()
        .filter(|frame| Frame::parse(frame).is_ok())
    {
        let mut changed = frame.to_vec();
        *changed.last_mut().expect("not empty") ^= 1;
        assert!(matches!(Frame::parse(&changed), Err(FrameError::Icrc { .. })));
    }
}

#[test]
fn linux_rejects_as_expected() {
    let mut rejects = messages(LINUX).into_iter().filter_map(|message| match message {
        CmMessage::Rej(rej) => Some(rej),
        _ => None,
    });
    let consumer = rejects.next().expect("a reject by the consumer");
    assert_eq!(consumer.reason, RejectReason::CONSUMER_REJECT);
    assert_eq!(consumer.message_rejected, MessageRejected::REQ);
    assert!(
        consumer
            .private_data
            .as_array()
            .starts_with(b"REJECT-PRIVATE-DATA!\0")
    );
    let closed_port = rejects.next().expect("a reject by a closed port");
    assert_eq!(closed_port.reason, RejectReason::INVALID_SERVICE_ID);
    assert_eq!(closed_port.local_comm_id, CommId(0));
    assert_eq!(rejects.next(), None);
}

#[test]
fn a_request_by_linux_carries_the_consumers_private_data() {
    let messages = messages(LINUX);
    let data = messages.iter().filter_map(|message| match message {
        CmMessage::Req(req) => Some(IpCmHeader::parse(&req.private_data).expect("an IP CM header").1),
        _ => None,
    });
    assert!(
        data.clone()
            .any(|data| data.starts_with(b"REQUEST-PRIVATE-DATA\0"))
    );
    assert!(data.clone().any(|data| *data == [0; 56]));
}

/// tshark 4.0 reads a path's flow label from the wrong bytes, so Linux itself is the judge: it sends a connection's packets from
/// the UDP port that it derives from the flow label in the REQ.
#[test]
fn the_flow_label_is_the_one_that_linux_derives_its_udp_port_from() {
    let frames = pcap::frames(LINUX);
    let parsed: Vec<_> = frames
        .iter()
        .filter_map(|frame| Frame::parse(frame).ok())
        .collect();
    let Some(CmMessage::Req(req)) = messages(LINUX).into_iter().next() else {
        panic!("the capture begins with a REQ")
    };
    let label = req.primary_path.flow_label.get();
    let port = (label & 0x3fff) ^ (label >> 14) | 0xc000;
    let sent = parsed
        .iter()
        .find(|frame| frame.bth.opcode == Opcode::RC_SEND_ONLY)
        .expect("a SEND on the connection");
    assert_ne!(label, 0);
    assert_eq!(u32::from(sent.address.udp_source_port), port);
}

/// Per address family: a request, a request that is given up, and the answers to requests of ours.
#[test]
fn linux_talks_ipv6_as_it_talks_ipv4() {
    let messages = messages(LINUX_PEER);
    let names: Vec<_> = messages.iter().map(CmMessage::name).collect();
    let one_family = ["REQ", "REQ", "REJ", "REJ", "REP", "DREP", "REJ", "MRA", "REJ"];
    assert_eq!(names, [one_family, one_family].concat());
    let sources = messages.iter().filter_map(|message| match message {
        CmMessage::Req(req) => Some(
            IpCmHeader::parse(&req.private_data)
                .expect("an IP CM header")
                .0
                .addresses
                .source(),
        ),
        _ => None,
    });
    let [v4, v6]: [IpAddr; 2] = [
        Ipv4Addr::new(10, 77, 0, 2).into(),
        "fd77::2".parse().expect("an address"),
    ];
    assert_eq!(sources.collect::<Vec<_>>(), [v4, v4, v6, v6]);
}

/// tshark has no fields for an MRA, so what Linux is known to send is the judge: `CMA_CM_MRA_SETTING`, 24.
#[test]
fn an_mra_by_linux_has_the_timeout_that_its_source_says() {
    let messages = messages(LINUX_PEER);
    let mras = messages.iter().filter_map(|message| match message {
        CmMessage::Mra(mra) => Some(mra),
        _ => None,
    });
    let timeouts: Vec<_> = mras
        .map(|mra| (mra.message_mraed, mra.service_timeout.get()))
        .collect();
    assert_eq!(timeouts, [(MessageMraed::REQ, 24), (MessageMraed::REQ, 24)]);
}

#[test]
fn a_peer_that_gives_up_names_itself() {
    let given_up = messages(LINUX_PEER)
        .into_iter()
        .filter_map(|message| match message {
            CmMessage::Rej(rej) if rej.reason == RejectReason::TIMEOUT => Some(rej),
            _ => None,
        });
    for rej in given_up.clone() {
        assert_eq!(
            (rej.message_rejected, rej.remote_comm_id),
            (MessageRejected::NO_MESSAGE, CommId(0))
        );
        // The GUID of the guest's soft-RoCE device.
        assert_eq!(rej.ari(), [0x50, 0x54, 0, 0xff, 0xfe, 0x77, 0, 2]);
    }
    assert_eq!(given_up.count(), 2);
}
