//! REJ: reject (IBTA 12.6.7, tables 108 and 109).

use core::fmt;

use zerocopy::byteorder::big_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute, transmute_ref};

use super::{CommId, PrivateData};
use crate::mad::DATA_LEN;
use crate::num::narrow_uint;

/// Bytes of private data in a REJ.
pub const REJ_PRIVATE_DATA_LEN: usize = 148;

/// Bytes of additional rejection information in a REJ.
pub const ARI_LEN: usize = 72;

narrow_uint! {
    /// Which message a REJ is about (IBTA 12.7.33).
    MessageRejected: u8, 2
}

impl MessageRejected {
    /// A REQ.
    pub const REQ: Self = Self::truncated(0);
    /// A REP.
    pub const REP: Self = Self::truncated(1);
    /// No message: the sender gave up waiting, or found a stale connection.
    pub const NO_MESSAGE: Self = Self::truncated(2);
}

/// Why a REJ was sent. Values without a name are possible: they come from the wire.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct RejectReason(pub u16);

macro_rules! reject_reasons {
    ($($name:ident = $value:literal, $doc:literal;)*) => {
        impl RejectReason {
            $(#[doc = $doc] pub const $name: Self = Self($value);)*

            /// The reason's name here, if it has one.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

reject_reasons! {
    NO_QP_AVAILABLE = 1, "No queue pair available.";
    NO_EEC_AVAILABLE = 2, "No end-to-end context available.";
    NO_RESOURCES_AVAILABLE = 3, "No resources available.";
    TIMEOUT = 4, "The sender waited for an answer for too long.";
    UNSUPPORTED_REQUEST = 5, "Unsupported request.";
    INVALID_COMMUNICATION_ID = 6, "Invalid communication ID.";
    INVALID_COMMUNICATION_INSTANCE = 7, "Local and remote communication ID, queue pair or end-to-end context do not match.";
    INVALID_SERVICE_ID = 8, "Invalid service ID: nobody listens.";
    INVALID_TRANSPORT_SERVICE_TYPE = 9, "Invalid transport service type.";
    STALE_CONNECTION = 10, "The request names a queue pair that is already connected.";
    RDC_DOES_NOT_EXIST = 11, "Reliable datagram channel does not exist.";
    PRIMARY_REMOTE_PORT_GID_REJECTED = 12, "Primary remote port GID rejected: ARI has an acceptable one.";
    PRIMARY_REMOTE_PORT_LID_REJECTED = 13, "Primary remote port LID rejected: ARI has an acceptable one.";
    INVALID_PRIMARY_SL = 14, "Invalid primary service level: ARI has an acceptable one.";
    INVALID_PRIMARY_TRAFFIC_CLASS = 15, "Invalid primary traffic class: ARI has an acceptable one.";
    INVALID_PRIMARY_HOP_LIMIT = 16, "Invalid primary hop limit: ARI has an acceptable one.";
    INVALID_PRIMARY_PACKET_RATE = 17, "Invalid primary packet rate: ARI has an acceptable one.";
    ALTERNATE_REMOTE_PORT_GID_REJECTED = 18, "Alternate remote port GID rejected: ARI has an acceptable one.";
    ALTERNATE_REMOTE_PORT_LID_REJECTED = 19, "Alternate remote port LID rejected: ARI has an acceptable one.";
    INVALID_ALTERNATE_SL = 20, "Invalid alternate service level: ARI has an acceptable one.";
    INVALID_ALTERNATE_TRAFFIC_CLASS = 21, "Invalid alternate traffic class: ARI has an acceptable one.";
    INVALID_ALTERNATE_HOP_LIMIT = 22, "Invalid alternate hop limit: ARI has an acceptable one.";
    INVALID_ALTERNATE_PACKET_RATE = 23, "Invalid alternate packet rate: ARI has an acceptable one.";
    PORT_AND_CM_REDIRECTION = 24, "The sender should ask the CM that ARI describes.";
    PORT_REDIRECTION = 25, "The sender should ask for the port that ARI names.";
    INVALID_PATH_MTU = 26, "Invalid path MTU: ARI has the largest acceptable one.";
    INSUFFICIENT_RESPONDER_RESOURCES = 27, "Insufficient responder resources.";
    CONSUMER_REJECT = 28, "The consumer said no, and why is its private data's business.";
    RNR_RETRY_COUNT_REJECT = 29, "The RNR retry count in the REP was not accepted.";
    DUPLICATE_LOCAL_COMMUNICATION_ID = 30, "Duplicate local communication ID.";
    INVALID_CLASS_VERSION = 31, "Invalid class version: ARI has the highest supported one.";
    INVALID_PRIMARY_FLOW_LABEL = 32, "Invalid primary flow label: ARI has an acceptable one.";
    INVALID_ALTERNATE_FLOW_LABEL = 33, "Invalid alternate flow label: ARI has an acceptable one.";
    VENDOR_OPTION_NOT_SUPPORTED = 35, "Vendor option is not supported.";
}

impl fmt::Debug for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} ({name})", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

/// Reject: the answer to a REQ or a REP that ends the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rej {
    /// What the sender calls the connection; 0 if it has no name for it.
    pub local_comm_id: CommId,
    /// What the receiver calls it.
    pub remote_comm_id: CommId,
    /// Which message this is about.
    pub message_rejected: MessageRejected,
    /// How many bytes of `ari` are used: seven bits, more are not written. A peer may claim more than there are: use [`Rej::ari`].
    pub reject_info_length: u8,
    /// Why.
    pub reason: RejectReason,
    /// Additional rejection information: what would be acceptable, in a form that the reason tells.
    pub ari: [u8; ARI_LEN],
    /// Private data.
    pub private_data: PrivateData<REJ_PRIVATE_DATA_LEN>,
}

impl Default for Rej {
    fn default() -> Self {
        Self {
            local_comm_id: CommId::default(),
            remote_comm_id: CommId::default(),
            message_rejected: MessageRejected::default(),
            reject_info_length: 0,
            reason: RejectReason::default(),
            ari: [0; ARI_LEN],
            private_data: PrivateData::EMPTY,
        }
    }
}

impl Rej {
    /// The used part of the additional rejection information; all of it if the length field says more than that.
    #[must_use]
    pub fn ari(&self) -> &[u8] {
        self.ari
            .get(..usize::from(self.reject_info_length))
            .unwrap_or(&self.ari)
    }

    pub(super) fn from_data(data: &[u8; DATA_LEN]) -> Self {
        let layout: &Layout = transmute_ref!(data);
        Self {
            local_comm_id: CommId(layout.local_comm_id.get()),
            remote_comm_id: CommId(layout.remote_comm_id.get()),
            message_rejected: MessageRejected::truncated(layout.message_rejected >> 6),
            reject_info_length: layout.reject_info_length >> 1,
            reason: RejectReason(layout.reason.get()),
            ari: layout.ari,
            private_data: PrivateData::from_array(layout.private_data),
        }
    }

    pub(super) fn to_data(self) -> [u8; DATA_LEN] {
        transmute!(Layout {
            local_comm_id: U32::new(self.local_comm_id.0),
            remote_comm_id: U32::new(self.remote_comm_id.0),
            message_rejected: self.message_rejected.get() << 6,
            reject_info_length: self.reject_info_length << 1,
            reason: U16::new(self.reason.0),
            ari: self.ari,
            private_data: *self.private_data.as_array(),
        })
    }
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Layout {
    local_comm_id: U32,
    remote_comm_id: U32,
    /// Message rejected (2 bits), reserved (6).
    message_rejected: u8,
    /// Reject info length (7 bits), reserved (1).
    reject_info_length: u8,
    reason: U16,
    ari: [u8; ARI_LEN],
    private_data: [u8; REJ_PRIVATE_DATA_LEN],
}
