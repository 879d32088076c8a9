//! Checksums, filled in and verified: smoltcp is the judge.

use smoltcp::wire::Ipv4Packet;
use vrnic_abi::eth::{
    ETH_IP_BAD, ETH_IP_OK, ETH_IPV4, ETH_IPV6, ETH_L4_BAD, ETH_L4_OK, ETH_RX, ETH_TCP, ETH_UDP, EthStatus,
    TX_IP_CHECKSUM, TX_L4_CHECKSUM, TX_VLAN,
};

use super::frames::{Maker, V4, V6, checksums_are_right, payload, with_tag};
use super::port::{Port, asks};

const BOTH: u16 = TX_IP_CHECKSUM | TX_L4_CHECKSUM;

#[test]
fn sent_checksums_are_filled_in() {
    let mut port = Port::ready();
    for addresses in [V4, V6] {
        for length in [0, 1, 2, 3, 4, 5, 100, 777, 1400] {
            let maker = Maker::ours(addresses);
            for frame in [
                maker.udp(&payload(length)),
                maker.tcp(&payload(length), false),
                maker.tcp(&payload(length), true),
            ] {
                assert!(
                    !checksums_are_right(&frame),
                    "the judge has to have something to say"
                );
                let sent = port.send_one(&frame, BOTH, 0);
                assert!(checksums_are_right(&sent), "{addresses:?}, {length} bytes");
                let tagged = port.send_one(&frame, BOTH | TX_VLAN, 5);
                assert_eq!(tagged[16..], sent[12..][..tagged.len() - 16]);
                let own_tag = port.send_one(&with_tag(&frame, 5), BOTH, 0);
                assert_eq!(own_tag, tagged);
            }
        }
    }
}

#[test]
fn what_is_in_the_fields_does_not_matter() {
    let mut port = Port::ready();
    let mut frame = Maker::ours(V4).tcp(&payload(100), true);
    let expected = port.send_one(&frame, BOTH, 0);
    for at in [24, 50] {
        frame[at..at + 2].copy_from_slice(&[0xAB, 0xCD]);
    }
    assert_eq!(port.send_one(&frame, BOTH, 0), expected);
    assert_eq!(port.send_one(&expected, BOTH, 0), expected);
}

#[test]
fn only_what_is_asked_for() {
    let mut port = Port::ready();
    let frame = Maker::ours(V4).udp(&payload(100));
    let whole = port.send_one(&frame, BOTH, 0);
    let ip = port.send_one(&frame, TX_IP_CHECKSUM, 0);
    let udp = port.send_one(&frame, TX_L4_CHECKSUM, 0);
    assert_eq!((&ip[..34], &ip[34..]), (&whole[..34], &frame[34..]));
    assert_eq!((&udp[..34], &udp[34..]), (&frame[..34], &whole[34..]));
    let v6 = Maker::ours(V6).udp(&payload(100));
    assert_eq!(port.send_one(&v6, TX_IP_CHECKSUM, 0), v6, "there is none");
}

#[test]
fn a_udp_checksum_of_zero_is_sent_as_all_ones() {
    let mut port = Port::ready();
    let maker = Maker::ours(V4);
    // The word that makes the sum come out as all ones.
    let plain = port.send_one(&maker.udp(&[0; 20]), BOTH, 0);
    let sum = [plain[40], plain[41]];
    let mut data = [0; 20];
    data[..2].copy_from_slice(&sum);
    let sent = port.send_one(&maker.udp(&data), BOTH, 0);
    assert_eq!(sent[40..42], [0xFF, 0xFF]);
    assert!(checksums_are_right(&sent));
}

#[test]
fn frames_without_the_headers_are_dropped() {
    let mut port = Port::ready();
    let good = Maker::ours(V4).udp(&payload(100));
    let changed = |at: usize, value: u8| {
        let mut frame = good.clone();
        frame[at] = value;
        frame
    };
    for (what, frame, flags) in [
        ("ARP", changed(13, 6), BOTH),
        ("another version", changed(14, 0x65), BOTH),
        ("a short header", changed(14, 0x44), BOTH),
        ("a header longer than the packet", good[..30].to_vec(), BOTH),
        ("a packet longer than the frame", good[..100].to_vec(), BOTH),
        ("a first fragment", changed(20, 0x20), TX_L4_CHECKSUM),
        ("a later fragment", changed(21, 1), TX_L4_CHECKSUM),
        ("ICMP", changed(23, 1), TX_L4_CHECKSUM),
        (
            "a datagram longer than the packet",
            changed(38, 1),
            TX_L4_CHECKSUM,
        ),
    ] {
        let (frames, status) = port.send(&frame, &asks(flags, 0, 0));
        assert_eq!((frames.len(), status), (0, EthStatus::BAD_HEADERS), "{what}");
    }
    assert_eq!(port.rig.nic.statistics().eth_out_errors.get(), 9);
    // The header of a fragment has a checksum.
    port.send_one(&changed(21, 1), TX_IP_CHECKSUM, 0);
}

#[test]
fn extension_headers_are_skipped() {
    let mut port = Port::ready();
    // Destination options (padding) between IPv6 and UDP.
    let plain = Maker::ours(V6).udp(&payload(64));
    let mut frame = plain.clone();
    frame[18..20].copy_from_slice(&(72u16 + 8).to_be_bytes());
    frame[20] = 60;
    frame.splice(54..54, [17, 0, 1, 4, 0, 0, 0, 0]);
    let sent = port.send_one(&frame, BOTH, 0);
    let judged = port.send_one(&plain, BOTH, 0);
    assert!(checksums_are_right(&judged));
    // The pseudo header knows nothing of extension headers.
    assert_eq!(sent[62..], judged[54..]);
}

fn verdict(port: &mut Port, frame: &[u8]) -> u16 {
    port.post_buffers(0, 1);
    let (completion, bytes) = port.hear(frame).expect("received");
    assert_eq!(bytes, frame);
    completion.flags.get() & !ETH_RX
}

#[test]
fn received_checksums_are_verified() {
    let mut port = Port::with_queues(1);
    for (addresses, family) in [(V4, ETH_IPV4 | ETH_IP_OK), (V6, ETH_IPV6)] {
        let header = if addresses == V4 { 34 } else { 54 };
        for length in [1, 2, 99, 1000] {
            let maker = Maker::peers(addresses);
            for (mut frame, transport) in [
                (maker.udp(&payload(length)), ETH_UDP),
                (maker.tcp(&payload(length), true), ETH_TCP),
            ] {
                assert!(checksums_are_right(&frame));
                assert_eq!(verdict(&mut port, &frame), family | transport | ETH_L4_OK);
                frame[header + 3] ^= 1;
                assert!(!checksums_are_right(&frame));
                assert_eq!(verdict(&mut port, &frame), family | transport | ETH_L4_BAD);
                frame[header + 3] ^= 1;
                frame.extend([0xAA; 5]);
                assert_eq!(
                    verdict(&mut port, &frame),
                    family | transport | ETH_L4_OK,
                    "padding does not count"
                );
            }
        }
    }
}

#[test]
fn verdicts_about_odd_packets() {
    let mut port = Port::with_queues(1);
    let v4 = Maker::peers(V4).udp(&payload(100));
    let change = |frame: &[u8], changes: &[(usize, u8)]| {
        let mut frame = frame.to_vec();
        for (at, value) in changes {
            frame[*at] = *value;
        }
        frame
    };
    let v6 = Maker::peers(V6).udp(&payload(100));
    for (what, frame, expected) in [
        (
            "wrong IP checksum",
            change(&v4, &[(22, 3)]),
            ETH_IPV4 | ETH_UDP | ETH_IP_BAD,
        ),
        (
            "UDP without checksum",
            change(&v4, &[(40, 0), (41, 0)]),
            ETH_IPV4 | ETH_UDP | ETH_IP_OK,
        ),
        (
            "UDP without checksum on IPv6",
            change(&v6, &[(60, 0), (61, 0)]),
            ETH_IPV6 | ETH_UDP | ETH_L4_BAD,
        ),
        ("cut off", v4[..60].to_vec(), 0),
        (
            "a header longer than the packet",
            change(&v4, &[(14, 0x4F), (16, 0), (17, 30)])[..50].to_vec(),
            0,
        ),
        ("ARP", change(&v4, &[(13, 6)]), 0),
        ("another protocol", change(&v6, &[(20, 58)]), ETH_IPV6),
        ("a fragment", change(&v6, &[(20, 44)]), ETH_IPV6),
    ] {
        assert_eq!(verdict(&mut port, &frame), expected, "{what}");
    }
    let mut fragment = change(&v4, &[(20, 0x20)]);
    Ipv4Packet::new_unchecked(&mut fragment[14..]).fill_checksum();
    assert_eq!(verdict(&mut port, &fragment), ETH_IPV4 | ETH_IP_OK);
    let tagged = with_tag(&v4, 3);
    assert_eq!(
        verdict(&mut port, &tagged),
        ETH_IPV4 | ETH_UDP | ETH_IP_OK | ETH_L4_OK
    );
}
