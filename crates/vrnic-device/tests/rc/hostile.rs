//! Packets of any kind: an answer or nothing, and never anything out of bounds.

use proptest::prelude::*;
use roce_wire::aeth::Aeth;
use roce_wire::bth::Opcode;
use roce_wire::num::Msn;
use roce_wire::reth::Reth;
use vrnic_abi::resource::QpState;

use crate::lone::{Lone, Sent};
use crate::world::{BASE, KEY, PARK_LIMIT, READ_KEY, SIZE, Setup, WINDOW_KEY, read, request, write};

/// Bytes that peers may touch.
const REACH: usize = 16 << 10;

#[derive(Clone, Debug)]
struct Junk {
    opcode: Opcode,
    psn: u32,
    ack_request: bool,
    addr: u64,
    key: u32,
    length: u32,
    syndrome: u8,
    payload: usize,
    post: bool,
}

fn junk() -> impl Strategy<Value = Junk> {
    let opcode = (0_u8..=0x17).prop_filter_map("RC", |opcode| {
        Some(Opcode(opcode)).filter(|opcode| opcode.follows().is_some())
    });
    // Mostly near what is expected in either direction.
    let psn = prop_oneof![8 => 0_u32..12, 1 => 0x7f_fff0_u32..0x80_0010, 1 => any::<u32>()];
    let addr = prop_oneof![
        4 => Just(BASE + SIZE as u64 / 2),
        1 => Just(BASE + (SIZE / 2 + REACH) as u64 - 10),
        1 => any::<u64>()
    ];
    let key = prop_oneof![4 => Just(KEY), 1 => Just(READ_KEY), 1 => Just(WINDOW_KEY), 1 => any::<u32>()];
    let length = prop_oneof![0_u32..3000, any::<u32>()];
    let syndrome = prop_oneof![4 => Just(0x1f_u8), 4 => Just(0x60_u8), 1 => any::<u8>()];
    let payload = prop_oneof![Just(256_usize), 0_usize..300, 0_usize..5000];
    (
        opcode,
        psn,
        any::<bool>(),
        addr,
        key,
        length,
        (syndrome, payload),
        any::<bool>(),
    )
        .prop_map(
            |(opcode, psn, ack_request, addr, key, length, (syndrome, payload), post)| Junk {
                opcode,
                psn,
                ack_request,
                addr,
                key,
                length,
                syndrome,
                payload,
                post,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn nothing_but_answers(packets in prop::collection::vec(junk(), 1..60)) {
        let mut lone = Lone::new(&Setup { mtu_log2: 8, psn: [0xff_fffc, 0xff_fffc], reads: 3, ..Setup::default() });
        // Peers may touch what is in reach only.
        let upper = BASE + SIZE as u64 / 2..BASE + (SIZE / 2 + REACH) as u64;
        lone.node.keys.remove(&READ_KEY);
        lone.node.keys.get_mut(&WINDOW_KEY).expect("there").0 = upper.clone();
        let own = 0x6_0000..0x6_4000;
        let before = lone.node.memory.clone();
        let payload = vec![0xee; 5000];
        for (index, packet) in packets.iter().enumerate() {
            if packet.post {
                let index = u32::try_from(index).expect("few");
                lone.node.sends.push_back(request(2 * index, read(BASE), BASE + 0x6_0000, 700));
                lone.node.sends.push_back(request(2 * index + 1, write(BASE), BASE, 700));
                lone.post_receive(index, BASE + 0x6_2000, 600);
            }
            let follows = packet.opcode.follows().expect("known");
            let has_payload = follows.contains(roce_wire::bth::Follows::PAYLOAD);
            let key = if packet.key == KEY { WINDOW_KEY } else { packet.key };
            let sent = Sent {
                ack_request: packet.ack_request,
                aeth: Aeth { syndrome: packet.syndrome, msn: Msn::default() },
                reth: Reth { virtual_address: packet.addr, r_key: key, dma_length: packet.length },
                word: packet.length,
                ..Sent::new(packet.opcode, packet.psn.wrapping_add(0xff_fffc), &payload[..if has_payload { packet.payload } else { 0 }])
            };
            let answers = lone.receive(&sent);
            prop_assert!(lone.node.parked <= PARK_LIMIT);
            if let Ok(answers) = answers {
                // Three READs may be answered, and three again, of at most all that peers may read.
                prop_assert!(answers.len() <= 6 * REACH / 256 + 16, "{} answers", answers.len());
            }
            if lone.qp.state() == QpState::ERROR {
                prop_assert!(lone.qp.is_drained());
                prop_assert_eq!(lone.node.parked, 0);
            }
        }
        let memory = &lone.node.memory;
        let reach = SIZE / 2 + REACH;
        for same in [0..own.start, own.end..SIZE / 2, reach..SIZE] {
            prop_assert!(memory[same.clone()] == before[same]);
        }
        // Each request that was posted completes at most once, in order.
        let indexes: Vec<u32> = lone.node.sent.iter().map(|done| done.index).collect();
        prop_assert!(indexes.is_sorted_by(|a, b| a < b));
        let indexes: Vec<u32> = lone.node.received.iter().map(|done| done.index).collect();
        prop_assert!(indexes.is_sorted_by(|a, b| a < b));
    }
}
