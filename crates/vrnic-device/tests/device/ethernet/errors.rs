//! A queue whose driver makes no sense stops; the others go on.

use vrnic_abi::cmd::Status;
use vrnic_abi::doorbell::{ETH_CONSUMER, ETH_RX_PRODUCER, ETH_TX_PRODUCER};
use vrnic_abi::event::EventKind;
use vrnic_abi::regs::{DeviceState, FatalSyndrome};

use super::frames::{Maker, V4, payload};
use super::port::{LOG2, Port, asks};
use crate::rig::EQ_LOG2;

fn a_frame() -> Vec<u8> {
    Maker::peers(V4).udp(&payload(60))
}

/// Queue 0 is in error for that reason, and queue 1 works.
fn assert_failed(port: &mut Port, syndrome: FatalSyndrome) {
    port.run();
    let event = port.rig.take_event().expect("an event");
    assert_eq!(
        (
            EventKind::from(event.kind),
            event.number.get(),
            u32::from(event.detail.get())
        ),
        (EventKind::ETH_ERROR, 0, syndrome.0)
    );
    assert!(port.rig.take_event().is_none(), "once");
    assert_eq!(port.rig.nic.statistics().eth_queue_errors.get(), 1);
    assert_eq!(port.rig.state(), DeviceState::READY);
    port.rig.host.take_frames();
    port.put_frame(1, &a_frame(), 1, &asks(0, 0, 0));
    port.ring_tx(1);
    port.run();
    assert_eq!(port.rig.host.take_frames().len(), 1);
    // It comes back with a new life.
    assert_eq!(port.destroy(0), Status::OK);
    assert_eq!(port.try_create(&Port::attributes(0)), Ok(0));
    port.rig
        .host
        .poke(Port::attributes(0).completions.get(), &[0; 0x1000]);
    let queue = &mut port.queues[0];
    (queue.tx_posted, queue.rx_posted, queue.consumed) = (0, 0, 0);
    port.post_buffers(0, 1);
    assert!(port.hear(&a_frame()).is_some());
}

#[test]
fn the_transmit_index_runs_ahead() {
    let mut port = Port::with_queues(2);
    port.ring(0, ETH_TX_PRODUCER, (1 << LOG2) + 1);
    assert_failed(&mut port, FatalSyndrome::BAD_DOORBELL);
}

#[test]
fn the_transmit_index_goes_back() {
    let mut port = Port::with_queues(2);
    port.send(&a_frame(), &asks(0, 0, 0));
    port.ring(0, ETH_TX_PRODUCER, 0);
    assert_failed(&mut port, FatalSyndrome::BAD_DOORBELL);
}

#[test]
fn the_receive_index_makes_no_sense() {
    let mut port = Port::with_queues(2);
    port.ring(0, ETH_RX_PRODUCER, u32::MAX);
    port.run();
    assert!(port.rig.peek_event().is_none(), "nobody has looked yet");
    port.rig.nic.receive(&a_frame());
    assert_eq!(port.rig.nic.statistics().eth_in_no_buffer.get(), 1);
    assert_failed(&mut port, FatalSyndrome::BAD_DOORBELL);
}

#[test]
fn the_consumer_index_runs_ahead() {
    let mut port = Port::with_queues(2);
    for _ in 0..2 << LOG2 {
        port.put_frame(0, &a_frame(), 1, &asks(0, 0, 0));
        port.ring_tx(0);
        port.run();
    }
    port.ring(0, ETH_CONSUMER, (2 << LOG2) + 1);
    assert_failed(&mut port, FatalSyndrome::BAD_DOORBELL);
}

#[test]
fn rings_that_are_not_reachable() {
    for (page, by_receiving) in [(0, false), (0, true)] {
        let mut port = Port::with_queues(2);
        port.post_buffers(0, 1);
        port.rig.host.map(port.queues[0].base + page, false);
        if by_receiving {
            port.rig.nic.receive(&a_frame());
        } else {
            port.ring(0, ETH_TX_PRODUCER, 1);
        }
        port.run();
        port.rig.host.map(port.queues[0].base + page, true);
        assert_failed(&mut port, FatalSyndrome::DMA_FAULT);
    }
}

#[test]
fn a_completion_ring_that_is_not_reachable() {
    let mut port = Port::with_queues(2);
    // Of 4 KiB: its second half is in the next page.
    let page = port.queues[0].base + 0x1000;
    port.rig.host.map(page, false);
    for _ in 0..65 {
        port.put_frame(0, &a_frame(), 1, &asks(0, 0, 0));
        port.ring_tx(0);
        port.run();
        port.take(0);
    }
    port.rig.host.map(page, true);
    assert_failed(&mut port, FatalSyndrome::DMA_FAULT);
}

#[test]
fn the_event_of_an_error_waits_for_room() {
    let mut port = Port::with_queues(2);
    for _ in 0..1 << EQ_LOG2 {
        let event = zerocopy::FromZeros::new_zeroed();
        assert!(port.rig.nic.faults().event(0, event));
    }
    port.ring(0, ETH_TX_PRODUCER, u32::MAX);
    port.run();
    for _ in 0..1 << EQ_LOG2 {
        assert_eq!(port.rig.take_event().unwrap().kind.get(), 0);
    }
    assert_failed(&mut port, FatalSyndrome::BAD_DOORBELL);
}

#[test]
fn no_event_of_a_queue_that_is_gone() {
    let mut port = Port::with_queues(2);
    for _ in 0..1 << EQ_LOG2 {
        let event = zerocopy::FromZeros::new_zeroed();
        assert!(port.rig.nic.faults().event(0, event));
    }
    port.ring(0, ETH_TX_PRODUCER, u32::MAX);
    port.run();
    port.destroy(0);
    for _ in 0..1 << EQ_LOG2 {
        assert_eq!(port.rig.take_event().unwrap().kind.get(), 0);
    }
    port.run();
    assert!(port.rig.take_event().is_none());
}
