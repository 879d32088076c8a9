//! Frames into buffers.

use vrnic_abi::eth::{
    ETH_RX, ETH_STRIP_VLAN, ETH_VLAN, EthCompletion, EthStatus, FILTER_ALL, MAX_RX_BUFFER, RxDescriptor,
};

use super::frames::{Maker, V4, payload, with_tag};
use super::port::{BUFFER, LOG2, MTU, Port};
use crate::host::MEMORY;
use crate::rig::NOWHERE;

fn a_frame(length: usize) -> Vec<u8> {
    Maker::peers(V4).udp(&payload(length - 42))
}

#[test]
fn frames_take_buffers_in_order() {
    let mut port = Port::with_queues(1);
    port.post_buffers(0, 16);
    for index in 0..500u32 {
        let frame = a_frame(60 + usize::try_from(index).unwrap() % 1400);
        let (completion, bytes) = port.hear(&frame).unwrap();
        assert_eq!((completion.index.get(), bytes), (index, frame));
        assert_eq!((completion.rss_hash.get(), completion.rss_type.get()), (0, 0));
        port.post_buffers(0, 1);
    }
    let statistics = port.rig.nic.statistics();
    assert_eq!(statistics.eth_in_frames.get(), 500);
    assert_eq!(statistics.in_unicast_frames.get(), 500);
    assert_eq!(statistics.eth_in_octets, statistics.in_unicast_octets);
}

#[test]
fn no_buffer_no_frame() {
    let mut port = Port::with_queues(1);
    let frame = a_frame(100);
    assert!(port.hear(&frame).is_none());
    port.post_buffers(0, 2);
    assert!(port.hear(&frame).is_some());
    assert!(port.hear(&frame).is_some());
    assert!(port.hear(&frame).is_none());
    let statistics = port.rig.nic.statistics();
    assert_eq!(
        (statistics.eth_in_no_buffer.get(), statistics.eth_in_frames.get()),
        (2, 2)
    );
    assert_eq!(statistics.drop_no_receiver.get(), 0);
}

#[test]
fn without_a_queue_a_frame_is_dropped() {
    let port = Port::with_queues(0);
    port.rig.nic.receive(&a_frame(100));
    assert_eq!(port.rig.nic.statistics().eth_in_no_buffer.get(), 1);
}

#[test]
fn a_full_completion_ring_drops() {
    let mut port = Port::with_queues(1);
    let frame = a_frame(60);
    for _ in 0..2u32 << LOG2 {
        port.post_buffers(0, 1);
        port.rig.nic.receive(&frame);
    }
    port.post_buffers(0, 1);
    port.rig.nic.receive(&frame);
    let statistics = port.rig.nic.statistics();
    assert_eq!(statistics.eth_in_frames.get(), 2 << LOG2);
    assert_eq!(statistics.eth_in_no_buffer.get(), 1);
    assert!(port.take(0).is_some());
    port.rig.nic.receive(&frame);
    assert_eq!(port.rig.nic.statistics().eth_in_frames.get(), (2 << LOG2) + 1);
}

#[test]
fn frames_longer_than_the_mtu_are_dropped() {
    let mut port = Port::ready();
    let longest = usize::try_from(MTU).unwrap() + 14;
    assert!(port.hear(&a_frame(longest)).is_some());
    assert!(port.hear(&with_tag(&a_frame(longest), 3)).is_some());
    assert!(port.hear(&a_frame(longest + 1)).is_none());
    assert!(port.hear(&with_tag(&a_frame(longest + 1), 3)).is_none());
    assert_eq!(port.rig.nic.statistics().eth_in_too_long.get(), 2);
}

#[test]
fn jumbo_frames() {
    let mut port = Port::with_queues(1);
    port.config.mtu = 9000.into();
    port.configure();
    let buffer = MEMORY + 0xC_0000;
    port.post(
        0,
        &RxDescriptor {
            addr: buffer.into(),
            length: MAX_RX_BUFFER.into(),
            reserved: 0.into(),
        },
    );
    let frame = with_tag(&a_frame(9014), 5);
    port.rig.nic.receive(&frame);
    let completion = port.take(0).unwrap();
    assert_eq!(completion.length.get(), 9018);
    assert_eq!(port.rig.host.peek(buffer, 9018), frame);
}

#[test]
fn a_frame_longer_than_the_buffer_is_dropped_and_the_buffer_stays() {
    let mut port = Port::with_queues(1);
    let descriptor = RxDescriptor {
        addr: port.buffer(0, 0).into(),
        length: 100.into(),
        reserved: 0.into(),
    };
    port.post(0, &descriptor);
    assert!(port.hear(&a_frame(101)).is_none());
    assert_eq!(port.rig.nic.statistics().eth_in_buffer_too_small.get(), 1);
    assert!(port.hear(&a_frame(100)).is_some());
}

#[test]
fn bad_buffers_are_given_back() {
    let mut port = Port::with_queues(1);
    port.set_filter(FILTER_ALL);
    let good = RxDescriptor {
        addr: port.buffer(0, 0).into(),
        length: BUFFER.into(),
        reserved: 0.into(),
    };
    let with = |addr: u64, length: u32, reserved: u32| RxDescriptor {
        addr: addr.into(),
        length: length.into(),
        reserved: reserved.into(),
    };
    let addr = good.addr.get();
    for (descriptor, expected) in [
        (with(addr, 0, 0), EthStatus::BAD_DESCRIPTOR),
        (with(addr, MAX_RX_BUFFER + 1, 0), EthStatus::BAD_DESCRIPTOR),
        (with(addr, BUFFER, 1), EthStatus::BAD_DESCRIPTOR),
        (with(NOWHERE, BUFFER, 0), EthStatus::DMA_FAULT),
        (with(u64::MAX - 7, BUFFER, 0), EthStatus::DMA_FAULT),
    ] {
        let index = port.queues[0].rx_posted;
        let errors = port.rig.nic.statistics().eth_in_errors.get();
        port.post(0, &descriptor);
        port.rig.nic.receive(&a_frame(100));
        let completion = port.take(0).unwrap();
        let EthCompletion {
            index: found,
            length,
            flags,
            status,
            ..
        } = completion;
        assert_eq!(
            (found.get(), length.get(), flags.get(), EthStatus(status)),
            (index, 0, ETH_RX, expected)
        );
        assert_eq!(port.rig.nic.statistics().eth_in_errors.get(), errors + 1);
        port.post_buffers(0, 1);
        assert!(port.hear(&a_frame(100)).is_some());
    }
}

#[test]
fn tags_are_taken_out_if_that_is_asked_for() {
    let mut port = Port::ready();
    let frame = a_frame(100);
    for (strip, tag) in [(false, 5), (true, 5), (true, 0), (true, 0xE123)] {
        port.config.flags = if strip { ETH_STRIP_VLAN } else { 0 }.into();
        port.configure();
        let tagged = with_tag(&frame, tag);
        let (completion, bytes) = port.hear(&tagged).unwrap();
        let is_stripped = completion.flags.get() & ETH_VLAN != 0;
        assert_eq!(is_stripped, strip);
        assert_eq!(completion.vlan.get(), if strip { tag } else { 0 });
        assert_eq!(bytes, if strip { &frame } else { &tagged }[..]);
        // The outer one only.
        let (_, bytes) = port.hear(&with_tag(&tagged, 7)).unwrap();
        assert_eq!(bytes.len(), frame.len() + if strip { 4 } else { 8 });
    }
    assert!(
        port.hear(&frame)
            .is_some_and(|(completion, bytes)| { bytes == frame && completion.flags.get() & ETH_VLAN == 0 })
    );
}

#[test]
fn frames_that_are_hardly_there() {
    let mut port = Port::ready();
    port.set_filter(FILTER_ALL);
    for length in 0..70 {
        let frame = &a_frame(100)[..length];
        let received = port.hear(frame);
        assert_eq!(received.is_some(), length >= 14, "{length}");
        port.post_buffers(0, u32::from(received.is_some()));
    }
    assert_eq!(port.rig.nic.statistics().drop_malformed.get(), 14);
}
