//! Receive side scaling, with the vectors that Microsoft publishes ("Verifying the RSS Hash Calculation").

use std::net::IpAddr;

use vrnic_abi::eth::{
    HASH_ALL, HASH_IPV4, HASH_IPV6, HASH_TCP_IPV4, HASH_TCP_IPV6, HASH_UDP_IPV4, HASH_UDP_IPV6, RssTable,
};
use zerocopy::FromZeros;

use super::frames::{Maker, V4, V6, payload, with_tag};
use super::port::Port;

/// The key of the vectors.
const KEY: [u8; 40] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0,
    0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42,
    0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];

/// Destination, source, hash over the addresses, hash over addresses and ports.
const VECTORS: [(&str, u16, &str, u16, u32, u32); 8] = [
    (
        "161.142.100.80",
        1766,
        "66.9.149.187",
        2794,
        0x323e_8fc2,
        0x51cc_c178,
    ),
    (
        "65.69.140.83",
        4739,
        "199.92.111.2",
        14230,
        0xd718_262a,
        0xc626_b0ea,
    ),
    (
        "12.22.207.184",
        38024,
        "24.19.198.95",
        12898,
        0xd2d0_a5de,
        0x5c2b_394a,
    ),
    (
        "209.142.163.6",
        2217,
        "38.27.205.30",
        48228,
        0x8298_9176,
        0xafc7_327f,
    ),
    (
        "202.188.127.2",
        1303,
        "153.39.163.191",
        44251,
        0x5d18_09c5,
        0x10e8_28a2,
    ),
    (
        "3ffe:2501:200:3::1",
        1766,
        "3ffe:2501:200:1fff::7",
        2794,
        0x2cc1_8cd5,
        0x4020_7d3d,
    ),
    (
        "ff02::1",
        4739,
        "3ffe:501:8::260:97ff:fe40:efab",
        14230,
        0x0f0c_461c,
        0xdde5_1bbf,
    ),
    (
        "fe80::200:f8ff:fe21:67cf",
        38024,
        "3ffe:1900:4545:3:200:f8ff:fe21:67cf",
        44251,
        0x4b61_e985,
        0x02d1_feef,
    ),
];

fn table(hash_types: u32, queues: &[u8]) -> RssTable {
    let mut table = RssTable {
        hash_types: hash_types.into(),
        entries: u16::try_from(queues.len()).unwrap().into(),
        key: KEY,
        ..RssTable::new_zeroed()
    };
    table.queue[..queues.len()].copy_from_slice(queues);
    table
}

/// Hash and hash type of a frame that queue 0 gets.
fn hash(port: &mut Port, frame: &[u8]) -> (u32, u32) {
    port.post_buffers(0, 1);
    let (completion, _) = port.hear(frame).expect("received");
    (completion.rss_hash.get(), completion.rss_type.get())
}

fn maker(destination: &str, to: u16, source: &str, from: u16) -> Maker {
    let [ours, theirs]: [IpAddr; 2] = [destination, source].map(|address| address.parse().unwrap());
    Maker {
        ports: [from, to],
        ..Maker::peers([ours, theirs])
    }
}

#[test]
fn the_published_vectors() {
    let mut port = Port::with_queues(1);
    for (destination, to, source, from, addresses, ports) in VECTORS {
        let maker = maker(destination, to, source, from);
        let is_v4 = maker.addresses[0].is_ipv4();
        let (ip, tcp, udp) = if is_v4 {
            (HASH_IPV4, HASH_TCP_IPV4, HASH_UDP_IPV4)
        } else {
            (HASH_IPV6, HASH_TCP_IPV6, HASH_UDP_IPV6)
        };
        let frames = [maker.tcp(&payload(9), false), maker.udp(&payload(9))];
        for (asked, expected) in [
            (ip, [(addresses, ip), (addresses, ip)]),
            (ip | tcp, [(ports, tcp), (addresses, ip)]),
            (tcp, [(ports, tcp), (0, 0)]),
            (udp, [(0, 0), (ports, udp)]),
            (HASH_ALL, [(ports, tcp), (ports, udp)]),
        ] {
            port.set_rss(&table(asked, &[0])).unwrap();
            let found = frames.each_ref().map(|frame| hash(&mut port, frame));
            assert_eq!(found, expected, "{destination}, {asked:#x}");
            let tagged = with_tag(&frames[0], 0x5005);
            assert_eq!(hash(&mut port, &tagged), expected[0]);
        }
        let other_family = if is_v4 { HASH_IPV6 } else { HASH_IPV4 };
        port.set_rss(&table(other_family, &[0])).unwrap();
        assert_eq!(hash(&mut port, &frames[0]), (0, 0));
    }
}

#[test]
fn fragments_have_no_ports() {
    let mut port = Port::with_queues(1);
    let (destination, to, source, from, addresses, _) = VECTORS[0];
    port.set_rss(&table(HASH_ALL, &[0])).unwrap();
    for offset in [(20, 0x20), (21, 1)] {
        let mut frame = maker(destination, to, source, from).tcp(&payload(9), false);
        frame[offset.0] = offset.1;
        assert_eq!(hash(&mut port, &frame), (addresses, HASH_IPV4));
    }
}

#[test]
fn the_table_says_which_queue() {
    let mut port = Port::with_queues(4);
    (0..4).for_each(|queue| port.post_buffers(queue, 20));
    let mut table = table(HASH_ALL, &[3, 1, 0, 2, 3, 1, 0, 3]);
    table.default_queue = 2.into();
    port.set_rss(&table).unwrap();
    for (destination, to, source, from, _, ports) in VECTORS {
        let frame = maker(destination, to, source, from).tcp(&payload(9), false);
        port.rig.nic.receive(&frame);
        let expected = table.queue[usize::try_from(ports % 8).unwrap()];
        let (completion, bytes) = port.received(expected.into()).expect("in the queue of its entry");
        assert_eq!((completion.rss_hash.get(), bytes), (ports, frame));
    }
    let mut arp = Maker::peers(V4).udp(&payload(50));
    arp[13] = 6;
    port.rig.nic.receive(&arp);
    assert!(port.received(2).is_some(), "without hash: the default queue");
    for queue in 0..4 {
        assert!(port.received(queue).is_none());
    }
}

#[test]
fn off_again() {
    let mut port = Port::with_queues(3);
    (0..3).for_each(|queue| port.post_buffers(queue, 4));
    port.set_rss(&table(HASH_ALL, &[1])).unwrap();
    let frame = Maker::peers(V6).tcp(&payload(9), false);
    port.rig.nic.receive(&frame);
    assert!(port.received(1).is_some());
    let off = RssTable {
        default_queue: 2.into(),
        ..RssTable::new_zeroed()
    };
    port.set_rss(&off).unwrap();
    port.rig.nic.receive(&frame);
    let (completion, _) = port.received(2).unwrap();
    assert_eq!((completion.rss_hash.get(), completion.rss_type.get()), (0, 0));
}

#[test]
fn entries_may_name_a_queue_that_is_gone() {
    let mut port = Port::with_queues(2);
    (0..2).for_each(|queue| port.post_buffers(queue, 4));
    port.set_rss(&table(HASH_ALL, &[1])).unwrap();
    port.destroy(1);
    let frame = Maker::peers(V4).tcp(&payload(9), false);
    assert!(port.hear(&frame).is_none());
    assert_eq!(port.rig.nic.statistics().eth_in_no_buffer.get(), 1);
}
