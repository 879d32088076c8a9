//! MRA: message receipt acknowledgement (IBTA 12.6.6, table 107).

use zerocopy::byteorder::big_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute, transmute_ref};

use super::{CommId, PrivateData};
use crate::mad::DATA_LEN;
use crate::num::{Timeout, narrow_uint};

/// Bytes of private data in an MRA.
pub const MRA_PRIVATE_DATA_LEN: usize = 222;

narrow_uint! {
    /// Which message an MRA is about (IBTA 12.7.31).
    MessageMraed: u8, 2
}

impl MessageMraed {
    /// A REQ.
    pub const REQ: Self = Self::truncated(0);
    /// A REP.
    pub const REP: Self = Self::truncated(1);
    /// A load alternate path message.
    pub const LAP: Self = Self::truncated(2);
}

/// Message receipt acknowledgement: "I have it, the answer will take a while".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mra {
    /// What the sender calls the connection.
    pub local_comm_id: CommId,
    /// What the receiver calls it.
    pub remote_comm_id: CommId,
    /// Which message this is about.
    pub message_mraed: MessageMraed,
    /// How long the answer may take from now on.
    pub service_timeout: Timeout,
    /// Private data.
    pub private_data: PrivateData<MRA_PRIVATE_DATA_LEN>,
}

impl Mra {
    pub(super) fn from_data(data: &[u8; DATA_LEN]) -> Self {
        let layout: &Layout = transmute_ref!(data);
        Self {
            local_comm_id: CommId(layout.local_comm_id.get()),
            remote_comm_id: CommId(layout.remote_comm_id.get()),
            message_mraed: MessageMraed::truncated(layout.message_mraed >> 6),
            service_timeout: Timeout::truncated(layout.service_timeout >> 3),
            private_data: PrivateData::from_array(layout.private_data),
        }
    }

    pub(super) fn to_data(self) -> [u8; DATA_LEN] {
        transmute!(Layout {
            local_comm_id: U32::new(self.local_comm_id.0),
            remote_comm_id: U32::new(self.remote_comm_id.0),
            message_mraed: self.message_mraed.get() << 6,
            service_timeout: self.service_timeout.get() << 3,
            private_data: *self.private_data.as_array(),
        })
    }
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Layout {
    local_comm_id: U32,
    remote_comm_id: U32,
    /// Message `MRAed` (2 bits), reserved (6).
    message_mraed: u8,
    /// Service timeout (5 bits), reserved (3).
    service_timeout: u8,
    private_data: [u8; MRA_PRIVATE_DATA_LEN],
}
