//! Keywords that change what the adapter does.

use super::{Station, config, is_numbered, list, miniport, numbered, send_all, start, with_keywords};
use crate::support::PATIENCE;
use ndk_sys::{Ieee8021QNetBufferListInfo, NDIS_STATUS_SUCCESS, OID_GEN_INTERRUPT_MODERATION};
use ntbench::machine::NIC_MAC;
use ntbench::ndis::adapter::Keyword;

#[test]
fn network_address_is_the_station_on_the_wire() {
    let own = [2, 0x11, 0x22, 0x33, 0x44, 0x55];
    let mut config = config();
    config.adapters[0]
        .keywords
        .insert("NetworkAddress".into(), Keyword::Text("021122334455".into()));
    let machine = start(config);
    let station = Station::new(&machine, 1);
    let general = miniport(&machine).attributes().general.expect("set");
    assert_eq!(
        (general.current_address, general.permanent_address),
        (own, NIC_MAC)
    );
    station.send(&numbered(NIC_MAC, station.mac, 1, 100));
    station.send(&numbered(own, station.mac, 2, 100));
    let got = miniport(&machine)
        .receives()
        .wait_for(1, PATIENCE, |received| is_numbered(&received.data))
        .expect("it is indicated");
    assert_eq!(
        got[0].data,
        numbered(own, station.mac, 2, 100),
        "and not what is for the permanent one"
    );
}

#[test]
fn priority_and_vlan_tags_can_be_off() {
    let machine = start(with_keywords(&[("*PriorityVLANTag", 0)]));
    let station = Station::new(&machine, 1);
    let plain = numbered(station.mac, NIC_MAC, 1, 100);
    let mut tagged = list(plain.clone(), 0);
    // Priority 5 in VLAN 7.
    tagged.info.push((Ieee8021QNetBufferListInfo, 5 | 7 << 4));
    assert!(send_all(&machine, &[tagged]));
    assert_eq!(station.wait_for(1, is_numbered), [plain], "without a tag");
}

#[test]
fn vlan_id_filters_and_tags() {
    let machine = start(with_keywords(&[("VlanID", 77)]));
    let station = Station::new(&machine, 1);
    let tagged = |frame: &[u8], id: u8| {
        let mut frame = frame.to_vec();
        frame.splice(12..12, [0x81, 0, 0, id]);
        frame
    };
    let plain = numbered(station.mac, NIC_MAC, 1, 100);
    assert!(send_all(&machine, &[list(plain.clone(), 0)]));
    let on_wire = station.wait_for(1, |frame| frame[12..14] == [0x81, 0]);
    assert_eq!(on_wire, [tagged(&plain, 77)]);
    station.send(&tagged(&numbered(NIC_MAC, station.mac, 2, 100), 78));
    station.send(&tagged(&numbered(NIC_MAC, station.mac, 3, 100), 77));
    let got = miniport(&machine)
        .receives()
        .wait_for(1, PATIENCE, |received| is_numbered(&received.data))
        .expect("it is indicated");
    assert_eq!(
        got[0].data,
        numbered(NIC_MAC, station.mac, 3, 100),
        "only its own VLAN"
    );
}

#[test]
fn interrupt_moderation_can_be_off() {
    let state = |value: u32| {
        let machine = start(with_keywords(&[("*InterruptModeration", value)]));
        let answer = miniport(&machine).oid_query(OID_GEN_INTERRUPT_MODERATION, 12);
        assert_eq!(answer.status, NDIS_STATUS_SUCCESS);
        u32::from_le_bytes([answer.data[8], answer.data[9], answer.data[10], answer.data[11]])
    };
    // NdisInterruptModerationEnabled, NdisInterruptModerationDisabled
    assert_eq!((state(1), state(0)), (2, 3));
}

#[test]
fn values_that_make_no_sense_are_replaced() {
    let machine = start(with_keywords(&[
        ("*JumboPacket", 7),
        ("*NumRssQueues", 0),
        ("*ReceiveBuffers", 3),
        ("*TransmitBuffers", 1_000_000),
        ("*PriorityVLANTag", 99),
    ]));
    let station = Station::new(&machine, 1);
    super::assert_passes(&machine, &station);
    let general = miniport(&machine).attributes().general.expect("set");
    assert_eq!(general.mtu, 1500);
}
