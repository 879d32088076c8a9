//! `CM_ENABLE`, `CM_DISABLE`, `CM_SEND`.

use std::mem::offset_of;
use std::time::Instant;

use roce_wire::cm::{CmMad, CmMessage};
use roce_wire::eth::MacAddr;
use roce_wire::frame::{FrameAddress, IpPair};
use roce_wire::gid::Gid as WireGid;
use roce_wire::mad::{BASE_VERSION, MadHeader, MgmtClass, split};
use roce_wire::num::Qpn;
use vrnic_abi::cm::{CmEnable, CmReceive, CmSend, GID_ENTRIES, MAD_SIZE, RING_LOG2_MAX, RING_LOG2_MIN};
use vrnic_abi::cmd::{Command, Status};

use super::event_queue::bad_ring;
use super::gid::is_unicast;
use super::{
    Failure, IN_MAILBOX, NO_OUTPUT, bad_input, check_input, input, no_input, no_mailbox, read_mailbox,
};
use crate::cm::CmService;
use crate::command_queue::Outcome;
use crate::device::Device;
use crate::ring::RingMemory;

pub(super) fn enable(device: &mut Device, command: &Command) -> Outcome {
    no_mailbox(command)?;
    let enable: CmEnable = input(command)?;
    check_input(enable.reserved == 0, offset_of!(CmEnable, reserved))?;
    if device.cm.is_some() {
        return Err(Failure::new(Status::BAD_STATE));
    }
    let eqn = enable.eqn.get();
    device
        .event_queues
        .get(eqn)
        .ok_or(Failure::new(Status::BAD_RESOURCE))?;
    let ring = RingMemory::new(
        &mut device.dma,
        &enable.ring,
        size_of::<CmReceive>() as u64,
        RING_LOG2_MIN..=RING_LOG2_MAX,
    )
    .map_err(|error| bad_ring(error, offset_of!(CmEnable, ring)))?;
    device.cm = Some(CmService::new(
        ring,
        eqn,
        device.config.max_half_open,
        &device.doorbells,
    ));
    Ok(NO_OUTPUT)
}

pub(super) fn disable(device: &mut Device, command: &Command) -> Outcome {
    no_input(command)?;
    no_mailbox(command)?;
    device
        .cm
        .take()
        .map_or(Err(Failure::new(Status::BAD_STATE)), |_| Ok(NO_OUTPUT))
}

pub(super) fn send(device: &mut Device, command: &Command) -> Outcome {
    let send: CmSend = input(command)?;
    check_ranges(&send)?;
    if !device.cm.as_ref().is_some_and(CmService::is_working) {
        return Err(Failure::new(Status::BAD_STATE));
    }
    let mad = read_mailbox::<MAD_SIZE>(device, command)?;
    check_mad(&mad)?;
    let source = device
        .gids
        .get(send.gid_index.get())
        .ok_or(Failure::new(Status::NETWORK_UNREACHABLE))?;
    let ip = IpPair::new(WireGid(source.addr).to_ip(), WireGid(send.dst_gid).to_ip());
    let ip = ip.ok_or(bad_input(offset_of!(CmSend, dst_gid)))?;
    let destination_mac = MacAddr(send.dst_mac);
    if destination_mac.is_multicast() || destination_mac == MacAddr::default() {
        return Err(Failure::new(Status::HOST_UNREACHABLE));
    }
    let message = CmMad::from_bytes(&mad).ok().map(|mad| mad.message);
    if message
        .as_ref()
        .is_some_and(|message| is_abandoned(device, send.dst_gid, message))
    {
        return Err(Failure::new(Status::PEER_ABANDONED));
    }
    if !device.link_up {
        return Err(Failure::new(Status::LINK_DOWN));
    }
    let address = FrameAddress {
        source_mac: MacAddr(device.ethernet.port.mac),
        destination_mac,
        ip,
        udp_source_port: send.udp_src_port.get(),
        traffic_class: send.traffic_class,
        hop_limit: send.hop_limit,
    };
    device.transmit_mad(&address, source.vlan, Qpn::truncated(send.dst_qpn.get()), &mad);
    if let (Some(cm), Some(message)) = (&mut device.cm, &message) {
        cm.half_open.sent(send.dst_gid, message, Instant::now());
    }
    Ok(NO_OUTPUT)
}

fn check_ranges(send: &CmSend) -> Result<(), Failure> {
    check_input(send.gid_index.get() < GID_ENTRIES, offset_of!(CmSend, gid_index))?;
    check_input(is_unicast(send.dst_gid), offset_of!(CmSend, dst_gid))?;
    check_input(send.hop_limit != 0, offset_of!(CmSend, hop_limit))?;
    let qpn = Qpn::new(send.dst_qpn.get());
    check_input(
        qpn.is_some_and(|qpn| qpn >= Qpn::GSI),
        offset_of!(CmSend, dst_qpn),
    )?;
    check_input(send.reserved == [0; 16], offset_of!(CmSend, reserved))
}

/// The service sends nothing but datagrams of communication management.
fn check_mad(mad: &[u8; MAD_SIZE]) -> Result<(), Failure> {
    let header = MadHeader::from_bytes(split(mad).0);
    let wrong = |offset| {
        Err(Failure {
            status: Status::BAD_PARAMETER,
            syndrome: IN_MAILBOX + offset,
        })
    };
    match header {
        MadHeader { base_version, .. } if base_version != BASE_VERSION => wrong(0),
        MadHeader { mgmt_class, .. } if mgmt_class != MgmtClass::COMM_MGT => wrong(1),
        _ => Ok(()),
    }
}

/// A REP, REJ or MRA answers an attempt that the peer has given up.
fn is_abandoned(device: &mut Device, peer: [u8; 16], message: &CmMessage) -> bool {
    let (CmMessage::Rep(_) | CmMessage::Rej(_) | CmMessage::Mra(_), Some(cm)) = (message, &mut device.cm)
    else {
        return false;
    };
    message
        .remote_comm_id()
        .is_some_and(|id| cm.half_open.is_abandoned(peer, id, Instant::now()))
}
