//! The path of a connection and what its queue pair is told of it: path MTU, read limits, retries, addresses.

use roce_wire::cm::Mtu;
use roce_wire::num::{Psn, Qpn, RetryCount, Timeout};
use vrnic_abi::resource::{
    ACCESS_REMOTE_READ, ACCESS_REMOTE_WRITE, QP_ATTR_LIMITS, QP_ATTR_PATH, QP_ATTR_RECEIVE, QP_ATTR_SEND,
    QP_ATTR_STATE, QpModify, QpState,
};
use zerocopy::FromZeros;

use super::connector::machine::QpAction;
use crate::cm::{AddressHandle, HOP_LIMIT};

/// Bytes of a packet around its payload, at most: IPv6 header, UDP, base transport header, the largest of the extension
/// headers (that of an atomic operation) with an XRC header before it, ICRC. Linux counts so too, so that both ends of a link
/// come to the same path MTU.
const OVERHEAD: u32 = 40 + 8 + 12 + 28 + 4 + 4;

/// The RNR timer that peers are asked to use: 0.64 ms (IBTA table 45). The device holds an early SEND for much longer before it
/// asks at all.
const RNR_TIMER: u8 = 12;
/// How long our queue pairs wait for an acknowledgement: 67 ms, unless the peer wants more.
pub const LOCAL_ACK_TIMEOUT: Timeout = Timeout::truncated(14);
/// How often packets are sent again that nobody acknowledges: as often as can be.
pub const RETRY_COUNT: RetryCount = RetryCount::MAX;
/// How often a peer that is not ready is asked again. 7 would be for ever, which NDK does not want: a send that nobody
/// receives ends in `STATUS_IO_TIMEOUT`.
pub const RNR_RETRY_COUNT: RetryCount = RetryCount::truncated(6);

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

/// How many RDMA READs may be under way, of the peer's (inbound) and of ours (outbound).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadLimits {
    /// That we serve at a time.
    pub inbound: u8,
    /// That we issue at a time.
    pub outbound: u8,
}

impl ReadLimits {
    /// What a consumer asks for; too much is capped silently (`NdkConnect`, `NdkAccept`).
    #[must_use]
    pub fn capped(inbound: u32, outbound: u32, most: Self) -> Self {
        let cap = |wanted: u32, most: u8| u8::try_from(wanted).unwrap_or(u8::MAX).min(most);
        Self {
            inbound: cap(inbound, most.inbound),
            outbound: cap(outbound, most.outbound),
        }
    }

    /// What comes of our limits and a peer that issues `initiator_depth` READs at a time and serves `responder_resources`.
    #[must_use]
    pub fn with_peer(self, initiator_depth: u8, responder_resources: u8) -> Self {
        Self {
            inbound: self.inbound.min(initiator_depth),
            outbound: self.outbound.min(responder_resources),
        }
    }
}

/// All that a queue pair has to know of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QpPath {
    /// The way to the peer.
    pub address: AddressHandle,
    /// Our queue pair.
    pub local_qpn: Qpn,
    /// The peer's.
    pub remote_qpn: Qpn,
    /// First packet that we send.
    pub local_psn: Psn,
    /// First packet that the peer sends.
    pub remote_psn: Psn,
    /// Payload of a packet.
    pub mtu: Mtu,
    /// Effective limits.
    pub limits: ReadLimits,
    /// How long we wait for an acknowledgement.
    pub ack_timeout: Timeout,
    /// How often we send again what is not acknowledged.
    pub retry_count: RetryCount,
    /// How often we ask again when the peer is not ready.
    pub rnr_retry_count: RetryCount,
}

impl QpPath {
    /// The mailbox of `MODIFY_QP` for a change of state.
    #[must_use]
    pub fn modify(&self, action: QpAction) -> QpModify {
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
            self.fill_receive(&mut modify);
        }
        if mask & QP_ATTR_SEND != 0 {
            modify.sq_psn = self.local_psn.get().into();
            modify.timeout = self.ack_timeout.get().max(LOCAL_ACK_TIMEOUT.get());
            modify.retry_count = self.retry_count.get();
            modify.rnr_retry = self.rnr_retry_count.get();
        }
        modify
    }

    fn fill_receive(&self, modify: &mut QpModify) {
        modify.path_mtu_log2 = log2(self.mtu);
        modify.dst_mac = self.address.mac;
        modify.gid_index = self.address.gid_index.into();
        modify.dst_gid = self.address.gid.0;
        modify.udp_src_port = flow_port(self.local_qpn, self.remote_qpn).into();
        modify.traffic_class = self.address.traffic_class & !ECN;
        modify.hop_limit = HOP_LIMIT;
        modify.dst_qpn = self.remote_qpn.get().into();
        modify.rq_psn = self.remote_psn.get().into();
        modify.max_inbound_reads = self.limits.inbound;
        modify.max_outbound_reads = self.limits.outbound;
        modify.min_rnr_timer = RNR_TIMER;
        // What may be accessed is the regions' business.
        modify.access = (ACCESS_REMOTE_READ | ACCESS_REMOTE_WRITE).into();
    }
}

/// The mailbox of `MODIFY_QP` that moves a queue pair to ERROR, whatever its state.
#[must_use]
pub fn flush() -> QpModify {
    let mut modify = QpModify::new_zeroed();
    modify.mask = QP_ATTR_STATE.into();
    modify.state = QpState::ERROR.0;
    modify
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
    use core::net::IpAddr;
    use roce_wire::gid::Gid;
    use zerocopy::IntoBytes;

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

    #[test]
    fn limits_are_the_least_of_all_three() {
        let most = ReadLimits {
            inbound: 16,
            outbound: 128,
        };
        let own = ReadLimits::capped(1000, u32::MAX, most);
        assert_eq!(own, most);
        let effective = own.with_peer(4, 200);
        assert_eq!((effective.inbound, effective.outbound), (4, 128));
        let own = ReadLimits::capped(2, 3, most).with_peer(0, 2);
        assert_eq!((own.inbound, own.outbound), (0, 2));
    }

    fn path() -> QpPath {
        QpPath {
            address: AddressHandle {
                mac: [2, 0, 0, 0, 0, 9],
                gid: Gid::from(IpAddr::from([10, 0, 0, 9])),
                local_gid: Gid::from(IpAddr::from([10, 0, 0, 1])),
                gid_index: 3,
                qpn: Qpn::GSI,
                udp_src_port: 0xC001,
                traffic_class: 0x6B,
            },
            local_qpn: Qpn::truncated(0x01_0002),
            remote_qpn: Qpn::truncated(0x02_0003),
            local_psn: Psn::truncated(100),
            remote_psn: Psn::truncated(200),
            mtu: Mtu::B2048,
            limits: ReadLimits {
                inbound: 4,
                outbound: 8,
            },
            ack_timeout: Timeout::truncated(18),
            retry_count: RetryCount::truncated(3),
            rnr_retry_count: RetryCount::truncated(2),
        }
    }

    #[test]
    fn both_ways_to_rts_say_the_same() {
        let path = path();
        let (receive, send) = (path.modify(QpAction::Receive), path.modify(QpAction::Send));
        let connect = path.modify(QpAction::Connect);
        assert_eq!(
            connect.mask.get(),
            receive.mask.get() | send.mask.get(),
            "nothing is left out"
        );
        assert_eq!((receive.state, send.state, connect.state), (2, 3, 3));
        assert_eq!(connect.path_mtu_log2, 11);
        assert_eq!((connect.max_inbound_reads, connect.max_outbound_reads), (4, 8));
        assert_eq!((connect.dst_qpn.get(), connect.gid_index.get()), (0x02_0003, 3));
        assert_eq!((connect.sq_psn.get(), connect.rq_psn.get()), (100, 200));
        assert_eq!(
            (connect.timeout, connect.retry_count, connect.rnr_retry),
            (18, 3, 2)
        );
        assert_eq!(connect.traffic_class, 0x68, "without congestion bits");
        assert_eq!((send.sq_psn.get(), send.timeout), (100, 18));
        assert_eq!(receive.dst_mac, path.address.mac);
    }

    #[test]
    fn an_impatient_peer_does_not_shorten_our_timeout() {
        let mut path = path();
        path.ack_timeout = Timeout::truncated(5);
        assert_eq!(path.modify(QpAction::Send).timeout, LOCAL_ACK_TIMEOUT.get());
    }

    #[test]
    fn a_flush_says_nothing_but_the_state() {
        let flush = flush();
        assert_eq!((flush.mask.get(), flush.state), (QP_ATTR_STATE, 4));
        assert_eq!(path().modify(QpAction::Flush).as_bytes(), flush.as_bytes());
    }

    #[test]
    fn ports_are_in_range_and_the_same_both_ways() {
        let (one, other) = (Qpn::truncated(0xFF_FFFF), Qpn::truncated(17));
        assert_eq!(flow_port(one, other), flow_port(other, one));
        assert!(flow_port(one, other) >= 0xC000);
        assert_ne!(flow_port(one, other), flow_port(one, Qpn::truncated(18)));
    }
}
