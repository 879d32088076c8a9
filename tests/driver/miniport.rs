//! The miniport's life: initialise, pause, restart, reset, halt, removal, OIDs, NDK state.

use crate::support::{PATIENCE, eventually, listen, machine, next, open, sys};
use ndk_sys::{
    NDIS_STATUS_BUFFER_TOO_SHORT, NDIS_STATUS_INVALID_LENGTH, NDIS_STATUS_NOT_SUPPORTED, NDIS_STATUS_SUCCESS,
    NdisShutdownPowerOff, NetEventNDKDisable, NetEventNDKEnable, OID_GEN_CURRENT_PACKET_FILTER,
    OID_GEN_STATISTICS, OID_GEN_VENDOR_DESCRIPTION, OID_NDK_CONNECTIONS, OID_NDK_LOCAL_ENDPOINTS,
    OID_NDK_SET_STATE, OID_NDK_STATISTICS, STATUS_SUCCESS,
};
use ntbench::machine::{Machine, MachineConfig, NIC_MAC, StartError, v4};
use ntbench::ndis::adapter::Keyword;
use ntbench::ndk::VERSION_1_2;
use ntbench::netio;
use ntbench::nt::event_log;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use vrnic_abi::cmd::{Opcode, Status};
use vrnic_device::Hold;

#[test]
fn the_adapter_says_what_it_is() {
    let machine = machine();
    let attributes = machine.adapter().miniport().attributes();
    let general = attributes.general.expect("general attributes are set");
    assert_eq!(general.current_address, NIC_MAC);
    assert_eq!(general.connect_state, ndk_sys::MediaConnectStateConnected);
    assert_eq!(general.link_speed, [100_000_000_000; 2]);
    let ndk = attributes.ndk.expect("NDK attributes are set");
    assert!(ndk.enabled);
    assert_eq!((ndk.info.Version.Major, ndk.info.Version.Minor), (2, 0));
    assert_eq!((ndk.info.MaxCallerData, ndk.info.MaxCalleeData), (56, 148));
    for oid in general.oids {
        let answer = machine.adapter().miniport().oid_query(oid, 4096);
        let known = [
            NDIS_STATUS_SUCCESS,
            NDIS_STATUS_NOT_SUPPORTED,
            NDIS_STATUS_BUFFER_TOO_SHORT,
            NDIS_STATUS_INVALID_LENGTH,
        ];
        assert!(
            known.contains(&answer.status),
            "OID {oid:#x}: {:#x}",
            answer.status
        );
    }
}

#[test]
fn pause_restart_reset_and_shutdown_leave_ndk_alive() {
    let machine = machine();
    let ndk = open(&machine);
    let incoming = listen(&ndk, v4(7400));
    let peer = machine.peer();
    for _ in 0..3 {
        machine.adapter().pause();
        machine.adapter().restart().expect("it restarts");
        machine.adapter().reset().expect("it resets");
    }
    peer.connect(v4(7400), b"").expect("there is a way");
    assert_eq!(next(&incoming).reject(b""), STATUS_SUCCESS);
    machine.adapter().shutdown(NdisShutdownPowerOff);
}

#[test]
fn a_send_comes_back() {
    let machine = machine();
    let frames: [&[u8]; 3] = [&[0xFF; 60], &[1; 1514], &[2; 14]];
    let statuses = machine
        .adapter()
        .miniport()
        .send(&frames, PATIENCE)
        .expect("each list comes back");
    assert_eq!(statuses.len(), 3);
    machine.adapter().pause();
    let statuses = machine
        .adapter()
        .miniport()
        .send(&frames, PATIENCE)
        .expect("each list comes back while paused");
    assert!(statuses.iter().all(|&status| status < 0), "{statuses:x?}");
    machine.adapter().restart().expect("it restarts");
}

#[test]
fn a_device_that_does_not_start_gives_everything_back() {
    type Break = (&'static str, fn(&vrnic_device::Faults));
    let breaks: [Break; 5] = [
        ("reset never ends", |faults| faults.stall_resets(true)),
        ("no command is fetched", |faults| faults.silence(true)),
        ("no command completes", |faults| faults.hold(Hold::All)),
        ("QUERY_DEVICE fails", |faults| {
            faults.answer(Opcode::QUERY_DEVICE, Status::INTERNAL_ERROR, 7, 1);
        }),
        ("CREATE_EQ fails", |faults| {
            faults.answer(Opcode::CREATE_EQ, Status::NO_RESOURCES, 7, 1);
        }),
    ];
    for (name, broken) in breaks {
        let mut config = MachineConfig::new(sys());
        config.adapters[0]
            .keywords
            .insert("VrnicCommandTimeout".into(), Keyword::Integer(100));
        config.adapters[0].before_start = Some(Arc::new(move |nic| broken(nic.faults())));
        let Err(StartError::Initialize(_, log)) = Machine::start(config) else {
            panic!("{name}: it must not start");
        };
        assert!(!log.is_empty(), "{name}: the event log says why");
    }
}

#[test]
fn without_its_cm_service_it_is_still_a_network_adapter() {
    let mut config = MachineConfig::new(sys());
    config.adapters[0].before_start = Some(Arc::new(|nic| {
        nic.faults()
            .answer(Opcode::CM_ENABLE, Status::INTERNAL_ERROR, 7, 1);
    }));
    let machine = Machine::start(config).expect("the miniport starts");
    assert!(machine.open_ndk(VERSION_1_2).is_err(), "NDK does not");
    assert!(!event_log::entries().is_empty(), "the event log says why");
}

/// Judges rule: a payload size that does not fit the link is in the event log, and the one that fits is used
#[test]
fn a_payload_size_that_does_not_fit_the_link_is_logged() {
    for (mtu, frame_size, logged) in [
        (1500, 2048, true),
        (1500, 1024, false),
        (1500, 4096, false),
        (9000, 2048, false),
        (1280, 2048, true),
    ] {
        let mut config = MachineConfig::new(sys());
        config.adapters[0].nic.mtu = mtu;
        let keywords = &mut config.adapters[0].keywords;
        keywords.insert("*NetworkDirectRoCEFrameSize".into(), Keyword::Integer(frame_size));
        let machine = Machine::start(config).expect("the driver starts");
        let about_mtu = || -> Vec<_> {
            let entries = event_log::entries().into_iter();
            let about = |entry: &event_log::Entry| entry.strings.iter().any(|text| text.contains("MTU"));
            entries.filter(about).collect()
        };
        assert_eq!(
            about_mtu().len(),
            usize::from(logged),
            "{frame_size} bytes, MTU {mtu}"
        );
        // Once, however often the link comes and goes.
        for up in [false, true] {
            machine.nic().set_link(up);
            assert!(machine.wait_for_link(up), "the driver reports the link");
        }
        assert_eq!(about_mtu().len(), usize::from(logged));
    }
}

/// Judges functions: OID_NDK_STATISTICS, OID_NDK_CONNECTIONS, OID_NDK_LOCAL_ENDPOINTS
/// Judges rule: statistics and lists say how much room they need
#[test]
fn ndk_statistics_and_lists_have_ndis_size_semantics() {
    let machine = machine();
    let ndk = open(&machine);
    let incoming = listen(&ndk, v4(7401));
    let peer = machine.peer();
    peer.connect(v4(7401), b"").expect("there is a way");
    assert_eq!(next(&incoming).reject(b""), STATUS_SUCCESS);
    let miniport = machine.adapter().miniport();

    let mut statistics = vec![0; 0xF8];
    statistics[..4].copy_from_slice(&[0x80, 1, 0xF8, 0]);
    let answer = miniport.direct_oid_query(OID_NDK_STATISTICS, statistics);
    assert_eq!((answer.status, answer.data.len()), (NDIS_STATUS_SUCCESS, 0xF8));
    let counter =
        |index: usize| u64::from_le_bytes(answer.data[8 + 8 * index..][..8].try_into().expect("8 bytes"));
    assert_eq!((counter(28), counter(29)), (1, 1), "RDMA frames in and out");
    assert!(counter(26) >= 322 && counter(27) >= 322, "RDMA octets in and out");
    assert_eq!(counter(2), 1, "one failed attempt");
    let short = miniport.direct_oid_query(OID_NDK_STATISTICS, vec![0x80, 1, 0xF8, 0]);
    assert_eq!((short.status, short.needed), (NDIS_STATUS_BUFFER_TOO_SHORT, 0xF8));

    let endpoints = miniport.oid_query(OID_NDK_LOCAL_ENDPOINTS, 4096);
    assert_eq!(endpoints.status, NDIS_STATUS_SUCCESS);
    assert_eq!(endpoints.data[8], 1, "one listener");
    assert_eq!(endpoints.data[0x10 + 0x1D], 1, "it is a listener");
    let short = miniport.oid_query(OID_NDK_LOCAL_ENDPOINTS, 8);
    assert_eq!(short.status, NDIS_STATUS_BUFFER_TOO_SHORT);
    let connections = miniport.oid_query(OID_NDK_CONNECTIONS, 4096);
    assert_eq!(
        (connections.status, connections.data[8]),
        (NDIS_STATUS_SUCCESS, 0)
    );

    let general = miniport.oid_query(OID_GEN_STATISTICS, 4096);
    assert_eq!(general.status, NDIS_STATUS_SUCCESS);
    assert_eq!(
        miniport.oid_query(OID_GEN_VENDOR_DESCRIPTION, 256).status,
        NDIS_STATUS_SUCCESS
    );
    assert_eq!(
        miniport
            .oid_set(OID_GEN_CURRENT_PACKET_FILTER, &5_u32.to_le_bytes())
            .status,
        NDIS_STATUS_SUCCESS
    );
    assert_eq!(
        miniport.oid_query(0x1234_5678, 64).status,
        NDIS_STATUS_NOT_SUPPORTED
    );
}

/// Judges functions: OID_NDK_SET_STATE
/// Judges rule: turning NDK off closes what is open and refuses to open, turning it on allows it again
#[test]
fn ndk_can_be_turned_off_and_on() {
    let machine = machine();
    let ndk = Arc::new(Mutex::new(Some(open(&machine))));
    let to_close = Arc::clone(&ndk);
    let miniport = machine.adapter().miniport();
    miniport
        .open_ndk_adapters()
        .on_disable(Arc::new(move || drop(to_close.lock().expect("no panic").take())));
    assert_ne!(
        miniport.oid_set(OID_NDK_SET_STATE, &[1, 0]).status,
        NDIS_STATUS_SUCCESS,
        "one BOOLEAN"
    );

    assert_eq!(
        miniport.oid_set(OID_NDK_SET_STATE, &[0]).status,
        NDIS_STATUS_SUCCESS
    );
    // The event waits for the consumer, in a work item of the driver.
    let events = |expected: &[i32]| {
        eventually("the events are raised", || {
            miniport.open_ndk_adapters().events() == expected
        });
    };
    events(&[NetEventNDKDisable]);
    eventually("the consumer closes", || ndk.lock().expect("no panic").is_none());
    assert!(machine.open_ndk(VERSION_1_2).is_err());

    assert_eq!(
        miniport.oid_set(OID_NDK_SET_STATE, &[1]).status,
        NDIS_STATUS_SUCCESS
    );
    events(&[NetEventNDKDisable, NetEventNDKEnable]);
    drop(open(&machine));
}

#[test]
fn a_registry_that_says_no_keeps_ndk_off() {
    let mut config = MachineConfig::new(sys());
    config.adapters[0]
        .keywords
        .insert("*NetworkDirect".into(), Keyword::Text("0".into()));
    let machine = Machine::start(config).expect("the miniport starts");
    let miniport = machine.adapter().miniport();
    assert!(!miniport.attributes().ndk.expect("set also when off").enabled);
    assert!(machine.open_ndk(VERSION_1_2).is_err());
    assert_eq!(
        miniport.oid_set(OID_NDK_SET_STATE, &[1]).status,
        NDIS_STATUS_SUCCESS,
        "it is answered"
    );
    machine.kernel().settle();
    assert!(machine.open_ndk(VERSION_1_2).is_err(), "and changes nothing");
}

#[test]
fn addresses_come_and_go() {
    let machine = machine();
    let ndk = open(&machine);
    let luid = machine.adapter().miniport().luid();
    let extra = "10.77.0.10:7402".parse().expect("an address");
    let listener = ndk.create_listener(drop).expect("a listener is made");
    assert!(listener.listen(extra).is_err(), "not ours yet");
    assert!(netio::add_address(luid, extra.ip(), 24));
    machine.kernel().settle();
    assert_eq!(listener.listen(extra), Ok(()));
    let peer = machine.peer();
    peer.add_neighbour(extra.ip(), roce_wire::eth::MacAddr(NIC_MAC));
    let attempt = peer.connect(extra, b"").expect("there is a way");
    assert!(
        peer.wait_answer(&attempt, PATIENCE).is_ok(),
        "the dropped connector rejects"
    );
    assert!(netio::remove_address(luid, extra.ip()));
    machine.kernel().settle();
    let attempt = peer.connect(extra, b"").expect("there is a way");
    assert!(
        peer.wait_answer(&attempt, Duration::from_millis(300)).is_err(),
        "nobody is there any more"
    );
}

/// Judges functions: CloseNDKAdapterHandler
/// Judges rule: after a surprise removal everything can be closed
#[test]
fn surprise_removal_with_objects_open_ends_in_good_order() {
    let mut machine = machine();
    let ndk = open(&machine);
    let incoming = listen(&ndk, v4(7403));
    let peer = machine.peer();
    peer.connect(v4(7403), b"").expect("there is a way");
    let connector = next(&incoming);
    let objects = Mutex::new(Some((connector, incoming, ndk)));
    let close = move || drop(objects.lock().expect("no panic").take());
    machine
        .adapter()
        .miniport()
        .open_ndk_adapters()
        .on_disable(Arc::new(close));
    machine.surprise_remove();
}
