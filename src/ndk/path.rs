//! The path of a connection, and what its queue pair is told of it.

use roce_wire::cm::Mtu;
use roce_wire::num::Qpn;
use vrnic_abi::resource::{
    ACCESS_REMOTE_READ, ACCESS_REMOTE_WRITE, QP_ATTR_LIMITS, QP_ATTR_PATH, QP_ATTR_RECEIVE, QP_ATTR_SEND,
    QP_ATTR_STATE, QpModify, QpState,
};
use zerocopy::FromZeros;

use super::connector::machine::QpAction;
use crate::cm::{HOP_LIMIT, QpParameters};

/// Bytes of a packet around its payload, at most: IPv6 header, UDP, base transport header, the largest of the extension
/// headers (that of an atomic operation) with an XRC header before it, ICRC. Linux counts so too, so that both ends of a link
/// come to the same path MTU.
const OVERHEAD: u32 = 40 + 8 + 12 + 28 + 4 + 4;

/// The RNR timer that peers are asked to use: 0.64 ms (IBTA table 45). The device holds an early SEND for much longer before it
/// asks at all.
const RNR_TIMER: u8 = 12;
/// The largest path MTU that packets on a link of `link_mtu` bytes (of IP packet) have room for, at most `limit` bytes; `None` if
/// not even the smallest one fits.
#[must_use]
pub fn path_mtu(link_mtu: u32, limit: u32) -> Option<Mtu> {
    let fits = |mtu: &Mtu| {
        mtu.bytes()
            .is_some_and(|bytes| bytes <= limit && bytes + OVERHEAD <= link_mtu)
    };
    [Mtu::B4096, Mtu::B2048, Mtu::B1024, Mtu::B512, Mtu::B256]
        .into_iter()
        .find(fits)
}

/// The mailbox of `MODIFY_QP` for a change of state of a queue pair that is to be connected as `qp` says.
#[must_use]
pub fn modify(qp: &QpParameters, action: QpAction) -> QpModify {
    let receive = QP_ATTR_PATH | QP_ATTR_RECEIVE | QP_ATTR_LIMITS;
    let (state, mask) = match action {
        QpAction::Receive => (QpState::RTR, receive),
        QpAction::Send => (QpState::RTS, QP_ATTR_SEND),
        QpAction::Connect => (QpState::RTS, receive | QP_ATTR_SEND),
        QpAction::Flush => (QpState::ERROR, 0),
    };
    let mut modify = QpModify::new_zeroed();
    modify.mask = (QP_ATTR_STATE | mask).into();
    modify.state = state.0;
    if mask & QP_ATTR_PATH != 0 {
        fill_receive(qp, &mut modify);
    }
    if mask & QP_ATTR_SEND != 0 {
        // A CM message names the number from which on its receiver sends (IBTA 12.7.31), so the peer's is ours to send with.
        modify.sq_psn = qp.remote.starting_psn.get().into();
        modify.timeout = qp.remote.local_ack_timeout.get();
        modify.retry_count = qp.remote.retry_count.get();
        modify.rnr_retry = qp.remote.rnr_retry_count.get();
    }
    modify
}

fn fill_receive(qp: &QpParameters, modify: &mut QpModify) {
    let limit = |reads: u32| u8::try_from(reads).unwrap_or(u8::MAX);
    modify.path_mtu_log2 = log2(qp.remote.path_mtu);
    modify.dst_mac = qp.to.mac;
    modify.gid_index = qp.to.gid_index.into();
    modify.dst_gid = qp.to.gid.0;
    modify.udp_src_port = flow_port(qp.local_qpn, qp.remote.qpn).into();
    modify.traffic_class = qp.to.traffic_class & !ECN;
    modify.hop_limit = HOP_LIMIT;
    modify.dst_qpn = qp.remote.qpn.get().into();
    modify.rq_psn = qp.receive_psn.get().into();
    modify.max_inbound_reads = limit(qp.limits.inbound);
    modify.max_outbound_reads = limit(qp.limits.outbound);
    modify.min_rnr_timer = RNR_TIMER;
    // What may be accessed is the regions' business.
    modify.access = (ACCESS_REMOTE_READ | ACCESS_REMOTE_WRITE).into();
}

/// The congestion bits of a traffic class, which are not part of a path.
const ECN: u8 = 0b11;

fn log2(mtu: Mtu) -> u8 {
    mtu.bytes()
        .and_then(u32::checked_ilog2)
        .and_then(|log2| u8::try_from(log2).ok())
        .unwrap_or_default()
}

/// A UDP source port in the range that `RoCEv2` uses for it, the same for both directions and different for most connections,
/// so that the network can spread them.
fn flow_port(one: Qpn, other: Qpn) -> u16 {
    let product = u64::from(one.get()) * u64::from(other.get());
    let folded = product ^ product >> 14 ^ product >> 28 ^ product >> 42;
    0xC000 | u16::try_from(folded & 0x3FFF).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cm::{AddressHandle, ReadLimits, RemoteQp};
    use core::net::IpAddr;
    use roce_wire::gid::Gid;
    use roce_wire::num::{Psn, RetryCount, Timeout};

    #[test]
    fn the_path_mtu_fits_the_link() {
        for (link, limit, expected) in [
            (1500, 4096, Some(1024)),
            (4200, 4096, Some(4096)),
            (4191, 4096, Some(2048)),
            (4192, 4096, Some(4096)),
            (9000, 4096, Some(4096)),
            (9000, 1024, Some(1024)),
            (9000, 1500, Some(1024)),
            (352, 4096, Some(256)),
            (351, 4096, None),
            (0, 4096, None),
            (9000, 0, None),
        ] {
            assert_eq!(
                path_mtu(link, limit).and_then(Mtu::bytes),
                expected,
                "{link} {limit}"
            );
        }
    }

    fn parameters() -> QpParameters {
        QpParameters {
            to: AddressHandle {
                mac: [2, 0, 0, 0, 0, 9],
                gid: Gid::from(IpAddr::from([10, 0, 0, 9])),
                local_gid: Gid::from(IpAddr::from([10, 0, 0, 1])),
                gid_index: 3,
                qpn: Qpn::GSI,
                udp_src_port: 0xC001,
                traffic_class: 0x6B,
            },
            local_qpn: Qpn::truncated(0x01_0002),
            receive_psn: Psn::truncated(100),
            limits: ReadLimits {
                inbound: 4,
                outbound: 8,
            },
            remote: RemoteQp {
                qpn: Qpn::truncated(0x02_0003),
                starting_psn: Psn::truncated(200),
                path_mtu: Mtu::B2048,
                local_ack_timeout: Timeout::truncated(18),
                retry_count: RetryCount::truncated(3),
                rnr_retry_count: RetryCount::truncated(2),
                srq: false,
            },
        }
    }

    #[test]
    fn both_ways_to_rts_say_the_same() {
        let qp = parameters();
        let (receive, send) = (modify(&qp, QpAction::Receive), modify(&qp, QpAction::Send));
        let connect = modify(&qp, QpAction::Connect);
        assert_eq!(
            connect.mask.get(),
            receive.mask.get() | send.mask.get(),
            "nothing is left out"
        );
        assert_eq!((receive.state, send.state, connect.state), (2, 3, 3));
        assert_eq!(connect.path_mtu_log2, 11);
        assert_eq!((connect.max_inbound_reads, connect.max_outbound_reads), (4, 8));
        assert_eq!((connect.dst_qpn.get(), connect.gid_index.get()), (0x02_0003, 3));
        assert_eq!((connect.sq_psn.get(), connect.rq_psn.get()), (200, 100));
        assert_eq!(
            (connect.timeout, connect.retry_count, connect.rnr_retry),
            (18, 3, 2)
        );
        assert_eq!(connect.traffic_class, 0x68, "without congestion bits");
        assert_eq!((send.sq_psn.get(), send.timeout), (200, 18));
        assert_eq!(receive.dst_mac, qp.to.mac);
    }

    #[test]
    fn a_flush_says_nothing_but_the_state() {
        let flush = modify(&parameters(), QpAction::Flush);
        assert_eq!((flush.mask.get(), flush.state), (QP_ATTR_STATE, 4));
        assert_eq!(flush.dst_qpn.get(), 0);
    }

    #[test]
    fn ports_are_in_range_and_the_same_both_ways() {
        let (one, other) = (Qpn::truncated(0xFF_FFFF), Qpn::truncated(17));
        assert_eq!(flow_port(one, other), flow_port(other, one));
        assert!(flow_port(one, other) >= 0xC000);
        assert_ne!(flow_port(one, other), flow_port(one, Qpn::truncated(18)));
    }
}
