//! A device that has failed is started again by a reset of the adapter.

use crate::support::{PATIENCE, eventually, listen, next, sys};
use ndk_sys::{
    NDIS_PACKET_TYPE_DIRECTED, NDIS_STATUS_SUCCESS, OID_GEN_CURRENT_PACKET_FILTER, STATUS_SUCCESS,
};
use ntbench::machine::{AdapterSetup, Machine, MachineConfig, NIC_MAC, v4};
use ntbench::ndis::packet::SendList;
use ntbench::ndk::VERSION_1_2;
use vrnic_abi::regs::FatalSyndrome;

/// An Ethernet type that nobody else uses (IEEE 802, local experiments).
const ETHERTYPE: [u8; 2] = [0x88, 0xB5];

/// A frame from adapter `from` to adapter `to`, with a mark.
fn frame(from: u8, to: u8, mark: u8) -> Vec<u8> {
    let station = |number| {
        let mut mac = NIC_MAC;
        mac[5] += number;
        mac
    };
    let mut frame = [&station(to)[..], &station(from), &ETHERTYPE].concat();
    frame.resize(900, mark);
    frame
}

/// One frame gets through.
fn exchange(machine: &Machine, from: u8, to: u8, mark: u8) {
    let sent = frame(from, to, mark);
    let sender = machine.adapters()[usize::from(from)].miniport();
    assert_eq!(
        sender.send(&[&sent], PATIENCE).expect("the list comes back"),
        [NDIS_STATUS_SUCCESS]
    );
    let received = machine.adapters()[usize::from(to)]
        .miniport()
        .receives()
        .wait_for(1, PATIENCE, |one| one.data == sent);
    assert!(received.is_some(), "frame {mark} arrives");
}

/// Judges rule: a reset brings back an adapter whose device has failed, with its filter and with NDK
#[test]
fn a_reset_revives_a_device_that_has_failed() {
    let adapters = vec![AdapterSetup::numbered(0), AdapterSetup::numbered(1)];
    let machine = Machine::start(MachineConfig::with_adapters(sys(), adapters)).expect("the driver starts");
    for adapter in machine.adapters() {
        let filter = NDIS_PACKET_TYPE_DIRECTED.to_le_bytes();
        let answer = adapter.miniport().oid_set(OID_GEN_CURRENT_PACKET_FILTER, &filter);
        assert_eq!(answer.status, NDIS_STATUS_SUCCESS);
    }
    let miniport = machine.adapters()[0].miniport();
    for round in 0..3 {
        exchange(&machine, 0, 1, 10 * round);
        machine.nics()[0].faults().fatal(FatalSyndrome::INTERNAL);
        let lists: Vec<SendList> = (0..50)
            .map(|_| SendList {
                frames: vec![frame(0, 1, 99)],
                ..SendList::default()
            })
            .collect();
        let numbers = miniport.send_lists(&lists);
        let ended = miniport.wait_sent(&numbers, PATIENCE);
        assert!(ended.is_some(), "the lists come back from a dead device");
        machine.adapters()[0].reset().expect("it resets");
        exchange(&machine, 0, 1, 10 * round + 1);
        exchange(&machine, 1, 0, 10 * round + 2);
        eventually("NDK is back", || machine.open_ndk(VERSION_1_2).is_ok());
    }
    let ndk = machine
        .open_ndk(VERSION_1_2)
        .expect("the provider opens an adapter");
    let incoming = listen(&ndk, v4(7430));
    let peer = machine.peer();
    peer.connect(v4(7430), b"").expect("there is a way");
    assert_eq!(next(&incoming).reject(b""), STATUS_SUCCESS);
}
