//! `MODIFY_QP`: the state machine of a queue pair, as the driver drives it.

use std::mem::offset_of;

use roce_wire::eth::MacAddr;
use vrnic_abi::cm::GID_ENTRIES;
use vrnic_abi::cmd::{Command, Status};
use vrnic_abi::resource::{
    ACCESS_REMOTE_READ, ACCESS_REMOTE_WRITE, ObjectNumber, QP_ATTR_LIMITS, QP_ATTR_PATH, QP_ATTR_RECEIVE,
    QP_ATTR_SEND, QP_ATTR_STATE, QPN_INDEX_MASK, QpModify, QpState,
};
use zerocopy::FromBytes;

use super::gid::is_unicast;
use super::queue_pair::find;
use super::{Failure, NO_OUTPUT, bad_mailbox_field, check_mailbox_field, input, read_mailbox};
use crate::command_queue::Outcome;
use crate::device::Device;
use crate::rc::{Path, StateError};
use crate::rdma::{Attributes, MAX_INBOUND_READS, MAX_OUTBOUND_READS};

/// What a packet has besides its payload at most, within the link's MTU: IPv6, UDP, transport headers, ICRC.
const HEADERS: u32 = 40 + 8 + 12 + 16 + 4 + 4;
/// Largest number of 24 bits.
const MAX_24: u32 = (1 << 24) - 1;
/// Largest local ACK timeout and RNR timer code: they have 5 bits.
const MAX_5: u8 = 31;
/// Largest retry count: it has 3 bits.
const MAX_3: u8 = 7;

/// What the masks of the steps are made of.
const TO_RTR: u32 = QP_ATTR_STATE | QP_ATTR_PATH | QP_ATTR_RECEIVE;
const TO_RTS: u32 = QP_ATTR_STATE | QP_ATTR_SEND;

pub(super) fn modify(device: &mut Device, command: &Command) -> Outcome {
    let qpn = input::<ObjectNumber>(command)?.number.get();
    let mailbox = read_mailbox::<{ size_of::<QpModify>() }>(device, command)?;
    let new = QpModify::read_from_bytes(&mailbox).map_err(|_| bad_mailbox_field(0))?;
    let qp = find(device, qpn)?;
    let (from, old) = (qp.transport.state(), qp.queues.attributes);
    check_fields(&new)?;
    let mask = new.mask.get();
    let to = if mask & QP_ATTR_STATE != 0 {
        QpState(new.state)
    } else {
        from
    };
    check_mailbox_field(to.name().is_some(), offset_of!(QpModify, state))?;
    let index = qpn & QPN_INDEX_MASK;
    if to == QpState::ERROR && mask == QP_ATTR_STATE {
        device.flush_queue_pair(index);
        return Ok(NO_OUTPUT);
    }
    if !is_step(from, to, mask) {
        return Err(Failure::new(Status::BAD_STATE));
    }
    let attributes = old.merged(&new);
    let path = if mask & QP_ATTR_PATH != 0 {
        Some(check_path(device, &attributes)?)
    } else {
        None
    };
    apply(device, index, mask, to, attributes, path)
}

/// Whether the state machine has that step.
fn is_step(from: QpState, to: QpState, mask: u32) -> bool {
    let needed = match (from, to) {
        (QpState::INIT, QpState::RTR) => TO_RTR,
        (QpState::RTR, QpState::RTS) => TO_RTS,
        (QpState::INIT, QpState::RTS) => TO_RTR | TO_RTS,
        (QpState::INIT, QpState::INIT) | (QpState::RTR, QpState::RTR) | (QpState::RTS, QpState::RTS) => {
            return mask == QP_ATTR_LIMITS;
        }
        _ => return false,
    };
    mask & !QP_ATTR_LIMITS == needed
}

/// Checks what does not depend on the state, in the fields that the mask names.
fn check_fields(new: &QpModify) -> Result<(), Failure> {
    let mask = new.mask.get();
    let known = TO_RTR | TO_RTS | QP_ATTR_LIMITS;
    check_mailbox_field(mask != 0 && mask & !known == 0, offset_of!(QpModify, mask))?;
    check_mailbox_field(new.reserved == [0; 8], offset_of!(QpModify, reserved))?;
    if mask & QP_ATTR_RECEIVE != 0 {
        check_mailbox_field(new.dst_qpn.get() <= MAX_24, offset_of!(QpModify, dst_qpn))?;
        check_mailbox_field(new.rq_psn.get() <= MAX_24, offset_of!(QpModify, rq_psn))?;
    }
    if mask & QP_ATTR_SEND != 0 {
        check_mailbox_field(new.sq_psn.get() <= MAX_24, offset_of!(QpModify, sq_psn))?;
        check_mailbox_field(new.timeout <= MAX_5, offset_of!(QpModify, timeout))?;
        check_mailbox_field(new.retry_count <= MAX_3, offset_of!(QpModify, retry_count))?;
        check_mailbox_field(new.rnr_retry <= MAX_3, offset_of!(QpModify, rnr_retry))?;
    }
    if mask & QP_ATTR_LIMITS != 0 {
        let (inbound, outbound) = (new.max_inbound_reads, new.max_outbound_reads);
        check_mailbox_field(
            inbound <= MAX_INBOUND_READS,
            offset_of!(QpModify, max_inbound_reads),
        )?;
        check_mailbox_field(
            outbound <= MAX_OUTBOUND_READS,
            offset_of!(QpModify, max_outbound_reads),
        )?;
        check_mailbox_field(new.min_rnr_timer <= MAX_5, offset_of!(QpModify, min_rnr_timer))?;
        let access = new.access.get() & !(ACCESS_REMOTE_READ | ACCESS_REMOTE_WRITE);
        check_mailbox_field(access == 0, offset_of!(QpModify, access))?;
    }
    Ok(())
}

/// The path, if frames can take it.
fn check_path(device: &Device, attributes: &Attributes) -> Result<Path, Failure> {
    let Attributes(new) = attributes;
    check_mailbox_field(new.gid_index.get() < GID_ENTRIES, offset_of!(QpModify, gid_index))?;
    check_mailbox_field(is_unicast(new.dst_gid), offset_of!(QpModify, dst_gid))?;
    check_mailbox_field(new.hop_limit != 0, offset_of!(QpModify, hop_limit))?;
    let mac = MacAddr(new.dst_mac);
    check_mailbox_field(
        !mac.is_multicast() && mac != MacAddr::default(),
        offset_of!(QpModify, dst_mac),
    )?;
    let mtu_log2 = new.path_mtu_log2;
    let is_carried =
        (8..=12).contains(&mtu_log2) && (1 << mtu_log2) + HEADERS <= u32::from(device.config.mtu);
    check_mailbox_field(is_carried, offset_of!(QpModify, path_mtu_log2))?;
    let source = device
        .gids
        .get(new.gid_index.get())
        .ok_or(Failure::new(Status::NETWORK_UNREACHABLE))?;
    attributes
        .path(device.ethernet.port.mac, source)
        .ok_or(bad_mailbox_field(offset_of!(QpModify, dst_gid)))
}

fn apply(
    device: &mut Device,
    index: u32,
    mask: u32,
    to: QpState,
    attributes: Attributes,
    path: Option<Path>,
) -> Outcome {
    let result = device.drive(index, |transport, host, _| {
        host.queues.attributes = attributes;
        if let Some(path) = path {
            transport.set_path(path)?;
        }
        if mask & QP_ATTR_RECEIVE != 0 {
            transport.set_receive(attributes.receive());
        }
        if mask & QP_ATTR_SEND != 0 {
            transport.set_send(attributes.send());
        }
        if mask & QP_ATTR_LIMITS != 0 {
            transport.set_limits(attributes.limits());
        }
        if mask & QP_ATTR_STATE != 0 {
            transport.set_state(to)?;
        }
        Ok::<(), StateError>(())
    });
    device.settle();
    match result {
        Some(Ok(())) => Ok(NO_OUTPUT),
        _ => Err(Failure::new(Status::INTERNAL_ERROR)),
    }
}
