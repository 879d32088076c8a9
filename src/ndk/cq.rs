//! `NDK_CQ`: a completion queue. What is polled and when its consumer is called is in `nic::work_queue` and
//! [`super::completion_arm`]; this is the object around it.
#![expect(
    unsafe_code,
    reason = "entries that consumers call by pointer, and their callback"
)]

use super::adapter::Adapter;
use super::completion_arm::{Armed, Arming, Failure, kind_of};
use super::completion_moderation::{Moderation, moderation};
use super::completion_poll;
use super::cq_modify::{self, Moderating};
use super::device_object::{self, Callback, DeviceObject, DevicePart};
use super::object::{self, Common, Object, ObjectRef};
use super::queues::Queues;
use super::request::Completion;
use crate::nic::Nic;
use crate::nic::work_queue::completion_queue::CompletionQueue;
use crate::nic::work_queue::log2_entries;
use crate::os::lock::SpinLock;
use crate::os::pool::{PoolArc, PoolBox, Pooled, Tag};
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use ndk_sys::{
    GROUP_AFFINITY, NDK_ADAPTER, NDK_CQ, NDK_CQ_DISPATCH, NDK_FN_CQ_NOTIFICATION_CALLBACK,
    NDK_FN_CREATE_COMPLETION, NDK_FN_REQUEST_COMPLETION, NTSTATUS, NdkObjectTypeCq, STATUS_INTERNAL_ERROR,
    STATUS_INVALID_PARAMETER,
};
use vrnic_abi::cmd::Opcode;
use vrnic_abi::resource::CqCreate;
use zerocopy::IntoBytes;

/// Bits of a `GROUP_AFFINITY` mask, that is processors of a group.
const PROCESSORS_PER_GROUP: usize = 64;

/// A completion queue.
#[repr(C)]
pub struct Cq {
    public: NDK_CQ,
    common: Common,
    /// What is polled.
    pub(super) queue: CompletionQueue,
    arming: Arming,
    /// The device has written something that it must not: the ring is not looked at any more.
    broken: AtomicBool,
    notification: NDK_FN_CQ_NOTIFICATION_CALLBACK,
    notification_context: *mut c_void,
    /// As the consumer has asked for.
    depth: AtomicU32,
    /// The event queue that the device announces completions in.
    eqn: u32,
    /// A resize is under way.
    pub(super) resizing: AtomicBool,
    pub(super) moderating: SpinLock<Moderating>,
    device: DevicePart<Self>,
    adapter: ObjectRef<Adapter>,
}

impl Pooled for Cq {
    const TAG: Tag = Tag::new(*b"VrCq");
}

// SAFETY: `repr(C)`, and the public structure is first.
unsafe impl Object for Cq {
    fn common(&self) -> &Common {
        &self.common
    }

    fn finish(cq: PoolBox<Self>) {
        device_object::finish(cq);
    }
}

impl DeviceObject for Cq {
    fn nic(&self) -> &PoolArc<Nic> {
        self.adapter.provider().nic()
    }

    fn device_part(&self) -> &DevicePart<Self> {
        &self.device
    }

    fn destroy_command(&self) -> Option<(Opcode, u32)> {
        Some((Opcode::DESTROY_CQ, self.device.number()?))
    }

    fn created(&self, number: u32) -> Result<(), NTSTATUS> {
        if number >= self.nic().info().max_cqs.get() {
            return Err(STATUS_INTERNAL_ERROR);
        }
        self.queue.set_number(number);
        Ok(self.queues().cqs.enter(number, self)?)
    }

    fn leaving(&self) {
        if let Some(number) = self.device.number() {
            self.queues().cqs.leave(number, self);
        }
    }
}

// SAFETY: the public part is only read by the provider after creation, the context pointer is only handed back to the
// consumer; everything else is `Sync`.
unsafe impl Sync for Cq {}
// SAFETY: as above.
unsafe impl Send for Cq {}

impl Cq {
    fn new(
        adapter: ObjectRef<Adapter>,
        depth: u32,
        eqn: u32,
        notification: NDK_FN_CQ_NOTIFICATION_CALLBACK,
        notification_context: *mut c_void,
    ) -> Result<ObjectRef<Self>, NTSTATUS> {
        let cq = Self {
            public: NDK_CQ {
                Header: object::header(adapter.version(), NdkObjectTypeCq),
                Dispatch: &raw const DISPATCH,
            },
            common: Common::new(),
            queue: CompletionQueue::new(adapter.provider().nic(), log2_entries(depth))?,
            arming: Arming::new(),
            broken: AtomicBool::new(false),
            notification,
            notification_context,
            depth: AtomicU32::new(depth),
            eqn,
            resizing: AtomicBool::new(false),
            moderating: SpinLock::new(Moderating::default()),
            device: DevicePart::new()?,
            adapter,
        };
        Ok(ObjectRef::new(cq)?)
    }

    /// The adapter that it belongs to.
    pub fn adapter(&self) -> &ObjectRef<Adapter> {
        &self.adapter
    }

    /// Its number, for the device.
    pub fn number(&self) -> u32 {
        debug_assert!(self.device.number().is_some(), "consumers get it when it has one");
        self.device.number().unwrap_or(0)
    }

    fn queues(&self) -> &Queues {
        self.adapter.provider().queues()
    }

    /// As the consumer has asked for.
    pub(super) fn depth(&self) -> u32 {
        self.depth.load(Ordering::Relaxed)
    }

    /// A resize has succeeded.
    pub(super) fn set_depth(&self, depth: u32) {
        self.depth.store(depth, Ordering::Relaxed);
    }

    /// Whether the consumer may have a queue of `depth`.
    pub(super) fn check_depth(adapter: &Adapter, depth: u32) -> Result<(), NTSTATUS> {
        if (1..=adapter.info().MaxCqDepth).contains(&depth) {
            Ok(())
        } else {
            Err(STATUS_INVALID_PARAMETER)
        }
    }

    /// As `CREATE_CQ` and `MODIFY_CQ` want it.
    pub(super) fn attributes(&self, ring: vrnic_abi::resource::Ring, moderation: Moderation) -> CqCreate {
        CqCreate {
            ring,
            eqn: self.eqn.into(),
            moderation_us: moderation.us.into(),
            moderation_count: moderation.count.into(),
        }
    }

    /// Whether polling is as usual: one load. If not, [`Cq::is_broken`] says more.
    #[inline]
    pub(super) fn has_failed(&self) -> bool {
        self.arming.has_failed()
    }

    /// Whether the ring may not be looked at any more.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Found by the consumer's own polling, which is no place to call it back.
    #[cold]
    pub(super) fn set_broken(&self) {
        self.broken.store(true, Ordering::Release);
        self.queues().ask_for_attention();
    }

    /// `NdkArmCq`.
    fn arm(&self, notify: u32) {
        match self.arming.arm(kind_of(notify)) {
            Armed::Merged => {}
            Armed::Device(arm) => self.queue.arm(arm.kind, arm.sequence),
            Armed::Failed => self.queues().ask_for_attention(),
        }
    }

    /// The device says that the queue is due.
    pub(super) fn on_event(cq: &ObjectRef<Self>) {
        cq.call_back(cq.arming.fire());
    }

    /// The queue cannot be used any more.
    pub(super) fn on_failure(cq: &ObjectRef<Self>, overrun: bool) {
        let failure = if overrun {
            Failure::Overrun
        } else {
            Failure::Internal
        };
        cq.call_back(cq.arming.fail(failure));
    }

    /// Tells what could not be told when it was found; whether the queue has just failed.
    pub(super) fn on_tick(cq: &ObjectRef<Self>) -> bool {
        let fails = cq.is_broken() && !cq.has_failed();
        if fails {
            wdk::println!("vrnic: the device has completed what nobody has posted");
            Self::on_failure(cq, false);
        }
        cq.call_back(cq.arming.tell());
        fails
    }

    /// Calls the consumer back, as long as there is something to say. The caller has a reference, which the close of the
    /// queue waits for.
    fn call_back(&self, first: Option<NTSTATUS>) {
        let mut next = first;
        while let Some(status) = next {
            if !self.common.is_closing() {
                // SAFETY: the consumer's callback and its context.
                unsafe { (self.notification)(self.notification_context, status) };
            }
            next = self.arming.returned();
        }
    }
}

static DISPATCH: NDK_CQ_DISPATCH = NDK_CQ_DISPATCH {
    NdkCloseCq: Some(object::close::<Cq>),
    NdkQueryExtension: Some(object::query_extension),
    NdkResizeCq: Some(resize_cq),
    NdkArmCq: Some(arm_cq),
    NdkGetCqResults: Some(completion_poll::get_cq_results),
    NdkControlCqInterruptModeration: Some(control_cq_interrupt_moderation),
    NdkGetCqResultsEx: Some(completion_poll::get_cq_results_ex),
};

/// `NdkCreateCq`.
pub unsafe extern "system" fn create(
    adapter: *mut NDK_ADAPTER,
    depth: u32,
    notification: Option<NDK_FN_CQ_NOTIFICATION_CALLBACK>,
    notification_context: *mut c_void,
    affinity: *mut GROUP_AFFINITY,
    completion: Option<NDK_FN_CREATE_COMPLETION>,
    context: *mut c_void,
    out: *mut *mut NDK_CQ,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open adapter.
    let adapter = unsafe { object::reference::<Adapter, _>(adapter) };
    let Some(notification) = notification else {
        return STATUS_INVALID_PARAMETER;
    };
    if let Err(status) = Cq::check_depth(&adapter, depth) {
        return status;
    }
    // SAFETY: the consumer's structure, or null.
    let processor = unsafe { affinity.as_ref() }.and_then(processor_of);
    let queues = adapter.provider().queues();
    let hint = processor.unwrap_or_else(|| queues.next_hint());
    let eqn = adapter.provider().nic().completion_eq(hint);
    let cq = match Cq::new(
        ObjectRef::clone(&adapter),
        depth,
        eqn,
        notification,
        notification_context,
    ) {
        Ok(cq) => cq,
        Err(status) => return status,
    };
    let input = cq.attributes(cq.queue.ring(), Moderation::default());
    let callback = Callback {
        function: completion,
        context,
    };
    // SAFETY: the consumer's variable.
    unsafe { device_object::create(cq, Opcode::CREATE_CQ, input.as_bytes(), &[], callback, out) }
}

/// The first processor of an affinity, which is only a hint.
fn processor_of(affinity: &GROUP_AFFINITY) -> Option<usize> {
    let first = affinity.Mask.trailing_zeros() as usize;
    (affinity.Mask != 0).then(|| usize::from(affinity.Group) * PROCESSORS_PER_GROUP + first)
}

unsafe extern "system" fn resize_cq(
    cq: *mut NDK_CQ,
    depth: u32,
    completion: Option<NDK_FN_REQUEST_COMPLETION>,
    context: *mut c_void,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open queue.
    let cq = unsafe { object::reference::<Cq, _>(cq) };
    if completion.is_none() {
        return STATUS_INVALID_PARAMETER;
    }
    cq_modify::resize(&cq, depth, Completion::new(&cq, completion, context))
}

unsafe extern "system" fn arm_cq(cq: *mut NDK_CQ, notify: u32) {
    // SAFETY: the consumer passes an open queue.
    let cq: &Cq = unsafe { object::borrow(cq) };
    cq.arm(notify);
}

unsafe extern "system" fn control_cq_interrupt_moderation(
    cq: *mut NDK_CQ,
    interval: u32,
    count: u32,
) -> NTSTATUS {
    // SAFETY: the consumer passes an open queue.
    let cq = unsafe { object::reference::<Cq, _>(cq) };
    match moderation(interval, count, cq.depth()) {
        Ok(wanted) => cq_modify::moderate(&cq, wanted),
        Err(status) => status,
    }
}
