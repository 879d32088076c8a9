//! Queue pairs: the object, its work queues and its transport.

use std::sync::Arc;

use roce_wire::frame::IpPair;
use roce_wire::gid::Gid as WireGid;
use roce_wire::num::{Psn, Qpn};
use vrnic_abi::doorbell;
use vrnic_abi::resource::{
    QP_ATTR_LIMITS, QP_ATTR_PATH, QP_ATTR_RECEIVE, QP_ATTR_SEND, QP_PRIVILEGED, QP_SRQ, QPN_INDEX_MASK,
    QpCreate, QpModify, QpState,
};
use zerocopy::FromZeros;

use super::access::Rights;
use super::receive_queue::ReceiveRing;
use super::send_queue::SendQueue;
use crate::gid_table::Gid;
use crate::rc::{self, Limits, Path, ReceiveAttributes, SendAttributes, TransportConfig};

/// Queue pairs that there can be.
pub(crate) const MAX_QUEUE_PAIRS: u32 = 16384;
/// The first index of a queue pair: 0 and 1 are the management queue pairs of the port.
pub(crate) const FIRST_QUEUE_PAIR: u32 = 2;
static_assertions::const_assert!(FIRST_QUEUE_PAIR + MAX_QUEUE_PAIRS <= doorbell::MAX_OBJECTS);
/// READs that a queue pair serves at the same time.
pub(crate) const MAX_INBOUND_READS: u8 = 16;
/// READs that a queue pair issues at the same time.
pub(crate) const MAX_OUTBOUND_READS: u8 = 128;

/// One queue pair.
pub(crate) struct QueuePair {
    pub queues: Queues,
    pub transport: rc::QueuePair,
}

/// All of a queue pair but its transport.
pub(crate) struct Queues {
    pub qpn: u32,
    /// As it was created.
    pub create: QpCreate,
    pub attributes: Attributes,
    pub sq: SendQueue,
    /// None with a shared receive queue.
    pub rq: Option<ReceiveRing>,
    /// Something of it makes no sense: it goes to ERROR.
    pub condemned: bool,
}

/// What `MODIFY_QP` has set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes(pub QpModify);

impl QueuePair {
    /// A queue pair in INIT.
    pub fn new(
        qpn: u32,
        create: QpCreate,
        sq: SendQueue,
        rq: Option<ReceiveRing>,
        config: Arc<TransportConfig>,
    ) -> Self {
        Self {
            queues: Queues {
                qpn,
                create,
                attributes: Attributes(QpModify::new_zeroed()),
                sq,
                rq,
                condemned: false,
            },
            transport: rc::QueuePair::new(Qpn::truncated(qpn), config),
        }
    }

    /// What `QUERY_QP` returns.
    pub fn query(&self) -> QpModify {
        let state = vrnic_abi::resource::QP_ATTR_STATE;
        QpModify {
            mask: (state | QP_ATTR_PATH | QP_ATTR_RECEIVE | QP_ATTR_SEND | QP_ATTR_LIMITS).into(),
            state: self.transport.state().0,
            ..self.queues.attributes.0
        }
    }

    /// Is in ERROR.
    pub fn is_dead(&self) -> bool {
        self.transport.state() == QpState::ERROR
    }
}

impl Queues {
    /// The index of the doorbells.
    pub const fn index(&self) -> u32 {
        self.qpn & QPN_INDEX_MASK
    }

    /// The shared receive queue, if there is one.
    pub fn srqn(&self) -> Option<u32> {
        (self.create.flags.get() & QP_SRQ != 0).then(|| self.create.srqn.get())
    }

    /// What it may do with memory.
    pub(super) fn rights(&self) -> Rights {
        Rights {
            qpn: self.qpn,
            pdn: self.create.pdn.get(),
            privileged: self.create.flags.get() & QP_PRIVILEGED != 0,
            remote: self.attributes.0.access.get(),
        }
    }
}

impl Attributes {
    /// These, with the fields of `new` that its mask names.
    pub fn merged(self, new: &QpModify) -> Self {
        let mut merged = self.0;
        let has = |bit| new.mask.get() & bit != 0;
        if has(QP_ATTR_PATH) {
            merged.path_mtu_log2 = new.path_mtu_log2;
            merged.dst_mac = new.dst_mac;
            merged.gid_index = new.gid_index;
            merged.dst_gid = new.dst_gid;
            merged.udp_src_port = new.udp_src_port;
            merged.traffic_class = new.traffic_class;
            merged.hop_limit = new.hop_limit;
        }
        if has(QP_ATTR_RECEIVE) {
            merged.dst_qpn = new.dst_qpn;
            merged.rq_psn = new.rq_psn;
        }
        if has(QP_ATTR_SEND) {
            merged.sq_psn = new.sq_psn;
            merged.timeout = new.timeout;
            merged.retry_count = new.retry_count;
            merged.rnr_retry = new.rnr_retry;
        }
        if has(QP_ATTR_LIMITS) {
            merged.max_inbound_reads = new.max_inbound_reads;
            merged.max_outbound_reads = new.max_outbound_reads;
            merged.min_rnr_timer = new.min_rnr_timer;
            merged.access = new.access;
        }
        Self(merged)
    }

    /// The path that leaves from `source`; None if its address is of another family than the peer's.
    pub fn path(&self, source_mac: [u8; 6], source: Gid) -> Option<Path> {
        let Self(new) = self;
        Some(Path {
            source_mac,
            destination_mac: new.dst_mac,
            vlan_tag: source.vlan,
            ip: IpPair::new(WireGid(source.addr).to_ip(), WireGid(new.dst_gid).to_ip())?,
            udp_source_port: new.udp_src_port.get(),
            traffic_class: new.traffic_class,
            hop_limit: new.hop_limit,
            mtu_log2: new.path_mtu_log2,
        })
    }

    /// For the responder.
    pub fn receive(&self) -> ReceiveAttributes {
        ReceiveAttributes {
            peer_qpn: Qpn::truncated(self.0.dst_qpn.get()),
            psn: Psn::truncated(self.0.rq_psn.get()),
        }
    }

    /// For the requester.
    pub fn send(&self) -> SendAttributes {
        SendAttributes {
            psn: Psn::truncated(self.0.sq_psn.get()),
            timeout: self.0.timeout,
            retry_count: self.0.retry_count,
            rnr_retry: self.0.rnr_retry,
        }
    }

    /// For both.
    pub fn limits(&self) -> Limits {
        Limits {
            max_inbound_reads: self.0.max_inbound_reads,
            max_outbound_reads: self.0.max_outbound_reads,
            min_rnr_timer: self.0.min_rnr_timer,
        }
    }
}
