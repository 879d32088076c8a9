//! Queues that are destroyed, reset and put to sleep while they work.

use std::time::Instant;

use vrnic_abi::cmd::Status;
use vrnic_abi::event::EventKind;
use vrnic_abi::regs;

use super::frames::{Maker, V4, payload};
use super::port::{PAYLOAD, Port, asks};
use crate::rig::Rig;

/// Where the power state is in configuration space.
const POWER: u16 = 0x44;

fn a_frame() -> Vec<u8> {
    Maker::peers(V4).udp(&payload(60))
}

/// Posts frames that the engine has not seen yet, the first one a large send that is half way through.
fn busy() -> Port {
    let mut port = Port::ready();
    let large = [Maker::ours(V4).tcp(&[], false), payload(60_000)].concat();
    port.put_frame(0, &large, 20, &asks(0, 600, 0));
    for _ in 0..30 {
        port.put_frame(0, &a_frame(), 1, &asks(0, 0, 0));
    }
    port.rig.host.poke(PAYLOAD, &large);
    port.ring_tx(0);
    port.arm(0);
    assert!(port.rig.nic.poll());
    assert!(!port.rig.host.take_frames().is_empty());
    port.rig.host.take_interrupts();
    port
}

/// Nothing moves any more, though frames come and the engine runs.
fn assert_quiet(port: &mut Port) {
    let before = port.rig.host.peek(port.queues[0].base, 0x1_0000);
    port.rig.nic.receive(&a_frame());
    port.run();
    assert!(port.rig.host.take_frames().is_empty());
    assert!(port.rig.host.take_interrupts().is_empty());
    assert_eq!(port.rig.host.peek(port.queues[0].base, 0x1_0000), before);
}

#[test]
fn destroyed() {
    let mut port = busy();
    assert_eq!(port.destroy(0), Status::OK);
    assert_quiet(&mut port);
    assert!(port.rig.take_event().is_none());
}

#[test]
fn reset() {
    let mut port = busy();
    port.rig.write(regs::CTRL, regs::CTRL_RESET);
    assert_quiet(&mut port);
    assert_eq!(port.rig.nic.statistics().eth_out_frames.get(), 0);
}

#[test]
fn function_level_reset() {
    let mut port = busy();
    port.rig.nic.reset();
    assert_quiet(&mut port);
    port.rig.nic.enable_function();
    assert_quiet(&mut port);
}

#[test]
fn stopped() {
    let mut port = busy();
    port.rig.write(regs::CTRL, 0);
    assert_quiet(&mut port);
}

#[test]
fn removed() {
    let mut port = busy();
    port.rig.nic.remove();
    assert_quiet(&mut port);
}

#[test]
fn asleep_and_awake_again() {
    let mut port = busy();
    let counted = port.rig.nic.statistics().eth_out_frames.get();
    port.rig.nic.config_write(POWER, &[3, 0]);
    assert_quiet(&mut port);
    port.rig.nic.set_link(false);
    port.rig.nic.set_link(true);
    assert_eq!(port.rig.nic.statistics().eth_out_frames.get(), counted);
    assert_eq!(port.rig.nic.statistics().dma_faults.get(), 0);
    port.rig.nic.config_write(POWER, &[0, 0]);
    port.run();
    // 100 segments and 30 frames.
    assert_eq!(port.rig.nic.statistics().eth_out_frames.get(), 130);
    assert!(port.hear_after_sends(31).is_some());
    let kinds: Vec<_> = std::iter::from_fn(|| port.rig.take_event())
        .map(|event| EventKind::from(event.kind))
        .collect();
    assert!(
        kinds.contains(&EventKind::ETH) && kinds.contains(&EventKind::LINK),
        "{kinds:?}"
    );
}

impl Port {
    /// Takes the completions of frames that were sent, and then receives a frame.
    fn hear_after_sends(&mut self, sends: usize) -> Option<Vec<u8>> {
        for _ in 0..sends {
            self.take(0)?;
        }
        self.hear(&a_frame()).map(|(_, bytes)| bytes)
    }
}

#[test]
fn a_link_speed_that_changes_is_told() {
    let mut port = Port::ready();
    port.rig.nic.set_link_speed(25_000);
    port.rig.nic.set_link_speed(25_000);
    assert_eq!(port.rig.read(regs::LINK_SPEED), 25_000);
    let event = port.rig.take_event().unwrap();
    assert_eq!(EventKind::from(event.kind), EventKind::LINK);
    assert_eq!((event.detail.get(), event.data[0].get()), (1, 25_000));
    assert!(port.rig.take_event().is_none(), "once");
}

#[test]
fn from_reset_to_the_first_frame() {
    let port = Port::ready();
    let begin = Instant::now();
    port.rig.write(regs::CTRL, regs::CTRL_RESET);
    let Port { mut rig, config, .. } = port;
    rig.enable();
    rig.create_eq(vrnic_abi::resource::EQ_ASYNC);
    let mut port = Port {
        rig,
        queues: Vec::new(),
        config,
    };
    port.create();
    port.configure();
    port.post_buffers(0, 4);
    assert!(port.hear(&a_frame()).is_some());
    println!("from reset to the first frame: {:?}", begin.elapsed());
}

#[test]
fn the_address_stays_while_there_are_queue_pairs() {
    let mut side = crate::rdma::side::Side::both().into_iter().next().unwrap();
    let cq = side.cq(4);
    let qp = side.qp(&cq);
    let Rig { nic, .. } = &side.rig;
    assert!(nic.statistics().eth_out_frames.get() == 0 && qp.qpn != 0);
    let config = vrnic_abi::eth::EthConfig {
        filter: 1.into(),
        mtu: 1500.into(),
        mac: [2, 0, 0, 0, 0, 0x55],
        flags: 0.into(),
    };
    let status = side.rig.status(vrnic_abi::cmd::Opcode::SET_ETH_CONFIG, &config);
    assert_eq!(status, Status::IN_USE);
}
