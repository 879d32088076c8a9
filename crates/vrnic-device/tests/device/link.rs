//! The link, and the event that tells of it.

use vrnic_abi::cmd::Status;
use vrnic_abi::event::{Event, EventKind};
use vrnic_abi::regs;
use vrnic_abi::resource::EQ_ASYNC;
use vrnic_device::NicConfig;
use zerocopy::FromZeros;

use crate::rig::{EQ_LOG2, OUR_MAC, Rig, from_peer};

#[test]
fn a_change_is_told_once() {
    let mut rig = Rig::ready();
    rig.create_eq(EQ_ASYNC);
    rig.nic.set_link(true);
    assert!(rig.take_event().is_none(), "it was up before");
    for up in [false, true] {
        rig.nic.set_link(up);
        assert_eq!(rig.read(regs::LINK) & regs::LINK_UP, u32::from(up));
        let event = rig.take_event().unwrap();
        assert_eq!(EventKind::from(event.kind), EventKind::LINK);
        assert_eq!(event.detail.get(), u16::from(up));
        assert_eq!((event.data[0].get(), event.data[1].get()), (100_000, 9000));
        assert!(rig.take_event().is_none());
    }
}

#[test]
fn without_an_asynchronous_queue_only_the_register_tells() {
    let mut rig = Rig::ready();
    rig.create_eq(0);
    rig.nic.set_link(false);
    assert!(rig.take_event().is_none());
    assert_eq!(rig.read(regs::LINK) & regs::LINK_UP, 0);
}

#[test]
fn a_change_while_the_queue_is_full_is_told_later() {
    let mut rig = Rig::ready();
    rig.create_eq(EQ_ASYNC);
    for _ in 0..1 << EQ_LOG2 {
        assert!(rig.nic.faults().event(0, Event::new_zeroed()));
    }
    rig.nic.set_link(false);
    rig.nic.set_link(true);
    rig.nic.set_link(false);
    for _ in 0..1 << EQ_LOG2 {
        assert_eq!(rig.take_event().unwrap().kind.get(), 0);
    }
    rig.kick();
    rig.wait("the link event", |rig| rig.peek_event().is_some());
    let event = rig.take_event().unwrap();
    assert_eq!(
        (EventKind::from(event.kind), event.detail.get()),
        (EventKind::LINK, 0)
    );
    assert!(rig.take_event().is_none(), "the last state, once");
}

#[test]
fn nothing_passes_while_the_link_is_down() {
    let mut rig = Rig::cm();
    rig.nic.set_link(false);
    rig.hear(roce_wire::cm::Req::default());
    assert_eq!(rig.nic.statistics().rdma_in_frames.get(), 0);
    assert_eq!(rig.send(roce_wire::cm::Rej::default()), Status::LINK_DOWN);
    assert_eq!(rig.host.take_frames(), Vec::<Vec<u8>>::new());
    rig.nic.set_link(true);
    assert_eq!(rig.send(roce_wire::cm::Rej::default()), Status::OK);
    assert_eq!(rig.host.take_frames().len(), 1);
}

#[test]
fn a_nic_can_start_with_the_link_down() {
    let mut rig = Rig::with(NicConfig {
        link_up: false,
        ..NicConfig::new(OUR_MAC)
    });
    assert_eq!(rig.read(regs::LINK) & regs::LINK_UP, 0);
    rig.enable();
    let rig = rig.start_cm();
    rig.nic.receive(&from_peer(roce_wire::cm::Req::default()));
    assert!(rig.peek_event().is_none());
    rig.write(regs::CTRL, regs::CTRL_RESET);
    assert_eq!(
        rig.read(regs::LINK) & regs::LINK_UP,
        0,
        "a reset does not plug the cable in"
    );
}
