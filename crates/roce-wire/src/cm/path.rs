//! The path of a connection, as a REQ describes it (IBTA 12.7.11 to 12.7.22).

use zerocopy::byteorder::big_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::gid::Gid;
use crate::num::{FlowLabel, PacketRate, ServiceLevel, Timeout, narrow_uint};

/// The local identifier that stands for "any": `RoCEv2` has no local identifiers, and Linux sends this one.
pub const LID_PERMISSIVE: u16 = 0xffff;

narrow_uint! {
    /// A path's payload size as a code (IBTA 12.7.28).
    Mtu: u8, 4
}

impl Mtu {
    /// 256 bytes.
    pub const B256: Self = Self::truncated(1);
    /// 512 bytes.
    pub const B512: Self = Self::truncated(2);
    /// 1,024 bytes.
    pub const B1024: Self = Self::truncated(3);
    /// 2,048 bytes.
    pub const B2048: Self = Self::truncated(4);
    /// 4,096 bytes.
    pub const B4096: Self = Self::truncated(5);

    /// The size in bytes, if the code is a known one.
    #[must_use]
    pub const fn bytes(self) -> Option<u32> {
        match self.get() {
            code @ 1..=5 => Some(128 << code),
            _ => None,
        }
    }
}

/// One path between the two ports, seen from the sender of the REQ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathInfo {
    /// The sender's port's local identifier: [`LID_PERMISSIVE`].
    pub local_port_lid: u16,
    /// The receiver's.
    pub remote_port_lid: u16,
    /// The sender's port.
    pub local_port_gid: Gid,
    /// The receiver's.
    pub remote_port_gid: Gid,
    /// Flow label.
    pub flow_label: FlowLabel,
    /// Packet rate.
    pub packet_rate: PacketRate,
    /// Traffic class.
    pub traffic_class: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Service level.
    pub service_level: ServiceLevel,
    /// Both ports are in one subnet.
    pub subnet_local: bool,
    /// How long the sender's queue pair will wait for an acknowledgement.
    pub local_ack_timeout: Timeout,
}

impl PathInfo {
    /// Whether there is no such path: how a REQ leaves its alternate path out.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Layout {
    local_port_lid: U16,
    remote_port_lid: U16,
    local_port_gid: [u8; 16],
    remote_port_gid: [u8; 16],
    /// Flow label (20 bits), reserved (6), packet rate (6).
    flow_label_rate: U32,
    traffic_class: u8,
    hop_limit: u8,
    /// Service level (4 bits), subnet local (1), reserved (3).
    service_level: u8,
    /// Local ACK timeout (5 bits), reserved (3).
    local_ack_timeout: u8,
}

impl From<&Layout> for PathInfo {
    fn from(layout: &Layout) -> Self {
        let [.., rate] = layout.flow_label_rate.to_bytes();
        Self {
            local_port_lid: layout.local_port_lid.get(),
            remote_port_lid: layout.remote_port_lid.get(),
            local_port_gid: Gid(layout.local_port_gid),
            remote_port_gid: Gid(layout.remote_port_gid),
            flow_label: FlowLabel::truncated(layout.flow_label_rate.get() >> 12),
            packet_rate: PacketRate::truncated(rate),
            traffic_class: layout.traffic_class,
            hop_limit: layout.hop_limit,
            service_level: ServiceLevel::truncated(layout.service_level >> 4),
            subnet_local: layout.service_level & 0x08 != 0,
            local_ack_timeout: Timeout::truncated(layout.local_ack_timeout >> 3),
        }
    }
}

impl From<&PathInfo> for Layout {
    fn from(path: &PathInfo) -> Self {
        Self {
            local_port_lid: U16::new(path.local_port_lid),
            remote_port_lid: U16::new(path.remote_port_lid),
            local_port_gid: path.local_port_gid.0,
            remote_port_gid: path.remote_port_gid.0,
            flow_label_rate: U32::new(path.flow_label.get() << 12 | u32::from(path.packet_rate.get())),
            traffic_class: path.traffic_class,
            hop_limit: path.hop_limit,
            service_level: path.service_level.get() << 4 | u8::from(path.subnet_local) << 3,
            local_ack_timeout: path.local_ack_timeout.get() << 3,
        }
    }
}
