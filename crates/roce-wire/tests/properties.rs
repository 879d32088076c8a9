//! Properties that hold for any input: what is written is read again, nothing panics, damage is noticed.

use proptest::collection::vec;
use proptest::prelude::*;

use roce_wire::aeth::Aeth;
use roce_wire::atomic::{AtomicAckEth, AtomicEth};
use roce_wire::bth::{Bth, Follows, Opcode};
use roce_wire::cm::{AttributeId, CmError, CmMad, CmMessage, PrivateData};
use roce_wire::deth::Deth;
use roce_wire::eth::{EtherType, EthernetHeader, MacAddr};
use roce_wire::frame::{ExtendedHeaders, Frame, FrameAddress, FrameError, IpPair, write_gsi};
use roce_wire::gid::Gid;
use roce_wire::immdt::{Ieth, ImmDt};
use roce_wire::ip_cm::{IpCmAddresses, IpCmHeader, PortSpace, ServiceId};
use roce_wire::ipv4::{self, Ipv4Header};
use roce_wire::ipv6::Ipv6Header;
use roce_wire::mad::{MAD_LEN, Mad, MadHeader, Method, MgmtClass};
use roce_wire::num::{FlowLabel, Psn};
use roce_wire::reth::Reth;
use roce_wire::udp::UdpHeader;

fn bytes<const N: usize>() -> impl Strategy<Value = [u8; N]> {
    vec(any::<u8>(), N).prop_map(|bytes| bytes.try_into().expect("N bytes"))
}

/// A message's.
fn attribute() -> impl Strategy<Value = u16> {
    prop_oneof![0x10..=0x16_u16, 0x19..=0x1a_u16]
}

/// A datagram of the CM class with one of its attributes and random contents.
fn cm_mad() -> impl Strategy<Value = Mad> {
    (bytes::<MAD_LEN>(), attribute(), any::<u64>()).prop_map(|(mut mad, attribute_id, transaction_id)| {
        let header = MadHeader {
            base_version: 1,
            mgmt_class: MgmtClass::COMM_MGT,
            class_version: 2,
            method: Method::SEND,
            transaction_id,
            attribute_id,
            ..MadHeader::default()
        };
        mad[..MadHeader::LEN].copy_from_slice(&header.to_bytes());
        mad
    })
}

/// The bits of a message (behind the MAD header) that the specification reserves: byte and mask.
fn reserved(attribute: AttributeId) -> Vec<(usize, u8)> {
    let bytes = |range: core::ops::Range<usize>| range.map(|byte| (byte, 0xff));
    match attribute {
        AttributeId::REQ => bytes(4..8)
            .chain(bytes(24..28))
            // Per path: between flow label and packet rate, behind the subnet local bit, behind the ACK timeout.
            .chain([52, 96].into_iter().flat_map(|path| {
                [(38, 0x0f), (39, 0xc0), (42, 0x07), (43, 0x07)].map(|(byte, mask)| (path + byte, mask))
            }))
            .collect(),
        AttributeId::MRA => vec![(8, 0x3f), (9, 0x07)],
        AttributeId::REJ => vec![(8, 0x3f), (9, 0x01)],
        AttributeId::REP => vec![(15, 0xff), (19, 0xff), (23, 0xff), (27, 0x0f)],
        AttributeId::DREQ => vec![(11, 0xff)],
        // Also between flow label and traffic class, and before the packet rate.
        AttributeId::LAP => bytes(8..12)
            .chain([(15, 0x07)])
            .chain(bytes(16..20))
            .chain([(58, 0x0f), (61, 0xc0), (62, 0x07), (63, 0x07)])
            .collect(),
        AttributeId::APR => bytes(10..12).collect(),
        _ => vec![],
    }
}

fn frame_address() -> impl Strategy<Value = FrameAddress> {
    let ip = prop_oneof![
        (any::<[u8; 4]>(), any::<[u8; 4]>(), any::<u16>()).prop_map(
            |(source, destination, identification)| {
                IpPair::V4 {
                    source: source.into(),
                    destination: destination.into(),
                    identification,
                }
            }
        ),
        (any::<[u8; 16]>(), any::<[u8; 16]>(), any::<u32>()).prop_map(|(source, destination, label)| {
            IpPair::V6 {
                source: source.into(),
                destination: destination.into(),
                flow_label: FlowLabel::truncated(label),
            }
        }),
    ];
    (
        any::<[u8; 6]>(),
        any::<[u8; 6]>(),
        ip,
        any::<u16>(),
        any::<u8>(),
        any::<u8>(),
    )
        .prop_map(
            |(source, destination, ip, udp_source_port, traffic_class, hop_limit)| FrameAddress {
                source_mac: MacAddr(source),
                destination_mac: MacAddr(destination),
                ip,
                udp_source_port,
                traffic_class,
                hop_limit,
            },
        )
}

fn known_opcode() -> impl Strategy<Value = Opcode> {
    any::<u8>()
        .prop_map(Opcode)
        .prop_filter("known", |opcode| opcode.follows().is_some())
}

/// A frame that can be written, without its payload.
fn frame_headers() -> impl Strategy<Value = Frame<'static>> {
    let extended = (
        bytes::<8>(),
        bytes::<16>(),
        bytes::<28>(),
        bytes::<4>(),
        any::<u64>(),
        any::<u32>(),
        any::<u32>(),
    );
    (frame_address(), known_opcode(), bytes::<12>(), extended).prop_map(|(address, opcode, bth, extended)| {
        let has = |which| opcode.follows().is_some_and(|follows| follows.contains(which));
        let (deth, reth, atomic_eth, aeth, atomic_ack_eth, imm_dt, ieth) = extended;
        Frame {
            address,
            bth: Bth {
                opcode,
                transport_version: 0,
                ..Bth::from_bytes(&bth)
            },
            extended: ExtendedHeaders {
                deth: has(Follows::DETH).then(|| Deth::from_bytes(&deth)),
                reth: has(Follows::RETH).then(|| Reth::from_bytes(&reth)),
                atomic_eth: has(Follows::ATOMIC_ETH).then(|| AtomicEth::from_bytes(&atomic_eth)),
                aeth: has(Follows::AETH).then(|| Aeth::from_bytes(&aeth)),
                atomic_ack_eth: has(Follows::ATOMIC_ACK_ETH).then_some(AtomicAckEth(atomic_ack_eth)),
                imm_dt: has(Follows::IMM_DT).then_some(ImmDt(imm_dt)),
                ieth: has(Follows::IETH).then_some(Ieth(ieth)),
            },
            payload: &[],
        }
    })
}

/// A frame's payload, if its opcode has one.
fn payload_for<'a>(frame: &Frame<'_>, payload: &'a [u8]) -> &'a [u8] {
    let has_payload = frame
        .bth
        .opcode
        .follows()
        .is_some_and(|follows| follows.contains(Follows::PAYLOAD));
    if has_payload { payload } else { &[] }
}

fn written(frame: &Frame<'_>) -> Vec<u8> {
    let mut buffer = vec![0xee; 2000];
    let length = frame.write(&mut buffer).expect("2000 bytes hold it");
    assert!(
        buffer[length..].iter().all(|byte| *byte == 0xee),
        "nothing is written behind the frame"
    );
    buffer.truncate(length);
    buffer
}

proptest! {
    #[test]
    fn headers_are_written_as_they_were_read(bytes in bytes::<28>()) {
        macro_rules! check {
            ($($header:ty),*) => {$({
                let part = bytes.first_chunk::<{ <$header>::LEN }>().unwrap();
                prop_assert_eq!(<$header>::from_bytes(part).to_bytes(), *part);
            })*};
        }
        check!(EthernetHeader, UdpHeader, Reth, Aeth, AtomicEth, AtomicAckEth, ImmDt, Ieth);
    }

    #[test]
    fn headers_with_reserved_bits_are_written_as_they_were_read_but_for_those(bytes in bytes::<24>()) {
        let mut bth: [u8; 12] = *bytes.first_chunk().unwrap();
        bth[4] &= 0xc0;
        bth[8] &= 0x80;
        prop_assert_eq!(Bth::from_bytes(bytes.first_chunk().unwrap()).to_bytes(), bth);
        let mut deth: [u8; 8] = *bytes.first_chunk().unwrap();
        deth[4] = 0;
        prop_assert_eq!(Deth::from_bytes(bytes.first_chunk().unwrap()).to_bytes(), deth);
        let mut mad = bytes;
        mad[18..20].fill(0);
        prop_assert_eq!(MadHeader::from_bytes(&bytes).to_bytes(), mad);
    }

    #[test]
    fn ip_headers_are_written_as_they_were_read(mut v4 in bytes::<20>(), mut v6 in bytes::<40>()) {
        v4[0] = 0x45;
        v4[6] &= 0x7f;
        let again = Ipv4Header::from_bytes(&v4).unwrap().to_bytes();
        prop_assert!(ipv4::verify_checksum(&again));
        v4[10..12].copy_from_slice(&again[10..12]);
        prop_assert_eq!(again, v4);
        v6[0] = 0x60 | v6[0] & 0x0f;
        prop_assert_eq!(Ipv6Header::from_bytes(&v6).unwrap().to_bytes(), v6);
    }

    #[test]
    fn an_ip_header_of_another_version_is_refused(mut v4 in bytes::<20>(), mut v6 in bytes::<40>(), version in 0..16_u8) {
        v4[0] = version << 4 | 5;
        v6[0] = version << 4;
        prop_assert_eq!(Ipv4Header::from_bytes(&v4).is_ok(), version == 4);
        prop_assert_eq!(Ipv6Header::from_bytes(&v6).is_ok(), version == 6);
    }

    /// So every bit that is not reserved lands in some field, and each field is read from where it is written to.
    #[test]
    fn messages_are_written_as_they_were_read_but_for_reserved_bits(mad in cm_mad()) {
        let parsed = CmMad::from_bytes(&mad).unwrap();
        let mut expected = mad;
        for (byte, mask) in reserved(parsed.message.attribute_id()) {
            expected[MadHeader::LEN + byte] &= !mask;
        }
        prop_assert_eq!(parsed.to_bytes(), expected);
        prop_assert_eq!(CmMad::from_bytes(&expected), Ok(parsed));
    }

    #[test]
    fn any_datagram_is_a_message_or_an_error(mad in bytes::<MAD_LEN>()) {
        if let Ok(CmMad { message: CmMessage::Rej(rej), .. }) = CmMad::from_bytes(&mad) {
            prop_assert!(rej.ari().len() <= 72);
        }
    }

    #[test]
    fn any_message_can_be_shown(mad in cm_mad()) {
        let shown = format!("{:?}", CmMad::from_bytes(&mad).unwrap());
        prop_assert!(shown.contains("private_data"));
    }

    #[test]
    fn a_header_field_that_is_not_the_cms_is_named(mut mad in cm_mad(), byte in 0..4_usize, value: u8) {
        let right = mad[byte];
        mad[byte] = value;
        let result = CmMad::from_bytes(&mad);
        let expected = match byte {
            _ if value == right => return Ok(()),
            0 => CmError::BaseVersion(value),
            1 => CmError::MgmtClass(MgmtClass(value)),
            2 => CmError::ClassVersion(value),
            _ => CmError::Method(Method(value)),
        };
        prop_assert_eq!(result, Err(expected));
    }

    #[test]
    fn other_attributes_are_named(mut mad in cm_mad(), attribute: u16) {
        mad[16..18].copy_from_slice(&attribute.to_be_bytes());
        let result = CmMad::from_bytes(&mad);
        if matches!(attribute, 0x10..=0x16 | 0x19 | 0x1a) {
            prop_assert!(result.is_ok());
        } else {
            prop_assert_eq!(result, Err(CmError::Attribute(AttributeId(attribute))));
        }
    }

    #[test]
    fn private_data_is_padded_with_zeros_or_too_long(data in vec(any::<u8>(), 0..=12)) {
        let private = PrivateData::<8>::new(&data);
        prop_assert_eq!(private.is_some(), data.len() <= 8);
        if let Some(private) = private {
            let (used, pad) = private.as_array().split_at(data.len());
            prop_assert_eq!(used, data);
            prop_assert!(pad.iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn ip_cm_headers_are_read_as_they_were_written(
        source_port: u16, source: [u8; 16], destination: [u8; 16], v6: bool, data in vec(any::<u8>(), 0..=60),
    ) {
        let v4 = |bytes: [u8; 16]| <[u8; 4]>::try_from(&bytes[..4]).unwrap().into();
        let addresses = if v6 {
            IpCmAddresses::V6 { source: source.into(), destination: destination.into() }
        } else {
            IpCmAddresses::V4 { source: v4(source), destination: v4(destination) }
        };
        let header = IpCmHeader { source_port, addresses };
        let private = header.private_data(&data);
        prop_assert_eq!(private.is_some(), data.len() <= 56);
        if let Some(private) = private {
            let (again, consumer) = IpCmHeader::parse(&private).unwrap();
            prop_assert_eq!(again, header);
            prop_assert_eq!(&consumer[..data.len()], &data);
        }
    }

    #[test]
    fn any_private_data_has_an_ip_cm_header_or_not(bytes in bytes::<92>()) {
        let private = PrivateData::from_array(bytes);
        let parsed = IpCmHeader::parse(&private);
        prop_assert_eq!(parsed.is_ok(), bytes[0] == 0 && matches!(bytes[1] >> 4, 4 | 6));
    }

    #[test]
    fn service_ids_are_ports_or_not(protocol: u8, port: u16, any: u64) {
        let id = ServiceId::from_port(PortSpace(protocol), port);
        prop_assert_eq!(id.to_port(), Some((PortSpace(protocol), port)));
        prop_assert_eq!(ServiceId(any).to_port().is_some(), any >> 24 == 1);
    }

    #[test]
    fn gids_are_addresses(v4: [u8; 4], v6: [u8; 16]) {
        let v4 = std::net::IpAddr::from(v4);
        prop_assert_eq!(Gid::from(v4).to_ip(), v4);
        prop_assert_eq!(Gid::from(std::net::IpAddr::from(v6)).0, v6);
    }

    #[test]
    fn frames_are_read_as_they_were_written(headers in frame_headers(), payload in vec(any::<u8>(), 0..100)) {
        let frame = Frame { payload: payload_for(&headers, &payload), ..headers };
        let bytes = written(&frame);
        let pad_count = u8::try_from((4 - frame.payload.len() % 4) % 4).unwrap();
        let expected = Frame { bth: Bth { pad_count, ..frame.bth }, ..frame };
        prop_assert_eq!(Frame::parse(&bytes), Ok(expected));
    }

    #[test]
    fn ethernet_padding_is_ignored(headers in frame_headers(), padding in vec(any::<u8>(), 0..60)) {
        let mut bytes = written(&headers);
        let expected = Frame::parse(&bytes).map(|frame| (frame.bth, frame.extended, frame.payload.to_vec()));
        bytes.extend(padding);
        let padded = Frame::parse(&bytes).map(|frame| (frame.bth, frame.extended, frame.payload.to_vec()));
        prop_assert_eq!(padded, expected);
    }

    #[test]
    fn a_management_datagram_arrives(address in frame_address(), psn: u32, mad in bytes::<MAD_LEN>()) {
        let mut buffer = [0; 400];
        let length = write_gsi(&mut buffer, &address, Psn::truncated(psn), &mad).unwrap();
        let frame = Frame::parse(&buffer[..length]).unwrap();
        prop_assert_eq!(frame.gsi_mad(), Ok(&mad));
        prop_assert_eq!(frame.address, address);
    }

    /// What routers may change is seen as changed; anything else, and be it one bit, is an error.
    #[test]
    fn a_flipped_bit_is_noticed(headers in frame_headers(), payload in vec(any::<u8>(), 0..40), position: prop::sample::Index, bit in 0..8_u8) {
        let frame = Frame { payload: payload_for(&headers, &payload), ..headers };
        let mut bytes = written(&frame);
        let ip_length = if matches!(frame.address.ip, IpPair::V4 { .. }) { 20 } else { 40 };
        let position = position.index(bytes.len());
        let udp = 14 + ip_length;
        // Not in any field that is kept: the UDP checksum, which another one-bit change may happen to make right, and resv8a.
        prop_assume!(!(udp + 6..udp + 8).contains(&position) && position != udp + 12);
        let before = format!("{:?}", Frame::parse(&bytes));
        bytes[position] ^= 1 << bit;
        prop_assert_ne!(format!("{:?}", Frame::parse(&bytes)), before);
    }

    #[test]
    fn a_shorter_frame_is_damaged(headers in frame_headers(), payload in vec(any::<u8>(), 0..40), length: prop::sample::Index) {
        let frame = Frame { payload: payload_for(&headers, &payload), ..headers };
        let bytes = written(&frame);
        let result = Frame::parse(&bytes[..length.index(bytes.len())]);
        prop_assert!(matches!(result, Err(FrameError::Truncated(_) | FrameError::IpLength(_))), "{:?}", result);
    }

    #[test]
    fn any_bytes_are_a_frame_or_an_error(bytes in vec(any::<u8>(), 0..400)) {
        prop_assert!(Frame::parse(&bytes).is_err());
    }

    /// Random bytes behind good IP and UDP headers, with a good ICRC or without: the transport headers' turn.
    #[test]
    fn any_bytes_behind_udp_are_a_frame_or_an_error(address in frame_address(), transport in vec(any::<u8>(), 0..100), good_icrc: bool) {
        let carrier = Frame {
            address,
            bth: Bth { opcode: Opcode::RC_SEND_ONLY, ..Bth::default() },
            extended: ExtendedHeaders::default(),
            payload: &transport,
        };
        let mut bytes = written(&carrier);
        let bth = bytes.len() - transport.len().next_multiple_of(4) - 16;
        let end = bytes.len() - 4;
        let copied = transport.len().min(end - bth);
        bytes[bth..bth + copied].copy_from_slice(&transport[..copied]);
        if good_icrc && let Err(FrameError::Icrc { expected, .. }) = Frame::parse(&bytes) {
            bytes[end..].copy_from_slice(&expected.to_le_bytes());
        }
        if let Ok(frame) = Frame::parse(&bytes) {
            let _ = frame.gsi_mad();
            let again = written(&frame);
            prop_assert_eq!(Frame::parse(&again), Ok(frame));
        }
    }

    #[test]
    fn what_is_not_ip_is_for_others(mut bytes in vec(any::<u8>(), 14..80), ether_type: u16) {
        prop_assume!(![EtherType::IPV4, EtherType::IPV6].contains(&EtherType(ether_type)));
        bytes[12..14].copy_from_slice(&ether_type.to_be_bytes());
        prop_assert!(matches!(Frame::parse(&bytes), Err(FrameError::NotRoce(_))));
    }

    #[test]
    fn a_buffer_that_is_too_small_is_refused(headers in frame_headers(), length: prop::sample::Index) {
        let needed = written(&headers).len();
        let mut buffer = vec![0; length.index(needed)];
        prop_assert!(headers.write(&mut buffer).is_err());
        prop_assert!(buffer.iter().all(|byte| *byte == 0), "nothing is written");
    }
}
