//! `NdkCreateQp` and `NdkCreateQpWithSrq`.
#![expect(unsafe_code, reason = "entries that consumers call by pointer")]

use super::cq::Cq;
use super::device_object::{self, Callback, DeviceObject};
use super::object::{self, ObjectRef};
use super::pd::Pd;
use super::post::{self, ReceiveSide, SendSide};
use super::qp::{Parts, Qp};
use super::srq::Srq;
use crate::nic::Nic;
use crate::nic::work_queue::doorbell::Doorbell;
use crate::nic::work_queue::log2_entries;
use crate::nic::work_queue::memory::RingMemory;
use crate::nic::work_queue::queue_pair::{QueuePair, Receives};
use crate::nic::work_queue::receive::ReceiveQueue;
use crate::nic::work_queue::send::{SendQueue, Slot};
use crate::nic::work_queue::wqe::{UNIT, UNITS_PER_BLOCK, max_blocks};
use crate::os::pool::{PoolArc, PoolSlice};
use core::ffi::c_void;
use core::sync::atomic::AtomicU64;
use ndk_sys::{
    NDK_ADAPTER_INFO, NDK_CQ, NDK_FN_CREATE_COMPLETION, NDK_PD, NDK_QP, NDK_SRQ, NTSTATUS, NdkObjectTypeQp,
    STATUS_INVALID_PARAMETER,
};
use vrnic_abi::cmd::Opcode;
use vrnic_abi::resource::{QP_PRIVILEGED, QP_SRQ, QpCreate, QpKind, Ring};
use vrnic_abi::wqe::receive_entry_size;
use zerocopy::{FromZeros, IntoBytes};

/// What the consumer asks for of a queue.
#[derive(Clone, Copy)]
struct Size {
    depth: u32,
    max_sge: u32,
}

/// What the consumer asks for.
struct Wanted {
    context: *mut c_void,
    initiator: Size,
    inline: u32,
    /// `None` with a shared receive queue.
    receive: Option<Size>,
}

impl Wanted {
    fn check(&self, info: &NDK_ADAPTER_INFO) -> Result<(), NTSTATUS> {
        let receive = self.receive.unwrap_or(Size { depth: 0, max_sge: 0 });
        let fits = self.initiator.depth <= info.MaxInitiatorQueueDepth
            && self.initiator.max_sge <= info.MaxInitiatorRequestSge.max(info.MaxReadRequestSge)
            && self.inline <= info.MaxInlineDataSize
            && receive.depth <= info.MaxReceiveQueueDepth
            && receive.max_sge <= info.MaxReceiveRequestSge;
        if fits {
            Ok(())
        } else {
            Err(STATUS_INVALID_PARAMETER)
        }
    }
}

fn send_side(
    nic: &PoolArc<Nic>,
    wanted: Size,
    inline: u32,
) -> Result<(SendSide, SendQueue<PoolSlice<Slot>>), NTSTATUS> {
    // Counting requests is enough then: so many of the largest ones fit.
    let log2_blocks = log2_entries(wanted.depth * max_blocks(wanted.max_sge, inline));
    let side = SendSide {
        ring: RingMemory::allocate(nic.dma(), log2_blocks, UNITS_PER_BLOCK)?,
        doorbell: Doorbell::unset(nic),
        max_sge: wanted.max_sge,
        max_inline: inline,
    };
    let slots = PoolSlice::from_fn(1 << log2_blocks, |index| {
        Slot::new(u32::try_from(index).unwrap_or(u32::MAX))
    })?;
    Ok((side, SendQueue::new(slots, wanted.depth)))
}

type OwnReceives = (ReceiveSide, ReceiveQueue<PoolSlice<AtomicU64>>, u16);

fn receive_side(nic: &PoolArc<Nic>, wanted: Size) -> Result<OwnReceives, NTSTATUS> {
    // The device wants room for one element, even if none is used.
    let max_sge = u16::try_from(wanted.max_sge.max(1)).map_err(|_| STATUS_INVALID_PARAMETER)?;
    let entry_units =
        u32::try_from(receive_entry_size(max_sge)).map_err(|_| STATUS_INVALID_PARAMETER)? / UNIT;
    let entries_log2 = log2_entries(wanted.depth);
    let side = ReceiveSide {
        ring: RingMemory::allocate(nic.dma(), entries_log2, entry_units)?,
        doorbell: Doorbell::unset(nic),
        entry_units,
        max_sge: wanted.max_sge,
    };
    let requests = PoolSlice::from_fn(1 << entries_log2, |_| AtomicU64::new(0))?;
    Ok((side, ReceiveQueue::new(requests, wanted.depth), max_sge))
}

/// Makes the object and the input of `CREATE_QP`.
fn prepare(
    pd: &ObjectRef<Pd>,
    receive_cq: &ObjectRef<Cq>,
    initiator_cq: &ObjectRef<Cq>,
    srq: Option<&ObjectRef<Srq>>,
    wanted: &Wanted,
) -> Result<(ObjectRef<Qp>, QpCreate), NTSTATUS> {
    let adapter = pd.adapter();
    wanted.check(adapter.info())?;
    let related = [receive_cq, initiator_cq]
        .into_iter()
        .all(|cq| cq.adapter().place() == adapter.place())
        && srq.is_none_or(|srq| srq.pd().adapter().place() == adapter.place());
    if !related {
        return Err(STATUS_INVALID_PARAMETER);
    }
    let nic = pd.nic();
    let (send, requests) = send_side(nic, wanted.initiator, wanted.inline)?;
    let own = wanted.receive.map(|size| receive_side(nic, size)).transpose()?;
    let (receive, receives, max_recv_sge) = match (own, srq) {
        (Some((side, queue, max_sge)), _) => (Some(side), Receives::Own(queue), max_sge),
        (None, Some(srq)) => (None, Receives::Shared(srq.slots().clone()), 0),
        (None, None) => return Err(STATUS_INVALID_PARAMETER),
    };
    let input = QpCreate {
        sq: send.ring.ring(),
        rq: receive
            .as_ref()
            .map_or_else(Ring::new_zeroed, |side| side.ring.ring()),
        pdn: pd.number().into(),
        send_cqn: initiator_cq.number().into(),
        recv_cqn: receive_cq.number().into(),
        srqn: srq.map_or(0, |srq| srq.number()).into(),
        eqn: nic.async_eq().into(),
        flags: (QP_PRIVILEGED | if srq.is_some() { QP_SRQ } else { 0 }).into(),
        max_recv_sge: max_recv_sge.into(),
        kind: QpKind::RC.0,
        ..QpCreate::new_zeroed()
    };
    let context = wanted.context.expose_provenance() as u64;
    let cqs = [initiator_cq.number(), receive_cq.number()];
    let qp = Qp::new(Parts {
        public: NDK_QP {
            Header: object::header(adapter.version(), NdkObjectTypeQp),
            Dispatch: &raw const post::DISPATCH,
        },
        pair: PoolArc::new(QueuePair::new(context, cqs, requests, receives))?,
        send,
        receive,
        initiator_cq: initiator_cq.clone(),
        receive_cq: receive_cq.clone(),
        srq: srq.cloned(),
        pd: pd.clone(),
    })?;
    Ok((qp, input))
}

/// `NdkCreateQp`.
pub unsafe extern "system" fn create_qp(
    pd: *mut NDK_PD,
    receive_cq: *mut NDK_CQ,
    initiator_cq: *mut NDK_CQ,
    context: *mut c_void,
    receive_depth: u32,
    initiator_depth: u32,
    max_receive_sge: u32,
    max_initiator_sge: u32,
    inline: u32,
    completion: Option<NDK_FN_CREATE_COMPLETION>,
    completion_context: *mut c_void,
    out: *mut *mut NDK_QP,
) -> NTSTATUS {
    if receive_cq.is_null() || initiator_cq.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: the consumer passes an open protection domain.
    let pd = unsafe { object::reference::<Pd, _>(pd) };
    // SAFETY: the consumer passes an open completion queue.
    let receive_cq = unsafe { object::reference::<Cq, _>(receive_cq) };
    // SAFETY: the consumer passes an open completion queue.
    let initiator_cq = unsafe { object::reference::<Cq, _>(initiator_cq) };
    let wanted = Wanted {
        context,
        initiator: Size {
            depth: initiator_depth,
            max_sge: max_initiator_sge,
        },
        inline,
        receive: Some(Size {
            depth: receive_depth,
            max_sge: max_receive_sge,
        }),
    };
    let callback = Callback {
        function: completion,
        context: completion_context,
    };
    match prepare(&pd, &receive_cq, &initiator_cq, None, &wanted) {
        // SAFETY: the consumer's variable.
        Ok((qp, input)) => unsafe {
            device_object::create(qp, Opcode::CREATE_QP, &[], input.as_bytes(), callback, out)
        },
        Err(status) => status,
    }
}

/// `NdkCreateQpWithSrq`.
pub unsafe extern "system" fn create_qp_with_srq(
    pd: *mut NDK_PD,
    receive_cq: *mut NDK_CQ,
    initiator_cq: *mut NDK_CQ,
    srq: *mut NDK_SRQ,
    context: *mut c_void,
    initiator_depth: u32,
    max_initiator_sge: u32,
    inline: u32,
    completion: Option<NDK_FN_CREATE_COMPLETION>,
    completion_context: *mut c_void,
    out: *mut *mut NDK_QP,
) -> NTSTATUS {
    if receive_cq.is_null() || initiator_cq.is_null() || srq.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: the consumer passes an open protection domain.
    let pd = unsafe { object::reference::<Pd, _>(pd) };
    // SAFETY: the consumer passes an open completion queue.
    let receive_cq = unsafe { object::reference::<Cq, _>(receive_cq) };
    // SAFETY: the consumer passes an open completion queue.
    let initiator_cq = unsafe { object::reference::<Cq, _>(initiator_cq) };
    // SAFETY: the consumer passes an open shared receive queue.
    let srq = unsafe { object::reference::<Srq, _>(srq) };
    let wanted = Wanted {
        context,
        initiator: Size {
            depth: initiator_depth,
            max_sge: max_initiator_sge,
        },
        inline,
        receive: None,
    };
    let callback = Callback {
        function: completion,
        context: completion_context,
    };
    match prepare(&pd, &receive_cq, &initiator_cq, Some(&srq), &wanted) {
        // SAFETY: the consumer's variable.
        Ok((qp, input)) => unsafe {
            device_object::create(qp, Opcode::CREATE_QP, &[], input.as_bytes(), callback, out)
        },
        Err(status) => status,
    }
}
