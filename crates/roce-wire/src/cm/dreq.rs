//! DREQ: request for communication release (IBTA 12.6.10, table 112).

use zerocopy::byteorder::big_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute, transmute_ref};

use super::{CommId, PrivateData};
use crate::mad::DATA_LEN;
use crate::num::Qpn;

/// Bytes of private data in a DREQ.
pub const DREQ_PRIVATE_DATA_LEN: usize = 220;

/// Request for communication release: take the connection down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dreq {
    /// What the sender calls the connection.
    pub local_comm_id: CommId,
    /// What the receiver calls it.
    pub remote_comm_id: CommId,
    /// The receiver's queue pair (or end-to-end context), so that a DREQ for an earlier connection is noticed.
    pub remote_qpn: Qpn,
    /// Private data.
    pub private_data: PrivateData<DREQ_PRIVATE_DATA_LEN>,
}

impl Dreq {
    pub(super) fn from_data(data: &[u8; DATA_LEN]) -> Self {
        let layout: &Layout = transmute_ref!(data);
        Self {
            local_comm_id: CommId(layout.local_comm_id.get()),
            remote_comm_id: CommId(layout.remote_comm_id.get()),
            remote_qpn: Qpn::from_be_bytes(layout.remote_qpn),
            private_data: PrivateData::from_array(layout.private_data),
        }
    }

    pub(super) fn to_data(self) -> [u8; DATA_LEN] {
        transmute!(Layout {
            local_comm_id: U32::new(self.local_comm_id.0),
            remote_comm_id: U32::new(self.remote_comm_id.0),
            remote_qpn: self.remote_qpn.to_be_bytes(),
            reserved_11: 0,
            private_data: *self.private_data.as_array(),
        })
    }
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Layout {
    local_comm_id: U32,
    remote_comm_id: U32,
    remote_qpn: [u8; 3],
    reserved_11: u8,
    private_data: [u8; DREQ_PRIVATE_DATA_LEN],
}
