//! Arming, and events that are held back.

use std::time::{Duration, Instant};

use vrnic_abi::cmd::{Opcode, Status};
use vrnic_abi::doorbell::{ETH_ARM, ETH_ARMED};
use vrnic_abi::eth::EthQueueModify;
use vrnic_abi::event::EventKind;
use vrnic_device::{Engine, NicConfig};

use super::frames::{Maker, V4, payload};
use super::port::{Port, asks};
use crate::rig::{EQ_LOG2, EQ_VECTOR, OUR_MAC};

fn a_frame() -> Vec<u8> {
    Maker::peers(V4).udp(&payload(60))
}

/// Events of Ethernet queues since the last call: the numbers.
fn events(port: &mut Port) -> Vec<u32> {
    port.run();
    std::iter::from_fn(|| port.rig.take_event())
        .inspect(|event| assert_eq!(EventKind::from(event.kind), EventKind::ETH))
        .map(|event| event.number.get())
        .collect()
}

fn moderate(port: &mut Port, moderation_us: u16, moderation_count: u16) {
    let modify = EthQueueModify {
        number: 0.into(),
        moderation_us: moderation_us.into(),
        moderation_count: moderation_count.into(),
    };
    assert_eq!(port.rig.status(Opcode::MODIFY_ETH_QUEUE, &modify), Status::OK);
}

#[test]
fn one_event_for_each_arming() {
    let mut port = Port::ready();
    port.rig.arm_eq();
    port.rig.host.take_interrupts();
    port.hear(&a_frame());
    assert_eq!(events(&mut port), [], "not armed");
    port.arm(0);
    assert_eq!(events(&mut port), [], "nothing is new");
    port.rig.nic.receive(&a_frame());
    port.rig.nic.receive(&a_frame());
    assert_eq!(port.rig.host.take_interrupts(), [EQ_VECTOR], "without the engine");
    assert_eq!(events(&mut port), [0]);
    assert_eq!(
        port.rig.nic.doorbells().load(port.word(0, ETH_ARM)),
        0,
        "disarmed"
    );
    assert!(port.take(0).is_some());
    port.arm(0);
    assert_eq!(events(&mut port), [0], "there is one that has not been seen");
    assert!(port.take(0).is_some());
    port.arm(0);
    assert_eq!(events(&mut port), []);
    // The same word again is an arming again.
    port.arm(0);
    port.send(&a_frame(), &asks(0, 0, 0));
    assert_eq!(events(&mut port), [0], "for a frame that was sent");
}

#[test]
fn arming_twice_with_the_same_index() {
    let mut port = Port::ready();
    port.rig.nic.receive(&a_frame());
    for _ in 0..3 {
        port.arm(0);
        assert_eq!(events(&mut port), [0]);
    }
}

#[test]
fn indexes_wrap_in_the_arm_word() {
    let mut port = Port::ready();
    // An index that the driver cannot have seen does no harm.
    port.ring(0, ETH_ARM, ETH_ARMED | 5);
    assert_eq!(events(&mut port), [0]);
}

#[test]
fn events_wait_for_the_count() {
    let mut port = Port::ready();
    moderate(&mut port, u16::MAX, 3);
    port.arm(0);
    for expected in [vec![], vec![], vec![0], vec![]] {
        port.rig.nic.receive(&a_frame());
        assert_eq!(events(&mut port), expected);
    }
}

#[test]
fn events_wait_for_the_time() {
    let mut port = Port::ready();
    moderate(&mut port, 20_000, u16::MAX);
    port.arm(0);
    let begin = Instant::now();
    port.rig.nic.receive(&a_frame());
    while port.rig.peek_event().is_none() {
        port.rig.nic.poll();
        assert!(begin.elapsed() < Duration::from_secs(10));
    }
    assert!(begin.elapsed() >= Duration::from_millis(20));
    assert_eq!(events(&mut port), [0]);
}

#[test]
fn the_engine_thread_wakes_for_an_event_that_is_held_back() {
    let mut port = Port::with(
        1,
        NicConfig {
            engine: Engine::Thread,
            ..NicConfig::new(OUR_MAC)
        },
    );
    port.post_buffers(0, 4);
    moderate(&mut port, 30_000, u16::MAX);
    port.arm(0);
    std::thread::sleep(Duration::from_millis(5));
    port.rig.nic.receive(&a_frame());
    port.rig.wait("the event", |rig| rig.peek_event().is_some());
}

#[test]
fn an_event_waits_for_room() {
    let mut port = Port::ready();
    for _ in 0..1 << EQ_LOG2 {
        let event = zerocopy::FromZeros::new_zeroed();
        assert!(port.rig.nic.faults().event(0, event));
    }
    port.arm(0);
    port.rig.nic.receive(&a_frame());
    port.run();
    assert_ne!(
        port.rig.nic.doorbells().load(port.word(0, ETH_ARM)),
        0,
        "still armed"
    );
    for _ in 0..1 << EQ_LOG2 {
        assert_eq!(port.rig.take_event().unwrap().kind.get(), 0);
    }
    assert_eq!(events(&mut port), [0]);
    assert_eq!(port.rig.nic.statistics().events_lost.get(), 0);
}
