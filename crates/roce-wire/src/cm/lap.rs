//! LAP: load alternate path (IBTA 12.8).

use zerocopy::byteorder::big_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute, transmute_ref};

use super::{CommId, PathInfo, PrivateData};
use crate::gid::Gid;
use crate::mad::DATA_LEN;
use crate::num::{FlowLabel, PacketRate, Qpn, ServiceLevel, Timeout};

/// Bytes of private data in a LAP.
pub const LAP_PRIVATE_DATA_LEN: usize = 168;

/// Load alternate path: another path that the connection may move to (automatic path migration).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lap {
    /// What the sender calls the connection.
    pub local_comm_id: CommId,
    /// What the receiver calls it.
    pub remote_comm_id: CommId,
    /// The receiver's queue pair (or end-to-end context).
    pub remote_qpn: Qpn,
    /// How long the receiver's CM may take to answer.
    pub remote_cm_response_timeout: Timeout,
    /// The path.
    pub alternate_path: PathInfo,
    /// Private data.
    pub private_data: PrivateData<LAP_PRIVATE_DATA_LEN>,
}

impl Lap {
    pub(super) fn from_data(data: &[u8; DATA_LEN]) -> Self {
        let layout: &Layout = transmute_ref!(data);
        Self {
            local_comm_id: CommId(layout.local_comm_id.get()),
            remote_comm_id: CommId(layout.remote_comm_id.get()),
            remote_qpn: Qpn::from_be_bytes(layout.remote_qpn),
            remote_cm_response_timeout: Timeout::truncated(layout.response_timeout >> 3),
            alternate_path: PathInfo {
                local_port_lid: layout.local_port_lid.get(),
                remote_port_lid: layout.remote_port_lid.get(),
                local_port_gid: Gid(layout.local_port_gid),
                remote_port_gid: Gid(layout.remote_port_gid),
                flow_label: FlowLabel::truncated(layout.flow_label_class.get() >> 12),
                packet_rate: PacketRate::truncated(layout.packet_rate),
                traffic_class: layout.flow_label_class.to_bytes()[3],
                hop_limit: layout.hop_limit,
                service_level: ServiceLevel::truncated(layout.service_level >> 4),
                subnet_local: layout.service_level & 0x08 != 0,
                local_ack_timeout: Timeout::truncated(layout.local_ack_timeout >> 3),
            },
            private_data: PrivateData::from_array(layout.private_data),
        }
    }

    pub(super) fn to_data(self) -> [u8; DATA_LEN] {
        let path = &self.alternate_path;
        transmute!(Layout {
            local_comm_id: U32::new(self.local_comm_id.0),
            remote_comm_id: U32::new(self.remote_comm_id.0),
            reserved_8: [0; 4],
            remote_qpn: self.remote_qpn.to_be_bytes(),
            response_timeout: self.remote_cm_response_timeout.get() << 3,
            reserved_16: [0; 4],
            local_port_lid: U16::new(path.local_port_lid),
            remote_port_lid: U16::new(path.remote_port_lid),
            local_port_gid: path.local_port_gid.0,
            remote_port_gid: path.remote_port_gid.0,
            flow_label_class: U32::new(path.flow_label.get() << 12 | u32::from(path.traffic_class)),
            hop_limit: path.hop_limit,
            packet_rate: path.packet_rate.get(),
            service_level: path.service_level.get() << 4 | u8::from(path.subnet_local) << 3,
            local_ack_timeout: path.local_ack_timeout.get() << 3,
            private_data: *self.private_data.as_array(),
        })
    }
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Layout {
    local_comm_id: U32,
    remote_comm_id: U32,
    reserved_8: [u8; 4],
    remote_qpn: [u8; 3],
    /// Remote CM response timeout (5 bits), reserved (3).
    response_timeout: u8,
    reserved_16: [u8; 4],
    local_port_lid: U16,
    remote_port_lid: U16,
    local_port_gid: [u8; 16],
    remote_port_gid: [u8; 16],
    /// Flow label (20 bits), reserved (4), traffic class (8).
    flow_label_class: U32,
    hop_limit: u8,
    /// Reserved (2 bits), packet rate (6).
    packet_rate: u8,
    /// Service level (4 bits), subnet local (1), reserved (3).
    service_level: u8,
    /// Local ACK timeout (5 bits), reserved (3).
    local_ack_timeout: u8,
    private_data: [u8; LAP_PRIVATE_DATA_LEN],
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The offsets that Linux's `cm_msgs.h` names its fields by (`offset12`, `offset56` …).
    #[test]
    fn fields_are_where_linux_has_them() {
        let lap = Lap {
            remote_qpn: Qpn::truncated(0x0012_3456),
            remote_cm_response_timeout: Timeout::truncated(0x1f),
            alternate_path: PathInfo {
                local_port_lid: 0x0102,
                remote_port_lid: 0x0304,
                local_port_gid: Gid([5; 16]),
                remote_port_gid: Gid([6; 16]),
                flow_label: FlowLabel::truncated(0x000a_bcde),
                packet_rate: PacketRate::truncated(0x3f),
                traffic_class: 0x77,
                hop_limit: 0x88,
                service_level: ServiceLevel::truncated(9),
                subnet_local: true,
                local_ack_timeout: Timeout::truncated(1),
            },
            ..Lap::default()
        };
        let data = lap.to_data();
        assert_eq!(data[12..16], [0x12, 0x34, 0x56, 0xf8]);
        assert_eq!(data[20..24], [1, 2, 3, 4]);
        assert_eq!((&data[24..40], &data[40..56]), (&[5; 16][..], &[6; 16][..]));
        assert_eq!(data[56..64], [0xab, 0xcd, 0xe0, 0x77, 0x88, 0x3f, 0x98, 0x08]);
        assert_eq!(Lap::from_data(&data), lap);
    }
}
