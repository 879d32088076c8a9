//! One case for each thing that can be wrong with a frame, and the error that names it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use roce_wire::aeth::{AckKind, Aeth, NakCode};
use roce_wire::bth::{Bth, Opcode};
use roce_wire::cm::{CmMad, CommId, PrivateData, Rej};
use roce_wire::deth::Deth;
use roce_wire::eth::{EtherType, MacAddr};
use roce_wire::frame::{
    BuildError, ExtendedHeaders, Frame, FrameAddress, FrameError, GSI_IPV4_LEN, GSI_IPV6_LEN, GsiError,
    IpPair, Layer, NotRoce, write_gsi,
};
use roce_wire::icrc;
use roce_wire::ipv4::{Ipv4Error, Ipv4Header};
use roce_wire::ipv6::Ipv6VersionError;
use roce_wire::mad::GSI_Q_KEY;
use roce_wire::num::{Psn, Qpn, Timeout};

const ETH: usize = 0;
const IP: usize = 14;
const UDP: usize = 34;
const BTH: usize = 42;

fn address(v6: bool) -> FrameAddress {
    let ip: [IpAddr; 2] = if v6 {
        [Ipv6Addr::LOCALHOST.into(), Ipv6Addr::UNSPECIFIED.into()]
    } else {
        [Ipv4Addr::LOCALHOST.into(), Ipv4Addr::BROADCAST.into()]
    };
    FrameAddress {
        source_mac: MacAddr([2, 0, 0, 0, 0, 1]),
        destination_mac: MacAddr::BROADCAST,
        ip: IpPair::new(ip[0], ip[1]).expect("one family"),
        udp_source_port: 0xc000,
        traffic_class: 0,
        hop_limit: 64,
    }
}

fn reject(v6: bool) -> Vec<u8> {
    let rej = Rej {
        remote_comm_id: CommId(7),
        private_data: PrivateData::new(b"no").expect("fits"),
        ..Rej::default()
    };
    let mut buffer = vec![0; 400];
    let length = write_gsi(
        &mut buffer,
        &address(v6),
        Psn::default(),
        &CmMad::new(1, rej).to_bytes(),
    )
    .expect("fits");
    buffer.truncate(length);
    buffer
}

/// Writes the checksums of a changed IPv4 frame anew.
fn repaired(mut frame: Vec<u8>) -> Vec<u8> {
    frame[IP + 10..IP + 12].fill(0);
    let sum = frame[IP..UDP]
        .as_chunks::<2>()
        .0
        .iter()
        .map(|word| u32::from(u16::from_be_bytes(*word)))
        .sum::<u32>();
    let folded = (sum & 0xffff) + (sum >> 16);
    frame[IP + 10..IP + 12].copy_from_slice(&(!u16::try_from(folded & 0xffff).unwrap()).to_be_bytes());
    with_icrc(frame)
}

fn with_icrc(mut frame: Vec<u8>) -> Vec<u8> {
    let end = frame.len() - icrc::LEN;
    let part = |from: usize| &frame[from..];
    let icrc = icrc::ipv4(
        part(IP).first_chunk().unwrap(),
        *part(UDP).first_chunk().unwrap(),
        part(BTH).first_chunk().unwrap(),
        &frame[BTH + Bth::LEN..end],
    );
    frame[end..].copy_from_slice(&icrc.to_le_bytes());
    frame
}

/// What becomes of a good IPv4 frame with `bytes` at `offset`, its checksums right again.
fn changed(offset: usize, bytes: &[u8]) -> Result<(), FrameError> {
    let mut frame = reject(false);
    frame[offset..offset + bytes.len()].copy_from_slice(bytes);
    Frame::parse(&repaired(frame)).map(drop)
}

#[test]
fn the_unchanged_frame_is_good() {
    assert_eq!(changed(0, &[]), Ok(()));
    assert_eq!(reject(false).len(), GSI_IPV4_LEN);
    assert_eq!(reject(true).len(), GSI_IPV6_LEN);
    assert!(Frame::parse(&reject(true)).is_ok());
}

#[test]
fn what_is_not_roce_is_said() {
    let cases = [
        (ETH + 12, &[0x81, 0x00][..], NotRoce::EtherType(EtherType::VLAN)),
        (ETH + 12, &[0x08, 0x06], NotRoce::EtherType(EtherType::ARP)),
        (IP, &[0x46], NotRoce::Ipv4Options(6)),
        (IP + 6, &[0x20, 0], NotRoce::Fragment),
        (IP + 6, &[0, 1], NotRoce::Fragment),
        (IP + 9, &[6], NotRoce::IpProtocol(6)),
        (UDP + 2, &[0, 53], NotRoce::UdpPort(53)),
    ];
    for (offset, bytes, expected) in cases {
        assert_eq!(changed(offset, bytes), Err(FrameError::NotRoce(expected)));
    }
}

#[test]
fn what_is_not_roce_is_not_checked_further() {
    let mut frame = reject(false);
    frame[UDP + 3] = 53;
    frame[IP + 10] ^= 0xff;
    frame[IP + 3] = 0xff;
    assert_eq!(
        Frame::parse(&frame).map(drop),
        Err(FrameError::NotRoce(NotRoce::UdpPort(0x1235)))
    );
}

#[test]
fn damage_is_named() {
    let cases = [
        (IP, &[0x55][..], FrameError::Ipv4(Ipv4Error::Version(5))),
        (IP, &[0x44], FrameError::Ipv4(Ipv4Error::HeaderLength(4))),
        (IP + 2, &[0, 19], FrameError::IpLength(19)),
        (IP + 2, &[0xff, 0xff], FrameError::IpLength(0xffff)),
        (IP + 2, &[0, 27], FrameError::UdpLength(288)),
        (UDP + 4, &[0, 8], FrameError::UdpLength(8)),
        (UDP + 6, &[0x12, 0x34], FrameError::UdpChecksum),
        (BTH + 1, &[0x01], FrameError::TransportVersion(1)),
        (BTH, &[0x15], FrameError::Opcode(Opcode(0x15))),
        (BTH, &[0xff], FrameError::Opcode(Opcode(0xff))),
        // An acknowledgement has no payload.
        (BTH, &[0x11], FrameError::PayloadLength { length: 260, pad: 0 }),
    ];
    for (offset, bytes, expected) in cases {
        assert_eq!(changed(offset, bytes), Err(expected));
    }
}

#[test]
fn wrong_checksums_are_named() {
    let mut frame = reject(false);
    frame[IP + 10] ^= 1;
    assert_eq!(Frame::parse(&frame).map(drop), Err(FrameError::Ipv4Checksum));
    for v6 in [false, true] {
        let mut frame = reject(v6);
        let end = frame.len() - icrc::LEN;
        let expected = u32::from_le_bytes(frame[end..].try_into().unwrap());
        frame[end] ^= 1;
        assert_eq!(
            Frame::parse(&frame).map(drop),
            Err(FrameError::Icrc {
                found: expected ^ 1,
                expected
            })
        );
    }
}

#[test]
fn an_ipv6_version_is_checked() {
    let mut frame = reject(true);
    frame[IP] = 0x40;
    assert_eq!(
        Frame::parse(&frame).map(drop),
        Err(FrameError::Ipv6(Ipv6VersionError(4)))
    );
}

#[test]
fn a_right_udp_checksum_is_accepted() {
    let mut frame = reject(false);
    let datagram = &frame[UDP..];
    let words = |bytes: &[u8]| {
        bytes
            .as_chunks::<2>()
            .0
            .iter()
            .map(|word| u32::from(u16::from_be_bytes(*word)))
            .sum::<u32>()
    };
    let mut sum = words(datagram) + words(&frame[IP + 12..UDP]) + 17 + u32::try_from(datagram.len()).unwrap();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    frame[UDP + 6..UDP + 8].copy_from_slice(&(!u16::try_from(sum).unwrap()).to_be_bytes());
    assert_eq!(Frame::parse(&frame).map(drop), Ok(()));
}

#[test]
fn a_frame_ends_in_each_layer() {
    let frame = reject(false);
    for (length, layer) in [
        (0, Layer::Ethernet),
        (13, Layer::Ethernet),
        (33, Layer::Ip),
        (41, Layer::Udp),
    ] {
        assert_eq!(
            Frame::parse(&frame[..length]).map(drop),
            Err(FrameError::Truncated(layer))
        );
    }
    // Packets that say themselves that they are so short.
    for (length, layer) in [
        (BTH + 11, Layer::Bth),
        (BTH + 15, Layer::Icrc),
        (BTH + 12 + 7 + 4, Layer::Extended),
    ] {
        let mut short = frame[..length].to_vec();
        let ip_length = u16::try_from(length - IP).unwrap();
        short[IP + 2..IP + 4].copy_from_slice(&ip_length.to_be_bytes());
        short[UDP + 4..UDP + 6].copy_from_slice(&(ip_length - 20).to_be_bytes());
        let short = if length >= BTH + 16 {
            repaired(short)
        } else {
            with_checksum_only(short)
        };
        assert_eq!(Frame::parse(&short).map(drop), Err(FrameError::Truncated(layer)));
    }
}

fn with_checksum_only(mut frame: Vec<u8>) -> Vec<u8> {
    let header = Ipv4Header::from_bytes(frame[IP..].first_chunk().unwrap()).expect("a header");
    frame[IP..UDP].copy_from_slice(&header.to_bytes());
    frame
}

#[test]
fn a_pad_must_fit() {
    let frame = Frame {
        address: address(false),
        bth: Bth {
            opcode: Opcode::RC_SEND_ONLY,
            ..Bth::default()
        },
        extended: ExtendedHeaders::default(),
        payload: &[],
    };
    let mut buffer = vec![0; 100];
    let length = frame.write(&mut buffer).expect("fits");
    buffer.truncate(length);
    buffer[BTH + 1] = 0x10;
    let parsed = Frame::parse(&repaired(buffer)).map(drop);
    assert_eq!(parsed, Err(FrameError::PayloadLength { length: 0, pad: 1 }));
}

#[test]
fn what_is_not_for_the_gsi_is_said() {
    let deth = Deth {
        q_key: GSI_Q_KEY,
        source_qp: Qpn::GSI,
    };
    let good = Frame {
        address: address(false),
        bth: Bth {
            opcode: Opcode::UD_SEND_ONLY,
            dest_qp: Qpn::GSI,
            ..Bth::default()
        },
        extended: ExtendedHeaders {
            deth: Some(deth),
            ..ExtendedHeaders::default()
        },
        payload: &[0; 256],
    };
    assert!(good.gsi_mad().is_ok());
    let opcode = Opcode::UD_SEND_ONLY_WITH_IMMEDIATE;
    assert_eq!(
        Frame {
            bth: Bth { opcode, ..good.bth },
            ..good
        }
        .gsi_mad(),
        Err(GsiError::Opcode(opcode))
    );
    let dest_qp = Qpn::truncated(2);
    assert_eq!(
        Frame {
            bth: Bth { dest_qp, ..good.bth },
            ..good
        }
        .gsi_mad(),
        Err(GsiError::DestQp(dest_qp))
    );
    let extended = ExtendedHeaders {
        deth: Some(Deth { q_key: 5, ..deth }),
        ..good.extended
    };
    assert_eq!(Frame { extended, ..good }.gsi_mad(), Err(GsiError::QKey(5)));
    for length in [0, 255, 257] {
        assert_eq!(
            Frame {
                payload: &[0; 300][..length],
                ..good
            }
            .gsi_mad(),
            Err(GsiError::Length(length))
        );
    }
}

#[test]
fn what_cannot_be_built_is_said() {
    let mut buffer = vec![0; 80_000];
    let frame = |opcode, payload| Frame {
        address: address(false),
        bth: Bth {
            opcode,
            ..Bth::default()
        },
        extended: ExtendedHeaders::default(),
        payload,
    };
    let unknown = Opcode(0xc0);
    assert_eq!(
        frame(unknown, &[]).write(&mut buffer),
        Err(BuildError::Headers(unknown))
    );
    let missing = Opcode::UD_SEND_ONLY;
    assert_eq!(
        frame(missing, &[]).write(&mut buffer),
        Err(BuildError::Headers(missing))
    );
    let payload = Frame {
        extended: ExtendedHeaders {
            aeth: Some(Aeth::default()),
            ..ExtendedHeaders::default()
        },
        ..frame(Opcode::RC_ACKNOWLEDGE, &[1])
    };
    assert_eq!(
        payload.write(&mut buffer),
        Err(BuildError::Headers(Opcode::RC_ACKNOWLEDGE))
    );
    let long = vec![0; 0xffff];
    assert_eq!(
        frame(Opcode::RC_SEND_ONLY, &long).write(&mut buffer),
        Err(BuildError::PayloadTooLong)
    );
    // Fits into UDP's length but not into IPv4's.
    assert_eq!(
        frame(Opcode::RC_SEND_ONLY, &long[..0xffe4]).write(&mut buffer),
        Err(BuildError::PayloadTooLong)
    );
    assert!(
        frame(Opcode::RC_SEND_ONLY, &long[..0xffd0])
            .write(&mut buffer)
            .is_ok()
    );
    assert_eq!(
        frame(Opcode::RC_SEND_ONLY, &[]).write(&mut [0; 57]),
        Err(BuildError::BufferTooSmall(58))
    );
}

#[test]
fn families_do_not_mix() {
    assert_eq!(
        IpPair::new(Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()),
        None
    );
}

#[test]
fn a_syndrome_has_a_meaning() {
    let kind = |syndrome| {
        Aeth {
            syndrome,
            ..Aeth::default()
        }
        .kind()
    };
    assert_eq!(kind(0x1f), AckKind::Ack { credits: 31 });
    assert_eq!(kind(0x2c), AckKind::RnrNak { timer: 12 });
    assert_eq!(kind(0x62), AckKind::Nak(NakCode::REMOTE_ACCESS_ERROR));
    assert_eq!(kind(0x40), AckKind::Reserved);
    assert_eq!(kind(0x80), AckKind::Reserved);
}

#[test]
fn a_timeout_is_an_exponent() {
    assert_eq!(Timeout::truncated(0).nanoseconds(), 4096);
    assert_eq!(Timeout::truncated(20).nanoseconds(), 4_294_967_296);
    assert_eq!(Timeout::new(32), None);
}

#[test]
fn ari_is_never_longer_than_there_is() {
    let rej = Rej {
        reject_info_length: 127,
        ..Rej::default()
    };
    assert_eq!(rej.ari().len(), 72);
    assert_eq!(
        Rej {
            reject_info_length: 2,
            ..rej
        }
        .ari()
        .len(),
        2
    );
}
