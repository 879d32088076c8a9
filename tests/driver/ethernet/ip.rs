//! IP through the driver: the host's stack finds and is found, TCP runs with and without offloads, and RDMA finds its peers by it.

use super::{Station, config, miniport, start, wait_for_link};
use crate::duo::Duo;
use crate::support::{PATIENCE, sys};
use ntbench::machine::{AdapterSetup, Machine, MachineConfig, NIC_MAC};
use ntbench::ndis::Uses;
use ntbench::ndis::adapter::Keyword;
use ntbench::ndk::PairOptions;
use ntbench::ndk::pair;
use ntbench::wire::HostStack;
use roce_wire::eth::MacAddr;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread;

/// An IP stack of somebody else on the wire, with .50 and ::50.
fn neighbour(machine: &Machine) -> (Arc<HostStack>, Arc<ntbench::wire::PortHandle>) {
    let port = Arc::new(machine.hub().port("neighbour"));
    let stack = HostStack::start(MacAddr([2, 0, 0, 0, 8, 1]), port.clone()).expect("a thread starts");
    let stack = Arc::new(stack);
    assert!(stack.add_address([10, 77, 0, 50].into(), 24));
    assert!(stack.add_address("fd77::50".parse().expect("an address"), 64));
    let receiver = Arc::downgrade(&stack);
    port.connect(Arc::new(move |frame| {
        if let Some(stack) = receiver.upgrade() {
            stack.receive(frame);
        }
    }));
    (stack, port)
}

fn addresses(v6: bool) -> (IpAddr, IpAddr) {
    if v6 {
        (
            "fd77::9".parse().expect("an address"),
            "fd77::50".parse().expect("an address"),
        )
    } else {
        ([10, 77, 0, 9].into(), [10, 77, 0, 50].into())
    }
}

/// Data both ways over one connection.
fn exchange(from: &HostStack, to: &HostStack, address: SocketAddr) {
    let data: Vec<u8> = (0..400_000_u32)
        .map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[2])
        .collect();
    let mut listener = to.listen(address.port()).expect("a good port");
    let mut client = from.connect(address, PATIENCE).expect("somebody listens");
    let mut server = listener.accept(PATIENCE).expect("somebody has connected");
    for _ in 0..2 {
        let received = thread::scope(|scope| {
            scope.spawn(|| client.write_all(&data).expect("it is read"));
            let mut received = vec![0; data.len()];
            server.read_exact(&mut received).expect("it is written");
            received
        });
        assert!(received == data, "what arrives is what was sent");
        std::mem::swap(&mut client, &mut server);
    }
}

fn tcp_both_ways(config: MachineConfig) {
    let machine = start(config);
    let (other, _port) = neighbour(&machine);
    let host = &machine.hosts()[0];
    for (number, v6) in (0_u16..).zip([false, true]) {
        let (own, theirs) = addresses(v6);
        exchange(host, &other, SocketAddr::new(theirs, 700 + number));
        exchange(&other, host, SocketAddr::new(own, 710 + number));
    }
    let statistics = miniport(&machine).statistics().expect("it is answered");
    assert!(statistics.ifHCOutUcastPkts > 500 && statistics.ifHCInUcastPkts > 500);
}

#[test]
fn tcp_runs_through_the_driver_with_offloads() {
    tcp_both_ways(config());
}

#[test]
fn tcp_runs_through_the_driver_without_offloads() {
    let mut config = config();
    config.adapters[0].uses = Uses {
        checksums: false,
        large_sends: false,
        scaling: false,
    };
    tcp_both_ways(config);
}

#[test]
fn tcp_runs_through_the_driver_with_jumbo_frames() {
    let mut config = config();
    config.adapters[0]
        .keywords
        .insert("*JumboPacket".into(), Keyword::Text("9014".into()));
    tcp_both_ways(config);
}

#[test]
fn the_host_answers_a_ping() {
    let machine = start(config());
    let station = Station::new(&machine, 1);
    // An ARP request of 10.77.0.99, so that the answer finds its way.
    let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1];
    arp.extend(station.mac);
    arp.extend([10, 77, 0, 99, 0, 0, 0, 0, 0, 0, 10, 77, 0, 9]);
    station.send(&super::frame([0xFF; 6], station.mac, 0x0806, &arp));
    let answer = station
        .wait_for(1, |frame| frame[12..14] == [8, 6] && frame[21] == 2)
        .remove(0);
    assert_eq!(answer[22..28], NIC_MAC);
    let mut echo = vec![
        0x45, 0, 0, 32, 0, 1, 0, 0, 64, 1, 0, 0, 10, 77, 0, 99, 10, 77, 0, 9,
    ];
    // Echo request, identifier 7, sequence 1; the sum of its words is 0xFFFF.
    echo.extend([8, 0, 0, 0, 0, 7, 0, 1, 1, 2, 3, 4]);
    let sum: u32 = echo[20..]
        .chunks(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]))
        .sum();
    let checksum = !u16::try_from(sum).expect("small");
    echo[22..24].copy_from_slice(&checksum.to_be_bytes());
    let mut frame = super::frame(NIC_MAC, station.mac, 0x0800, &echo);
    ntbench::ndis::frame::fill_checksums(&mut frame);
    station.send(&frame);
    let reply = station.wait_for(1, |frame| {
        frame[12..14] == [8, 0] && frame[23] == 1 && frame[34] == 0
    });
    assert_eq!(reply[0][38..46], [0, 7, 0, 1, 1, 2, 3, 4]);
}

/// Two adapters whose peers know nothing of each other.
fn duo() -> Duo {
    let adapters = [0, 1].map(AdapterSetup::numbered);
    Duo::with(MachineConfig::with_adapters(sys(), adapters.into()))
}

/// Judges functions: NdkConnect
/// Judges rule: the peer is found by ARP and neighbour discovery through the adapter itself
#[test]
fn rdma_finds_its_peer_through_the_driver() {
    let duo = duo();
    wait_for_link(&duo.machine, true);
    for (from, to) in [
        ("10.77.0.9:0", "10.77.0.10:7430"),
        ("[fd77::9]:0", "[fd77::a]:7431"),
    ] {
        let (from, to): (SocketAddr, SocketAddr) = (from.parse().expect("one"), to.parse().expect("one"));
        let pair = pair::connect(&duo.client, &duo.server, from, to, &PairOptions::default());
        assert!(pair.is_ok(), "{to}: {:?}", pair.err());
    }
}

#[test]
fn a_new_address_is_answered_for() {
    let machine = start(config());
    let (other, _port) = neighbour(&machine);
    let extra: IpAddr = "fd77::1234:5678".parse().expect("an address");
    let (_, theirs) = addresses(true);
    let limit = std::time::Duration::from_millis(300);
    assert_eq!(other.resolve(theirs, extra, limit), None, "not ours yet");
    assert!(ntbench::netio::add_address(miniport(&machine).luid(), extra, 64));
    assert_eq!(other.resolve(theirs, extra, PATIENCE), Some(MacAddr(NIC_MAC)));
    assert!(ntbench::netio::remove_address(miniport(&machine).luid(), extra));
    other.flush_neighbours();
    assert_eq!(other.resolve(theirs, extra, limit), None, "not any more");
}
