//! `CREATE_QP`, `DESTROY_QP`, `QUERY_QP`.

use std::mem::offset_of;
use std::sync::Arc;

use vrnic_abi::cmd::{Command, Status};
use vrnic_abi::event::EventKind;
use vrnic_abi::resource::{ObjectNumber, QP_PRIVILEGED, QP_SRQ, QPN_INDEX_MASK, QpCreate, QpKind, Ring};
use vrnic_abi::wqe::{BASIC_BLOCK, MAX_SGE, receive_entry_size};
use zerocopy::{FromBytes, IntoBytes};

use super::event_queue::{self, ring_field};
use super::protection_domain::users;
use super::{
    Failure, NO_OUTPUT, bad_mailbox_field, check_mailbox_field, completion_queue, created, input, no_input,
    no_mailbox, read_mailbox, shared_receive_queue, write_mailbox,
};
use crate::command_queue::Outcome;
use crate::device::Device;
use crate::rdma::{QueuePair, QueuePairSlot, RQ_LOG2_MAX, ReceiveRing, SQ_LOG2_MAX, SendQueue};
use crate::ring::RingMemory;

/// Bits of the index in a queue pair number.
const INDEX_BITS: u32 = QPN_INDEX_MASK.count_ones();

pub(super) fn create(device: &mut Device, command: &Command) -> Outcome {
    no_input(command)?;
    let mailbox = read_mailbox::<{ size_of::<QpCreate>() }>(device, command)?;
    let create = QpCreate::read_from_bytes(&mailbox).map_err(|_| bad_mailbox_field(0))?;
    check_fields(&create)?;
    check_objects(device, &create)?;
    if device.rdma.qps.is_full() {
        return Err(Failure::new(Status::NO_RESOURCES));
    }
    let shared = create.flags.get() & QP_SRQ != 0;
    let sq = ring_memory(
        device,
        &create.sq,
        BASIC_BLOCK as u64,
        SQ_LOG2_MAX,
        offset_of!(QpCreate, sq),
    )?;
    let max_sge = create.max_recv_sge.get();
    let rq = if shared {
        None
    } else {
        let entry = receive_entry_size(max_sge) as u64;
        let ring_at = offset_of!(QpCreate, rq);
        Some(ring_memory(device, &create.rq, entry, RQ_LOG2_MAX, ring_at)?)
    };
    let (doorbells, config) = (&device.doorbells, Arc::clone(&device.transport));
    let mut qpn = 0;
    device.rdma.qps.insert(|index, generation| {
        qpn = u32::from(generation) << INDEX_BITS | index;
        let sq = SendQueue::new(sq, index, doorbells);
        let rq = rq.map(|ring| ReceiveRing::new(ring, index, max_sge, doorbells));
        QueuePairSlot::new(QueuePair::new(qpn, create, sq, rq, config))
    });
    use_objects(device, &create, true)?;
    Ok(created(qpn))
}

fn check_fields(create: &QpCreate) -> Result<(), Failure> {
    let flags = create.flags.get();
    check_mailbox_field(
        flags & !(QP_SRQ | QP_PRIVILEGED) == 0,
        offset_of!(QpCreate, flags),
    )?;
    check_mailbox_field(create.kind == QpKind::RC.0, offset_of!(QpCreate, kind))?;
    check_mailbox_field(create.reserved == [0; 5], offset_of!(QpCreate, reserved))?;
    let max_sge = create.max_recv_sge.get();
    if flags & QP_SRQ != 0 {
        check_mailbox_field(max_sge == 0, offset_of!(QpCreate, max_recv_sge))?;
        return check_mailbox_field(
            create.rq.as_bytes() == [0; size_of::<Ring>()],
            offset_of!(QpCreate, rq),
        );
    }
    check_mailbox_field(create.srqn.get() == 0, offset_of!(QpCreate, srqn))?;
    check_mailbox_field(
        (1..=u16::from(MAX_SGE)).contains(&max_sge),
        offset_of!(QpCreate, max_recv_sge),
    )
}

/// The objects that it names exist, and belong together.
fn check_objects(device: &mut Device, create: &QpCreate) -> Result<(), Failure> {
    let pdn = create.pdn.get();
    users(device, pdn)?;
    completion_queue::find(device, create.send_cqn.get())?;
    completion_queue::find(device, create.recv_cqn.get())?;
    event_queue::find(device, create.eqn.get())?;
    if create.flags.get() & QP_SRQ != 0 {
        let srq = shared_receive_queue::find(device, create.srqn.get())?;
        check_mailbox_field(srq.attributes.pdn.get() == pdn, offset_of!(QpCreate, srqn))?;
    }
    Ok(())
}

fn ring_memory(
    device: &mut Device,
    ring: &Ring,
    entry: u64,
    log2_max: u8,
    offset: usize,
) -> Result<RingMemory, Failure> {
    RingMemory::new(&mut device.dma, ring, entry, 0..=log2_max)
        .map_err(|error| bad_mailbox_field(offset + ring_field(error)))
}

/// Counts a queue pair as a user of its objects, or no more.
fn use_objects(device: &mut Device, create: &QpCreate, used: bool) -> Result<(), Failure> {
    let change = |users: &mut u32| *users = if used { *users + 1 } else { *users - 1 };
    change(users(device, create.pdn.get())?);
    change(&mut completion_queue::find(device, create.send_cqn.get())?.users);
    change(&mut completion_queue::find(device, create.recv_cqn.get())?.users);
    if create.flags.get() & QP_SRQ != 0 {
        change(&mut shared_receive_queue::find(device, create.srqn.get())?.users);
    }
    if used {
        event_queue::add_user(device, create.eqn.get());
    } else {
        event_queue::remove_user(device, create.eqn.get());
    }
    Ok(())
}

pub(super) fn destroy(device: &mut Device, command: &Command) -> Outcome {
    no_mailbox(command)?;
    let qpn = input::<ObjectNumber>(command)?.number.get();
    let create = find(device, qpn)?.queues.create;
    device.destroy_queue_pair(qpn);
    let events = [
        EventKind::QP_FATAL,
        EventKind::QP_LAST_WQE,
        EventKind::QP_COMM_EST,
    ];
    device.forget_events(&events, qpn);
    use_objects(device, &create, false)?;
    Ok(NO_OUTPUT)
}

pub(super) fn query(device: &mut Device, command: &Command) -> Outcome {
    let qpn = input::<ObjectNumber>(command)?.number.get();
    let attributes = find(device, qpn)?.query();
    write_mailbox(device, command, &attributes)
}

/// The queue pair with that number.
pub(super) fn find(device: &Device, qpn: u32) -> Result<&QueuePair, Failure> {
    device.rdma.qp(qpn).ok_or(Failure::new(Status::BAD_RESOURCE))
}
