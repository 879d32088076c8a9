//! Large sends: smoltcp judges the segments, and puts them together again.

use smoltcp::wire::{EthernetFrame, Ipv4Packet};
use vrnic_abi::eth::{EthStatus, MAX_LARGE_SEND, TX_NO_COMPLETION, TX_VLAN};

use super::frames::{
    IDENTIFICATION, Maker, SEQUENCE, V4, V6, checksums_are_right, payload, tcp_of, with_tag,
};
use super::port::{Port, asks};

const FIN: u8 = 1;
const PSH: u8 = 8;
const ACK: u8 = 16;
const CWR: u8 = 128;

/// Where the flags are in a TCP frame without options of IP.
fn flags_at(frame: &[u8]) -> usize {
    if frame[13] == 0 { 34 + 13 } else { 54 + 13 }
}

/// Checks the segments of a large send; their payload.
fn judge(segments: &[Vec<u8>], segment_size: usize) -> Vec<u8> {
    let mut data = Vec::new();
    for (index, segment) in segments.iter().enumerate() {
        assert!(checksums_are_right(segment), "segment {index}");
        let tcp = tcp_of(segment);
        let expected = SEQUENCE.wrapping_add(u32::try_from(data.len()).unwrap());
        assert_eq!(tcp.seq_number().0.cast_unsigned(), expected);
        let is_last = index + 1 == segments.len();
        assert!(tcp.payload().len() == segment_size || is_last);
        let flags = segment[flags_at(segment)];
        assert_eq!(
            flags & (FIN | PSH) != 0,
            is_last,
            "FIN and PSH in the last one only"
        );
        assert_eq!(flags & CWR != 0, index == 0, "CWR in the first one only");
        assert_ne!(flags & ACK, 0);
        if segment[13] == 0 {
            let frame = EthernetFrame::new_checked(segment).unwrap();
            let packet = Ipv4Packet::new_checked(frame.payload()).unwrap();
            let identification = IDENTIFICATION.wrapping_add(u16::try_from(index).unwrap());
            assert_eq!(packet.ident(), identification);
        }
        data.extend(tcp.payload());
    }
    data
}

/// A large TCP packet with FIN, PSH and CWR, whose IP header says nothing about its length.
fn large(addresses: [std::net::IpAddr; 2], length: usize, options: bool) -> Vec<u8> {
    let maker = Maker::ours(addresses);
    let whole = maker.tcp(&[], options);
    let mut frame = [whole, payload(length)].concat();
    let at = flags_at(&frame);
    frame[at] |= FIN | PSH | CWR;
    let length_at = if frame[13] == 0 { 16 } else { 18 };
    frame[length_at..length_at + 2].fill(0);
    frame
}

#[test]
fn segments_carry_the_payload() {
    let mut port = Port::ready();
    for addresses in [V4, V6] {
        for options in [false, true] {
            for (length, size) in [
                (65_000, 1400),
                (2801, 1400),
                (2800, 1400),
                (1400, 1400),
                (3, 1),
                (10_000, 536),
            ] {
                let frame = large(addresses, length, options);
                let (segments, status) = port.send_in(&frame, 32, &asks(0, size, 0));
                assert_eq!(status, EthStatus::OK);
                let size = usize::from(size);
                assert_eq!(segments.len(), length.div_ceil(size));
                assert_eq!(judge(&segments, size), payload(length));
            }
        }
    }
}

#[test]
fn the_longest_one() {
    let mut port = Port::ready();
    let length = MAX_LARGE_SEND as usize - 66;
    let frame = large(V4, length, true);
    let (segments, status) = port.send_in(&frame, 32, &asks(0, 1448, 0));
    assert_eq!(status, EthStatus::OK);
    assert_eq!(judge(&segments, 1448), payload(length));
    let frame = large(V4, length + 1, true);
    let (segments, status) = port.send_in(&frame, 32, &asks(0, 1448, 0));
    assert_eq!((segments.len(), status), (0, EthStatus::BAD_LENGTH));
}

#[test]
fn without_payload_there_is_one_segment() {
    let mut port = Port::ready();
    let (segments, status) = port.send_in(&large(V6, 0, false), 2, &asks(0, 1000, 0));
    assert_eq!(status, EthStatus::OK);
    assert_eq!(segments.len(), 1);
    assert_eq!(judge(&segments, 1000), []);
}

#[test]
fn segments_have_the_tag() {
    let mut port = Port::ready();
    let frame = large(V4, 5000, true);
    let (plain, _) = port.send(&frame, &asks(0, 1000, 0));
    let expected: Vec<_> = plain.iter().map(|segment| with_tag(segment, 0x6003)).collect();
    let (inserted, _) = port.send(&frame, &asks(TX_VLAN, 1000, 0x6003));
    assert_eq!(inserted, expected);
    let (own, _) = port.send(&with_tag(&frame, 0x6003), &asks(0, 1000, 0));
    assert_eq!(own, expected);
    let (both, _) = port.send(&with_tag(&frame, 0x6003), &asks(TX_VLAN, 1000, 4));
    let double: Vec<_> = expected.iter().map(|segment| with_tag(segment, 4)).collect();
    assert_eq!(both, double);
}

#[test]
fn segments_fit_the_mtu() {
    let mut port = Port::ready();
    let frame = large(V4, 4000, true);
    // 1500 less 20 of IP and 32 of TCP.
    let (segments, _) = port.send(&frame, &asks(0, 1448, 0));
    assert_eq!(segments[0].len(), 1514);
    let (segments, status) = port.send(&frame, &asks(0, 1449, 0));
    assert_eq!((segments.len(), status), (0, EthStatus::BAD_LENGTH));
}

#[test]
fn what_cannot_be_cut() {
    let mut port = Port::ready();
    let good = large(V4, 4000, false);
    let changed = |at: usize, value: u8| {
        let mut frame = good.clone();
        frame[at] = value;
        frame
    };
    for (what, frame) in [
        ("UDP", changed(23, 17)),
        ("a fragment", changed(20, 0x20)),
        ("SYN", changed(47, 0x12)),
        ("RST", changed(47, 0x14)),
        ("URG", changed(47, 0x30)),
        ("a short TCP header", changed(46, 0x40)),
        ("a TCP header that is cut off", good[..50].to_vec()),
        ("no IP", changed(12, 1)),
    ] {
        let (segments, status) = port.send(&frame, &asks(0, 1000, 0));
        assert_eq!((segments.len(), status), (0, EthStatus::BAD_HEADERS), "{what}");
    }
    let (segments, status) = port.send(&good, &asks(0, 1000, 0));
    assert_eq!((segments.len(), status), (4, EthStatus::OK));
}

#[test]
fn a_large_send_may_have_no_completion() {
    let mut port = Port::ready();
    port.put_frame(0, &large(V4, 3000, false), 4, &asks(TX_NO_COMPLETION, 1000, 0));
    port.ring_tx(0);
    port.run();
    assert_eq!(port.rig.host.take_frames().len(), 3);
    assert!(port.peek(0).is_none());
}

#[test]
fn the_link_goes_down_in_the_middle() {
    let mut port = Port::ready();
    port.put_frame(0, &large(V4, 60_000, false), 20, &asks(0, 600, 0));
    port.ring_tx(0);
    assert!(port.rig.nic.poll());
    let sent = port.rig.host.take_frames().len();
    assert!((1..100).contains(&sent), "a turn is bounded: {sent}");
    port.rig.nic.set_link(false);
    port.run();
    assert!(port.rig.host.take_frames().is_empty());
    assert_eq!(EthStatus(port.take(0).unwrap().status), EthStatus::LINK_DOWN);
    assert_eq!(port.rig.nic.statistics().eth_out_discards.get(), 1);
}
