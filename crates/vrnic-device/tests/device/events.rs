//! Event queues: arming, fullness, wrong indexes.

use vrnic_abi::doorbell;
use vrnic_abi::event::{Event, EventKind};
use vrnic_abi::regs::{self, DeviceState, FatalSyndrome};
use vrnic_abi::resource::EQ_ASYNC;
use zerocopy::FromZeros;

use crate::rig::{EQ_LOG2, EQ_VECTOR, EVENTS, Rig};

const CONSUMER: u64 = doorbell::EQ + doorbell::EQ_CONSUMER;
const ARM: u64 = doorbell::EQ + doorbell::EQ_ARM;
const ENTRIES: u32 = 1 << EQ_LOG2;

fn event(number: u32) -> Event {
    Event {
        kind: EventKind::CQ.into(),
        number: number.into(),
        ..Event::new_zeroed()
    }
}

fn with_queue() -> Rig {
    let mut rig = Rig::ready();
    rig.create_eq(EQ_ASYNC);
    rig.write(regs::INT_CAUSE, u32::MAX);
    rig.host.take_interrupts();
    rig
}

#[test]
fn an_armed_queue_raises_one_interrupt() {
    let mut rig = with_queue();
    assert!(rig.nic.faults().event(0, event(1)));
    assert_eq!(rig.host.take_interrupts(), [], "not armed");
    rig.arm_eq();
    assert_eq!(
        rig.host.take_interrupts(),
        [],
        "arming owes nothing for older entries"
    );
    assert!(rig.nic.faults().event(0, event(2)));
    assert_eq!(rig.host.take_interrupts(), [EQ_VECTOR]);
    assert_eq!(rig.nic.doorbells().load(ARM), 0, "the device disarms");
    assert!(rig.nic.faults().event(0, event(3)));
    assert_eq!(rig.host.take_interrupts(), []);
    for expected in 1..=3 {
        assert_eq!(rig.take_event().unwrap().number.get(), expected);
    }
    assert!(rig.take_event().is_none());
}

#[test]
fn an_arm_word_without_the_bit_does_not_arm() {
    let rig = with_queue();
    rig.nic.doorbells().store(ARM, 1);
    assert!(rig.nic.faults().event(0, event(1)));
    assert_eq!(rig.host.take_interrupts(), []);
}

#[test]
fn a_new_queue_starts_with_clean_doorbells() {
    let mut rig = Rig::ready();
    rig.nic.doorbells().store(CONSUMER, 77);
    rig.nic.doorbells().store(ARM, doorbell::EQ_ARMED);
    rig.create_eq(0);
    assert_eq!(
        (rig.nic.doorbells().load(CONSUMER), rig.nic.doorbells().load(ARM)),
        (0, 0)
    );
}

#[test]
fn phases_alternate() {
    let mut rig = with_queue();
    for number in 0..ENTRIES * 5 {
        assert!(rig.nic.faults().event(0, event(number)));
        assert_eq!(rig.take_event().unwrap().number.get(), number);
        assert!(rig.peek_event().is_none());
    }
}

#[test]
fn a_full_queue_loses_events_and_says_how_many() {
    let mut rig = with_queue();
    for number in 0..ENTRIES {
        assert!(rig.nic.faults().event(0, event(number)));
    }
    assert!(!rig.nic.faults().event(0, event(100)));
    assert!(!rig.nic.faults().event(0, event(101)));
    assert_eq!(rig.nic.statistics().events_lost.get(), 2);
    assert_eq!(rig.take_event().unwrap().number.get(), 0);
    assert!(rig.nic.faults().event(0, event(102)));
    for number in 1..ENTRIES {
        let event = rig.take_event().unwrap();
        assert_eq!((event.number.get(), event.lost.get()), (number, 0));
    }
    let event = rig.take_event().unwrap();
    assert_eq!((event.number.get(), event.lost.get()), (102, 2));
}

#[test]
fn a_wrong_consumer_index_is_fatal() {
    // Two events are there; before each of two more the driver writes its index.
    for (indexes, fatal) in [
        ([0, 0], false),
        ([1, 2], false),
        ([2, 3], false),
        ([3, 3], true),
        ([2, 4], true),
        ([2, 1], true),
        ([0, u32::MAX], true),
    ] {
        let rig = with_queue();
        assert!(rig.nic.faults().event(0, event(0)));
        assert!(rig.nic.faults().event(0, event(1)));
        let written = indexes.map(|index| {
            rig.nic.doorbells().store(CONSUMER, index);
            rig.nic.faults().event(0, event(9))
        });
        assert_eq!(written.contains(&false), fatal, "{indexes:?}");
        let expected = if fatal {
            FatalSyndrome::BAD_DOORBELL
        } else {
            FatalSyndrome::NONE
        };
        assert_eq!(rig.syndrome(), expected, "{indexes:?}");
    }
}

#[test]
fn a_consumer_index_past_the_producer_is_found_by_the_engine_too() {
    let rig = with_queue();
    rig.nic.doorbells().store(CONSUMER, 1);
    rig.kick();
    rig.wait("the fatal state", |rig| rig.state() == DeviceState::FATAL);
    assert_eq!(rig.read(regs::INT_CAUSE) & regs::INT_FATAL, regs::INT_FATAL);
}

#[test]
fn a_queue_that_cannot_be_written_is_fatal() {
    let rig = with_queue();
    rig.host.map(EVENTS, false);
    assert!(!rig.nic.faults().event(0, event(1)));
    assert_eq!(
        (rig.state(), rig.syndrome()),
        (DeviceState::FATAL, FatalSyndrome::DMA_FAULT)
    );
    assert_eq!(rig.host.take_interrupts(), [0]);
}

#[test]
fn the_asynchronous_queue_tells_of_a_fatal_error() {
    let mut rig = with_queue();
    rig.arm_eq();
    rig.nic.faults().fatal(FatalSyndrome::INTERNAL);
    let event = rig.take_event().unwrap();
    assert_eq!(EventKind::from(event.kind), EventKind::FATAL);
    assert_eq!(event.number.get(), FatalSyndrome::INTERNAL.0);
    assert_eq!(rig.host.take_interrupts(), [EQ_VECTOR, 0]);
    rig.nic.faults().fatal(FatalSyndrome::BAD_QUEUE);
    assert_eq!(rig.syndrome(), FatalSyndrome::INTERNAL, "the first reason stays");
    assert!(rig.take_event().is_none());
}
