//! Who listens where.

use core::net::{Ipv6Addr, SocketAddr};

use super::*;

const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

fn refused(bench: &mut Bench, comm_id: u32) -> RejectReason {
    bench.receive(&peer(1), &request(1, comm_id)).rej().reason
}

#[test]
fn a_paused_or_stopped_listener_is_none() {
    let (mut bench, listener) = Bench::listening(8, 8);
    bench.cm.set_paused(listener, true);
    assert_eq!(refused(&mut bench, 1), RejectReason::INVALID_SERVICE_ID);
    bench.cm.set_paused(listener, false);
    let held = bench.request(&peer(1), &request(1, 1)).connection;
    assert_eq!(bench.cm.stop_listening(listener), Some(NAME));
    assert_eq!(bench.cm.stop_listening(listener), None);
    assert_eq!(refused(&mut bench, 2), RejectReason::INVALID_SERVICE_ID);
    assert_eq!(bench.cm.counters().refused_no_listener, 2);
    // What is held stays held.
    assert!(bench.reject(held, &[], SendOutcome::Sent).is_ok());
}

#[test]
fn an_address_is_taken_until_it_is_released() {
    let (mut bench, listener) = Bench::listening(8, 8);
    assert_eq!(
        bench.cm.listeners().collect::<Vec<_>>(),
        [SocketAddr::new(LOCAL.into(), PORT)]
    );
    for address in [IpAddr::V4(LOCAL), ANY] {
        assert_eq!(
            bench.cm.listen(address, PORT, 1, 1).err(),
            Some(ListenError::AddressInUse)
        );
    }
    assert!(bench.cm.listen(Ipv6Addr::UNSPECIFIED.into(), PORT, 1, 1).is_ok());
    bench.cm.stop_listening(listener);
    assert_eq!(
        bench.cm.listen(LOCAL.into(), PORT, 1, 1).err(),
        Some(ListenError::AddressInUse)
    );
    assert_eq!(bench.cm.release(listener), None);
    let (second, port) = bench.cm.listen(ANY, PORT, 1, 8).expect("free again");
    assert_eq!(port, PORT);
    // The old name means nothing.
    bench.cm.set_paused(listener, true);
    assert_eq!(bench.cm.release(listener), None);
    assert_eq!(bench.request(&peer(1), &request(1, 1)).listener, 8);
    assert_eq!(bench.cm.release(second), Some(8));
}

#[test]
fn two_listeners_get_their_own_requests() {
    let (mut bench, _) = Bench::listening(8, 8);
    let (_, port) = bench.cm.listen(LOCAL.into(), 0, 8, 8).expect("a port");
    assert!(port >= 49_152);
    assert_eq!(bench.request(&peer(1), &request(1, 1)).listener, NAME);
    let mut other = req(1, 2);
    other.service_id = ServiceId::from_port(PortSpace::TCP, port);
    let request = bench.request(&peer(1), &CmMad::new(2, other));
    assert_eq!((request.listener, request.local.port()), (8, port));
}

#[test]
fn there_are_as_many_listeners_as_slots() {
    let mut bench = Bench::idle(1);
    let ports: std::collections::HashSet<_> = (0..4)
        .map(|name| bench.cm.listen(LOCAL.into(), 0, 1, name).expect("a slot").1)
        .collect();
    assert_eq!(ports.len(), 4);
    assert_eq!(
        bench.cm.listen(LOCAL.into(), 0, 1, 4).err(),
        Some(ListenError::NoResources)
    );
}

#[test]
fn the_backlog_counts_what_the_consumer_has_not_answered() {
    let (mut bench, _) = Bench::listening(64, 4);
    let mut held: Vec<_> = (0..4)
        .map(|id| bench.request(&peer(1), &request(1, id)).connection)
        .collect();
    assert_eq!(refused(&mut bench, 10), RejectReason::NO_RESOURCES_AVAILABLE);
    // Whatever answers a request makes room for one.
    let ends: [fn(&mut Bench, ConnectionId); 4] = [
        |bench, id| assert!(bench.reject(id, &[], SendOutcome::Sent).is_ok()),
        |bench, id| assert!(bench.reject(id, &[], SendOutcome::Failed).is_ok()),
        |bench, id| assert!(bench.close(id).is_some()),
        |bench, id| assert!(bench.cm.refuse(bench.now, id).is_some()),
    ];
    for (end, comm_id) in ends.iter().zip(20..) {
        end(&mut bench, held.remove(0));
        held.push(bench.request(&peer(1), &request(1, comm_id)).connection);
        assert_eq!(refused(&mut bench, 10), RejectReason::NO_RESOURCES_AVAILABLE);
    }
    // An abandoned one is still the consumer's, until it closes it.
    bench.receive(&peer(1), &gives_up(20, CommId(0)));
    assert_eq!(refused(&mut bench, 10), RejectReason::NO_RESOURCES_AVAILABLE);
    bench.close(held[0]);
    bench.request(&peer(1), &request(1, 10));
}

#[test]
fn a_full_table_forgets_the_oldest_rejected_request_and_no_other() {
    let (mut bench, _) = Bench::listening(3, 8);
    let ids: Vec<_> = (0..3)
        .map(|id| bench.request(&peer(1), &request(1, id)).connection)
        .collect();
    assert_eq!(refused(&mut bench, 10), RejectReason::NO_RESOURCES_AVAILABLE);
    for id in [ids[1], ids[0]] {
        assert!(bench.reject(id, &[], SendOutcome::Sent).is_ok());
    }
    bench.request(&peer(1), &request(1, 11));
    assert_eq!(bench.cm.counters().evicted, 1);
    bench.receive(&peer(1), &request(1, 0)).rej();
    bench.request(&peer(1), &request(1, 12));
    assert_eq!(refused(&mut bench, 13), RejectReason::NO_RESOURCES_AVAILABLE);
    assert_eq!(bench.cm.connections(), 3);
}

#[test]
fn what_a_full_table_refuses_does_not_count_for_the_backlog() {
    let (mut bench, _) = Bench::listening(2, 2);
    let (_, port) = bench.cm.listen(LOCAL.into(), 0, 2, 8).expect("a port");
    let service_id = ServiceId::from_port(PortSpace::TCP, port);
    let to_the_other = CmMad::new(
        1,
        Req {
            service_id,
            ..req(1, 100)
        },
    );
    let ids: Vec<_> = (0..2)
        .map(|id| bench.request(&peer(1), &request(1, id)).connection)
        .collect();
    for _ in 0..5 {
        let rej = bench.receive(&peer(1), &to_the_other).rej();
        assert_eq!(rej.reason, RejectReason::NO_RESOURCES_AVAILABLE);
    }
    assert!(bench.close(ids[0]).is_some());
    assert_eq!(bench.request(&peer(1), &to_the_other).listener, 8);
}
