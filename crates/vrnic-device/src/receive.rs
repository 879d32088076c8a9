//! Frames from the wire.

use roce_wire::eth::EthernetHeader;
use roce_wire::frame::{Frame, FrameError, GsiError};
use roce_wire::gid::Gid as WireGid;
use roce_wire::mad::{BASE_VERSION, Mad, MadHeader, MgmtClass, split};
use roce_wire::num::Qpn;
use vrnic_abi::U64;
use vrnic_abi::info::Statistics;

use crate::device::{Device, count};
use crate::eth::{self, Extent, Headers};
use crate::rdma::Received;
use crate::tap::Direction;
use crate::vlan;

/// Why a frame is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drop {
    Malformed,
    Icrc,
    NoReceiver,
    QueuePair,
}

/// The partition that every port is in, whatever the membership bit says (IBTA 10.9.1).
const DEFAULT_PARTITION: u16 = 0x7FFF;

impl Device {
    /// A frame has come over the wire.
    pub fn receive(&mut self, frame: &[u8]) {
        if !self.is_present() || !self.link_up || !self.is_awake() {
            return;
        }
        self.tell_tap(Direction::Received, frame);
        let headers = Headers::find(frame, Extent::Header);
        let is_ours = frame.len() < EthernetHeader::LEN || frame.starts_with(&self.ethernet.port.mac);
        let is_rdma = is_ours && self.is_for_rdma(frame, headers.as_ref());
        if !is_rdma && self.receive_ethernet(frame, headers.as_ref()) {
            return;
        }
        // Frames for other stations are not ours to count.
        if is_ours {
            let (vlan_id, untagged) = vlan::untag(frame);
            if let Err(reason) = self.receive_for_us(vlan_id, &untagged, frame) {
                count(reason.counter(&mut self.statistics), 1);
            }
        }
    }

    /// Takes a frame without its VLAN tag; `tagged` is how it came.
    fn receive_for_us(&mut self, vlan_id: u16, bytes: &[u8], tagged: &[u8]) -> Result<(), Drop> {
        let frame = Frame::parse(bytes)?;
        count(&mut self.statistics.rdma_in_frames, 1);
        count(&mut self.statistics.rdma_in_octets, tagged.len() as u64);
        eth::count_in(&mut self.statistics, tagged);
        let address = WireGid::from(frame.address.ip.destination()).0;
        let gid_index = self.gids.find(address, vlan_id).ok_or(Drop::NoReceiver)?;
        if frame.bth.p_key & DEFAULT_PARTITION != DEFAULT_PARTITION {
            return Err(Drop::NoReceiver);
        }
        if frame.bth.dest_qp > Qpn::GSI && self.is_ready() {
            return match self.receive_rc(&frame) {
                Received::Taken => Ok(()),
                Received::NoQueuePair => Err(Drop::NoReceiver),
                Received::Refused => Err(Drop::QueuePair),
            };
        }
        let mad = frame.gsi_mad()?;
        if !is_communication_management(mad) {
            return Err(Drop::NoReceiver);
        }
        if self.is_ready() {
            self.receive_mad(&frame, gid_index, mad);
        }
        Ok(())
    }
}

fn is_communication_management(mad: &Mad) -> bool {
    let header = MadHeader::from_bytes(split(mad).0);
    header.base_version == BASE_VERSION && header.mgmt_class == MgmtClass::COMM_MGT
}

impl Drop {
    fn counter(self, statistics: &mut Statistics) -> &mut U64 {
        match self {
            Self::Malformed => &mut statistics.drop_malformed,
            Self::Icrc => &mut statistics.drop_icrc,
            Self::NoReceiver => &mut statistics.drop_no_receiver,
            Self::QueuePair => &mut statistics.drop_qp,
        }
    }
}

impl From<FrameError> for Drop {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::NotRoce(_) => Self::NoReceiver,
            FrameError::Icrc { .. } => Self::Icrc,
            _ => Self::Malformed,
        }
    }
}

impl From<GsiError> for Drop {
    fn from(error: GsiError) -> Self {
        match error {
            GsiError::Length(_) => Self::Malformed,
            GsiError::Opcode(_) | GsiError::DestQp(_) | GsiError::QKey(_) => Self::NoReceiver,
        }
    }
}
