//! DREP: reply to a request for communication release (IBTA 12.6.11, table 113).

use zerocopy::byteorder::big_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute, transmute_ref};

use super::{CommId, PrivateData};
use crate::mad::DATA_LEN;

/// Bytes of private data in a DREP.
pub const DREP_PRIVATE_DATA_LEN: usize = 224;

/// Reply to a request for communication release: the connection is down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drep {
    /// What the sender calls the connection.
    pub local_comm_id: CommId,
    /// What the receiver calls it.
    pub remote_comm_id: CommId,
    /// Private data.
    pub private_data: PrivateData<DREP_PRIVATE_DATA_LEN>,
}

impl Drep {
    pub(super) fn from_data(data: &[u8; DATA_LEN]) -> Self {
        let layout: &Layout = transmute_ref!(data);
        Self {
            local_comm_id: CommId(layout.local_comm_id.get()),
            remote_comm_id: CommId(layout.remote_comm_id.get()),
            private_data: PrivateData::from_array(layout.private_data),
        }
    }

    pub(super) fn to_data(self) -> [u8; DATA_LEN] {
        transmute!(Layout {
            local_comm_id: U32::new(self.local_comm_id.0),
            remote_comm_id: U32::new(self.remote_comm_id.0),
            private_data: *self.private_data.as_array(),
        })
    }
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Layout {
    local_comm_id: U32,
    remote_comm_id: U32,
    private_data: [u8; DREP_PRIVATE_DATA_LEN],
}
