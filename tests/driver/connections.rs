//! Connections between two adapters: how they begin, fail, and end.

use crate::support::{PATIENCE, QUIET, eventually, pattern, sys};
use ndk_sys::{
    NTSTATUS, OID_NDK_CONNECTIONS, OID_NDK_LOCAL_ENDPOINTS, OID_NDK_STATISTICS, STATUS_ACCESS_VIOLATION,
    STATUS_ADDRESS_ALREADY_EXISTS, STATUS_CANCELLED, STATUS_CONNECTION_ACTIVE, STATUS_CONNECTION_INVALID,
    STATUS_CONNECTION_REFUSED, STATUS_DEVICE_REMOVED, STATUS_HOST_UNREACHABLE, STATUS_INSUFFICIENT_RESOURCES,
    STATUS_INVALID_ADDRESS, STATUS_INVALID_BUFFER_SIZE, STATUS_INVALID_DEVICE_STATE,
    STATUS_NETWORK_UNREACHABLE, STATUS_PENDING, STATUS_SHARING_VIOLATION, STATUS_SUCCESS,
};
use ntbench::machine::{AdapterSetup, Machine, MachineConfig, NIC_IPV4, NIC_IPV6};
use ntbench::ndk::pair::connect;
use ntbench::ndk::{self, Connector, End, Incoming, Pair, PairOptions, VERSION_2_0};
use ntbench::ndk::{ConnectOptions, DisconnectEvent};
use ntbench::verifier::faults;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Two adapters on one wire, opened once each.
struct Two {
    // In the order in which they go down.
    client: ndk::Adapter,
    server: ndk::Adapter,
    machine: Machine,
}

fn two() -> Two {
    two_with(vec![AdapterSetup::numbered(0), AdapterSetup::numbered(1)])
}

fn two_with(adapters: Vec<AdapterSetup>) -> Two {
    let machine = Machine::start(MachineConfig::with_adapters(sys(), adapters)).expect("the driver starts");
    let open = |number| {
        machine
            .open_ndk_on(number, VERSION_2_0)
            .expect("the provider opens an adapter")
    };
    let (client, server) = (open(0), open(1));
    Two {
        client,
        server,
        machine,
    }
}

fn from(port: u16) -> SocketAddr {
    SocketAddr::new(NIC_IPV4.into(), port)
}

fn to(port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::from_bits(NIC_IPV4.to_bits() + 1).into(), port)
}

fn end(ndk: &ndk::Adapter) -> End {
    End::new(ndk, &PairOptions::default()).expect("there is room")
}

/// Counts disconnect events.
fn counted() -> (Arc<AtomicU32>, Option<DisconnectEvent>) {
    let count = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&count);
    let event = move || {
        counter.fetch_add(1, Ordering::SeqCst);
    };
    (count, Some(Box::new(event)))
}

fn next(incoming: &Incoming) -> Connector {
    incoming.next_within(PATIENCE).expect("a request arrives")
}

fn padded(data: &[u8], size: usize) -> Vec<u8> {
    let mut padded = data.to_vec();
    padded.resize(size, 0);
    padded
}

/// Judges functions: NdkConnect, NdkCompleteConnect, NdkAccept, NdkGetConnectionData, NdkGetLocalAddress, NdkGetPeerAddress, NdkDisconnect
/// Judges rule: effective read limits are the least of both sides' and the adapter's; too large ones are capped
#[test]
fn both_sides_know_what_they_have_agreed_on() {
    let two = two();
    let v6 = |number| IpAddr::V6(Ipv6Addr::from_bits(NIC_IPV6.to_bits() + number));
    for (port, source, destination) in [
        (7501, from(0), to(7501)),
        (7502, SocketAddr::new(v6(0), 0), SocketAddr::new(v6(1), 7502)),
    ] {
        let incoming = Incoming::listen(&two.server, destination).expect("the port is free");
        let (mut client, mut server) = (end(&two.client), end(&two.server));
        let connector = two.client.create_connector().expect("there is room");
        assert_eq!(connector.local_address(), Err(STATUS_CONNECTION_INVALID));
        assert_eq!(connector.connection_data(), Err(STATUS_CONNECTION_INVALID));
        let asked = ConnectOptions {
            inbound: 1000,
            outbound: 7,
            private_data: pattern(56),
        };
        let connecting = connector.start_connect(&client.qp, source, destination, &asked);
        let accepted = next(&incoming);
        let seen = accepted.connection_data().expect("the request says so");
        assert_eq!((seen.inbound_read_limit, seen.outbound_read_limit), (7, 16));
        assert_eq!(seen.private_data, pattern(56));
        assert_eq!(accepted.local_address(), Ok(destination));
        let peer = accepted.peer_address().expect("it has one");
        assert_eq!(peer.ip(), source.ip());
        assert!(peer.port() >= 49152, "{peer}");

        let answer = ConnectOptions {
            inbound: 5,
            outbound: 3,
            private_data: pattern(148),
        };
        let (disconnects, event) = counted();
        let accepting = accepted.start_accept(&server.qp, &answer, event);
        connecting.wait().expect("accepted");
        assert_eq!(connector.local_address(), Ok(peer), "port {port}");
        assert_eq!(connector.peer_address(), Ok(destination));
        let agreed = connector.connection_data().expect("the reply says so");
        assert_eq!((agreed.inbound_read_limit, agreed.outbound_read_limit), (3, 5));
        assert_eq!(agreed.private_data, pattern(148));
        assert!(!accepting.is_complete(), "the active side is not ready");
        connector.complete_connect(None).expect("connected");
        accepting.wait().expect("connected");
        assert_eq!(connector.connection_data(), Ok(agreed), "still valid");
        let agreed = accepted.connection_data().expect("still valid");
        assert_eq!((agreed.inbound_read_limit, agreed.outbound_read_limit), (5, 3));

        connector.disconnect().expect("the peer answers");
        eventually("the disconnect event", || disconnects.load(Ordering::SeqCst) == 1);
        accepted.disconnect().expect("needs no answer");
        assert_eq!(connector.disconnect(), Err(STATUS_CONNECTION_INVALID));
        assert_eq!(disconnects.load(Ordering::SeqCst), 1);
        client.connector = Some(connector);
        server.connector = Some(accepted);
    }
}

/// Judges rule: a QP belongs to one connector at a time (CONNECTION_ACTIVE)
#[test]
fn a_refused_connect_may_be_retried_on_the_same_objects() {
    let two = two();
    let (client, server) = (end(&two.client), end(&two.server));
    let connector = two.client.create_connector().expect("there is room");
    let options = ConnectOptions::default();
    assert_eq!(
        connector.connect(&client.qp, from(7600), to(7503), &options),
        Err(STATUS_CONNECTION_REFUSED),
        "nobody listens"
    );
    let incoming = Incoming::listen(&two.server, to(7503)).expect("the port is free");
    let connecting = connector.start_connect(&client.qp, from(7600), to(7503), &options);
    assert_eq!(next(&incoming).reject(b"not today"), STATUS_SUCCESS);
    assert_eq!(connecting.wait_status(), STATUS_CONNECTION_REFUSED);
    let refusal = connector.connection_data().expect("the refusal says so");
    assert_eq!(refusal.private_data, padded(b"not today", 148));
    assert_eq!((refusal.inbound_read_limit, refusal.outbound_read_limit), (0, 0));

    let connecting = connector.start_connect(&client.qp, from(7600), to(7503), &options);
    let accepted = next(&incoming);
    let accepting = accepted.start_accept(&server.qp, &options, None);
    connecting.wait().expect("accepted");
    connector.complete_connect(None).expect("connected");
    accepting.wait().expect("connected");
    assert_eq!(
        connector.connect(&client.qp, from(0), to(7503), &options),
        Err(STATUS_INVALID_DEVICE_STATE)
    );
    let (other, another) = (
        two.client.create_connector().expect("there is room"),
        end(&two.client),
    );
    assert_eq!(
        other.connect(&client.qp, from(0), to(7503), &options),
        Err(STATUS_CONNECTION_ACTIVE)
    );
    assert_eq!(
        other.connect(&another.qp, from(7600), to(7503), &options),
        Err(STATUS_SHARING_VIOLATION)
    );
    drop((connector, accepted, other));
}

/// How a client says no to what it has connected to.
type SayNo = fn(Connector) -> Option<Connector>;

/// Judges functions: NdkReject
/// Judges rule: an active reject refuses the accept, and flushes the QP
#[test]
fn the_active_side_may_say_no() {
    let two = two();
    let incoming = Incoming::listen(&two.server, to(7504)).expect("the port is free");
    let ways: [(&[u8], SayNo); 2] = [
        (b"changed my mind", |connector| {
            assert_eq!(connector.reject(b"changed my mind"), STATUS_SUCCESS);
            assert_eq!(connector.reject(b"again"), STATUS_INVALID_DEVICE_STATE);
            assert_eq!(connector.complete_connect(None), Err(STATUS_CONNECTION_INVALID));
            Some(connector)
        }),
        (b"", |connector| {
            connector.close();
            None
        }),
    ];
    for (data, say_no) in ways {
        let (client, server) = (end(&two.client), end(&two.server));
        for (qp, context) in [(&client.qp, 1), (&server.qp, 2)] {
            assert_eq!(qp.receive(context, &[]), STATUS_SUCCESS);
        }
        let connector = two.client.create_connector().expect("there is room");
        let options = ConnectOptions::default();
        let connecting = connector.start_connect(&client.qp, from(0), to(7504), &options);
        let accepted = next(&incoming);
        let (disconnects, event) = counted();
        let accepting = accepted.start_accept(&server.qp, &options, event);
        connecting.wait().expect("accepted");
        let connector = say_no(connector);
        assert_eq!(accepting.wait_status(), STATUS_CONNECTION_REFUSED);
        let refusal = accepted.connection_data().expect("the refusal says so");
        assert_eq!(refusal.private_data, padded(data, 148));
        for (cq, context) in [(&client.receive_cq, 1), (&server.receive_cq, 2)] {
            let [result] = cq.wait_for(1, PATIENCE)[..] else {
                panic!("the receive is flushed")
            };
            assert_eq!((result.status, result.context), (STATUS_CANCELLED, context));
        }
        assert_eq!(disconnects.load(Ordering::SeqCst), 0, "it never was a connection");
        drop((connector, accepted));
    }
}

/// Judges rule: closing a connector completes its pending request with CANCELLED first
#[test]
fn close_cancels_what_is_pending() {
    let two = two();
    let incoming = Incoming::listen(&two.server, to(7505)).expect("the port is free");
    let (client, server) = (end(&two.client), end(&two.server));
    let options = ConnectOptions::default();

    let connector = two.client.create_connector().expect("there is room");
    let connecting = connector.start_connect(&client.qp, from(7601), to(7505), &options);
    let first = next(&incoming);
    connector.close();
    assert_eq!(connecting.wait_status(), STATUS_CANCELLED);
    eventually("the peer finds out", || {
        first.start_accept(&server.qp, &options, None).wait_status() != STATUS_SUCCESS
    });
    drop((first, server));

    let server = end(&two.server);
    let connector = two.client.create_connector().expect("there is room");
    let connecting = connector.start_connect(&client.qp, from(7601), to(7505), &options);
    let second = next(&incoming);
    let accepting = second.start_accept(&server.qp, &options, None);
    connecting
        .wait()
        .expect("accepted; queue pair and port are free again");
    second.close();
    assert_eq!(accepting.wait_status(), STATUS_CANCELLED);
    eventually("the peer finds out", || connector.complete_connect(None).is_err());
    connector.close();
}

/// Judges rule: closing a connection is a disconnect to the peer, told exactly once, and none to the closer
#[test]
fn closing_a_connection_disconnects_it() {
    let two = two();
    for server_closes in [false, true] {
        let incoming = Incoming::listen(&two.server, to(7506)).expect("the port is free");
        let (client, server) = (end(&two.client), end(&two.server));
        let options = ConnectOptions::default();
        let connector = two.client.create_connector().expect("there is room");
        let connecting = connector.start_connect(&client.qp, from(0), to(7506), &options);
        let accepted = next(&incoming);
        let (at_server, event) = counted();
        let accepting = accepted.start_accept(&server.qp, &options, event);
        connecting.wait().expect("accepted");
        let (at_client, event) = counted();
        connector.complete_connect(event).expect("connected");
        accepting.wait().expect("connected");
        let (closes, stays, told, not_told) = if server_closes {
            (accepted, connector, at_client, at_server)
        } else {
            (connector, accepted, at_server, at_client)
        };
        closes.close();
        eventually("the disconnect event", || told.load(Ordering::SeqCst) == 1);
        std::thread::sleep(QUIET);
        assert_eq!(told.load(Ordering::SeqCst), 1, "once");
        assert_eq!(not_told.load(Ordering::SeqCst), 0);
        stays.close();
    }
}

/// Judges rule: private data over the limit is INVALID_BUFFER_SIZE and leaves the connector usable
#[test]
fn arguments_are_checked_and_leave_the_connector_usable() {
    let two = two();
    let incoming = Incoming::listen(&two.server, to(7507)).expect("the port is free");
    let (client, server) = (end(&two.client), end(&two.server));
    let connector = two.client.create_connector().expect("there is room");
    let options = ConnectOptions::default();
    let refused = |source, destination, data: usize, expected: NTSTATUS| {
        let options = ConnectOptions::with_data(&pattern(data));
        assert_eq!(
            connector.connect(&client.qp, source, destination, &options),
            Err(expected),
            "{source} {destination} {data}"
        );
    };
    refused(from(0), to(7507), 57, STATUS_INVALID_BUFFER_SIZE);
    refused(to(0), to(7507), 0, STATUS_INVALID_ADDRESS);
    refused(
        "0.0.0.0:0".parse().expect("an address"),
        to(7507),
        0,
        STATUS_INVALID_ADDRESS,
    );
    refused(
        SocketAddr::new(NIC_IPV6.into(), 0),
        to(7507),
        0,
        STATUS_INVALID_ADDRESS,
    );
    refused(from(0), to(0), 0, STATUS_INVALID_ADDRESS);
    refused(
        from(0),
        "224.0.0.1:7".parse().expect("an address"),
        0,
        STATUS_INVALID_ADDRESS,
    );
    refused(
        from(0),
        "192.0.2.1:7".parse().expect("an address"),
        0,
        STATUS_NETWORK_UNREACHABLE,
    );
    refused(
        from(0),
        "10.77.0.200:7".parse().expect("an address"),
        0,
        STATUS_HOST_UNREACHABLE,
    );

    let connecting = connector.start_connect(
        &client.qp,
        from(0),
        to(7507),
        &ConnectOptions::with_data(&pattern(56)),
    );
    let accepted = next(&incoming);
    assert_eq!(
        accepted.accept(&server.qp, &ConnectOptions::with_data(&pattern(149)), None),
        Err(STATUS_INVALID_BUFFER_SIZE)
    );
    assert_eq!(accepted.disconnect(), Err(STATUS_CONNECTION_INVALID));
    let accepting = accepted.start_accept(&server.qp, &ConnectOptions::with_data(&pattern(148)), None);
    connecting.wait().expect("accepted");
    connector.complete_connect(None).expect("connected");
    accepting.wait().expect("connected");
    assert_eq!(
        accepted.accept(&server.qp, &options, None),
        Err(STATUS_INVALID_DEVICE_STATE)
    );
}

/// Judges functions: NdkCreateSharedEndpoint, NdkConnectWithSharedEndpoint, NdkCloseSharedEndpoint
/// Judges rule: an endpoint is free when its last user is closed
#[test]
fn a_shared_endpoint_has_many_connections() {
    let two = two();
    let shared = two
        .client
        .create_shared_endpoint(from(7602))
        .expect("the port is free");
    assert_eq!(shared.local_address(), Ok(from(7602)));
    assert_eq!(
        two.client.create_shared_endpoint(from(7602)).err(),
        Some(STATUS_SHARING_VIOLATION)
    );
    assert_eq!(
        two.client.create_shared_endpoint(to(7602)).err(),
        Some(STATUS_INVALID_ADDRESS)
    );
    let any = two
        .client
        .create_shared_endpoint(from(0))
        .expect("a port is free");
    assert!(any.local_address().expect("it has one").port() >= 49152);
    let options = ConnectOptions::default();
    let mut ends = Vec::new();
    for port in [7508, 7509] {
        let incoming = Incoming::listen(&two.server, to(port)).expect("the port is free");
        let (client, server) = (end(&two.client), end(&two.server));
        let connector = two.client.create_connector().expect("there is room");
        let connecting =
            connector.start_connect_with_shared_endpoint(&client.qp, &shared, to(port), &options);
        let accepted = next(&incoming);
        assert_eq!(accepted.peer_address(), Ok(from(7602)));
        let accepting = accepted.start_accept(&server.qp, &options, None);
        connecting.wait().expect("accepted");
        connector.complete_connect(None).expect("connected");
        accepting.wait().expect("connected");
        assert_eq!(connector.local_address(), Ok(from(7602)));
        ends.push((connector, accepted, client, server, incoming));
    }
    let (third, other) = (
        end(&two.client),
        two.client.create_connector().expect("there is room"),
    );
    assert_eq!(
        other.connect_with_shared_endpoint(&third.qp, &shared, to(7508), &options),
        Err(STATUS_ADDRESS_ALREADY_EXISTS)
    );
    let endpoints = two
        .machine
        .adapter()
        .miniport()
        .oid_query(OID_NDK_LOCAL_ENDPOINTS, 4096);
    assert_eq!(
        endpoints.data[8], 2,
        "shared endpoints are listed, and no connector's"
    );
    assert_eq!(endpoints.data[0x10 + 0x1D], 0, "it is no listener");

    let closing = shared.start_close();
    assert!(!closing.is_complete(), "connectors use it");
    assert_eq!(
        two.client.create_shared_endpoint(from(7602)).err(),
        Some(STATUS_SHARING_VIOLATION)
    );
    drop(ends);
    drop(closing);
    eventually("the port is free again", || {
        two.client.create_shared_endpoint(from(7602)).is_ok()
    });
}

/// Judges rule: loopback connections work
#[test]
fn an_adapter_connects_to_itself() {
    let two = two();
    let Pair { client, server } = connect(
        &two.client,
        &two.client,
        from(0),
        from(7510),
        &PairOptions::default(),
    )
    .expect("loopback");
    assert_eq!(server.qp.receive(1, &[]), STATUS_SUCCESS);
    assert_eq!(client.qp.send(2, &[], 0), STATUS_SUCCESS);
    let [received] = server.receive_cq.wait_for(1, PATIENCE)[..] else {
        panic!("it arrives")
    };
    assert_eq!((received.status, received.bytes), (STATUS_SUCCESS, 0));
}

/// Judges rule: a link-local address may have the scope id of the adapter's interface or none; another one is INVALID_ADDRESS
#[test]
fn link_local_addresses_belong_to_one_interface() {
    let mut adapters = vec![AdapterSetup::numbered(0), AdapterSetup::numbered(1)];
    let indexes = [0, 1].map(|number: usize| adapters[number].interface_index);
    for (adapter, last) in adapters.iter_mut().zip([9_u16, 10]) {
        let local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last);
        adapter.addresses.push((local.into(), 64));
    }
    let two = two_with(adapters);
    let at = |last: u16, port: u16, scope: u32| -> SocketAddr {
        let address = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last);
        SocketAddrV6::new(address, port, 0, scope).into()
    };
    let refused = |address| Incoming::listen(&two.server, address).err();
    assert_eq!(refused(at(10, 7530, indexes[0])), Some(STATUS_INVALID_ADDRESS));
    assert_eq!(refused(at(10, 7530, u32::MAX)), Some(STATUS_INVALID_ADDRESS));
    assert_eq!(
        two.server.create_shared_endpoint(at(10, 7530, 1)).err(),
        Some(STATUS_INVALID_ADDRESS)
    );
    for (port, scope) in [(7531, indexes[1]), (7532, 0)] {
        let incoming = Incoming::listen(&two.server, at(10, port, scope)).expect("the port is free");
        let options = ConnectOptions::default();
        let (client, server) = (end(&two.client), end(&two.server));
        let connector = two.client.create_connector().expect("there is room");
        for (source, destination) in [
            (at(9, 0, indexes[1]), at(10, port, 0)),
            (at(9, 0, 0), at(10, port, indexes[1])),
        ] {
            assert_eq!(
                connector.connect(&client.qp, source, destination, &options),
                Err(STATUS_INVALID_ADDRESS),
                "{source} to {destination}"
            );
        }
        // Each side names the link by its own interface.
        let connecting = connector.start_connect(&client.qp, at(9, 0, 0), at(10, port, indexes[0]), &options);
        let accepted = next(&incoming);
        let accepting = accepted.start_accept(&server.qp, &options, None);
        connecting.wait().expect("accepted");
        connector.complete_connect(None).expect("connected");
        accepting.wait().expect("connected");
        assert_eq!(connector.peer_address(), Ok(at(10, port, indexes[0])));
        assert_eq!(accepted.local_address(), Ok(at(10, port, indexes[1])));
    }
}

/// Judges rule: without a link the network is unreachable
#[test]
fn without_a_link_the_network_is_unreachable() {
    let two = two();
    let client = end(&two.client);
    let connector = two.client.create_connector().expect("there is room");
    for nic in two.machine.nics() {
        nic.set_link(false);
    }
    assert!(two.machine.wait_for_link(false), "the driver reports the links");
    let options = ConnectOptions::default();
    for destination in [to(7511), from(7511)] {
        assert_eq!(
            connector.connect(&client.qp, from(0), destination, &options),
            Err(STATUS_NETWORK_UNREACHABLE)
        );
    }
}

fn counters(machine: &Machine, adapter: usize) -> [u64; 5] {
    let mut statistics = vec![0; 0xF8];
    statistics[..4].copy_from_slice(&[0x80, 1, 0xF8, 0]);
    let answer = machine.adapters()[adapter]
        .miniport()
        .direct_oid_query(OID_NDK_STATISTICS, statistics);
    std::array::from_fn(|index| {
        u64::from_le_bytes(answer.data[8 + 8 * index..][..8].try_into().expect("8 bytes"))
    })
}

/// Judges rule: OID_NDK_STATISTICS and OID_NDK_CONNECTIONS tell the truth about connections
#[test]
fn connections_are_counted_and_listed() {
    let two = two();
    let pair = connect(
        &two.client,
        &two.server,
        from(7603),
        to(7512),
        &PairOptions::default(),
    )
    .expect("connected");
    assert_eq!(counters(&two.machine, 0), [1, 0, 0, 0, 1]);
    assert_eq!(counters(&two.machine, 1), [0, 1, 0, 0, 1]);
    let list = |adapter: usize| {
        two.machine.adapters()[adapter]
            .miniport()
            .oid_query(OID_NDK_CONNECTIONS, 4096)
    };
    let connections = list(0);
    assert_eq!(connections.data[8], 1);
    assert_eq!(connections.data[0x10 + 2..0x10 + 4], 7603_u16.to_be_bytes());
    assert_eq!(
        connections.data[0x10 + 0x1C + 2..0x10 + 0x1C + 4],
        7512_u16.to_be_bytes()
    );
    assert_eq!(connections.data[0x10 + 4..0x10 + 8], NIC_IPV4.octets());
    drop(pair);
    eventually("both sides know", || {
        counters(&two.machine, 0)[4] == 0 && counters(&two.machine, 1)[4] == 0
    });
    assert_eq!(list(0).data[8], 0);
    let client = end(&two.client);
    let connector = two.client.create_connector().expect("there is room");
    let refused = connector.connect(&client.qp, from(0), to(7512), &ConnectOptions::default());
    assert_eq!(refused, Err(STATUS_CONNECTION_REFUSED));
    assert_eq!(counters(&two.machine, 0), [1, 0, 1, 0, 0]);
    assert_eq!(counters(&two.machine, 1), [0, 1, 1, 0, 0]);
}

/// Judges rule: on surprise removal pending requests complete and disconnect events come
#[test]
fn a_device_that_goes_ends_what_waits_for_it() {
    let mut two = two();
    let incoming = Incoming::listen(&two.server, to(7513)).expect("the port is free");
    let options = ConnectOptions::default();
    let (client, server, waiting) = (end(&two.client), end(&two.server), end(&two.client));
    let connector = two.client.create_connector().expect("there is room");
    let connecting = connector.start_connect(&client.qp, from(0), to(7513), &options);
    let accepted = next(&incoming);
    let accepting = accepted.start_accept(&server.qp, &options, None);
    connecting.wait().expect("accepted");
    let (disconnects, event) = counted();
    connector.complete_connect(event).expect("connected");
    accepting.wait().expect("connected");
    let second = two.client.create_connector().expect("there is room");
    let pending = second.start_connect(&waiting.qp, from(0), to(7513), &options);
    let held = next(&incoming);

    // Asked to close its adapter, the consumer waits for what it has coming: a close would cancel that.
    let statuses = Arc::new(Mutex::new(None));
    let client_side = Mutex::new(Some((pending, connector, second, client, waiting, two.client)));
    let ended = Arc::clone(&statuses);
    let close = move || {
        let Some((pending, connector, second, client, waiting, ndk)) =
            client_side.lock().expect("no panic").take()
        else {
            return;
        };
        let status = pending.wait_status();
        eventually("the disconnect event", || disconnects.load(Ordering::SeqCst) == 1);
        *ended.lock().expect("no panic") = Some((status, connector.disconnect().err()));
        drop((connector, second, client, waiting, ndk));
    };
    two.machine
        .adapter()
        .miniport()
        .open_ndk_adapters()
        .on_disable(Arc::new(close));
    two.machine.surprise_remove();
    assert_eq!(
        *statuses.lock().expect("no panic"),
        Some((STATUS_DEVICE_REMOVED, Some(STATUS_DEVICE_REMOVED)))
    );
    drop((held, accepted, server, incoming, two.server));
}

/// Judges rule: connections leave nothing behind
#[test]
fn connections_come_and_go() {
    let two = two();
    for _ in 0..50 {
        let pair = connect(
            &two.client,
            &two.server,
            from(0),
            to(7514),
            &PairOptions::default(),
        )
        .expect("connected");
        drop(pair);
    }
    eventually("all are gone", || counters(&two.machine, 0)[4] == 0);
    assert_eq!(counters(&two.machine, 0)[0], 50);
}

/// Judges rule: a connector may be closed inside its own disconnect event
#[test]
fn a_connector_may_be_closed_in_its_disconnect_event() {
    let two = two();
    for _ in 0..10 {
        let incoming = Incoming::listen(&two.server, to(7515)).expect("the port is free");
        let (client, server) = (end(&two.client), end(&two.server));
        let options = ConnectOptions::default();
        let connector = two.client.create_connector().expect("there is room");
        let connecting = connector.start_connect(&client.qp, from(0), to(7515), &options);
        let accepted = next(&incoming);
        let accepting = accepted.start_accept(&server.qp, &options, None);
        connecting.wait().expect("accepted");
        let (own, closing) = (
            Arc::new(Mutex::new(None::<Connector>)),
            Arc::new(Mutex::new(None)),
        );
        let (mine, started) = (Arc::clone(&own), Arc::clone(&closing));
        let close = move || {
            let connector = mine.lock().expect("no panic").take().expect("one event");
            *started.lock().expect("no panic") = Some(connector.start_close());
        };
        let mut held = own.lock().expect("no panic");
        connector
            .complete_connect(Some(Box::new(close)))
            .expect("connected");
        *held = Some(connector);
        drop(held);
        accepting.wait().expect("connected");
        accepted.disconnect().expect("the peer answers");
        eventually("the close", || closing.lock().expect("no panic").is_some());
        let closing = closing.lock().expect("no panic").take().expect("it has begun");
        closing.wait();
        drop(accepted);
    }
}

/// Judges rule: a broken connection is told on both sides, and counted as an error
#[test]
fn a_violation_ends_the_connection_on_both_sides() {
    let two = two();
    let incoming = Incoming::listen(&two.server, to(7517)).expect("the port is free");
    let (client, server) = (end(&two.client), end(&two.server));
    let options = ConnectOptions::default();
    let connector = two.client.create_connector().expect("there is room");
    let connecting = connector.start_connect(&client.qp, from(0), to(7517), &options);
    let accepted = next(&incoming);
    let (at_server, event) = counted();
    let accepting = accepted.start_accept(&server.qp, &options, event);
    connecting.wait().expect("accepted");
    let (at_client, event) = counted();
    connector.complete_connect(event).expect("connected");
    accepting.wait().expect("connected");
    let memory = ndk::Memory::new(64);
    let mr = client.pd.create_mr(false).expect("there is room");
    mr.register(&memory, 64, ndk_sys::NDK_MR_FLAG_ALLOW_LOCAL_WRITE)
        .expect("registered");
    let no_such_token = 0xFFFF_FF00;
    let sges = [memory.sge(0, 64, mr.local_token())];
    assert_eq!(
        client.qp.write(1, &sges, 0x1000, no_such_token, 0),
        STATUS_SUCCESS
    );
    let [result] = client.initiator_cq.wait_for(1, PATIENCE)[..] else {
        panic!("the write completes")
    };
    assert_eq!(result.status, STATUS_ACCESS_VIOLATION);
    eventually("both disconnect events", || {
        at_client.load(Ordering::SeqCst) == 1 && at_server.load(Ordering::SeqCst) == 1
    });
    let errors: u64 = [0, 1]
        .map(|adapter| counters(&two.machine, adapter)[3])
        .iter()
        .sum();
    assert!(errors >= 1, "who finds it first tells the other");
    assert_eq!(
        client.qp.write(2, &sges, 0x1000, no_such_token, 0),
        STATUS_SUCCESS
    );
    let [flushed] = client.initiator_cq.wait_for(1, PATIENCE)[..] else {
        panic!("what comes later is cancelled")
    };
    assert_eq!(flushed.status, STATUS_CANCELLED);
    connector.disconnect().expect("needs no answer");
    assert_eq!(
        client.qp.write(3, &sges, 0x1000, no_such_token, 0),
        STATUS_CONNECTION_INVALID
    );
    accepted.disconnect().expect("needs no answer");
    std::thread::sleep(QUIET);
    assert_eq!(
        (at_client.load(Ordering::SeqCst), at_server.load(Ordering::SeqCst)),
        (1, 1)
    );
    drop((mr, connector, accepted));
}

/// One connection from beginning to end; the status of the first thing that fails.
fn attempt(two: &Two, incoming: &Incoming, client: &End, server: &End) -> Result<(), NTSTATUS> {
    let options = ConnectOptions::default();
    let shared = two.client.create_shared_endpoint(from(0))?;
    let connector = two.client.create_connector()?;
    let connecting = connector.start_connect_with_shared_endpoint(&client.qp, &shared, to(7516), &options);
    let accepted = loop {
        if let Some(accepted) = incoming.next_within(Duration::from_millis(10)) {
            break accepted;
        }
        if connecting.is_complete() {
            return connecting.wait();
        }
    };
    let accepting = accepted.start_accept(&server.qp, &options, None);
    if accepting.status() != STATUS_PENDING {
        return accepting.wait();
    }
    connecting.wait()?;
    connector.complete_connect(None)?;
    accepting.wait()?;
    connector.disconnect()
}

/// Judges rule: running out of memory fails a connection and leaves everything as it was
#[test]
fn every_allocation_of_a_connection_may_fail() {
    let two = two();
    let incoming = Incoming::listen(&two.server, to(7516)).expect("the port is free");
    let mut seen = BTreeSet::new();
    loop {
        let (client, server) = (end(&two.client), end(&two.server));
        faults::configure(true, seen.clone());
        let result = attempt(&two, &incoming, &client, &server);
        let now = faults::seen();
        faults::configure(false, BTreeSet::new());
        match result {
            Ok(()) => assert_eq!(now.len(), seen.len(), "what failed was not noticed"),
            // Refused: the other side had no memory for the request.
            Err(STATUS_INSUFFICIENT_RESOURCES | STATUS_CONNECTION_REFUSED) => {}
            Err(other) => panic!("{other:#x}"),
        }
        if now.len() == seen.len() {
            break;
        }
        seen = now;
    }
    assert!(seen.len() >= 7, "only {} allocations", seen.len());
}
