//! Frames from descriptors.

use vrnic_abi::doorbell::ETH_CONSUMER;
use vrnic_abi::eth::{EthStatus, TX_END, TX_NO_COMPLETION, TX_VLAN, TxDescriptor};
use zerocopy::FromZeros;

use super::frames::{Maker, V4, payload, with_tag};
use super::port::{LOG2, PAYLOAD, Port, asks};
use crate::rig::NOWHERE;

fn a_frame(length: usize) -> Vec<u8> {
    Maker::ours(V4).udp(&payload(length - 42))
}

#[test]
fn pieces_make_a_frame() {
    let mut port = Port::ready();
    let frame = a_frame(1514);
    for pieces in [1, 2, 31, 32] {
        let (frames, status) = port.send_in(&frame, pieces, &asks(0, 0, 0));
        assert_eq!((frames, status), (vec![frame.clone()], EthStatus::OK));
    }
    let statistics = port.rig.nic.statistics();
    assert_eq!(statistics.eth_out_frames.get(), 4);
    assert_eq!(statistics.eth_out_octets.get(), 4 * 1514);
    assert_eq!(statistics.out_unicast_frames.get(), 4);
    assert_eq!(statistics.out_unicast_octets.get(), 4 * 1514);
    assert_eq!(statistics.rdma_out_frames.get(), 0);
}

#[test]
fn short_frames_are_padded() {
    let mut port = Port::ready();
    for length in [14, 59, 60] {
        let frame = &a_frame(60)[..length];
        let sent = port.send_one(frame, 0, 0);
        assert_eq!(sent.len(), 60);
        assert!(sent.starts_with(frame));
        assert!(sent[length..].iter().all(|byte| *byte == 0));
    }
}

#[test]
fn a_frame_waits_for_its_last_piece() {
    let mut port = Port::ready();
    let frame = a_frame(100);
    port.put_frame(0, &frame, 2, &asks(0, 0, 0));
    let posted = port.queues[0].tx_posted;
    port.ring(0, vrnic_abi::doorbell::ETH_TX_PRODUCER, posted - 1);
    port.run();
    assert!(port.rig.host.take_frames().is_empty());
    port.ring_tx(0);
    port.run();
    assert_eq!(port.rig.host.take_frames(), [frame]);
}

#[test]
fn lengths() {
    let mut port = Port::ready();
    let (longest, too_long) = (a_frame(1514), a_frame(1515));
    for (frame, expected) in [
        (&longest[..], EthStatus::OK),
        (&too_long, EthStatus::BAD_LENGTH),
        (&with_tag(&longest, 5), EthStatus::OK),
        (&with_tag(&too_long, 5), EthStatus::BAD_LENGTH),
        (&longest[..13], EthStatus::BAD_LENGTH),
    ] {
        let (frames, status) = port.send(frame, &asks(0, 0, 0));
        assert_eq!(
            (frames.len(), status),
            (usize::from(status == EthStatus::OK), expected)
        );
    }
    assert_eq!(port.rig.nic.statistics().eth_out_errors.get(), 3);
    // The tag that the device inserts does not count.
    assert_eq!(port.send_one(&longest, TX_VLAN, 5), with_tag(&longest, 5));
}

#[test]
fn jumbo_frames() {
    let mut port = Port::ready();
    port.config.mtu = 9000.into();
    port.configure();
    let frame = a_frame(9014);
    assert_eq!(port.send_one(&frame, 0, 0), frame);
}

#[test]
fn tags_are_inserted_even_if_zero() {
    let mut port = Port::ready();
    let frame = a_frame(200);
    for tag in [0, 0x2000, 0xE005, 0xFFFF] {
        assert_eq!(port.send_one(&frame, TX_VLAN, tag), with_tag(&frame, tag));
    }
    // Behind a tag that is there already.
    let tagged = with_tag(&frame, 9);
    assert_eq!(port.send_one(&tagged, TX_VLAN, 7), with_tag(&tagged, 7));
}

#[test]
fn frames_of_all_casts_are_counted() {
    let mut port = Port::ready();
    let mut frame = a_frame(100);
    for destination in [[0xFF; 6], [0x33, 0x33, 0, 0, 0, 1], [2, 0, 0, 0, 0, 9]] {
        frame[..6].copy_from_slice(&destination);
        port.send_one(&frame, 0, 0);
    }
    let statistics = port.rig.nic.statistics();
    for (frames, octets) in [
        (statistics.out_unicast_frames, statistics.out_unicast_octets),
        (statistics.out_multicast_frames, statistics.out_multicast_octets),
        (statistics.out_broadcast_frames, statistics.out_broadcast_octets),
    ] {
        assert_eq!((frames.get(), octets.get()), (1, 100));
    }
}

#[test]
fn a_frame_to_ourselves_goes_to_the_wire() {
    let mut port = Port::ready();
    let mut frame = a_frame(100);
    frame[..6].copy_from_slice(&crate::rig::OUR_MAC);
    assert_eq!(port.send_one(&frame, 0, 0), frame);
    assert!(port.peek(0).is_none(), "it is not received");
}

#[test]
fn bad_descriptors_are_dropped_and_the_next_frame_is_sent() {
    let mut port = Port::ready();
    let good = TxDescriptor {
        addr: PAYLOAD.into(),
        length: 64.into(),
        ..TxDescriptor::new_zeroed()
    };
    let end = |descriptor| TxDescriptor {
        flags: TX_END.into(),
        ..descriptor
    };
    let empty = TxDescriptor {
        length: 0.into(),
        ..good
    };
    let unknown_flag = TxDescriptor {
        flags: (TX_END | 1 << 5).into(),
        ..good
    };
    let tag_without_flag = TxDescriptor {
        vlan: 1.into(),
        ..end(good)
    };
    let late_tag = TxDescriptor {
        flags: (TX_END | TX_VLAN).into(),
        ..good
    };
    let late_segment_size = TxDescriptor {
        segment_size: 1.into(),
        ..end(good)
    };
    let excessive = |pieces: usize| [vec![good; pieces - 1], vec![end(good)]].concat();
    for (pieces, expected) in [
        (vec![end(empty)], EthStatus::BAD_DESCRIPTOR),
        (vec![good, end(empty)], EthStatus::BAD_DESCRIPTOR),
        (vec![unknown_flag], EthStatus::BAD_DESCRIPTOR),
        (vec![tag_without_flag], EthStatus::BAD_DESCRIPTOR),
        (vec![good, late_tag], EthStatus::BAD_DESCRIPTOR),
        (vec![good, late_segment_size], EthStatus::BAD_DESCRIPTOR),
        (excessive(33), EthStatus::BAD_DESCRIPTOR),
        (excessive(60), EthStatus::BAD_DESCRIPTOR),
        (excessive(32), EthStatus::BAD_LENGTH),
        (
            vec![TxDescriptor {
                addr: NOWHERE.into(),
                ..end(good)
            }],
            EthStatus::DMA_FAULT,
        ),
        (
            vec![TxDescriptor {
                addr: (u64::MAX - 8).into(),
                ..end(good)
            }],
            EthStatus::DMA_FAULT,
        ),
    ] {
        let index = port.queues[0].tx_posted;
        let errors = port.rig.nic.statistics().eth_out_errors.get();
        for piece in &pieces {
            port.put_descriptor(0, piece);
        }
        port.ring_tx(0);
        port.run();
        assert!(port.rig.host.take_frames().is_empty(), "{pieces:?}");
        let completion = port.take(0).unwrap();
        assert_eq!(
            (completion.index.get(), EthStatus(completion.status)),
            (index, expected),
            "{pieces:?}"
        );
        assert_eq!(port.rig.nic.statistics().eth_out_errors.get(), errors + 1);
        port.send_one(&a_frame(100), 0, 0);
    }
}

#[test]
fn one_completion_stands_for_a_batch() {
    let mut port = Port::ready();
    let frame = a_frame(80);
    for flags in [TX_NO_COMPLETION, TX_NO_COMPLETION, 0] {
        port.put_frame(0, &frame, 2, &asks(flags, 0, 0));
    }
    port.ring_tx(0);
    port.run();
    assert_eq!(port.rig.host.take_frames().len(), 3);
    assert_eq!(port.take(0).unwrap().index, 4, "that of the third frame");
    assert!(port.take(0).is_none());
    // A frame that is not sent has its completion in any case.
    let (_, status) = port.send(&frame[..13], &asks(TX_NO_COMPLETION, 0, 0));
    assert_eq!(status, EthStatus::BAD_LENGTH);
}

#[test]
fn sending_waits_for_room_in_the_completion_ring() {
    let mut port = Port::ready();
    let frame = a_frame(60);
    let ring = 2u32 << LOG2;
    // A driver that posts again without saying that it has read completions.
    for _ in 0..ring + 8 {
        port.put_frame(0, &frame, 1, &asks(0, 0, 0));
        port.ring_tx(0);
        port.run();
    }
    assert_eq!(port.rig.host.take_frames().len(), 1 << (LOG2 + 1));
    port.ring(0, ETH_CONSUMER, 3);
    port.run();
    assert_eq!(port.rig.host.take_frames().len(), 3);
}

#[test]
fn frames_are_not_sent_while_the_link_is_down() {
    let mut port = Port::ready();
    let frame = a_frame(60);
    port.rig.nic.set_link(false);
    let (frames, status) = port.send(&frame, &asks(0, 0, 0));
    assert_eq!((frames.len(), status), (0, EthStatus::LINK_DOWN));
    let statistics = port.rig.nic.statistics();
    assert_eq!(
        (statistics.eth_out_discards.get(), statistics.eth_out_errors.get()),
        (1, 0)
    );
    port.rig.nic.set_link(true);
    port.send_one(&frame, 0, 0);
}

#[test]
fn many_laps_over_the_rings() {
    let mut port = Port::ready();
    for lap in 0..500 {
        let frame = a_frame(60 + lap % 1000);
        assert_eq!(port.send_one(&frame, 0, 0), frame);
    }
}
