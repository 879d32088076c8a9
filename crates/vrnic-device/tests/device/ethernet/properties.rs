//! Whatever is in rings, doorbells and frames: no panic, no more work in a turn than the manual says, and no byte outside of what is mapped
//! is touched. A reset brings the port back.

use proptest::collection::vec;
use proptest::prelude::*;
use vrnic_abi::cmd::Status;
use vrnic_abi::doorbell;
use vrnic_abi::eth::{
    ETH_STRIP_VLAN, EthConfig, FILTER_ALL, HASH_ALL, RssTable, RxDescriptor, TX_END, TxDescriptor,
};
use vrnic_abi::regs::{self, DeviceState};
use zerocopy::FromZeros;

use super::frames::{Maker, V4, V6, payload, with_tag};
use super::port::{LOG2, PAYLOAD, Port};
use crate::host::MEMORY;
use crate::rig::{NOWHERE, OUR_MAC};

/// Frames in a turn: the manual's limit, and what a turn cannot but finish.
const TURN: usize = 64;

/// Something that a driver, a peer or an operator does.
#[derive(Clone, Debug)]
enum Action {
    Transmit {
        queue: usize,
        pieces: Vec<TxPiece>,
    },
    Receive {
        queue: usize,
        addr: u64,
        length: u32,
        reserved: u32,
    },
    Doorbell {
        queue: usize,
        word: u64,
        value: u32,
    },
    Advance {
        queue: usize,
        word: u64,
        by: u32,
    },
    Frame(Vec<u8>),
    Good {
        v6: bool,
        tcp: bool,
        tag: Option<u16>,
        length: usize,
        flips: Vec<(usize, u8)>,
    },
    Configure(u32, u32, u16),
    Rss(u32, u16, Vec<u8>),
    Poke(u64, Vec<u8>),
    Map(u64, bool),
    Link(bool),
    Power(u8),
    Recreate(u32),
}

/// A piece of a frame: something that has headers, or anything.
#[derive(Clone, Debug)]
struct TxPiece {
    addr: u64,
    length: u16,
    flags: u16,
    segment_size: u16,
    vlan: u16,
}

fn address() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => (0u64..0x2_0000).prop_map(|at| PAYLOAD + at),
        1 => Just(PAYLOAD),
        1 => any::<u64>(),
        1 => Just(NOWHERE),
    ]
}

fn piece() -> impl Strategy<Value = TxPiece> {
    let rarely = |value: u16| prop_oneof![6 => Just(0), 1 => Just(value), 1 => any::<u16>()];
    let length = prop_oneof![6 => 1u16..1600, 2 => any::<u16>(), 1 => Just(0)];
    let flags = prop_oneof![4 => Just(TX_END), 3 => Just(0), 3 => 0u16..32, 1 => any::<u16>()];
    (address(), length, flags, rarely(700), rarely(5)).prop_map(
        |(addr, length, flags, segment_size, vlan)| TxPiece {
            addr,
            length,
            flags,
            segment_size,
            vlan,
        },
    )
}

fn action() -> impl Strategy<Value = Action> {
    let queue = || 0usize..2;
    let word = || (0u64..4).prop_map(|word| word * 4);
    let flips = || vec((0usize..100, any::<u8>()), 0..3);
    let tag = || prop_oneof![Just(None), any::<u16>().prop_map(Some)];
    prop_oneof![
        6 => (queue(), vec(piece(), 1..40)).prop_map(|(queue, pieces)| Action::Transmit { queue, pieces }),
        4 => (queue(), address(), prop_oneof![4 => 60u32..0x4000, 1 => any::<u32>()], prop_oneof![9 => Just(0u32), 1 => any::<u32>()])
            .prop_map(|(queue, addr, length, reserved)| Action::Receive { queue, addr, length, reserved }),
        1 => (queue(), word(), any::<u32>()).prop_map(|(queue, word, value)| Action::Doorbell { queue, word, value }),
        3 => (queue(), word(), 0u32..70).prop_map(|(queue, word, by)| Action::Advance { queue, word, by }),
        1 => vec(any::<u8>(), 0..200).prop_map(Action::Frame),
        6 => (any::<bool>(), any::<bool>(), tag(), 0usize..2000, flips())
            .prop_map(|(v6, tcp, tag, length, flips)| Action::Good { v6, tcp, tag, length, flips }),
        1 => (0u32..0x20, 68u32..9000, 0u16..2).prop_map(|(filter, mtu, flags)| Action::Configure(filter, mtu, flags)),
        1 => (0u32..0x2_0000, 0u16..140, vec(0u8..3, 128))
            .prop_map(|(types, entries, queues)| Action::Rss(types & HASH_ALL, entries, queues)),
        // Behind the rings of the command queue: those are another's subject.
        1 => (0x3_0000u64..0x10_0000 - 64, vec(any::<u8>(), 0..64)).prop_map(|(at, data)| Action::Poke(MEMORY + at, data)),
        1 => (0x30u64..0x100, any::<bool>()).prop_map(|(page, mapped)| Action::Map(MEMORY + page * 0x1000, mapped)),
        1 => any::<bool>().prop_map(Action::Link),
        1 => prop_oneof![Just(0u8), Just(3u8)].prop_map(Action::Power),
        1 => (0u32..3).prop_map(Action::Recreate),
    ]
}

fn good_frame(v6: bool, tcp: bool, tag: Option<u16>, length: usize, flips: &[(usize, u8)]) -> Vec<u8> {
    let maker = Maker::peers(if v6 { V6 } else { V4 });
    let mut frame = if tcp {
        maker.tcp(&payload(length), true)
    } else {
        maker.udp(&payload(length))
    };
    if let Some(tag) = tag {
        frame = with_tag(&frame, tag);
    }
    for (at, bits) in flips {
        if let Some(byte) = frame.get_mut(*at) {
            *byte ^= bits;
        }
    }
    frame
}

fn perform(port: &mut Port, action: &Action) {
    match action {
        Action::Transmit { queue, pieces } => {
            for piece in pieces {
                let descriptor = TxDescriptor {
                    addr: piece.addr.into(),
                    length: piece.length.into(),
                    flags: piece.flags.into(),
                    segment_size: piece.segment_size.into(),
                    vlan: piece.vlan.into(),
                };
                port.put_descriptor(*queue, &descriptor);
            }
            port.ring_tx(*queue);
        }
        Action::Receive {
            queue,
            addr,
            length,
            reserved,
        } => port.post(
            *queue,
            &RxDescriptor {
                addr: (*addr).into(),
                length: (*length).into(),
                reserved: (*reserved).into(),
            },
        ),
        Action::Doorbell { queue, word, value } => port.ring(*queue, *word, *value),
        Action::Advance { queue, word, by } => {
            let value = port.rig.nic.doorbells().load(port.word(*queue, *word));
            port.ring(*queue, *word, value.wrapping_add(*by));
        }
        Action::Frame(frame) => port.rig.nic.receive(frame),
        Action::Good {
            v6,
            tcp,
            tag,
            length,
            flips,
        } => port.rig.nic.receive(&good_frame(*v6, *tcp, *tag, *length, flips)),
        Action::Configure(filter, mtu, flags) => {
            port.config = EthConfig {
                filter: (*filter).into(),
                mtu: (*mtu).into(),
                mac: OUR_MAC,
                flags: (flags & ETH_STRIP_VLAN).into(),
            };
            command(port, |port| {
                port.configure();
            });
        }
        Action::Rss(hash_types, entries, queues) => {
            let mut table = RssTable {
                hash_types: (*hash_types).into(),
                entries: (*entries).into(),
                ..RssTable::new_zeroed()
            };
            table.queue.copy_from_slice(queues);
            command(port, |port| {
                let _ = port.set_rss(&table);
            });
        }
        Action::Poke(addr, data) => port.rig.host.poke(*addr, data),
        Action::Map(addr, mapped) => port.rig.host.map(*addr, *mapped),
        Action::Link(up) => port.rig.nic.set_link(*up),
        Action::Power(state) => port.rig.nic.config_write(0x44, &[*state, 0]),
        Action::Recreate(number) => command(port, |port| {
            port.destroy(*number);
            let _ = port.try_create(&Port::attributes(*number));
            if let Some(queue) = port.queues.get_mut(*number as usize) {
                (queue.tx_posted, queue.rx_posted, queue.consumed) = (0, 0, 0);
            }
        }),
    }
}

/// Runs a command if the device takes commands.
fn command(port: &mut Port, run: impl FnOnce(&mut Port)) {
    if port.rig.state() == DeviceState::READY {
        run(port);
    }
}

/// Puts frames where pieces are looked for: IP packets of both families, one behind the other.
fn fill_payload(port: &Port) {
    let large = [Maker::ours(V4).tcp(&[], true), payload(0x1_0000)].concat();
    port.rig.host.poke(PAYLOAD, &large);
    for (slot, addresses) in (0..16).zip([V4, V6].into_iter().cycle()) {
        let frame = Maker::ours(addresses).tcp(&payload(1400), slot % 3 == 0);
        port.rig.host.poke(PAYLOAD + 0x1_1000 + slot * 0x800, &frame);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(actions in vec(action(), 1..60)) {
        let mut port = Port::with_queues(2);
        port.set_filter(FILTER_ALL);
        fill_payload(&port);
        for action in &actions {
            perform(&mut port, action);
            port.rig.host.take_frames();
            for _ in 0..4 {
                port.rig.nic.poll();
                let sent = port.rig.host.take_frames();
                prop_assert!(sent.len() <= TURN, "{} frames in a turn", sent.len());
                prop_assert!(sent.iter().all(|frame| (60..=9022).contains(&frame.len())));
            }
            while port.rig.take_event().is_some() {}
        }
        // A reset brings it back, whatever has been.
        for page in 0..0x100 {
            port.rig.host.map(MEMORY + page * 0x1000, true);
        }
        port.rig.nic.config_write(0x44, &[0, 0]);
        port.rig.nic.set_link(true);
        port.rig.write(regs::CTRL, regs::CTRL_RESET);
        let Port { mut rig, config, .. } = port;
        rig.enable();
        rig.create_eq(vrnic_abi::resource::EQ_ASYNC);
        let mut port = Port { rig, queues: Vec::new(), config };
        port.create();
        port.config.mtu = 1500.into();
        port.config.filter = FILTER_ALL.into();
        prop_assert_eq!(port.configure(), Status::OK);
        port.post_buffers(0, 1);
        let frame = Maker::peers(V4).udp(&payload(100));
        port.rig.host.take_frames();
        prop_assert_eq!(port.send_one(&frame, 0, 0), frame.clone());
        prop_assert!(port.hear(&frame).is_some());
    }

    /// A ring full of anything.
    #[test]
    fn any_ring(
        tx in vec(any::<u8>(), 16 << LOG2),
        rx in vec(any::<u8>(), 16 << LOG2),
        posted in 0u32..=1 << LOG2,
        frames in vec(vec(any::<u8>(), 0..1600), 0..20),
    ) {
        let mut port = Port::with_queues(1);
        port.set_filter(FILTER_ALL);
        let base = port.queues[0].base;
        port.rig.host.poke(base, &tx);
        port.rig.host.poke(base + 0x400, &rx);
        let before = port.rig.host.peek(MEMORY, 0x3_0000);
        let behind = port.rig.host.peek(base + 0x2000, 0x1000);
        port.ring(0, doorbell::ETH_TX_PRODUCER, posted);
        port.ring(0, doorbell::ETH_RX_PRODUCER, posted);
        for frame in &frames {
            port.rig.nic.receive(frame);
        }
        port.run();
        // Random addresses of 64 bits are not in this memory.
        prop_assert_eq!(port.rig.host.peek(MEMORY, 0x3_0000), before);
        prop_assert_eq!(port.rig.host.peek(base + 0x2000, 0x1000), behind);
        prop_assert_eq!(port.rig.state(), DeviceState::READY);
    }
}
