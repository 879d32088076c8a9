//! Listeners, endpoints, connection data and adapters of the real `vrnic.sys`.

use crate::support::{assert_rejected, listen, machine, next, open, pattern, rejection};
use ndk_sys::{
    NDIS_STATUS_BAD_VERSION, NDK_VERSION, STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_ADDRESS,
    STATUS_INVALID_DEVICE_STATE, STATUS_INVALID_PARAMETER, STATUS_NOT_SUPPORTED, STATUS_SHARING_VIOLATION,
    STATUS_SUCCESS,
};
use ntbench::machine::{NIC_IPV4, v4, v6};
use ntbench::ndk::{VERSION_1_2, VERSION_2_0};
use roce_wire::cm::RejectReason;
use std::net::SocketAddr;

/// Judges functions: NdkCreateListener, NdkListen
/// Judges rule: a request reaches the listener of its port only
#[test]
fn two_listeners_get_their_own_requests() {
    let machine = machine();
    let ndk = open(&machine);
    let first = listen(&ndk, v4(7100));
    let second = listen(&ndk, v4(7101));
    let peer = machine.peer();
    let to_second = peer.connect(v4(7101), b"").expect("there is a way");
    let to_first = peer.connect(v4(7100), b"").expect("there is a way");
    assert_eq!(next(&first).reject(b"first"), STATUS_SUCCESS);
    assert_eq!(next(&second).reject(b"second"), STATUS_SUCCESS);
    assert_rejected(&peer, &to_first, b"first");
    assert_rejected(&peer, &to_second, b"second");
}

/// Judges functions: NdkControlConnectEvents
/// Judges rule: while connect events are paused, peers are refused as if nobody listened (NDKPI: NdkControlConnectEvents)
#[test]
fn a_request_for_nobody_is_refused() {
    let machine = machine();
    let ndk = open(&machine);
    let incoming = listen(&ndk, v4(7102));
    let peer = machine.peer();
    let refused = |target: SocketAddr| {
        let attempt = peer.connect(target, b"").expect("there is a way");
        assert_eq!(
            rejection(&peer, &attempt).reason,
            RejectReason::INVALID_SERVICE_ID,
            "{target}"
        );
    };
    refused(v4(7103));
    refused(v6(7102));
    incoming.listener().control_connect_events(true);
    refused(v4(7102));
    incoming.listener().control_connect_events(false);
    let attempt = peer.connect(v4(7102), b"").expect("there is a way");
    assert_eq!(next(&incoming).reject(b"back"), STATUS_SUCCESS);
    assert_rejected(&peer, &attempt, b"back");
}

/// Judges functions: NdkCloseListener
/// Judges rule: a listener that is closed refuses at once, and its close waits for its connectors
#[test]
fn a_closed_listener_refuses_at_once_and_holds_its_port_until_its_connectors_are_closed() {
    let machine = machine();
    let ndk = open(&machine);
    let peer = machine.peer();
    let (sender, queue) = std::sync::mpsc::channel();
    let listener = ndk
        .create_listener(move |connector| drop(sender.send(connector)))
        .expect("a listener is made");
    listener.listen(v4(7104)).expect("the address is free");
    let held = peer.connect(v4(7104), b"").expect("there is a way");
    let connector = queue
        .recv_timeout(crate::support::PATIENCE)
        .expect("a request arrives");

    let closing = listener.start_close();
    assert!(!closing.is_complete(), "it waits for its connector");
    let late = peer.connect(v4(7104), b"").expect("there is a way");
    assert_eq!(rejection(&peer, &late).reason, RejectReason::INVALID_SERVICE_ID);
    let other = ndk.create_listener(drop).expect("a listener is made");
    assert_eq!(
        other.listen(v4(7104)),
        Err(STATUS_SHARING_VIOLATION),
        "the endpoint is still in use"
    );

    assert_eq!(connector.reject(b"still works"), STATUS_SUCCESS);
    assert_rejected(&peer, &held, b"still works");
    connector.close();
    closing.wait();
    assert_eq!(other.listen(v4(7104)), Ok(()), "and free after that");
}

/// Judges rule: NdkListen answers INVALID_ADDRESS for addresses that are not the adapter's
#[test]
fn listen_checks_its_address() {
    let machine = machine();
    let ndk = open(&machine);
    let listener = ndk.create_listener(drop).expect("a listener is made");
    for address in [
        "10.77.0.200:7105",
        "0.0.0.0:7105",
        "[::]:7105",
        "[fd77::200]:7105",
        "127.0.0.1:7105",
    ] {
        let address: SocketAddr = address.parse().expect("an address");
        assert_eq!(listener.listen(address), Err(STATUS_INVALID_ADDRESS), "{address}");
    }
    for malformed in [&[2, 0][..], &[2, 0, 0, 80, 10, 77, 0, 9], &[99; 28]] {
        assert_eq!(
            listener.listen_raw(malformed),
            STATUS_INVALID_PARAMETER,
            "{malformed:?}"
        );
    }
    assert!(listener.local_address().is_err(), "it does not listen yet");
    assert_eq!(listener.listen(v4(0)), Ok(()), "after all that it still can");
    let chosen = listener.local_address().expect("it listens");
    assert_eq!(chosen.ip(), NIC_IPV4);
    assert!(
        (49152..=65535).contains(&chosen.port()),
        "{chosen} has an ephemeral port"
    );
    assert_eq!(
        listener.listen(v4(7106)),
        Err(STATUS_INVALID_DEVICE_STATE),
        "once is enough"
    );
    let second = ndk.create_listener(drop).expect("a listener is made");
    assert_eq!(second.listen(chosen), Err(STATUS_SHARING_VIOLATION));
    assert_eq!(
        second.listen(v6(chosen.port())),
        Ok(()),
        "another address has its own ports"
    );
}

/// Judges functions: NdkGetLocalAddress, NdkGetPeerAddress
/// Judges rule: an address that does not fit gives BUFFER_TOO_SMALL and the size (NDKPI: NdkGetLocalAddress)
#[test]
fn addresses_need_room() {
    let machine = machine();
    let ndk = open(&machine);
    let (four, six) = (listen(&ndk, v4(7107)), listen(&ndk, v6(7107)));
    let peer = machine.peer();
    for (incoming, target, size) in [(&four, v4(7107), 16), (&six, v6(7107), 28)] {
        assert_eq!(incoming.listener().local_address(), Ok(target));
        let attempt = peer.connect(target, b"").expect("there is a way");
        let connector = next(incoming);
        assert_eq!(connector.local_address(), Ok(target));
        let from = connector.peer_address().expect("it has a peer");
        assert_eq!(from.port(), 50_000, "the port of the RDMA IP CM header");
        for room in [None, Some(0), Some(2), Some(size - 1)] {
            let (status, _, needed) = connector.get_peer_address(room);
            assert_eq!(
                (status, needed as usize),
                (STATUS_BUFFER_TOO_SMALL, size),
                "{room:?}"
            );
            let (status, _, needed) = incoming.listener().get_local_address(room);
            assert_eq!(
                (status, needed as usize),
                (STATUS_BUFFER_TOO_SMALL, size),
                "{room:?}"
            );
        }
        let (status, bytes, stored) = connector.get_peer_address(Some(size + 20));
        assert_eq!((status, stored as usize), (STATUS_SUCCESS, size));
        assert!(
            bytes[size..].iter().all(|&byte| byte == 0),
            "nothing beyond the address"
        );
        drop(connector);
        assert_rejected(&peer, &attempt, b"");
    }
}

/// Judges functions: NdkGetConnectionData
/// Judges rule: connection data has a required size, which is stored whatever the buffer is (NDKPI: NdkGetConnectionData)
#[test]
fn connection_data_has_the_required_size_semantics() {
    let machine = machine();
    let ndk = open(&machine);
    let incoming = listen(&ndk, v4(7108));
    let peer = machine.peer();
    let sent = pattern(20);
    let _attempt = peer.connect(v4(7108), &sent).expect("there is a way");
    let connector = next(&incoming);
    let mut expected = sent.clone();
    expected.resize(56, 0);

    let sized = connector.get_connection_data(None, 0);
    assert_eq!((sized.status, sized.length), (STATUS_SUCCESS, 56));
    assert_eq!(
        connector.get_connection_data(None, 56).status,
        STATUS_INVALID_PARAMETER
    );
    for (room, status) in [
        (0, STATUS_BUFFER_TOO_SMALL),
        (55, STATUS_BUFFER_TOO_SMALL),
        (56, STATUS_SUCCESS),
        (256, STATUS_SUCCESS),
    ] {
        let length = u32::try_from(room).expect("small");
        let answer = connector.get_connection_data(Some(room), length);
        assert_eq!((answer.status, answer.length), (status, 56), "{room}");
        let copied = room.min(56);
        assert_eq!(answer.buffer[..copied], expected[..copied]);
        assert!(
            answer.buffer[copied..].iter().all(|&byte| byte == 0xEE),
            "nothing beyond the data"
        );
    }
    assert_eq!(connector.reject(b""), STATUS_SUCCESS);
    assert_eq!(
        connector.connection_data().expect("still there").private_data,
        expected
    );
}

/// Judges functions: OpenNDKAdapterHandler, NdkQueryAdapterInfo
/// Judges rule: an adapter of the major version that was asked for has its highest minor version, or there is none
#[test]
fn versions_are_negotiated_by_major() {
    let machine = machine();
    for (asked, reported) in [
        ((1, 0), (1, 2)),
        ((1, 1), (1, 2)),
        ((1, 2), (1, 2)),
        ((2, 0), (2, 0)),
    ] {
        let ndk = machine
            .open_ndk(NDK_VERSION {
                Major: asked.0,
                Minor: asked.1,
            })
            .expect("supported");
        assert_eq!((ndk.version().Major, ndk.version().Minor), reported, "{asked:?}");
        let info = ndk.info().expect("it tells");
        assert_eq!((info.Version.Major, info.Version.Minor), reported);
        assert_eq!((info.MaxCallerData, info.MaxCalleeData), (56, 148));
        let (status, _, size) = ndk.query_info(Some(100));
        assert_eq!((status, size), (STATUS_BUFFER_TOO_SMALL, 104));
        let (status, _, size) = ndk.query_info(None);
        assert_eq!((status, size), (STATUS_BUFFER_TOO_SMALL, 104));
    }
    for (major, minor) in [(0, 0), (1, 3), (2, 1), (3, 0)] {
        let refused = machine.open_ndk(NDK_VERSION {
            Major: major,
            Minor: minor,
        });
        assert_eq!(refused.err(), Some(NDIS_STATUS_BAD_VERSION), "{major}.{minor}");
    }
}

/// Judges functions: OpenNDKAdapterHandler, CloseNDKAdapterHandler
/// Judges rule: several adapters may be open at the same time, and share the port space
#[test]
fn several_consumers_share_the_port_space() {
    let machine = machine();
    let first = machine.open_ndk(VERSION_1_2).expect("opens");
    let second = machine.open_ndk(VERSION_2_0).expect("opens again");
    let held = listen(&first, v4(7109));
    let listener = second.create_listener(drop).expect("a listener is made");
    assert_eq!(listener.listen(v4(7109)), Err(STATUS_SHARING_VIOLATION));
    drop(held);
    assert_eq!(listener.listen(v4(7109)), Ok(()));
}

/// Judges functions: NdkQueryExtension
/// Judges rule: no extension interface exists: NOT_SUPPORTED
#[test]
fn no_extension_exists() {
    let machine = machine();
    let ndk = open(&machine);
    let incoming = listen(&ndk, v4(7110));
    let connector = ndk.create_connector().expect("a connector is made");
    assert_eq!(ndk.query_extension(), STATUS_NOT_SUPPORTED);
    assert_eq!(incoming.listener().query_extension(), STATUS_NOT_SUPPORTED);
    assert_eq!(connector.query_extension(), STATUS_NOT_SUPPORTED);
}
