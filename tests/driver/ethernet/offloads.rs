//! Offloads: checksums and large sends on the wire, verdicts, VLAN tags.

use super::{
    EXPERIMENTAL, Flow, Station, config, frame, is_numbered, list, miniport, numbered, send_all, start,
    with_keywords,
};
use crate::support::{PATIENCE, eventually};
use ndk_sys::{
    Ieee8021QNetBufferListInfo, NDIS_NET_BUFFER_LIST_8021Q_INFO, NDIS_OBJECT_TYPE_DEFAULT,
    NDIS_OFFLOAD_PARAMETERS, NDIS_OFFLOAD_PARAMETERS_NO_CHANGE, NDIS_OFFLOAD_PARAMETERS_REVISION_2,
    NDIS_OFFLOAD_PARAMETERS_TX_RX_DISABLED, NDIS_OFFLOAD_PARAMETERS_TX_RX_ENABLED,
    NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_2, NDIS_STATUS_SUCCESS, NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG,
    NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO, OID_TCP_OFFLOAD_PARAMETERS, TcpIpChecksumNetBufferListInfo,
    TcpLargeSendNetBufferListInfo,
};
use ntbench::machine::NIC_MAC;
use ntbench::memory;
use ntbench::ndis::frame::{Checksums, Headers, Left, seed_checksums};
use ntbench::ndis::packet::{Layout, SendList};
use ntbench::ndis::protocol;
use ntbench::ndis::receive::Received;

const ACKNOWLEDGE: u8 = 0x10;
const PUSH: u8 = 8;
const FINISH: u8 = 1;

fn is_ip(frame: &[u8]) -> bool {
    Headers::of(frame).is_some_and(|headers| headers.protocol == 6 || headers.protocol == 17)
}

#[test]
fn checksums_are_computed_on_the_way_out() {
    let machine = start(config());
    let station = Station::new(&machine, 1);
    for v6 in [false, true] {
        let flow = Flow::new(&station, v6, true, (40_000, 50_000));
        for (turn, length) in [0_u32, 1, 2, 7, 63, 64, 500, 1400].into_iter().enumerate() {
            let payload: Vec<u8> = (0..length).map(|at| at.to_le_bytes()[0]).collect();
            for right in [flow.udp(&payload), flow.tcp(1000, ACKNOWLEDGE, &payload)] {
                let headers = Headers::of(&right).expect("it is an IP packet");
                let tcp = headers.protocol == 6;
                let mut seeded = right.clone();
                let left = Left {
                    ip4: true,
                    transport: true,
                    large: false,
                };
                seed_checksums(&mut seeded, left);
                let mut list = list(seeded, turn);
                list.info.push((
                    TcpIpChecksumNetBufferListInfo,
                    protocol::checksums(&headers, !v6, tcp, !tcp),
                ));
                assert!(send_all(&machine, &[list]));
                let on_wire = station.wait_for(1, is_ip).remove(0);
                assert!(Checksums::of(&on_wire).are_right(), "{v6} {tcp} {length}");
                assert_eq!(on_wire[..right.len()], right[..], "{v6} {tcp} {length}");
            }
        }
    }
}

#[test]
fn checksums_that_nobody_asked_for_stay_as_they_are() {
    let machine = start(config());
    let station = Station::new(&machine, 1);
    let mut wrong = Flow::new(&station, false, true, (1, 2)).udp(b"wrong on purpose");
    wrong[24] ^= 0xFF;
    wrong[40] ^= 0xFF;
    assert!(send_all(&machine, &[list(wrong.clone(), 1)]));
    let on_wire = station.wait_for(1, is_ip).remove(0);
    assert_eq!(on_wire[..wrong.len()], wrong);
}

/// What the driver says of a received frame's checksums.
fn verdict(received: &Received) -> NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO {
    let value = received.info[TcpIpChecksumNetBufferListInfo as usize];
    NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO {
        Value: usize::try_from(value).expect("64 bits"),
    }
}

#[test]
fn checksums_are_checked_on_the_way_in() {
    let machine = start(config());
    let station = Station::new(&machine, 1);
    let one = |frame: &[u8]| {
        station.send(frame);
        let got = miniport(&machine)
            .receives()
            .wait_for(1, PATIENCE, |received| is_ip(&received.data))
            .expect("it is indicated")
            .remove(0);
        assert_eq!(got.data[..frame.len()], *frame);
        verdict(&got)
    };
    for v6 in [false, true] {
        let flow = Flow::new(&station, v6, false, (50_000, 40_000));
        let (udp, tcp) = (
            flow.udp(b"some payload"),
            flow.tcp(5, ACKNOWLEDGE, b"some more payload"),
        );
        let said = one(&udp);
        assert_eq!(
            (said.UdpChecksumSucceeded(), said.UdpChecksumFailed()),
            (1, 0),
            "{v6}"
        );
        assert_eq!(said.IpChecksumSucceeded(), u64::from(!v6));
        let said = one(&tcp);
        assert_eq!(
            (said.TcpChecksumSucceeded(), said.TcpChecksumFailed()),
            (1, 0),
            "{v6}"
        );
        let damaged = |frame: &[u8], at: usize| {
            let mut frame = frame.to_vec();
            frame[at] ^= 0x10;
            frame
        };
        let said = one(&damaged(&udp, udp.len() - 1));
        assert_eq!(
            (said.UdpChecksumSucceeded(), said.UdpChecksumFailed()),
            (0, 1),
            "{v6}"
        );
        let said = one(&damaged(&tcp, tcp.len() - 1));
        assert_eq!(
            (said.TcpChecksumSucceeded(), said.TcpChecksumFailed()),
            (0, 1),
            "{v6}"
        );
        if !v6 {
            let said = one(&damaged(&tcp, 22));
            assert_eq!((said.IpChecksumSucceeded(), said.IpChecksumFailed()), (0, 1));
        }
    }
}

/// Sends one large TCP packet; what arrives.
fn large(
    machine: &ntbench::machine::Machine,
    station: &Station,
    v6: bool,
    payload: &[u8],
    segment: usize,
) -> Vec<Vec<u8>> {
    let flow = Flow::new(station, v6, true, (40_001, 50_001));
    let mut whole = flow.tcp(u32::MAX - 3000, ACKNOWLEDGE | PUSH | FINISH, payload);
    // As a large send has it: no length.
    let at = if v6 { 18 } else { 16 };
    whole[at..at + 2].fill(0);
    let left = Left {
        ip4: true,
        transport: true,
        large: true,
    };
    seed_checksums(&mut whole, left);
    let headers = Headers::of(&whole).expect("it is an IP packet");
    let list = SendList {
        frames: vec![whole],
        layout: Layout {
            pieces: vec![14, headers.transport - 14 + 20, 5000, 1],
            ..Layout::default()
        },
        info: vec![(
            TcpLargeSendNetBufferListInfo,
            protocol::large_send(&headers, segment),
        )],
        flags: 0,
    };
    assert!(send_all(machine, &[list]));
    station.wait_for(payload.len().div_ceil(segment), is_ip)
}

#[test]
fn large_sends_are_cut_into_segments() {
    let machine = start(config());
    let station = Station::new(&machine, 1);
    let payload: Vec<u8> = (0..60_000_u32)
        .map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect();
    for v6 in [false, true] {
        for (length, segment) in [(60_000, 1440), (1441, 1440), (2880, 1440), (10_001, 536)] {
            let arrived = large(&machine, &station, v6, &payload[..length], segment);
            let mut joined: Vec<u8> = Vec::new();
            let mut identifications = Vec::new();
            let last = arrived.len() - 1;
            for (index, frame) in arrived.iter().enumerate() {
                assert!(Checksums::of(frame).are_right(), "{v6} {length} {index}");
                let headers = Headers::of(frame).expect("it is an IP packet");
                let tcp = &frame[headers.transport..headers.end];
                let sequence = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
                let expected = (u32::MAX - 3000).wrapping_add(u32::try_from(joined.len()).expect("short"));
                assert_eq!(sequence, expected, "{v6} {length} {index}");
                let flags = if index == last {
                    ACKNOWLEDGE | PUSH | FINISH
                } else {
                    ACKNOWLEDGE
                };
                assert_eq!(tcp[13], flags, "{v6} {length} {index}");
                assert_eq!(frame.len(), headers.end.max(60));
                joined.extend(&tcp[20..]);
                identifications.push(frame[18..20].to_vec());
            }
            assert!(
                joined == payload[..length],
                "{v6} {length}: the payload is the same"
            );
            if !v6 {
                identifications.dedup();
                assert_eq!(
                    identifications.len(),
                    arrived.len(),
                    "each has its own identification"
                );
            }
        }
    }
}

fn tag(priority: u64, id: u64) -> u64 {
    let mut info = NDIS_NET_BUFFER_LIST_8021Q_INFO::zeroed();
    info.set_UserPriority(priority);
    info.set_VlanId(id);
    info.Value as u64
}

#[test]
fn tags_are_put_in_and_taken_out() {
    let machine = start(config());
    let station = Station::new(&machine, 1);
    for (priority, id) in [(0, 5), (5, 0), (7, 4094)] {
        let plain = numbered(station.mac, NIC_MAC, 1, 200);
        let mut list = list(plain.clone(), 2);
        list.info.push((Ieee8021QNetBufferListInfo, tag(priority, id)));
        assert!(send_all(&machine, &[list]));
        let control = u16::try_from(priority << 13 | id).expect("16 bits").to_be_bytes();
        let mut tagged = plain.clone();
        tagged.splice(12..12, [0x81, 0, control[0], control[1]]);
        let on_wire = station.wait_for(1, |frame| frame[12..14] == [0x81, 0]);
        assert_eq!(on_wire, [tagged], "{priority} {id}");
    }
    for (priority, id) in [(3, 0), (0, 0)] {
        let plain = numbered(NIC_MAC, station.mac, 2, 200);
        let control = u16::try_from(priority << 13 | id).expect("16 bits").to_be_bytes();
        let mut tagged = plain.clone();
        tagged.splice(12..12, [0x81, 0, control[0], control[1]]);
        station.send(&tagged);
        let got = miniport(&machine)
            .receives()
            .wait_for(1, PATIENCE, |received| is_numbered(&received.data))
            .expect("it is indicated");
        assert_eq!(got[0].data, plain, "the tag is out of the frame");
        assert_eq!(
            got[0].info[Ieee8021QNetBufferListInfo as usize],
            tag(priority, id)
        );
    }
    let ordinary = frame(NIC_MAC, station.mac, EXPERIMENTAL, &[0, 0, 0, 9, 1, 2, 3]);
    station.send(&ordinary);
    let got = miniport(&machine)
        .receives()
        .wait_for(1, PATIENCE, |received| is_numbered(&received.data))
        .expect("it is indicated");
    assert_eq!(got[0].info[Ieee8021QNetBufferListInfo as usize], 0, "it has none");
}

/// `OID_TCP_OFFLOAD_PARAMETERS` with all checksums as `checksums` says.
fn parameters(checksums: u8) -> Vec<u8> {
    let mut value = NDIS_OFFLOAD_PARAMETERS::zeroed();
    value.Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
    value.Header.Revision = NDIS_OFFLOAD_PARAMETERS_REVISION_2;
    value.Header.Size = NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_2;
    value.IPv4Checksum = checksums;
    value.TCPIPv4Checksum = checksums;
    value.UDPIPv4Checksum = checksums;
    value.TCPIPv6Checksum = checksums;
    value.UDPIPv6Checksum = checksums;
    value.LsoV1 = NDIS_OFFLOAD_PARAMETERS_NO_CHANGE;
    memory::read_bytes((&raw const value).addr(), size_of_val(&value))
}

#[test]
fn offloads_are_turned_off_and_on_at_run_time() {
    let machine = start(config());
    let station = Station::new(&machine, 1);
    let miniport = miniport(&machine);
    let indicated = || {
        let all = miniport.indications().all();
        all.iter()
            .filter(|one| one.code == NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG)
            .count()
    };
    let before = indicated();
    let flow = Flow::new(&station, false, false, (50_000, 40_000));
    let one = || {
        station.send(&flow.tcp(5, ACKNOWLEDGE, b"payload"));
        let got = miniport
            .receives()
            .wait_for(1, PATIENCE, |received| is_ip(&received.data))
            .expect("it is indicated");
        verdict(&got[0]).TcpChecksumSucceeded()
    };
    for (setting, expected) in [
        (NDIS_OFFLOAD_PARAMETERS_TX_RX_DISABLED, 0),
        (NDIS_OFFLOAD_PARAMETERS_TX_RX_ENABLED, 1),
    ] {
        let status = miniport
            .oid_set(OID_TCP_OFFLOAD_PARAMETERS, &parameters(setting))
            .status;
        assert_eq!(status, NDIS_STATUS_SUCCESS);
        eventually("the new configuration is in force", || one() == expected);
    }
    assert!(indicated() >= before + 2, "each change is indicated");
}

#[test]
fn keywords_keep_offloads_off() {
    let machine = start(with_keywords(&[
        ("*IPChecksumOffloadIPv4", 0),
        ("*TCPChecksumOffloadIPv4", 0),
        ("*TCPChecksumOffloadIPv6", 0),
        ("*UDPChecksumOffloadIPv4", 0),
        ("*UDPChecksumOffloadIPv6", 0),
        ("*LsoV2IPv4", 0),
        ("*LsoV2IPv6", 0),
    ]));
    let station = Station::new(&machine, 1);
    let offload = miniport(&machine).attributes().offload.expect("they are set");
    let current = offload.current.Checksum;
    assert_eq!(
        (
            current.IPv4Transmit.TcpChecksum(),
            current.IPv6Receive.UdpChecksum(),
            offload.current.LsoV2.IPv4.MaxOffLoadSize
        ),
        (0, 0, 0)
    );
    assert_ne!(
        offload.hardware.Checksum.IPv4Transmit.TcpChecksum(),
        0,
        "it could"
    );
    station.send(&Flow::new(&station, false, false, (1, 2)).udp(b"payload"));
    let got = miniport(&machine)
        .receives()
        .wait_for(1, PATIENCE, |received| is_ip(&received.data))
        .expect("it is indicated");
    assert_eq!(verdict(&got[0]).Value, 0, "nothing is said");
}
