//! Ethernet and RDMA at the same time: neither waits long for the other.

use vrnic_abi::cmd::{Opcode, Status};
use vrnic_abi::cqe::WorkStatus;
use vrnic_abi::doorbell;
use vrnic_abi::eth::{EthConfig, FILTER_DIRECTED, TX_END, TxDescriptor};
use vrnic_abi::wqe::{RemoteSegment, WorkOpcode};
use zerocopy::{FromZeros, IntoBytes};

use super::frames::{Maker, V4, payload};
use super::port::{LOG2, PAYLOAD, Port, asks};
use crate::rdma::pair::Pair;
use crate::rdma::side::{Request, Side};
use crate::rig::OUR_MAC;

/// Frames of an Ethernet queue in a turn, as the manual says.
const TURN: usize = 32;

/// An Ethernet queue whose driver has always posted as many frames as fit.
struct Flood {
    sent: u32,
}

impl Flood {
    fn new(side: &mut Side) -> Self {
        let attributes = Port::attributes(0);
        assert_eq!(side.rig.status(Opcode::CREATE_ETH_QUEUE, &attributes), Status::OK);
        let config = EthConfig {
            filter: FILTER_DIRECTED.into(),
            mtu: 1500.into(),
            mac: OUR_MAC,
            flags: 0.into(),
        };
        assert_eq!(side.rig.status(Opcode::SET_ETH_CONFIG, &config), Status::OK);
        let frame = Maker::ours(V4).udp(&payload(1400));
        side.rig.host.poke(PAYLOAD, &frame);
        let descriptor = TxDescriptor {
            addr: PAYLOAD.into(),
            length: u16::try_from(frame.len()).unwrap().into(),
            flags: TX_END.into(),
            ..TxDescriptor::new_zeroed()
        };
        for slot in 0..1 << LOG2 {
            side.rig
                .host
                .poke(attributes.tx.get() + slot * 16, descriptor.as_bytes());
        }
        Self { sent: 0 }
    }

    fn fill(&self, side: &Side) {
        side.ring(doorbell::ETH + doorbell::ETH_CONSUMER, self.sent);
        side.ring(doorbell::ETH + doorbell::ETH_TX_PRODUCER, self.sent + (1 << LOG2));
    }
}

#[test]
fn queues_take_turns() {
    let mut port = Port::with_queues(5);
    let frame = Maker::ours(V4).udp(&payload(100));
    for queue in 0..5 {
        for _ in 0..1 << LOG2 {
            port.put_frame(queue, &frame, 1, &asks(0, 0, 0));
        }
        port.ring_tx(queue);
    }
    let mut turns = 0;
    loop {
        port.rig.nic.poll();
        match port.rig.host.take_frames().len() {
            0 => break,
            sent => assert!(sent <= 2 * TURN, "all queues together: {sent}"),
        }
        turns += 1;
        // After that many turns, each of the queues has been the first one.
        let waiting = (0..5).filter(|queue| port.peek(*queue).is_none()).count();
        assert!(turns < 16 || waiting == 0);
    }
    assert_eq!(port.rig.nic.statistics().eth_out_frames.get(), 5 << LOG2);
}

/// `RoCEv2` goes to UDP port 4791.
fn is_rdma(frame: &[u8]) -> bool {
    frame[36..38] == 4791u16.to_be_bytes()
}

/// How many turns it takes to write 16 KiB, and how many Ethernet frames go out in them.
fn write(pair: &mut Pair, flood: Option<&mut Flood>) -> (usize, usize) {
    let remote = RemoteSegment {
        addr: pair.memory[1].into(),
        key: pair.keys[1].into(),
        reserved: 0.into(),
    };
    let local = (pair.memory[0], 0x4000, pair.keys[0]);
    let request = Request::new(WorkOpcode::WRITE, &[remote.as_bytes()], &[local]);
    pair.sides[0].send(&mut pair.qps[0], &request);
    let mut ethernet = 0;
    let mut flood = flood;
    for turn in 1..1000 {
        if let Some(flood) = &flood {
            flood.fill(&pair.sides[0]);
        }
        pair.sides[0].rig.nic.poll();
        let (rdma, other): (Vec<_>, Vec<_>) = pair.sides[0]
            .rig
            .host
            .take_frames()
            .into_iter()
            .partition(|frame| is_rdma(frame));
        ethernet += other.len();
        if let Some(flood) = &mut flood {
            flood.sent += u32::try_from(other.len()).unwrap();
        }
        for frame in &rdma {
            pair.sides[1].rig.nic.receive(frame);
        }
        pair.sides[1].rig.nic.poll();
        for frame in pair.sides[1].rig.host.take_frames() {
            pair.sides[0].rig.nic.receive(&frame);
        }
        if let Some(cqe) = pair.sides[0].poll_cq(&mut pair.cqs[0]) {
            assert_eq!(WorkStatus(cqe.status), WorkStatus::OK);
            pair.sides[0].consumed(&pair.cqs[0]);
            return (turn, ethernet);
        }
    }
    panic!("the write does not complete");
}

#[test]
fn neither_waits_for_the_other() {
    let mut pair = Pair::new();
    let (alone, none) = write(&mut pair, None);
    assert_eq!(none, 0);
    let mut flood = Flood::new(&mut pair.sides[0]);
    for _ in 0..20 {
        let (turns, ethernet) = write(&mut pair, Some(&mut flood));
        assert_eq!(turns, alone, "RDMA takes as many turns as without Ethernet");
        assert_eq!(
            ethernet,
            turns * TURN,
            "and Ethernet sends all that a turn allows"
        );
    }
    let statistics = pair.sides[0].rig.nic.statistics();
    assert_eq!(
        statistics.out_unicast_frames.get(),
        statistics.eth_out_frames.get() + statistics.rdma_out_frames.get()
    );
    assert_eq!(
        statistics.out_unicast_octets.get(),
        statistics.eth_out_octets.get() + statistics.rdma_out_octets.get()
    );
}
