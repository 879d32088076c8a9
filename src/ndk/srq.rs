//! `NDK_SRQ`: a shared receive queue.
//!
//! NDKPI serialises the posts to one queue, but not with a change of its depth. Growing needs another ring, and until the
//! device has gone over to it, entries are written to both: that is what the lock around the rings is for. Completions
//! take no lock.
#![expect(
    unsafe_code,
    reason = "entries that consumers call by pointer, and their callback"
)]

use super::device_object::{self, Callback, DeviceObject, DevicePart};
use super::object::{self, Common, Object, ObjectRef};
use super::pd::Pd;
use super::post;
use super::queues::Queues;
use super::request::Completion;
use super::srq_modify;
use crate::nic::Nic;
use crate::nic::work_queue::directory::Chunks;
use crate::nic::work_queue::doorbell::Doorbell;
use crate::nic::work_queue::log2_entries;
use crate::nic::work_queue::memory::RingMemory;
use crate::nic::work_queue::queue_pair::SharedSlots;
use crate::nic::work_queue::shared::{self, MAX_SLOTS_LOG2};
use crate::nic::work_queue::wqe::{self, Sge, UNIT};
use crate::os::lock::SpinLock;
use crate::os::pool::{OutOfMemory, PoolArc, PoolBox, Pooled, Tag};
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, Ordering};
use ndk_sys::{
    GROUP_AFFINITY, NDK_FN_CREATE_COMPLETION, NDK_FN_REQUEST_COMPLETION, NDK_FN_SRQ_NOTIFICATION_CALLBACK,
    NDK_PD, NDK_SGE, NDK_SRQ, NDK_SRQ_DISPATCH, NTSTATUS, NdkObjectTypeSrq, STATUS_DATA_OVERRUN,
    STATUS_DEVICE_NOT_READY, STATUS_INTERNAL_ERROR, STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
};
use vrnic_abi::cmd::Opcode;
use vrnic_abi::doorbell::{SRQ, SRQ_PRODUCER, SRQ_STRIDE};
use vrnic_abi::resource::SrqCreate;
use vrnic_abi::wqe::srq_entry_size;
use zerocopy::{FromZeros, IntoBytes};

/// A shared receive queue.
#[repr(C)]
pub struct Srq {
    public: NDK_SRQ,
    common: Common,
    max_sge: u32,
    pub(super) entry_units: u32,
    doorbell: Doorbell,
    pub(super) rings: SpinLock<Rings>,
    slots: PoolArc<SharedSlots>,
    notification: Option<NDK_FN_SRQ_NOTIFICATION_CALLBACK>,
    notification_context: *mut c_void,
    /// The consumer waits for the notification that the queue runs low.
    pub(super) armed: AtomicBool,
    /// The queue cannot be used any more, and the consumer knows.
    failed: AtomicBool,
    /// A change is under way.
    pub(super) changing: AtomicBool,
    device: DevicePart<Self>,
    pd: ObjectRef<Pd>,
}

/// Where entries are written.
pub struct Rings {
    /// The device reads this one.
    pub current: RingMemory,
    /// The device is about to go over to this one, which is larger.
    pub next: Option<RingMemory>,
    /// Entries so far.
    pub posted: u32,
}

impl Pooled for Srq {
    const TAG: Tag = Tag::new(*b"VrSr");
}

// SAFETY: `repr(C)`, and the public structure is first.
unsafe impl Object for Srq {
    fn common(&self) -> &Common {
        &self.common
    }

    fn finish(srq: PoolBox<Self>) {
        device_object::finish(srq);
    }
}

impl DeviceObject for Srq {
    fn nic(&self) -> &PoolArc<Nic> {
        self.pd.nic()
    }

    fn device_part(&self) -> &DevicePart<Self> {
        &self.device
    }

    fn destroy_command(&self) -> Option<(Opcode, u32)> {
        Some((Opcode::DESTROY_SRQ, self.device.number()?))
    }

    fn created(&self, number: u32) -> Result<(), NTSTATUS> {
        if number >= self.nic().info().max_srqs.get() {
            return Err(STATUS_INTERNAL_ERROR);
        }
        self.doorbell
            .set(SRQ + u64::from(number) * SRQ_STRIDE + SRQ_PRODUCER);
        Ok(self.queues().srqs.enter(number, self)?)
    }

    fn leaving(&self) {
        if let Some(number) = self.device.number() {
            self.queues().srqs.leave(number, self);
        }
    }
}

// SAFETY: the public part is only read by the provider after creation, the context pointer is only handed back to the
// consumer; everything else is `Sync`.
unsafe impl Sync for Srq {}
// SAFETY: as above.
unsafe impl Send for Srq {}

/// What the consumer asks for.
struct Wanted {
    depth: u32,
    max_sge: u32,
    threshold: u32,
    notification: Option<NDK_FN_SRQ_NOTIFICATION_CALLBACK>,
    notification_context: *mut c_void,
}

impl Srq {
    /// Makes the object and the input of `CREATE_SRQ`.
    fn prepare(pd: &ObjectRef<Pd>, wanted: &Wanted) -> Result<(ObjectRef<Self>, SrqCreate), NTSTATUS> {
        let info = pd.adapter().info();
        if !(1..=info.MaxSrqDepth.min(1 << MAX_SLOTS_LOG2)).contains(&wanted.depth)
            || wanted.max_sge > info.MaxReceiveRequestSge
            || wanted.threshold > wanted.depth
        {
            return Err(STATUS_INVALID_PARAMETER);
        }
        // The device wants room for one element, even if none is used.
        let max_sge = u16::try_from(wanted.max_sge.max(1)).map_err(|_| STATUS_INVALID_PARAMETER)?;
        let entry_units =
            u32::try_from(srq_entry_size(max_sge)).map_err(|_| STATUS_INVALID_PARAMETER)? / UNIT;
        let nic = pd.nic();
        let ring = RingMemory::allocate(nic.dma(), log2_entries(wanted.depth), entry_units)?;
        let input = SrqCreate {
            ring: ring.ring(),
            pdn: pd.number().into(),
            eqn: nic.async_eq().into(),
            limit: wanted.threshold.into(),
            max_sge: max_sge.into(),
            ..SrqCreate::new_zeroed()
        };
        let slots = SharedSlots::new(Chunks::new(info.MaxSrqDepth)?);
        grow_slots(&slots, wanted.depth)?;
        slots.set_depth(wanted.depth);
        let srq = Self {
            public: NDK_SRQ {
                Header: object::header(pd.adapter().version(), NdkObjectTypeSrq),
                Dispatch: &raw const DISPATCH,
            },
            common: Common::new(),
            max_sge: wanted.max_sge,
            entry_units,
            doorbell: Doorbell::unset(nic),
            rings: SpinLock::new(Rings {
                current: ring,
                next: None,
                posted: 0,
            }),
            slots: PoolArc::new(slots)?,
            notification: wanted.notification,
            notification_context: wanted.notification_context,
            armed: AtomicBool::new(wanted.threshold != 0),
            failed: AtomicBool::new(false),
            changing: AtomicBool::new(false),
            device: DevicePart::new()?,
            pd: pd.clone(),
        };
        Ok((ObjectRef::new(srq)?, input))
    }

    /// The protection domain that it belongs to.
    pub fn pd(&self) -> &ObjectRef<Pd> {
        &self.pd
    }

    /// Its number, for the device.
    pub fn number(&self) -> u32 {
        debug_assert!(self.device.number().is_some(), "consumers get it when it has one");
        self.device.number().unwrap_or(0)
    }

    /// What is outstanding on it.
    pub fn slots(&self) -> &PoolArc<SharedSlots> {
        &self.slots
    }

    fn queues(&self) -> &Queues {
        self.pd.adapter().provider().queues()
    }

    /// `NdkSrqReceive`.
    fn post(&self, request: *mut c_void, sges: &[Sge]) -> Result<(), NTSTATUS> {
        if self.failed.load(Ordering::Relaxed) {
            return Err(STATUS_DEVICE_NOT_READY);
        }
        if sges.len() > self.max_sge as usize {
            return Err(STATUS_DATA_OVERRUN);
        }
        let mut rings = self.rings.lock();
        let taken = self.slots.open()?;
        let cookie = self.slots.cookie(taken)?;
        let index = rings.posted;
        wqe::receive(&rings.current, index, self.entry_units, Some(cookie), sges);
        if let Some(next) = &rings.next {
            wqe::receive(next, index, self.entry_units, Some(cookie), sges);
        }
        self.slots.finish(taken, request.expose_provenance() as u64);
        rings.posted = index.wrapping_add(1);
        self.doorbell.ring(rings.posted);
        Ok(())
    }

    /// The device says that fewer entries than the threshold are left.
    pub fn on_limit(&self) {
        if self.armed.swap(false, Ordering::AcqRel) {
            self.notify(STATUS_SUCCESS);
        }
    }

    /// The queue cannot be used any more.
    pub fn on_failure(&self) {
        if !self.failed.swap(true, Ordering::AcqRel) {
            self.notify(STATUS_INTERNAL_ERROR);
        }
    }

    /// Calls the consumer back. The caller has a reference, which the close of the queue waits for.
    fn notify(&self, status: NTSTATUS) {
        if let Some(notification) = self.notification
            && !self.common.is_closing()
        {
            // SAFETY: the consumer's callback and its context.
            unsafe { notification(self.notification_context, status) };
        }
    }
}

/// Makes sure that there are `depth` slots.
pub(super) fn grow_slots(slots: &SharedSlots, depth: u32) -> Result<(), OutOfMemory> {
    for index in 0..depth {
        slots.table().grow(index, shared::Slot::new)?;
    }
    Ok(())
}

static DISPATCH: NDK_SRQ_DISPATCH = NDK_SRQ_DISPATCH {
    NdkCloseSrq: Some(object::close::<Srq>),
    NdkQueryExtension: Some(object::query_extension),
    NdkModifySrq: Some(modify_srq),
    NdkSrqReceive: Some(srq_receive),
};

/// `NdkCreateSrq`.
pub unsafe extern "system" fn create(
    pd: *mut NDK_PD,
    depth: u32,
    max_sge: u32,
    threshold: u32,
    notification: Option<NDK_FN_SRQ_NOTIFICATION_CALLBACK>,
    notification_context: *mut c_void,
    // Events of shared receive queues all come to one event queue.
    _affinity: *mut GROUP_AFFINITY,
    completion: Option<NDK_FN_CREATE_COMPLETION>,
    context: *mut c_void,
    out: *mut *mut NDK_SRQ,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open protection domain.
    let pd = unsafe { object::reference::<Pd, _>(pd) };
    let wanted = Wanted {
        depth,
        max_sge,
        threshold,
        notification,
        notification_context,
    };
    let callback = Callback {
        function: completion,
        context,
    };
    match Srq::prepare(&pd, &wanted) {
        // SAFETY: the consumer's variable.
        Ok((srq, input)) => unsafe {
            device_object::create(srq, Opcode::CREATE_SRQ, input.as_bytes(), &[], callback, out)
        },
        Err(status) => status,
    }
}

unsafe extern "system" fn modify_srq(
    srq: *mut NDK_SRQ,
    depth: u32,
    threshold: u32,
    completion: Option<NDK_FN_REQUEST_COMPLETION>,
    context: *mut c_void,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open queue.
    let srq = unsafe { object::reference::<Srq, _>(srq) };
    if completion.is_none() {
        return STATUS_INVALID_PARAMETER;
    }
    srq_modify::modify(&srq, depth, threshold, Completion::new(&srq, completion, context))
}

unsafe extern "system" fn srq_receive(
    srq: *mut NDK_SRQ,
    request: *mut c_void,
    sgl: *const NDK_SGE,
    count: u32,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open queue.
    let srq: &Srq = unsafe { object::borrow(srq) };
    // SAFETY: the consumer's list.
    match unsafe { post::list(sgl, count) }.and_then(|sges| srq.post(request, sges)) {
        Ok(()) => STATUS_SUCCESS,
        Err(status) => status,
    }
}
