//! Linux as judge: one side of an rping between two Linux machines is played by our queue pair, and must send what Linux sent.

use std::net::Ipv4Addr;
use std::sync::Arc;

use roce_wire::bth::Opcode;
use roce_wire::frame::{Frame, IpPair};
use roce_wire::num::{Psn, Qpn};
use vrnic_abi::cqe::WorkStatus;
use vrnic_abi::resource::QpState;
use vrnic_device::rc::{
    Limits, Operation, Path, QueuePair, ReceiveAttributes, SendAttributes, SendRequest, TransportConfig,
};

use crate::lone::Lone;
use crate::world::{BASE, KEY, Setup, request};

const CAPTURE: &[u8] = include_bytes!("../../../roce-wire/tests/fixtures/linux.pcap");

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// Both queue pairs of the capture have this number.
const QPN: Qpn = Qpn::truncated(0x11);
const CLIENT_PSN: u32 = 12_196_289;
const SERVER_PSN: u32 = 1_397_356;

/// The frames of a little-endian pcap file.
fn frames() -> Vec<&'static [u8]> {
    let mut frames = Vec::new();
    let mut rest = &CAPTURE[24..];
    while let Some((header, tail)) = rest.split_first_chunk::<16>() {
        let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
        let (frame, tail) = tail.split_at(length);
        frames.push(frame);
        rest = tail;
    }
    frames
}

/// The packets of rping's queue pairs, in order, and whether the server sent them.
fn conversation() -> Vec<(bool, &'static [u8])> {
    let packets = frames().into_iter().filter_map(|bytes| {
        let frame = Frame::parse(bytes)
            .ok()
            .filter(|frame| frame.bth.dest_qp == QPN)?;
        Some((frame.address.ip.source() == SERVER, bytes))
    });
    packets.collect()
}

fn side(is_server: bool) -> Lone {
    let (own, peer) = (SERVER, Ipv4Addr::new(10, 77, 0, 2));
    let (source, destination) = if is_server { (own, peer) } else { (peer, own) };
    let (own_psn, peer_psn) = if is_server {
        (SERVER_PSN, CLIENT_PSN)
    } else {
        (CLIENT_PSN, SERVER_PSN)
    };
    let mut lone = Lone::in_init(&Setup::default());
    lone.qp = QueuePair::new(QPN, Arc::new(TransportConfig::default()));
    lone.qp
        .set_path(Path {
            source_mac: [0x52, 0x54, 0, 0, 0, 1],
            destination_mac: [0x52, 0x54, 0, 0, 0, 2],
            vlan_tag: 0,
            ip: IpPair::V4 {
                source,
                destination,
                identification: 0,
            },
            udp_source_port: 59834,
            traffic_class: 0,
            hop_limit: 64,
            mtu_log2: 12,
        })
        .expect("an MTU");
    lone.qp.set_receive(ReceiveAttributes {
        peer_qpn: QPN,
        psn: Psn::truncated(peer_psn),
    });
    lone.qp.set_send(SendAttributes {
        psn: Psn::truncated(own_psn),
        timeout: 14,
        retry_count: 7,
        rnr_retry: 7,
    });
    lone.qp.set_limits(Limits {
        max_inbound_reads: 1,
        max_outbound_reads: 1,
        min_rnr_timer: 12,
    });
    lone.qp.set_state(QpState::RTS).expect("all attributes");
    // The keys and addresses of the capture.
    for bytes in frames() {
        let reth = Frame::parse(bytes).ok().and_then(|frame| frame.extended.reth);
        if let Some(reth) = reth {
            let end = reth.virtual_address + u64::from(reth.dma_length);
            lone.node
                .keys
                .insert(reth.r_key, (reth.virtual_address..end, true, true));
            lone.node.aliases.insert(reth.r_key, reth.virtual_address);
        }
    }
    lone
}

/// The request that Linux must have been given for this packet.
fn request_of(frame: &Frame<'_>) -> Option<SendRequest> {
    let reth = frame.extended.reth.unwrap_or_default();
    let (addr, key) = (reth.virtual_address, reth.r_key);
    let operation = match frame.bth.opcode {
        Opcode::RC_SEND_ONLY => Operation::Send,
        Opcode::RC_RDMA_WRITE_ONLY => Operation::Write { addr, key },
        Opcode::RC_RDMA_READ_REQUEST => Operation::Read {
            addr,
            key,
            invalidate: None,
        },
        _ => return None,
    };
    if frame.bth.opcode == Opcode::RC_RDMA_READ_REQUEST {
        return Some(request(0, operation, BASE, reth.dma_length));
    }
    Some(crate::world::inline(0, operation, frame.payload))
}

/// Plays one side.
fn play(is_server: bool) {
    let mut lone = side(is_server);
    let mut ours: Vec<Vec<u8>> = Vec::new();
    let mut packets = 0;
    let conversation = conversation();
    for (index, &(from_server, bytes)) in conversation.iter().enumerate() {
        let theirs = Frame::parse(bytes).expect("Linux's");
        if from_server != is_server {
            lone.post_receive(0, BASE, 4096);
            if theirs.bth.opcode == Opcode::RC_RDMA_READ_REQUEST {
                // It finds what it found at Linux: that is in the response, which follows.
                let found = Frame::parse(conversation[index + 1].1).expect("Linux's").payload;
                lone.node.memory[..found.len()].copy_from_slice(found);
            }
            ours.extend(lone.receive_bytes(bytes));
            continue;
        }
        if let Some(request) = request_of(&theirs) {
            lone.node.sends.push_back(request);
            ours.extend(lone.run_raw());
        }
        assert!(
            !ours.is_empty(),
            "we say nothing where Linux says {:?}",
            theirs.bth
        );
        let mine = ours.remove(0);
        let mine = Frame::parse(&mine).expect("ours");
        let mut bth = theirs.bth;
        // soft-RoCE leaves the migration bit clear; IBTA 9.2.3 has it set where there is no migration, and so have hardware and we.
        bth.mig_req = true;
        // An ACK request with a READ is up to the requester: Linux asks.
        if bth.opcode == Opcode::RC_RDMA_READ_REQUEST {
            bth.ack_request = mine.bth.ack_request;
        }
        assert_eq!((mine.bth, mine.extended), (bth, theirs.extended));
        assert_eq!(mine.payload, theirs.payload);
        assert_eq!(mine.address.udp_source_port, theirs.address.udp_source_port);
        packets += 1;
    }
    assert_eq!(packets, if is_server { 5 } else { 4 });
    assert!(ours.len() <= 1, "only the answer that the capture leaves out");
    assert!(lone.node.sent.iter().all(|done| done.status == WorkStatus::OK));
    assert_eq!(lone.qp.state(), QpState::RTS);
    assert!(lone.node.keys.contains_key(&KEY));
}

#[test]
fn our_server_sends_what_linux_sent() {
    play(true);
}

#[test]
fn our_client_sends_what_linux_sent() {
    play(false);
}
