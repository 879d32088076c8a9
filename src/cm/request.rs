//! What a REQ asks for, checked; and the facts that the consumer and the queue pair get from it.

use core::net::{IpAddr, SocketAddr};

use roce_wire::cm::{Mtu, Rej, RejectReason, Req, TransportService};
use roce_wire::gid::Gid;
use roce_wire::ip_cm::{CONSUMER_PRIVATE_DATA_LEN, IpCmHeader, PortSpace};
use roce_wire::num::{Psn, Qpn, RetryCount, Timeout};

use super::address::AddressHandle;
use super::table::ConnectionId;

/// A peer wants to connect: for the consumer's connect event. `C` is the context of the listener.
#[derive(Clone, Debug)]
pub struct ConnectRequest<C> {
    /// Names the connection from now on. It is held until it is accepted, rejected, refused or closed.
    pub connection: ConnectionId,
    /// The context that the listener was given.
    pub listener: C,
    /// Our address and port.
    pub local: SocketAddr,
    /// The peer's.
    pub peer: SocketAddr,
    /// The way to the peer's CM.
    pub address: AddressHandle,
    /// What the peer offers.
    pub offer: Offer,
}

/// What a REQ says about the connection to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The peer's queue pair and how it wants to be talked to.
    pub qp: RemoteQp,
    /// How many READs the peer wants to have under way: bounds our inbound read limit.
    pub initiator_depth: u8,
    /// How many READs the peer can serve at a time: bounds our outbound read limit.
    pub responder_resources: u8,
    /// The peer's private data, padded with zeros.
    pub private_data: [u8; CONSUMER_PRIVATE_DATA_LEN],
}

/// The peer's queue pair, as a REQ describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteQp {
    /// Its number.
    pub qpn: Qpn,
    /// The first packet sequence number that we should use.
    pub starting_psn: Psn,
    /// Payload size of the path, a known code.
    pub path_mtu: Mtu,
    /// How often we should send a packet again that is not acknowledged.
    pub retry_count: RetryCount,
    /// How often we should send a packet again that the peer was not ready for.
    pub rnr_retry_count: RetryCount,
    /// How long the peer waits for an acknowledgement of ours.
    pub local_ack_timeout: Timeout,
    /// It uses a shared receive queue.
    pub srq: bool,
}

/// A REQ that has passed all checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckedRequest {
    /// Our address and port.
    pub local: SocketAddr,
    /// The peer's.
    pub peer: SocketAddr,
    /// What the peer offers.
    pub offer: Offer,
}

/// Why a REQ is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unserved {
    /// What the REJ has to say.
    pub reason: RejectReason,
    /// The payload size that would be acceptable, if that is it.
    path_mtu: Option<Mtu>,
}

impl From<RejectReason> for Unserved {
    fn from(reason: RejectReason) -> Self {
        Self {
            reason,
            path_mtu: None,
        }
    }
}

impl Unserved {
    /// Puts into the REJ what would be acceptable (IBTA table 109).
    pub fn explain(self, rej: &mut Rej) {
        if let Some(path_mtu) = self.path_mtu {
            rej.reject_info_length = 1;
            rej.ari[0] = path_mtu.get() << 4;
        }
    }
}

impl CheckedRequest {
    /// Checks a REQ that came `from` there, for a port that can do payloads of `path_mtu`.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn new(from: &AddressHandle, req: &Req, path_mtu: Mtu) -> Result<Self, Unserved> {
        if req.transport_service != TransportService::RC {
            return Err(RejectReason::INVALID_TRANSPORT_SERVICE_TYPE.into());
        }
        let Some((PortSpace::TCP, port)) = req.service_id.to_port() else {
            return Err(RejectReason::INVALID_SERVICE_ID.into());
        };
        let Ok((header, private_data)) = IpCmHeader::parse(&req.private_data) else {
            return Err(RejectReason::UNSUPPORTED_REQUEST.into());
        };
        let (source, destination) = (header.addresses.source(), header.addresses.destination());
        // The consumer believes these addresses: they have to be those of the packet (annex A17: a GID is an IP address).
        if !is_address_of(destination, from.local_gid) {
            return Err(RejectReason::PRIMARY_REMOTE_PORT_GID_REJECTED.into());
        }
        if !is_address_of(source, from.gid) {
            return Err(RejectReason::UNSUPPORTED_REQUEST.into());
        }
        if req.path_mtu.bytes().is_none() || req.path_mtu > path_mtu {
            return Err(Unserved {
                reason: RejectReason::INVALID_PATH_MTU,
                path_mtu: Some(path_mtu),
            });
        }
        Ok(Self {
            local: SocketAddr::new(destination, port),
            peer: SocketAddr::new(source, header.source_port),
            offer: Offer {
                qp: RemoteQp {
                    qpn: req.local_qpn,
                    starting_psn: req.starting_psn,
                    path_mtu: req.path_mtu,
                    retry_count: req.retry_count,
                    rnr_retry_count: req.rnr_retry_count,
                    local_ack_timeout: req.primary_path.local_ack_timeout,
                    srq: req.srq,
                },
                initiator_depth: req.initiator_depth,
                responder_resources: req.responder_resources,
                private_data: *private_data,
            },
        })
    }
}

fn is_address_of(ip: IpAddr, gid: Gid) -> bool {
    Gid::from(ip) == gid
}
