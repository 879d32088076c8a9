//! APR: alternate path response (IBTA 12.8).

use zerocopy::byteorder::big_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute, transmute_ref};

use super::{CommId, PrivateData};
use crate::mad::DATA_LEN;

/// Bytes of private data in an APR.
pub const APR_PRIVATE_DATA_LEN: usize = 148;

/// Bytes of additional information in an APR.
pub const APR_INFO_LEN: usize = 72;

/// What becomes of an alternate path. Values without a name are possible: they come from the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ApStatus(pub u8);

impl ApStatus {
    /// The path is loaded.
    pub const SUCCESS: Self = Self(0);
    /// The receiver knows no such connection.
    pub const INVALID_COMMUNICATION_ID: Self = Self(1);
    /// The receiver does not do alternate paths.
    pub const NOT_SUPPORTED: Self = Self(2);
    /// The receiver does not want this one.
    pub const REJECTED: Self = Self(3);
    /// The LAP names another queue pair than the connection's.
    pub const INVALID_QPN: Self = Self(6);
}

/// Alternate path response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Apr {
    /// What the sender calls the connection.
    pub local_comm_id: CommId,
    /// What the receiver calls it.
    pub remote_comm_id: CommId,
    /// How many bytes of `additional_info` count.
    pub additional_info_length: u8,
    /// The answer.
    pub status: ApStatus,
    /// What would be acceptable.
    pub additional_info: [u8; APR_INFO_LEN],
    /// Private data.
    pub private_data: PrivateData<APR_PRIVATE_DATA_LEN>,
}

impl Default for Apr {
    fn default() -> Self {
        Self {
            local_comm_id: CommId::default(),
            remote_comm_id: CommId::default(),
            additional_info_length: 0,
            status: ApStatus::default(),
            additional_info: [0; APR_INFO_LEN],
            private_data: PrivateData::EMPTY,
        }
    }
}

impl Apr {
    pub(super) fn from_data(data: &[u8; DATA_LEN]) -> Self {
        let layout: &Layout = transmute_ref!(data);
        Self {
            local_comm_id: CommId(layout.local_comm_id.get()),
            remote_comm_id: CommId(layout.remote_comm_id.get()),
            additional_info_length: layout.additional_info_length,
            status: ApStatus(layout.status),
            additional_info: layout.additional_info,
            private_data: PrivateData::from_array(layout.private_data),
        }
    }

    pub(super) fn to_data(self) -> [u8; DATA_LEN] {
        transmute!(Layout {
            local_comm_id: U32::new(self.local_comm_id.0),
            remote_comm_id: U32::new(self.remote_comm_id.0),
            additional_info_length: self.additional_info_length,
            status: self.status.0,
            reserved_10: [0; 2],
            additional_info: self.additional_info,
            private_data: *self.private_data.as_array(),
        })
    }
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Layout {
    local_comm_id: U32,
    remote_comm_id: U32,
    additional_info_length: u8,
    status: u8,
    reserved_10: [u8; 2],
    additional_info: [u8; APR_INFO_LEN],
    private_data: [u8; APR_PRIVATE_DATA_LEN],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_where_linux_has_them() {
        let apr = Apr {
            additional_info_length: 3,
            status: ApStatus::INVALID_QPN,
            additional_info: [7; APR_INFO_LEN],
            private_data: PrivateData::from_array([8; APR_PRIVATE_DATA_LEN]),
            ..Apr::default()
        };
        let data = apr.to_data();
        assert_eq!(data[8..12], [3, 6, 0, 0]);
        assert!(data[12..84].iter().all(|byte| *byte == 7) && data[84..].iter().all(|byte| *byte == 8));
        assert_eq!(Apr::from_data(&data), apr);
    }
}
