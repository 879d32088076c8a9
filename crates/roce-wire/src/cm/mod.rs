//! Communication management messages (IBTA volume 1, 12.6): what sets up and takes down a connection.
//!
//! A [`CmMad`] is one of them with its transaction ID; it turns into the 256 bytes of a management datagram and back. Each message is a
//! file here: [`Req`] asks for a connection, [`Mra`] says "wait", [`Rep`] accepts, [`Rtu`] confirms, [`Rej`] refuses; [`Dreq`] and [`Drep`]
//! take the connection down; [`Lap`] offers another path, and [`Apr`] answers. Every field has its place in the struct; reserved bits are ignored on reading and written as zero.

mod apr;
mod drep;
mod dreq;
mod lap;
mod mra;
mod path;
mod private_data;
mod rej;
mod rep;
mod req;
mod rtu;

pub use apr::{APR_INFO_LEN, APR_PRIVATE_DATA_LEN, ApStatus, Apr};
pub use drep::{DREP_PRIVATE_DATA_LEN, Drep};
pub use dreq::{DREQ_PRIVATE_DATA_LEN, Dreq};
pub use lap::{LAP_PRIVATE_DATA_LEN, Lap};
pub use mra::{MRA_PRIVATE_DATA_LEN, MessageMraed, Mra};
pub use path::{LID_PERMISSIVE, Mtu, PathInfo};
pub use private_data::PrivateData;
pub use rej::{ARI_LEN, MessageRejected, REJ_PRIVATE_DATA_LEN, Rej, RejectReason};
pub use rep::{Failover, REP_PRIVATE_DATA_LEN, Rep};
pub use req::{REQ_PRIVATE_DATA_LEN, Req, TransportService};
pub use rtu::{RTU_PRIVATE_DATA_LEN, Rtu};

use core::fmt;

use crate::mad::{self, BASE_VERSION, Mad, MadHeader, Method, MgmtClass};

/// The version of the communication management class that IBTA 1.2 and later, and so every peer, speaks.
pub const CLASS_VERSION: u8 = 2;

/// A communication ID: what one side calls a connection. Each side has its own; 0 is "not known" in a REJ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommId(pub u32);

impl fmt::Display for CommId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

/// Which message a datagram of the class holds (IBTA table 105).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttributeId(pub u16);

impl AttributeId {
    /// `ConnectRequest`.
    pub const REQ: Self = Self(0x0010);
    /// `MsgRcptAck`.
    pub const MRA: Self = Self(0x0011);
    /// `ConnectReject`.
    pub const REJ: Self = Self(0x0012);
    /// `ConnectReply`.
    pub const REP: Self = Self(0x0013);
    /// `ReadyToUse`.
    pub const RTU: Self = Self(0x0014);
    /// `DisconnectRequest`.
    pub const DREQ: Self = Self(0x0015);
    /// `DisconnectReply`.
    pub const DREP: Self = Self(0x0016);
    /// `LoadAlternatePath`.
    pub const LAP: Self = Self(0x0019);
    /// `AlternatePathResponse`.
    pub const APR: Self = Self(0x001a);
}

/// A message of the communication manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CmMessage {
    /// Request for communication.
    Req(Req),
    /// Message receipt acknowledgement.
    Mra(Mra),
    /// Reject.
    Rej(Rej),
    /// Reply to a request for communication.
    Rep(Rep),
    /// Ready to use.
    Rtu(Rtu),
    /// Request for communication release.
    Dreq(Dreq),
    /// Reply to a request for communication release.
    Drep(Drep),
    /// Load alternate path.
    Lap(Lap),
    /// Alternate path response.
    Apr(Apr),
}

/// Why a management datagram is no message of the communication manager that this crate knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CmError {
    /// The base version is not 1.
    BaseVersion(u8),
    /// The management class is another one.
    MgmtClass(MgmtClass),
    /// The class version is not 2. (IBTA has a REQ with another version answered by [`RejectReason::INVALID_CLASS_VERSION`].)
    ClassVersion(u8),
    /// The method is not `Send`.
    Method(Method),
    /// The message is none of [`CmMessage`]'s: service ID resolution, or none at all.
    Attribute(AttributeId),
}

/// A message of the communication manager in a management datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CmMad {
    /// A number of the sender's that a message about this message repeats.
    pub transaction_id: u64,
    /// The message.
    pub message: CmMessage,
}

/// One entry per message: variant, attribute.
macro_rules! messages {
    ($($variant:ident = $attribute:ident),*) => {
        impl CmMessage {
            /// Which message it is.
            #[must_use]
            pub const fn attribute_id(&self) -> AttributeId {
                match self {
                    $(Self::$variant(_) => AttributeId::$attribute,)*
                }
            }

            /// IBTA's abbreviation: `"REQ"`, `"MRA"` …
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => stringify!($attribute),)*
                }
            }

            fn from_data(attribute: AttributeId, data: &[u8; mad::DATA_LEN]) -> Result<Self, CmError> {
                match attribute {
                    $(AttributeId::$attribute => Ok(Self::$variant($variant::from_data(data))),)*
                    other => Err(CmError::Attribute(other)),
                }
            }

            fn to_data(self) -> [u8; mad::DATA_LEN] {
                match self {
                    $(Self::$variant(message) => message.to_data(),)*
                }
            }
        }

        $(impl From<$variant> for CmMessage {
            fn from(message: $variant) -> Self {
                Self::$variant(message)
            }
        })*
    };
}

messages! { Req = REQ, Mra = MRA, Rej = REJ, Rep = REP, Rtu = RTU, Dreq = DREQ, Drep = DREP, Lap = LAP, Apr = APR }

impl CmMessage {
    /// What the sender calls the connection.
    #[must_use]
    pub const fn local_comm_id(&self) -> CommId {
        match self {
            Self::Req(m) => m.local_comm_id,
            Self::Mra(m) => m.local_comm_id,
            Self::Rej(m) => m.local_comm_id,
            Self::Rep(m) => m.local_comm_id,
            Self::Rtu(m) => m.local_comm_id,
            Self::Dreq(m) => m.local_comm_id,
            Self::Drep(m) => m.local_comm_id,
            Self::Lap(m) => m.local_comm_id,
            Self::Apr(m) => m.local_comm_id,
        }
    }

    /// What the receiver calls the connection; a REQ does not know that.
    #[must_use]
    pub const fn remote_comm_id(&self) -> Option<CommId> {
        match self {
            Self::Req(_) => None,
            Self::Mra(m) => Some(m.remote_comm_id),
            Self::Rej(m) => Some(m.remote_comm_id),
            Self::Rep(m) => Some(m.remote_comm_id),
            Self::Rtu(m) => Some(m.remote_comm_id),
            Self::Dreq(m) => Some(m.remote_comm_id),
            Self::Drep(m) => Some(m.remote_comm_id),
            Self::Lap(m) => Some(m.remote_comm_id),
            Self::Apr(m) => Some(m.remote_comm_id),
        }
    }

    /// Its private data, zero padded to the message's size.
    #[must_use]
    pub const fn private_data(&self) -> &[u8] {
        match self {
            Self::Req(m) => m.private_data.as_array(),
            Self::Mra(m) => m.private_data.as_array(),
            Self::Rej(m) => m.private_data.as_array(),
            Self::Rep(m) => m.private_data.as_array(),
            Self::Rtu(m) => m.private_data.as_array(),
            Self::Dreq(m) => m.private_data.as_array(),
            Self::Drep(m) => m.private_data.as_array(),
            Self::Lap(m) => m.private_data.as_array(),
            Self::Apr(m) => m.private_data.as_array(),
        }
    }
}

impl CmMad {
    /// A message with its transaction ID.
    pub fn new(transaction_id: u64, message: impl Into<CmMessage>) -> Self {
        Self {
            transaction_id,
            message: message.into(),
        }
    }

    /// Reads a datagram.
    ///
    /// # Errors
    /// See [`CmError`]; the header's fields are looked at in the order that they are listed there.
    pub fn from_bytes(mad: &Mad) -> Result<Self, CmError> {
        let (header, data) = mad::split(mad);
        let header = MadHeader::from_bytes(header);
        if header.base_version != BASE_VERSION {
            return Err(CmError::BaseVersion(header.base_version));
        }
        if header.mgmt_class != MgmtClass::COMM_MGT {
            return Err(CmError::MgmtClass(header.mgmt_class));
        }
        if header.class_version != CLASS_VERSION {
            return Err(CmError::ClassVersion(header.class_version));
        }
        if header.method != Method::SEND {
            return Err(CmError::Method(header.method));
        }
        let message = CmMessage::from_data(AttributeId(header.attribute_id), data)?;
        Ok(Self {
            transaction_id: header.transaction_id,
            message,
        })
    }

    /// Writes the datagram.
    #[must_use]
    pub fn to_bytes(&self) -> Mad {
        let mut bytes = [0; mad::MAD_LEN];
        self.write(&mut bytes);
        bytes
    }

    /// Writes the datagram over `mad`, every byte of it.
    pub fn write(&self, mad: &mut Mad) {
        let (header, data) = mad::split_mut(mad);
        *header = MadHeader {
            base_version: BASE_VERSION,
            mgmt_class: MgmtClass::COMM_MGT,
            class_version: CLASS_VERSION,
            method: Method::SEND,
            transaction_id: self.transaction_id,
            attribute_id: self.message.attribute_id().0,
            ..MadHeader::default()
        }
        .to_bytes();
        *data = self.message.to_data();
    }
}
