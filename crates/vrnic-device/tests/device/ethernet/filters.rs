//! Which frames are received.

use vrnic_abi::eth::{
    FILTER_ALL, FILTER_ALL_MULTICAST, FILTER_BROADCAST, FILTER_DIRECTED, FILTER_MULTICAST, FILTER_PROMISCUOUS,
};

use super::frames::{Maker, V4, payload};
use super::port::Port;
use crate::rig::{OUR_IP, OUR_MAC, from_peer};

const GROUP: [u8; 6] = [0x01, 0, 0x5E, 0, 0, 0xFB];
const OTHER_GROUP: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
const BROADCAST: [u8; 6] = [0xFF; 6];
const OTHER_STATION: [u8; 6] = [2, 0, 0, 0, 0, 0x77];

/// The destinations of which frames are received.
fn receives(port: &mut Port) -> Vec<[u8; 6]> {
    [OUR_MAC, OTHER_STATION, GROUP, OTHER_GROUP, BROADCAST]
        .into_iter()
        .filter(|destination| {
            let mut frame = Maker::peers(V4).udp(&payload(50));
            frame[..6].copy_from_slice(destination);
            if port.rig.nic.statistics().eth_in_frames.get() == u64::from(port.queues[0].rx_posted) {
                port.post_buffers(0, 1);
            }
            let received = port.hear(&frame);
            received.is_some_and(|(_, bytes)| bytes == frame)
        })
        .collect()
}

#[test]
fn filters_let_pass_what_they_say() {
    let mut port = Port::with_queues(1);
    port.set_multicast(&[OTHER_GROUP, GROUP, [1, 2, 3, 4, 5, 6]])
        .unwrap();
    port.set_multicast(&[[1, 2, 3, 4, 5, 6], GROUP]).unwrap();
    let everything = vec![OUR_MAC, OTHER_STATION, GROUP, OTHER_GROUP, BROADCAST];
    for (filter, expected) in [
        (0, vec![]),
        (FILTER_DIRECTED, vec![OUR_MAC]),
        (FILTER_MULTICAST, vec![GROUP]),
        (FILTER_ALL_MULTICAST, vec![GROUP, OTHER_GROUP]),
        (FILTER_MULTICAST | FILTER_ALL_MULTICAST, vec![GROUP, OTHER_GROUP]),
        (FILTER_BROADCAST, vec![BROADCAST]),
        (FILTER_DIRECTED | FILTER_BROADCAST, vec![OUR_MAC, BROADCAST]),
        (FILTER_PROMISCUOUS, everything.clone()),
        (FILTER_ALL, everything),
    ] {
        port.set_filter(filter);
        assert_eq!(receives(&mut port), expected, "{filter:#x}");
    }
    port.set_multicast(&[]).unwrap();
    port.set_filter(FILTER_MULTICAST);
    assert_eq!(receives(&mut port), Vec::<[u8; 6]>::new());
}

#[test]
fn every_address_of_a_long_list_is_found() {
    let mut port = Port::with_queues(1);
    let list: Vec<_> = (0..128u8)
        .rev()
        .map(|last| [0x33, 0x33, 0xFF, 0, 7, last])
        .collect();
    port.set_multicast(&list).unwrap();
    port.set_filter(FILTER_MULTICAST);
    port.post_buffers(0, 16);
    for last in 0..=255 {
        let mut frame = Maker::peers(V4).udp(&payload(50));
        frame[..6].copy_from_slice(&[0x33, 0x33, 0xFF, 0, 7, last]);
        let is_received = port.hear(&frame).is_some();
        assert_eq!(is_received, last < 128, "{last}");
        port.post_buffers(0, u32::from(is_received));
    }
}

#[test]
fn the_address_can_be_another() {
    let mut port = Port::with_queues(1);
    port.config.mac = OTHER_STATION;
    port.set_filter(FILTER_DIRECTED);
    assert_eq!(receives(&mut port), [OTHER_STATION]);
    port.rig.write(vrnic_abi::regs::CTRL, vrnic_abi::regs::CTRL_RESET);
    let lo = port.rig.read(vrnic_abi::regs::MAC_LO).to_le_bytes();
    assert_eq!(lo, OUR_MAC[..4], "the permanent address is what it was");
}

#[test]
fn roce_to_our_addresses_never_reaches_the_host() {
    let mut port = Port::ready();
    port.set_filter(FILTER_ALL);
    let frame = from_peer(roce_wire::cm::Req::default());
    assert!(port.hear(&frame).is_some(), "nobody has that address yet");
    port.rig.set_gid(0, OUR_IP, 0);
    assert!(port.hear(&frame).is_none());
    let statistics = port.rig.nic.statistics();
    assert_eq!(
        (statistics.rdma_in_frames.get(), statistics.eth_in_frames.get()),
        (1, 1)
    );
    assert_eq!(statistics.in_unicast_frames.get(), 2, "of both");
    assert_eq!(statistics.in_unicast_octets.get(), 2 * frame.len() as u64);
    // Broken ones do not either.
    let mut broken = frame.clone();
    *broken.last_mut().unwrap() ^= 1;
    assert!(port.hear(&broken).is_none());
    assert_eq!(port.rig.nic.statistics().drop_icrc.get(), 1);
    // Another station's, another port, another VLAN: not ours.
    let mut other_station = frame.clone();
    other_station[..6].copy_from_slice(&OTHER_STATION);
    assert!(port.hear(&other_station).is_some());
    let mut other_port = frame.clone();
    other_port[37] ^= 1;
    assert!(port.hear(&other_port).is_some());
    assert!(port.hear(&super::frames::with_tag(&frame, 3)).is_some());
    assert!(
        port.hear(&super::frames::with_tag(&frame, 0x4000)).is_none(),
        "only a priority"
    );
}

#[test]
fn mads_are_sent_from_the_address_in_force() {
    let mut port = Port::with_queues(1);
    port.rig.set_gid(0, OUR_IP, 0);
    port.rig.cm_enable(crate::rig::CM_LOG2);
    port.config.mac = OTHER_STATION;
    port.set_filter(FILTER_DIRECTED);
    port.rig.send(roce_wire::cm::Rej::default());
    let frames = port.rig.host.take_frames();
    assert_eq!(frames[0][6..12], OTHER_STATION);
    let mut answer = from_peer(roce_wire::cm::Req::default());
    port.rig.nic.receive(&answer);
    assert_eq!(port.rig.nic.statistics().cm_in.get(), 0, "that is another's");
    answer[..6].copy_from_slice(&OTHER_STATION);
    port.rig.nic.receive(&answer);
    assert_eq!(port.rig.nic.statistics().cm_in.get(), 1);
}
