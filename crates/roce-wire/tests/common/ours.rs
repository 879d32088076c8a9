//! Frames that no Linux capture has: IPv6, and CM messages whose every field differs from its neighbours and from zero.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use roce_wire::aeth::Aeth;
use roce_wire::bth::{Bth, DEFAULT_P_KEY, Opcode};
use roce_wire::cm::{
    ApStatus, Apr, CmMad, CmMessage, CommId, Drep, Dreq, Failover, Lap, MessageMraed, MessageRejected, Mra,
    Mtu, PathInfo, PrivateData, Rej, RejectReason, Rep, Req, Rtu, TransportService,
};
use roce_wire::eth::MacAddr;
use roce_wire::frame::{ExtendedHeaders, Frame, FrameAddress, IpPair, write_gsi};
use roce_wire::gid::Gid;
use roce_wire::immdt::ImmDt;
use roce_wire::ip_cm::{IpCmAddresses, IpCmHeader, PortSpace, ServiceId};
use roce_wire::num::{
    Eecn, FlowLabel, MaxCmRetries, Msn, PacketRate, Psn, Qpn, RetryCount, ServiceLevel, Timeout,
};
use roce_wire::reth::Reth;

const V4: (Ipv4Addr, Ipv4Addr) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 99));
const V6: (Ipv6Addr, Ipv6Addr) = (
    Ipv6Addr::new(0x2001, 0xdb8, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15),
    Ipv6Addr::new(0x2001, 0xdb8, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25),
);

/// All frames, in the order of the file.
pub fn frames() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for address in [v4(), v6()] {
        for message in messages(address.ip.source(), address.ip.destination()) {
            frames.push(gsi_frame(
                &address,
                &CmMad {
                    transaction_id: 0x0102_0304_0506_0708,
                    message,
                },
            ));
        }
    }
    frames.extend(reliable().iter().map(write));
    frames
}

fn gsi_frame(address: &FrameAddress, mad: &CmMad) -> Vec<u8> {
    let mut buffer = vec![0; 400];
    let length = write_gsi(&mut buffer, address, Psn::truncated(0x00ab_cdef), &mad.to_bytes())
        .expect("400 bytes hold it");
    buffer.truncate(length);
    buffer
}

fn write(frame: &Frame<'_>) -> Vec<u8> {
    let mut buffer = vec![0; 400];
    let length = frame.write(&mut buffer).expect("400 bytes hold it");
    buffer.truncate(length);
    buffer
}

fn v4() -> FrameAddress {
    FrameAddress {
        source_mac: MacAddr([2, 0, 0, 0, 0, 1]),
        destination_mac: MacAddr([2, 0, 0, 0, 0, 99]),
        ip: IpPair::V4 {
            source: V4.0,
            destination: V4.1,
            identification: 0x1234,
        },
        udp_source_port: 0xc123,
        traffic_class: 0x6a,
        hop_limit: 63,
    }
}

fn v6() -> FrameAddress {
    let ip = IpPair::V6 {
        source: V6.0,
        destination: V6.1,
        flow_label: FlowLabel::truncated(0xa_bcde),
    };
    FrameAddress { ip, ..v4() }
}

fn path(salt: u8, local: IpAddr, remote: IpAddr) -> PathInfo {
    PathInfo {
        local_port_lid: 0x1100 + u16::from(salt),
        remote_port_lid: 0x2200 + u16::from(salt),
        local_port_gid: Gid::from(local),
        remote_port_gid: Gid::from(remote),
        flow_label: FlowLabel::truncated(0x5_4321),
        packet_rate: PacketRate::truncated(0x2a),
        traffic_class: 0x60 + salt,
        hop_limit: 0x30 + salt,
        service_level: ServiceLevel::truncated(9 + salt),
        subnet_local: true,
        local_ack_timeout: Timeout::truncated(18 + salt),
    }
}

fn request(source: IpAddr, destination: IpAddr) -> Req {
    let addresses = IpCmAddresses::new(source, destination).expect("one family");
    Req {
        local_comm_id: CommId(0xa1a2_a3a4),
        service_id: ServiceId::from_port(PortSpace::TCP, 445),
        local_ca_guid: 0xb1b2_b3b4_b5b6_b7b8,
        local_q_key: 0xc1c2_c3c4,
        local_qpn: Qpn::truncated(0x00d1_d2d3),
        responder_resources: 16,
        local_eecn: Eecn::truncated(0x00e1_e2e3),
        initiator_depth: 17,
        remote_eecn: Eecn::truncated(0x00f1_f2f3),
        remote_cm_response_timeout: Timeout::truncated(21),
        transport_service: TransportService::RD,
        end_to_end_flow_control: true,
        starting_psn: Psn::truncated(0x0011_2233),
        local_cm_response_timeout: Timeout::truncated(22),
        retry_count: RetryCount::truncated(5),
        p_key: 0x8001,
        path_mtu: Mtu::B1024,
        rdc_exists: true,
        rnr_retry_count: RetryCount::truncated(6),
        max_cm_retries: MaxCmRetries::truncated(11),
        srq: true,
        extended_transport: 3,
        primary_path: path(1, source, destination),
        alternate_path: path(2, destination, source),
        private_data: IpCmHeader {
            source_port: 50_123,
            addresses,
        }
        .private_data(&counting_down::<56>(200))
        .expect("56 bytes fit"),
    }
}

/// Bytes of which no two are equal.
fn counting_down<const N: usize>(first: u8) -> [u8; N] {
    let mut bytes = [first; N];
    for index in 1..N {
        bytes[index] = bytes[index - 1].wrapping_sub(1);
    }
    bytes
}

fn private_data<const N: usize>() -> PrivateData<N> {
    PrivateData::from_array(counting_down(255))
}

/// One of each CM message.
pub fn messages(source: IpAddr, destination: IpAddr) -> [CmMessage; 9] {
    let (local_comm_id, remote_comm_id) = (CommId(0x5152_5354), CommId(0x6162_6364));
    [
        request(source, destination).into(),
        Mra {
            local_comm_id,
            remote_comm_id,
            message_mraed: MessageMraed::REP,
            service_timeout: Timeout::truncated(23),
            private_data: private_data(),
        }
        .into(),
        Rej {
            local_comm_id,
            remote_comm_id,
            message_rejected: MessageRejected::REP,
            reject_info_length: 70,
            reason: RejectReason::INVALID_PATH_MTU,
            ari: counting_down(100),
            private_data: private_data(),
        }
        .into(),
        Rep {
            local_comm_id,
            remote_comm_id,
            local_q_key: 0x7172_7374,
            local_qpn: Qpn::truncated(0x0081_8283),
            local_eecn: Eecn::truncated(0x0091_9293),
            starting_psn: Psn::truncated(0x00a1_a2a3),
            responder_resources: 33,
            initiator_depth: 34,
            target_ack_delay: Timeout::truncated(19),
            failover: Failover::REJECTED,
            end_to_end_flow_control: true,
            rnr_retry_count: RetryCount::truncated(5),
            srq: true,
            local_ca_guid: 0xb1b2_b3b4_b5b6_b7b8,
            private_data: private_data(),
        }
        .into(),
        Rtu {
            local_comm_id,
            remote_comm_id,
            private_data: private_data(),
        }
        .into(),
        Dreq {
            local_comm_id,
            remote_comm_id,
            remote_qpn: Qpn::truncated(0x00c1_c2c3),
            private_data: private_data(),
        }
        .into(),
        Drep {
            local_comm_id,
            remote_comm_id,
            private_data: private_data(),
        }
        .into(),
        Lap {
            local_comm_id,
            remote_comm_id,
            remote_qpn: Qpn::truncated(0x00d1_d2d3),
            remote_cm_response_timeout: Timeout::truncated(21),
            alternate_path: path(0x40, source, destination),
            private_data: private_data(),
        }
        .into(),
        Apr {
            local_comm_id,
            remote_comm_id,
            additional_info_length: 70,
            status: ApStatus::NOT_SUPPORTED,
            additional_info: counting_down(100),
            private_data: private_data(),
        }
        .into(),
    ]
}

/// Packets of a reliable connection with headers and pads that the Linux fixtures lack.
fn reliable() -> [Frame<'static>; 3] {
    let bth = Bth {
        solicited_event: true,
        mig_req: true,
        p_key: DEFAULT_P_KEY,
        dest_qp: Qpn::truncated(0x0012_3456),
        psn: Psn::truncated(0x0065_4321),
        ..Bth::default()
    };
    let reth = Reth {
        virtual_address: 0x1122_3344_5566_7788,
        r_key: 0x99aa_bbcc,
        dma_length: 5,
    };
    [
        Frame {
            address: v6(),
            bth: Bth {
                opcode: Opcode::RC_RDMA_WRITE_ONLY_WITH_IMMEDIATE,
                ack_request: true,
                ..bth
            },
            extended: ExtendedHeaders {
                reth: Some(reth),
                imm_dt: Some(ImmDt(0xdead_beef)),
                ..Default::default()
            },
            payload: b"hello",
        },
        Frame {
            address: v4(),
            bth: Bth {
                opcode: Opcode::RC_RDMA_WRITE_LAST,
                ..bth
            },
            extended: ExtendedHeaders::default(),
            payload: b"seven b",
        },
        Frame {
            address: v4(),
            bth: Bth {
                opcode: Opcode::RC_ACKNOWLEDGE,
                ..bth
            },
            extended: ExtendedHeaders {
                aeth: Some(Aeth {
                    syndrome: 0x62,
                    msn: Msn::truncated(0x0001_0203),
                }),
                ..Default::default()
            },
            payload: b"",
        },
    ]
}
